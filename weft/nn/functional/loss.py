"""Losses."""

from __future__ import annotations

from math import prod

from ...dtypes import int64
from ...errors import DTypeError, ShapeError, did_you_mean
from ...graph.node import Node
from ...ops import elementwise as ew, movement as mv, reduce as rd
from ...ops.index import take
from ...tensors.core import node_of, wrap
from ...tensors.special import log_softmax_node
from ...tensors.tensor import Tensor


def _reduced(loss: Node, reduction: str) -> Node:
    dims = tuple(range(loss.type.ndim))
    if reduction == "none":
        return loss
    total = rd.sum_(loss, dims)
    return total if reduction == "sum" else ew.div(total, loss.type.size)


def reduction_of(
    reduction: str, size_average: bool | None = None, reduce: bool | None = None
) -> str:
    """The reduction: "mean", "sum" or "none", also as the two flags that it once was in PyTorch.

    Raises:
        ValueError: for anything else.
    """
    if size_average is not None or reduce is not None:
        if reduce is False:
            return "none"
        return "sum" if size_average is False else "mean"
    names = ("mean", "sum", "none")
    if reduction not in names:
        raise ValueError(
            f"reduction={reduction!r} must be 'mean', 'sum' or 'none'."
            f"{did_you_mean(str(reduction), names)}"
        )
    return reduction


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Squared difference, times ``weight`` where there is one.

    Raises:
        ShapeError: if both would broadcast, which gives a wrong loss.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    x, t = node_of(input), node_of(target)
    if x.type.shape != t.type.shape:
        raise ShapeError(
            f"mse_loss: the input has shape {list(x.type.shape)} and the target "
            f"{list(t.type.shape)}; they would broadcast to a wrong loss. Give both one shape, "
            "for example with input.squeeze(-1) or target.unsqueeze(-1)"
        )
    difference = node_of(input - target)
    loss = ew.mul(difference, difference)
    if weight is None:
        return wrap(_reduced(loss, reduction))
    if node_of(weight).type.shape != x.type.shape:
        raise ShapeError(
            f"mse_loss: weight has shape {list(node_of(weight).type.shape)}, but the input has "
            f"{list(x.type.shape)}"
        )
    factor = ew.cast(node_of(weight), loss.type.dtype)
    loss = ew.mul(loss, factor)
    if reduction != "mean":
        return wrap(_reduced(loss, reduction))
    return wrap(ew.div(_reduced(loss, "sum"), _reduced(factor, "sum")))


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
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing is between 0 and 1, not {label_smoothing}")
    x, t = node_of(input), node_of(target)
    if not x.type.dtype.is_floating_point:
        raise DTypeError(f"cross_entropy takes floating logits, not {x.type.dtype}")
    dim = 0 if x.type.ndim == 1 else 1
    if x.type.ndim == 0:
        raise ShapeError("cross_entropy takes logits of shape [N, C], not a single number")
    _check_weight("cross_entropy", weight, x.type.shape[dim])
    logp = log_softmax_node(x, dim) if x.type.size else x
    if t.type.shape == x.type.shape and t.type.dtype.is_floating_point:
        return wrap(_soft_cross_entropy(logp, t, dim, weight, reduction, label_smoothing))
    _check_classes("cross_entropy", x, t)
    return wrap(_nll(logp, t, weight, ignore_index, reduction, label_smoothing))


def _check_weight(name: str, weight: Tensor | None, classes: int) -> None:
    if weight is not None and node_of(weight).type.shape != (classes,):
        raise ShapeError(
            f"{name}: weight has shape {list(node_of(weight).type.shape)}, but there are {classes} "
            "classes"
        )


def _check_classes(name: str, x: Node, t: Node) -> None:
    shape = x.type.shape
    wanted = () if len(shape) == 1 else (shape[0], *shape[2:])
    hint = ""
    if t.type.shape == shape:
        hint = (
            ". For one-hot targets pass target.argmax(1), or probabilities as "
            f"target.to({x.type.dtype})"
        )
    elif t.type.shape == (*wanted, 1):
        hint = ". Drop the last dimension with target.squeeze(-1)"
    if t.type.shape != wanted:
        classes = shape[1] if len(shape) > 1 else shape[0]
        raise ShapeError(
            f"{name}: for an input of shape {list(shape)} ({classes} classes) the target holds "
            f"class indices of shape {list(wanted)}, but it has shape {list(t.type.shape)}{hint}"
        )
    if t.type.dtype.name not in ("int64", "uint8"):
        raise DTypeError(
            f"{name}: class indices must be int64, not {t.type.dtype}: write target.long()"
        )


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
    reduction: str,
    smoothing: float,
) -> Node:
    classes = logp.type.shape[dim]
    target = ew.cast(target, logp.type.dtype)
    if smoothing > 0.0:
        target = ew.add(ew.mul(target, 1 - smoothing), smoothing / classes)
    if weight is not None:
        row = tuple([classes if d == dim else 1 for d in range(logp.type.ndim)])
        logp = ew.mul(logp, mv.reshape(node_of(weight), row))
    loss = ew.neg(rd.sum_(ew.mul(logp, target), (dim,)))
    return _reduced(loss, reduction)


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
    if x.type.ndim == 0:
        raise ShapeError("nll_loss takes log probabilities of shape [N, C], not a single number")
    _check_weight("nll_loss", weight, x.type.shape[0 if x.type.ndim == 1 else 1])
    _check_classes("nll_loss", x, t)
    return wrap(_nll(x, t, weight, ignore_index, reduction))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Class indices as rows of one 1 and zeros (int64).

    Raises:
        DTypeError: unless the indices are int64.
    """
    t = node_of(tensor)
    if t.type.dtype is not int64:
        raise DTypeError(f"one_hot takes int64 class indices, not {t.type.dtype}")
    if num_classes == -1:
        num_classes = int(tensor.max().item()) + 1 if t.type.size else 0
    column = mv.reshape(t, (*t.type.shape, 1))
    return wrap(ew.cast(ew.eq(column, mv.arange(num_classes, int64)), int64))
