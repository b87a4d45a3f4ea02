"""Dropout."""

from __future__ import annotations

from ...dtypes import float32
from ...graph.node import number
from ...ops import random as rnd
from ...tensors.core import node_of, wrap
from ...tensors.random import key_for
from ...tensors.tensor import Tensor


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes each element with probability ``p`` and divides the others by ``1 - p``.

    The mask is drawn again in backward from the same counter, not kept. (Srivastava et al., 2014)

    Raises:
        ValueError: unless ``p`` is in [0, 1].
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout: p is a probability, between 0 and 1, not {p}")
    if not training or p == 0.0:
        return input
    node = rnd.dropout(node_of(input), number(p, float32), key_for(None))
    return input._rebind(node) if inplace else wrap(node)
