"""Worker threads, and the loop's end of them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any
from weakref import finalize

from ...errors import WorkerError
from ...tensors.random import scoped_generator
from .order import Task
from .seeding import SampleRNG, Seed
from .worker import INFO, Epoch, Job, Outcome, WorkerInfo, serve

Inbox = queue.SimpleQueue[Any]


def _thread_main(job: Job, inbox: Inbox, outbox: Inbox, stopping: Callable[[], bool]) -> None:
    """The life of a worker thread."""

    def send(outcome: Outcome) -> None:
        if outcome.kind == "error":
            outcome.value.add_note(f"in DataLoader worker thread {job.id}")
        outbox.put((job.id, outcome))

    begin = _Beginner(job)
    try:
        with scoped_generator(begin.rng.weft_generator):
            serve(job, iter(inbox.get, None), send, begin, stopping)
    except BaseException as error:  # noqa: BLE001 (SystemExit and the like: the loop must know)
        outbox.put((job.id, error))


class _Beginner:
    """Prepares a worker thread for a pass."""

    def __init__(self, job: Job) -> None:
        self.rng = SampleRNG()
        self._job = job
        self._is_prepared = False

    def __call__(self, epoch: Epoch) -> Seed:
        job = self._job
        seed = epoch.base + job.id
        self.rng.seed(seed)
        INFO.set(WorkerInfo(job.id, job.num_workers, seed, job.recipe.dataset, self.rng, "thread"))
        if not self._is_prepared:
            job.prepare()
            self._is_prepared = True
        return self.rng.seed


class ThreadPool:
    """Worker threads of a loader: as :class:`~.processes.ProcessPool`, in this process."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._outbox: Inbox = queue.SimpleQueue()
        self._inboxes: list[Inbox] = [queue.SimpleQueue() for _ in jobs]
        self.epoch = 0
        stopping = threading.Event()
        self.workers = [
            threading.Thread(
                target=_thread_main,
                args=(job, inbox, self._outbox, stopping.is_set),
                name=f"weft-data-{job.id}",
                daemon=True,
            )
            for job, inbox in zip(jobs, self._inboxes, strict=True)
        ]
        self.close = finalize(self, _end, stopping, self._inboxes, self.workers)
        for thread in self.workers:
            thread.start()

    @property
    def is_open(self) -> bool:
        return self.close.alive

    def begin(self, epochs: Sequence[Epoch]) -> None:
        self.epoch = epochs[0].number
        for inbox, epoch in zip(self._inboxes, epochs, strict=True):
            inbox.put(epoch)

    def submit(self, worker: int, task: Task) -> None:
        self._inboxes[worker].put(task)

    def receive(self, timeout: float | None) -> tuple[int, Outcome]:
        """
        Raises:
            WorkerError: if a thread has ended, or nothing comes in time.
        """
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - monotonic())
            try:
                worker, outcome = self._outbox.get(timeout=left)
            except queue.Empty:
                raise WorkerError(f"DataLoader timed out after {timeout} seconds") from None
            if isinstance(outcome, BaseException):
                self.close()
                raise WorkerError(
                    f"DataLoader worker thread {worker} exited unexpectedly: {outcome!r}"
                ) from outcome
            if outcome.epoch == self.epoch:
                return worker, outcome._replace(value=partial(_same, outcome.value))


def _same(value: Any) -> Any:
    return value


_GRACE = 2.0  # seconds to end the sample that it is at


def _end(
    stopping: threading.Event, inboxes: list[Inbox], threads: Sequence[threading.Thread]
) -> None:
    stopping.set()
    for inbox in inboxes:
        inbox.put(None)
    deadline = monotonic() + _GRACE
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(max(0.0, deadline - monotonic()))
