"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

from ..tensors.creation import tensor, zeros_like
from ..tensors.elementwise import maximum
from .optimizer import Optimizer, Params


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015).

    Args:
        lr: step size.
        betas: how much of the running means of gradient and square is kept at each step.
        eps: added to the root of the square.
        weight_decay: L2 penalty (or, with ``decoupled_weight_decay``, AdamW's).
        amsgrad: divide by the largest square so far (Reddi et al., 2018).
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
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        **options: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults, options)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        self.check_betas(group)

    def update(self, group: dict[str, Any], params: list[Any]) -> None:
        lr, eps, decay = group["lr"], group["eps"], group["weight_decay"]
        beta1, beta2 = group["betas"]
        for p in params:
            g = -p.grad if group["maximize"] else p.grad
            state = self.state[p]
            if not state:
                state["step"] = tensor(0.0, device=p.device)
                state["exp_avg"] = zeros_like(p)
                state["exp_avg_sq"] = zeros_like(p)
                if group["amsgrad"]:
                    state["max_exp_avg_sq"] = zeros_like(p)
            step = state["step"].add_(1)
            if decay and group["decoupled_weight_decay"]:
                p.mul_(1 - lr * decay)
            elif decay:
                g = g + p * decay
            mean = state["exp_avg"].mul_(beta1).add_(g * (1 - beta1))
            square = state["exp_avg_sq"].mul_(beta2).add_(g * g * (1 - beta2))
            if group["amsgrad"]:
                square = state["max_exp_avg_sq"].copy_(maximum(state["max_exp_avg_sq"], square))
            exact = step.double()  # 1 - beta ** step cancels: float32 would lose five digits
            rate = lr / (1 - beta1**exact)
            root = square.sqrt() / (1 - beta2**exact).sqrt()
            p.sub_(mean / (root + eps) * rate)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019). See :class:`Adam`."""

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            decoupled_weight_decay=True,
            **options,
        )
