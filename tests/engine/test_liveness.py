"""What is computed, what is kept, and what is let go: counted."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from typing import Any

import numpy as np
import pytest

import weft
from weft import nn
from weft.graph.node import GONE, PENDING

BIG = 1 << 18  # elements: 1 MiB of float32


class MLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 16)
        self.second = nn.Linear(16, 1)

    def forward(self, x: weft.Tensor) -> weft.Tensor:
        return self.second(weft.relu(self.first(x)))


class Training:
    """A small model, trained with SGD and momentum on one batch that can be exchanged."""

    def __init__(self, batch: int = 4) -> None:
        weft.manual_seed(0)
        self.model = MLP()
        self.optimizer = weft.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.new_batch(batch)

    def new_batch(self, size: int, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self.x = weft.tensor(draw.normal(size=(size, 2)).astype(np.float32))
        self.y = weft.tensor(draw.normal(size=(size, 1)).astype(np.float32))

    def step(self, read: str = "") -> weft.Tensor:
        self.optimizer.zero_grad()
        error = self.model(self.x) - self.y
        loss = (error * error).mean()
        if "before" in read:
            loss.item()
        loss.backward()
        if "between" in read:
            loss.item()
        self.optimizer.step()
        if "after" in read:
            loss.item()
        return loss

    def values(self) -> Any:
        return np.concatenate([p.detach().numpy().ravel() for p in self.model.parameters()])


READS = ["", "before", "between", "after", "before between after"]


class TestNothingTwice:
    @pytest.mark.parametrize("read", READS)
    def test_products_of_a_training_step(self, read: str, calls: Counter[str]) -> None:
        """Two forward, three backward: the input needs no gradient."""
        training = Training()
        training.step(read)
        weft.realize()
        calls.clear()
        training.step(read)
        weft.realize()
        assert calls["matmul"] == 5

    @pytest.mark.parametrize("read", READS)
    def test_reading_changes_nothing(self, read: str) -> None:
        silent, reading = Training(), Training()
        for _ in range(5):
            silent.step()
            reading.step(read)
        np.testing.assert_array_equal(silent.values(), reading.values())

    @pytest.mark.parametrize("way", ["item", "print", "numpy", "bool", "realize", "tolist"])
    def test_each_way_to_read(self, way: str, calls: Counter[str]) -> None:
        w = weft.ones(3, 3, requires_grad=True)
        loss = (w @ w).sum()
        for _ in range(2):
            {
                "item": loss.item,
                "print": lambda: str(loss),
                "numpy": lambda: loss.detach().numpy(),
                "bool": lambda: bool(loss),
                "realize": lambda: weft.realize(loss),
                "tolist": loss.tolist,
            }[way]()
        assert calls["matmul"] == 1
        loss.backward()
        weft.realize()
        assert calls["matmul"] == 3

    def test_a_value_that_is_held_is_kept(self, calls: Counter[str]) -> None:
        a = weft.ones(3, 3)
        product = a @ a
        total = product.sum()
        total.item()
        product.tolist()
        (product + 1).tolist()
        assert calls["matmul"] == 1

    def test_a_value_that_a_container_holds_is_kept(self, calls: Counter[str]) -> None:
        a = weft.ones(3, 3)
        kept = {"list": [a @ a], "tuple": (a @ a,)}
        weft.realize()
        assert calls["matmul"] == 2
        [v[0].tolist() for v in kept.values()]
        assert calls["matmul"] == 2

    def test_a_view_s_base_is_computed_once(self, calls: Counter[str]) -> None:
        a = weft.ones(3, 3)
        view = (a @ a)[0]
        view.tolist()
        view.add_(1)
        view.tolist()
        assert calls["matmul"] == 1


class TestPrograms:
    def test_same_step_same_program(self, stats: Any) -> None:
        training = Training()
        for _ in range(3):
            training.step("after")
        with stats() as counted:
            for _ in range(10):
                training.step("after")
        assert (counted.runs, counted.built) == (10, 0)

    def test_learning_rate_and_batch(self, stats: Any) -> None:
        training = Training()
        for _ in range(3):
            training.step("after")
        with stats() as counted:
            for k in range(10):
                training.optimizer.param_groups[0]["lr"] = 0.1 / (k + 1)
                training.optimizer.param_groups[0]["momentum"] = 0.9 - 0.01 * k
                training.new_batch(4, seed=k)
                training.step("after")
        assert counted.built == 0

    def test_a_last_smaller_batch(self, stats: Any) -> None:
        training = Training()
        for _ in range(3):
            training.step("after")
        with stats() as counted:
            for _ in range(3):
                training.new_batch(3)
                training.step("after")
                training.new_batch(4)
                training.step("after")
        assert counted.built == 1

    def test_adam_s_step_count(self, stats: Any) -> None:
        training = Training()
        training.optimizer = weft.optim.Adam(training.model.parameters(), lr=0.01)
        for _ in range(3):
            training.step("after")
        with stats() as counted:
            for _ in range(10):
                training.step("after")
        assert counted.built == 0

    def test_numbers(self, stats: Any) -> None:
        x = weft.tensor([1.0, 1.0, 1.0])
        (x * 2 + 1).tolist()
        with stats() as counted:
            values = [(x * k + 0.5).tolist()[0] for k in range(5)]
        assert values == [0.5, 1.5, 2.5, 3.5, 4.5]
        assert counted.built == 0

    def test_dropout(self, stats: Any) -> None:
        """Random numbers differ from run to run, programs do not."""
        x = weft.tensor([1.0] * 100)
        drop = nn.Dropout(0.5)
        first = drop(x).tolist()
        with stats() as counted:
            assert drop(x).tolist() != first
        assert counted.built == 0

    def test_reading_in_between_is_another_program_once(self, stats: Any) -> None:
        training = Training()
        for k in range(8):
            training.step("before" if k % 4 == 0 else "")
            weft.realize()
        with stats() as counted:
            for k in range(8):
                training.step("before" if k % 4 == 0 else "")
                weft.realize()
        assert counted.built == 0


class TestDeadValues:
    def test_are_not_computed(self, calls: Counter[str]) -> None:
        a = weft.ones(3, 3)
        unused = a @ a
        for _ in range(3):
            unused = unused @ a
        del unused
        (a + 1).tolist()
        assert calls["matmul"] == 0

    def test_part_of_a_graph(self, calls: Counter[str]) -> None:
        a = weft.ones(3, 3)
        shared = a @ a
        used, unused = shared + 1, shared.exp()
        del unused, shared
        used.tolist()
        assert (calls["matmul"], calls["exp"]) == (1, 0)

    def test_overwritten(self, calls: Counter[str]) -> None:
        a = weft.ones(3, 3)
        x = a @ a
        x = a + 1
        x.tolist()
        assert calls["matmul"] == 0

    def test_gradients_that_nobody_asked_for(self, calls: Counter[str]) -> None:
        """The input of a linear layer has no gradient, and costs no product."""
        x, w = weft.ones(4, 3), weft.ones(3, 2, requires_grad=True)
        (x @ w).sum().backward()
        w.grad.tolist()
        assert calls["matmul"] == 1  # the product itself is not needed: its sum's gradient is 1

    def test_gradients_that_are_dropped(self, calls: Counter[str]) -> None:
        w = weft.ones(3, 3, requires_grad=True)
        (w @ w).sum().backward()
        w.grad = None
        weft.realize()
        assert calls["matmul"] == 0

    def test_nothing_left_to_run(self, stats: Any) -> None:
        x = weft.tensor([1.0, 2.0])
        for _ in range(10):
            x * 2  # recorded, and dropped
        with stats() as counted:
            weft.realize()
        assert (counted.runs, counted.nodes) == (0, 0)
        assert len(PENDING) == 0


class TestMemory:
    def test_without_history_only_what_is_held(self, traced: Any) -> None:
        x = weft.ones(BIG)
        y = x.exp().exp().exp() + 1
        weft.realize()
        assert 0.9 < traced() < 1.2
        del y
        assert traced() < 0.2

    def test_history_keeps_only_what_rules_read(self, traced: Any) -> None:
        x = weft.ones(BIG, requires_grad=True)
        weft.realize(x)
        base = traced()
        y = (x + 1.0 - 2.0).exp()  # exp reads its output, sums read nothing
        weft.realize()
        assert traced() - base < 1.2
        y.sum().backward()

    def test_activations_go_after_backward(self, traced: Any) -> None:
        w = weft.full((64, 64), 0.01, requires_grad=True)
        x = weft.ones(BIG // 64, 64)
        weft.realize(w, x)
        base = traced()
        loss = ((x @ w).tanh() @ w).tanh().sum()
        loss.item()
        assert traced() - base > 1.9  # what the rules read of two layers
        loss.backward()
        weft.realize()
        assert traced() - base < 0.1
        assert w.grad is not None

    def test_even_if_nobody_ever_asked_for_the_values(self, traced: Any) -> None:
        w = weft.full((64, 64), 0.01, requires_grad=True)
        x = weft.ones(BIG // 64, 64)
        weft.realize(w, x)
        base = traced()
        loss = ((x @ w).tanh() @ w).tanh().sum()
        loss.backward()
        weft.realize()
        assert traced() - base < 0.1

    def test_retain_graph_keeps_them(self, traced: Any) -> None:
        w = weft.full((64, 64), 0.01, requires_grad=True)
        x = weft.ones(BIG // 64, 64)
        loss = (x @ w).tanh().sum()
        loss.backward(retain_graph=True)
        weft.realize()
        assert traced() > 0.9
        loss.backward()
        weft.realize()
        assert traced() < 0.2

    def test_a_forward_pass_that_is_dropped(self, traced: Any) -> None:
        w = weft.full((64, 64), 0.01, requires_grad=True)
        x = weft.ones(BIG // 64, 64)
        loss = (x @ w).tanh().sum()
        loss.item()
        assert traced() > 0.9
        del loss
        assert traced() < 0.2

    def test_a_small_view_keeps_no_large_value(self, traced: Any) -> None:
        row = (weft.ones(BIG // 64, 64) * 2)[0].clone()
        assert row.sum().item() == 128
        assert traced() < 0.1

    def test_values_that_are_not_kept(self) -> None:
        x = weft.ones(3, requires_grad=True)
        y = x * 2 + 1
        y.tolist()
        assert y._node.inputs[0].value is GONE

    @pytest.mark.parametrize("gradients", [False, True])
    def test_freed_at_once(self, gradients: bool) -> None:
        """No cycles: nothing has to wait for the garbage collector."""
        gc.disable()
        try:
            x = weft.ones(3, requires_grad=gradients)
            y = (x * 2).exp()
            view, alias = y[1:], y.detach()
            gone = [weakref.ref(t) for t in (y, view, alias)]
            if gradients:
                y.sum().backward()
            weft.realize()
            del y, view, alias
            assert [g() for g in gone] == [None] * 3
        finally:
            gc.enable()


class TestBounds:
    @pytest.mark.parametrize("mode", [weft.no_grad, weft.enable_grad])
    @pytest.mark.parametrize("kind", ["+=", "= +"])
    def test_a_total_over_an_evaluation_loop(
        self, mode: Any, kind: str, traced: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Batches of 64 KiB: 64 MiB in all, of which no more than the limit is there at a time."""
        monkeypatch.setattr("weft.config.MAX_PENDING_BYTES", 1 << 20)
        model = nn.Linear(256, 1)
        if mode is weft.enable_grad:
            for p in model.parameters():
                p.requires_grad_(False)
        total, most_pending, most_bytes = weft.tensor(0.0), 0, 0.0
        with mode():
            for k in range(1000):
                batch = weft.tensor(np.full((64, 256), k / 1000, np.float32))
                loss = model(batch).mean()
                if kind == "+=":
                    total += loss
                else:
                    total = total + loss
                most_pending = max(most_pending, len(PENDING))
                if k % 20 == 0:
                    most_bytes = max(most_bytes, traced())
        assert most_pending < 2000
        assert most_bytes < 4
        assert np.isfinite(total.item())

    def test_with_gradients(self, limit_nodes: Any) -> None:
        """A history must be kept; what is pending stays bounded all the same."""
        limit_nodes(500)
        w = weft.ones(4, requires_grad=True)
        total, most_pending = weft.tensor(0.0), 0
        for _ in range(500):
            total = total + (w * w).sum()
            most_pending = max(most_pending, len(PENDING))
        assert most_pending <= 502
        total.backward()
        assert w.grad.tolist() == [1000.0] * 4
        assert len(PENDING) < 3000

    def test_by_nodes(self, limit_nodes: Any) -> None:
        limit_nodes(50)
        x = weft.zeros(2)
        for step in (
            lambda x: x + 1,
            lambda x: x.exp() * 0,
            lambda x: x[:] + 0,
            lambda x: x.sum(0, keepdim=True).expand(2) * 0,
            lambda x: x.add_(1),
            lambda x: weft.where(x > 0, x, x),
            lambda x: weft.stack([x, x])[0],
            lambda x: x.cumsum(0),
        ):
            for _ in range(100):
                x = step(x)
                assert len(PENDING) < 80
        assert x.shape == (2,)

    def test_not_inside_backward(self, limit_nodes: Any, stats: Any) -> None:
        """A run in the middle of backward() would store what only the rest of it still needs."""
        x = weft.ones(2, requires_grad=True)
        y = x
        for _ in range(100):
            y = y * 1.5
        y = y.sum()
        weft.realize()
        limit_nodes(5)
        with stats() as counted:
            y.backward()
        assert counted.runs <= 1
