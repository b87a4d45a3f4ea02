"""The gamma distribution and those that are made of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..autograd.function import Function
from ..dtypes import finfo
from ..errors import OptionError
from ..tensors.core import node_of, wrap
from ..tensors.creation import arange
from ..tensors.elementwise import log1p
from ..tensors.gammas import gamma_slope, gammainc
from ..tensors.random import rand, randn
from ..tensors.searching import where
from ..tensors.shape import stack
from ..tensors.special import xlogy
from ..tensors.tensor import Tensor
from . import constraints
from .distribution import Distribution, ExponentialFamily, together

#: Each proposal is accepted with a probability of 0.95 or more; that none is, of 4e-11 or less.
_PROPOSALS = 8


def _drawn(concentration: Tensor) -> Tensor:
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


class _StandardGamma(Function):
    """A draw; its gradient is how fast it rises with the shape (:func:`gamma_slope`)."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor) -> Tensor:
        x = _drawn(concentration)
        ctx.save_for_backward(concentration, x)
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        concentration, x = ctx.saved_tensors
        return grad * wrap(gamma_slope(node_of(concentration), node_of(x)))


def standard_gamma(concentration: Tensor) -> Tensor:
    """A draw for each element, at rate 1, through which gradients go back to the shapes.

    (Figurnov, Mohamed and Mnih, "Implicit reparameterization gradients", NeurIPS 2018)
    """
    drawn: Tensor = _StandardGamma.apply(concentration)
    return drawn


class Gamma(ExponentialFamily):
    """Positive numbers, of density in proportion to ``x**(concentration - 1) * exp(-rate * x)``."""

    has_rsample = True
    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}  # noqa: RUF012
    support = constraints.nonnegative

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = together(concentration, rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate**2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        drawn = standard_gamma(self.concentration.expand(shape)) / self.rate
        return drawn.clamp(min=finfo(drawn.dtype).tiny)

    def _log_prob(self, value: Tensor) -> Tensor:
        a = self.concentration
        return a * self.rate.log() + xlogy(a - 1, value) - self.rate * value - a.lgamma()

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1 - a) * a.digamma()

    def _cdf(self, value: Tensor) -> Tensor:
        return gammainc(self.concentration, self.rate * value)


class Chi2(Gamma):
    """Sums of the squares of ``df`` standard normal numbers."""

    arg_constraints = {**Gamma.arg_constraints, "df": constraints.positive}  # noqa: RUF012

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (self.df,) = together(df)
        super().__init__(0.5 * self.df, 0.5, validate_args)


class Dirichlet(ExponentialFamily):
    """Vectors of positive numbers whose sum is 1.

    Args:
        concentration: ``[..., k]``, positive.
    """

    has_rsample = True
    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}  # noqa: RUF012
    support = constraints.simplex

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        if concentration.ndim < 1:
            raise OptionError("Dirichlet: concentration needs a dimension of parts")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def mode(self) -> Tensor:
        a = (self.concentration - 1).clamp(min=0)
        mode = a / a.sum(-1, keepdim=True)
        # Where all are below 1, the corners are infinitely likely: the first, as in PyTorch.
        corners = (self.concentration < 1).all(-1, keepdim=True)
        first = arange(self._event_shape[0], device=a.device) == 0
        return where(corners, first.to(mode.dtype), mode)

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, keepdim=True)
        return self.concentration * (total - self.concentration) / (total**2 * (total + 1))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        drawn = standard_gamma(self.concentration.expand(self._extended_shape(sample_shape)))
        return drawn / drawn.sum(-1, keepdim=True)

    def _log_prob(self, value: Tensor) -> Tensor:
        a = self.concentration
        out: Tensor = xlogy(a - 1, value).sum(-1) + a.sum(-1).lgamma() - a.lgamma().sum(-1)
        return out

    def entropy(self) -> Tensor:
        a, total = self.concentration, self.concentration.sum(-1)
        spread = (total - a.shape[-1]) * total.digamma() - ((a - 1) * a.digamma()).sum(-1)
        out: Tensor = a.lgamma().sum(-1) - total.lgamma() + spread
        return out


class Beta(ExponentialFamily):
    """Numbers between 0 and 1: the first part of a :class:`Dirichlet` vector of two.

    Args:
        concentration1: the larger, the nearer to 1.
        concentration0: the larger, the nearer to 0.
    """

    has_rsample = True
    arg_constraints = {  # noqa: RUF012
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        self.concentration1, self.concentration0 = together(concentration1, concentration0)
        super().__init__(self.concentration1.shape, validate_args=validate_args)

    @property
    def _dirichlet(self) -> Dirichlet:
        return Dirichlet(stack([self.concentration1, self.concentration0], -1), False)

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Tensor:
        return self._dirichlet.mode[..., 0]

    @property
    def variance(self) -> Tensor:
        return self._dirichlet.variance[..., 0]

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._dirichlet.rsample(sample_shape)[..., 0]

    def _log_prob(self, value: Tensor) -> Tensor:
        return self._dirichlet._log_prob(stack([value, 1 - value], -1))

    def entropy(self) -> Tensor:
        return self._dirichlet.entropy()


class StudentT(Distribution):
    """A normal number over the root of a mean of ``df`` squares of such, moved and stretched."""

    has_rsample = True
    arg_constraints = {  # noqa: RUF012
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real

    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        self.df, self.loc, self.scale = together(df, loc, scale)
        super().__init__(self.df.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return where(self.df > 1, self.loc, math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        finite = self.df > 2
        spread = self.scale**2 * self.df / where(finite, self.df - 2, 1.0)
        return where(finite, spread, where(self.df > 1, math.inf, self.df * math.nan))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        z = randn(shape, dtype=self.df.dtype, device=self.df.device)
        squares = Chi2(self.df, False).rsample(sample_shape)
        return self.loc + self.scale * z * (squares / self.df).rsqrt()

    def _log_prob(self, value: Tensor) -> Tensor:
        df = self.df
        square = ((value - self.loc) / self.scale) ** 2
        size = 0.5 * (df.log() + math.log(math.pi)) + self.scale.log()
        size = size + (0.5 * df).lgamma() - (0.5 * (df + 1)).lgamma()
        return -0.5 * (df + 1) * log1p(square / df) - size

    def entropy(self) -> Tensor:
        a, b = 0.5 * self.df, 0.5 * (self.df + 1)
        spread = b * (b.digamma() - a.digamma()) + 0.5 * self.df.log()
        return self.scale.log() + spread + a.lgamma() - b.lgamma() + math.lgamma(0.5)


class FisherSnedecor(Distribution):
    """The quotient of the means of ``df1`` and of ``df2`` squares of normal numbers."""

    has_rsample = True
    arg_constraints = {"df1": constraints.positive, "df2": constraints.positive}  # noqa: RUF012
    support = constraints.positive

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self.df1, self.df2 = together(df1, df2)
        super().__init__(self.df1.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return where(self.df2 > 2, self.df2 / (self.df2 - 2), math.nan)

    @property
    def mode(self) -> Tensor:
        mode = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return where(self.df1 > 2, mode, math.nan)

    @property
    def variance(self) -> Tensor:
        a, b = self.df1, self.df2
        spread = 2 * b**2 * (a + b - 2) / (a * (b - 2) ** 2 * (b - 4))
        return where(b > 4, spread, math.nan)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        one, two = [Gamma(0.5 * df, df, False).rsample(sample_shape) for df in (self.df1, self.df2)]
        return (one / two).clamp(min=finfo(one.dtype).tiny)

    def _log_prob(self, value: Tensor) -> Tensor:
        a, b, ratio = 0.5 * self.df1, 0.5 * self.df2, self.df1 / self.df2
        ways = (a + b).lgamma() - a.lgamma() - b.lgamma()
        return ways + a * ratio.log() + (a - 1) * value.log() - (a + b) * log1p(ratio * value)
