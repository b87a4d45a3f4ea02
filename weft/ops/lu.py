"""LU decomposition with exchanged rows: ``x[order] = l @ u``.

As in ``linalg.py``, an op has one result: the factors share an array, as they do in LAPACK, and two
more columns hold the order of the rows and the exchanges that lead to it, as floats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import int32, int64
from ..errors import DTypeError
from ..graph.node import Grads, Node, Op, TensorType, record1, type_of
from .complex import real
from .contract import matmul
from .elementwise import add, cast, detach, eq, sub
from .linalg import _check_matrices, _columns, _eye, _masked, _rows, adjoint, solve
from .movement import arange, concat, reshape


def _infer_lu(attrs: None, x: TensorType) -> TensorType:
    _check_matrices("lu", x, square=False)
    return type_of((*x.shape[:-1], x.shape[-1] + 2), x.dtype)


def _reference_lu(x: Any) -> Any:
    m, n = x.shape[-2:]
    k = min(m, n)
    packed = np.zeros((*x.shape[:-1], n + 2), x.dtype)
    for place in np.ndindex(x.shape[:-2]):
        a, order = packed[place][:, :n], np.arange(m)
        a[:] = x[place]
        swaps = _eliminate(a, order, 0, k)
        a[:k, k:] = np.linalg.solve(_unit_lower(a[:k, :k]), a[:k, k:])
        packed[place][:, n] = order
        packed[place][:k, n + 1] = swaps
    return packed


def _unit_lower(a: Any) -> Any:
    return np.tril(a, -1) + np.eye(len(a), dtype=a.dtype)


def _eliminate(a: Any, order: Any, first: int, last: int) -> list[int]:
    """Eliminates columns ``first`` to ``last``, one half and then the other (Toledo, 1997).

    Returns:
        With which row each was exchanged.
    """
    if last - first > 1:
        middle = (first + last) // 2
        swaps = _eliminate(a, order, first, middle)
        left, right = slice(first, middle), slice(middle, last)
        a[left, right] = np.linalg.solve(_unit_lower(a[left, left]), a[left, right])
        a[middle:, right] -= a[middle:, left] @ a[left, right]
        return swaps + _eliminate(a, order, middle, last)
    if first == last:
        return []
    column = a[first:, first]  # (of complex numbers LAPACK adds the parts up)
    top = first + int((np.abs(column.real) + np.abs(column.imag)).argmax())
    if top != first:
        a[[first, top]] = a[[top, first]]
        order[[first, top]] = order[[top, first]]
    if a[first, first] != 0:
        a[first + 1 :, first] /= a[first, first]
    return [top]


def _grad_lu(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    m, n = node.sig.types[0].shape[-2:]
    k = min(m, n)
    lower, upper = factors(_columns(node, 0, n))
    one, first = _columns(_rows(lower, 0, k), 0, k), _columns(_rows(upper, 0, k), 0, k)
    top = _rows(g, 0, k)
    at = _columns(top, 0, k)
    below = matmul(adjoint(one), _masked(at, "below"))
    above = matmul(sub(at, _masked(at, "below")), adjoint(first))
    if m > n:
        rest = _columns(_rows(g, k, m), 0, k)
        above = sub(above, matmul(adjoint(_rows(lower, k, m)), rest))
    elif n > m:
        rest = _columns(top, k, n)
        below = sub(below, matmul(rest, adjoint(_columns(upper, k, n))))
    inner = add(_masked(below, "below"), sub(above, _masked(above, "below")))
    out = _over(solve(adjoint(one), inner), first)
    if m > n:
        out = concat((out, _over(rest, first)), out.type.ndim - 2)
    elif n > m:
        out = concat((out, solve(adjoint(one), rest)), out.type.ndim - 1)
    return (matmul(permutation(row_order(node, n), node), out),)


def _over(x: Node, upper: Node) -> Node:
    """``x @ inv(upper).mH``."""
    return adjoint(solve(upper, adjoint(x)))


_lu = Op("lu", _infer_lu, _reference_lu, _grad_lu, needs_output=True, analytic=False)


class LU(NamedTuple):
    """Both factors in one array ``[*, m, n]``; ``order [*, m]``; ``swaps [*, min(m, n)]``."""

    factors: Node
    order: Node
    swaps: Node


def row_order(packed: Node, n: int) -> Node:
    column = detach(real(_columns(packed, n, n + 1)))
    return cast(reshape(column, column.type.shape[:-1]), int64)


def lu(x: Node) -> LU:
    """``x[order] = l @ u``; row k was exchanged with row ``swaps[k]``, one after the other."""
    packed = record1(_lu, x)
    m, n = x.type.shape[-2:]
    swaps = detach(real(_columns(_rows(packed, 0, min(m, n)), n + 1, n + 2)))
    numbers = cast(reshape(swaps, swaps.type.shape[:-1]), int32)
    return LU(_columns(packed, 0, n), row_order(packed, n), numbers)


def factors(both: Node) -> tuple[Node, Node]:
    """``l [*, m, k]``, with ones on its diagonal, and ``u [*, k, n]``, of what they share."""
    m, n = both.type.shape[-2:]
    k = min(m, n)
    square = _columns(_rows(both, 0, k), 0, k)
    below = _masked(square, "below")
    lower, upper = add(below, _eye(square)), sub(square, below)
    if m > n:
        lower = concat((lower, _rows(both, k, m)), lower.type.ndim - 2)
    elif n > m:
        upper = concat((upper, _columns(both, k, n)), upper.type.ndim - 1)
    return lower, upper


def permutation(order: Node, like: Node) -> Node:
    """The matrix ``p`` with ``p @ x[order] = x``, in the dtype of ``like``."""
    m = order.type.shape[-1]
    rows = reshape(arange(m, int64), (m, 1))
    columns = reshape(order, (*order.type.shape[:-1], 1, m))
    return cast(eq(rows, columns), like.type.dtype)


# ---- exchanges as an order


def _infer_swapped(m: int, swaps: TensorType) -> TensorType:
    if swaps.dtype.category != 1:
        raise DTypeError(f"exchanges of rows are integers, not {swaps.dtype}")
    return type_of((*swaps.shape[:-1], m), int64)


def _reference_swapped(m: int, swaps: Any) -> Any:
    order = np.broadcast_to(np.arange(m), (*swaps.shape[:-1], m)).copy()
    for place in np.ndindex(swaps.shape[:-1]):
        row = order[place]
        for k, other in enumerate(swaps[place].tolist()):
            row[k], row[other] = row[other], row[k]
    return order


_swapped = Op("swapped_rows", _infer_swapped, _reference_swapped, None)


def swapped_rows(swaps: Node, m: int) -> Node:
    """The order of ``m`` rows after row k was exchanged with row ``swaps[k]``, for all k."""
    return record1(_swapped, swaps, m)
