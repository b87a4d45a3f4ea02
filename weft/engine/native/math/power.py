"""Powers, and lengths of vectors of two."""

from __future__ import annotations

import math

from ..ir import Function, Value, is_float, size_of
from .base import any_lane, exact, fabs, is_single, polynomial, to_bits, two_sum
from .exponential import ln2_parts, times_exp
from .logarithm import split
from .simple import is_bool

#: ((2 atanh(s) / s - 2) / s**2 - 2/3) / s**2 in s**2
_LOG_SINGLE = (0.40000093, 0.285517871, 0.233325139)
_LOG_DOUBLE = (
    0.40000000000000385, 0.28571428570996737, 0.22222222364155592, 0.1818179739408087,
    0.15386189966894584, 0.13269225070148422, 0.13088629860351161,
)  # fmt: skip

Double = tuple[Value, Value]  # a number as an unevaluated sum, the second far smaller


def _product(fn: Function, a: Double, b: Double) -> Double:
    high = a[0] * b[0]
    low = fn.fma(a[0], b[0], -high)
    return high, fn.fma(a[0], b[1], fn.fma(a[1], b[0], low))


def _sum(a: Double, b: Double) -> Double:
    high, low = two_sum(a[0], b[0])
    return two_sum(high, low + (a[1] + b[1]))


def _log(fn: Function, x: Value) -> Double:
    """The logarithm of a positive number, with some bits more than the type has."""
    k, f = split(fn, x)
    whole = f + 2.0
    s = f / whole
    lost = f - (whole - 2.0)
    s_low = fn.fma(-s, lost, fn.fma(-s, whole, f)) / whole
    square = _product(fn, (s, s_low), (s, s_low))
    z = square[0]
    rest = z * polynomial(fn, z, _LOG_SINGLE if is_single(x) else _LOG_DOUBLE)
    third = fn.const(2 / 3, x.type)
    third_low = 2 / 3 - 0.666666686534881591796875 if is_single(x) else 3.700743415417188e-17
    inner = two_sum(third, rest)
    cube = _product(fn, _product(fn, (s, s_low), square), (inner[0], inner[1] + third_low))
    fraction = _sum((s + s, s_low + s_low), cube)
    high, low = ln2_parts(x)
    return _sum((k * high, k * low), fraction)


def _power_of_size(fn: Function, a: Value, y: Value) -> Value:
    """``a**y`` of a positive, finite a and any y."""
    high, low = _log(fn, a)
    product = y * high
    more = fn.fma(y, low, fn.fma(y, high, -product))
    # Beyond this, the result is 0 or infinite whatever is added.
    more = fn.select(fn.compare("olt", fabs(fn, product), 1000.0), more, 0.0)
    return times_exp(fn, fn.const(1.0, a.type), product, more)


@exact
def _float_power(fn: Function, x: Value, y: Value) -> Value:
    a = fabs(fn, x)
    negative = fn.compare("olt", y, 0.0)
    result = _power_of_size(fn, a, y)
    result = fn.select(fn.compare("oeq", a, 1.0), 1.0, result)
    zero, infinite = fn.const(0.0, x.type), fn.const(math.inf, x.type)
    at_zero, at_infinity = (
        fn.select(negative, *ends) for ends in ((infinite, zero), (zero, infinite))
    )
    result = fn.select(fn.compare("oeq", a, 0.0), at_zero, result)
    result = fn.select(fn.compare("oeq", a, math.inf), at_infinity, result)

    def whole(v: Value) -> Value:
        return fn.compare("oeq", fn.intrinsic("trunc", v), v)

    integer = whole(y)
    odd = integer & ~whole(y * 0.5)
    signed = fn.compare("slt", to_bits(fn, x), 0)
    result = fn.select(odd & signed, -result, result)
    inside = fn.compare("olt", x, 0.0) & fn.compare("olt", a, math.inf)
    result = fn.select(inside & ~integer, math.nan, result)
    result = fn.select(fn.compare("uno", x, y), x + y, result)
    one = fn.compare("oeq", y, 0.0) | fn.compare("oeq", x, 1.0)
    return fn.select(one, 1.0, result)


def _integer_power(fn: Function, x: Value, n: Value, signed: bool) -> Value:
    """Wraps around; to a negative power, what ``1 / x**n`` truncates to."""
    one = fn.const(1, x.type)
    start = fn.select(fn.compare("slt", n, 0), 0, n) if signed else n
    result, base, left = (fn.variable(v.type, v) for v in (one, x, start))
    with (
        fn.loop(0, 8 * size_of(x.type)),
        fn.when(any_lane(fn, fn.compare("ne", fn.load(n.type, left), 0))),
    ):
        b, k = fn.load(x.type, base), fn.load(n.type, left)
        r = fn.load(x.type, result)
        fn.store(fn.select(fn.compare("ne", k & 1, 0), r * b, r), result)
        fn.store(b * b, base)
        fn.store(k >> 1, left)
    power = fn.load(x.type, result)
    if not signed:
        return power
    odd = fn.select(fn.compare("ne", n & 1, 0), x, 1)
    unit = fn.compare("eq", x, 1) | fn.compare("eq", x, -1)
    inverse = fn.select(unit, odd, 0)
    return fn.select(fn.compare("slt", n, 0), inverse, power)


def pow_(fn: Function, x: Value, y: Value, signed: bool = True) -> Value:
    if is_float(x.type):
        return _float_power(fn, x, y)
    return x | ~y if is_bool(x) else _integer_power(fn, x, y, signed)


@exact
def hypot(fn: Function, x: Value, y: Value) -> Value:
    a, b = fabs(fn, x), fabs(fn, y)
    most = fn.select(fn.compare("olt", a, b), b, a)
    high, low, down, up = (60, -50, -70, 100) if is_single(x) else (500, -450, -600, 700)
    # The squares must neither overflow nor vanish.
    scale = fn.select(fn.compare("olt", most, 2.0**low), fn.const(2.0**up, x.type), 1.0)
    scale = fn.select(fn.compare("ogt", most, 2.0**high), 2.0**down, scale)
    back = fn.select(fn.compare("olt", most, 2.0**low), fn.const(2.0**-up, x.type), 1.0)
    back = fn.select(fn.compare("ogt", most, 2.0**high), 2.0**-down, back)
    p, q = a * scale, b * scale
    length = fn.intrinsic("sqrt", fn.fma(p, p, q * q)) * back
    infinite = fn.compare("oeq", a, math.inf) | fn.compare("oeq", b, math.inf)
    return fn.select(infinite, math.inf, length)
