"""SparseAdam."""

from __future__ import annotations

from typing import Any

from ..tensors.creation import tensor, zeros_like
from ..tensors.elementwise import where
from .optimizer import Optimizer, Params


class SparseAdam(Optimizer):
    """Adam that leaves rows without a gradient, and their running means, as they are.

    For large embeddings, of which a batch uses a few rows. Gradients are dense in weft: a row of
    zeros is one that the batch did not use, which PyTorch is told by its sparse gradients.

    Args:
        lr: step size.
        betas: how much of the running means of gradient and square is kept at each step.
        eps: added to the root of the square.
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
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})

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
            used = g != 0
            if p.ndim > 1:
                used = used.any(tuple(range(1, p.ndim)), keepdim=True)
            step = state["step"].add_(1).double()
            mean, square = state["exp_avg"], state["exp_avg_sq"]
            mean.add_(where(used, (g - mean) * (1 - beta1), 0.0))
            square.add_(where(used, (g * g - square) * (1 - beta2), 0.0))
            rate = group["lr"] * (1 - beta2**step).sqrt() / (1 - beta1**step)
            p.sub_(where(used, mean / (square.sqrt() + group["eps"]), 0.0) * rate)
