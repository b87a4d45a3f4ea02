"""Elementwise functions beyond the common ones, and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ..calls import by_element, composed
from ..dtypes import as_dtype, bool_, complex128, dtype, float64, get_default_dtype
from ..errors import DTypeError, OptionError
from ..graph.node import Node
from ..ops import complex as cx, elementwise as ew, movement as mv, reduce as rd
from ..ops.base import broadcast, normal_dim
from .core import is_number, node_of, wrap
from .elementwise import (
    Operand,
    _binary,
    _float_unary,
    clamp,
    eq,
    isinf,
    isnan,
    mul,
    pow as power,
    promoted,
    result_type,
)
from .interop import to
from .out import with_out

if TYPE_CHECKING:
    from .tensor import Tensor

# ---- softmax


def softmax_node(x: Node, dim: int) -> Node:
    return composed(softmax_rule, x, dim)


def softmax_rule(x: Node, dim: int) -> Node:
    e = ew.exp(_shifted(x, dim))
    total = rd.sum_(e, (dim,), True)
    if x.type.dtype.itemsize < 4:  # (in 16 bits, a rounding less counts more than time)
        return ew.div(e, total)
    return ew.mul(e, ew.reciprocal(total))


def log_softmax_node(x: Node, dim: int) -> Node:
    return composed(_log_softmax, x, dim)


def _log_softmax(x: Node, dim: int) -> Node:
    z = _shifted(x, dim)
    return ew.sub(z, ew.log(rd.sum_(ew.exp(z), (dim,), True)))


def _shifted(x: Node, dim: int) -> Node:
    """``x`` less its maximum: the result is the same, and exp cannot overflow."""
    return ew.sub(x, ew.detach(rd.max_(x, (dim,), True)))


def over_dim(
    name: str, rule: Callable[[Node, int], Node], input: Tensor, dim: int, to: dtype | None
) -> Tensor:
    """A rule for one dimension applied to any tensor.

    Raises:
        DTypeError: for integers, unless ``to`` is given.
    """
    x = node_of(input)
    x = x if to is None else ew.cast(x, as_dtype(to))
    d = normal_dim(name, dim, x.type.ndim)
    if not x.type.dtype.is_floating_point:
        raise DTypeError(
            f"{name} takes a floating dtype, not {x.type.dtype}: convert with x.float(), or pass "
            "dtype="
        )
    if x.type.size == 0:
        return wrap(ew.same(x))
    if x.type.ndim == 0:
        return wrap(mv.reshape(rule(mv.reshape(x, (1,)), 0), ()))
    return wrap(rule(x, d))


@with_out
def softmax(input: Tensor, dim: int, dtype: dtype | None = None) -> Tensor:
    """``exp(input) / sum(exp(input))`` along ``dim``."""
    return over_dim("softmax", softmax_node, input, dim, dtype)


@with_out
def log_softmax(input: Tensor, dim: int, dtype: dtype | None = None) -> Tensor:
    """The logarithm of :func:`softmax`, exact where that underflows."""
    return over_dim("log_softmax", log_softmax_node, input, dim, dtype)


# ---- exponentials and logarithms


def logaddexp_nodes(a: Node, b: Node) -> Node:
    """``log(exp(a) + exp(b))``, without overflow."""
    if a.type.dtype.is_complex:
        larger = ew.ge(cx.real(a), cx.real(b))
        high, low = ew.where(larger, a, b), ew.where(larger, b, a)
        return ew.add(high, ew.log1p(ew.exp(ew.sub(low, high))))
    # Equal infinities must not meet in a difference.
    distance = ew.abs_(ew.where(ew.eq(a, b), 0, ew.sub(a, b)))
    return ew.add(ew.maximum(a, b), ew.log1p(ew.exp(ew.neg(distance))))


@with_out
def logaddexp(input: Operand, other: Operand) -> Tensor:
    """``log(exp(input) + exp(other))``, without overflow."""
    return wrap(logaddexp_nodes(*promoted(input, other, to_float=True)))


@with_out
def logaddexp2(input: Operand, other: Operand) -> Tensor:
    """``log2(2**input + 2**other)``, without overflow."""
    a, b = promoted(input, other, to_float=True)
    distance = ew.abs_(ew.where(ew.eq(a, b), 0, ew.sub(a, b)))
    tail = ew.log1p(ew.exp2(ew.neg(distance)))
    return wrap(ew.add(ew.maximum(a, b), ew.mul(tail, 1 / math.log(2))))


@with_out
def xlogy(input: Operand, other: Operand) -> Tensor:
    """``input * log(other)``, and 0 where ``input`` is 0 (unless ``other`` is NaN)."""
    x, y = promoted(input, other, to_float=True)
    zero = ew.logical_and(ew.eq(x, 0), ew.logical_or(ew.le(y, 0), ew.isinf(y)))
    return wrap(ew.where(zero, 0, ew.mul(x, ew.log(ew.where(zero, 1, y)))))


@with_out
def xlog1py(input: Operand, other: Operand) -> Tensor:
    """``input * log(1 + other)``, and 0 where ``input`` is 0 (unless ``other`` is NaN)."""
    x, y = promoted(input, other, to_float=True)
    zero = ew.logical_and(ew.eq(x, 0), ew.logical_or(ew.le(y, -1), ew.isinf(y)))
    return wrap(ew.where(zero, 0, ew.mul(x, ew.log1p(ew.where(zero, 0, y)))))


def _entr(x: Node) -> Node:
    inside = ew.gt(x, 0)
    y = ew.neg(ew.mul(x, ew.log(ew.where(inside, x, 1))))
    return ew.where(inside, y, ew.where(ew.lt(x, 0), -math.inf, ew.mul(x, 0)))


def _entr_slope(x: Node) -> Node:
    return ew.neg(ew.add(ew.log(x), 1))


@with_out
def entr(input: Tensor) -> Tensor:
    """``-input * log(input)``: 0 at 0, minus infinity below.

    The gradient is infinite at 0, and NaN below.
    """
    return wrap(by_element(_entr, _entr_slope, floating(input)))


@with_out
def ndtr(input: Tensor) -> Tensor:
    """The probability that a standard normal number is at most ``input``."""
    return wrap(ew.mul(ew.erfc(ew.mul(floating(input), -math.sqrt(0.5))), 0.5))


#: Below this, ``log_ndtr`` is a series: ``erfc`` would lose digits in float32, and soon vanish.
_TAIL = -12.0


@with_out
def log_ndtr(input: Tensor) -> Tensor:
    """The logarithm of :func:`ndtr`, exact where that underflows.

    Far below zero by the asymptotic series of Mills' ratio (Abramowitz and Stegun, 26.2.12).
    """
    x = floating(input)
    far, below = ew.lt(x, _TAIL), ew.lt(x, 0)
    low = ew.where(far, x, _TAIL)
    square, one = ew.mul(low, low), mv.full(x.type, 1)
    series = one
    for k in range(27, 0, -2):
        series = ew.sub(one, ew.div(ew.mul(series, k), square))
    log_density = ew.sub(ew.mul(square, -0.5), math.log(2 * math.pi) / 2)
    tail = ew.add(ew.sub(log_density, ew.log(ew.neg(low))), ew.log(series))
    z = ew.mul(ew.where(far, _TAIL, x), math.sqrt(0.5))
    negative = ew.log(ew.mul(ew.erfc(ew.neg(ew.where(below, z, 0))), 0.5))
    positive = ew.log1p(ew.mul(ew.erfc(ew.where(below, 0, z)), -0.5))
    return wrap(ew.where(far, tail, ew.where(below, negative, positive)))


@with_out
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """``log(input / (1 - input))``, the inverse of sigmoid.

    Args:
        eps: ``input`` is first held between ``eps`` and ``1 - eps``.
    """
    x = floating(input)
    if eps is not None:
        x = node_of(clamp(wrap(x), eps, 1 - eps))
    return wrap(ew.log(ew.div(x, ew.sub(mv.full(x.type, 1), x))))


def floating(input: Tensor) -> Node:
    x = node_of(input)
    return x if x.type.dtype.is_inexact else ew.cast(x, get_default_dtype())


# ---- functions of one argument

erfinv = _float_unary(ew.erfinv, "The inverse of the error function")


@with_out
def sinc(input: Tensor) -> Tensor:
    """``sin(pi * input) / (pi * input)``, and 1 at 0."""
    x = floating(input)
    zero = ew.eq(x, 0)
    angle = ew.mul(ew.where(zero, 1, x), math.pi)
    return wrap(ew.where(zero, 1, ew.div(ew.sin(angle), angle)))


@with_out
def polygamma(n: int, input: Tensor) -> Tensor:
    """The derivative of order ``n`` of digamma.

    Raises:
        OptionError: for a negative ``n``.
    """
    if n < 0:
        raise OptionError(f"polygamma: the order must not be negative: {n}")
    x = floating(input)
    return wrap(ew.polygamma(x, n) if n else ew.digamma(x))


def polygamma_method(self: Tensor, n: int) -> Tensor:
    """The derivative of order ``n`` of digamma."""
    return polygamma(n, self)


@with_out
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """Logarithm of the multivariate gamma function of dimension ``p``.

    Raises:
        OptionError: unless ``p`` is positive.
    """
    if p < 1:
        raise OptionError(f"mvlgamma: p must be positive, not {p}")
    x = floating(input)
    steps = mv.arange(p, x.type.dtype, 0, -0.5)
    terms = ew.lgamma(ew.add(mv.reshape(x, (*x.type.shape, 1)), steps))
    total = rd.sum_(terms, (x.type.ndim,))
    return wrap(ew.add(total, p * (p - 1) / 4 * math.log(math.pi)))


@with_out
def signbit(input: Tensor) -> Tensor:
    """Is it negative? True of -0.0 too."""
    x = node_of(input)
    if x.type.dtype is bool_:
        return wrap(mv.full(x.type, False))
    negative = ew.lt(x, 0)
    if x.type.dtype.is_floating_point:
        negative = ew.logical_or(negative, ew.lt(ew.reciprocal(x), 0))
    return wrap(negative)


@with_out
def isposinf(input: Tensor) -> Tensor:
    """Is it positive infinity?"""
    return eq(input, math.inf) if node_of(input).type.dtype.is_floating_point else isinf(input)


@with_out
def isneginf(input: Tensor) -> Tensor:
    """Is it negative infinity?"""
    return eq(input, -math.inf) if node_of(input).type.dtype.is_floating_point else isinf(input)


# ---- functions of two arguments

hypot = _binary(ew.hypot, "``sqrt(input**2 + other**2)``, without overflow.")
gcd = _binary(ew.gcd, "The greatest common divisor.")


class Frexp(NamedTuple):
    """What :func:`frexp` returns."""

    mantissa: Tensor
    exponent: Tensor


@with_out
def frexp(input: Tensor) -> Frexp:
    """``input = mantissa * 2**exponent``, with a mantissa from 1/2 to 1 and int32 exponents.

    Raises:
        DTypeError: for integers.
    """
    x = node_of(input)
    return Frexp(wrap(ew.mantissa(x)), wrap(ew.exponent(x)))


nextafter = _binary(ew.nextafter, "The next floating number after ``input``, towards ``other``.")


@with_out
def lcm(input: Tensor, other: Tensor) -> Tensor:
    """The least common multiple; 0 if either is 0."""
    a, b = promoted(input, other)
    divisor = ew.gcd(a, b)
    safe = ew.where(ew.eq(divisor, 0), 1, divisor)
    return wrap(ew.abs_(ew.mul(ew.floor_div(a, safe), b)))


@with_out
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below 0, 1 above, and ``values`` at 0.

    Raises:
        DTypeError: if the dtypes differ.
    """
    a, b = node_of(input), node_of(values)
    if a.type.dtype is not b.type.dtype:
        raise DTypeError(f"heaviside takes one dtype, not {a.type.dtype} and {b.type.dtype}")
    step = ew.cast(ew.gt(a, 0), a.type.dtype)
    return wrap(ew.detach(ew.where(ew.eq(a, 0), b, step)))


@with_out
def copysign(input: Tensor, other: Operand) -> Tensor:
    """The magnitude of ``input`` with the sign of ``other``."""
    a, b = promoted(input, other, to_float=True)
    broadcast("copysign", a.type.shape, b.type.shape)
    size = ew.abs_(a)
    return wrap(ew.where(node_of(signbit(wrap(b))), ew.neg(size), size))


@with_out
def fmax(input: Operand, other: Operand) -> Tensor:
    """The larger of the two, elementwise; NaN only where both are."""
    a, b = promoted(input, other)
    return wrap(ew.where(ew.logical_or(ew.ge(a, b), _nan(b)), a, b))


@with_out
def fmin(input: Operand, other: Operand) -> Tensor:
    """The smaller of the two, elementwise; NaN only where both are."""
    a, b = promoted(input, other)
    return wrap(ew.where(ew.logical_or(ew.le(a, b), _nan(b)), a, b))


def _nan(x: Node) -> Node:
    return node_of(isnan(wrap(x)))


@with_out
def float_power(input: Operand, exponent: Operand) -> Tensor:
    """``input ** exponent`` in float64, or complex128."""
    kind = complex128 if result_type(input, exponent).is_complex else float64
    base, index = [to(v, kind) if not is_number(v) else v for v in (input, exponent)]
    return power(base, index)


@with_out
def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """``input * 2**other``."""
    exponent = node_of(other)
    if not exponent.type.dtype.is_inexact:
        exponent = ew.cast(exponent, floating(input).type.dtype)
    return mul(input, power(2.0, wrap(exponent)))
