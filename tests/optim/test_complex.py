"""Complex parameters: each part is moved as a real number, as in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
pytestmark = pytest.mark.parity

OPTIONS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},
    "Adam": {"lr": 0.1, "amsgrad": True},
    "AdamW": {"lr": 0.1},
    "Adadelta": {"lr": 0.5},
    "Adagrad": {"lr": 0.1},
    "Adamax": {"lr": 0.1},
    "ASGD": {"lr": 0.1},
    "NAdam": {"lr": 0.1},
    "RAdam": {"lr": 0.1},
    "RMSprop": {"lr": 0.1, "momentum": 0.5, "centered": True},
    "Rprop": {"lr": 0.1},
}


def trained(lib: Any, name: str, steps: int) -> tuple[Any, Any, Any]:
    draw = np.random.default_rng(0)
    w = lib.tensor(draw.normal(size=(3, 2)) + 1j * draw.normal(size=(3, 2)), requires_grad=True)
    b = lib.tensor(draw.normal(size=2), requires_grad=True)
    x = lib.tensor(draw.normal(size=(5, 3)) + 1j * draw.normal(size=(5, 3)))
    optimizer = getattr(lib.optim, name)([w, b], **OPTIONS[name])
    for _ in range(steps):
        optimizer.zero_grad()
        ((x @ w + b).abs() ** 2).mean().backward()
        optimizer.step()
    return w, b, optimizer


@pytest.mark.parametrize("name", OPTIONS)
def test_steps_and_state_are_those_of_pytorch(name: str) -> None:
    ours, theirs = (trained(lib, name, 4) for lib in (weft, torch))
    for a, b in zip(ours[:2], theirs[:2], strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), rtol=1e-7, atol=1e-9)
    mine, others = (t[2].state_dict()["state"][0] for t in (ours, theirs))
    for key, value in others.items():
        if torch.is_tensor(value) and value.ndim:
            assert str(mine[key].dtype)[5:] == str(value.dtype)[6:], key
            np.testing.assert_allclose(mine[key], value, rtol=1e-7, atol=1e-9)


def test_a_state_that_was_loaded_goes_on() -> None:
    straight = trained(weft, "Adam", 4)
    w, _, optimizer = trained(weft, "Adam", 3)
    again = weft.optim.Adam(optimizer.param_groups[0]["params"], **OPTIONS["Adam"])
    again.load_state_dict(optimizer.state_dict())
    draw = np.random.default_rng(0)
    draw.normal(size=14)
    x = weft.tensor(draw.normal(size=(5, 3)) + 1j * draw.normal(size=(5, 3)))
    again.zero_grad()
    b = again.param_groups[0]["params"][1]
    ((x @ w + b).abs() ** 2).mean().backward()
    again.step()
    assert np.allclose(w.detach(), straight[0].detach())


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs(search: str | None) -> None:
    def run(lib: Any) -> Any:
        z = lib.tensor([1 + 2j, -3j], dtype=lib.complex128, requires_grad=True)
        r = lib.tensor([0.5], dtype=lib.float64, requires_grad=True)
        optimizer = lib.optim.LBFGS([z, r], lr=0.3, max_iter=4, line_search_fn=search)

        def closure() -> Any:
            optimizer.zero_grad()
            loss = ((z - 1j * r).abs() ** 2).sum() + (r - 2).square().sum() + z.real.exp().sum()
            loss.backward()
            return loss

        for _ in range(3):
            optimizer.step(closure)
        return z, r

    for a, b in zip(run(weft), run(torch), strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), rtol=1e-9)


def test_modules_of_complex_numbers() -> None:
    model = weft.nn.Linear(3, 2).to(weft.complex64)
    assert model.weight.dtype is weft.complex64
    made = weft.nn.Linear(3, 2, dtype=weft.cfloat)
    assert made.weight.imag.abs().max().item() > 0
    y = made(weft.randn(4, 3, dtype=weft.cfloat))
    (y.abs() ** 2).mean().backward()
    norm = weft.nn.utils.clip_grad_norm_(made.parameters(), 0.1)
    assert norm.dtype is weft.float32
    total = sum((p.grad.abs() ** 2).sum().item() for p in made.parameters())
    assert total == pytest.approx(0.01, rel=1e-3)
