"""The continuous Bernoulli distribution."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Any

from ..nn.functional import binary_cross_entropy_with_logits
from ..tensors.elementwise import log1p
from ..tensors.searching import where
from ..tensors.tensor import Tensor
from . import constraints
from .continuous import uniform_like
from .discrete import OfProbs, clamp_probs
from .distribution import together


class ContinuousBernoulli(OfProbs):
    """Numbers between 0 and 1, of density in proportion to ``p**x * (1 - p)**(1 - x)``.

    (Loaiza-Ganem and Cunningham, "The continuous Bernoulli", NeurIPS 2019)
    """

    has_rsample = True
    support = constraints.unit_interval

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        self._lims = lims
        super().__init__(probs, logits, validate_args)

    @property
    def _p(self) -> Tensor:
        return clamp_probs(self.probs)

    @property
    def _is_far(self) -> Tensor:
        """Are the formulas safe, which divide by the distance from 1/2?"""
        return (self._p <= self._lims[0]) | (self._p > self._lims[1])  # type: ignore[no-any-return]

    @property
    def _cut(self) -> Tensor:
        return where(self._is_far, self._p, self._lims[0])

    def log_norm(self) -> Tensor:
        """The logarithm of what the density is multiplied by, to be one."""
        p, x = self._cut, (self._p - 0.5) ** 2
        far = (log1p(-p) - p.log()).abs().log() - (1 - 2 * p).abs().log()
        return where(self._is_far, far, log(2) + (4 / 3 + 104 / 45 * x) * x)

    @property
    def mean(self) -> Tensor:
        p, x = self._cut, self._p - 0.5
        far = p / (2 * p - 1) + 1 / (log1p(-p) - p.log())
        return where(self._is_far, far, 0.5 + (1 / 3 + 16 / 45 * x**2) * x)

    @property
    def variance(self) -> Tensor:
        p, x = self._cut, (self._p - 0.5) ** 2
        far = p * (p - 1) / (1 - 2 * p) ** 2 + 1 / (log1p(-p) - p.log()) ** 2
        return where(self._is_far, far, 1 / 12 - (1 / 15 - 128 / 945 * x) * x)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.icdf(uniform_like(self._p, self._extended_shape(sample_shape)))

    def _log_prob(self, value: Tensor) -> Tensor:
        logits, value = together(self.logits, value)
        fall = binary_cross_entropy_with_logits(logits, value, reduction="none")
        return self.log_norm() - fall

    def _cdf(self, value: Tensor) -> Tensor:
        p, x = self._cut, value.clamp(0, 1)
        far = (p**x * (1 - p) ** (1 - x) + p - 1) / (2 * p - 1)
        return where(value <= 0, 0.0, where(value >= 1, 1.0, where(self._is_far, far, x)))

    def icdf(self, value: Tensor) -> Tensor:
        p = self._cut
        rise = log1p(-p + value * (2 * p - 1)) - log1p(-p)
        return where(self._is_far, rise / (p.log() - log1p(-p)), value)

    def entropy(self) -> Tensor:
        none, whole = log1p(-self._p), self._p.log()
        return self.mean * (none - whole) - self.log_norm() - none
