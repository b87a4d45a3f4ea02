"""Loop kernels: any number of elementwise ops and reductions over one domain, in one nest.

A :class:`Loop` is a straight program over the points of its domain. Some dimensions may be
reduced: the kept ones are shared out among the threads, and for each of their points the reduced
ones are walked, once for each chain of reductions that need one another (softmax walks a row three
times, while it is in the cache). One dimension, where most operands lie side by side, is walked by
vectors.

Every value has a level: OUTER if it is the same for all lanes and for the whole walk, LANES if it
differs between lanes but not along the walk (the vector dimension is kept), INNER otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from . import operations
from .ir import Module, Value, size_of, vector
from .loop_spec import (
    ANY_SIZE,
    Apply,
    Gather,
    Instruction,
    Load,
    Loop,
    Position,
    Reduce,
    Store,
    collapse,
    side_dimension,
    vector_dimension,
)
from .operations import lanes_for, memory_type, register_type
from .points import shared_out
from .walks import MOST_CODE, Walks, cost, strips

OUTER, LANES, INNER = 0, 1, 2


#: Elements of the vector dimension that are one unit of work, where nothing is reduced.
_BLOCK = 4096
#: The same where something lies apart along it: of so many lines the next points are in the cache.
_TILE = 32
#: Elements between rows, from which on rows to come are asked for, and how many rows before.
_FAR_APART, _ROWS_AHEAD = 128, 6

_UNROLL = 4
#: Rows of so many vectors (and not too many instructions) are written out if they are walked more
#: than once: what a walk computes is in registers for the next.
_WRITTEN_OUT = 16
#: Bytes of a thread's stack for what is kept of a longer row.
_MOST_KEPT = 64 << 10


def emit(module: Module, name: str, loop: Loop, vector_bytes: int = 64) -> None:
    """Adds ``void name(ptr args, i64 tid, i64 nt)``; buffer k is word ``1 + k`` of ``args``."""
    _Emitter(module, name, collapse(loop), vector_bytes).run()


class _Emitter:
    """Writes one loop kernel."""

    def __init__(self, module: Module, name: str, loop: Loop, vector_bytes: int) -> None:
        arguments = [("args", "ptr"), ("tid", "i64"), ("nt", "i64")]
        self.fn = module.function(name, arguments)
        self.fn.flags = ""  # each op rounds, so that what is fused with it changes no bit
        self.loop = loop
        self.axis = vector_dimension(loop)
        axis = self.axis
        self.kept_axis = axis is not None and not loop.reduced[axis]
        self.walked = [k for k, r in enumerate(loop.reduced) if r and k != axis]
        self.lanes = lanes_for(_dtypes(loop), vector_bytes)
        self.levels = [OUTER] * len(loop.code)
        self.passes = [0] * len(loop.code)
        self.reducing = any(isinstance(c, Reduce) for c in loop.code) or any(loop.reduced)
        self.side = None if self.reducing else side_dimension(loop, axis)
        columns = self.kept_axis and self.reducing
        self.strips = strips(loop, axis, self.walked, self.lanes) if columns else 1
        self.unroll = self._unroll()
        for k, code in enumerate(loop.code):
            self.levels[k], self.passes[k] = self._place(code)
        inner = [level == INNER for level in self.levels]
        inside = [self._store_level(s) == INNER for s in loop.stores]
        self.walks = Walks(loop, self.passes, inner, inside, axis)
        self.walk_number = 0
        self.written_out = self._is_written_out()
        # where values are kept between walks
        self.places = {} if self.written_out else self._kept_places()
        self.sizes: list[Any] = list(loop.shape)
        self.index: list[Value | int] = [0] * len(loop.shape)
        self.mask: Value | None = None
        # values known at each level; INNER ones only within one step of the walk
        self.known: list[dict[int, Value]] = [{}, {}, {}]
        # of a row that is written out: the INNER values of each of its vectors
        self.row: dict[int, dict[int, Value]] = {}
        # of each strip: where it starts, which lanes are live, the values of level LANES
        self.strip: list[tuple[Value | int, Value | None, dict[int, Value]]] = []
        self.strip_number = 0

    def _place(self, code: Instruction) -> tuple[int, int]:
        """Level, and the first walk in which the value can be had."""
        if isinstance(code, Reduce):
            level = LANES if self.kept_axis else OUTER
            return level, self.passes[code.argument] + 1
        if isinstance(code, Apply):
            arguments = code.arguments
            level = max([self.levels[a] for a in arguments], default=OUTER)
            return level, max([self.passes[a] for a in arguments], default=0)
        level = self._level_of(code.strides)
        if isinstance(code, Gather):
            level = max([level, *[self.levels[a] for a in code.indices]])
            return level, max([self.passes[a] for a in code.indices])
        return level, 0

    def _level_of(self, strides: tuple[int, ...]) -> int:
        if any(strides[k] for k in self.walked):
            return INNER
        if self.axis is None or not strides[self.axis]:
            return OUTER
        return LANES if self.kept_axis and self.reducing else INNER

    def _unroll(self) -> int:
        """Steps of the innermost loop that are written out, each with sums of its own."""
        if self.kept_axis and self.reducing:
            if self.strips >= _UNROLL:
                return 1
            steps = self.loop.shape[self.walked[-1]] if self.walked else 1
        elif self.loop.shape == (ANY_SIZE,):
            return _UNROLL
        else:
            steps = 1 if self.axis is None else self.loop.shape[self.axis] // self.lanes
        return _UNROLL if steps >= _UNROLL else 1

    def _is_written_out(self) -> bool:
        if self.kept_axis or self.axis is None or self.walked or self.walks.count == 1:
            return False
        vectors = -(-self.loop.shape[self.axis] // self.lanes)
        code = sum([cost(c, self.axis) for c in self.loop.code])
        return vectors <= _WRITTEN_OUT and vectors * code <= MOST_CODE

    def _kept_places(self) -> dict[int, Value]:
        """Room for a row of each value that is kept, as far as it is to be had."""
        places: dict[int, Value] = {}
        if self.axis is None:
            return places
        row = self.strips * self.lanes
        if not self.kept_axis:
            row = -(-self.loop.shape[self.axis] // self.lanes) * self.lanes
        elements = prod([self.loop.shape[k] for k in self.walked]) * row
        room = _MOST_KEPT
        for k in self.walks.kept:
            kind = register_type(self.loop.code[k].dtype)
            room -= elements * size_of(kind)
            if room < 0:
                break
            places[k] = self.fn.variable(f"[{elements} x {kind}]")
        return places

    # ---- the nest

    def run(self) -> None:
        fn, loop = self.fn, self.loop
        args, tid, nt = fn.arguments
        self.buffers = {b: fn.load("ptr", args, 1 + b) for b in sorted(_buffers(loop))}
        if loop.shape == (ANY_SIZE,):
            self.sizes = [fn.load("i64", args, 1 + len(self.buffers))]
        outer = self._outer_dims()
        sizes = self._outer_sizes()
        total: Any = sizes[0] if len(sizes) == 1 else prod(sizes)
        if total == 0 or (loop.size == 0 and not self.reducing):
            return
        with shared_out(fn, tid, nt, dict(zip(outer, sizes, strict=True))) as here:
            self.known, self.row = [{}, {}, {}], {}
            for k in outer:
                self.index[k] = here[k]
            self._point(0 if self.axis is None else here.get(self.axis, 0))

    def _outer_dims(self) -> list[int]:
        dims = [
            k for k, r in enumerate(self.loop.reduced) if not r and k not in (self.axis, self.side)
        ]
        dims += [self.axis] if self.kept_axis and self.axis is not None else []
        return [*dims, self.side] if self.side is not None else dims

    def _outer_sizes(self) -> list[Any]:
        block = self._block()
        return [
            (self.sizes[k] + (block - 1)) // block if k == self.axis else self.sizes[k]
            for k in self._outer_dims()
        ]

    def _block(self) -> int:
        if self.reducing:
            return self.strips * self.lanes
        return _BLOCK if self.side is None else _TILE

    def _point(self, block: Value | int) -> None:
        """All walks for one point of the shared-out dimensions."""
        fn = self.fn
        if not self.reducing:
            self._stores_at(OUTER, 0)
            if self.axis is None:
                return
            n = self.sizes[self.axis]
            start: Value | int = 0
            stop: Value | int = n
            if isinstance(block, Value):
                start = block * self._block()
                stop = fn.least(start + self._block(), n)
            self._prepare(0)
            self._walk_axis(start, stop, lambda unroll: self._stores_at(INNER, 0))
            return
        if not self.kept_axis:
            self._passes()
            return
        assert self.axis is not None
        n = self.loop.shape[self.axis]
        start = block * self._block() if isinstance(block, Value) else 0
        self.strip = []
        for k in range(self.strips):
            at = start + k * self.lanes
            ragged = n % self.lanes and k == self.strips - 1
            mask = fn.first_lanes(self.lanes, fn.const(n, "i64") - at) if ragged else None
            self.strip.append((at, mask, {}))
        self._passes()

    def _each_strip(self) -> Iterator[int]:
        """Turns to one strip after the other."""
        if not self.strip:
            yield 0
            return
        assert self.axis is not None
        for k, (at, mask, known) in enumerate(self.strip):
            self.index[self.axis], self.mask, self.strip_number = at, mask, k
            self.known[LANES], self.known[INNER] = known, {}
            yield k

    def _passes(self) -> None:
        for number in range(self.walks.count):
            self.walk_number = number
            self._stores_at(OUTER, number)
            if self.kept_axis:
                for _ in self._each_strip():
                    self._stores_at(LANES, number)
            self._walk(number)

    def _walk(self, number: int) -> None:
        """The walk ``number`` over the reduced dimensions."""
        reduces = [
            k
            for k, code in enumerate(self.loop.code)
            if isinstance(code, Reduce) and self.passes[k] == number + 1
        ]
        stores = any(
            self._store_level(s) == INNER and self.passes[s.value] == number
            for s in self.loop.stores
        )
        if not reduces and not stores:
            return
        sums = {
            (k, strip): [self._accumulator(k) for _ in range(self.unroll)]
            for k in reduces
            for strip in range(self.strips)
        }
        for _ in self._each_strip():
            for k in reduces:  # what does not change along the walk is had before it
                argument = self.loop.code[k].argument  # type: ignore[union-attr]
                if self.levels[argument] != INNER:
                    self.value(argument)
            self._prepare(number)

        def step(unroll: int) -> None:
            for strip in self._each_strip():
                for k in reduces:
                    self._accumulate(k, sums[k, strip][unroll])
                self._stores_at(INNER, number)

        self._walk_dims(self.walked, step)
        for strip in self._each_strip():
            for k in reduces:
                self.known[self.levels[k]][k] = self._total(k, sums[k, strip])

    def _walk_dims(self, dims: list[int], step: Any) -> None:
        fn = self.fn
        if self.kept_axis and len(dims) == 1:
            n = self.loop.shape[dims[0]]
            main = n // self.unroll * self.unroll
            with fn.loop(0, main, self.unroll) as i:
                for u in range(self.unroll):
                    self.index[dims[0]] = i + u
                    self._fresh(step, u)
            for u in range(n - main):
                self.index[dims[0]] = fn.const(main + u, "i64")
                self._fresh(step, u)
            return
        if dims:
            with fn.loop(0, self.loop.shape[dims[0]]) as i:
                self.index[dims[0]] = i
                self._walk_dims(dims[1:], step)
            return
        if self.kept_axis or self.axis is None:
            self._fresh(step, 0)
        else:
            self._walk_axis(0, self.loop.shape[self.axis], step)

    def _fresh(self, step: Any, unroll: int) -> None:
        self.known[INNER] = {}
        step(unroll)
        self.known[INNER] = {}

    def _walk_axis(self, start: Value | int, stop: Value | int, step: Any) -> None:
        """By vectors: several at once, then one by one, then the rest under a mask."""
        fn, axis, lanes = self.fn, self.axis, self.lanes
        assert axis is not None
        if self.written_out:
            self._walk_written_out(step)
            return
        n = None if isinstance(stop, Value) or isinstance(start, Value) else stop - start
        wide = self.unroll * lanes
        self.mask = None
        if n is None:
            base = fn.const(start, "i64") if not isinstance(start, Value) else start
            main: Any = base + (fn.const(stop, "i64") - base) // wide * wide
            small: Any = base + (fn.const(stop, "i64") - base) // lanes * lanes
        else:
            main, small = n // wide * wide, n // lanes * lanes
        if n is None or main:
            with fn.loop(start, main, wide) as i:
                for u in range(self.unroll):
                    self.index[axis] = i + u * lanes
                    self._fresh(step, u)
        if n is None or small > main:
            with fn.loop(main, small, lanes) as i:
                self.index[axis] = i
                self._fresh(step, 0)
        if n is None:
            with fn.when(fn.compare("slt", small, stop)):
                self._masked(small, fn.const(stop, "i64") - small, step)
        elif n > small:
            self._masked(fn.const(small, "i64"), n - small, step)
        self.mask = None

    def _walk_written_out(self, step: Any) -> None:
        assert self.axis is not None
        n = self.loop.shape[self.axis]
        for k, at in enumerate(range(0, n, self.lanes)):
            self.index[self.axis] = self.fn.const(at, "i64")
            self.mask = self.fn.first_lanes(self.lanes, n - at) if n - at < self.lanes else None
            self.known[INNER] = self.row.setdefault(k, {})
            step(k % self.unroll)
        self.mask = None

    def _masked(self, at: Value, live: Any, step: Any) -> None:
        self.index[self.axis or 0] = at
        self.mask = self.fn.first_lanes(self.lanes, live)
        self._fresh(step, 0)
        self.mask = None

    # ---- reductions

    def _accumulator(self, k: int) -> Value:
        code = self.loop.code[k]
        assert isinstance(code, Reduce)
        kind = register_type(code.dtype)
        start = operations.identity(code.op, code.dtype)
        return self.fn.variable(vector(kind, self.lanes), start)

    def _accumulate(self, k: int, place: Value) -> None:
        fn, code = self.fn, self.loop.code[k]
        assert isinstance(code, Reduce)
        value = self._wide(self.value(code.argument))
        if self.mask is not None and not self.kept_axis:
            start = fn.const(operations.identity(code.op, code.dtype), value.type)
            value = fn.select(self.mask, value, start)
        elif self.axis is None:  # a single point: the other lanes must not count
            start = fn.const(operations.identity(code.op, code.dtype), value.type)
            value = fn.select(fn.first_lanes(self.lanes, 1), value, start)
        so_far = fn.load(value.type, place)
        fn.store(operations.combine(fn, code.op, code.dtype, so_far, value), place)

    def _total(self, k: int, places: list[Value]) -> Value:
        fn, code = self.fn, self.loop.code[k]
        assert isinstance(code, Reduce)
        kind = vector(register_type(code.dtype), self.lanes)
        parts = [fn.load(kind, p) for p in places]
        while len(parts) > 1:
            parts = [
                operations.combine(fn, code.op, code.dtype, parts[i], parts[i + 1])
                for i in range(0, len(parts), 2)
            ]
        whole = parts[0]
        if not self.kept_axis:
            whole = operations.across(fn, code.op, code.dtype, whole)
        return operations.rounded(fn, whole, code.dtype)

    # ---- values

    def _prepare(self, number: int) -> None:
        """Computes, before a walk, what it uses and what does not change along it."""
        for k in range(len(self.loop.code)):
            if self.levels[k] != INNER and self.passes[k] <= number and self._used_inside(k):
                self.value(k)

    def _used_inside(self, k: int) -> bool:
        return any(
            self.levels[other] == INNER
            and (
                (isinstance(code, Apply) and k in code.arguments)
                or (isinstance(code, Gather) and k in code.indices)
            )
            for other, code in enumerate(self.loop.code)
        ) or any(s.value == k and self._store_level(s) == INNER for s in self.loop.stores)

    def value(self, k: int) -> Value:
        """Value ``k`` here: had before, or computed now."""
        known = self.known[self.levels[k]]
        if k not in known:
            known[k] = self._kept(k) if k in self.places else self._compute(k)
        return known[k]

    def _kept(self, k: int) -> Value:
        """A value that the first walk which computes it puts aside."""
        fn, place = self.fn, self.places[k]
        kind = vector(register_type(self.loop.code[k].dtype), self.lanes)
        at: Value | int = 0
        for dim in self.walked:
            at = self.index[dim] + at * self.loop.shape[dim]
        if self.kept_axis:
            at = (at * self.strips + self.strip_number) * self.lanes
        else:
            assert self.axis is not None
            row = -(-self.loop.shape[self.axis] // self.lanes) * self.lanes
            at = self.index[self.axis] + at * row
        if self.walk_number > self.walks.kept[k]:
            return fn.load(kind, place, at)
        value = self._wide(self._compute(k))
        fn.store(value, place, at)
        return value

    def _compute(self, k: int) -> Value:
        code = self.loop.code[k]
        if isinstance(code, Load):
            return self._load(code)
        if isinstance(code, Gather):
            return self._gather(code)
        if isinstance(code, Position):
            return self._position(code)
        assert isinstance(code, Apply), "a reduction is used before its walk"
        arguments = [self.value(a) for a in code.arguments]
        if self.levels[k] != OUTER:
            arguments = [self._wide(a) for a in arguments]
        return operations.apply(self.fn, code.op, code.source, code.dtype, arguments)

    def _wide(self, value: Value) -> Value:
        """In every lane."""
        return value if value.type[0] == "<" else self.fn.splat(value, self.lanes)

    def _at(self, strides: tuple[int, ...], offset: int) -> Value | int:
        at: Value | int = offset
        for i, s in zip(self.index, strides, strict=True):
            if s:
                at = i * s + at
        return at

    def _position(self, code: Position) -> Value:
        fn = self.fn
        at = fn.const(self._at(code.strides, 0), "i64")
        step = 0 if self.axis is None else code.strides[self.axis]
        return fn.splat(at, self.lanes) + fn.iota(self.lanes) * step if step else at

    def _load(self, code: Load) -> Value:
        fn = self.fn
        pointer, kind = self.buffers[code.buffer], memory_type(code.dtype)
        at = self._at(code.strides, code.offset)
        step = 0 if self.axis is None else code.strides[self.axis]
        if self._level_of(code.strides) == OUTER or step == 0:
            return operations.loaded(fn, fn.load(kind, pointer, at), code.dtype)
        if step == 1:
            if (far := self._row_ahead(code.strides)) is not None:
                fn.prefetch(fn.address(pointer, far + at, kind))
            value = fn.load(vector(kind, self.lanes), pointer, at, self.mask)
        else:
            value = self._load_at(kind, pointer, fn.iota(self.lanes) * step, at)
        return operations.loaded(fn, value, code.dtype)

    def _row_ahead(self, strides: tuple[int, ...]) -> int | None:
        """How far the rows are that a walk down columns reads in a while, if what it reads of them
        lies apart: the processor does not look ahead from page to page.
        """
        if not (self.kept_axis and self.reducing and self.walked):
            return None
        row, width = strides[self.walked[-1]], self.strips * self.lanes
        return row * _ROWS_AHEAD if row >= _FAR_APART and width < row else None

    def _load_at(self, kind: str, pointer: Value, steps: Value, at: Value | int) -> Value:
        """From the address ``at`` plus that of each lane."""
        fn = self.fn
        return operations.gather(fn, kind, fn.address(pointer, at, kind), steps, self.mask)

    def _gather(self, code: Gather) -> Value:
        fn = self.fn
        kind = memory_type(code.dtype)
        indices = [self.value(i) for i in code.indices]
        scalar = all(i.type[0] != "<" for i in indices)
        if not scalar:
            indices = [self._wide(i) for i in indices]
        extra = self._addressed(code, indices)
        at = self._at(code.strides, code.offset)
        step = 0 if self.axis is None else code.strides[self.axis]
        pointer = self.buffers[code.buffer]
        if scalar:
            start = fn.address(pointer, extra + at, kind)
            if step == 0:
                return operations.loaded(fn, fn.load(kind, start), code.dtype)
            steps = fn.iota(self.lanes) * step
            if step == 1:
                value = fn.load(vector(kind, self.lanes), start, 0, self.mask)
                return operations.loaded(fn, value, code.dtype)
            return operations.loaded(fn, self._load_at(kind, start, steps, 0), code.dtype)
        steps = extra + fn.iota(self.lanes) * step if step else extra
        return operations.loaded(fn, self._load_at(kind, pointer, steps, at), code.dtype)

    def _addressed(self, code: Gather, indices: list[Value]) -> Value:
        """What the indices add to the address, 0 for those that are out of range."""
        fn = self.fn
        total: Value | None = None
        inside: Value | None = None
        for index, stride, size in zip(indices, code.index_strides, code.sizes, strict=True):
            index, good = operations.in_range(fn, index, size, code.wrap)
            inside = good if inside is None else inside & good
            part = index * stride
            total = part if total is None else total + part
        assert total is not None
        assert inside is not None
        bad = ~inside
        if self.mask is not None and bad.type[0] == "<":
            bad = bad & self.mask
        wrong = bad
        if bad.type[0] == "<":
            wrong = fn.op(
                "i1", f"call i1 @llvm.vector.reduce.or.v{self.lanes}i1({bad.type} {bad.text})"
            )
            fn.module.declare(f"llvm.vector.reduce.or.v{self.lanes}i1", "i1", [bad.type])
        flag = self.buffers[code.flag]
        with fn.when(wrong):
            fn.store(fn.const(1, "i64"), flag)
        return fn.select(inside, total, 0)

    # ---- stores

    def _stores_at(self, level: int, number: int) -> None:
        for store in self.loop.stores:
            if self._store_level(store) == level and self.passes[store.value] == number:
                self._store(store)

    def _store_level(self, store: Store) -> int:
        """Where a store belongs: where its value does, but within the lanes that it fills."""
        return max(self.levels[store.value], self._level_of(store.strides))

    def _store(self, store: Store) -> None:
        fn = self.fn
        value = operations.stored(fn, self.value(store.value), store.dtype)
        at = self._at(store.strides, store.offset)
        pointer = self.buffers[store.buffer]
        step = 0 if self.axis is None else store.strides[self.axis]
        if self._store_level(store) == OUTER:
            fn.store(value, pointer, at)
            return
        value = self._wide(value)
        if step == 1:
            fn.store(value, pointer, at, self.mask)
            return
        start = fn.address(pointer, at, memory_type(store.dtype))
        operations.scatter(fn, value, start, fn.iota(self.lanes) * step, self.mask)


def _buffers(loop: Loop) -> set[int]:
    used = {a.buffer for a in loop.accesses if not isinstance(a, Position)}
    return used | {c.flag for c in loop.code if isinstance(c, Gather)}


def _dtypes(loop: Loop) -> set[str]:
    return {c.dtype for c in loop.code} | {s.dtype for s in loop.stores}
