"""Finding elements: sorted search, counting, distinct values.

The shape of what :func:`unique`, :func:`bincount` and the like return depends on values, so these
run the graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ..dtypes import bfloat16, float32, int32
from ..engine.realize import value_of
from ..errors import DTypeError, OptionError, ShapeError
from ..ops import elementwise as ew, movement as mv, reduce as rd
from ..ops.base import dim_with_size, normal_dim
from ..ops.index import searchsorted as search_op
from .core import is_number, node_of, wrap
from .creation import as_leaf
from .elementwise import Operand, operand, promoted, where as choose
from .indexing import index_select, nonzero
from .numpy_names import with_numpy_names
from .out import with_out, written
from .reductions import sort
from .shape import reshape

if TYPE_CHECKING:
    from .tensor import Tensor


@overload
def where(condition: Tensor) -> tuple[Tensor, ...]: ...
@overload
def where(
    condition: Tensor, input: Operand, other: Operand, *, out: Tensor | None = None
) -> Tensor: ...
def where(
    condition: Tensor, input: Operand = None, other: Operand = None, *, out: Tensor | None = None
) -> Any:
    """``input`` where ``condition`` holds, else ``other``; all three broadcast.

    Of a condition alone: where it is not zero, a tensor for each dimension, as
    ``nonzero(as_tuple=True)``; this runs the graph.

    Raises:
        DTypeError: if ``condition`` is not bool, with the others.
        TypeError: for one of the others alone.
    """
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    if input is None or other is None:
        raise TypeError("where takes both input and other, or neither of them")
    result = choose(condition, input, other)
    return result if out is None else written("where", out, result)


def argwhere(input: Tensor) -> Tensor:
    """The places of the nonzero elements, one row each. Runs the graph."""
    return nonzero(input)  # type: ignore[no-any-return]


@with_out
def msort(input: Tensor) -> Tensor:
    """Sorted along the first dimension."""
    return sort(input, 0).values


# ---- sorted search


@with_out
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where to put each element of ``input`` so that the sequence stays sorted.

    Args:
        sorted_sequence: ascending along the last dimension; one row for all, or one for each row
            of ``input``.
        right: behind equal elements (also ``side="right"``), not in front of them.
        sorter: the order that sorts the sequence, if it is not sorted.

    Raises:
        ShapeError: if the leading dimensions differ.
        OptionError: if ``right`` and ``side`` disagree.
    """
    if side not in (None, "left", "right") or (right and side == "left"):
        raise OptionError(f"searchsorted: right={right} with side={side!r}")
    sequence = node_of(sorted_sequence)
    if is_number(input):
        number = operand(input, sequence.type.dtype)
        values = number
    else:
        values = node_of(input)
        if values.type.dtype is not sequence.type.dtype:
            raise DTypeError(
                f"searchsorted of {values.type.dtype} in a sequence of {sequence.type.dtype}: "
                "convert one with .to()"
            )
    if sorter is not None:
        sequence = node_of(sorted_sequence.gather(-1, sorter))
    found = search_op(sequence, values, right or side == "right")
    return wrap(ew.cast(found, int32) if out_int32 else found)


@with_out
def bucketize(
    input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    """Between which of the ascending ``boundaries`` each element lies.

    Raises:
        ShapeError: unless ``boundaries`` is a vector.
    """
    shape = node_of(boundaries).type.shape
    if len(shape) != 1:
        raise ShapeError(f"bucketize takes a vector of boundaries, not shape {list(shape)}")
    bounds, values = promoted(boundaries, input)
    found = search_op(bounds, values, right)
    return wrap(ew.cast(found, int32) if out_int32 else found)


@with_out
def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Tensor:
    """Is each of ``elements`` among ``test_elements``?"""
    x, among = promoted(elements, test_elements)
    among = mv.reshape(among, (among.type.size,))
    if among.type.size == 0:
        found = ew.ne(x, x) if not x.type.dtype.is_floating_point else ew.lt(x, x)
    else:
        order = rd.argsort(among, 0)
        ordered = node_of(index_select(wrap(among), 0, wrap(order)))
        place = ew.minimum(search_op(ordered, x, False), among.type.size - 1)
        flat = wrap(mv.reshape(place, (x.type.size,)))
        nearest = node_of(index_select(wrap(ordered), 0, flat))
        found = ew.eq(mv.reshape(nearest, x.type.shape), x)
    return wrap(ew.logical_not(found) if invert else found)


# ---- counting


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each integer from 0 on occurs (or the sum of its weights). Runs the graph.

    Raises:
        DTypeError: unless ``input`` holds integers.
        ShapeError: unless it is a vector, and ``weights`` of the same length.
        OptionError: for negative integers, or a negative ``minlength``.
    """
    x = node_of(input)
    if x.type.dtype.category != 1:
        raise DTypeError(f"bincount takes integers, not {x.type.dtype}")
    if x.type.ndim != 1 or (weights is not None and weights.shape != x.type.shape):
        raise ShapeError(
            f"bincount takes vectors of one length, not shapes {list(x.type.shape)}"
            + ("" if weights is None else f" and {list(weights.shape)}")
        )
    if minlength < 0:
        raise OptionError(f"bincount: minlength must not be negative: {minlength}")
    array = np.asarray(value_of(x))
    if array.size and array.min() < 0:
        raise OptionError(f"bincount takes no negative integers, but {array.min()} is among them")
    if weights is None:
        return wrap(as_leaf(np.bincount(array, minlength=minlength), x.type.device))
    w = np.asarray(value_of(node_of(weights)))
    counts = np.bincount(array, w, minlength)
    kind = np.float32 if w.dtype == np.float32 else np.float64
    return wrap(as_leaf(counts.astype(kind), x.type.device))


@with_numpy_names
def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element along ``dim`` so many times in a row; without ``dim``, of all in one dimension.

    ``repeat_interleave(repeats)`` gives the places instead: ``repeats[0]`` zeros, and so on.

    Args:
        repeats: a number, or one for each place (then the graph runs).
        output_size: what the repeats add up to, which is checked.

    Raises:
        ShapeError: if there are not as many repeats as places.
        OptionError: for negative repeats.
    """
    if repeats is None:
        places = _repeated_places(input, node_of(input).type.size, output_size)
        return wrap(as_leaf(places, node_of(input).type.device))
    x = reshape(input, -1) if dim is None or node_of(input).type.ndim == 0 else input
    d = normal_dim("repeat_interleave", 0 if dim is None else dim, node_of(x).type.ndim)
    shape = node_of(x).type.shape
    if isinstance(repeats, int):
        if repeats < 0:
            raise OptionError(f"repeat_interleave: repeats must not be negative: {repeats}")
        spread = mv.reshape(node_of(x), (*shape[: d + 1], 1, *shape[d + 1 :]))
        spread = mv.expand(spread, (*shape[: d + 1], repeats, *shape[d + 1 :]))
        return wrap(mv.reshape(spread, (*shape[:d], shape[d] * repeats, *shape[d + 1 :])))
    places = _repeated_places(repeats, shape[d], output_size)
    return index_select(x, d, wrap(as_leaf(places)))


def _repeated_places(repeats: Tensor, n: int, output_size: int | None) -> Any:
    times = np.asarray(value_of(node_of(repeats)))
    if times.ndim > 1 or times.size not in (1, n):
        raise ShapeError(f"repeat_interleave: repeats of shape {list(times.shape)} for {n} places")
    if times.size and times.min() < 0:
        raise OptionError(f"repeat_interleave: repeats must not be negative: {times.min()}")
    places = np.repeat(np.arange(n), np.broadcast_to(times, (n,)))
    if output_size is not None and places.size != output_size:
        raise OptionError(f"repeat_interleave: output_size={output_size}, but it is {places.size}")
    return places.astype(np.int64)


# ---- distinct values


def _rows(name: str, input: Tensor, dim: int | None) -> tuple[Any, int]:
    """The values as an array with what is compared (elements, or slices) first."""
    x = node_of(input)
    if x.type.dtype is bfloat16:  # NumPy cannot sort it by itself; float32 holds it exactly
        x = ew.cast(x, float32)
    array = np.asarray(value_of(x))
    if dim is None:
        return array.reshape(-1), 0
    d = dim_with_size(name, dim, array.shape)
    return np.moveaxis(array, d, 0), d


def _results(input: Tensor, values: Any, dim: int | None, d: int, inverse: Any, counts: Any) -> Any:
    if dim is not None and values.ndim:
        values = np.moveaxis(values, 0, d)
    place = node_of(input).type.device
    node = ew.cast(as_leaf(np.ascontiguousarray(values), place), node_of(input).type.dtype)
    out = [wrap(node)]
    if inverse is not None:
        shape = node_of(input).type.shape if dim is None else (-1,)
        out.append(wrap(as_leaf(inverse.reshape(shape).astype(np.int64), place)))
    if counts is not None:
        out.append(wrap(as_leaf(counts.astype(np.int64), place)))
    return out[0] if len(out) == 1 else tuple(out)


@with_numpy_names
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements (or, with ``dim``, slices), sorted. Runs the graph.

    Args:
        return_inverse: also where each element is among them.
        return_counts: also how often each of them occurs.
    """
    array, d = _rows("unique", input, dim)
    if dim is not None and 0 in array.shape[1:]:
        raise ShapeError(f"unique: slices of shape {list(array.shape[1:])} have no elements")
    values, inverse, counts = np.unique(
        array,
        return_inverse=True,
        return_counts=True,
        axis=None if dim is None else 0,
        equal_nan=False,
    )
    return _results(
        input,
        values,
        dim,
        d,
        inverse if return_inverse else None,
        counts if return_counts else None,
    )


@with_numpy_names
def unique_consecutive(
    input: Tensor,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """Without the elements (or, with ``dim``, slices) that equal the one before. Runs the graph.

    Args:
        return_inverse: also where each element is among the rest.
        return_counts: also how long each run is.
    """
    array, d = _rows("unique_consecutive", input, dim)
    n = array.shape[0]
    begins = np.ones(n, np.bool_)
    if n:
        begins[1:] = (array[1:] != array[:-1]).any(tuple(range(1, array.ndim)))
    starts = np.flatnonzero(begins)
    inverse = np.cumsum(begins) - 1 if return_inverse else None
    counts = np.diff(np.append(starts, n)) if return_counts else None
    return _results(input, array[starts], dim, d, inverse, counts)
