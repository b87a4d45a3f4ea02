"""What a function finds outside of its arguments: globals, variables of enclosing functions, and in
objects among these the attributes that it names.

A recorded call holds for as long as all of these are the same objects, and lists and dicts among
them hold the same. Items of larger or nested ones, files and the like are read when a call is
recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import is_
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

from ..graph.modes import own_file
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from ..tensors.core import TensorCore
from .places import Places

_MISSING = object()
_MOST_ITEMS = 64
_MOST_OBJECTS = 64


class Environment:
    """Names, and what they stood for."""

    def __init__(self, functions: list[Any], objects: list[Any] | None = None) -> None:
        """``objects``: arguments of which the functions may read attributes."""
        self._spaces: dict[tuple[int, str], tuple[dict[str, Any], str, Any]] = {}
        self._cells: dict[int, tuple[CellType, Any]] = {}
        self._attributes: set[str] = set()
        seen: set[int] = set()
        for function in functions:
            self._add(function, seen)
        self.values = [v for _, _, v in self._spaces.values()]
        self.values += [v for _, v in self._cells.values()]
        self._look_into([*self.values, *(objects or ())])
        self._unchanged = self._compiled()
        self._containers = [(v, _content_of(v)) for v in self.values if _is_container(v)]

    def _add(self, function: Any, seen: set[int]) -> None:
        if isinstance(function, MethodType):
            function = function.__func__
        function = getattr(function, "__wrapped__", function)
        if not isinstance(function, FunctionType) or id(function) in seen:
            return
        seen.add(id(function))
        if own_file[function.__code__.co_filename]:
            return
        for cell in function.__closure__ or ():
            value = _content(cell)
            self._cells[id(cell)] = cell, value
            self._add(value, seen)
        space = function.__globals__
        for name in _names(function.__code__):
            self._attributes.add(name)
            value = space.get(name, _MISSING)
            if value is not _MISSING:
                self._spaces[id(space), name] = space, name, value
                self._add(value, seen)

    def _look_into(self, objects: list[Any]) -> None:
        """Notes attributes of objects, and of objects in these, that the functions name."""
        seen: set[int] = set()
        waiting = objects
        while waiting and len(seen) < _MOST_OBJECTS:
            value = waiting.pop()
            space = getattr(value, "__dict__", None)
            if id(value) in seen or not isinstance(space, dict) or _is_known_otherwise(value):
                continue
            seen.add(id(value))
            for name in self._attributes & space.keys():
                self._spaces[id(space), name] = space, name, space[name]
                self.values.append(space[name])
                waiting.append(space[name])

    def _compiled(self) -> Callable[[], bool]:
        places, known = Places(), list[Any]()
        for space, name, value in self._spaces.values():
            places.holds(places.item(space, name), known, len(known))
            known.append(value)
        for cell, value in self._cells.values():
            at = places.name(cell)
            at = f"{places.name(_content)}({at})" if value is _MISSING else f"{at}.cell_contents"
            places.holds(at, known, len(known))
            known.append(value)
        return places.compiled()

    def holds(self) -> bool:
        """Does each name still stand for the same object?"""
        return self._unchanged() and not (
            self._containers
            and any([_differ(_content_of(v), known) for v, known in self._containers])
        )


def _is_known_otherwise(value: Any) -> bool:
    """Modules and optimisers are watched as such; functions are followed."""
    if isinstance(value, (Module, Optimizer, TensorCore, FunctionType, MethodType)):
        return True
    place = getattr(value, "__file__", None) or ""
    return isinstance(place, str) and own_file[place]


def _is_container(value: Any) -> bool:
    return isinstance(value, (list, dict, set)) and (
        len(value) <= _MOST_ITEMS or bool(tensors_in(value, []))
    )


def _content_of(value: Any) -> list[Any]:
    if len(value) > _MOST_ITEMS:
        return tensors_in(value, [])
    items = [*value, *value.values()] if isinstance(value, dict) else [*value]
    return items + tensors_in(value, [])


def _differ(a: list[Any], b: list[Any]) -> bool:
    return len(a) != len(b) or not all(map(is_, a, b))


def tensors_in(value: Any, found: list[Any]) -> list[Any]:
    """The Tensors in nested tuples, lists and dicts."""
    if isinstance(value, TensorCore):
        found.append(value)
    elif isinstance(value, (tuple, list)):
        for each in value:
            tensors_in(each, found)
    elif isinstance(value, dict):
        for each in value.values():
            tensors_in(each, found)
    return found


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return _MISSING


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
