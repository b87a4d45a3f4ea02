"""A recorded call, run again: its values where they belong, its program, its results handed out.

Tensors that a call changes (parameters, states) or makes (gradients) keep one array each, which
programs write to. Whoever else holds on to such an array, or to the node with it, keeps what he
has: the tensor is given another one first.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter, is_
from sys import getrefcount
from typing import Any
from weakref import ref

import numpy as np

from ..engine.native.bound import Bound, aligned
from ..engine.native.results import is_lent, new_array
from ..engine.realize import value_of
from ..graph.node import LEAF, Node, TensorType, leaf, next_order
from ..tensors.core import wrap
from .places import MINE, Places, are_mine
from .recording import Recording, node_like

_node = attrgetter("_node")


def _new_array(kind: TensorType) -> Any:
    return aligned(kind.shape, kind.dtype.name)


def _whole(value: Any) -> Any:
    array = np.asarray(value)
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def _taken(node: Node) -> Any:
    """The array of a node that nobody else has, if nobody else has that either."""
    array = node.value
    if array.__class__ is not np.ndarray or getrefcount(array) != MINE:  # node, local, argument
        return None
    base, flags = array.base, array.flags
    if base is not None:  # (results are views of arrays as they were allocated)
        whole = base.__class__ is np.ndarray and (base.base is None or is_lent(base))
        alone = whole and getrefcount(base) == MINE
        if not alone or base.nbytes != array.nbytes:
            return None
    return array if flags.c_contiguous and flags.writeable else None


class Slots:
    """Tensors that recorded calls of a function change: the node and array that each has.

    Attributes:
        moves: how often one of them was given another array.
    """

    def __init__(self) -> None:
        self.handles: list[Any] = []
        self.moves = 0
        self._number: dict[int, int] = {}
        self._kinds: list[tuple[TensorType, int]] = []
        self.nodes: list[Node] = []
        self.arrays: list[Any] = []

    def add(self, handle: Any, recorded: Node) -> int:
        """The number of the tensor's slot. ``recorded``: what was its node after a call."""
        found = self._number.get(id(handle))
        if found is None:
            found = self._number[id(handle)] = len(self.handles)
            self.handles.append(handle)
            self._kinds.append((recorded.type, recorded.tracks))
            self.nodes.append(recorded)
            self.arrays.append(None)  # until it is adopted
        return found

    def settle(self) -> bool:
        """Sees to it that all tensors have arrays of their own. False if one has become another
        kind of tensor.
        """
        if all(map(is_, map(_node, self.handles), self.nodes)) and are_mine(
            self.nodes, self.arrays
        ):
            return True
        for k in range(len(self.handles)):
            mine = (
                self.handles[k]._node is self.nodes[k]
                and getrefcount(self.nodes[k]) == MINE
                and getrefcount(self.arrays[k]) == MINE
            )
            if not mine and not self._adopt(k):
                return False
        return True

    def _adopt(self, k: int) -> bool:
        handle = self.handles[k]
        old = handle._node
        if (old.type, old.tracks) != self._kinds[k] or handle._base is not None:
            return False
        value_of(old)
        array = _taken(old) if getrefcount(old) == MINE else None  # handle, local, argument
        if array is None:
            array = _new_array(old.type)
            np.copyto(array, value_of(old))
        self.give(k, array)
        self.moves += 1
        return True

    def give(self, k: int, array: Any) -> None:
        """The tensor is to have this array for its value."""
        handle = self.handles[k]
        kind, tracks = self._kinds[k]
        node = leaf(array, kind)
        node.tracks = tracks
        if tracks & LEAF:
            node.extra = ref(handle)
        handle._node = self.nodes[k] = node
        self.arrays[k] = array


class Replay:
    """A recording that is bound to its tensors. To be run under the lock of all runs."""

    def __init__(self, recording: Recording, slots: Slots) -> None:
        """``slots``: shared by all recordings of a function."""
        self._run = run = recording.run
        native = getattr(run.program, "native", None)
        assert native is not None
        self._values = values = [value for value, _ in native.memory.results]
        leaf_of = {id(t): k for k, t in recording.tensors.items()}
        changed = [
            (slots.add(t, run.stored[k]), leaf_of.get(i), k)
            for i, (t, k) in recording.changed.items()
        ]
        self._slots, self._moves = slots, -1
        self.bound = Bound(native, {values[k]: at for _, at, k in changed if at is not None})
        over = self.bound.over
        self._over = [(s, over[v], v) for s, _, k in changed if (v := values[k]) in over]
        self._beside = [(s, at, values[k]) for s, at, k in changed if values[k] not in over]
        self._spares: list[Any] = [None] * len(self._beside)
        self._changed = [slots.handles[s] for s, _, _ in changed]
        self._arguments = list(recording.arguments.items())
        self._held: dict[int, Any] = {}  # as the program reads them
        self._read = [
            [t, k, None, (run.leaves[k].type, run.leaves[k].tracks)]
            for k, t in recording.tensors.items()
            if id(t) not in recording.changed
        ]
        self._numbers = [(n.get, self._fixed(k)) for k, n in recording.live.items()]
        self._keys = [(g, self._fixed(k)) for k, g in recording.keys.items()]
        for k, value in recording.constants.items():
            np.copyto(self._fixed(k), value)
        self._gradients = _Gradients(
            [p for p, _ in recording.gradients],
            [run.stored[k].type for _, k in recording.gradients],
            [values[k] for _, k in recording.gradients],
        )
        made = self._gradients
        self._unmoved: Callable[[], bool] | None = None
        self._watched = 0
        self._mine = slots.nodes, slots.arrays, made.tensors, made.nodes, made.arrays
        self._returned = [(i, run.stored[k], values[k]) for i, k in recording.returned.items()]
        self._unused = [self._place(values[k], run.stored[k].type) for k in recording.unused]
        self._cells = {v: self._place(v, n.type) for _, n, v in self._returned if not n.type.shape}
        self._fresh = [(n.type, v) for _, n, v in self._returned if v not in self._cells]
        self.take_numbers()

    def _fixed(self, k: int) -> Any:
        """An array in which leaf ``k`` stays."""
        array = self._held[k] = self._place(k, self._run.leaves[k].type)
        return array

    def _place(self, value: int, kind: TensorType) -> Any:
        array = _new_array(kind)
        self.bound.put(value, array)
        return array

    def take_numbers(self) -> None:
        """Computes the live numbers anew."""
        for get, cell in self._numbers:
            cell[()] = get()

    def _is_settled(self) -> bool:
        """Have all tensors that the call changes or makes still the arrays that it writes to, and
        nobody else?
        """
        if self._unmoved is None or self._watched != len(self._slots.handles):
            if len(self._gradients.tensors) != len(self._gradients.params):
                return False  # they have not been made
            self._unmoved, self._watched = self._compiled(), len(self._slots.handles)
        return self._unmoved() and are_mine(*self._mine)

    def _compiled(self) -> Callable[[], bool]:
        """Asks whether each tensor has its node, and each parameter its gradient."""
        slots, made, places = self._slots, self._gradients, Places()
        for k, handle in enumerate(slots.handles):
            places.holds(f"{places.name(handle)}._node", slots.nodes, k)
        for k, param in enumerate(made.params):
            gradient = f"{places.name(param)}._grad"
            places.holds(gradient, made.tensors, k)
            places.holds(f"{gradient}._node", made.nodes, k)
        return places.compiled()

    def run(self, arguments: list[Node]) -> dict[int, Node] | None:
        """The nodes of what is returned, by the ids of the recorded ones; None, with nothing
        changed, if Python must do it.
        """
        bound = self.bound
        settled = self._is_settled()
        if not ((settled or self._slots.settle()) and self._place_read()):
            return None
        if self._moves != self._slots.moves:
            self._place_slots()
        for k, number in self._arguments:
            value = arguments[number].value
            if value is None:
                value = value_of(arguments[number])
            if self._held.get(k) is not value:
                array = self._held[k] = _whole(value)
                bound.put(k, array)
        if self._beside:
            self._place_beside()
        if not settled:
            self._gradients.settle(bound)
        for generator, key in self._keys:
            key[:] = generator.next_pair()
        new = {}
        for kind, value in self._fresh:
            new[value] = array = new_array(kind.shape, kind.dtype.numpy)
            bound.put(value, array)
        if not bound.run():
            for generator, _ in reversed(self._keys):
                generator.take_back()
            return None
        self._hand_out(settled)
        return {
            i: node_like(node, self._cells[v][()] if v in self._cells else new[v], next_order())
            for i, node, v in self._returned
        }

    def _place_slots(self) -> None:
        arrays, bound = self._slots.arrays, self.bound
        for s, at, value in self._over:
            bound.put(at, arrays[s])
            bound.put(value, arrays[s])
        self._moves = self._slots.moves

    def _place_beside(self) -> None:
        """Results that cannot be written over the old value come to lie beside it."""
        arrays, bound = self._slots.arrays, self.bound
        for k, (s, at, value) in enumerate(self._beside):
            if at is not None:
                bound.put(at, arrays[s])
            if self._spares[k] is None:
                self._spares[k] = np.empty_like(arrays[s])
            bound.put(value, self._spares[k])

    def _place_read(self) -> bool:
        for entry in self._read:
            handle, k, known, kind = entry
            node = handle._node if handle._base is None else handle._sync()
            if node is not known:
                if (node.type, node.tracks) != kind:
                    return False
                self._held[k] = _whole(value_of(node))
                self.bound.put(k, self._held[k])
                entry[2] = node
        return True

    def _hand_out(self, settled: bool) -> None:
        """``settled``: the parameters have their gradients already."""
        slots = self._slots
        for handle in self._changed:
            handle._version += 1
        for k, (s, _, _) in enumerate(self._beside):
            used = slots.arrays[s]
            slots.give(s, self._spares[k])
            self._spares[k] = used if getrefcount(used) == 2 else None
        if self._gradients.others or not settled:
            self._gradients.hand_out()


class _Gradients:
    """The ``.grad`` that a call makes anew: the same tensors as last time, if nobody kept them."""

    def __init__(self, params: list[Any], kinds: list[TensorType], values: list[int]) -> None:
        first = [k for k, v in enumerate(values) if v not in values[:k]]
        self.params, self._values = [params[k] for k in first], [values[k] for k in first]
        self._kinds = [kinds[k] for k in first]
        # parameters whose gradient is the same as another's: they get copies
        self.others = [
            (p, self._values.index(v))
            for k, (p, v) in enumerate(zip(params, values, strict=True))
            if k not in first
        ]
        self.tensors: list[Any] = []
        self.nodes: list[Node] = []
        self.arrays: list[Any] = []

    def settle(self, bound: Bound) -> None:
        """Sees to it that there are tensors and arrays for all of them."""
        renew = self._renew if self.tensors else self._make
        for k in range(len(self.params)):
            renew(k, bound)

    def _renew(self, k: int, bound: Bound) -> None:
        tensor = self.tensors[k]
        held = self.params[k].__dict__.get("_grad") is tensor
        if (
            tensor._node is not self.nodes[k]
            or getrefcount(tensor) != MINE + held  # the local in place of the parameter
            or getrefcount(self.nodes[k]) != MINE
            or getrefcount(self.arrays[k]) != MINE
        ):
            self._make(k, bound)

    def _make(self, k: int, bound: Bound) -> None:
        array = _new_array(self._kinds[k])
        node = leaf(array, self._kinds[k])
        fresh: tuple[tuple[list[Any], Any], ...] = (
            (self.tensors, wrap(node)),
            (self.nodes, node),
            (self.arrays, array),
        )
        for held, new in fresh:
            held[k : k + 1] = [new]
        bound.put(self._values[k], array)

    def hand_out(self) -> None:
        for param, tensor in zip(self.params, self.tensors, strict=True):
            param.__dict__["_grad"] = tensor
        for param, k in self.others:
            param.__dict__["_grad"] = wrap(leaf(self.arrays[k].copy(), self._kinds[k]))
