"""Diagonals, and writing parts of a tensor by their places: each gives a new tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import bool_, dtype, int64, promote
from ..engine.devices import resolve
from ..errors import DTypeError, OptionError, ShapeError
from ..graph.node import Node, type_of
from ..ops import elementwise as ew, index as ix, movement as mv, reduce as rd
from ..ops.base import broadcast, dim_with_size, normal_dim
from .autocasting import autocast_mode
from .core import node_of, wrap
from .creation import as_leaf, finished
from .elementwise import operand
from .indexing import _vector, check_index, gather, scatter, scatter_add, source_at
from .out import with_out
from .shape import cut, diagonal, reshape, select

if TYPE_CHECKING:
    from .tensor import Tensor

# ---- diagonals


@with_out
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or a matrix with the given diagonal.

    Raises:
        ShapeError: for other than one or two dimensions.
    """
    shape = node_of(input).type.shape
    if len(shape) == 1:
        return diag_embed(input, diagonal)
    if len(shape) != 2:
        raise ShapeError(f"diag takes a vector or a matrix, not shape {list(shape)}")
    return wrap(ew.same(node_of(_diagonal_of(input, diagonal, 0, 1))))


_diagonal_of = diagonal


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with all elements of ``input`` along a diagonal."""
    return diag_embed(reshape(input, -1), offset)


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices, in dimensions ``dim1`` and ``dim2``, with the last dimension along a diagonal.

    Raises:
        ShapeError: if both are the same dimension.
    """
    x = node_of(input)
    ndim = x.type.ndim + 1
    a, b = normal_dim("diag_embed", dim1, ndim), normal_dim("diag_embed", dim2, ndim)
    if a == b:
        raise ShapeError(f"diag_embed: dim1 and dim2 are both {dim1}")
    n = x.type.shape[-1] + abs(offset)
    place = [(0, 0)] * (ndim - 2)
    padded = mv.pad(x, [*place, (max(-offset, 0), max(offset, 0))])
    rows = mv.reshape(padded, (*padded.type.shape, 1))
    row = mv.reshape(mv.arange(n, int64, offset), (n, 1))
    y = ew.where(ew.eq(row, mv.arange(n, int64)), rows, 0)
    order: list[int] = list(range(ndim - 2))
    for dim, source in sorted([(a, ndim - 2), (b, ndim - 1)]):
        order.insert(dim, source)
    return wrap(mv.permute(y, tuple(order)))


def _triangle_places(
    name: str, found: Any, row: int, col: int, to: dtype | None, device: Any
) -> Tensor:
    if row < 0 or col < 0:
        raise ShapeError(f"{name}: sizes must not be negative: {[row, col]}")
    places = np.stack(found).astype((to or int64).numpy)
    return finished(as_leaf(places, resolve(device)), False)


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: dtype | None = None, device: Any = None
) -> Tensor:
    """The places of a matrix's lower triangle: rows in the first row, columns in the second."""
    found = np.tril_indices(max(row, 0), offset, max(col, 0))
    return _triangle_places("tril_indices", found, row, col, dtype, device)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: dtype | None = None, device: Any = None
) -> Tensor:
    """The places of a matrix's upper triangle: rows in the first row, columns in the second."""
    found = np.triu_indices(max(row, 0), offset, max(col, 0))
    return _triangle_places("triu_indices", found, row, col, dtype, device)


# ---- reading by places


@with_out
def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at ``index``, counted as if ``input`` had one dimension."""
    x = node_of(input)
    return wrap(ix.take(mv.reshape(x, (x.type.size,)), [_integers("take", index)]))


def _integers(name: str, index: Tensor) -> Node:
    i = node_of(index)
    if i.type.dtype.category != 1:
        raise DTypeError(f"{name} takes an int64 index, not {i.type.dtype}")
    return ew.cast(i, int64)


@with_out
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """Elements of ``input`` at ``indices`` along ``dim``; the other dimensions broadcast.

    Without ``dim``, both count as vectors.
    """
    if dim is None:
        return gather(reshape(input, -1), 0, reshape(indices, -1))
    x, i = node_of(input), node_of(indices)
    if x.type.ndim != i.type.ndim:
        raise ShapeError(
            f"take_along_dim: indices of shape {list(i.type.shape)} for a tensor of shape "
            f"{list(x.type.shape)}: both need the same number of dimensions"
        )
    d = normal_dim("take_along_dim", dim, x.type.ndim)
    source, places = list(x.type.shape), list(i.type.shape)
    source[d] = places[d] = 1
    common = broadcast("take_along_dim", tuple(source), tuple(places))
    source, places = list(common), list(common)
    source[d], places[d] = x.type.shape[d], i.type.shape[d]
    spread = wrap(mv.expand(x, tuple(source)))
    i = ew.where(ew.lt(i, 0), ew.add(i, x.type.shape[d]), i)
    return gather(spread, d, wrap(mv.expand(i, tuple(places))))


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """All windows of ``size`` elements along a dimension, ``step`` apart, as a last dimension.

    A copy.

    Raises:
        ShapeError: if no window fits.
    """
    x = _vector(node_of(input))
    d = normal_dim("unfold", dimension, x.type.ndim)
    n = x.type.shape[d]
    if not 0 <= size <= n or step < 1:
        raise ShapeError(
            f"unfold: windows of {size}, {step} apart, in dimension {d} of shape "
            f"{list(node_of(input).type.shape)}"
        )
    count = (n - size) // step + 1
    starts = mv.reshape(mv.arange(count, int64, 0, step), (count, 1))
    places = ew.add(starts, mv.arange(size, int64))
    order = (d, *[k for k in range(x.type.ndim) if k != d])
    y = ix.take(mv.permute(x, order), [places])  # [count, size, the rest]
    back = [0 if k == d else 2 + k - (k > d) for k in range(x.type.ndim)]
    y = mv.permute(y, (*back, 1))
    return wrap(y if node_of(input).type.ndim else mv.reshape(y, (size,)))


def as_strided(
    input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """Elements of ``input``, counted in order, ``stride`` apart in each dimension. A copy.

    Raises:
        ShapeError: if ``size`` and ``stride`` differ in length, or reach beyond the elements.
    """
    x = node_of(input)
    start = storage_offset or 0
    if len(size) != len(stride):
        raise ShapeError(f"as_strided: {list(size)} and {list(stride)} differ in length")
    last = start + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and last >= x.type.size:
        raise ShapeError(
            f"as_strided: size {list(size)} with stride {list(stride)} from {start} on reaches "
            f"element {last} of {x.type.size}"
        )
    places = mv.full(type_of((), int64), start)
    for n, step in zip(size, stride, strict=True):
        along = mv.arange(n, int64, 0, step)
        places = ew.add(mv.reshape(places, (*places.type.shape, 1)), along)
    return wrap(ix.take(mv.reshape(x, (x.type.size,)), [places]))


def as_strided_scatter(
    input: Tensor,
    src: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None = None,
) -> Tensor:
    """A copy of ``input`` with ``src`` at the places of :func:`as_strided`.

    Raises:
        ShapeError: as :func:`as_strided`, or if ``src`` has not the shape ``size``.
    """
    x, new = node_of(input), node_of(src)
    if new.type.shape != tuple(size):
        raise ShapeError(f"as_strided_scatter: src of shape {list(src.shape)} for {list(size)}")
    numbers = wrap(mv.reshape(mv.arange(x.type.size, int64), x.type.shape))
    places = as_strided(numbers, size, stride, storage_offset).flatten()
    flat = wrap(mv.reshape(x, (x.type.size,)))
    return index_copy(flat, 0, places, src.flatten()).reshape(x.type.shape)


# ---- writing at places of one dimension


def _places(name: str, index: Tensor) -> Node:
    places = _vector(_integers(name, index))
    if places.type.ndim > 1:
        raise ShapeError(f"{name} takes a vector of places, not shape {list(places.type.shape)}")
    return places


@with_out
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy of ``input`` with ``source`` at the places ``index`` of ``dim``.

    Raises:
        DTypeError: if the dtypes differ.
        ShapeError: if ``source`` does not fit.
    """
    x, part = _vector(node_of(input)), _vector(node_of(source))
    if autocast_mode.get() is not None:
        kind = promote(x.type.dtype, part.type.dtype)
        x, part = ew.cast(x, kind), ew.cast(part, kind)
    if x.type.dtype is not part.type.dtype:
        raise DTypeError(
            f"index_copy of {part.type.dtype} into {x.type.dtype}: convert the source first"
        )
    d = normal_dim("index_copy", dim, x.type.ndim)
    places = _places("index_copy", index)
    region = (*x.type.shape[:d], places.type.size, *x.type.shape[d + 1 :])
    if part.type.shape != region:
        raise ShapeError(
            f"index_copy: a source of shape {list(part.type.shape)} does not fit a place of shape "
            f"{list(region)}"
        )
    order = (d, *[k for k in x.type.dims if k != d])
    out = ix.put(mv.permute(x, order), mv.permute(part, order), [places], wrap=False)
    return wrap(mv.reshape(mv.permute(out, mv.inverse(order)), node_of(input).type.shape))


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy of ``input`` with ``value``, one number, at the places ``index`` of ``dim``."""
    x = node_of(input)
    filling = operand(value, x.type.dtype)
    if filling.type.ndim:
        raise ShapeError(f"index_fill takes one value, not shape {list(filling.type.shape)}")
    places = _places("index_fill", index)
    d = normal_dim("index_fill", dim, x.type.ndim)
    n = x.type.shape[d] if x.type.ndim else 1
    chosen = mv.full(places.type, 1)
    hit = ix.put(mv.zeros(type_of((n,), int64)), chosen, [places])
    shape = tuple([n if k == d else 1 for k in x.type.dims])
    return wrap(ew.where(ew.gt(mv.reshape(hit, shape), 0), filling, x))


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy of ``input`` with the elements of ``source``, in order, where ``mask`` holds.

    Raises:
        DTypeError: if ``mask`` is not bool, or the dtypes differ.
    """
    x, m, part = node_of(input), node_of(mask), node_of(source)
    if m.type.dtype is not bool_:
        raise DTypeError(f"masked_scatter takes a bool mask, not {m.type.dtype}")
    if part.type.dtype is not x.type.dtype:
        raise DTypeError(f"masked_scatter of {part.type.dtype} into {x.type.dtype}")
    shape = broadcast("masked_scatter", x.type.shape, m.type.shape)
    x, m = mv.expand(x, shape), mv.expand(m, shape)
    if x.type.size == 0:
        return wrap(ew.same(x))
    flat = mv.reshape(m, (x.type.size,))
    count = ew.sub(rd.cumsum(ew.cast(flat, int64), 0), 1)
    chosen = ix.take(mv.reshape(part, (part.type.size,)), [ew.where(flat, count, 0)], wrap=False)
    return wrap(ew.where(m, mv.reshape(chosen, shape), x))


# ---- parts written as a view would be


def _written(name: str, input: Tensor, view: Callable[[Tensor], Tensor], src: Tensor) -> Tensor:
    whole = input.clone()
    part = view(whole)
    if part.shape != src.shape:
        raise ShapeError(
            f"{name}: src of shape {list(src.shape)} does not fit the place of shape "
            f"{list(part.shape)}"
        )
    part.copy_(src)
    return whole


def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of ``input`` with ``src`` at one place of ``dim`` (see :func:`weft.select`)."""
    return _written("select_scatter", input, lambda x: select(x, dim, index), src)


@with_out
def slice_scatter(
    input: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """A copy of ``input`` with ``src`` at the places ``start:end:step`` of ``dim``."""
    shape = node_of(input).type.shape
    d = dim_with_size("slice_scatter", dim, shape)
    if step < 1:
        raise OptionError(f"slice_scatter: step must be positive, not {step}")
    a, b, _ = slice(start, end, step).indices(shape[d])
    return _written("slice_scatter", input, lambda x: cut(x, d, a, max(a, b), step), src)


def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """A copy of ``input`` with ``src`` along a diagonal (see :func:`weft.diagonal`)."""
    return _written("diagonal_scatter", input, lambda x: _diagonal_of(x, offset, dim1, dim2), src)


# ---- reducing into places


@with_out
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """What ``src`` has for each place of ``input``, reduced: ``out[index[i][j]][j]`` for ``dim=0``.

    Args:
        reduce: "sum", "prod", "mean", "amax" or "amin".
        include_self: does the place's own value count?

    Raises:
        OptionError: for another ``reduce``.
    """
    rule = _INTO.get(reduce)
    if rule is None:
        raise OptionError(f"reduce must be 'sum', 'prod', 'mean', 'amax' or 'amin', not {reduce!r}")
    x, part, i = _vector(node_of(input)), _vector(node_of(src)), _vector(node_of(index))
    if x.type.dtype is not part.type.dtype:
        raise DTypeError(f"scatter_reduce of {part.type.dtype} into {x.type.dtype}")
    if i.type.size == 0:
        return input.clone()
    d = normal_dim("scatter_reduce", dim, x.type.ndim)
    i = check_index("scatter_reduce", x.type.shape, i, d)
    part = source_at("scatter_reduce", part, i)
    into = _Places(d, i, include_self)
    return wrap(mv.reshape(rule(x, part, into), node_of(input).type.shape))


class _Places:
    """Where the elements of a source go, with the sums and reads that reductions need."""

    def __init__(self, dim: int, index: Node, include_self: bool) -> None:
        self.dim, self.include_self = dim, include_self
        self.index = wrap(index)

    def add(self, x: Node, part: Node) -> Node:
        return node_of(scatter_add(wrap(x), self.dim, self.index, wrap(part)))

    def read(self, x: Node) -> Node:
        return node_of(gather(wrap(x), self.dim, self.index))

    def write(self, x: Node, value: float) -> Node:
        return node_of(scatter(wrap(x), self.dim, self.index, value))

    def count(self, x: Node) -> Node:
        """How many values each place of ``x`` gets, its own not counted."""
        ones = mv.full(node_of(self.index).type, 1)
        return self.add(mv.zeros(type_of(x.type.shape, int64)), ones)

    def start(self, x: Node, neutral: float) -> Node:
        """What each place begins with: its own value, or (where something comes) a neutral one."""
        return x if self.include_self else self.write(x, neutral)


def _sum_into(x: Node, part: Node, into: _Places) -> Node:
    return into.add(into.start(x, 0), part)


def _mean_into(x: Node, part: Node, into: _Places) -> Node:
    total = _sum_into(x, part, into)
    n = into.count(x)
    n = ew.add(n, 1) if into.include_self else ew.where(ew.eq(n, 0), 1, n)
    n = ew.cast(n, x.type.dtype)
    return ew.div(total, n) if x.type.dtype.is_floating_point else ew.floor_div(total, n)


def _combining(combine: Callable[[Node, Node], Node]) -> Callable[[Node, Node, _Places], Node]:
    """A rule for what has no scatter of its own: values with one destination are brought together.

    Sorted by destination they are neighbours, and are combined in steps that double, until the last
    of each run holds all of it.
    """

    def rule(x: Node, part: Node, into: _Places) -> Node:
        d = into.dim
        order = wrap(rd.argsort(node_of(into.index), d))
        values = node_of(gather(wrap(part), d, order))
        places = node_of(gather(into.index, d, order))
        n, step = values.type.shape[d], 1
        while step < n:
            here, before = _part(values, d, step, n), _part(values, d, 0, n - step)
            same = ew.eq(_part(places, d, step, n), _part(places, d, 0, n - step))
            tail = ew.where(same, combine(before, here), here)
            values = mv.concat((_part(values, d, 0, step), tail), d)
            step *= 2
        end = mv.full(_part(places, d, 0, 1).type, -1)
        is_last = ew.ne(places, mv.concat((_part(places, d, 1, n), end), d))
        found = _Places(d, places, True).add(mv.zeros(x.type), ew.where(is_last, values, 0))
        reached = ew.gt(into.count(x), 0)
        return ew.where(reached, combine(found, x) if into.include_self else found, x)

    return rule


def _part(x: Node, dim: int, start: int, stop: int) -> Node:
    cuts = [(0, n, 1) for n in x.type.shape]
    cuts[dim] = (start, stop, 1)
    return mv.slice_(x, tuple(cuts))


_INTO: dict[str, Callable[[Node, Node, _Places], Node]] = {
    "sum": _sum_into,
    "mean": _mean_into,
    "prod": _combining(ew.mul),
    "amax": _combining(ew.maximum),
    "amin": _combining(ew.minimum),
}
