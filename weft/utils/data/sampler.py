"""Samplers: in which order a dataset's samples are taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

from ...tensors.random import Generator, randint, randperm
from .dataset import length_of

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
            raise TypeError(f"replacement is True or False, not {replacement!r}")
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
        if self.replacement:
            yield from randint(0, count, (wanted,), generator=self.generator).tolist()
            return
        while wanted > 0:
            yield from randperm(count, generator=self.generator).tolist()[:wanted]
            wanted -= count

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Indices in lists of ``batch_size``; the last may be shorter, or is left out (``drop_last``).

    Example:
        >>> list(BatchSampler(SequentialSampler(range(7)), 3, drop_last=False))
        [[0, 1, 2], [3, 4, 5], [6]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        check_positive("batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise TypeError(f"drop_last is True or False, not {drop_last!r}")
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
        raise ValueError(f"{name} must be a positive int, not {value!r}")
