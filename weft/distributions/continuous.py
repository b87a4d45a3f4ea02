"""Distributions of floating numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..dtypes import finfo
from ..errors import OptionError
from ..tensors.decompositions import cholesky, solve_triangular
from ..tensors.elementwise import log1p
from ..tensors.linalg import matmul
from ..tensors.random import rand, randn
from ..tensors.special import erfinv
from ..tensors.tensor import Tensor
from .distribution import Distribution, together

#: Euler's constant.
_EULER = 0.57721566490153286


class _LocScale(Distribution):
    """A place and a width."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = together(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)
        self._require("scale", self.scale > 0, "positive")

    @property
    def mean(self) -> Tensor:
        return self.loc


class Normal(_LocScale):
    """Normal numbers of mean ``loc`` and standard deviation ``scale``."""

    @property
    def variance(self) -> Tensor:
        return self.scale**2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended(sample_shape)
        return self.loc + randn(shape, dtype=self.loc.dtype, device=self.loc.device) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        z = (value - self.loc) / self.scale
        return -(z**2) / 2 - self.scale.log() - math.log(math.sqrt(2 * math.pi))

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        return 0.5 * (1 + ((value - self.loc) / (self.scale * math.sqrt(2))).erf())

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * erfinv(2 * value - 1) * math.sqrt(2)


class LogNormal(_LocScale):
    """Positive numbers, whose logarithms are :class:`Normal` with ``loc`` and ``scale``."""

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(loc, scale, validate_args)
        self._logarithm = Normal(self.loc, self.scale, False)

    @property
    def mean(self) -> Tensor:
        return (self.loc + self.scale**2 / 2).exp()

    @property
    def variance(self) -> Tensor:
        square = self.scale**2
        return square.expm1() * (2 * self.loc + square).exp()

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._logarithm.rsample(sample_shape).exp()

    def log_prob(self, value: Tensor) -> Tensor:
        return self._logarithm.log_prob(value.log()) - value.log()

    def entropy(self) -> Tensor:
        return self._logarithm.entropy() + self.loc

    def cdf(self, value: Tensor) -> Tensor:
        return self._logarithm.cdf(value.log())

    def icdf(self, value: Tensor) -> Tensor:
        return self._logarithm.icdf(value).exp()


class Gumbel(_LocScale):
    """Greatest of many numbers, in the limit: probability ``exp(-exp(-(x - loc) / scale))``."""

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * _EULER

    @property
    def variance(self) -> Tensor:
        return (math.pi * self.scale) ** 2 / 6

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended(sample_shape)
        u = rand(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc - self.scale * (-log1p(-u)).clamp(min=finfo(u.dtype).tiny).log()

    def log_prob(self, value: Tensor) -> Tensor:
        z = (self.loc - value) / self.scale
        return z - z.exp() - self.scale.log()

    def entropy(self) -> Tensor:
        return self.scale.log() + 1 + _EULER

    def cdf(self, value: Tensor) -> Tensor:
        return (-((self.loc - value) / self.scale).exp()).exp()

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc - self.scale * (-value.log()).log()


class Laplace(_LocScale):
    """Density falling by ``exp(-|x - loc| / scale)`` to both sides."""

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale**2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended(sample_shape)
        u = rand(shape, dtype=self.loc.dtype, device=self.loc.device) - 0.5
        return self.loc - self.scale * u.sign() * log1p(-2 * u.abs())

    def log_prob(self, value: Tensor) -> Tensor:
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def entropy(self) -> Tensor:
        return 1 + (2 * self.scale).log()

    def cdf(self, value: Tensor) -> Tensor:
        z = (value - self.loc) / self.scale
        return 0.5 - 0.5 * z.sign() * (-z.abs()).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        side = value - 0.5
        return self.loc - self.scale * side.sign() * log1p(-2 * side.abs())


class Uniform(Distribution):
    """Numbers in ``[low, high)``, all alike."""

    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = together(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)
        self._require("high", self.high > self.low, "above low")

    @property
    def mean(self) -> Tensor:
        return (self.high + self.low) / 2

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low) ** 2 / 12

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = rand(self._extended(sample_shape), dtype=self.low.dtype, device=self.low.device)
        return self.low + u * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        inside: Tensor = (self.low <= value) & (self.high > value)
        out: Tensor = inside.type_as(self.low).log() - (self.high - self.low).log()
        return out

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()

    def cdf(self, value: Tensor) -> Tensor:
        return ((value - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Tensor) -> Tensor:
        return value * (self.high - self.low) + self.low


class Exponential(Distribution):
    """Positive numbers, of density ``rate * exp(-rate * x)``."""

    has_rsample = True

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = together(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)
        self._require("rate", self.rate > 0, "positive")

    @property
    def mean(self) -> Tensor:
        return self.rate.reciprocal()

    @property
    def variance(self) -> Tensor:
        return self.rate**-2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended(sample_shape)
        u = rand(shape, dtype=self.rate.dtype, device=self.rate.device)
        return -log1p(-u) / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        return self.rate.log() - self.rate * value

    def entropy(self) -> Tensor:
        return 1 - self.rate.log()

    def cdf(self, value: Tensor) -> Tensor:
        return 1 - (-self.rate * value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        return -log1p(-value) / self.rate


class MultivariateNormal(Distribution):
    """Normal vectors ``[..., d]`` with dependent elements.

    Args:
        loc: the mean, ``[..., d]``.
        covariance_matrix: ``[..., d, d]``; or
        scale_tril: its lower Cholesky factor.

    Raises:
        OptionError: unless there is one of the two.
    """

    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if (covariance_matrix is None) == (scale_tril is None) or precision_matrix is not None:
            raise OptionError("MultivariateNormal takes one of covariance_matrix and scale_tril")
        factor: Any = scale_tril if covariance_matrix is None else cholesky(covariance_matrix)
        batch = (loc[..., None] + factor).shape[:-1]
        self.loc = loc.expand(batch)
        self.scale_tril = factor.expand((*batch, batch[-1]))
        super().__init__(batch[:-1], batch[-1:], validate_args)

    @property
    def covariance_matrix(self) -> Tensor:
        """``[..., d, d]``."""
        return matmul(self.scale_tril, self.scale_tril.mT)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        out: Tensor = (self.scale_tril**2).sum(-1)
        return out

    def _log_det(self) -> Tensor:
        out: Tensor = self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return out

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended(sample_shape)
        z = randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + matmul(self.scale_tril, z[..., None])[..., 0]

    def log_prob(self, value: Tensor) -> Tensor:
        off = (value - self.loc)[..., None]
        factor = self.scale_tril.expand((*off.shape[:-1], off.shape[-2]))
        z = solve_triangular(factor, off, upper=False)[..., 0]
        d = self._event_shape[0]
        squares: Tensor = (z**2).sum(-1)
        out: Tensor = -0.5 * (squares + d * math.log(2 * math.pi)) - self._log_det()
        return out

    def entropy(self) -> Tensor:
        d: int = self._event_shape[0]
        return self._log_det() + 0.5 * d * (1 + math.log(2 * math.pi))
