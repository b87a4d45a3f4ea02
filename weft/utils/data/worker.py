"""What a worker does: it is told what to load, and sends what it has loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

from .fetch import EndOfStream, Indexed, Recipe, Stopped, Stream
from .order import Task
from .seeding import SampleRNG, Seed


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What code that runs in a worker may ask.

    Attributes:
        id: which worker this is, from 0.
        num_workers: how many there are.
        seed: of this worker in this pass; a stream's random numbers start from it.
        dataset: the dataset here: in a process its own copy, in a thread everybody's.
        rng: in a thread, generators seeded for each sample; None in a process.
        worker_method: "multiprocessing" or "thread".
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: SampleRNG | None = None
    worker_method: str = "multiprocessing"


#: In a worker: which one.
INFO: ContextVar[WorkerInfo | None] = ContextVar("worker_info", default=None)


def get_worker_info() -> WorkerInfo | None:
    """In a worker of a DataLoader: which one. Elsewhere None."""
    return INFO.get()


class Epoch(NamedTuple):
    """A pass begins.

    Attributes:
        number: of the pass, for this loader.
        base: its seed.
        skip: batches of this worker's stream to leave out.
        state: of its dataset, in place of ``skip``.
    """

    number: int
    base: int
    skip: int = 0
    state: Any = None


class Outcome(NamedTuple):
    """What became of a task.

    Attributes:
        epoch: number of the pass.
        number: of the task.
        kind: "batch", "error" or "end" (of a stream).
        value: the batch, or what was raised.
        state: of the stream's dataset, after the batch.
    """

    epoch: int
    number: int
    kind: str
    value: Any = None
    state: Any = None


class Job(NamedTuple):
    """What a worker knows from the start."""

    recipe: Recipe
    worker_init_fn: Callable[[int], Any] | None
    id: int
    num_workers: int

    def prepare(self) -> None:
        if self.worker_init_fn is None:
            return
        try:
            self.worker_init_fn(self.id)
        except Exception as error:
            error.add_note(f"in worker_init_fn({self.id})")
            raise


def serve(
    job: Job,
    messages: Iterator[Epoch | Task],
    send: Callable[[Outcome], None],
    begin: Callable[[Epoch], Seed],
    stopping: Callable[[], bool],
) -> None:
    """Does what ``messages`` say until they end.

    Args:
        begin: prepares the worker for a pass, and returns what seeds its samples.
    """
    epoch = Epoch(0, 0)
    load: Indexed | Stream | None = None
    for message in messages:
        if isinstance(message, Epoch):
            epoch, load = message, None
            continue
        try:
            if load is None:
                seed = begin(epoch)
                if job.recipe.is_stream:
                    load = Stream(job.recipe, epoch.skip, epoch.state, stopping)
                else:
                    load = Indexed(job.recipe, epoch.base, seed, stopping)
            batch = load(message)
            state = load.state() if isinstance(load, Stream) else None
            outcome = Outcome(epoch.number, message.number, "batch", batch, state)
            del batch
        except EndOfStream:
            outcome = Outcome(epoch.number, message.number, "end")
        except Stopped:
            return
        except Exception as error:  # noqa: BLE001 (raised again where the loop runs)
            outcome = Outcome(epoch.number, message.number, "error", error)
        send(outcome)
        del outcome  # its memory may be needed for the next
