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
from .simple import maximum
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


#: Of 1/z, 1/z**3, ... in log(gamma(z)) - (z - 1/2) log(z) + z - log(2 pi) / 2.
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
#: log(gamma(2 + u)) / (u (1 + u)), from u = -1 to 1
_LGAMMA = (
    0.42278433509846713, -0.1003173016743539, 0.032965000621156981, -0.012384192193374456,
    0.0049986411646229705, -0.0021081308338254589, 0.00091537692413105963,
    -0.00040570740000150078, 0.0001825526143340385, -8.3095099345585662e-05,
    3.816908386913281e-05, -1.7661859054530015e-05, 8.2212024926877902e-06,
    -3.8465001713363926e-06, 1.8114846619549207e-06, -8.5551947240765887e-07,
    3.9570523137978819e-07, -1.8606119487762582e-07, 1.044644079193976e-07,
    -5.2129646791578452e-08, 5.6686193932487674e-09, -7.0603436689646044e-10,
    1.6339385834623404e-08, -8.9977413222030306e-09, -4.3630948066028108e-09,
    2.4847115143009902e-09, 1.5824670708174137e-09, -8.2127508486306119e-10,
)  # fmt: skip


def _lgamma_of_positive(fn: Function, x: Value) -> Value:
    """By the recurrence from [1, 3), or from 10 on by Stirling's series. (6.1.15 and 6.1.41)"""
    below, large = fn.compare("olt", x, 1.0), fn.compare("oge", x, 10.0)
    u = x - fn.select(below, fn.const(1.0, x.type), 2.0)
    factors = fn.const(1.0, x.type)
    for _ in range(7):
        high = fn.compare("oge", u, 1.0)
        u = fn.select(high, u - 1.0, u)
        factors = fn.select(high, factors * (u + 2.0), factors)
    argument = fn.select(large | below, x, factors)
    logarithm = log(fn, argument)
    centre = u * (u + 1.0) * polynomial(fn, u, _LGAMMA)
    small = fn.select(below, centre - logarithm, centre + logarithm)
    inverse = 1.0 / x
    series = inverse * polynomial(fn, inverse * inverse, _STIRLING)
    rest = series + (math.log(2 * math.pi) / 2 - 0.5)
    return fn.select(large, fn.fma(x - 0.5, logarithm - 1.0, rest), small)


@_in_double
def lgamma(fn: Function, x: Value) -> Value:
    """Reflected below 0; for float64, not relatively accurate beside the zeros there."""
    a = fabs(fn, x)
    positive = _lgamma_of_positive(fn, a)
    sine, _ = _half_turns(fn, x)
    mirrored = log(fn, math.pi / (a * fabs(fn, sine))) - positive
    # Where both agree, the product above may be 0.
    mirrored = fn.select(fn.compare("olt", a, 2.0**-60), positive, mirrored)
    result = fn.select(fn.compare("olt", x, 0.0), mirrored, positive)
    pole = fn.compare("ole", x, 0.0) & fn.compare("oeq", x, fn.intrinsic("floor", x))
    endless = pole | fn.compare("oeq", a, math.inf)
    return fn.select(endless, math.inf, result)


def binary_cross_entropy(fn: Function, p: Value, t: Value) -> Value:
    """Of a probability and a target; logarithms are held at -100, as the op's reference says."""
    least = fn.const(-100, p.type)
    of_none = maximum(fn, log1p(fn, -p), least)
    return (t - 1) * of_none - t * maximum(fn, log(fn, p), least)
