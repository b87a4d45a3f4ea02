"""Distributions beside PyTorch's: densities, moments, gradients; and draws by their moments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from weft import distributions as D
from weft.errors import DataError, UnsupportedOp

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
T = torch.distributions

LOC = np.array([[0.3], [-1.2]])
SCALE = np.array([0.5, 1.5, 2.0])
SHAPES = np.array([[0.7], [8.0]])
PROBS = np.array([[0.1, 0.2, 0.7], [0.0, 0.5, 0.5]])
LOGITS = np.array([[0.3, -1.0, 2.0], [0.0, 0.5, 0.1]])
COVARIANCE = np.array([[2.0, 0.6], [0.6, 1.0]])

Make = Callable[[Any, Callable[[Any], Any]], Any]

KINDS: dict[str, tuple[Make, Any]] = {
    "normal": (lambda d, t: d.Normal(t(LOC), t(SCALE)), np.array([0.4, -0.7, 1.0])),
    "normal of numbers": (lambda d, _: d.Normal(0.0, 2), np.array([0.4, -0.7])),
    "laplace": (lambda d, t: d.Laplace(t(LOC), t(SCALE)), np.array([0.4, -0.7, 1.0])),
    "log normal": (lambda d, t: d.LogNormal(t(LOC), t(SCALE / 3)), np.array([0.4, 0.7, 1.0])),
    "gumbel": (lambda d, t: d.Gumbel(t(LOC), t(SCALE)), np.array([0.4, -0.7, 1.0])),
    "uniform": (lambda d, t: d.Uniform(t(LOC), t(LOC + SCALE), False), np.array([0.4, -0.7, 1.0])),
    "exponential": (lambda d, t: d.Exponential(t(SCALE)), np.array([0.4, 0.7, 1.0])),
    "bernoulli": (lambda d, t: d.Bernoulli(t(PROBS)), np.array([0.0, 1.0, 1.0])),
    "bernoulli of logits": (lambda d, t: d.Bernoulli(logits=t(LOGITS)), np.array([0.0, 1.0, 1.0])),
    "categorical": (lambda d, t: d.Categorical(t(PROBS * 2)), np.array([[2], [1]])),
    "categorical of logits": (lambda d, t: d.Categorical(logits=t(LOGITS)), np.array([2, 0])),
    "one hot": (lambda d, t: d.OneHotCategorical(t(PROBS)), np.eye(3)[[2, 1]]),
    "multivariate": (
        lambda d, t: d.MultivariateNormal(t(LOC[:, 0]), t(COVARIANCE)),
        np.array([[0.1, 0.2], [1.0, -2.0], [0.0, 3.0]]),
    ),
    "multivariate by factor": (
        lambda d, t: d.MultivariateNormal(
            t(LOC * [1, 2]), scale_tril=t(np.linalg.cholesky(COVARIANCE))
        ),
        np.array([0.1, 0.2]),
    ),
    "gamma": (lambda d, t: d.Gamma(t(SCALE), t(SHAPES)), np.array([0.4, 0.7, 9.0])),
    "chi2": (lambda d, t: d.Chi2(t(SCALE * 4)), np.array([0.4, 0.7, 1.0])),
    "beta": (lambda d, t: d.Beta(t(SCALE), t(SHAPES)), np.array([0.4, 0.7, 0.9])),
    "dirichlet": (lambda d, t: d.Dirichlet(t(SHAPES * SCALE)), np.array([0.1, 0.2, 0.7])),
    "independent": (
        lambda d, t: d.Independent(d.Normal(t(LOC), t(SCALE)), 1),
        np.array([0.4, -0.7, 1.0]),
    ),
}


#: Draws are accepted or not, by what depends on parameters.
WITHOUT_GRADIENTS = {"gamma", "chi2", "beta", "dirichlet"}


def both(kind: str) -> tuple[Any, Any]:
    make, _ = KINDS[kind]
    return make(D, weft.tensor), make(T, torch.tensor)


def same(ours: Any, theirs: Any, rtol: float = 1e-6) -> None:
    assert list(ours.shape) == list(theirs.shape)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol, 1e-7)


@pytest.mark.parity
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_distribution_says(kind: str) -> None:
    ours, theirs = both(kind)
    assert list(ours.batch_shape) == list(theirs.batch_shape)
    assert list(ours.event_shape) == list(theirs.event_shape)
    assert ours.has_rsample == (theirs.has_rsample and kind not in WITHOUT_GRADIENTS)
    value = KINDS[kind][1]
    same(ours.log_prob(weft.tensor(value)), theirs.log_prob(torch.tensor(value)))
    same(ours.entropy(), theirs.entropy())
    if not kind.startswith("categorical"):
        same(ours.mean, theirs.mean)
        same(ours.variance, theirs.variance)
        same(ours.stddev, theirs.stddev)


@pytest.mark.parity
@pytest.mark.parametrize(
    "kind", ["normal", "log normal", "gumbel", "laplace", "uniform", "exponential"]
)
def test_cdf_and_its_inverse(kind: str) -> None:
    ours, theirs = both(kind)
    value = KINDS[kind][1].clip(0.45, 0.55) if kind == "uniform" else KINDS[kind][1]
    if kind != "uniform":
        same(ours.cdf(weft.tensor(value)), theirs.cdf(torch.tensor(value)))
    chances = np.array([0.1, 0.5, 0.9])
    same(ours.icdf(weft.tensor(chances)), theirs.icdf(torch.tensor(chances)))
    back = ours.cdf(ours.icdf(weft.tensor(chances)))
    np.testing.assert_allclose(back.numpy(), np.broadcast_to(chances, back.shape), 1e-6)


@pytest.mark.parity
@pytest.mark.parametrize("kind", KINDS)
def test_draws_have_the_moments_of_the_distribution(kind: str) -> None:
    weft.manual_seed(0)
    ours, theirs = both(kind)
    drawn = ours.sample((20000,))
    assert list(drawn.shape) == [20000, *theirs.batch_shape, *theirs.event_shape]
    assert drawn.dtype.name == str(theirs.sample().dtype).removeprefix("torch.")
    assert not drawn.requires_grad
    if kind.startswith("categorical"):
        counts = (drawn[..., None] == weft.arange(3)).double().mean(0)
        np.testing.assert_allclose(counts.numpy(), theirs.probs.numpy(), atol=0.02)
        return
    spread = float(theirs.stddev.max())
    np.testing.assert_allclose(drawn.mean(0).numpy(), theirs.mean.numpy(), atol=0.04 * spread)
    np.testing.assert_allclose(drawn.std(0).numpy(), theirs.stddev.numpy(), rtol=0.05, atol=0.01)


def test_draws_of_dependent_numbers_depend() -> None:
    weft.manual_seed(0)
    drawn = both("multivariate")[0].sample((20000,))
    np.testing.assert_allclose(weft.cov(drawn.T).numpy(), COVARIANCE, atol=0.1)


@pytest.mark.parametrize("name", ["Normal", "Laplace", "Gumbel", "Uniform"])
def test_gradients_go_through_draws(name: str) -> None:
    low, high = (weft.tensor([v], dtype=weft.float64, requires_grad=True) for v in (0.5, 1.5))
    drawn = getattr(D, name)(low, high).rsample((7,))
    drawn.sum().backward()
    assert low.grad is not None
    assert high.grad is not None
    if name == "Uniform":
        part = (drawn.detach() - 0.5).sum().item()
        np.testing.assert_allclose([low.grad.item(), high.grad.item()], [7 - part, part])
    else:
        unit = ((drawn.detach() - 0.5) / 1.5).sum()
        np.testing.assert_allclose([low.grad.item(), high.grad.item()], [7, unit.item()])


@pytest.mark.parametrize("shape", [0.05, 0.3, 1.0, 2.5, 40.0, 1e4])
def test_gamma_draws_are_distributed_as_scipy_says(shape: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    weft.manual_seed(1)
    drawn = D.Gamma(weft.full((20000,), shape, dtype=weft.float64), 2.0).sample().numpy()
    assert stats.kstest(drawn, stats.gamma(shape, scale=0.5).cdf).pvalue > 1e-3


def test_draws_of_the_gamma_family_carry_no_gradients() -> None:
    drawn = D.Dirichlet(weft.full((5, 3), 0.1, requires_grad=True)).sample((100,))
    np.testing.assert_allclose(drawn.sum(-1).numpy(), 1, rtol=1e-5)
    assert drawn.isfinite().all()
    with pytest.raises(UnsupportedOp, match=r"Beta has no rsample\(\)"):
        D.Beta(1.0, 2.0).rsample()
    with pytest.raises(DataError, match="Dirichlet: concentration must be positive"):
        D.Beta(1.0, -2.0)
    with pytest.raises(ValueError, match="needs a dimension of parts"):
        D.Dirichlet(weft.tensor(1.0))


@pytest.mark.parity
def test_gradients_of_log_prob_are_pytorchs() -> None:
    grads = []
    for d, t in ((D, weft), (T, torch)):
        logits = t.tensor(LOGITS, requires_grad=True)
        chosen = d.Categorical(logits=logits)
        (chosen.log_prob(t.tensor([2, 0])) * 0.5 - chosen.entropy()).sum().backward()
        grads.append(logits.grad.numpy())
    np.testing.assert_allclose(*grads, rtol=1e-6)


PAIRS: dict[str, Callable[[Any, Callable[[Any], Any], float], Any]] = {
    "normal": lambda d, t, k: d.Normal(t(LOC * k), t(SCALE + k)),
    "log normal": lambda d, t, k: d.LogNormal(t(LOC * k), t(SCALE + k)),
    "laplace": lambda d, t, k: d.Laplace(t(LOC * k), t(SCALE + k)),
    "uniform": lambda d, t, k: d.Uniform(t(LOC - k), t(LOC + SCALE + k)),
    "exponential": lambda d, t, k: d.Exponential(t(SCALE + k)),
    "bernoulli": lambda d, t, k: d.Bernoulli(logits=t(LOGITS * k)),
    "categorical": lambda d, t, k: d.Categorical(logits=t(LOGITS * k)),
    "one hot": lambda d, t, k: d.OneHotCategorical(logits=t(LOGITS * k)),
    "gamma": lambda d, t, k: d.Gamma(t(SCALE * k), t(SHAPES + k)),
    "beta": lambda d, t, k: d.Beta(t(SCALE * k), t(SHAPES + k)),
    "dirichlet": lambda d, t, k: d.Dirichlet(t(SHAPES * SCALE + k)),
    "multivariate": lambda d, t, k: d.MultivariateNormal(t(LOC[:, 0] * k), t(COVARIANCE + k)),
    "independent": lambda d, t, k: d.Independent(d.Normal(t(LOC * k), t(SCALE + k)), 1),
}


@pytest.mark.parity
@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize(("p", "q"), [(0.5, 2.0), (2.0, 0.5)])
def test_divergences(kind: str, p: float, q: float) -> None:
    make = PAIRS[kind]
    ours = D.kl_divergence(make(D, weft.tensor, p), make(D, weft.tensor, q))
    same(ours, T.kl_divergence(make(T, torch.tensor, p), make(T, torch.tensor, q)))


def test_mistakes() -> None:
    with pytest.raises(DataError, match=r"Normal: scale must be positive"):
        D.Normal(0.0, weft.tensor([1.0, -1.0]))
    with pytest.raises(DataError, match=r"Categorical: logits must be no NaN"):
        D.Categorical(logits=weft.tensor([0.0, float("nan")]))
    D.Normal(0.0, -1.0, validate_args=False)
    with pytest.raises(ValueError, match=r"one of probs and logits"):
        D.Bernoulli(0.5, 0.5)
    with pytest.raises(ValueError, match=r"more than there are dimensions in batch_shape \[2\]"):
        D.Independent(D.Normal(weft.zeros(2), 1.0), 2)
    with pytest.raises(UnsupportedOp, match=r"Categorical has no rsample\(\)"):
        D.Categorical(weft.ones(2)).rsample()
    with pytest.raises(UnsupportedOp, match=r"kl_divergence of Normal and Uniform"):
        D.kl_divergence(D.Normal(0.0, 1.0), D.Uniform(0.0, 1.0))
    with pytest.raises(UnsupportedOp, match=r"kl_divergence of LogNormal and Normal"):
        D.kl_divergence(D.LogNormal(0.0, 1.0), D.Normal(0.0, 1.0))


def test_a_stream_goes_on_after_fork_rng() -> None:
    weft.manual_seed(3)
    weft.rand(2)
    expected = weft.rand(3)
    weft.manual_seed(3)
    weft.rand(2)
    with weft.random.fork_rng():
        weft.manual_seed(9)
        weft.rand(5)
    assert weft.equal(weft.rand(3), expected)


def test_normal_draws_for_every_place_of_the_common_shape() -> None:
    for mean, std in ((weft.zeros(3, 1), weft.ones(4)), (weft.tensor(0.0), weft.ones(3, 4))):
        drawn = weft.normal(mean, std)
        assert drawn.shape == (3, 4)
        assert len(set(drawn.flatten().tolist())) == 12
    assert weft.normal(0, weft.ones(2, dtype=weft.float64)).dtype is weft.float64
