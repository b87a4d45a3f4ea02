"""Dropout: its statistics, its mask in backward, its modes."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.nn.functional as F
from weft import nn


def test_zeroes_a_share_and_keeps_the_mean() -> None:
    weft.manual_seed(0)
    x = weft.ones(200_000)
    y = F.dropout(x, 0.3).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.7)}
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.006)  # five standard deviations


def test_backward_draws_the_mask_of_forward() -> None:
    x = weft.ones(50, 40, requires_grad=True)
    y = F.dropout(x, 0.5)
    y.sum().backward()
    assert np.array_equal(x.grad.numpy(), y.detach().numpy())


def test_the_mask_is_the_same_when_forward_ran_before_backward() -> None:
    x = weft.ones(50, 40, requires_grad=True)
    y = F.dropout(x, 0.5)
    weft.realize(y)
    y.sum().backward()
    assert np.array_equal(x.grad.numpy(), y.detach().numpy())


def test_each_call_draws_anew_and_a_seed_repeats() -> None:
    x = weft.ones(1000)
    weft.manual_seed(1)
    a, b = F.dropout(x).numpy(), F.dropout(x).numpy()
    weft.manual_seed(1)
    assert np.array_equal(F.dropout(x).numpy(), a)
    assert not np.array_equal(a, b)


def test_modes() -> None:
    layer, x = nn.Dropout(0.5), weft.ones(100)
    assert layer.eval()(x) is x
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 1.0).sum().item() == 0
    assert not np.array_equal(layer.train()(x).numpy(), x.numpy())
    y = nn.Dropout(0.5, inplace=True)(x)
    assert y is x


def test_a_new_seed_builds_no_program() -> None:
    from weft.engine.realize import Stats

    x = weft.ones(10)
    for _ in range(2):
        F.dropout(x).sum().item()
    built = Stats.built
    for _ in range(5):
        F.dropout(x).sum().item()
    assert Stats.built == built


@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_a_probability_is_between_0_and_1(p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        nn.Dropout(p)
    with pytest.raises(ValueError, match="between 0 and 1"):
        F.dropout(weft.ones(2), p)
