"""Distributions of random numbers: draws, densities, entropies. The names of PyTorch's."""

from __future__ import annotations

from typing import Any

from ..errors import did_you_mean
from .continuous import Exponential, Gumbel, Laplace, LogNormal, MultivariateNormal, Normal, Uniform
from .discrete import Bernoulli, Categorical, OneHotCategorical
from .distribution import Distribution, Independent
from .gamma import Beta, Chi2, Dirichlet, Gamma
from .kl import kl_divergence

__all__ = [
    "Bernoulli",
    "Beta",
    "Categorical",
    "Chi2",
    "Dirichlet",
    "Distribution",
    "Exponential",
    "Gamma",
    "Gumbel",
    "Independent",
    "Laplace",
    "LogNormal",
    "MultivariateNormal",
    "Normal",
    "OneHotCategorical",
    "Uniform",
    "kl_divergence",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.distributions' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
