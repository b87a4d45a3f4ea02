"""``DataLoader``: batches from a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, Generic, TypeVar, cast

from ...errors import UnsupportedOp
from ...tensors.random import Generator
from .collate import collate, default_collate, default_convert
from .dataset import Indexed, IterableDataset, length_of
from .sampler import BatchSampler, RandomSampler, SequentialSampler, check_positive

T_co = TypeVar("T_co", covariant=True)


# Their effect is fixed when the loader is made.
_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset")


class DataLoader(Generic[T_co]):
    """Iterates over a dataset in batches. Each ``for`` loop over it is one pass (epoch).

    Samples are loaded where the loop runs; data in memory (:class:`TensorDataset`) need nothing
    else.

    Args:
        dataset: a :class:`Dataset` (or anything with ``[i]`` and ``len()``, a list for example), or
            an :class:`IterableDataset`.
        batch_size: samples in a batch; None for single samples, not joined.
        shuffle: take the samples in random order, another one each epoch.
        sampler: indices in the order in which to take the samples; in place of ``shuffle``.
        batch_sampler: lists of indices, one list per batch; in place of ``batch_size``,
            ``shuffle``, ``sampler`` and ``drop_last``.
        collate_fn: makes a batch of a list of samples; :func:`default_collate` if left out.
        drop_last: leave out the last batch if it is not full.
        generator: where the random numbers for ``shuffle`` come from; weft's own if left out.
        num_workers, timeout, persistent_workers, prefetch_factor, multiprocessing_context: worker
            processes are not there yet: an error says so.
        pin_memory, pin_memory_device, worker_init_fn, in_order: accepted; they mean nothing without
            worker processes and a GPU.

    Raises:
        ValueError: for options that exclude one another or make no sense.
        TypeError: if ``dataset`` cannot be one.
        UnsupportedOp: for worker processes.
    """

    def __init__(
        self,
        dataset: Indexed[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Sequence[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_no_workers(
            num_workers, timeout, multiprocessing_context, prefetch_factor, persistent_workers
        )
        _check_dataset(dataset)
        self.dataset = cast("Any", dataset)
        self._iterable = isinstance(dataset, IterableDataset)
        if self._iterable:
            _check_iterable(dataset, shuffle, sampler, batch_sampler)
        _check_order(batch_size, shuffle, sampler, batch_sampler, drop_last)
        if batch_sampler is not None:
            batch_size = None
        elif not self._iterable:
            if sampler is None:
                length_of(dataset)
                sampler = (
                    RandomSampler(self.dataset, generator=generator)
                    if shuffle
                    else SequentialSampler(self.dataset)
                )
            if batch_size is not None:
                batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.drop_last = drop_last
        self.generator = generator
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.in_order = in_order
        single = batch_size is None and batch_sampler is None
        self.collate_fn = collate_fn or (default_convert if single else default_collate)
        self._ready = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and "_ready" in self.__dict__:
            raise ValueError(
                f"'{name}' of a DataLoader cannot be changed later: make a new one, "
                f"DataLoader(dataset, {name}=...)"
            )
        object.__setattr__(self, name, value)

    def __iter__(self) -> Iterator[Any]:
        if self._iterable:
            return self._stream()
        if self.batch_sampler is None:
            return self._singles()
        return self._batches()

    def __len__(self) -> int:
        """The number of batches (of samples, without batching)."""
        if not self._iterable:
            return length_of(self.sampler if self.batch_sampler is None else self.batch_sampler)
        count = length_of(self.dataset)
        if self.batch_size is None:
            return count
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def _batches(self) -> Iterator[Any]:
        assert self.batch_sampler is not None
        for batch in self.batch_sampler:
            indices = list(batch)
            yield self._joined(_fetch(self.dataset, indices), partial(_name, indices))

    def _singles(self) -> Iterator[Any]:
        assert self.sampler is not None
        for index in self.sampler:
            yield self.collate_fn(_sample(self.dataset, index))

    def _stream(self) -> Iterator[Any]:
        samples = iter(self.dataset)
        if self.batch_size is None:
            yield from map(self.collate_fn, samples)
            return
        first = 0
        while batch := list(islice(samples, self.batch_size)):
            if self.drop_last and len(batch) < self.batch_size:
                return
            yield self._joined(batch, partial(_name, range(first, first + len(batch))))
            first += len(batch)

    def _joined(self, samples: Any, name_of: Callable[[int], str]) -> Any:
        if self.collate_fn is default_collate:
            return collate(samples, name_of)
        return self.collate_fn(list(samples))


def _name(indices: Sequence[Any], position: int) -> str:
    return f"sample {indices[position]!r} of the dataset"


def _fetch(dataset: Any, indices: list[Any]) -> Any:
    """The samples of a batch, all at once where the dataset can."""
    fetch = getattr(dataset, "__getitems__", None)
    if fetch is None:
        return [_sample(dataset, index) for index in indices]
    samples = fetch(indices)
    if len(samples) != len(indices):
        raise ValueError(
            f"{type(dataset).__name__}.__getitems__ was asked for {len(indices)} samples and "
            f"returned {len(samples)}: it must return one for each index, in their order"
        )
    return samples


def _sample(dataset: Any, index: Any) -> Any:
    try:
        return dataset[index]
    except Exception as error:
        error.add_note(f"while loading sample {index!r} of {type(dataset).__name__}")
        raise


def _check_no_workers(
    num_workers: Any,
    timeout: float,
    multiprocessing_context: Any,
    prefetch_factor: int | None,
    persistent_workers: bool,
) -> None:
    if not isinstance(num_workers, int) or num_workers < 0:
        raise ValueError(f"num_workers must be an int of at least 0, not {num_workers!r}")
    if timeout < 0:
        raise ValueError(f"timeout must not be negative: {timeout}")
    if num_workers > 0:
        raise UnsupportedOp(
            f"DataLoader(num_workers={num_workers}): weft has no worker processes yet. Leave "
            "num_workers at 0: samples are then loaded where the loop runs. If loading is slow, "
            "read the data into tensors once and use a TensorDataset, which takes a whole batch by "
            "one op"
        )
    options = {
        "timeout": timeout or None,
        "multiprocessing_context": multiprocessing_context,
        "prefetch_factor": prefetch_factor,
        "persistent_workers": persistent_workers or None,
    }
    for name, value in options.items():
        if value is not None:
            raise UnsupportedOp(
                f"DataLoader({name}={value!r}) is about worker processes, which weft does not have "
                f"yet: leave {name} out"
            )


def _check_dataset(dataset: Any) -> None:
    if isinstance(dataset, type):
        raise TypeError(
            f"DataLoader takes a dataset, but {dataset.__name__} is a class: make one first, "
            f"DataLoader({dataset.__name__}(...))"
        )
    if not hasattr(dataset, "__getitem__"):
        raise TypeError(
            f"DataLoader takes a dataset, but {type(dataset).__name__} has no __getitem__(index). "
            "Derive from weft.utils.data.IterableDataset if its samples can only be iterated over"
        )


def _check_iterable(dataset: Any, shuffle: Any, sampler: Any, batch_sampler: Any) -> None:
    options = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
    for name, value in options.items():
        if value is not None:
            raise ValueError(
                f"{name} cannot be used with {type(dataset).__name__}: an IterableDataset gives "
                f"its samples in its own order. Leave {name} out and order them in its __iter__, "
                "or make it a Dataset with __getitem__ and __len__"
            )


def _check_order(
    batch_size: Any, shuffle: Any, sampler: Any, batch_sampler: Any, drop_last: bool
) -> None:
    if sampler is not None and shuffle:
        raise ValueError(
            "sampler and shuffle=True both say in which order the samples come: leave one out"
        )
    if batch_sampler is not None:
        if batch_size != 1 or shuffle or sampler is not None or drop_last:
            raise ValueError(
                "batch_sampler says which samples make each batch: leave out batch_size, shuffle, "
                "sampler and drop_last"
            )
    elif batch_size is not None:
        check_positive("batch_size", batch_size)
    elif drop_last:
        raise ValueError("batch_size=None gives single samples, so there is no last batch to drop")
