"""A native program whose leaves and results stay where they are from run to run.

Where a result takes the place of a leaf (a parameter after its update), it is written over it, if
nothing can read the old value any more or has to have it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...dtypes import BY_NAME
from ..reference import DATA_ERRORS
from . import threads
from .fused import FIRST_BUFFER, Fused
from .kernels import RUNTIME, Kernel, Segment
from .loop_spec import Load, Loop, Position, Store
from .memory import Frame
from .program import Call, Native, call, in_rows


class Bound:
    """A program with places of its own.

    Attributes:
        over: results that are written over the leaf that they are to replace.
    """

    def __init__(self, native: Native, replaced: Mapping[int, int]) -> None:
        """``replaced``: for results (values of the program), the leaf whose place they may take."""
        self.memory = native.memory
        parts = native.one_by_one()
        writers = _writers(parts)
        uses_flag = [_raises_flag(part, self.memory.flag) for part in parts]
        safe = 1 + max((k for k, part in enumerate(parts) if uses_flag[k]), default=-1)
        self.over = {
            result: leaf
            for result, leaf in replaced.items()
            if (at := writers.get(result)) is not None
            and at >= safe
            and _is_over(parts, at, result, leaf)
        }
        self._checked = any(uses_flag)
        first = len(parts)
        if self._checked:  # whatever is written over must wait for the flag
            first = min([writers[r] for r in self.over], default=first)
        self._before, self._after = in_rows(parts[:first]), in_rows(parts[first:])
        self.arrays: dict[int, Any] = {}
        self._arena: Any = None
        # for each value: where its address stands, and what is added to it
        self._places: dict[int, list[tuple[Any, int, int]]] = {}
        for segment in (*self._before, *self._after):
            if isinstance(segment, Segment):
                words = segment.words.data
                for k, value in enumerate(segment.values.tolist()):
                    entry = (words, k, int(segment.offsets[k]))
                    self._places.setdefault(value, []).append(entry)
        self._has_calls = any(isinstance(p, Call) for p in parts)

    def put(self, value: int, array: Any) -> None:
        """Where a leaf or a result lies from now on. The caller keeps the array alive."""
        address = array.__array_interface__["data"][0]
        self._move(value, address)
        if self._has_calls:
            self.arrays[value] = array

    def _move(self, value: int, address: int) -> None:
        for words, k, offset in self._places.get(value, ()):
            words[k] = address + offset

    def run(self) -> bool:
        """Runs it. False if its data are at fault: nothing has been written over then."""
        arena = self.memory.arena()
        if arena is not self._arena:
            self._enter(arena)
        flag = self.memory.flag_cell
        flag[0] = 0
        frame = Frame(self.memory, [], self.arrays) if self._has_calls else None
        try:
            for part in self._before:
                if isinstance(part, Segment):
                    part.launch()
                elif frame is not None:
                    call(part, frame)
        except DATA_ERRORS:
            return False
        if self._checked and flag[0]:
            return False
        for part in self._after:
            part.launch()  # type: ignore[union-attr]  # (no calls: they are before)
        return True

    def _enter(self, arena: Any) -> None:
        self._arena = arena
        base = arena.ctypes.data + self.memory.start
        for value, offset in self.memory.offsets.items():
            self._move(value, base + offset)
        self._move(RUNTIME, threads.runtime_address())
        self._move(self.memory.nothing, 0)


Part = Kernel | Call


def _raises_flag(part: Part, flag: int) -> bool:
    """May it find fault with its data?"""
    return isinstance(part, Call) or any(v == flag for v, _ in part.buffers)


def _loop_of(kernel: Kernel) -> tuple[Loop, tuple[tuple[int, int], ...]] | None:
    """The loop that the kernel is, or ends with, and its buffers."""
    if isinstance(kernel.spec, Fused):
        return kernel.spec.loop, kernel.buffers[FIRST_BUFFER:]
    return (kernel.spec, kernel.buffers) if isinstance(kernel.spec, Loop) else None


def _writers(parts: Sequence[Part]) -> dict[int, int]:
    """For values that one loop computes alone: which part it is."""
    found: dict[int, set[int]] = {}
    for k, part in enumerate(parts):
        known = _loop_of(part) if isinstance(part, Kernel) else None
        if known is not None:
            loop, buffers = known
            for store in loop.stores:
                found.setdefault(buffers[store.buffer][0], set()).add(k)
    return {value: at.pop() for value, at in found.items() if len(at) == 1}


def _is_over(parts: Sequence[Part], at: int, result: int, leaf: int) -> bool:
    """May the kernel write the result over the leaf: does nobody read that afterwards?"""
    for part in parts[at + 1 :]:
        values = (
            [o.value for o in part.operands]
            if isinstance(part, Call)
            else [v for v, _ in part.buffers]
        )
        if leaf in values:
            return False
    kernel = parts[at]
    assert isinstance(kernel, Kernel)
    known = _loop_of(kernel)
    assert known is not None
    loop, buffers = known
    store = next(s for s in loop.stores if buffers[s.buffer][0] == result)
    placed = [a for a in loop.accesses if not isinstance(a, Position)]
    mine = [a for a in placed if buffers[a.buffer][0] == leaf]
    offset = buffers[store.buffer][1]
    same = all(
        isinstance(a, Load) and buffers[a.buffer][1] == offset and _same_place(loop, a, store)
        for a in mine
    )
    moving = zip(loop.shape, store.strides, loop.reduced, strict=True)
    is_operand = isinstance(kernel.spec, Fused) and leaf in [v for v, _ in kernel.buffers[:2]]
    return same and not is_operand and not any(n > 1 and s and r for n, s, r in moving)


def _same_place(loop: Loop, load: Load, store: Store) -> bool:
    strides = zip(loop.shape, load.strides, store.strides, strict=True)
    return (load.offset, load.dtype) == (store.offset, store.dtype) and all(
        n == 1 or a == b for n, a, b in strides
    )


def aligned(shape: tuple[int, ...], dtype: str) -> Any:
    """A new array that starts at a cache line."""
    kind = BY_NAME[dtype].numpy
    count = int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize
    memory = np.empty(count + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + count].view(kind).reshape(shape)
