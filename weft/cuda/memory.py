"""The names of ``torch.cuda.memory``. JAX allocates; without a GPU nothing is in use."""

from __future__ import annotations

from typing import Any

from .. import config
from ..errors import DeviceError
from ..graph.modes import user_warning
from .which import described, gpu, platform

#: PyTorch's names of numbers that JAX counts, with JAX's.
_NAMES = {
    "allocated_bytes.all.current": "bytes_in_use",
    "allocated_bytes.all.peak": "peak_bytes_in_use",
    "reserved_bytes.all.current": "pool_bytes",
    "reserved_bytes.all.peak": "peak_pool_bytes",
    "allocation.all.allocated": "num_allocs",
}


def memory_stats(device: Any = None) -> dict[str, int]:
    """What JAX counts of a GPU's memory, by PyTorch's names, and by its own; {} without a GPU."""
    if not platform().devices("cuda"):
        return {}
    stats = dict(described(device).memory_stats() or {})
    return {**{ours: stats[name] for ours, name in _NAMES.items() if name in stats}, **stats}


def memory_allocated(device: Any = None) -> int:
    """Bytes in use on a GPU."""
    return memory_stats(device).get("bytes_in_use", 0)


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that have been in use on a GPU since the process began."""
    return memory_stats(device).get("peak_bytes_in_use", 0)


def memory_reserved(device: Any = None) -> int:
    """Bytes that JAX has taken from a GPU; more than are in use."""
    stats = memory_stats(device)
    return max(stats.get("pool_bytes", 0), stats.get("bytes_in_use", 0))


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes that JAX has taken from a GPU since the process began."""
    stats = memory_stats(device)
    return max(stats.get("peak_pool_bytes", 0), stats.get("peak_bytes_in_use", 0))


memory_cached, max_memory_cached = memory_reserved, max_memory_reserved


def reset_peak_memory_stats(device: Any = None) -> None:
    """Warns: JAX counts from the process's beginning on, and has no way to begin anew.

    Raises:
        DeviceError: if there is no GPU.
    """
    gpu(device)
    user_warning(
        "the peaks of GPU memory cannot be reset: max_memory_allocated() stays the most since the "
        "process began"
    )


reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats
reset_accumulated_memory_stats = reset_peak_memory_stats


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """What JAX counts of a GPU's memory, a line each."""
    return "\n".join(f"{name}: {n:,}" for name, n in memory_stats(device).items())


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Bytes that are free, and that there are, of what JAX may use of a GPU.

    Raises:
        DeviceError: if there is none.
    """
    gpu(device)
    stats = memory_stats(device)
    total = stats.get("bytes_limit", 0)
    return total - stats.get("bytes_in_use", 0), total


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """The part of each GPU's memory that this process may use, at most.

    Raises:
        ValueError: for a number that is not between 0 and 1.
        DeviceError: if JAX has been asked for its GPUs before, which then know their limit.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"set_per_process_memory_fraction: {fraction} is not between 0 and 1")
    if platform().has_looked_for_devices():
        raise DeviceError(
            "set_per_process_memory_fraction: the GPUs of this process have been looked for, and "
            "have a limit from then on. Call it first, or set XLA_PYTHON_CLIENT_MEM_FRACTION"
        )
    config.set_gpu_memory_fraction(fraction)


def get_per_process_memory_fraction(device: Any = None) -> float:
    """The part of each GPU's memory that this process may use, at most."""
    return config.gpu_memory_fraction()


def ipc_collect() -> None:
    """Does nothing: no memory is shared between processes."""


def empty_cache() -> None:
    """Does nothing: JAX gives memory back by itself when a new use needs it."""
