"""From a task to a batch: samples are loaded and joined, wherever the code runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from ...tensors.tensor import Tensor
from . import seeding
from .collate import collate, default_collate, default_convert
from .dataset import IterableDataset, Subset, TensorDataset
from .order import Task


class EndOfStream(Exception):
    """An iterable dataset has no more batches."""


class Stopped(Exception):
    """Nobody wants the batch any more."""


class Recipe(NamedTuple):
    """What a loader says about its batches.

    Attributes:
        batch_size: of a stream, None for single samples.
        joined: whether samples are joined to batches.
    """

    dataset: Any
    batch_size: int | None
    joined: bool
    drop_last: bool
    collate_fn: Callable[[Any], Any]

    @property
    def is_stream(self) -> bool:
        return isinstance(self.dataset, IterableDataset)

    @property
    def samples_draw(self) -> bool:
        """May random numbers be drawn for samples?"""
        dataset = self.dataset
        while type(dataset) is Subset:
            dataset = dataset.dataset
        return type(dataset) not in (TensorDataset, Tensor, np.ndarray, list, tuple, range)

    @property
    def joining_draws(self) -> bool:
        """May random numbers be drawn to join samples?"""
        return self.collate_fn not in (default_collate, default_convert)


def _never() -> bool:
    return False


class Indexed:
    """Batches of a dataset that gives sample ``i``.

    Args:
        base: the seed of the pass.
        seed: seeds what samples draw from.
        stopping: asked before each sample.
    """

    def __init__(
        self,
        recipe: Recipe,
        base: int,
        seed: seeding.Seed,
        stopping: Callable[[], bool] = _never,
    ) -> None:
        self._recipe = recipe
        self._base = base
        self._seed_sample = seed if recipe.samples_draw else None
        self._seed_joining = seed if recipe.joining_draws else None
        self._stopping = stopping
        self._fetch_all = getattr(recipe.dataset, "__getitems__", None)
        self._name = type(recipe.dataset).__name__

    def __call__(self, task: Task) -> Any:
        recipe = self._recipe
        if not recipe.joined:
            sample = self._sample(task.indices, task.first)
            with _told("while {} took sample {!r}", _called(recipe.collate_fn), task.indices):
                return recipe.collate_fn(sample)
        samples = self._samples(task)
        if self._seed_joining is not None:
            self._seed_joining(seeding.of_batch(self._base, task.first))
        return _joined(recipe, samples, task.indices)

    def _samples(self, task: Task) -> Any:
        indices = task.indices
        if self._fetch_all is None:
            return [self._sample(index, task.first + k) for k, index in enumerate(indices)]
        self._before(task.first)
        with _told("while loading samples {} of {}", _Some(indices), self._name):
            samples = self._fetch_all(indices)
        if len(samples) != len(indices):
            raise ValueError(
                f"{self._name}.__getitems__ was asked for {len(indices)} samples and "
                f"returned {len(samples)}: it must return one for each index, in their order"
            )
        return samples

    def _sample(self, index: Any, position: int) -> Any:
        self._before(position)
        with _told("while loading sample {!r} of {}", index, self._name):
            return self._recipe.dataset[index]

    def _before(self, position: int) -> None:
        if self._stopping():
            raise Stopped
        if self._seed_sample is not None:
            self._seed_sample(seeding.of_sample(self._base, position))


class Stream:
    """Batches of a dataset that is read in its own order.

    Args:
        skip: batches to read first and to forget.
        state: what the dataset's ``state_dict()`` gave, in place of ``skip``.
    """

    def __init__(
        self,
        recipe: Recipe,
        skip: int = 0,
        state: Any = None,
        stopping: Callable[[], bool] = _never,
    ) -> None:
        self._recipe = recipe
        self._stopping = stopping
        self._name = type(recipe.dataset).__name__
        if state is not None:
            recipe.dataset.load_state_dict(state)
        self._samples = iter(recipe.dataset)
        self._count = skip * (recipe.batch_size or 1)
        if state is None:
            for _ in islice(self._samples, self._count):
                self._check()

    def __call__(self, task: Task) -> Any:
        recipe = self._recipe
        with _told("while reading on after {} samples of {}", self._count, self._name):
            batch = self._next(recipe.batch_size or 1)
        if not batch or (recipe.drop_last and len(batch) < (recipe.batch_size or 1)):
            raise EndOfStream
        first = self._count
        self._count += len(batch)
        if not recipe.joined:
            return recipe.collate_fn(batch[0])
        return _joined(recipe, batch, range(first, self._count))

    def _next(self, count: int) -> list[Any]:
        batch = []
        for sample in islice(self._samples, count):
            batch.append(sample)
            self._check()
        return batch

    def _check(self) -> None:
        if self._stopping():
            raise Stopped

    def state(self) -> Any:
        """The dataset's own account of where it is, if it gives one."""
        tell = getattr(self._recipe.dataset, "state_dict", None)
        return None if tell is None else tell()


def _joined(recipe: Recipe, samples: Any, indices: Sequence[Any]) -> Any:
    if recipe.collate_fn is default_collate:
        return collate(samples, partial(_name_of, indices))
    with _told("while {} joined samples {}", _called(recipe.collate_fn), _Some(indices)):
        return recipe.collate_fn(list(samples))


def _name_of(indices: Sequence[Any], position: int) -> str:
    return f"sample {indices[position]!r} of the dataset"


def _called(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


def some(indices: Sequence[Any]) -> str:
    """The first few of many indices."""
    shown = ", ".join([repr(index) for index in indices[:8]])
    return shown if len(indices) <= 8 else f"{shown} and {len(indices) - 8} more"


class _Some:
    """:func:`some` of them, when it is asked for."""

    def __init__(self, indices: Sequence[Any]) -> None:
        self._indices = indices

    def __str__(self) -> str:
        return some(self._indices)


class _told:  # noqa: N801 (a with statement, quicker than contextmanager: one for each sample)
    """Says in a note what was being done when an exception came: ``what.format(*named)``."""

    __slots__ = ("_named", "_what")

    def __init__(self, what: str, *named: Any) -> None:
        self._what = what
        self._named = named

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if error is None:
            return
        what = self._what.format(*self._named)
        if isinstance(error, StopIteration):
            raise RuntimeError(  # noqa: TRY004 (as Python does for generators)
                f"StopIteration {what}: it would end the loop over the loader without a word"
            ) from error
        if isinstance(error, Exception) and not isinstance(error, Stopped):
            error.add_note(what)
