"""Dropout layers."""

from __future__ import annotations

from ..tensors.tensor import Tensor
from . import functional as F
from .functional.dropout import check_probability
from .module import Module


class _DropoutNd(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        check_probability(type(self).__name__, p)
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """In training, zeroes each element with probability ``p`` and divides the others by ``1 - p``.

    In evaluation the input passes unchanged. (Srivastava et al., 2014)

    Args:
        p: the probability.
        inplace: change the input itself.

    Raises:
        OptionError: unless ``p`` is in [0, 1].
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """In training, zeroes whole channels of ``[N, C, L]`` or ``[C, L]``. See :class:`Dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """In training, zeroes whole channels of ``[N, C, H, W]``. See :class:`Dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """In training, zeroes whole channels of ``[N, C, D, H, W]`` or ``[C, D, H, W]``.

    See :class:`Dropout`.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """In training, sets elements to SELU's limit, then keeps mean and variance.

    Goes with :class:`SELU`. (Klambauer et al., 2017)

    Args:
        p: the probability.
        inplace: change the input itself.

    Raises:
        OptionError: unless ``p`` is in [0, 1].
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_DropoutNd):
    """:class:`AlphaDropout` of whole channels of ``[N, C, ...]``."""

    def forward(self, input: Tensor) -> Tensor:
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)


__all__ = [
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
]
