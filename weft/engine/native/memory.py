"""Where the values of a program lie: leaves as they come, results in new arrays, the rest in one
arena that is planned ahead from lifetimes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import BY_NAME
from . import threads
from .addresses import Addresses
from .lower import Graph
from .plan import Plan
from .results import new_array
from .views import View

_ALIGN = 64


class _Arena:
    """One piece of memory for all programs: only one runs at a time."""

    def __init__(self) -> None:
        self.bytes = np.empty(0, np.uint8)
        self._start = 0

    def start(self, size: int) -> tuple[Any, int]:
        """The memory and the index of its first aligned byte, with ``size`` bytes behind it."""
        if self.bytes.size < size + _ALIGN:
            self.bytes = np.empty(size + _ALIGN, np.uint8)
            self._start = -self.bytes.ctypes.data % _ALIGN
        return self.bytes, self._start


ARENA = _Arena()


def place(sizes: dict[int, int], first: dict[int, int], last: dict[int, int]) -> dict[int, int]:
    """Offsets for values that live from ``first`` to ``last``: the largest are placed first, each
    at the lowest address that is free all its life.
    """
    count = len(sizes)
    begins, ends = np.zeros(count, np.int64), np.zeros(count, np.int64)  # in memory
    firsts, lasts = np.zeros(count, np.int64), np.zeros(count, np.int64)  # in time
    offsets: dict[int, int] = {}
    for k, value in enumerate(sorted(sizes, key=lambda v: -sizes[v])):
        beside = (firsts[:k] <= last[value]) & (first[value] <= lasts[:k])
        at = offsets[value] = _first_gap(begins[:k][beside], ends[:k][beside], sizes[value])
        begins[k], ends[k] = at, at + sizes[value]
        firsts[k], lasts[k] = first[value], last[value]
    return offsets


def _first_gap(begins: Any, ends: Any, size: int) -> int:
    """The lowest address with so much room between areas that are taken."""
    if not begins.size:
        return 0
    order = np.argsort(begins)
    begins, ends = begins[order], np.maximum.accumulate(ends[order])
    if begins[0] >= size:
        return 0
    fits = begins[1:] - ends[:-1] >= size
    return int(ends[fits.argmax()] if fits.any() else ends[-1])


#: Bytes of a number that is a leaf: as many as the largest has, complex128.
_CELL = 16


class Memory:
    """The plan of a program's memory.

    Attributes:
        arena_bytes: what it needs of the arena, workspaces included.
        offsets: in the arena, of the values that lie there.
        results: the value and shape of each result.
        nothing: a value at address 0.
        count: of values; the last is the runtime's block.
    """

    def __init__(self, graph: Graph, plan: Plan, workspaces: list[int]) -> None:
        """``workspaces``: bytes that each group needs while it runs."""
        # (not the graph itself: programs are many, and kept)
        self._shapes, self._dtypes, self._leaf_count = graph.shapes, graph.dtypes, graph.leaf_count
        results = {o.value for o in graph.results}
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        sizes: dict[int, int] = {}
        for k, group in enumerate(plan.groups):
            for step in group.steps:
                if step.value in plan.homes:
                    first.setdefault(plan.place_of(plan.homes[step.value].value)[0], k)
                elif step.value in plan.within:
                    first.setdefault(plan.place_of(step.value)[0], k)
                elif step.value in plan.kept and step.value not in results:
                    size = _bytes(step.shape, step.dtype)
                    sizes[step.value] = -(-size // _ALIGN) * _ALIGN
                    first.setdefault(step.value, k)
                    last[step.value] = k
                for value in plan.reads(step):
                    whole = plan.place_of(value)[0]
                    if whole in last:
                        last[whole] = k
        count = len(graph.shapes)
        self.workspace_of: dict[int, int] = {}
        for k, size in enumerate(workspaces):
            if size:
                value = self.workspace_of[k] = count
                count += 1
                sizes[value] = -(-size // _ALIGN) * _ALIGN
                first[value] = last[value] = k
        self.flag = count
        sizes[self.flag], first[self.flag], last[self.flag] = _ALIGN, 0, len(plan.groups)
        self.offsets = place(sizes, first, last)
        self.arena_bytes = max([self.offsets[v] + sizes[v] for v in sizes], default=0)
        self.results = [(o.value, o.view.shape) for o in graph.results]
        self.nothing = count + 1
        self.count = count + 3  # the last is the runtime's block
        self._prepare()

    def _prepare(self) -> None:
        shapes, leaves = self._shapes, range(self._leaf_count)
        self._scalars = [k for k in leaves if shapes[k] == ()]
        self._arrays = [k for k in leaves if shapes[k] != ()]
        self._scalar_bytes = np.zeros(_CELL * max(1, len(self._scalars)), np.uint8)
        self._scalar_cells = [
            self._scalar_bytes[_CELL * k : _CELL * (k + 1)].view(self._numpy(leaf))
            for k, leaf in enumerate(self._scalars)
        ]
        self.addresses = np.zeros(self.count, np.int64)
        self.addresses[-1] = threads.runtime_address()
        base = self._scalar_bytes.ctypes.data
        for k, leaf in enumerate(self._scalars):
            self.addresses[leaf] = base + _CELL * k
        self._arena: Any = None
        self._inside = np.array(list(self.offsets), np.int64)
        self._offsets = np.array(list(self.offsets.values()), np.int64)
        self._made = sorted({value for value, _ in self.results})
        self._kinds = [(shapes[v], self._numpy(v)) for v in self._made]
        self._placed = np.array(self._arrays + self._made, np.int64)
        self._found = Addresses(len(self._placed))

    def arena(self) -> Any:
        """The arena; what is known of places in it is up to date."""
        memory, start = ARENA.start(self.arena_bytes)
        if memory is not self._arena:
            self._arena = memory
            self.start = start
            self.addresses[self._inside] = memory.ctypes.data + start + self._offsets
            self.flag_cell = self.at(self.flag, (1,), np.dtype(np.int64))
        return memory

    def enter(self, leaves: list[Any]) -> Frame:
        """Addresses for one run."""
        self.arena()
        for leaf, cell in zip(self._scalars, self._scalar_cells, strict=True):
            cell[0] = leaves[leaf]
        arrays = [leaves[leaf] for leaf in self._arrays]
        new = [new_array(shape, dtype) for shape, dtype in self._kinds]
        if not self._found.look(arrays + new):
            arrays = [np.ascontiguousarray(a) for a in arrays]
            self._found.look(arrays + new)
        self.addresses[self._placed] = self._found.found
        self.flag_cell[0] = 0
        return Frame(self, leaves, dict(zip(self._arrays + self._made, arrays + new, strict=True)))

    def _numpy(self, value: int) -> Any:
        return BY_NAME[self._dtypes[value]].numpy

    def at(self, value: int, shape: tuple[int, ...], dtype: Any) -> Any:
        """The array at the place in the arena of a value."""
        return np.ndarray(shape, dtype, self._arena, self.start + self.offsets[value])

    def is_leaf(self, value: int) -> bool:
        return value < self._leaf_count

    def array(self, value: int) -> Any:
        """The array of a value in the arena."""
        return self.at(value, self._shapes[value], self._numpy(value))


class Frame:
    """The memory of one run."""

    def __init__(self, memory: Memory, leaves: list[Any], held: dict[int, Any]) -> None:
        self.memory, self.leaves, self.held = memory, leaves, held

    def whole(self, value: int) -> Any:
        """The dense array of a value."""
        found = self.held.get(value)
        if found is not None:
            return found
        if self.memory.is_leaf(value):
            return np.asarray(self.leaves[value])
        return self.memory.array(value)

    def array(self, value: int, view: View) -> Any:
        whole = self.whole(value)
        if view.is_dense and view.shape == whole.shape:
            return whole if whole.ndim else whole[()]
        size = whole.itemsize
        return np.lib.stride_tricks.as_strided(
            whole.reshape(-1)[view.offset :],
            view.shape,
            [s * size for s in view.strides],
            writeable=False,
        )

    def put(self, value: int, result: Any) -> None:
        self.whole(value)[...] = result

    def failed(self) -> bool:
        return bool(self.memory.flag_cell[0])

    def results(self) -> list[Any]:
        return [self.held[v].reshape(shape) for v, shape in self.memory.results]


def _bytes(shape: tuple[int, ...], dtype: str) -> int:
    size = BY_NAME[dtype].itemsize
    for n in shape:
        size *= n
    return size
