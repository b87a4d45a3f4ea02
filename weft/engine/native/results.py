"""Memory for large results: lent as arrays, and taken back when nobody refers to them any more.

The system hands out new memory page by page, which takes longer than to fill it: a training loop
that keeps no graph would wait for that in every step. Here an array's memory is a mapping of its
own. Whatever shares it (views, buffers, DLPack capsules) refers to the array that was lent, since
NumPy follows the bases of views only as far as they are arrays; so when that array dies, the memory
is free.

The callback that takes it back may run in any thread, in the middle of anything. It waits for
nothing: each step here that matters is one that the interpreter does not interrupt, and at worst
memory goes back to the system that might have been kept.
"""

from __future__ import annotations

import mmap
from math import prod
from typing import Any
from weakref import ref

import numpy as np

#: Smaller results come from NumPy: what ``malloc`` keeps serves them as well.
_SMALLEST = 128 << 10
#: Bytes that may lie idle.
_MOST_IDLE = 256 << 20
_HUGE = 4 << 20
_PAGE, _LINE = 4096, 64
#: Arrays start at so many different lines of a page, lest they meet in the cache.
_STARTS = 16


class _Memory(mmap.mmap):
    """A mapping that is lent."""

    __slots__ = ()


class _Loan(ref[Any]):
    """Tells when an array is no more."""

    __slots__ = ("memory",)
    memory: _Memory


class Results:
    """What is lent and what lies idle.

    Attributes:
        idle: free mappings by size.
    """

    def __init__(self) -> None:
        self.idle: dict[int, list[_Memory]] = {}
        self._idle_bytes = 0
        self._loans: dict[int, _Loan] = {}
        self._lent = 0

    def array(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """A new array, its values whatever they may be."""
        size = _rounded(prod(shape) * dtype.itemsize + _STARTS * _LINE)
        memory = self._take(size)
        self._lent += 1
        array = np.ndarray(shape, dtype, memory, self._lent % _STARTS * _LINE)
        loan = _Loan(array, self._take_back)
        loan.memory = memory
        self._loans[id(loan)] = loan
        return array

    def _take(self, size: int) -> _Memory:
        try:
            memory = self.idle[size].pop()
        except (KeyError, IndexError):
            self._trim()
            return _new(size)
        self._idle_bytes -= size
        return memory

    def _take_back(self, loan: _Loan) -> None:
        del self._loans[id(loan)]
        size = len(loan.memory)
        self.idle.setdefault(size, []).append(loan.memory)
        self._idle_bytes += size
        if self._idle_bytes > _MOST_IDLE:
            self._trim()

    def _trim(self) -> None:
        """Gives memory back, sizes that came up first before others, until the rest may stay."""
        rows = list(self.idle.items())
        total = sum([size * len(row) for size, row in rows])
        for size, row in rows:
            while row and total > _MOST_IDLE:
                row.pop()
                total -= size
            if not row:
                self.idle.pop(size, None)
        self._idle_bytes = total

    def release(self) -> None:
        """Gives back to the system all that lies idle."""
        self.idle.clear()
        self._idle_bytes = 0


RESULTS = Results()


def new_array(shape: tuple[int, ...], dtype: Any) -> Any:
    """Memory for a result."""
    if prod(shape) * dtype.itemsize < _SMALLEST:
        return np.empty(shape, dtype)
    return RESULTS.array(shape, dtype)


def is_lent(array: Any) -> bool:
    """Is this an array as it was lent?"""
    return array.base.__class__ is _Memory


def _rounded(size: int) -> int:
    """A little more, so that sizes that differ little share memory."""
    step = max(_PAGE, 1 << max(0, size.bit_length() - 4))
    return -(-size // step) * step


def _new(size: int) -> _Memory:
    try:
        return _mapped(size)
    except OSError:
        RESULTS.release()
        try:
            return _mapped(size)
        except OSError as error:
            raise MemoryError(f"no memory for a result of {size} bytes") from error


def _mapped(size: int) -> _Memory:
    if not hasattr(mmap, "MAP_PRIVATE"):
        return _Memory(-1, size)
    # (private: a child that is forked gets a copy)
    memory = _Memory(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size >= _HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
