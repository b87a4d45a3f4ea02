"""Remainders and what goes with them, of floats: exact, as C's fmod is."""

from __future__ import annotations

import math

from ..ir import Function, Value
from .base import any_lane, copysign, exact, fabs, format_of, from_bits, is_single, to_bits


def _reduced(fn: Function, r: Value, b: Value) -> Value:
    """``r - q b``, exactly: q is the quotient, down to an integer or to what the type can hold."""
    far = 2.0**100 if is_single(r) else 2.0**700
    for _ in range(2):  # else the quotient could overflow
        more = b * far
        b = fn.select(fn.compare("ogt", r, more), more, b)
    q = fn.intrinsic("trunc", r / b)
    unit = fn.compare("olt", q, 2.0 ** (format_of(r).fraction + 1))
    less = fn.select(unit, q - 1.0, from_bits(fn, to_bits(fn, q) - 1, q))
    over = fn.compare("olt", fn.fma(-q, b, r), 0.0)
    return fn.fma(-fn.select(over, less, q), b, r)


@exact
def fmod(fn: Function, a: Value, b: Value) -> Value:
    x, y = fabs(fn, a), fabs(fn, b)
    valid = fn.compare("olt", x, math.inf) & fn.compare("ogt", y, 0.0)

    def step(r: Value) -> Value:
        return fn.select(valid & fn.compare("oge", r, y), _reduced(fn, r, y), r)

    place = fn.variable(x.type, step(x))
    # A step takes off as many bits as the type has; so many bring the largest number below the
    # smallest.
    steps = 12 if is_single(x) else 41
    again = any_lane(fn, valid & fn.compare("oge", fn.load(x.type, place), y))
    with fn.when(again), fn.loop(0, steps):
        fn.store(step(fn.load(x.type, place)), place)
    return copysign(fn, fn.select(valid, fn.load(x.type, place), math.nan), a)


def _towards(fn: Function, mod: Value, b: Value) -> tuple[Value, Value]:
    """Where a remainder has the other sign than b, and the one that has b's sign."""
    other = fn.compare("une", mod, 0.0) & (fn.compare("olt", b, 0.0) ^ fn.compare("olt", mod, 0.0))
    return other, fn.select(other, mod + b, mod)


@exact
def remainder(fn: Function, a: Value, b: Value) -> Value:
    """With the sign of b."""
    _, mod = _towards(fn, fmod(fn, a, b), b)
    return fn.select(fn.compare("oeq", mod, 0.0), copysign(fn, mod, b), mod)


@exact
def floor_div(fn: Function, a: Value, b: Value) -> Value:
    mod = fmod(fn, a, b)
    other, _ = _towards(fn, mod, b)
    quotient = (a - mod) / b
    quotient = fn.select(other, quotient - 1.0, quotient)
    down = fn.intrinsic("floor", quotient)
    down = fn.select(fn.compare("ogt", quotient - down, 0.5), down + 1.0, down)
    down = fn.select(fn.compare("oeq", quotient, 0.0), copysign(fn, quotient, a / b), down)
    return fn.select(fn.compare("oeq", b, 0.0), a / b, down)
