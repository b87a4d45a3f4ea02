"""How far one distribution is from another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import OptionError, UnsupportedOp
from ..nn.functional import softplus
from ..tensors.decompositions import solve_triangular
from ..tensors.elementwise import where
from ..tensors.tensor import Tensor
from .continuous import Exponential, Laplace, LogNormal, MultivariateNormal, Normal, Uniform
from .discrete import Bernoulli, Categorical, OneHotCategorical
from .distribution import Distribution, Independent
from .gamma import Beta, Dirichlet, Gamma


def _normal(p: Normal | LogNormal, q: Normal | LogNormal) -> Tensor:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ratio.log())


def _laplace(p: Laplace, q: Laplace) -> Tensor:
    ratio, off = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + off / q.scale + ratio * (-off / p.scale).exp() - 1


def _uniform(p: Uniform, q: Uniform) -> Tensor:
    inside = (q.low <= p.low) & (q.high >= p.high)
    return where(inside, ((q.high - q.low) / (p.high - p.low)).log(), float("inf"))


def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    out: Tensor = p.probs * (p.logits - q.logits) - softplus(p.logits) + softplus(q.logits)
    return out


def _categorical(p: Any, q: Any) -> Tensor:
    out: Tensor = (p.probs * (p.logits - q.logits)).sum(-1)
    return out


def _multivariate(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    d = p.event_shape[0]
    spread = solve_triangular(q.scale_tril, p.scale_tril, upper=False)
    off = solve_triangular(q.scale_tril, (q.loc - p.loc)[..., None], upper=False)
    squares: Tensor = (spread**2).sum((-2, -1)) + (off[..., 0] ** 2).sum(-1)
    out: Tensor = q._log_det() - p._log_det() + 0.5 * (squares - d)
    return out


def _gamma(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    shapes = b.lgamma() - a.lgamma() + (a - b) * a.digamma()
    return b * (p.rate / q.rate).log() + shapes + (q.rate - p.rate) * (a / p.rate)


def _dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    towards = ((a - b) * (a.digamma() - total.digamma()[..., None])).sum(-1)
    out: Tensor = total.lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1) + towards
    return out


def _beta(p: Beta, q: Beta) -> Tensor:
    return _dirichlet(p._dirichlet, q._dirichlet)


def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise OptionError("kl_divergence: the two Independent take other numbers of dimensions")
    return p._summed(kl_divergence(p.base_dist, q.base_dist))


_RULES: dict[type[Distribution], Callable[[Any, Any], Tensor]] = {
    Bernoulli: _bernoulli,
    Beta: _beta,
    Categorical: _categorical,
    Dirichlet: _dirichlet,
    Exponential: _exponential,
    Gamma: _gamma,
    Independent: _independent,
    Laplace: _laplace,
    LogNormal: _normal,
    MultivariateNormal: _multivariate,
    Normal: _normal,
    OneHotCategorical: _categorical,
    Uniform: _uniform,
}


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The Kullback-Leibler divergence of ``q`` from ``p``, two distributions of one kind.

    Raises:
        UnsupportedOp: for two kinds.
    """
    for kind, rule in _RULES.items():
        if isinstance(p, kind) and isinstance(q, kind):
            return rule(p, q)
    raise UnsupportedOp(
        f"kl_divergence of {type(p).__name__} and {type(q).__name__}: both must be of one kind"
    )
