"""``weft.compile`` on another device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="computes by JAX: pip install 'weft[xla]'")

from replaying import *  # noqa: F403

import weft
from weft import config, nn
from weft.engine import realize
from weft.replay.compiled import Compiled


@pytest.fixture(autouse=True)
def replays(monkeypatch: pytest.MonkeyPatch, on_xla: weft.device) -> None:
    monkeypatch.setattr(config, "REFERENCE", False)


def small_step() -> tuple[nn.Module, Any]:
    model = nn.Linear(8, 8)
    optimizer = weft.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    @weft.compile
    def step(x: weft.Tensor) -> weft.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), x.argmax(1))
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(4):
        step(weft.randn(4, 8))
    assert is_replayed(step)  # noqa: F405
    return model, step


def test_a_repeated_call_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    _, step = small_step()
    x = weft.randn(4, 8)
    weft.realize(x)
    with monkeypatch.context() as patch:
        patch.setattr(realize, "host", lambda value: pytest.fail("it waited"))
        patch.setattr(Compiled, "_traced", lambda *_: pytest.fail("Python ran it"))
        for _ in range(3):
            loss = step(x)
    assert np.isfinite(loss.item())


def test_memory_is_written_over_unless_somebody_holds_it() -> None:
    model, step = small_step()
    x = weft.randn(4, 8)
    weight = model.weight

    def place() -> int:
        return weight._node.value.unsafe_buffer_pointer()  # type: ignore[no-any-return]

    before = place()
    step(x)
    assert place() == before
    node, array = weight._node, weight.detach().cpu().numpy()
    copied = array.copy()
    step(x)
    np.testing.assert_array_equal(node.value, copied)
    np.testing.assert_array_equal(array, copied)
    assert (weight.detach().cpu().numpy() != copied).any()


def test_it_is_compiled_for_the_recorded_call_and_not_again() -> None:
    _, step = small_step()
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
