"""Hooks, functions registered to be called at some point, and the handle that takes one off."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from typing import Any, Self
from weakref import ref

Hook = Callable[..., Any]
Hooks = OrderedDict[int, Hook]


class Changes:
    """Counts what changes about hooks and modules, anywhere: calls that were recorded may be out
    of date.
    """

    count = 0


class RemovableHandle:
    """What registering a hook returns: ``remove()`` takes it off again. Also a context manager."""

    _next = count()

    def __init__(self, hooks: Any, *, extra_dict: Any = None) -> None:
        self.id = next(RemovableHandle._next)
        extras = extra_dict if isinstance(extra_dict, (list, tuple)) else [extra_dict]
        self._dicts = [ref(d) for d in (hooks, *extras) if d is not None]

    def remove(self) -> None:
        """Takes the hook off. Doing so twice is harmless."""
        Changes.count += 1
        for each in self._dicts:
            hooks = each()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()

    def __getstate__(self) -> Any:
        return [each() for each in self._dicts], self.id

    def __setstate__(self, state: Any) -> None:
        dicts, self.id = state
        self._dicts = [ref(d) for d in dicts if d is not None]
        RemovableHandle._next = count(max(self.id + 1, next(RemovableHandle._next)))


def register(
    hooks: Any, hook: Hook, *flags: tuple[Any, bool], prepend: bool = False
) -> RemovableHandle:
    """Adds a hook.

    Args:
        flags: pairs of a dict and whether the hook's id is to be in it.
        prepend: run it before those that are there.

    Raises:
        TypeError: if the hook cannot be called.
    """
    if not callable(hook):
        raise TypeError(f"a hook is a function, not {type(hook).__name__} {hook!r}")
    Changes.count += 1
    handle = RemovableHandle(hooks, extra_dict=[d for d, _ in flags])
    hooks[handle.id] = hook
    for dictionary, wanted in flags:
        if wanted:
            dictionary[handle.id] = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle
