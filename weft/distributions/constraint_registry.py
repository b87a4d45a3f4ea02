"""Transforms from all real numbers to what a constraint allows.

``biject_to`` gives ones that can be undone, ``transform_to`` ones that suit optimisation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import UnsupportedOp
from . import constraints, transforms
from .constraints import Constraint
from .transform import Transform

Factory = Callable[[Any], Transform]


class ConstraintRegistry:
    """For each constraint, or class of constraints, what makes its transform."""

    def __init__(self) -> None:
        self._factories: dict[Any, Factory] = {}

    def register(self, constraint: Any, factory: Factory | None = None) -> Any:
        """Says what makes the transform for a constraint; without ``factory``, a decorator.

        Raises:
            TypeError: for what is no constraint.
        """
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        is_class = isinstance(constraint, type) and issubclass(constraint, Constraint)
        if not is_class and not isinstance(constraint, Constraint):
            raise TypeError(f"register takes a constraint or a class of them, not {constraint!r}")
        self._factories[constraint] = factory
        return factory

    def __call__(self, constraint: Constraint) -> Transform:
        """The transform for a constraint.

        Raises:
            UnsupportedOp: if there is none.
        """
        for key in (constraint, type(constraint)):
            if key in self._factories:
                return self._factories[key](constraint)
        raise UnsupportedOp(f"there is no transform to {constraint!r}")


biject_to, transform_to = ConstraintRegistry(), ConstraintRegistry()


def _to_interval(constraint: Any) -> Transform:
    low, high = constraint.lower_bound, constraint.upper_bound
    if low == 0 and high == 1 and isinstance(low, (int, float)):
        return transforms.SigmoidTransform()
    move = transforms.AffineTransform(low, high - low)
    return transforms.ComposeTransform([transforms.SigmoidTransform(), move])


def _beyond(bound: Any, scale: float) -> Transform:
    move = transforms.AffineTransform(bound, scale)
    return transforms.ComposeTransform([transforms.ExpTransform(), move])


def _fill(registry: ConstraintRegistry) -> None:
    """What both have alike."""
    add = registry.register
    add(constraints.real, lambda c: transforms.identity_transform)
    add(constraints.positive, lambda c: transforms.ExpTransform())
    add(constraints.nonnegative, lambda c: transforms.ExpTransform())
    add(constraints.greater_than, lambda c: _beyond(c.lower_bound, 1))
    add(constraints.greater_than_eq, lambda c: _beyond(c.lower_bound, 1))
    add(constraints.less_than, lambda c: _beyond(c.upper_bound, -1))
    add(constraints.interval, _to_interval)
    add(constraints.half_open_interval, _to_interval)
    add(constraints.corr_cholesky, lambda c: transforms.CorrCholeskyTransform())
    add(
        constraints.independent,
        lambda c: transforms.IndependentTransform(
            registry(c.base_constraint), c.reinterpreted_batch_ndims
        ),
    )
    add(
        constraints.cat,
        lambda c: transforms.CatTransform([registry(k) for k in c.cseq], c.dim, c.lengths),
    )
    add(
        constraints.stack, lambda c: transforms.StackTransform([registry(k) for k in c.cseq], c.dim)
    )


_fill(biject_to)
_fill(transform_to)
biject_to.register(constraints.simplex, lambda c: transforms.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda c: transforms.SoftmaxTransform())
transform_to.register(constraints.lower_cholesky, lambda c: transforms.LowerCholeskyTransform())
for _constraint in (constraints.positive_definite, constraints.positive_semidefinite):
    transform_to.register(_constraint, lambda c: transforms.PositiveDefiniteTransform())

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]
