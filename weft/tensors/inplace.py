"""In-place methods, made of functions: ``exp_`` from ``exp``."""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from .autocasting import is_cast, without_autocast
from .core import node_of

if TYPE_CHECKING:
    from .tensor import Tensor

P = ParamSpec("P")


def in_place(
    function: Callable[Concatenate[Any, P], Tensor],
) -> Callable[Concatenate[Any, P], Tensor]:
    """``exp_`` from ``exp``: the result is bound to the tensor itself."""
    if is_cast(function):  # autocast is not for changes in place
        function = without_autocast(unwrap(function))

    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        return self._rebind(node_of(function(self, *args, **kwargs)))  # type: ignore[no-any-return]

    method.__name__ = method.__qualname__ = function.__name__ + "_"
    method.__doc__ = f"In-place version of :func:`{function.__name__}`."
    return method


def shape_in_place(
    function: Callable[Concatenate[Any, P], Tensor],
) -> Callable[Concatenate[Any, P], Tensor]:
    """``unsqueeze_`` from ``unsqueeze``: the tensor becomes a view of what it was."""

    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        return self._reshape(lambda x: function(x, *args, **kwargs))  # type: ignore[no-any-return]

    method.__name__ = method.__qualname__ = function.__name__ + "_"
    method.__doc__ = f"In-place version of :func:`{function.__name__}`."
    return method
