"""Schedulers made of schedulers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, put, rates
from .plateau import ReduceLROnPlateau


class _Combined(LRScheduler):
    _schedulers: Sequence[LRScheduler]

    def _check(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer) -> None:
        name = type(self).__name__
        for k, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(
                    f"{name}: scheduler {k} is a {type(scheduler).__name__}, without `optimizer`"
                )
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(  # noqa: TRY004 (PyTorch's)
                    f"{name}: scheduler {k} is a ReduceLROnPlateau, whose step() needs a metric. "
                    "Call it by itself, beside the others"
                )
            if scheduler.optimizer is not optimizer:
                raise ValueError(
                    f"{name}: scheduler {k}, {type(scheduler).__name__}, has another optimiser"
                )

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimiser, and the state of each scheduler."""
        state = super().state_dict()
        state["_schedulers"] = [s.state_dict() for s in self._schedulers]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        rest = dict(state_dict)
        for scheduler, saved in zip(self._schedulers, rest.pop("_schedulers"), strict=True):
            scheduler.load_state_dict(saved)
        super().load_state_dict(rest)


class SequentialLR(_Combined):
    """One scheduler after the other.

    Args:
        schedulers: of this optimiser.
        milestones: the epochs at which the second, third, ... begins.

    Raises:
        ValueError: for no schedulers, another number of milestones than of changes, a scheduler of
            another optimiser, or ReduceLROnPlateau.
        TypeError: for what is no scheduler.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        if not schedulers:
            raise ValueError("SequentialLR got no schedulers")
        self._check(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedulers take {len(schedulers) - 1} milestones "
                f"between them, not {len(milestones)}"
            )
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # Each scheduler has taken its first step when it was made: only the first one's counts.
        for group in optimizer.param_groups:
            put(group, "lr", group["initial_lr"])
        self.recursive_undo()
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def recursive_undo(self, sched: Any = None) -> None:
        """Takes back the first step of all schedulers within this one."""
        scheduler = self if sched is None else sched
        if hasattr(scheduler, "_schedulers"):
            for each in scheduler._schedulers:
                self.recursive_undo(each)
        elif hasattr(scheduler, "last_epoch"):
            scheduler.last_epoch -= 1

    def step(self) -> None:  # type: ignore[override]
        """The next step of the scheduler whose turn it is."""
        self.last_epoch += 1
        k = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[k]
        if k > 0 and self._milestones[k - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_Combined):
    """Several schedulers at once: each multiplies the rate that the one before has left.

    Args:
        schedulers: of one optimiser.
        optimizer: theirs.

    Raises:
        ValueError: for no schedulers, one of another optimiser, or ReduceLROnPlateau.
        TypeError: for what is no scheduler.
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        if not schedulers:
            raise ValueError("ChainedScheduler got no schedulers")
        if optimizer is None:
            optimizer = getattr(schedulers[0], "optimizer", None)
        self._check(schedulers, optimizer)  # type: ignore[arg-type]
        self._schedulers = schedulers
        self.optimizer = optimizer  # type: ignore[assignment]
        self._last_lr = rates(self.optimizer)

    def step(self) -> None:  # type: ignore[override]
        """The next step of all."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = rates(self.optimizer)
