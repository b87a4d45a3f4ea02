"""Convolutions of few output channels a group, with the lanes of a vector along pixels of a row.

Depthwise convolutions above all, and the first layers of small networks: there, vectors of
channels would be mostly empty. Inputs and weights are read where they lie, and lanes that would
read beyond a row are masked: the masks are known when the code is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import prod
from typing import NamedTuple

from .conv_axes import Axis, Phase, live
from .conv_direct import Channels, Epilogue, reach
from .conv_layout import Kernel, Vectors, digits
from .ir import Function, Value, vector

MOST_CHANNELS = 8
_MOST_TAPS = 32  # along a row; each is written out
MOST_STRIDE = 4  # so many vectors are read for one


def suits(v: Vectors, outer: int, wide: Axis, kernel: int) -> bool:
    """Whether to take these kernels rather than those with lanes along channels."""
    few = 0 < outer <= MOST_CHANNELS and outer * wide.step <= v.registers - 8
    return few and kernel <= _MOST_TAPS and wide.move <= MOST_STRIDE


class Lanes(NamedTuple):
    """Columns ``start``, ``start + move``, ...; those of lanes ``low`` to ``stop`` exist."""

    start: int
    low: int
    stop: int


class Piece(NamedTuple):
    """Some vectors along a row; ``taps[phase][tap][vector]`` are relative to its first column."""

    taps: tuple[tuple[tuple[Lanes, ...], ...], ...]
    counts: tuple[tuple[int, ...], ...]  # live lanes of the outputs of each phase and vector


def pieces(wide: Axis, lanes: int, most: int) -> Iterator[tuple[int, int, Piece]]:
    """``(first, how many, piece)`` of a row: equal ones that follow one another as one."""
    length = max(phase.count for phase in wide.phases)
    starts = range(0, length, most * lanes)
    first = 0
    for piece, same in groupby(_piece(wide, lanes, j, most) for j in starts):
        count = len(list(same))
        yield first * most * lanes, count, piece
        first += count


def _piece(wide: Axis, lanes: int, first: int, most: int) -> Piece:
    length = max(phase.count for phase in wide.phases)
    at = [first + k * lanes for k in range(most) if first + k * lanes < length]
    counts = [[max(0, min(lanes, phase.count - j)) for j in at] for phase in wide.phases]

    def columns(phase: Phase, tap: int, k: int, count: int) -> Lanes:
        start = k * lanes * wide.move + phase.offset + tap * wide.gap
        low, stop = live(first * wide.move + start, wide.move, count, wide.size)
        return Lanes(start, low, stop)

    return Piece(
        tuple(
            tuple(
                tuple(columns(phase, tap, k, count) for k, count in enumerate(row))
                for tap in range(phase.taps)
            )
            for phase, row in zip(wide.phases, counts, strict=True)
        ),
        tuple(map(tuple, counts)),
    )


def between(fn: Function, lanes: int, low: int, stop: int) -> Value | None:
    """The mask of lanes ``low`` to ``stop``, None for all."""
    if (low, stop) == (0, lanes):
        return None
    text = ", ".join(f"i1 {'true' if low <= k < stop else 'false'}" for k in range(lanes))
    return Value(f"<{text}>", vector("i1", lanes), fn)


def load_columns(fn: Function, v: Vectors, row: Value, at: Lanes, move: int) -> Value | None:
    """None where no lane exists."""
    if at.low >= at.stop:
        return None
    if move == 1:
        return fn.load(v.type, row, at.start, between(fn, v.lanes, at.low, at.stop))
    halves = []
    for part in range(move):  # the vectors that lie side by side in memory
        here = range(part * v.lanes, (part + 1) * v.lanes)
        wanted = [k for k in here if k % move == 0 and at.low <= k // move < at.stop]
        if not wanted:
            halves.append(fn.const(0, v.type))
            continue
        low, stop = wanted[0] - here.start, wanted[-1] - here.start + 1
        mask = between(fn, v.lanes, low, stop)
        halves.append(fn.load(v.type, row, at.start + here.start, mask))
    return _every(fn, v, halves, move)


def _every(fn: Function, v: Vectors, parts: Sequence[Value], move: int) -> Value:
    """Each ``move``-th element of vectors that follow one another."""
    taken = parts[0]
    for k, part in enumerate(parts):
        places = [lane * move - k * v.lanes for lane in range(v.lanes)]
        here = [v.lanes + p if 0 <= p < v.lanes else lane for lane, p in enumerate(places)]
        taken = fn.shuffle(taken, part, here)
    return taken


def emit_pixels(
    k: Kernel,
    v: Vectors,
    images: int,
    channels: Channels,
    space: Sequence[Axis],
    kernel: Sequence[int],
    epilogue: Epilogue | None,
) -> int:
    """A convolution, or an input gradient, of ``(input, weight, output)``; needs no workspace."""
    _Rows(k, v, channels, space, kernel, epilogue).write(images)
    return 0


class _Rows:
    def __init__(
        self,
        k: Kernel,
        v: Vectors,
        channels: Channels,
        space: Sequence[Axis],
        kernel: Sequence[int],
        epilogue: Epilogue | None,
    ) -> None:
        self.k, self.fn, self.v = k, k.fn, v
        self.channels, self.space, self.kernel = channels, space, kernel
        self.epilogue = epilogue
        self.size = prod(axis.size for axis in space)
        self.out = prod(axis.out for axis in space)

    def write(self, images: int) -> None:
        fn, kind, (depth, high, wide) = self.fn, self.v.kind, self.space
        groups, inner, outer, *_ = self.channels
        x, weight, target = self.k.pointers(3)
        most = max(1, min(4, (self.v.registers - 8) // (outer * len(wide.phases))))
        with self.k.share(images * groups * depth.out * high.out) as task:
            n, g, d, h = digits(task, groups, depth.out, high.out)
            z, kd, deep = reach(fn, depth, d, packed=False)
            y, kh, tall = reach(fn, high, h, packed=False)
            image = n * groups + g
            source = image * (inner * self.size) + (z * high.size + y) * wide.size
            a = fn.address(x, source, kind)
            tap = (kd * self.kernel[1] + kh) * self.kernel[2]
            w = fn.address(weight, g * (inner * outer * prod(self.kernel)) + tap, kind)
            row = image * (outer * self.out) + (d * high.out + h) * wide.out
            for first, count, piece in pieces(wide, self.v.lanes, most):
                with fn.loop(0, count) as i:
                    j = i * (most * self.v.lanes) + first
                    sums = self._sums(fn.address(a, j * wide.move, kind), w, deep, tall, piece)
                    self._store(sums, piece, target, g * outer, row + j * wide.step)

    def _sums(
        self, a: Value, w: Value, deep: Value, tall: Value, piece: Piece
    ) -> list[list[list[Value]]]:
        """The finished values of each channel, phase and vector."""
        fn, v, (depth, high, wide) = self.fn, self.v, self.space
        _, inner, outer, inner_pitch, _ = self.channels
        sums = [
            [[fn.variable(v.type, 0) for _ in row] for row in piece.counts] for _ in range(outer)
        ]
        with fn.loop(0, inner) as c, fn.loop(0, deep) as z, fn.loop(0, tall) as y:
            line = (z * (depth.gap * high.size) + y * high.gap) * wide.size
            row = fn.address(a, c * self.size + line, v.kind)
            tap = z * (depth.turn * self.kernel[1]) + y * high.turn
            weights = fn.address(w, c * inner_pitch + tap * self.kernel[2], v.kind)
            for k, (phase, taps) in enumerate(zip(wide.phases, piece.taps, strict=True)):
                for tap_number, vectors in enumerate(taps):
                    place = wide.order[phase.base + tap_number]
                    self._tap(
                        row, fn.address(weights, place, v.kind), vectors, [s[k] for s in sums]
                    )
        return [[[fn.load(v.type, one) for one in row] for row in rows] for rows in sums]

    def _tap(
        self, row: Value, weights: Value, vectors: Sequence[Lanes], sums: Sequence[Sequence[Value]]
    ) -> None:
        fn, v, pitch = self.fn, self.v, self.channels.outer_pitch
        values = [load_columns(fn, v, row, at, self.space[2].move) for at in vectors]
        for o, places in enumerate(sums):
            weight = fn.splat(fn.load(v.kind, weights, o * pitch), v.lanes)
            for value, place in zip(values, places, strict=True):
                if value is not None:
                    fn.store(fn.fma(value, weight, fn.load(v.type, place)), place)

    def _store(
        self,
        sums: list[list[list[Value]]],
        piece: Piece,
        target: Value,
        channel: Value,
        at: Value,
    ) -> None:
        fn, v, wide = self.fn, self.v, self.space[2]
        for o, rows in enumerate(sums):
            start = at + o * self.out
            if wide.step == len(rows) == 2:
                self._interleave(rows, piece.counts, target, start)
                continue
            for phase, row, counts in zip(wide.phases, rows, piece.counts, strict=True):
                for i, (value, count) in enumerate(zip(row, counts, strict=True)):
                    to = start + (i * v.lanes * wide.step + phase.first)
                    if wide.step > 1:
                        self._scatter(value, target, to, count)
                        continue
                    mask = between(fn, v.lanes, 0, count)
                    if self.epilogue is not None:
                        value = self.epilogue(fn, self.k.args, value, channel + o, to, mask)
                    fn.store(value, target, to, mask)

    def _interleave(
        self,
        rows: Sequence[Sequence[Value]],
        counts: Sequence[Sequence[int]],
        target: Value,
        at: Value,
    ) -> None:
        """Two phases are each other's neighbours."""
        fn, lanes = self.fn, self.v.lanes
        for i, (a, b) in enumerate(zip(*rows, strict=True)):
            live_lanes = counts[0][i] + counts[1][i]
            for half in range(2):
                order = [half * lanes // 2 + k // 2 + (lanes if k % 2 else 0) for k in range(lanes)]
                count = max(0, min(lanes, live_lanes - half * lanes))
                if count:
                    mask = between(fn, lanes, 0, count)
                    to = at + (2 * i + half) * lanes
                    fn.store(fn.shuffle(a, b, order), target, to, mask)

    def _scatter(self, value: Value, target: Value, at: Value, count: int) -> None:
        for lane in range(count):
            self.fn.store(self.fn.extract(value, lane), target, at + lane * self.space[2].step)
