"""From samples to batches: what a ``for`` loop runs over."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

from ...tensors.random import Generator
from .collate import default_collate, default_convert
from .dataset import Indexed, IterableDataset, length_of
from .fetch import Recipe
from .passes import InProcess, Pool, WithWorkers
from .progress import Progress, at_rest, checked, generators_of, set_at_rest, stateful_of
from .sampler import BatchSampler, RandomSampler, SequentialSampler, check_positive
from .worker import Job

T_co = TypeVar("T_co", covariant=True)


# Their effect is fixed when the loader is made.
_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class DataLoader(Generic[T_co]):
    """Iterates over a dataset in batches. Each ``for`` loop over it is one pass (epoch).

    With ``num_workers=0`` samples are loaded where the loop runs; else by workers, ahead of it.
    Batches come in the same order, and each sample with the same random numbers, for any number of
    workers: while a sample is loaded, ``random``, ``numpy.random`` and weft are seeded by
    ``generator`` and the sample's place in the pass. (A ``worker_init_fn`` that seeds one of them
    takes charge of it. In threads only weft's functions and ``get_worker_info().rng`` are seeded.
    A stream's numbers run on from sample to sample, with one seed for each worker.)

    ``state_dict()`` says how far the pass has come. A loader made in the same way that is given it
    by ``load_state_dict()`` yields, at the next loop, the batches that were still to come.

    Args:
        dataset: a :class:`Dataset` (or anything with ``[i]`` and ``len()``, a list for example), or
            an :class:`IterableDataset`.
        batch_size: samples in a batch; None for single samples, not joined.
        shuffle: take the samples in random order, another one each epoch.
        sampler: indices in the order in which to take the samples; in place of ``shuffle``.
        batch_sampler: lists of indices, one list per batch; in place of ``batch_size``,
            ``shuffle``, ``sampler`` and ``drop_last``.
        num_workers: how many workers load batches.
        collate_fn: makes a batch of a list of samples; :func:`default_collate` if left out.
        pin_memory, pin_memory_device: accepted; they mean nothing without a GPU.
        drop_last: leave out the last batch if it is not full.
        timeout: seconds to wait for a batch from the workers; 0 for any time.
        worker_init_fn: called in each worker with its number, before it loads anything.
        multiprocessing_context: how processes are started: "fork", "spawn", "forkserver", or a
            context of the package ``multiprocessing``. The system's default if left out.
        generator: where random numbers come from; weft's own if left out.
        prefetch_factor: how many batches each worker loads ahead; 2 if left out.
        persistent_workers: keep the workers, and their datasets, from pass to pass.
        in_order: False to take batches as they come ready.
        worker_method: "multiprocessing" for worker processes; "thread" for threads, which share the
            dataset and start at once: for datasets whose work releases Python's lock (decoding
            images, reading files, NumPy), and that threads may use together.

    Raises:
        ValueError: for options that exclude one another or make no sense.
        TypeError: if ``dataset`` cannot be one.
        WorkerError: in a loop, if a worker dies or is late.
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
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        worker_method: str = "multiprocessing",
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers, worker_method)
        _check_dataset(dataset)
        if generator is not None and not isinstance(generator, Generator):
            raise TypeError(
                f"generator must be a weft.Generator, not {type(generator).__name__}: "
                "weft.Generator().manual_seed(0) makes one"
            )
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
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.worker_method = worker_method
        self.multiprocessing_context = _context(multiprocessing_context, num_workers, worker_method)
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        _warn_of_many(num_workers, worker_method)
        single = batch_size is None and batch_sampler is None
        self.collate_fn = collate_fn or (default_convert if single else default_collate)
        self._pool: Pool | None = None  # kept from pass to pass
        self._passes = 0
        self._progress: Progress | None = None
        self._resume: Mapping[str, Any] | None = None
        self._said_length: int | None = None
        self._ready = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and "_ready" in self.__dict__:
            raise ValueError(
                f"'{name}' attribute of a DataLoader should not be set after it is made: make a "
                f"new one, DataLoader(dataset, {name}=...)"
            )
        object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copies: without workers, and at no place of a pass."""
        return {**self.__dict__, "_pool": None, "_progress": None}

    def __iter__(self) -> Iterator[Any]:
        resume, self._resume = self._resume, None
        self._passes += 1
        self._progress = Progress(
            self._generators(),
            self._source(),
            joined=self._auto_collation,
            workers=max(1, self.num_workers),
            resume=resume,
        )
        recipe = self._recipe()
        if self.num_workers == 0:
            return InProcess(recipe, self._progress, self._said_length)
        pool = self._pool
        if pool is None or not pool.is_open:
            pool = self._new_pool(recipe)
        self._pool = pool if self.persistent_workers else None
        return WithWorkers(
            pool,
            self._progress,
            self._said_length,
            number=self._passes,
            prefetch=self.prefetch_factor or 1,
            in_order=self.in_order,
            timeout=self.timeout or None,
            keep=self.persistent_workers,
        )

    def __len__(self) -> int:
        """The number of batches (of samples, without batching)."""
        if not self._iterable:
            return length_of(self.sampler if self.batch_sampler is None else self.batch_sampler)
        count = length_of(self.dataset)
        if self.batch_size is not None:
            down = count // self.batch_size
            count = down if self.drop_last else -(-count // self.batch_size)
        self._said_length = count
        return count

    def state_dict(self) -> dict[str, Any]:
        """How far the latest pass has come, in numbers, strings, lists and dicts of them.

        To go on from it, make a loader in the same way and give it to its
        :meth:`load_state_dict`. Where the dataset has an index, the number of workers may differ.
        A sampler of your own must give the same order when its pass begins with the same random
        numbers from weft; or it has ``state_dict()`` and ``load_state_dict()``, which are used. A
        stream is read again up to its place, unless it has them.
        """
        if self._resume is not None:
            return dict(self._resume)
        progress = self._progress
        if progress is None:
            state = at_rest(self._generators(), stateful_of(self._source()))
        else:
            state = progress.state_dict()
        return {**state, "loader": self._facts()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """The next loop goes on where :meth:`state_dict` was taken.

        weft's own generator is left alone: restore it beside (``weft.set_rng_state``). A
        ``generator`` of the loader's or of a sampler goes to where it was.

        Raises:
            CheckpointError: if the state is not a loader's, or of one that was made in another way.
                The loader is as it was before.
        """
        state = checked(state_dict, self._facts())
        if not state["in_pass"]:
            set_at_rest(state, self._generators(), stateful_of(self._source()))
        self._progress = None
        self._resume = state

    def _facts(self) -> dict[str, Any]:
        """What must be the same where a pass is to go on."""
        facts: dict[str, Any] = {
            "stream": self._iterable,
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
            "generators": [each is not None for each in self._generators()],
        }
        if self._iterable:
            facts["num_workers"] = self.num_workers
        else:
            facts["samples"] = _length_or_none(self.dataset)
            facts["sampler"] = type(self.sampler or self.batch_sampler).__name__
        return facts

    @property
    def _auto_collation(self) -> bool:
        return self.batch_size is not None or self.batch_sampler is not None

    def _generators(self) -> list[Generator | None]:
        return generators_of(self.generator, self._source())

    def _source(self) -> Iterable[Any] | None:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def _recipe(self) -> Recipe:
        return Recipe(
            self.dataset, self.batch_size, self._auto_collation, self.drop_last, self.collate_fn
        )

    def _new_pool(self, recipe: Recipe) -> Pool:
        jobs = [
            Job(recipe, self.worker_init_fn, k, self.num_workers) for k in range(self.num_workers)
        ]
        if self.worker_method == "thread":
            from .threads import ThreadPool

            return ThreadPool(jobs)
        import multiprocessing

        from .processes import ProcessPool

        context = self.multiprocessing_context or multiprocessing.get_context()
        return ProcessPool(jobs, context, lendable=(self.prefetch_factor or 1) + 4)


def _length_or_none(dataset: Any) -> int | None:
    try:
        return len(dataset)
    except TypeError:
        return None


def _check_workers(
    num_workers: Any,
    timeout: Any,
    prefetch_factor: Any,
    persistent_workers: bool,
    worker_method: str,
) -> None:
    if not isinstance(num_workers, int) or isinstance(num_workers, bool) or num_workers < 0:
        raise ValueError(
            f"num_workers option should be non-negative, an int, not {num_workers!r} (0: samples "
            "are loaded where the loop runs)"
        )
    if not isinstance(timeout, (int, float)) or not timeout >= 0:
        raise ValueError(
            f"timeout option should be non-negative, not {timeout!r} (seconds; 0 for any time)"
        )
    if worker_method not in {"multiprocessing", "thread"}:
        raise ValueError(
            f"worker_method must be 'multiprocessing' or 'thread', not {worker_method!r}"
        )
    if prefetch_factor is not None and num_workers:
        check_positive("prefetch_factor", prefetch_factor)
    options = {
        "timeout": timeout or None,
        "prefetch_factor": prefetch_factor,
        "persistent_workers": persistent_workers or None,
    }
    for name, value in options.items():
        if value is not None and num_workers == 0:
            raise ValueError(
                f"{name}={value!r} is about workers: leave {name} out, or ask for some by "
                "num_workers > 0"
            )


def _warn_of_many(num_workers: int, worker_method: str) -> None:
    most = 16 + 4 * (os.cpu_count() or 1)
    if worker_method == "multiprocessing" and num_workers > most:
        warnings.warn(
            f"This DataLoader will create {num_workers} worker processes, where {most} are plenty "
            "for the processors here. Please be aware that excessive worker creation might get "
            "DataLoader running slow or even freeze",
            stacklevel=4,
        )


def _context(context: Any, num_workers: int, worker_method: str) -> Any:
    """A context of ``multiprocessing``, from its name or itself."""
    if context is None:
        return None
    if num_workers == 0 or worker_method == "thread":
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading (num_workers > 0)"
            f", but got num_workers={num_workers} and worker_method={worker_method!r}"
        )
    import multiprocessing

    if isinstance(context, str):
        methods = multiprocessing.get_all_start_methods()
        if context not in methods:
            raise ValueError(
                "multiprocessing_context option should specify a valid start method in "
                f"{methods!r}, but got {context!r}"
            )
        return multiprocessing.get_context(context)
    if not isinstance(context, multiprocessing.context.BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string "
            f"specifying the start method, not {type(context).__name__}"
        )
    return context


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
                f"DataLoader with IterableDataset: expected unspecified {name} option, but got "
                f"{name}={value!r}. {type(dataset).__name__} gives its samples in its own order: "
                f"leave {name} out and order them in its __iter__, or make it a Dataset with "
                "__getitem__ and __len__"
            )


def _check_order(
    batch_size: Any, shuffle: Any, sampler: Any, batch_sampler: Any, drop_last: bool
) -> None:
    if sampler is not None and shuffle:
        raise ValueError(
            "sampler option is mutually exclusive with shuffle: both say in which order the "
            "samples come. Leave one out"
        )
    if batch_sampler is not None:
        if batch_size != 1 or shuffle or sampler is not None or drop_last:
            raise ValueError(
                "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler and "
                "drop_last: it says which samples make each batch. Leave the others out"
            )
    elif batch_size is not None:
        check_positive("batch_size", batch_size)
    elif drop_last:
        raise ValueError(
            "batch_size=None option disables auto-batching and is mutually exclusive with "
            "drop_last: it gives single samples, so there is no last batch to drop"
        )
