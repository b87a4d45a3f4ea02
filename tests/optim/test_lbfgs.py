"""LBFGS: trajectories against PyTorch's, the line search, state, mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.optim
from weft.optim.line_search import Point, interpolated, strong_wolfe

START = [np.random.default_rng(3).normal(size=s) for s in ((4,), ())]

CONFIGURATIONS: list[dict[str, Any]] = [
    {"lr": 0.05, "max_iter": 5},
    {"lr": 0.2, "max_iter": 4, "history_size": 2},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "max_iter": 4, "history_size": 2},
    {"lr": 20.0, "line_search_fn": "strong_wolfe", "max_iter": 3},
    {"lr": 1e-3, "line_search_fn": "strong_wolfe", "max_iter": 3},
    {"line_search_fn": "strong_wolfe", "max_eval": 3},
    {"line_search_fn": "strong_wolfe", "max_eval": 1},
    {"lr": 0.05, "tolerance_grad": 1.0},
    {"lr": 0.05, "tolerance_change": 1e-2},
]


def _problem(lib: Any, options: dict[str, Any]) -> Any:
    params = [lib.tensor(v, requires_grad=True) for v in START]
    return params, lib.optim.LBFGS(params, **options)


def _step(params: list[Any], optimiser: Any) -> float:
    a, b = params

    def closure() -> Any:
        optimiser.zero_grad()
        valley = (100 * (a[1:] - a[:-1] ** 2) ** 2 + (1 - a[:-1]) ** 2).sum()  # Rosenbrock's
        loss = valley / 10 + (b - a[0]) ** 2 + (b * b + 1).log()
        loss.backward()
        return loss

    return float(optimiser.step(closure))


# PyTorch's own LBFGS makes numbers of losses that require grad.
ignore_pytorchs_warning = pytest.mark.filterwarnings(
    "ignore:Converting a tensor with requires_grad=True:UserWarning"
)


@ignore_pytorchs_warning
@pytest.mark.parity
@pytest.mark.parametrize("options", CONFIGURATIONS, ids=str)
def test_trajectory(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    ours, mine = _problem(weft, options)
    theirs, other = _problem(torch, options)
    for _ in range(10):
        np.testing.assert_allclose(_step(ours, mine), _step(theirs, other), 1e-6)
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), 1e-6)
    for name in ("n_iter", "func_evals"):
        assert mine.state[ours[0]][name] == other.state[theirs[0]][name]


def _copied(lib: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _copied(lib, v) for k, v in value.items()}
    if isinstance(value, list):
        return [_copied(lib, v) for v in value]
    return lib.tensor(value.detach().numpy()) if hasattr(value, "detach") else value


@ignore_pytorchs_warning
@pytest.mark.parity
def test_state_dict_goes_both_ways() -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    options = {"line_search_fn": "strong_wolfe", "max_iter": 4}
    ours, mine = _problem(weft, options)
    theirs, other = _problem(torch, options)
    _step(ours, mine)
    _step(theirs, other)
    fresh, again = _problem(weft, options)
    back, there = _problem(torch, options)
    saved, wanted = mine.state_dict(), other.state_dict()
    assert saved["state"][0].keys() == wanted["state"][0].keys() - {"al"}  # (al: room to work in)
    again.load_state_dict(_copied(weft, wanted))
    there.load_state_dict(_copied(torch, saved))
    with weft.no_grad(), torch.no_grad():
        for p, q, r in zip(fresh, theirs, back, strict=True):
            p.copy_(weft.tensor(q.detach().numpy()))
            r.copy_(q)
    for _ in range(3):
        loss = _step(theirs, other)
        np.testing.assert_allclose(_step(fresh, again), loss, 1e-6)
        np.testing.assert_allclose(_step(back, there), loss, 1e-6)


def test_it_finds_a_minimum() -> None:
    params, optimiser = _problem(weft, {"line_search_fn": "strong_wolfe", "max_iter": 100})
    _step(params, optimiser)
    _step(params, optimiser)
    for p in params:
        assert p.grad.abs().max().item() < 1e-4


def test_what_was_saved_does_not_change_later() -> None:
    params, optimiser = _problem(weft, {"lr": 0.05, "max_iter": 3})
    _step(params, optimiser)
    saved = optimiser.state_dict()["state"][0]
    count = len(saved["old_dirs"])
    _step(params, optimiser)
    assert len(saved["old_dirs"]) == count < len(optimiser.state[params[0]]["old_dirs"])


def test_hooks_run_around_a_step() -> None:
    params, optimiser = _problem(weft, {"max_iter": 2})
    calls: list[str] = []
    optimiser.register_step_pre_hook(lambda *_: calls.append("before"))
    optimiser.register_step_post_hook(lambda *_: calls.append("after"))
    _step(params, optimiser)
    assert calls == ["before", "after"]


def test_a_parameter_without_gradient_stays() -> None:
    a, b = weft.ones(2, requires_grad=True), weft.ones(3, requires_grad=True)
    optimiser = weft.optim.LBFGS([a, b], max_iter=3, lr=0.1)

    def closure() -> Any:
        optimiser.zero_grad()
        loss = (a * a).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    assert b.tolist() == [1.0, 1.0, 1.0]
    assert a.tolist() != [1.0, 1.0]


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0])
def test_line_search_keeps_the_wolfe_conditions(first: float) -> None:
    def evaluate(t: float) -> Point:
        loss = (t - 2) ** 4 + 0.5 * (t - 2) ** 2
        return Point(t, loss, weft.zeros(1), 4 * (t - 2) ** 3 + (t - 2))

    start = evaluate(0.0)
    found, count = strong_wolfe(evaluate, start, first, 25, 1.0, 1e-9)
    assert found.loss <= start.loss + 1e-4 * found.t * start.slope
    assert abs(found.slope) <= 0.9 * abs(start.slope)
    assert count <= 25


def test_interpolation() -> None:
    zero = weft.zeros(1)

    def parabola(t: float) -> Point:
        return Point(t, (t - 3) ** 2, zero, 2 * (t - 3))

    assert interpolated(parabola(0.0), parabola(10.0)) == pytest.approx(3.0)
    assert interpolated(parabola(10.0), parabola(0.0)) == pytest.approx(3.0)
    assert interpolated(parabola(0.0), parabola(1.0), (1.01, 2.0)) == 2.0
    assert interpolated(parabola(1.0), parabola(1.0)) == 1.0
    flat = [Point(t, 0.0, zero, 0.0) for t in (0.0, 2.0)]
    assert interpolated(*flat) == 1.0
    nan = Point(2.0, float("nan"), zero, float("nan"))
    assert interpolated(parabola(0.0), nan) == 1.0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: weft.optim.LBFGS([p]).step(), TypeError, r"step\(closure\)"),
        (lambda p: weft.optim.LBFGS([p], line_search_fn="armijo"), ValueError, "'armijo'"),
        (lambda p: weft.optim.LBFGS([p], history_size=0), ValueError, "history_size=0"),
        (
            lambda p: weft.optim.LBFGS([{"params": [p]}, {"params": [weft.ones(1)]}]),
            ValueError,
            "one group",
        ),
    ],
)
def test_mistakes(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(weft.ones(2, requires_grad=True))


def test_a_state_of_another_size_does_not_load() -> None:
    params, optimiser = _problem(weft, {"max_iter": 2})
    _step(params, optimiser)
    other = weft.optim.LBFGS([weft.ones(3, requires_grad=True), weft.ones(1, requires_grad=True)])
    with pytest.raises(ValueError, match="'d' has shape"):
        other.load_state_dict(optimiser.state_dict())
    assert not other.state
