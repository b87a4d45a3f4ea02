"""Losses of classes and probabilities."""

from __future__ import annotations

from math import prod
from typing import Any

from ...dtypes import int64
from ...errors import DTypeError, OptionError, ShapeError
from ...graph.modes import user_warning
from ...graph.node import Node, Shape
from ...ops import elementwise as ew, movement as mv, reduce as rd
from ...ops.base import broadcast
from ...ops.index import take
from ...ops.loss import binary_cross_entropy as bce, in_range
from ...tensors.autocasting import in_full_precision
from ...tensors.core import node_of, wrap
from ...tensors.elementwise import exp, promoted
from ...tensors.special import log_softmax_node, xlogy
from ...tensors.tensor import Tensor
from .activation import logsigmoid
from .linear import linear
from .loss_chunked import LinearCrossEntropyOptions, in_pieces
from .loss_parts import (
    check_operands,
    check_same_shape,
    class_hint,
    reduced,
    reduction_of,
    shape_of,
    warn_if_normalised,
)


@in_full_precision
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy of unnormalised scores (logits) and classes.

    Shape:
        input ``[N, C]``, ``[C]`` or ``[N, C, d1, ...]``; target: class indices (int64) ``[N]``,
        ``[]`` or ``[N, d1, ...]``, or probabilities in the shape of ``input``.

    Args:
        weight: a factor for each class.
        ignore_index: this target counts for nothing.
        label_smoothing: this share of the target is spread over all classes. (Szegedy et al., 2016)

    Raises:
        ShapeError, DTypeError: for targets of another shape or dtype.
        IndexOutOfRange: when run, for a target that is no class.
        OptionError: for an ``ignore_index`` with probabilities.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise OptionError(f"label_smoothing is between 0 and 1, not {label_smoothing}")
    x, t = node_of(input), node_of(target)
    if not x.type.dtype.is_floating_point:
        raise DTypeError(f"cross_entropy takes floating logits, not {x.type.dtype}")
    dim = 0 if x.type.ndim == 1 else 1
    if x.type.ndim == 0:
        raise ShapeError("cross_entropy takes logits of shape [N, C], not a single number")
    check_class_weight("cross_entropy", x, weight, x.type.shape[dim])
    warn_if_normalised(
        "cross_entropy", x, dim, "it takes another one: give it the scores before that, the logits"
    )
    logp = log_softmax_node(x, dim) if x.type.size else x
    if t.type.shape == x.type.shape and t.type.dtype.is_floating_point:
        if ignore_index >= 0:
            raise OptionError(
                f"cross_entropy: ignore_index={ignore_index} has no meaning for a target of "
                "probabilities"
            )
        loss = _soft_cross_entropy(logp, t, dim, weight, label_smoothing)
        return reduced(wrap(loss), reduction)
    check_classes("cross_entropy", x, t, f", or probabilities as target.to({x.type.dtype})")
    return wrap(_nll(logp, t, weight, ignore_index, reduction, label_smoothing))


def check_class_weight(name: str, x: Node, weight: Tensor | None, classes: int) -> None:
    """Checks that there is a factor for each class, if any.

    Raises:
        ShapeError, DTypeError: if not, or if they are not of the input's dtype.
    """
    if weight is None:
        return
    kind = node_of(weight).type
    if kind.shape != (classes,):
        raise ShapeError(
            f"{name}: weight has shape {list(kind.shape)}, but there are {classes} classes"
        )
    if kind.dtype is not x.type.dtype:
        raise DTypeError(
            f"{name}: the input is {x.type.dtype}, but weight is {kind.dtype}: convert it with "
            f"weight.to({x.type.dtype})"
        )


def check_classes(name: str, x: Node, t: Node, or_else: str = "") -> None:
    """Checks that ``t`` holds a class for each row of ``x [N, C, ...]``.

    Args:
        or_else: what else can be done with a target in the shape of ``x``.

    Raises:
        ShapeError, DTypeError: saying what the target looks like, and what it should be.
    """
    shape = x.type.shape
    wanted = () if len(shape) == 1 else (shape[0], *shape[2:])
    hint = ""
    if t.type.shape == shape:
        hint = f". For one-hot targets pass target.argmax({min(len(shape) - 1, 1)}){or_else}"
    elif t.type.shape == (*wanted, 1):
        hint = ". Drop the last dimension with target.squeeze(-1)"
    elif len(shape) > 2 and t.type.shape == shape[:-1]:
        order = ", ".join(map(str, (0, len(shape) - 1, *range(1, len(shape) - 1))))
        hint = f". The classes seem to come last: they belong after the batch, x.permute({order})"
    if t.type.shape != wanted:
        classes = shape[1] if len(shape) > 1 else shape[0]
        raise ShapeError(
            f"{name}: for an input of shape {list(shape)} ({classes} classes) the target holds "
            f"class indices of shape {list(wanted)}, but it has shape {list(t.type.shape)}{hint}"
        )
    if t.type.dtype.name not in ("int64", "uint8"):
        text = f"{name}: class indices must be int64, not {t.type.dtype}: write target.long()"
        if t.type.dtype.is_floating_point and shape[-1 if len(shape) == 1 else 1] == 1:
            text = (
                f"{name}: one score for each sample and a target of {t.type.dtype} are for "
                "binary_cross_entropy_with_logits, with input.squeeze(1)"
            )
        raise DTypeError(text)


def _class_last(x: Node) -> Node:
    """``[N, C, ...]`` as ``[N * ..., C]``."""
    if x.type.ndim == 1:
        return mv.reshape(x, (1, *x.type.shape))
    if x.type.ndim > 2:
        x = mv.permute(x, (0, *range(2, x.type.ndim), 1))
        x = mv.reshape(x, (prod(x.type.shape[:-1]), x.type.shape[-1]))
    return x


def _nll(
    logp: Node,
    target: Node,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    smoothing: float = 0.0,
) -> Node:
    shape = target.type.shape
    rows = _class_last(logp)
    count, classes = rows.type.shape
    t = mv.reshape(ew.cast(target, int64), (count,))
    counts = ew.ne(t, ignore_index)
    t = ew.where(counts, t, 0)
    picked = take(rows, [mv.arange(count, int64), t], wrap=False)
    factor = ew.cast(counts, rows.type.dtype)
    per_class = None
    if weight is not None:
        per_class = ew.cast(node_of(weight), rows.type.dtype)
        weights = take(per_class, [t], wrap=False)
        picked, factor = ew.mul(picked, weights), ew.mul(factor, weights)
    # Chosen, not multiplied by 0: where no target counts, the mean is 0/0 as it must be, but the
    # gradient is 0.
    loss = ew.neg(ew.where(counts, picked, 0))
    if smoothing > 0.0:
        every = rows if per_class is None else ew.mul(rows, per_class)
        spread = ew.neg(rd.sum_(every, (1,)))
        spread = ew.where(counts, spread, 0)
        loss = ew.add(ew.mul(loss, 1 - smoothing), ew.mul(spread, smoothing / classes))
    if reduction == "none":
        return mv.reshape(loss, shape)
    total = rd.sum_(loss, (0,))
    return total if reduction == "sum" else ew.div(total, rd.sum_(factor, (0,)))


def _soft_cross_entropy(
    logp: Node,
    target: Node,
    dim: int,
    weight: Tensor | None,
    smoothing: float,
) -> Node:
    classes = logp.type.shape[dim]
    target = ew.cast(target, logp.type.dtype)
    if smoothing > 0.0:
        target = ew.add(ew.mul(target, 1 - smoothing), smoothing / classes)
    if weight is not None:
        row = tuple([classes if d == dim else 1 for d in range(logp.type.ndim)])
        logp = ew.mul(logp, mv.reshape(node_of(weight), row))
    return ew.neg(rd.sum_(ew.mul(logp, target), (dim,)))


@in_full_precision
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log likelihood: like :func:`cross_entropy`, of log probabilities."""
    reduction = reduction_of(reduction, size_average, reduce)
    x, t = node_of(input), node_of(target)
    if not x.type.dtype.is_floating_point:
        raise DTypeError(f"nll_loss takes floating log probabilities, not {x.type.dtype}")
    if x.type.ndim == 0:
        raise ShapeError("nll_loss takes log probabilities of shape [N, C], not a single number")
    check_class_weight("nll_loss", x, weight, x.type.shape[0 if x.type.ndim == 1 else 1])
    check_classes("nll_loss", x, t)
    warn_if_normalised(
        "nll_loss", x, 0 if x.type.ndim == 1 else 1, "it takes logarithms: use log_softmax"
    )
    return wrap(_nll(x, t, weight, ignore_index, reduction))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Class indices as rows of one 1 and zeros (int64).

    Args:
        num_classes: the length of a row; -1 for the largest index and one (which runs the graph).

    Raises:
        DTypeError: unless the indices are int64.
        OptionError: if there is no index to find the number of classes by.
        DataError: when run, for an index that is no class.
    """
    t = node_of(tensor)
    if t.type.dtype is not int64:
        raise DTypeError(f"one_hot takes int64 class indices, not {t.type.dtype}")
    if num_classes == -1:
        if t.type.size == 0:
            raise OptionError("one_hot: num_classes cannot be found by no indices: pass it")
        num_classes = int(tensor.max().item()) + 1
    t = in_range(t, f"one_hot takes class indices from 0 to {num_classes - 1}", 0, num_classes - 1)
    column = mv.reshape(t, (*t.type.shape, 1))
    return wrap(ew.cast(ew.eq(column, mv.arange(num_classes, int64)), int64))


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: LinearCrossEntropyOptions | None = None,
) -> Tensor:
    """:func:`cross_entropy` of ``linear(input, linear_weight, linear_bias)``.

    Args:
        options: compute in pieces of the batch; for class indices without smoothing.

    Shape:
        input ``[N, features]`` or ``[features]``; linear_weight ``[C, *, features]``; linear_bias
        ``[C, *]``; target ``[N, *]`` or ``[]`` (class indices), or probabilities ``[N, C, *]``.

    Raises:
        ShapeError: for other shapes.
        OptionError: for an ``ignore_index`` with probabilities.
    """
    name = "linear_cross_entropy"
    x, w = shape_of(input), shape_of(linear_weight)
    if len(x) not in (1, 2) or len(w) < 2 or x[-1] != w[-1] or len(x) < min(len(w), 3) - 1:
        raise ShapeError(
            f"{name} takes an input [N, features] and a linear_weight [C, ..., features], or "
            f"[features] and [C, features], not {list(x)} and {list(w)}"
        )
    if linear_bias is not None and shape_of(linear_bias) != w[:-1]:
        raise ShapeError(
            f"{name}: linear_bias must have shape {list(w[:-1])}, not {list(shape_of(linear_bias))}"
        )
    if ignore_index is not None and shape_of(target) == (*x[:-1], *w[:-1]):
        raise OptionError(f"{name}: ignore_index has no meaning for probabilities")
    ignored = -100 if ignore_index is None else ignore_index
    if options is not None and len(w) == 2 and target.dtype is int64 and label_smoothing == 0:
        losses = _in_pieces(input, linear_weight, linear_bias, target, weight, ignored, options)
        return _reduced_classes(losses, target, weight, ignored, reduction_of(reduction))
    if options is not None:
        user_warning(
            f"{name}: options are for class indices (int64), a linear_weight [C, features] and no "
            "label_smoothing: all rows are computed at once"
        )
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = linear(input, linear_weight.reshape(-1, w[-1]), bias).reshape(*x[:-1], *w[:-1])
    return cross_entropy(
        logits,
        target,
        weight,
        ignore_index=ignored,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def _in_pieces(
    x: Tensor,
    linear_weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    weight: Tensor | None,
    ignored: int,
    options: LinearCrossEntropyOptions,
) -> Tensor:
    """The losses in the shape of the target."""
    if x.ndim == 1:
        x, target = x.unsqueeze(0), target.unsqueeze(0)
        return _in_pieces(x, linear_weight, bias, target, weight, ignored, options).squeeze(0)
    if target.shape != x.shape[:1]:
        raise ShapeError(
            f"linear_cross_entropy: for an input of shape {list(x.shape)} the target holds class "
            f"indices of shape {list(x.shape[:1])}, but it has shape {list(target.shape)}"
        )

    def loss(logits: Tensor, classes: Tensor) -> Tensor:
        factors = None if weight is None else weight.to(logits.dtype)
        return cross_entropy(logits, classes, factors, ignore_index=ignored, reduction="none")

    return in_pieces(loss, x, linear_weight, bias, target, options)


def _reduced_classes(
    losses: Tensor, target: Tensor, weight: Tensor | None, ignored: int, reduction: str
) -> Tensor:
    """As :func:`cross_entropy`: the mean is over the factors of the classes that count."""
    if reduction != "mean":
        return reduced(losses, reduction)
    counts: Any = target != ignored
    factors = counts.to(losses.dtype)
    if weight is not None:
        factors = factors * weight.to(losses.dtype)[target.where(counts, 0)]
    mean: Tensor = losses.sum() / factors.sum()
    return mean


# ---- of two classes


def _check_binary(name: str, input: Tensor, target: Tensor) -> None:
    a, b = node_of(input).type, node_of(target).type
    hint = ""
    if a.ndim == b.ndim + 1:
        last = ". Drop the last dimension with input.squeeze(-1)"
        hint = last if a.shape[-1] == 1 else class_hint(input, target)
    elif target.ndim == input.ndim + 1 and target.shape[-1] == 1:
        hint = ". Drop the last dimension with target.squeeze(-1)"
    check_same_shape(name, input, target, hint)
    for what, tensor in (("input", input), ("target", target)):
        if not tensor.dtype.is_floating_point:
            raise DTypeError(
                f"{name} takes floating values, but the {what} is {tensor.dtype}: write "
                f"{what}.float()"
            )


def _factor(name: str, what: str, factor: Tensor, shape: Shape) -> Tensor:
    """A factor that broadcasts to ``shape``."""
    if broadcast(f"{name}, {what}", shape_of(factor), shape) != shape:
        raise ShapeError(
            f"{name}: {what} of shape {list(shape_of(factor))} does not broadcast to the input's "
            f"{list(shape)}"
        )
    return factor


@in_full_precision
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross entropy of probabilities ``input`` and ``target``, in one shape.

    Logarithms are held above -100. Where ``input`` comes from a sigmoid,
    :func:`binary_cross_entropy_with_logits` is more exact.

    Args:
        weight: a factor for each element; it broadcasts.

    Raises:
        ShapeError, DTypeError: unless both are floating and of one shape.
        DataError: when run, for values outside of [0, 1].
    """
    name = "binary_cross_entropy"
    reduction = reduction_of(reduction, size_average, reduce)
    _check_binary(name, input, target)
    p, t = promoted(input, target)
    p = in_range(
        p,
        f"{name} takes probabilities between 0 and 1 (put logits through sigmoid, or use "
        f"{name}_with_logits)",
        0.0,
        1.0,
    )
    t = in_range(t, f"{name} takes targets between 0 and 1", 0.0, 1.0)
    loss = wrap(bce(p, t))
    if weight is not None:
        loss = loss * _factor(name, "weight", weight, shape_of(loss))
    return reduced(loss, reduction)


@in_full_precision
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """:func:`binary_cross_entropy` of ``sigmoid(input)``, without its overflows.

    Args:
        weight: a factor for each element; it broadcasts.
        pos_weight: a factor for positive targets; it broadcasts.

    Raises:
        ShapeError, DTypeError: unless both are floating and of one shape.
    """
    name = "binary_cross_entropy_with_logits"
    reduction = reduction_of(reduction, size_average, reduce)
    _check_binary(name, input, target)
    warn_if_normalised(
        name, node_of(input), None, "it takes another one: give it the logits before that"
    )
    log_p = logsigmoid(input)
    if pos_weight is not None:
        more = _factor(name, "pos_weight", pos_weight, shape_of(target)) - 1
        log_p = log_p * (more * target + 1)
    loss = (1 - target) * input - log_p
    if weight is not None:
        loss = loss * _factor(name, "weight", weight, shape_of(loss))
    return reduced(loss, reduction)


@in_full_precision
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence of ``input`` (log probabilities) from ``target``.

    (Kullback and Leibler, 1951)

    Args:
        reduction: besides the usual ones "batchmean": the sum over the size of dimension 0, which
            is the divergence by its definition.
        log_target: ``target`` holds log probabilities too.

    Raises:
        ShapeError: if both would broadcast, which gives a wrong loss.
    """
    flags = size_average is not None or reduce is not None
    names = ("mean", "sum", "none", "batchmean")
    reduction = reduction_of(reduction, size_average, reduce, names)
    if reduction == "mean" and not flags:
        user_warning(
            "kl_div: reduction='mean' divides by the number of elements; 'batchmean' divides by "
            "the size of the batch, which is the divergence by its definition"
        )
    check_operands("kl_div", input, target)
    if input.ndim:
        last = "it takes logarithms of probabilities: use log_softmax"
        warn_if_normalised("kl_div", node_of(input), input.ndim - 1, last)
    if log_target:
        loss = exp(target) * (target - input)
    else:
        loss = xlogy(target, target) - target * input
    if reduction != "batchmean":
        return reduced(loss, reduction)
    total = reduced(loss, "sum")
    return total / input.shape[0] if input.ndim else total
