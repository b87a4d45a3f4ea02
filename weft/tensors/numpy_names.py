"""NumPy's names of arguments, which PyTorch's functions take beside their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

_LEFT_OUT = object()


def with_numpy_names(function: F) -> F:
    """The function, which takes ``axis=`` for ``dim=`` and ``keepdims=`` for ``keepdim=``, too."""

    @wraps(function)
    def called(*args: Any, axis: Any = _LEFT_OUT, keepdims: Any = _LEFT_OUT, **kwargs: Any) -> Any:
        if axis is _LEFT_OUT and keepdims is _LEFT_OUT:
            return function(*args, **kwargs)
        for ours, name, value in (("dim", "axis", axis), ("keepdim", "keepdims", keepdims)):
            if value is not _LEFT_OUT:
                if ours in kwargs:
                    raise TypeError(f"{function.__name__}() takes {name}= or {ours}=, not both")
                kwargs[ours] = value
        return function(*args, **kwargs)

    return cast("F", called)
