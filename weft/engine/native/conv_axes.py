"""Geometry of a convolution, for generating code: which input meets which output, and the tiles.

A convolution and its input gradient are one thing here. Along each dimension the outputs fall into
phases (one for a convolution, one for each residue modulo the stride for the gradient): output
``first + step * j`` of a phase takes, for its tap ``t``, the input at ``offset + move * j + gap *
t`` if there is one. Inputs outside are skipped, not multiplied: there is no halo.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, product
from math import gcd
from typing import NamedTuple

from .window import Window, out_sizes


@dataclass(frozen=True)
class Phase:
    first: int
    count: int
    offset: int
    taps: int
    base: int  # place of the first tap in the packed weights


class Axis(NamedTuple):
    size: int  # of the input
    out: int
    step: int
    move: int
    gap: int
    phases: tuple[Phase, ...]
    order: tuple[int, ...]  # of the kernel's places, as the packed weights have them

    @property
    def turn(self) -> int:
        """How far apart in the kernel neighbouring taps are."""
        long = [phase.base for phase in self.phases if phase.taps > 1]
        return self.order[long[0] + 1] - self.order[long[0]] if long else 1

    def place(self, phase: Phase) -> int:
        """Of a phase's first tap in the kernel."""
        return self.order[phase.base] if phase.taps else 0


def _forward(size: int, out: int, kernel: int, stride: int, before: int, dilation: int) -> Axis:
    phase = Phase(0, out, -before, kernel, 0)
    return Axis(size, out, 1, stride, dilation, (phase,), tuple(range(kernel)))


def _gradient(size: int, out: int, kernel: int, stride: int, before: int, dilation: int) -> Axis:
    """From the gradient of ``out`` outputs to that of an input of ``size``."""
    phases: list[Phase] = []
    order: list[int] = []
    for first in range(min(stride, size)):
        taps = [k for k in range(kernel) if (first + before - k * dilation) % stride == 0][::-1]
        offset = (first + before - taps[0] * dilation) // stride if taps else 0
        phases.append(Phase(first, -((first - size) // stride), offset, len(taps), len(order)))
        order += taps
    gap = dilation // gcd(dilation, stride)
    return Axis(out, size, stride, 1, gap, tuple(phases), tuple(order))


def axes(w: Window, sizes: tuple[int, ...], kernel: tuple[int, ...], gradient: bool) -> list[Axis]:
    """Always three: missing leading dimensions are of size one."""
    make = _gradient if gradient else _forward
    before = [pair[0] for pair in w.padding]
    outs = out_sizes(w, sizes, kernel)
    found = list(map(make, sizes, outs, kernel, w.stride, before, w.dilation))
    return [make(1, 1, 1, 1, 0, 1)] * (3 - len(found)) + found


def live(start: int, step: int, count: int, size: int) -> tuple[int, int]:
    """The ``k`` in ``range(count)`` for which ``start + k * step`` is in ``range(size)``."""
    low = max(0, -(start // step))
    return low, max(low, min(count, (size - 1 - start) // step + 1))


def split(count: int, most: int) -> list[int]:
    """``count`` as nearly equal parts of at most ``most``."""
    parts = -(-count // most)
    return [count // parts + (k < count % parts) for k in range(parts)]


@dataclass(frozen=True)
class Run:
    """Taps next to each other that touch the same pixels of a tile."""

    row: int  # the tap along the rows; -1 where the loop over them is outside
    first: int
    count: int
    pixels: tuple[int, ...]


class Tile(NamedTuple):
    """Output pixels that are held in registers over all taps and channels.

    ``sources`` and ``targets`` place each pixel relative to the tile's first, counted in input
    pixels and output pixels.
    """

    sources: tuple[int, ...]
    targets: tuple[int, ...]
    runs: tuple[Run, ...]


class Call(NamedTuple):
    """A tile at a place of its strip, all offsets counted in pixels and taps."""

    tile: Tile
    source: int
    taps: int
    target: int
    rows: int  # how many taps along the rows are live; -1 where only the running code knows


class Strip(NamedTuple):
    """Consecutive output pixels of one plane."""

    pixels: int
    calls: tuple[Call, ...]


class Plan:
    """How the planes of output are cut into strips.

    Planes with long rows are cut within rows; the taps along the rows are then found while
    running. Others are cut into strips of whole rows of which everything is known beforehand.
    """

    def __init__(self, space: Sequence[Axis], most: int, lanes: int) -> None:
        self.depth, self.high, self.wide = space
        self.most, self.lanes = most, lanes
        unit = lanes * self.wide.step
        self.chunk = max(unit, 128 // unit * unit)
        step = self.high.step
        whole = self.high.out * self.wide.out <= 64
        rows = self.high.out if whole else -(-2 * lanes // self.wide.out)
        self.rows = -(-rows // step) * step

    @cached_property
    def by_rows(self) -> bool:
        return self.wide.out < self.lanes or self.high.out * self.wide.out <= 64

    @cached_property
    def strips(self) -> list[tuple[int, Strip]]:
        """Of one row, or of one plane: how many of the same follow one another."""
        if self.by_rows:
            made: Iterator[Strip] = (
                self._rows(y, min(self.rows, self.high.out - y))
                for y in range(0, self.high.out, self.rows)
            )
        else:
            made = map(self._chunk, range(0, self.wide.out, self.chunk))
        return [(len(list(same)), strip) for strip, same in groupby(made)]

    @cached_property
    def count(self) -> int:
        """Strips in a plane."""
        here = sum(count for count, _ in self.strips)
        return here if self.by_rows else here * self.high.out

    @cached_property
    def buffer(self) -> int:
        """Pixels of the longest strip."""
        return max(strip.pixels for _, strip in self.strips)

    def _chunk(self, start: int) -> Strip:
        wide = self.wide
        pixels = min(self.chunk, wide.out - start)
        calls = []
        for phase in wide.phases:
            j = start // wide.step
            for count in split(_part(phase, wide, start, pixels), self.most):
                tile = _row_tile(wide, phase, j, count)
                from_start = j - start // wide.step
                calls.append(
                    Call(
                        tile,
                        from_start * wide.move + phase.offset,
                        phase.base,
                        phase.first + from_start * wide.step,
                        -1,
                    )
                )
                j += count
        return Strip(pixels, tuple(calls))

    def _rows(self, start: int, rows: int) -> Strip:
        high, wide = self.high, self.wide
        calls: list[Call] = []
        for tall, phase in product(high.phases, wide.phases):
            count = _part(tall, high, start, rows)
            if not count or not phase.count:
                continue
            y = start // high.step
            together = max(1, self.most // phase.count)
            for many in split(count, together):
                down = y - start // high.step
                source = (down * high.move + tall.offset) * wide.size + phase.offset
                target = (tall.first + down * high.step) * wide.out + phase.first
                taps = tall.base * len(wide.order) + phase.base
                if many > 1:
                    tile = self._block(tall, phase, y, many)
                    calls.append(Call(tile, source, taps, target, 0))
                else:
                    calls += self._row_calls(tall, phase, y, (source, taps, target))
                y += many
        return Strip(rows * wide.out, tuple(calls))

    def _row_calls(
        self, tall: Phase, phase: Phase, y: int, at: tuple[int, int, int]
    ) -> Iterator[Call]:
        """The tiles of one row at a known height, of which the first would be ``at``."""
        high, wide = self.high, self.wide
        low, stop = live(y * high.move + tall.offset, high.gap, tall.taps, high.size)
        source = at[0] + low * high.gap * wide.size
        taps = at[1] + low * len(wide.order)
        j = 0
        for count in split(phase.count, self.most):
            tile = _row_tile(wide, phase, j, count)
            yield Call(tile, source + j * wide.move, taps, at[2] + j * wide.step, stop - low)
            j += count

    def _block(self, tall: Phase, phase: Phase, y: int, rows: int) -> Tile:
        """A tile of several whole rows."""
        high, wide = self.high, self.wide
        places = list(product(range(rows), range(phase.count)))
        runs: list[Run] = []
        for row in range(tall.taps):
            touched = []
            for tap in range(phase.taps):
                low, stop = live(phase.offset + tap * wide.gap, wide.move, phase.count, wide.size)
                touched.append(
                    tuple(
                        k
                        for k, (i, j) in enumerate(places)
                        if low <= j < stop
                        and 0 <= (y + i) * high.move + tall.offset + row * high.gap < high.size
                    )
                )
            runs += _runs(row, touched)
        return Tile(
            tuple(i * high.move * wide.size + j * wide.move for i, j in places),
            tuple(i * high.step * wide.out + j * wide.step for i, j in places),
            tuple(runs),
        )


def _part(phase: Phase, axis: Axis, start: int, length: int) -> int:
    """How many outputs of a phase lie in a stretch that begins at a multiple of the step."""
    return max(0, -((phase.first - min(length, axis.out - start)) // axis.step))


def _row_tile(wide: Axis, phase: Phase, start: int, count: int) -> Tile:
    touched = []
    for tap in range(phase.taps):
        at = start * wide.move + phase.offset + tap * wide.gap
        touched.append(tuple(range(*live(at, wide.move, count, wide.size))))
    return Tile(
        tuple(j * wide.move for j in range(count)),
        tuple(j * wide.step for j in range(count)),
        tuple(_runs(-1, touched)),
    )


def _runs(row: int, touched: Sequence[tuple[int, ...]]) -> Iterator[Run]:
    first = 0
    for pixels, same in groupby(touched):
        count = len(list(same))
        if pixels:
            yield Run(row, first, count, pixels)
        first += count
