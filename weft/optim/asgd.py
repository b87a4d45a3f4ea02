"""ASGD."""

from __future__ import annotations

from typing import Any

from ..tensors.creation import ones_like, tensor, zeros_like
from .optimizer import Optimizer, Params


class ASGD(Optimizer):
    """Averaged stochastic gradient descent (Polyak and Juditsky, 1992).

    The average of the parameters is ``optimizer.state[p]["ax"]``.

    Args:
        lr: the first step size.
        lambd: decay.
        alpha: power of the step size's fall: ``lr / (1 + lambd lr step) ** alpha``.
        t0: the step at which averaging starts.
        weight_decay: L2 penalty.
        maximize: climb instead.

    Raises:
        ValueError: for a negative ``lr`` or ``weight_decay``.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        **options: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, options)

    def update(self, group: dict[str, Any], params: list[Any]) -> None:
        lr, lambd, decay = group["lr"], group["lambd"], group["weight_decay"]
        for p in params:
            g = -p.grad if group["maximize"] else p.grad
            state = self.state[p]
            if not state:
                state["step"] = tensor(0.0, device=p.device)
                state["eta"] = ones_like(state["step"]) * lr
                state["mu"] = ones_like(state["step"])
                state["ax"] = zeros_like(p)
            step = state["step"].add_(1).double()
            if decay:
                g = g + p * decay
            eta = state["eta"].double()
            p.mul_(1 - lambd * eta)
            p.sub_(g * eta)
            state["ax"].add_((p - state["ax"]) * state["mu"])
            state["eta"].copy_(lr / (1 + lambd * lr * step) ** group["alpha"])
            state["mu"].copy_(1 / (step - group["t0"]).clamp(min=1))
