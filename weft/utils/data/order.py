"""The tasks of one pass over a dataset, in the order of its sampler."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, repeat
from typing import Any, NamedTuple

from ...tensors.tensor import Tensor


class Task(NamedTuple):
    """A batch to make.

    Attributes:
        number: its place in the pass.
        indices: of its samples; of the one sample, if they are not joined; None for a stream.
        first: the place of its first sample in the pass.
    """

    number: int
    indices: Any
    first: int


class Order(Iterator[Task]):
    """The tasks of one pass, as the sampler gives them.

    Args:
        source: indices, or batches of them; None for a stream, which has tasks without end.
        joined: whether they are batches.
        stateful: a sampler with ``state_dict``, whose state is taken after each task.
        number, first: of the first task to come.

    The sampler is started at once, so that whoever draws random numbers before the first batch is
    asked for does not change the order.
    """

    def __init__(
        self,
        source: Iterable[Any] | None,
        joined: bool,
        stateful: Any = None,
        number: int = 0,
        first: int = 0,
    ) -> None:
        self._joined = joined and source is not None
        self._stateful = stateful
        self._number = number
        self._first = first
        #: By task not yet forgotten: place of the sample after it, the sampler's state after it.
        self._after: dict[int, tuple[int, Any]] = {}
        self._indices: Iterator[Any] = repeat(None) if source is None else iter(source)
        self._peeked = [self._pull(each) for each in islice(self._indices, 1)]

    def _pull(self, indices: Any) -> tuple[Any, Any]:
        return indices, None if self._stateful is None else self._stateful.state_dict()

    def __next__(self) -> Task:
        indices, state = self._peeked.pop() if self._peeked else self._pull(next(self._indices))
        if self._joined:
            indices = indices.tolist() if isinstance(indices, Tensor) else list(indices)
        task = Task(self._number, indices, self._first)
        self._number += 1
        self._first += len(indices) if self._joined else 1
        self._after[task.number] = self._first, state
        return task

    def after(self, number: int) -> tuple[int, Any]:
        """Where the pass stands after a task; asked once for each."""
        return self._after.pop(number)
