"""Where windows that tables give have their maxima: with lanes along the last dimension's windows.

The places of a window are looked at in order. A later one wins if it is greater or NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ...graph.node import Signature
from . import operations
from .conv_layout import Kernel
from .ir import Module, Value, is_float, vector

_MOST = 1 << 31  # places are 32-bit integers while they are compared


@dataclass(frozen=True)
class WindowPlaces:
    """Windows over planes ``x [R, *sizes]``, of one to three dimensions.

    Attributes:
        counts: how many windows there are along each dimension.
        shared: whether all planes have the same along it.
    """

    x: tuple[int, ...]
    counts: tuple[int, ...]
    shared: tuple[bool, ...]
    dtype: str

    @property
    def work(self) -> int:
        return prod(self.x)

    def __str__(self) -> str:
        return f"max_places {list(self.counts)} windows over {list(self.x)}"

    def emit(self, module: Module, name: str, vector_bytes: int) -> int:
        _Search(module, name, self, vector_bytes).emit()
        return 0


def window_places(sig: Signature) -> WindowPlaces | None:
    x, *bounds = sig.types
    if not 2 <= x.ndim <= 4 or prod(x.shape[1:]) >= _MOST or x.dtype.name == "bool":
        return None
    starts = [b.shape for b in bounds[::2]]
    return WindowPlaces(
        x.shape, sig.type.shape[1:], tuple([rows == 1 for rows, _ in starts]), x.dtype.name
    )


class _Search:
    def __init__(self, module: Module, name: str, spec: WindowPlaces, vector_bytes: int) -> None:
        self.spec, self.k = spec, Kernel(module, name)
        self.fn = self.k.fn
        self.memory = operations.memory_type(spec.dtype)
        self.register = operations.register_type(spec.dtype)
        self.lanes = operations.lanes_for([spec.dtype], vector_bytes)
        missing = 3 - len(spec.counts)
        self.sizes = (1,) * missing + spec.x[1:]
        self.counts = (1,) * missing + spec.counts

    def emit(self) -> None:
        fn, spec = self.fn, self.spec
        dims = len(spec.counts)
        x, *tables, out, _, flag = self.k.pointers(2 * dims + 4)
        deep, high, wide = self.counts
        with self.k.share(spec.x[0]) as plane:
            mine = [
                fn.address(table, 0 if spec.shared[d // 2] else plane * spec.counts[d // 2], "i64")
                for d, table in enumerate(tables)
            ]
            pairs: list[tuple[Value, Value] | None] = [None] * (3 - dims)
            pairs += [(mine[2 * d], mine[2 * d + 1]) for d in range(dims)]
            here = fn.address(x, plane * prod(spec.x[1:]), self.memory)

            def search() -> None:
                with fn.loop(0, deep) as z, fn.loop(0, high) as y:
                    rows = [self._bounds(pairs[0], z), self._bounds(pairs[1], y)]
                    first = ((plane * deep + z) * high + y) * wide
                    self._row(here, rows, pairs[2], fn.address(out, first, "i64"))

            fn.choose(self._are_good(mine), search, lambda: fn.store(fn.const(1, "i64"), flag))

    def _bounds(self, pair: tuple[Value, Value] | None, k: Value) -> tuple[Value, Value]:
        fn = self.fn
        if pair is None:
            return fn.const(0, "i64"), fn.const(1, "i64")
        return fn.load("i64", pair[0], k), fn.load("i64", pair[1], k)

    def _are_good(self, tables: list[Value]) -> Value:
        """Are the plane's windows within it, and not empty?"""
        fn = self.fn
        good = fn.variable("i1", 1)
        for d, count in enumerate(self.spec.counts):
            size = self.spec.x[1 + d]
            with fn.loop(0, count) as k:
                start, stop = self._bounds((tables[2 * d], tables[2 * d + 1]), k)
                within = fn.compare("sge", start, 0) & fn.compare("sle", stop, size)
                within = within & fn.compare("slt", start, stop)
                fn.store(fn.load("i1", good) & within, good)
        return fn.load("i1", good)

    def _row(
        self,
        plane: Value,
        rows: list[tuple[Value, Value]],
        pair: tuple[Value, Value] | None,
        out: Value,
    ) -> None:
        fn, lanes, wide = self.fn, self.lanes, self.counts[2]
        assert pair is not None
        (z0, z1), (y0, y1) = rows
        integers = vector("i32", lanes)
        with fn.loop(0, wide, lanes) as across:
            live = None
            if wide % lanes:
                live = fn.first_lanes(lanes, fn.const(wide, "i64") - across)
            start, stop = [
                fn.convert("trunc", fn.load(vector("i64", lanes), table, across, live), "i32")
                for table in pair
            ]
            length = stop - start
            best = fn.variable(
                vector(self.register, lanes), operations.identity("max", self.spec.dtype)
            )
            where = fn.variable(integers)
            fn.store(start + self._line(z0, y0), where)
            longest = fn.convert("sext", operations.across(fn, "max", "int32", length), "i64")
            with fn.loop(z0, z1) as z, fn.loop(y0, y1) as y:
                line = self._line(z, y)
                with fn.loop(0, longest) as k:
                    step = fn.splat(fn.convert("trunc", k, "i32"), lanes)
                    self._look(
                        plane, start + line + step, fn.compare("slt", step, length), best, where
                    )
            found = fn.convert("sext", fn.load(integers, where), "i64")
            fn.store(found, out, across, live)

    def _line(self, z: Value, y: Value) -> Value:
        """Where the row ``z, y`` begins, in all lanes."""
        fn, (_, high, wide) = self.fn, self.sizes
        return fn.splat(fn.convert("trunc", (z * high + y) * wide, "i32"), self.lanes)

    def _look(self, plane: Value, at: Value, inside: Value, best: Value, where: Value) -> None:
        fn = self.fn
        value = operations.gather(fn, self.memory, plane, at, inside)
        value = operations.loaded(fn, value, self.spec.dtype)
        before = fn.load(value.type, best)
        if is_float(value.type):
            better = fn.compare("ogt", value, before) | fn.compare("uno", value, value)
        else:
            better = fn.compare("ugt" if self.spec.dtype == "uint8" else "sgt", value, before)
        better = better & inside
        fn.store(fn.select(better, value, before), best)
        fn.store(fn.select(better, at, fn.load(at.type, where)), where)
