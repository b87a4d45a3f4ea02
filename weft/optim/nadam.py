"""NAdam."""

from __future__ import annotations

from typing import Any

from ..tensors.creation import ones_like, tensor, zeros_like
from .optimizer import Optimizer, Params


class NAdam(Optimizer):
    """NAdam (Dozat, 2016): Adam with Nesterov's momentum.

    Args:
        lr: step size.
        betas: how much of the running means of gradient and square is kept at each step.
        eps: added to the root of the square.
        weight_decay: L2 penalty (or, with ``decoupled_weight_decay``, AdamW's).
        momentum_decay: how fast the momentum grows towards ``betas[0]``.
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
        momentum_decay: float = 4e-3,
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
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, options)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        self.check_betas(group)
        self.check_not_negative(group, "momentum_decay")

    def update(self, group: dict[str, Any], params: list[Any]) -> None:
        lr, decay, slowness = group["lr"], group["weight_decay"], group["momentum_decay"]
        beta1, beta2 = group["betas"]
        for p in params:
            g = -p.grad if group["maximize"] else p.grad
            state = self.state[p]
            if not state:
                state["step"] = tensor(0.0, device=p.device)
                state["mu_product"] = ones_like(state["step"])
                state["exp_avg"] = zeros_like(p)
                state["exp_avg_sq"] = zeros_like(p)
            step = state["step"].add_(1).double()
            if decay and group["decoupled_weight_decay"]:
                p.mul_(1 - lr * decay)
            elif decay:
                g = g + p * decay
            mu = beta1 * (1 - 0.5 * 0.96 ** (step * slowness))
            following = beta1 * (1 - 0.5 * 0.96 ** ((step + 1) * slowness))
            product = state["mu_product"]
            product = product.mul_(mu.to(product.dtype)).double()
            mean = state["exp_avg"].lerp_(g, 1 - beta1)
            square = state["exp_avg_sq"].mul_(beta2).add_(g * g * (1 - beta2))
            root = (square / (1 - beta2**step)).sqrt() + group["eps"]
            p.sub_(g / root * (lr * (1 - mu) / (1 - product)))
            p.sub_(mean / root * (lr * following / (1 - product * following)))
