"""The only door from recorded nodes to values."""

from __future__ import annotations

from collections import OrderedDict
from threading import RLock
from typing import Any, Protocol
from weakref import ReferenceType

from ..graph.liveness import Work, settle, take_pending
from ..graph.node import GONE, PENDING, Node, is_over_limit
from .reference import Failure, Program


class _Handle(Protocol):
    """What is bound to a node (a Tensor; it stands above this file)."""

    _node: Node
    _version: int


_MAX_PROGRAM_STEPS = 1_000_000

_lock = RLock()
_programs: OrderedDict[tuple[Any, ...], Program] = OrderedDict()
_program_steps = 0

#: Changes in place since the last run: the handle and its node before, which it gets back if the
#: new value cannot be computed.
UNDO: list[tuple[ReferenceType[Any], Node]] = []


class Stats:
    """Counters for tests: runs, programs built, nodes computed."""

    runs = 0
    built = 0
    nodes = 0


def realize_pending() -> None:
    """Runs everything that is pending and that somebody can still see."""
    with _lock:
        if not PENDING:
            return
        work = take_pending()
        if work.order:
            _run(work)
        else:
            _settle_changes()


def _run(work: Work) -> None:
    program = _program(work)
    Stats.runs += 1
    Stats.nodes += len(work.order)
    try:
        values = program.run([leaf.value for leaf in work.leaves], work.order)
    except BaseException:  # Ctrl-C, or a fault of ours: nothing that was pending has a value
        lost = Failure(RuntimeError, "the run that was to compute this was interrupted")
        _settle(work, [lost] * len(work.stored))
        raise
    _settle(work, values)


def _settle(work: Work, values: list[Any]) -> None:
    """Hands out the values, also when Ctrl-C comes in the middle of it."""
    try:
        settle(work, values)
        _settle_changes()
    except KeyboardInterrupt:
        settle(work, values)
        _settle_changes()
        raise


def _settle_changes() -> None:
    if UNDO:
        for reference, before in UNDO:
            handle: _Handle | None = reference()
            if handle is not None and handle._node.value.__class__ is Failure:
                handle._node = before
                handle._version += 1
        UNDO.clear()


def _program(work: Work) -> Program:
    global _program_steps
    key: list[Any] = [len(work.leaves)]
    add = key.append
    for node in work.order:
        add(node.sig)
        for source in node.inputs:
            add(source.mark)
    key += [node.mark for node in work.stored]
    structure = tuple(key)
    program = _programs.get(structure)
    if program is not None:
        _programs.move_to_end(structure)
        return program
    Stats.built += 1
    program = _programs[structure] = Program(work)
    _program_steps += len(program.steps)
    while _program_steps > _MAX_PROGRAM_STEPS and len(_programs) > 1:
        _, old = _programs.popitem(last=False)
        _program_steps -= len(old.steps)
    return program


def value_of(node: Node) -> Any:
    """The node's value, computed if it is pending.

    Raises:
        the error that computing it, or what it depends on, met.
    """
    value = node.value
    if value is None:
        realize_pending()
        value = node.value
    if value.__class__ is Failure:
        raise value.error()
    if value is GONE or value is None:
        raise RuntimeError(f"internal error: the value of {node!r} was not kept")
    return value


def realize_if_large() -> None:
    """Runs the pending graph when it has passed its limits, outside of backward()."""
    if not Hold.count and is_over_limit():
        realize_pending()


class Hold:
    """While held (backward() is recording) the pending graph is not run by its size."""

    count = 0

    def __enter__(self) -> None:
        Hold.count += 1

    def __exit__(self, *exc: object) -> None:
        Hold.count -= 1
