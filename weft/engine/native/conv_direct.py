"""Convolutions with the lanes of a vector along channels.

The input is repacked with channels last, ``[N, groups, *sizes, C]``, the weights in panels of one
to three vectors of output channels. A tile of output pixels by one panel stays in registers over
all taps and channels; the pixels that a tap does not touch at a border are left out when the code
is written. Finished pixels go to a small buffer, a strip of consecutive ones, and from there,
transposed, to the output: so what follows a convolution sees vectors along pixels of one channel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import NamedTuple

from .conv_axes import Axis, Plan, Run, Strip, Tile
from .conv_layout import (
    Kernel,
    Panels,
    Vectors,
    by_blocks,
    digits,
    hash_of,
    pack_panels,
    pack_pixels,
    transpose,
)
from .ir import Function, Value

# (fn, args, value, channel, offset, mask): what is written instead of ``value``. The lanes are
# consecutive elements of one channel, the first at the output's linear ``offset``.
Epilogue = Callable[[Function, Value, Value, Value, Value, Value | None], Value]


class Channels(NamedTuple):
    """Of a product over taps and channels.

    Attributes:
        inner, outer: how many a group of the input and of the output has.
        inner_pitch, outer_pitch: how far apart they are in the weight.
    """

    groups: int
    inner: int
    outer: int
    inner_pitch: int
    outer_pitch: int


def panel_vectors(channels: int, lanes: int) -> int:
    """How many vectors of channels a panel has: the least waste, two if in doubt."""
    return min((2, 3, 1), key=lambda n: -(-channels // (n * lanes)) * n)


def tile_rows(v: Vectors, width: int) -> int:
    """How many times ``width`` vectors the registers hold, beside what is multiplied."""
    return max(1, (v.registers - width - 1) // width)


def kernel_order(space: Sequence[Axis], kernel: Sequence[int]) -> tuple[int, ...]:
    depth, high, wide = (axis.order for axis in space)
    return tuple((d * kernel[1] + h) * kernel[2] + w for d, h, w in product(depth, high, wide))


def emit_product(
    k: Kernel,
    v: Vectors,
    images: int,
    channels: Channels,
    space: Sequence[Axis],
    kernel: Sequence[int],
    epilogue: Epilogue | None,
) -> int:
    """A convolution, or an input gradient, of ``(input, weight, output, workspace)``.

    Returns:
        Elements of workspace.
    """
    groups, inner, outer, inner_pitch, outer_pitch = channels
    source, weight, target, weights = k.pointers(4)
    width = panel_vectors(outer, v.lanes) * v.lanes
    order = kernel_order(space, kernel)
    panels = Panels(groups, outer, inner, outer_pitch, inner_pitch, prod(kernel), order, width)
    pack_panels(k, v, panels, weight, weights)
    used = groups * panels.count * panels.size
    packed = source
    if inner > 1:
        packed = k.fn.address(weights, used, v.kind)
        pixels = prod(axis.size for axis in space)
        used += pack_channels_last(k, v, source, packed, images * groups, inner, pixels)
    k.barrier()
    _Product(k, v, space, panels, epilogue).write(images, packed, weights, target)
    return used


def pack_channels_last(
    k: Kernel, v: Vectors, source: Value, target: Value, images: int, channels: int, pixels: int
) -> int:
    pitch = pixel_pitch(v, channels)

    def place(image: Value, b: Value) -> Value:
        return image * (pixels * pitch) + b * v.lanes

    pack_pixels(k, v, source, target, images, channels, pixels, place, pitch)
    return images * pitch * pixels


def pixel_pitch(v: Vectors, channels: int) -> int:
    """From pixel to pixel of channels that are packed last.

    Pixels whole pages apart would all fall into one set of the cache: such are set apart.
    """
    return channels + v.lanes if channels and channels * v.size % 4096 == 0 else channels


class _Product:
    """What the threads do once all is packed."""

    def __init__(
        self,
        k: Kernel,
        v: Vectors,
        space: Sequence[Axis],
        panels: Panels,
        epilogue: Epilogue | None,
    ) -> None:
        self.k, self.v, self.panels, self.epilogue = k, v, panels, epilogue
        self.depth, self.high, self.wide = space
        self.plan = Plan(space, tile_rows(v, panels.width // v.lanes), v.lanes)
        self.plane = self.high.out * self.wide.out
        self.tap = panels.inner * panels.width  # elements from tap to tap
        self.tap_row = self.tap * len(self.wide.order)
        self.pixel = pixel_pitch(v, panels.inner)  # likewise from pixel to pixel of the input
        self.row = self.wide.size * self.pixel

    def write(self, images: int, source: Value, weights: Value, target: Value) -> None:
        fn, p, kind = self.k.fn, self.panels, self.v.kind
        buffer = fn.variable(f"[{self.plan.buffer * p.width} x {kind}]")
        with self.k.share(p.groups * p.count * images * self.depth.out * self.plan.count) as task:
            g, b, n, d, at = digits(task, p.count, images, self.depth.out, self.plan.count)
            z, tap, depth = reach(fn, self.depth, d)
            image = (n * p.groups + g) * self.depth.size + z
            a = fn.address(source, image * (self.high.size * self.row), kind)
            w = (g * p.count + b) * p.size + tap * (self.tap_row * len(self.high.order))
            strip = _Place(a, fn.address(weights, w, kind), buffer, depth)
            image = n * (p.groups * p.outer) + g * p.outer
            out = _Output(
                target, b, g * p.outer, image, d * self.plane, self.depth.out * self.plane
            )
            self._strips(at, strip, out)

    def _strips(self, at: Value, place: _Place, out: _Output) -> None:
        fn, plan = self.k.fn, self.plan
        if plan.by_rows:
            x, y = at, None
        else:
            per = sum(count for count, _ in plan.strips)
            x, y = at % per, at // per
        first = 0
        for count, strip in plan.strips:
            inside = fn.compare("sge", x, first) & fn.compare("slt", x, first + count)
            with fn.when(inside):
                self._strip(x, y, strip, place, out)
            first += count

    def _strip(self, x: Value, y: Value | None, strip: Strip, at: _Place, out: _Output) -> None:
        fn, plan, kind = self.k.fn, self.plan, self.v.kind
        a, w, rows = at.source, at.weights, None
        if y is None:
            a = fn.address(a, x * (plan.rows // self.high.step * self.high.move * self.row), kind)
            start = x * (plan.rows * self.wide.out)
        else:
            top, tap, rows = reach(fn, self.high, y)
            across = plan.chunk // self.wide.step * self.wide.move * self.pixel
            a = fn.address(a, top * self.row + x * across, kind)
            w = fn.address(w, tap * self.tap_row, kind)
            start = y * self.wide.out + x * plan.chunk
        for call in strip.calls:
            fn.call_void(
                self._tile(call.tile),
                fn.address(a, call.source * self.pixel, kind),
                fn.address(w, call.taps * self.tap, kind),
                fn.address(at.buffer, call.target * self.panels.width, kind),
                at.depth,
                fn.const(call.rows, "i64") if rows is None else rows,
            )
        self._finish(strip.pixels, at.buffer, out._replace(offset=out.offset + start))

    # ---- a tile

    def _tile(self, tile: Tile) -> str:
        """``void f(input, weights, buffer, depth, rows)``, with how many taps to take."""
        depth, high, wide, p, v = self.depth, self.high, self.wide, self.panels, self.v
        steps = [(axis.size, axis.gap, len(axis.order)) for axis in (depth, high, wide)]
        name = f"tile_{hash_of((v, tile, steps, p.inner, p.width))}"

        def build(fn: Function) -> None:
            a, w, c, deep, rows = fn.arguments
            vectors = p.width // v.lanes
            sums = [[fn.variable(v.type, 0) for _ in range(vectors)] for _ in tile.targets]
            with fn.loop(0, deep) as z:
                az = fn.address(a, z * (depth.gap * high.size * self.row), v.kind)
                wz = fn.address(w, z * (len(high.order) * self.tap_row), v.kind)
                moving = [run for run in tile.runs if run.row < 0]
                if moving:
                    with fn.loop(0, rows) as y:
                        ay = fn.address(az, y * (high.gap * self.row), v.kind)
                        wy = fn.address(wz, y * self.tap_row, v.kind)
                        for run in moving:
                            self._run(fn, ay, wy, tile, run, sums)
                for run in tile.runs:
                    if run.row >= 0:
                        ay = fn.address(az, run.row * high.gap * self.row, v.kind)
                        wy = fn.address(wz, run.row * self.tap_row, v.kind)
                        self._run(fn, ay, wy, tile, run, sums)
            for to, row in zip(tile.targets, sums, strict=True):
                for j, place in enumerate(row):
                    fn.store(fn.load(v.type, place), c, to * p.width + j * v.lanes)

        arguments = [("a", "ptr"), ("w", "ptr"), ("c", "ptr"), ("deep", "i64"), ("rows", "i64")]
        return self.k.module.shared(name, arguments, build)

    def _run(
        self, fn: Function, a: Value, w: Value, tile: Tile, run: Run, sums: list[list[Value]]
    ) -> None:
        p, kind, gap = self.panels, self.v.kind, self.wide.gap
        a = fn.address(a, run.first * gap * self.pixel, kind)
        w = fn.address(w, run.first * self.tap, kind)
        if run.count == 1 or gap * self.pixel == p.inner:  # one stretch of memory
            self._multiply(fn, a, w, run.count * p.inner, tile, run, sums)
            return
        with fn.loop(0, run.count) as t:
            at = fn.address(a, t * (gap * self.pixel), kind)
            self._multiply(fn, at, fn.address(w, t * self.tap, kind), p.inner, tile, run, sums)

    def _multiply(
        self,
        fn: Function,
        a: Value,
        w: Value,
        count: int,
        tile: Tile,
        run: Run,
        sums: list[list[Value]],
    ) -> None:
        p, v = self.panels, self.v
        with fn.loop(0, count) as i:
            ai, wi = fn.address(a, i, v.kind), fn.address(w, i * p.width, v.kind)
            weights = [fn.load(v.type, wi, j * v.lanes) for j in range(p.width // v.lanes)]
            for pixel in run.pixels:
                x = fn.splat(fn.load(v.kind, ai, tile.sources[pixel] * self.pixel), v.lanes)
                for weight, place in zip(weights, sums[pixel], strict=True):
                    fn.store(fn.fma(x, weight, fn.load(v.type, place)), place)

    # ---- from the buffer to the output

    def _finish(self, pixels: int, buffer: Value, out: _Output) -> None:
        fn, p, lanes = self.k.fn, self.panels, self.v.lanes
        for j in range(p.width // lanes):
            b = out.panel * (p.width // lanes) + j

            def write(channels: int, j: int = j, b: Value = b) -> None:
                channel = out.channel + b * lanes
                start = out.offset + (out.image + b * lanes) * out.pitch
                at = fn.address(buffer, j * lanes, self.v.kind)
                whole = pixels // lanes * lanes
                with fn.loop(0, whole, lanes) as x:
                    from_ = fn.address(at, x * p.width, self.v.kind)
                    self._turn(channels, lanes, from_, out, channel, start + x)
                if pixels % lanes:
                    from_ = fn.address(at, whole * p.width, self.v.kind)
                    self._turn(channels, pixels % lanes, from_, out, channel, start + whole)

            by_blocks(fn, lanes, b, p.outer, write)

    def _turn(
        self,
        channels: int,
        pixels: int,
        source: Value,
        out: _Output,
        channel: Value,
        offset: Value,
    ) -> None:
        v, width, epilogue = self.v, self.panels.width, self.epilogue
        name = f"{self.k.name}_finish_{channels}x{pixels}"

        def build(fn: Function) -> None:
            args, source, target, channel, offset = fn.arguments
            zero = fn.const(0, v.type)
            rows = [
                fn.load(v.type, source, i * width) if i < pixels else zero for i in range(v.lanes)
            ]
            mask = fn.first_lanes(v.lanes, pixels) if pixels < v.lanes else None
            for i, value in enumerate(transpose(fn, rows)[:channels]):
                at = offset + i * out.pitch
                if epilogue is not None:
                    value = epilogue(fn, args, value, channel + i, at, mask)
                fn.store(value, target, at, mask)

        arguments = [("args", "ptr"), ("from", "ptr"), ("to", "ptr")]
        arguments += [("channel", "i64"), ("offset", "i64")]
        self.k.module.shared(name, arguments, build)
        self.k.fn.call_void(name, self.k.args, source, out.target, channel, offset)


class _Place(NamedTuple):
    """Of a strip: its inputs, weights, buffer; how many taps along the depth are live."""

    source: Value
    weights: Value
    buffer: Value
    depth: Value


class _Output(NamedTuple):
    """Where a strip goes: in ``target`` at channel 0 of its group in its image.

    Attributes:
        panel: of its group.
        channel: the group's first.
        image: the group's first channel, counted over all images.
        offset: of the strip in a channel's elements.
        pitch: elements of a channel.
    """

    target: Value
    panel: Value
    channel: Value
    image: Value
    offset: Value
    pitch: int


def reach(fn: Function, axis: Axis, i: Value, packed: bool = True) -> tuple[Value, Value, Value]:
    """For output ``i``: the first input that it meets, by which tap, and how many taps are live.

    Args:
        packed: whether taps are counted as in packed weights, or as in the kernel.
    """
    phases = [(p.offset, p.taps, p.base if packed else axis.place(p)) for p in axis.phases]
    offset, taps, base = (fn.const(x, "i64") for x in phases[0])
    for first, other in enumerate(phases[1:], 1):
        here = fn.compare("eq", i % axis.step, first)
        offset, taps, base = (
            fn.select(here, x, now) for x, now in zip(other, (offset, taps, base), strict=True)
        )
    start = i // axis.step * axis.move + offset
    low, count = live_range(fn, start, axis.gap, taps, axis.size)
    return start + low * axis.gap, base + low * (1 if packed else axis.turn), count


def live_range(
    fn: Function, start: Value, step: int, count: Value | int, size: int
) -> tuple[Value, Value]:
    """The first ``k``, and how many, for which ``start + k * step`` is in ``range(size)``."""

    def at_least_zero(x: Value) -> Value:
        return fn.select(fn.compare("slt", x, 0), 0, x)

    low = at_least_zero(0 - start + (step - 1)) // step
    stop = fn.least(at_least_zero((size - 1 + step) - start) // step, count)
    return low, at_least_zero(stop - low)
