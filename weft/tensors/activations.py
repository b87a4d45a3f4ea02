"""Activations that Tensor has as methods; the others are in ``nn.functional``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..dtypes import float32
from ..errors import DTypeError, ShapeError
from ..graph.node import Node
from ..ops import elementwise as ew, movement as mv
from .autocasting import in_low_precision
from .core import node_of, wrap

if TYPE_CHECKING:
    from .tensor import Tensor

Rule = Callable[[Node], Node]


def applied(name: str, rule: Rule, input: Tensor, inplace: bool = False, also: str = "") -> Tensor:
    """A rule applied to a floating tensor, or to one of what it takes also: "integers", "complex".

    16-bit floats are computed in float32.
    """
    x = node_of(input)
    kind = x.type.dtype
    if kind.category != 2 and kind.category != {"integers": 1, "complex": 3}.get(also):
        takes = "numbers" if also == "integers" else "a floating dtype"
        raise DTypeError(f"{name} takes {takes}, not {kind}: convert with x.float()")
    y = ew.cast(rule(ew.cast(x, float32) if kind.is_reduced else x), kind)
    return input._rebind(y) if inplace else wrap(y)


def leaky(x: Node, slope: Node | float) -> Node:
    return ew.where(ew.gt(x, 0), x, ew.mul(x, slope))


@in_low_precision
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """:func:`leaky_relu` with a slope that is learned. (He et al., 2015, arXiv:1502.01852)

    Shape:
        input ``[N, C, ...]``; weight ``[C]``, ``[1]`` or ``[]``.

    Raises:
        ShapeError: for a weight of another shape.
        DTypeError: if the dtypes differ.
    """
    shape, w = node_of(input).type.shape, node_of(weight)
    if w.type.ndim > 1:
        raise ShapeError(f"prelu takes a weight of shape [C] or [1], not {list(w.type.shape)}")
    channels = shape[1] if len(shape) > 1 else 1
    if w.type.size not in (1, channels):
        raise ShapeError(
            f"prelu: a weight of {w.type.size} slopes does not fit an input of shape "
            f"{list(shape)} with {channels} channels (dimension 1): PReLU({channels}) does"
        )
    if w.type.dtype is not node_of(input).type.dtype:
        raise DTypeError(
            f"prelu takes one dtype, not {node_of(input).type.dtype} and {w.type.dtype}: convert "
            "one with .to()"
        )
    slopes = mv.reshape(w, (w.type.size, *(1,) * (len(shape) - 2)) if shape else ())
    return applied("prelu", lambda x: leaky(x, ew.cast(slopes, x.type.dtype)), input)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``input``, and 0 where its size is at most ``lambd``."""

    def rule(x: Node) -> Node:
        return ew.where(ew.logical_and(ew.ge(x, -lambd), ew.le(x, lambd)), 0, x)

    return applied("hardshrink", rule, input)
