"""Elementwise functions as native code: tables from the names of ops to emitters.

An emitter takes the function being written and vectors (or scalars) of equal types, and gives the
vector of results. What an op means is said by its reference in ``weft/ops/elementwise.py``; what a
table does not have is left to that.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir import Value
from . import (
    division,
    errors,
    exponential,
    hyperbolic,
    inverse,
    logarithm,
    power,
    simple,
    special,
    trigonometric,
)
from .casts import cast

__all__ = ["BINARY", "INTEGER", "SIGNED", "UNARY", "Emitter", "cast"]

Emitter = Callable[..., Value]


def _named(module: object, names: str) -> dict[str, Emitter]:
    return {name.rstrip("_"): getattr(module, name) for name in names.split()}


_SIGNED_UNARY = _named(simple, "abs_ sign relu")
_SIGNED_BINARY = {
    **_named(simple, "maximum minimum relu_mask eq ne lt le gt ge shift_right"),
    **_named(power, "pow_"),
}
#: Ops whose emitters take ``signed``, which integers need.
SIGNED = frozenset(_SIGNED_UNARY | _SIGNED_BINARY)

_ANY_UNARY = _named(simple, "floor ceil trunc round_ neg isnan isinf logical_not bitwise_not")
_ANY_BINARY = _named(
    simple,
    "add sub mul logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor shift_left",
)
#: Ops whose emitters take integers too.
INTEGER = frozenset(SIGNED | _ANY_UNARY.keys() | _ANY_BINARY.keys())

UNARY: dict[str, Emitter] = {
    **_SIGNED_UNARY,
    **_ANY_UNARY,
    **_named(simple, "reciprocal sqrt rsqrt"),
    **_named(exponential, "exp exp2 expm1 sigmoid"),
    **_named(logarithm, "log log2 log10 log1p"),
    **_named(errors, "erf erfc"),
    **_named(trigonometric, "sin cos tan"),
    **_named(inverse, "asin acos atan"),
    **_named(special, "erfinv lgamma digamma"),
    **_named(hyperbolic, "sinh cosh tanh asinh acosh atanh"),
}
BINARY: dict[str, Emitter] = {
    **_SIGNED_BINARY,
    **_ANY_BINARY,
    **_named(simple, "div"),
    **_named(inverse, "atan2"),
    **_named(power, "hypot"),
    **_named(division, "floor_div remainder fmod"),
    **_named(special, "binary_cross_entropy"),
}
