"""Primitives of losses, where no composition has the gradient, or the error, that is wanted."""

from __future__ import annotations

from math import exp, inf
from typing import Any

import numpy as np

from ..errors import DataError
from ..graph.node import Node, Op, record
from .base import Binary, _only_float, as_node, binary
from .elementwise import div, log, lt, maximum, mul, sub, where

# ---- values that must lie within bounds


def _reference_in_range(bounds: tuple[str, float, float], x: Any) -> Any:
    text, low, high = bounds
    # NaN is found out only where there are two bounds, as in PyTorch.
    wrong = np.less(x, low) if high == inf else ~((x >= low) & (x <= high))
    if wrong.any():
        raise DataError(f"{text}, but {np.asarray(x)[wrong].flat[0]} is among them")
    return x


_in_range = Op(
    "in_range",
    lambda bounds, x: x,
    _reference_in_range,
    lambda n, g, want: (g,),
    can_fail=True,
)


def in_range(x: Node, text: str, low: float, high: float = inf) -> Node:
    """``x``; running raises DataError with ``text`` for an element out of bounds."""
    return record(_in_range, (x,), (text, low, high))


# ---- binary cross entropy

_LEAST_LOG = -100.0  # in place of the logarithm of 0


def _bce(p: Any, t: Any) -> Any:
    least = np.asarray(_LEAST_LOG, np.result_type(p))
    return (t - 1) * np.maximum(np.log1p(-p), least) - t * np.maximum(np.log(p), least)


def _held_log(x: Node) -> Node:
    small = lt(x, exp(_LEAST_LOG))
    return where(small, _LEAST_LOG, log(where(small, 1, x)))


def _bce_grad_p(g: Node, p: Node, t: Node, y: Node) -> Node:
    variance = mul(sub(as_node(1, p), p), p)
    return mul(g, div(sub(p, t), maximum(variance, 1e-12)))


#: Of a probability and a target. The slope where a logarithm is held is PyTorch's and not 0, which
#: would leave a saturated wrong answer as it is.
binary_cross_entropy: Binary = binary(
    "binary_cross_entropy",
    _bce,
    (
        _bce_grad_p,
        lambda g, p, t, y: mul(g, sub(_held_log(sub(as_node(1, p), p)), _held_log(p))),
    ),
    check=_only_float,
)
