"""How far a pass has come, and going on from there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from ...errors import CheckpointError
from ...tensors.random import Generator, current_generator, scoped_generator
from .order import Order, Task
from .seeding import draw_seed, go_to, position_of
from .worker import Epoch

_VERSION = 1


class Progress:
    """One pass: its seed, the tasks still to come, and what has been given to the loop.

    Args:
        generators: the loader's, or None; then those that samplers have of their own.
        source: of indices; None for a stream.
        joined: whether the source gives batches of them.
        workers: how many streams there are.
        resume: the state to go on from.

    Attributes:
        base: the seed of the pass.
        turn: of a stream, the worker whose batch comes next.
    """

    def __init__(
        self,
        generators: Sequence[Generator | None],
        source: Iterable[Any] | None,
        *,
        joined: bool,
        workers: int,
        resume: Mapping[str, Any] | None,
    ) -> None:
        if resume is not None and not resume["in_pass"]:
            resume = None
        self._generators = generators
        self._is_stream = source is None
        self._in_pass = True
        self._given = 0  # all tasks before this one
        self._ahead: set[int] = set()  # and these
        self._samples = 0
        self._stateful = stateful_of(source)
        self._sampler = _state_of(self._stateful)
        self._streams: list[dict[str, Any]] = [{"batches": 0, "state": None}] * workers
        self.turn = 0
        if resume is None:
            self._begun = [position_of(each or current_generator()) for each in generators]
            self.base = draw_seed(generators[0])
            self._order = Order(source, joined, self._stateful)
            return
        self._begun = resume["generators"]
        replayed = [each or Generator() for each in generators]
        for each, position in zip(replayed, self._begun, strict=True):
            go_to(each, position)
        # In place of weft's own, whose position is the user's affair.
        with nullcontext() if generators[0] is not None else scoped_generator(replayed[0]):
            self.base = draw_seed(replayed[0])
            self._order = self._resumed(source, joined, resume)

    def _resumed(self, source: Any, joined: bool, resume: Mapping[str, Any]) -> Order:
        self._given, self._samples = resume["batches"], resume["samples"]
        self._ahead = set(resume["ahead"])
        self._sampler = resume["sampler"]
        self.turn = resume["turn"]
        if self._is_stream:
            self._streams = [dict(each) for each in resume["streams"]]
        if self._stateful is not None:
            self._stateful.load_state_dict(self._sampler)
        if self._is_stream or self._stateful is not None:
            return Order(source, joined, self._stateful, self._given, self._samples)
        order = Order(source, joined)
        for number in range(self._given):
            if next(order, None) is None:
                raise CheckpointError(
                    f"the pass to go on with had given {self._given} batches, but the sampler now "
                    f"has only {number}: it must give what it gave when the state was taken"
                )
            order.after(number)
        return order

    def next_task(self) -> Task:
        """
        Raises:
            StopIteration: after the last.
        """
        task = next(self._order)
        while task.number in self._ahead:
            task = next(self._order)
        return task

    def epochs(self, number: int) -> list[Epoch]:
        """What each worker must know of the pass."""
        return [Epoch(number, self.base, each["batches"], each["state"]) for each in self._streams]

    def give(self, number: int, worker: int = 0, state: Any = None) -> None:
        """A batch goes to the loop (or the error in its place).

        Args:
            number: of its task.
            worker, state: of its stream.
        """
        if self._is_stream:
            count = self._streams[worker]["batches"] + 1
            self._streams[worker] = {"batches": count, "state": state}
            self._given += 1
            self._order.after(number)
            return
        self._ahead.add(number)
        while self._given in self._ahead:
            self._ahead.remove(self._given)
            self._samples, self._sampler = self._order.after(self._given)
            self._given += 1

    def skip(self, number: int) -> None:
        """A task of a stream that has ended."""
        self._order.after(number)

    def finish(self) -> None:
        self._in_pass = False

    @property
    def given(self) -> int:
        """How many batches."""
        return self._given + len(self._ahead)

    def state_dict(self) -> dict[str, Any]:
        if not self._in_pass:
            return at_rest(self._generators, self._stateful)
        return {
            **at_rest(self._generators, None),
            "in_pass": True,
            "generators": self._begun,
            "batches": self._given,
            "ahead": sorted(self._ahead),
            "samples": self._samples,
            "sampler": self._sampler,
            "streams": [dict(each) for each in self._streams] if self._is_stream else [],
            "turn": self.turn,
        }


def at_rest(generators: Sequence[Generator | None], stateful: Any) -> dict[str, Any]:
    """The state between two passes."""
    return {
        "version": _VERSION,
        "in_pass": False,
        "generators": [None if each is None else position_of(each) for each in generators],
        "batches": 0,
        "ahead": [],
        "samples": 0,
        "sampler": _state_of(stateful),
        "streams": [],
        "turn": 0,
    }


def set_at_rest(
    state: Mapping[str, Any], generators: Sequence[Generator | None], stateful: Any
) -> None:
    """Undoes :func:`at_rest`."""
    for generator, position in zip(generators, state["generators"], strict=True):
        if generator is not None:
            go_to(generator, position)
    if stateful is not None:
        stateful.load_state_dict(state["sampler"])


def generators_of(own: Generator | None, source: Any) -> list[Generator | None]:
    """The loader's generator, if it has one, and those of its samplers beside it."""
    found: list[Generator | None] = [own]
    for each in (source, getattr(source, "sampler", None)):
        generator = getattr(each, "generator", None)
        if isinstance(generator, Generator) and not any(generator is other for other in found):
            found.append(generator)
    return found


def stateful_of(source: Any) -> Any:
    """The sampler that tells its own state, if there is one."""
    for each in (source, getattr(source, "sampler", None)):
        if hasattr(each, "state_dict") and hasattr(each, "load_state_dict"):
            return each
    return None


def _state_of(stateful: Any) -> Any:
    return None if stateful is None else stateful.state_dict()


def checked(state: Any, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The state of a loader with these facts.

    Raises:
        CheckpointError: if it is none.
    """
    if not isinstance(state, Mapping) or state.get("version") != _VERSION:
        what = f"version {state.get('version')}" if isinstance(state, Mapping) else "no dict at all"
        raise CheckpointError(
            f"this is not a state that DataLoader.state_dict() of this version of weft gives "
            f"(version {_VERSION}), but {what}"
        )
    missing = sorted({*at_rest([], None), "loader"} - state.keys())
    if missing:
        raise CheckpointError(f"the state of a DataLoader lacks {', '.join(missing)}")
    theirs = state["loader"]
    for name, ours in facts.items():
        if theirs.get(name) != ours:
            raise CheckpointError(
                f"the state is of a DataLoader with {name}={theirs.get(name)!r}, but this one has "
                f"{name}={ours!r}: make it in the same way to go on with its pass"
            )
    return dict(state)
