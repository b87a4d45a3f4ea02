"""How far one distribution is from another."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..errors import ShapeError, UnsupportedOp
from ..nn.functional import softplus
from ..tensors.elementwise import log1p
from ..tensors.linalg import matmul
from ..tensors.searching import where
from ..tensors.special import xlogy
from ..tensors.tensor import Tensor
from . import constraints
from .continuous import EULER, Cauchy, Exponential, Gumbel, Laplace, Normal, Uniform
from .continuous_bernoulli import ContinuousBernoulli
from .discrete import Bernoulli, Binomial, Categorical, Geometric, OneHotCategorical, Poisson
from .distribution import Distribution, Independent, summed
from .gamma import Beta, Dirichlet, Gamma
from .multivariate import (
    LowRankMultivariateNormal,
    MultivariateNormal,
    log_diagonal,
    mahalanobis,
    solved,
)
from .transformed import HalfNormal, Pareto, TransformedDistribution

Rule = Callable[[Any, Any], Tensor]

_RULES: dict[tuple[type[Distribution], type[Distribution]], Rule] = {}


def register_kl(type_p: type[Distribution], type_q: type[Distribution]) -> Callable[[Rule], Rule]:
    """Marks a function of two distributions as what :func:`kl_divergence` is for these classes.

    Raises:
        TypeError: for what is no class of distributions.
    """
    kinds: tuple[Any, Any] = (type_p, type_q)
    for kind in kinds:
        if not isinstance(kind, type) or not issubclass(kind, Distribution):
            raise TypeError(f"register_kl takes classes of distributions, not {kind!r}")

    def register(rule: Rule) -> Rule:
        _RULES[type_p, type_q] = rule
        return rule

    return register


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The Kullback-Leibler divergence of ``q`` from ``p``: ``E[log p(x) - log q(x)]``, x from p.

    Raises:
        UnsupportedOp: for two kinds of which it is not known.
    """
    for kind in type(p).__mro__:
        for other in type(q).__mro__:
            if (kind, other) in _RULES:
                return _RULES[kind, other](p, q)
    found = _by_expectations(p, q)
    if found is None:
        raise UnsupportedOp(
            f"kl_divergence of {type(p).__name__} and {type(q).__name__} is not known: "
            "register_kl tells it"
        )
    return found


# ---- of one kind


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ratio.log())


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: HalfNormal, q: HalfNormal) -> Tensor:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Tensor:
    ratio, off = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + off / q.scale + ratio * (-off / p.scale).exp() - 1


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Cauchy, q: Cauchy) -> Tensor:
    # (Chyzak and Nielsen, "A closed-form formula", 2019)
    square = (p.scale + q.scale) ** 2 + (p.loc - q.loc) ** 2
    return square.log() - (4 * p.scale * q.scale).log()


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Gumbel, q: Gumbel) -> Tensor:
    ratio, off = p.scale / q.scale, (q.loc - p.loc) / q.scale
    rest = (off + (1 + ratio).lgamma()).exp()
    return -ratio.log() - off + ratio * EULER + rest - (1 + EULER)


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Tensor:
    inside = (q.low <= p.low) & (q.high >= p.high)
    return where(inside, ((q.high - q.low) / (p.high - p.low)).log(), math.inf)


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(Pareto, Pareto)
def _pareto(p: Pareto, q: Pareto) -> Tensor:
    ratio = q.alpha / p.alpha
    found = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return where(p.scale < q.scale, math.inf, found)


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    shapes = b.lgamma() - a.lgamma() + (a - b) * a.digamma()
    return b * (p.rate / q.rate).log() + shapes + (q.rate - p.rate) * (a / p.rate)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    towards = ((a - b) * (a.digamma() - total.digamma()[..., None])).sum(-1)
    out: Tensor = total.lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1) + towards
    return out


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Tensor:
    return _dirichlet(p._dirichlet, q._dirichlet)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    one = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    none = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    one = where(p.probs == 0, 0.0, where(q.probs == 0, math.inf, one))
    return one + where(p.probs == 1, 0.0, where(q.probs == 1, math.inf, none))


@register_kl(Binomial, Binomial)
def _binomial(p: Binomial, q: Binomial) -> Tensor:
    if bool((p.total_count < q.total_count).any()):
        raise UnsupportedOp("kl_divergence of Binomials of which q has the larger total_count")
    each = p.probs * (p.logits - q.logits) + log1p(-p.probs) - log1p(-q.probs)
    return where(p.total_count > q.total_count, math.inf, p.total_count * each)


@register_kl(Geometric, Geometric)
def _geometric(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - log1p(-q.probs) / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _poisson(p: Poisson, q: Poisson) -> Tensor:
    return xlogy(p.rate, p.rate) - xlogy(p.rate, q.rate) - (p.rate - q.rate)


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Bernoulli, q: Poisson) -> Tensor:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Poisson, Bernoulli)
@register_kl(Poisson, Binomial)
def _poisson_bounded(p: Poisson, q: Any) -> Tensor:
    return p.rate + q.probs * 0 + math.inf  # type: ignore[no-any-return]


@register_kl(Categorical, Categorical)
@register_kl(OneHotCategorical, OneHotCategorical)
def _categorical(p: Any, q: Any) -> Tensor:
    each = where(q.probs == 0, math.inf, p.probs * (p.logits - q.logits))
    out: Tensor = where(p.probs == 0, 0.0, each).sum(-1)
    return out


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: ContinuousBernoulli, q: ContinuousBernoulli) -> Tensor:
    norms = p.log_norm() + log1p(-p.probs) - q.log_norm() - log1p(-q.probs)
    return p.mean * (p.logits - q.logits) + norms


# ---- of vectors


def _squares(x: Tensor) -> Tensor:
    out: Tensor = (x**2).sum((-2, -1))
    return out


def _same_events(p: Any, q: Any) -> int:
    if p.event_shape != q.event_shape:
        raise ShapeError(
            f"kl_divergence: events of shape {list(p.event_shape)} and {list(q.event_shape)}"
        )
    return p.event_shape[0]  # type: ignore[no-any-return]


@register_kl(MultivariateNormal, MultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _multivariate(p: Any, q: MultivariateNormal) -> Tensor:
    d = _same_events(p, q)
    spread = _squares(solved(q.scale_tril, p.scale_tril))
    size = log_diagonal(q.scale_tril) - log_diagonal(p.scale_tril)
    return size + 0.5 * (spread + mahalanobis(q.scale_tril, q.loc - p.loc) - d)


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _low_rank(p: Any, q: LowRankMultivariateNormal) -> Tensor:
    """With the trace of ``inv(q) @ p`` by Woodbury's formula."""
    d = _same_events(p, q)
    is_low = isinstance(p, LowRankMultivariateNormal)
    part = p.cov_factor if is_low else p.scale_tril
    a = solved(q._capacitance_tril, q.cov_factor.mT / q.cov_diag[..., None, :])
    spread = _squares(part * q.cov_diag.rsqrt()[..., None]) - _squares(matmul(a, part))
    if is_low:
        spread = spread + (p.cov_diag / q.cov_diag).sum(-1)
        spread = spread - _squares(a * p.cov_diag.sqrt()[..., None, :])
    own = p.log_det() if is_low else 2 * log_diagonal(p.scale_tril)
    return 0.5 * (q.log_det() - own + spread + q.mahalanobis(q.loc - p.loc) - d)


# ---- made of others


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise UnsupportedOp("kl_divergence: the two Independent take other numbers of dimensions")
    return summed(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: TransformedDistribution, q: TransformedDistribution) -> Tensor:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise UnsupportedOp("kl_divergence: the two distributions have other transforms")
    return kl_divergence(p.base_dist, q.base_dist)


# ---- of two kinds of numbers: the entropy of p, and what q expects of p's moments

_KINDS = (
    *(Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Normal, Pareto, Uniform),
)


def _by_expectations(p: Any, q: Any) -> Tensor | None:
    """``-H(p) - E[log q(x)]``; infinite where p has values that q has not."""
    if not isinstance(p, _KINDS) or not isinstance(q, _KINDS):
        return None
    (low, high), (least, most) = _bounds(p), _bounds(q)
    if isinstance(low, float) and isinstance(q, Pareto):
        least = math.inf  # (above 0, wherever it is)
    under, over = low < least, high > most
    if under is True or over is True:
        return p.entropy() + q.entropy() * 0 + math.inf  # type: ignore[no-any-return]
    beyond: Any = under | over
    expected = _expected_log(p, q)
    if expected is None:
        return None
    found = -p.entropy() - expected
    return found if beyond is False else where(beyond, math.inf, found)


def _bounds(p: Any) -> tuple[Any, Any]:
    support = p.support
    if support is constraints.real:
        return -math.inf, math.inf
    return support.lower_bound, getattr(support, "upper_bound", math.inf)


def _expected_log(p: Any, q: Any) -> Tensor | None:
    """``E[log q(x)]``, x from p; None if it is not known."""
    if isinstance(q, Exponential):
        return q.rate.log() - q.rate * p.mean  # type: ignore[no-any-return]
    if isinstance(q, Normal):
        square = p.variance + (p.mean - q.loc) ** 2
        return -0.5 * (math.log(2 * math.pi) + square / q.scale**2) - q.scale.log()  # type: ignore[no-any-return]
    if isinstance(q, Uniform):
        return -(q.high - q.low).log()
    if isinstance(q, ContinuousBernoulli):
        return p.mean * q.logits + log1p(-q.probs) + q.log_norm()  # type: ignore[no-any-return]
    if isinstance(q, Gumbel):
        fall = _expected_exp(p, -1 / q.scale)
        if fall is None:
            return None
        return (q.loc - p.mean) / q.scale - (q.loc / q.scale).exp() * fall - q.scale.log()  # type: ignore[no-any-return]
    if isinstance(q, Laplace):
        return _expected_laplace(p, q) if isinstance(p, Normal) else None
    log = _mean_log(p)
    if log is None:
        return None
    if isinstance(q, Pareto):
        return q.alpha.log() + q.alpha * q.scale.log() - (q.alpha + 1) * log
    if isinstance(q, Gamma):
        a = q.concentration
        return a * q.rate.log() - a.lgamma() + (a - 1) * log - q.rate * p.mean  # type: ignore[no-any-return]
    a, b = q.concentration1, q.concentration0  # a Beta
    rest = _mean_log(Uniform(1 - p.high, 1 - p.low, False)) if isinstance(p, Uniform) else None
    if rest is None:
        return None
    ways = (a + b).lgamma() - a.lgamma() - b.lgamma()
    return ways + (a - 1) * log + (b - 1) * rest  # type: ignore[no-any-return]


def _expected_laplace(p: Normal, q: Laplace) -> Tensor:
    off = p.loc - q.loc
    z = off / p.scale
    far = math.sqrt(2 / math.pi) * p.scale * (-0.5 * z**2).exp()
    return -(2 * q.scale).log() - (far + off * (z * math.sqrt(0.5)).erf()) / q.scale


def _mean_log(p: Any) -> Tensor | None:
    """``E[log x]``."""
    if isinstance(p, Beta):
        return p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    if isinstance(p, Exponential):
        return -EULER - p.rate.log()
    if isinstance(p, Gamma):
        return p.concentration.digamma() - p.rate.log()
    if isinstance(p, Pareto):
        return p.scale.log() + p.alpha.reciprocal()
    if isinstance(p, Uniform):
        return (xlogy(p.high, p.high) - xlogy(p.low, p.low)) / (p.high - p.low) - 1
    return None


def _expected_exp(p: Any, t: Tensor) -> Tensor | None:
    """``E[exp(t * x)]`` for negative ``t``."""
    if isinstance(p, Normal):
        return (p.loc * t + 0.5 * (p.scale * t) ** 2).exp()
    if isinstance(p, Exponential):
        return p.rate / (p.rate - t)
    if isinstance(p, Gamma):
        return (p.rate / (p.rate - t)) ** p.concentration
    if isinstance(p, Uniform):
        return ((t * p.high).exp() - (t * p.low).exp()) / (t * (p.high - p.low))
    return None
