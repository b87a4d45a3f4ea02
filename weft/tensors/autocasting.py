"""What ``weft.autocast`` does to a function: it casts the arguments of those that are marked.

The lists are PyTorch's, for CPUs. A function is marked where it is defined; while autocast is off
that costs one look at a context variable. Within a marked function autocast is off: its parts take
the types that they are given.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ..dtypes import dtype, float32, float64
from ..graph.device import CPU
from ..graph.node import Node
from ..ops import elementwise as ew
from .core import TensorCore, node_of, wrap

P = ParamSpec("P")
R = TypeVar("R")

#: A dtype for each kind of device.
Kinds = dict[str, dtype]

#: The low types of kinds of devices for which autocast is on, or None.
autocast_mode: ContextVar[Kinds | None] = ContextVar("autocast_mode", default=None)
_mode = autocast_mode.get


def kind_for(node: Node, kinds: Kinds) -> dtype | None:
    """The dtype for a node's device. (A constant has none, and goes with what it meets.)"""
    device = node.type.device or CPU
    return kinds.get(device.type)


def cast_to(kinds: Kinds, value: Any) -> Any:
    """Floating Tensors (but float64) in arguments, and their lists, as their devices want them."""
    if isinstance(value, TensorCore):
        node = node_of(value)
        own, kind = node.type.dtype, kind_for(node, kinds)
        if kind is None or own is kind or not own.is_floating_point or own is float64:
            return value
        return wrap(ew.cast(node, kind))
    if value.__class__ is list or value.__class__ is tuple:
        return value.__class__([cast_to(kinds, v) for v in value])
    return value


def _full(kinds: Kinds) -> Kinds:
    return dict.fromkeys(kinds, float32)


def to_low_precision(x: R) -> R:
    """``x`` as a function in low precision takes it: a Tensor, or a list of them."""
    kinds = _mode()
    return x if kinds is None else cast_to(kinds, x)


def to_full_precision(x: R) -> R:
    """``x`` as a function in float32 takes it: a Tensor, or a list of them."""
    kinds = _mode()
    return x if kinds is None else cast_to(_full(kinds), x)


def call_without_autocast(function: Callable[..., R], args: Any, kwargs: Any, kinds: Kinds) -> R:
    """Calls ``function`` with its arguments cast to ``kinds``."""
    args, kwargs = cast_to(kinds, args), {k: cast_to(kinds, v) for k, v in kwargs.items()}
    token = autocast_mode.set(None)
    try:
        return function(*args, **kwargs)
    finally:
        autocast_mode.reset(token)


def in_low_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Marks a function that autocast runs in its low type: products, convolutions."""
    return _cast_if_on(function, lambda kinds: kinds)


def in_full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Marks a function that autocast runs in float32: losses, solvers."""
    return _cast_if_on(function, _full)


def _cast_if_on(function: Callable[P, R], choose: Callable[[Kinds], Kinds]) -> Callable[P, R]:
    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        kinds = _mode()
        if kinds is None:
            return function(*args, **kwargs)
        # (What goes to a tensor that is there already is computed as it would be without autocast.)
        kinds = choose(kinds) if kwargs.get("out") is None else {}
        return call_without_autocast(function, args, kwargs, kinds)

    run.is_cast = True  # type: ignore[attr-defined]
    return run


def is_cast(function: Callable[..., Any]) -> bool:
    """Is it marked, under whatever other wrappers?"""
    return hasattr(function, "is_cast")


def without_autocast(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, which autocast leaves alone."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return call_without_autocast(function, args, kwargs, {})

    return run
