"""Special functions: to the last digits, and their derivatives to the second order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sampling_tests import assert_counts

import weft

scipy = pytest.importorskip("scipy.special", reason="compares with SciPy")
S = weft.special

WHOLE_LINE = np.concatenate([np.linspace(-30, 30, 601), [1e-9, 1e-3, 8.0, -8.0, 100.0, -600.0]])
HALF_LINE = np.abs(WHOLE_LINE) + 1e-6
CHANCES = np.concatenate([np.linspace(0.001, 0.999, 99), 10.0 ** -np.arange(3, 300, 9)])

#: The places, and how large an error of float64 may be: relative, and absolute (around zeros).
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Any, float, float]] = {
    **{name: (getattr(scipy, name), WHOLE_LINE, 2e-15, 0) for name in ("i0", "i0e", "i1", "i1e")},
    "modified_bessel_k0": (scipy.k0, HALF_LINE, 3e-15, 0),
    "modified_bessel_k1": (scipy.k1, HALF_LINE, 3e-15, 0),
    "scaled_modified_bessel_k0": (scipy.k0e, HALF_LINE, 3e-15, 0),
    "scaled_modified_bessel_k1": (scipy.k1e, HALF_LINE, 3e-15, 0),
    "bessel_j0": (scipy.j0, WHOLE_LINE, 1e-14, 1e-15),
    "bessel_j1": (scipy.j1, WHOLE_LINE, 1e-14, 1e-15),
    "bessel_y0": (scipy.y0, HALF_LINE, 1e-14, 1e-15),
    "bessel_y1": (scipy.y1, HALF_LINE, 1e-14, 1e-15),
    "spherical_bessel_j0": (lambda x: scipy.spherical_jn(0, x), WHOLE_LINE, 1e-15, 1e-16),
    "erfcx": (scipy.erfcx, np.linspace(-20, 60, 400), 2e-14, 0),
    "ndtri": (scipy.ndtri, CHANCES, 4e-15, 1e-16),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_digits(name: str) -> None:
    exact, places, rtol, atol = FUNCTIONS[name]
    found = getattr(S, name)(weft.tensor(places))
    np.testing.assert_allclose(found.numpy(), exact(places), rtol, atol)
    single = weft.tensor(places, dtype=weft.float32)
    with np.errstate(all="ignore"):
        expected = exact(single.numpy().astype(np.float64)).astype(np.float32)
    normal = np.isfinite(expected) & (np.abs(expected) > 1e-37)
    found = getattr(S, name)(single).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[normal], expected[normal], 3e-5, 2e-6 if atol else 0)
    assert getattr(S, name)(single.half()).dtype is weft.float16


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives(name: str) -> None:
    x = weft.tensor([0.2, 0.45, 0.93], dtype=weft.float64, requires_grad=True)
    far = weft.tensor([0.3, 3.0, 9.5, 20.0], dtype=weft.float64, requires_grad=True)
    for at in (x,) if name == "ndtri" else (x, far):
        assert weft.autograd.gradcheck(getattr(S, name), (at,))
        assert weft.autograd.gradgradcheck(getattr(S, name), (at,), atol=1e-4)


def test_incomplete_gamma_functions() -> None:
    random = np.random.default_rng(0)
    a = 10 ** random.uniform(-2, 5, 1000)
    x = random.gamma(a) * 10 ** random.normal(0, 0.1, 1000)
    for name in ("gammainc", "gammaincc"):
        exact = getattr(scipy, name)(a, x)
        found = getattr(S, name)(weft.tensor(a), weft.tensor(x)).numpy()
        np.testing.assert_allclose(found[exact > 1e-30], exact[exact > 1e-30], 3e-12)
    ends = np.array([0, 0, 0, 1, 1, np.inf, np.inf, -1, 1, np.nan])
    others = np.array([0, 1, np.inf, 0, np.inf, 1, np.inf, 1, -1, 1])
    found = S.gammainc(weft.tensor(ends), weft.tensor(others)).numpy()
    np.testing.assert_array_equal(found, scipy.gammainc(ends, others))


def test_zeta() -> None:
    random = np.random.default_rng(0)
    x, q = 1 + 10 ** random.uniform(-2, 1.5, 200), 10 ** random.uniform(-2, 3, 200)
    np.testing.assert_allclose(
        S.zeta(weft.tensor(x), weft.tensor(q)).numpy(), scipy.zeta(x, q), 4e-15
    )
    found = S.zeta(weft.tensor([1.0, 2.0, 0.5, 3.0]), weft.tensor([1.0, 0.0, 1.0, -1.5]))
    np.testing.assert_array_equal(found.numpy(), [np.inf, np.inf, np.nan, np.nan])


def test_counts_are_drawn_as_they_should_be() -> None:
    stats = pytest.importorskip("scipy.stats")
    weft.manual_seed(0)
    for mean in (0.1, 5.0, 9.99, 10.0, 30.0, 1e4):
        drawn = weft.poisson(weft.full((20000,), mean)).numpy()
        _check(drawn, stats.poisson(mean))
    for n, p in ((10, 0.3), (5, 0.9), (100, 0.2), (40, 0.5), (1000, 0.7), (10**6, 0.001)):
        drawn = weft.binomial(weft.full((20000,), float(n)), weft.full((20000,), p)).numpy()
        _check(drawn, stats.binom(n, p))
    assert weft.poisson(weft.tensor([0.0, -1.0])).isnan().tolist() == [False, True]
    ends = weft.binomial(weft.tensor([5.0, 5.0, 0.0, 3.0]), weft.tensor([0.0, 1.0, 0.5, 1.5]))
    np.testing.assert_array_equal(ends.numpy(), [0, 5, 0, np.nan])


def _check(drawn: Any, wanted: Any) -> None:
    edges = np.unique(wanted.ppf(np.linspace(0.05, 0.95, 10)))
    edges = edges[wanted.sf(edges) > 0]
    places = np.concatenate([[-np.inf], edges + 0.5, [np.inf]])
    chances = np.diff(np.concatenate([[0], wanted.cdf(edges), [1]]))
    assert_counts(np.histogram(drawn, places)[0], chances)


def test_strided_scatter() -> None:
    x, new = weft.zeros(6, requires_grad=True), weft.tensor([5.0, 7.0], requires_grad=True)
    y = x.as_strided_scatter(new, (2,), (3,), 1)
    assert y.tolist() == [0, 5, 0, 0, 7, 0]
    (y * weft.arange(6)).sum().backward()
    assert x.grad is not None
    assert new.grad is not None
    assert (x.grad.tolist(), new.grad.tolist()) == ([0, 0, 2, 3, 0, 5], [1, 4])


def test_settings_without_effect() -> None:
    assert weft.get_num_interop_threads() == 1
    weft.set_num_interop_threads(4)
    with pytest.raises(RuntimeError, match="positive integer, but got 0"):
        weft.set_num_interop_threads(0)
    assert not weft.set_flush_denormal(True)
