"""Layers that PyTorch's core lacks, against their papers' formulas."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np
import pytest

import weft
import weft.nn.functional as F
from weft import nn
from weft.autograd import gradcheck
from weft.errors import DataError, DTypeError, ShapeError


def test_lambda_and_residual() -> None:
    double = nn.Lambda(lambda x: 2 * x)
    model = nn.Sequential(double, nn.Residual(nn.Linear(3, 3)))
    x = weft.ones(2, 3)
    wanted = 2 * x + model[1].module(2 * x)
    assert weft.equal(model(x), wanted)
    assert list(model.state_dict()) == ["1.module.weight", "1.module.bias"]
    assert repr(double) == "Lambda(<lambda>)"
    with pytest.raises(TypeError, match="a function, not a int"):
        nn.Lambda(3)
    with pytest.raises(ShapeError, match=r"Linear makes shape \[2, 4\] of \[2, 3\]"):
        nn.Residual(nn.Linear(3, 4))(x)


def test_drop_path_drops_whole_samples() -> None:
    weft.manual_seed(0)
    layer = nn.DropPath(0.25)
    y = layer(weft.ones(4000, 2, 3)).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(4 / 3)}
    assert (y == y[:, :1, :1]).all()
    assert y.mean() == pytest.approx(1.0, abs=0.05)
    x = weft.ones(2, 3)
    assert layer.eval()(x) is x
    with pytest.raises(ValueError, match="DropPath: p is a probability"):
        nn.DropPath(1.5)


@pytest.mark.parametrize(("layer", "gate"), [(nn.SwiGLU(), F.silu), (nn.GEGLU(), F.gelu)])
def test_gated_units(layer: nn.Module, gate: object) -> None:
    x = weft.randn(2, 6)
    assert callable(gate)
    assert weft.equal(layer(x), x[:, :3] * gate(x[:, 3:]))
    with pytest.raises(ShapeError, match=r"halves dimension -1, .* \[2, 5\]"):
        layer(weft.ones(2, 5))


@pytest.mark.parametrize("interleaved", [True, False])
def test_rotary_products_depend_on_the_distance_only(interleaved: bool) -> None:
    turn = nn.RotaryEmbedding(8, interleaved=interleaved)
    q, k = (weft.randn(8, dtype=weft.float64).expand(6, 8) for _ in range(2))
    scores = (turn(q) @ turn(k).mT).numpy()
    for shift in range(-5, 6):
        along = np.diagonal(scores, shift)
        np.testing.assert_allclose(along, along[0], rtol=1e-5)
    assert scores[0, 0] == pytest.approx((q[0] @ k[0]).item())
    np.testing.assert_allclose(turn(q, offset=2)[0], turn(q)[2], rtol=1e-6)
    with pytest.raises(ShapeError, match=r"\[\*, length, 8\], not shape \[6, 4\]"):
        turn(weft.ones(6, 4))


def test_rotary_is_a_rotation_by_the_papers_angles() -> None:
    x = weft.tensor([[1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0]], dtype=weft.float64)
    slow = 100.0**-0.5
    wanted = [1.0, 0.0, 1.0, 0.0], [np.cos(1), np.sin(1), np.cos(slow), np.sin(slow)]
    np.testing.assert_allclose(nn.RotaryEmbedding(4, base=100.0)(x), wanted, rtol=1e-6)


def test_alibi() -> None:
    bias = nn.ALiBi(2)(3)
    assert bias[0].tolist() == [[0, -1 / 16, -2 / 16], [-1 / 16, 0, -1 / 16], [-2 / 16, -1 / 16, 0]]
    assert bias[1, 0].tolist() == [0, -1 / 256, -2 / 256]
    assert nn.ALiBi(3).slopes.tolist() == [2**-4, 2**-8, 2**-2]
    assert weft.equal(nn.ALiBi(8)(1, 4)[:, 0], nn.ALiBi(8)(4)[:, 3])
    assert not nn.ALiBi(8).state_dict()
    with pytest.raises(ShapeError, match="4 queries are more tokens than 3 keys"):
        nn.ALiBi(2)(4, 3)


def test_focal_loss() -> None:
    z = weft.tensor([0.7, -1.2], dtype=weft.float64, requires_grad=True)
    t = weft.tensor([1.0, 0.0], dtype=weft.float64)
    p = [1 / (1 + exp(-0.7)), 1 - 1 / (1 + exp(1.2))]  # of the right class
    wanted = [-a * (1 - q) ** 2 * log(q) for a, q in zip((0.25, 0.75), p, strict=True)]
    np.testing.assert_allclose(nn.FocalLoss(reduction="none")(z, t).detach(), wanted, rtol=1e-12)
    assert nn.FocalLoss(None, 0.0, "sum")(z, t).item() == pytest.approx(-sum(map(log, p)))
    assert gradcheck(lambda z: nn.FocalLoss()(z, t), [z])
    far = nn.FocalLoss(None)(weft.tensor([1e4, -1e4]), weft.tensor([0, 0]))
    assert far.item() == pytest.approx(5e3)


def test_dice_loss() -> None:
    p = weft.tensor([[[0.5, 1.0, 0.0]]], dtype=weft.float64, requires_grad=True)
    t = weft.tensor([[[1, 1, 0]]])
    assert nn.DiceLoss(0.0)(p, t).item() == pytest.approx(1 - 2 * 1.5 / (1.25 + 2))
    assert (
        nn.DiceLoss(reduction="none")(weft.zeros(2, 3, 4), weft.zeros(2, 3, 4)).tolist()
        == [[0.0] * 3] * 2
    )
    assert gradcheck(lambda p: nn.DiceLoss()(p * 0.8 + 0.1, t), [p])
    with pytest.raises(ShapeError, match=r"one shape, not \[1, 1, 3\] and \[1, 3\]"):
        nn.DiceLoss()(p, t[0])
    with pytest.raises(ValueError, match="reduction='avg' should be"):
        nn.DiceLoss(reduction="avg")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.FocalLoss()(weft.zeros(4, 3), weft.tensor([0, 1, 2, 0])),
            ShapeError,
            r"not \[4, 3\] and \[4\]\. For one class .*one_hot\(target, 3\)",
        ),
        (
            lambda: nn.DiceLoss()(weft.zeros(2, 3, 4, 4), weft.zeros(2, 4, 4, dtype=weft.int64)),
            ShapeError,
            r"one_hot\(target, 3\)\.float\(\)",
        ),
        (lambda: nn.FocalLoss()(weft.zeros(2), weft.ones(2) * 5), DataError, "targets between 0"),
        (
            lambda: nn.DiceLoss()(weft.ones(1, 1, 2) * 3, weft.ones(1, 1, 2)),
            DataError,
            r"put logits through sigmoid\) between 0 and 1, but 3.0",
        ),
        (lambda: nn.FocalLoss()(weft.ones(2).long(), weft.ones(2)), DTypeError, r"input.float\(\)"),
        (lambda: nn.FocalLoss()(weft.ones(2), 3), TypeError, "a Tensor is expected here, not int"),
    ],
)
def test_what_losses_of_masks_expect(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        weft.realize(call())


def test_focal_loss_warns_of_probabilities() -> None:
    with pytest.warns(UserWarning, match="FocalLoss: its input is the result of a sigmoid"):
        nn.FocalLoss()(weft.zeros(2).sigmoid(), weft.ones(2))
