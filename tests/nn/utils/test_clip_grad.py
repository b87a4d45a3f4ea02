"""Clipping of gradients: against PyTorch's, what is recorded, mistakes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import weft
from weft.errors import GradientError
from weft.nn import utils

GRADS = [np.random.default_rng(1).normal(size=s).astype("f4") for s in ((3, 4), (5,), ())]


def _params(lib: Any, scale: float = 1.0) -> list[Any]:
    params = [lib.zeros(g.shape, requires_grad=True) for g in GRADS]
    for p, g in zip(params, GRADS, strict=True):
        p.grad = lib.tensor(g * np.float32(scale))
    return [*params, lib.zeros(2, requires_grad=True)]  # the last one has no gradient


def _grads(params: list[Any]) -> list[Any]:
    return [p.grad.numpy() for p in params[:-1]]


@pytest.mark.parity
@pytest.mark.parametrize("order", [2.0, 1, 3.5, math.inf, -math.inf, 0.5])
@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_norms_are_pytorchs(order: float, limit: float) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    seen = []
    for lib in (weft, torch):
        params = _params(lib)
        total = lib.nn.utils.clip_grad_norm_(params, limit, order)
        seen.append([total.numpy(), *_grads(params)])
    for mine, other in zip(*seen, strict=True):
        np.testing.assert_allclose(mine, other, 1e-5)


@pytest.mark.parity
def test_values_are_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    seen = []
    for lib in (weft, torch):
        params = _params(lib)
        lib.nn.utils.clip_grad_value_(params, 0.5)
        seen.append(_grads(params))
    for mine, other in zip(*seen, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_the_norm_afterwards() -> None:
    params = _params(weft)
    before = utils.clip_grad_norm_(iter(params), 0.25)
    after = utils.get_total_norm([p.grad for p in params[:-1]])
    assert before.item() == pytest.approx(float(np.sqrt(sum((g**2).sum() for g in GRADS))), 1e-5)
    assert after.item() == pytest.approx(0.25, 1e-4)


def test_one_tensor_and_none() -> None:
    p = weft.zeros(2, requires_grad=True)
    assert utils.clip_grad_norm_(p, 1.0).item() == 0.0
    p.grad = weft.tensor([3.0, 4.0])
    assert utils.clip_grad_norm_(p, 1.0).item() == 5.0
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.8], 1e-5)
    utils.clip_grad_value_(p, 0.7)
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.7], 1e-5)
    with pytest.warns(UserWarning, match="empty generator"):
        utils.clip_grad_norm_((q for q in ()), 1.0)
    with pytest.warns(FutureWarning, match="clip_grad_norm_"):
        utils.clip_grad_norm(p, 1.0)


def test_nothing_waits_for_the_norm() -> None:
    from weft.engine.realize import Stats

    params = _params(weft)
    runs = Stats.runs
    utils.clip_grad_norm_(params, 0.5)
    utils.clip_grad_value_(params, 0.1)
    assert Stats.runs == runs


def test_gradients_keep_their_dtypes() -> None:
    a, b = weft.zeros(2, requires_grad=True), weft.zeros(2, requires_grad=True, dtype=weft.float64)
    a.grad, b.grad = weft.ones(2), weft.ones(2, dtype=weft.float64)
    assert utils.clip_grad_norm_([a, b], 1.0).item() == pytest.approx(2.0)
    assert (a.grad.dtype, b.grad.dtype) == (weft.float32, weft.float64)
    np.testing.assert_allclose(a.grad.numpy(), 0.5, 1e-5)
    np.testing.assert_allclose(b.grad.numpy(), 0.5, 1e-5)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_norm_that_is_not_finite(bad: float) -> None:
    p = weft.zeros(2, requires_grad=True)
    p.grad = weft.tensor([1.0, bad])
    with pytest.raises(GradientError, match="total norm of order"):
        utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    assert p.grad[0].item() == 1.0
    assert not math.isfinite(utils.clip_grad_norm_([p], 1.0).item())


def test_mistakes() -> None:
    with pytest.raises(TypeError, match="get_total_norm takes Tensors"):
        utils.get_total_norm([1.0])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="clip_grad_value_ takes Tensors"):
        utils.clip_grad_value_(["p"], 1.0)  # type: ignore[list-item]
