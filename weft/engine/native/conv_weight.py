"""The gradient of a convolution's weight, with the lanes of a vector along output channels.

Both tensors are repacked with channels last, the output's gradient in panels of one to three
vectors of channels. A tile of input channels by one panel, for one tap, is summed in registers
over a block of pixels that fits the caches, and then added to what earlier blocks gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from .conv_axes import Axis, split
from .conv_direct import live_range, pack_channels_last, panel_vectors, pixel_pitch, tile_rows
from .conv_layout import Kernel, Vectors, block, by_blocks, digits, hash_of, pack_pixels, pitched
from .ir import Function, Value

_BLOCK = 256  # pixels that are summed before the sums leave the registers


class Sizes(NamedTuple):
    images: int
    groups: int
    inner: int
    outer: int


def emit_weight_product(k: Kernel, v: Vectors, sizes: Sizes, space: Sequence[Axis]) -> int:
    """``(input, gradient of output, gradient of weight, workspace)``; elements of workspace."""
    return _WeightProduct(k, v, sizes, space).emit()


class _WeightProduct:
    def __init__(self, k: Kernel, v: Vectors, sizes: Sizes, space: Sequence[Axis]) -> None:
        self.k, self.v, self.sizes, self.space = k, v, sizes, space
        self.kernel = [axis.phases[0].taps for axis in space]
        self.taps = prod(self.kernel)
        self.width = panel_vectors(sizes.outer, v.lanes) * v.lanes
        self.panels = -(-sizes.outer // self.width)
        self.tiles = split(sizes.inner, tile_rows(v, self.width // v.lanes))
        self.pixels = prod(axis.out for axis in space)
        self.panel = self.taps * sizes.inner * self.width
        self.pixel = pixel_pitch(v, sizes.inner)

    def emit(self) -> int:
        fn, v, (images, groups, inner, _) = self.k.fn, self.v, self.sizes
        x, g, target, sums = self.k.pointers(4)
        used = groups * self.panels * self.panel
        with self.k.share(used // v.lanes) as i:
            fn.store(fn.const(0, v.type), sums, i * v.lanes)
        gradients = fn.address(sums, used, v.kind)
        used += self._pack_gradients(g, gradients)
        if inner > 1:
            inputs = fn.address(sums, used, v.kind)
            size = prod(axis.size for axis in self.space)
            used += pack_channels_last(self.k, v, x, inputs, images * groups, inner, size)
            x = inputs
        self.k.barrier()
        self._sum(x, gradients, sums)
        self.k.barrier()
        self._unpack(sums, target)
        return used

    def _pack_gradients(self, g: Value, target: Value) -> int:
        images, groups, _, outer = self.sizes
        v, per, size = self.v, self.width // self.v.lanes, self.pixels * self.width

        def place(image: Value, b: Value) -> Value:
            n, group = image // groups, image % groups
            panel = (group * self.panels + b // per) * images + n
            return panel * size + b % per * v.lanes

        pack_pixels(
            self.k, v, g, target, images * groups, outer, self.pixels, place, self.width, fill=True
        )
        return groups * self.panels * images * size

    def _sum(self, x: Value, gradients: Value, sums: Value) -> None:
        fn, images = self.k.fn, self.sizes.images
        depth, high, wide = (axis.out for axis in self.space)
        whole = self.pixels <= _BLOCK
        many = max(1, _BLOCK // self.pixels) if whole else 1
        deep = depth if whole else 1
        rows = high if whole else max(1, _BLOCK // wide)
        with (
            fn.loop(0, images, many) as n,
            fn.loop(0, depth, deep) as d,
            fn.loop(0, high, rows) as y,
        ):
            bounds = [
                (start, fn.least(start + count, end))
                for start, count, end in ((n, many, images), (d, deep, depth), (y, rows, high))
            ]
            self._block(bounds, x, gradients, sums)

    def _block(
        self, bounds: list[tuple[Value, Value]], x: Value, gradients: Value, sums: Value
    ) -> None:
        fn, kind, (images, groups, *_) = self.k.fn, self.v.kind, self.sizes
        depth, high, wide = self.space
        tasks = groups * self.panels * self.taps * len(self.tiles)
        with self.k.share(tasks) as task:
            g, b, kd, kh, kw, c = digits(task, self.panels, *self.kernel, len(self.tiles))
            n, n_stop = bounds[0]
            z, pz, nz = self._meet(depth, kd, *bounds[1])
            y, py, ny = self._meet(high, kh, *bounds[2])
            w, pw, nw = self._meet(wide, kw, fn.const(0, "i64"), fn.const(wide.out, "i64"))
            image = (n * groups + g) * depth.size
            source = ((image + pz) * high.size + py) * wide.size + pw
            panel = g * self.panels + b
            gradient = (((panel * images + n) * depth.out + z) * high.out + y) * wide.out + w
            tap = (kd * self.kernel[1] + kh) * self.kernel[2] + kw
            counts = (n_stop - n, nz, ny, nw)
            first = 0
            for size in sorted(set(self.tiles), reverse=True):
                number = self.tiles.count(size)
                with fn.when(fn.compare("sge", c, first) & fn.compare("slt", c, first + number)):
                    channel = (c - first) * size + first * self.tiles[0]
                    to = panel * self.panel + (channel * self.taps + tap) * self.width
                    fn.call_void(
                        self._tile(size),
                        fn.address(x, source * self.pixel + channel, kind),
                        fn.address(gradients, gradient * self.width, kind),
                        fn.address(sums, to, kind),
                        *counts,
                    )
                first += number

    def _meet(
        self, axis: Axis, tap: Value, start: Value, stop: Value
    ) -> tuple[Value, Value, Value]:
        """The first output from ``start`` on whose ``tap`` is live, its input, and how many."""
        fn = self.k.fn
        at = start * axis.move + tap * axis.gap + axis.phases[0].offset
        low, count = live_range(fn, at, axis.move, stop - start, axis.size)
        return start + low, at + low * axis.move, count

    def _tile(self, channels: int) -> str:
        v, width, (_, groups, inner, _) = self.v, self.width, self.sizes
        depth, high, wide = self.space
        layout = [(axis.size, axis.out, axis.move) for axis in self.space]
        name = f"weight_{hash_of((v, width, groups, inner, layout, self.taps, channels))}"

        def build(fn: Function) -> None:
            x, g, to, *counts = fn.arguments
            vectors = width // v.lanes
            sums = [[fn.variable(v.type, 0) for _ in range(vectors)] for _ in range(channels)]
            row, line = wide.size * self.pixel, wide.out * width
            moves = [
                (groups * depth.size * high.size * row, depth.out * high.out * line),
                (depth.move * high.size * row, high.out * line),
                (high.move * row, line),
            ]
            self._nest(fn, x, g, counts, moves, sums)
            for m, places in enumerate(sums):
                for j, place in enumerate(places):
                    at = m * self.taps * width + j * v.lanes
                    fn.store(fn.load(v.type, to, at) + fn.load(v.type, place), to, at)

        arguments = [(a, "ptr") for a in ("x", "g", "to")]
        arguments += [(a, "i64") for a in ("images", "deep", "rows", "across")]
        return self.k.module.shared(name, arguments, build)

    def _nest(
        self,
        fn: Function,
        x: Value,
        g: Value,
        counts: Sequence[Value],
        moves: Sequence[tuple[int, int]],
        sums: list[list[Value]],
    ) -> None:
        if moves:
            (down, along), *rest = moves
            with fn.loop(0, counts[0]) as i:
                xi = fn.address(x, i * down, self.v.kind)
                gi = fn.address(g, i * along, self.v.kind)
                self._nest(fn, xi, gi, counts[1:], rest, sums)
            return
        v, step = self.v, self.space[2].move * self.pixel
        with fn.loop(0, counts[0]) as i:
            xi, gi = fn.address(x, i * step, v.kind), fn.address(g, i * self.width, v.kind)
            row = [fn.load(v.type, gi, j * v.lanes) for j in range(self.width // v.lanes)]
            for m, places in enumerate(sums):
                one = fn.splat(fn.load(v.kind, xi, m), v.lanes)
                for value, place in zip(row, places, strict=True):
                    fn.store(fn.fma(one, value, fn.load(v.type, place)), place)

    def _unpack(self, sums: Value, target: Value) -> None:
        """``[inner, taps, channels]`` of each panel to ``[channels, inner, taps]``."""
        k, fn, v, per = self.k, self.k.fn, self.v, self.width // self.v.lanes
        _, groups, inner, outer = self.sizes
        long = inner * self.taps
        rows = -(-long // v.lanes)
        with k.share(groups * self.panels * per * rows) as task:
            g, b, r = digits(task, self.panels * per, rows)
            at = (g * self.panels + b // per) * self.panel + b % per * v.lanes
            source = fn.address(sums, at + r * (v.lanes * self.width), v.kind)
            to = fn.address(target, (g * outer + b * v.lanes) * long + r * v.lanes, v.kind)

            def turn(channels: int, live: int) -> None:
                name = block(k.module, v, live, self.width, pitched(channels, long))
                fn.call_void(name, source, to)

            by_blocks(
                fn,
                v.lanes,
                b,
                outer,
                lambda channels: by_blocks(fn, v.lanes, r, long, lambda live: turn(channels, live)),
            )
