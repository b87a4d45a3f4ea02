"""Packing the operands of matrix products; functions shared by all products of a module."""

from __future__ import annotations

from ..ir import Function, Module, Value, vector
from .kernels import kernel_name
from .plan import Plan
from .spec import Matmul


def tile_packer(module: Module, spec: Matmul, plan: Plan, height: int) -> str:
    """``to[k][height] = a[row, k]``; what it writes beyond, later tiles overwrite."""
    row_stride, step = spec.a[-2:]
    lanes, kind = plan.lanes, vector(spec.kind, plan.lanes)
    starts = range(0, height, lanes)

    def build(fn: Function) -> None:
        depth, source, to = fn.arguments
        if row_stride == 1 and height > 1:
            with fn.loop(0, depth) as k:
                for i in starts:
                    mask = fn.first_lanes(lanes, height - i) if height - i < lanes else None
                    value = fn.load(kind, fn.address(source, k * step, spec.kind), i, mask)
                    fn.store(value, to, k * height + i)
        elif step == 1 and height > 1:
            with fn.loop(0, depth, lanes) as k:
                mask = fn.first_lanes(lanes, depth - k)
                at = fn.address(source, k, spec.kind)
                for i in reversed(starts):  # the last rows first: they spill into the next ones
                    rows = [
                        fn.load(kind, at, (i + r) * row_stride, mask)
                        if i + r < height
                        else fn.const(0, kind)
                        for r in range(lanes)
                    ]
                    for r, value in enumerate(_transpose(fn, rows)):
                        fn.store(value, to, k * height + (r * height + i))
        else:
            _copy(fn, (depth, step), (height, row_stride), source, to, height, spec.kind)

    arguments = [("depth", "i64"), ("source", "ptr"), ("to", "ptr")]
    return module.shared(
        kernel_name("rows", spec, lanes, height, row_stride, step), arguments, build
    )


def panel_packer(module: Module, spec: Matmul, plan: Plan, ragged: bool) -> str:
    """``to[k][width] = b[k, column]`` for the ``live`` columns; any numbers in the others."""
    step, column_stride = spec.b[-2:]
    lanes, width, kind = plan.lanes, plan.width, vector(spec.kind, plan.lanes)

    def contiguous_rows(fn: Function) -> None:
        depth, source, to, live = fn.arguments
        starts = range(0, width, lanes)
        masks = [fn.first_lanes(lanes, live - j) if ragged else None for j in starts]
        with fn.loop(0, depth) as k:
            at = fn.address(source, k * step, spec.kind)
            for j, mask in zip(starts, masks, strict=True):
                fn.store(fn.load(kind, at, j, mask), to, k * width + j)

    def contiguous_columns(fn: Function) -> None:
        depth, source, to, live = fn.arguments
        with fn.loop(0, depth, lanes) as k, fn.loop(0, width, lanes) as j:
            mask = fn.first_lanes(lanes, depth - k)
            at = fn.address(source, k, spec.kind)
            rows = []
            for r in range(lanes):
                column = fn.least(j + r, live - 1) if ragged else j + r
                rows.append(fn.load(kind, at, column * column_stride, mask))
            for r, value in enumerate(_transpose(fn, rows)):
                fn.store(value, to, (k + r) * width + j)

    def build(fn: Function) -> None:
        depth, source, to, live = fn.arguments
        if column_stride == 1:
            contiguous_rows(fn)
        elif step == 1:
            contiguous_columns(fn)
        else:
            _copy(fn, (depth, step), (live, column_stride), source, to, width, spec.kind)

    arguments = [("depth", "i64"), ("source", "ptr"), ("to", "ptr"), ("live", "i64")]
    name = kernel_name("panel", spec, lanes, width, step, column_stride, ragged)
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


def _transpose(fn: Function, rows: list[Value]) -> list[Value]:
    """Vectors as rows of a square, turned: blocks of 1, 2, 4, ... change places."""
    count, block = len(rows), 1
    while block < count:
        low = [i if not i & block else count + (i ^ block) for i in range(count)]
        high = [i | block if not i & block else count + i for i in range(count)]
        turned = list(rows)
        for i in range(count):
            if not i & block:
                turned[i] = fn.shuffle(rows[i], rows[i | block], low)
                turned[i | block] = fn.shuffle(rows[i], rows[i | block], high)
        rows, block = turned, 2 * block
    return rows
