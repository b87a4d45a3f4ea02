"""Random counts: Poisson's and binomial.

Of small means by inversion, of larger ones by transformed rejection (Hörmann, "The transformed
rejection method for generating Poisson random variables" and "The generation of binomial random
variates", both 1993): of a fixed number of proposals the first that is accepted, so that a draw can
be recorded. All in float64.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..dtypes import float64
from ..errors import DTypeError
from .core import node_of
from .creation import arange
from .elementwise import floor, lgamma, log1p
from .out import with_out
from .random import Generator, rand
from .reductions import argmax, cumsum
from .searching import where
from .special import xlogy

if TYPE_CHECKING:
    from .tensor import Tensor

#: Means from here on are drawn by rejection; below it, more than ``_MOST`` has probability 1e-18.
_SMALL, _MOST = 10.0, 52

#: Each proposal is accepted with a probability of 0.75 or more; that none is, of 2e-11 or less.
_PROPOSALS = 18


def _first(good: Any, k: Any) -> Any:
    return k.gather(0, argmax(good.int(), 0, True))[0]


def _inverted(probs: Any, generator: Generator | None) -> Any:
    """How many of the running sums of ``probs`` along dimension 0 a uniform number is beyond."""
    u = rand(probs.shape[1:], generator=generator, dtype=float64, device=probs.device)
    return (u >= cumsum(probs, 0)).sum(0).to(float64)


def _numbers(like: Any) -> Any:
    k = arange(_MOST, dtype=float64, device=like.device)
    return k.reshape(-1, *[1] * like.ndim)


def _proposals(like: Any, generator: Generator | None) -> tuple[Any, Any, Any]:
    shape = (_PROPOSALS, *like.shape)
    u, v = [rand(shape, generator=generator, dtype=float64, device=like.device) for _ in range(2)]
    u = u - 0.5
    return u, v, 0.5 - u.abs()


def _checked(name: str, *given: Any) -> list[Any]:
    for x in given:
        if not node_of(x).type.dtype.is_floating_point:
            raise DTypeError(f"{name} takes floats, not {x.dtype}: convert with x.float()")
    return [x.detach().to(float64) for x in given]


@with_out
def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """A draw of a Poisson distribution for each mean in ``input``, of the same dtype.

    Raises:
        DTypeError: unless the means are floating.
    """
    (mean,) = _checked("poisson", input)
    k = _numbers(mean)
    low = mean.clamp(0, _SMALL)
    few = _inverted((xlogy(k, low) - low - lgamma(k + 1)).exp(), generator)
    high = mean.clamp(min=_SMALL)
    b = 0.931 + 2.53 * high.sqrt()
    a = 0.02483 * b - 0.059
    u, v, edge = _proposals(mean, generator)
    k = floor((2 * a / edge + b) * u + high + 0.43)
    height = (v * (1.1239 + 1.1328 / (b - 3.4)) / (a / edge**2 + b)).log()
    inside = (edge >= 0.07) & (v <= 0.9277 - 3.6224 / (b - 2))
    possible = (k >= 0) & ~((edge < 0.013) & (v > edge))
    known = height <= k * high.log() - high - lgamma(k.clamp(min=0) + 1)
    drawn = where(mean < _SMALL, few, _first(inside | (possible & known), k))
    return where(mean >= 0, drawn, math.nan).to(input.dtype)


@with_out
def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """How many of ``count`` trials succeed, each with probability ``prob``; both broadcast.

    Raises:
        DTypeError: unless both are floating.
    """
    n, p = _checked("binomial", count, prob)
    n, p = n + 0 * p, p + 0 * n
    rare = where(p > 0.5, 1 - p, p)
    small = n * rare < _SMALL
    k = _numbers(n)
    p0, left = where(small, rare, 0.0), (n - k).clamp(min=0)
    ways = lgamma(n + 1) - lgamma(k + 1) - lgamma(left + 1)
    chances = where(k <= n, (ways + xlogy(k, p0) + left * log1p(-p0)).exp(), 0.0)
    few = _inverted(chances, generator)
    n1, p1 = where(small, 4 * _SMALL, n), where(small, 0.5, rare)
    spread = (n1 * p1 * (1 - p1)).sqrt()
    b = 1.15 + 2.53 * spread
    a = 0.0248 * b + 0.01 * p1 - 0.0873
    u, v, edge = _proposals(n, generator)
    k = floor((2 * a / edge + b) * u + n1 * p1 + 0.5)
    height = (v * (2.83 + 5.1 / b) * spread / (a / edge**2 + b)).log()
    mode = floor((n1 + 1) * p1)
    inside = (edge >= 0.07) & (v <= 0.92 - 4.2 / b)
    possible = (k >= 0) & (k <= n1)
    at = where(possible, k, mode)
    ratio = lgamma(mode + 1) + lgamma(n1 - mode + 1) - lgamma(at + 1) - lgamma(n1 - at + 1)
    known = height <= ratio + (at - mode) * (p1 / (1 - p1)).log()
    drawn = where(small, few, _first((inside & possible) | (possible & known), k))
    drawn = where(p > 0.5, n - drawn, drawn)
    good = (n >= 0) & (p >= 0) & (p <= 1)
    return where(good, drawn, math.nan).to(count.dtype)
