"""Primitives that address elements by integers computed at run time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import int64
from ..errors import DTypeError, IndexingError, ShapeError
from ..graph.node import Grads, Node, Op, Shape, TensorType, record, type_of
from .base import broadcast
from .movement import zeros

# In all three, k index nodes address the first k dimensions of `x`, as x[i0, ..., ik-1] does in
# NumPy. `wrap`: negative indices count from the end; else they are out of range.


def _region(wrap: bool, x: TensorType, indices: Sequence[TensorType]) -> Shape:
    if len(indices) > x.ndim:
        raise ShapeError(f"{len(indices)} indices for a tensor of shape {list(x.shape)}")
    for i in indices:
        if i.dtype is not int64:
            raise DTypeError(f"an index must be int64, not {i.dtype}")
    try:
        places = broadcast("indexing", *[i.shape for i in indices])
    except ShapeError as error:
        raise IndexingError(str(error)) from None
    return places + x.shape[len(indices) :]


def _check(wrap: bool, shape: Shape, indices: Sequence[Any]) -> None:
    for dim, index in enumerate(indices):
        size = shape[dim]
        low, high = (-size if wrap else 0), size - 1
        if index.size and (index.min() < low or index.max() > high):
            wrong = index[(index < low) | (index > high)].flat[0]
            raise IndexError(f"index {wrong} is out of range for a dimension of size {size}")


def _reference_take(wrap: bool, x: Any, *indices: Any) -> Any:
    indices = tuple(map(np.asarray, indices))
    _check(wrap, x.shape, indices)
    return x[indices]


def _grad_take(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    _, *indices = node.inputs
    back = put_add(zeros(node.sig.types[0]), g, indices, node.sig.attrs)
    return (back, *[None] * len(indices))


def _infer_take(wrap: bool, x: TensorType, *indices: TensorType) -> TensorType:
    return type_of(_region(wrap, x, indices), x.dtype)


_MAX_INDICES = 64  # as many as NumPy has dimensions

_take = Op(
    "take",
    _infer_take,
    _reference_take,
    _grad_take,
    needs=tuple(range(1, _MAX_INDICES)),
    can_fail=True,
)


def take(x: Node, indices: Sequence[Node], wrap: bool = True) -> Node:
    """``x[i0, i1, ...]``: the indices' common shape, then the rest of ``x``'s."""
    return record(_take, (x, *indices), wrap)


def _infer_put(wrap: bool, x: TensorType, part: TensorType, *indices: TensorType) -> TensorType:
    region = _region(wrap, x, indices)
    if part.shape != region:
        raise ShapeError(
            f"a value of shape {list(part.shape)} does not fit the indexed shape {list(region)}"
        )
    if part.dtype is not x.dtype:
        raise DTypeError(f"a value of {part.dtype} does not fit a tensor of {x.dtype}")
    return x


def _reference_put(wrap: bool, x: Any, part: Any, *indices: Any) -> Any:
    indices = tuple(map(np.asarray, indices))
    _check(wrap, x.shape, indices)
    out = np.array(x)
    out[indices] = part
    return out


def _reference_put_add(wrap: bool, x: Any, part: Any, *indices: Any) -> Any:
    indices = tuple(map(np.asarray, indices))
    _check(wrap, x.shape, indices)
    out = np.array(x)
    np.add.at(out, indices, part)
    return out


def _grad_put(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    _, _, *indices = node.inputs
    wrap = node.sig.attrs
    return (
        put(g, zeros(node.sig.types[1]), indices, wrap) if want[0] else None,
        take(g, indices, wrap) if want[1] else None,
        *[None] * len(indices),
    )


def _grad_put_add(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    _, _, *indices = node.inputs
    return (g, take(g, indices, node.sig.attrs) if want[1] else None, *[None] * len(indices))


_put = Op(
    "put",
    _infer_put,
    _reference_put,
    _grad_put,
    needs=tuple(range(2, _MAX_INDICES)),
    can_fail=True,
)
_put_add = Op(
    "put_add",
    _infer_put,
    _reference_put_add,
    _grad_put_add,
    needs=tuple(range(2, _MAX_INDICES)),
    can_fail=True,
    widen=True,
)


def put(x: Node, part: Node, indices: Sequence[Node], wrap: bool = True) -> Node:
    """``x`` with ``x[i0, i1, ...] = part``; where places repeat, the last one wins."""
    return record(_put, (x, part, *indices), wrap)


def put_add(x: Node, part: Node, indices: Sequence[Node], wrap: bool = True) -> Node:
    """``x`` with ``part`` added at ``[i0, i1, ...]``; places may repeat."""
    return record(_put_add, (x, part, *indices), wrap)


# ---- sorted search


def _infer_searchsorted(right: bool, sequence: TensorType, values: TensorType) -> TensorType:
    if sequence.ndim > 1 and sequence.shape[:-1] != values.shape[:-1]:
        raise ShapeError(
            f"searchsorted: a sequence of shape {list(sequence.shape)} has no row for each row of "
            f"values of shape {list(values.shape)}"
        )
    if sequence.ndim == 0:
        raise ShapeError("searchsorted: the sequence needs at least one dimension")
    return type_of(values.shape, int64)


def _reference_searchsorted(right: bool, sequence: Any, values: Any) -> Any:
    side: Any = "right" if right else "left"
    if sequence.ndim == 1:
        return np.asarray(np.searchsorted(sequence, values, side), np.int64)
    if 0 in (sequence.size, values.size):  # in front of nothing, or nothing
        return np.zeros(values.shape, np.int64)
    rows = zip(
        sequence.reshape(-1, sequence.shape[-1]), values.reshape(-1, values.shape[-1]), strict=True
    )
    found = [np.searchsorted(row, wanted, side) for row, wanted in rows]
    return np.array(found, np.int64).reshape(values.shape)


_searchsorted = Op("searchsorted", _infer_searchsorted, _reference_searchsorted, widen=True)


def searchsorted(sequence: Node, values: Node, right: bool) -> Node:
    """Where values go in rows that ascend; a composition would compare each with each."""
    return record(_searchsorted, (sequence, values), right)
