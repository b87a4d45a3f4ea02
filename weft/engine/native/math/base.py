"""What the emitters of mathematical functions share.

All of them work on any number of lanes of ``float`` and ``double``, with nothing but LLVM's generic
instructions and intrinsics that AVX2 and NEON have instructions for: no call of a library, no
branch on one lane's value. Roundings are written out (``fma`` where one is meant), so that every
processor gives the same bits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

from ..ir import Function, Value, element, lanes, suffix, vector

P = ParamSpec("P")
T = TypeVar("T")


def exact(
    emit: Callable[Concatenate[Function, P], T],
) -> Callable[Concatenate[Function, P], T]:
    """An emitter whose arithmetic LLVM leaves as it is written."""

    @functools.wraps(emit)
    def wrapped(fn: Function, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with fn.exact():
            return emit(fn, *args, **kwargs)

    return wrapped


class Format(NamedTuple):
    """A floating type in IEEE 754's terms.

    Attributes:
        integer: the integer type of the same size.
        fraction: bits of the significand that are stored.
        bias: of the exponent.
        least: the smallest normal number.
        shift: adding it to a small number leaves that, rounded to an integer, in the lowest bits.
    """

    integer: str
    bits: int
    fraction: int
    bias: int
    least: float
    shift: float


SINGLE = Format("i32", 32, 23, 127, 2.0**-126, 1.5 * 2.0**23)
DOUBLE = Format("i64", 64, 52, 1023, 2.0**-1022, 1.5 * 2.0**52)


def is_single(x: Value) -> bool:
    return element(x.type) == "float"


def format_of(x: Value) -> Format:
    return SINGLE if is_single(x) else DOUBLE


def to_bits(fn: Function, x: Value) -> Value:
    return fn.convert("bitcast", x, vector(format_of(x).integer, lanes(x.type)))


def from_bits(fn: Function, bits: Value, like: Value) -> Value:
    return fn.convert("bitcast", bits, like.type)


def polynomial(fn: Function, x: Value, coefficients: Sequence[float]) -> Value:
    """Of ascending coefficients, by Horner's scheme."""
    total = fn.const(coefficients[-1], x.type)
    for c in reversed(coefficients[:-1]):
        total = fn.fma(total, x, c)
    return total


def fabs(fn: Function, x: Value) -> Value:
    return fn.intrinsic("fabs", x)


def copysign(fn: Function, size: Value, sign: Value) -> Value:
    return fn.intrinsic("copysign", size, sign)


def at_least(fn: Function, x: Value, low: float) -> Value:
    """The greater of both; NaN stays."""
    return fn.select(fn.compare("olt", x, low), low, x)


def at_most(fn: Function, x: Value, high: float) -> Value:
    """The lesser of both; NaN stays."""
    return fn.select(fn.compare("ogt", x, high), high, x)


def nearest(fn: Function, x: Value, scale: float) -> Value:
    """``x * scale`` rounded to an integer, which must stay within some millions."""
    shift = format_of(x).shift
    return fn.fma(x, scale, shift) - shift


def power_of_two(fn: Function, n: Value) -> Value:
    """``2**n`` of an integer, as float, that the exponent of a normal number can hold."""
    form = format_of(n)
    exponent = to_bits(fn, n + form.shift) + form.bias
    return from_bits(fn, exponent << form.fraction, n)


def two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """The rounded sum, and what rounding lost. (Knuth)"""
    total = a + b
    second = total - a
    return total, (a - (total - second)) + (b - second)


def any_lane(fn: Function, mask: Value) -> Value:
    """Whether a mask holds anywhere, as one ``i1``."""
    if lanes(mask.type) == 1:
        return mask
    return fn.call("i1", f"llvm.vector.reduce.or.{suffix(mask.type)}", mask)
