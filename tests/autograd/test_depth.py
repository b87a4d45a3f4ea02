"""Long chains: nothing that walks the graph may recurse, nor what frees it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

import weft
from weft import config
from weft.graph.node import PENDING

LENGTH = 100_000


@pytest.fixture(autouse=True)
def _little_stack() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    yield
    sys.setrecursionlimit(before)


def chain(x: weft.Tensor, length: int = LENGTH) -> weft.Tensor:
    for _ in range(length):
        x = x + 1.0
    return x


def test_records_differentiates_and_runs() -> None:
    x = weft.zeros(1, requires_grad=True)
    y = chain(x)
    y.sum().backward()
    assert y.item() == LENGTH
    assert x.grad.item() == 1.0


def test_as_one_pending_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("config", "tensors.core", "tensors.elementwise"):
        monkeypatch.setattr(f"weft.{module}.MAX_PENDING_NODES", 10 * LENGTH)
    assert config.MAX_PENDING_NODES > LENGTH
    x = weft.zeros(1, requires_grad=True)
    y = chain(x)
    y.sum().backward()
    assert len(PENDING) > LENGTH
    assert x.grad.item() == 1.0
    assert y.item() == LENGTH


def test_changes_in_place() -> None:
    x = weft.zeros(1, requires_grad=True)
    y = x * 1
    for _ in range(LENGTH // 4):
        y += 1.0
    y.sum().backward()
    assert (y.item(), x.grad.item()) == (LENGTH // 4, 1.0)


def test_aliases_of_aliases() -> None:
    base = weft.zeros(2)
    x = base
    for _ in range(2000):
        x = x.detach()
        x.add_(1)
    assert base.tolist() == [2000.0, 2000.0]
    base.mul_(3)
    assert x.tolist() == [6000.0, 6000.0]


@pytest.mark.parametrize("run", [False, True])
@pytest.mark.parametrize("gradients", [False, True])
def test_is_freed(run: bool, gradients: bool) -> None:
    """Pending or run, with a history or without, on the way back or not."""
    x = weft.zeros(1, requires_grad=gradients)
    y = chain(x, 50_000)
    if run:
        y.item()
    if gradients and run:
        (g,) = weft.autograd.grad(y.sum(), x, create_graph=True)
        del g
    del y
    weft.realize()
    gc.collect()
    assert len(PENDING) == 0


def test_second_derivative() -> None:
    x = weft.ones(1, dtype=weft.float64, requires_grad=True)
    y = x
    for _ in range(3000):
        y = y * 1.0 + x * 0.001
    (g,) = weft.autograd.grad((y * y).sum(), x, create_graph=True)
    (h,) = weft.autograd.grad(g.sum(), x)
    assert h.item() == pytest.approx(2 * 4.0**2)
