"""Values put, or added, at addresses that hold integers computed at run time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .ir import Function, Module, Value, lanes, size_of, vector
from .operations import in_range
from .views import Shape


@dataclass(frozen=True)
class Scatter:
    """``out[i0[n], i1[n], ...] = part[n]`` for each n in turn, or ``+=``; rows are dense.

    Attributes:
        count: how many rows of ``part`` there are.
        row: elements of each.
        sizes: of the dimensions that the indices address; ``strides`` of the indices themselves,
            and whether negative ones count from the end.
        kind: LLVM's element type.
    """

    add: bool
    count: int
    row: int
    sizes: Shape
    strides: Shape
    wrap: bool
    kind: str


def emit(module: Module, name: str, spec: Scatter, vector_bytes: int) -> None:
    """Adds ``void name(ptr args, i64 tid, i64 nt)``; args: the runtime's block, out, part, the
    indices, the flag that is raised by an index out of range (such a row is left out).

    Rows are taken in order, so that the sums do not depend on threads; these share the columns.
    """
    fn = module.function(name, [("args", "ptr"), ("tid", "i64"), ("nt", "i64")])
    args, tid, nt = fn.arguments
    out, part = fn.load("ptr", args, 1), fn.load("ptr", args, 2)
    indices = [fn.load("ptr", args, 3 + k) for k in range(len(spec.sizes))]
    flag = fn.load("ptr", args, 3 + len(spec.sizes))
    width = vector_bytes // max(4, size_of(spec.kind))
    blocks = -(-spec.row // width)
    first, last = tid * blocks // nt, (tid + 1) * blocks // nt
    with fn.when(fn.compare("slt", first, last)), fn.loop(0, spec.count) as n:
        found = [
            fn.load("i64", pointer, n * stride)
            for pointer, stride in zip(indices, spec.strides, strict=True)
        ]
        place, inside = _place(fn, spec, found)
        fn.choose(
            inside,
            lambda: _row(fn, spec, fn.address(out, place, spec.kind),
                         fn.address(part, n * spec.row, spec.kind), first, last, width),
            lambda: fn.store(fn.const(1, "i64"), flag),
        )  # fmt: skip


def _place(fn: Function, spec: Scatter, indices: list[Value]) -> tuple[Value, Value]:
    """The first element that the indices address, and whether all are in range."""
    place: Any = fn.const(0, "i64")
    inside: Value = fn.const(1, "i1")
    step = spec.row
    for size, index in reversed(list(zip(spec.sizes, indices, strict=True))):
        index, good = in_range(fn, index, size, spec.wrap)
        inside = inside & good
        place = place + index * step
        step *= size
    return place, inside


def _row(
    fn: Function, spec: Scatter, out: Value, part: Value, first: Value, last: Value, width: int
) -> None:
    kind = vector(spec.kind, width)

    def block(at: Value, mask: Value | None) -> None:
        value = fn.load(kind, part, at, mask)
        if spec.add:
            value = fn.load(kind, out, at, mask) + value
        fn.store(value, out, at, mask)

    full = spec.row // width
    with fn.loop(first, fn.least(last, full)) as k:
        block(k * width, None)
    if spec.row % width:
        with fn.when(fn.compare("sgt", last, full)):
            live = fn.first_lanes(lanes(kind), spec.row - full * width)
            block(fn.const(full * width, "i64"), live)
