"""LAMB."""

from __future__ import annotations

from typing import Any

from ..tensors.creation import tensor, zeros_like
from ..tensors.elementwise import where
from .optimizer import Optimizer, Params


class LAMB(Optimizer):
    """LAMB (You et al., 2020, arXiv:1904.00962, algorithm 2): Adam for very large batches.

    The step of each parameter is scaled to the parameter's own norm, so that no layer moves much
    faster than another. Biases and norms' weights are often given to a group without decay.

    Args:
        lr: step size, relative to the norm of each parameter.
        betas: how much of the running means of gradient and square is kept at each step.
        eps: added to the root of the square.
        weight_decay: decoupled decay, part of the step that is scaled.
        maximize: climb instead.

    Raises:
        ValueError: for options out of range.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
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
                state["exp_avg_sq"] = zeros_like(p)
            step = state["step"].add_(1).double()
            mean = state["exp_avg"].mul_(beta1).add_(g * (1 - beta1))
            square = state["exp_avg_sq"].mul_(beta2).add_(g * g * (1 - beta2))
            root = square.sqrt() / (1 - beta2**step).sqrt()
            change = mean / (1 - beta1**step) / (root + group["eps"])
            if group["weight_decay"]:
                change = change + p * group["weight_decay"]
            mine, its = p.norm(), change.norm()
            known = (mine > 0) & (its > 0)  # a parameter of zeros has no norm to go by
            trust = where(known, mine / where(known, its, 1.0), 1.0)
            p.sub_(change * (trust * group["lr"]))
