"""Worker processes, and the loop's end of them."""

from __future__ import annotations

import os
import queue
import selectors
import signal
import threading
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any, NamedTuple
from weakref import WeakSet, finalize

from ...engine.native.processors import set_num_threads
from ...engine.realize import LOCK
from ...errors import UnsupportedOp, WorkerError
from ...tensors.interop import realize
from . import collate, seeding
from .fetch import some
from .order import Task
from .remote import Remote
from .transport import Message, Receiver, Sender
from .worker import INFO, Epoch, Job, Outcome, WorkerInfo, serve

#: The loop's ends of all sockets: a forked worker must not keep them open.
LOOP_ENDS: WeakSet[Connection] = WeakSet()

_WATCH = 5.0  # seconds between two looks at whether the loop's process is there


def process_main(job: Job, connection: Connection) -> None:
    """The life of a worker process."""
    with suppress(RuntimeError):
        LOCK.release()  # a forked child has it from its parent
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the loop's, which ends its workers
    for end in list(LOOP_ENDS):
        end.close()
    set_num_threads(1)
    sender = Sender(connection)
    collate.allocate.set(sender.allocate)
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    stopping = threading.Event()
    threading.Thread(target=_listen, args=(connection, inbox, stopping), daemon=True).start()
    send = partial(_send, sender, job)
    with suppress(BrokenPipeError, ConnectionResetError):  # the loop has gone
        serve(job, _messages(inbox, sender), send, _Beginner(job), stopping.is_set)


def _listen(
    connection: Connection, inbox: queue.SimpleQueue[Any], stopping: threading.Event
) -> None:
    """Takes messages in, so that the loop never waits for a worker that is busy."""
    parent = os.getppid()
    while True:
        try:
            if not connection.poll(_WATCH):
                if os.getppid() != parent:
                    os._exit(1)
                continue
            message = connection.recv()
        except (EOFError, OSError):  # the loop's process has died
            os._exit(1)
        inbox.put(message)
        if message is None:
            stopping.set()
            return


def _messages(inbox: queue.SimpleQueue[Any], sender: Sender) -> Iterator[Epoch | Task]:
    while (message := inbox.get()) is not None:
        content, returned = message
        sender.give_back(returned)
        yield content


class _Beginner:
    """Prepares a worker process for a pass: seeds it, and runs ``worker_init_fn`` once."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._seed: seeding.Seed | None = None

    def __call__(self, epoch: Epoch) -> seeding.Seed:
        job = self._job
        seed = epoch.base + job.id
        INFO.set(WorkerInfo(job.id, job.num_workers, seed, job.recipe.dataset))
        if self._seed is None:
            seeding.seed_all(seed)
            self._seed = seeding.seeder_after(job.prepare)
        else:
            self._seed(seed)
        return self._seed


def _send(sender: Sender, job: Job, outcome: Outcome) -> None:
    epoch, number, kind, value, state = outcome
    if kind == "error":
        value = Remote(value, job.id)
    try:
        sender.send((epoch, number, kind, state), value)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:  # noqa: BLE001 (pickling runs code of any kind)
        error.add_note(
            "while a worker process sent a batch: what collate_fn makes (or a sample, if there is "
            "no batching) must be something that pickle can take; or use worker_method='thread'"
        )
        sender.send((epoch, number, "error", None), Remote(error, job.id))


# ---- the loop's end


class _Worker(NamedTuple):
    """A worker process, seen from the loop."""

    id: int
    process: Any
    connection: Connection
    receiver: Receiver
    tasks: deque[Task]  # that it has and has not answered


class ProcessPool:
    """Worker processes of a loader.

    Args:
        context: of the package ``multiprocessing``.
        lendable: blocks of shared memory of one worker that may be in use here at a time.
    """

    def __init__(self, jobs: Sequence[Job], context: Any, lendable: int) -> None:
        if os.name == "nt":
            raise UnsupportedOp(
                "worker processes need a POSIX system, which Windows is not: use "
                "DataLoader(worker_method='thread')"
            )
        realize()  # else each worker would compute what is pending here
        self._method = context.get_start_method()
        self._workers: list[_Worker] = []
        self.epoch = 0
        self._selector = selectors.DefaultSelector()
        self._owner = os.getpid()
        self.close = finalize(self, _end, self._owner, self._workers, self._selector)
        try:
            for job in jobs:
                self._workers.append(_started(job, context, lendable))
        except BaseException as error:
            self.close()
            if self._method != "fork" and isinstance(error, Exception):
                error.add_note(
                    f"while starting worker processes by {self._method!r}, for which dataset, "
                    "collate_fn and worker_init_fn are pickled: define them at the top of a "
                    "module, or use multiprocessing_context='fork' or worker_method='thread'"
                )
            raise
        self.workers = [worker.process for worker in self._workers]
        for worker in self._workers:
            self._selector.register(worker.connection, selectors.EVENT_READ, worker)
            self._selector.register(worker.process.sentinel, selectors.EVENT_READ, worker)

    @property
    def is_open(self) -> bool:
        return self.close.alive and os.getpid() == self._owner  # a forked child has none

    def begin(self, epochs: Sequence[Epoch]) -> None:
        """Tells each worker that a pass begins; what is still to come of the one before is lost."""
        self.epoch = epochs[0].number
        for worker, epoch in zip(self._workers, epochs, strict=True):
            worker.tasks.clear()
            _tell(worker, epoch)

    def submit(self, worker: int, task: Task) -> None:
        self._workers[worker].tasks.append(task)
        _tell(self._workers[worker], task)

    def receive(self, timeout: float | None) -> tuple[int, Outcome]:
        """The next outcome and whose it is; its value is a function that gives the batch.

        Raises:
            WorkerError: if a worker has died (the others are ended then), or nothing comes in time.
        """
        if not self.is_open:
            raise WorkerError("the workers of this loop have been ended: begin another loop")
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            events = self._selector.select(
                None if deadline is None else max(0.0, deadline - monotonic())
            )
            if not events and deadline is not None and monotonic() >= deadline:
                raise WorkerError(_late(timeout, self._workers))
            for key, _ in events:
                worker: _Worker = key.data
                found = self._read(worker)
                if found is not None:
                    return worker.id, found

    def _read(self, worker: _Worker) -> Outcome | None:
        """
        Returns:
            None for what belongs to an earlier pass.
        """
        try:
            if not worker.connection.poll():  # only its end is to be seen
                raise EOFError
            message = worker.receiver.receive()
        except (EOFError, ConnectionError):
            text = self._obituary(worker)
            self.close()
            raise WorkerError(text) from None
        except BaseException:  # Ctrl-C in the middle of a message: what follows makes no sense
            self.close()
            raise
        epoch, number, kind, state = message.tag
        if epoch != self.epoch:
            worker.receiver.discard(message)
            return None
        worker.tasks.popleft()
        return Outcome(epoch, number, kind, partial(_opened, worker.receiver, message), state)

    def _obituary(self, worker: _Worker) -> str:
        process = worker.process
        process.join(5)
        text = (
            f"DataLoader worker (pid(s) {process.pid}) exited unexpectedly: DataLoader worker "
            f"(pid {process.pid}) {_cause(process.exitcode)}{_doing(worker)}. "
            f"{_hint(process.exitcode)}"
        )
        if self._method != "fork" and process.exitcode == 1:
            text += (
                f" With the start method {self._method!r} a worker imports the main module: code "
                "that starts loops there belongs under `if __name__ == '__main__':`"
            )
        return text


def _opened(receiver: Receiver, message: Message) -> Any:
    value = receiver.open(message)
    return value.error() if isinstance(value, Remote) else value


def _started(job: Job, context: Any, lendable: int) -> _Worker:
    ours, theirs = context.Pipe()
    LOOP_ENDS.add(ours)
    process = context.Process(
        target=process_main, args=(job, theirs), name=f"weft-data-{job.id}", daemon=True
    )
    try:
        with LOCK, warnings.catch_warnings():  # no thread is within a run while a child is made
            # From Python 3.12 on, at any other thread. The engine's are not there while a child is
            # made, and what threads of others hold (a progress bar's), workers do not need.
            # So do those of JAX, which workers have no use for.
            warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
            warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
            process.start()
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return _Worker(job.id, process, ours, Receiver(ours, lendable), deque())


def _tell(worker: _Worker, content: Epoch | Task) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # it has died: receive() will say so
        worker.connection.send((content, worker.receiver.take_returned()))


_GRACE = 2.0  # seconds to end by itself


def _end(owner: int, workers: list[_Worker], selector: selectors.BaseSelector) -> None:
    if os.getpid() != owner:  # in a forked child: the workers are its parent's
        return
    selector.close()
    for worker in workers:
        with suppress(OSError):  # it has died
            worker.connection.send(None)
        worker.connection.close()
    deadline = monotonic() + _GRACE
    for worker in workers:
        process = worker.process
        process.join(max(0.0, deadline - monotonic()))
        for end in (process.terminate, process.kill):
            if process.is_alive():
                end()
                process.join(1)
    workers.clear()


def _cause(code: int | None) -> str:
    if code is None:
        return "closed its connection"
    if code < 0:
        names = {s.value: s.name for s in signal.Signals}
        name = signal.strsignal(-code) or "unknown"
        return f"is killed by signal: {name} ({names.get(-code, -code)})"
    return f"ended with exit code {code}"


def _hint(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return (
            "The system does this when memory runs out (the kernel's log tells): fewer workers, a "
            "smaller prefetch_factor or batch_size need less"
        )
    if code in (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT, -signal.SIGILL):
        return (
            "Native code that the dataset uses has crashed: num_workers=0 shows where, with "
            "`python -X faulthandler`"
        )
    return "Something ended it from outside, or the dataset called sys.exit() or os._exit()"


def _doing(worker: _Worker) -> str:
    if not worker.tasks:
        return ""
    task = worker.tasks[0]
    if task.indices is None:
        return f" while reading batch {task.number}"
    indices = task.indices if isinstance(task.indices, list) else [task.indices]
    return f" while loading samples {some(indices)}"


def _late(timeout: float | None, workers: Sequence[_Worker]) -> str:
    busy = [f"worker {w.id}{_doing(w)}" for w in workers if w.tasks]
    return (
        f"DataLoader timed out after {timeout} seconds. Waited for: {'; '.join(busy) or 'nobody'}"
    )
