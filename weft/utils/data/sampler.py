"""Samplers: in which order a dataset's samples are taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np

from ...dtypes import float64
from ...tensors.random import Generator, rand, randint, randperm
from .dataset import length_of
from .seeding import draw_seed

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """Base of samplers: subclasses write ``__iter__``, which yields indices (or lists of them)."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(
            f"{type(self).__name__} does not say which samples it takes: define "
            "`def __iter__(self): yield ...`"
        )


class SequentialSampler(Sampler[int]):
    """``0, 1, ..., N - 1``."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(length_of(self.data_source)))

    def __len__(self) -> int:
        return length_of(self.data_source)


class RandomSampler(Sampler[int]):
    """The samples in random order, another one at each pass.

    The order depends on the generator's seed and on the numbers drawn from it before, and on
    nothing else: after ``weft.manual_seed(0)`` a program shuffles the same way each time it runs.

    Args:
        data_source: what has the samples; only its length is used.
        replacement: draw each sample anew from all of them, so that it may come again.
        num_samples: how many to draw; N if left out.
        generator: where the random numbers come from; weft's own generator if left out.

    Raises:
        ValueError: if there is nothing to draw.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(replacement, bool):
            raise TypeError(
                f"replacement should be a boolean value, but got replacement={replacement!r}"
            )
        self.data_source = data_source
        self.replacement = replacement
        self.generator = generator
        self._num_samples = num_samples
        if num_samples is not None:
            check_positive("num_samples", num_samples)
        elif length_of(data_source) == 0:
            raise ValueError(
                "there is nothing to draw at random: the dataset is empty. Check where its samples "
                "come from, or use shuffle=False if it may be empty"
            )

    @property
    def num_samples(self) -> int:
        return length_of(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        count, wanted = length_of(self.data_source), self.num_samples
        generator = _own(self.generator)
        if self.replacement:
            yield from randint(0, count, (wanted,), generator=generator).tolist()
            return
        while wanted > 0:
            yield from randperm(count, generator=generator).tolist()[:wanted]
            wanted -= count

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in random order, another one at each pass."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for k in randperm(len(self.indices), generator=_own(self.generator)).tolist():
            yield self.indices[k]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Indices drawn with probabilities in proportion to their weights.

    Without replacement: the first to arrive in exponential races (Efraimidis and Spirakis, 2006).

    Args:
        weights: one for each sample, not negative; they need not add up to one.
        num_samples: how many to draw.
        replacement: whether a sample may come again.
        generator: where the random numbers come from; weft's own if left out.

    Raises:
        ValueError: for weights or a number of samples that make no sense.
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        check_positive("num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise ValueError(  # noqa: TRY004 (PyTorch's)
                f"replacement should be a boolean value, but got replacement={replacement!r}"
            )
        values = np.array(weights, np.float64)
        _check_weights(values, num_samples, replacement)
        self.weights = values
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        count = self.num_samples if self.replacement else len(self.weights)
        draws = rand(count, dtype=float64, generator=_own(self.generator)).numpy()
        if self.replacement:
            steps = np.cumsum(self.weights)
            last = np.flatnonzero(self.weights)[-1]  # rounding must not step over it
            chosen = np.minimum(np.searchsorted(steps, draws * steps[-1], side="right"), last)
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                chosen = np.argsort(-np.log1p(-draws) / self.weights, kind="stable")
        return iter(chosen[: self.num_samples].tolist())

    def __len__(self) -> int:
        return self.num_samples


def _check_weights(weights: np.ndarray[Any, Any], num_samples: int, replacement: bool) -> None:
    if weights.ndim != 1:
        raise ValueError(
            "weights should be a 1d sequence, one number for each sample, but given weights have "
            f"shape {tuple(weights.shape)}"
        )
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if wrong.size:
        raise ValueError(
            f"weights must be finite and not negative, but weight {wrong[0]} is {weights[wrong[0]]}"
        )
    positive = np.count_nonzero(weights)
    if positive < (1 if replacement else num_samples):
        raise ValueError(
            f"{num_samples} samples are to be drawn {'with' if replacement else 'without'} "
            f"replacement, but only {positive} of {len(weights)} weights are above 0"
        )


def _own(generator: Generator | None) -> Generator:
    """A generator for one pass: whoever draws from ``generator`` meanwhile changes nothing."""
    return Generator().manual_seed(draw_seed(generator))


class BatchSampler(Sampler[list[int]]):
    """Indices in lists of ``batch_size``; the last may be shorter, or is left out (``drop_last``).

    Example:
        >>> list(BatchSampler(SequentialSampler(range(7)), 3, drop_last=False))
        [[0, 1, 2], [3, 4, 5], [6]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        check_positive("batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(  # noqa: TRY004 (PyTorch's)
                f"drop_last should be a boolean value, but got drop_last={drop_last!r}"
            )
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(islice(indices, self.batch_size)):
            if self.drop_last and len(batch) < self.batch_size:
                return
            yield batch

    def __len__(self) -> int:
        count = length_of(self.sampler)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)


def check_positive(name: str, value: Any) -> None:
    """
    Raises:
        ValueError: unless ``value`` is an int above 0.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} should be a positive integer value, but got {name}={value!r}")
