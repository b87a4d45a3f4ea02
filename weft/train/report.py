"""A page with the curves of a training run: one HTML file that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from .history import History

Series = tuple[str, Sequence[float], Sequence[float]]  # name, x, y

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _BOTTOM, _TOP = 640, 260, 62, 20, 28, 12
_COLOURS = ("#2f6fb3", "#c8402f", "#3a8f5c", "#9a5fb5", "#b57f1f")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #2b2f36; background: #fff; margin: 2em auto;
  max-width: 1360px; padding: 0 1em }
figure { display: inline-block; margin: 0 1em 1em 0; max-width: 100% }
figcaption { font-weight: 600 }
svg { max-width: 100% } svg text { font-size: 11px; fill: #5b616b }
table { border-collapse: collapse } td, th { padding: 2px 12px; text-align: right;
  font-variant-numeric: tabular-nums; border-bottom: 1px solid #e4e7eb }
dl { display: grid; grid-template-columns: max-content auto; gap: 0 1em } dt { color: #5b616b }
dd { margin: 0 }
"""


def page(title: str, facts: dict[str, str], history: History) -> str:
    """The whole page.

    Args:
        facts: what else to say about the run, in order.
    """
    figures = "".join(_figure(name, series) for name, series in _charts(history).items())
    listed = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title><style>{_STYLE}</style></head><body>\n<h1>{escape(title)}</h1>\n"
        f"<dl>{listed}</dl>\n{figures}\n{_table(history)}\n</body></html>\n"
    )


def _charts(history: History) -> dict[str, list[Series]]:
    """Loss of training and validation in one, each metric and the rate in one of their own."""
    curve = history.losses
    steps = [(k + 0.5) * curve.width for k in range(len(curve.points))]
    charts: dict[str, list[Series]] = {"loss": [("each step", steps, curve.points)]}
    for name in history.columns:
        rows = [row for row in history.rows if name in row]
        x, y = [row["step"] for row in rows], [row[name] for row in rows]
        if name in ("loss", "val_loss"):
            charts["loss"].append(("validation" if name == "val_loss" else "each epoch", x, y))
        elif name not in ("epoch", "step", "seconds"):
            charts[name.removeprefix("val_").replace("_", " ")] = [(name, x, y)]
    return charts


def _figure(name: str, series: list[Series]) -> str:
    finite = [
        (label, [(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(b)])
        for label, x, y in series
    ]
    finite = [(label, points) for label, points in finite if points]
    if not finite:
        return ""
    xs = [a for _, points in finite for a, _ in points]
    ys = [b for _, points in finite for _, b in points]
    across = _Axis(0, max(xs), _LEFT, _WIDTH - _RIGHT)
    up = _Axis(min(ys), max(ys), _HEIGHT - _BOTTOM, _TOP)
    parts = [_grid(across, up)]
    for k, (label, points) in enumerate(finite):
        places = [(across.place(a), up.place(b)) for a, b in points]
        parts.append(_line(label, places, _COLOURS[k % len(_COLOURS)]))
        if len(finite) > 1:
            parts.append(_label(label, _TOP + 14 * (k + 1), _COLOURS[k % len(_COLOURS)]))
    return (
        f'<figure><figcaption>{escape(name)}</figcaption><svg width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(name)} over steps">'
        f"{''.join(parts)}</svg></figure>\n"
    )


def _line(label: str, places: list[tuple[float, float]], colour: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    width = 1 if label == "each step" else 2
    line = f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
    dots = places if len(places) < 60 else []
    return line + "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in dots
    )


def _label(text: str, y: int, colour: str) -> str:
    return f'<text x="{_WIDTH - 110}" y="{y}" style="fill:{colour}">{escape(text)}</text>'


class _Axis:
    """From values to places, with round numbers as marks."""

    def __init__(self, low: float, high: float, begin: float, end: float) -> None:
        if high <= low:
            low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
        raw = (high - low) / 4
        size = 10 ** math.floor(math.log10(raw))
        step = next(m * size for m in (1, 2, 5, 10) if m * size >= raw)
        self.marks = [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
        self._low, self._high, self._begin, self._end = low, high, begin, end

    def place(self, value: float) -> float:
        part = (value - self._low) / (self._high - self._low)
        return self._begin + part * (self._end - self._begin)


def _grid(across: _Axis, up: _Axis) -> str:
    lines = []
    for mark in up.marks:
        y = up.place(mark)
        lines.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#e4e7eb"/>')
        lines.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{mark:.6g}</text>')
    lines.append(f'<text x="{_LEFT - 18}" y="{_HEIGHT - 8}" text-anchor="end">step</text>')
    for mark in across.marks:
        x = across.place(mark)
        lines.append(f'<text x="{x:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{mark:.6g}</text>')
    return "".join(lines)


def _table(history: History) -> str:
    if not history.rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in history.columns)
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{row[n]:.6g}</td>" if n in row else "<td></td>" for n in history.columns)
        + "</tr>\n"
        for row in history.rows
    )
    return f"<table><tr>{head}</tr>\n{rows}</table>"
