"""Dropout layers."""

from __future__ import annotations

from ..tensors.tensor import Tensor
from . import functional as F
from .module import Module


class Dropout(Module):
    """In training, zeroes each element with probability ``p`` and divides the others by ``1 - p``.

    In evaluation the input passes unchanged. (Srivastava et al., 2014)

    Args:
        p: the probability.
        inplace: change the input itself.

    Raises:
        ValueError: unless ``p`` is in [0, 1].
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p is a probability, between 0 and 1, not {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


__all__ = ["Dropout"]
