"""Distributions of floating numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..autograd.modes import no_grad
from ..dtypes import finfo, float64
from ..tensors.bessel import i0e, i1e
from ..tensors.elementwise import acos, atan, log1p
from ..tensors.random import rand, randn
from ..tensors.searching import where
from ..tensors.special import erfinv
from ..tensors.tensor import Tensor
from . import constraints
from .constraints import Constraint, dependent_property
from .distribution import Distribution, ExponentialFamily, together

#: Euler's constant.
EULER = 0.57721566490153286


def uniform_like(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Uniform numbers of a parameter's dtype, on its device."""
    return rand(tuple(shape), dtype=x.dtype, device=x.device)


class _LocScale(Distribution):
    """A place and a width."""

    has_rsample = True
    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}  # noqa: RUF012
    support = constraints.real

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = together(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    def _standard(self, value: Tensor) -> Tensor:
        return (value - self.loc) / self.scale


class Normal(_LocScale, ExponentialFamily):
    """Normal numbers of mean ``loc`` and standard deviation ``scale``."""

    @property
    def variance(self) -> Tensor:
        return self.scale**2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return self.loc + randn(shape, dtype=self.loc.dtype, device=self.loc.device) * self.scale

    def _log_prob(self, value: Tensor) -> Tensor:
        z = self._standard(value)
        return -(z**2) / 2 - self.scale.log() - math.log(math.sqrt(2 * math.pi))

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()

    def _cdf(self, value: Tensor) -> Tensor:
        return 0.5 * (1 + ((value - self.loc) / (self.scale * math.sqrt(2))).erf())

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * erfinv(2 * value - 1) * math.sqrt(2)


class Gumbel(_LocScale):
    """Greatest of many numbers, in the limit: probability ``exp(-exp(-(x - loc) / scale))``."""

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * EULER

    @property
    def variance(self) -> Tensor:
        return (math.pi * self.scale) ** 2 / 6

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = uniform_like(self.loc, self._extended_shape(sample_shape))
        return self.loc - self.scale * (-log1p(-u)).clamp(min=finfo(u.dtype).tiny).log()

    def _log_prob(self, value: Tensor) -> Tensor:
        z = (self.loc - value) / self.scale
        return z - z.exp() - self.scale.log()

    def entropy(self) -> Tensor:
        return self.scale.log() + 1 + EULER

    def _cdf(self, value: Tensor) -> Tensor:
        return (-((self.loc - value) / self.scale).exp()).exp()

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc - self.scale * (-value.log()).log()


class Laplace(_LocScale):
    """Density falling by ``exp(-|x - loc| / scale)`` to both sides."""

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale**2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = uniform_like(self.loc, self._extended_shape(sample_shape)) - 0.5
        return self.loc - self.scale * u.sign() * log1p(-2 * u.abs())

    def _log_prob(self, value: Tensor) -> Tensor:
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def entropy(self) -> Tensor:
        return 1 + (2 * self.scale).log()

    def _cdf(self, value: Tensor) -> Tensor:
        z = self._standard(value)
        return 0.5 - 0.5 * z.sign() * (-z.abs()).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        side = value - 0.5
        return self.loc - self.scale * side.sign() * log1p(-2 * side.abs())


class Cauchy(_LocScale):
    """The quotient of two normal numbers, moved and stretched: it has no mean."""

    @property
    def mean(self) -> Tensor:
        return self.loc * math.nan

    @property
    def variance(self) -> Tensor:
        return self.scale * math.inf

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.icdf(uniform_like(self.loc, self._extended_shape(sample_shape)))

    def _log_prob(self, value: Tensor) -> Tensor:
        return -math.log(math.pi) - self.scale.log() - log1p(self._standard(value) ** 2)

    def entropy(self) -> Tensor:
        return math.log(4 * math.pi) + self.scale.log()

    def _cdf(self, value: Tensor) -> Tensor:
        return atan(self._standard(value)) / math.pi + 0.5

    def icdf(self, value: Tensor) -> Tensor:
        return (math.pi * (value - 0.5)).tan() * self.scale + self.loc


class Uniform(Distribution):
    """Numbers in ``[low, high)``, all alike."""

    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = together(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {"low": constraints.dependent, "high": constraints.greater_than(self.low)}

    @dependent_property
    def support(self) -> Constraint:
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Tensor:
        return self.high * math.nan

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low) ** 2 / 12

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = uniform_like(self.low, self._extended_shape(sample_shape))
        return self.low + u * (self.high - self.low)

    def _log_prob(self, value: Tensor) -> Tensor:
        inside: Tensor = (self.low <= value) & (self.high > value)
        out: Tensor = inside.type_as(self.low).log() - (self.high - self.low).log()
        return out

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()

    def _cdf(self, value: Tensor) -> Tensor:
        return ((value - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Tensor) -> Tensor:
        return value * (self.high - self.low) + self.low


class Exponential(ExponentialFamily):
    """Positive numbers, of density ``rate * exp(-rate * x)``."""

    has_rsample = True
    arg_constraints = {"rate": constraints.positive}  # noqa: RUF012
    support = constraints.nonnegative

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = together(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.rate.reciprocal()

    @property
    def mode(self) -> Tensor:
        return self.rate * 0

    @property
    def variance(self) -> Tensor:
        return self.rate**-2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.icdf(uniform_like(self.rate, self._extended_shape(sample_shape)))

    def _log_prob(self, value: Tensor) -> Tensor:
        return self.rate.log() - self.rate * value

    def entropy(self) -> Tensor:
        return 1 - self.rate.log()

    def _cdf(self, value: Tensor) -> Tensor:
        return 1 - (-self.rate * value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        return -log1p(-value) / self.rate


class GeneralizedPareto(Distribution):
    """What is beyond a high threshold, in the limit (Pickands, 1975).

    Args:
        loc: the threshold.
        scale: positive.
        concentration: how heavy the tail is; 0 for an exponential one, and ends if negative.
    """

    has_rsample = True
    arg_constraints = {  # noqa: RUF012
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }

    def __init__(
        self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale, self.concentration = together(loc, scale, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @dependent_property
    def support(self) -> Constraint:
        a = self.concentration
        end = where(a < 0, self.loc - self.scale / where(a < 0, a, -1.0), math.inf)
        return constraints.interval(self.loc, end)

    @property
    def _is_exponential(self) -> Tensor:
        return self.concentration.abs() < 1e-8  # type: ignore[no-any-return]

    @property
    def _safe(self) -> Tensor:
        return where(self._is_exponential, 1.0, self.concentration)

    def _moment(self, below: float, value: Tensor) -> Tensor:
        return where(self.concentration < below, value, math.nan)

    @property
    def mean(self) -> Tensor:
        return self._moment(1, self.loc + self.scale / (1 - self.concentration))

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        a = self.concentration
        return self._moment(0.5, self.scale**2 / ((1 - a) ** 2 * (1 - 2 * a)))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.icdf(uniform_like(self.loc, self._extended_shape(sample_shape)))

    def _log_prob(self, value: Tensor) -> Tensor:
        z = (value - self.loc) / self.scale
        power = 1 / self._safe + 1
        fall = where(power == 0, 0.0, power * log1p(self._safe * z))
        return -self.scale.log() - where(self._is_exponential, z, fall)

    def log_survival_function(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of more than ``value``."""
        self._validate_sample(value)
        z = (value - self.loc) / self.scale
        return where(self._is_exponential, -z, -log1p(self._safe * z) / self._safe)

    def log_cdf(self, value: Tensor) -> Tensor:
        """The logarithm of :meth:`cdf`."""
        return log1p(-self.log_survival_function(value).exp())

    def _cdf(self, value: Tensor) -> Tensor:
        return -self.log_survival_function(value).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        rest = log1p(-value)
        power = (-self._safe * rest).expm1() / self._safe
        return self.loc + self.scale * where(self._is_exponential, -rest, power)

    def entropy(self) -> Tensor:
        return self.scale.log() + self.concentration + 1


class VonMises(Distribution):
    """Angles around ``loc``, the nearer the greater ``concentration``."""

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}  # noqa: RUF012
    support = constraints.real

    #: Each proposal is accepted with a probability of 0.65 or more; that none is, of 1e-13 or less.
    _proposals = 28

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = together(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """The mean direction."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        """1 less the length of the mean of points on a circle."""
        return 1 - i1e(self.concentration) / i0e(self.concentration)

    def _log_prob(self, value: Tensor) -> Tensor:
        k = self.concentration
        fall = k * ((value - self.loc).cos() - 1)
        return fall - math.log(2 * math.pi) - i0e(k).log()

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """By Best and Fisher, "Efficient simulation of the von Mises distribution" (1979)."""
        with no_grad():
            k = self.concentration.to(float64)
            tau = 1 + (1 + 4 * k**2).sqrt()
            rho = (tau - (2 * tau).sqrt()) / (2 * k)
            # (For small k by the series, where both terms of rho are alike.)
            r = where(k < 1e-5, 1 / k + k, (1 + rho**2) / (2 * rho))
            shape = (self._proposals, *self._extended_shape(sample_shape))
            u1, u2, u3 = [uniform_like(k, shape) for _ in range(3)]
            z = (math.pi * u1).cos()
            f = (1 + r * z) / (r + z)
            c = k * (r - f)
            good = (c * (2 - c) - u2 > 0) | ((c / u2).log() + 1 - c >= 0)
            first: Tensor = good.int().argmax(0, keepdim=True)
            f, side = f.gather(0, first)[0], (u3 - 0.5).gather(0, first)[0].sign()
            angle = side * acos(f.clamp(-1, 1)) + math.pi + self.loc
            return (angle % (2 * math.pi) - math.pi).to(self.loc.dtype)
