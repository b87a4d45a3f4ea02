"""Adagrad."""

from __future__ import annotations

from typing import Any

from ..dtypes import float32
from ..tensors.creation import full_like, tensor
from .optimizer import Optimizer, Params


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer, 2011): divides by the root of the sum of all squares.

    Args:
        lr: step size.
        lr_decay: step k has size ``lr / (1 + (k - 1) lr_decay)``.
        weight_decay: L2 penalty.
        initial_accumulator_value: what the sum starts with.
        eps: added to the root.
        maximize: climb instead.

    Raises:
        ValueError: for negative options.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        **options: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, defaults, options)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        self.check_not_negative(group, "lr_decay", "initial_accumulator_value")

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for p in group["params"]:
            kind = float32 if self.has_master(group, p) else p.dtype
            self.state[p] = {
                "step": tensor(0.0, device=p.device),
                "sum": full_like(p, group["initial_accumulator_value"], dtype=kind),
            }

    def update(self, group: dict[str, Any], params: list[Any]) -> None:
        for p in params:
            g = -p.grad if group["maximize"] else p.grad
            state = self.state[p]
            step = state["step"].add_(1).double()
            if group["weight_decay"]:
                g = g + p * group["weight_decay"]
            rate = group["lr"] / (1 + (step - 1) * group["lr_decay"])
            total = state["sum"].add_(g * g)
            p.sub_(g / (total.sqrt() + group["eps"]) * rate)
