"""Pooling layers that take or give more than one tensor."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import weft
import weft.nn.functional as F
from weft import nn
from weft.errors import ShapeError
from weft.ops.contract import max_places
from weft.tensors.core import node_of, wrap


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


# ---- the largest of windows that tables give


def largest(x: Any, bounds: list[Any]) -> Any:
    """By looking at each window's places in turn."""
    counts = [b.shape[1] for b in bounds[::2]]
    found = np.zeros((x.shape[0], *counts), np.int64)
    for row, *window in np.ndindex(*found.shape):
        ends = [b[row if b.shape[0] > 1 else 0] for b in bounds]
        best, where = -np.inf, None
        for place in itertools.product(
            *[range(ends[2 * d][k], ends[2 * d + 1][k]) for d, k in enumerate(window)]
        ):
            value = x[row][place]
            if where is None or value > best or np.isnan(value):
                best, where = value, place
        found[(row, *window)] = np.ravel_multi_index(where, x.shape[1:])
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16", "uint8", "int64"])
@pytest.mark.parametrize("sizes", [(23,), (6, 21), (3, 4, 19)])
def test_places_of_maxima(sizes: tuple[int, ...], dtype: str) -> None:
    """Ties, NaNs and infinities; tables for all planes and for each."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (3, *sizes)).astype(float)
    if dtype not in ("uint8", "int64"):
        x[rng.random(x.shape) < 0.1] = np.nan
        x[0] = -np.inf
    bounds = []
    for size, rows in zip(sizes, (3, 1, 3), strict=False):
        start = rng.integers(0, size, (rows, 17))
        bounds += [start, start + rng.integers(1, size + 1 - start)]
    given = weft.tensor(x, dtype=getattr(weft, dtype))
    tables = [node_of(weft.tensor(b)) for b in bounds]
    at = wrap(max_places(node_of(given), tables)).numpy()
    np.testing.assert_array_equal(at, largest(x, bounds))


def test_windows_that_leave_the_input() -> None:
    x = weft.zeros(2, 8)
    wrong = [([[-1, 2]], [[2, 4]]), ([[0, 6]], [[2, 9]]), ([[0, 6]], [[2, 6]])]
    for bounds in wrong:
        tables = [node_of(weft.tensor(b)) for b in bounds]
        with pytest.raises(IndexError, match="not within the input"):
            wrap(max_places(node_of(x), tables)).numpy()


def test_adaptive_max_pool_of_each_sample_for_itself() -> None:
    x = weft.tensor(draw(4, 3, 7, 9))
    whole = F.adaptive_max_pool2d(x, (3, 4))
    assert weft.equal(weft.func.vmap(lambda one: F.adaptive_max_pool2d(one, (3, 4)))(x), whole)
    numbers = weft.rand(4, 3, 2, dtype=weft.float64)
    whole = F.fractional_max_pool2d(x, 2, 3, _random_samples=numbers)
    each = weft.func.vmap(
        lambda one, sample: F.fractional_max_pool2d(one[None], 2, 3, _random_samples=sample[None])
    )(x, numbers)
    assert weft.equal(each[:, 0], whole)


def test_a_window_of_the_lowest_values_alone() -> None:
    x = weft.full((1, 1, 3, 6), -float("inf"), requires_grad=True)
    y, places = F.max_pool2d(x, 3, (2, 1), 1, (1, 2), return_indices=True)
    assert places.tolist() == [[[[1, 0, 1, 2], [7, 6, 7, 8]]]]  # the first within the input
    y.sum().backward()
    row = [1.0, 2.0, 1.0, 0.0, 0.0, 0.0]
    assert x.grad.tolist() == [[[row, row, [0.0] * 6]]]
