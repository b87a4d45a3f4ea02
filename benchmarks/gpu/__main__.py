"""weft on a GPU beside PyTorch eager, torch.compile and JAX's jit: training steps, in turn.

    python -m benchmarks.gpu [--device cuda] [--only TEXT] [--rounds 3] [--json FILE] [--small]

Each measurement is a process of its own; its steps run one after another, and only the last loss is
waited for. Printed are minima: milliseconds a step, every peer's time over weft's (above 1, weft is
faster), and the arithmetic as a fraction of what a bfloat16 matrix product reaches on this GPU.
``--small --device cpu`` tries all of it without a GPU, on toy sizes, whose figures mean nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.gpu.models import CASES

OURS = ("weft", "weft.compile")
PEERS = ("torch", "torch.compile", "jax.jit")


def run(*arguments: str) -> Any:
    """What the worker prints; None, with its last line shown, if it fails."""
    command = [sys.executable, "-m", "benchmarks.gpu.worker", *arguments]
    folder = Path(__file__).parents[2]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"  {' '.join(arguments[:2])} failed: {why}", file=sys.stderr)
        return None
    return json.loads(done.stdout)


def measure(case: str, options: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds a step of each library, round by round."""
    times: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for name in (*OURS, *PEERS):
            if importlib.util.find_spec(name.partition(".")[0]) is None:
                continue
            # (weft's device of JAX, where the others say "cpu")
            ours = options.device == "cpu" and name in OURS
            found = run(
                *(name, case, "xla:cpu" if ours else options.device),
                *("1" if options.small else "0", str(options.repeats), str(options.seconds)),
            )
            if found is not None:
                times.setdefault(name, []).extend(found["times"])
    return times


def report(case: str, times: dict[str, list[float]], peak: float | None) -> None:
    """A line for each case, as minima."""
    least = {name: min(values) for name, values in times.items()}
    ours = [least[name] for name in OURS if name in least]
    if not ours:
        print(f"{case:10s} weft failed")
        return
    best = min(ours)
    cells = "".join(
        f"{least[name] / best:10.2f}x" if name in least else f"{'-':>11s}" for name in PEERS
    )
    flops = CASES[case].flops
    share = f"{flops(CASES[case].full) / best / peak:8.0%}" if flops and peak else ""
    print(f"{case:10s}{best * 1e3:10.3f} ms{cells}{share}", flush=True)


def main() -> None:
    """Runs the cases and prints a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one measurement, about")
    parser.add_argument("--small", action="store_true", help="toy sizes, to try it")
    parser.add_argument("--json", type=Path, help="write all times here")
    options = parser.parse_args()
    packages = [p for p in ("jax", "torch") if importlib.util.find_spec(p) is not None]
    print(", ".join(f"{p} {version(p)}" for p in packages), "on", options.device)
    peak = run("peak", "1" if options.small else "0")
    if peak:
        print(f"a bfloat16 matrix product reaches {peak / 1e12:.1f} TFLOP/s")
    print(f"{'case':10s}{'weft':>13s}" + "".join(f"{p:>14s}"[3:] for p in PEERS) + "  of peak")
    results = {}
    for case in CASES:
        if options.only in case:
            results[case] = measure(case, options)
            report(case, results[case], None if options.small else peak)
    if options.json:
        options.json.write_text(json.dumps({"peak": peak, "times": results}, indent=1))


if __name__ == "__main__":
    main()
