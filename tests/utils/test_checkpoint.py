"""Checkpointing: the same values and gradients, without what was computed on the way."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import weft
from weft import nn
from weft.graph.modes import module_path
from weft.graph.node import Node
from weft.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential


def block(seed: int = 0) -> nn.Sequential:
    weft.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(4, 8),
        nn.BatchNorm1d(8, momentum=None),
        nn.Tanh(),
        nn.Dropout(0.5),
        nn.Linear(8, 4),
    )


def plain(function: Callable[..., Any], *args: Any, use_reentrant: bool = False, **kw: Any) -> Any:
    return function(*args, **kw)


@pytest.mark.parametrize("reentrant", [False, True])
def test_values_and_gradients_are_those_of_a_plain_call(reentrant: bool) -> None:
    results = []
    for call in (plain, checkpoint):
        first, second, third = block(1), block(2), block(3)
        x = weft.linspace(-1, 1, 24).reshape(6, 4).requires_grad_()
        weft.manual_seed(5)
        h = first(x)
        y = call(second, h, use_reentrant=reentrant)
        z = call(third, h * y, use_reentrant=reentrant)
        z.square().sum().backward()
        after = weft.rand(2).tolist()  # as many numbers have been drawn
        params = [p for m in (first, second, third) for p in m.parameters()]
        results.append(([z, x.grad, *[p.grad for p in params]], after))
    assert results[0][1] == results[1][1]
    for a, b in zip(results[0][0], results[1][0], strict=True):
        np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), 1e-6, 1e-7)


def test_what_is_computed_on_the_way_is_not_kept() -> None:
    def kept() -> int:
        return sum(
            type(o) is Node and o.type.shape == (7, 11) and isinstance(o.value, np.ndarray)
            for o in gc.get_objects()
        )

    def f(x: Any) -> Any:
        for _ in range(5):
            x = x.tanh()
        return x.sum()

    x = weft.ones(7, 11, requires_grad=True)
    x.tolist()
    before = kept()
    y = f(x)
    y.item()
    assert kept() - before == 5
    del y
    y = checkpoint(f, x, use_reentrant=False)
    y.item()
    assert kept() - before == 0
    y.backward()
    assert x.grad is not None
    x.grad.numpy()
    y.detach()
    assert kept() - before == 1  # the gradient


def test_nested_values_in_and_out() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            self.w = nn.Parameter(weft.tensor(2.0))

        def forward(self, pair: Any, *, add: Any, name: str) -> Any:
            return {"a": (pair[0] * self.w, name), "b": [pair[1]["x"] + add, pair[0] > 0]}

    model = Scale()
    x, y, z = (weft.tensor([float(k)], requires_grad=True) for k in (1, 2, 3))
    out = checkpoint(model, (x, {"x": y}), add=z, name="n", use_reentrant=False)
    assert out["a"][1] == "n"
    assert out["b"][1].dtype is weft.bool
    assert not out["b"][1].requires_grad
    (out["a"][0] * out["b"][0]).sum().backward()
    assert [t.grad.item() for t in (x, y, z, model.w)] == [10, 2, 2, 5]


def test_a_checkpoint_within_a_checkpoint() -> None:
    def inner(x: Any) -> Any:
        return x.sin().exp()

    def outer(x: Any) -> Any:
        return checkpoint(inner, x * 2, use_reentrant=False).cos()

    grads = []
    for f in (lambda x: inner(x * 2).cos(), lambda x: checkpoint(outer, x, use_reentrant=False)):
        x = weft.tensor([0.3, 0.7], requires_grad=True)
        f(x).sum().backward()
        grads.append(x.grad.tolist())  # type: ignore[union-attr]
    assert grads[0] == grads[1]


def test_second_derivatives_and_a_kept_graph() -> None:
    def f(x: Any) -> Any:
        return (x.sin() * x.exp()).sum()

    x = weft.tensor([0.3, 0.7], requires_grad=True)
    results = []
    for y in (f(x * 2), checkpoint(f, x * 2, use_reentrant=False)):
        (g,) = weft.autograd.grad(y, x, create_graph=True)
        (h,) = weft.autograd.grad(g.sum(), x, retain_graph=True)
        results.append((g.tolist(), h.tolist()))
    np.testing.assert_allclose(results[0], results[1], 1e-6)
    y = checkpoint(f, x, use_reentrant=False)
    y.backward(retain_graph=True)
    once = x.grad.tolist()  # type: ignore[union-attr]
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.array(once), 1e-6)  # type: ignore[union-attr]


def test_hooks_run_once_in_each_pass() -> None:
    seen: list[str] = []
    model = nn.Linear(2, 2)
    model.register_full_backward_hook(lambda m, gi, go: seen.append("module"))
    x = weft.ones(1, 2, requires_grad=True)
    h = x * 1
    h.register_hook(lambda g: seen.append("before"))

    def f(x: Any) -> Any:
        y = model(x)
        y.register_hook(lambda g: seen.append("inside"))
        return y.tanh()

    y = checkpoint(f, h, use_reentrant=False)
    y.register_hook(lambda g: seen.append("after"))
    y.sum().backward()
    assert sorted(seen) == ["after", "before", "inside", "module"]


def test_values_that_were_changed_since() -> None:
    w = nn.Parameter(weft.tensor([3.0]))
    x = weft.tensor([2.0], requires_grad=True)
    h = x * 1
    y = checkpoint(lambda h: h * h * w, h, use_reentrant=False)
    h.add_(5)  # an argument: what it was is known
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.item() == 12
    y = checkpoint(lambda x: x * w, x, use_reentrant=False)
    with weft.no_grad():
        w.mul_(2)
    with pytest.raises(CheckpointError, match=r"shape \[1\].*changed"):
        y.sum().backward()


def test_a_function_that_does_something_else_the_second_time() -> None:
    calls: list[int] = []

    def f(x: Any) -> Any:
        calls.append(1)
        return x[: len(calls)] * 1

    x = weft.ones(3, requires_grad=True)
    y = checkpoint(f, x, use_reentrant=False)
    with pytest.raises(CheckpointError, match=r"float32\[1\].*but float32\[2\]"):
        y.sum().backward()
    assert issubclass(CheckpointError, RuntimeError)


def test_a_value_kept_aside_keeps_its_gradient() -> None:
    aside: list[Any] = []

    def f(x: Any) -> Any:
        y = x * 3
        aside.append(y)
        return y * 2

    x = weft.tensor(1.0, requires_grad=True)
    y = checkpoint(f, x, use_reentrant=False)
    (y + aside[0]).backward()
    assert x.grad is not None
    assert x.grad.item() == 9


def test_contexts_and_module_paths() -> None:
    log: list[str] = []

    @contextmanager
    def noting(name: str) -> Any:
        log.append(name)
        yield

    class Inner(nn.Module):
        def forward(self, x: Any) -> Any:
            log.append(str(module_path.get()))
            return x * 2

    class Outer(nn.Module):
        def __init__(self) -> None:
            self.inner = Inner()

        def forward(self, x: Any) -> Any:
            contexts = lambda: (noting("first"), noting("second"))
            return checkpoint(self.inner, x, use_reentrant=False, context_fn=contexts)

    Outer()(weft.ones(1, requires_grad=True)).backward()
    assert log == ["first", "inner", "second", "inner"]


def test_without_gradients_it_is_a_call() -> None:
    calls: list[int] = []

    def f(x: Any) -> Any:
        calls.append(1)
        return x * 2

    assert not checkpoint(f, weft.ones(2), use_reentrant=False).requires_grad
    with weft.no_grad():
        assert checkpoint(f, weft.ones(2, requires_grad=True)).tolist() == [2, 2]
    assert len(calls) == 2


def test_arguments() -> None:
    x = weft.ones(1, requires_grad=True)
    with pytest.raises(ValueError, match="'default' or 'none', not 'no'"):
        checkpoint(abs, x, use_reentrant=False, determinism_check="no")
    with pytest.raises(ValueError, match="Unexpected keyword arguments: y"):
        checkpoint(lambda x, y: x, x, use_reentrant=True, y=1)


@pytest.mark.parametrize("segments", [1, 2, 3, 5])
def test_sequential(segments: int) -> None:
    results = []
    for checkpointed in (False, True):
        model = block()
        x = weft.linspace(-1, 1, 24).reshape(6, 4).requires_grad_()
        y = (
            checkpoint_sequential(model, segments, x, use_reentrant=False)
            if checkpointed
            else model(x)
        )
        y.square().sum().backward()
        results.append([x.grad.tolist(), *[p.grad.tolist() for p in model.parameters()]])  # type: ignore[union-attr]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b, a, 1e-5, 1e-6)
    with pytest.raises(ValueError, match="2 functions cannot be divided into 3 segments"):
        checkpoint_sequential([abs, abs], 3, weft.ones(1))
