"""Where the values of a recorded call come from, and where its results go.

A call can be repeated without Python if all of both is known: leaves are arguments, parameters,
buffers, optimisers' states, gradients, live numbers, keys of random numbers, or constants; results
are new values of these tensors, gradients, or returned. A call that leaves anything else behind (a
tensor in a list, an attribute) is run by Python each time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from sys import getrefcount
from typing import Any

import numpy as np

from ..engine.realize import Run
from ..graph.node import HISTORY, LEAF, Node
from ..graph.tracing import Live, Trace


class Obstacle(Exception):
    """Why a call cannot be repeated without Python."""


@dataclass
class Recording:
    """A call, ready to be repeated.

    Attributes:
        run: its program.
        arguments: leaf -> number of the argument.
        tensors: leaf -> the tensor that holds it.
        live: leaf -> number that is computed anew.
        keys: leaf -> generator.
        constants: leaf -> array.
        changed: tensor's id -> (tensor, result) for what is changed in place.
        gradients: (parameter, result) for each gradient that is made.
        held: (parameter, gradient) for each gradient that is read or changed.
        unused: results that nobody sees after the call.
        returned: id of the node -> result, for what the function returns.
    """

    run: Run
    arguments: dict[int, int] = field(default_factory=dict)
    tensors: dict[int, Any] = field(default_factory=dict)
    live: dict[int, Live] = field(default_factory=dict)
    keys: dict[int, Any] = field(default_factory=dict)
    constants: dict[int, Any] = field(default_factory=dict)
    changed: dict[int, tuple[Any, int]] = field(default_factory=dict)
    gradients: list[tuple[Any, int]] = field(default_factory=list)
    held: list[tuple[Any, Any]] = field(default_factory=list)
    returned: dict[int, int] = field(default_factory=dict)
    unused: list[int] = field(default_factory=list)

    def same_as(self, other: Recording) -> bool:
        """Would both do the same, but for values that change from call to call?"""
        return (
            self.run.program is other.run.program
            and self.arguments == other.arguments
            and _ids(self.tensors) == _ids(other.tensors)
            and {k: v.text for k, v in self.live.items()}
            == {k: v.text for k, v in other.live.items()}
            and _ids(self.keys) == _ids(other.keys)
            and self.constants.keys() == other.constants.keys()
            and all(_equal(v, other.constants[k]) for k, v in self.constants.items())
            and {k: r for k, (_, r) in self.changed.items()}
            == {k: r for k, (_, r) in other.changed.items()}
            and [(id(p), r) for p, r in self.gradients] == [(id(p), r) for p, r in other.gradients]
            and sorted(self.returned.values()) == sorted(other.returned.values())
        )


def _ids(held: dict[int, Any]) -> dict[int, int]:
    return {k: id(v) for k, v in held.items()}


def _equal(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


def recorded(
    trace: Trace,
    before: list[Node],
    known: Iterable[Any],
    returned: Iterable[Any],
) -> Recording:
    """The recording of a call.

    Args:
        before: the arguments' nodes when the call began.
        known: tensors that the call may read and change (parameters, buffers, states, gradients).
        returned: tensors that it returns.

    Raises:
        Obstacle: saying what is not known.
    """
    if trace.obstacles:
        raise Obstacle(trace.obstacles[0])
    if len(trace.runs) != 1:
        raise Obstacle(
            "it records nothing"
            if not trace.runs
            else "it records more than runs at once (see WEFT_MAX_PENDING_NODES)"
        )
    run: Run = trace.runs[0]
    if why := run.program.obstacle():
        raise Obstacle(why)
    recording = Recording(run)
    first = _before(run)
    started = {id(first.get(id(t), t._node)): t for t in known}
    _explain_leaves(recording, trace, {id(n): k for k, n in enumerate(before)}, started)
    recording.keys = _in_order_of_drawing(recording)
    old = {i for i, node in first.items() if node.order < trace.start}
    _explain_results(recording, known, returned, old)
    recording.run = run._replace(
        # (their values must not stay alive as long as the recording does)
        leaves=[node_like(n, None, n.order) for n in run.leaves],
        stored=[node_like(n, None, n.order) for n in run.stored],
        changes=[],
    )
    return recording


def node_like(model: Node, value: Any, order: int) -> Node:
    """A node that stands for what another does, with a value and place of its own."""
    node = Node()
    node.sig, node.type, node.where = model.sig, model.type, model.where
    node.tracks, node.order = model.tracks, order
    node.inputs, node.value, node.mark = (), value, 0
    return node


def _before(run: Run) -> dict[int, Node]:
    """For each tensor that is changed in place, by its id, the node that it had before."""
    first: dict[int, Node] = {}
    for change in run.changes:
        handle = change.handle()
        if handle is not None:
            first.setdefault(id(handle), change.before)
    return first


def _explain_leaves(
    recording: Recording, trace: Trace, arguments: dict[int, int], started: dict[int, Any]
) -> None:
    live = {id(node): number for node, number in trace.live}
    keys = {id(node): generator for node, generator in trace.keys}
    for k, node in enumerate(recording.run.leaves):
        if id(node) in arguments:
            recording.arguments[k] = arguments[id(node)]
        elif id(node) in started:
            recording.tensors[k] = started[id(node)]
        elif id(node) in live:
            recording.live[k] = live[id(node)]
        elif id(node) in keys:
            recording.keys[k] = keys[id(node)]
        elif node.order >= trace.start:
            recording.constants[k] = node.value
        else:
            raise Obstacle(
                f"it uses a tensor of {node.type} that is neither an argument nor held by a "
                "module, an optimiser, a global or a variable of an enclosing function"
            )


def _in_order_of_drawing(recording: Recording) -> dict[int, Any]:
    leaves = recording.run.leaves
    return {k: recording.keys[k] for k in sorted(recording.keys, key=lambda k: leaves[k].order)}


def _explain_results(
    recording: Recording, known: Iterable[Any], returned: Iterable[Any], old: set[int]
) -> None:
    """``old``: ids of tensors that were there before the call, and are changed by it."""
    made, moved = _owners(known, old)
    returned = list(returned)
    bases = _bases_of_their_own(known, returned)
    loose = {id(b._node) for b in bases.values()}
    earlier = {id(c.before) for c in recording.run.changes}
    out = {id(t._node) for t in returned}
    for k, node in enumerate(recording.run.stored):
        owners = moved[id(node)] + made[id(node)]
        if node.tracks & HISTORY:
            raise Obstacle("a result has a history that backward() has not used up")
        if id(node) in out and not owners:
            recording.returned[id(node)] = k
        elif made[id(node)] and len(owners) == len(made[id(node)]):
            recording.gradients += [(t, k) for t in owners]
        elif len(owners) == 1 and _is_plain(owners[0]):
            recording.changed[id(owners[0])] = owners[0], k
        elif (id(node) in earlier or id(node) in loose) and not owners:
            recording.unused.append(k)  # kept in case that the run fails, or for a view of it
        else:
            raise Obstacle(f"a tensor of {node.type} is kept somewhere after the call")
    used = {*map(id, recording.tensors.values()), *recording.changed}
    recording.held = [(t, t._grad) for t in known if id(t.__dict__.get("_grad")) in used]
    if any(
        id(t._node) not in recording.returned or (t._base is not None and id(t._base) not in bases)
        for t in returned
    ):
        raise Obstacle("it returns a tensor that it has not computed, or a view")


def _bases_of_their_own(known: Iterable[Any], returned: list[Any]) -> dict[int, Any]:
    """By id, what nobody holds but one view of it that is returned (``loss.detach()``): the view is
    as good as a tensor of its own.
    """
    others = {*map(id, known), *map(id, returned)}
    found = {}
    for view in returned:
        base = view._base
        # (references: the view's, the local variable, the argument)
        if base is not None and id(base) not in others and getrefcount(base) == 3:
            found[id(base)] = base
    return found


Owners = defaultdict[int, list[Any]]


def _owners(known: Iterable[Any], old: set[int]) -> tuple[Owners, Owners]:
    """By the node's id: the tensors whose gradient is made of it, and those changed to it."""
    made: Owners = defaultdict(list)
    moved: Owners = defaultdict(list)
    for t in known:
        if id(t) in old:
            moved[id(t._node)].append(t)
        gradient = t.__dict__.get("_grad")
        if gradient is not None and id(gradient) not in old:
            made[id(gradient._node)].append(t)
    return made, moved


def _is_plain(tensor: Any) -> bool:
    return tensor._base is None and tensor._node.tracks in (0, LEAF)
