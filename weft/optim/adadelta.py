"""Adadelta."""

from __future__ import annotations

from typing import Any

from ..tensors.creation import tensor, zeros_like
from .optimizer import Optimizer, Params


class Adadelta(Optimizer):
    """Adadelta (Zeiler, 2012): steps in the units of the parameters, without a rate to tune.

    Args:
        lr: factor of the step.
        rho: how much of the running means of squares is kept at each step.
        eps: added to both means before their roots.
        weight_decay: L2 penalty.
        maximize: climb instead.

    Raises:
        ValueError: for negative options, or ``rho`` above 1.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        **options: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, options)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        if not 0.0 <= group["rho"] <= 1.0:
            raise self.invalid("rho", group["rho"], "must be between 0 and 1")

    def update(self, group: dict[str, Any], params: list[Any]) -> None:
        rho, eps = group["rho"], group["eps"]
        for p in params:
            g = -p.grad if group["maximize"] else p.grad
            state = self.state[p]
            if not state:
                state["step"] = tensor(0.0, device=p.device)
                state["square_avg"] = zeros_like(p)
                state["acc_delta"] = zeros_like(p)
            state["step"].add_(1)
            if group["weight_decay"]:
                g = g + p * group["weight_decay"]
            square = state["square_avg"].mul_(rho).add_(g * g * (1 - rho))
            delta = (state["acc_delta"] + eps).sqrt() / (square + eps).sqrt() * g
            state["acc_delta"].mul_(rho).add_(delta * delta * (1 - rho))
            p.sub_(delta * group["lr"])
