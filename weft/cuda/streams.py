"""Streams and events by PyTorch's names: there is one order of work on a GPU, that of recording."""

from __future__ import annotations

from time import perf_counter
from typing import Any, Self

from .. import cuda
from .which import gpu


class Stream:
    """A queue of work. All are one: XLA itself finds out what may run side by side.

    Raises:
        DeviceError: if there is no GPU.
    """

    def __init__(self, device: Any = None, priority: int = 0, **kwargs: Any) -> None:
        self.device = gpu(device)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def synchronize(self) -> None:
        """Runs what is pending and waits for the GPU."""
        cuda.synchronize(self.device)

    def query(self) -> bool:
        """Is all work done? Waits for it."""
        self.synchronize()
        return True

    def wait_stream(self, stream: Stream) -> None:
        """Does nothing: what comes later in the program sees what came before."""

    def wait_event(self, event: Event) -> None:
        """Does nothing, as :meth:`wait_stream`."""

    def record_event(self, event: Event | None = None) -> Event:
        """An event that has been recorded now."""
        event = Event() if event is None else event
        event.record(self)
        return event


class Event:
    """A point in time. Recording one waits for the GPU, so that the times between two are right.

    Raises:
        DeviceError: if there is no GPU.
    """

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        self.device = gpu(None)
        self._time: float | None = None

    def record(self, stream: Stream | None = None) -> None:
        """Waits for the work so far, and notes the time."""
        cuda.synchronize(self.device if stream is None else stream.device)
        self._time = perf_counter()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to another.

        Raises:
            ValueError: if one of them has not been recorded.
        """
        if self._time is None or end_event._time is None:
            raise ValueError("both events must have been recorded: call event.record() first")
        return (end_event._time - self._time) * 1e3

    def synchronize(self) -> None:
        """Does nothing: recording has waited."""

    def wait(self, stream: Stream | None = None) -> None:
        """Does nothing: recording has waited."""

    def query(self) -> bool:
        """True: recording has waited."""
        return True


def current_stream(device: Any = None) -> Stream:
    """The stream of a GPU."""
    return Stream(device)


default_stream = current_stream


def set_stream(stream: Stream) -> None:
    """Does nothing: there is one stream."""


class StreamContext:
    """Changes nothing inside: there is one stream."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


def stream(stream: Stream | None) -> StreamContext:
    """Changes nothing inside: there is one stream."""
    return StreamContext(stream)
