"""Modules called with given parameters, through ``weft.func`` and ``weft.nn.utils.stateless``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
from weft import nn
from weft.func import functional_call, grad
from weft.nn.utils import stateless


def test_given_parameters_are_used_and_the_modules_own_come_back() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    own = dict(model.named_parameters())
    given = {k: weft.full_like(p, 0.5) for k, p in own.items()}
    y = functional_call(model, given, weft.ones(1, 2))
    assert y.tolist() == [[2.0]]
    assert all(p is own[k] for k, p in model.named_parameters())


def test_what_is_missing_is_the_modules_own() -> None:
    model = nn.Linear(2, 1)
    x = weft.ones(1, 2)
    y = functional_call(model, {"weight": weft.zeros(1, 2)}, (x,))
    assert y.tolist() == [[model.bias.item()]]
    assert functional_call(model, ({"weight": weft.zeros(1, 2)}, {"bias": weft.ones(1)}), x) == 1


def test_it_comes_back_after_an_error() -> None:
    model = nn.Linear(2, 1)
    own = model.weight
    with pytest.raises(RuntimeError):
        functional_call(model, {"weight": weft.zeros(1, 3)}, weft.ones(1, 2))
    assert model.weight is own


def test_keyword_arguments() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            self.scale = nn.Parameter(weft.ones(()))

        def forward(self, x: Any, *, by: float) -> Any:
            return x * self.scale * by

    given = {"scale": weft.tensor(3.0)}
    assert functional_call(Scaled(), given, weft.ones(()), {"by": 2.0}).item() == 6.0
    assert functional_call(Scaled(), given, kwargs={"x": weft.ones(()), "by": 2.0}).item() == 6.0


def test_gradients_reach_what_is_given() -> None:
    model = nn.Linear(2, 1)
    w = weft.ones(1, 2, requires_grad=True)
    functional_call(model, {"weight": w}, weft.tensor([[3.0, 4.0]])).sum().backward()
    assert w.grad.tolist() == [[3.0, 4.0]]
    assert model.weight.grad is None
    assert model.bias.grad is not None


def test_buffers_that_are_given_are_changed() -> None:
    model = nn.BatchNorm1d(2)
    mean = weft.zeros(2)
    functional_call(model, {"running_mean": mean}, weft.ones(4, 2))
    np.testing.assert_allclose(mean.numpy(), 0.1, 1e-6)
    assert model.running_mean.tolist() == [0.0, 0.0]


def _tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    return model


def test_tied_weights() -> None:
    model, x, two = _tied(), weft.ones(1, 2), 2 * weft.eye(2)
    assert functional_call(model, {"0.weight": two}, x).tolist() == [[4.0, 4.0]]
    assert functional_call(model, {"1.weight": two}, x).tolist() == [[4.0, 4.0]]
    assert functional_call(model, {"0.weight": two, "1.weight": two}, x).tolist() == [[4.0, 4.0]]
    with pytest.raises(ValueError, match=r"'0\.weight' and '1\.weight' are one parameter"):
        functional_call(model, {"0.weight": two, "1.weight": weft.eye(2)}, x)
    given = {"0.weight": two, "1.weight": weft.eye(2)}
    assert functional_call(model, given, x, tie_weights=False).tolist() == [[2.0, 2.0]]


def test_strict() -> None:
    model, x = nn.Linear(2, 1), weft.ones(1, 2)
    whole = {"weight": weft.zeros(1, 2), "bias": weft.zeros(1)}
    assert functional_call(model, whole, x, strict=True).item() == 0.0
    with pytest.raises(KeyError, match="missing bias"):
        functional_call(model, {"weight": weft.zeros(1, 2)}, x, strict=True)
    with pytest.raises(KeyError, match=r"'wieght'\. Did you mean 'weight'"):
        functional_call(model, {**whole, "wieght": weft.zeros(1)}, x, strict=True)
    with pytest.warns(UserWarning, match="Did you mean 'weight'"):
        functional_call(model, {"wieght": weft.zeros(1)}, x)
    without = nn.Linear(2, 1, bias=False)
    assert functional_call(without, {"weight": weft.zeros(1, 2)}, x, strict=True).item() == 0.0


def test_mistakes() -> None:
    model = nn.Linear(2, 1)
    with pytest.raises(ValueError, match="'bias' is in two"):
        functional_call(model, [{"bias": weft.zeros(1)}, {"bias": weft.zeros(1)}], weft.ones(1, 2))
    with pytest.raises(TypeError, match="'bias' must be a Tensor"):
        stateless.functional_call(model, {"bias": 1.0}, weft.ones(1, 2))


@pytest.mark.parity
def test_gradients_are_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    draw = np.random.default_rng(0)
    values = {
        "0.weight": draw.normal(size=(4, 3)),
        "0.bias": draw.normal(size=4),
        "2.weight": draw.normal(size=(2, 4)),
        "2.bias": draw.normal(size=2),
    }
    x = draw.normal(size=(5, 3))
    seen = []
    for lib in (weft, torch):
        model = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.Tanh(), lib.nn.Linear(4, 2)).double()
        params = {k: lib.tensor(v) for k, v in values.items()}
        data = lib.tensor(x)

        def loss(p: Any, lib: Any = lib, model: Any = model, data: Any = data) -> Any:
            return (lib.func.functional_call(model, p, data) ** 2).sum()

        seen.append({k: g.numpy() for k, g in lib.func.grad(loss)(params).items()})
    assert seen[0].keys() == seen[1].keys()
    for name, value in seen[1].items():
        np.testing.assert_allclose(seen[0][name], value, 1e-10)


def test_a_step_of_training_without_state() -> None:
    model = nn.Linear(2, 1)
    params = {k: p.detach() for k, p in model.named_parameters()}
    x, target = weft.randn(8, 2), weft.zeros(8, 1)

    def loss(p: Any) -> Any:
        return ((functional_call(model, p, x) - target) ** 2).mean()

    first = loss(params).item()
    for _ in range(20):
        grads = grad(loss)(params)
        params = {k: p - 0.1 * grads[k] for k, p in params.items()}
    assert loss(params).item() < first
    assert not any(p.requires_grad for p in params.values())
