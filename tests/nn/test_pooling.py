"""Pooling layers that take or give more than one tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.nn.functional as F
from weft import nn
from weft.errors import ShapeError


def draw(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_max_unpool_undoes_max_pool(dims: int) -> None:
    x = weft.tensor(draw(2, 3, *(7,) * dims))
    pool = getattr(nn, f"MaxPool{dims}d")(3, 2, return_indices=True)
    undo = getattr(nn, f"MaxUnpool{dims}d")(3, 2)
    y, places = pool(x)
    back = undo(y, places, x.shape)
    assert back.shape == x.shape
    assert ((back == x) | (back == 0)).all()
    assert set(back[back != 0].tolist()) == set(y.flatten().tolist())
    many = f"kernel_size={(3,) * dims}, stride={(2,) * dims}, padding={(0,) * dims}"
    assert repr(undo) == f"MaxUnpool{dims}d({many})"


@pytest.mark.parity
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("size", [{"output_size": 3}, {"output_ratio": 0.5}])
def test_fractional_max_pool(dims: int, size: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    value, chances = draw(2, 3, *(8, 9, 7)[:dims]), np.random.default_rng(1).random((2, 3, dims))
    results = []
    for lib in (weft, torch):
        layer = getattr(lib.nn, f"FractionalMaxPool{dims}d")(
            2, **size, return_indices=True, _random_samples=lib.tensor(chances)
        )
        assert list(layer.state_dict()) == ["_random_samples"]
        x = lib.tensor(value, requires_grad=True)
        y, places = layer(x)
        y.sum().backward()
        results.append((repr(layer), y.detach().numpy(), places.numpy(), x.grad.numpy()))
    ours, theirs = results
    assert ours[0] == theirs[0]
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        np.testing.assert_array_equal(mine, other)


def test_fractional_max_pool_of_one_sample_with_the_numbers_of_a_batch() -> None:
    x, chances = weft.tensor(draw(2, 3, 8, 9)), weft.rand(2, 3, 2, dtype=weft.float64)
    whole = F.fractional_max_pool2d(x, 2, 3, _random_samples=chances)
    assert weft.equal(F.fractional_max_pool2d(x[0], 2, 3, _random_samples=chances), whole[0])


@pytest.mark.parity
def test_lp_pool_where_the_root_is_none() -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    for p in (1.5, 3.0):
        found = []
        for lib in (weft, torch):
            x = lib.tensor([[-1.0, 0.5, 2.0, 3.0, 0.0, 0.0]], requires_grad=True)
            y = lib.nn.functional.lp_pool1d(x, p, 2)
            y.sum().backward()
            found += [y.detach().numpy(), x.grad.numpy()]
        np.testing.assert_allclose(found[0], found[2], rtol=1e-6)
        np.testing.assert_allclose(found[1], found[3], rtol=1e-6)


def test_fractional_max_pool_draws_its_windows() -> None:
    x = weft.tensor(draw(1, 1, 30, 30))
    weft.manual_seed(0)
    first, second = (F.fractional_max_pool2d(x, 2, 12) for _ in range(2))
    assert first.shape == second.shape == (1, 1, 12, 12)
    assert not weft.equal(first, second)
    weft.manual_seed(0)
    assert weft.equal(F.fractional_max_pool2d(x, 2, 12), first)


def test_an_infinity_stays_in_its_windows() -> None:
    x = weft.zeros(1, 7)
    x[0, 0] = float("inf")
    assert F.avg_pool1d(x, 3, 2).tolist() == [[float("inf"), 0.0, 0.0]]
    assert F.adaptive_avg_pool1d(x, 3).tolist() == [[float("inf"), 0.0, 0.0]]


def test_an_option_for_another_number_of_dimensions() -> None:
    with pytest.raises(ShapeError, match=r"kernel_size=\(2, 2, 2\) should be one int or 2"):
        F.avg_pool2d(weft.zeros(1, 4, 4), (2, 2, 2))
    with pytest.raises(TypeError, match=r"kernel_size takes ints, not 2\.0"):
        nn.AvgPool2d(2.0)(weft.zeros(1, 4, 4))
