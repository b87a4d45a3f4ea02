"""A scheduler that waits for a metric to stop getting better."""

from __future__ import annotations

import math
import warnings
from typing import Any, SupportsFloat

from ..optimizer import Optimizer
from .base import EPOCH_DEPRECATION_WARNING, LRScheduler, checked, put, rates


class ReduceLROnPlateau(LRScheduler):
    """The rate times ``factor`` when a metric has not got better for ``patience`` epochs.

    Args:
        mode: "min" if a smaller metric is better, else "max".
        factor: below 1.
        patience: epochs without a better metric that are let pass.
        threshold: how much better it must be to count.
        threshold_mode: "rel": as a share of the best one; "abs": as a difference.
        cooldown: epochs after a reduction that do not count.
        min_lr: a rate, or one for each group, to stop at.
        eps: smaller reductions are left out.

    Raises:
        ValueError: for options out of range.
        TypeError: unless ``optimizer`` is an Optimizer.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: Any = 0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau: factor={factor} must be less than 1")
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: mode={mode!r} must be 'min' or 'max'")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"ReduceLROnPlateau: threshold_mode={threshold_mode!r} must be 'rel' or 'abs'"
            )
        self.factor = factor
        self.optimizer = checked(optimizer)
        count = len(optimizer.param_groups)
        one_each = isinstance(min_lr, (list, tuple))
        if one_each and len(min_lr) != count:
            raise ValueError(
                f"ReduceLROnPlateau: {len(min_lr)} min_lr, but the optimiser has {count} groups"
            )
        self.default_min_lr = None if one_each else min_lr
        self.min_lrs = list(min_lr) if one_each else [min_lr] * count
        self.patience = patience
        self.cooldown = cooldown
        self.eps = eps
        self.last_epoch = 0
        self._last_lr = rates(optimizer)
        self.mode = mode
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self._reset()

    def _reset(self) -> None:
        """Forgets the metrics seen."""
        self.best = self.mode_worse
        self.cooldown_counter = 0
        self.num_bad_epochs = 0

    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:  # type: ignore[override]
        """Takes the metric of an epoch, and reduces the rates if it is time."""
        current = float(metrics)
        if epoch is not None:
            warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(current):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = rates(self.optimizer)

    @property
    def in_cooldown(self) -> bool:
        """Is this an epoch after a reduction that does not count?"""
        return self.cooldown_counter > 0

    def _is_better(self, metric: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "abs":
            wanted = self.best + sign * self.threshold
        else:
            wanted = self.best * (1.0 + sign * self.threshold)
        return metric > wanted if self.mode == "max" else metric < wanted

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    "The number of param groups in the optimizer has changed: there are "
                    f"{len(groups)}, but {len(self.min_lrs)} min_lrs. Add what they lack to "
                    "scheduler.min_lrs"
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, least in zip(groups, self.min_lrs, strict=True):
            old = float(group["lr"])
            new = max(old * self.factor, least)
            if old - new > self.eps:
                put(group, "lr", new)
