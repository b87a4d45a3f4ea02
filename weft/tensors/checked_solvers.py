"""Solvers that say which matrices they failed at, in place of raising: names end in ``_ex``.

Whether a matrix can be taken apart is known from its values only, so these compute them at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..graph.node import Node
from ..ops import elementwise as ew
from .core import node_of, wrap
from .creation import eye, from_numpy
from .decompositions import cholesky, inv, is_vector, solve
from .interop import numpy, realize
from .out import with_out

if TYPE_CHECKING:
    from .tensor import Tensor


class CholeskyEx(NamedTuple):
    """What :func:`cholesky_ex` returns."""

    L: Tensor
    info: Tensor


class InvEx(NamedTuple):
    """What :func:`inv_ex` returns."""

    inverse: Tensor
    info: Tensor


class SolveEx(NamedTuple):
    """What :func:`solve_ex` returns."""

    result: Tensor
    info: Tensor


@with_out
def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> CholeskyEx:
    """:func:`weft.linalg.cholesky`, and for each matrix whether it is positive definite.

    Args:
        check_errors: raise as :func:`weft.linalg.cholesky` does.

    Returns:
        The factor, NaN where there is none, and ``info [*]`` of int32: 0, or the size of the first
        leading minor that is not positive definite.
    """
    where = _failures(A, None if check_errors else _first_minor)
    found = cholesky(_regular(A, where), upper=upper)
    return CholeskyEx(*_result(found, where, 2, A))


@with_out
def inv_ex(A: Tensor, *, check_errors: bool = False) -> InvEx:
    """:func:`weft.linalg.inv`, and for each matrix whether it has an inverse.

    Args:
        check_errors: raise as :func:`weft.linalg.inv` does.

    Returns:
        The inverse, NaN where there is none, and ``info [*]`` of int32: 0, or which pivot of the LU
        decomposition is zero, counted from 1.
    """
    where = _failures(A, None if check_errors else _first_zero_pivot)
    return InvEx(*_result(inv(_regular(A, where)), where, 2, A))


@with_out
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> SolveEx:
    """:func:`weft.linalg.solve`, and for each matrix whether it is regular.

    Args:
        check_errors: raise as :func:`weft.linalg.solve` does.

    Returns:
        The solution, NaN where there is none, and ``info [*]`` as of :func:`inv_ex`.
    """
    where = _failures(A, None if check_errors else _first_zero_pivot)
    found = solve(_regular(A, where), B, left=left)
    return SolveEx(*_result(found, where, 1 if is_vector(node_of(A), node_of(B)) else 2, A))


def _failures(A: Tensor, first: Callable[[Any], int] | None) -> Any:
    """For each matrix, 0 or where it fails; 0 for what the solver itself is to refuse."""
    is_square = A.ndim >= 2 and A.shape[-1] == A.shape[-2]
    if first is None or not is_square or not A.dtype.is_inexact:
        return np.zeros(A.shape[:-2], np.int32)
    values = numpy(A, force=True)
    found = [first(values[place]) for place in np.ndindex(values.shape[:-2])]
    return np.array(found, np.int32).reshape(values.shape[:-2])


def _first_minor(a: Any) -> int:
    """The size of the first leading minor that is not positive definite; 0 if all are."""

    def is_definite(size: int) -> bool:
        try:
            return not np.isnan(np.linalg.cholesky(a[:size, :size])).any()
        except np.linalg.LinAlgError:
            return False

    n = len(a)
    return 0 if is_definite(n) else next(k for k in range(1, n + 1) if not is_definite(k))


def _first_zero_pivot(a: Any) -> int:
    """Which pivot is zero when columns are eliminated, rows exchanged; 0 if none is."""
    try:
        np.linalg.inv(a)
    except np.linalg.LinAlgError:
        rest = a.copy()
        for k in range(len(a)):
            top = k + int(np.abs(rest[k:, k]).argmax())
            rest[[k, top]] = rest[[top, k]]
            if rest[k, k] == 0:
                return k + 1
            rest[k + 1 :] -= np.outer(rest[k + 1 :, k] / rest[k, k], rest[k])
        return len(a)  # (rounding differs from LAPACK's)
    return 0


def _regular(A: Tensor, where: Any) -> Tensor:
    """The identity in place of what fails."""
    if not where.any():
        return A
    x = node_of(A)
    identity = node_of(eye(x.type.shape[-1], dtype=x.type.dtype, device=x.type.device))
    return wrap(ew.where(_failed(where, 2, A), identity, x))


def _result(x: Tensor, where: Any, dims: int, A: Tensor) -> tuple[Tensor, Tensor]:
    """``x`` with NaN where it failed, for matrices (``dims`` 2) or vectors (1); and ``info``."""
    if where.any():
        x = wrap(ew.where(_failed(where, dims, A), float("nan"), node_of(x)))
    realize(x)  # an error belongs here
    return x, from_numpy(where).to(A.device)


def _failed(where: Any, dims: int, A: Tensor) -> Node:
    return node_of(from_numpy((where > 0).reshape(*where.shape, *(1,) * dims)).to(A.device))
