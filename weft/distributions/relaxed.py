"""Classes, relaxed to points between them, through which gradients go.

Maddison, Mnih and Teh, "The concrete distribution" (2016); Jang, Gu and Poole, "Categorical
reparameterization with Gumbel-softmax" (2016).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..tensors.elementwise import log1p
from ..tensors.tensor import Tensor
from . import constraints
from .continuous import uniform_like
from .discrete import OfClasses, OfProbs, clamp_probs
from .distribution import together
from .transformed import TransformedDistribution
from .transforms import ExpTransform, SigmoidTransform


class LogitRelaxedBernoulli(OfProbs):
    """The logits of :class:`RelaxedBernoulli`."""

    has_rsample = True
    support = constraints.real

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self.temperature = temperature
        super().__init__(probs, logits, validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        given = self.probs if "probs" in vars(self) else self.logits
        u = clamp_probs(uniform_like(given, self._extended_shape(sample_shape)))
        return (u.log() - log1p(-u) + self.logits) / self.temperature  # type: ignore[no-any-return]

    def _log_prob(self, value: Tensor) -> Tensor:
        logits, value = together(self.logits, value)
        (temperature,) = together(self.temperature)
        diff = logits - value * temperature
        return temperature.log() + diff - 2 * log1p(diff.exp())


class _Relaxed(TransformedDistribution):
    """What the untransformed distribution has."""

    base_dist: Any

    @property
    def temperature(self) -> Any:
        """How far from 0 and 1, or from the corners, they are."""
        return self.base_dist.temperature

    @property
    def probs(self) -> Tensor:
        """The probabilities of what is near to 1, or to each corner."""
        return self.base_dist.probs  # type: ignore[no-any-return]

    @property
    def logits(self) -> Tensor:
        """Their log-odds, or logarithms."""
        return self.base_dist.logits  # type: ignore[no-any-return]


class RelaxedBernoulli(_Relaxed):
    """Numbers between 0 and 1, the nearer to either the lower ``temperature``; with gradients."""

    arg_constraints = OfProbs.arg_constraints
    support = constraints.unit_interval

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits, validate_args)
        super().__init__(base, SigmoidTransform(), validate_args)


class ExpRelaxedCategorical(OfClasses):
    """The logarithms of :class:`RelaxedOneHotCategorical`."""

    has_rsample = True
    support = constraints.real_vector

    def __init__(
        self,
        temperature: Any,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self.temperature = temperature
        shape = self._take(probs, logits).shape
        super().__init__(shape[:-1], shape[-1:], validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = clamp_probs(uniform_like(self._given, self._extended_shape(sample_shape)))
        scores = (self.logits - (-u.log()).log()) / self.temperature
        return scores - scores.logsumexp(-1, keepdim=True)  # type: ignore[no-any-return]

    def _log_prob(self, value: Tensor) -> Tensor:
        k = self._num_events
        (temperature,) = together(self.temperature)
        score = self.logits - value * temperature
        score = (score - score.logsumexp(-1, keepdim=True)).sum(-1)
        out: Tensor = score + math.lgamma(k) + (k - 1) * temperature.log()
        return out


class RelaxedOneHotCategorical(_Relaxed):
    """Vectors of sum 1, the nearer to one of its corners the lower ``temperature``."""

    arg_constraints = OfClasses.arg_constraints
    support = constraints.simplex

    def __init__(
        self,
        temperature: Any,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args)
        super().__init__(base, ExpTransform(), validate_args)
