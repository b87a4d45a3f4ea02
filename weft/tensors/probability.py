"""Functions of probabilities that need more than what others are made of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..graph.node import Node
from ..ops import elementwise as ew, movement as mv
from .bessel import series, special
from .core import wrap
from .elementwise import Operand, promoted
from .out import with_out

if TYPE_CHECKING:
    from .tensor import Tensor

# ---- the scaled complementary error function

#: Of ``(1 + 2 x) exp(x**2) erfc(x)`` in ``(x - 3.75) / (x + 3.75)``. (Shepherd and Laframboise,
#: "Chebyshev approximation of (1 + 2x) exp(x**2) erfc x", 1981; computed anew, with 40 digits)
_ERFCX = (
    1.1775789345674017, -0.004590054580646478, -0.08424913336651792, 0.05920993999819189,
    -0.026658668435305753, 0.009074997670705265, -0.002413163540417608, 0.0004907758365258086,
    -6.916973302501207e-05, 4.13902798607301e-06, 7.74038306619849e-07, -2.1886401049234397e-07,
    1.076499946567091e-08, 4.521959811218287e-09, -7.754400208831351e-10,
    -6.318088340886684e-11, 2.8687950109306702e-11, 1.9455868545777546e-13,
    -9.65469674843342e-13, 3.25254814814893e-14, 3.347811948286991e-14, -1.8645628804175014e-15,
    -1.2507950530671027e-15, 7.418235256795107e-17, 5.0681489049618507e-17,
)  # fmt: skip


def _erfcx(x: Node) -> Node:
    a = ew.abs_(x)
    finite = ew.where(ew.gt(a, 1e30), 1e30, a)
    t = ew.div(ew.sub(finite, 3.75), ew.add(finite, 3.75))
    y = ew.div(series(t, _ERFCX), ew.add(ew.mul(finite, 2.0), 1.0))
    y = ew.where(ew.gt(a, 1e30), ew.mul(ew.reciprocal(a), 1 / math.sqrt(math.pi)), y)
    below = ew.sub(ew.mul(ew.exp(ew.mul(x, x)), 2.0), y)
    return ew.where(ew.lt(x, 0.0), below, y)


def _erfcx_slope(x: Node) -> Node:
    return ew.sub(ew.mul(ew.mul(x, _erfcx(x)), 2.0), 2 / math.sqrt(math.pi))


erfcx = special("erfcx", _erfcx, _erfcx_slope, "``exp(input**2) * erfc(input)``, without overflow.")

# ---- the inverse of the normal distribution

#: Wichura, "Algorithm AS241: the percentage points of the normal distribution" (1988), PPND16:
#: numerators and denominators, for the middle, the tails and what is far out.
_MIDDLE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)  # fmt: skip
_TAIL = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177,
     1.27045825245236838258, 3.64784832476320460504, 5.7694972214606914055,
     4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966,
     0.14810397642748007459, 0.68976733498510000455, 1.6763848301838038494,
     2.05319162663775882187, 1.0),
)  # fmt: skip
_FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386,
     0.026532189526576123093, 0.29656057182850489123, 1.7848265399172913358,
     5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5,
     7.868691311456132591e-4, 0.0148753612908506148525, 0.13692988092273580531,
     0.59983220655588793769, 1.0),
)  # fmt: skip


def _ratio(r: Node, parts: tuple[tuple[float, ...], tuple[float, ...]]) -> Node:
    found = []
    for coefficients in parts:
        y = mv.full(r.type, coefficients[0])
        for c in coefficients[1:]:
            y = ew.add(ew.mul(y, r), c)
        found.append(y)
    return ew.div(*found)


def _ndtri(p: Node) -> Node:
    q = ew.sub(p, 0.5)
    size = ew.abs_(q)
    is_middle = ew.le(size, 0.425)
    inner = ew.where(is_middle, q, 0.0)
    middle = ew.mul(inner, _ratio(ew.add(ew.neg(ew.mul(inner, inner)), 0.180625), _MIDDLE))
    inside = ew.logical_and(ew.gt(p, 0.0), ew.lt(p, 1.0))
    rest = ew.where(ew.lt(q, 0.0), p, ew.add(ew.neg(p), 1.0))
    r = ew.sqrt(ew.neg(ew.log(ew.where(inside, rest, 0.5))))
    is_far = ew.gt(r, 5.0)
    tail = _ratio(ew.sub(ew.where(is_far, 5.0, r), 1.6), _TAIL)
    far = _ratio(ew.sub(ew.where(is_far, r, 5.0), 5.0), _FAR)
    outer = ew.mul(ew.where(is_far, far, tail), ew.sign(q))
    end = ew.where(
        ew.eq(p, 0.0), -math.inf, ew.where(ew.eq(p, 1.0), math.inf, mv.full(p.type, math.nan))
    )
    return ew.where(inside, ew.where(is_middle, middle, outer), end)


def _ndtri_slope(p: Node) -> Node:
    y = _ndtri(p)
    return ew.mul(ew.exp(ew.mul(ew.mul(y, y), 0.5)), math.sqrt(2 * math.pi))


ndtri = special(
    "ndtri", _ndtri, _ndtri_slope, "The standard normal number up to which there is ``input``."
)

# ---- Hurwitz's zeta function

#: B(2k) / (2k)! for k from 1 on, and after how many terms the sum is an integral.
_BERNOULLI = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000,
              1 / 74724249600, -3617 / 10670622842880000)  # fmt: skip
_TERMS = 14


@with_out
def zeta(input: Operand, other: Operand) -> Tensor:
    """The sum of ``(k + other) ** -input`` over k from 0 on.

    By Euler's and Maclaurin's formula; with gradients to both arguments. It is infinite at
    ``input`` 1 and ``other`` 0, and NaN below.
    """
    x, q = promoted(input, other, to_float=True)
    good = ew.logical_and(ew.gt(x, 1.0), ew.gt(q, 0.0))
    x0, q0 = ew.where(good, x, 2.0), ew.where(good, q, 1.0)
    total = ew.pow_(q0, ew.neg(x0))
    for k in range(1, _TERMS):
        total = ew.add(total, ew.pow_(ew.add(q0, float(k)), ew.neg(x0)))
    end = ew.add(q0, float(_TERMS))
    power = ew.pow_(end, ew.neg(x0))
    total = ew.add(total, ew.div(ew.mul(power, end), ew.sub(x0, 1.0)))
    total = ew.add(total, ew.mul(power, 0.5))
    factor = ew.div(ew.mul(x0, power), end)
    square = ew.mul(end, end)
    for k, bernoulli in enumerate(_BERNOULLI, 1):
        total = ew.add(total, ew.mul(factor, bernoulli))
        step = ew.mul(ew.add(x0, float(2 * k - 1)), ew.add(x0, float(2 * k)))
        factor = ew.div(ew.mul(factor, step), square)
    pole = ew.logical_or(ew.eq(x, 1.0), ew.logical_and(ew.gt(x, 1.0), ew.eq(q, 0.0)))
    return wrap(ew.where(good, total, ew.where(pole, math.inf, mv.full(total.type, math.nan))))
