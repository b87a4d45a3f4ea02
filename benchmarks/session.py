"""Runs workers in turn, each in a process of its own, and collects what they say."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers import OURS, PEERS

ROOT = Path(__file__).parents[1]
GROUPS = ("machine", "steps", "forward", "operations", "recording")

#: A worker that takes longer is ended, and its case left out.
MOST_SECONDS = 900

#: Where each library keeps compiled code between processes.
_CACHES = ("WEFT_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR")


def threads_by_default() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass
class Session:
    """What is to be measured, and how thoroughly.

    Attributes:
        groups: of ``GROUPS``.
        peers: of ``PEERS``, weft's included.
        only: cases whose name contains this.
        rounds: so often each peer has its turn with a case.
        seconds: for each measurement.
        full: whether what takes very long takes part.
        report: what has been measured, ready for JSON.
    """

    groups: Sequence[str] = GROUPS
    peers: Sequence[str] = tuple(PEERS)
    only: str = ""
    rounds: int = 2
    seconds: float = 0.5
    full: bool = False
    threads: int = field(default_factory=threads_by_default)
    report: dict[str, Any] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Measures everything; a peer that is missing or fails is left out, and the report says so.

        Returns:
            ``about`` (machine, versions, settings), ``cases`` (by group, case and peer, a list with
            an entry for each round), ``machine`` (of ``machine.py``), ``remarks`` (who is left out,
            and why).
        """
        begin = time.monotonic()
        self.report = {"about": self._about(), "cases": {}, "remarks": []}
        with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
            self._folder = Path(folder)
            self.peers = [peer for peer in self.peers if self._is_there(peer)]
            if "machine" in self.groups and "weft" in self.peers:
                self._work("weft", [("machine", "")])
            for case in self._chosen_workloads():
                self._in_turn(case, [(g, case) for g in self._groups("steps", "forward")])
            for group in self._groups("operations", "recording"):
                self._in_turn(group, [(group, case) for case in self._chosen(group)])
        self.report["about"]["minutes"] = round((time.monotonic() - begin) / 60, 1)
        return self.report

    # ---- what is to be run

    def _groups(self, *names: str) -> list[str]:
        return [name for name in names if name in self.groups]

    def _chosen_workloads(self) -> list[str]:
        from benchmarks.workloads import WORKLOADS

        return [w for w in WORKLOADS if self.only in w] if self._groups("steps", "forward") else []

    def _chosen(self, group: str) -> list[str]:
        module = importlib.import_module(f"benchmarks.{group}")
        cases = module.OPERATIONS if group == "operations" else module.CASES
        return [case for case in cases if self.only in case]

    def _takes_part(self, peer: str, group: str) -> bool:
        if group == "recording":  # the loop is what records
            return peer in {"weft loop", "torch"}
        if group == "operations":
            return peer in {*OURS, "torch", "numpy"}
        if group == "forward" and peer in {"torch.compile", "flax"}:  # minutes, to compile them all
            return self.full
        return peer != "numpy"

    def _in_turn(self, what: str, cases: list[tuple[str, str]]) -> None:
        """A B C A B C ...: what the machine does in between hits all of them."""
        weights = None
        if cases and cases[0][0] in {"steps", "forward"}:
            weights = self._folder / f"{what}.npz"
            self._work("weft", [("weights", what)], weights=weights)
        failed: set[str] = set()
        for number in range(self.rounds):
            for peer in self.peers:
                own = [one for one in cases if self._takes_part(peer, one[0])]
                if peer in failed or not own:
                    continue
                _say(f"{what}: round {number + 1} of {self.rounds}, {PEERS[peer].title}")
                if not self._work(peer, own, weights=weights, cache=f"{peer} {what}"):
                    failed.add(peer)
        if "steps" in self.groups and weights is not None:
            self._compare_losses(what)

    def _compare_losses(self, case: str) -> None:
        """With the same weights and data, all have the same loss, or do not do the same work."""
        found = self.report["cases"].get("steps", {}).get(case, {})
        losses = {peer: results[0]["value"] for peer, results in found.items()}
        if losses and max(losses.values()) - min(losses.values()) > 1e-3:
            self._remark(f"The first losses of {case} differ: {losses}")

    # ---- running it

    def _is_there(self, peer: str) -> bool:
        """Is the peer installed and fit to be imported? (That also warms the system's cache.)"""
        one = PEERS[peer]
        for package in one.needs:
            if importlib.util.find_spec(package) is None:
                self._remark(f"{one.title} is left out: {package} is not installed")
                return False
        return self._work(peer, [])

    def _work(
        self,
        peer: str,
        cases: list[tuple[str, str]],
        *,
        weights: Path | None = None,
        cache: str = "checks",
    ) -> bool:
        """One process; its results go to the report. Says whether it went well."""
        job = {
            "peer": peer,
            "cases": cases,
            "seconds": self.seconds if weights else self.seconds / 4,  # single operations: enough
            "threads": self.threads,
            "weights": None if weights is None else str(weights),
            "began": time.monotonic(),
        }
        done = _call(job, self._environment(self._folder / cache.replace(" ", "-")))
        if isinstance(done, str):
            what = cases[0][1] or cases[0][0] if cases else "everything"
            self._remark(f"{PEERS[peer].title} is left out of {what}: {done}")
            return False
        self.report["about"]["versions"][PEERS[peer].library] = done.pop("version")
        done.pop("import", None)
        for key, result in done.items():
            group, _, case = key.partition("/")
            if group == "machine":
                self.report["machine"] = result
            elif result is not None:
                by_case = self.report["cases"].setdefault(group, {}).setdefault(case, {})
                by_case.setdefault(peer, []).append(result)
        return True

    def _environment(self, cache: Path) -> dict[str, str]:
        """The same number of threads for all, and caches of code that start empty.

        Python's own are kept, as with installed packages, even where the environment forbids it.
        """
        number = str(self.threads)
        inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "WEFT_NUM_THREADS")
        return {
            **inherited,
            **dict.fromkeys(names, number),
            "NPROC": number,  # by which XLA's CPU client goes
            "JAX_PLATFORMS": "cpu",
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            **dict.fromkeys(_CACHES, str(cache)),
        }

    def _remark(self, text: str) -> None:
        self.report["remarks"].append(text)
        _say(text)

    def _about(self) -> dict[str, Any]:
        return {
            "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
            "machine": _processor(),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "threads": self.threads,
            "rounds": self.rounds,
            "seconds": self.seconds,
            "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
            "versions": {},
        }


def _call(job: dict[str, Any], env: dict[str, str]) -> dict[str, Any] | str:
    """The worker's answer, or what went wrong."""
    command = [sys.executable, "-m", "benchmarks.worker", json.dumps(job)]
    try:
        done = subprocess.run(
            command, env=env, check=False, capture_output=True, text=True, cwd=ROOT,
            timeout=MOST_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"took more than {MOST_SECONDS} seconds"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    if done.returncode:
        return f"failed ({lines[-1] if lines else f'exit status {done.returncode}'})"
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def _processor() -> str:
    """Its name, as the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()


def _say(text: str) -> None:
    """Progress, apart from the tables."""
    print(text, file=sys.stderr, flush=True)
