"""``weft.compile`` on another device."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="computes by JAX: pip install 'weft[xla]'")

from replaying import *  # noqa: F403

import weft
from weft import config, nn
from weft.engine import realize
from weft.engine.devices import Packed
from weft.replay.compiled import Compiled


@pytest.fixture(autouse=True)
def replays(monkeypatch: pytest.MonkeyPatch, on_xla: weft.device) -> None:
    monkeypatch.setattr(config, "REFERENCE", False)


def step_of(width: int) -> tuple[nn.Module, Any]:
    model = nn.Linear(width, width)
    optimizer = weft.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    @weft.compile
    def step(x: weft.Tensor) -> weft.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), x.argmax(1))
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(4):
        step(weft.randn(4, width))
    assert is_replayed(step)  # noqa: F405
    return model, step


def test_a_repeated_call_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    _, step = step_of(8)
    x = weft.randn(4, 8)
    weft.realize(x)
    with monkeypatch.context() as patch:
        patch.setattr(realize, "host", lambda value: pytest.fail("it waited"))
        patch.setattr(Compiled, "_traced", lambda *_: pytest.fail("Python ran it"))
        for _ in range(3):
            loss = step(x)
    assert np.isfinite(loss.item())


def place_of(x: weft.Tensor) -> int:
    """Where its values lie: for a small one, the array that they are part of."""
    value = x._node.value
    array = value._pack.array if isinstance(value, Packed) else value
    return array.unsafe_buffer_pointer()  # type: ignore[no-any-return]


@pytest.mark.parametrize("width", [8, 80])
def test_memory_is_written_over_unless_somebody_holds_it(width: int) -> None:
    model, step = step_of(width)
    x = weft.randn(4, width)
    weight = model.weight
    assert isinstance(weight._node.value, Packed) == (width == 8)
    before = place_of(weight)
    step(x)
    assert place_of(weight) == before
    node, array = weight._node, weight.detach().cpu().numpy()
    copied = array.copy()
    step(x)
    np.testing.assert_array_equal(realize.value_of(node), copied)
    np.testing.assert_array_equal(array, copied)
    assert (weight.detach().cpu().numpy() != copied).any()


@pytest.mark.parametrize(
    "hold", [lambda t: t * 1, lambda t: t.cpu(), lambda t: t.clone(), copy.copy]
)
def test_what_others_hold_of_small_tensors_stays(hold: Any) -> None:
    """Of parameters, states and gradients; nodes, values and what is made of them later."""
    model, step = step_of(8)
    other, _ = step_of(8)
    other.load_state_dict(model.state_dict())
    x = weft.randn(4, 8)
    for _ in range(3):
        step(x)
        held = [hold(t) for p in model.parameters() for t in (p.detach(), p.grad)]
        values = [t.cpu().tolist() for t in (p for q in model.parameters() for p in (q, q.grad))]
        gradients = [p.grad for p in model.parameters()]
        arrays = [p.grad.numpy() for p in model.parameters()]
        step(x)
        assert [a.tolist() for a in arrays] == values[1::2]
        assert [t.detach().cpu().tolist() for t in held] == values
        assert [g.cpu().tolist() for g in gradients] == values[1::2]
        assert [p.tolist() for p in model.parameters()] != values[::2]


def test_it_is_compiled_for_the_recorded_call_and_not_again() -> None:
    _, step = step_of(8)
    (variant,) = [v for kind in step._kinds.values() for v in kind.variants if v.steady]
    kept = variant.replay._part._jitted
    before = len(kept)
    for _ in range(3):
        step(weft.randn(4, 8))
    assert len(kept) == before <= 2  # the first call has no states to write over


def test_precision_of_products_is_taken_as_it_is() -> None:
    layer = nn.Linear(4, 4)
    step: Any = weft.compile(weft.no_grad()(lambda x: layer(x)))
    for name in ("highest", "medium", "highest"):
        weft.set_float32_matmul_precision(name)
        for _ in range(3):
            step(weft.ones(2, 4))
    (variant,) = [v for kind in step._kinds.values() for v in kind.variants]
    assert {key[0].precision.matmul for key in variant.replay._part._jitted} == {
        "highest",
        "medium",
    }


def test_parts_on_two_devices_are_run_by_python() -> None:
    step = weft.compile(lambda x: (x * 2).to("cpu") + weft.ones(2, device="cpu"))
    for _ in range(4):
        assert step(weft.ones(2)).tolist() == [3, 3]
    assert step.obstacles() == ["parts of it run on different devices"]
