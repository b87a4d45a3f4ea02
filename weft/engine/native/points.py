"""A thread's share of the points of some dimensions, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

from .ir import Function, Value

Index = Value | int


@contextmanager
def shared_out(
    fn: Function, tid: Value, nt: Value, sizes: dict[int, Any]
) -> Iterator[dict[int, Index]]:
    """``for point in share``: where it is along each dimension, the last one running fastest.

    Where the share begins is found by divisions; from there on places are counted.
    """
    moving = {k: n for k, n in sizes.items() if isinstance(n, Value) or n != 1}
    total = (
        next(iter(moving.values())) if len(moving) == 1 else fn.const(prod(moving.values()), "i64")
    )
    start = tid * total // nt
    places = _places(fn, start, moving)
    with fn.loop(start, (tid + 1) * total // nt):
        here: dict[int, Index] = dict.fromkeys(sizes, 0)
        yield here | {k: fn.load("i64", place) for k, place in places.items()}
        _advance(fn, moving, places)


def _places(fn: Function, point: Value, sizes: dict[int, Any]) -> dict[int, Value]:
    """Where a point is along each dimension, as variables."""
    places: dict[int, Value] = {}
    for number, (k, n) in enumerate(reversed(sizes.items()), 1):
        is_first = number == len(sizes)
        places[k] = fn.variable("i64", point if is_first else point % n)
        point = point // n if not is_first else point
    return places


def _advance(fn: Function, sizes: dict[int, Any], places: dict[int, Value]) -> None:
    carry: Index = 1
    for k, place in places.items():  # (the last dimension is the first here)
        here = fn.load("i64", place) + carry
        over = fn.compare("eq", here, sizes[k])
        fn.store(fn.select(over, 0, here), place)
        carry = fn.convert("zext", over, "i64")
