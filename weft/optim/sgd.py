"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer, Params


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Sutskever et al., 2013).

    Args:
        lr: step size.
        momentum: share of the last step that goes on.
        dampening: share of the gradient that the momentum does not take in.
        weight_decay: L2 penalty.
        nesterov: look ahead along the momentum.
        maximize: climb instead.

    Raises:
        ValueError: for negative options, or ``nesterov`` without momentum or with dampening.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        **options: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults, options)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                "Nesterov momentum requires a momentum and zero dampening. SGD got nesterov=True, "
                f"momentum={group['momentum']}, dampening={group['dampening']}"
            )

    def update(self, group: dict[str, Any], params: list[Any]) -> None:
        lr, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
        keep = 1 - group["dampening"]
        for p in params:
            g = -p.grad if group["maximize"] else p.grad
            if decay:
                g = g + p * decay
            if momentum:
                state = self.state[p]
                velocity = state.get("momentum_buffer")
                if velocity is None:
                    velocity = state["momentum_buffer"] = g.clone()
                else:
                    velocity.mul_(momentum).add_(g if keep == 1 else g * keep)
                g = g + velocity * momentum if group["nesterov"] else velocity
            p.sub_(g * lr)
