"""What takes an instruction or a few: arithmetic, rounding, comparison, logic, bits.

Values of bool are ``i1``. Emitters for integers take ``signed``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..ir import Function, Value, element, is_float
from .base import exact, fabs


def is_bool(x: Value) -> bool:
    return element(x.type) == "i1"


# ---- arithmetic


def add(fn: Function, a: Value, b: Value) -> Value:
    return a | b if is_bool(a) else a + b


def sub(fn: Function, a: Value, b: Value) -> Value:
    return a - b


def mul(fn: Function, a: Value, b: Value) -> Value:
    return a & b if is_bool(a) else a * b


def div(fn: Function, a: Value, b: Value) -> Value:
    return a / b


def neg(fn: Function, x: Value) -> Value:
    return -x


def reciprocal(fn: Function, x: Value) -> Value:
    return 1.0 / x


def sqrt(fn: Function, x: Value) -> Value:
    return fn.intrinsic("sqrt", x)


def rsqrt(fn: Function, x: Value) -> Value:
    return 1.0 / fn.intrinsic("sqrt", x)


# ---- rounding and sign


def _rounding(name: str) -> Callable[[Function, Value], Value]:
    """Integers round to themselves."""
    return lambda fn, x: fn.intrinsic(name, x) if is_float(x.type) else x


floor, ceil, trunc, round_ = map(_rounding, ("floor", "ceil", "trunc", "rint"))


def abs_(fn: Function, x: Value, signed: bool = True) -> Value:
    if is_float(x.type):
        return fabs(fn, x)
    return fn.select(fn.compare("slt", x, 0), -x, x) if signed else x


def sign(fn: Function, x: Value, signed: bool = True) -> Value:
    """Of NaN: 0."""
    if is_bool(x):
        return x
    positive = fn.select(gt(fn, x, fn.const(0, x.type), signed), fn.const(1, x.type), 0)
    if not signed:
        return positive
    return fn.select(lt(fn, x, fn.const(0, x.type)), -1, positive)


# ---- the greater and the lesser: NaN wins


def _either(name: str, comparison: str) -> Callable[..., Value]:
    def emit(fn: Function, a: Value, b: Value, signed: bool = True) -> Value:
        if is_float(a.type):
            with fn.flagged("nsz"):  # (of two zeros, either)
                return fn.intrinsic(name, a, b)
        return fn.select(_comparison(comparison)(fn, a, b, signed), a, b)

    return emit


maximum, minimum = _either("maximum", "gt"), _either("minimum", "lt")


def relu(fn: Function, x: Value, signed: bool = True) -> Value:
    return fn.select(lt(fn, x, fn.const(0, x.type), signed), 0, x)


def relu_mask(fn: Function, g: Value, y: Value, signed: bool = True) -> Value:
    """The gradient of relu: g where y > 0, else 0."""
    return fn.select(gt(fn, y, fn.const(0, y.type), signed), g, 0)


# ---- comparison and logic, which give bools


def _comparison(name: str) -> Callable[..., Value]:
    def emit(fn: Function, a: Value, b: Value, signed: bool = True) -> Value:
        if is_float(a.type):
            return fn.compare("une" if name == "ne" else "o" + name, a, b)
        if name in ("eq", "ne"):
            return fn.compare(name, a, b)
        return fn.compare(("s" if signed and not is_bool(a) else "u") + name, a, b)

    return emit


eq, ne, lt, le, gt, ge = map(_comparison, ("eq", "ne", "lt", "le", "gt", "ge"))


def truth(fn: Function, x: Value) -> Value:
    return x if is_bool(x) else ne(fn, x, fn.const(0, x.type))


def logical_and(fn: Function, a: Value, b: Value) -> Value:
    return truth(fn, a) & truth(fn, b)


def logical_or(fn: Function, a: Value, b: Value) -> Value:
    return truth(fn, a) | truth(fn, b)


def logical_xor(fn: Function, a: Value, b: Value) -> Value:
    return truth(fn, a) ^ truth(fn, b)


def logical_not(fn: Function, x: Value) -> Value:
    return ~truth(fn, x)


def isnan(fn: Function, x: Value) -> Value:
    return fn.compare("uno", x, x) if is_float(x.type) else ne(fn, x, x)


@exact
def isinf(fn: Function, x: Value) -> Value:
    return fn.compare("oeq", fabs(fn, x), math.inf) if is_float(x.type) else ne(fn, x, x)


# ---- bits


def bitwise_and(fn: Function, a: Value, b: Value) -> Value:
    return a & b


def bitwise_or(fn: Function, a: Value, b: Value) -> Value:
    return a | b


def bitwise_xor(fn: Function, a: Value, b: Value) -> Value:
    return a ^ b


def bitwise_not(fn: Function, x: Value) -> Value:
    return ~x


def _bits(x: Value) -> int:
    return int(element(x.type)[1:])


def shift_left(fn: Function, a: Value, b: Value) -> Value:
    """0 once every bit is out; likewise for negative distances."""
    inside = fn.compare("ult", b, _bits(a))
    return fn.select(inside, a << fn.select(inside, b, 0), 0)


def shift_right(fn: Function, a: Value, b: Value, signed: bool = True) -> Value:
    """Of signed integers, the sign comes in."""
    inside = fn.compare("ult", b, _bits(a))
    if signed:
        return fn.binary("ashr", a, fn.select(inside, b, _bits(a) - 1))
    return fn.select(inside, a >> fn.select(inside, b, 0), 0)
