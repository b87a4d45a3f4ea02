"""Batches from worker processes: large arrays through shared memory, the rest through a socket.

The shared memory has no name: a ``memfd``, whose descriptor goes through the socket. Nothing lies
in ``/dev/shm``, whose size is no limit then, and nothing is left over whatever process is killed.
Where there is no ``memfd``, or no memory for one, arrays go through the socket.

A worker writes the arrays of a batch into a block. The receiving process maps it and makes arrays
of it without copying; when the last of them is gone, the worker may use the block again. So in a
training loop the same few blocks go round. Code that keeps batches is met by copying: at most
``lendable`` blocks are lent at a time.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
from collections import deque
from collections.abc import Callable
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any, NamedTuple
from weakref import finalize, ref

import numpy as np

from ...errors import WorkerError
from ...graph.device import CPU
from ...tensors.core import node_of, wrap
from ...tensors.creation import as_leaf
from ...tensors.interop import host_value
from ...tensors.tensor import Tensor

#: Smaller arrays go through the socket: they must not keep a whole block from being used again.
SMALLEST = 1 << 16

_ALIGNMENT = 64
_GRAIN = 1 << 16
_SPARE_BLOCKS = 4

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class _Lease(np.ndarray[Any, np.dtype[np.uint8]]):
    """A view of a block that lives as long as any array made of a memoryview of it."""


class _Place(NamedTuple):
    """Where an array lies."""

    block: int
    offset: int
    size: int


class Message(NamedTuple):
    """What goes through the socket.

    Attributes:
        tag: says what it is.
        content: the pickled object without its large arrays.
        places: where these are, in order.
        new: numbers and sizes of blocks whose descriptors follow.
        dropped: numbers of blocks that are no longer used.
    """

    tag: Any
    content: bytes
    places: list[_Place]
    new: list[tuple[int, int]]
    dropped: list[int]


# ---- the worker's side


class _Block:
    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.size = size
        self.descriptor = os.memfd_create("weft-batch")
        try:
            os.posix_fallocate(self.descriptor, 0, size)  # no memory: an error now, no signal later
            self._memory: Bytes = np.frombuffer(mmap.mmap(self.descriptor, size), np.uint8)
        except BaseException:
            os.close(self.descriptor)
            raise
        self.address = _address(self._memory)
        self._lease: Callable[[], Any] = lambda: None

    def lease(self) -> memoryview:
        lease = self._memory.view(_Lease)
        self._lease = ref(lease)
        return lease.data

    @property
    def is_idle(self) -> bool:
        """Is there no array of it in this process?"""
        return self._lease() is None


class Sender:
    """Sends objects over a socket; used by one thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._count = 0
        self._blocks: dict[int, _Block] = {}  # all that the receiver knows, or will
        self._free: list[int] = []
        self._current: list[tuple[_Block, memoryview]] = []  # of this batch
        self._used = 0  # bytes of the last one of these
        self._total = 0  # bytes that this batch takes
        self._usual = 0  # bytes that the batch before took
        self._new: list[_Block] = []
        self._dropped: list[int] = []
        self._can_share = hasattr(os, "memfd_create")

    def allocate(self, size: int) -> Bytes | None:
        """Memory for an array of the batch to come; None if there is none to share."""
        if not self._can_share or size < SMALLEST:
            return None
        if not self._current or self._used + size > self._current[-1][0].size:
            block = self._take(max(size, self._usual - self._total))
            if block is None:
                return None
            self._current.append((block, block.lease()))
            self._used = 0
        start = self._used
        self._used += -(-size // _ALIGNMENT) * _ALIGNMENT
        self._total += self._used - start
        return np.frombuffer(self._current[-1][1][start : start + size], np.uint8)

    def _take(self, size: int) -> _Block | None:
        fitting = [
            block
            for block in map(self._blocks.__getitem__, self._free)
            if block.size >= size and block.is_idle
        ]
        if fitting:
            found = min(fitting, key=lambda block: block.size)
            self._free.remove(found.number)
            return found
        if len(self._free) >= _SPARE_BLOCKS:
            smallest = min(self._free, key=lambda number: self._blocks[number].size)
            self._free.remove(smallest)
            del self._blocks[smallest]
            self._dropped.append(smallest)
        try:
            block = _Block(self._count, -(-(size + size // 8) // _GRAIN) * _GRAIN)
        except OSError:  # no memory, or no more descriptors
            return None
        self._count += 1
        self._blocks[block.number] = block
        self._new.append(block)
        return block

    def give_back(self, numbers: list[int]) -> None:
        """The receiver needs these blocks no more."""
        self._free += numbers

    def send(self, tag: object, value: object) -> None:
        """
        Raises:
            what pickling ``value`` raises; nothing has been sent then.
        """
        places: list[_Place] = []
        try:
            content = self._pickled(value, places)
        except BaseException:
            places.clear()
            raise
        finally:
            used = {place.block for place in places}
            self._free += [b.number for b, _ in self._current if b.number not in used]
            self._current.clear()
            self._usual, self._total = self._total, 0
        new, self._new = self._new, []
        dropped, self._dropped = self._dropped, []
        message = Message(tag, content, places, [(b.number, b.size) for b in new], dropped)
        self._connection.send_bytes(pickle.dumps(tuple(message)))
        for block in new:
            reduction.send_handle(self._connection, block.descriptor, None)
            os.close(block.descriptor)

    def _pickled(self, value: object, places: list[_Place]) -> bytes:
        def is_small(buffer: pickle.PickleBuffer) -> bool:
            raw = buffer.raw()
            place = self._place_of(np.frombuffer(raw, np.uint8)) if raw.nbytes >= SMALLEST else None
            if place is not None:
                places.append(place)
            return place is None

        stream = io.BytesIO()
        _Pickler(stream, protocol=5, buffer_callback=is_small).dump(value)
        return stream.getvalue()

    def _place_of(self, array: Bytes) -> _Place | None:
        place = self._current_place(array)
        if place is None and (copy := self.allocate(array.size)) is not None:
            copy[:] = array
            place = self._current_place(copy)
        return place

    def _current_place(self, array: Bytes) -> _Place | None:
        for block, _ in self._current:
            offset = _address(array) - block.address
            if 0 <= offset <= block.size - array.size:
                return _Place(block.number, offset, array.size)
        return None


def _address(array: Bytes) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


class _Pickler(pickle.Pickler):
    """Tensors by their values, without a copy."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is Tensor and not node_of(obj).tracks and not obj.__dict__:
            return _tensor, (np.ascontiguousarray(host_value(obj)).reshape(obj.shape),)
        return NotImplemented


def _tensor(array: Any) -> Tensor:
    return wrap(as_leaf(array, CPU))


# ---- the receiver's side


class Receiver:
    """Receives what a :class:`Sender` sends.

    Args:
        lendable: how many blocks may be in use here at a time.
    """

    def __init__(self, connection: Connection, lendable: int) -> None:
        self._connection = connection
        self._lendable = lendable
        self._blocks: dict[int, Bytes] = {}
        self._lent: set[int] = set()
        self._returned: deque[int] = deque()  # finalizers append to it, in any thread

    def receive(self) -> Message:
        """
        Raises:
            EOFError, ConnectionError: if the other side is gone.
            WorkerError: if there is no room for its memory here.
        """
        message = Message(*pickle.loads(self._connection.recv_bytes()))  # noqa: S301 (our own worker's)
        for number, size in message.new:
            self._blocks[number] = self._mapped(size)
        for number in message.dropped:
            del self._blocks[number]
        return message

    def _mapped(self, size: int) -> Bytes:
        try:
            descriptor = reduction.recv_handle(self._connection)
            try:
                return np.frombuffer(mmap.mmap(descriptor, size), np.uint8)
            finally:
                os.close(descriptor)
        except ConnectionError:
            raise
        except (OSError, RuntimeError) as error:  # RuntimeError: a descriptor that got lost
            raise WorkerError(
                f"a batch of {size:,} bytes cannot be mapped ({error}): this process has too many "
                "open files (`ulimit -n` tells the limit) or mappings"
            ) from error

    def open(self, message: Message) -> Any:
        """The object that was sent."""
        numbers = {place.block for place in message.places}
        buffers: list[Any]
        if len(self._lent) + len(numbers) > self._lendable:
            buffers = [bytearray(self._blocks[n][k : k + size]) for n, k, size in message.places]
            self._returned += numbers
        else:
            views = {number: self._lease(number) for number in numbers}
            buffers = [views[n][k : k + size] for n, k, size in message.places]
        return pickle.loads(message.content, buffers=buffers)  # noqa: S301 (our own worker's)

    def discard(self, message: Message) -> None:
        """Gives back what nobody asks for."""
        self._returned += {p.block for p in message.places}

    def take_returned(self) -> list[int]:
        """Blocks that are no longer used here: the sender may have them again."""
        return [self._returned.popleft() for _ in range(len(self._returned))]

    def _lease(self, number: int) -> memoryview:
        lease = self._blocks[number].view(_Lease)
        self._lent.add(number)
        finalize(lease, _end, number, self._lent, self._returned).atexit = False
        return lease.data


def _end(number: int, lent: set[int], returned: deque[int]) -> None:
    lent.discard(number)
    returned.append(number)
