"""Activations."""

from __future__ import annotations

from collections.abc import Callable

from ...dtypes import dtype
from ...graph.node import Node
from ...ops import elementwise as ew, movement as mv, reduce as rd
from ...ops.base import normal_dim
from ...tensors.core import node_of, wrap
from ...tensors.elementwise import relu as _relu
from ...tensors.tensor import Tensor


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(input, 0)``."""
    return input.relu_() if inplace else _relu(input)


def _softmax_dim(name: str, dim: int | None, ndim: int) -> int:
    if dim is None:
        raise TypeError(
            f"{name} needs dim=: the dimension that sums to 1, usually {name}(x, dim=-1)"
        )
    return normal_dim(name, dim, ndim)


def _shifted(x: Node, dim: int) -> Node:
    """``x`` less its maximum: the result is the same, and exp cannot overflow."""
    return ew.sub(x, ew.detach(rd.max_(x, (dim,), True)))


def _prepared(input: Tensor, to: dtype | None) -> Node:
    x = node_of(input)
    return x if to is None else ew.cast(x, to)


def softmax_node(x: Node, dim: int) -> Node:
    e = ew.exp(_shifted(x, dim))
    return ew.div(e, rd.sum_(e, (dim,), True))


def log_softmax_node(x: Node, dim: int) -> Node:
    z = _shifted(x, dim)
    return ew.sub(z, ew.log(rd.sum_(ew.exp(z), (dim,), True)))


def _over_dim(
    name: str, rule: Callable[[Node, int], Node], input: Tensor, dim: int | None, to: dtype | None
) -> Tensor:
    x = _prepared(input, to)
    d = _softmax_dim(name, dim, x.type.ndim)
    if x.type.size == 0:
        return wrap(ew.same(x))
    if x.type.ndim == 0:
        return wrap(mv.reshape(rule(mv.reshape(x, (1,)), 0), ()))
    return wrap(rule(x, d))


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: dtype | None = None
) -> Tensor:
    """``exp(input) / sum(exp(input))`` along ``dim``."""
    return _over_dim("softmax", softmax_node, input, dim, dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: dtype | None = None
) -> Tensor:
    """The logarithm of :func:`softmax`, exact where that underflows."""
    return _over_dim("log_softmax", log_softmax_node, input, dim, dtype)
