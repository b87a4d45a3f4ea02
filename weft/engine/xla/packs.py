"""Small arrays of one dtype that programs take and give as one flat array.

It is the count of arguments and results that makes a call of a small program long. Between calls a
tensor's value is a :class:`~weft.engine.devices.Packed` part, which is cut out when it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from ...graph.node import Shape
from ..devices import Packed, host
from . import platform


class Pack:
    """Such an array, and its parts."""

    __slots__ = ("_apart", "_copies", "array", "shapes")

    def __init__(self, shapes: tuple[Shape, ...], array: Any = None) -> None:
        self.shapes = shapes
        self.put(array)

    def put(self, array: Any) -> None:
        """Another array in its place: for who knows that nobody else has the parts."""
        self.array = array
        self._apart: Sequence[Any] | None = None
        self._copies: Sequence[Any] | None = None

    def parts(self) -> list[Packed]:
        """Values of nodes."""
        return [Packed(self, k) for k in range(len(self.shapes))]

    def cut(self, number: int) -> Any:
        """A part as an array of its own."""
        if self._apart is None:
            with platform.wide():
                self._apart = _split(self.array, self.shapes)
        return self._apart[number]

    def read(self, number: int) -> Any:
        """A part as NumPy has it."""
        if self._copies is None:
            self._copies = split(host(self.array).copy(), self.shapes)
        return self._copies[number]


def split(array: Any, shapes: Iterable[Shape]) -> list[Any]:
    """Arrays of these shapes from a flat one, in which they lie one after another."""
    found, start = [], 0
    for shape in shapes:
        end = start + prod(shape)
        found.append(array[start:end].reshape(shape))
        start = end
    return found


def joined(arrays: Sequence[Any]) -> Any:
    """One flat array of them."""
    return jnp.concatenate([a.reshape(-1) for a in arrays])


_split = jax.jit(split, static_argnums=1)
_join = jax.jit(joined)


def packed(arrays: Sequence[Any]) -> Pack:
    """A pack of copies."""
    with platform.wide():
        return Pack(tuple([a.shape for a in arrays]), _join(list(arrays)))
