"""What losses share: how they are reduced, and what their operands must be."""

from __future__ import annotations

from ...calls import is_composed
from ...dtypes import float32
from ...errors import DTypeError, OptionError, ShapeError, did_you_mean
from ...graph.modes import user_warning
from ...graph.node import Node, Shape
from ...ops import elementwise as ew, reduce as rd
from ...ops.base import broadcast
from ...tensors.core import node_of, wrap
from ...tensors.elementwise import result_type
from ...tensors.special import softmax_rule
from ...tensors.tensor import Tensor


def reduction_of(
    reduction: str,
    size_average: bool | None = None,
    reduce: bool | None = None,
    names: tuple[str, ...] = ("mean", "sum", "none"),
) -> str:
    """The reduction: one of ``names``, also as the two flags that it once was in PyTorch.

    Raises:
        OptionError: for anything else.
    """
    if size_average is not None or reduce is not None:
        if reduce is False:
            reduction = "none"
        else:
            reduction = "sum" if size_average is False else "mean"
        user_warning(f"size_average and reduce are deprecated: use reduction={reduction!r}")
        return reduction
    if reduction not in names:
        listed = f"{', '.join(map(repr, names[:-1]))} or {names[-1]!r}"
        raise OptionError(
            f"reduction={reduction!r} must be {listed}.{did_you_mean(str(reduction), names)}"
        )
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The mean or sum of all elements, or what there is. 16-bit floats are added in float32."""
    if reduction == "none":
        return loss
    x = node_of(loss)
    kind = x.type.dtype
    total = rd.sum_(ew.cast(x, float32) if kind.is_reduced else x, x.type.dims)
    return wrap(ew.cast(total if reduction == "sum" else ew.div(total, x.type.size), kind))


def shape_of(tensor: Tensor) -> Shape:
    return node_of(tensor).type.shape


def warn_if_normalised(name: str, x: Node, dim: int | None, instead: str) -> None:
    """Warns of a softmax over ``dim`` (or, with None, a sigmoid) that was taken before a loss.

    It is recognised by the ops that it was recorded as, while they are there.
    """
    while x.sig.op.name == "cast" and x.inputs and x.inputs[0] is not None:
        x = x.inputs[0]
    if dim is None:
        found = x.sig.op.name == "sigmoid"
    else:
        found = _is_softmax(x, dim)
    if found:
        what = "a sigmoid" if dim is None else "a softmax"
        user_warning(f"{name}: its input is the result of {what}, and {instead}")


def _is_softmax(x: Node, dim: int) -> bool:
    """Is it one, or ``e / e.sum(dim, keepdim=True)`` with ``e`` an exponential?"""
    if is_composed(x, softmax_rule, dim):
        return True
    if x.sig.op.name not in ("mul", "div") or len(x.inputs) != 2:
        return False
    e, total = x.inputs
    if x.sig.op.name == "mul" and total is not None and total.sig.op.name == "reciprocal":
        total = total.inputs[0] if total.inputs else None
    return (
        e is not None
        and total is not None
        and e.sig.op.name == "exp"
        and total.sig.op.name == "sum"
        and total.inputs[:1] == (e,)
        and total.sig.attrs == ((dim,), True)
    )


def check_operands(name: str, input: Tensor, target: Tensor, floating: bool = True) -> None:
    """Checks that input and target belong together.

    Raises:
        ShapeError: if they do not broadcast, or both would: ``[N, 1]`` and ``[N]`` give
            ``[N, N]`` differences, a wrong loss.
        DTypeError: for integers where floating values are needed.
    """
    a, b = shape_of(input), shape_of(target)
    if floating and not result_type(input, target).is_floating_point:
        raise DTypeError(
            f"{name} takes floating values, not {input.dtype} and {target.dtype}: convert with "
            ".float()"
        )
    if a == b:
        return
    try:
        shape = broadcast(name, a, b)
    except ShapeError:
        raise ShapeError(
            f"{name}: input and target must have one shape, not {list(a)} and {list(b)}"
            f"{class_hint(input, target)}"
        ) from None
    if shape not in (a, b):
        raise ShapeError(
            f"{name}: the input has shape {list(a)} and the target {list(b)}; they would broadcast "
            f"to {list(shape)}, a wrong loss. Give both one shape, for example with "
            "input.squeeze(-1) or target.unsqueeze(-1)"
        )
    user_warning(
        f"{name}: the input has shape {list(a)} and the target {list(b)}; the smaller is "
        "broadcast, which is often a mistake. Give both one shape, for example with "
        "target.expand_as(input)"
    )


def class_hint(input: Tensor, target: Tensor) -> str:
    """What to do with a target that seems to hold a class for each row of the input."""
    shape, t = shape_of(input), node_of(target).type
    if t.dtype.is_floating_point or len(shape) < 2 or t.shape not in (shape[:-1], _rows(shape)):
        return ""
    classes = shape[-1] if t.shape == shape[:-1] else shape[1]
    return (
        ". For one class out of several use cross_entropy; for several labels at once "
        f"one_hot(target, {classes}).float()"
    )


def _rows(shape: Shape) -> Shape:
    return (shape[0], *shape[2:])


def check_same_shape(name: str, input: Tensor, target: Tensor, hint: str = "") -> None:
    """
    Raises:
        ShapeError: unless input and target have one shape.
    """
    if shape_of(input) != shape_of(target):
        raise ShapeError(
            f"{name}: input and target must have one shape, not {list(shape_of(input))} and "
            f"{list(shape_of(target))}{hint}"
        )


def check_ranks(name: str, **tensors: Tensor) -> None:
    """
    Raises:
        ShapeError: unless all have one number of dimensions.
    """
    if len({node_of(t).type.ndim for t in tensors.values()}) > 1:
        given = ", ".join(f"{key} {list(shape_of(t))}" for key, t in tensors.items())
        raise ShapeError(f"{name} takes tensors of one number of dimensions, not {given}")
