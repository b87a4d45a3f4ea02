"""What schedulers of the learning rate have in common."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...graph.tracing import current
from ...tensors.core import TensorCore
from ..optimizer import Optimizer

Rates = list[Any]  # a float for each group, or a Tensor where the group has one

EPOCH_DEPRECATION_WARNING = (
    "scheduler.step(epoch) is deprecated: call scheduler.step(), which counts by itself. For a "
    "given epoch the closed form is used where there is one"
)
_TOO_EARLY = (
    "lr_scheduler.step() is called before optimizer.step(): the first rate of the schedule is "
    "never used. Call optimizer.step() first (as in PyTorch, "
    "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate)"
)
_NOT_FOR_USERS = "to get the rate in use now, call get_last_lr()"


class LRScheduler:
    """Base of the schedulers. A subclass defines ``get_lr``, the rates at ``last_epoch``.

    Rates are worked out from those before them, so that several schedulers of one optimiser act
    together. ``_get_closed_form_lr``, if there is one, works them out from the epoch alone.

    Args:
        optimizer: whose rates are set.
        last_epoch: the last one done, when training goes on; -1 to begin.

    Raises:
        TypeError: unless ``optimizer`` is an Optimizer.
        KeyError: when going on without ``initial_lr`` in the optimiser's groups.
    """

    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = checked(optimizer)
        for k, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{k}] when resuming "
                    f"scheduler with last_epoch >= 0 (it is {last_epoch}): "
                    "load the optimiser's state_dict first, or begin with last_epoch=-1"
                )
        self.base_lrs: Rates = rates(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        self._last_lr: Rates = []
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> Rates:
        """The rates at ``last_epoch``; to be defined by a subclass, called by ``step`` only."""
        raise NotImplementedError(f"{type(self).__name__} defines no get_lr()")

    def get_last_lr(self) -> Rates:
        """The rates that are in use now."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Sets the next rates.

        Args:
            epoch: deprecated; which epoch's to set.
        """
        if (trace := current.get()) is not None:
            trace.obstacles.append("a scheduler's step() is called inside: call it after")
        if self._step_count == 1 and not self.optimizer._called:
            warnings.warn(_TOO_EARLY, UserWarning, stacklevel=2)
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        with self._asked_by_step():
            if epoch is None:
                self.last_epoch += 1
                values = self.get_lr()
            else:
                self.last_epoch = epoch
                closed = getattr(self, "_get_closed_form_lr", self.get_lr)
                values = closed()
        self._set(values)

    def _set(self, values: Rates) -> None:
        for group, rate in zip(self.optimizer.param_groups, values, strict=True):
            put(group, "lr", rate)
        self._last_lr = rates(self.optimizer)

    @contextmanager
    def _asked_by_step(self) -> Iterator[None]:
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _warn_unless_asked_by_step(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(_NOT_FOR_USERS, UserWarning, stacklevel=3)

    def _now(self) -> Rates:
        return rates(self.optimizer)

    def _times(self, factor: float) -> Rates:
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    # ---- saving

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimiser."""
        return {k: v for k, v in self.__dict__.items() if k != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave. The optimiser's rates come with *its* state."""
        self.__dict__.update(state_dict)


def checked(optimizer: Any) -> Optimizer:
    """Raises TypeError for anything but an optimiser."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
    optimizer._is_scheduled = True
    return optimizer


def copied(rate: Any) -> Any:
    return rate.clone() if isinstance(rate, TensorCore) else rate  # type: ignore[attr-defined]


def rates(optimizer: Optimizer, name: str = "lr") -> Rates:
    """A group option of all groups."""
    return [copied(group[name]) for group in optimizer.param_groups]


def put(group: dict[str, Any], name: str, value: Any) -> None:
    """Sets an option; a Tensor that is there keeps being there."""
    before = group[name]
    if isinstance(before, TensorCore):
        before.fill_(float(value))  # type: ignore[attr-defined]
    else:
        group[name] = value


def for_each_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """An argument that is one value, or one for each group.

    Raises:
        ValueError: for a list of another length.
    """
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [copied(value) for _ in range(count)]
    if len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups: it has {len(value)} "
            f"values, but the optimiser has {count} groups of parameters"
        )
    return [copied(v) for v in value]
