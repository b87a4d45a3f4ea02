"""A recorded call, run again on a GPU, a TPU, or the CPU by XLA.

Nothing waits: values come and go as arrays that are still being computed. The program writes over
the tensors that the call changes (parameters, states); whoever else holds on to such an array keeps
what he has, and the program is given a copy. Small ones go to the program and come back as one
array of each dtype (``packs.py``): it is the count of arguments and results that makes a call of a
small program long.
"""

from __future__ import annotations

from operator import attrgetter
from sys import getrefcount
from typing import Any

import jax
import numpy as np

from ..dtypes import dtype
from ..engine.devices import put
from ..engine.precision import get_precision
from ..engine.realize import computed
from ..engine.xla import platform
from ..engine.xla.faults import Watch, watch
from ..engine.xla.program import Compiled, Packing, Placed
from ..graph.node import LEAF, Node, leaf, next_order
from ..tensors.core import wrap
from .packs import Changed, Check, Group, Made, base_of, groups_of, kind_of
from .places import MINE
from .recording import Recording, node_like

_node, _value = attrgetter("_node"), attrgetter("value")


class PlacedReplay:
    """A recording and the program of its device. To be run under the lock of all runs."""

    def __init__(self, recording: Recording, known: dict[Any, Changed]) -> None:
        """``known``: small tensors, by their ids, that recordings of the same function change."""
        run = recording.run
        assert isinstance(run.program, Placed)
        (part,) = run.program.parts
        assert isinstance(part, Compiled)
        self._recording, self._part, self._stored = recording, part, run.program.stored
        token = platform.token(part.device)
        self._array = type(token)
        self._find_changed(known)
        self._find_gradients()
        self._groups: list[Group] = [*self._changed, *self._made]
        self._check = Check(self._groups)
        self._numbers = self._by_dtype()
        self._generators = list(recording.keys.values())
        self._choose()
        alone = recording.constants.keys() - {k for ks in self._numbers.values() for k in ks}
        self._inputs: list[Any] = [token, *[None] * (self._first_number + len(self._numbers) - 1)]
        for k in alone & part.number.keys():
            self._inputs[self._at[part.number[k]]] = put(recording.constants[k], part.device)
        self.take_numbers()
        self._read = [
            (t, self._at[part.number[k]], kind_of(run.leaves[k]))
            for k, t in recording.tensors.items()
            if id(t) not in recording.changed and k in part.number
        ]
        self._arguments = [
            (self._at[part.number[k]], n)
            for k, n in recording.arguments.items()
            if k in part.number
        ]

    def _find_changed(self, known: dict[Any, Changed]) -> None:
        """Tensors that the call changes: the input that each was, and its stored value."""
        recording, part, run = self._recording, self._part, self._recording.run
        leaf_of = {id(t): k for k, t in recording.tensors.items()}
        all_of_them = [
            (t, part.number.get(leaf_of.get(i, -1)), k) for i, (t, k) in recording.changed.items()
        ]
        self._versioned = [t for t, _, _ in all_of_them]
        groups = groups_of(
            (entry, run.stored[entry[2]].type)
            for entry in all_of_them
            if entry[1] is not None and part.kinds[entry[1]] is run.stored[entry[2]].type
        )
        self._changed = []
        for group in groups:
            handles = [t for t, _, _ in group]
            kinds = [kind_of(run.stored[k]) for _, _, k in group]
            key = tuple(map(id, handles))
            self._changed.append(known.setdefault(key, Changed(handles, kinds)))
        self._packings = [
            Packing(tuple([at for _, at, _ in g]), tuple([self._stored[k] for _, _, k in g]))
            for g in groups
        ]
        together = {id(t) for group in groups for t, _, _ in group}
        self._alone = [entry for entry in all_of_them if id(entry[0]) not in together]
        self._handles = [t for t, _, _ in self._alone]
        self._kinds = [kind_of(run.stored[k]) for _, _, k in self._alone]
        self._over = [at for _, at, _ in self._alone]

    def _find_gradients(self) -> None:
        """Those that the call makes."""
        stored, recording = self._recording.run.stored, self._recording
        groups = groups_of((entry, stored[entry[1]].type) for entry in recording.gradients)
        self._made = [
            Made([t for t, _ in group], [stored[k].type for _, k in group]) for group in groups
        ]
        self._made_groups = groups
        together = {id(t) for group in groups for t, _ in group}
        self._made_alone = [entry for entry in recording.gradients if id(entry[0]) not in together]

    def _by_dtype(self) -> dict[dtype, list[int]]:
        """The leaves that are numbers."""
        recording, found = self._recording, dict[dtype, list[int]]()
        for k in sorted(recording.constants.keys() | recording.live.keys()):
            kind = recording.run.leaves[k].type
            if k in self._part.number and not kind.shape:
                found.setdefault(kind.dtype, []).append(k)
        return found

    def take_numbers(self) -> None:
        """Computes the live numbers anew."""
        live, constants = self._recording.live, self._recording.constants
        for place, (kind, leaves) in enumerate(self._numbers.items(), self._first_number):
            numbers = [live[k].get() if k in live else constants[k] for k in leaves]
            array = np.array(numbers, kind.numpy)
            self._inputs[place] = put(array, self._part.device)

    def _choose(self) -> None:
        """Finds the program for the settings as they are, and where all is that it takes and gives.

        Of its arguments the first is the token; then come inputs by themselves, tensors that are
        changed together, numbers, and keys of random numbers.
        """
        recording, part, stored = self._recording, self._part, self._stored
        self._precision = get_precision()
        undone = [
            (stored[recording.changed[id(t)][1]], part.number[k])
            for k, t in recording.tensors.items()
            if id(t) in recording.changed and k in part.number
        ]
        numbers = [Packing(tuple([part.number[k] for k in ks])) for ks in self._numbers.values()]
        keys = [Packing(tuple([part.number[k] for k in recording.keys]))] if recording.keys else []
        made = [Packing((), tuple([stored[k] for _, k in group])) for group in self._made_groups]
        packs = (*self._packings, *numbers, *keys, *made)
        packed = {place for pack in packs for place in pack.outputs}
        given = [k for k in self._over if k in part.donations and part.donations[k] not in packed]
        given += [len(part.number) + k for k in range(len(self._changed))]
        self._traced, places, fallible = part.jitted(
            tuple(sorted(given)), tuple(sorted(undone)), packs=packs
        )
        self._call: Any = None  # compiled when all arguments are there
        self._ops = part.fallible_ops(fallible, recording.run.where)
        alone = part.alone(packs)
        self._at = {k: place for place, k in enumerate(alone, 1)}
        self._first_pack = 1 + len(alone)
        self._first_number = self._first_pack + len(self._changed)
        at = {place: k for k, place in enumerate(places, len(self._groups))}
        self._new_values = [at[stored[k]] for _, _, k in self._alone]
        self._gradients = [
            (p, recording.run.stored[k].type, at[stored[k]]) for p, k in self._made_alone
        ]
        self._returned = [
            (i, recording.run.stored[k], at[stored[k]]) for i, k in recording.returned.items()
        ]

    def run(self, arguments: list[Node]) -> dict[int, Node] | None:
        """The nodes of what is returned, by the ids of the recorded ones; None, with nothing
        changed, if Python must do it.
        """
        if get_precision() is not self._precision:
            self._choose()
        inputs, new = self._inputs[:], list[Group]()
        if not self._check.holds():
            new = [group for group in self._groups if not group.check.holds()]
        if not (all([group.settle() for group in new]) and self._take(inputs, arguments)):
            return None
        for param, _, _ in self._gradients:
            param.__dict__["_grad"] = None  # its memory may be needed
        out = self._called(inputs)
        for group, array in zip(self._groups, out, strict=False):  # (others follow)
            group.pack.put(array)
        for group in new:
            group.hand_out()
        for handle, k in zip(self._handles, self._new_values, strict=True):
            handle._node.value = out[k]
        for handle in self._versioned:
            handle._version += 1
        for param, kind, k in self._gradients:
            param.__dict__["_grad"] = wrap(leaf(out[k], kind))
        return {i: node_like(node, out[k], next_order()) for i, node, k in self._returned}

    def _called(self, inputs: list[Any]) -> list[Any]:
        if self._generators:
            pairs = [n for generator in self._generators for n in generator.next_pair()]
            inputs.append(np.array(pairs, np.int64))
        if self._call is None:
            self._call = self._part.ahead(self._traced, inputs)
        out, found = self._part.called(self._call, inputs, bool(self._generators))
        if self._ops:
            watch(Watch(found, self._ops))
        return out  # type: ignore[no-any-return]

    def _take(self, inputs: list[Any], arguments: list[Node]) -> bool:
        """Fills in what the call reads; False if a tensor has become another kind of tensor."""
        for handle, place, kind in self._read:
            node = handle._node if handle._base is None else handle._sync()
            if (node.type, node.tracks) != kind:
                return False
            inputs[place] = self._near(node)
        for place, k in self._arguments:
            node = arguments[k]
            value = node.value
            near = value.__class__ is self._array and node.type.device is self._part.device
            inputs[place] = value if near else self._near(node)
        for place, changed in enumerate(self._changed, self._first_pack):
            inputs[place] = changed.pack.array
        return not self._handles or self._take_alone(inputs)

    def _take_alone(self, inputs: list[Any]) -> bool:
        """The same for tensors that are changed, each by itself."""
        handles = self._handles
        nodes, bases = [*map(_node, handles)], map(base_of, handles)
        if [*map(kind_of, nodes)] != self._kinds or any([b is not None for b in bases]):
            return False
        values = [*map(_value, nodes)]
        if not (
            all([v.__class__ is self._array for v in values])
            and max(map(getrefcount, nodes), default=0) <= MINE
            and max(map(getrefcount, values), default=0) <= MINE
        ):
            del nodes, values
            values = [self._made_ours(handle) for handle in handles]
        for at, value in zip(self._over, values, strict=True):
            if at is not None:
                inputs[self._at[at]] = value
        return True

    def _near(self, node: Node) -> Any:
        value = node.value
        if value.__class__ is not self._array:
            value = computed(node)
        elif node.type.device is not self._part.device:
            value = put(value, self._part.device)
        return value

    def _made_ours(self, handle: Any) -> Any:
        """The value of a tensor, in an array and node that nobody else has."""
        node = handle._node
        value = computed(node)
        shared = getrefcount(node) > MINE  # its tensor, the local variable, the argument
        if value.__class__ is not self._array:
            value = put(value, self._part.device)
        elif shared or getrefcount(value) > MINE:
            with platform.wide():
                value = jax.numpy.copy(value)
        if shared:
            node, old = node_like(node, value, node.order), node
            if old.tracks & LEAF:
                node.extra = old.extra
            handle._node = node
        node.value = value
        return value
