"""Measures one case in one library, in this process of its own; prints seconds per call."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable

from benchmarks.cases import CASES


def _settle(library: object) -> Callable[[], object]:
    """Runs what weft has recorded but not run, outside of what is timed."""
    realize = getattr(library, "realize", None)
    return realize if realize is not None else lambda: None


def main() -> None:
    """Usage: worker LIBRARY CASE REPEATS THREADS."""
    name, case, repeats, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    library = importlib.import_module(name)
    if name == "torch":
        library.set_num_threads(threads)
    make, count = CASES[case]
    call = make(library)
    settle = _settle(library)
    for _ in range(max(count // 10, 3 if count < 100 else 10)):
        call()
    settle()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        for _ in range(count):
            call()
        times.append((time.perf_counter() - begin) / count)
        settle()
    print(json.dumps(times))


if __name__ == "__main__":
    main()
