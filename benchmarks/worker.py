"""Measures cases of one library, in this process of its own; prints one line of JSON.

Usage: ``python -m benchmarks.worker JOB``, a JSON object: ``peer``, ``cases`` (pairs of group and
name), ``seconds`` for each, ``threads``, ``weights`` (a file), ``began`` (``time.monotonic()`` of
the process that started this one).
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS, run_of, version
from benchmarks.runs import Run

#: Calls before the measurement: compilers have done their work by then.
WARM_UP = 6


def main() -> None:
    job: dict[str, Any] = json.loads(sys.argv[1])
    _restrict(job["threads"])
    library = PEERS[job["peer"]].library
    begin = time.perf_counter()
    results: dict[str, Any] = {"version": version(library)}
    results["import"] = time.perf_counter() - begin
    if library == "torch":
        import_module("torch").set_num_threads(job["threads"])
    for group, case in job["cases"]:
        results[f"{group}/{case}"] = _result(job, group, case)
    print("\n" + json.dumps(results))


def _restrict(threads: int) -> None:
    """So many processors for this process, as in a container: all libraries go by that."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        if threads < len(allowed):
            os.sched_setaffinity(0, allowed[:threads])


def _result(job: dict[str, Any], group: str, case: str) -> Any:
    if group == "machine":
        return import_module("benchmarks.machine").measured(job["threads"])
    if group == "weights":
        return _write_weights(case, Path(job["weights"]))
    if group == "recording":
        return {"times": recorded(PEERS[job["peer"]].library, case)}
    run = run_of(job["peer"], group, case, _read_weights(job["weights"]))
    return None if run is None else measured(run, job["seconds"], job["began"])


def _write_weights(case: str, path: Path) -> None:
    import numpy as np

    from benchmarks.with_torch_names import initial

    np.savez(path, **initial(import_module("weft"), case))


def _read_weights(path: str | None) -> Any:
    import numpy as np

    if path is None:
        return {}
    with np.load(path) as arrays:
        return dict(arrays)


def measured(run: Run, seconds: float, began: float) -> dict[str, Any]:
    """Times of a call, each the mean of a row of calls, and what the first calls took.

    Returns:
        ``start``: from ``began`` to the end of the first call. ``warm_up``: what the first calls
        took more than later ones. ``times``: seconds per call. ``value``: the first call's number.
        ``memory``: the process's peak, in bytes.

    Raises:
        ArithmeticError: the last number is not finite: what was timed was nothing.
    """
    first: list[float] = []
    value = out = None
    for _ in range(WARM_UP):
        begin = time.perf_counter()
        out = run.call()
        run.finish()
        first.append(time.perf_counter() - begin)
        if value is None:
            start, value = time.monotonic() - began, run.value(out)
    count = max(1, round(seconds / 5 / min(first)))
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < until:
        begin = time.perf_counter()
        for _ in range(count):
            out = run.call()
        run.finish()
        times.append((time.perf_counter() - begin) / count)
    if not math.isfinite(run.value(out)):
        raise ArithmeticError(f"the last result is {run.value(out)}")
    return {
        "start": start,
        "warm_up": max(0.0, sum(first) - WARM_UP * min(times)),
        "times": times,
        "value": value,
        "memory": _peak_memory(),
    }


def _peak_memory() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def recorded(library: str, case: str) -> list[float]:
    """Seconds per call of a case of ``recording.py``."""
    from benchmarks.recording import CASES

    make, count = CASES[case]
    lib = import_module(library)
    settle = getattr(lib, "realize", lambda: None)
    call = make(lib)
    for _ in range(count // 10):
        call()
    settle()
    times: list[float] = []
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(count):
            call()
        times.append((time.perf_counter() - begin) / count)
        settle()
    return times


if __name__ == "__main__":
    main()
