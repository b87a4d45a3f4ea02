"""Steps that are computed where their operands are, so that less has to be kept.

The gradient of an activation is often a product with what the forward pass could have computed: of
GELU it needs three values, or, multiplied and added at once, one.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import TYPE_CHECKING

from ...dtypes import BY_NAME
from .groups import MAX_STEPS, Group
from .lower import Operand, Step

if TYPE_CHECKING:
    from .plan import Plan


def compute_early(plan: Plan, groups: Iterable[Group], results: set[int]) -> None:
    """Moves elementwise steps to the loop that computes their operands, wherever fewer bytes must
    be kept between that loop and others.
    """
    readers: dict[int, set[int]] = {value: {_OUTSIDE} for value in results}
    for group in groups:
        for step in group.steps:
            for value in plan.reads(step):
                readers.setdefault(value, set()).add(group.number)
    for group in groups:
        if group.kind != "loop":
            continue
        values = {v for step in group.steps for v in plan.reads(step)}
        sources = {plan.group_of[v].number: plan.group_of[v] for v in values}
        for source in sources.values():
            if source is not group and source.kind == "loop" and source.shape == group.shape:
                _Move(plan, source, group, readers).make()


#: In place of a group's number: a result is read.
_OUTSIDE = -1


class _Move:
    """Steps of a loop that may go to another. ``readers``: of each value, the numbers of groups."""

    def __init__(
        self, plan: Plan, source: Group, group: Group, readers: dict[int, set[int]]
    ) -> None:
        self.plan, self.source, self.group, self.readers = plan, source, group, readers

    def make(self) -> None:
        """Moves all that can be, or what one value needs, if that saves memory."""
        movable = self._movable()
        needed = [self._needed(step, movable) for step in movable[1:]]
        for steps in [movable, *needed[::-1]]:
            if steps and self._saves(steps):
                self._join(steps)
                return

    def _movable(self) -> list[Step]:
        """The elementwise steps that need nothing but what the other loop computes."""
        plan, source, found = self.plan, self.source, dict[int, Step]()
        for step in self.group.steps:
            if step.kind == "map" and step.shape == source.shape:
                inside = [
                    o.value in found or self._is_at_hand(o)
                    for o in step.operands
                    if o.value not in plan.scalars
                ]
                if inside and all(inside) and len(source.steps) + len(found) < MAX_STEPS:
                    found[step.value] = step
        return list(found.values()) if len(found) < len(self.group.steps) else []

    def _is_at_hand(self, operand: Operand) -> bool:
        source = self.source
        return self.plan.group_of.get(operand.value) is source and self.plan.is_in_place(
            operand, source, True, source.reduced
        )

    def _needed(self, end: Step, movable: list[Step]) -> list[Step]:
        """Those of the steps that one of them needs, and itself."""
        wanted = {end.value}
        for step in reversed(movable):
            if step.value in wanted:
                wanted.update([o.value for o in step.operands])
        return [step for step in movable if step.value in wanted]

    def _saves(self, steps: list[Step]) -> bool:
        """Are fewer bytes kept if these are moved?"""
        moved, saved = {step.value for step in steps}, 0
        for step in [*self.source.steps, *steps]:
            now = self.group if step.value in moved else self.source
            readers = self.readers.get(step.value, set())
            size = prod(step.shape) * BY_NAME[step.dtype].itemsize
            saved += size * (bool(readers - {now.number}) - self._is_kept(step.value, moved))
        return saved > 0

    def _is_kept(self, value: int, moved: set[int]) -> bool:
        """Would others read the value of a step if those had been moved?"""
        elsewhere = self.readers.get(value, set()) - {self.source.number, self.group.number}
        return bool(elsewhere) or self._is_read_here(value, moved)

    def _is_read_here(self, value: int, moved: set[int]) -> bool:
        rest = [step for step in self.group.steps if step.value not in moved]
        return any(value in self.plan.reads(step) for step in rest)

    def _join(self, steps: list[Step]) -> None:
        plan, source, group = self.plan, self.source, self.group
        moved = {step.value for step in steps}
        group.steps = [step for step in group.steps if step.value not in moved]
        source.steps = [*source.steps, *steps]
        touched = moved.union(*[plan.reads(step) for step in steps])
        for step in steps:
            plan.group_of[step.value] = source
        for value in touched:
            readers = self.readers.setdefault(value, set())
            readers.discard(group.number)
            if self._is_read_here(value, moved):
                readers.add(group.number)
            readers.add(source.number)
