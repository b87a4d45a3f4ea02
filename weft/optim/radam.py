"""RAdam."""

from __future__ import annotations

from typing import Any

from ..tensors.creation import tensor, zeros_like
from ..tensors.elementwise import where
from .optimizer import Optimizer, Params


class RAdam(Optimizer):
    """RAdam (Liu et al., 2020): Adam that trusts the running square only once it is known well.

    Args:
        lr: step size.
        betas: how much of the running means of gradient and square is kept at each step.
        eps: added to the root of the square.
        weight_decay: L2 penalty (or, with ``decoupled_weight_decay``, AdamW's).
        maximize: climb instead.

    Raises:
        ValueError: for options out of range.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
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
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults, options)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        self.check_betas(group)

    def update(self, group: dict[str, Any], params: list[Any]) -> None:
        lr, decay = group["lr"], group["weight_decay"]
        beta1, beta2 = group["betas"]
        longest = 2 / (1 - beta2) - 1  # length of the average after infinitely many steps
        for p in params:
            g = -p.grad if group["maximize"] else p.grad
            state = self.state[p]
            if not state:
                state["step"] = tensor(0.0, device=p.device)
                state["exp_avg"] = zeros_like(p)
                state["exp_avg_sq"] = zeros_like(p)
            step = state["step"].add_(1).double()
            if decay and group["decoupled_weight_decay"]:
                p.mul_(1 - lr * decay)
            elif decay:
                g = g + p * decay
            mean = state["exp_avg"].lerp_(g, 1 - beta1)
            square = state["exp_avg_sq"].mul_(beta2).add_(g * g * (1 - beta2))
            seen = 1 - beta2**step
            length = longest - 2 * step * beta2**step / seen
            known = length > 5
            # Where it is not known the numbers below stay finite, and are not used.
            length = where(known, length, 6.0)
            top = (length - 4) * (length - 2) * longest
            bottom = length * ((longest - 4) * (longest - 2))
            rectified = (top / where(known, bottom, 1.0)).clamp(min=0).sqrt()
            step_size = where(known, seen.sqrt() * rectified / (square.sqrt() + group["eps"]), 1.0)
            p.sub_(mean * step_size * (lr / (1 - beta1**step)))
