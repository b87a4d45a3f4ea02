"""Padding with what is inside, and its gradient: row by row, since most of a row is a copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from ...graph.node import Signature
from . import operations
from .conv_layout import Kernel
from .ir import Module, Value, vector


@dataclass(frozen=True)
class PadEdges:
    """``[R, *sizes]`` padded, in one to three dimensions; or the ``sums`` of what came of it.

    Attributes:
        sizes, widths: of the dimensions that are padded, three of them.
    """

    rows: int
    sizes: tuple[int, ...]
    widths: tuple[tuple[int, int], ...]
    mode: str
    dtype: str
    sums: bool

    @property
    def padded(self) -> tuple[int, ...]:
        return tuple([n + a + b for n, (a, b) in zip(self.sizes, self.widths, strict=True)])

    @property
    def work(self) -> int:
        return self.rows * prod(self.padded)

    def __str__(self) -> str:
        what = "sums of " if self.sums else ""
        return f"pad        {what}{self.mode} [{self.rows}, {', '.join(map(str, self.sizes))}]"

    def emit(self, module: Module, name: str, vector_bytes: int) -> int:
        _Planes(module, name, self, vector_bytes).emit()
        return 0


def pad_edges(sig: Signature) -> PadEdges | None:
    sums = sig.op.name == "pad_edges_sum"
    small, dtype = (sig.type if sums else sig.types[0]), sig.type.dtype
    missing = 4 - small.ndim
    if missing < 0 or (sums and (dtype.itemsize < 4 or not dtype.is_floating_point)):
        return None
    widths = ((0, 0),) * missing + sig.attrs.widths
    sizes = (1,) * missing + small.shape[1:]
    return PadEdges(small.shape[0], sizes, widths, sig.attrs.mode, dtype.name, sums)


class _Planes:
    def __init__(self, module: Module, name: str, spec: PadEdges, vector_bytes: int) -> None:
        self.spec, self.k = spec, Kernel(module, name)
        self.fn = self.k.fn
        self.memory = operations.memory_type(spec.dtype)
        self.lanes = operations.lanes_for([spec.dtype], vector_bytes)

    def emit(self) -> None:
        spec, fn = self.spec, self.fn
        source, target = self.k.pointers(2)
        (deep, high, _), (padded_deep, padded_high, _) = spec.sizes, spec.padded
        (front, _), (top, _), _ = spec.widths
        with self.k.share(spec.rows) as plane:
            if not spec.sums:
                with fn.loop(0, padded_deep) as z, fn.loop(0, padded_high) as y:
                    self._pad(*self._rows(target, source, plane, z, y))
                return
            with fn.loop(front, front + deep) as z, fn.loop(top, top + high) as y:
                self._sum(*self._rows(source, target, plane, z, y), fresh=True)
            with fn.loop(0, padded_deep) as z, fn.loop(0, padded_high) as y:
                outside = self._is_outside(0, z) | self._is_outside(1, y)
                with fn.when(outside):
                    self._sum(*self._rows(source, target, plane, z, y), fresh=False)

    def _rows(
        self, large: Value, small: Value, plane: Value, z: Value, y: Value
    ) -> tuple[Value, Value]:
        """Where a row begins with its padding, and where the row that it comes from."""
        fn, spec = self.fn, self.spec

        def at(pointer: Value, sizes: tuple[int, ...], z: Value, y: Value) -> Value:
            deep, high, wide = sizes
            return fn.address(pointer, ((plane * deep + z) * high + y) * wide, self.memory)

        return (
            at(large, spec.padded, z, y),
            at(small, spec.sizes, self._source(0, z), self._source(1, y)),
        )

    def _is_outside(self, dim: int, place: Value) -> Value:
        fn, (before, _), size = self.fn, self.spec.widths[dim], self.spec.sizes[dim]
        return fn.compare("slt", place, before) | fn.compare("sge", place, before + size)

    def _source(self, dim: int, place: Value) -> Value:
        """The place along a dimension, before it was padded, of what is at one afterwards."""
        fn, size = self.fn, self.spec.sizes[dim]
        place = place - self.spec.widths[dim][0]
        low, high = {
            "reflect": (-place, 2 * (size - 1) - place),
            "replicate": (0, size - 1),
            "circular": (place + size, place - size),
        }[self.spec.mode]
        place = fn.select(fn.compare("slt", place, 0), low, place)
        return fn.select(fn.compare("sge", place, size), high, place)

    def _pad(self, padded: Value, row: Value) -> None:
        fn = self.fn
        inside = fn.address(padded, self.spec.widths[2][0], self.memory)

        def copy(at: Value | int, kind: str, mask: Value | None) -> None:
            fn.store(fn.load(kind, row, at, mask), inside, at, mask)

        def fetch(place: Value) -> None:
            fn.store(fn.load(self.memory, row, self._source(2, place)), padded, place)

        self._within(copy)
        self._around(fetch)

    def _sum(self, padded: Value, row: Value, *, fresh: bool) -> None:
        fn = self.fn
        inside = fn.address(padded, self.spec.widths[2][0], self.memory)

        def add(at: Value | int, kind: str, mask: Value | None) -> None:
            value = fn.load(kind, inside, at, mask)
            fn.store(value if fresh else fn.load(kind, row, at, mask) + value, row, at, mask)

        def bring(place: Value) -> None:
            at = self._source(2, place)
            total = fn.load(self.memory, row, at) + fn.load(self.memory, padded, place)
            fn.store(total, row, at)

        self._within(add)
        self._around(bring)

    def _within(self, do: Callable[[Value | int, str, Value | None], None]) -> None:
        """A row inside its padding, by vectors."""
        fn, wide = self.fn, self.spec.sizes[2]
        kind, whole = vector(self.memory, self.lanes), wide // self.lanes * self.lanes
        with fn.loop(0, whole, self.lanes) as at:
            do(at, kind, None)
        if wide > whole:
            do(whole, kind, fn.first_lanes(self.lanes, wide - whole))

    def _around(self, do: Callable[[Value], None]) -> None:
        before, padded = self.spec.widths[2][0], self.spec.padded[2]
        for start, stop in ((0, before), (before + self.spec.sizes[2], padded)):
            with self.fn.loop(start, stop) as place:
                do(place)
