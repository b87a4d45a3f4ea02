"""Transforms and constraints beside PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from weft import distributions as D
from weft.distributions import constraints as C, transforms as F
from weft.distributions.constraint_registry import biject_to, transform_to
from weft.errors import OptionError, ShapeError, UnsupportedOp

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
T = torch.distributions

Make = Callable[[Any, Callable[[Any], Any]], Any]
ROWS = np.array([[0.3, -1.2, 0.7], [2.0, 0.1, -0.4]])
MATRIX = np.array([[[0.3, -1.2], [0.7, 0.2]], [[-0.3, 0.2], [0.1, 1.2]]])

#: Each with an input.
KINDS: dict[str, tuple[Make, Any]] = {
    "exp": (lambda f, t: f.ExpTransform(), ROWS),
    "power": (lambda f, t: f.PowerTransform(t([0.5, 2.0, 3.0])), np.exp(ROWS)),
    "power of a number": (lambda f, t: f.PowerTransform(-1.5), np.exp(ROWS)),
    "sigmoid": (lambda f, t: f.SigmoidTransform(), ROWS),
    "softplus": (lambda f, t: f.SoftplusTransform(), ROWS),
    "tanh": (lambda f, t: f.TanhTransform(), ROWS),
    "abs": (lambda f, t: f.AbsTransform(), ROWS),
    "affine": (lambda f, t: f.AffineTransform(1.5, -2.0), ROWS),
    "affine of tensors": (
        lambda f, t: f.AffineTransform(t([1.0, 2.0, 3.0]), t([0.5, -1.0, 2.0]), event_dim=1),
        ROWS,
    ),
    "softmax": (lambda f, t: f.SoftmaxTransform(), ROWS),
    "stick breaking": (lambda f, t: f.StickBreakingTransform(), ROWS),
    "lower": (lambda f, t: f.LowerCholeskyTransform(), MATRIX),
    "positive definite": (lambda f, t: f.PositiveDefiniteTransform(), MATRIX),
    "correlation": (lambda f, t: f.CorrCholeskyTransform(), ROWS),
    "reshape": (lambda f, t: f.ReshapeTransform((2, 2), (4,)), MATRIX),
    "cdf": (lambda f, t: f.CumulativeDistributionTransform(_normal(f)), ROWS),
    "compose": (
        lambda f, t: f.ComposeTransform(
            [f.AffineTransform(t([1.0, 2.0, 3.0]), 2.0), f.StickBreakingTransform()]
        ),
        ROWS,
    ),
    "nothing": (lambda f, t: f.identity_transform, ROWS),
    "independent": (lambda f, t: f.IndependentTransform(f.ExpTransform(), 1), ROWS),
    "cat": (
        lambda f, t: f.CatTransform([f.ExpTransform(), f.AffineTransform(0.0, 3.0)], -1, [1, 2]),
        ROWS,
    ),
    "stack": (
        lambda f, t: f.StackTransform(
            [f.ExpTransform(), f.identity_transform, f.TanhTransform()], dim=1
        ),
        ROWS,
    ),
}


def _normal(f: Any) -> Any:
    return D.Normal(0.0, 1.0) if f is F else T.Normal(0.0, 1.0)


def same(ours: Any, theirs: Any) -> None:
    assert list(ours.shape) == list(theirs.shape)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), 1e-6, 1e-7)


def of(t: Any) -> Callable[[Any], Any]:
    return lambda v: t.tensor(v, dtype=t.float64)


@pytest.mark.parity
@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(kind: str) -> None:
    make, given = KINDS[kind]
    ours, theirs = make(F, of(weft)), make(T.transforms, of(torch))
    x, theirs_x = weft.tensor(given), torch.tensor(given)
    y, theirs_y = ours(x), theirs(theirs_x)
    same(y, theirs_y)
    same(ours.inv(y), theirs.inv(theirs_y))
    assert ours.bijective == theirs.bijective
    if ours.bijective:
        same(ours.inv(y), theirs_x)
        same(ours.log_abs_det_jacobian(x, y), theirs.log_abs_det_jacobian(theirs_x, theirs_y))
        back = ours.inv.log_abs_det_jacobian(y, x)
        same(back, theirs.inv.log_abs_det_jacobian(theirs_y, theirs_x))
    for side in ("domain", "codomain"):
        mine, other = getattr(ours, side), getattr(theirs, side)
        assert (mine.event_dim, mine.is_discrete) == (other.event_dim, other.is_discrete)
    assert bool(ours.codomain.check(y).all())
    assert bool(ours.domain.check(x).all())
    assert list(ours.forward_shape(x.shape)) == list(y.shape)
    assert list(ours.inverse_shape(y.shape)) == list(x.shape)
    assert ours.inv.inv is ours
    assert ours == make(F, of(weft)) or kind == "cdf"
    assert ours != F.ReshapeTransform((3,), (3, 1))
    assert type(ours).__name__ in repr(ours.inv) or kind in ("compose", "nothing")


def test_the_latest_pair_is_kept() -> None:
    x = weft.tensor([30.0])
    plain, cached = F.TanhTransform(), F.TanhTransform(cache_size=1)
    assert not bool(plain.inv(plain(x)).isfinite())
    assert cached.inv(cached(x)) is x
    y = weft.tensor([0.5])
    assert cached(cached.inv(y)) is y
    again = cached.with_cache(0)
    assert again.inv(again(x)) is not x
    assert cached.with_cache(1) is cached
    whole = F.ComposeTransform([F.AffineTransform(0.0, 2.0), F.TanhTransform()], cache_size=1)
    assert whole.inv(whole(x)) is x
    with pytest.raises(OptionError, match="cache_size must be 0 or 1, not 2"):
        F.ExpTransform(cache_size=2)


def test_gradients_go_through() -> None:
    x = weft.tensor(ROWS, requires_grad=True)
    for kind in ("sigmoid", "stick breaking", "correlation", "softplus"):
        f = KINDS[kind][0](F, of(weft))
        assert weft.autograd.gradcheck(lambda v, f=f: f.log_abs_det_jacobian(v, f(v)), (x,))


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"\[4\] and \[3\] differ in their number"):
        F.ReshapeTransform((4,), (3,))
    with pytest.raises(ShapeError, match=r"\[2, 3\] does not end in \[4\]"):
        F.ReshapeTransform((4,), (2, 2))(weft.zeros(2, 3))
    with pytest.raises(ShapeError, match="4 is not d"):
        F.CorrCholeskyTransform()(weft.zeros(4))
    with pytest.raises(ValueError, match=r"domain.event_dim or codomain"):
        _ = F.ReshapeTransform((4,), (2, 2)).event_dim


#: Each with values, some of which are allowed.
ALLOWED: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "real": (lambda c: c.real, [0.0, np.nan, np.inf]),
    "positive": (lambda c: c.positive, [0.0, 1.0, -1.0]),
    "nonnegative": (lambda c: c.nonnegative, [0.0, 1.0, -1.0]),
    "unit": (lambda c: c.unit_interval, [0.0, 1.0, 1.5]),
    "boolean": (lambda c: c.boolean, [0.0, 1.0, 0.5]),
    "counts": (lambda c: c.nonnegative_integer, [0.0, 2.0, 0.5, -1.0]),
    "whole": (lambda c: c.positive_integer, [0.0, 2.0, 0.5]),
    "few": (lambda c: c.integer_interval(1, 3), [0.0, 1.0, 2.5, 3.0, 4.0]),
    "half open": (lambda c: c.half_open_interval(0.0, 1.0), [0.0, 1.0]),
    "less": (lambda c: c.less_than(1.0), [0.0, 1.0]),
    "vector": (lambda c: c.real_vector, [[0.0, 1.0], [np.nan, 0.0]]),
    "independent": (lambda c: c.independent(c.positive, 1), [[2.0, 1.0], [1.0, 0.0]]),
    "simplex": (lambda c: c.simplex, [[0.4, 0.6], [0.4, 0.5], [-0.5, 1.5]]),
    "one hot": (lambda c: c.one_hot, [[1.0, 0.0], [1.0, 1.0], [0.5, 0.5]]),
    "multinomial": (lambda c: c.multinomial(3), [[1.0, 2.0], [2.0, 2.0]]),
    "lower": (lambda c: c.lower_triangular, [[[1.0, 0.0], [2.0, -3.0]], [[1.0, 2.0], [0.0, 1.0]]]),
    "factor": (lambda c: c.lower_cholesky, [[[1.0, 0.0], [2.0, -3.0]], [[1.0, 0.0], [3.0, 1.0]]]),
    "correlation": (lambda c: c.corr_cholesky, [[[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [1.0, 1]]]),
    "symmetric": (lambda c: c.symmetric, [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 2.0], [0.0, 1.0]]]),
    "definite": (
        lambda c: c.positive_definite,
        [[[1.0, 2.0], [2.0, 1.0]], [[2.0, 1.0], [1.0, 1.0]]],
    ),
    "semidefinite": (
        lambda c: c.positive_semidefinite,
        [[[1.0, 2.0], [2.0, 1.0]], [[2.0, 0.0], [0.0, 0.0]]],
    ),
    "square": (lambda c: c.square, [[[1.0, 2.0], [2.0, 1.0]]]),
    "cat": (lambda c: c.cat([c.positive, c.real], -1, [1, 2]), [[1.0, -1.0, 2.0], [-1.0, 1, 1]]),
    "stack": (lambda c: c.stack([c.positive, c.real], -1), [[1.0, -1.0], [-1.0, 1.0]]),
}


@pytest.mark.parity
@pytest.mark.parametrize("kind", ALLOWED)
def test_constraints(kind: str) -> None:
    make, values = ALLOWED[kind]
    ours, theirs = make(C), make(T.constraints)
    met = ours.check(weft.tensor(values, dtype=weft.float64))
    assert met.tolist() == theirs.check(torch.tensor(values, dtype=torch.float64)).tolist()
    assert (ours.event_dim, ours.is_discrete) == (theirs.event_dim, theirs.is_discrete)
    assert repr(ours)


def test_what_depends_is_not_checked() -> None:
    assert C.is_dependent(D.Uniform.support)
    assert not C.is_dependent(D.Normal.support)
    assert not C.is_dependent(D.Uniform(0.0, 1.0).support)
    assert D.Multinomial.support.event_dim == 1
    assert C.dependent(is_discrete=True, event_dim=2).event_dim == 2
    with pytest.raises(ValueError, match="cannot be checked"):
        C.dependent.check(weft.zeros(1))


#: Each with the shape of what is transformed to it.
REACHED: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "real": (lambda c: c.real, (2, 3)),
    "positive": (lambda c: c.positive, (2, 3)),
    "nonnegative": (lambda c: c.nonnegative, (2, 3)),
    "greater": (lambda c: c.greater_than(2.0), (2, 3)),
    "less": (lambda c: c.less_than(2.0), (2, 3)),
    "interval": (lambda c: c.interval(-1.0, 3.0), (2, 3)),
    "unit": (lambda c: c.unit_interval, (2, 3)),
    "simplex": (lambda c: c.simplex, (2, 3)),
    "vector": (lambda c: c.real_vector, (2, 3)),
    "correlation": (lambda c: c.corr_cholesky, (2, 3)),
    "factor": (lambda c: c.lower_cholesky, (2, 3, 3)),
    "definite": (lambda c: c.positive_definite, (2, 3, 3)),
    "stack": (lambda c: c.stack([c.positive, c.real, c.unit_interval], -1), (2, 3)),
    "cat": (lambda c: c.cat([c.positive, c.real], -1, [1, 2]), (2, 3)),
}


@pytest.mark.parity
@pytest.mark.parametrize("kind", REACHED)
def test_what_is_allowed_is_reached(kind: str) -> None:
    make, shape = REACHED[kind]
    x = np.linspace(-1.5, 2.5, int(np.prod(shape))).reshape(shape)
    pairs = ((biject_to, T.biject_to), (transform_to, T.transform_to))
    for registry, other in pairs:
        try:
            expected = other(make(T.constraints))(torch.tensor(x))
        except NotImplementedError:
            with pytest.raises(UnsupportedOp, match="there is no transform to"):
                registry(make(C))
            continue
        y = registry(make(C))(weft.tensor(x))
        same(y, expected)
        assert bool(make(C).check(y).all())


def test_transforms_of_ones_own() -> None:
    class Even(C.Constraint):
        def check(self, value: Any) -> Any:
            return value % 2 == 0

    with pytest.raises(UnsupportedOp, match="Even"):
        transform_to(Even())

    @transform_to.register(Even)
    def _(constraint: Any) -> Any:
        return F.AffineTransform(0.0, 2.0)

    assert float(transform_to(Even())(weft.tensor(3.0))) == 6
    with pytest.raises(TypeError, match="takes a constraint"):
        transform_to.register(int, lambda c: F.ExpTransform())
