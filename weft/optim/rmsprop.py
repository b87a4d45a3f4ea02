"""RMSprop."""

from __future__ import annotations

from typing import Any

from ..tensors.creation import tensor, zeros_like
from .optimizer import Optimizer, Params


class RMSprop(Optimizer):
    """RMSprop (Hinton, 2012, lecture 6e of his course): divides by the root of the running square.

    Args:
        lr: step size.
        alpha: how much of the running square is kept at each step.
        eps: added to the root.
        weight_decay: L2 penalty.
        momentum: share of the last step that goes on.
        centered: divide by the running deviation instead (Graves, 2013).
        maximize: climb instead.

    Raises:
        ValueError: for negative options.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        **options: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, options)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        self.check_not_negative(group, "alpha")

    def update(self, group: dict[str, Any], params: list[Any]) -> None:
        alpha, momentum = group["alpha"], group["momentum"]
        for p in params:
            g = -p.grad if group["maximize"] else p.grad
            state = self.state[p]
            if not state:
                state["step"] = tensor(0.0, device=p.device)
                state["square_avg"] = zeros_like(p)
                if momentum > 0:
                    state["momentum_buffer"] = zeros_like(p)
                if group["centered"]:
                    state["grad_avg"] = zeros_like(p)
            state["step"].add_(1)
            if group["weight_decay"]:
                g = g + p * group["weight_decay"]
            square = state["square_avg"].mul_(alpha).add_(g * g * (1 - alpha))
            if group["centered"]:
                mean = state["grad_avg"].lerp_(g, 1 - alpha)
                square = square - mean * mean
            change = g / (square.sqrt() + group["eps"])
            if momentum > 0:
                change = state["momentum_buffer"].mul_(momentum).add_(change)
            p.sub_(change * group["lr"])
