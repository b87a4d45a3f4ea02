"""Distributions of whole numbers and classes."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod
from typing import Any

from ..autograd.modes import no_grad
from ..dtypes import finfo, float32
from ..errors import OptionError, UnsupportedOp
from ..nn.functional import binary_cross_entropy_with_logits, logsigmoid, one_hot, softplus
from ..tensors.counts import binomial, poisson
from ..tensors.creation import arange, eye
from ..tensors.elementwise import floor, log1p
from ..tensors.random import bernoulli, multinomial
from ..tensors.searching import where
from ..tensors.shape import broadcast_tensors
from ..tensors.special import xlogy
from ..tensors.tensor import Tensor
from . import constraints
from .constraints import Constraint, dependent_property
from .continuous import uniform_like
from .distribution import Distribution, ExponentialFamily, lazy_property, together
from .gamma import Gamma


def clamp_probs(probs: Tensor) -> Tensor:
    """Without 0 and 1, of which the logarithm, or that of the rest, is infinite."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(eps, 1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Logarithms of probabilities; ``is_binary``: of their odds."""
    clamped = clamp_probs(probs)
    return clamped.log() - log1p(-clamped) if is_binary else clamped.log()


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities of logarithms that need not add up; ``is_binary``: of log-odds."""
    return logits.sigmoid() if is_binary else logits.softmax(-1)


def one_of(kind: str, probs: Any, logits: Any) -> None:
    """
    Raises:
        OptionError: unless one of both is given.
    """
    if (probs is None) == (logits is None):
        raise OptionError(f"{kind} takes one of probs and logits")


# ---- of one probability


class OfProbs(Distribution):
    """Of ``probs``, or of ``logits``, log-odds; and of other parameters, of the same shape."""

    arg_constraints: Any = {"probs": constraints.unit_interval, "logits": constraints.real}  # noqa: RUF012

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None, **more: Any
    ) -> None:
        one_of(type(self).__name__, probs, logits)
        given, *others = together(logits if probs is None else probs, *more.values())
        vars(self)["logits" if probs is None else "probs"] = given
        for name, value in zip(more, others, strict=True):
            setattr(self, name, value.to(given.dtype))
        super().__init__(given.shape, validate_args=validate_args)

    @lazy_property
    def probs(self) -> Tensor:
        """The probabilities."""
        return logits_to_probs(self.logits, is_binary=True)

    @lazy_property
    def logits(self) -> Tensor:
        """The log-odds."""
        return probs_to_logits(self.probs, is_binary=True)

    @property
    def param_shape(self) -> Any:
        """The shape of ``probs`` and ``logits``."""
        return self._batch_shape


class Bernoulli(OfProbs, ExponentialFamily):
    """1 with probability ``probs``, else 0; or by ``logits``, log-odds."""

    has_enumerate_support = True
    support = constraints.boolean

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        mode: Tensor = (self.probs > 0.5).to(self.probs.dtype)
        return where(self.probs == 0.5, float("nan"), mode)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            return bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def _log_prob(self, value: Tensor) -> Tensor:
        logits, value = together(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def _values(self) -> Tensor:
        return arange(2, dtype=self.probs.dtype, device=self.probs.device)


class Geometric(OfProbs):
    """How often an event of probability ``probs`` fails before it happens."""

    arg_constraints = {  # noqa: RUF012
        "probs": constraints.interval(finfo(float32).tiny, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    @property
    def mean(self) -> Tensor:
        return 1 / self.probs - 1

    @property
    def mode(self) -> Tensor:
        return self.probs * 0

    @property
    def variance(self) -> Tensor:
        return (1 / self.probs - 1) / self.probs

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            u = uniform_like(self.probs, self._extended_shape(sample_shape))
            return floor(log1p(-u) / log1p(-self.probs))

    def _log_prob(self, value: Tensor) -> Tensor:
        value, probs = together(value, self.probs)
        sure = (probs == 1) & (value == 0)
        return value * log1p(-where(sure, 0.0, probs)) + self.probs.log()

    def entropy(self) -> Tensor:
        chance = binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")
        return chance / self.probs


class Binomial(OfProbs):
    """How many of ``total_count`` trials succeed."""

    has_enumerate_support = True
    arg_constraints = {  # noqa: RUF012
        "total_count": constraints.nonnegative_integer,
        **OfProbs.arg_constraints,
    }

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(probs, logits, validate_args, total_count=total_count)

    total_count: Tensor

    @dependent_property(is_discrete=True)
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return floor((self.total_count + 1) * self.probs).clamp(max=self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def _log_prob(self, value: Tensor) -> Tensor:
        n, logits = self.total_count, self.logits
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        return ways + value * logits - n * softplus(logits)

    def entropy(self) -> Tensor:
        logs = self.log_prob(self.enumerate_support(False))
        out: Tensor = -(logs.exp() * logs).sum(0)
        return out

    def _values(self) -> Tensor:
        most = int(self.total_count.max())
        if int(self.total_count.min()) != most:
            raise UnsupportedOp("Binomial: values of several total_count cannot be listed as one")
        return arange(1 + most, dtype=self.total_count.dtype, device=self.total_count.device)


class NegativeBinomial(OfProbs):
    """How often an event of probability ``probs`` happens before it fails ``total_count`` times."""

    arg_constraints = {  # noqa: RUF012
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self,
        total_count: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(probs, logits, validate_args, total_count=total_count)

    total_count: Tensor

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        return floor((self.total_count - 1) * self.logits.exp()).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        return self.mean / (-self.logits).sigmoid()

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            rate = Gamma(self.total_count, (-self.logits).exp(), False).sample(sample_shape)
            return poisson(where(self.total_count == 0, 0.0, rate))

    def _log_prob(self, value: Tensor) -> Tensor:
        n, logits = self.total_count, self.logits
        chances = n * logsigmoid(-logits) + value * logsigmoid(logits)
        none = n + value == 0  # where lgamma(0) is infinite
        ways = where(none, 1.0, n + value).lgamma() - (1 + value).lgamma()
        return chances + ways - where(none, 1.0, n).lgamma()


class Poisson(ExponentialFamily):
    """How many of many rare events happen, ``rate`` of them in the mean."""

    arg_constraints = {"rate": constraints.nonnegative}  # noqa: RUF012
    support = constraints.nonnegative_integer

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = together(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def mode(self) -> Tensor:
        return floor(self.rate)

    @property
    def variance(self) -> Tensor:
        return self.rate

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            return poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def _log_prob(self, value: Tensor) -> Tensor:
        rate, value = together(self.rate, value)
        return xlogy(value, rate) - rate - (value + 1).lgamma()


# ---- of classes


class OfClasses(Distribution):
    """Of ``probs``, in proportion to the probabilities of classes; or of ``logits``.

    Args:
        probs: ``[..., K]``, in proportion to the probabilities; or
        logits: their logarithms, up to a constant.
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}  # noqa: RUF012

    def _take(self, probs: Tensor | None, logits: Tensor | None) -> Tensor:
        one_of(type(self).__name__, probs, logits)
        given: Any = logits if probs is None else probs
        if given.ndim < 1:
            raise OptionError(
                f"{type(self).__name__}: probs and logits need a dimension of classes"
            )
        if probs is None:
            vars(self)["logits"] = given - given.logsumexp(-1, keepdim=True)
        else:
            vars(self)["probs"] = given / given.sum(-1, keepdim=True)
        return given  # type: ignore[no-any-return]

    @lazy_property
    def probs(self) -> Tensor:
        """The probabilities."""
        return logits_to_probs(self.logits)

    @lazy_property
    def logits(self) -> Tensor:
        """Their logarithms."""
        return probs_to_logits(self.probs)

    @property
    def _given(self) -> Tensor:
        return self.probs if "probs" in vars(self) else self.logits

    @property
    def param_shape(self) -> Any:
        """The shape of ``probs`` and ``logits``."""
        return self._given.shape

    @property
    def _num_events(self) -> int:
        return self.param_shape[-1]  # type: ignore[no-any-return]

    def _classes(self, sample_shape: Sequence[int]) -> Tensor:
        with no_grad():
            rows = self.probs.reshape(-1, self._num_events)
            drawn = multinomial(rows, prod(sample_shape), replacement=True).T
            return drawn.reshape((*sample_shape, *self._batch_shape))

    def _of_class(self, value: Tensor) -> Tensor:
        classes, logits = value.long()[..., None], self.logits
        shape = (classes + logits[..., :1] * 0).shape[:-1]
        logits = logits.expand((*shape, self._num_events))
        return logits.gather(-1, classes.expand((*shape, 1)))[..., 0]

    def _class_entropy(self) -> Tensor:
        logits = self.logits.clamp(min=finfo(self.logits.dtype).min)
        out: Tensor = -(logits * self.probs).sum(-1)
        return out


class Categorical(OfClasses):
    """One of the classes 0 to K - 1."""

    has_enumerate_support = True

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        shape = self._take(probs, logits).shape
        super().__init__(shape[:-1], validate_args=validate_args)

    @dependent_property(is_discrete=True)
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self) -> Tensor:
        return self._given[..., 0] * float("nan")

    variance = mean

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(-1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._classes(sample_shape)

    def _log_prob(self, value: Tensor) -> Tensor:
        return self._of_class(value)

    def entropy(self) -> Tensor:
        return self._class_entropy()

    def _values(self) -> Tensor:
        return arange(self._num_events, device=self._given.device)


class OneHotCategorical(OfClasses):
    """:class:`Categorical` with classes as vectors of one 1 and zeros."""

    has_enumerate_support = True
    support = constraints.one_hot

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        shape = self._take(probs, logits).shape
        super().__init__(shape[:-1], shape[-1:], validate_args)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        return one_hot(self.probs.argmax(-1), self._num_events).to(self.probs.dtype)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return one_hot(self._classes(sample_shape), self._num_events).to(self._given.dtype)

    def _log_prob(self, value: Tensor) -> Tensor:
        return self._of_class(value.argmax(-1))

    def entropy(self) -> Tensor:
        return self._class_entropy()

    def _values(self) -> Tensor:
        return eye(self._num_events, dtype=self._given.dtype, device=self._given.device)


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """:class:`OneHotCategorical` whose draws pass gradients on to the probabilities.

    (Bengio, Léonard and Courville, "Estimating or propagating gradients through stochastic
    neurons", 2013)
    """

    has_rsample = True

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.sample(sample_shape) + (self.probs - self.probs.detach())


class Multinomial(OfClasses):
    """How many of ``total_count`` draws fall into each class."""

    total_count: int

    def __init__(
        self,
        total_count: int = 1,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise UnsupportedOp("Multinomial takes one total_count, an int, for the whole batch")
        self.total_count = total_count
        shape = self._take(probs, logits).shape
        super().__init__(shape[:-1], shape[-1:], validate_args)

    @dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Constraint:
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        classes = self._classes((self.total_count, *sample_shape))
        counts: Tensor = one_hot(classes, self._num_events).sum(0)
        return counts.to(self._given.dtype)

    def _log_prob(self, value: Tensor) -> Tensor:
        logits, value = broadcast_tensors(self.logits, value)
        possible = where((value == 0) & (logits == -inf), 0.0, logits)
        ways = (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1)
        out: Tensor = ways + (possible * value).sum(-1)
        return out

    def entropy(self) -> Tensor:
        n = self.total_count
        each = Binomial(n, self.probs, validate_args=False)
        counts = each.enumerate_support(False)[1:]
        chances = each.log_prob(counts).exp()
        ways = (counts.new_full((), n) + 1).lgamma()
        out: Tensor = (
            n * self._class_entropy() - ways + (chances * (counts + 1).lgamma()).sum((0, -1))
        )
        return out
