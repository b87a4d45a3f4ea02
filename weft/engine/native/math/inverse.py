"""The inverses of sine, cosine and tangent."""

from __future__ import annotations

import math

from ..ir import Function, Value
from .base import copysign, exact, fabs, is_single, polynomial, to_bits

#: (asin(x) / x - 1) / x**2 in x**2, up to x = 1/2
_ASIN_SINGLE = (0.166666597, 0.0750051215, 0.0445154719, 0.0318198241, 0.0143937832, 0.0375781916)
_ASIN_DOUBLE = (
    0.16666666666666763, 0.074999999999700931, 0.044642857175290443, 0.030381942675093199,
    0.022372215910607122, 0.017351595424280591, 0.013981019351971834, 0.011397287033291978,
    0.010789351644110276, 0.0036720803561474205, 0.021790880056791258, -0.021117021987514466,
    0.032702336547269617,
)  # fmt: skip
#: (atan(x) / x - 1) / x**2 in x**2, up to x = 1
_ATAN_SINGLE = (
    -0.333332986, 0.199985489, -0.142642424, 0.109521858, -0.08403451, 0.0579576008,
    -0.0311778523, 0.0109146079, -0.00179362216,
)  # fmt: skip
_ATAN_DOUBLE = (
    -0.33333333333333287, 0.19999999999990445, -0.14285714285036547, 0.11111111086445052,
    -0.090909085472144796, 0.076922997112822827, -0.066665837185235277, 0.058817161268134653,
    -0.052594336584227595, 0.047449256393834904, -0.042863895581705447, 0.038210033497568664,
    -0.032785375084042556, 0.026151593160018777, -0.018614121312754684, 0.011317588115742567,
    -0.0056123496982724078, 0.0021515714921216478, -0.00059288824195871887,
    0.00010387096219897441, -8.654125309882312e-06,
)  # fmt: skip


def _quarter_turns(fn: Function, count: int, less: Value) -> Value:
    """``count * pi/2 - less``, pi in two parts."""
    if is_single(less):
        high, low = 1.57079637050628662109375, -4.37113900018624283e-8
    else:
        high, low = math.pi / 2, 6.123233995736766e-17
    return count * high - (less - count * low)


def _asin_part(fn: Function, x: Value) -> tuple[Value, Value]:
    """Whether ``|x|`` is above 1/2, and asin of ``|x|`` or, there, of ``sqrt((1 - |x|) / 2)``."""
    a = fabs(fn, x)
    big = fn.compare("ogt", a, 0.5)
    z = fn.select(big, fn.fma(a, -0.5, 0.5), a * a)
    s = fn.select(big, fn.intrinsic("sqrt", z), a)
    p = polynomial(fn, z, _ASIN_SINGLE if is_single(x) else _ASIN_DOUBLE)
    return big, fn.fma(s * z, p, s)


@exact
def asin(fn: Function, x: Value) -> Value:
    big, part = _asin_part(fn, x)
    return copysign(fn, fn.select(big, _quarter_turns(fn, 1, part + part), part), x)


@exact
def acos(fn: Function, x: Value) -> Value:
    big, part = _asin_part(fn, x)
    twice = part + part
    far = fn.select(fn.compare("olt", x, 0.0), _quarter_turns(fn, 2, twice), twice)
    return fn.select(big, far, _quarter_turns(fn, 1, copysign(fn, part, x)))


def _atan_of_quotient(fn: Function, y: Value, x: Value) -> Value:
    """atan(y / x) of numbers of 0 and above: 0 if both are 0, pi/4 if both are infinite."""
    steep = fn.compare("ogt", y, x)
    least, most = fn.select(steep, x, y), fn.select(steep, y, x)
    t = fn.select(fn.compare("oeq", y, x), 1.0, least / most)
    t = fn.select(fn.compare("oeq", y + x, 0.0), 0.0, t)
    z = t * t
    p = polynomial(fn, z, _ATAN_SINGLE if is_single(x) else _ATAN_DOUBLE)
    angle = fn.fma(t * z, p, t)
    return fn.select(steep, _quarter_turns(fn, 1, angle), angle)


@exact
def atan(fn: Function, x: Value) -> Value:
    return copysign(fn, _atan_of_quotient(fn, fabs(fn, x), fn.const(1.0, x.type)), x)


@exact
def atan2(fn: Function, y: Value, x: Value) -> Value:
    angle = _atan_of_quotient(fn, fabs(fn, y), fabs(fn, x))
    left = fn.compare("slt", to_bits(fn, x), 0)
    return copysign(fn, fn.select(left, _quarter_turns(fn, 2, angle), angle), y)
