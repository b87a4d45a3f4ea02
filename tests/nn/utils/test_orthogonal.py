"""Orthogonal weights, beside PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
from weft import nn
from weft.nn.utils.parametrizations import orthogonal

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")

pytestmark = pytest.mark.parity

MAPS = ["matrix_exp", "cayley", "householder", None]


class Scale(nn.Module):
    """A weight of any shape."""

    def __init__(self, weight: Any) -> None:
        self.weight = nn.Parameter(weight)

    def forward(self, x: Any) -> Any:
        return self.weight * x


class TorchScale(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, weight: Any) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(weight)

    forward = Scale.forward


@pytest.mark.parametrize("trivialization", [True, False])
@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5), (2, 4, 3), (2, 2, 3, 3)])
def test_as_pytorch(shape: tuple[int, ...], kind: str | None, trivialization: bool) -> None:
    values = np.random.default_rng(0).normal(size=shape)
    theirs, ours = TorchScale(torch.from_numpy(values)), Scale(weft.from_numpy(values))
    options = {"orthogonal_map": kind, "use_trivialization": trivialization}
    torch.nn.utils.parametrizations.orthogonal(theirs, **options)
    orthogonal(ours, **options)
    assert repr(ours).removeprefix("Parametrized") == repr(theirs).removeprefix("ParametrizedTorch")
    state = {k: v.numpy() for k, v in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    np.testing.assert_allclose(
        ours.weight.detach().numpy(), theirs.weight.detach().numpy(), 1e-9, 1e-9
    )
    ours.load_state_dict({k: weft.from_numpy(v) for k, v in state.items()})
    x = np.random.default_rng(1).normal(size=shape)
    for lib, module in ((torch, theirs), (weft, ours)):
        (module(lib.from_numpy(x)) ** 3).sum().backward()
        with lib.no_grad():
            original = module.parametrizations.weight.original
            original -= 0.1 * original.grad
    gradients = [m.parametrizations.weight.original.grad.numpy() for m in (ours, theirs)]
    np.testing.assert_allclose(*gradients, 1e-8, 1e-9)
    weight = ours.weight.detach()
    if kind != "householder" and not (kind is None and shape[-1] != shape[-2]):
        np.testing.assert_allclose(weight.numpy(), theirs.weight.detach().numpy(), 1e-8, 1e-9)
        rows = weight.mT @ weight if shape[-2] >= shape[-1] else weight @ weight.mT
        np.testing.assert_allclose(
            rows.numpy(), np.broadcast_to(np.eye(min(shape[-2:])), rows.shape), 0, 1e-9
        )


@pytest.mark.parametrize("kind", MAPS)
def test_it_stays_orthogonal_in_training(kind: str | None) -> None:
    weft.manual_seed(0)
    layer = orthogonal(nn.Linear(3, 5), orthogonal_map=kind)
    optimiser = weft.optim.SGD(layer.parameters(), 0.1)
    first = layer.weight.detach()
    for _ in range(5):
        optimiser.zero_grad()
        (layer(weft.ones(2, 3)) ** 2).sum().backward()
        optimiser.step()
    weight = layer.weight.detach()
    assert not weft.allclose(weight, first)
    assert weft.allclose(weight.T @ weight, weft.eye(3), atol=1e-5)


def test_assignment() -> None:
    wanted = weft.linalg.qr(weft.randn(4, 4))[0]
    layer = orthogonal(nn.Linear(4, 4))
    layer.weight = wanted
    assert weft.allclose(layer.weight, wanted, atol=1e-5)
    layer = orthogonal(nn.Linear(4, 4), orthogonal_map="householder", use_trivialization=False)
    layer.weight = wanted
    assert weft.allclose(layer.weight, wanted, atol=1e-5)
    layer = orthogonal(nn.Linear(4, 4), use_trivialization=False)
    with pytest.raises(NotImplementedError, match="use_trivialization=False"):
        layer.weight = wanted
    with pytest.raises(ValueError, match=r"shape \[4, 4\]. Got a tensor of shape \[2, 4\]"):
        orthogonal(nn.Linear(4, 4)).weight = weft.zeros(2, 4)


def test_mistakes() -> None:
    layer = nn.Linear(2, 2)
    for options, text in (
        ({"name": "bias"}, "Got a tensor of 1 dimensions"),
        ({"orthogonal_map": "exp"}, "has to be one of .*Got: exp"),
        ({"name": "wight"}, "Did you mean 'weight'"),
    ):
        with pytest.raises(ValueError, match=text):
            orthogonal(layer, **options)
    assert list(layer.state_dict()) == ["weight", "bias"]
