"""Sine and its relatives."""

from __future__ import annotations

import itertools
import math

from ..ir import Function, Value, lanes
from .base import (
    any_lane,
    exact,
    fabs,
    format_of,
    from_bits,
    is_single,
    polynomial,
    to_bits,
    two_sum,
)

#: pi/2 in two parts, and in three: products of the first two of these with integers up to 2**20
#: are exact.
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17)
_HALF_PI_SHORT = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)
#: 2/pi in words of 64 bits, from 2**64 down.
_TWO_OVER_PI = (
    0x0000000000000000, 0xA2F9836E4E441529, 0xFC2757D1F534DDC0, 0xDB6295993C439041,
    0xFE5163ABDEBBC561, 0xB7246E3A424DD2E0, 0x06492EEA09D1921C, 0xFE1DEB1CB129A73E,
    0xE88235F52EBB4484, 0xE99C7026B45F7E41, 0x3991D639835339F4, 0x9C845F8BBDF9283B,
    0x1FF897FFDE05980F, 0xEF2F118B5A0A6D1F, 0x6D367ECF27CB09B7, 0x4F463F669E5FEA2D,
    0x7527BAC7EBE5F17B, 0x3D0739F78A5292EA, 0x6BFB5FB11F8D5D08, 0x56033046FC7B6BAB,
)  # fmt: skip
#: (sin(r) / r - 1) / r**2 and (cos(r) - 1 + r**2 / 2) / r**4 in r**2, on [-pi/4, pi/4]
_SIN_SINGLE = (-0.166666552, 0.00833209604, -0.000195032932)
_COS_SINGLE = (0.0416666456, -0.00138873619, 2.44377297e-05)
_SIN_DOUBLE = (
    -0.16666666666666632, 0.008333333333322316, -0.00019841269829725246, 2.7557313662071658e-06,
    -2.50507532668194e-08, 1.5896505084380665e-10,
)  # fmt: skip
_COS_DOUBLE = (
    0.041666666666666602, -0.001388888888887399, 2.4801587289394964e-05, -2.7557314326041985e-07,
    2.0875719560311987e-09, -1.1359448767215808e-11,
)  # fmt: skip


def _payne_hanek(fn: Function) -> None:
    """``n, r, e`` with ``x = n pi/2 + r + e``, for those of ``count`` doubles beyond ``limit``.

    The significand times those 192 bits of 2/pi that decide about quadrant and fraction: bits
    before them give whole turns. (Payne and Hanek, "Radian reduction for trigonometric
    functions", SIGNUM Newsletter 18, 1983)
    """
    xs, ns, rs, es, limit, count = fn.arguments
    with fn.loop(0, count) as lane:
        x = fn.load("double", xs, lane)
        with fn.when(~fn.compare("olt", fabs(fn, x), limit)):
            n, r, e = _reduced_far(fn, x)
            fn.store(n, ns, lane)
            fn.store(r, rs, lane)
            fn.store(e, es, lane)


def _reduced_far(fn: Function, x: Value) -> tuple[Value, Value, Value]:
    bits = to_bits(fn, x)
    significand = (bits & ((1 << 52) - 1)) | (1 << 52)
    # |x| is the significand times 2**power; from here on, in units of four quadrants
    power = ((bits >> 52) & 0x7FF) - (1023 + 52)
    start = power + (64 - 2)
    word, shift = start >> 6, start & 63
    words = [fn.const(0, "i64") for _ in range(4)]
    for k in range(len(_TWO_OVER_PI) - 3):
        here = fn.compare("eq", word, k)
        words = [fn.select(here, _TWO_OVER_PI[k + j], w) for j, w in enumerate(words)]
    m = fn.convert("zext", significand, "i128")
    first, second, third = (
        fn.convert("zext", (a << shift) | ((b >> 1) >> (shift ^ 63)), "i128") * m
        for a, b in itertools.pairwise(words)
    )
    turns = (first << 64) + second + (third >> 64)
    n = fn.convert("trunc", (turns + (1 << 125)) >> 126, "i64")
    fraction = turns << 2  # of a quadrant, signed: from -1/2 to 1/2
    below = fn.compare("slt", fraction, 0)
    size = fn.select(below, -fraction, fraction)
    high = _as_double(fn, size >> 85) * 2.0**-43
    low = _as_double(fn, (size >> 42) & ((1 << 43) - 1)) * 2.0**-86
    low = low + _as_double(fn, size & ((1 << 42) - 1)) * 2.0**-128
    high, low = two_sum(high, low)
    r = high * _HALF_PI[0]
    e = fn.fma(high, _HALF_PI[0], -r) + fn.fma(high, _HALF_PI[1], low * _HALF_PI[0])
    e = e + (x - x)  # NaN for what is not finite
    flip = below ^ fn.compare("olt", x, 0.0)
    n = fn.select(fn.compare("olt", x, 0.0), 0 - n, n)
    return n, fn.select(flip, -r, r), fn.select(flip, -e, e)


def _as_double(fn: Function, n: Value) -> Value:
    return fn.convert("uitofp", fn.convert("trunc", n, "i64"), "double")


def _reduced(fn: Function, x: Value) -> tuple[Value, Value, Value | None]:
    """The quadrant as an integer, and ``r + e`` from -pi/4 to pi/4."""
    single = is_single(x)
    if single:
        x = fn.convert("fpext", x, "double")
    limit = 2.0**26 if single else 2.0**20
    shift = format_of(x).shift
    shifted = fn.fma(x, 2 / math.pi, shift)
    n = shifted - shift
    if single:
        r = fn.fma(n, -_HALF_PI[1], fn.fma(n, -_HALF_PI[0], x))
        e = fn.const(0.0, x.type)
    else:
        a, b, c = _HALF_PI_SHORT
        r, e = two_sum(fn.fma(n, -a, x), n * -b)
        r, e = two_sum(r, fn.fma(n, -c, e))
    quadrant, r, e = _far_lanes(fn, x, limit, to_bits(fn, shifted), r, e)
    if single:
        return fn.convert("trunc", quadrant, "i32"), fn.convert("fptrunc", r + e, "float"), None
    return quadrant, r, e


def _far_lanes(
    fn: Function, x: Value, limit: float, quadrant: Value, r: Value, e: Value
) -> tuple[Value, Value, Value]:
    """With lanes from ``limit`` on, and what is not finite, reduced by a function of its own."""
    values = (quadrant, r, e)
    places = [fn.variable(v.type, v) for v in values]
    with fn.when(any_lane(fn, ~fn.compare("olt", fabs(fn, x), limit))):
        # Places whose addresses go to a function stay in memory: they are others, used here only.
        scratch = [fn.variable(v.type, v) for v in (x, *values)]
        arguments = [(name, "ptr") for name in "xnre"] + [("limit", "double"), ("count", "i64")]
        name = fn.module.shared("payne_hanek", arguments, _payne_hanek)
        fn.call_void(name, *scratch, fn.const(limit, "double"), fn.const(lanes(x.type), "i64"))
        for v, place, there in zip(values, places, scratch[1:], strict=True):
            fn.store(fn.load(v.type, there), place)
    quadrant, r, e = (fn.load(v.type, p) for v, p in zip(values, places, strict=True))
    return quadrant, r, e


def _sine(fn: Function, r: Value, e: Value | None) -> Value:
    z = r * r
    p = polynomial(fn, z, _SIN_SINGLE if is_single(r) else _SIN_DOUBLE)
    if e is None:
        return fn.fma(r * z, p, r)
    return r + fn.fma(r * z, p, e * fn.fma(z, -0.5, 1.0))


def _cosine(fn: Function, r: Value, e: Value | None) -> Value:
    z = r * r
    p = polynomial(fn, z, _COS_SINGLE if is_single(r) else _COS_DOUBLE)
    if e is None:
        return fn.fma(z * z, p, fn.fma(z, -0.5, 1.0))
    half = z * 0.5
    near = 1.0 - half
    return near + (((1.0 - near) - half) + fn.fma(z * z, p, -(r * e)))


def _odd(fn: Function, quadrant: Value) -> Value:
    return fn.compare("ne", quadrant & 1, 0)


def _negated_if_second_bit(fn: Function, n: Value, value: Value) -> Value:
    sign = (n & 2) << (format_of(value).bits - 2)
    return from_bits(fn, to_bits(fn, value) ^ sign, value)


@exact
def sincos(fn: Function, x: Value) -> tuple[Value, Value]:
    """Sine and cosine, for little more than one of them."""
    n, r, e = _reduced(fn, x)
    s, c = _sine(fn, r, e), _cosine(fn, r, e)
    odd = _odd(fn, n)
    sine = _negated_if_second_bit(fn, n, fn.select(odd, c, s))
    cosine = _negated_if_second_bit(fn, n + 1, fn.select(odd, s, c))
    return fn.select(fn.compare("oeq", x, 0.0), x, sine), cosine


def sin(fn: Function, x: Value) -> Value:
    return sincos(fn, x)[0]


def cos(fn: Function, x: Value) -> Value:
    return sincos(fn, x)[1]


@exact
def tan(fn: Function, x: Value) -> Value:
    n, r, e = _reduced(fn, x)
    s, c = _sine(fn, r, e), _cosine(fn, r, e)
    odd = _odd(fn, n)
    quotient = fn.select(odd, -c, s) / fn.select(odd, s, c)
    return fn.select(fn.compare("oeq", x, 0.0), x, quotient)
