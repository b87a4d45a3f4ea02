"""A recorded call, run again on a GPU, a TPU, or the CPU by XLA.

Nothing waits: values come and go as arrays that are still being computed. The program writes over
the tensors that the call changes (parameters, states); whoever else holds on to such an array keeps
what he has, and the program is given a copy.
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
from ..engine.xla.program import Compiled, Placed
from ..graph.node import LEAF, Node, leaf, next_order
from ..tensors.core import wrap
from .recording import Recording, node_like

_node, _value = attrgetter("_node"), attrgetter("value")
_base, _kind = attrgetter("_base"), attrgetter("type", "tracks")

#: References to what is nobody else's: its owner, the list that it is in, an argument.
_MINE = 3


class PlacedReplay:
    """A recording and the program of its device. To be run under the lock of all runs."""

    def __init__(self, recording: Recording) -> None:
        run = recording.run
        assert isinstance(run.program, Placed)
        (part,) = run.program.parts
        assert isinstance(part, Compiled)
        self._recording, self._part, self._stored = recording, part, run.program.stored
        leaf_of = {id(t): k for k, t in recording.tensors.items()}
        self._changed = [t for t, _ in recording.changed.values()]
        self._kinds = [_kind(run.stored[k]) for _, k in recording.changed.values()]
        self._over = [part.number.get(leaf_of.get(id(t), -1)) for t in self._changed]
        self._read = [
            (t, part.number[k], _kind(run.leaves[k]))
            for k, t in recording.tensors.items()
            if id(t) not in recording.changed and k in part.number
        ]
        self._arguments = [
            (part.number[k], n) for k, n in recording.arguments.items() if k in part.number
        ]
        self._keys = [(g, part.number[k]) for k, g in recording.keys.items()]
        token = platform.token(part.device)
        self._array = type(token)
        self._numbers = self._by_dtype()
        self._inputs: list[Any] = [token, *[None] * (len(part.number) + len(self._numbers))]
        alone = recording.constants.keys() - {k for ks in self._numbers.values() for k in ks}
        for k in alone & part.number.keys():
            self._inputs[part.number[k] + 1] = put(recording.constants[k], part.device)
        self.take_numbers()
        self._choose()

    def _by_dtype(self) -> dict[dtype, list[int]]:
        """The leaves that are numbers. Those of a dtype go to the program as one array: it is the
        count of its arguments that makes a call of a small program long.
        """
        recording, found = self._recording, dict[dtype, list[int]]()
        for k in sorted(recording.constants.keys() | recording.live.keys()):
            kind = recording.run.leaves[k].type
            if k in self._part.number and not kind.shape:
                found.setdefault(kind.dtype, []).append(k)
        return found

    def take_numbers(self) -> None:
        """Computes the live numbers anew."""
        live, constants = self._recording.live, self._recording.constants
        first = 1 + len(self._part.number)
        for place, (kind, leaves) in enumerate(self._numbers.items()):
            numbers = [live[k].get() if k in live else constants[k] for k in leaves]
            array = np.array(numbers, kind.numpy)
            self._inputs[first + place] = put(array, self._part.device)

    def _choose(self) -> None:
        """Finds the program for the settings as they are, and where its results are."""
        recording, part = self._recording, self._part
        self._precision = get_precision()
        given = [k for k in self._over if k in part.donations]
        undone = [
            (self._stored[stored], k)
            for k, (_, stored) in zip(self._over, recording.changed.values(), strict=True)
            if k is not None
        ]
        numbers = tuple([tuple([part.number[k] for k in ks]) for ks in self._numbers.values()])
        self._call, places, fallible = part.jitted(
            tuple(sorted(given)), tuple(sorted(undone)), numbers=numbers
        )
        self._ops = part.fallible_ops(fallible, recording.run.where)
        at = {place: k for k, place in enumerate(places)}
        self._new_values = [at[self._stored[k]] for _, k in recording.changed.values()]
        self._gradients = [
            (p, recording.run.stored[k].type, at[self._stored[k]]) for p, k in recording.gradients
        ]
        self._returned = [
            (i, recording.run.stored[k], at[self._stored[k]]) for i, k in recording.returned.items()
        ]

    def run(self, arguments: list[Node]) -> dict[int, Node] | None:
        """The nodes of what is returned, by the ids of the recorded ones; None, with nothing
        changed, if Python must do it.
        """
        if get_precision() is not self._precision:
            self._choose()
        inputs = self._inputs[:]
        if not self._take(inputs, arguments):
            return None
        for generator, number in self._keys:
            inputs[number + 1] = np.array(generator.next_pair(), np.int64)
        for param, _, _ in self._gradients:
            param.__dict__["_grad"] = None  # its memory may be needed
        out, found = self._part.called(self._call, inputs)
        if self._ops:
            watch(Watch(found, self._ops))
        for handle, k in zip(self._changed, self._new_values, strict=True):
            handle._node.value = out[k]
            handle._version += 1
        for param, kind, k in self._gradients:
            param.__dict__["_grad"] = wrap(leaf(out[k], kind))
        return {i: node_like(node, out[k], next_order()) for i, node, k in self._returned}

    def _take(self, inputs: list[Any], arguments: list[Node]) -> bool:
        """Fills in what the call reads; False if a tensor has become another kind of tensor."""
        for handle, number, kind in self._read:
            node = handle._node if handle._base is None else handle._sync()
            if (node.type, node.tracks) != kind:
                return False
            inputs[number + 1] = self._near(node)
        for number, k in self._arguments:
            inputs[number + 1] = self._near(arguments[k])
        changed = self._changed
        nodes = [*map(_node, changed)]
        if [*map(_kind, nodes)] != self._kinds or any([b is not None for b in map(_base, changed)]):
            return False
        values = [*map(_value, nodes)]
        if not (
            all([v.__class__ is self._array for v in values])
            and max(map(getrefcount, nodes), default=0) <= _MINE
            and max(map(getrefcount, values), default=0) <= _MINE
        ):
            del nodes, values
            values = [self._made_ours(handle) for handle in changed]
        for at, value in zip(self._over, values, strict=True):
            if at is not None:
                inputs[at + 1] = value
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
        shared = getrefcount(node) > _MINE  # its tensor, the local variable, the argument
        if value.__class__ is not self._array:
            value = put(value, self._part.device)
        elif shared or getrefcount(value) > _MINE:
            with platform.wide():
                value = jax.numpy.copy(value)
        if shared:
            node, old = node_like(node, value, node.order), node
            if old.tracks & LEAF:
                node.extra = old.extra
            handle._node = node
        node.value = value
        return value
