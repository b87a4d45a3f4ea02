"""Distributions of whole numbers and classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.modes import no_grad
from ..dtypes import finfo
from ..errors import OptionError
from ..nn.functional import binary_cross_entropy_with_logits, one_hot
from ..tensors.random import bernoulli, multinomial
from ..tensors.tensor import Tensor
from .distribution import Distribution, together


def _clamped(probs: Tensor) -> Tensor:
    """Without 0 and 1, of which the logarithm, or that of the rest, is infinite."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(eps, 1 - eps)


def _one_of(kind: str, probs: Any, logits: Any) -> None:
    if (probs is None) == (logits is None):
        raise OptionError(f"{kind} takes one of probs and logits")


class Bernoulli(Distribution):
    """1 with probability ``probs``, else 0; or by ``logits``, log-odds."""

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        _one_of("Bernoulli", probs, logits)
        if logits is None:
            (self.probs,) = together(probs)
            clamped = _clamped(self.probs)
            self.logits = clamped.log() - (-clamped).log1p()
        else:
            (self.logits,) = together(logits)
            self.probs = self.logits.sigmoid()
        super().__init__(self.probs.shape, validate_args=validate_args)
        if logits is None:
            self._require("probs", (self.probs >= 0) & (self.probs <= 1), "between 0 and 1")

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            return bernoulli(self.probs.expand(self._extended(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        logits, value = together(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")


class Categorical(Distribution):
    """One of the classes 0 to K - 1.

    Args:
        probs: ``[..., K]``, in proportion to the probabilities; or
        logits: their logarithms, up to a constant.
    """

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        _one_of("Categorical", probs, logits)
        given = logits if probs is None else probs
        assert given is not None
        if given.ndim < 1:
            raise OptionError("Categorical: probs and logits need a dimension of classes")
        if probs is not None:
            self.probs = probs / probs.sum(-1, keepdim=True)
            self.logits = _clamped(self.probs).log()
        else:
            self.logits = given - given.logsumexp(-1, keepdim=True)
            self.probs = self.logits.softmax(-1)
        self._num_events = given.shape[-1]
        super().__init__(given.shape[:-1], validate_args=validate_args)
        if probs is not None:
            self._require("probs", probs >= 0, "0 or more")
        else:
            self._require("logits", ~given.isnan(), "no NaN")

    @property
    def param_shape(self) -> Any:
        """The shape of ``probs`` and ``logits``."""
        return self.probs.shape

    @property
    def mode(self) -> Tensor:
        """The likeliest class."""
        return self.probs.argmax(-1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            count = 1
            for n in sample_shape:
                count *= n
            rows = self.probs.reshape(-1, self._num_events)
            drawn = multinomial(rows, count, replacement=True).T
            return drawn.reshape((*sample_shape, *self._batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        classes, logits = value.long()[..., None], self.logits
        shape = (classes + logits[..., :1] * 0).shape[:-1]
        logits = logits.expand((*shape, self._num_events))
        return logits.gather(-1, classes.expand((*shape, 1)))[..., 0]

    def entropy(self) -> Tensor:
        logits = self.logits.clamp(min=finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)


class OneHotCategorical(Distribution):
    """:class:`Categorical` with classes as vectors of one 1 and zeros."""

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._categorical = Categorical(probs, logits, validate_args)
        self.probs, self.logits = self._categorical.probs, self._categorical.logits
        super().__init__(self.probs.shape[:-1], self.probs.shape[-1:], validate_args)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        classes = self._categorical.sample(sample_shape)
        return one_hot(classes, self._event_shape[0]).type_as(self.probs)

    def log_prob(self, value: Tensor) -> Tensor:
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Tensor:
        return self._categorical.entropy()
