"""Losses for classes that are rare: of pixels, of boxes."""

from __future__ import annotations

from typing import Any

from ..errors import ShapeError
from ..tensors.tensor import Tensor
from . import functional as F
from .module import Module


def _reduced(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


class _MaskLoss(Module):
    def __init__(self, reduction: str) -> None:
        super().__init__()
        if reduction not in ("none", "mean", "sum"):
            raise ValueError(f"reduction={reduction!r} should be 'none', 'mean' or 'sum'")
        self.reduction = reduction

    def _check(self, input: Tensor, target: Tensor) -> None:
        if input.shape != target.shape:
            raise ShapeError(
                f"{type(self).__name__}: input of shape {list(input.shape)} and target of shape "
                f"{list(target.shape)} must have one shape"
            )


class FocalLoss(_MaskLoss):
    """Binary cross-entropy in which what is classified well counts little.

    ``-alpha_t (1 - p_t)^gamma log(p_t)``, ``p_t`` the probability given to the right class. (Lin et
    al., 2017, arXiv:1708.02002)

    Args:
        alpha: the weight of class 1, ``1 - alpha`` that of class 0; None for no weights.
        gamma: 0 gives the cross-entropy.
        reduction: "mean", "sum" or "none".

    Shape:
        Input (logits) and target (from 0 to 1) of one shape.
    """

    def __init__(
        self, alpha: float | None = 0.25, gamma: float = 2.0, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.alpha = alpha
        self.gamma = gamma

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        self._check(input, target)
        t: Any = target.to(input.dtype)
        entropy = -(t * F.logsigmoid(input) + (1 - t) * F.logsigmoid(-input))
        wrong = t * F.sigmoid(-input) + (1 - t) * F.sigmoid(input)
        loss = entropy * wrong**self.gamma
        if self.alpha is not None:
            loss = loss * (self.alpha * t + (1 - self.alpha) * (1 - t))
        return _reduced(loss, self.reduction)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}, gamma={self.gamma}"


class DiceLoss(_MaskLoss):
    """``1 - 2 sum(p t) / (sum(p^2) + sum(t^2))``: how little a mask overlaps with the right one.

    (Milletari, Navab and Ahmadi, 2016, arXiv:1606.04797)

    Args:
        smooth: added to numerator and denominator, so that two empty masks agree.
        reduction: over samples and channels: "mean", "sum" or "none".

    Shape:
        Input (probabilities) and target (from 0 to 1) ``[N, C, *]``; with "none", ``[N, C]``.
    """

    def __init__(self, smooth: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.smooth = smooth

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        self._check(input, target)
        if input.ndim < 3:
            raise ShapeError(f"DiceLoss takes [batch, channels, ...], not {list(input.shape)}")
        p, t = input.flatten(2), target.to(input.dtype).flatten(2)
        both = (p * t).sum(2)
        each = (p * p).sum(2) + (t * t).sum(2)
        return _reduced(1 - (2 * both + self.smooth) / (each + self.smooth), self.reduction)

    def extra_repr(self) -> str:
        return f"smooth={self.smooth}"


__all__ = ["DiceLoss", "FocalLoss"]
