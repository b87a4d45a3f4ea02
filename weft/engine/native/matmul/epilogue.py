"""What is done with finished sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..ir import Function, Value, element, lanes as lanes_of
from .spec import Matmul

Epilogue = Callable[[Function, Value, Value, Value, Value, Value, Value | None], None]
"""``(fn, args, sums, batch, row, column, mask)`` stores a vector of finished sums.

Its lanes (there may be one) lie along N from ``column`` on; those where ``mask`` does not hold are
no part of C. ``batch`` counts all leading dimensions as one.
"""


Ahead = Callable[[Function, Value, Value, Value, Value], None]
"""``(fn, args, batch, row, column)``: of the vector of sums that begins there."""


def batch_offset(fn: Function, batch: Value, sizes: Sequence[int], strides: Sequence[int]) -> Value:
    """Where the element of a batch counted as one dimension begins."""
    total = fn.const(0, "i64")
    for axis in range(len(sizes) - 1, -1, -1):
        if sizes[axis] == 1:
            continue
        outermost = all(size == 1 for size in sizes[:axis])
        if strides[axis]:
            total = total + (batch if outermost else batch % sizes[axis]) * strides[axis]
        batch = batch // sizes[axis]
    return total


def store(spec: Matmul) -> Epilogue:
    *outer, row_stride, column_stride = spec.c

    def store(
        fn: Function,
        args: Value,
        sums: Value,
        batch: Value,
        row: Value,
        column: Value,
        mask: Value | None,
    ) -> None:
        at = batch_offset(fn, batch, spec.batch, outer) + row * row_stride + column * column_stride
        c = fn.load("ptr", args, 3)
        fn.store(sums, fn.address(c, at, spec.kind), 0, mask)

    return store if column_stride == 1 else each_lane(spec.n, store)


def each_lane(n: int, epilogue: Epilogue) -> Epilogue:
    """Calls it with one lane at a time."""

    def apply(
        fn: Function,
        args: Value,
        sums: Value,
        batch: Value,
        row: Value,
        column: Value,
        mask: Value | None,
    ) -> None:
        place = fn.variable(sums.type, sums)
        live = fn.least(n - column, fn.const(lanes_of(sums.type), "i64"))
        with fn.loop(0, live) as lane:
            one = fn.load(element(sums.type), place, lane)
            epilogue(fn, args, one, batch, row, column + lane, None)

    return apply


def of_folded(spec: Matmul, folded: Matmul, epilogue: Epilogue) -> Epilogue:
    """For ``spec.folded()``: its rows are rows of several products here."""
    together = folded.m // spec.m

    def unfolded(
        fn: Function,
        args: Value,
        sums: Value,
        batch: Value,
        row: Value,
        column: Value,
        mask: Value | None,
    ) -> None:
        batch = batch * together + row // spec.m
        epilogue(fn, args, sums, batch, row % spec.m, column, mask)

    return unfolded if together > 1 else epilogue


def ahead_of_folded(spec: Matmul, folded: Matmul, ahead: Ahead) -> Ahead:
    """As :func:`of_folded`."""
    together = folded.m // spec.m

    def unfolded(fn: Function, args: Value, batch: Value, row: Value, column: Value) -> None:
        ahead(fn, args, batch * together + row // spec.m, row % spec.m, column)

    return unfolded if together > 1 else ahead
