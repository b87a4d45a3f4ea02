"""Dropout of channels, alpha dropout, and the bilinear layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from side_by_side import assert_same, draw

import weft
import weft.nn.functional as F
from weft import nn
from weft.autograd import gradcheck, gradgradcheck
from weft.errors import ShapeError


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Dropout1d(0.3), (100, 200, 3)),
        (nn.Dropout1d(0.3), (20_000, 3)),
        (nn.Dropout2d(0.3), (100, 200, 2, 2)),
        (nn.Dropout3d(0.3), (100, 200, 1, 2, 2)),
        (nn.Dropout3d(0.3), (20_000, 1, 2, 2)),
    ],
)
def test_whole_channels_fall(layer: Any, shape: tuple[int, ...]) -> None:
    weft.manual_seed(0)
    y = layer(weft.ones(shape)).numpy().reshape(20_000, -1)
    assert (y == y[:, :1]).all()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.7)}
    assert (y[:, 0] == 0).mean() == pytest.approx(0.3, abs=0.0163)  # five standard deviations
    assert layer.eval()(weft.ones(shape)).sum().item() == np.prod(shape)
    layer.train()


@pytest.mark.parametrize("layer", [nn.AlphaDropout(0.2), nn.FeatureAlphaDropout(0.2)])
def test_alpha_dropout_keeps_mean_and_variance(layer: Any) -> None:
    weft.manual_seed(0)
    y = layer(weft.randn(500, 400)).numpy()
    assert y.mean() == pytest.approx(0, abs=0.012)  # five standard deviations
    assert y.var() == pytest.approx(1, abs=0.02)
    counts = np.unique(y, return_counts=True)[1]
    assert counts.max() / y.size == pytest.approx(0.2, abs=0.005)  # those at SELU's limit


def test_gradient_passes_where_the_value_did() -> None:
    x = weft.ones(40, 30, 4, requires_grad=True)
    y = F.dropout2d(x.unsqueeze(-1), 0.5)
    y.sum().backward()
    assert np.array_equal(x.grad.numpy(), y.detach().numpy()[..., 0])


@pytest.mark.parametrize(
    "f", [F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout]
)
def test_edges(f: Any) -> None:
    x = weft.ones(2, 3, 2, 2, 2)[..., 0, 0] if f is F.dropout1d else weft.ones(2, 3, 2, 2, 2)
    if f is F.dropout2d:
        x = x[..., 0]
    assert f(x, 0.5, False) is x
    assert f(x, 0.0, True) is x
    assert f(x, 1.0, True).sum().item() == 0
    assert f(x, 0.5, True, True) is x
    with pytest.raises(ValueError, match="between 0 and 1"):
        f(x, 1.5)


def test_ranks() -> None:
    with pytest.raises(ShapeError, match=r"\[channels, length\]"):
        F.dropout1d(weft.ones(2))
    with pytest.warns(UserWarning, match="dropout2d is made for"):
        F.dropout2d(weft.ones(2, 3))


@pytest.mark.parity
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lead", [(2,), (), (2, 3)])
def test_bilinear(bias: bool, lead: tuple[int, ...], torch: Any) -> None:
    inputs = draw(*lead, 3), draw(*lead, 4, seed=1)
    assert_same(lambda m: m.Bilinear(3, 4, 2, bias), *inputs, torch=torch)


def test_gradients_of_bilinear() -> None:
    sizes = [(2, 3), (2, 4), (5, 3, 4), (5,)]
    inputs = [weft.tensor(draw(*s, seed=k), requires_grad=True) for k, s in enumerate(sizes)]
    assert gradcheck(F.bilinear, inputs)
    assert gradgradcheck(F.bilinear, inputs)
    with pytest.raises(ShapeError, match=r"\[\*, 3\] and \[\*, 4\]"):
        F.bilinear(inputs[1], inputs[0], inputs[2])
