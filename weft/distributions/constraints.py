"""Which values parameters and draws may have: the names of ``torch.distributions.constraints``.

A constraint is an object whose ``check`` tells for each event whether it is met.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..tensors.tensor import Tensor


class Constraint:
    """What values may be.

    Attributes:
        is_discrete: are they whole numbers?
        event_dim: how many of the last dimensions are checked together.
    """

    is_discrete: bool = False
    event_dim: int = 0

    def check(self, value: Tensor) -> Any:
        """Is it met? A bool for each event, ``[*batch]``."""
        raise NotImplementedError

    def __repr__(self) -> str:
        name = type(self).__name__.lstrip("_")
        given = ", ".join([f"{k}={v}" for k, v in vars(self).items() if not k.startswith("_")])
        return f"{name}({given})"


class _Plain(Constraint):
    """A constraint that is a function of the value alone."""

    def __init__(self, name: str, rule: Callable[[Tensor], Any], event_dim: int = 0) -> None:
        self._name, self._rule = name, rule
        self.event_dim = event_dim

    def check(self, value: Tensor) -> Any:
        return self._rule(value)

    def __repr__(self) -> str:
        return self._name


class _Whole(_Plain):
    is_discrete = True


class _Dependent(Constraint):
    """A constraint that depends on other parameters: it is not checked."""

    def __init__(self, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def __call__(self, *, is_discrete: bool = False, event_dim: int = 0) -> _Dependent:
        return _Dependent(is_discrete=is_discrete, event_dim=event_dim)

    def check(self, value: Tensor) -> Any:
        raise ValueError("a constraint that depends on other parameters cannot be checked alone")


class dependent_property(property, _Dependent):  # noqa: N801 (PyTorch's name)
    """A property that gives a constraint: it depends on an object's parameters."""

    def __init__(
        self,
        fget: Callable[[Any], Constraint] | None = None,
        *,
        is_discrete: bool = False,
        event_dim: int = 0,
    ) -> None:
        super().__init__(fget)
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def __call__(self, fget: Callable[[Any], Constraint]) -> dependent_property:  # type: ignore[override]
        return dependent_property(fget, is_discrete=self.is_discrete, event_dim=self.event_dim)


def is_dependent(constraint: Constraint) -> bool:
    """Does it depend on other parameters?"""
    return isinstance(constraint, _Dependent)


# ---- numbers


class _GreaterThan(Constraint):
    def __init__(self, lower_bound: Any) -> None:
        self.lower_bound = lower_bound

    def check(self, value: Tensor) -> Any:
        return value > self.lower_bound


class _GreaterThanEq(_GreaterThan):
    def check(self, value: Tensor) -> Any:
        return value >= self.lower_bound


class _LessThan(Constraint):
    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Tensor) -> Any:
        return value < self.upper_bound


class _Interval(Constraint):
    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    def check(self, value: Tensor) -> Any:
        return (value >= self.lower_bound) & (value <= self.upper_bound)


class _HalfOpenInterval(_Interval):
    def check(self, value: Tensor) -> Any:
        return (value >= self.lower_bound) & (value < self.upper_bound)


class _IntegerInterval(_Interval):
    is_discrete = True

    def check(self, value: Tensor) -> Any:
        return (value % 1 == 0) & super().check(value)


class _IntegerGreaterThan(_GreaterThan):
    is_discrete = True

    def check(self, value: Tensor) -> Any:
        return (value % 1 == 0) & (value >= self.lower_bound)


real = _Plain("Real()", lambda x: x == x)  # noqa: PLR0124 (not NaN)
positive = _GreaterThan(0.0)
nonnegative = _GreaterThanEq(0.0)
unit_interval = _Interval(0.0, 1.0)
boolean = _Whole("Boolean()", lambda x: (x == 0) | (x == 1))
nonnegative_integer = _IntegerGreaterThan(0)
positive_integer = _IntegerGreaterThan(1)
greater_than, greater_than_eq, less_than = _GreaterThan, _GreaterThanEq, _LessThan
interval, half_open_interval, integer_interval = _Interval, _HalfOpenInterval, _IntegerInterval
dependent = _Dependent()

# ---- vectors


class _Independent(Constraint):
    """The last dimensions of a constraint's batch, checked together."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint = base_constraint
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        return self.base_constraint.event_dim + self.reinterpreted_batch_ndims

    def check(self, value: Tensor) -> Any:
        met, n = self.base_constraint.check(value), self.reinterpreted_batch_ndims
        if met.ndim < n:
            raise ValueError(f"{self!r}: shape {list(value.shape)} has too few dimensions")
        return met.flatten(met.ndim - n).all(-1) if n else met


class _Multinomial(Constraint):
    """Counts whose sum is at most ``upper_bound``."""

    is_discrete, event_dim = True, 1

    def __init__(self, upper_bound: int) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Tensor) -> Any:
        return (value >= 0).all(-1) & (value.sum(-1) <= self.upper_bound)


def _is_one_hot(x: Tensor) -> Any:
    return ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1)


real_vector = _Independent(real, 1)
simplex = _Plain("Simplex()", lambda x: (x >= 0).all(-1) & ((x.sum(-1) - 1).abs() < 1e-6), 1)
one_hot = _Whole("OneHot()", _is_one_hot, 1)
independent, multinomial = _Independent, _Multinomial

# ---- matrices


def _all(met: Any) -> Any:
    return met.flatten(-2).all(-1)


def _is_lower(x: Tensor) -> Any:
    return _all(x.tril() == x)


def _is_cholesky(x: Tensor) -> Any:
    return _is_lower(x) & (x.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


def _is_corr_cholesky(x: Tensor) -> Any:
    near: Tensor = (x**2).sum(-1) - 1
    return _is_cholesky(x) & (near.abs() <= 1e-4 * x.shape[-1]).all(-1)


def _is_symmetric(x: Tensor) -> Any:
    return _all(x.isclose(x.mT, atol=1e-6))


def _eigenvalues_at_least(x: Tensor, bound: Callable[[Tensor], Any]) -> Any:
    from ..tensors.decompositions import eigvalsh

    met = bound(eigvalsh((x + x.mT) / 2)).all(-1)
    return _is_symmetric(x) & met


square = _Plain("Square()", lambda x: x.new_full(x.shape[:-2], x.shape[-2] == x.shape[-1]) == 1, 2)
symmetric = _Plain("Symmetric()", _is_symmetric, 2)
lower_triangular = _Plain("LowerTriangular()", _is_lower, 2)
lower_cholesky = _Plain("LowerCholesky()", _is_cholesky, 2)
corr_cholesky = _Plain("CorrCholesky()", _is_corr_cholesky, 2)
positive_semidefinite = _Plain(
    "PositiveSemidefinite()", lambda x: _eigenvalues_at_least(x, lambda v: v >= 0), 2
)
positive_definite = _Plain(
    "PositiveDefinite()", lambda x: _eigenvalues_at_least(x, lambda v: v > 0), 2
)

# ---- of several


class _Cat(Constraint):
    """Several constraints for pieces along ``dim``, of the sizes ``lengths``."""

    def __init__(
        self, cseq: Sequence[Constraint], dim: int = 0, lengths: Sequence[int] | None = None
    ) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        return any([c.is_discrete for c in self.cseq])

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        return max([c.event_dim for c in self.cseq])

    def check(self, value: Tensor) -> Any:
        from ..tensors.shape import cat as joined

        pieces = value.split(self.lengths, self.dim)
        return joined([c.check(v) for c, v in zip(self.cseq, pieces, strict=True)], self.dim)


class _Stack(Constraint):
    """A constraint for each place of ``dim``."""

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0) -> None:
        self.cseq, self.dim = list(cseq), dim

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        return any([c.is_discrete for c in self.cseq])

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        dim, n = self.dim, max([c.event_dim for c in self.cseq])
        return n + 1 if n + dim < 0 else n

    def check(self, value: Tensor) -> Any:
        from ..tensors.shape import stack as stacked

        pieces = value.unbind(self.dim)
        return stacked([c.check(v) for c, v in zip(self.cseq, pieces, strict=True)], self.dim)


cat, stack = _Cat, _Stack

__all__ = [
    "Constraint",
    "boolean",
    "cat",
    "corr_cholesky",
    "dependent",
    "dependent_property",
    "greater_than",
    "greater_than_eq",
    "half_open_interval",
    "independent",
    "integer_interval",
    "interval",
    "is_dependent",
    "less_than",
    "lower_cholesky",
    "lower_triangular",
    "multinomial",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "positive",
    "positive_definite",
    "positive_integer",
    "positive_semidefinite",
    "real",
    "real_vector",
    "simplex",
    "square",
    "stack",
    "symmetric",
    "unit_interval",
]
