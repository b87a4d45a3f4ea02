"""Layers that learn their sizes at the first call; parameters without a shape."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import weft
from weft import nn, optim
from weft.errors import CheckpointError, ShapeError
from weft.nn.uninitialized import LazyModuleMixin

LAYERS: dict[str, Any] = {
    "LazyLinear": ((4,), {}, (2, 3)),
    "LazyLinear, no bias": ((4,), {"bias": False}, (5, 2, 3)),
    "LazyConv1d": ((4, 3), {}, (2, 6, 8)),
    "LazyConv2d": ((4, 3), {"stride": 2, "padding": 1, "groups": 2}, (2, 6, 8, 8)),
    "LazyConv2d, unbatched": ((4, 3), {"bias": False}, (6, 8, 8)),
    "LazyConv3d": ((4, 2), {}, (2, 3, 4, 4, 4)),
    "LazyBatchNorm1d": ((), {}, (4, 3)),
    "LazyBatchNorm2d": ((1e-3, None), {"bias": False}, (4, 3, 2, 2)),
    "LazyBatchNorm2d, plain": ((), {"affine": False, "track_running_stats": False}, (4, 3, 2, 2)),
    "LazyBatchNorm3d": ((), {"affine": False}, (4, 3, 2, 2, 2)),
    "LazyConvTranspose1d": ((4, 3), {}, (2, 6, 8)),
    "LazyConvTranspose2d": ((4, 3), {"stride": 2, "output_padding": 1, "groups": 2}, (2, 6, 8, 8)),
    "LazyConvTranspose2d, unbatched": ((4, 3), {"bias": False}, (6, 8, 8)),
    "LazyConvTranspose3d": ((4, 2), {}, (2, 3, 4, 4, 4)),
    "LazyInstanceNorm1d": ((), {}, (4, 3, 5)),
    "LazyInstanceNorm2d": ((1e-3,), {"track_running_stats": False}, (4, 3, 2, 2)),
    "LazyInstanceNorm3d": ((), {"affine": False}, (4, 3, 2, 2, 2)),
}


def _made(lib: Any, name: str) -> Any:
    args, options, shape = LAYERS[name]
    layer = getattr(lib.nn, name.partition(",")[0])(*args, **options)
    return layer, lib.tensor(np.random.default_rng(0).normal(size=shape).astype("f4"))


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    (mine, x), (other, z) = _made(weft, name), _made(torch, name)
    assert repr(mine) == repr(other)
    assert list(mine.state_dict()) == list(other.state_dict())
    y, w = mine(x), other(z)
    assert type(mine).__name__ == type(other).__name__
    if mine.state_dict():  # PyTorch counts no features where it keeps none
        assert repr(mine) == repr(other)
    assert y.shape == tuple(w.shape)
    state = {k: weft.tensor(v.numpy()) for k, v in other.state_dict().items()}
    assert {k: tuple(v.shape) for k, v in mine.state_dict().items()} == {
        k: tuple(v.shape) for k, v in state.items()
    }
    mine.load_state_dict(state)
    mine.eval()
    other.eval()
    np.testing.assert_allclose(mine(x).detach(), other(z).detach().numpy(), 1e-4, 1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_loading_initialises(name: str) -> None:
    (first, x), (second, _) = _made(weft, name), _made(weft, name)
    first(x)
    parameters = dict(second.named_parameters())
    second.load_state_dict(first.state_dict())
    assert dict(second.named_parameters()) == parameters, "the objects stay"
    first.eval()
    second.eval()
    np.testing.assert_array_equal(second(x).detach(), first(x).detach())
    assert repr(second) == repr(first)


def test_loading_by_assignment() -> None:
    first, second = nn.Linear(3, 2), nn.LazyLinear(2)
    second.load_state_dict(first.state_dict(), assign=True)
    x = weft.randn(4, 3)
    np.testing.assert_array_equal(second(x).detach(), first(x).detach())
    assert second.in_features == 3


def test_a_load_that_fails_leaves_it_without_shapes() -> None:
    layer = nn.LazyLinear(2)
    with pytest.raises(CheckpointError, match="bias"):
        layer.load_state_dict({"weight": weft.ones(2, 3)})
    assert layer.has_uninitialized_params()
    assert layer(weft.ones(1, 5)).shape == (1, 2)


def test_a_state_without_shapes_loads_into_a_layer_without_shapes() -> None:
    one, two = nn.LazyLinear(2), nn.LazyLinear(2)
    two.load_state_dict(one.state_dict())
    assert two.has_uninitialized_params()
    with pytest.raises(ShapeError, match="no shape"):
        nn.Linear(3, 2).load_state_dict(one.state_dict())


def test_it_is_initialised_once() -> None:
    layer = nn.LazyLinear(2)
    layer(weft.ones(1, 3))
    weight = layer.weight
    assert type(weight) is nn.Parameter
    assert type(layer) is nn.Linear
    assert not layer._forward_pre_hooks
    layer(weft.ones(1, 3))
    assert layer.weight is weight
    with pytest.raises(ShapeError):
        layer(weft.ones(1, 4))


def test_training_a_model_with_them() -> None:
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(1))
    x = weft.randn(8, 2, 5, 5)
    model(x)
    optimiser = optim.SGD(model, lr=0.05)
    losses = []
    for _ in range(5):
        optimiser.zero_grad()
        loss = ((model(x) - 1) ** 2).mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_weights_start_as_usual() -> None:
    weft.manual_seed(0)
    layer = nn.LazyLinear(50)
    layer(weft.zeros(1, 100))
    values = layer.weight.detach().numpy()
    assert np.abs(values).max() <= 0.1
    assert values.std() == pytest.approx(0.1 / 3**0.5, 0.1)
    norm = nn.LazyBatchNorm1d()
    norm(weft.zeros(2, 3))
    assert norm.weight.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(again: Any) -> None:
    layer = again(nn.LazyBatchNorm1d().double())
    assert layer.running_mean.dtype is weft.float64
    layer(weft.ones(2, 3, dtype=weft.float64))
    assert type(layer) is nn.BatchNorm1d
    assert layer.weight.dtype is weft.float64
    assert layer.running_var.shape == (3,)


def test_conversion_before_the_first_call() -> None:
    layer = nn.LazyLinear(2).to(weft.float64).requires_grad_(False)
    assert layer.weight.dtype is weft.float64
    layer.cpu()(weft.ones(1, 3, dtype=weft.float64))
    assert layer.weight.dtype is weft.float64
    assert not layer.weight.requires_grad
    assert not layer.bias.requires_grad


def test_own_lazy_modules() -> None:
    class Scale(LazyModuleMixin):
        def __init__(self) -> None:
            super().__init__()
            self.by = nn.UninitializedParameter()

        def initialize_parameters(self, x: Any) -> None:
            self.by.materialize((x.shape[-1],))
            with weft.no_grad():
                self.by.fill_(3.0)

        def forward(self, x: Any) -> Any:
            return x * self.by

    module = Scale()
    assert module(weft.ones(2)).tolist() == [3.0, 3.0]
    module(weft.ones(2)).sum().backward()
    assert module.by.grad.tolist() == [1.0, 1.0]

    class Forgetful(Scale):
        def initialize_parameters(self, x: Any) -> None:
            pass

    with pytest.raises(RuntimeError, match="not been fully initialized"):
        Forgetful()(weft.ones(2))


@pytest.mark.parametrize(
    "use",
    [
        lambda p: p.shape,
        lambda p: p + 1,
        lambda p: 1 + p,
        lambda p: p.sum(),
        lambda p: p.numpy(),
        lambda p: p.numel(),
        lambda p: weft.ones(1) @ p,
        lambda p: p.zero_(),
    ],
)
@pytest.mark.parametrize("make", [nn.UninitializedParameter, nn.UninitializedBuffer])
def test_use_before_there_is_a_shape(make: Any, use: Any) -> None:
    with pytest.raises(ShapeError, match=r"no shape.*model\(example\)"):
        use(make())


def test_parameters_without_a_shape() -> None:
    p = nn.UninitializedParameter()
    assert isinstance(p, nn.Parameter)
    assert repr(p) == "<UninitializedParameter>"
    assert (p.requires_grad, p.is_leaf, p.grad) == (True, True, None)
    p.materialize((2, 3), dtype=weft.float64)
    assert type(p) is nn.Parameter
    assert (p.shape, p.dtype, p.requires_grad, p.is_leaf) == ((2, 3), weft.float64, True, True)
    b = nn.UninitializedBuffer(persistent=False)
    assert not copy.deepcopy(b).persistent
    b.materialize(4)
    assert type(b) is weft.Tensor
    assert not b.requires_grad


@pytest.mark.parametrize(
    ("make", "shape", "error", "message"),
    [
        (lambda: nn.LazyConv2d(4, 3), (2, 3), ShapeError, r"3 dimensions, or 4.*\[2, 3\]"),
        (lambda: nn.LazyConv2d(4, 3, groups=2), (1, 3, 5, 5), ShapeError, "3 channels.*2 groups"),
        (lambda: nn.LazyConv1d(3, 3, groups=2), (1, 2, 5), ValueError, "out_channels=3"),
        (lambda: nn.LazyBatchNorm2d(), (2, 3), ShapeError, r"not \[2, 3\]"),
        (lambda: nn.LazyLinear(-1), (2, 3), ValueError, "LazyLinear: out_features"),
        (lambda: nn.LazyLinear("a"), (2, 3), TypeError, "LazyLinear: out_features"),
    ],
)
def test_mistakes(make: Any, shape: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()(weft.ones(shape))
