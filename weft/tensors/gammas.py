"""The incomplete gamma functions, and how draws of gamma distributions follow their shape.

Both are integrals over a half-line, from the place ``x`` to 0 or to infinity, whichever is the
way from the peak at about ``a``. With a variable that counts in widths of the integrand they are
computed by the trapezoidal rule after Takahasi and Mori's substitution ``v = exp(t - exp(-t))``
("Double exponential formulas for numerical integration", 1974), at places that are the same for all
elements: a sum over a last dimension, which any engine computes, and which can be differentiated in
both arguments, to any order. The error is some 1e-12.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..calls import composed
from ..dtypes import float32
from ..graph.node import Node
from ..ops import elementwise as ew, movement as mv, reduce as rd
from ..ops.base import broadcast
from .core import wrap
from .elementwise import Operand, promoted
from .out import with_out

if TYPE_CHECKING:
    from .tensor import Tensor

#: The places of the trapezoidal rule, in t.
_FIRST, _STEP, _COUNT = -3.7, 0.149, 52

#: From here on the leading factor is computed by Stirling's series, which keeps its digits.
_LARGE = 30.0


def _places(like: Node) -> tuple[Node, Node]:
    """Places and weights for an integral from 0 to infinity, along a last dimension."""
    t = mv.arange(_COUNT, like.type.dtype, _FIRST, _STEP)
    fall = ew.exp(ew.neg(t))
    v = ew.exp(ew.sub(t, fall))
    return v, ew.mul(ew.mul(ew.add(fall, 1.0), v), _STEP)


def _last(x: Node) -> Node:
    return mv.reshape(x, (*x.type.shape, 1))


def _halves(a: Node, x: Node) -> tuple[Node, Node, Node]:
    """Is ``x`` below ``a``? And two ``x``: one that is in any case, and one that is not."""
    below = ew.lt(x, a)
    return below, ew.where(below, x, ew.mul(a, 0.5)), ew.where(below, ew.mul(a, 2.0), x)


def _integrals(a: Node, x: Node, centre: Node | None) -> tuple[Node, Node, Node]:
    """Is ``x`` below ``a``; and what lies below ``x`` if so, and above it if not.

    Over the density at ``x`` (below, over ``x`` times that); with a ``centre``, of the density
    times ``log(t) - centre``.
    """
    below, low, high = [_last(v) for v in _halves(a, x)]
    a = _last(a)
    v, weights = _places(a)

    def summed(exponent: Node, log: Node, scale: Node) -> Node:
        height = ew.mul(ew.exp(exponent), weights)
        if centre is not None:
            height = ew.mul(height, ew.sub(log, _last(centre)))
        total = ew.mul(rd.sum_(height, (height.type.ndim - 1,), True), scale)
        return mv.reshape(total, total.type.shape[:-1])

    # Below: t = x exp(-u), at which the integrand falls by about exp(-(a - x) u) or faster.
    width = ew.reciprocal(ew.add(ew.sub(a, low), ew.minimum(ew.sqrt(low), low)))
    u = ew.mul(v, width)
    exponent = ew.neg(ew.add(ew.mul(a, u), ew.mul(low, ew.expm1(ew.neg(u)))))
    under = summed(exponent, ew.sub(ew.log(low), u), width)
    # Above: t = x + u.
    narrow = ew.div(high, ew.add(ew.sub(high, a), ew.sqrt(high)))
    width = ew.where(ew.gt(high, 1.0), narrow, 1.0)
    u = ew.mul(v, width)
    rise = ew.log1p(ew.div(u, high))
    exponent = ew.sub(ew.mul(ew.sub(a, 1.0), rise), u)
    over = summed(exponent, ew.add(ew.log(high), rise), width)
    return mv.reshape(below, below.type.shape[:-1]), under, over


def gamma_slope(a: Node, x: Node) -> Node:
    """How fast a draw ``x`` of a gamma distribution (of rate 1) rises with its shape ``a``.

    That is ``-dF/da`` over the density at ``x``, F being the probability of at most ``x``.
    (Figurnov, Mohamed and Mnih, "Implicit reparameterization gradients", NeurIPS 2018)
    """
    return composed(_slope, *_alike(a, x))


def _slope(a: Node, x: Node) -> Node:
    below, under, over = _integrals(a, x, ew.digamma(a))
    return ew.where(below, ew.neg(ew.mul(under, x)), over)


def _log_density(a: Node, x: Node) -> Node:
    """The logarithm of the density at ``x``, a gamma draw of shape ``a``."""
    large = ew.gt(a, _LARGE)
    big, small = ew.where(large, a, _LARGE), ew.where(large, 1.0, a)
    off = ew.div(ew.sub(x, big), big)
    near = ew.lt(ew.abs_(off), 0.5)
    ratio = ew.where(near, 1.0, ew.div(x, big))
    log = ew.where(near, ew.log1p(ew.where(near, off, 0.0)), ew.log(ratio))
    inverse = ew.reciprocal(big)
    square = ew.mul(inverse, inverse)
    tail = ew.mul(square, 0.0)
    for c in (-1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
        tail = ew.add(ew.mul(tail, square), c)
    scale = ew.sub(ew.mul(ew.log(ew.mul(big, 1 / (2 * math.pi))), 0.5), ew.mul(tail, inverse))
    by_series = ew.sub(ew.add(ew.mul(ew.sub(log, off), big), scale), ew.log(x))
    power = ew.mul(ew.sub(small, 1.0), ew.log(x))
    return ew.where(large, by_series, ew.sub(ew.sub(power, x), ew.lgamma(small)))


def _lower(a: Node, x: Node) -> Node:
    return _part(a, x, lower=True)


def _upper(a: Node, x: Node) -> Node:
    return _part(a, x, lower=False)


def _part(a: Node, x: Node, *, lower: bool) -> Node:
    """The probability of at most ``x``, or that of more."""
    inside = ew.logical_and(_is_inside(a), _is_inside(x))
    a0, x0 = ew.where(inside, a, 1.0), ew.where(inside, x, 1.0)
    below, under, over = _integrals(a0, x0, None)
    height = ew.add(_log_density(a0, x0), ew.where(below, ew.log(x0), 0.0))
    part = ew.mul(ew.exp(height), ew.where(below, under, over))
    rest = ew.add(ew.neg(part), 1.0)
    # At the ends: a draw of shape 0 is 0, and one of infinite shape has no bound.
    none = ew.logical_or(_is(x, 0.0, a), _is(a, math.inf, x))
    whole = ew.logical_or(_is(a, 0.0, x), _is(x, math.inf, a))
    zero, one = (none, whole) if lower else (whole, none)
    end = ew.where(zero, 0.0, ew.where(one, 1.0, mv.full(x.type, math.nan)))
    return ew.where(
        inside, ew.where(below, part, rest) if lower else ew.where(below, rest, part), end
    )


def _is_inside(x: Node) -> Node:
    return ew.logical_and(ew.gt(x, 0.0), ew.lt(x, math.inf))


def _is(x: Node, end: float, other: Node) -> Node:
    """Is ``x`` at this end, and the other, which is no less than 0, not?"""
    away = ew.logical_and(ew.ge(other, 0.0), ew.ne(other, end))
    return ew.logical_and(ew.eq(x, end), away)


def _alike(a: Node, b: Node) -> list[Node]:
    shape = broadcast("gammainc", a.type.shape, b.type.shape)
    return [mv.expand(v, shape) for v in (a, b)]


def _incomplete(rule: Callable[[Node, Node], Node], input: Operand, other: Operand) -> Tensor:
    a, x = promoted(input, other, to_float=True)
    kind = a.type.dtype
    if kind.is_reduced:
        a, x = ew.cast(a, float32), ew.cast(x, float32)
    return wrap(ew.cast(composed(rule, *_alike(a, x)), kind))


@with_out
def gammainc(input: Operand, other: Operand) -> Tensor:
    """The probability that a gamma draw of shape ``input`` is at most ``other``.

    The regularised lower incomplete gamma function, with gradients to both arguments.
    """
    return _incomplete(_lower, input, other)


@with_out
def gammaincc(input: Operand, other: Operand) -> Tensor:
    """The probability that a gamma draw of shape ``input`` is more than ``other``.

    The regularised upper incomplete gamma function, with gradients to both arguments.
    """
    return _incomplete(_upper, input, other)
