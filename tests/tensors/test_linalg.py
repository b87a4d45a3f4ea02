"""What decompositions must satisfy, whatever signs their vectors have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft

SHAPES = [(3, 3), (5, 3), (3, 5), (2, 4, 3), (2, 3, 4), (0, 3, 3), (1, 1)]


def matrices(shape: tuple[int, ...]) -> weft.Tensor:
    return weft.tensor(np.random.default_rng(0).standard_normal(shape))


def is_close(a: weft.Tensor, b: weft.Tensor) -> bool:
    return a.shape == b.shape and weft.allclose(a, b, atol=1e-10)


def is_orthonormal(columns: weft.Tensor) -> bool:
    n = columns.shape[-1]
    identity = weft.eye(n, dtype=columns.dtype).expand(*columns.shape[:-2], n, n)
    return is_close(columns.mT @ columns, identity)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("full", [False, True])
def test_svd(shape: tuple[int, ...], full: bool) -> None:
    a = matrices(shape)
    u, s, vh = weft.linalg.svd(a, full_matrices=full)
    m, n = shape[-2:]
    k = min(m, n)
    assert u.shape[-1] == (m if full else k)
    assert vh.shape[-2] == (n if full else k)
    assert is_orthonormal(u)
    assert is_orthonormal(vh.mT)
    assert is_close(u[..., :k] * s.unsqueeze(-2) @ vh[..., :k, :], a)
    assert bool((s[..., 1:] <= s[..., :-1]).all())


@pytest.mark.parametrize("shape", SHAPES)
def test_qr(shape: tuple[int, ...]) -> None:
    a = matrices(shape)
    q, r = weft.linalg.qr(a)
    assert is_orthonormal(q)
    assert is_close(q @ r, a)
    assert is_close(r.triu(), r)
    nothing, alone = weft.linalg.qr(a, mode="r")
    assert nothing.numel() == 0
    assert is_close(alone, r)


@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 3), (3, 0), (4, 1), (0, 3, 1), (3, 3)])
def test_complete_qr(shape: tuple[int, ...]) -> None:
    a = matrices(shape)
    q, r = weft.linalg.qr(a, mode="complete")
    assert q.shape == (*shape[:-1], shape[-2])
    assert r.shape == shape
    assert is_orthonormal(q)
    assert is_close(q @ r, a)
    assert is_close(r.triu(), r)
    assert is_close(q[..., : shape[-1]], weft.linalg.qr(a).Q)


@pytest.mark.parametrize("a", [np.zeros((4, 2)), np.eye(4)[:, 2:], np.ones((4, 3))])
def test_complete_qr_of_dependent_columns(a: np.ndarray) -> None:
    q, r = weft.linalg.qr(weft.tensor(a), mode="complete")
    assert is_orthonormal(q)
    assert is_close(q @ r, weft.tensor(a))


def test_gradient_of_complete_qr() -> None:
    """Of what the choice of the columns that complete it does not change."""

    def parts(a: weft.Tensor) -> tuple[weft.Tensor, weft.Tensor]:
        q, r = weft.linalg.qr(a, mode="complete")
        return q[:, 2:] @ q[:, 2:].mT, r

    a = matrices((4, 2)).requires_grad_()
    assert weft.autograd.gradcheck(parts, (a,))


SINGULAR = [
    [[1.0, 2.0], [2.0, 4.0]],
    [[0.0]],
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]],
    [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    [[0.0, 0.0], [0.0, 0.0]],
    [[300.0, 100.0, 0.0], [3.0, 1.0, 0.0], [5.0, 2.0, 7.0]],
]


@pytest.mark.parametrize("matrix", SINGULAR)
def test_gradient_of_the_determinant_of_a_singular_matrix(matrix: list[list[float]]) -> None:
    """The cofactors, by their definition."""
    a = np.array(matrix)
    n = len(a)
    cofactors = [
        (-1) ** (i + j) * np.linalg.det(np.delete(np.delete(a, i, 0), j, 1))
        for i in range(n)
        for j in range(n)
    ]
    x = weft.tensor(np.stack([a, a + np.eye(n)])).requires_grad_()
    weft.linalg.det(x).sum().backward()
    assert x.grad is not None
    found = x.grad.numpy()
    assert np.allclose(found[0].ravel(), cofactors, atol=1e-5 * max(1, np.abs(a).max()))
    regular = a + np.eye(n)
    assert np.allclose(found[1], np.linalg.det(regular) * np.linalg.inv(regular).T, rtol=1e-12)
    assert weft.autograd.gradcheck(weft.linalg.det, (weft.tensor(a).requires_grad_(),), atol=1e-3)


def test_second_derivatives_of_the_determinant_of_a_singular_matrix() -> None:
    a = weft.tensor(SINGULAR[2], dtype=weft.float64).requires_grad_()
    assert weft.autograd.gradgradcheck(weft.linalg.det, (a,), atol=1e-4)


@pytest.mark.parametrize("triangle", ["L", "U"])
def test_eigh_reads_one_triangle(triangle: str) -> None:
    a = matrices((2, 4, 4))
    part = a.tril() if triangle == "L" else a.triu()
    whole = part + part.mT - weft.diag_embed(a.diagonal(0, -2, -1))
    values, vectors = weft.linalg.eigh(a, triangle)
    assert is_orthonormal(vectors)
    assert is_close(whole @ vectors, vectors * values.unsqueeze(-2))
    assert is_close(weft.linalg.eigvalsh(a, UPLO=triangle), values)


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 3)])
def test_pinv_of_any_rank(shape: tuple[int, ...]) -> None:
    """The four conditions of Penrose (1955)."""
    for a in (matrices(shape), matrices((shape[0], 1)) @ matrices((1, shape[1]))):
        p = weft.linalg.pinv(a)
        assert is_close(a @ p @ a, a)
        assert is_close(p @ a @ p, p)
        assert is_close((a @ p).mT, a @ p)
        assert is_close((p @ a).mT, p @ a)


def test_gradient_of_pinv_where_the_rank_stays() -> None:
    left, right = matrices((4, 2)).requires_grad_(), matrices((2, 3)).requires_grad_()
    assert weft.autograd.gradcheck(lambda a, b: weft.linalg.pinv(a @ b), (left, right))
    assert weft.autograd.gradgradcheck(lambda a, b: weft.linalg.pinv(a @ b), (left, right))


def test_equal_singular_values_have_a_finite_gradient() -> None:
    a = weft.eye(3, dtype=weft.float64).requires_grad_()
    weft.linalg.svdvals(a).sum().backward()
    assert a.grad is not None
    assert is_close(a.grad, weft.eye(3, dtype=weft.float64))


def test_multi_dot_takes_the_cheapest_order() -> None:
    sizes = [(10, 100), (100, 5), (5, 50)]
    parts = [matrices(s) for s in sizes]
    assert is_close(weft.linalg.multi_dot(parts), parts[0] @ parts[1] @ parts[2])


def test_failures_name_the_matrix() -> None:
    x = weft.linalg.inv(weft.ones(2, 2))
    with pytest.raises(ValueError, match="solve: the matrix is singular"):
        x.tolist()


# ---- solvers that say where they failed

LEADING = np.diag([1.0, 2.0, -1.0, 3.0])
MIXED = np.stack([np.eye(4), LEADING, -np.eye(4), np.ones((4, 4)), 2 * np.eye(4) + 0.1])
RANKS = np.stack(
    [np.eye(4), np.zeros((4, 4)), np.diag([1.0, 2.0, 0.0, 0.0]), np.ones((4, 4)), np.eye(4)[::-1]]
)


def check_ex(found: tuple[weft.Tensor, ...], expected: tuple[Any, ...]) -> None:
    """``info`` as PyTorch's; what succeeded has its values, what did not has none."""
    result, info = found
    assert info.dtype is weft.int32
    assert info.tolist() == expected[1].tolist()
    for k, failed in enumerate(expected[1].tolist()):
        if failed:
            assert bool(result[k].isnan().all())
        else:
            assert np.allclose(result[k].numpy(), expected[0][k].numpy(), atol=1e-12)


@pytest.mark.parametrize("upper", [False, True])
def test_cholesky_ex(upper: bool, torch: Any) -> None:
    found = weft.linalg.cholesky_ex(weft.tensor(MIXED), upper=upper)
    check_ex(found, torch.linalg.cholesky_ex(torch.tensor(MIXED), upper=upper))


def test_inv_ex(torch: Any) -> None:
    check_ex(weft.linalg.inv_ex(weft.tensor(RANKS)), torch.linalg.inv_ex(torch.tensor(RANKS)))


@pytest.mark.parametrize("shape", [(4, 2), (4,), (5, 4), (5, 4, 3), (2, 5, 4, 3), (1, 4, 1)])
@pytest.mark.parametrize("left", [True, False])
def test_solve_ex(shape: tuple[int, ...], left: bool, torch: Any) -> None:
    b = np.random.default_rng(1).standard_normal(shape)
    if not left:
        if shape in ((4,), (5, 4)):
            pytest.skip("PyTorch takes vectors from the left only")
        b = b.swapaxes(-1, -2)
    found = weft.linalg.solve_ex(weft.tensor(RANKS), weft.tensor(b), left=left)
    expected = torch.linalg.solve_ex(torch.tensor(RANKS), torch.tensor(b), left=left)
    assert found.result.shape == tuple(expected.result.shape)
    if len(shape) == 4:  # the batch of matrices comes second
        for mine, other in zip(found.result, expected.result, strict=True):
            check_ex((mine, found.info), (other, expected.info))
    else:
        check_ex(found, expected)


def test_gradients_of_solvers_that_may_fail() -> None:
    a = matrices((2, 3, 3)).requires_grad_()
    b = matrices((2, 3, 2)).requires_grad_()
    assert weft.autograd.gradcheck(lambda a, b: weft.linalg.solve_ex(a, b).result, (a, b))
    assert weft.autograd.gradcheck(lambda a: weft.linalg.inv_ex(a).inverse, (a,))
    assert weft.autograd.gradcheck(
        lambda a: weft.linalg.cholesky_ex(a @ a.mT + weft.eye(3)).L, (a,)
    )


def test_solvers_that_may_fail_raise_if_asked_to_or_given_something_else() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        weft.linalg.cholesky_ex(-weft.eye(2), check_errors=True)
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        weft.linalg.inv_ex(weft.zeros(2, 2), check_errors=True)
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        weft.linalg.solve_ex(weft.zeros(2, 2), weft.ones(2), check_errors=True)
    result, info = weft.linalg.inv_ex(weft.eye(2), check_errors=True)
    assert (result.tolist(), info.item()) == ([[1.0, 0.0], [0.0, 1.0]], 0)
    for wrong in (weft.ones(2, 3), weft.ones(3)):
        with pytest.raises(weft.errors.ShapeError, match="takes square matrices"):
            weft.linalg.inv_ex(wrong)
    with pytest.raises(weft.errors.DTypeError, match=r"float32, float64 or .*, not weft\.int64"):
        weft.linalg.cholesky_ex(weft.tensor([[1]]))
