"""How a tensor lies in a buffer: an offset and a stride for each dimension, counted in elements."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

Shape = tuple[int, ...]


def dense_strides(shape: Shape) -> tuple[int, ...]:
    """Strides of a contiguous tensor, last dimension fastest."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


class View(NamedTuple):
    """A tensor of ``shape`` in a buffer. Every view op but some reshapes gives another one."""

    shape: Shape
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def is_dense(self) -> bool:
        """Does it lie as a whole contiguous buffer does? (Dimensions of size 1 do not matter.)"""
        dense = dense_strides(self.shape)
        return self.offset == 0 and all(
            n == 1 or s == d for n, s, d in zip(self.shape, self.strides, dense, strict=True)
        )

    @property
    def size(self) -> int:
        return prod(self.shape)

    def expand(self, shape: Shape) -> View:
        """Broadcast to ``shape``."""
        lead = len(shape) - len(self.shape)
        strides = [
            0 if n == 1 and to != 1 else s
            for n, s, to in zip(self.shape, self.strides, shape[lead:], strict=True)
        ]
        return View(shape, (0,) * lead + tuple(strides), self.offset)

    def permute(self, order: tuple[int, ...]) -> View:
        return View(
            tuple([self.shape[k] for k in order]),
            tuple([self.strides[k] for k in order]),
            self.offset,
        )

    def slice(self, cuts: tuple[tuple[int, int, int], ...]) -> View:
        offset, shape, strides = self.offset, [], []
        for (start, stop, step), stride in zip(cuts, self.strides, strict=True):
            n = len(range(start, stop, step))
            shape.append(n)
            strides.append(stride * step)
            offset += start * stride if n else 0
        return View(tuple(shape), tuple(strides), offset)

    def reshape(self, shape: Shape) -> View | None:
        """None where no strides give the new shape: the values must be copied."""
        if prod(self.shape) == 0:
            return View(shape, dense_strides(shape), self.offset)
        runs = _runs(self.shape, self.strides)
        strides: list[int] = []
        sizes = list(shape)
        for size, step in runs:
            taken: list[int] = []
            have = 1
            while have < size and sizes:
                n = sizes.pop(0)
                taken.append(n)
                have *= n
            if have != size:
                return None
            inner = dense_strides(tuple(taken))
            strides += [i * step for i in inner]
        if any(n != 1 for n in sizes):
            return None
        return View(shape, tuple(strides) + (0,) * len(sizes), self.offset)

    def apply(self, op: str, attrs: Any) -> View | None:
        """The view after a movement op of that name; None where it must be copied."""
        change: View | None = getattr(self, op)(attrs)
        return change


MOVES = ("reshape", "permute", "expand", "slice")


def _runs(shape: Shape, strides: tuple[int, ...]) -> list[tuple[int, int]]:
    """Size and innermost stride of each run of dimensions that lie as one."""
    runs: list[tuple[int, int]] = []
    for n, s in zip(shape, strides, strict=True):
        if n == 1:
            continue
        if runs and runs[-1][1] == n * s:
            runs[-1] = (runs[-1][0] * n, s)
        else:
            runs.append((n, s))
    return runs
