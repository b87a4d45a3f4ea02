"""Gradients, and gradients of gradients, against differences: no other library is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from loss_samples import LET_PASS
from samples import OPS
from sampling import Op, as_function

import weft
from weft.autograd import GradcheckError, gradcheck, gradgradcheck

pytestmark = LET_PASS
DIFFERENTIABLE = [op for op in OPS if any(op.smooth_samples())]


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=lambda op: op.name)
def test_derivative(op: Op, check: Callable[..., bool]) -> None:
    for sample in op.smooth_samples():
        function, inputs = as_function(op, sample)
        try:
            check(function, inputs)
        except GradcheckError as error:
            error.add_note(f"for {sample}")
            raise


# ---- primitives that the samples do not reach


def test_cast() -> None:
    """By a step that float32 does not round."""
    x = weft.tensor([1.0, -2.5], dtype=weft.float64, requires_grad=True)
    assert gradcheck(lambda x: x.float(), [x], eps=2.0**-4)
    assert gradgradcheck(lambda x: (x * x).float(), [x], eps=2.0**-4, atol=1e-3)


def test_max_pool_third_derivative() -> None:
    """The gradient of max_pool takes values back from where they were put."""
    x = weft.randperm(32, dtype=weft.float64).reshape(1, 2, 4, 4).requires_grad_()
    seed = weft.ones(1, 2, 2, 2, dtype=weft.float64, requires_grad=True)

    def gradient(x: weft.Tensor, seed: weft.Tensor) -> weft.Tensor:
        y = weft.nn.functional.max_pool2d(x, 2)
        (g,) = weft.autograd.grad(y, x, seed, create_graph=True)
        return g * g

    assert gradgradcheck(gradient, [x, seed])


# ---- symmetric matrices: differences must keep the symmetry that the rules take for granted


def symmetric(x: Any) -> Any:
    return x + x.mT


def positive(x: Any) -> Any:
    return x @ x.mT + weft.eye(x.shape[-1], dtype=x.dtype)


SYMMETRIC: dict[str, Callable[..., Any]] = {
    "eigenvalues": lambda x: weft.linalg.eigvalsh(symmetric(x)),
    # (a number of each vector whose sign does not matter)
    "eigenvectors": lambda x: weft.linalg.eigh(symmetric(x)).eigenvectors.square(),
    "cholesky": lambda x: weft.linalg.cholesky(positive(x)),
    "cholesky, upper": lambda x: weft.linalg.cholesky(positive(x), upper=True),
}


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
@pytest.mark.parametrize("name", SYMMETRIC)
def test_of_symmetric_matrices(name: str, check: Callable[..., bool]) -> None:
    weft.manual_seed(0)
    x = weft.randn(2, 3, 3, dtype=weft.float64, requires_grad=True)
    assert check(SYMMETRIC[name], (x,))


@pytest.mark.parity
@pytest.mark.parametrize(
    "function",
    [lambda lib, x: x.std(0).sum(), lambda lib, x: lib.atan2(x, x * 0).sum()],
    ids=["std", "atan2"],
)
def test_no_gradient_where_a_root_or_an_angle_has_none(function: Callable[..., Any]) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for lib in (weft, torch):
        x = lib.tensor([[0.0, 1.0], [0.0, 2.0]], requires_grad=True)
        function(lib, x).backward()
        found.append(x.grad.tolist())
    np.testing.assert_allclose(*found, rtol=1e-6)
