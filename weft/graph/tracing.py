"""What is noted while ``weft.compile`` records a call that it wants to run again without Python.

Values that change from call to call must be known by where they come from. Numbers of an
optimiser's options are handed out as :class:`Live` ones, which remember how they were computed;
keys of random numbers are noted with their generator.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Self


class Trace:
    """One call of a compiled function.

    Attributes:
        start: place in the order of recording where the call began.
        live: leaves made of live numbers, with these.
        keys: leaves that are keys of random numbers, with their generator.
        optimizers: those whose ``step`` was called, each with the sizes of its states before.
        handed: ids of the groups whose options have been handed out as live numbers.
        guards: tests of live numbers that decided something, by their text, with their outcome.
        runs: for each run of the pending graph, what :mod:`weft.replay` wants to know of it.
        obstacles: why the call cannot be repeated without Python.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self.live: list[tuple[Any, Live]] = []
        self.keys: list[tuple[Any, Any]] = []
        self.optimizers: list[tuple[Any, dict[Any, int]]] = []
        self.handed: set[int] = set()
        self.guards: dict[str, tuple[Callable[[], Any], Any]] = {}
        self.runs: list[Any] = []
        self.obstacles: list[str] = []

    def let_go(self) -> None:
        """Forgets nodes and their values: live numbers keep their trace."""
        for held in (self.live, self.keys, self.optimizers, self.runs):
            held.clear()

    def options(self, group: dict[str, Any], name: str) -> dict[str, Any]:
        """The options of an optimiser's group, its floats as live numbers."""
        self.handed.add(id(group))
        return _LiveOptions(
            {
                k: Live(v, _getter(group, k), f"{name}[{k!r}]", self) if v.__class__ is float else v
                for k, v in group.items()
            },
            group,
            self,
        )


#: The trace that this thread, or task, is in.
current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def _getter(group: dict[str, Any], name: str) -> Callable[[], Any]:
    return lambda: group[name]


class _LiveOptions(dict[str, Any]):
    """A group's options; what is written to them goes to the group."""

    def __init__(self, options: dict[str, Any], group: dict[str, Any], trace: Trace) -> None:
        super().__init__(options)
        self._group, self._trace = group, trace

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self._group[name] = value
        self._trace.obstacles.append(f"the optimiser changes its option '{name}' at each step")


class Live(float):
    """A float that knows how to compute itself anew.

    Arithmetic with numbers gives live ones. Where it decides something, or becomes an ordinary
    number, its trace notes what must be the same for the recording to hold.
    """

    __slots__ = ("get", "text", "trace")
    get: Callable[[], Any]
    text: str
    trace: Trace

    def __new__(cls, value: float, get: Callable[[], Any], text: str, trace: Trace) -> Self:
        self = super().__new__(cls, value)
        self.get, self.text, self.trace = get, text, trace
        return self

    def plain(self) -> float:
        """The number that it is now."""
        return float.__add__(self, 0.0)

    def _guard(self, what: str, check: Callable[[], Any]) -> Any:
        outcome = check()
        self.trace.guards[f"{what} {self.text}"] = check, outcome
        return outcome

    def __bool__(self) -> bool:
        return bool(self._guard("bool", lambda: bool(self.get())))

    def __float__(self) -> float:
        return float(self._guard("value", self.get))

    def __int__(self) -> int:
        return int(self._guard("value", self.get))

    def __repr__(self) -> str:
        return repr(self._guard("value", self.get))

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(self._guard("value", self.get), spec)

    def __hash__(self) -> int:
        return hash(self._guard("value", self.get))


def _unary(name: str, function: Callable[[Any], Any]) -> Any:
    def method(self: Live) -> Any:
        get = self.get
        return Live(
            function(self.plain()), lambda: function(get()), f"{name}({self.text})", self.trace
        )

    return method


def _binary(name: str, function: Callable[[Any, Any], Any], turned: bool) -> Any:
    def method(self: Live, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            return NotImplemented
        mine, text = self.get, other.text if isinstance(other, Live) else repr(other)
        theirs = other.get if isinstance(other, Live) else lambda: other
        a, b = (theirs, mine) if turned else (mine, theirs)
        texts = (text, self.text) if turned else (self.text, text)
        value = function(a(), b())
        if value.__class__ is not float:  # complex
            return self._guard("value", self.get) and value
        return Live(
            value, lambda: function(a(), b()), f"({texts[0]} {name} {texts[1]})", self.trace
        )

    return method


def _comparison(name: str, function: Callable[[Any, Any], Any]) -> Any:
    def method(self: Live, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            return NotImplemented
        get, text = self.get, other.text if isinstance(other, Live) else repr(other)
        theirs = other.get if isinstance(other, Live) else lambda: other
        return self._guard(f"{name} {text}", lambda: function(get(), theirs()))

    return method


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(Live, f"__{_name}__", _binary(_name, getattr(operator, _name), False))
    setattr(Live, f"__r{_name}__", _binary(_name, getattr(operator, _name), True))
for _name in ("neg", "abs", "pos"):
    setattr(Live, f"__{_name}__", _unary(_name, getattr(operator, _name)))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Live, f"__{_name}__", _comparison(_name, getattr(operator, _name)))
