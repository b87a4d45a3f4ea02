"""Dropout of all kinds, by tests of distributions with fixed seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sampling_tests import assert_counts, assert_distributed, normal_cdf, uniform_cdf

import weft
import weft.nn.functional as F
from weft import nn


@pytest.fixture(autouse=True)
def seed() -> None:
    weft.manual_seed(3)


def binomial(n: int, p: float) -> np.ndarray:
    return np.array([math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)])


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_elements_fall_independently_of_one_another(p: float) -> None:
    """The number that fall among 8 neighbours is binomial, along both dimensions."""
    fallen = (nn.Dropout(p)(weft.ones(800, 800)) == 0).numpy()
    for mask in (fallen, fallen.T):
        groups = mask.reshape(-1, 8).sum(1)
        assert_counts(np.bincount(groups, minlength=9), binomial(8, p))


def test_successive_masks_are_independent() -> None:
    layer, x = nn.Dropout(0.5), weft.ones(200_000)
    first, second = ((layer(x) == 0).numpy() for _ in range(2))
    assert_counts(np.bincount(2 * first + second, minlength=4), np.full(4, 0.25))


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_moments(p: float) -> None:
    y = F.dropout(weft.ones(200_000), p).double().numpy()
    n = len(y)
    assert set(np.unique(y)) == {0.0, np.float64(np.float32(1 / (1 - p)))}
    std = math.sqrt(p / (1 - p))
    assert abs(y.mean() - 1) < 4 * std / math.sqrt(n)
    assert y.std() == pytest.approx(std, rel=0.02)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Dropout1d(0.3), (400, 64, 5)),
        (nn.Dropout2d(0.3), (400, 64, 2, 3)),
        (nn.Dropout3d(0.3), (400, 64, 2, 1, 3)),
    ],
)
def test_channels_fall_whole_and_independently(layer: nn.Module, shape: tuple[int, ...]) -> None:
    fallen = (layer(weft.ones(*shape)) == 0).flatten(2).numpy()
    assert (fallen == fallen[:, :, :1]).all()
    groups = fallen[:, :, 0].reshape(-1, 8).sum(1)
    assert_counts(np.bincount(groups, minlength=9), binomial(8, 0.3))


@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
def test_alpha_dropout_keeps_a_normal_distributions_moments(name: str) -> None:
    x = weft.randn(40_000, 8, dtype=weft.float64)
    y = getattr(F, name)(x, 0.2, training=True).numpy()
    assert abs(y.mean()) < 0.02
    assert y.std() == pytest.approx(1, abs=0.02)
    # Klambauer et al., 2017: what falls becomes this, then all are scaled and shifted.
    low, p = -1.7580993408473766, 0.2
    scale = ((1 - p) * (1 + p * low**2)) ** -0.5
    fallen = np.isclose(y, scale * low - scale * low * p, rtol=1e-6)
    assert_counts(np.bincount(fallen[:, 0], minlength=2), [0.8, 0.2])
    if name == "alpha_dropout":
        kept = y[~fallen]
        assert_distributed(kept[:20_000], normal_cdf(-scale * low * p, scale))


def test_slopes_of_rrelu_are_uniform() -> None:
    y = F.rrelu(-weft.ones(20_000, dtype=weft.float64), 0.1, 0.4, training=True)
    assert_distributed(-y.numpy(), uniform_cdf(0.1, 0.4))


def test_stochastic_depth() -> None:
    kept = nn.DropPath(0.25)(weft.ones(40_000, 1)).numpy()[:, 0] > 0
    groups = (~kept).reshape(-1, 8).sum(1)
    assert_counts(np.bincount(groups, minlength=9), binomial(8, 0.25))


def test_gumbel_softmax_draws_by_the_probabilities() -> None:
    p = np.array([0.1, 0.2, 0.3, 0.4])
    logits = weft.tensor(np.log(p)).expand(40_000, 4)
    drawn = F.gumbel_softmax(logits, hard=True).argmax(1).numpy()
    assert_counts(np.bincount(drawn, minlength=4), p)
