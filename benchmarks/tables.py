"""What was measured as tables, for a terminal or as Markdown."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from benchmarks.peers import OURS, PEERS

Report = dict[str, Any]


@dataclass
class Table:
    """A heading, a sentence or two, and rows of text below a head."""

    title: str
    note: str
    head: list[str]
    rows: list[list[str]]


def tables(report: Report) -> list[Table]:
    """All that the report has something for."""
    cases = report["cases"]
    steps = cases.get("steps", {})
    made = [
        _machine(report.get("machine")),
        _ratios("Training steps", "Forward, loss, backward, SGD with momentum.", steps),
        _ratios("Forward passes of one sample", "", cases.get("forward", {})),
        _seconds("First step, empty caches", "start", steps, first=True),
        _seconds("First step, full caches", "start", steps, first=False),
        _seconds("Compilation, empty caches", "warm_up", steps, first=True),
        _seconds("Compilation, full caches", "warm_up", steps, first=False),
        _memory(steps),
        _ratios("Single operations", "", cases.get("operations", {})),
        _ratios(
            "Recording",
            "Recording an op in weft, running it in PyTorch.",
            cases.get("recording", {}),
        ),
    ]
    return [table for table in made if table is not None and table.rows]


def _peers(cases: dict[str, Any]) -> list[str]:
    """Those with results, ours first."""
    found = {peer for case in cases.values() for peer in case}
    return [peer for peer in PEERS if peer in found]


def _titles(peers: list[str]) -> list[str]:
    return [PEERS[peer].title for peer in peers]


def _times(results: list[dict[str, Any]]) -> list[float]:
    return [t for result in results for t in result["times"]]


def _ratios(title: str, note: str, cases: dict[str, Any]) -> Table | None:
    """A row for each case and each way of weft's, a column for each peer."""
    peers = [peer for peer in _peers(cases) if peer not in OURS]
    head = ["case", "weft", "time", *_titles(peers), *(["best peer"] if len(peers) > 1 else [])]
    rows = []
    for case, results in cases.items():
        for way in OURS:
            if way not in results:
                continue
            ours = _times(results[way])
            ratios = [_ratio(_times(results[p]), ours) if p in results else None for p in peers]
            known = [ratio for ratio in ratios if ratio is not None]
            row = [case, "compile" if way == "weft" else "loop", _short(min(ours))]
            row += [_shown(ratio) for ratio in ratios]
            if len(peers) > 1:
                row.append(_shown(min(known, default=None)))
            rows.append(row)
    note = f"{note} The peer's time over weft's, of the medians (of the minima)".strip()
    return Table(title, f"{note}; above 1, weft is faster.", head, rows)


def _ratio(theirs: list[float], ours: list[float]) -> tuple[float, float]:
    return statistics.median(theirs) / statistics.median(ours), min(theirs) / min(ours)


def _shown(ratio: tuple[float, float] | None) -> str:
    return "" if ratio is None else f"{ratio[0]:.2f} ({ratio[1]:.2f})"


def _seconds(title: str, key: str, cases: dict[str, Any], *, first: bool) -> Table:
    """The first round found empty caches, the later ones full ones."""
    peers = _peers(cases)
    note = {
        "start": "Seconds from the start of the process to the end of the first step",
        "warm_up": "Seconds that the first steps take more than later ones",
    }[key]
    rows = []
    for case, results in cases.items():
        row = []
        for peer in peers:
            rounds = [result[key] for result in results.get(peer, [])]
            chosen = rounds[:1] if first else rounds[1:]
            row.append(f"{min(chosen):.2f}" if chosen else "")
        if any(row):
            rows.append([case, *row])
    return Table(title, f"{note}.", ["case", *_titles(peers)], rows)


def _memory(cases: dict[str, Any]) -> Table:
    peers = _peers(cases)
    rows = []
    for case, results in cases.items():
        peaks = [[r["memory"] for r in results.get(peer, []) if r["memory"]] for peer in peers]
        rows.append([case, *(f"{max(p) / 2**20:.0f}" if p else "" for p in peaks)])
    note = "MiB of the process at most, library and compiler included (the largest of all rounds)."
    return Table("Peak memory", note, ["case", *_titles(peers)], rows)


def _machine(machine: dict[str, Any] | None) -> Table | None:
    if machine is None:
        return None
    peak, copy = machine["peak"], machine["copy"]
    rows = []
    for name, (bound, work, seconds) in machine["kernels"].items():
        rate, limit, unit = work / seconds, peak, "GFLOP/s"
        if bound == "memory":
            limit, unit = copy, "GB/s"
        rows.append([name, _short(seconds), f"{rate / 1e9:.1f} {unit}", f"{rate / limit:.0%}"])
    note = (
        f"The processors reach {peak / 1e9:.0f} GFLOP/s in float32 with multiply-adds in "
        f"registers, and copy {copy / 1e9:.1f} GB/s (read and written, 64 MiB arrays). What "
        "weft's kernels reach:"
    )
    return Table("The machine", note, ["kernel", "time", "rate", "of the most"], rows)


def _short(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


# ---- as text


def described(report: Report) -> str:
    """The machine, versions and settings, in a sentence or two."""
    about = report["about"]
    versions = ", ".join(f"{name} {v}" for name, v in about["versions"].items())
    return (
        f"{about['date']}, {about['machine']}, {about['system']}, {about['threads']} threads, "
        f"Python {about['python']}: {versions}. {about['rounds']} rounds of {about['seconds']} s, "
        f"{about['minutes']} minutes in all; load of the machine at the start {about['load']}."
    )


def text(report: Report) -> str:
    parts = [described(report)]
    for table in tables(report):
        grid = [table.head, *table.rows]
        widths = [max(len(row[k]) for row in grid) for k in range(len(table.head))]
        lines = [
            "  ".join(
                cell.ljust(width) if k == 0 else cell.rjust(width)
                for k, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in grid
        ]
        parts.append("\n".join([table.title, table.note, "", *lines]))
    return "\n\n".join([*parts, *_remarks(report)])


def markdown(report: Report) -> str:
    parts = [described(report)]
    for table in tables(report):
        grid = [table.head, ["---"] * len(table.head), *table.rows]
        lines = ["| " + " | ".join(row) + " |" for row in grid]
        parts += [f"### {table.title}", table.note, "\n".join(lines)]
    return "\n\n".join([*parts, *_remarks(report)])


def _remarks(report: Report) -> list[str]:
    return [f"{text}." for text in report["remarks"]]
