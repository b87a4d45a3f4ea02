"""weft beside its peers: the same work, in turn, each in a process of its own.

    python -m benchmarks                                   everything, in less than 12 minutes
    python -m benchmarks steps --only GPT --peers torch jax
    python -m benchmarks --full --json results.json        more rounds, for the record
    python -m benchmarks --from results.json --markdown    tables of an earlier run

Prints the times of the peers over weft's (above 1, weft is faster), of the medians and of the
minima over all measurements. docs/performance.md says what is measured.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks import tables
from benchmarks.peers import OURS, PEERS
from benchmarks.session import GROUPS, Session, threads_by_default


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    others = [peer for peer in PEERS if peer not in OURS]
    add("groups", nargs="*", metavar="GROUP", help=f"{', '.join(GROUPS)} (all)")
    add("--peers", nargs="+", choices=others, default=others, help="beside weft (all)")
    add("--only", default="", metavar="TEXT", help="cases whose name contains this")
    add("--rounds", type=int, help="turns of each peer with each case (2; with --full 5)")
    add("--seconds", type=float, help="for each measurement (0.5; with --full 2)")
    add("--threads", type=int, default=threads_by_default(), help="of each library (%(default)s)")
    add("--full", action="store_true", help="more rounds and longer measurements")
    add("--json", type=Path, metavar="FILE", help="write all times here")
    add("--from", type=Path, metavar="FILE", dest="source", help="measure nothing: show this file")
    add("--markdown", action="store_true", help="print the tables as Markdown")
    options = parser.parse_args()
    unknown = set(options.groups) - set(GROUPS)
    if unknown:
        parser.error(f"no group {', '.join(sorted(unknown))}: there are {', '.join(GROUPS)}")
    return options


def main() -> None:
    """Measures, or reads what was measured, and prints the tables."""
    options = _options()
    if options.source:
        report = json.loads(options.source.read_text(encoding="utf-8"))
    else:
        report = Session(
            groups=options.groups or GROUPS,
            peers=[*OURS, *options.peers],
            only=options.only,
            rounds=options.rounds or (5 if options.full else 2),
            seconds=options.seconds or (2.0 if options.full else 0.5),
            threads=options.threads,
            full=options.full,
        ).run()
    if options.json:
        options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(tables.markdown(report) if options.markdown else tables.text(report))


if __name__ == "__main__":
    main()
