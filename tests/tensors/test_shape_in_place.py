"""``unsqueeze_`` and its like: the tensor becomes a view of what it was, for all who look on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from weft.errors import GradientError, ShapeError

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")


def of_a_root(x: Any) -> list[Any]:
    earlier = x[0]
    x.t_()
    later = x[1]
    x.add_(1)
    earlier.mul_(2)
    later[0] = 50.0
    return [x, earlier, later]


def of_a_view(x: Any) -> list[Any]:
    view = x[:, 1:]
    view.transpose_(0, 1)
    view.unsqueeze_(0)
    view[0, 0] = 9.0
    x[1] = 7.0
    return [x, view]


def several_times(x: Any) -> list[Any]:
    earlier = x.view(-1)
    x.unsqueeze_(0)
    middle = x[0, 1]
    x.squeeze_().swapaxes_(0, 1).unsqueeze_(-1)
    earlier[4] = -4.0
    x[0, 0, 0] = -1.0
    return [x, earlier, middle]


def and_detached(x: Any) -> list[Any]:
    alias = x.detach()
    x.t_()
    alias[0, 2] = 8.0
    x[0, 0] = 3.0
    return [x, alias]


CASES: list[Callable[[Any], list[Any]]] = [of_a_root, of_a_view, several_times, and_detached]


@pytest.mark.parity
@pytest.mark.parametrize("case", CASES, ids=lambda f: f.__name__)
def test_everybody_sees_what_pytorch_shows(case: Callable[[Any], list[Any]]) -> None:
    ours = case(weft.arange(6.0).reshape(2, 3).clone())
    theirs = case(torch.arange(6.0).reshape(2, 3).clone())
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b.numpy())
        steps = [
            [n for n, size in zip(t.stride(), t.shape, strict=True) if size > 1] for t in (a, b)
        ]
        assert steps[0] == steps[1]


@pytest.mark.parity
def test_gradients_go_on() -> None:
    results = []
    for lib in (weft, torch):
        w = lib.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
        x = w * 2
        x.t_()
        x[0] = x[0] * 3
        x.unsqueeze_(1)
        y = (x * x).sum()
        y.backward()
        results.append((y.item(), w.grad.tolist()))
    assert results[0] == results[1]


def test_what_is_refused() -> None:
    leaf = weft.ones(2, 3, requires_grad=True)
    with pytest.raises(GradientError, match=r"shape of a leaf .*y = x.unsqueeze\(0\)"):
        leaf.t_()
    with pytest.raises(ShapeError, match="at most 2 dimensions"):
        weft.ones(1, 2, 3).t_()
    x = weft.ones(2, 3)
    with pytest.raises(IndexError):
        x.unsqueeze_(5)
    assert x.shape == (2, 3)
