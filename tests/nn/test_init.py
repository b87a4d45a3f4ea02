"""Initialisers: their distributions, by Kolmogorov-Smirnov tests and moments with fixed seeds.

Each test of a distribution has a level of 0.001 of failing with a seed drawn anew; the seeds are
fixed, so it fails always or never.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sampling_tests import assert_distributed, normal_cdf, uniform_cdf

import weft
from weft import nn
from weft.errors import ShapeError
from weft.nn import init

DTYPES = ["float16", "bfloat16", "float32", "float64"]


@pytest.fixture(autouse=True)
def seed() -> None:
    weft.manual_seed(7)


def values(tensor: Any) -> Any:
    return tensor.detach().double().numpy().ravel()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-3.0, 0.02)])
def test_normal(dtype: str, mean: float, std: float) -> None:
    w = weft.empty(200, 50, dtype=getattr(weft, dtype))
    assert init.normal_(w, mean, std) is w
    if dtype in ("float32", "float64"):
        assert_distributed(values(w), normal_cdf(mean, std))
    assert values(w).mean() == pytest.approx(mean, abs=0.05 * std + abs(mean) * 1e-2)


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (-2.0, 5.0), (3.0, 3.5)])
def test_uniform(a: float, b: float) -> None:
    w = values(init.uniform_(weft.empty(10_000), a, b))
    assert a <= w.min()
    assert w.max() < b
    assert_distributed(w, uniform_cdf(a, b))


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [
        (0.0, 1.0, -2.0, 2.0),
        (0.0, 0.02, -2.0, 2.0),
        (0.5, 1.0, -0.2, 0.1),
        (0.0, 1.0, 1.0, 9.0),
        (1.0, 0.5, -9.0, 0.2),
        (0.0, 1.0, -math.inf, 0.0),
    ],
)
def test_truncated_normal(mean: float, std: float, a: float, b: float) -> None:
    w = values(init.trunc_normal_(weft.empty(10_000), mean, std, a, b))
    assert a <= w.min()
    assert w.max() <= b
    whole = normal_cdf(mean, std)
    low, high = whole(np.array([a, b]))
    assert_distributed(w, lambda x: (whole(x) - low) / (high - low))


def test_truncated_normal_far_out() -> None:
    with pytest.warns(UserWarning, match=r"mean=0.0 is more than 2 std from \[5.0, 6.0\]"):
        w = values(init.trunc_normal_(weft.empty(10_000, dtype=weft.float64), 0.0, 1.0, 5.0, 6.0))
    tail = lambda x: np.array([math.erfc(v / math.sqrt(2)) for v in np.atleast_1d(x)])
    low, high = tail(5.0), tail(6.0)
    assert_distributed(w, lambda x: (low - tail(x)) / (low - high))
    with pytest.raises(ValueError, match=r"std > 0 and a <= b, not std=0, a=-2.0 and b=2.0"):
        init.trunc_normal_(weft.empty(1), std=0)
    with pytest.raises(ValueError, match="a=2 and b=-2"):
        init.trunc_normal_(weft.empty(1), a=2, b=-2)


SHAPES = [(60, 90), (30, 20, 5), (12, 8, 3, 7)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_fans(shape: tuple[int, ...]) -> None:
    receptive = math.prod(shape[2:])
    fan_in, fan_out = shape[1] * receptive, shape[0] * receptive
    glorot = math.sqrt(2 / (fan_in + fan_out))
    w = weft.empty(*shape)
    assert_distributed(values(init.xavier_normal_(w, 2.0)), normal_cdf(0, 2 * glorot))
    bound = math.sqrt(3) * glorot
    assert_distributed(values(init.xavier_uniform_(w)), uniform_cdf(-bound, bound))
    std = math.sqrt(2 / (1 + 0.2**2) / fan_in)
    assert_distributed(values(init.kaiming_normal_(w, 0.2)), normal_cdf(0, std))
    bound = math.sqrt(3) * math.sqrt(2 / fan_out)
    drawn = init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu")
    assert_distributed(values(drawn), uniform_cdf(-bound, bound))


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (4, 2, 3, 3), (1, 7)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_orthogonal(shape: tuple[int, ...], dtype: str) -> None:
    w = weft.empty(*shape, dtype=getattr(weft, dtype))
    assert init.orthogonal_(w, 3.0) is w
    m = w.numpy().reshape(shape[0], -1) / 3
    product = m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-6)


def test_orthogonal_matrices_are_uniform() -> None:
    """Any entry of a uniformly drawn rotation of the plane is a cosine of a uniform angle."""
    drawn = np.array([init.orthogonal_(weft.empty(2, 2)).tolist() for _ in range(600)])
    for i, j in ((0, 0), (0, 1), (1, 1)):
        assert_distributed(drawn[:, i, j], lambda x: 1 - np.arccos(np.clip(x, -1, 1)) / np.pi)
    det = np.linalg.det(drawn)
    assert abs((det > 0).mean() - 0.5) < 0.08  # reflections as often as rotations


def test_sparse() -> None:
    w = init.sparse_(weft.empty(41, 500), 0.3, std=0.5)
    zeros = (w == 0).numpy()
    assert (zeros.sum(0) == math.ceil(0.3 * 41)).all()
    assert_distributed(values(w)[values(w) != 0], normal_cdf(0, 0.5))
    each_row = zeros.mean(1)  # every row is zero as often
    assert np.abs(each_row - 13 / 41).max() < 4 * math.sqrt(0.32 * 0.68 / 500)


@pytest.mark.parity
@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("eye_", (3, 5), {}),
        ("eye_", (5, 3), {}),
        ("dirac_", (4, 2, 3), {}),
        ("dirac_", (4, 6, 4, 5), {}),
        ("dirac_", (6, 3, 3, 2, 1), {"groups": 3}),
        ("constant_", (2, 3), {"val": 0.3}),
        ("ones_", (2,), {}),
        ("zeros_", (2,), {}),
    ],
)
def test_fixed_values_are_pytorchs(name: str, shape: Any, options: Any, torch: Any) -> None:
    ours, theirs = nn.Parameter(weft.rand(*shape)), torch.nn.Parameter(torch.rand(*shape))
    assert getattr(init, name)(ours, **options) is ours
    getattr(torch.nn.init, name)(theirs, **options)
    np.testing.assert_array_equal(ours.detach(), theirs.detach().numpy())
    assert ours.is_leaf
    assert ours.requires_grad


def test_what_shapes_they_take() -> None:
    for function, shape, message in (
        (init.eye_, (3,), r"eye_ takes a matrix, not shape \[3\]"),
        (init.dirac_, (3, 3), r"dirac_ takes weights of convolutions, not shape \[3, 3\]"),
        (init.orthogonal_, (3,), r"orthogonal_ needs at least two dimensions, not shape \[3\]"),
        (lambda w: init.sparse_(w, 0.5), (3,), r"sparse_ takes a matrix, not shape \[3\]"),
        (lambda w: init.dirac_(w, 2), (3, 3, 3), r"groups=2 does not divide 3 channels"),
        (init.xavier_normal_, (3,), r"fan-in and fan-out need at least two dimensions"),
    ):
        with pytest.raises(ShapeError, match=message):
            function(weft.empty(*shape))
    assert init.orthogonal_(weft.empty(0, 3)).shape == (0, 3)


@pytest.mark.parity
def test_older_names(torch: Any) -> None:
    old = [n for n in init.__all__ if f"{n}_" in init.__all__]
    assert len(old) == 11
    for name in old:
        assert hasattr(torch.nn.init, name)
        shape = (4, 4, 3) if name == "dirac" else (4, 4)
        extra = {"sparse": (0.5,), "constant": (2.0,)}.get(name, ())
        with pytest.warns(
            FutureWarning, match=rf"nn.init.{name} is deprecated: use nn.init.{name}_"
        ):
            getattr(init, name)(weft.empty(*shape), *extra)


# ---- what layers start with


def test_layers_start_as_documented() -> None:
    linear = nn.Linear(64, 200)
    assert_distributed(values(linear.weight), uniform_cdf(-1 / 8, 1 / 8))
    assert_distributed(values(linear.bias), uniform_cdf(-1 / 8, 1 / 8))
    conv = nn.Conv2d(16, 40, 4)
    assert_distributed(values(conv.weight), uniform_cdf(-1 / 16, 1 / 16))
    assert_distributed(values(nn.Embedding(100, 50).weight), normal_cdf(0, 1))
    lstm = nn.LSTM(9, 25)
    for weight in lstm.parameters():
        assert_distributed(values(weight), uniform_cdf(-1 / 5, 1 / 5))
    attention = nn.MultiheadAttention(48, 4)
    bound = math.sqrt(6 / (48 + 3 * 48))
    assert_distributed(values(attention.in_proj_weight), uniform_cdf(-bound, bound))
