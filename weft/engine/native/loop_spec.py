"""What a loop kernel is: a domain, a straight program over its points, and what it stores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

from .views import Shape


@dataclass(frozen=True)
class Load:
    """An element of a buffer; a stride for each dimension of the domain."""

    buffer: int
    dtype: str
    strides: tuple[int, ...]
    offset: int = 0


@dataclass(frozen=True)
class Gather:
    """An element of a buffer at an address that holds integers computed at run time.

    ``indices`` are values; each adds ``index * stride`` and must lie within its ``size`` (from
    ``-size`` if ``wrap``). The address of one that does not is not read: the kernel raises the
    flag that is its buffer ``flag``.
    """

    buffer: int
    dtype: str
    strides: tuple[int, ...]
    offset: int
    indices: tuple[int, ...]
    index_strides: tuple[int, ...]
    sizes: tuple[int, ...]
    wrap: bool
    flag: int


@dataclass(frozen=True)
class Position:
    """The number of the point: an int64 with a stride for each dimension of the domain."""

    strides: tuple[int, ...]
    dtype: str = "int64"


@dataclass(frozen=True)
class Apply:
    """An elementwise op on earlier values, which are of ``source``'s dtype."""

    op: str
    source: str
    dtype: str
    arguments: tuple[int, ...]


@dataclass(frozen=True)
class Reduce:
    """``sum``, ``max`` or ``min`` of a value over the reduced dimensions."""

    op: str
    dtype: str
    argument: int


Instruction = Load | Gather | Position | Apply | Reduce


@dataclass(frozen=True)
class Store:
    value: int
    buffer: int
    dtype: str
    strides: tuple[int, ...]
    offset: int = 0


#: In place of the size of a loop's only dimension: it is told when the loop is run.
ANY_SIZE = -1


@dataclass(frozen=True)
class Loop:
    """The domain, the program, and what it stores."""

    shape: Shape
    reduced: tuple[bool, ...]
    code: tuple[Instruction, ...]
    stores: tuple[Store, ...]

    @property
    def accesses(self) -> list[Load | Gather | Position | Store]:
        placed = [i for i in self.code if isinstance(i, (Load, Gather, Position))]
        return [*placed, *self.stores]

    @property
    def size(self) -> int:
        return prod(self.shape)


def of_any_size(loop: Loop) -> tuple[Loop, list[tuple[int, int]]] | None:
    """The same code for any number of elements that lie side by side, and for each of its buffers
    one of the loop's and an offset in elements. None where elements do not lie so.

    A model has many parameters of many sizes, and one way to update them.
    """
    if any(loop.reduced):  # (be it over one element)
        return None
    flat = collapse(loop)
    if len(flat.shape) != 1:
        return None
    if any(isinstance(a, Gather) or a.strides[0] not in (0, 1) for a in flat.accesses):
        return None
    places: list[tuple[int, int]] = []

    def moved(access: Any) -> Any:
        if not isinstance(access, (Load, Store)):
            return access
        place = (access.buffer, access.offset)
        if place not in places:
            places.append(place)
        return replace(access, buffer=places.index(place), offset=0)

    code = tuple([moved(c) for c in flat.code])
    stores = tuple([moved(s) for s in flat.stores])
    return Loop((ANY_SIZE,), (False,), code, stores), places


def anywhere(loop: Loop, buffers: int) -> tuple[Loop, list[tuple[int, int]]]:
    """The same code for wherever in its buffers it begins, and for each of these where that is.

    The steps of a sequence read and write one row after another, by the same code.
    """
    placed = [a for a in loop.accesses if not isinstance(a, Position)]
    first = [min([a.offset for a in placed if a.buffer == b], default=0) for b in range(buffers)]

    def moved(access: Any) -> Any:
        if isinstance(access, (Load, Gather, Store)):
            return replace(access, offset=access.offset - first[access.buffer])
        return access

    code = tuple([moved(c) for c in loop.code])
    stores = tuple([moved(s) for s in loop.stores])
    return Loop(loop.shape, loop.reduced, code, stores), list(enumerate(first))


def collapse(loop: Loop) -> Loop:
    """Kept dimensions first, and those that lie as one in all operands made one."""
    order = sorted(range(len(loop.shape)), key=lambda k: loop.reduced[k])
    order = [k for k in order if loop.shape[k] != 1]
    groups: list[list[int]] = []
    for k in order:
        if groups and _lie_as_one(loop, groups[-1][-1], k):
            groups[-1].append(k)
        else:
            groups.append([k])
    shape = tuple([prod([loop.shape[k] for k in g]) for g in groups])
    reduced = tuple([loop.reduced[g[0]] for g in groups])

    def strides(old: tuple[int, ...]) -> tuple[int, ...]:
        return tuple([old[g[-1]] for g in groups])

    return Loop(shape, reduced, *_with_strides(loop, strides))


def _lie_as_one(loop: Loop, a: int, b: int) -> bool:
    n = loop.shape[b]
    return loop.reduced[a] == loop.reduced[b] and all(
        x.strides[a] == n * x.strides[b] for x in loop.accesses
    )


def _with_strides(loop: Loop, change: Any) -> tuple[tuple[Any, ...], tuple[Store, ...]]:
    code = [
        replace(i, strides=change(i.strides)) if isinstance(i, (Load, Gather, Position)) else i
        for i in loop.code
    ]
    return tuple(code), tuple([replace(s, strides=change(s.strides)) for s in loop.stores])


def vector_dimension(loop: Loop) -> int | None:
    """The dimension to walk by vectors: where most operands lie side by side, or stand still."""
    if loop.shape == (ANY_SIZE,):
        return 0
    best, best_score = None, -1.0
    touched = [
        prod([n for n, s in zip(loop.shape, a.strides, strict=True) if s]) for a in loop.accesses
    ]
    for k, n in enumerate(loop.shape):
        score = 0.0
        for access, elements in zip(loop.accesses, touched, strict=True):
            stride = access.strides[k]
            # (a scattered store costs more than a gathered load)
            weight = elements * (2 if isinstance(access, Store) else 1)
            score += weight if stride == 1 else 0.25 * weight if stride == 0 else 0
        score *= min(n, 16) / 16
        if score >= best_score:
            best, best_score = k, score
    return best


def side_dimension(loop: Loop, axis: int | None) -> int | None:
    """The dimension along which most of what lies apart along ``axis`` lies side by side.

    Points beside one another there are walked together: what a gather or a scatter brings to the
    cache serves them all.
    """
    if axis is None:
        return None
    counts = [0] * len(loop.shape)
    for access in loop.accesses:
        if access.strides[axis] not in (0, 1) and 1 in access.strides:
            counts[access.strides.index(1)] += 1
    most = max(counts)
    return counts.index(most) if most else None
