"""Lion, LAMB and schedule-free AdamW: against their papers' formulas, in NumPy and float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from weft import nn, optim

Array = Any
#: What an optimiser has to do to one parameter: ``(x, gradient of x, step, state) -> new x``.
Rule = Callable[[Array, Callable[[Array], Array], int, dict[str, Any]], Array]
SHAPES = ((3, 4), (4,), ())


def _gradient(x: Array) -> Array:
    return np.tanh(x - 0.3) + 0.1 * x


def lion(lr: float, betas: tuple[float, float], decay: float) -> Rule:
    """Chen et al. 2023, program 1."""

    def rule(x: Array, gradient: Any, k: int, state: dict[str, Any]) -> Array:
        m, g = state.get("m", 0 * x), gradient(x)
        update = np.sign(betas[0] * m + (1 - betas[0]) * g)
        state["m"] = betas[1] * m + (1 - betas[1]) * g
        return x - lr * (update + decay * x)

    return rule


def lamb(lr: float, betas: tuple[float, float], eps: float, decay: float) -> Rule:
    """You et al. 2020, algorithm 2, with the identity as scaling function."""

    def rule(x: Array, gradient: Any, k: int, state: dict[str, Any]) -> Array:
        g = gradient(x)
        m = state["m"] = betas[0] * state.get("m", 0 * x) + (1 - betas[0]) * g
        v = state["v"] = betas[1] * state.get("v", 0 * x) + (1 - betas[1]) * g * g
        ratio = (m / (1 - betas[0] ** k)) / (np.sqrt(v / (1 - betas[1] ** k)) + eps)
        change = ratio + decay * x
        norms = np.linalg.norm(x), np.linalg.norm(change)
        trust = norms[0] / norms[1] if min(norms) > 0 else 1.0
        return x - lr * trust * change

    return rule


def schedule_free(
    lr: float, betas: tuple[float, float], eps: float, decay: float, warmup: int, r: float
) -> Rule:
    """Defazio et al. 2024, algorithm 1: z, x and y kept apart (weft keeps y and z)."""

    def rule(y: Array, gradient: Any, k: int, state: dict[str, Any]) -> Array:
        z, x = state.get("z", y), state.get("x", y)
        np.testing.assert_allclose(y, (1 - betas[0]) * z + betas[0] * x, 1e-12, 1e-12)
        g = gradient(y)
        v = state["v"] = betas[1] * state.get("v", 0 * x) + (1 - betas[1]) * g * g
        rate = lr * min(1.0, k / warmup if warmup else 1.0)
        change = g / (np.sqrt(v / (1 - betas[1] ** k)) + eps) + decay * y
        z = state["z"] = z - rate * change
        weight = k**r * rate**2
        state["sum"] = state.get("sum", 0.0) + weight
        x = state["x"] = x + weight / state["sum"] * (z - x)
        return (1 - betas[0]) * z + betas[0] * x

    return rule


CASES: list[tuple[str, dict[str, Any], Rule]] = [
    ("Lion", {}, lion(1e-4, (0.9, 0.99), 0.0)),
    ("Lion", {"lr": 0.01, "betas": (0.8, 0.9), "weight_decay": 0.1}, lion(0.01, (0.8, 0.9), 0.1)),
    ("LAMB", {}, lamb(1e-3, (0.9, 0.999), 1e-6, 0.01)),
    ("LAMB", {"lr": 0.05, "eps": 1e-3, "weight_decay": 0.0}, lamb(0.05, (0.9, 0.999), 1e-3, 0.0)),
    ("AdamWScheduleFree", {}, schedule_free(2.5e-3, (0.9, 0.999), 1e-8, 0.0, 0, 0.0)),
    (
        "AdamWScheduleFree",
        {
            "lr": 0.05,
            "betas": (0.8, 0.99),
            "eps": 1e-3,
            "weight_decay": 0.1,
            "warmup_steps": 7,
            "r": 1.0,
        },
        schedule_free(0.05, (0.8, 0.99), 1e-3, 0.1, 7, 1.0),
    ),
]
IDS = [f"{name} {options}" for name, options, _ in CASES]


def _start() -> list[Array]:
    draw = np.random.default_rng(0)
    return [draw.normal(size=s) for s in SHAPES]


def _step(optimiser: Any, sign: float = 1.0) -> None:
    for group in optimiser.param_groups:
        for p in group["params"]:
            p.grad = weft.tensor(sign * _gradient(p.detach().double().numpy())).to(p.dtype)
    optimiser.step()


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("dtype", [weft.float64, weft.float32])
@pytest.mark.parametrize(("name", "options", "rule"), CASES, ids=IDS)
def test_trajectories_are_the_papers(
    name: str, options: dict[str, Any], rule: Rule, dtype: Any, maximize: bool
) -> None:
    wanted = _start()
    states: list[dict[str, Any]] = [{} for _ in wanted]
    params = [weft.tensor(v, dtype=dtype, requires_grad=True) for v in wanted]
    optimiser = getattr(optim, name)(params, maximize=maximize, **options)
    tolerance = 1e-8 if dtype is weft.float64 else 1e-4
    for k in range(1, 101):
        _step(optimiser, -1.0 if maximize else 1.0)
        wanted = [rule(x, _gradient, k, s) for x, s in zip(wanted, states, strict=True)]
        if dtype is weft.float64 or k < 20:  # (a sign of nearly nothing may differ later)
            for p, x in zip(params, wanted, strict=True):
                np.testing.assert_allclose(p.detach().numpy(), x, tolerance, tolerance)
    if name == "AdamWScheduleFree" and dtype is weft.float64:
        before = [p.detach().numpy() for p in params]
        optimiser.eval()
        for p, s in zip(params, states, strict=True):
            np.testing.assert_allclose(p.detach().numpy(), s["x"], 1e-10)
        optimiser.eval()
        optimiser.train()
        for p, y in zip(params, before, strict=True):
            np.testing.assert_allclose(p.detach().numpy(), y, 1e-12)


@pytest.mark.parametrize(("name", "options", "rule"), CASES, ids=IDS)
def test_a_resumed_run_goes_on_alike(name: str, options: dict[str, Any], rule: Rule) -> None:
    def begin(values: list[Array]) -> tuple[list[Any], Any]:
        params = [weft.tensor(v, requires_grad=True) for v in values]
        return params, getattr(optim, name)(params, **options)

    params, optimiser = begin(_start())
    for _ in range(5):
        _step(optimiser)
    again, other = begin([p.detach().numpy() for p in params])
    other.load_state_dict(optimiser.state_dict())
    for _ in range(5):
        _step(optimiser)
        _step(other)
    for p, q in zip(params, again, strict=True):
        assert np.array_equal(p.detach().numpy(), q.detach().numpy())


def test_lamb_moves_a_parameter_of_zeros() -> None:
    p = weft.zeros(3, requires_grad=True)
    p.grad = weft.ones(3)
    optim.LAMB([p], lr=0.1, weight_decay=0.0).step()
    assert p.tolist() == pytest.approx([-0.1] * 3, rel=1e-5)


def test_a_step_with_the_averaged_weights_in_place_is_a_mistake() -> None:
    model = nn.Linear(2, 1)
    optimiser = optim.AdamWScheduleFree(model)
    model(weft.ones(1, 2)).sum().backward()
    optimiser.step()
    optimiser.eval()
    before = model.weight.tolist()
    with pytest.raises(RuntimeError, match=r"Call optimizer\.train\(\)"):
        optimiser.step()
    assert model.weight.tolist() == before
    saved = optimiser.state_dict()
    other = optim.AdamWScheduleFree(model)
    other.load_state_dict(saved)
    with pytest.raises(RuntimeError, match="averaged weights"):
        other.step()
    other.train()
    other.step()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: optim.Lion([p], betas=(1.0, 0.9)), r"betas\[0\]=1.0"),
        (lambda p: optim.LAMB([p], eps=-1), "LAMB: eps=-1"),
        (lambda p: optim.AdamWScheduleFree([p], warmup_steps=-1), "warmup_steps=-1"),
        (lambda p: optim.AdamWScheduleFree([p], betas=(0.0, 0.9)), "no average"),
    ],
)
def test_options_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(weft.ones(2, requires_grad=True))
