"""The gamma distribution and those that are made of it.

Their draws carry no gradients to the parameters: what is accepted depends on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.modes import no_grad
from ..dtypes import finfo
from ..errors import OptionError
from ..tensors.elementwise import log1p, where
from ..tensors.random import rand, randn
from ..tensors.shape import stack
from ..tensors.special import xlogy
from ..tensors.tensor import Tensor
from .distribution import Distribution, together

#: Each proposal is accepted with a probability of 0.95 or more; that none is, of 4e-11 or less.
_PROPOSALS = 8


def standard_gamma(concentration: Tensor) -> Tensor:
    """A draw for each element, at rate 1.

    By Marsaglia and Tsang, "A simple method for generating gamma variables" (TOMS 2000): of a fixed
    number of proposals the first that is accepted, so that it can be recorded.
    """
    like: dict[str, Any] = {"dtype": concentration.dtype, "device": concentration.device}
    tiny = finfo(concentration.dtype).tiny
    small = concentration < 1
    d = where(small, concentration + 1, concentration) - 1 / 3
    shape = (_PROPOSALS, *concentration.shape)
    z, u = randn(shape, **like), rand(shape, **like)
    v = ((1 + z / (9 * d).sqrt()) ** 3).clamp(min=0)
    bound = 0.5 * z * z + d - d * v + d * v.clamp(min=tiny).log()
    good: Tensor = (v > 0) & (log1p(-u) < bound)
    first = good.int().argmax(0, keepdim=True)
    x = d * v.gather(0, first)[0]
    shrunk = x * (log1p(-rand(shape[1:], **like)) / concentration).exp()
    return where(small, shrunk, x).clamp(min=tiny)


class Gamma(Distribution):
    """Positive numbers, of density in proportion to ``x**(concentration - 1) * exp(-rate * x)``."""

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = together(concentration, rate)
        super().__init__(self.rate.shape, validate_args=validate_args)
        self._require("concentration", self.concentration > 0, "positive")
        self._require("rate", self.rate > 0, "positive")

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate**2

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            return (
                standard_gamma(self.concentration.expand(self._extended(sample_shape))) / self.rate
            )

    def log_prob(self, value: Tensor) -> Tensor:
        a = self.concentration
        return a * self.rate.log() + xlogy(a - 1, value) - self.rate * value - a.lgamma()

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1 - a) * a.digamma()


class Chi2(Gamma):
    """Sums of the squares of ``df`` standard normal numbers."""

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (self.df,) = together(df)
        super().__init__(0.5 * self.df, 0.5, validate_args)


class Dirichlet(Distribution):
    """Vectors of positive numbers whose sum is 1.

    Args:
        concentration: ``[..., k]``, positive.
    """

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        if concentration.ndim < 1:
            raise OptionError("Dirichlet: concentration needs a dimension of parts")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args)
        self._require("concentration", concentration > 0, "positive")

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, keepdim=True)
        return self.concentration * (total - self.concentration) / (total**2 * (total + 1))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            drawn = standard_gamma(self.concentration.expand(self._extended(sample_shape)))
            return drawn / drawn.sum(-1, keepdim=True)

    def log_prob(self, value: Tensor) -> Tensor:
        a = self.concentration
        out: Tensor = xlogy(a - 1, value).sum(-1) + a.sum(-1).lgamma() - a.lgamma().sum(-1)
        return out

    def entropy(self) -> Tensor:
        a, total = self.concentration, self.concentration.sum(-1)
        spread = (total - a.shape[-1]) * total.digamma() - ((a - 1) * a.digamma()).sum(-1)
        out: Tensor = a.lgamma().sum(-1) - total.lgamma() + spread
        return out


class Beta(Distribution):
    """Numbers between 0 and 1: the first part of a :class:`Dirichlet` vector of two.

    Args:
        concentration1: the larger, the nearer to 1.
        concentration0: the larger, the nearer to 0.
    """

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        self.concentration1, self.concentration0 = together(concentration1, concentration0)
        both = stack([self.concentration1, self.concentration0], -1)
        self._dirichlet = Dirichlet(both, validate_args)
        super().__init__(self.concentration1.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self._dirichlet.mean[..., 0]

    @property
    def variance(self) -> Tensor:
        return self._dirichlet.variance[..., 0]

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._dirichlet.sample(sample_shape)[..., 0]

    def log_prob(self, value: Tensor) -> Tensor:
        return self._dirichlet.log_prob(stack([value, 1 - value], -1))

    def entropy(self) -> Tensor:
        return self._dirichlet.entropy()
