"""The names of ``torch.jit``, which do what PyTorch's do with ``PYTORCH_JIT=0``.

There is no TorchScript: marks mean nothing, and functions and modules stay as they are.
:func:`weft.compile` records a function and runs it without Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

__all__ = [
    "Final",
    "annotate",
    "export",
    "ignore",
    "is_scripting",
    "is_tracing",
    "script",
    "script_if_tracing",
    "trace",
    "unused",
]

F = TypeVar("F")


def _marked(function: F) -> F:
    """The function itself."""
    return function


export = unused = script_if_tracing = _script_if_tracing = _overload_method = _marked


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The function itself; or with ``drop``, a decorator that returns it."""
    return drop if callable(drop) else _marked


def annotate(the_type: Any, the_value: F) -> F:
    """The value."""
    return the_value


def script(obj: F, *args: Any, **kwargs: Any) -> F:
    """The function or module itself."""
    return obj


def trace(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
    """The function or module itself."""
    return func


def is_scripting() -> bool:
    """False."""
    return False


def is_tracing() -> bool:
    """False."""
    return False
