"""What a function finds outside of its arguments: globals and variables of enclosing functions.

A recorded call holds for as long as these are the same objects. Attributes of other objects than
modules, items of lists and dicts, files: what Python reads there is read when a call is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import is_
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

from ..graph.modes import own_file
from ..tensors.core import TensorCore

_MISSING = object()


class Environment:
    """Names, and what they stood for."""

    def __init__(self, functions: list[Any]) -> None:
        self._names: dict[tuple[int, str], tuple[dict[str, Any], str, Any]] = {}
        self._cells: dict[int, tuple[CellType, Any]] = {}
        seen: set[int] = set()
        for function in functions:
            self._add(function, seen)
        self.values = [v for _, _, v in self._names.values()]
        self.values += [v for _, v in self._cells.values()]
        self._spaces = list(self._names.values())
        self._held = list(self._cells.values())
        # what Python finds in them is part of what was recorded
        self._containers = [
            (value, tensors)
            for value in self.values
            if isinstance(value, (list, dict)) and (tensors := tensors_in(value, []))
        ]

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
            value = space.get(name, _MISSING)
            if value is not _MISSING:
                self._names[id(space), name] = space, name, value
                self._add(value, seen)

    def holds(self) -> bool:
        """Does each name still stand for the same object?"""
        for space, name, value in self._spaces:
            if space.get(name) is not value:
                return False
        return all([_content(cell) is value for cell, value in self._held]) and not any(
            [_differ(tensors_in(value, []), tensors) for value, tensors in self._containers]
        )


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
