"""``weft.linalg``: norms, determinants, systems of equations, decompositions. All take batches."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..dtypes import as_dtype, dtype, float32, float64
from ..errors import DTypeError, OptionError, ShapeError
from ..graph.node import Node, type_of
from ..ops import elementwise as ew, linalg as la, movement as mv, reduce as rd
from ..ops.base import normal_dim
from ..ops.contract import matmul as matmul_op
from .autocasting import in_full_precision, in_low_precision
from .core import node_of, wrap
from .out import with_out
from .placing import diag_embed
from .products import cross as cross_of
from .reductions import Dims, norm as norm_of, squared
from .shape import movedim

if TYPE_CHECKING:
    from .tensor import Tensor

# ---- norms


@with_out
def vector_norm(
    x: Tensor,
    ord: float = 2,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: dtype | None = None,
) -> Tensor:
    """The norm of order ``ord`` of all elements along ``dim`` (all by default)."""
    return norm_of(_as(x, dtype), ord, dim, keepdim)


def _as(x: Tensor, to: dtype | None) -> Tensor:
    return x if to is None else wrap(ew.cast(node_of(x), as_dtype(to)))


@with_out
def matrix_norm(
    A: Tensor,
    ord: float | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: dtype | None = None,
) -> Tensor:
    """The norm of matrices in the two dimensions ``dim``.

    Args:
        ord: "fro" (root of the sum of squares), "nuc" (sum of the singular values), inf or -inf
            (extreme row sum), 1 or -1 (extreme column sum), 2 or -2 (extreme singular value).

    Raises:
        ShapeError: unless ``dim`` names two dimensions.
        OptionError: for another ``ord``.
    """
    x = _as(A, dtype)
    ndim = node_of(x).type.ndim
    dims = [normal_dim("matrix_norm", d, ndim) for d in dim]
    if len(dims) != 2 or dims[0] == dims[1]:
        raise ShapeError(f"matrix_norm: dim={tuple(dim)} does not name two dimensions")
    if ord == "fro":
        return norm_of(x, 2, dims, keepdim)
    m = movedim(x, dims, (-2, -1))
    if ord in ("nuc", 2, -2):
        values = node_of(svdvals(m))
        last = (values.type.ndim - 1,)
        reduce = {"nuc": rd.sum_, 2: rd.max_, -2: rd.min_}[ord]
        y = wrap(reduce(values, last))
    elif ord in (1, -1, inf, -inf):
        sums = m.abs().sum(-2 if abs(float(ord)) == 1 else -1)
        y = sums.amax(-1) if float(ord) > 0 else sums.amin(-1)
    else:
        raise OptionError(
            f"matrix_norm of order {ord!r}: 'fro', 'nuc', inf, 1, 2 or their negatives"
        )
    for d in sorted(dims) if keepdim else ():
        y = y.unsqueeze(d)
    return y


@with_out
def norm(
    A: Tensor,
    ord: Any = None,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: dtype | None = None,
) -> Tensor:
    """:func:`matrix_norm` for two dimensions (given by ``dim``, or all there are), else
    :func:`vector_norm`; without ``ord``, the root of the sum of squares.
    """
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    pair = None if dim is None or isinstance(dim, int) else tuple(dim)
    if dim is None and (isinstance(ord, str) or node_of(A).type.ndim == 2):
        pair = (-2, -1)
        if node_of(A).type.ndim != 2:
            raise ShapeError(f"norm of order {ord!r} takes a matrix: name two dimensions in dim=")
    if pair is not None and len(pair) == 2:
        return matrix_norm(A, ord, pair, keepdim, dtype=dtype)
    return vector_norm(A, ord, dim, keepdim, dtype=dtype)


# ---- determinants and systems of equations


@with_out
def det(A: Tensor) -> Tensor:
    """Determinant. The gradient of a singular matrix is good to half of the digits."""
    return wrap(la.det(node_of(A)))


class SignLogabsdet(NamedTuple):
    """What :func:`slogdet` returns."""

    sign: Tensor
    logabsdet: Tensor


@with_out
def slogdet(A: Tensor) -> SignLogabsdet:
    """Sign of the determinant, and the logarithm of its absolute value."""
    x = node_of(A)
    return SignLogabsdet(wrap(la.signdet(x)), wrap(la.logabsdet(x)))


@with_out
def logdet(input: Tensor) -> Tensor:
    """Logarithm of the determinant: NaN if that is negative, -inf if it is 0."""
    sign, size = slogdet(input)
    if sign.is_complex():
        return sign.log() + size
    return wrap(ew.where(ew.lt(node_of(sign), 0), float("nan"), node_of(size)))


@with_out
@in_full_precision
def inv(A: Tensor) -> Tensor:
    """Inverse matrix."""
    return wrap(la.inverse_matrix(node_of(A)))


@with_out
@in_full_precision
def inverse(input: Tensor) -> Tensor:
    """Inverse matrix."""
    return inv(input)


def is_vector(a: Node, b: Node) -> bool:
    """Is the right-hand side of :func:`solve` a vector, or a batch of vectors?"""
    return b.type.ndim == 1 or (a.type.ndim > 2 and b.type.shape == a.type.shape[:-1])


@with_out
@in_full_precision
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """``X`` with ``A @ X = B`` (or ``X @ A = B``, unless ``left``).

    Shape:
        ``A [*, n, n]``; ``B [*, n, k]``, or a vector ``[n]`` or batch of vectors ``[*, n]``.
    """
    a, b = node_of(A), node_of(B)
    one_column = is_vector(a, b)
    if one_column:
        b = mv.reshape(b, (*b.type.shape, 1) if left else (*b.type.shape[:-1], 1, b.type.shape[-1]))
    if left:
        y = la.solve(a, b)
    else:
        y = mv.swap_last(la.solve(mv.swap_last(a), mv.swap_last(b)))
    if one_column:
        y = mv.reshape(y, y.type.shape[:-1] if left else (*y.type.shape[:-2], y.type.shape[-1]))
    return wrap(y)


@with_out
def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """:func:`solve` where only one triangle of ``A`` counts.

    Args:
        upper: the upper one; else the lower.
        unitriangular: the diagonal counts as 1.
    """
    a = A.triu() if upper else A.tril()
    if unitriangular:
        n = node_of(A).type.shape[-1]
        place = mv.arange(n, as_dtype("int64"))
        diagonal = ew.eq(mv.reshape(place, (n, 1)), place)
        a = wrap(ew.where(diagonal, 1, node_of(a)))
    return solve(a, B, left=left)


@with_out
@in_low_precision
def matrix_power(A: Tensor, n: int) -> Tensor:
    """``n`` matrices multiplied, by squaring; inverses for a negative ``n``."""
    x = node_of(A)
    if x.type.ndim < 2 or x.type.shape[-1] != x.type.shape[-2]:
        raise ShapeError(f"matrix_power takes square matrices, not shape {list(x.type.shape)}")
    if n == 0:
        size = x.type.shape[-1]
        place = mv.arange(size, as_dtype("int64"))
        one = ew.cast(ew.eq(mv.reshape(place, (size, 1)), place), x.type.dtype)
        return wrap(ew.over(mv.expand(one, x.type.shape), x))
    base = la.inverse_matrix(x) if n < 0 else x
    n, result = abs(n), None
    while n:
        if n % 2:
            result = base if result is None else matmul_op(result, base)
        n //= 2
        base = matmul_op(base, base) if n else base
    assert result is not None
    return wrap(ew.same(result) if result is x else result)


def matrix_exp(A: Tensor) -> Tensor:
    """The exponential of square matrices: the sum of ``A**k / k!``."""
    return wrap(la.matrix_exp(node_of(A)))


@with_out
@in_low_precision
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of several matrices (first and last may be vectors), in the cheapest order.

    Raises:
        ShapeError: for fewer than two.
    """
    if len(tensors) < 2:
        raise ShapeError(f"multi_dot takes at least two matrices, not {len(tensors)}")
    first, last = tensors[0], tensors[-1]
    parts = list(tensors)
    if first.ndim == 1:
        parts[0] = first.unsqueeze(0)
    if last.ndim == 1:
        parts[-1] = last.unsqueeze(1)
    y = _chain(parts, _order([x.shape[0] for x in parts] + [parts[-1].shape[1]]), 0, len(parts) - 1)
    if first.ndim == 1:
        y = y.squeeze(0)
    return y.squeeze(-1) if last.ndim == 1 else y


def _order(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Where to split each product of a chain: Cormen et al., Introduction to Algorithms, 15.2."""
    n = len(sizes) - 1
    cost = {(i, i): 0 for i in range(n)}
    split = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            options = [
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            ]
            cost[i, j], split[i, j] = min(options)
    return split


def _chain(parts: list[Tensor], split: dict[tuple[int, int], int], i: int, j: int) -> Tensor:
    if i == j:
        return parts[i]
    k = split[i, j]
    return _chain(parts, split, i, k).mm(_chain(parts, split, k + 1, j))


# ---- decompositions


@with_out
@in_full_precision
def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular ``L`` with ``L @ L.mH = A`` (or its adjoint, with ``upper``)."""
    lower = la.cholesky(node_of(A))
    return wrap(la.adjoint(lower) if upper else lower)


@with_out
@in_full_precision
def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """``X`` with ``A @ X = B``, for the ``A`` of which ``L`` is the Cholesky factor."""
    lower = L.mH if upper else L
    return solve_triangular(lower.mH, solve_triangular(lower, B, upper=False), upper=True)


@with_out
@in_full_precision
def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """The inverse of the matrix of which ``L`` is the Cholesky factor."""
    ones = wrap(mv.full(type_of(L.shape[-1:], L.dtype, L.device), 1))
    return cholesky_solve(diag_embed(ones), L, upper)


class QR(NamedTuple):
    """What :func:`qr` returns."""

    Q: Tensor
    R: Tensor


@with_out
@in_full_precision
def qr(A: Tensor, mode: str = "reduced") -> QR:
    """``A = Q @ R`` with orthonormal columns in ``Q`` and upper triangular ``R``.

    Args:
        mode: "reduced"; "complete", with a square ``Q``; "r", with an empty one.

    The columns that complete the ``Q`` of a tall matrix are any: a gradient is right if it does not
    depend on which, as that of their projection does not.

    Raises:
        OptionError: for another ``mode``.
    """
    if mode not in ("reduced", "complete", "r"):
        raise OptionError(f"qr: mode must be 'reduced', 'complete' or 'r', not {mode!r}")
    x = node_of(A)
    is_tall = x.type.ndim >= 2 and x.type.shape[-2] > x.type.shape[-1]
    q, r = (la.complete_qr if mode == "complete" and is_tall else la.qr)(x)
    return QR(
        wrap(mv.zeros(type_of((0,), x.type.dtype, x.type.device)) if mode == "r" else q), wrap(r)
    )


class Eigh(NamedTuple):
    """What :func:`eigh` returns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


@with_out
@in_full_precision
def eigh(A: Tensor, UPLO: str = "L") -> Eigh:
    """Eigenvalues, ascending, and eigenvectors (columns) of symmetric matrices.

    Args:
        UPLO: the triangle that is read: "L" or "U".
    """
    if UPLO not in ("L", "U"):
        raise OptionError(f"eigh: UPLO must be 'L' or 'U', not {UPLO!r}")
    x = node_of(A)
    values, vectors = la.eigh(x, UPLO)
    return Eigh(wrap(values), wrap(vectors))


class Eig(NamedTuple):
    """What :func:`eig` returns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


@with_out
@in_full_precision
def eig(A: Tensor) -> Eig:
    """Eigenvalues and eigenvectors (columns, of length 1) of square matrices: always complex.

    A gradient is right if it does not depend on the vectors' angles, which are any.
    """
    values, vectors = la.eig(node_of(A))
    return Eig(wrap(values), wrap(vectors))


@with_out
@in_full_precision
def eigvals(A: Tensor) -> Tensor:
    """Eigenvalues of square matrices: always complex."""
    return eig(A).eigenvalues


@with_out
@in_full_precision
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """Eigenvalues of symmetric matrices, ascending."""
    return eigh(A, UPLO).eigenvalues


class SVD(NamedTuple):
    """What :func:`svd` returns."""

    U: Tensor
    S: Tensor
    Vh: Tensor


@with_out
@in_full_precision
def svd(A: Tensor, full_matrices: bool = True) -> SVD:
    """``A = U @ diag(S) @ Vh``, with orthonormal columns in ``U`` and rows in ``Vh``.

    Args:
        full_matrices: ``U`` and ``Vh`` are square. What belongs to no singular value has no
            gradient, and is arbitrary.
    """
    u, s, vh = la.svd(node_of(A), full_matrices)
    return SVD(wrap(u), wrap(s), wrap(vh))


@with_out
@in_full_precision
def svdvals(A: Tensor) -> Tensor:
    """Singular values, descending."""
    return svd(A, full_matrices=False).S


def _tolerances(name: str, A: Tensor, atol: Any, rtol: Any) -> tuple[float, float]:
    kind = node_of(A).type
    if kind.dtype.to_real() not in (float32, float64):
        raise DTypeError(
            f"{name} takes float32, float64 or their complex dtypes, not {kind.dtype}: convert "
            "with .to()"
        )
    if rtol is None:
        rtol = max(kind.shape[-2:], default=0) * float(np.finfo(kind.dtype.numpy).eps)
        rtol = 0.0 if atol is not None and float(atol) > 0 else rtol
    return float(atol or 0.0), float(rtol)


@with_out
def pinv(A: Tensor, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Tensor:
    """The pseudoinverse (Moore and Penrose).

    Args:
        atol, rtol: singular values up to ``max(atol, rtol * largest)`` count as 0; by default
            ``rtol`` is the longer side times the dtype's precision.
        hermitian: ``A`` is its own adjoint; its lower triangle is read.
    """
    x = la.hermitian(node_of(A)) if hermitian else node_of(A)
    return wrap(la.pinv(x, *_tolerances("pinv", A, atol, rtol)))


@with_out
@in_full_precision
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudoinverse; singular values up to ``rcond * largest`` count as 0."""
    return pinv(input, rtol=rcond)


@with_out
@in_full_precision
def cond(A: Tensor, p: Any = None) -> Tensor:
    """The condition number by a norm: by the singular values (None, 2, -2), or any matrix norm."""
    if p in (None, 2, -2):
        values = svdvals(A)
        largest, least = values.amax(-1), values.amin(-1)
        return least / largest if p == -2 else largest / least
    return matrix_norm(A, p) * matrix_norm(inv(A), p)


@with_out
@in_full_precision
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of :func:`weft.tensordot` with ``A`` over its first ``ind`` dimensions.

    Raises:
        OptionError: unless ``ind`` is positive.
        ShapeError: unless the sizes before and after ``ind`` have one product.
    """
    if ind <= 0:
        raise OptionError(f"tensorinv: ind must be positive, not {ind}")
    first, last = A.shape[:ind], A.shape[ind:]
    if prod(first) != prod(last):
        raise ShapeError(f"tensorinv: the products of {list(first)} and {list(last)} must be equal")
    return inv(A.reshape(prod(first), -1)).reshape(*last, *first)


@with_out
@in_full_precision
def tensorsolve(A: Tensor, B: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """``X`` with ``tensordot(A, X, X.ndim) = B``; ``dims`` of ``A`` are moved to its end first.

    Raises:
        ShapeError: unless ``A`` has as many equations as unknowns.
    """
    if dims is not None:
        A = movedim(A, dims, range(A.ndim - len(dims), A.ndim))
    unknowns = A.shape[B.ndim :]
    if prod(unknowns) != B.numel():
        raise ShapeError(
            f"tensorsolve: {B.numel()} equations (shape {list(B.shape)}) for {prod(unknowns)} "
            f"unknowns (shape {list(unknowns)})"
        )
    return solve(A.reshape(B.numel(), -1), B.reshape(-1)).reshape(unknowns)


@with_out
@in_full_precision
def matrix_rank(
    A: Tensor, *, atol: Any = None, rtol: Any = None, hermitian: bool = False
) -> Tensor:
    """The number of singular values that do not count as 0 (see :func:`pinv`)."""
    absolute, relative = _tolerances("matrix_rank", A, atol, rtol)
    s = ew.detach(node_of(svdvals(wrap(la.hermitian(node_of(A))) if hermitian else A)))
    if s.type.size == 0:
        return wrap(mv.zeros(type_of(s.type.shape[:-1], as_dtype("int64"), s.type.device)))
    last = (s.type.ndim - 1,)
    least = ew.maximum(ew.mul(rd.max_(s, last, True), relative), absolute)
    return wrap(rd.sum_(ew.cast(ew.gt(s, least), as_dtype("int64")), last))


class LeastSquares(NamedTuple):
    """What :func:`lstsq` returns."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


@with_out
@in_full_precision
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """``X`` for which ``A @ X - B`` is smallest; of several, the smallest ``X``.

    Args:
        rcond: singular values up to ``rcond * largest`` count as 0 (see :func:`pinv`).
        driver: PyTorch's choice of algorithm ("gelsy" by default), which here only decides what is
            computed besides the solution.

    Returns:
        solution; sums of squared residuals (not with "gelsy", and only of more equations than
        unknowns); rank (not with "gels"); singular values (with "gelss" and "gelsd"). What there is
        not is empty.
    """
    a, b = node_of(A), node_of(B)
    is_vector = b.type.ndim == 1 or b.type.ndim == a.type.ndim - 1
    right = mv.reshape(b, (*b.type.shape, 1)) if is_vector else b
    x = matmul_op(node_of(pinv(A, rtol=rcond)), right)
    none = mv.zeros(type_of((0,), x.type.dtype.to_real(), x.type.device))
    residuals = none
    if driver not in (None, "gelsy") and a.type.shape[-2] > a.type.shape[-1]:
        rest = ew.sub(matmul_op(a, x), right)
        residuals = rd.sum_(squared(rest), (rest.type.ndim - 2,))
    rank = matrix_rank(A, rtol=rcond)
    if driver == "gels":
        rank = wrap(mv.zeros(type_of((0,), as_dtype("int64"), x.type.device)))
    values = ew.detach(node_of(svdvals(A))) if driver in ("gelss", "gelsd") else none
    y = mv.reshape(x, x.type.shape[:-1]) if is_vector else x
    return LeastSquares(wrap(y), wrap(residuals), rank, wrap(values))


# ---- products under their names here


@with_out
@in_low_precision
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Inner products along ``dim``, of ``x`` conjugated."""
    return (x.conj() * y).sum(dim)


@with_out
def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """Vector products along ``dim``, whose size is 3."""
    return cross_of(input, other, dim)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonal of two dimensions, the last by default; a view."""
    return A.diagonal(offset, dim1, dim2)
