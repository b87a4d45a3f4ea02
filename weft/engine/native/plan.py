"""Which steps run as one kernel, in which order, and where their values lie.

Elementwise ops and reductions over the same points join in one loop, as long as no kernel would
have to wait for itself; products are kernels of their own; what no kernel can be written for is a
call of its NumPy reference. Values that somebody keeps get arrays of their own, the others a place
in one arena, shared by those whose lifetimes do not overlap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import prod

from .groups import MAX_STEPS, Group, domain, squeezed
from .loop_spec import (
    Apply,
    Gather,
    Instruction,
    Load,
    Loop,
    Position,
    Reduce,
    Store,
)
from .lower import IN_LOOPS, Graph, Operand, Step, dense
from .products import fuse_products
from .views import Shape, View, dense_strides

#: A loop is held against so many of those before it that read the same.
_SIBLINGS = 4

#: So many rows are enough for any number of threads.
_MANY_ROWS = 1024


class Plan:
    """The groups of a graph.

    Attributes:
        groups: in the order in which they run.
        kept: values that must lie in memory: results, and what one group reads of another's.
        homes: of these, the ones that lie within a value that is assembled of them, and where;
            only their loops know it.
        within: others that are a row of such a value, and the element at which they begin there.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.step_of = {s.value: s for s in graph.steps}
        self.group_of: dict[int, Group] = {}
        self.scalars = self._scalars()
        self._groups: list[Group] = []
        results = {o.value for o in graph.results}
        read = results.union(*[self.reads(step) for step in graph.steps])
        for step in graph.steps:
            if step.value in read or step.value not in self.scalars:
                self._place(step)
        self._merge()
        self.kept = set(results)
        for group in self._groups:
            for step in group.steps:
                if group.kind != "loop":
                    self.kept.add(step.value)
                for value in self.reads(step):
                    if self.group_of[value] is not group:
                        self.kept.add(value)
        self.groups = self._ordered()
        self.homes = self._homes(results)
        self.within = self._within(results)
        fuse_products(self, results)

    def _homes(self, results: set[int]) -> dict[int, Operand]:
        """For parts that loops compute and only one assembly reads: where they lie in the whole.

        They are written there at once, and not copied.
        """
        # (within its own loop a value is read from a register)
        uses = Counter(
            o.value
            for step in self.graph.steps
            for o in step.operands
            if self.group_of.get(step.value) is not self.group_of.get(o.value)
        )
        homes: dict[int, Operand] = {}
        for whole, operand, target, group in self._parts(results):
            value = operand.value
            if group.kind != "loop" or uses[value] > 1:
                continue
            if self._is_full(value, group) and operand.view.is_dense:
                view = _reshaped(target, self.step_of[value].shape)
                if view is not None:
                    homes[value] = Operand(whole, view)
        return homes

    def _parts(self, results: set[int]) -> Iterator[tuple[int, Operand, View, Group]]:
        """Of each assembly whose parts fill it: its value, and for each part that has no array of
        its own to be in, what it is, where it goes, and the group that computes it.
        """
        for step in self.graph.steps:
            if step.tiled:
                for operand, target in zip(step.operands, step.targets, strict=True):
                    group = self.group_of.get(operand.value)
                    if group is not None and operand.value not in results:
                        yield step.value, operand, target, group

    def _within(self, results: set[int]) -> dict[int, tuple[int, int]]:
        """Parts of an assembly that lie in it as they lie by themselves: whoever writes or reads
        them does so there.
        """
        found: dict[int, tuple[int, int]] = {}
        for whole, operand, target, group in self._parts(results):
            value = operand.value
            is_whole = operand.view.size == prod(self.graph.shapes[value])
            is_row = operand.view.is_dense and target._replace(offset=0).is_dense
            is_free = group.kind != "host" and value in self.kept and value not in self.homes
            if is_whole and is_row and is_free:
                found.setdefault(value, (whole, target.offset))
        return found

    def place_of(self, value: int) -> tuple[int, int]:
        """The value in whose memory a value lies, and at which of its elements."""
        offset = 0
        while value in self.within:
            value, start = self.within[value]
            offset += start
        return value, offset

    def _scalars(self) -> set[int]:
        """Values of one element made of leaves alone, in few steps: computed again wherever they
        are used.
        """
        found: dict[int, int] = {}  # and in how many steps
        for step in self.graph.steps:
            if step.kind == "map" and prod(step.shape) == 1:
                values = [o.value for o in step.operands]
                count = 1 + sum([found.get(v, 0) for v in values])
                made_of_leaves = all(v < self.graph.leaf_count or v in found for v in values)
                if made_of_leaves and count <= MAX_STEPS:
                    found[step.value] = count
        return set(found)

    def reads(self, step: Step) -> list[int]:
        """The values that a step reads from memory or from its group."""
        inlines = step.kind in IN_LOOPS
        return [
            operand.value
            for k, operand in enumerate(step.operands)
            if operand.value >= self.graph.leaf_count
            and not (inlines and operand.value in self.scalars and not _is_addressed(step, k))
        ]

    # ---- groups

    def _place(self, step: Step) -> None:
        producers = {
            self.group_of[v].number: self.group_of[v]
            for v in self.reads(step)
            if v in self.group_of
        }
        if step.kind in IN_LOOPS:
            for group in sorted(producers.values(), key=lambda g: -g.number):
                if self._may_join(step, group, list(producers.values())):
                    self._add(group, step)
                    return
        kind = "loop" if step.kind in IN_LOOPS else step.kind
        self._add(self._new(kind, *domain(step)), step)

    def _new(self, kind: str, shape: Shape, reduced: tuple[int, ...] | None) -> Group:
        group = Group(len(self._groups), kind, shape=shape, reduced=reduced)
        self._groups.append(group)
        return group

    def _add(self, group: Group, step: Step) -> None:
        group.steps.append(step)
        self.group_of[step.value] = group
        reduced = domain(step)[1]
        if reduced is not None:
            group.reduced = reduced
        before = 0
        for value in self.reads(step):
            other = self.group_of.get(value)
            if other is not None and other is not group:
                before |= other.after | 1 << other.number
        if before & ~group.after == 0:
            return
        group.after |= before
        if group is self._groups[-1]:  # nobody waits for it yet
            return
        for later in self._groups:
            if later.after >> group.number & 1:
                later.after |= group.after

    def _may_join(self, step: Step, group: Group, producers: list[Group]) -> bool:
        if group.kind != "loop" or len(group.steps) >= MAX_STEPS:
            return False
        if any(p.after >> group.number & 1 for p in producers):
            return False
        shape, reduced = domain(step)
        full = shape == group.shape
        if full:
            if reduced is not None and group.reduced not in (None, reduced):
                return False
        elif reduced is not None or group.row is None or squeezed(shape) != group.row:
            return False
        will = reduced if reduced is not None else group.reduced
        return all(
            not _is_addressed(step, k) and self._in_place(o, group, full, will)
            for k, o in enumerate(step.operands)
            if self.group_of.get(o.value) is group
        )

    def _in_place(
        self, operand: Operand, group: Group, full: bool, reduced: tuple[int, ...] | None
    ) -> bool:
        """Is the operand, a value of the group, read at the very point that computes it?"""
        if self._is_full(operand.value, group):
            return full and operand.view.shape == group.shape and operand.view.is_dense
        if not full:
            return operand.view.is_dense
        assert reduced is not None
        wanted = row_strides(group.shape, reduced)
        view = operand.view
        if len(view.shape) != len(wanted):  # the places of a gather, which go before its columns
            return False
        return view.offset == 0 and all(
            n == 1 or a == b for n, a, b in zip(group.shape, view.strides, wanted, strict=True)
        )

    def _is_full(self, value: int, group: Group) -> bool:
        step = self.step_of[value]
        return step.kind != "reduce" and step.shape == group.shape

    # ---- groups of the same points made one

    def _merge(self) -> None:
        """Merges loops that read what the other computes, or the same, if nothing between them
        keeps them apart: what both need is in registers.
        """
        order = {step.value: k for k, step in enumerate(self.graph.steps)}
        readers: dict[Operand, list[Group]] = {}
        for group in list(self._groups):
            for operand in self._operands(group):
                source = self.group_of.get(operand.value)
                others = readers.setdefault(operand, [])
                for other in [*([source] if source is not None else []), *others[-_SIBLINGS:]]:
                    here = self._now(group)
                    if self._may_merge(self._now(other), here):
                        self._join(self._now(other), here, order)
                others.append(group)
        self._groups = [g for g in self._groups if g.steps]

    def _now(self, group: Group) -> Group:
        """The group that has its steps by now."""
        while group.into is not None:
            group = group.into
        return group

    def _operands(self, group: Group) -> list[Operand]:
        """What a loop reads of memory that is as large as its domain."""
        if group.kind != "loop":
            return []
        return [
            o
            for step in group.steps
            for o in step.operands
            if self.group_of.get(o.value) is not group
            and prod([n for n, s in zip(o.view.shape, o.view.strides, strict=True) if s])
            == prod(group.shape)
        ]

    def _may_merge(self, a: Group, b: Group) -> bool:
        if a is b or a.kind != "loop" or b.kind != "loop" or a.shape != b.shape:
            return False
        if a.reduced != b.reduced and not self._has_many_rows(a, b):
            return False
        if len(a.steps) + len(b.steps) > MAX_STEPS:
            return False
        if a.after >> b.number & 1:
            a, b = b, a
        if any(g.after >> a.number & 1 for g in self._sources(b) if g is not a):
            return False
        will = a.reduced if a.reduced is not None else b.reduced
        return all(
            not _is_addressed(step, k) and self._in_place(o, a, domain(step)[0] == a.shape, will)
            for step in b.steps
            for k, o in enumerate(step.operands)
            if self.group_of.get(o.value) is a
        )

    def _sources(self, group: Group) -> list[Group]:
        """The other groups that it reads."""
        values = [v for step in group.steps for v in self.reads(step)]
        return [g for v in values if (g := self.group_of[v]) is not group]

    def _has_many_rows(self, a: Group, b: Group) -> bool:
        """Does one of the loops reduce, so that threads still get rows enough?"""
        row = a.row if b.reduced is None else b.row if a.reduced is None else None
        return row is not None and prod(row) >= _MANY_ROWS

    def _join(self, a: Group, b: Group, order: dict[int, int]) -> None:
        """All that b has goes to a."""
        a.steps = sorted(a.steps + b.steps, key=lambda step: order[step.value])
        a.reduced = a.reduced if a.reduced is not None else b.reduced
        for step in b.steps:
            self.group_of[step.value] = a
        b.steps, b.into = [], a
        both = 1 << a.number | 1 << b.number
        a.after = (a.after | b.after) & ~both
        for group in self._groups:
            if group.after & both:
                group.after = group.after & ~both | 1 << a.number | a.after

    def _ordered(self) -> list[Group]:
        """Each after those it waits for, otherwise as recorded."""
        done, out = 0, []
        waiting = sorted(self._groups, key=lambda g: g.steps[0].value)
        while waiting:
            ready = next(g for g in waiting if g.after & ~done == 0)
            waiting.remove(ready)
            out.append(ready)
            done |= 1 << ready.number
        return out

    # ---- loops

    def loop(self, group: Group) -> tuple[Loop, list[int]]:
        """The loop nest of a group and the values that are its buffers, ``FLAG`` among them."""
        return _Writer(self, group).result()


def _is_addressed(step: Step, operand: int) -> bool:
    """Is the operand read at addresses that the step computes, so that it must lie in memory?"""
    if step.kind == "random":
        return operand == len(step.operands) - 1
    return step.kind == "take" and operand == 0


def _reshaped(view: View, shape: Shape) -> View | None:
    """The view with dimensions of size 1 put in or left out."""
    if squeezed(view.shape) != squeezed(shape):
        return None
    strides = iter([s for n, s in zip(view.shape, view.strides, strict=True) if n != 1])
    return View(shape, tuple([next(strides) if n != 1 else 0 for n in shape]), view.offset)


def row_strides(shape: Shape, reduced: tuple[int, ...]) -> tuple[int, ...]:
    """Strides over a domain of a dense value that has one element for each row."""
    rows = tuple([1 if k in reduced else n for k, n in enumerate(shape)])
    return tuple([0 if k in reduced else s for k, s in enumerate(dense_strides(rows))])


#: In place of a value: the flag that an index out of range raises.
FLAG = -3


class _Writer:
    """Turns a group into a loop."""

    def __init__(self, plan: Plan, group: Group) -> None:
        self.plan, self.group = plan, group
        self.reduced = group.reduced or ()
        self.code: list[Instruction] = []
        self.values: dict[int, int] = {}  # value of the graph -> place in the code
        self.loads: dict[Instruction, int] = {}
        self.buffers: list[int] = []

    def result(self) -> tuple[Loop, list[int]]:
        for step in self.group.steps:
            self.values[step.value] = self._step(step)
        stores = [self._store(s) for s in self.group.steps if s.value in self.plan.kept]
        shape = self.group.shape
        reduced = tuple([k in self.reduced for k in range(len(shape))])
        return Loop(shape, reduced, tuple(self.code), tuple(stores)), self.buffers

    def _store(self, step: Step) -> Store:
        value, home = self.values[step.value], self.plan.homes.get(step.value)
        if home is None:
            return Store(value, self._buffer(step.value), step.dtype, self._own_strides(step))
        view = home.view
        return Store(value, self._buffer(home.value), step.dtype, view.strides, view.offset)

    def _own_strides(self, step: Step) -> tuple[int, ...]:
        if self.plan._is_full(step.value, self.group):
            return dense_strides(self.group.shape)
        return row_strides(self.group.shape, self.reduced)

    def _buffer(self, value: int) -> int:
        if value not in self.buffers:
            self.buffers.append(value)
        return self.buffers.index(value)

    def _emit(self, instruction: Instruction) -> int:
        known = self.loads.get(instruction)
        if known is None:
            self.code.append(instruction)
            known = self.loads[instruction] = len(self.code) - 1
        return known

    def _step(self, step: Step) -> int:
        graph = self.plan.graph
        if step.kind == "reduce":
            return self._emit(Reduce(step.name, step.dtype, self._operand(step.operands[0])))
        if step.kind == "take":
            return self._take(step)
        if step.kind == "random":
            return self._random(step)
        arguments = tuple([self._operand(o) for o in step.operands])
        if step.name == "arange":
            return self._arange(step, *arguments)
        source = graph.dtypes[step.operands[0].value]
        if step.name == "where":
            source = step.dtype
        return self._emit(Apply(step.name, source, step.dtype, arguments))

    def _arange(self, step: Step, start: int, width: int) -> int:
        """Numbers are made in the widest type of their category and rounded once."""
        wide = self.plan.graph.dtypes[step.operands[0].value]
        place = self._emit(Position(self._strides(dense(step.shape))))
        place = self._emit(Apply("cast", "int64", wide, (place,)))
        product = self._emit(Apply("mul", wide, wide, (place, width)))
        total = self._emit(Apply("add", wide, wide, (start, product)))
        return self._emit(Apply("cast", wide, step.dtype, (total,)))

    def _random(self, step: Step) -> int:
        """Element i of a draw is a function of the key, a seed and the draw's number, and of i."""
        *points, key = step.operands
        still = (0,) * len(self.group.shape)
        buffer, offset, width = self._buffer(key.value), key.view.offset, key.view.strides[0]
        seed, call = [self._emit(Load(buffer, "int64", still, offset + k * width)) for k in (0, 1)]
        place = self._emit(Position(self._strides(dense(step.shape))))
        if step.name != "dropout":
            return self._emit(Apply(step.name, "int64", step.dtype, (seed, call, place)))
        uniform = self._emit(Apply("random_uniform", "int64", "float32", (seed, call, place)))
        x, p = [self._operand(o) for o in points]
        return self._emit(Apply("dropout", step.dtype, step.dtype, (x, p, uniform)))

    def _operand(self, operand: Operand) -> int:
        value = operand.value
        if value in self.values:
            return self.values[value]
        if value in self.plan.scalars:
            self.values[value] = place = self._step(self.plan.step_of[value])
            return place
        dtype = self.plan.graph.dtypes[value]
        strides = self._strides(operand.view)
        return self._emit(Load(self._buffer(value), dtype, strides, operand.view.offset))

    def _strides(self, view: View) -> tuple[int, ...]:
        """The view's strides over the group's domain."""
        domain = self.group.shape
        if view.shape == domain:
            return view.strides
        # of a row (or of a scalar within any domain): its dimensions are the kept ones
        steps = iter([s for n, s in zip(view.shape, view.strides, strict=True) if n != 1])
        if prod(view.shape) == 1:
            return (0,) * len(domain)
        return tuple(
            [0 if k in self.reduced or n == 1 else next(steps) for k, n in enumerate(domain)]
        )

    def _take(self, step: Step) -> int:
        """``x[i0, i1, ...]``: the indices' common shape first, then the rest of x's."""
        source, *indices = step.operands
        graph = self.plan.graph
        wrap = step.sig.attrs
        count = len(indices)
        rest = len(source.view.shape) - count
        region = step.shape[: len(step.shape) - rest]
        strides = (0,) * len(region) + source.view.strides[count:]
        whole = View(step.shape, strides, source.view.offset)
        places = tuple(
            [
                self._operand(Operand(i.value, _beside(i.view.expand(region), step.shape, rest)))
                for i in indices
            ]
        )
        return self._emit(
            Gather(
                self._buffer(source.value),
                graph.dtypes[source.value],
                self._strides(whole),
                whole.offset,
                places,
                source.view.strides[:count],
                source.view.shape[:count],
                wrap,
                self._buffer(FLAG),
            )
        )


def _beside(view: View, shape: Shape, rest: int) -> View:
    """A view of leading dimensions, the same for all places of the others."""
    return View(shape, view.strides + (0,) * rest, view.offset)
