"""What all distributions have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ..autograd.modes import no_grad
from ..errors import DataError, OptionError, UnsupportedOp
from ..tensors.creation import as_tensor, full
from ..tensors.shape import Size, broadcast_tensors
from ..tensors.tensor import Tensor


def together(*values: Any) -> tuple[Tensor, ...]:
    """Parameters as tensors of one shape; numbers take the dtype of the tensors beside them."""
    like = next((v for v in values if isinstance(v, Tensor)), None)
    if like is None:
        return broadcast_tensors(*[as_tensor(float(v)) for v in values])
    made = [v if isinstance(v, Tensor) else full((), v, dtype=like.dtype) for v in values]
    return broadcast_tensors(*made)


class Distribution:
    """A distribution of random numbers, or several: one for each place of ``batch_shape``.

    Args:
        batch_shape: of distributions that are kept in one.
        event_shape: of one draw.
        validate_args: whether parameters and values are checked, which runs what they depend on;
            None for :attr:`validate`.

    Attributes:
        has_rsample: do draws carry gradients back to the parameters?
    """

    has_rsample = False
    validate: ClassVar[bool] = True

    def __init__(
        self,
        batch_shape: Sequence[int] = (),
        event_shape: Sequence[int] = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        self._validate_args = self.validate if validate_args is None else validate_args

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions made from now on check parameters and values."""
        Distribution.validate = value

    @property
    def batch_shape(self) -> Size:
        """The shape of the parameters."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one draw."""
        return self._event_shape

    def _extended(self, sample_shape: Sequence[int]) -> tuple[int, ...]:
        return (*sample_shape, *self._batch_shape, *self._event_shape)

    def _require(self, name: str, good: Any, what: str) -> None:
        """Raises DataError where a parameter or value is not what it must be."""
        if self._validate_args and not bool(good.all()):
            raise DataError(f"{type(self).__name__}: {name} must be {what}")

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise UnsupportedOp(f"{type(self).__name__} has no mean")

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

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """A draw through which gradients go back to the parameters.

        Raises:
            UnsupportedOp: if there is none (``has_rsample``).
        """
        raise UnsupportedOp(f"{type(self).__name__} has no rsample(): its draws have no gradients")

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or of the probability, at ``value``."""
        raise UnsupportedOp(f"{type(self).__name__} has no log_prob()")

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        raise UnsupportedOp(f"{type(self).__name__} has no entropy()")

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most ``value``."""
        raise UnsupportedOp(f"{type(self).__name__} has no cdf()")

    def icdf(self, value: Tensor) -> Tensor:
        """The place up to which there is the probability ``value``."""
        raise UnsupportedOp(f"{type(self).__name__} has no icdf()")

    def perplexity(self) -> Tensor:
        """``exp(entropy)``."""
        return self.entropy().exp()

    def __repr__(self) -> str:
        shapes = f"batch_shape={list(self._batch_shape)}, event_shape={list(self._event_shape)}"
        return f"{type(self).__name__}({shapes})"


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
        self.has_rsample = base_distribution.has_rsample
        event = (*shape[split:], *base_distribution.event_shape)
        super().__init__(shape[:split], event, validate_args)

    def _summed(self, x: Tensor) -> Tensor:
        n = self.reinterpreted_batch_ndims
        return x.sum(tuple(range(-n, 0))) if n else x

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return self._summed(self.base_dist.log_prob(value))

    def entropy(self) -> Tensor:
        return self._summed(self.base_dist.entropy())
