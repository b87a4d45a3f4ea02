"""Connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np

from ...autograd.function import Function
from ...autograd.modes import enable_grad, is_grad_enabled
from ...errors import DTypeError, ShapeError
from ...graph.modes import user_warning
from ...graph.node import Node
from ...ops import elementwise as ew, movement as mv, reduce as rd
from ...ops.index import take
from ...ops.loss import ctc_likelihood, ctc_occupancy
from ...tensors.autocasting import in_full_precision
from ...tensors.core import node_of, wrap
from ...tensors.creation import as_leaf
from ...tensors.differentiate import grad
from ...tensors.statistics import part
from ...tensors.tensor import Tensor
from .loss_parts import reduced, reduction_of

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
        target_lengths: how many labels there are, for each sample. Lengths and targets are needed
            at once: this runs what they depend on.
        blank: the class that stands for no label.
        reduction: "mean" divides each loss by its number of labels.
        zero_infinity: 0 for a sample whose labels do not fit into its time.

    Raises:
        ShapeError, DTypeError: for shapes and dtypes other than those.
        ValueError: for lengths or labels that are out of range.
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
        raise ValueError(f"ctc_loss: blank={blank} is none of the {classes} classes")
    times = _lengths("input_lengths", input_lengths, count, steps)
    labels = _labels(targets, target_lengths, count, classes, blank)
    loss = ew.add(_alignments(x, labels, times, blank), _of_softmax(x, times))
    loss = ew.where(ew.gt(loss, -_NEVER / 2), 0.0 if zero_infinity else np.inf, loss)
    if reduction == "mean":
        sizes = [max(len(row), 1) for row in labels]
        loss = ew.div(loss, _constant(np.array(sizes, x.type.dtype.numpy)))
    return reduced(wrap(loss if batched else mv.reshape(loss, ())), reduction)


def _lengths(name: str, given: Tensor | Sequence[int], count: int, most: int) -> list[int]:
    if isinstance(given, Tensor) and given.dtype.is_floating_point:
        raise DTypeError(f"ctc_loss: {name} must be integers, not {given.dtype}")
    values: Any = given.tolist() if isinstance(given, Tensor) else given
    lengths = list(map(int, values)) if isinstance(values, Sequence) else [int(values)]
    if len(lengths) != count:
        raise ShapeError(f"ctc_loss: {name} has {len(lengths)} lengths for a batch of {count}")
    wrong = [n for n in lengths if not 0 <= n <= most]
    if wrong:
        raise ValueError(f"ctc_loss: {name} must be between 0 and {most}, not {wrong[0]}")
    return lengths


def _labels(
    targets: Tensor, target_lengths: Tensor | Sequence[int], count: int, classes: int, blank: int
) -> list[list[int]]:
    """The labels of each sample."""
    if targets.dtype.is_floating_point:
        raise DTypeError(f"ctc_loss: targets must be integers, not {targets.dtype}")
    if targets.ndim not in (1, 2) or (targets.ndim == 2 and targets.shape[0] != count):
        raise ShapeError(
            f"ctc_loss takes targets [N, S], or all in one row, for a batch of {count}, not shape "
            f"{list(targets.shape)}"
        )
    lengths = _lengths("target_lengths", target_lengths, count, targets.shape[-1])
    if targets.ndim == 2:
        rows = [row[:n] for row, n in zip(targets.tolist(), lengths, strict=True)]
    else:
        ends = np.cumsum([0, *lengths]).tolist()
        if ends[-1] != targets.shape[0]:
            raise ShapeError(
                f"ctc_loss: target_lengths add up to {ends[-1]}, but there are {targets.shape[0]} "
                "targets"
            )
        rows = [targets.tolist()[a:b] for a, b in pairwise(ends)]
    wrong = [label for row in rows for label in row if not 0 <= label < classes]
    if wrong:
        raise ValueError(f"ctc_loss: target {wrong[0]} is none of the {classes} classes")
    if any(blank in row for row in rows):
        user_warning(
            f"ctc_loss: a target is {blank}, which is the blank. Are target_lengths without the "
            "padding?"
        )
    return rows


def _constant(values: Any) -> Node:
    return as_leaf(np.asarray(values))


def _alignments(x: Node, labels: list[list[int]], times: list[int], blank: int) -> Node:
    """Minus the log of the summed probability of all alignments, ``[N]``.

    ``alpha[n, s]`` is that of all beginnings which have come to place ``s`` of the sample's labels
    with a blank around each: ``blank, label, blank, ...``. A place is reached from itself, from the
    one before, and from the label before if that is another one.
    """
    count, kind = len(labels), x.type.dtype
    width = 2 * max(map(len, labels), default=0) + 1
    places = np.full((count, width), blank)
    starts, skips, ends = np.full((3, count, width), _NEVER, kind.numpy)
    for n, row in enumerate(labels):
        places[n, 1 : 2 * len(row) : 2] = row
        ends[n, max(2 * len(row) - 1, 0) : 2 * len(row) + 1] = 0
    starts[:, 0] = 0  # before the first step
    skips[:, 2:][(places[:, 2:] != blank) & (places[:, 2:] != places[:, :-2])] = 0

    by_class = mv.permute(x, (1, 2, 0))
    emitted = take(by_class, [_constant(np.arange(count)[:, None]), _constant(places)])
    emitted = mv.permute(ew.maximum(emitted, _NEVER), (2, 0, 1))
    tables = [wrap(_constant(table)) for table in (starts, skips, ends, np.array(times))]
    return ew.neg(node_of(_Aligned.apply(wrap(emitted), *tables)))


class _Aligned(Function):
    """The log probability of all alignments ``[N]``, by loops over time in one op.

    Gradients of gradients take the loop as a graph.
    """

    @staticmethod
    def forward(ctx: Any, emitted: Tensor, *tables: Tensor) -> Tensor:
        ctx.save_for_backward(emitted, *tables)
        return wrap(ctc_likelihood(*map(node_of, (emitted, *tables))))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        emitted, *tables = ctx.saved_tensors
        again = is_grad_enabled()
        if not again:
            occupied = wrap(ctc_occupancy(*map(node_of, (emitted, *tables))))
            return g.reshape(-1, 1) * occupied, None, None, None, None
        with enable_grad():
            total = _as_graph(emitted, tables)
        if not total.requires_grad:  # no step counts
            return None, None, None, None, None
        (found,) = grad(total, emitted, g, create_graph=True)
        return found, None, None, None, None


def _as_graph(emitted: Tensor, tables: Sequence[Tensor]) -> Tensor:
    """The same, recorded step by step."""
    _, count, width = emitted.shape
    alpha, skip, ends = (node_of(t) for t in tables[:3])
    times = tables[3].tolist()
    for t in range(max(times, default=0)):
        before = mv.pad(alpha, ((0, 0), (2, 0)), _NEVER)
        one, two = (part(before, 1, k, k + width) for k in (1, 0))
        now = node_of(emitted[t])
        after = ew.add(_log_sum((alpha, one, ew.add(two, skip))), now)
        alive = [[t < n] for n in times]
        alpha = after if all(a for (a,) in alive) else ew.where(_constant(alive), after, alpha)
    done = ew.add(alpha, ends)
    most = ew.detach(rd.max_(done, (1,), True))
    total = rd.sum_(ew.exp(ew.sub(done, most)), (1,))
    return wrap(ew.add(mv.reshape(most, (count,)), ew.log(total)))


def _log_sum(terms: Sequence[Node]) -> Node:
    most = ew.detach(reduce(ew.maximum, terms))
    return ew.add(most, ew.log(reduce(ew.add, [ew.exp(ew.sub(x, most)) for x in terms])))


def _of_softmax(x: Node, times: list[int]) -> Node:
    """0, with the gradient that :func:`log_softmax` turns into none: the probabilities."""
    counted = np.arange(x.type.shape[0])[:, None, None] < np.array(times)[:, None]
    total = rd.sum_(ew.where(_constant(counted), ew.exp(x), 0), (0, 2))
    return ew.sub(total, ew.detach(total))
