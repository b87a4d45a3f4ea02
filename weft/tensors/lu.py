"""LU decompositions and what is solved by them; products of Householder's reflections."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..dtypes import int32
from ..errors import LinAlgError, OptionError, ShapeError
from ..graph.node import Node
from ..ops import elementwise as ew, linalg as la, lu as factor, movement as mv
from ..ops.contract import matmul as matmul_op
from .autocasting import in_full_precision
from .core import node_of, wrap
from .creation import eye
from .decompositions import qr, svd
from .linalg import matmul
from .out import with_out
from .random import randn

if TYPE_CHECKING:
    from .tensor import Tensor


class PLU(NamedTuple):
    """What :func:`lu` returns."""

    P: Tensor
    L: Tensor
    U: Tensor


class Factor(NamedTuple):
    """What :func:`lu_factor` returns."""

    LU: Tensor
    pivots: Tensor


class FactorEx(NamedTuple):
    """What :func:`lu_factor_ex` returns."""

    LU: Tensor
    pivots: Tensor
    info: Tensor


def _pivoted(name: str, pivot: bool) -> None:
    if not pivot:
        raise OptionError(f"{name}: pivot=False is not there: without exchanges it is not stable")


@with_out
@in_full_precision
def lu(A: Tensor, *, pivot: bool = True) -> PLU:
    """``A = P @ L @ U``: a permutation, a lower triangle with ones on its diagonal, an upper one.

    Shape:
        ``A [*, m, n]``; ``P [*, m, m]``, ``L [*, m, k]``, ``U [*, k, n]`` with k the lesser.

    Raises:
        OptionError: for ``pivot=False``.
    """
    _pivoted("lu", pivot)
    found = factor.lu(node_of(A))
    lower, upper = factor.factors(found.factors)
    return PLU(wrap(factor.permutation(found.order, lower)), wrap(lower), wrap(upper))


@with_out
@in_full_precision
def lu_factor(A: Tensor, *, pivot: bool = True) -> Factor:
    """Both factors of :func:`lu` in one tensor, and with which row each was exchanged, from 1.

    Raises:
        OptionError: for ``pivot=False``.
    """
    _pivoted("lu_factor", pivot)
    found = factor.lu(node_of(A))
    return Factor(wrap(found.factors), wrap(ew.add(found.swaps, 1)))


@with_out
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> FactorEx:
    """:func:`lu_factor`, and for each matrix which pivot is the first that is 0, from 1; or 0.

    Raises:
        LinAlgError: if any is, with ``check_errors``.
    """
    both, pivots = lu_factor(A, pivot=pivot)
    diagonal = both.diagonal(dim1=-2, dim2=-1) == 0
    places = diagonal.int().argmax(-1) + 1
    info = wrap(ew.cast(ew.where(node_of(diagonal.any(-1)), node_of(places), 0), int32))
    if check_errors and bool(info.any()):
        raise LinAlgError(f"lu_factor: a pivot is 0: info={info.tolist()}")
    return FactorEx(both, pivots, info)


def _ordered(x: Node, order: Node) -> Node:
    """The rows of matrices in the given order; batches broadcast."""
    return matmul_op(mv.swap_last(factor.permutation(order, x)), x)


@with_out
@in_full_precision
def lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False
) -> Tensor:
    """``X`` with ``A @ X = B``, for the ``A`` that :func:`lu_factor` was given.

    Args:
        left: unless True, ``X @ A = B``.
        adjoint: the adjoint of ``A`` in its place.
    """
    if not left:
        turned: Tensor = lu_solve(LU, pivots, B.mH, adjoint=not adjoint).mH
        return turned
    lower, upper = factor.factors(node_of(LU))
    order = factor.swapped_rows(ew.sub(node_of(pivots), 1), LU.shape[-2])
    b = node_of(B)
    if not adjoint:
        return wrap(la.solve(upper, la.solve(lower, _ordered(b, order))))
    y = la.solve(la.adjoint(lower), la.solve(la.adjoint(upper), b))
    return wrap(matmul_op(factor.permutation(order, y), y))


@with_out
def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> PLU:
    """The three factors of what :func:`lu_factor` returned; those not asked for are empty."""
    none = wrap(mv.zeros(node_of(LU_data.new_empty(0)).type))
    p = lower = upper = none
    if unpack_data:
        lower, upper = map(wrap, factor.factors(node_of(LU_data)))
    if unpack_pivots:
        order = factor.swapped_rows(ew.sub(node_of(LU_pivots), 1), LU_data.shape[-2])
        p = wrap(factor.permutation(order, node_of(LU_data)))
    return PLU(p, lower, upper)


# ---- Householder's reflections


def _reflections(input: Tensor, tau: Tensor) -> tuple[Node, Node]:
    """The vectors ``v [*, m, k]`` and ``t [*, k, k]`` of a product ``1 - v @ t @ v.mH``.

    (Schreiber and Van Loan, "A storage-efficient WY representation", 1989)

    Raises:
        ShapeError: for more reflections than rows or columns.
    """
    a, factors = node_of(input), node_of(tau)
    k = factors.type.shape[-1] if factors.type.ndim else 0
    if (
        a.type.ndim < 2
        or a.type.shape[:-2] != factors.type.shape[:-1]
        or min(a.type.shape[-2:]) < k
    ):
        raise ShapeError(
            f"reflections of shapes {list(a.type.shape)} and {list(factors.type.shape)}: [*, m, n] "
            "and [*, k] are expected, with no more of them than rows and columns"
        )
    v = factor.factors(mv.slice_(a, (*a.type.whole[:-1], (0, k, 1))))[0]
    inner = matmul_op(la.adjoint(v), v)
    above = la.adjoint(la._masked(la.adjoint(inner), "below"))
    scale = mv.reshape(factors, (*factors.type.shape, 1))
    unit = la._eye(inner)
    t = la.solve(ew.add(ew.mul(scale, above), unit), ew.mul(scale, unit))
    return v, t


def _product(x: Node, v: Node, t: Node) -> Node:
    return ew.sub(x, matmul_op(v, matmul_op(t, matmul_op(la.adjoint(v), x))))


@with_out
@in_full_precision
def householder_product(input: Tensor, tau: Tensor) -> Tensor:
    """The first columns of a product of reflections ``1 - tau[k] * v @ v.mH``.

    Shape:
        ``input [*, m, n]``, whose columns hold the vectors below the diagonal, where these are 1;
        ``tau [*, k]``; the result ``[*, m, n]``.

    Raises:
        ShapeError: for more columns than rows, or more reflections than columns.
    """
    v, t = _reflections(input, tau)
    m, n = input.shape[-2:]
    if n > m:
        raise ShapeError(f"householder_product: more columns than rows: {list(input.shape)}")
    unit = node_of(eye(m, n, dtype=input.dtype, device=input.device))
    return wrap(_product(mv.expand(unit, node_of(input).type.shape), v, t))


@with_out
@in_full_precision
def ormqr(
    input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False
) -> Tensor:
    """The whole product of :func:`householder_product`, ``[m, m]``, times a matrix.

    Args:
        left: else the matrix times it.
        transpose: its adjoint in its place.
    """
    if not left:
        turned: Tensor = ormqr(input, tau, other.mH, True, not transpose).mH
        return turned
    v, t = _reflections(input, tau)
    return wrap(_product(node_of(other), v, la.adjoint(t) if transpose else t))


# ---- few of many singular vectors


def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """``U``, ``S`` and ``V`` of about the first ``q`` singular values of ``A`` (less ``M``).

    By random vectors, each iteration nearer. (Halko, Martinsson and Tropp, "Finding structure with
    randomness", 2009, 5.1)
    """
    x = A if M is None else A - M
    if x.shape[-2] < x.shape[-1]:
        u, s, v = svd_lowrank(x.mT, q, niter)
        return v, s, u
    count = 6 if q is None else q
    vectors = randn(x.shape[-1], count, dtype=A.dtype, device=A.device)
    basis = qr(matmul(x, vectors)).Q
    for _ in range(2 if niter is None else niter):
        basis = qr(matmul(x, qr(matmul(x.mH, basis)).Q)).Q
    u, s, vh = svd(matmul(basis.mH, x), full_matrices=False)
    return matmul(basis, u), s, vh.mH


def pca_lowrank(
    A: Tensor, q: int | None = None, center: bool = True, niter: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`svd_lowrank` of the rows of ``A``, less their mean unless ``center`` is False.

    Raises:
        OptionError: for more than there are, or fewer than none.
    """
    m, n = A.shape[-2:]
    count = min(6, m, n) if q is None else q
    if not 0 <= count <= min(m, n) or niter < 0:
        raise OptionError(f"pca_lowrank: q={count}, niter={niter} of a matrix {[m, n]}")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, count, niter)
