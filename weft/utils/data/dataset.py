"""Datasets: something that gives sample ``i`` (``Dataset``), or one sample after another
(``IterableDataset``).

A dataset may also have ``__getitems__(indices)``, which returns the samples of a whole batch. That
of ``TensorDataset`` takes them with one indexing op per tensor, whatever the size of the batch.
"""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Generic, Protocol, TypeVar, cast

from ...errors import DatasetError, IndexOutOfRange, ShapeError
from ...tensors.creation import tensor
from ...tensors.random import Generator, randperm
from ...tensors.tensor import Tensor

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Dataset(Generic[T_co]):
    """Base of datasets that give sample ``i``: subclasses write ``__getitem__`` and ``__len__``."""

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(
            f"{type(self).__name__} does not say what its samples are: define "
            "`def __getitem__(self, index): return ...`"
        )

    def __add__(self, other: Dataset[T]) -> ConcatDataset[T_co | T]:
        return ConcatDataset([self, other])


class Indexed(Protocol[T_co]):
    """What has samples: a :class:`Dataset`, a list, a Tensor."""

    def __getitem__(self, index: int, /) -> T_co: ...


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """Base of datasets that can only be read in their own order: subclasses write ``__iter__``."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(
            f"{type(self).__name__} does not say what its samples are: define "
            "`def __iter__(self): yield ...`"
        )

    def __add__(self, other: Any) -> Any:
        return ChainDataset([self, other])


class ChainDataset(IterableDataset[T_co]):
    """Iterable datasets one after another; also what ``a + b`` of them gives."""

    def __init__(self, datasets: Iterable[IterableDataset[T_co]]) -> None:
        self.datasets = datasets

    def _parts(self) -> Iterator[IterableDataset[T_co]]:
        for k, part in enumerate(self.datasets):
            if not isinstance(part, IterableDataset):
                raise DatasetError(
                    "ChainDataset only supports IterableDataset, but its dataset "
                    f"{k} is a {type(part).__name__}: ConcatDataset joins those that have an index"
                )
            yield part

    def __iter__(self) -> Iterator[T_co]:
        for part in self._parts():
            yield from part

    def __len__(self) -> int:
        return sum(length_of(part) for part in self._parts())


class Rows(Sequence[tuple[Tensor, ...]]):
    """The samples of a batch that is together already: ``fields[k][i]`` is field k of sample i."""

    def __init__(self, fields: list[Tensor], count: int) -> None:
        self.fields = fields
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexOutOfRange(f"sample {index} of a batch of {self._count} is asked for")
        return tuple([field[index] for field in self.fields])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Tensors whose first dimension counts the samples: sample ``i`` is ``(x[i], y[i], ...)``.

    Args:
        tensors: of shapes ``[N, *]``, with the same N.

    Raises:
        ShapeError: if they differ in N, or one has no dimensions.
        TypeError: for anything but Tensors.
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("TensorDataset takes at least one tensor: TensorDataset(x, y)")
        for k, x in enumerate(tensors):
            if not isinstance(x, Tensor):
                raise TypeError(
                    f"TensorDataset takes Tensors, but argument {k} is {type(x).__name__}: "
                    "weft.tensor(x) makes a Tensor of it"
                )
            if x.ndim == 0:
                raise ShapeError(
                    f"the tensors of a TensorDataset have one row per sample, but tensor {k} is a "
                    "single number (shape [])"
                )
        counts = [len(x) for x in tensors]
        if len(set(counts)) > 1:
            shapes = ", ".join(str(list(x.shape)) for x in tensors)
            raise DatasetError(
                "Size mismatch between tensors: those of a TensorDataset must have as many samples "
                f"each, but their first dimensions are {counts} (shapes {shapes})"
            )
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple([x[index] for x in self.tensors])

    def __getitems__(self, indices: Sequence[int]) -> Sequence[tuple[Tensor, ...]]:
        if type(self).__getitem__ is not TensorDataset.__getitem__:  # samples of a subclass's own
            return [self[i] for i in indices]
        count = len(self)
        for i in indices:
            if not -count <= i < count:
                raise IndexOutOfRange(f"sample {i} is asked for, of a TensorDataset of {count}")
        at = tensor(list(indices))
        return Rows([x[at] for x in self.tensors], len(indices))

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset[T_co]):
    """The samples of ``dataset`` at ``indices``, in that order."""

    def __init__(self, dataset: Indexed[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> T_co:
        if isinstance(index, list):
            dataset: Any = self.dataset  # which takes lists, if the caller passes one
            return cast("T_co", dataset[[self.indices[i] for i in index]])
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: Sequence[int]) -> Sequence[T_co]:
        own = type(self).__getitem__ is not Subset.__getitem__
        fetch = None if own else getattr(self.dataset, "__getitems__", None)
        if fetch is None:
            return [self[i] for i in indices]
        return cast("Sequence[T_co]", fetch([self.indices[i] for i in indices]))

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[T_co]):
    """Datasets one after another: the first's samples, then the second's, and so on."""

    datasets: list[Dataset[T_co]]
    cumulative_sizes: list[int]

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise DatasetError(
                "ConcatDataset takes datasets, which should not be an empty iterable"
            )
        for d in self.datasets:
            if isinstance(d, IterableDataset):
                raise DatasetError(
                    f"ConcatDataset does not support IterableDataset, which {type(d).__name__} is, "
                    "since it numbers samples: ChainDataset joins such datasets"
                )
        self.cumulative_sizes = list(accumulate(length_of(d) for d in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T_co:
        count = len(self)
        if not -count <= index < count:
            raise IndexOutOfRange(f"sample {index} is asked for, of a ConcatDataset of {count}")
        index %= count
        part = bisect_right(self.cumulative_sizes, index)
        before = self.cumulative_sizes[part - 1] if part else 0
        return self.datasets[part][index - before]


class StackDataset(Dataset[Any]):
    """Datasets side by side: sample ``i`` holds sample ``i`` of each.

    Args:
        args: the samples are tuples; or
        kwargs: the samples are dicts with these keys.

    Raises:
        ValueError: if there are none, both kinds, or datasets that differ in length.
    """

    datasets: tuple[Any, ...] | dict[str, Any]

    def __init__(self, *args: Indexed[Any], **kwargs: Indexed[Any]) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError(
                "Supported either datasets by position (the samples are tuples) or by name (they "
                "are dicts), but both types are given to StackDataset"
                if args
                else "At least one dataset should be passed to StackDataset"
            )
        self.datasets = args or kwargs
        parts = self._parts()
        lengths = {key: length_of(part) for key, part in parts.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"Size mismatch between datasets: their lengths are {lengths}")
        self._length = next(iter(lengths.values()))

    def _parts(self) -> dict[Any, Any]:
        return self.datasets if isinstance(self.datasets, dict) else dict(enumerate(self.datasets))

    def _like(self, fields: dict[Any, Any]) -> Any:
        return fields if isinstance(self.datasets, dict) else tuple(fields.values())

    def __getitem__(self, index: Any) -> Any:
        return self._like({key: part[index] for key, part in self._parts().items()})

    def __getitems__(self, indices: list[int]) -> list[Any]:
        columns = {}
        for key, part in self._parts().items():
            fetch = getattr(part, "__getitems__", None)
            column = [part[i] for i in indices] if fetch is None else fetch(indices)
            if len(column) != len(indices):
                raise ValueError(
                    f"Nested dataset's output size mismatch. Expected {len(indices)}, got "
                    f"{len(column)}: __getitems__ of dataset {key!r} must return a sample for each "
                    "index"
                )
            columns[key] = column
        return [self._like({key: c[k] for key, c in columns.items()}) for k in range(len(indices))]

    def __len__(self) -> int:
        return self._length


def length_of(dataset: Any) -> int:
    """``len(dataset)``.

    Raises:
        TypeError: if it has none, saying what to define.
    """
    try:
        return len(dataset)
    except TypeError:
        if hasattr(type(dataset), "__len__"):
            raise
        raise TypeError(
            f"the number of samples is needed, but {type(dataset).__name__} has no length: define "
            "`def __len__(self): return ...`"
        ) from None


def random_split(
    dataset: Indexed[T],
    lengths: Sequence[int | float],
    generator: Generator | None = None,
) -> list[Subset[T]]:
    """Splits a dataset at random into parts that do not overlap.

    Args:
        lengths: the parts' sizes, which add up to the dataset's; or fractions, which add up to 1
            (what rounding leaves over goes to the first parts, one sample each).
        generator: where the random numbers come from; weft's own generator if left out.

    Raises:
        ValueError: if the lengths do not add up.

    Example:
        >>> train, test = random_split(range(10), [0.8, 0.2])
        >>> len(train), len(test)
        (8, 2)
    """
    count = length_of(dataset)
    total = sum(lengths)
    whole = [int(n) for n in lengths]
    if math.isclose(total, 1) and total <= 1:
        whole = _sizes_of_fractions(lengths, count)
    elif any(n != given or n < 0 for n, given in zip(whole, lengths, strict=True)):
        raise ValueError(
            "Sum of input lengths does not equal the length of the input dataset! random_split "
            f"takes sizes, or fractions that add up to 1, but {list(lengths)} add up to {total}"
        )
    if sum(whole) != count:
        raise ValueError(
            "Sum of input lengths does not equal the length of the input dataset! random_split: "
            f"{list(lengths)} add up to {total}, but the dataset has {count} samples; fractions "
            "that add up to 1, for example [0.9, 0.1], fit any dataset"
        )
    order = randperm(count, generator=generator).tolist()
    ends = accumulate(whole)
    return [Subset(dataset, order[end - n : end]) for n, end in zip(whole, ends, strict=True)]


def _sizes_of_fractions(fractions: Sequence[float], count: int) -> list[int]:
    for k, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            raise ValueError(
                f"Fraction at index {k} is not between 0 and 1: random_split got {fraction}"
            )
    sizes = [math.floor(count * fraction) for fraction in fractions]
    for k in range(count - sum(sizes)):
        sizes[k % len(sizes)] += 1
    for k, size in enumerate(sizes):
        if size == 0:
            warnings.warn(
                f"Length of split at index {k} is 0: random_split was asked for {fractions[k]} of "
                f"{count} samples",
                stacklevel=3,
            )
    return sizes
