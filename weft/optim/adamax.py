"""Adamax."""

from __future__ import annotations

from typing import Any

from ..tensors.creation import tensor, zeros_like
from ..tensors.elementwise import maximum
from .optimizer import Optimizer, Params


class Adamax(Optimizer):
    """Adamax (Kingma and Ba, 2015, section 7.1): Adam that divides by the largest gradient.

    Args:
        lr: step size.
        betas: how much of the running mean, and of the running maximum, is kept at each step.
        eps: added to the size of the gradient.
        weight_decay: L2 penalty.
        maximize: climb instead.

    Raises:
        ValueError: for options out of range.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        **options: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, options)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        self.check_betas(group)

    def update(self, group: dict[str, Any], params: list[Any]) -> None:
        beta1, beta2 = group["betas"]
        for p in params:
            g = -p.grad if group["maximize"] else p.grad
            state = self.state[p]
            if not state:
                state["step"] = tensor(0.0, device=p.device)
                state["exp_avg"] = zeros_like(p)
                state["exp_inf"] = zeros_like(p)
            step = state["step"].add_(1).double()
            if group["weight_decay"]:
                g = g + p * group["weight_decay"]
            mean = state["exp_avg"].lerp_(g, 1 - beta1)
            largest = state["exp_inf"].copy_(
                maximum(state["exp_inf"] * beta2, g.abs() + group["eps"])
            )
            p.sub_(mean / largest * (group["lr"] / (1 - beta1**step)))
