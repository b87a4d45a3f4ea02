"""Distributions beside PyTorch's: densities, moments, gradients, draws."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from distribution_kinds import COVARIANCE, KINDS, LOGITS
from sampling_tests import assert_alike

import weft
from weft import distributions as D
from weft.errors import DataError, OptionError, ShapeError, UnsupportedOp

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
T = torch.distributions

#: PyTorch's is NaN where it should not be.
OTHER_MODE = {"kumaraswamy"}


def both(kind: str) -> tuple[Any, Any]:
    make, _ = KINDS[kind]
    return make(D, weft.tensor), make(T, torch.tensor)


def same(ours: Any, theirs: Any, rtol: float = 1e-6) -> None:
    assert list(ours.shape) == list(theirs.shape)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol, 1e-7)


def same_or_neither(ours: Any, theirs: Any, what: Callable[[Any, Any], Any]) -> None:
    """``what`` of both is the same, unless PyTorch has none."""
    try:
        expected = what(theirs, torch)
    except (NotImplementedError, AttributeError):
        return
    same(what(ours, weft), expected)


@pytest.mark.parity
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_distribution_says(kind: str) -> None:
    ours, theirs = both(kind)
    assert list(ours.batch_shape) == list(theirs.batch_shape)
    assert list(ours.event_shape) == list(theirs.event_shape)
    assert ours.has_rsample == theirs.has_rsample
    assert ours.has_enumerate_support == theirs.has_enumerate_support
    value, chances = KINDS[kind][1], np.array([0.1, 0.5, 0.9])
    same(ours.log_prob(weft.tensor(value)), theirs.log_prob(torch.tensor(value)))
    for name in ("mean", "variance", "stddev", "mode"):
        if name != "mode" or kind not in OTHER_MODE:
            same_or_neither(ours, theirs, lambda d, t, name=name: getattr(d, name))
    same_or_neither(ours, theirs, lambda d, t: d.entropy())
    same_or_neither(ours, theirs, lambda d, t: d.cdf(t.tensor(value)))
    same_or_neither(ours, theirs, lambda d, t: d.icdf(t.tensor(chances)))
    if ours.has_enumerate_support:
        for expand in (True, False):
            same(ours.enumerate_support(expand), theirs.enumerate_support(expand))


@pytest.mark.parity
@pytest.mark.parametrize("kind", KINDS)
def test_expanded(kind: str) -> None:
    ours, theirs = both(kind)
    shape = (2, *theirs.batch_shape)
    ours, theirs = ours.expand(shape), theirs.expand(shape)
    assert list(ours.batch_shape) == list(theirs.batch_shape)
    value = KINDS[kind][1]
    same(ours.log_prob(weft.tensor(value)), theirs.log_prob(torch.tensor(value)))
    same_or_neither(ours, theirs, lambda d, t: d.mean)
    same_or_neither(ours, theirs, lambda d, t: d.entropy())
    assert list(ours.sample((3,)).shape) == [3, *shape, *theirs.event_shape]


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:Singular sample")
@pytest.mark.parametrize("kind", [k for k in KINDS if k != "von mises, wide"])
def test_draws_are_alike(kind: str) -> None:
    weft.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = both(kind)
    drawn, others = ours.sample((8000,)), theirs.sample((8000,))
    assert list(drawn.shape) == list(others.shape)
    assert drawn.dtype.name == str(others.dtype).removeprefix("torch.")
    assert not drawn.requires_grad
    assert bool(ours.support.check(drawn).all())
    for mine, other in zip(drawn.reshape(8000, -1).T, others.reshape(8000, -1).T, strict=True):
        assert_alike(mine.numpy(), other.numpy())


@pytest.mark.parity
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_densities(kind: str) -> None:
    """To the values, and to the parameters where these are floats."""
    make, value = KINDS[kind]
    grads: list[list[Any]] = []
    for d, t in ((D, weft), (T, torch)):
        given: list[Any] = []

        def tensor(data: Any, t: Any = t, given: list[Any] = given) -> Any:
            x = t.tensor(data)
            given.append(x.requires_grad_() if x.is_floating_point() else x)
            return x

        made = make(d, tensor)
        x = t.tensor(value)
        if not made.support.is_discrete:
            tensor_x = tensor(value)
            made.log_prob(tensor_x).sum().backward()
        else:
            made.log_prob(x).sum().backward()
        grads.append([g.grad for g in given])
    for ours, theirs in zip(*grads, strict=True):
        if theirs is not None and bool(theirs.isfinite().all()):
            same(weft.zeros(theirs.shape) if ours is None else ours, theirs)


# ---- draws with gradients


def test_draws_of_dependent_numbers_depend() -> None:
    weft.manual_seed(0)
    drawn = both("multivariate")[0].sample((20000,))
    np.testing.assert_allclose(weft.cov(drawn.T).numpy(), COVARIANCE, atol=0.1)


@pytest.mark.parametrize("name", ["Normal", "Laplace", "Gumbel", "Cauchy", "Uniform"])
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


@pytest.mark.parity
def test_gamma_draws_follow_their_shapes() -> None:
    """As PyTorch's do, whose approximation has some four digits."""
    weft.manual_seed(1)
    shape = weft.tensor(10 ** np.linspace(-2, 4, 500), requires_grad=True)
    drawn = D.Gamma(shape, 1.0).rsample()
    drawn.sum().backward()
    expected = torch._standard_gamma_grad(
        *[torch.tensor(x.detach().numpy()) for x in (shape, drawn)]
    )
    assert shape.grad is not None
    np.testing.assert_allclose(shape.grad.numpy(), expected.numpy(), rtol=2e-3)


def test_gradients_of_gamma_draws_twice() -> None:
    """Draws move so that each keeps its place in the distribution: d/da P(a, x(a)) = 0."""
    shape = weft.tensor([0.3, 1.0, 5.0, 70.0], dtype=weft.float64, requires_grad=True)
    weft.manual_seed(2)
    drawn = D.Gamma(shape, 1.0).rsample()
    place = weft.special.gammainc(shape, drawn)
    first = weft.autograd.grad(place.sum(), shape, create_graph=True)[0]
    second = weft.autograd.grad(first.sum(), shape)[0]
    np.testing.assert_allclose(first.detach().numpy(), 0, atol=1e-10)
    np.testing.assert_allclose(second.numpy(), 0, atol=1e-8)


@pytest.mark.parametrize(
    "kind", ["beta", "dirichlet", "chi2", "inverse gamma", "student", "fisher"]
)
def test_gradients_of_means_of_draws_are_those_of_the_mean(kind: str) -> None:
    """(Of a bounded function of the draws, since some have no variance.)"""
    weft.manual_seed(3)
    torch.manual_seed(3)
    make, _ = KINDS[kind]
    grads = []
    for d, t in ((D, weft), (T, torch)):
        given: list[Any] = []

        def tensor(data: Any, t: Any = t, given: list[Any] = given) -> Any:
            given.append(t.tensor(data * 1.0, requires_grad=True))
            return given[-1]

        drawn = make(d, tensor).rsample((40000,))
        (drawn.tanh().mean(0) * t.tensor(np.array([1.0, 2.0, 3.0]))).sum().backward()
        grads.append(np.concatenate([g.grad.numpy().ravel() for g in given]))
    np.testing.assert_allclose(*grads, rtol=0.05, atol=0.01)


def test_relaxed_draws_come_near_to_corners() -> None:
    weft.manual_seed(0)
    logits = weft.zeros(4, requires_grad=True)
    cold = D.RelaxedOneHotCategorical(weft.tensor(0.01), logits=logits).rsample((200,))
    assert float(cold.max(-1).values.mean()) > 0.97
    cold[:, 0].sum().backward()
    assert logits.grad is not None
    straight = D.OneHotCategoricalStraightThrough(logits=logits).rsample((5,))
    assert set(straight.flatten().tolist()) == {0, 1}
    assert straight.requires_grad


# ---- divergences

A, U = np.array([0.5, 1.5, 2.0]), np.array([0.2, 0.5, 0.8])
LOW = np.array([[0.2, 0.3, 0.5], [0.0, 0.5, 0.5]])
HIGH = np.array([[0.1, 0.0, 0.9], [0.4, 0.3, 0.3]])
PAIRS: dict[str, Callable[[Any, Callable[[Any], Any], float], Any]] = {
    "bernoulli": lambda d, t, k: d.Bernoulli(t(U * 0.9)),
    "bernoulli of logits": lambda d, t, k: d.Bernoulli(logits=t(LOGITS[0] * k)),
    "beta": lambda d, t, k: d.Beta(t(A + k), t(A * k + 0.5)),
    "binomial": lambda d, t, k: d.Binomial(4, t(U * 0.9 + 0.02 * k)),
    "categorical": lambda d, t, k: d.Categorical(t(LOW if k < 1 else HIGH)),
    "cauchy": lambda d, t, k: d.Cauchy(t(A - k), t(A + k)),
    "chi2": lambda d, t, k: d.Chi2(t(A + k)),
    "continuous bernoulli": lambda d, t, k: d.ContinuousBernoulli(t(U * 0.9 + 0.03 * k)),
    "dirichlet": lambda d, t, k: d.Dirichlet(t(A * k)),
    "exponential": lambda d, t, k: d.Exponential(t(A * k)),
    "gamma": lambda d, t, k: d.Gamma(t(A * k), t(A + k)),
    "geometric": lambda d, t, k: d.Geometric(t(U * 0.9 + 0.02 * k)),
    "gumbel": lambda d, t, k: d.Gumbel(t(A - k), t(A + k)),
    "half normal": lambda d, t, k: d.HalfNormal(t(A * k)),
    "independent": lambda d, t, k: d.Independent(d.Normal(t(A * k), t(A + k)), 1),
    "laplace": lambda d, t, k: d.Laplace(t(A - k), t(A + k)),
    "log normal": lambda d, t, k: d.LogNormal(t(A - k), t(A + k)),
    "low rank": lambda d, t, k: d.LowRankMultivariateNormal(
        t(A[:2] * k), t(A[1:, None] * k), t(A[:2] + k)
    ),
    "multivariate": lambda d, t, k: d.MultivariateNormal(t(A[:2] * k), t(COVARIANCE + k)),
    "normal": lambda d, t, k: d.Normal(t(A - k), t(A + k)),
    "one hot": lambda d, t, k: d.OneHotCategorical(t(LOW[0] * k + 0.1)),
    "pareto": lambda d, t, k: d.Pareto(t(A + k), t(A * k + 2)),
    "poisson": lambda d, t, k: d.Poisson(t(A * k)),
    "student": lambda d, t, k: d.StudentT(t(A + k)),
    "tanh": lambda d, t, k: d.TransformedDistribution(
        d.Normal(t(A * k), t(A + k)), [d.TanhTransform()]
    ),
    "uniform": lambda d, t, k: d.Uniform(t(U * 0.5 + 0.02 * k), t(U * 0.5 + 0.03 + 0.02 * k)),
    "uniform, wide": lambda d, t, k: d.Uniform(t(U - k), t(U + 4 * k)),
}


@pytest.mark.parity
@pytest.mark.parametrize("kind", PAIRS)
def test_divergences(kind: str) -> None:
    """From a kind to all others: the same as PyTorch's, or in both not known."""
    for other, (k, m) in product(PAIRS, ((0.7, 1.3), (1.3, 0.7))):
        ours = PAIRS[kind](D, weft.tensor, k), PAIRS[other](D, weft.tensor, m)
        theirs = PAIRS[kind](T, torch.tensor, k), PAIRS[other](T, torch.tensor, m)
        try:
            expected = T.kl_divergence(*theirs)
        except NotImplementedError:
            with pytest.raises(UnsupportedOp, match="kl_divergence"):
                D.kl_divergence(*ours)
            continue
        except (ValueError, IndexError):  # (events of other shapes; masks that do not broadcast)
            continue
        try:
            same(D.kl_divergence(*ours), expected)
        except Exception as error:
            error.add_note(f"{kind} and {other}")
            raise


def test_a_divergence_of_ones_own() -> None:
    class Mine(D.Normal):
        pass

    @D.register_kl(Mine, D.Normal)
    def _(p: Any, q: Any) -> Any:
        return p.loc * 0 + 7

    p, q = Mine(0.0, 1.0), D.Normal(0.0, 1.0)
    assert float(D.kl_divergence(p, q)) == 7
    assert float(D.kl_divergence(q, p)) == 0
    with pytest.raises(TypeError, match="register_kl takes classes"):
        D.register_kl(Mine, int)  # type: ignore[arg-type]


# ---- checks


def test_parameters_are_checked() -> None:
    with pytest.raises(DataError, match=r"Normal: scale of shape \[2\] must satisfy GreaterThan"):
        D.Normal(0.0, weft.tensor([1.0, -1.0]))
    with pytest.raises(DataError, match=r"Categorical: logits .* must satisfy Independent"):
        D.Categorical(logits=weft.tensor([0.0, float("nan")]))
    with pytest.raises(ValueError, match=r"Beta: concentration0 of shape \[\]"):
        D.Beta(1.0, -2.0)
    with pytest.raises(ValueError, match="Uniform: high"):
        D.Uniform(1.0, 0.0)
    with pytest.raises(ValueError, match=r"covariance_matrix .* PositiveDefinite"):
        D.MultivariateNormal(weft.zeros(2), weft.tensor([[1.0, 2.0], [2.0, 1.0]]))
    D.Normal(0.0, -1.0, validate_args=False)
    D.Distribution.set_default_validate_args(False)
    try:
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)


def test_values_are_checked_where_asked_for() -> None:
    D.Exponential(1.0).log_prob(weft.tensor(-1.0))
    with pytest.raises(DataError, match=r"Exponential: the value .* must satisfy GreaterThanEq"):
        D.Exponential(1.0, validate_args=True).log_prob(weft.tensor(-1.0))
    with pytest.raises(ValueError, match="Binomial: the value"):
        D.Binomial(3, weft.tensor(0.5), validate_args=True).log_prob(weft.tensor(4.0))
    with pytest.raises(ShapeError, match=r"\[3\] does not fit batch_shape \[2\]"):
        D.Normal(weft.zeros(2), 1.0).log_prob(weft.zeros(3))
    with pytest.raises(ValueError, match=r"event_shape \[2\]"):
        D.MultivariateNormal(weft.zeros(2), weft.eye(2)).log_prob(weft.zeros(3))
    with pytest.raises(ValueError, match="must be a Tensor, not float"):
        D.Normal(0.0, 1.0).log_prob(0.5)  # type: ignore[arg-type]


def test_nothing_is_checked_while_a_step_is_recorded() -> None:
    spread = weft.tensor([0.5], requires_grad=True)

    @weft.compile
    def step(x: Any) -> Any:
        made = D.Normal(x * spread, spread.exp(), validate_args=True)
        return made.log_prob(x).sum() - made.rsample().sum() * 0

    values = [float(step(weft.ones(3))) for _ in range(4)]
    assert len(set(values)) == 1


def test_mistakes() -> None:
    with pytest.raises(OptionError, match=r"one of probs and logits"):
        D.Bernoulli(0.5, 0.5)
    with pytest.raises(ValueError, match="needs a dimension of parts"):
        D.Dirichlet(weft.tensor(1.0))
    with pytest.raises(ValueError, match=r"more than there are dimensions in batch_shape \[2\]"):
        D.Independent(D.Normal(weft.zeros(2), 1.0), 2)
    with pytest.raises(UnsupportedOp, match=r"Categorical has no rsample\(\)"):
        D.Categorical(weft.ones(2)).rsample()
    with pytest.raises(UnsupportedOp, match=r"Normal has no enumerate_support\(\)"):
        D.Normal(0.0, 1.0).enumerate_support()
    with pytest.raises(UnsupportedOp, match=r"Poisson has no entropy\(\)"):
        D.Poisson(1.0).entropy()
    with pytest.raises(UnsupportedOp, match=r"kl_divergence of Normal and StudentT"):
        D.kl_divergence(D.Normal(0.0, 1.0), D.StudentT(1.0))
    with pytest.raises(OptionError, match="takes one of covariance_matrix, precision_matrix"):
        D.MultivariateNormal(weft.zeros(2))
    with pytest.raises(ShapeError, match="do not fit a mixture"):
        D.MixtureSameFamily(D.Categorical(weft.ones(3)), D.Normal(weft.zeros(2), 1.0))
    with pytest.raises(ShapeError, match="fewer dimensions than its transforms take"):
        D.TransformedDistribution(D.Normal(0.0, 1.0), D.StickBreakingTransform())


# ---- the stream of random numbers


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


# ---- distributions of one's own


class Triangle(D.Distribution):
    """As programs write them for PyTorch: ``log_prob``, ``sample`` and ``expand`` of their own."""

    arg_constraints: Any = {"width": D.constraints.positive}
    support = D.constraints.real

    def __init__(self, width: Any, validate_args: bool | None = None) -> None:
        self.width = width
        super().__init__(width.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(Triangle, _instance)
        new.width = self.width.expand(batch_shape)
        super(Triangle, new).__init__(new.width.shape, validate_args=False)
        return new

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return (1 - (value / self.width).abs()).clamp(min=0).log() - self.width.log()

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        return (weft.rand(shape) - weft.rand(shape)) * self.width


def test_a_distribution_of_ones_own_goes_into_others() -> None:
    weft.manual_seed(0)
    own = Triangle(weft.tensor([1.0, 2.0]))
    value = weft.tensor([0.5, 1.0])
    expected = own.log_prob(value)
    np.testing.assert_allclose(D.Independent(own, 1).log_prob(value).item(), expected.sum().item())
    moved = D.TransformedDistribution(own, D.AffineTransform(1.0, 2.0))
    found = moved.log_prob(value * 2 + 1)
    np.testing.assert_allclose(found.numpy(), expected.numpy() - np.log(2), rtol=1e-6)
    mixed = D.MixtureSameFamily(D.Categorical(weft.ones(2)), own)
    assert mixed.log_prob(weft.tensor([0.5])).shape == (1,)
    assert own.expand((3, 2)).sample((4,)).shape == (4, 3, 2)
    with pytest.raises(DataError, match="width"):
        Triangle(weft.tensor([-1.0]))


def test_distributions_are_copied_and_pickled() -> None:
    for kind, (_, value) in KINDS.items():
        made = both(kind)[0]
        for again in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
            same(again.log_prob(weft.tensor(value)), made.log_prob(weft.tensor(value)))


def test_parameters_without_values_are_not_checked() -> None:
    with weft.device("meta"):
        made = D.Normal(weft.zeros(3), weft.ones(3))
    assert made.log_prob(weft.zeros(3, device="meta")).shape == (3,)
