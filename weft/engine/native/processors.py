"""How many threads a computation may use: what was asked for, else what the system grants."""

from __future__ import annotations

import math
import os
from pathlib import Path

from ... import config

_GROUPS = Path("/proc/self/cgroup")
_CGROUP = Path("/sys/fs/cgroup")

_threads: int | None = None


def get_num_threads() -> int:
    """How many threads a computation may use.

    ``set_num_threads`` sets it. Before, it is ``WEFT_NUM_THREADS``, else ``OMP_NUM_THREADS``, else
    the number of processors that this process may use: its affinity, bounded by the quota of its
    control groups.
    """
    global _threads
    if _threads is None:
        _threads = config.NUM_THREADS or _processors()
    return _threads


def get_num_interop_threads() -> int:
    """1: there are no threads for whole operations beside those within them."""
    return 1


def set_num_interop_threads(num: int) -> None:
    """Without effect (:func:`get_num_interop_threads`).

    Raises:
        RuntimeError: unless ``num`` is a positive integer.
    """
    if num < 1:
        raise RuntimeError(f"set_num_interop_threads expects a positive integer, but got {num}")


def set_flush_denormal(mode: bool) -> bool:
    """False: very small numbers are computed with in any case."""
    return False


def set_num_threads(num: int) -> None:
    """How many threads a computation may use from now on.

    Raises:
        RuntimeError: ``num`` is not an int, or not positive.
    """
    global _threads
    if isinstance(num, bool) or not isinstance(num, int):
        got = type(num).__name__
        raise RuntimeError(f"set_num_threads expects an int, but got {got}")  # noqa: TRY004 (PyTorch's)
    if num < 1:
        raise RuntimeError(f"set_num_threads expects a positive integer, but got {num}")
    _threads = num


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    return max(1, min([count, *_quotas()]))


def _quotas() -> list[int]:
    """How many processors each control group around this process grants, rounded up."""
    try:
        lines = _GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            root, files = _CGROUP, ["cpu.max"]
        elif "cpu" in controllers.split(","):
            root, files = _CGROUP / "cpu", ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        inner = root / path.lstrip("/")
        for folder in [inner, *inner.parents]:
            if folder.is_relative_to(root):
                found += _quota([folder / name for name in files])
    return found


def _quota(files: list[Path]) -> list[int]:
    try:
        words = " ".join(file.read_text(encoding="ascii") for file in files).split()
        quota, period = (int(word) for word in words)
    except (OSError, ValueError):  # not there, or "max"
        return []
    return [math.ceil(quota / period)] if quota > 0 < period else []
