"""GradScaler: scales, skipped steps and states as PyTorch's, clipping in between, mistakes."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import weft
from weft import nn
from weft.amp import GradScaler


def _run(lib: Any, bad: set[int], steps: int, **options: Any) -> list[Any]:
    """Scales and weights of a run in which some gradients overflow."""
    p = lib.tensor([1.0, -2.0], requires_grad=True)
    optimiser = lib.optim.SGD([p], lr=0.1, momentum=0.9)
    scaler = lib.amp.GradScaler("cpu", **options)
    seen = []
    for k in range(steps):
        optimiser.zero_grad()
        loss = (p * p).sum() * (float("inf") if k in bad else 1.0)
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()
        seen.append((scaler.get_scale(), scaler._get_growth_tracker(), *p.tolist()))
    return [seen, scaler.state_dict()]


@pytest.mark.parity
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"init_scale": 4.0, "growth_interval": 2},
        {"init_scale": 3.0, "growth_factor": 1.7, "backoff_factor": 0.3, "growth_interval": 1},
        {"init_scale": 2.0**125, "growth_interval": 1},  # grows to the end of float32
    ],
)
def test_scales_are_pytorchs(torch: Any, options: dict[str, Any]) -> None:
    for bad in (set(), {0, 1, 5}, {3}):
        ours, mine = _run(weft, bad, 9, **options)
        theirs, its = _run(torch, bad, 9, **options)
        np.testing.assert_allclose(ours, theirs, 1e-6)
        assert mine == its


def test_gradients_are_clipped_after_unscaling() -> None:
    p = weft.tensor([3.0, 4.0], requires_grad=True)
    optimiser, scaler = weft.optim.SGD([p], lr=1.0), GradScaler(init_scale=1024.0)
    scaler.scale((p * p).sum() / 2).backward()
    assert p.grad.tolist() == [3072.0, 4096.0]
    scaler.unscale_(optimiser)
    assert p.grad.tolist() == [3.0, 4.0]
    assert nn.utils.clip_grad_norm_([p], 1.0).item() == pytest.approx(5.0)
    scaler.step(optimiser)
    scaler.update()
    assert p.tolist() == pytest.approx([2.4, 3.2], rel=1e-4)


def test_only_the_optimiser_that_overflowed_is_skipped() -> None:
    a, b = (weft.tensor([1.0], requires_grad=True) for _ in range(2))
    one, two = weft.optim.SGD([a], lr=0.1), weft.optim.SGD([b], lr=0.1)
    scaler = GradScaler(init_scale=8.0)
    first, second = scaler.scale([a.sum(), b.sum() * float("inf")])
    first.backward()
    second.backward()
    scaler.step(one)
    scaler.step(two)
    scaler.update()
    assert a.item() == pytest.approx(0.9)
    assert b.item() == 1.0
    assert scaler.get_scale() == 4.0


def test_training_in_float16_needs_the_scale() -> None:
    def gradient(scaler: Any) -> float:
        layer = nn.Linear(1, 1, bias=False)
        optimiser = weft.optim.SGD(layer, lr=0.0)
        with weft.autocast("cpu", dtype=weft.float16):
            y = layer(weft.ones(1, 1))
        loss = y.float().sum() * 1e-8  # less than float16 can hold
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()
        return float(layer.weight.grad.item())

    assert gradient(GradScaler(enabled=False)) == 0.0
    assert gradient(GradScaler()) == pytest.approx(1e-8, rel=1e-2)


def test_states_and_settings() -> None:
    _, saved = _run(weft, {1}, 5, init_scale=64.0, growth_interval=3)
    assert saved == {
        "scale": 64.0,
        "growth_factor": 2.0,
        "backoff_factor": 0.5,
        "growth_interval": 3,
        "_growth_tracker": 0,
    }
    other = GradScaler()
    other.load_state_dict({**saved, "scale": 5.0, "_growth_tracker": 2})
    assert other.get_scale() == 5.0
    other.scale(weft.ones(1))
    other.load_state_dict({**saved, "scale": 7.0, "_growth_tracker": 2})
    assert other.scale(weft.ones(1)).item() == 7.0
    again = pickle.loads(pickle.dumps(other))
    assert again.state_dict() == other.state_dict()
    assert again.scale(weft.ones(1)).item() == 7.0
    other.update(3.0)
    assert other.get_scale() == 3.0
    other.update(weft.tensor([2.0]))
    assert other.get_scale() == 2.0
    other.set_growth_factor(3.0)
    other.set_backoff_factor(0.1)
    other.set_growth_interval(7)
    assert (other.get_growth_factor(), other.get_backoff_factor()) == (3.0, 0.1)
    assert other.get_growth_interval() == 7


def test_not_enabled() -> None:
    p = weft.ones(1, requires_grad=True)
    optimiser, scaler = weft.optim.SGD([p], lr=0.1), GradScaler(enabled=False)
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optimiser)
    scaler.step(optimiser)
    scaler.update()
    assert p.item() == pytest.approx(0.9)
    assert scaler.get_scale() == 1.0
    assert scaler.state_dict() == {}
    scaler.load_state_dict({})
    with pytest.warns(UserWarning, match="CUDA is not available"):
        assert not GradScaler("cuda").is_enabled()


def test_mistakes() -> None:
    p = weft.ones(1, requires_grad=True)
    optimiser, scaler = weft.optim.SGD([p], lr=0.1), GradScaler()
    with pytest.raises(AssertionError, match=r"did not use scaler\.scale"):
        scaler.step(optimiser)
    with pytest.raises(ValueError, match="not int"):
        scaler.scale(3)
    scaled = scaler.scale(p.sum())
    with pytest.raises(AssertionError, match="none of its parameters has a gradient"):
        scaler.step(optimiser)
    with pytest.raises(AssertionError, match="prior to update"):
        scaler.update()
    scaler = GradScaler()
    scaled = scaler.scale(p.sum())
    scaled.backward()
    scaler.unscale_(optimiser)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(optimiser)
    with pytest.raises(AssertionError, match="may only be pickled"):
        pickle.dumps(scaler)
    scaler.step(optimiser)
    with pytest.raises(RuntimeError, match="after step"):
        scaler.unscale_(optimiser)
    with pytest.raises(RuntimeError, match="already been called since"):
        scaler.step(optimiser)
    with pytest.raises(RuntimeError, match="Closure"):
        scaler.step(optimiser, closure=lambda: None)
    scaler.update()
    with pytest.raises(RuntimeError, match="empty"):
        scaler.load_state_dict({})
    half = weft.ones(1, dtype=weft.float16, requires_grad=True)
    scaler.scale(half.sum()).backward()
    with pytest.raises(ValueError, match=r"FP16 gradients.*stay float32"):
        scaler.step(weft.optim.SGD([half], lr=0.1))
    with pytest.raises(AssertionError, match="growth factor"):
        GradScaler(growth_factor=1.0)
    with pytest.raises(AssertionError, match="backoff factor"):
        GradScaler(backoff_factor=1.0)
