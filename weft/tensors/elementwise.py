"""Elementwise functions: ``weft.exp(x)``, ``x.exp()`` and ``x.exp_()`` are one definition.

What is done here, above the primitives: PyTorch's type promotion, Python numbers as operands, and
names. Functions take Tensors or numbers and give Tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import MAX_PENDING_NODES
from ..dtypes import (
    bool_,
    dtype,
    get_default_dtype,
    int64,
    of_number,
    promote_ranked,
    with_number,
)
from ..engine.realize import realize_if_large
from ..errors import DTypeError, OptionError, ShapeError
from ..graph.node import PENDING, Node, number, record1, record2, type_of
from ..ops import complex as cx, elementwise as ew
from ..ops.base import op_of
from ..ops.movement import full
from . import core
from .core import TensorCore, is_number, node_of, not_a_tensor, wrap
from .creation import check_fits
from .out import with_out, written

if TYPE_CHECKING:
    from .tensor import Tensor

    Unary = Callable[[Tensor], Tensor]
    Binary = Callable[..., Tensor]

Operand = Any  # a Tensor, a NumPy array or a Python number

_new = object.__new__

# ---- operands


def from_host(value: Any) -> Node | None:
    """A NumPy array (or scalar) among the operands; None for anything else."""
    if isinstance(value, (np.ndarray, np.generic)):
        from .creation import as_leaf  # creation stands above: it needs arithmetic

        return as_leaf(value)
    return None


def operand(value: Any, kind: dtype) -> Node:
    """An operand that must have dtype ``kind`` in the end."""
    if isinstance(value, TensorCore):
        return ew.cast(node_of(value), kind)
    if is_number(value):
        return number(value, kind)
    node = from_host(value)
    if node is None:
        raise not_a_tensor(value, "a Tensor or a number is expected here")
    return ew.cast(node, kind)


def result_type(a: Any, b: Any) -> dtype:
    """The dtype of ``a op b`` by PyTorch's rules, for Tensors and numbers."""
    if is_number(a):
        if is_number(b):
            return with_number(of_number(a), b)
        a, b = b, a
    a = node_of(a).type
    if is_number(b):
        return with_number(a.dtype, b)
    b = node_of(b).type
    return promote_ranked(a.dtype, a.ndim, b.dtype, b.ndim)


def promoted(a: Any, b: Any, *, to_float: bool = False) -> tuple[Node, Node]:
    """Both operands as nodes of one dtype."""
    if isinstance(a, np.ndarray):
        a = wrap(from_host(a))  # type: ignore[arg-type]
    if isinstance(b, np.ndarray):
        b = wrap(from_host(b))  # type: ignore[arg-type]
    for value in (a, b):
        if not isinstance(value, TensorCore) and not is_number(value):
            raise not_a_tensor(value, "a Tensor or a number is expected here")
    kind = result_type(a, b)
    if to_float and not kind.is_inexact:
        kind = get_default_dtype()
    return operand(a, kind), operand(b, kind)


# ---- constructors of families


def _binary(call: Callable[..., Node], doc: str, *, to_float: bool = False) -> Binary:
    op, name = op_of(call), call.__name__.rstrip("_")

    def function(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
        cls = other.__class__
        node: Node | None
        try:
            a = input._node if input._base is None else input._sync()
            if cls is float or cls is int:
                kind = a.type.dtype
                if kind.is_inexact or (cls is int and kind is not bool_ and not to_float):
                    b = number(other, kind)
                else:
                    a, b = promoted(input, other, to_float=to_float)
            else:
                b = other._node if other._base is None else other._sync()
            node = record2(op, a, b)
        except (AttributeError, DTypeError):  # no Tensor, or two dtypes
            node = None
        if node is None:
            node = record2(op, *promoted(input, other, to_float=to_float))
        tensor: Tensor = _new(core._Tensor)  # wrap(), inlined: this is the hottest path
        tensor._node = node
        tensor._base = None
        tensor._version = 0
        if len(PENDING) > MAX_PENDING_NODES:
            realize_if_large()
        return tensor if out is None else written(name, out, tensor)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _unary(call: Callable[[Node], Node], doc: str, *, to_float: bool = False) -> Unary:
    op, name = op_of(call), call.__name__.rstrip("_")

    def function(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        try:
            node = input._node if input._base is None else input._sync()
        except AttributeError:
            node = node_of(input)  # says what is expected
        if to_float and not node.type.dtype.is_inexact:
            node = ew.cast(node, get_default_dtype())
        tensor = wrap(record1(op, node))
        return tensor if out is None else written(name, out, tensor)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _float_unary(call: Callable[[Node], Node], doc: str) -> Unary:
    return _unary(call, f"{doc}, elementwise; integers become floating first.", to_float=True)


# ---- arithmetic

_add = _binary(ew.add, "")
_sub = _binary(ew.sub, "")


def _scaled(name: str, input: Operand, other: Operand, alpha: float) -> Operand:
    """``alpha * other`` in the dtype of the result, which ``alpha`` does not change.

    Raises:
        DTypeError: for a floating ``alpha`` where the result is integral.
    """
    _, b = promoted(input, other)
    if not isinstance(alpha, int) and not b.type.dtype.is_inexact:
        raise DTypeError(
            f"{name}: alpha={alpha} does not fit a result of {b.type.dtype}: convert an operand "
            "first, x.float()"
        )
    return wrap(ew.mul(b, alpha))


def add(input: Operand, other: Operand, *, alpha: float = 1, out: Tensor | None = None) -> Tensor:
    """``input + alpha * other``, broadcast and promoted."""
    result = _add(input, other if alpha == 1 else _scaled("add", input, other, alpha))
    return result if out is None else written("add", out, result)


def sub(input: Operand, other: Operand, *, alpha: float = 1, out: Tensor | None = None) -> Tensor:
    """``input - alpha * other``, broadcast and promoted."""
    result = _sub(input, other if alpha == 1 else _scaled("sub", input, other, alpha))
    return result if out is None else written("sub", out, result)


def rsub(input: Tensor, other: Operand, *, alpha: float = 1) -> Tensor:
    """``other - alpha * input``."""
    return _sub(other, input if alpha == 1 else mul(input, alpha))


mul = _binary(ew.mul, "``input * other``, broadcast and promoted.")
_true_divide = _binary(ew.div, "``input / other``; integers become floating.", to_float=True)
floor_divide = _binary(ew.floor_div, "``floor(input / other)``.")
remainder = _binary(ew.remainder, "Remainder with the sign of ``other`` (Python's ``%``).")
fmod = _binary(ew.fmod, "Remainder with the sign of ``input`` (C's ``fmod``).")
maximum = _binary(ew.maximum, "The larger of the two, elementwise; NaN if either is.")
minimum = _binary(ew.minimum, "The smaller of the two, elementwise; NaN if either is.")
atan2 = _binary(ew.atan2, "The angle of the point ``(other, input)``.", to_float=True)


def div(
    input: Operand, other: Operand, *, rounding_mode: str | None = None, out: Tensor | None = None
) -> Tensor:
    """``input / other``; ``rounding_mode`` "floor" or "trunc" keeps integers integral.

    Raises:
        OptionError: for another ``rounding_mode``.
    """
    if rounding_mode is None:
        return _true_divide(input, other, out=out)
    if rounding_mode == "floor":
        return floor_divide(input, other, out=out)
    if rounding_mode != "trunc":
        raise OptionError(f"rounding_mode must be None, 'floor' or 'trunc', not {rounding_mode!r}")
    a, b = promoted(input, other)
    if a.type.dtype.is_floating_point:
        result = wrap(ew.trunc(ew.div(a, b)))
    else:
        result = wrap(ew.floor_div(ew.sub(a, ew.fmod(a, b)), b))
    return result if out is None else written("div", out, result)


def pow(input: Operand, exponent: Operand, *, out: Tensor | None = None) -> Tensor:
    """``input ** exponent``. Squares and cubes are products; 0.5 is a square root.

    Raises:
        DTypeError: for an integer tensor to a negative whole power, which has no integer result.
    """
    if out is not None:
        result: Tensor = written("pow", out, pow(input, exponent))
        return result
    if isinstance(exponent, (int, float)) and isinstance(input, TensorCore):
        x = node_of(input)
        if x.type.dtype.category < 2 and isinstance(exponent, int) and exponent < 0:
            raise DTypeError(
                f"integers to the power {exponent} are not integers: convert first, x.float() ** n"
            )
        if x.type.dtype.is_inexact:
            if exponent == 2:
                return wrap(ew.mul(x, x))
            if exponent == 3:
                return wrap(ew.mul(ew.mul(x, x), x))
            if exponent == 0.5:
                return wrap(ew.sqrt(x))
            if exponent == 1:
                return wrap(ew.same(x))
    return _pow(input, exponent)


_pow = _binary(ew.pow_, "``input ** exponent``.")
neg = _unary(ew.neg, "``-input``.")
abs = _unary(ew.abs_, "Absolute value.")
sign = _unary(ew.sign, "-1, 0 or 1.")


def square(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """``input * input``; bools become int64."""
    x = node_of(input)
    if x.type.dtype is bool_:
        x = ew.cast(x, int64)
    result = wrap(ew.mul(x, x))
    return result if out is None else written("square", out, result)


def positive(input: Tensor) -> Tensor:
    """``+input``: the tensor itself."""
    return input


# ---- functions

exp = _float_unary(ew.exp, "e to the power ``input``")
exp2 = _float_unary(ew.exp2, "2 to the power ``input``")
expm1 = _float_unary(ew.expm1, "``exp(input) - 1``, exact near 0")
log = _float_unary(ew.log, "Natural logarithm")
log2 = _float_unary(ew.log2, "Logarithm to base 2")
log10 = _float_unary(ew.log10, "Logarithm to base 10")
log1p = _float_unary(ew.log1p, "``log(1 + input)``, exact near 0")
sqrt = _float_unary(ew.sqrt, "Square root")
rsqrt = _float_unary(ew.rsqrt, "``1 / sqrt(input)``")
reciprocal = _float_unary(ew.reciprocal, "``1 / input``")
sin = _float_unary(ew.sin, "Sine")
cos = _float_unary(ew.cos, "Cosine")
tan = _float_unary(ew.tan, "Tangent")
asin = _float_unary(ew.asin, "Inverse sine")
acos = _float_unary(ew.acos, "Inverse cosine")
atan = _float_unary(ew.atan, "Inverse tangent")
sinh = _float_unary(ew.sinh, "Hyperbolic sine")
cosh = _float_unary(ew.cosh, "Hyperbolic cosine")
tanh = _float_unary(ew.tanh, "Hyperbolic tangent")
asinh = _float_unary(ew.asinh, "Inverse hyperbolic sine")
acosh = _float_unary(ew.acosh, "Inverse hyperbolic cosine")
atanh = _float_unary(ew.atanh, "Inverse hyperbolic tangent")
sigmoid = _float_unary(ew.sigmoid, "``1 / (1 + exp(-input))``")
erf = _float_unary(ew.erf, "Error function")
erfc = _float_unary(ew.erfc, "``1 - erf(input)``, exact for large input")
lgamma = _float_unary(ew.lgamma, "Logarithm of the absolute value of the gamma function")
digamma = _float_unary(ew.digamma, "Logarithmic derivative of the gamma function")
relu = _unary(ew.relu, "``max(input, 0)``; the gradient at 0 is 0.")
floor = _unary(ew.floor, "The nearest integer below.")
ceil = _unary(ew.ceil, "The nearest integer above.")
trunc = _unary(ew.trunc, "The integer part.")
_round = _unary(ew.round_, "The nearest integer, halves to even.")


@with_out
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """Rounds to ``decimals`` places, halves to even."""
    if decimals == 0:
        return _round(input)
    return div(_round(mul(input, 10.0**decimals)), 10.0**decimals)


@with_out
def frac(input: Tensor) -> Tensor:
    """``input - trunc(input)``."""
    return _sub(input, trunc(input))


@with_out
def deg2rad(input: Tensor) -> Tensor:
    """Degrees to radians."""
    return mul(input, math.pi / 180)


@with_out
def rad2deg(input: Tensor) -> Tensor:
    """Radians to degrees."""
    return mul(input, 180 / math.pi)


def clamp(
    input: Tensor,
    min: Operand | None = None,
    max: Operand | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """``input`` held between ``min`` and ``max``, either of which may be missing.

    The gradient passes where the input is within (bounds included).

    Raises:
        OptionError: if both bounds are missing.
    """
    if min is None and max is None:
        raise OptionError("clamp needs min, max or both")
    kind = node_of(input).type.dtype
    for bound in (min, max):
        if bound is not None:
            kind = result_type(wrap(ew.cast(node_of(input), kind)), bound)
    x = operand(input, kind)
    y = x
    if min is not None:
        low = operand(min, kind)
        y = ew.where(_beyond(ew.lt(y, low), low), low, y)
    if max is not None:
        high = operand(max, kind)
        y = ew.where(_beyond(ew.gt(y, high), high), high, y)
    result = wrap(y)
    return result if out is None else written("clamp", out, result)


def _beyond(outside: Node, bound: Node) -> Node:
    """Where a bound is taken: where it is passed, and where it is NaN, if it can be."""
    can_be = bound.type.ndim and bound.type.dtype.is_floating_point
    return ew.logical_or(outside, ew.isnan(bound)) if can_be else outside


def clamp_min(input: Tensor, min: Operand, *, out: Tensor | None = None) -> Tensor:
    """``input``, at least ``min``."""
    return clamp(input, min, out=out)


def clamp_max(input: Tensor, max: Operand, *, out: Tensor | None = None) -> Tensor:
    """``input``, at most ``max``."""
    return clamp(input, None, max, out=out)


def lerp(input: Tensor, end: Tensor, weight: Operand, *, out: Tensor | None = None) -> Tensor:
    """``input + weight * (end - input)``."""
    result = _add(input, mul(weight, _sub(end, input)))
    return result if out is None else written("lerp", out, result)


def addcmul(
    input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1, out: Tensor | None = None
) -> Tensor:
    """``input + value * tensor1 * tensor2``."""
    product = mul(tensor1, tensor2)
    result = _add(input, product if value == 1 else mul(product, value))
    return result if out is None else written("addcmul", out, result)


def addcdiv(
    input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1, out: Tensor | None = None
) -> Tensor:
    """``input + value * tensor1 / tensor2``."""
    quotient = _true_divide(tensor1, tensor2)
    result = _add(input, quotient if value == 1 else mul(quotient, value))
    return result if out is None else written("addcdiv", out, result)


# ---- comparison and logic

eq = _binary(ew.eq, "``input == other``, elementwise.")
ne = _binary(ew.ne, "``input != other``, elementwise.")
lt = _binary(ew.lt, "``input < other``, elementwise.")
le = _binary(ew.le, "``input <= other``, elementwise.")
gt = _binary(ew.gt, "``input > other``, elementwise.")
ge = _binary(ew.ge, "``input >= other``, elementwise.")
logical_and = _binary(ew.logical_and, "Are both nonzero?")
logical_or = _binary(ew.logical_or, "Is either nonzero?")
logical_xor = _binary(ew.logical_xor, "Is exactly one nonzero?")
logical_not = _unary(ew.logical_not, "Is it zero?")
bitwise_and = _binary(ew.bitwise_and, "Bitwise and; of masks, logical and.")
bitwise_or = _binary(ew.bitwise_or, "Bitwise or; of masks, logical or.")
bitwise_xor = _binary(ew.bitwise_xor, "Bitwise exclusive or.")
bitwise_not = _unary(ew.bitwise_not, "Bitwise not; of masks, logical not.")
bitwise_left_shift = _binary(ew.shift_left, "``input << other``.")
bitwise_right_shift = _binary(ew.shift_right, "``input >> other``.")


def _float_test(call: Callable[[Node], Node], doc: str) -> Unary:
    def function(input: Tensor) -> Tensor:
        x = node_of(input)
        if not x.type.dtype.is_inexact:
            return wrap(full(type_of(x.type.shape, bool_, x.type.device), False))
        return wrap(call(x))

    function.__name__ = function.__qualname__ = call.__name__
    function.__doc__ = doc
    return function


isnan = _float_test(ew.isnan, "Is it NaN?")
isinf = _float_test(ew.isinf, "Is it infinite?")


def isfinite(input: Tensor) -> Tensor:
    """Is it neither infinite nor NaN?"""
    return logical_not(logical_or(isnan(input), isinf(input)))


def isclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> Tensor:
    """``|input - other| <= atol + rtol * |other|``; equal infinities are close."""
    if rtol < 0 or atol < 0:
        raise OptionError(f"isclose: rtol={rtol} and atol={atol} must not be negative")
    same = eq(input, other)
    if equal_nan:
        same = logical_or(same, logical_and(isnan(input), isnan(other)))
    if not result_type(input, other).is_inexact:
        input = input.to(get_default_dtype())
        other = other.to(get_default_dtype())
    difference = abs(_sub(input, other))
    near = logical_and(isfinite(difference), le(difference, _add(mul(abs(other), rtol), atol)))
    return logical_or(same, near)


@with_out
def nan_to_num(
    input: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN and the infinities replaced; by default infinities become the largest finite values.

    Of complex numbers, in each part.
    """
    x = node_of(input)
    kind = x.type.dtype
    if kind.is_complex:
        parts = [nan_to_num(wrap(p), nan, posinf, neginf) for p in (cx.real(x), cx.imag(x))]
        return wrap(cx.complex_(*map(node_of, parts)))
    if not kind.is_floating_point:
        return wrap(ew.same(x))
    import ml_dtypes  # knows bfloat16's range too

    limit = float(ml_dtypes.finfo(kind.numpy).max)  # type: ignore[no-untyped-call]
    y = ew.where(ew.isnan(x), nan, x)
    y = ew.where(ew.eq(y, math.inf), limit if posinf is None else posinf, y)
    return wrap(ew.where(ew.eq(y, -math.inf), -limit if neginf is None else neginf, y))


def where(condition: Tensor, input: Operand, other: Operand) -> Tensor:
    """``input`` where ``condition`` holds, else ``other``; all three broadcast.

    Raises:
        DTypeError: if ``condition`` is not bool.
    """
    mask = node_of(condition)
    if mask.type.dtype is not bool_:
        raise DTypeError(f"where takes a bool condition, not {mask.type.dtype}; write (x != 0)")
    a, b = promoted(input, other)
    return wrap(ew.where(mask, a, b))


def masked_fill(input: Tensor, mask: Tensor, value: Operand) -> Tensor:
    """``input`` with ``value``, one number, where ``mask`` holds.

    Raises:
        DTypeError: if ``mask`` is not bool, or the dtype of ``input`` cannot hold the number.
        ShapeError: for a tensor of several.
    """
    m, x = node_of(mask), node_of(input)
    if m.type.dtype is not bool_:
        raise DTypeError(f"masked_fill takes a bool mask, not {m.type.dtype}; write (mask != 0)")
    kind = x.type.dtype
    if is_number(value):
        check_fits(value, kind)
    filling = operand(value, kind)
    if filling.type.ndim:
        raise ShapeError(
            f"masked_fill takes one value, not shape {list(filling.type.shape)}: for one each, "
            "weft.where(mask, values, x)"
        )
    return wrap(ew.where(m, filling, x))


def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> bool:
    """Are all elements close (see :func:`isclose`)? Runs the graph."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Same shape and same elements? Runs the graph."""
    return input.shape == other.shape and bool(eq(input, other).all())
