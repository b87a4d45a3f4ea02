"""Functions of nodes that are recorded once and then stand as one node: how such a node is undone.

Recording costs about as much for an op on four numbers as for one on four million. What consists
of many ops and depends on nothing but its inputs' types (a layer of a recurrent network, for one)
is therefore recorded once as a :class:`Body`, and from then on as one node, a call of it
(``weft/calls.py``). Before a graph is planned, :func:`inlined` puts the body's ops in place of
each call, so that whoever runs graphs knows nothing of calls, and optimises across them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from .liveness import Work
from .node import OPS, Node, Signature, leaf, record_as, signature


class Body:
    """A recorded function of nodes. Two calls of one body are of one kind: it is its own key.

    Places are numbered: the inputs, the constants, and what the steps compute.

    Attributes:
        inputs: their types.
        constants: leaves that are the same in each call.
        steps: each op, applied to places before it.
        outputs: places of the results, each computed by a step of its own.
        kinds: their types.
        derived: what has been made of it before, by what was asked for.
        source: the function that it was recorded from, and its options; or a :class:`Gradient`.
    """

    __slots__ = ("constants", "derived", "inputs", "kinds", "outputs", "source", "steps")

    def __init__(self, inputs: Sequence[Node], outputs: Sequence[Node], source: Any = None) -> None:
        self.source = source
        self.inputs = tuple([x.type for x in inputs])
        reached = _reached(inputs, outputs)
        self.constants = [_lasting(n) for n in reached if n.value is not None]
        computed = [n for n in reached if n.value is None]
        order = [*inputs, *[n for n in reached if n.value is not None], *computed]
        places = {node: k for k, node in enumerate(order)}
        self.steps = [(n.sig, tuple([places[i] for i in n.inputs])) for n in computed]
        self.outputs = tuple([places[y] for y in outputs])
        self.kinds = tuple([y.type for y in outputs])
        self.derived: dict[Any, Any] = {}

    def __repr__(self) -> str:
        return f"<{len(self.steps)} ops>"

    def recorded(self, inputs: Sequence[Node]) -> list[Node]:
        """The results, recorded op by op."""
        nodes = [*inputs, *self.constants]
        for sig, places in self.steps:
            nodes.append(record_as(sig, tuple([nodes[p] for p in places])))
        return [nodes[p] for p in self.outputs]

    def needed(self, outputs: Sequence[int]) -> list[int]:
        """The steps that lead to some of the outputs, in order."""
        first = len(self.inputs) + len(self.constants)
        wanted = {self.outputs[k] for k in outputs}
        found = []
        for k in range(len(self.steps) - 1, -1, -1):
            if first + k in wanted:
                found.append(k)
                wanted.update(self.steps[k][1])
        return found[::-1]

    @property
    def forward(self) -> Body:
        """The body that it computes gradients of; else itself."""
        return self.source.body if isinstance(self.source, Gradient) else self

    @property
    def rule(self) -> tuple[str, tuple[Any, ...]]:
        """The name and the options of the rule that was recorded as one node; else ""."""
        options = self.source[1] if self.source else None
        if isinstance(options, tuple) and callable(options[0]):
            return options[0].__name__, options[1]
        return "", ()


class Gradient(NamedTuple):
    """In place of a source: the body computes gradients of another one.

    Its inputs are the other's, and gradients of the other's outputs.

    Attributes:
        body: the other.
        wanted: of which of its inputs.
    """

    body: Body
    wanted: tuple[int, ...]


class Part(NamedTuple):
    """What the op ``part`` takes of a call: one of several results."""

    body: Body
    number: int


def _reached(inputs: Sequence[Node], outputs: Sequence[Node]) -> list[Node]:
    """What the outputs are made of, up to the inputs, in the order of recording."""
    known = {*inputs}
    seen = {y for y in outputs if y not in known}
    stack = list(seen)
    while stack:
        for source in stack.pop().inputs:
            if source not in known and source not in seen:
                seen.add(source)
                stack.append(source)
    return sorted(seen, key=lambda n: n.order)


def _lasting(node: Node) -> Node:
    """A constant that belongs to every recording: none that began before it."""
    node.order = sys.maxsize
    return node


class Inlined(NamedTuple):
    """How graphs of one structure are as graphs without calls.

    Attributes:
        constants: leaves that come after theirs.
        origins: for each node of the new order, its place in the old one.
        stored: places of the stored nodes in the new leaves and order.
    """

    constants: list[Node]
    origins: list[int]
    stored: list[int]

    def applied(self, work: Work) -> Work:
        """A graph of that structure as it is without calls: its leaves, places and results.

        The marks of its stored nodes are changed to their new places.
        """
        for node, place in zip(work.stored, self.stored, strict=True):
            node.mark = place
        found = Work()
        found.leaves = [*work.leaves, *self.constants]
        found.order = _Origins(work.order, self.origins)  # type: ignore[assignment]
        found.stored = work.stored
        return found


#: Whether a device has a kernel for all that a body computes.
Whole = Callable[[Body], bool]


def inlined(work: Work, whole: Whole = lambda body: False) -> tuple[Work, Inlined]:
    """A graph in which each call is replaced by its ops, of nodes of its own; and how.

    Args:
        whole: calls for which it is true stay; of several results, each becomes a node ``piece``.
    """
    inliner = _Inliner(whole)
    inliner.run(work)
    stored = [node.mark for node in inliner.work.stored]
    return inliner.work, Inlined(inliner.constants, inliner.origins, stored)


class _Inliner:
    def __init__(self, whole: Whole) -> None:
        self._whole = whole
        self.work = Work()
        self.constants: list[Node] = []
        self.origins: list[int] = []
        self._places: dict[Node, int] = {}
        self._known: dict[Any, Node] = {}
        self._stored: set[Node] = set()

    def run(self, work: Work) -> None:
        at: list[Any] = list(work.leaves)
        stored = {node.mark for node in work.stored}
        used = _outputs_used(work)
        for origin, node in enumerate(work.order):
            inputs = [at[i.mark] for i in node.inputs]
            attrs = node.sig.attrs
            found: Any
            if attrs.__class__ is Body:
                parts = used.get(node.mark)
                found = self._called(attrs, inputs, parts or (0,), origin)
                if parts is None:  # its only result
                    found = found[0]
            elif attrs.__class__ is Part:
                found = inputs[0][attrs.number]
            else:
                found = self._node(node.sig, tuple(inputs), origin)
            if node.mark in stored and found.__class__ is Node:
                found = self._of_its_own(found, origin)
                self.origins[self._places[found]] = origin
            at.append(found)
        results = [at[node.mark] for node in work.stored]
        # (held by nobody but a traceback: a call of several results has no value of its own)
        self.work.stored = [
            y if y.__class__ is Node else next(n for n in y if n is not None) for y in results
        ]
        self.work.leaves = [*work.leaves, *self.constants]
        for place, node in enumerate((*self.work.leaves, *self.work.order)):
            node.mark = place

    def _called(
        self, body: Body, inputs: list[Node], used: Sequence[int], origin: int
    ) -> list[Node | None]:
        if self._whole(body):
            pieces: list[Node | None] = [None] * len(body.outputs)
            for k in used:
                sig = signature(OPS["piece"], Part(body, k), body.inputs)
                known = self._known.get((sig, tuple(inputs)))
                pieces[k] = known or self._node(sig, tuple(inputs), origin)
            return pieces
        nodes: list[Any] = [*inputs, *map(self._constant, body.constants)]
        first = len(nodes)
        nodes += [None] * len(body.steps)
        for k in body.needed(used):
            sig, places = body.steps[k]
            sources = tuple([nodes[p] for p in places])
            found = self._known.get((sig, sources))
            nodes[first + k] = self._node(sig, sources, origin) if found is None else found
        return [nodes[p] for p in body.outputs]

    def _node(self, sig: Signature, inputs: tuple[Node, ...], origin: int) -> Node:
        node = Node()
        node.sig, node.type, node.inputs = sig, sig.type, inputs
        node.value, node.where, node.tracks, node.order = None, None, 0, origin
        self._places[node] = len(self.origins)
        self.work.order.append(node)
        self.origins.append(origin)
        self._known.setdefault((sig, inputs), node)
        return node

    def _constant(self, node: Node) -> Node:
        key = (node.type, node.value.tobytes())
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = leaf(node.value, node.type)
            known.order = node.order
            self.constants.append(known)
        return known

    def _of_its_own(self, node: Node, origin: int) -> Node:
        """Two stored values are two arrays, also if two calls have the same inputs."""
        if node in self._stored:
            node = self._node(node.sig, node.inputs, origin)
        self._stored.add(node)
        return node


def _outputs_used(work: Work) -> dict[int, list[int]]:
    """For each call of several results (by its mark), which of them are asked for."""
    found: dict[int, list[int]] = {}
    for node in work.order:
        if node.sig.attrs.__class__ is Part:
            found.setdefault(node.inputs[0].mark, []).append(node.sig.attrs.number)
    return found


class _Origins(Sequence[Node]):
    """For each node of a new order the one of the old order that it comes from."""

    def __init__(self, order: list[Node], origins: list[int]) -> None:
        self._order, self._origins = order, origins

    def __len__(self) -> int:
        return len(self._origins)

    def __getitem__(self, place: Any) -> Any:
        return self._order[self._origins[place]]

    def __iter__(self) -> Iterator[Node]:
        return iter([self._order[k] for k in self._origins])


def has_calls(work: Work) -> bool:
    """Is there anything to be put in place?"""
    return any([node.sig.attrs.__class__ is Body for node in work.order])
