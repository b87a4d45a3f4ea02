"""Small tensors that recorded calls change or make on another device: parts of one array each time.

Between calls a tensor's node has a part for its value. Whoever else holds on to such a node, or to
its value, keeps what he has: the tensors are given another array first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any
from weakref import ref

from ..engine.devices import Packed, put
from ..engine.realize import computed
from ..engine.xla.packs import Pack, packed
from ..graph.node import LEAF, TensorType, leaf
from ..tensors.core import wrap
from .places import Places, are_mine

Kind = tuple[TensorType, int]  # type and what a node tracks

_node = attrgetter("_node")
base_of, kind_of = attrgetter("_base"), attrgetter("type", "tracks")

#: Bytes of the largest that are put together: to copy more takes longer than an argument does.
SMALL = 1 << 14


def groups_of(kinds: Iterable[tuple[Any, TensorType]]) -> list[list[Any]]:
    """What is small, by dtype, where there is more than one of it."""
    found: dict[Any, list[Any]] = {}
    for name, kind in kinds:
        if kind.size * kind.dtype.itemsize <= SMALL and not kind.dtype.is_only_stored:
            found.setdefault(kind.dtype, []).append(name)
    return [names for names in found.values() if len(names) > 1]


class Check:
    """Have the tensors of groups the nodes that they must have, and nobody else?"""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._mine = [each for group in groups for each in group.mine]
        places = Places()
        for group in groups:
            for k, tensor in enumerate(group.places(places)):
                places.holds(f"{tensor}._node", group.nodes, k)
        self._are_there = places.compiled()

    def holds(self) -> bool:
        return self._are_there() and are_mine(*self._mine)


class Group:
    """Tensors whose values are parts of one array.

    Attributes:
        nodes: that they must have for it.
        parts: the values of these. (A node of which nobody else knows keeps its value.)
        mine: lists of what nobody else may have.
        check: whether all is so.
    """

    check: Check

    def __init__(self, kinds: Sequence[TensorType]) -> None:
        self._types = list(kinds)
        self.nodes: list[Any] = [None] * len(kinds)
        self.parts: list[Packed] = []
        self.mine: list[list[Any]] = [self.nodes, self.parts]
        self.pack = Pack(())

    def take(self, pack: Pack) -> None:
        """New nodes, not yet those of the tensors, with parts of it for their values."""
        self.pack = pack
        self.parts[:] = pack.parts()
        self.nodes[:] = [leaf(p, kind) for p, kind in zip(self.parts, self._types, strict=True)]

    def places(self, places: Places) -> list[str]:
        """Where the tensors are found, as Python."""
        raise NotImplementedError

    def settle(self) -> bool:
        """Gives them such values. False if one has become another kind of tensor."""
        raise NotImplementedError

    def hand_out(self) -> None:
        """Puts the tensors in their places, after :meth:`settle`."""


class Changed(Group):
    """Tensors that calls change."""

    def __init__(self, handles: Sequence[Any], kinds: Sequence[Kind]) -> None:
        """``kinds``: those that the tensors have after a call."""
        super().__init__([kind for kind, _ in kinds])
        self.handles, self._kinds = list(handles), list(kinds)
        self.check = Check([self])

    def places(self, places: Places) -> list[str]:
        return [places.name(handle) for handle in self.handles]

    def settle(self) -> bool:
        now = [*map(_node, self.handles)]
        bases = map(base_of, self.handles)
        if [*map(kind_of, now)] != self._kinds or any([b is not None for b in bases]):
            return False
        self.take(packed([put(computed(node), node.type.device) for node in now]))
        for handle, node, (_, tracks) in zip(self.handles, self.nodes, self._kinds, strict=True):
            node.tracks = tracks
            if tracks & LEAF:
                node.extra = ref(handle)
            handle._node = node
        return True


class Made(Group):
    """The ``.grad`` that calls make: the same tensors as last time, if nobody kept them."""

    def __init__(self, params: Sequence[Any], kinds: Sequence[TensorType]) -> None:
        super().__init__(kinds)
        self._params = list(params)
        self._tensors: list[Any] = [None] * len(kinds)
        self.mine.append(self._tensors)
        self.check = Check([self])

    def places(self, places: Places) -> list[str]:
        found = [f"{places.name(param)}._grad" for param in self._params]
        for k, place in enumerate(found):
            places.holds(place, self._tensors, k)
        return found

    def settle(self) -> bool:
        self.take(Pack(tuple([kind.shape for kind in self._types])))
        self._tensors[:] = [wrap(node) for node in self.nodes]
        return True

    def hand_out(self) -> None:
        for param, tensor in zip(self._params, self._tensors, strict=True):
            param.__dict__["_grad"] = tensor
