"""Parameters as a vector, fusion of batch normalisation, skip_init."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
from weft import nn
from weft.errors import ShapeError
from weft.nn import utils


def test_vector_and_back() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1, bias=False))
    vector = utils.parameters_to_vector(model.parameters())
    assert vector.shape == (12,)
    assert vector[:6].tolist() == model[0].weight.reshape(-1).tolist()
    (vector * vector).sum().backward()
    np.testing.assert_allclose(model[1].weight.grad.numpy(), 2 * model[1].weight.detach().numpy())
    utils.vector_to_parameters(weft.arange(12.0), model.parameters())
    assert model[0].weight.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert model[1].weight.tolist() == [[9, 10, 11]]
    assert all(p.requires_grad and p.is_leaf for p in model.parameters())
    assert utils.parameters_to_vector(model.parameters()).tolist() == list(range(12))


def test_vector_mistakes() -> None:
    model = nn.Linear(2, 1)
    before = model.weight.tolist()
    with pytest.raises(ShapeError, match=r"shape \[4\].*3 elements"):
        utils.vector_to_parameters(weft.zeros(4), model.parameters())
    with pytest.raises(TypeError, match="takes a Tensor"):
        utils.vector_to_parameters([0.0] * 3, model.parameters())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no parameters"):
        utils.parameters_to_vector([])
    assert model.weight.tolist() == before


def _settled(norm: Any) -> Any:
    """With statistics and weights that are not those at the beginning."""
    draw = np.random.default_rng(0)
    for name in ("weight", "bias", "running_mean", "running_var"):
        value = getattr(norm, name)
        if value is not None:
            value.data = weft.tensor(draw.uniform(0.5, 2, tuple(value.shape)).astype("f4"))
    return norm.eval()


CONVS = [
    (lambda: nn.Conv1d(2, 4, 3), lambda: nn.BatchNorm1d(4), (5, 2, 7)),
    (lambda: nn.Conv2d(2, 4, 3, bias=False), lambda: nn.BatchNorm2d(4), (5, 2, 7, 7)),
    (lambda: nn.Conv2d(2, 4, 3, groups=2), lambda: nn.BatchNorm2d(4, affine=False), (5, 2, 7, 7)),
    (lambda: nn.Conv3d(2, 4, 2), lambda: nn.BatchNorm3d(4, eps=0.1), (5, 2, 4, 4, 4)),
]


@pytest.mark.parametrize(("make", "norm", "shape"), CONVS)
def test_a_convolution_and_its_normalisation(make: Any, norm: Any, shape: Any) -> None:
    conv, bn = make().eval(), _settled(norm())
    x = weft.randn(shape)
    fused = utils.fuse_conv_bn_eval(conv, bn)
    np.testing.assert_allclose(fused(x).detach(), bn(conv(x)).detach(), 1e-4, 1e-5)
    assert fused is not conv
    assert type(fused) is type(conv)
    assert fused.weight.requires_grad
    assert fused.bias.requires_grad is (conv.bias is not None)


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_and_its_normalisation(bias: bool) -> None:
    linear, bn = nn.Linear(3, 4, bias=bias).eval(), _settled(nn.BatchNorm1d(4))
    x = weft.randn(5, 3)
    fused = utils.fuse_linear_bn_eval(linear, bn)
    np.testing.assert_allclose(fused(x).detach(), bn(linear(x)).detach(), 1e-4, 1e-5)


@pytest.mark.parity
@pytest.mark.parametrize("transpose", [False, True])
def test_weights_are_pytorchs(transpose: bool) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    draw = np.random.default_rng(0)
    values = [draw.uniform(0.5, 2, s) for s in ((4, 4, 3, 3), (4,), (4,), (4,), (4,), (4,))]
    found = []
    for lib in (weft, torch):
        w, b, mean, variance, scale, shift = (lib.tensor(v) for v in values)
        fused = lib.nn.utils.fuse_conv_bn_weights(
            w, b, mean, variance, 1e-3, scale, shift, transpose
        )
        found.append([p.detach().numpy() for p in fused])
    for mine, other in zip(*found, strict=True):
        np.testing.assert_allclose(mine, other, 1e-12)


def test_fusion_mistakes() -> None:
    conv, bn = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)
    with pytest.raises(ValueError, match=r"eval\(\)"):
        utils.fuse_conv_bn_eval(conv, bn)
    untracked = nn.BatchNorm2d(4, track_running_stats=False).eval()
    with pytest.raises(ValueError, match="no running statistics"):
        utils.fuse_conv_bn_eval(conv.eval(), untracked)
    with pytest.raises(ShapeError, match=r"5 features.*4 outputs"):
        utils.fuse_linear_bn_eval(nn.Linear(2, 4).eval(), nn.BatchNorm1d(5).eval())


def test_skip_init() -> None:
    layer = utils.skip_init(nn.Linear, 2, out_features=3)
    assert isinstance(layer, nn.Linear)
    assert layer.weight.shape == (3, 2)

    class Plain(nn.Module):
        pass

    with pytest.raises(RuntimeError, match="no argument `device`"):
        utils.skip_init(Plain)
    with pytest.raises(RuntimeError, match="takes a Module class"):
        utils.skip_init(int)
