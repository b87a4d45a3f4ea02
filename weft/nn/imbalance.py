"""Losses for classes that are rare: of pixels, of boxes."""

from __future__ import annotations

from typing import Any

from ..dtypes import dtype
from ..errors import DTypeError, OptionError, ShapeError
from ..ops.loss import in_range
from ..tensors.core import node_of, wrap
from ..tensors.tensor import Tensor
from . import functional as F
from .functional.loss_parts import check_same_shape, class_hint, warn_if_normalised
from .module import Module


def _reduced(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


class _MaskLoss(Module):
    def __init__(self, reduction: str) -> None:
        super().__init__()
        if reduction not in ("none", "mean", "sum"):
            raise OptionError(f"reduction={reduction!r} should be 'none', 'mean' or 'sum'")
        self.reduction = reduction

    def _check(self, input: Tensor, target: Tensor) -> None:
        name = type(self).__name__
        check_same_shape(name, input, target, class_hint(input, target))
        if not input.dtype.is_floating_point:
            raise DTypeError(
                f"{name} takes floating values, not {input.dtype}: write input.float()"
            )

    def _between_0_and_1(self, what: str, tensor: Tensor, kind: dtype) -> Tensor:
        """Raises DataError, when run, for other values."""
        text = f"{type(self).__name__} takes {what} between 0 and 1"
        return wrap(in_range(node_of(tensor.to(kind)), text, 0.0, 1.0))


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

    Raises:
        ShapeError: unless they have one shape.
        DataError: when run, for targets outside of [0, 1].
    """

    def __init__(
        self, alpha: float | None = 0.25, gamma: float = 2.0, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.alpha = alpha
        self.gamma = gamma

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        self._check(input, target)
        again = "it takes another one: give it the scores before that"
        warn_if_normalised("FocalLoss", node_of(input), None, again)
        t: Any = self._between_0_and_1("targets", target, input.dtype)
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

    Raises:
        ShapeError: unless they have one shape.
        DataError: when run, for values outside of [0, 1], such as logits.
    """

    def __init__(self, smooth: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.smooth = smooth

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        self._check(input, target)
        if input.ndim < 3:
            raise ShapeError(f"DiceLoss takes [batch, channels, ...], not {list(input.shape)}")
        p = self._between_0_and_1("probabilities (put logits through sigmoid)", input, input.dtype)
        t = self._between_0_and_1("targets", target, input.dtype)
        p, t = p.flatten(2), t.flatten(2)
        both = (p * t).sum(2)
        each = (p * p).sum(2) + (t * t).sum(2)
        return _reduced(1 - (2 * both + self.smooth) / (each + self.smooth), self.reduction)

    def extra_repr(self) -> str:
        return f"smooth={self.smooth}"


__all__ = ["DiceLoss", "FocalLoss"]
