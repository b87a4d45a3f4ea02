"""Which part of a graph runs where, in which order.

Each node belongs to the device of its type. One of no device (a constant, a mask made of places)
is computed where it is used. Parts run one after another: all that a device can compute from what
is there, then the next device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ...graph.device import CPU, device
from ...graph.liveness import Work
from ...graph.node import Node


class Part(NamedTuple):
    """What one device computes in one go.

    Attributes:
        places: of its nodes, in order. (A place is a number in the list of leaves and nodes.)
        inputs: places that it reads.
        outputs: places that it gives.
        shared: those of its inputs that other parts read, too.
    """

    device: device
    places: list[int]
    inputs: list[int]
    outputs: list[int]
    shared: set[int]


#: Ops of several inputs whose value is the first: the others are history only.
_FIRST_ONLY = ("graft", "over", "function_output")


def sources(node: Node) -> tuple[Node, ...]:
    """The inputs whose values are read."""
    return node.inputs[:1] if node.sig.op.name in _FIRST_ONLY else node.inputs


def partition(work: Work, lowers: Callable[[str], bool]) -> list[Part]:
    """
    Args:
        lowers: whether an op of this name can run elsewhere than on the CPU.
    """
    first = len(work.leaves)
    where = _where(work, lowers)
    ranks = {d: k for k, d in enumerate(dict.fromkeys([CPU, *where]))}
    stage = [0] * (first + len(work.order))
    members: dict[int, list[int]] = {}
    for place, node in enumerate(work.order, first):
        latest = max([stage[i.mark] for i in sources(node)], default=0)
        wait = (ranks[where[place - first]] - latest) % len(ranks)  # stages go round the devices
        stage[place] = latest + wait
        members.setdefault(stage[place], []).append(place)
    parts = []
    stored = {node.mark for node in work.stored}
    read_by: dict[int, set[int]] = {}
    for number, places in sorted(members.items()):
        inputs = dict.fromkeys(
            i.mark
            for p in places
            for i in sources(work.order[p - first])
            if i.mark < first or stage[i.mark] != number
        )
        for p in inputs:
            read_by.setdefault(p, set()).add(number)
        parts.append(Part(where[places[0] - first], places, list(inputs), [], set()))
    for part in parts:
        part.outputs.extend([p for p in part.places if p in stored or p in read_by])
        part.shared.update([p for p in part.inputs if len(read_by[p]) > 1])
    return parts


def _where(work: Work, lowers: Callable[[str], bool]) -> list[device]:
    """The device on which each node is computed."""
    first = len(work.leaves)
    wanted: list[device | None] = [None] * (first + len(work.order))
    for node in reversed(work.order):
        here = node.type.device if lowers(node.sig.op.name) else CPU
        here = here or wanted[node.mark] or CPU
        wanted[node.mark] = here
        for source in sources(node):
            if source.type.device is None and here is not CPU:
                wanted[source.mark] = here
    return [d or CPU for d in wanted[first:]]
