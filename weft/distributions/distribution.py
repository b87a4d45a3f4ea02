"""What all distributions have in common."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cached_property
from typing import Any, ClassVar, Self, TypeVar

from ..autograd.modes import enable_grad, no_grad
from ..errors import DataError, OptionError, ShapeError, UnsupportedOp
from ..graph.tracing import current
from ..tensors.creation import as_tensor, full
from ..tensors.interop import realize
from ..tensors.shape import Size, broadcast_tensors
from ..tensors.tensor import Tensor
from . import constraints
from .constraints import Constraint, is_dependent

Made = TypeVar("Made")


def together(*values: Any) -> tuple[Tensor, ...]:
    """Parameters as tensors of one shape; numbers take the dtype of the tensors beside them."""
    like = next((v for v in values if isinstance(v, Tensor)), None)
    if like is None:
        return broadcast_tensors(*[as_tensor(float(v)) for v in values])
    made = [
        v if isinstance(v, Tensor) else full((), v, dtype=like.dtype, device=like.device)
        for v in values
    ]
    return broadcast_tensors(*made)


def summed(x: Tensor, dims: int) -> Tensor:
    """The sum over the last ``dims`` dimensions."""
    out: Tensor = x.sum(tuple(range(-dims, 0))) if dims else x
    return out


class lazy_property(cached_property[Made]):  # noqa: N801 (PyTorch's name)
    """A parameter that is computed from another when it is first asked for, with gradients."""

    def __get__(self, instance: Any, owner: Any = None) -> Made:  # type: ignore[override]
        with enable_grad():
            found: Made = super().__get__(instance, owner)
            return found


class Distribution:
    """A distribution of random numbers, or several: one for each place of ``batch_shape``.

    Args:
        batch_shape: of distributions that are kept in one.
        event_shape: of one draw.
        validate_args: whether parameters and values are checked, which runs what they depend on.
            None: :attr:`validate`, of parameters alone. Within ``weft.compile`` nothing is.

    Attributes:
        has_rsample: do draws carry gradients back to the parameters?
        has_enumerate_support: can all values be listed?
        arg_constraints: what parameters may be, by name.
        support: what values may be.
    """

    has_rsample = False
    has_enumerate_support = False
    validate: ClassVar[bool] = True
    arg_constraints: Any = {}  # noqa: RUF012 (a property where it depends on the parameters)
    support: Any = None

    def __init__(
        self,
        batch_shape: Sequence[int] = (),
        event_shape: Sequence[int] = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        self._validate_args = self.validate if validate_args is None else validate_args
        self._validate_values = validate_args is True
        if self._validate_args:
            given = [(n, c) for n, c in self.arg_constraints.items() if n in vars(self)]
            self._require([(n, c, vars(self)[n]) for n, c in given if not is_dependent(c)])

    def _require(self, wanted: list[tuple[str, Constraint, Tensor]]) -> None:
        """
        Raises:
            DataError: where a parameter or value is not what it must be.
        """
        if current.get() is not None or any([value.is_meta for _, _, value in wanted]):
            return  # no value is known
        with no_grad():
            met = [constraint.check(value).all() for _, constraint, value in wanted]
        realize(*met)
        for (name, constraint, value), is_met in zip(wanted, met, strict=True):
            if not bool(is_met):
                raise DataError(
                    f"{type(self).__name__}: {name} of shape {list(value.shape)} must satisfy "
                    f"{constraint!r}, but has invalid values:\n{value.detach()}"
                )

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions made from now on check parameters and values.

        Raises:
            ValueError: unless it is True or False.
        """
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args takes True or False, not {value!r}")
        Distribution.validate = value

    @property
    def batch_shape(self) -> Size:
        """The shape of the parameters."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one draw."""
        return self._event_shape

    def _extended_shape(self, sample_shape: Sequence[int] = ()) -> Size:
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Self:
        """The same distribution for each place of a larger batch."""
        new = self._with_shape(batch_shape)
        for name, constraint in self.arg_constraints.items():
            if name in vars(self):
                value = vars(self)[name]
                event = value.shape[value.ndim - constraint.event_dim :]
                setattr(new, name, value.expand((*new.batch_shape, *event)))
        return new

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        """What ``expand`` of a user's class fills: a new object, not initialised.

        Raises:
            UnsupportedOp: for a subclass of ``cls`` with an ``__init__`` of its own, but no
                ``expand``.
        """
        if _instance is None and type(self).__init__ is not cls.__init__:  # type: ignore[misc]
            raise UnsupportedOp(
                f"{type(self).__name__} has an __init__ of its own: define expand()"
            )
        return type(self).__new__(type(self)) if _instance is None else _instance

    def _with_shape(self, batch_shape: Sequence[int]) -> Self:
        """A copy, of another batch, without what was computed of the parameters."""
        new = copy(self)
        for name in [n for n in vars(self) if _is_computed(type(self), n)]:
            if name not in self.arg_constraints:
                delattr(new, name)
        new._batch_shape = Size(batch_shape)
        return new

    def _validate_sample(self, value: Any) -> None:
        """
        Raises:
            ShapeError: for a value that does not fit the shapes.
            DataError: for one that is not in the support, where values are checked.
        """
        if not isinstance(value, Tensor):
            raise OptionError(
                f"{type(self).__name__}: the value must be a Tensor, not {type(value).__name__}"
            )
        shape, expected = value.shape, self._extended_shape()
        event = len(self._event_shape)
        fits = zip(reversed(shape), reversed(expected), strict=False)
        if shape[len(shape) - event :] != self._event_shape or any(
            [i not in (1, j) and j != 1 for i, j in fits]
        ):
            raise ShapeError(
                f"{type(self).__name__}: a value of shape {list(shape)} does not fit batch_shape "
                f"{list(self._batch_shape)} and event_shape {list(self._event_shape)}"
            )
        if self._validate_values and self.support is not None:
            self._require([("the value", self.support, value)])

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise UnsupportedOp(f"{type(self).__name__} has no mean")

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        raise UnsupportedOp(f"{type(self).__name__} has no mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise UnsupportedOp(f"{type(self).__name__} has no variance")

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """A draw ``[*sample_shape, *batch_shape, *event_shape]``, without gradients."""
        with no_grad():
            return self.rsample(sample_shape)

    def sample_n(self, n: int) -> Tensor:
        """``n`` draws."""
        return self.sample((n,))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """A draw through which gradients go back to the parameters.

        Raises:
            UnsupportedOp: if there is none (``has_rsample``).
        """
        raise UnsupportedOp(f"{type(self).__name__} has no rsample(): its draws have no gradients")

    def rsample_n(self, n: int) -> Tensor:
        """``n`` draws with gradients."""
        return self.rsample((n,))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or of the probability, at ``value``.

        Raises:
            ShapeError: for a value that does not fit the shapes.
            DataError: for one that is not in the support, if ``validate_args`` is True.
        """
        self._validate_sample(value)
        return self._log_prob(value)

    def _log_prob(self, value: Tensor) -> Tensor:
        raise UnsupportedOp(f"{type(self).__name__} has no log_prob()")

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        raise UnsupportedOp(f"{type(self).__name__} has no entropy()")

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most ``value``."""
        self._validate_sample(value)
        return self._cdf(value)

    def _cdf(self, value: Tensor) -> Tensor:
        raise UnsupportedOp(f"{type(self).__name__} has no cdf()")

    def icdf(self, value: Tensor) -> Tensor:
        """The place up to which there is the probability ``value``."""
        raise UnsupportedOp(f"{type(self).__name__} has no icdf()")

    def perplexity(self) -> Tensor:
        """``exp(entropy)``."""
        return self.entropy().exp()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values along a new first dimension, for each place of the batch.

        Args:
            expand: for each place; else with dimensions of size 1 in place of the batch.

        Raises:
            UnsupportedOp: if there is no end to them.
        """
        if not self.has_enumerate_support:
            raise UnsupportedOp(f"{type(self).__name__} has no enumerate_support()")
        values = self._values()
        values = values.reshape(-1, *[1] * len(self._batch_shape), *self._event_shape)
        if expand:
            values = values.expand((values.shape[0], *self._extended_shape()))
        return values

    def _values(self) -> Tensor:
        raise NotImplementedError

    def __repr__(self) -> str:
        shapes = f"batch_shape={list(self._batch_shape)}, event_shape={list(self._event_shape)}"
        return f"{type(self).__name__}({shapes})"


def _is_computed(cls: type, name: str) -> bool:
    return any([isinstance(vars(k).get(name), cached_property) for k in cls.__mro__])


class ExponentialFamily(Distribution):
    """Distributions of densities ``exp(<parameters, statistics> - normaliser)`` (a mark)."""


class Independent(Distribution):
    """The last dimensions of a distribution's batch as parts of one draw.

    Args:
        base_distribution: the distribution.
        reinterpreted_batch_ndims: how many dimensions.
    """

    def __init__(
        self,
        base_distribution: Distribution,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:
        shape, n = base_distribution.batch_shape, reinterpreted_batch_ndims
        if n > len(shape):
            raise OptionError(
                f"Independent: reinterpreted_batch_ndims={n} is more than there are dimensions in "
                f"batch_shape {list(shape)}"
            )
        split = len(shape) - n
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, n
        event = (*shape[split:], *base_distribution.event_shape)
        super().__init__(shape[:split], event, validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return not self.reinterpreted_batch_ndims and self.base_dist.has_enumerate_support

    @constraints.dependent_property
    def support(self) -> Constraint:
        base, n = self.base_dist.support, self.reinterpreted_batch_ndims
        return constraints.independent(base, n) if n else base

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Self:
        new = self._with_shape(batch_shape)
        inner = self._event_shape[: self.reinterpreted_batch_ndims]
        new.base_dist = self.base_dist.expand((*batch_shape, *inner))
        return new

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def _log_prob(self, value: Tensor) -> Tensor:
        return summed(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        return summed(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        if self.reinterpreted_batch_ndims:
            raise UnsupportedOp("Independent has no enumerate_support() over several numbers")
        return self.base_dist.enumerate_support(expand)
