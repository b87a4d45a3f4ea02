"""Tests of distributions: how likely samples are to come from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Cdf = Callable[[Any], Any]

#: Of a true distribution being refused.
LEVEL = 0.001


def uniform_cdf(a: float, b: float) -> Cdf:
    return lambda x: np.clip((np.asarray(x) - a) / (b - a), 0, 1)


def normal_cdf(mean: float, std: float) -> Cdf:
    scale = std * math.sqrt(2)
    return lambda x: np.array([math.erfc((mean - v) / scale) / 2 for v in np.atleast_1d(x)])


def assert_distributed(samples: Any, cdf: Cdf) -> None:
    """Kolmogorov and Smirnov's test, by the asymptotic distribution of its statistic.

    (Smirnov, 1948)
    """
    x = np.sort(np.asarray(samples, np.float64))
    n = len(x)
    expected = cdf(x)
    steps = np.arange(n + 1) / n
    distance = max((steps[1:] - expected).max(), (expected - steps[:-1]).max())
    limit = math.sqrt(-math.log(LEVEL / 2) / (2 * n))
    assert distance < limit, f"{distance:.4f} of {n} samples, where {limit:.4f} may be"


def assert_counts(counts: Any, probabilities: Any) -> None:
    """Pearson's chi-squared test, by Wilson and Hilferty's (1931) approximation of its quantile."""
    counts, probabilities = np.asarray(counts, np.float64), np.asarray(probabilities)
    expected = counts.sum() * probabilities
    statistic = ((counts - expected) ** 2 / expected).sum()
    free = len(counts) - 1
    normal = 3.09  # the 0.999 quantile
    limit = free * (1 - 2 / (9 * free) + normal * math.sqrt(2 / (9 * free))) ** 3
    assert statistic < limit, f"{statistic:.1f}, where {limit:.1f} may be: {counts}, {expected}"


def assert_alike(samples: Any, others: Any) -> None:
    """Smirnov's test of two samples, one of many: at a hundredth of the level."""
    x, y = np.sort(np.asarray(samples, np.float64)), np.sort(np.asarray(others, np.float64))
    places = np.concatenate([x, y])
    below = [np.searchsorted(v, places, "right") / len(v) for v in (x, y)]
    distance = np.abs(below[0] - below[1]).max()
    limit = math.sqrt(-math.log(LEVEL / 200) * (1 / len(x) + 1 / len(y)) / 2)
    assert distance < limit, f"{distance:.4f} of {len(x)} and {len(y)}, where {limit:.4f} may be"
