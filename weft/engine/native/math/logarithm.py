"""Logarithms: log(1 + f) = 2 atanh(f / (2 + f)), as in Sun's fdlibm."""

from __future__ import annotations

import math

from ..ir import Function, Value
from .base import exact, format_of, from_bits, is_single, polynomial, to_bits
from .exponential import LOG2_E, ln2_parts

#: (2 atanh(s) / s - 2) / s**2 in s**2, for 1 + f in [sqrt(1/2), sqrt(2)]
_LOG_SINGLE = (0.666666627, 0.400003374, 0.285372376, 0.235835686)
_LOG_DOUBLE = (
    0.66666666666667096, 0.39999999999517932, 0.28571428729875431, 0.22222199015036564,
    0.18183576136434645, 0.15313033331939641, 0.14811939400460636,
)  # fmt: skip


def _split_normal(fn: Function, x: Value) -> tuple[Value, Value]:
    """``k, f`` with ``x = 2**k (1 + f)`` of a positive normal number, 1 + f near 1."""
    form = format_of(x)
    one = form.bias << form.fraction
    root = (one - (1 << form.fraction)) | int((math.sqrt(0.5) * 2 - 1) * (1 << form.fraction))
    moved = to_bits(fn, x) + (one - root)
    integer = 2.0**form.fraction
    tagged = (moved >> form.fraction) | ((form.bias + form.fraction) << form.fraction)
    k = from_bits(fn, tagged, x) - (integer + form.bias)
    f = from_bits(fn, (moved & ((1 << form.fraction) - 1)) + root, x) - 1.0
    return k, f


def split(fn: Function, x: Value) -> tuple[Value, Value]:
    """Likewise of any positive number."""
    tiny = fn.compare("olt", x, format_of(x).least)
    k, f = _split_normal(fn, fn.select(tiny, x * 2.0**54, x))
    return fn.select(tiny, k - 54.0, k), f


def _tail(fn: Function, f: Value) -> Value:
    """``log(1 + f) - f``."""
    s = f / (f + 2.0)
    z = s * s
    rest = z * polynomial(fn, z, _LOG_SINGLE if is_single(f) else _LOG_DOUBLE)
    half = f * f * 0.5
    return fn.fma(s, half + rest, -half)


def _sum(fn: Function, k: Value, f: Value, more: Value | None = None) -> Value:
    """``k ln 2 + log(1 + f)``, and a small term."""
    high, low = ln2_parts(f)
    small = fn.fma(k, low, _tail(fn, f))
    if more is not None:
        small = small + more
    return fn.fma(k, high, small + f)


def _with_ends(fn: Function, x: Value, result: Value) -> Value:
    """``result`` where x is positive and finite, and what a logarithm is elsewhere."""
    result = fn.select(fn.compare("olt", x, math.inf), result, x)
    result = fn.select(fn.compare("olt", x, 0.0), math.nan, result)
    return fn.select(fn.compare("oeq", x, 0.0), -math.inf, result)


@exact
def log(fn: Function, x: Value) -> Value:
    k, f = split(fn, x)
    return _with_ends(fn, x, _sum(fn, k, f))


def _based(fn: Function, x: Value, scale: float, unit: float) -> Value:
    """``k unit + scale log(1 + f)``."""
    k, f = split(fn, x)
    # scale in two parts, so that its own rounding does not count
    rounded = fn.const(scale, x.type)
    error = scale - _rounded(scale, x)
    tail = _tail(fn, f)
    part = fn.fma(f, error, tail * rounded)
    result = fn.fma(f, rounded, part)
    if unit == 1.0:
        return _with_ends(fn, x, k + result)
    error = unit - _rounded(unit, x)
    return _with_ends(fn, x, fn.fma(k, unit, fn.fma(k, error, result)))


def _rounded(value: float, x: Value) -> float:
    if not is_single(x):
        return value
    power: float = 2.0 ** (math.frexp(value)[1] - 24)
    return round(value / power) * power


@exact
def log2(fn: Function, x: Value) -> Value:
    return _based(fn, x, LOG2_E, 1.0)


@exact
def log10(fn: Function, x: Value) -> Value:
    return _based(fn, x, 1 / math.log(10), math.log10(2))


@exact
def log1p(fn: Function, x: Value) -> Value:
    u = x + 1.0
    k, f = _split_normal(fn, u)
    # What u = 1 + x lost in rounding, relative to u. Where u needs no scaling, f is x itself.
    big = fn.compare("ogt", x, 1.0)
    lost = fn.select(big, 1.0 - (u - x), x - (u - 1.0)) / u
    plain = fn.compare("oeq", k, 0.0)
    f = fn.select(plain, x, f)
    result = _sum(fn, k, f, fn.select(plain, 0.0, lost))
    # log1p(-0.0) is -0.0, which the sum above does not keep
    result = fn.select(fn.compare("oeq", x, 0.0), x, result)
    return _with_ends(fn, u, result)
