"""Exponentials and what is made of them. Coefficients of this package are minimax, by Remez."""

from __future__ import annotations

from ..ir import Function, Value, lanes, size_of
from .base import (
    at_least,
    at_most,
    copysign,
    exact,
    fabs,
    is_single,
    nearest,
    polynomial,
    power_of_two,
)

LOG2_E = 1.4426950408889634
LN2 = 0.6931471805599453
#: ln 2 in two parts, the first so short that its products with exponents are exact.
LN2_PARTS_SINGLE = (0.693145751953125, 1.42860682030941723212e-6)
LN2_PARTS_DOUBLE = (6.93147180369123816490e-01, 1.90821492927058770002e-10)

#: (e**r - 1 - r) / r**2 on [-ln(2)/2, ln(2)/2]
_EXP_SINGLE = (0.5, 0.16666542, 0.0416662805, 0.00836664438, 0.00139465556)
_EXP_DOUBLE = (
    0.5, 0.16666666666666677, 0.041666666666666699, 0.0083333333333215319, 0.0013888888888866672,
    0.0001984126988640167, 2.480158736088693e-05, 2.7557243911153517e-06, 2.7557242475563209e-07,
    2.5109147553204279e-08, 2.0924531459011794e-09,
)  # fmt: skip


def ln2_parts(x: Value) -> tuple[float, float]:
    return LN2_PARTS_SINGLE if is_single(x) else LN2_PARTS_DOUBLE


def _reduced(fn: Function, x: Value) -> tuple[Value, Value]:
    """``n, r`` with ``x = n ln 2 + r`` and r as small as can be."""
    n = nearest(fn, x, LOG2_E)
    high, low = ln2_parts(x)
    return n, fn.fma(n, -low, fn.fma(n, -high, x))


def _expm1_reduced(fn: Function, r: Value) -> Value:
    """``e**r - 1`` for a reduced argument."""
    p = polynomial(fn, r, _EXP_SINGLE if is_single(r) else _EXP_DOUBLE)
    return fn.fma(r * r, p, r)


def _scaled(fn: Function, x: Value, n: Value) -> Value:
    """``x * 2**n``, correct into overflow and subnormal numbers: the factor comes in two halves."""
    if fn.module.avx512 and size_of(x.type) * lanes(x.type) == 64:
        return _scalef(fn, x, n)
    half = nearest(fn, n, 0.5)
    return x * power_of_two(fn, half) * power_of_two(fn, n - half)


def _scalef(fn: Function, x: Value, n: Value) -> Value:
    """The same by AVX-512's instruction for it, on a whole vector."""
    count = lanes(x.type)
    name = f"llvm.x86.avx512.mask.scalef.p{'s' if is_single(x) else 'd'}.512"
    all_lanes = Value("-1", f"i{count}", fn)
    as_set = fn.const(4, "i32")
    fn.module.declare(name, x.type, [x.type, x.type, x.type, all_lanes.type, "i32"])
    return fn.call(x.type, name, x, n, x, all_lanes, as_set)


def _in_range(fn: Function, x: Value, low: float, high: float) -> tuple[Value, Value]:
    """Where the result is 0, and x within the range where it is neither that nor infinite.

    Zeros are put in at the end: a product that underflows takes some processors a hundred times as
    long, and softmax under a mask has nothing but those.
    """
    zero = fn.compare("olt", x, low)
    return zero, at_most(fn, fn.select(zero, 0.0, x), high)


def _exp_range(x: Value) -> tuple[float, float]:
    return (-104.0, 89.0) if is_single(x) else (-746.0, 710.0)


@exact
def exp(fn: Function, x: Value) -> Value:
    zero, x = _in_range(fn, x, *_exp_range(x))
    n, r = _reduced(fn, x)
    return fn.select(zero, 0.0, _scaled(fn, _expm1_reduced(fn, r) + 1.0, n))


def times_exp(fn: Function, factor: Value, x: Value, more: Value) -> Value:
    """``factor * e**(x + more)``, more far smaller than x, with fewer roundings than by parts."""
    zero, x = _in_range(fn, x, *_exp_range(x))
    n, r = _reduced(fn, x)
    scaled = _scaled(fn, fn.fma(_expm1_reduced(fn, r + more), factor, factor), n)
    return fn.select(zero, 0.0, scaled)


@exact
def exp2(fn: Function, x: Value) -> Value:
    low, high = (-151.0, 129.0) if is_single(x) else (-1077.0, 1025.0)
    zero, x = _in_range(fn, x, low, high)
    n = nearest(fn, x, 1.0)
    return fn.select(zero, 0.0, _scaled(fn, _expm1_reduced(fn, (x - n) * LN2) + 1.0, n))


@exact
def expm1(fn: Function, x: Value) -> Value:
    low, high = (-20.0, 89.0) if is_single(x) else (-40.0, 710.0)
    n, r = _reduced(fn, at_most(fn, at_least(fn, x, low), high))
    # 2**n p + (2**n - 1); by halves, since 2**n itself may be out of range
    scale = power_of_two(fn, n - 1.0)
    half = fn.fma(scale, _expm1_reduced(fn, r), scale - 0.5)
    return copysign(fn, half + half, x)


def half_exp(fn: Function, x: Value) -> Value:
    """``e**x / 2`` for x of 0 and above: finite a little further than ``e**x``."""
    n, r = _reduced(fn, at_most(fn, x, 89.5 if is_single(x) else 710.5))
    return fn.fma(_expm1_reduced(fn, r), 0.5, 0.5) * power_of_two(fn, n - 2.0) * 4.0


@exact
def sigmoid(fn: Function, x: Value) -> Value:
    # 1 / (1 + e**-x) without overflow on either side
    z = exp(fn, -fabs(fn, x))
    return fn.select(fn.compare("olt", x, 0.0), z, 1.0) / (z + 1.0)
