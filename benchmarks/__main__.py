"""weft beside PyTorch eager: the same work, in turn, each in a process of its own.

    python -m benchmarks [--rounds 5] [--repeats 5] [--threads N] [--only TEXT] [--json FILE]

Prints ratios (PyTorch's time over weft's: above 1, weft is faster), of the medians and of the
minima over all measurements; the times themselves go to the JSON file.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.cases import CASES

LIBRARIES = ("weft", "torch")


def measure(library: str, case: str, repeats: int, threads: int) -> list[float]:
    """Seconds per call, in a fresh process."""
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "benchmarks.worker", library, case, str(repeats), str(threads)]
    done = subprocess.run(
        command, env=env, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1]
    )
    return [float(t) for t in json.loads(done.stdout)]


def compare(case: str, rounds: int, repeats: int, threads: int) -> dict[str, list[float]]:
    """A B A B ...: what the machine does in between hits both."""
    times: dict[str, list[float]] = {name: [] for name in LIBRARIES}
    for _ in range(rounds):
        for name in LIBRARIES:
            times[name] += measure(name, case, repeats, threads)
    return times


def main() -> None:
    """Runs the cases and prints a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--json", type=Path, help="write all times here")
    options = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        sys.exit("the benchmarks compare with PyTorch: pip install 'weft[parity]'")
    results = {}
    print(f"PyTorch's time / weft's, {options.threads} threads, {platform.machine()}")
    print(f"{'case':32s}{'median':>10s}{'minimum':>10s}")
    for case in CASES:
        if options.only not in case:
            continue
        times = compare(case, options.rounds, options.repeats, options.threads)
        results[case] = times
        ours, theirs = times["weft"], times["torch"]
        median = statistics.median(theirs) / statistics.median(ours)
        print(f"{case:32s}{median:9.2f}x{min(theirs) / min(ours):9.2f}x", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
