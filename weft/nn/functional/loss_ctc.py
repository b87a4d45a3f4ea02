"""Connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from ...autograd.function import Function
from ...autograd.modes import enable_grad, is_grad_enabled
from ...dtypes import int64
from ...errors import DTypeError, OptionError, ShapeError
from ...graph.device import ANYWHERE
from ...graph.modes import user_warning
from ...graph.node import Node
from ...ops import elementwise as ew, movement as mv, reduce as rd
from ...ops.index import take
from ...ops.loss import ctc_likelihood, ctc_occupancy
from ...tensors.autocasting import in_full_precision
from ...tensors.core import node_of, wrap
from ...tensors.creation import arange, as_leaf, full
from ...tensors.differentiate import grad
from ...tensors.elementwise import where
from ...tensors.statistics import part
from ...tensors.tensor import Tensor
from .loss_parts import reduced, reduction_of
from .padding import pad

_NEVER = -1e30  # in place of log(0): differences of these are finite


@in_full_precision
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Negative log likelihood of label sequences that are not aligned to the input.

    Summed over all ways to spread the labels over time, with blanks between them. (Graves et al.,
    2006) The gradient takes ``log_probs`` for the result of :func:`log_softmax`, as PyTorch's does.

    Shape:
        log_probs ``[T, N, C]`` or ``[T, C]``; targets ``[N, S]`` or ``[S]`` (integers), or those of
        all samples in one row; lengths ``[N]`` or ``[]``.

    Args:
        input_lengths: how many of the ``T`` steps count, for each sample.
        target_lengths: how many labels there are, for each sample. They are needed at once if all
            targets are in one row: this runs what they depend on.
        blank: the class that stands for no label.
        reduction: "mean" divides each loss by its number of labels.
        zero_infinity: 0 for a sample whose labels do not fit into its time.

    Raises:
        ShapeError, DTypeError: for shapes and dtypes other than those.
        OptionError: for lengths or labels that are out of range; for those of tensors (DataError)
            when it is run.
    """
    reduction = reduction_of(reduction)
    x = node_of(log_probs)
    if not x.type.dtype.is_floating_point or x.type.dtype.is_reduced:
        raise DTypeError(f"ctc_loss takes float32 or float64, not {x.type.dtype}")
    if x.type.ndim not in (2, 3):
        raise ShapeError(
            f"ctc_loss takes log probabilities [T, N, C] or [T, C], not shape {list(x.type.shape)}"
        )
    batched = x.type.ndim == 3
    if not batched:
        x = mv.reshape(x, (x.type.shape[0], 1, x.type.shape[1]))
    steps, count, classes = x.type.shape
    if not 0 <= blank < classes:
        raise OptionError(f"ctc_loss: blank={blank} is none of the {classes} classes")
    times = _lengths("input_lengths", input_lengths, count, steps)
    labels, sizes = _labels(targets, target_lengths, count)
    _warn_of_blanks(node_of(targets).value, sizes.value, blank)
    loss = node_of(_Loss.apply(wrap(x), *map(wrap, (labels, times, sizes)), blank))
    loss = ew.where(ew.gt(loss, -_NEVER / 2), 0.0 if zero_infinity else np.inf, loss)
    if reduction == "mean":
        loss = ew.div(loss, ew.cast(ew.maximum(sizes, 1), x.type.dtype))
    return reduced(wrap(loss if batched else mv.reshape(loss, ())), reduction)


def _lengths(name: str, given: Tensor | Sequence[int], count: int, most: int) -> Node:
    """``[N]``, int64. Those of a Tensor are looked at when it is run."""
    if isinstance(given, Tensor):
        lengths = _integers(name, given)
        if lengths.type.size != count or lengths.type.ndim > 1:
            raise ShapeError(
                f"ctc_loss: {name} of shape {list(given.shape)} for a batch of {count}"
            )
        return mv.reshape(lengths, (count,))
    values = [int(n) for n in np.atleast_1d(given)]
    if len(values) != count:
        raise ShapeError(f"ctc_loss: {name} has {len(values)} lengths for a batch of {count}")
    wrong = [n for n in values if not 0 <= n <= most]
    if wrong:
        raise OptionError(f"ctc_loss: {name} must be between 0 and {most}, not {wrong[0]}")
    return _constant(values)


def _integers(name: str, given: Tensor) -> Node:
    node = node_of(given)
    if node.type.dtype.category != 1:
        raise DTypeError(f"ctc_loss: {name} must be integers, not {node.type.dtype}")
    return ew.cast(node, int64)


def _labels(
    targets: Tensor, target_lengths: Tensor | Sequence[int], count: int
) -> tuple[Node, Node]:
    """The labels of each sample in a row of their own, and how many there are."""
    labels = _integers("targets", targets)
    shape = labels.type.shape
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[0] != count):
        raise ShapeError(
            f"ctc_loss takes targets [N, S], or all in one row, for a batch of {count}, not shape "
            f"{list(shape)}"
        )
    if len(shape) == 2:
        return labels, _lengths("target_lengths", target_lengths, count, shape[1])
    given = target_lengths.tolist() if isinstance(target_lengths, Tensor) else target_lengths
    sizes = _lengths("target_lengths", given, count, shape[0])
    each = np.atleast_1d(np.array(given, np.int64))
    ends = np.cumsum(each)
    if each.sum() != shape[0]:
        raise ShapeError(
            f"ctc_loss: target_lengths add up to {each.sum()}, but there are {shape[0]} targets"
        )
    places = (ends - each)[:, None] + np.arange(each.max(initial=0))
    places = np.minimum(places, max(shape[0] - 1, 0))
    return take(labels, [_constant(places)]), sizes


def _constant(values: Any) -> Node:
    return as_leaf(np.asarray(values))


def _warn_of_blanks(labels: Any, sizes: Any, blank: int) -> None:
    """Where the values are there: nothing is run for it."""
    if not isinstance(labels, np.ndarray) or not isinstance(sizes, np.ndarray):
        return
    counted = labels.ndim == 1 or np.arange(labels.shape[1]) < sizes[:, None]
    if np.any((labels == blank) & counted):
        user_warning(
            f"ctc_loss: a target is {blank}, which is the blank. Are target_lengths without the "
            "padding?"
        )


class _Loss(Function):
    """Minus the log probability of all alignments, ``[N]``, by loops over time in one op.

    Its gradient takes the input for the result of :func:`log_softmax`, which turns the
    probabilities, with which it is added up here, into nothing. Gradients of gradients take the
    loop as a graph.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *rest: Any) -> Tensor:
        *tables, ctx.blank = rest
        ctx.save_for_backward(x, *tables)
        return -wrap(ctc_likelihood(ctx.blank, *map(node_of, (x, *tables))))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, *tables = ctx.saved_tensors
        if is_grad_enabled():
            with enable_grad():
                loss = _as_graph(ctx.blank, x, *tables)
            (found,) = grad(loss, x, g, create_graph=True)
        else:
            occupied = wrap(ctc_occupancy(ctx.blank, *map(node_of, (x, *tables))))
            found = (where(_counted(x, tables[1]), x.exp(), 0) - occupied) * g.reshape(-1, 1)
        return found, None, None, None, None


def _counted(x: Tensor, times: Tensor) -> Tensor:
    """Does the step count? ``[T, N, 1]``"""
    step = arange(x.shape[0], device=ANYWHERE).reshape(-1, 1, 1)
    return step.lt(times.reshape(-1, 1))


def _as_graph(blank: int, x: Tensor, labels: Tensor, times: Tensor, sizes: Tensor) -> Tensor:
    """The same, recorded step by step.

    ``alpha[n, s]`` is that of all beginnings which have come to place ``s`` of the sample's labels
    with a blank around each: ``blank, label, blank, ...``. A place is reached from itself, from the
    one before, and from the label before if that is another one.
    """
    steps, count, _ = x.shape
    most = labels.shape[1]
    sizes = sizes.reshape(-1, 1)
    places = full((count, 2 * most + 1), blank, device=ANYWHERE)
    inside = arange(most, device=ANYWHERE) < sizes
    places[:, 1::2] = where(inside, labels, blank)
    kind, width = x.dtype, places.shape[1]

    def never_but(allowed: Tensor) -> Tensor:
        return where(allowed, 0.0, _NEVER).to(kind)

    now = arange(width, device=ANYWHERE)
    last = 2 * sizes - now
    jumps = (places[:, 2:] != blank) & (places[:, 2:] != places[:, :-2])
    skip = node_of(pad(never_but(jumps), (2, 0), value=_NEVER))
    alpha = node_of(never_but(now == 0).expand(count, width))
    counted = node_of(_counted(x, times))
    row = arange(count, device=ANYWHERE).reshape(-1, 1)
    emitted = x.permute(1, 2, 0)[row, places].clamp(min=_NEVER)
    for t in range(steps):
        before = mv.pad(alpha, ((0, 0), (2, 0)), _NEVER)
        one, two = (part(before, 1, k, k + width) for k in (1, 0))
        after = ew.add(_log_sum((alpha, one, ew.add(two, skip))), node_of(emitted[..., t]))
        alive = mv.reshape(part(counted, 0, t, t + 1), (count, 1))
        alpha = ew.where(alive, after, alpha)
    done = ew.add(alpha, node_of(never_but((last == 0) | (last == 1))))
    most_probable = ew.detach(rd.max_(done, (1,), True))
    total = rd.sum_(ew.exp(ew.sub(done, most_probable)), (1,))
    likelihood = wrap(ew.add(mv.reshape(most_probable, (count,)), ew.log(total)))
    probable = where(wrap(counted), x.exp(), 0).sum((0, 2))
    return probable - probable.detach() - likelihood


def _log_sum(terms: Sequence[Node]) -> Node:
    most = ew.detach(reduce(ew.maximum, terms))
    return ew.add(most, ew.log(reduce(ew.add, [ew.exp(ew.sub(x, most)) for x in terms])))
