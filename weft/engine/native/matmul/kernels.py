"""Kernels of matrix products, shared by all products of a module: one tile of C at a time."""

from __future__ import annotations

from ..ir import Function, Module, Value, vector
from .plan import Plan
from .spec import Matmul

_KERNEL_ARGUMENTS = [
    ("depth", "i64"),
    ("a", "ptr"),
    ("b", "ptr"),
    ("sums", "ptr"),
    ("fresh", "i1"),
    ("live", "i64"),
]

#: So many rows of B are asked for before they are needed: each lies on another page perhaps, where
#: the processor does not look ahead by itself.
ROWS_AHEAD = 8
#: Sums of so many products leave the time to ask for where they are to be stored.
_LONG_SUM = 64


def kernel_name(what: str, spec: Matmul, *numbers: int) -> str:
    return "_".join([what, spec.kind[0], *(str(n).replace("-", "m") for n in numbers)])


def tile_kernel(module: Module, spec: Matmul, plan: Plan, height: int, ragged: bool) -> str:
    """``sums[height, width] (+)= a @ b`` with the sums in registers."""
    out_row = spec.c[-2] if plan.to_c else plan.width
    few = ragged and plan.to_c
    a_row, a_step = (1, height) if plan.pack_a else spec.a[-2:]
    b_step = plan.width if plan.pack_b else spec.b[-2]
    masked = ragged and not plan.pack_b
    writes_long = plan.to_c and spec.k >= _LONG_SUM
    next_rows = not plan.pack_a and a_step == 1 and a_row == spec.k  # they follow
    lanes, kind = plan.lanes, vector(spec.kind, plan.lanes)

    def build(fn: Function) -> None:
        depth, a, b, sums, fresh, live = fn.arguments
        held = [[fn.variable(kind, 0) for _ in range(plan.vectors)] for _ in range(height)]
        firsts = [fn.first_lanes(lanes, live - j * lanes) for j in range(plan.vectors * ragged)]
        if writes_long:
            _ask_for_rows(fn, sums, [i * out_row for i in range(height)], plan, spec, write=True)
        every: list[Value | None] = [None] * plan.vectors
        masks, out_masks = firsts if masked else every, firsts if few else every
        with fn.loop(0, depth) as k:
            at_a = fn.address(a, k * a_step, spec.kind)
            at_b = fn.address(b, k * b_step, spec.kind)
            if next_rows:
                fn.prefetch(fn.address(a, k * height + height * a_row, spec.kind))
            if not plan.pack_b:
                _ask_for_rows(fn, at_b, [ROWS_AHEAD * b_step], plan, spec)
            right = [fn.load(kind, at_b, j * lanes, mask) for j, mask in enumerate(masks)]
            for i, row in enumerate(held):
                left = fn.splat(fn.load(spec.kind, at_a, i * a_row), lanes)
                for place, value in zip(row, right, strict=True):
                    fn.store(left * value + fn.load(kind, place), place)
        places = [
            (place, i * out_row + j * lanes, out_masks[j])
            for i, row in enumerate(held)
            for j, place in enumerate(row)
        ]
        if plan.slices > 1:
            with fn.when(~fresh):
                for place, at, mask in places:
                    fn.store(fn.load(kind, place) + fn.load(kind, sums, at, mask), place)
        for place, at, mask in places:
            fn.store(fn.load(kind, place), sums, at, mask)

    numbers = (
        *(height, plan.vectors, a_row, a_step, b_step),
        *(masked, plan.slices > 1, out_row, few, next_rows, writes_long),
    )
    return module.shared(kernel_name("tile", spec, *numbers), _KERNEL_ARGUMENTS, build)


def _ask_for_rows(
    fn: Function, start: Value, rows: list[int], plan: Plan, spec: Matmul, *, write: bool = False
) -> None:
    """Asks for rows of a tile, which begin so many elements from ``start``."""
    for row in rows:
        for j in range(plan.vectors):
            fn.prefetch(fn.address(start, row + j * plan.lanes, spec.kind), write=write)


def dot_kernel(module: Module, spec: Matmul, plan: Plan, height: int, ragged: bool) -> str:
    """``sums[height, width] = a @ b`` where rows of a and columns of b are contiguous."""
    lanes, kind = plan.lanes, vector(spec.kind, plan.lanes)
    a_row, b_column = spec.a[-2], spec.b[-1]
    out_row = spec.c[-2] if plan.to_c else plan.width

    def columns(fn: Function, start: Value, stop: Value, count: int) -> None:
        depth, a, b, sums = fn.arguments[:4]
        whole = depth // lanes * lanes
        rest = fn.first_lanes(lanes, depth - whole)
        with fn.loop(start, stop, count) as column:
            at_b = fn.address(b, column * b_column, spec.kind)
            held = [[fn.variable(kind, 0) for _ in range(count)] for _ in range(height)]

            def step(k: Value, mask: Value | None) -> None:
                here_a, here_b = fn.address(a, k, spec.kind), fn.address(at_b, k, spec.kind)
                right = [fn.load(kind, here_b, c * b_column, mask) for c in range(count)]
                for i, row in enumerate(held):
                    left = fn.load(kind, here_a, i * a_row, mask)
                    for place, value in zip(row, right, strict=True):
                        fn.store(left * value + fn.load(kind, place), place)

            with fn.loop(0, whole, lanes) as k:
                step(k, None)
            with fn.when(fn.compare("slt", whole, depth)):
                step(whole, rest)
            for i, row in enumerate(held):
                for c, place in enumerate(row):
                    total = _sum_of_lanes(fn, fn.load(kind, place), lanes)
                    fn.store(total, sums, column + (i * out_row + c))

    def build(fn: Function) -> None:
        live = fn.arguments[5]
        grouped = live // plan.dots * plan.dots
        columns(fn, fn.const(0, "i64"), grouped, plan.dots)
        if plan.dots > 1:
            columns(fn, grouped, live, 1)

    numbers = (height, plan.dots, plan.vectors, a_row, b_column, out_row)
    return module.shared(kernel_name("dots", spec, *numbers), _KERNEL_ARGUMENTS, build)


def _sum_of_lanes(fn: Function, value: Value, lanes: int) -> Value:
    while lanes > 2:
        lanes //= 2
        low = fn.shuffle(value, value, range(lanes))
        value = low + fn.shuffle(value, value, range(lanes, 2 * lanes))
    return fn.extract(value, 0) + fn.extract(value, 1)
