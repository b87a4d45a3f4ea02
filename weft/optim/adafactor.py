"""Adafactor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dtypes import dtype
from ..tensors.creation import tensor, zeros, zeros_like
from ..tensors.tensor import Tensor
from .optimizer import Optimizer, Params


class Adafactor(Optimizer):
    """Adafactor (Shazeer and Stern, 2018): keeps a row and a column for each matrix of squares.

    As in PyTorch, and unlike the paper, ``lr`` bounds the relative step size and scales the decay.

    Args:
        lr: the largest relative step size.
        beta2_decay: step k keeps ``1 - k ** beta2_decay`` of the running squares.
        eps: the least root of a square (None: the dtype's epsilon), and the least size of a
            parameter that steps are relative to.
        d: steps whose root mean square is larger are clipped.
        weight_decay: decoupled decay.
        maximize: climb instead.

    Raises:
        ValueError: for options out of range.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **options: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, options)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        for k, eps in enumerate(group["eps"]):
            if (eps is None and k == 1) or (eps is not None and eps < 0):
                raise ValueError(
                    f"Adafactor: epsilon{k + 1} should be >= 0, but eps[{k}]={eps} is not"
                )
        if group["beta2_decay"] > 0:
            raise ValueError(
                "Adafactor: beta2_decay should be <= 0, but "
                f"beta2_decay={group['beta2_decay']} is not"
            )
        if group["d"] < 1:
            raise ValueError(
                f"Adafactor: Clipping threshold d should be >= 1, but d={group['d']} is not"
            )

    def state_fits(self, name: str, shape: tuple[int, ...], param: Tensor) -> bool:
        kept = {"row_var": -1, "col_var": -2}.get(name)
        return shape == (tuple(param.shape) if kept is None else _reduced(param, kept))

    def update(self, group: dict[str, Any], params: list[Any]) -> None:
        lr, (eps1, eps2) = group["lr"], group["eps"]
        for p in params:
            g = -p.grad if group["maximize"] else p.grad
            state = self.state[p]
            if not state:
                state["step"] = tensor(0.0, device=p.device)
                if p.ndim > 1:
                    state["row_var"] = zeros(_reduced(p, -1), dtype=p.dtype, device=p.device)
                    state["col_var"] = zeros(_reduced(p, -2), dtype=p.dtype, device=p.device)
                else:
                    state["variance"] = zeros_like(p)
            step = state["step"].add_(1).double()
            least = _epsilon(p.dtype) if eps1 is None else eps1
            square = _square(state, g, step ** group["beta2_decay"], least)
            rate = _root_mean_square(p).clamp(min=eps2) * (1 / step.sqrt()).clamp(max=lr)
            if group["weight_decay"]:
                p.mul_(1 - lr * group["weight_decay"])
            change = g * square.clamp(min=least * least).rsqrt()
            p.sub_(change * (rate / (_root_mean_square(change) / group["d"]).clamp(min=1.0)))


def _square(state: dict[str, Any], g: Tensor, weight: Tensor, least: float) -> Tensor:
    """The running mean of squared gradients: whole, or as a column times a row."""
    square = g * g
    if "variance" in state:
        return state["variance"].lerp_(square, weight)  # type: ignore[no-any-return]
    row = state["row_var"].lerp_(square.mean(-1, keepdim=True), weight)
    column = state["col_var"].lerp_(square.mean(-2, keepdim=True), weight)
    return row * column / row.mean(-2, keepdim=True).clamp(min=least)  # type: ignore[no-any-return]


def _reduced(p: Tensor, dim: int) -> tuple[int, ...]:
    shape = list(p.shape)
    shape[dim] = 1
    return tuple(shape)


def _root_mean_square(x: Tensor) -> Tensor:
    return x.norm() / math.sqrt(max(x.numel(), 1))


def _epsilon(kind: dtype) -> float:
    # NumPy does not know bfloat16, which has 8 bits of precision.
    return 2.0**-7 if kind.name == "bfloat16" else float(np.finfo(kind.numpy).eps)
