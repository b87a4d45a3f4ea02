"""Schedulers that move the rate up and down, and the momentum against it (Smith, 2017 and 2018)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, Rates, checked, for_each_group, put
from .factors import restore_function, saved_function


def _momentum_is_beta(name: str, optimizer: Optimizer) -> bool:
    """Is what the optimiser has for momentum the first of ``betas``?

    Raises:
        ValueError: if it has none.
    """
    if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
        raise ValueError(
            f"{name}: {type(optimizer).__name__} has neither momentum nor betas to move: pass "
            "cycle_momentum=False"
        )
    return "betas" in optimizer.defaults


def _set_momentum(group: dict[str, Any], value: float, as_beta: bool) -> None:
    if as_beta:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


def _start_momentum(
    optimizer: Optimizer, base: list[float], largest: list[float], as_beta: bool
) -> None:
    for low, high, group in zip(base, largest, optimizer.param_groups, strict=True):
        _set_momentum(group, high, as_beta)
        group["max_momentum"] = high
        group["base_momentum"] = low


class CyclicLR(LRScheduler):
    """Between two rates, up and down along lines (Smith, 2017). ``step`` is for every batch.

    Args:
        base_lr, max_lr: the two rates; a number, or one for each group.
        step_size_up: batches on the way up.
        step_size_down: on the way down; by default as many.
        mode: "triangular"; "triangular2" halves the height with each cycle; "exp_range" multiplies
            it by ``gamma`` with each batch.
        scale_fn: a function of its own for the height instead.
        scale_mode: whether ``scale_fn`` takes the number of the "cycle" or of "iterations".
        cycle_momentum: move the momentum (or the first of ``betas``) the other way, between
            ``base_momentum`` and ``max_momentum``.

    Raises:
        ValueError: for an unknown mode, lists of another length than there are groups, or
            ``cycle_momentum`` of an optimiser without momentum.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Any,
        max_lr: Any,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.8,
        max_momentum: Any = 0.9,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = checked(optimizer)
        base_lrs = for_each_group("base_lr", optimizer, base_lr)
        self.max_lrs = for_each_group("max_lr", optimizer, max_lr)
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(
                f"CyclicLR: mode={mode!r} must be 'triangular', 'triangular2' or 'exp_range', or "
                "scale_fn be given"
            )
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = _momentum_is_beta("CyclicLR", optimizer)
            self.base_momentums = for_each_group("base_momentum", optimizer, base_momentum)
            self.max_momentums = for_each_group("max_momentum", optimizer, max_momentum)
        if last_epoch == -1:
            for rate, group in zip(base_lrs, optimizer.param_groups, strict=True):
                put(group, "lr", rate)
            if cycle_momentum:
                _start_momentum(optimizer, self.base_momentums, self.max_momentums, self.use_beta1)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """What the height is multiplied by in a cycle, or at a batch."""
        if self._scale_fn_custom is not None:
            return float(self._scale_fn_custom(x))
        if self.mode == "triangular":
            return 1.0
        return float(1 / 2.0 ** (x - 1) if self.mode == "triangular2" else self.gamma**x)

    def get_lr(self) -> Rates:
        self._warn_unless_asked_by_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        if x <= self.step_ratio:
            height = x / self.step_ratio
        else:
            height = (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            groups = self.optimizer.param_groups
            ranges = zip(groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in ranges:
                _set_momentum(group, high - (high - low) * height * scale, self.use_beta1)
        return [
            low + (high - low) * height * scale
            for low, high in zip(self.base_lrs, self.max_lrs, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimiser; of a ``scale_fn`` that is an object, its attributes."""
        state = super().state_dict()
        state["_scale_fn_custom"] = saved_function(self._scale_fn_custom)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        rest = dict(state_dict)
        restore_function(self._scale_fn_custom, rest.pop("_scale_fn_custom"))
        super().load_state_dict(rest)


class OneCycleLR(LRScheduler):
    """One cycle: up to ``max_lr``, and down to much less than at first (Smith and Topin, 2019).

    ``step`` is for every batch.

    Args:
        max_lr: the largest rate; a number, or one for each group.
        total_steps: batches in all; or ``epochs`` times ``steps_per_epoch``.
        pct_start: the share of them on the way up.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: move the momentum (or the first of ``betas``) the other way, between
            ``base_momentum`` and ``max_momentum``.
        div_factor: the first rate is ``max_lr / div_factor``.
        final_div_factor: the last rate is the first one divided by it.
        three_phase: go down to the first rate, as fast as up, before going to the last.

    Raises:
        ValueError: for options out of range, ``cycle_momentum`` of an optimiser without momentum,
            and for more steps than ``total_steps``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Any,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: Any = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.85,
        max_momentum: Any = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = checked(optimizer)
        self.total_steps = _count_of_steps(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start={pct_start!r} must be a float from 0 to 1")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"OneCycleLR: anneal_strategy={anneal_strategy!r} must be 'cos' or 'linear'"
            )
        self._anneal_func_type = anneal_strategy
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        self.cycle_momentum = cycle_momentum
        largest = for_each_group("max_lr", optimizer, max_lr)
        if cycle_momentum:
            self.use_beta1 = _momentum_is_beta("OneCycleLR", optimizer)
            low = for_each_group("base_momentum", optimizer, base_momentum)
            high = for_each_group("max_momentum", optimizer, max_momentum)
        if last_epoch == -1:
            for rate, group in zip(largest, optimizer.param_groups, strict=True):
                group["initial_lr"] = rate / div_factor
                group["max_lr"] = rate
                group["min_lr"] = group["initial_lr"] / final_div_factor
            if cycle_momentum:
                _start_momentum(optimizer, low, high, self.use_beta1)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Rates:
        self._warn_unless_asked_by_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"OneCycleLR: step {step} of {self.total_steps}: total_steps, or epochs and "
                "steps_per_epoch, must cover all of the training"
            )
        start = 0.0
        for phase in self._schedule_phases[:-1]:
            if step <= phase["end_step"]:
                break
            start = phase["end_step"]
        else:
            phase = self._schedule_phases[-1]
        done = (step - start) / (phase["end_step"] - start)
        values = []
        for group in self.optimizer.param_groups:
            values.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], done))
            if self.cycle_momentum:
                first, last = group[phase["start_momentum"]], group[phase["end_momentum"]]
                _set_momentum(group, self._between(first, last, done), self.use_beta1)
        return values

    def _between(self, start: Any, end: Any, done: float) -> Any:
        if self._anneal_func_type == "linear":
            return (end - start) * done + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * done) + 1)


def _count_of_steps(total: Any, epochs: Any, per_epoch: Any) -> int:
    if total is None and (epochs is None or per_epoch is None):
        raise ValueError("OneCycleLR needs total_steps, or epochs and steps_per_epoch")
    given = {"total_steps": total}
    if total is None:
        given = {"epochs": epochs, "steps_per_epoch": per_epoch}
    for name, value in given.items():
        if not isinstance(value, int) or value <= 0:
            raise ValueError(f"OneCycleLR: {name} must be a positive int, not {value!r}")
    return total if total is not None else epochs * per_epoch  # type: ignore[no-any-return]


def _phases(total: int, share: float, three: bool) -> list[dict[str, Any]]:
    """The parts of the cycle: where each ends, and the group options that it goes between."""

    def phase(end: float, rates: tuple[str, str], momenta: tuple[str, str]) -> dict[str, Any]:
        return {
            "end_step": end,
            "start_lr": rates[0],
            "end_lr": rates[1],
            "start_momentum": momenta[0],
            "end_momentum": momenta[1],
        }

    falls, rises = ("max_momentum", "base_momentum"), ("base_momentum", "max_momentum")
    up = phase(float(share * total) - 1, ("initial_lr", "max_lr"), falls)
    if not three:
        return [up, phase(total - 1, ("max_lr", "min_lr"), rises)]
    down = phase(float(2 * share * total) - 2, ("max_lr", "initial_lr"), rises)
    stays = ("max_momentum", "max_momentum")
    return [up, down, phase(total - 1, ("initial_lr", "min_lr"), stays)]
