"""Rprop."""

from __future__ import annotations

from typing import Any

from ..tensors.creation import tensor, zeros_like
from ..tensors.elementwise import where
from .optimizer import Optimizer, Params


class Rprop(Optimizer):
    """Resilient backpropagation (Riedmiller and Braun, 1993): only the signs of gradients count.

    Args:
        lr: the first step size of each element.
        etas: factors of its step size after a change of sign, and after none.
        step_sizes: the smallest and the largest.
        maximize: climb instead.

    Raises:
        ValueError: for a negative ``lr``, or ``etas`` that are not below and above 1.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
        **options: Any,
    ) -> None:
        defaults = {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize}
        super().__init__(params, defaults, options)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        down, up = group["etas"]
        if not 0.0 < down < 1.0 < up:
            raise ValueError(
                f"Invalid eta values: {down}, {up}. Rprop: etas={group['etas']} must be a factor "
                "between 0 and 1 and one above 1"
            )

    def update(self, group: dict[str, Any], params: list[Any]) -> None:
        down, up = group["etas"]
        for p in params:
            g = -p.grad if group["maximize"] else p.grad
            state = self.state[p]
            if not state:
                state["step"] = tensor(0.0, device=p.device)
                state["prev"] = zeros_like(p)
                state["step_size"] = zeros_like(p) + group["lr"]
            state["step"].add_(1)
            agreement = g * state["prev"]
            size = state["step_size"]
            new = where(agreement > 0, size * up, where(agreement < 0, size * down, size))
            size.copy_(new.clamp(*group["step_sizes"]))
            g = where(agreement < 0, 0.0, g)  # after a change of sign: stay, and forget it
            p.sub_(g.sign() * size)
            state["prev"].copy_(g)
