"""One pass over a dataset: what ``iter(loader)`` gives."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

from ...errors import WorkerError
from . import seeding
from .fetch import EndOfStream, Indexed, Recipe, Stream
from .order import Task
from .progress import Progress
from .worker import Epoch, Outcome


class Pass(Iterator[Any]):
    """Batches, one after another. After an exception the next call gives the next batch.

    Args:
        expected: how many batches there should be, if ``len(loader)`` of a stream was asked for.
    """

    def __init__(self, progress: Progress, expected: int | None) -> None:
        self._progress = progress
        self._expected = expected

    def _count(self, number: int, worker: int = 0, state: Any = None) -> None:
        progress = self._progress
        progress.give(number, worker, state)
        if self._expected is not None and progress.given > self._expected:
            warnings.warn(
                f"Length of IterableDataset was reported to be {self._expected} (when accessing "
                f"len(dataloader)), but {progress.given} samples have been fetched. For "
                "multiprocessing data-loading, this could be caused by workers that each give all "
                "samples instead of their part (see get_worker_info)",
                stacklevel=3,
            )

    def __getstate__(self) -> Any:
        raise TypeError("a pass over a DataLoader cannot be copied or pickled; the loader can")


class InProcess(Pass):
    """Samples are loaded where the loop runs."""

    def __init__(self, recipe: Recipe, progress: Progress, expected: int | None) -> None:
        super().__init__(progress, expected)
        (epoch,) = progress.epochs(0)
        self._recipe = recipe
        self._epoch = epoch
        self._load: Indexed | Stream | None = None
        self._apart: Any = nullcontext()
        if recipe.samples_draw or recipe.joining_draws:
            self._apart = seeding.Apart(epoch.base, continuing=recipe.is_stream)

    def __next__(self) -> Any:
        try:
            task = self._progress.next_task()
            state = None
            try:
                with self._apart:
                    batch = self._loader()(task)
                    state = self._load.state() if isinstance(self._load, Stream) else None
            except EndOfStream:
                raise StopIteration from None
            except Exception:
                self._count(task.number, 0, state)
                raise
        except StopIteration:
            self._progress.finish()
            raise
        self._count(task.number, 0, state)
        return batch

    def _loader(self) -> Indexed | Stream:
        if self._load is None:
            recipe, epoch = self._recipe, self._epoch
            if recipe.is_stream:
                self._load = Stream(recipe, epoch.skip, epoch.state)
            else:
                self._load = Indexed(recipe, epoch.base, seeding.seed_all)
        return self._load


class Pool(Protocol):
    """Workers: processes or threads.

    Attributes:
        epoch: number of the pass that they work for.
        workers: the processes or threads themselves.
    """

    epoch: int

    @property
    def workers(self) -> Sequence[Any]: ...

    @property
    def is_open(self) -> bool: ...

    def begin(self, epochs: Sequence[Epoch]) -> None: ...

    def submit(self, worker: int, task: Task) -> None: ...

    def receive(self, timeout: float | None) -> tuple[int, Outcome]: ...

    def close(self) -> Any: ...


class WithWorkers(Pass):
    """Samples are loaded by workers, ahead of the loop.

    Args:
        number: of the pass, for this pool.
        prefetch: how many tasks a worker may have at a time.
        keep: leave the workers running at the end.
    """

    def __init__(
        self,
        pool: Pool,
        progress: Progress,
        expected: int | None,
        *,
        number: int,
        prefetch: int,
        in_order: bool,
        timeout: float | None,
        keep: bool,
    ) -> None:
        super().__init__(progress, expected)
        epochs = progress.epochs(number)
        self._pool = pool
        self._number = number
        self._prefetch = prefetch
        self._in_order = in_order
        self._timeout = timeout
        self._keep = keep
        self._broken: WorkerError | None = None
        #: By number of the task: its worker, and the outcome if it is there.
        self._tasks: dict[int, tuple[int, Outcome | None]] = {}
        #: How many tasks each worker has; one whose stream has ended is not there.
        self._loads = dict.fromkeys(range(len(epochs)), 0)
        self._worker_count = len(epochs)
        self._turn = progress.turn
        pool.begin(epochs)
        for _ in range(prefetch * len(epochs)):
            self._submit()

    def __next__(self) -> Any:
        if self._broken is not None:
            raise self._broken
        while self._tasks:
            number = next(iter(self._tasks))
            if self._tasks[number][1] is not None:
                return self._give(number)
            ready = self._receive()
            if ready is not None and not self._in_order:
                return self._give(ready)
        self._progress.finish()
        if not self._keep:
            self._pool.close()
        raise StopIteration

    @property
    def _workers(self) -> Sequence[Any]:
        """As PyTorch calls them: processes or threads, for those who look after them."""
        return self._pool.workers

    def _submit(self) -> None:
        """Gives the next task to the worker whose turn it is."""
        worker = self._next_worker()
        if worker is None:
            return
        try:
            task = self._progress.next_task()
        except StopIteration:
            return
        self._turn = worker + 1
        self._loads[worker] += 1
        self._tasks[task.number] = worker, None
        self._pool.submit(worker, task)

    def _next_worker(self) -> int | None:
        count = self._worker_count
        for k in range(count):
            worker = (self._turn + k) % count
            load = self._loads.get(worker)
            if load is not None and (self._in_order or load < self._prefetch):
                return worker
        return None

    def _receive(self) -> int | None:
        """
        Returns:
            the number of the task that has an outcome now.
        """
        try:
            if self._pool.epoch != self._number:
                raise WorkerError(
                    "this loop over a DataLoader with persistent_workers=True cannot go on: a "
                    "later loop has taken its workers. Loops within loops need a loader each"
                )
            worker, outcome = self._pool.receive(self._timeout)
        except WorkerError as error:
            if not self._pool.is_open:
                self._broken = error
            raise
        if worker not in self._loads:  # it has said already that its stream has ended
            return None
        self._loads[worker] -= 1
        if outcome.kind == "end":
            self._end_of(worker)
            return None
        self._tasks[outcome.number] = worker, outcome
        return outcome.number

    def _end_of(self, worker: int) -> None:
        """A stream has no more: the others go on, and take over its tasks."""
        del self._loads[worker]
        waiting = [n for n, (who, outcome) in self._tasks.items() if who == worker and not outcome]
        for number in waiting:
            del self._tasks[number]
            self._progress.skip(number)
        for _ in waiting:
            self._submit()

    def _give(self, number: int) -> Any:
        worker, outcome = self._tasks.pop(number)
        assert outcome is not None
        self._submit()
        self._progress.turn = next(iter(self._tasks.values()))[0] if self._tasks else 0
        self._count(number, worker, outcome.state)
        value = outcome.value()
        if outcome.kind == "batch":
            return value
        try:
            raise value
        finally:
            del value  # its traceback holds this frame, and with it the workers
