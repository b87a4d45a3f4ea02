"""Mixtures of distributions of one kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from ..autograd.modes import no_grad
from ..errors import OptionError, ShapeError
from ..tensors.tensor import Tensor
from .constraints import Constraint, dependent_property
from .discrete import Categorical
from .distribution import Distribution


class _OfMixture(Constraint):
    """What is in the support of any component."""

    def __init__(self, base_constraint: Constraint) -> None:
        self.base_constraint = base_constraint

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        return self.base_constraint.event_dim

    def check(self, value: Tensor) -> Any:
        met = self.base_constraint.check(value.unsqueeze(-1 - self.event_dim))
        return met.any(-1)


class MixtureSameFamily(Distribution):
    """A draw of one of K components, which are the last dimension of a distribution's batch.

    Args:
        mixture_distribution: which component; K classes.
        component_distribution: of the batch ``[..., K]``.

    Raises:
        OptionError: for other kinds of distributions.
        ShapeError: if their batches do not fit.
    """

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        mixture: Any = mixture_distribution
        component: Any = component_distribution
        if not isinstance(mixture, Categorical) or not isinstance(component, Distribution):
            raise OptionError("MixtureSameFamily takes a Categorical and a Distribution")
        batch, count = mixture.batch_shape, mixture.param_shape[-1]
        inner = component.batch_shape[:-1]
        pairs = list(zip(reversed(batch), reversed(inner), strict=False))
        if component.batch_shape[-1:] != (count,) or any(
            [1 not in p and p[0] != p[1] for p in pairs]
        ):
            raise ShapeError(
                f"MixtureSameFamily: components of batch_shape {list(component.batch_shape)} do "
                f"not fit a mixture of batch_shape {list(batch)} and {count} classes"
            )
        self._mixture_distribution, self._component_distribution = mixture, component
        super().__init__(inner, component.event_shape, validate_args)

    @property
    def mixture_distribution(self) -> Categorical:
        """Which component is drawn."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Distribution:
        """The components."""
        return self._component_distribution

    @dependent_property
    def support(self) -> Constraint:
        return _OfMixture(self._component_distribution.support)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Self:
        new = self._with_shape(batch_shape)
        k = self._mixture_distribution.param_shape[-1]
        new._component_distribution = self._component_distribution.expand((*batch_shape, k))
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)
        return new

    @property
    def _place(self) -> int:
        """The dimension of the components, from the end."""
        return -1 - len(self._event_shape)

    def _weights(self) -> Tensor:
        probs = self._mixture_distribution.probs
        return probs.reshape((*probs.shape, *[1] * len(self._event_shape)))

    @property
    def mean(self) -> Tensor:
        out: Tensor = (self._weights() * self._component_distribution.mean).sum(self._place)
        return out

    @property
    def variance(self) -> Tensor:
        weights, component = self._weights(), self._component_distribution
        off = component.mean - self.mean.unsqueeze(self._place)
        out: Tensor = (weights * (component.variance + off**2)).sum(self._place)
        return out

    def _cdf(self, value: Tensor) -> Tensor:
        each = self._component_distribution.cdf(value.unsqueeze(self._place))
        out: Tensor = (each * self._mixture_distribution.probs).sum(-1)
        return out

    def _log_prob(self, value: Tensor) -> Tensor:
        each = self._component_distribution.log_prob(value.unsqueeze(self._place))
        out: Tensor = (each + self._mixture_distribution.logits.log_softmax(-1)).logsumexp(-1)
        return out

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            chosen = self._mixture_distribution.sample(sample_shape)
            drawn = self._component_distribution.sample(sample_shape)
            shape, event = (*sample_shape, *self._batch_shape), self._event_shape
            place = chosen.expand(shape).reshape((*shape, 1, *[1] * len(event)))
            dim = len(shape)
            return drawn.gather(dim, place.expand((*shape, 1, *event))).squeeze(dim)
