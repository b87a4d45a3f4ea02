"""Losses that ask for a distance, and are 0 where it is there."""

from __future__ import annotations

from collections.abc import Callable

from ...dtypes import int64
from ...errors import DTypeError, OptionError, ShapeError
from ...graph.node import Node
from ...ops import elementwise as ew, movement as mv, reduce as rd
from ...ops.index import take
from ...tensors.autocasting import in_full_precision
from ...tensors.core import node_of, wrap
from ...tensors.elementwise import clamp_min, minimum, where
from ...tensors.tensor import Tensor
from .activation import logsigmoid, softplus_node
from .distance import pairwise_distance
from .loss import check_class_weight, check_classes
from .loss_parts import (
    check_operands,
    check_ranks,
    check_same_shape,
    reduced,
    reduction_of,
    shape_of,
)


@in_full_precision
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``input`` where ``target`` is 1, ``max(0, margin - input)`` where it is -1.

    Raises:
        ShapeError: if both would broadcast, which gives a wrong loss.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    check_operands("hinge_embedding_loss", input, target, floating=False)
    far = where(target != 1, clamp_min(margin - input, 0), 0)
    near = where(target != -1, input, 0)
    return reduced(far + near, reduction)


@in_full_precision
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, margin - target * (input1 - input2))``: 1 asks for a larger ``input1``, -1 for less.

    Raises:
        ShapeError: unless all have one number of dimensions.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    check_ranks("margin_ranking_loss", input1=input1, input2=input2, target=target)
    return reduced(clamp_min(-target * (input1 - input2) + margin, 0), reduction)


@in_full_precision
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``1 - cos(input1, input2)`` where ``target`` is 1, ``max(0, cos - margin)`` where it is -1.

    Shape:
        Inputs ``[N, D]`` and target ``[N]``, or ``[D]`` and ``[]``.

    Raises:
        ShapeError: for other shapes.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    shapes = shape_of(input1), shape_of(input2), shape_of(target)
    rank = len(shapes[2])
    if rank > 1 or any(len(s) != rank + 1 for s in shapes[:2]):
        raise ShapeError(
            "cosine_embedding_loss takes inputs [N, D] and a target [N] of 1 and -1, or [D] and "
            f"[], not {', '.join(str(list(s)) for s in shapes)}"
        )
    sizes = [(x * x).sum(rank) + 1e-12 for x in (input1, input2)]
    cosine = (input1 * input2).sum(rank) / (sizes[0] * sizes[1]).sqrt()
    near = where(target == 1, 1 - cosine, 0)
    far = where(target == -1, clamp_min(cosine - margin, 0), 0)
    return reduced(near + far, reduction)


@in_full_precision
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``log(1 + exp(-target * input))`` for targets 1 and -1.

    Raises:
        ShapeError: if both would broadcast, which gives a wrong loss.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    check_operands("soft_margin_loss", input, target)
    return reduced(wrap(softplus_node(node_of(-target * input))), reduction)


# ---- of classes


@in_full_precision
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Mean over the classes of ``max(0, margin - input[target] + input[class]) ** p``.

    (Crammer and Singer, 2001)

    Shape:
        input ``[N, C]`` or ``[C]``, target ``[N]`` or ``[]`` (class indices, int64).

    Args:
        p: 1 or 2.
        weight: a factor for each class, ``[C]``.

    Raises:
        ShapeError, DTypeError: for other shapes or dtypes.
        OptionError: for another ``p``.
        IndexOutOfRange: when run, for a target that is no class.
    """
    name = "multi_margin_loss"
    reduction = reduction_of(reduction, size_average, reduce)
    if p not in (1, 2):
        raise OptionError(f"{name}: p must be 1 or 2, not {p}")
    x, t = _rows(name, input), node_of(target)
    scores = node_of(input) if input.ndim else mv.reshape(x, (1,))
    if scores.type.ndim == 1 and t.type.shape == (1,):
        t = mv.reshape(t, ())
    count, classes = x.type.shape
    check_class_weight(name, x, weight, classes)
    check_classes(name, scores, t)
    t = mv.reshape(ew.cast(t, int64), (count,))
    rows = mv.arange(count, int64)
    own = mv.reshape(take(x, [rows, t], wrap=False), (count, 1))
    over = ew.relu(ew.add(ew.sub(x, own), margin))
    if p == 2:
        over = ew.mul(over, over)
    if weight is not None:
        factors = take(node_of(weight), [t], wrap=False)
        over = ew.mul(over, mv.reshape(factors, (count, 1)))
    other = ew.ne(mv.arange(classes, int64), mv.reshape(t, (count, 1)))
    loss = ew.div(rd.sum_(ew.where(other, over, 0), (1,)), classes)
    return reduced(wrap(mv.reshape(loss, shape_of(input)[:-1])), reduction)


def _rows(name: str, input: Tensor) -> Node:
    """``[N, C]`` of floating scores, also from one row ``[C]`` or a single number."""
    x = node_of(input)
    if not x.type.dtype.is_floating_point:
        raise DTypeError(f"{name} takes floating scores, not {x.type.dtype}")
    if x.type.ndim > 2 or x.type.shape[-1:] == (0,):
        raise ShapeError(f"{name} takes scores of shape [N, C] or [C], not {list(x.type.shape)}")
    return mv.reshape(x, (1,) * (2 - x.type.ndim) + x.type.shape)


@in_full_precision
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Sum of ``max(0, 1 - input[label] + input[other])`` over labels and other classes, over ``C``.

    Shape:
        input ``[N, C]`` or ``[C]``; target likewise (int64): the labels of each row, then -1.

    Raises:
        ShapeError, DTypeError: for other shapes or dtypes.
        IndexOutOfRange: when run, for a label that is no class.
    """
    name = "multilabel_margin_loss"
    reduction = reduction_of(reduction, size_average, reduce)
    x = _rows(name, input)
    check_same_shape(
        name, input, target, ": each row of the target lists the labels of its row, then -1"
    )
    if target.dtype is not int64:
        raise DTypeError(f"{name}: labels must be int64, not {target.dtype}: write target.long()")
    count, classes = x.type.shape
    t = mv.reshape(node_of(target), (count, classes))
    listed = ew.eq(rd.cumsum(ew.cast(ew.lt(t, 0), int64), 1), 0)  # in front of the first -1
    labels = ew.where(listed, t, 0)
    rows = mv.reshape(mv.arange(count, int64), (count, 1))
    own = mv.reshape(take(x, [rows, labels], wrap=False), (count, classes, 1))
    over = ew.relu(ew.add(ew.sub(mv.reshape(x, (count, 1, classes)), own), 1))
    column = (count, classes, 1)
    named = ew.logical_and(
        ew.eq(mv.reshape(labels, column), mv.arange(classes, int64)), mv.reshape(listed, column)
    )
    is_label = rd.max_(named, (1,), True)
    counts = ew.logical_and(mv.reshape(listed, column), ew.logical_not(is_label))
    loss = ew.div(rd.sum_(ew.where(counts, over, 0), (1, 2)), classes)
    return reduced(wrap(mv.reshape(loss, shape_of(input)[:-1])), reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross entropy of logits, averaged over the classes (the last dimension).

    Args:
        weight: a factor for each class.

    Raises:
        ShapeError: unless input and target have one shape.
    """
    name = "multilabel_soft_margin_loss"
    reduction = reduction_of(reduction, size_average, reduce)
    check_operands(name, input, target)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduced(loss.mean(-1), reduction)


# ---- of triplets


def check_margin(name: str, margin: float) -> None:
    """Raises OptionError unless ``margin`` is positive."""
    if margin <= 0:
        raise OptionError(f"{name}: margin must be positive, not {margin}")


@in_full_precision
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, |anchor - positive| - |anchor - negative| + margin)``.

    (Balntas et al., 2016)

    Args:
        p: the order of the norm, over the last dimension.
        eps: added to differences.
        swap: measure from ``positive`` to ``negative`` where that is less.

    Raises:
        ShapeError: unless all have one number of dimensions.
        OptionError: unless ``margin`` is positive.
    """
    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda a, b: pairwise_distance(a, b, p, eps),
        margin=margin,
        swap=swap,
        reduction=reduction_of(reduction, size_average, reduce),
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """:func:`triplet_margin_loss` by any distance; :func:`pairwise_distance` by default."""
    reduction = reduction_of(reduction)
    check_margin("triplet_margin_loss", margin)
    check_ranks("triplet_margin_loss", anchor=anchor, positive=positive, negative=negative)
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced(clamp_min(near - far + margin, 0), reduction)
