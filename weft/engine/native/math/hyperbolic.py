"""Hyperbolic functions and their inverses."""

from __future__ import annotations

import math

from ..ir import Function, Value
from .base import copysign, exact, fabs, is_single, polynomial
from .exponential import LN2, expm1, half_exp
from .logarithm import log1p

#: (sinh(x) / x - 1) / x**2 in x**2, up to x = 1
_SINH_SINGLE = (0.166666672, 0.00833335053, 0.000198360663, 2.81743951e-06)
_SINH_DOUBLE = (
    0.16666666666666666, 0.0083333333333333332, 0.00019841269841269589, 2.755731922412024e-06,
    2.5052108345641445e-08, 1.6059050705877821e-10, 7.6464763602654872e-13, 2.8483983195393752e-15,
)  # fmt: skip


@exact
def tanh(fn: Function, x: Value) -> Value:
    t = expm1(fn, fabs(fn, x) * -2.0)
    return copysign(fn, -t / (t + 2.0), x)


@exact
def sinh(fn: Function, x: Value) -> Value:
    a = fabs(fn, x)
    z = a * a
    p = polynomial(fn, z, _SINH_SINGLE if is_single(x) else _SINH_DOUBLE)
    h = half_exp(fn, a)
    return copysign(fn, fn.select(fn.compare("olt", a, 1.0), fn.fma(a * z, p, a), h - 0.25 / h), x)


@exact
def cosh(fn: Function, x: Value) -> Value:
    h = half_exp(fn, fabs(fn, x))
    return h + 0.25 / h


def _log1p_or_double(fn: Function, small: Value, x: Value) -> Value:
    """``log1p(small)``, or ``log(2x)`` where x is so large that its square may not fit."""
    huge = fn.compare("ogt", x, 2.0**54)
    return log1p(fn, fn.select(huge, x, small)) + fn.select(huge, fn.const(LN2, x.type), 0.0)


@exact
def asinh(fn: Function, x: Value) -> Value:
    a = fabs(fn, x)
    square = a * a
    small = a + square / (fn.intrinsic("sqrt", square + 1.0) + 1.0)
    return copysign(fn, _log1p_or_double(fn, small, a), x)


@exact
def acosh(fn: Function, x: Value) -> Value:
    t = x - 1.0
    small = t + fn.intrinsic("sqrt", fn.fma(t, t, t + t))
    return fn.select(fn.compare("olt", x, 1.0), math.nan, _log1p_or_double(fn, small, x))


@exact
def atanh(fn: Function, x: Value) -> Value:
    a = fabs(fn, x)
    return copysign(fn, log1p(fn, (a + a) / (1.0 - a)) * 0.5, x)
