"""Activations."""

from __future__ import annotations

from ...dtypes import dtype
from ...tensors.elementwise import relu as _relu
from ...tensors.special import log_softmax_node, over_dim, softmax_node
from ...tensors.tensor import Tensor


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(input, 0)``."""
    return input.relu_() if inplace else _relu(input)


def _chosen(name: str, dim: int | None) -> int:
    if dim is None:
        raise TypeError(
            f"{name} needs dim=: the dimension that sums to 1, usually {name}(x, dim=-1)"
        )
    return dim


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: dtype | None = None
) -> Tensor:
    """``exp(input) / sum(exp(input))`` along ``dim``."""
    return over_dim("softmax", softmax_node, input, _chosen("softmax", dim), dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: dtype | None = None
) -> Tensor:
    """The logarithm of :func:`softmax`, exact where that underflows."""
    return over_dim("log_softmax", log_softmax_node, input, _chosen("log_softmax", dim), dtype)
