"""Lion."""

from __future__ import annotations

from typing import Any

from ..tensors.creation import zeros_like
from .optimizer import Optimizer, Params


class Lion(Optimizer):
    """Lion (Chen et al., 2023, arXiv:2302.06675): steps of one size, along the sign of a momentum.

    Its authors advise a rate 3 to 10 times smaller than AdamW's, and a decay larger by as much.

    Args:
        lr: step size.
        betas: how much of the running mean is kept for the step, and for the next mean.
        weight_decay: decoupled decay.
        maximize: climb instead.

    Raises:
        ValueError: for options out of range.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **options: Any,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults, options)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        self.check_betas(group)

    def update(self, group: dict[str, Any], params: list[Any]) -> None:
        lr = group["lr"]
        beta1, beta2 = group["betas"]
        for p in params:
            g = -p.grad if group["maximize"] else p.grad
            state = self.state[p]
            if not state:
                state["exp_avg"] = zeros_like(p)
            mean = state["exp_avg"]
            direction = (mean * beta1 + g * (1 - beta1)).sign()
            if group["weight_decay"]:
                p.mul_(1 - lr * group["weight_decay"])
            p.sub_(direction * lr)
            mean.mul_(beta2).add_(g * (1 - beta2))
