"""Which pending nodes somebody still needs.

Nothing is paid for this while recording. PENDING is in recording order, which is a topological
order. Walking it backwards, each alive consumer adds to its inputs' use count; references beyond
those uses (``sys.getrefcount``) mean that somebody outside the graph holds the node: a Tensor, a
gradient, a frame. No use and no holder: dead, and its inputs lose one use.

This rests on CPython with a GIL counting references exactly, and is the only place that does.
A frame, a loop variable or a traceback is a holder too, hence the care with locals below.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import getrefcount

from .node import GONE, HISTORY, PENDING, Fresh, Node

_STORE, _HISTORY, _USE = 1, 2, 4  # bits of Node.mark while a run is planned


class Work:
    """What one run has to do.

    Attributes:
        leaves: nodes that have their values.
        order: nodes to compute, each after its inputs.
        stored: those of ``order`` whose values are kept.
        history: those of ``order`` that a gradient may be asked of.
        last: place in the order of recording of the last node taken, alive or dead.

    While a run lasts, ``mark`` of each node is its place in ``leaves + order``.
    """

    __slots__ = ("history", "last", "leaves", "order", "stored")

    def __init__(self) -> None:
        self.last = -1
        self.leaves: list[Node] = []
        self.order: list[Node] = []
        self.stored: list[Node] = []
        self.history: list[Node] = []


def take_pending(work: Work) -> None:
    """Empties PENDING and says what must be computed. If interrupted, all is as it was before."""
    taken = len(PENDING)
    batch = PENDING[:taken]  # another thread may go on recording behind these
    work.last = batch[-1].order
    try:
        del PENDING[:taken]
        _walk_back(batch, work)
        work.order.reverse()
        _number(work)
    except BaseException:
        _put_back(batch, work)
        raise
    Fresh.bytes = 0


def _walk_back(batch: list[Node], work: Work) -> None:
    """Moves what is alive from ``batch`` to ``work``, latest first."""
    done, alive, outside = batch.pop, work.order.append, work.leaves.append
    node = None
    while batch:
        node = batch[-1]
        mark = node.mark
        if getrefcount(node) - 3 != mark >> 2:  # 3: the batch, the local and the argument
            mark |= _STORE | _HISTORY if node.tracks & HISTORY else _STORE
        elif not mark:
            node = None
            done()  # frees it
            continue
        alive(node)
        done()
        inputs = node.inputs
        for source in inputs:
            if not source.mark and source.value is not None:
                outside(source)
            source.mark += _USE
        if mark & _HISTORY:  # a gradient may come: keep what its rule reads
            sig = node.sig
            if sig.op.needs_output:
                mark |= _STORE
            for k in sig.needs:
                inputs[k].mark |= _STORE
            for source in inputs:
                if source.tracks & HISTORY:
                    source.mark |= _HISTORY
        source = None
        node.mark = mark


def _put_back(batch: list[Node], work: Work) -> None:
    """Undoes an interrupted walk."""
    nodes = {n.order: n for n in (*batch, *work.order)}  # one may be in both
    for node in nodes.values():
        node.mark = 0
        for source in node.inputs:
            source.mark = 0
    if not (batch and PENDING and PENDING[0] is batch[0]):  # else they never left
        PENDING[:0] = [nodes[k] for k in sorted(nodes)]
    for part in (work.leaves, work.order, work.stored, work.history):
        part.clear()


def _number(work: Work) -> None:
    """Turns the marks into places."""
    place = 0
    for node in work.leaves:
        node.mark = place
        place += 1
    stored, history = work.stored.append, work.history.append
    for node in work.order:
        mark = node.mark
        if mark & _STORE:
            stored(node)
        if mark & _HISTORY:
            history(node)
        node.mark = place
        place += 1


def part_of(work: Work, wanted: Callable[[Node], bool]) -> tuple[Work, list[int]]:
    """What leads to those of the stored nodes that are wanted, numbered anew.

    Returns:
        that, and for each of its ``order`` the place in the whole's.
    """
    part, places = Work(), list[int]()
    part.stored = [node for node in work.stored if wanted(node)]
    needed = set(part.stored)
    for k in range(len(work.order) - 1, -1, -1):
        if work.order[k] in needed:
            places.append(k)
            needed.update(work.order[k].inputs)
    places.reverse()
    part.leaves = [node for node in work.leaves if node in needed]
    part.order = [work.order[k] for k in places]
    part.history = [node for node in work.history if node in needed]
    for place, node in enumerate((*part.leaves, *part.order)):
        node.mark = place
    return part, places


def settle(work: Work, values: list[object]) -> None:
    """Gives the stored nodes their values and lets go of all inputs that no gradient needs.

    May be called again if interrupted.
    """
    for node in work.leaves:
        node.mark = 0
    for node, value in zip(work.stored, values, strict=True):
        node.value = value
        node.mark = 0
        if not node.tracks & HISTORY:
            node.inputs = ()
    for node in work.history:
        node.mark = 0
        if node.value is None:
            node.value = GONE
        needs = node.sig.needs
        node.inputs = tuple(
            [
                source if source is not None and (source.tracks or k in needs) else None
                for k, source in enumerate(node.inputs)
            ]
        )
    for node in work.order:  # neither stored nor history: used inside the run only
        if node.mark:
            node.mark = 0
            node.value = GONE
            node.inputs = ()
