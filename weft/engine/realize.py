"""The only door from recorded nodes to values."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import RLock, get_ident
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from weakref import ReferenceType

from .. import config
from ..errors import CompileError
from ..graph.body import Body, Inlined, has_calls, inlined
from ..graph.device import CPU, META
from ..graph.liveness import Work, part_of, settle, take_pending
from ..graph.modes import Where
from ..graph.node import GONE, PENDING, Node, is_over_limit
from ..graph.tracing import Trace, current
from .compare import compare
from .devices import NO_VALUES, Accelerated, Packed, host, is_host
from .native.results import RESULTS
from .reference import Failure, Outcome, Program

if TYPE_CHECKING:
    from .native.program import Native
    from .xla.program import Placed


class _Handle(Protocol):
    """What is bound to a node (a Tensor; it stands above this file)."""

    _node: Node
    _version: int


class Change(NamedTuple):
    """A change in place whose earlier value may be needed again.

    Attributes:
        before: the handle's node before.
        order: of its node after.
        thread: that made it.
    """

    handle: ReferenceType[Any]
    before: Node
    order: int
    thread: int


class Run(NamedTuple):
    """What a trace keeps of a run of the pending graph."""

    program: Planned | Placed
    leaves: list[Node]
    stored: list[Node]
    changes: list[Change]
    where: list[Where | None]  # each op was recorded


#: The reference takes some 0.2 µs to draw a number: of many, native code pays the first time.
_DRAWS = ("random_normal", "random_uniform", "random_bits", "dropout")
_MANY_DRAWS = 1 << 20


class Planned:
    """A program, run by the reference interpreter until it has come up again and again."""

    __slots__ = ("native", "reference", "runs", "size")

    def __init__(self, work: Work) -> None:
        self.reference = Program(work)
        self.size = len(work.order)
        self.native: Native | None = None
        draws = sum([n.type.size for n in work.order if n.sig.op.name in _DRAWS])
        self.runs = config.NATIVE_AFTER if draws > _MANY_DRAWS else 0

    def is_due(self) -> bool:
        """Is native code to be made now, before another run?"""
        if self.native is not None or config.REFERENCE:
            return False
        self.runs += 1
        return self.runs > config.NATIVE_AFTER or _repeating or _at_once.get()

    def go_native(self, work: Work) -> None:
        """Makes native code of the graph."""
        from .native.program import Native  # here, not above: it takes time to import

        self.native = Native(work, self.reference)

    def obstacle(self) -> str:
        """Why calls that run it cannot be repeated without Python."""
        return "" if self.native is not None else "it runs by the reference"

    def run(self, work: Work) -> Outcome:
        leaves = [leaf.value for leaf in work.leaves]
        if Accelerated.ever:  # a constant may have been computed on another device
            leaves = [value if is_host(value) else host(value) for value in leaves]
        if (programs := _watch.get()) is not None and self.native is not None:
            programs.append(self.native)
        if self.native is None:
            return self.reference.run(leaves, work.order)
        if not config.COMPARE:
            return self.native.run(leaves, work.order)
        outcome = self.native.run(list(leaves), work.order)
        compare(outcome, self.reference.run(leaves, work.order), work)
        return outcome


_MAX_PROGRAM_STEPS = 100_000  # about 1 GB of code and plans, if all of it is native

_repeating = False
_at_once: ContextVar[bool] = ContextVar("at_once", default=False)
_watch: ContextVar[list[Any] | None] = ContextVar("watch", default=None)
_held: ContextVar[bool] = ContextVar("held", default=False)
LOCK = RLock()
_programs: OrderedDict[tuple[Any, ...], tuple[Planned | Placed, Inlined | None]] = OrderedDict()
_program_steps = 0

#: Changes in place since the last run, to be undone if it fails.
CHANGES: list[Change] = []

#: By thread: the error for which its changes were undone, as long as nobody has raised it.
_unreported: dict[int, Failure] = {}


class Stats:
    """Counters for tests: runs, programs built, nodes computed."""

    runs = 0
    built = 0
    nodes = 0


def realize_pending() -> None:
    """Runs everything that is pending and that somebody can still see.

    Raises:
        the error that a change in place met which the calling thread made: that and its later
        changes are undone.
    """
    if current.get() is None:  # a compiled call is run as a whole, at its end
        finish_pending()


def finish_pending() -> None:
    """The same within a compiled call, too."""
    _run_pending()
    if _unreported:
        failure = _unreported.pop(get_ident(), None)
        if failure is not None:
            raise failure.error()


def _run_pending() -> None:
    with LOCK:
        if not PENDING:
            return
        work = Work()
        changes: list[Change] = []
        outcome: Outcome | None = None
        try:  # (Ctrl-C may come anywhere: what is started must be finished)
            take_pending(work)
            outcome = _beside_meta(work) if Accelerated.meta else _computed(work)
            _settle(work, outcome, changes)
        except BaseException:
            _settle(work, outcome, changes)
            raise


def _beside_meta(work: Work) -> Outcome:
    """Computes what is not on "meta", and what is for no other use."""
    part, places = part_of(work, lambda node: node.type.device is not META)
    values, first = _computed(part)
    rest = iter(values)
    found = [NO_VALUES if n.type.device is META else next(rest) for n in work.stored]
    return found, None if first is None else (places[first[0]], first[1])


def _computed(work: Work) -> Outcome:
    if not work.order:
        return [], None
    program, how = _program(work)
    if isinstance(program, Planned) and program.is_due():
        program.go_native(work if how is None else inlined(work, _is_whole)[0])
    seen = work if how is None else how.applied(work)
    Stats.runs += 1
    Stats.nodes += len(work.order)
    values, first = program.run(seen)
    if first is not None and how is not None:
        first = how.origins[first[0]], first[1]
    if (trace := current.get()) is not None:
        where = [node.where for node in seen.order]
        trace.runs.append(Run(program, seen.leaves[:], work.stored[:], CHANGES[:], where))
    return values, first


def _settle(work: Work, outcome: Outcome | None, changes: list[Change]) -> None:
    """Hands out the values and undoes changes that failed. May be called again if interrupted.

    Without an outcome (after Ctrl-C, or a fault of ours) nothing that was pending has a value.
    """
    if outcome is None and not work.order:
        return  # what was taken has been put back
    if not changes:
        changes += _changes_until(work.last)
    if outcome is None:
        lost = Failure(RuntimeError, "the run that was to compute this was interrupted")
        settle(work, [lost] * len(work.stored))
        _undo([c for c in changes if _failure_of(c) is lost])
        return
    values, first = outcome
    settle(work, values)
    if first is not None:
        place, failure = first
        _undo(_failed(changes, work.order[place].order, failure))


def _changes_until(last: int) -> list[Change]:
    """Takes out the changes that belong to a run. (Other threads may go on making them.)"""
    count = len(CHANGES)
    known = CHANGES[:count]
    CHANGES[:count] = [c for c in known if c.order > last]
    return [c for c in known if c.order <= last]


def _failure_of(change: Change) -> Failure | None:
    handle: _Handle | None = change.handle()
    value = None if handle is None else handle._node.value
    return value if isinstance(value, Failure) and value is not NO_VALUES else None


def _failed(changes: list[Change], failed_at: int, first: Failure) -> list[Change]:
    """The changes to be undone.

    A thread that made one would not have come to its later ones, had ops run at once: those are
    undone with it, so that a step of an optimiser happens as a whole or not at all.
    """
    threads = {c.thread for c in changes if _failure_of(c) is not None}
    for thread in threads:
        _unreported.setdefault(thread, first)
    return [c for c in changes if c.order >= failed_at and c.thread in threads]


def _undo(changes: list[Change]) -> None:
    for change in reversed(changes):
        handle: _Handle | None = change.handle()
        if handle is not None:
            handle._node = change.before
            handle._version += 1


def _plan(work: Work) -> Planned | Placed:
    """How graphs of this structure are run: types say on which device, so the key does, too."""
    if Accelerated.ever:
        nodes = (*work.leaves, *work.order)
        if any(n.type.device is not None and n.type.device is not CPU for n in nodes):
            from .xla.program import Placed

            return Placed(work, CHANGES, _watch.get)
    return Planned(work)


def _is_whole(body: Body) -> bool:
    """Has the body's device a kernel for all of it?"""
    place = body.kinds[0].device
    is_attention = body.forward.rule[0] in ("attention", "masked_attention")
    if not is_attention or place is None or place is META:
        return False
    if place is not CPU:
        from .xla import attention as by_xla

        return by_xla.is_attention(body)
    from .native import attention

    return attention.is_attention(body)


def _program(work: Work) -> tuple[Planned | Placed, Inlined | None]:
    """What runs the graph, and how the graph is without calls if it has some."""
    global _program_steps
    key: list[Any] = [len(work.leaves)]
    add = key.append
    for node in work.order:
        add(node.sig)
        for source in node.inputs:
            add(source.mark)
    key += [node.mark for node in work.stored]
    structure = tuple(key)
    known = _programs.get(structure)
    if known is not None:
        _programs.move_to_end(structure)
        return known
    Stats.built += 1
    flat, how = inlined(work, _is_whole) if has_calls(work) else (work, None)
    program = _plan(flat)
    _programs[structure] = program, how
    _program_steps += program.size
    while _program_steps > _MAX_PROGRAM_STEPS and len(_programs) > 1:
        _, (old, _) = _programs.popitem(last=False)
        _program_steps -= old.size
    return program, how


def value_of(node: Node) -> Any:
    """The node's value as NumPy has it, computed if it is pending. Waits for its device.

    Raises:
        the error that computing it, or what it depends on, met.
    """
    value = _known(node)
    if is_host(value):
        return value
    return value.read() if value.__class__ is Packed else host(value)


def computed(node: Node) -> Any:
    """The node's value, computed if it is pending. On another device, that may still go on.

    Raises:
        the error that computing it, or what it depends on, met.
    """
    value = _known(node)
    return value.cut() if value.__class__ is Packed else value


def _known(node: Node) -> Any:
    """The same, perhaps as part of an array of several."""
    value = node.value
    if (trace := current.get()) is not None:
        _read_inside(trace, node)
    if value is None:
        _run_pending()
        value = node.value
        failure = _unreported.pop(get_ident(), None) if _unreported else None
        if failure is not None and value.__class__ is not Failure:
            raise failure.error()
    if value.__class__ is Failure:
        raise value.error()
    if value is GONE or value is None:
        raise RuntimeError(f"internal error: the value of {node!r} was not kept")
    return value


def _read_inside(trace: Trace, node: Node) -> None:
    """A value is read while a compiled call is recorded."""
    if node.value is None:
        raise CompileError(
            "a value is read inside a function that weft.compile records as a whole: it is not "
            "known yet, and what Python does with it could not be repeated. Return the tensor and "
            "read it after the call (loss.item(), print(loss), if loss > ...), choose with "
            "weft.where instead of `if`, or leave weft.compile out"
        )
    if node.order < trace.start:
        trace.obstacles.append("it reads the value of a tensor that comes from outside")


def realize_if_large() -> None:
    """Runs the pending graph when it has passed its limits, outside of backward()."""
    if not _held.get() and is_over_limit():
        _run_pending()


def expect_repetition() -> None:
    """From now on graphs are run by native code the first time, too: a training loop begins.

    The two ways of running differ in the last bits. A run that is resumed makes the same steps as
    one that never stopped only if each step is made the same way in both.
    """
    global _repeating
    _repeating = True


@contextmanager
def native_at_once() -> Iterator[None]:
    """Meanwhile graphs are run by native code the first time, too."""
    token = _at_once.set(True)
    try:
        yield
    finally:
        _at_once.reset(token)


def forget_programs() -> None:
    """Graphs that come up again are planned anew, and memory that lies idle is given back."""
    global _program_steps
    RESULTS.release()
    _programs.clear()
    _program_steps = 0


def is_watched() -> bool:
    """Does somebody want to see the native programs that are run?"""
    return _watch.get() is not None


@contextmanager
def watched() -> Iterator[list[Any]]:
    """The programs that are run meanwhile, native ones and those of other devices."""
    programs: list[Any] = []
    token = _watch.set(programs)
    try:
        yield programs
    finally:
        _watch.reset(token)


class Hold:
    """While held (backward() is recording) the pending graph is not run by its size."""

    def __enter__(self) -> None:
        self._token = _held.set(True)

    def __exit__(self, *exc: object) -> None:
        _held.reset(self._token)
