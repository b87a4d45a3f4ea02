"""Distributions of random numbers: draws, densities, entropies. The names of PyTorch's."""

from __future__ import annotations

from typing import Any

from ..errors import did_you_mean
from .continuous import Exponential, Laplace, MultivariateNormal, Normal, Uniform
from .discrete import Bernoulli, Categorical, OneHotCategorical
from .distribution import Distribution, Independent
from .kl import kl_divergence

__all__ = [
    "Bernoulli",
    "Categorical",
    "Distribution",
    "Exponential",
    "Independent",
    "Laplace",
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
