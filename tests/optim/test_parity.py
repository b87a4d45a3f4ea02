"""The optimisers: trajectories against PyTorch's, and state dicts both ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.optim

torch = pytest.importorskip("torch", reason="PyTorch is compared with: pip install 'weft[parity]'")

CONFIGURATIONS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-3}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01, "amsgrad": True, "maximize": True}),
    ("AdamW", {"lr": 0.01}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.2, "amsgrad": True}),
    ("ASGD", {"lr": 0.01}),
    ("ASGD", {"lr": 0.02, "lambd": 0.1, "alpha": 0.5, "t0": 10, "weight_decay": 0.1}),
    ("ASGD", {"lr": 0.01, "t0": 0, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.7, "eps": 1e-4, "weight_decay": 0.1}),
    ("Adadelta", {"lr": 0.5, "maximize": True}),
    ("Adafactor", {"lr": 0.1}),
    ("Adafactor", {"lr": 0.1, "beta2_decay": -0.5, "d": 2.0, "weight_decay": 0.1}),
    ("Adafactor", {"lr": 0.5, "eps": (1e-2, 1e-1)}),
    ("Adafactor", {"lr": 0.1, "maximize": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3}),
    ("Adagrad", {"lr": 0.1, "maximize": True}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adamax", {"lr": 0.01, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.01, "betas": (0.8, 0.99), "momentum_decay": 0.1, "weight_decay": 0.1}),
    ("NAdam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("NAdam", {"lr": 0.01, "eps": 1e-3, "maximize": True}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.01, "betas": (0.8, 0.99), "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.01, "betas": (0.9, 0.6)}),  # its length never exceeds 5
    ("RAdam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.01, "eps": 1e-3, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.9, "momentum": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "centered": True, "eps": 1e-3}),
    ("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.5, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.4, 1.5), "step_sizes": (1e-3, 0.2)}),
    ("Rprop", {"lr": 0.1, "maximize": True}),
]
IDS = [f"{name} {options}" for name, options in CONFIGURATIONS]
START = [np.random.default_rng(0).normal(size=s) for s in ((3, 4), (4,), ())]


def _problem(lib: Any, name: str, options: dict[str, Any], dtype: str = "float64") -> Any:
    params = [lib.tensor(v.astype(dtype), requires_grad=True) for v in START]
    return params, getattr(lib.optim, name)(params, **options)


def _copied(lib: Any, value: Any) -> Any:
    """A state dict's value for the other library."""
    if isinstance(value, dict):
        return {k: _copied(lib, v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return type(value)([_copied(lib, v) for v in value])
    return lib.tensor(value.detach().numpy()) if hasattr(value, "detach") else value


def _steps(lib: Any, params: list[Any], optimiser: Any, count: int) -> None:
    a, b, c = params
    for k in range(count):
        optimiser.zero_grad()
        loss = ((a * b).sum(1) ** 2).mean() + (b - k % 3).abs().sum() + c * c * b.sum()
        loss.backward()
        optimiser.step()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS, ids=IDS)
def test_trajectory(name: str, options: dict[str, Any], dtype: str) -> None:
    if options.get("maximize"):
        options = {**options, "lr": 1e-3}
    count = 100 if dtype == "float64" else 20
    results = []
    for lib in (weft, torch):
        params, optimiser = _problem(lib, name, options, dtype)
        _steps(lib, params, optimiser, count)
        results.append([p.detach().numpy() for p in params])
    tolerance = {"float64": 1e-8, "float32": 2e-3}[dtype]
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(mine, theirs, tolerance, tolerance)


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS, ids=IDS)
def test_state_dict_goes_both_ways(name: str, options: dict[str, Any]) -> None:
    ours, mine = _problem(weft, name, options)
    theirs, other = _problem(torch, name, options)
    _steps(weft, ours, mine, 3)
    _steps(torch, theirs, other, 3)
    saved, wanted = mine.state_dict(), other.state_dict()
    assert saved["state"].keys() == wanted["state"].keys()
    for k, values in wanted["state"].items():
        present = {n for n, v in values.items() if v is not None}
        assert saved["state"][k].keys() == present
    # PyTorch's state into ours, ours into PyTorch's: all go on alike.
    fresh, again = _problem(weft, name, options)
    again.load_state_dict(_copied(weft, wanted))
    back, there = _problem(torch, name, options)
    there.load_state_dict(_copied(torch, saved))
    with weft.no_grad(), torch.no_grad():
        for p, q, r in zip(fresh, theirs, back, strict=True):
            p.copy_(weft.tensor(q.detach().numpy()))
            r.copy_(q)
    _steps(weft, fresh, again, 3)
    _steps(torch, theirs, other, 3)
    _steps(torch, back, there, 3)
    for p, q, r in zip(fresh, theirs, back, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), 1e-9)
        np.testing.assert_allclose(r.detach().numpy(), q.detach().numpy(), 1e-9)
