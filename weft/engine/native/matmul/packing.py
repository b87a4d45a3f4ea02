"""Packing the operands of matrix products; functions shared by all products of a module."""

from __future__ import annotations

from collections.abc import Sequence

from ..conv_layout import transpose
from ..ir import Function, Module, Value, vector
from .kernels import ROWS_AHEAD, kernel_name
from .plan import Plan
from .spec import Matmul


def tile_packer(module: Module, spec: Matmul, plan: Plan, height: int) -> str:
    """``to[tile][k][height] = a[tile * height + row, k]`` for ``count`` tiles.

    It may write up to a vector beyond a tile, for which there is room.
    """
    row_stride, step = spec.a[-2:]
    lanes, kind = plan.lanes, vector(spec.kind, plan.lanes)
    starts = range(0, height, lanes)

    def contiguous_columns(fn: Function) -> None:
        depth, source, to, count = fn.arguments
        with fn.loop(0, depth) as k, fn.loop(0, count) as tile:
            at = fn.address(source, k * step + tile * height, spec.kind)
            for i in starts:
                mask = fn.first_lanes(lanes, height - i) if height - i < lanes else None
                value = fn.load(kind, at, i, mask)
                fn.store(value, to, tile * plan.slot + k * height + i)

    def contiguous_rows(fn: Function) -> None:
        depth, source, to, count = fn.arguments
        with fn.loop(0, count) as tile, fn.loop(0, depth, lanes) as k:
            mask = fn.first_lanes(lanes, depth - k)
            at = fn.address(source, tile * (height * row_stride) + k, spec.kind)
            for i in reversed(starts):  # the last rows first: they spill into the next ones
                rows = [
                    fn.load(kind, at, (i + r) * row_stride, mask)
                    if i + r < height
                    else fn.const(0, kind)
                    for r in range(lanes)
                ]
                to_k = fn.address(to, tile * plan.slot + k * height, spec.kind)
                for r, value in enumerate(transpose(fn, rows)):
                    fn.store(value, to_k, r * height + i)

    def build(fn: Function) -> None:
        if row_stride == 1 and height > 1:
            contiguous_columns(fn)
        elif step == 1 and height > 1:
            contiguous_rows(fn)
        else:
            depth, source, to, count = fn.arguments
            with fn.loop(0, count) as tile:
                at = fn.address(source, tile * (height * row_stride), spec.kind)
                to = fn.address(to, tile * plan.slot, spec.kind)
                _copy(fn, (depth, step), (height, row_stride), at, to, height, spec.kind)

    arguments = [("depth", "i64"), ("source", "ptr"), ("to", "ptr"), ("count", "i64")]
    name = kernel_name("rows", spec, lanes, height, row_stride, step, plan.slot)
    return module.shared(name, arguments, build)


def panel_packer(module: Module, spec: Matmul, plan: Plan, ragged: bool) -> str:
    """``to[panel][k][width] = b[k, panel * width + column]`` for ``count`` panels.

    Only ``live`` columns are read; after them come any numbers.
    """
    step, column_stride = spec.b[-2:]
    lanes, width, kind = plan.lanes, plan.width, vector(spec.kind, plan.lanes)
    starts = range(0, width, lanes)

    def row(
        fn: Function, k: Value, source: Value, to: Value, masks: Sequence[Value | None]
    ) -> None:
        at = fn.address(source, k * step, spec.kind)
        for j, mask in zip(starts, masks, strict=True):
            fn.prefetch(fn.address(at, ROWS_AHEAD // 2 * step + j, spec.kind))
            fn.store(fn.load(kind, at, j, mask), to, k * width + j)

    def square(fn: Function, k: Value, j: Value, source: Value, to: Value) -> None:
        depth, live = fn.arguments[0], fn.arguments[3]
        mask = fn.first_lanes(lanes, depth - k)
        rows = []
        for r in range(lanes):
            column = fn.least(j + r, live - 1) if ragged else j + r
            rows.append(fn.load(kind, source, column * column_stride + k, mask))
        inside = j % width
        for r, value in enumerate(transpose(fn, rows)):
            fn.store(value, to, j // width * plan.panel + (k + r) * width + inside)

    def build(fn: Function) -> None:
        depth, source, to, live, count = fn.arguments
        if step == 1 != column_stride:
            with fn.loop(0, count * width, lanes) as j, fn.loop(0, depth, lanes) as k:
                square(fn, k, j, source, to)
        elif column_stride == 1 and not ragged:
            with fn.loop(0, depth) as k, fn.loop(0, count) as panel:
                at = fn.address(source, panel * width, spec.kind)
                row(
                    fn,
                    k,
                    at,
                    fn.address(to, panel * plan.panel, spec.kind),
                    [None] * len(starts),
                )
        else:
            with fn.loop(0, count) as panel:
                column = panel * width
                at = fn.address(source, column * column_stride, spec.kind)
                to = fn.address(to, panel * plan.panel, spec.kind)
                if column_stride == 1:
                    masks = [fn.first_lanes(lanes, live - column - j) for j in starts]
                    with fn.loop(0, depth) as k:
                        row(fn, k, at, to, masks)
                else:
                    inner = fn.least(live - column, fn.const(width, "i64")), column_stride
                    _copy(fn, (depth, step), inner, at, to, width, spec.kind)

    arguments = [("depth", "i64"), ("source", "ptr"), ("to", "ptr")]
    arguments += [("live", "i64"), ("count", "i64")]
    name = kernel_name("panel", spec, lanes, width, step, column_stride, ragged, plan.panel)
    return module.shared(name, arguments, build)


def _copy(
    fn: Function,
    outer: tuple[Value, int],
    inner: tuple[Value | int, int],
    source: Value,
    to: Value,
    width: int,
    kind: str,
) -> None:
    """Element by element, for strides that no vector follows; sizes with their strides."""
    with fn.loop(0, outer[0]) as k, fn.loop(0, inner[0]) as i:
        one = fn.load(kind, source, k * outer[1] + i * inner[1])
        fn.store(one, to, k * width + i)
