"""NumPy's names of arguments, which PyTorch's functions take beside their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

_NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}


def with_numpy_names(function: F) -> F:
    """The function, which takes ``axis=`` for ``dim=`` and ``keepdims=`` for ``keepdim=``, too."""

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            return function(*args)
        if "axis" in kwargs or "keepdims" in kwargs:
            kwargs = renamed(function, kwargs)
        return function(*args, **kwargs)

    return cast("F", called)


def renamed(function: Callable[..., Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments, by PyTorch's names from now on.

    Raises:
        TypeError: for one that is given by both.
    """
    for name, ours in _NUMPY_NAMES.items():
        if name in kwargs:
            if ours in kwargs:
                raise TypeError(f"{function.__name__}() takes {name}= or {ours}=, not both")
            kwargs[ours] = kwargs.pop(name)
    return kwargs
