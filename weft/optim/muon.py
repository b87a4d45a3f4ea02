"""Muon."""

from __future__ import annotations

import math
from typing import Any

from ..tensors.creation import zeros_like
from ..tensors.tensor import Tensor
from .optimizer import Optimizer, Params

_LARGEST_COUNT = 99  # PyTorch's


class Muon(Optimizer):
    """Muon (Jordan et al., 2024): momentum whose matrix is made nearly orthogonal at each step.

    For the weight matrices of hidden layers. Biases, embeddings and output layers go to another
    optimiser, such as AdamW.

    Args:
        lr: step size.
        weight_decay: decoupled decay.
        momentum: how much of the running mean of gradients is kept at each step.
        nesterov: look ahead along it.
        ns_coefficients: of the Newton-Schulz iteration, ``a X + b (X X^T) X + c (X X^T)^2 X``.
        eps: the least norm divided by.
        ns_steps: how many iterations.
        adjust_lr_fn: for a matrix [A, B], "original" multiplies the rate by
            ``sqrt(max(1, A / B))``, "match_rms_adamw" by ``0.2 sqrt(max(A, B))`` (Liu et al.,
            2025).

    Raises:
        ValueError: for options out of range, or a parameter that is not a matrix.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        if group["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ValueError(
                f"Adjust learning rate function {group['adjust_lr_fn']} is not supported: Muon's "
                f"adjust_lr_fn={group['adjust_lr_fn']!r} must be 'original', 'match_rms_adamw' or "
                "None"
            )
        if len(group["ns_coefficients"]) != 3:
            raise ValueError(f"Muon: ns_coefficients={group['ns_coefficients']} must be three")
        if not 0 <= group["ns_steps"] <= _LARGEST_COUNT:
            raise ValueError(
                f"Muon: ns_steps={group['ns_steps']} must be between 0 and {_LARGEST_COUNT}"
            )
        for k, p in enumerate(group["params"]):
            if p.ndim != 2:
                raise ValueError(
                    f"Muon only supports 2D parameters, but parameter {k} has shape "
                    f"{list(p.shape)}: give it to another optimiser, such as AdamW"
                )

    def update(self, group: dict[str, Any], params: list[Any]) -> None:
        lr, momentum = group["lr"], group["momentum"]
        for p in params:
            state = self.state[p]
            if not state:
                state["momentum_buffer"] = zeros_like(p)
            mean = state["momentum_buffer"].lerp_(p.grad, 1 - momentum)
            change = p.grad.lerp(mean, momentum) if group["nesterov"] else mean
            change = _orthogonal(change, group)
            p.mul_(1 - lr * group["weight_decay"])
            p.sub_(change.to(p.dtype) * (lr * _scale(group["adjust_lr_fn"], *p.shape)))


def _orthogonal(x: Tensor, group: dict[str, Any]) -> Tensor:
    """``U S V^T`` of a matrix with all of ``S`` near 1, by an iteration in bfloat16."""
    a, b, c = group["ns_coefficients"]
    rows, columns = x.shape
    y = _rounded(x.T if rows > columns else x)
    y = _rounded(y / _rounded(y.norm()).clamp(min=group["eps"]))
    for _ in range(group["ns_steps"]):
        gram = _rounded(y @ y.T)
        gram = _rounded(gram * b + gram @ gram * c)
        y = _rounded(y * a + gram @ y)
    return y.T if rows > columns else y


def _rounded(x: Tensor) -> Tensor:
    """To bfloat16, once for each sum of products, as hardware does that adds up in float32."""
    return x.bfloat16().float()


def _scale(how: str | None, rows: int, columns: int) -> float:
    if how == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))
