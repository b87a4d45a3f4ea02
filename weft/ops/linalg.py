"""Solving and decomposing matrices, whole: none of it is a fixed number of simpler steps.

An op has one result. A decomposition therefore packs its factors into one array, which the
functions here take apart again, so that the rule for the gradient is written once for all factors.
All take batches: the last two dimensions are the matrices.

The rules follow Giles, "An extended collection of matrix derivative results" (2008), and Townsend,
"Differentiating the singular value decomposition" (2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
from typing import Any

import numpy as np

from ..dtypes import float32, float64, int64
from ..errors import DTypeError, LinAlgError, ShapeError
from ..graph.node import Grads, Node, Op, Shape, TensorType, record, record1, type_of
from .base import broadcast
from .complex import complex_, conj, imag, real
from .contract import matmul
from .elementwise import abs_, add, cast, detach, div, eq, gt, mul, neg, reciprocal, sub, where
from .movement import arange, concat, expand, reshape, slice_, swap_last, zeros
from .reduce import sum_

# ---- parts and constants


def adjoint(x: Node) -> Node:
    """The matrices transposed, and conjugated."""
    return conj(swap_last(x))


def _real(x: Node) -> Node:
    """The real part, in the dtype of ``x``."""
    return cast(real(x), x.type.dtype)


def _rows(x: Node, start: int, stop: int) -> Node:
    return slice_(x, (*x.type.whole[:-2], (start, stop, 1), x.type.whole[-1]))


def _columns(x: Node, start: int, stop: int) -> Node:
    return slice_(x, (*x.type.whole[:-1], (start, stop, 1)))


def _masked(x: Node, name: str) -> Node:
    """The entries of square matrices on the "diagonal", strictly "below" it; zero elsewhere."""
    n = x.type.shape[-1]
    row, column = reshape(arange(n, int64), (n, 1)), arange(n, int64)
    return where(eq(row, column) if name == "diagonal" else gt(row, column), x, 0)


def hermitian(x: Node) -> Node:
    """Square matrices with the adjoint of their lower triangle in place of the upper one."""
    below = _masked(x, "below")
    return add(add(below, adjoint(below)), _masked(_real(x), "diagonal"))


def _row_vector(x: Node) -> Node:
    """``[*, k]`` as ``[*, 1, k]``: to multiply columns by."""
    return reshape(x, (*x.type.shape[:-1], 1, x.type.shape[-1]))


def _column_vector(x: Node) -> Node:
    """``[*, k]`` as ``[*, k, 1]``: to multiply rows by."""
    return reshape(x, (*x.type.shape, 1))


def _check_matrices(name: str, x: TensorType, square: bool = True) -> None:
    if x.dtype.to_real() not in (float32, float64):
        raise DTypeError(
            f"{name} takes float32, float64 or their complex dtypes, not {x.dtype}: convert with "
            ".to()"
        )
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        kind = "square matrices" if square else "matrices"
        raise ShapeError(f"{name} takes {kind}, not shape {list(x.shape)}")


def _failed(what: str, f: Any, *arrays: Any) -> Any:
    try:
        return f(*arrays)
    except np.linalg.LinAlgError:
        raise LinAlgError(what) from None


# ---- systems of equations


def _infer_solve(attrs: None, a: TensorType, b: TensorType) -> TensorType:
    _check_matrices("solve", a)
    if a.dtype is not b.dtype:
        raise DTypeError(f"solve takes one dtype, not {a.dtype} and {b.dtype}")
    if b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise ShapeError(
            f"solve: a matrix of shape {list(a.shape)} does not fit right-hand sides of shape "
            f"{list(b.shape)}"
        )
    batch = broadcast("solve", a.shape[:-2], b.shape[:-2])
    return type_of((*batch, *b.shape[-2:]), a.dtype)


def _reference_solve(a: Any, b: Any) -> Any:
    b = b.reshape(*(1,) * (a.ndim - b.ndim), *b.shape)  # NumPy might see a batch of vectors
    return _failed("the matrix is singular", np.linalg.solve, a, b)


def _grad_solve(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    at_b = solve(swap_last(node.inputs[0]), g)
    return neg(matmul(at_b, swap_last(node))) if want[0] else None, at_b if want[1] else None


_solve = Op(
    "solve",
    _infer_solve,
    _reference_solve,
    _grad_solve,
    needs=(0,),
    needs_output=True,
    can_fail=True,
)


def solve(a: Node, b: Node) -> Node:
    """``x`` such that ``a @ x = b``, for columns ``b``."""
    return record(_solve, (a, b))


def _eye(x: Node) -> Node:
    return _masked(add(zeros(x.type), 1), "diagonal")


def inverse_matrix(x: Node) -> Node:
    _check_matrices("inv", x.type)
    return solve(x, _eye(x))


def _infer_det(attrs: None, x: TensorType) -> TensorType:
    _check_matrices("det", x)
    return type_of(x.shape[:-2], x.dtype)


def _grad_logabsdet(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    (x,) = node.inputs
    factor = reshape(cast(g, x.type.dtype), (*g.type.shape, 1, 1))
    return (mul(factor, adjoint(inverse_matrix(x))),)


def _grad_signdet(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    """Of complex matrices, the determinant's angle turns by the imaginary part of tr(x^-1 dx)."""
    (x,) = node.inputs
    if not x.type.dtype.is_complex:
        return (zeros(x.type),)
    turn = neg(imag(mul(conj(g), node)))
    factor = reshape(complex_(zeros(turn.type), turn), (*turn.type.shape, 1, 1))
    return (mul(factor, adjoint(inverse_matrix(x))),)


def _grad_det(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    """The cofactors: of regular matrices, the inverse times the determinant.

    Singular matrices have cofactors, too, but no inverse: theirs are taken beside them, where the
    error of rounding and that of the place are of one size.
    """
    x = node.inputs[0]
    size = div(sum_(abs_(x), (x.type.ndim - 2, x.type.ndim - 1)), x.type.shape[-1] or 1)
    step = mul(where(eq(size, 0), 1, size), sqrt(np.finfo(x.type.dtype.numpy).eps))
    step = cast(detach(step), x.type.dtype)
    aside = reshape(where(eq(node, 0), step, 0), (*node.type.shape, 1, 1))
    beside = add(x, mul(_eye(x), aside))
    factor = reshape(mul(g, det(beside)), aside.type.shape)
    return (mul(factor, swap_last(inverse_matrix(beside))),)


_det = Op(
    "det",
    _infer_det,
    np.linalg.det,
    _grad_det,
    needs=(0,),
    needs_output=True,
)
_logabsdet = Op(
    "logabsdet",
    lambda attrs, x: type_of(_infer_det(attrs, x).shape, x.dtype.to_real()),
    lambda x: np.linalg.slogdet(x)[1],
    _grad_logabsdet,
    needs=(0,),
)
_signdet = Op(
    "signdet",
    _infer_det,
    lambda x: np.linalg.slogdet(x)[0],
    _grad_signdet,
    needs=(0,),
    needs_output=True,
    analytic=False,
)


def det(x: Node) -> Node:
    return record1(_det, x)


def logabsdet(x: Node) -> Node:
    """The logarithm of the determinant's absolute value."""
    return record1(_logabsdet, x)


def signdet(x: Node) -> Node:
    return record1(_signdet, x)


# ---- Cholesky


def _infer_cholesky(attrs: None, x: TensorType) -> TensorType:
    _check_matrices("cholesky", x)
    return x


def _half(x: Node) -> Node:
    """The lower triangle, with half the diagonal."""
    return add(_masked(x, "below"), mul(_masked(x, "diagonal"), 0.5))


def _grad_cholesky(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    lower = node
    turned = adjoint(lower)
    inner = _half(matmul(turned, g))
    left = solve(turned, inner)
    y = adjoint(solve(turned, adjoint(left)))
    return (mul(add(y, adjoint(y)), 0.5),)


_cholesky = Op(
    "cholesky",
    _infer_cholesky,
    lambda x: _failed("the matrix is not positive definite", np.linalg.cholesky, x),
    _grad_cholesky,
    needs_output=True,
    can_fail=True,
    analytic=False,
)


def cholesky(x: Node) -> Node:
    """The lower triangular ``l`` with ``l @ l.mH = x``; ``x`` counts as Hermitian."""
    return record1(_cholesky, x)


# ---- QR


def _infer_qr(attrs: None, x: TensorType) -> TensorType:
    _check_matrices("qr", x, square=False)
    m, n = x.shape[-2:]
    if m < n:
        raise ShapeError(f"qr of wide matrices, shape {list(x.shape)}: take the first columns")
    return type_of((*x.shape[:-2], m + n, n), x.dtype)


def _grad_qr(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    m = node.sig.types[0].shape[-2]
    end = node.type.shape[-2]
    q, r = _rows(node, 0, m), _rows(node, m, end)
    at_q, at_r = _rows(g, 0, m), _rows(g, m, end)
    inner = sub(matmul(r, adjoint(at_r)), matmul(adjoint(at_q), q))
    below = _masked(inner, "below")
    symmetric = add(add(below, adjoint(below)), _masked(_real(inner), "diagonal"))
    total = add(at_q, matmul(q, symmetric))
    return (adjoint(solve(r, adjoint(total))),)


_qr = Op(
    "qr",
    _infer_qr,
    lambda x: np.concatenate(np.linalg.qr(x), axis=-2),
    _grad_qr,
    needs_output=True,
    analytic=False,
)


def complete_qr(x: Node) -> tuple[Node, Node]:
    """``q [m, m]`` and ``r [m, n]``: :func:`qr` of a tall matrix with as many unit vectors added.

    Householder's reflections make orthonormal columns of dependent ones, too.
    """
    m, n = x.type.shape[-2:]
    square = type_of((*x.type.shape[:-1], m), x.type.dtype, x.type.device)
    q, r = qr(concat((x, _columns(_eye(zeros(square)), n, m)), x.type.ndim - 1))
    return q, _columns(r, 0, n)


def qr(x: Node) -> tuple[Node, Node]:
    """``q [m, n]`` with orthonormal columns and upper triangular ``r [n, n]``, of ``x [m, n]``.

    Wide matrices are cut after their first ``m`` columns, which determine ``q``.
    """
    m, n = x.type.shape[-2:]
    packed = record1(_qr, x if m >= n else _columns(x, 0, m))
    q = _rows(packed, 0, m)
    r = _rows(packed, m, packed.type.shape[-2])
    if m < n:
        rest = matmul(adjoint(q), _columns(x, m, n))
        r = concat((r, rest), x.type.ndim - 1)
    return q, r


# ---- eigenvalues of symmetric matrices


def _infer_eigh(triangle: str, x: TensorType) -> TensorType:
    _check_matrices("eigh", x)
    n = x.shape[-1]
    return type_of((*x.shape[:-1], n + 1), x.dtype)


def _reference_eigh(triangle: Any, x: Any) -> Any:
    values, vectors = np.linalg.eigh(x, triangle)
    return np.concatenate([vectors, values[..., None]], axis=-1)


def _reciprocals(differences: Node) -> Node:
    """``1 / x``, and 0 where it is 0: on the diagonal, and for equal values."""
    same = eq(differences, 0)
    return where(same, 0, reciprocal(where(same, 1, differences)))


def _grad_eigh(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    n = node.sig.types[0].shape[-1]
    vectors, at_vectors = _columns(node, 0, n), _columns(g, 0, n)
    column, at_values = _columns(node, n, n + 1), _real(_columns(g, n, n + 1))
    gaps = sub(swap_last(column), column)
    inner = mul(matmul(adjoint(vectors), at_vectors), _reciprocals(gaps))
    diagonal = _masked(expand(at_values, inner.type.shape), "diagonal")
    return (matmul(matmul(vectors, add(inner, diagonal)), adjoint(vectors)),)


_eigh = Op("eigh", _infer_eigh, _reference_eigh, _grad_eigh, needs_output=True, analytic=False)


def eigh(x: Node, triangle: str) -> tuple[Node, Node]:
    """Eigenvalues, ascending, and eigenvectors in columns; triangle "L" or "U" of ``x`` is read."""
    n = x.type.shape[-1]
    packed = record1(_eigh, x, triangle)
    values = reshape(_columns(packed, n, n + 1), x.type.shape[:-1])
    return real(values), _columns(packed, 0, n)


# ---- eigenvalues of any matrices


def _infer_eig(attrs: None, x: TensorType) -> TensorType:
    _check_matrices("eig", x)
    return type_of((*x.shape[:-1], x.shape[-1] + 1), x.dtype.to_complex())


def _reference_eig(x: Any) -> Any:
    values, vectors = _failed("the eigenvalues do not converge", np.linalg.eig, x)
    packed = np.concatenate([vectors, values[..., None]], axis=-1)
    return packed.astype(np.result_type(x, np.complex64), copy=False)


def _grad_eig(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    """Of vectors of length 1. (Boeddeker et al., "On the computation of complex-valued gradients
    with application to statistically optimum beamforming", 2017.)
    """
    kind = node.sig.types[0]
    n = kind.shape[-1]
    vectors, at_vectors = _columns(node, 0, n), _columns(g, 0, n)
    column, at_values = _columns(node, n, n + 1), _columns(g, n, n + 1)
    turned = adjoint(vectors)
    inner = matmul(turned, at_vectors)
    along = matmul(matmul(turned, vectors), _masked(_real(inner), "diagonal"))
    gaps = conj(sub(swap_last(column), column))
    inner = mul(sub(inner, along), _reciprocals(gaps))
    diagonal = _masked(expand(at_values, inner.type.shape), "diagonal")
    found = solve(turned, matmul(add(inner, diagonal), turned))
    return (cast(found, kind.dtype),)


_eig = Op(
    "eig",
    _infer_eig,
    _reference_eig,
    _grad_eig,
    needs_output=True,
    can_fail=True,
    analytic=False,
)


def eig(x: Node) -> tuple[Node, Node]:
    """Eigenvalues and eigenvectors in columns, complex, of any square matrices."""
    n = x.type.shape[-1]
    packed = record1(_eig, x)
    return reshape(_columns(packed, n, n + 1), x.type.shape[:-1]), _columns(packed, 0, n)


# ---- singular values


def _svd_shapes(full: bool, x: TensorType) -> tuple[Shape, Shape, Shape]:
    m, n = x.shape[-2:]
    k = min(m, n)
    return (m, m if full else k), (k,), (n if full else k, n)


def _infer_svd(full: bool, x: TensorType) -> TensorType:
    _check_matrices("svd", x, square=False)
    (m, p), (k,), (q, n) = _svd_shapes(full, x)
    return type_of((*x.shape[:-2], m * p + k + q * n), x.dtype)


def _reference_svd(full: bool, x: Any) -> Any:
    parts = np.linalg.svd(x, full_matrices=full)
    batch = x.shape[:-2]
    flat = [part.reshape(*batch, prod(part.shape[len(batch) :])) for part in parts]
    return np.concatenate(flat, axis=-1)


def _svd_parts(full: bool, x: TensorType, packed: Node) -> list[Node]:
    out, start = [], 0
    for shape in _svd_shapes(full, x):
        size = prod(shape)
        part = _columns(packed, start, start + size)
        out.append(reshape(part, (*x.shape[:-2], *shape)))
        start += size
    return out


def _grad_svd(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    full, kind = node.sig.attrs, node.sig.types[0]
    m, n = kind.shape[-2:]
    if kind.size == 0:
        return (zeros(kind),)
    # Of full matrices, only the columns that belong to singular values have gradients.
    u, s, vh = _first(_svd_parts(full, kind, node), min(m, n))
    at_u, at_s, at_vh = _first(_svd_parts(full, kind, g), min(m, n))
    at_s = _real(at_s)
    v, at_v = adjoint(vh), adjoint(at_vh)
    squares = mul(s, s)
    weights = _reciprocals(sub(_row_vector(squares), _column_vector(squares)))
    skew = _skew(matmul(adjoint(u), at_u))
    left = mul(skew, weights)
    right = mul(_skew(matmul(adjoint(v), at_v)), weights)
    inner = add(mul(left, _row_vector(s)), mul(_column_vector(s), right))
    inner = add(inner, _masked(expand(_row_vector(at_s), inner.type.shape), "diagonal"))
    if kind.dtype.is_complex:  # a pair of vectors turns together
        inner = add(inner, _masked(div(mul(skew, 0.5), _row_vector(s)), "diagonal"))
    total = matmul(matmul(u, inner), vh)
    if m > n:
        scaled = div(at_u, _row_vector(s))
        total = add(total, matmul(sub(scaled, matmul(u, matmul(adjoint(u), scaled))), vh))
    if n > m:
        scaled = div(at_v, _row_vector(s))
        rest = sub(scaled, matmul(v, matmul(vh, scaled)))
        total = add(total, matmul(u, adjoint(rest)))
    return (total,)


def _first(parts: list[Node], k: int) -> tuple[Node, Node, Node]:
    u, s, vh = parts
    return _columns(u, 0, k), s, _rows(vh, 0, k)


def _skew(x: Node) -> Node:
    return sub(x, adjoint(x))


_svd = Op(
    "svd",
    _infer_svd,
    _reference_svd,
    _grad_svd,
    needs_output=True,
    analytic=False,
)


def svd(x: Node, full: bool) -> tuple[Node, Node, Node]:
    """``u``, ``s`` (descending) and ``vh`` with ``u @ diag(s) @ vh = x``."""
    u, s, vh = _svd_parts(full, x.type, record1(_svd, x, full))
    return u, real(s), vh


# ---- pseudoinverse


def _infer_pinv(attrs: tuple[float, float], x: TensorType) -> TensorType:
    _check_matrices("pinv", x, square=False)
    return type_of((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)


def _reference_pinv(attrs: tuple[float, float], x: Any) -> Any:
    absolute, relative = attrs
    if x.size == 0:
        return np.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    keep = s > np.maximum(absolute, relative * s[..., :1])
    inverses = np.where(keep, 1 / np.where(keep, s, 1), 0).astype(x.dtype)
    return (vh.swapaxes(-1, -2).conj() * inverses[..., None, :]) @ u.swapaxes(-1, -2).conj()


def _grad_pinv(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    """Golub and Pereyra (1973): the rank is taken to stay as it is."""
    a, p = node.inputs[0], node
    turned, g = adjoint(p), adjoint(g)
    k = matmul(g, p)
    kp = matmul(k, turned)
    y = sub(kp, adjoint(matmul(p, k)))
    y = sub(y, matmul(matmul(a, p), kp))
    return (add(y, matmul(matmul(turned, p), sub(g, matmul(k, a)))),)


_pinv = Op(
    "pinv",
    _infer_pinv,
    _reference_pinv,
    _grad_pinv,
    needs=(0,),
    needs_output=True,
    analytic=False,
)


def pinv(x: Node, absolute: float, relative: float) -> Node:
    """The pseudoinverse; singular values up to a tolerance count as 0."""
    return record1(_pinv, x, (absolute, relative))


# ---- exponential

# Of the Padé approximation of degree 13 (Higham, "The scaling and squaring method for the matrix
# exponential revisited", 2005), good for norms up to 5.37.
_PADE = (
    *(64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0),
    *(129060195264000.0, 10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0),
    *(40840800.0, 960960.0, 16380.0, 182.0, 1.0),
)


def _reference_matrix_exp(x: Any) -> Any:
    if x.size == 0 or not np.isfinite(x).all():
        return np.full(x.shape, np.nan, x.dtype)
    a = x.astype(np.result_type(x, np.float64))
    norm = np.abs(a).sum(-2).max()
    halvings = max(0, int(np.ceil(np.log2(norm / 5.37)))) if norm > 0 else 0
    a = a / 2.0**halvings
    one = np.eye(a.shape[-1])
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    b = _PADE
    odd = (
        a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * one
    )
    odd = a @ odd
    even = (
        a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * one
    )
    y = np.linalg.solve(even - odd, even + odd)
    for _ in range(halvings):
        y = y @ y
    return y.astype(x.dtype)


def _infer_matrix_exp(attrs: None, x: TensorType) -> TensorType:
    _check_matrices("matrix_exp", x)
    return x


def _grad_matrix_exp(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    """The upper right part of exp([[a, g], [0, a]]), ``a`` turned (Najfeld and Havel, 1995)."""
    a = swap_last(node.inputs[0])
    n, last = a.type.shape[-1], a.type.ndim - 1
    upper = concat((a, g), last)
    lower = concat((zeros(a.type), a), last)
    whole = matrix_exp(concat((upper, lower), last - 1))
    return (_columns(_rows(whole, 0, n), n, 2 * n),)


_matrix_exp = Op(
    "matrix_exp", _infer_matrix_exp, _reference_matrix_exp, _grad_matrix_exp, needs=(0,)
)


def matrix_exp(x: Node) -> Node:
    """The exponential of square matrices."""
    return record1(_matrix_exp, x)
