"""The gradient of a weight with few output channels a group, with the lanes along pixels of a row.

Each task sums one row of the kernel, for one input channel and some output channels, over all
images; the lanes are added up at its end. Tensors are read and written where they lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from .conv_axes import Axis, split
from .conv_direct import live_range
from .conv_layout import Kernel, Vectors, digits
from .conv_pixels import MOST_CHANNELS, MOST_STRIDE, Lanes, between, load_columns, pieces
from .conv_weight import Sizes
from .ir import Function, Value


def suits(v: Vectors, outer: int, wide: Axis, kernel: int) -> bool:
    """Whether to take this kernel rather than the one with lanes along channels."""
    return 0 < outer <= MOST_CHANNELS and kernel <= v.registers - 3 and wide.move <= MOST_STRIDE


def emit_weight_pixels(k: Kernel, v: Vectors, sizes: Sizes, space: Sequence[Axis]) -> int:
    """``(input, gradient of output, gradient of weight)``; needs no workspace."""
    _WeightRows(k, v, sizes, space).write()
    return 0


class _WeightRows:
    def __init__(self, k: Kernel, v: Vectors, sizes: Sizes, space: Sequence[Axis]) -> None:
        self.k, self.fn, self.v, self.sizes, self.space = k, k.fn, v, sizes, space
        self.kernel = [axis.phases[0].taps for axis in space]
        self.size = prod(axis.size for axis in space)
        self.out = prod(axis.out for axis in space)

    def write(self) -> None:
        fn, kind, (_, groups, inner, outer) = self.fn, self.v.kind, self.sizes
        deep, tall, across = self.kernel
        x, g, target = self.k.pointers(3)
        parts = split(outer, (self.v.registers - 2) // (across + 1))
        with self.k.share(groups * len(parts) * inner * deep * tall) as task:
            group, part, c, kd, kh = digits(task, len(parts), inner, deep, tall)
            first = 0
            for number, count in enumerate(parts):
                with fn.when(fn.compare("eq", part, number)):
                    channel = group * outer + first
                    row = ((channel * inner + c) * deep + kd) * tall + kh
                    self._task(
                        fn.address(x, (group * inner + c) * self.size, kind),
                        fn.address(g, channel * self.out, kind),
                        fn.address(target, row * across, kind),
                        (kd, kh),
                        count,
                    )
                first += count

    def _task(
        self, x: Value, g: Value, target: Value, taps: tuple[Value, Value], channels: int
    ) -> None:
        fn, v, (images, groups, inner, outer) = self.fn, self.v, self.sizes
        depth, high, wide = self.space
        across = self.kernel[2]
        sums = [[fn.variable(v.type, 0) for _ in range(across)] for _ in range(channels)]
        (d, z, deep), (h, y, tall) = map(self._meet, (depth, high), taps)
        with fn.loop(0, images) as n, fn.loop(0, deep) as i, fn.loop(0, tall) as j:
            line = (z + i * depth.move) * high.size + y + j * high.move
            row = fn.address(x, n * (groups * inner * self.size) + line * wide.size, v.kind)
            line = (d + i) * high.out + h + j
            here = fn.address(g, n * (groups * outer * self.out) + line * wide.out, v.kind)
            for first, count, piece in pieces(wide, v.lanes, 1):
                with fn.loop(0, count) as t:
                    at = t * v.lanes + first
                    columns = [one for (one,) in piece.taps[0]]
                    a = fn.address(row, at * wide.move, v.kind)
                    b = fn.address(here, at, v.kind)
                    self._multiply(a, b, columns, piece.counts[0][0], sums)
        pitch = inner * prod(self.kernel)
        for o, places in enumerate(sums):
            for tap, place in enumerate(places):
                fn.store(total(fn, fn.load(v.type, place), v.lanes), target, o * pitch + tap)

    def _meet(self, axis: Axis, tap: Value) -> tuple[Value, Value, Value]:
        """The first output whose ``tap`` is live, the input that it meets, and how many."""
        start = tap * axis.gap + axis.phases[0].offset
        low, count = live_range(self.fn, start, axis.move, axis.out, axis.size)
        return low, start + low * axis.move, count

    def _multiply(
        self, x: Value, g: Value, columns: Sequence[Lanes], count: int, sums: list[list[Value]]
    ) -> None:
        fn, v = self.fn, self.v
        mask = between(fn, v.lanes, 0, count)
        gradients = [fn.load(v.type, g, o * self.out, mask) for o in range(len(sums))]
        for tap, at in enumerate(columns):
            value = load_columns(fn, v, x, at, self.space[2].move)
            if value is None:
                continue
            for gradient, places in zip(gradients, sums, strict=True):
                before = fn.load(v.type, places[tap])
                fn.store(fn.fma(value, gradient, before), places[tap])


def total(fn: Function, value: Value, lanes: int) -> Value:
    """The sum of all lanes, in an order of halves."""
    while lanes > 2:
        lanes //= 2
        low, high = (fn.shuffle(value, value, range(k, k + lanes)) for k in (0, lanes))
        value = low + high
    return fn.extract(value, 0) + fn.extract(value, 1)
