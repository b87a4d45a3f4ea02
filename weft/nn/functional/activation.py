"""Activations."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt

from ...dtypes import dtype, float32
from ...errors import DTypeError, did_you_mean
from ...graph.node import Node
from ...ops import elementwise as ew
from ...tensors.core import node_of, wrap
from ...tensors.elementwise import relu as _relu
from ...tensors.special import log_softmax_node, over_dim, softmax_node
from ...tensors.tensor import Tensor


def _applied(
    name: str, rule: Callable[[Node], Node], input: Tensor, inplace: bool = False
) -> Tensor:
    """A rule applied to a floating tensor. 16-bit floats are computed in float32."""
    x = node_of(input)
    kind = x.type.dtype
    if not kind.is_floating_point:
        raise DTypeError(f"{name} takes a floating dtype, not {kind}: convert with x.float()")
    y = ew.cast(rule(ew.cast(x, float32) if kind.is_reduced else x), kind)
    return input._rebind(y) if inplace else wrap(y)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(input, 0)``."""
    return input.relu_() if inplace else _relu(input)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """``x * P(X <= x)`` for a normal ``X``. (Hendrycks and Gimpel, 2016, arXiv:1606.08415)

    Args:
        approximate: "none", by the error function; or "tanh", by the paper's approximation.

    Raises:
        ValueError: for another ``approximate``.
        DTypeError: for integers.
    """
    rules = {"none": _gelu, "tanh": _gelu_tanh}
    if approximate not in rules:
        raise ValueError(
            f"gelu: approximate={approximate!r} must be 'none' or 'tanh'."
            f"{did_you_mean(str(approximate), rules)}"
        )
    return _applied("gelu", rules[approximate], input)


def _gelu(x: Node) -> Node:
    return ew.mul(ew.mul(x, 0.5), ew.add(ew.erf(ew.mul(x, sqrt(0.5))), 1))


def _gelu_tanh(x: Node) -> Node:
    cube = ew.mul(ew.mul(ew.mul(x, x), x), 0.044715)
    return ew.mul(ew.mul(x, 0.5), ew.add(ew.tanh(ew.mul(ew.add(x, cube), sqrt(2 / pi))), 1))


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
