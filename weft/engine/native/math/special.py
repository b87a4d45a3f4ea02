"""Functions with long definitions and rare uses: floats are computed as doubles."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from ..ir import Function, Value
from .base import copysign, exact, fabs, is_single, polynomial
from .errors import erf, erfc
from .exponential import exp
from .logarithm import log, log1p
from .trigonometric import sincos

Unary = Callable[[Function, Value], Value]


def _in_double(emit: Unary) -> Unary:
    @exact
    @functools.wraps(emit)
    def wrapped(fn: Function, x: Value) -> Value:
        if not is_single(x):
            return emit(fn, x)
        return fn.convert("fptrunc", emit(fn, fn.convert("fpext", x, "double")), "float")

    return wrapped


#: Giles, "Approximating the erfinv function", GPU Computing Gems, 2012.
_GILES_CENTRE = (
    1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.00021858087,
    -4.39150654e-06, -3.5233877e-06, 3.43273939e-07, 2.81022636e-08,
)  # fmt: skip
_GILES_TAIL = (
    2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773,
    -0.00367342844, 0.00134934322, 0.000100950558, -0.000200214257,
)  # fmt: skip


@_in_double
def erfinv(fn: Function, y: Value) -> Value:
    """Giles' approximation, refined three times by Halley's method on erf or, near 1, on erfc."""
    size = fabs(fn, y)
    inside = fn.select(fn.compare("olt", size, 1.0), size, 0.0)
    w = -log1p(fn, -inside) - log1p(fn, inside)
    near = fn.compare("olt", w, 5.0)
    centre = polynomial(fn, w - 2.5, _GILES_CENTRE)
    tail = polynomial(fn, fn.intrinsic("sqrt", w) - 3.0, _GILES_TAIL)
    x = fn.select(near, centre, tail) * inside
    middle = fn.compare("olt", inside, 0.5)
    for _ in range(3):
        over = fn.select(middle, erf(fn, x) - inside, (1.0 - inside) - erfc(fn, x))
        step = over * (math.sqrt(math.pi) / 2) * exp(fn, x * x)
        x = x - step / fn.fma(x, step, 1.0)
    ends = fn.select(fn.compare("oeq", size, 1.0), fn.const(math.inf, y.type), math.nan)
    return copysign(fn, fn.select(fn.compare("olt", size, 1.0), x, ends), y)


#: Coefficients of 1/z**2, 1/z**4, ... in digamma(z) - log(z) + 1/(2z): -B(2k) / (2k).
_DIGAMMA = (-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12)
#: Of 1/z, 1/z**3, ... in log(gamma(z)) - (z - 1/2) log(z) + z - log(2 pi) / 2.
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def _half_turns(fn: Function, x: Value) -> tuple[Value, Value]:
    """Sine and cosine of ``pi x``, but for the sign of both together."""
    return sincos(fn, (x - fn.intrinsic("rint", x)) * math.pi)


@_in_double
def digamma(fn: Function, x: Value) -> Value:
    """The recurrence up to 10, the asymptotic series beyond, and reflection below 1/2.

    (Abramowitz and Stegun, 6.3.6, 6.3.7 and 6.3.18)
    """
    mirrored = fn.compare("olt", x, 0.5)
    z = fn.select(mirrored, 1.0 - x, x)
    total = fn.const(0.0, x.type)
    for _ in range(10):
        low = fn.compare("olt", z, 10.0)
        total = fn.select(low, total - 1.0 / z, total)
        z = fn.select(low, z + 1.0, z)
    inverse = 1.0 / z
    square = inverse * inverse
    total = total + (log(fn, z) - inverse * 0.5 + square * polynomial(fn, square, _DIGAMMA))
    sine, cosine = _half_turns(fn, x)
    result = fn.select(mirrored, total - math.pi * cosine / sine, total)
    pole = fn.compare("ole", x, 0.0) & fn.compare("oeq", x, fn.intrinsic("floor", x))
    at_zero = -copysign(fn, fn.const(math.inf, x.type), x)
    at_pole = fn.select(fn.compare("oeq", x, 0.0), at_zero, math.nan)
    return fn.select(pole, at_pole, result)
