"""Threads that record and run at the same time: one pending graph, one run at a time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import weft
from weft import nn
from weft.graph.node import PENDING

THREADS = 4


@pytest.fixture(autouse=True)
def _switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(work: Callable[[int], Any]) -> list[Any]:
    """What ``work(0)``, ``work(1)``, ... give when they run at once."""
    results: list[Any] = [None] * THREADS
    errors: list[Exception] = []
    start = threading.Barrier(THREADS)

    def run(k: int) -> None:
        try:
            start.wait(10)
            results[k] = work(k)
        except Exception as error:  # noqa: BLE001 (raised again below)
            errors.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    if errors:
        raise errors[0]
    return results


def train(seed: int, steps: int = 15) -> Any:
    draw = np.random.default_rng(seed)
    w1 = weft.tensor(draw.normal(size=(3, 8)), requires_grad=True)
    w2 = weft.tensor(draw.normal(size=(8, 1)), requires_grad=True)
    optimizer = weft.optim.SGD([w1, w2], lr=0.05, momentum=0.9)
    losses = []
    for step in range(steps):
        x = weft.tensor(draw.normal(size=(5, 3)))
        loss = ((x @ w1).tanh() @ w2).square().mean()
        if step % 3 == 0:
            losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, w1.tolist()


def test_training() -> None:
    expected = [train(k) for k in range(THREADS)]
    assert in_threads(train) == expected


def test_reading_values_of_one_graph() -> None:
    for _ in range(20):
        x = weft.ones(3)
        values = [x * k + 1 for k in range(THREADS)]
        assert in_threads(lambda k, v=values: v[k].tolist()) == [
            [k + 1.0] * 3 for k in range(THREADS)
        ]


def test_recording_while_another_runs(limit_nodes: Any) -> None:
    """With a small limit, most runs are those of other threads' nodes."""
    limit_nodes(5)

    def work(k: int) -> float:
        x = weft.tensor([float(k)])
        total = weft.tensor(0.0)
        for j in range(150):
            y = (x + j).tanh() * 0
            total += y.sum() + 1
            view = x[0:1]
            view.add_(0)
        return total.item()

    assert in_threads(work) == [150.0] * THREADS


def test_backward_at_once_over_shared_leaves() -> None:
    """Each its own graph from shared parameters; gradients are taken by grad()."""
    w = weft.tensor([2.0, 3.0], requires_grad=True)

    def work(k: int) -> list[float]:
        for _ in range(20):
            (g,) = weft.autograd.grad((w * w * (k + 1)).sum(), w)
            values = g.tolist()
        return values

    assert in_threads(work) == [[4.0 * (k + 1), 6.0 * (k + 1)] for k in range(THREADS)]


def test_inference_with_one_model() -> None:
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    batches = [weft.randn(4, 3) for _ in range(THREADS)]
    with weft.no_grad():
        expected = [model(x).tolist() for x in batches]

    def work(k: int) -> Any:
        with weft.no_grad():
            for _ in range(20):
                found = model(batches[k]).tolist()
        return found

    assert in_threads(work) == expected


def test_an_error_stays_in_its_thread() -> None:
    def work(k: int) -> str:
        x = weft.ones(5)
        for _ in range(20):
            y = x[weft.tensor([9 if k == 0 else 1])]
            try:
                y.tolist()
            except IndexError:
                if k != 0:
                    return "error"
        return "fine"

    assert in_threads(work) == ["fine"] * THREADS


def test_backward_holds_only_its_own_thread_s_runs(limit_nodes: Any) -> None:
    """While one thread is in backward(), others still run what is too much."""
    limit_nodes(20)
    inside, done = threading.Event(), threading.Event()
    x = weft.ones(2, requires_grad=True)

    def hook(g: weft.Tensor) -> None:
        inside.set()
        done.wait(10)

    y = x * 2
    y.register_hook(hook)
    loss = y.sum()
    thread = threading.Thread(target=loss.backward)
    thread.start()
    inside.wait(10)
    most = 0
    z = weft.zeros(2)
    for _ in range(200):
        z = z + 1
        most = max(most, len(PENDING))
    done.set()
    thread.join()
    assert most < 40
    assert x.grad.tolist() == [2.0, 2.0]
