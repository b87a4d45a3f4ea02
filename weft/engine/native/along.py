"""Along one dimension: where the extreme is, running sums, and the order of the elements.

A tensor is seen as ``[outer, n, inner]``, dense; ``n`` is the dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod

from ...graph.node import Signature
from . import operations
from .conv_layout import Kernel, digits
from .ir import Function, Module, Value, is_float, size_of, vector

Along = tuple[int, int, int]

_UNSIGNED = ("bool", "uint8")

#: So many places of an order are found without ordering the others.
_FEW = 64


def _along(sig: Signature, dim: int) -> Along:
    shape = sig.types[0].shape
    return prod(shape[:dim]), shape[dim], prod(shape[dim + 1 :])


@contextmanager
def _lines(
    k: Kernel, outer: int, inner: int, width: int
) -> Iterator[tuple[Value, Value, Value | None]]:
    """This thread's part of all lines, ``width`` of them side by side: which part of the outer
    ones, the first of the inner ones, and which of these there are.
    """
    blocks = -(-inner // width)
    with k.share(outer * blocks) as task:
        o, b = digits(task, blocks)
        live = None
        if inner % width:
            live = k.fn.first_lanes(width, k.fn.const(inner, "i64") - b * width)
        yield o, b * width, live


# ---- where the extreme is


@dataclass(frozen=True)
class Extreme:
    """The first place of the greatest element, or the least; a NaN is both."""

    x: Along
    op: str
    dtype: str

    @property
    def work(self) -> int:
        return prod(self.x)

    def __str__(self) -> str:
        return f"{self.op:<10} of {self.x[1]}, {self.x[0] * self.x[2]} times"

    def emit(self, module: Module, name: str, vector_bytes: int) -> int:
        k = Kernel(module, name)
        lanes = operations.lanes_for([self.dtype], vector_bytes)
        x, out = k.pointers(2)
        if self.x[2] == 1:
            self._along_rows(k, lanes, x, out)
        else:
            self._across_rows(k, lanes, x, out)
        return 0

    def _load(self, fn: Function, count: int, x: Value, at: Value, live: Value | None) -> Value:
        value = fn.load(vector(operations.memory_type(self.dtype), count), x, at, live)
        halves = self.dtype in operations.HALVES  # (a bool is compared as a byte)
        return operations.loaded(fn, value, self.dtype) if halves else value

    def _is_better(self, fn: Function, a: Value, b: Value) -> Value:
        way = "g" if self.op == "argmax" else "l"
        if not is_float(a.type):
            return fn.compare(("u" if self.dtype in _UNSIGNED else "s") + way + "t", a, b)
        news = fn.compare("uno", a, a) & fn.compare("ord", b, b)
        return fn.compare(f"o{way}t", a, b) | news

    def _across_rows(self, k: Kernel, lanes: int, x: Value, out: Value) -> None:
        fn, (outer, n, inner) = k.fn, self.x
        with _lines(k, outer, inner, lanes) as (o, first, live):
            here = fn.address(x, o * (n * inner) + first, operations.memory_type(self.dtype))
            start = self._load(fn, lanes, here, fn.const(0, "i64"), live)
            best = fn.variable(start.type, start)
            where = fn.variable(vector("i64", lanes), 0)
            with fn.loop(1, n) as i:
                value = self._load(fn, lanes, here, i * inner, live)
                self._take(fn, best, where, value, fn.splat(i, lanes))
            fn.store(fn.load(vector("i64", lanes), where), out, o * inner + first, live)

    def _take(self, fn: Function, best: Value, where: Value, value: Value, at: Value) -> None:
        before = fn.load(value.type, best)
        better = self._is_better(fn, value, before)
        fn.store(fn.select(better, value, before), best)
        fn.store(fn.select(better, at, fn.load(at.type, where)), where)

    def _along_rows(self, k: Kernel, lanes: int, x: Value, out: Value) -> None:
        fn, (outer, n, _) = k.fn, self.x
        whole = n // lanes * lanes
        with k.share(outer) as o:
            here = fn.address(x, o * n, operations.memory_type(self.dtype))
            zero = fn.const(0, "i64")
            first = self._load(fn, 1, here, zero, None)
            best, where = fn.variable(first.type, first), fn.variable("i64", 0)
            if whole:
                start = self._load(fn, lanes, here, zero, None)
                bests, places = fn.variable(start.type, start), fn.variable(vector("i64", lanes))
                fn.store(fn.iota(lanes), places)
                with fn.loop(lanes, whole, lanes) as i:
                    value = self._load(fn, lanes, here, i, None)
                    self._take(fn, bests, places, value, fn.splat(i, lanes) + fn.iota(lanes))
                self._join(fn, lanes, (bests, start.type), places, best, where)
            with fn.loop(whole, n) as i:
                self._take(fn, best, where, self._load(fn, 1, here, i, None), i)
            fn.store(fn.load("i64", where), out, o)

    def _join(
        self,
        fn: Function,
        lanes: int,
        bests: tuple[Value, str],
        places: Value,
        best: Value,
        where: Value,
    ) -> None:
        """The best of the lanes; of equal ones the first."""
        values, places = fn.load(bests[1], bests[0]), fn.load(vector("i64", lanes), places)
        value, at = fn.extract(values, 0), fn.extract(places, 0)
        for lane in range(1, lanes):
            other, there = fn.extract(values, lane), fn.extract(places, lane)
            worse = self._is_better(fn, value, other)
            before = fn.compare("slt", there, at) & ~worse
            take = self._is_better(fn, other, value) | before
            value, at = fn.select(take, other, value), fn.select(take, there, at)
        fn.store(value, best)
        fn.store(at, where)


def extreme(sig: Signature) -> Extreme:
    return Extreme(_along(sig, sig.attrs[0]), sig.op.name, sig.types[0].dtype.name)


# ---- running sums


@dataclass(frozen=True)
class RunningSum:
    """Sums of the elements so far, in their order; of 16-bit floats in float32."""

    x: Along
    dtype: str

    @property
    def work(self) -> int:
        return prod(self.x)

    def __str__(self) -> str:
        return f"cumsum     of {self.x[1]}, {self.x[0] * self.x[2]} times"

    def emit(self, module: Module, name: str, vector_bytes: int) -> int:
        k = Kernel(module, name)
        fn, (outer, n, inner) = k.fn, self.x
        lanes = operations.lanes_for([self.dtype], vector_bytes) if inner > 1 else 1
        memory = operations.memory_type(self.dtype)
        x, out = k.pointers(2)
        kind = vector(operations.register_type(self.dtype), lanes)
        total = fn.variable(kind)
        with _lines(k, outer, inner, lanes) as (o, first, live):
            start = o * (n * inner) + first
            source, target = fn.address(x, start, memory), fn.address(out, start, memory)
            fn.store(fn.const(0, kind), total)
            with fn.loop(0, n) as i:
                value = fn.load(vector(memory, lanes), source, i * inner, live)
                value = operations.loaded(fn, value, self.dtype)
                value = operations.combine(fn, "sum", self.dtype, fn.load(kind, total), value)
                fn.store(value, total)
                fn.store(operations.stored(fn, value, self.dtype), target, i * inner, live)
        return 0


def running_sum(sig: Signature) -> RunningSum:
    return RunningSum(_along(sig, sig.attrs), sig.type.dtype.name)


# ---- sums of windows


@dataclass(frozen=True)
class EvenSums:
    """Sums of ``count`` windows, nearly equal in size, that cover the dimension."""

    x: Along
    count: int
    dtype: str

    @property
    def work(self) -> int:
        return self.x[0] * self.x[2] * max(self.x[1], self.count)

    def __str__(self) -> str:
        return f"even_sums  {self.count} of {self.x[1]}, {self.x[0] * self.x[2]} times"

    def emit(self, module: Module, name: str, vector_bytes: int) -> int:
        k = Kernel(module, name)
        fn, (outer, n, inner), count = k.fn, self.x, self.count
        lanes = operations.lanes_for([self.dtype], vector_bytes) if inner > 1 else 1
        memory = operations.memory_type(self.dtype)
        x, out = k.pointers(2)
        kind = vector(operations.register_type(self.dtype), lanes)
        total = fn.variable(kind)
        with _lines(k, outer, inner, lanes) as (o, first, live):
            source = fn.address(x, o * (n * inner) + first, memory)
            target = fn.address(out, o * (count * inner) + first, memory)
            with fn.loop(0, count) as window:
                fn.store(fn.const(0, kind), total)
                start, stop = window * n // count, ((window + 1) * n + count - 1) // count
                with fn.loop(start, stop) as i:
                    value = fn.load(vector(memory, lanes), source, i * inner, live)
                    value = operations.loaded(fn, value, self.dtype)
                    value = operations.combine(fn, "sum", self.dtype, fn.load(kind, total), value)
                    fn.store(value, total)
                value = operations.stored(fn, fn.load(kind, total), self.dtype)
                fn.store(value, target, window * inner, live)
        return 0


def even_sums(sig: Signature) -> EvenSums:
    dim, count = sig.attrs
    return EvenSums(_along(sig, dim), count, sig.type.dtype.name)


# ---- the order


@dataclass(frozen=True)
class Order:
    """The first ``count`` places in the stable order of the elements, NaN as the greatest.

    All are merged, from runs of one on; of few, the first so far are kept in order. Elements are
    compared as integers that are in the same order.
    """

    x: Along
    descending: bool
    count: int
    dtype: str

    @property
    def work(self) -> int:
        return prod(self.x) * self.x[1].bit_length()

    def __str__(self) -> str:
        return f"argsort    of {self.x[1]}, the first {self.count}, {self.x[0] * self.x[2]} times"

    def emit(self, module: Module, name: str, vector_bytes: int) -> int:
        k = Kernel(module, name)
        fn, (outer, n, inner) = k.fn, self.x
        memory = operations.memory_type(self.dtype)
        x, out, space = k.pointers(3)
        space = fn.address(space, k.tid * (4 * n), "i64")
        rooms = [fn.address(space, part * n, "i64") for part in range(4)]
        with _lines(k, outer, inner, 1) as (o, first, _):
            source = fn.address(x, o * (n * inner) + first, memory)
            target = fn.address(out, o * (self.count * inner) + first, "i64")

            def key(i: Value) -> Value:
                return self._key(fn, fn.load(memory, source, i * inner))

            few = self.count <= min(_FEW, n // 2)
            places = self._kept(fn, rooms, key) if few else self._merged(module, fn, rooms, key)
            with fn.loop(0, self.count) as i:
                fn.store(fn.load("i64", places, i), target, i * inner)
        return 32 * n

    def _merged(
        self, module: Module, fn: Function, rooms: list[Value], key: Callable[[Value], Value]
    ) -> Value:
        arguments = [*[(a, "ptr") for a in "abcd"], ("width", "i64"), ("n", "i64")]
        merge = module.shared("merge_runs", arguments, _merge_runs)
        n = self.x[1]
        with fn.loop(0, n) as i:
            fn.store(key(i), rooms[0], i)
            fn.store(i, rooms[1], i)
        before, after, width = rooms[:2], rooms[2:], 1
        while width < n:
            fn.call_void(merge, *before, *after, fn.const(width, "i64"), fn.const(n, "i64"))
            before, after, width = after, before, 2 * width
        return before[1]

    def _kept(self, fn: Function, rooms: list[Value], key: Callable[[Value], Value]) -> Value:
        keys, places = rooms[:2]
        count = self.count
        place = fn.variable("i64")
        with fn.loop(0, self.x[1] if count else 0) as i:
            new = key(i)
            enters = fn.compare("slt", new, fn.load("i64", keys, count - 1))
            with fn.when(enters | fn.compare("slt", i, count)):
                size = fn.least(i, count)
                fn.store(fn.const(0, "i64"), place)
                with fn.loop(0, size) as j:
                    before = fn.compare("sle", fn.load("i64", keys, j), new)
                    fn.store(fn.load("i64", place) + fn.convert("zext", before, "i64"), place)
                at, last = fn.load("i64", place), fn.least(size, count - 1)
                with fn.loop(0, last - at) as back:
                    for row in (keys, places):
                        fn.store(fn.load("i64", row, last - back - 1), row, last - back)
                fn.store(new, keys, at)
                fn.store(i, places, at)
        return places

    def _key(self, fn: Function, value: Value) -> Value:
        if self.dtype in operations.HALVES:
            value = operations.loaded(fn, value, self.dtype)
        if is_float(value.type):
            kind = f"i{8 * size_of(value.type)}"
            most = (1 << (8 * size_of(value.type) - 1)) - 1
            bits = fn.convert("bitcast", value + 0.0, kind)  # (0 in place of -0)
            bits = fn.select(fn.compare("slt", bits, 0), bits ^ most, bits)
            key = fn.select(fn.compare("uno", value, value), most, bits)
        else:
            key = value
        if key.type != "i64":
            key = fn.convert("zext" if self.dtype in _UNSIGNED else "sext", key, "i64")
        return ~key if self.descending else key


def _merge_runs(fn: Function) -> None:
    """``(keys, places, keys and places merged, length of runs, n)``: pairs of runs made one."""
    keys, places, out_keys, out_places, width, n = fn.arguments
    low, at = fn.variable("i64"), fn.variable("i64")
    pairs = (n + 2 * width - 1) // (2 * width)
    with fn.loop(0, pairs) as pair:
        begin = pair * (2 * width)
        middle, end = fn.least(begin + width, n), fn.least(begin + 2 * width, n)
        fn.store(begin, low)
        fn.store(middle, at)
        with fn.loop(begin, end) as k:
            i, j = fn.load("i64", low), fn.load("i64", at)
            a = fn.load("i64", keys, fn.least(i, middle - 1))
            b = fn.load("i64", keys, fn.least(j, end - 1))
            left = fn.compare("sle", a, b) | fn.compare("sge", j, end)
            left = left & fn.compare("slt", i, middle)
            fn.store(fn.select(left, a, b), out_keys, k)
            fn.store(fn.load("i64", places, fn.select(left, i, j)), out_places, k)
            step = fn.convert("zext", left, "i64")
            fn.store(i + step, low)
            fn.store(j + (1 - step), at)


def order(sig: Signature) -> Order:
    dim, descending, count = sig.attrs
    return Order(_along(sig, dim), descending, count, sig.types[0].dtype.name)
