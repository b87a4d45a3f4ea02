"""Rows of a table by number, and sums, means and maxima of them."""

from __future__ import annotations

import numpy as np

from ...autograd.modes import no_grad
from ...dtypes import bool_, dtype, int64
from ...engine.realize import value_of
from ...errors import DTypeError, OptionError, ShapeError, UnsupportedOp
from ...graph.node import Node, type_of
from ...ops import elementwise as ew, index as ix, movement as mv, reduce as rd
from ...tensors.core import node_of, wrap
from ...tensors.creation import as_leaf
from ...tensors.reductions import take_along
from ...tensors.tensor import Tensor


def row_of_padding(name: str, padding_idx: int | None, rows: int) -> int | None:
    """``padding_idx`` counted from the front.

    Raises:
        OptionError: if there is no such row.
    """
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise OptionError(
            f"{name}: padding_idx={padding_idx} must be within the {rows} rows of the weight"
        )
    return padding_idx % rows


def _table(name: str, weight: Tensor) -> Node:
    w = node_of(weight)
    if w.type.ndim != 2:
        raise ShapeError(f"{name}: the weight must be [rows, features], not {list(w.type.shape)}")
    return w


def _places(name: str, input: Tensor) -> Node:
    ids = node_of(input)
    if ids.type.dtype.category != 1:
        raise DTypeError(
            f"{name} takes row numbers (int32 or int64), not {ids.type.dtype}: convert with .long()"
        )
    return ew.cast(ids, int64)


def _ones(ids: Node, to: dtype) -> Node:
    return mv.full(type_of(ids.type.shape, to), 1)


def _limit_norms(weight: Tensor, ids: Node, max_norm: float, norm_type: float) -> None:
    """Scales those rows of the weight that are looked up, and longer than allowed."""
    with no_grad():
        rows = weight.shape[0]
        unused = mv.zeros(type_of((rows,), bool_))
        used = wrap(ix.put(unused, _ones(ids, bool_), [ids], False))
        lengths = weight.detach().norm(norm_type, 1)
        long = used.logical_and(lengths > max_norm)
        scale = (max_norm / (lengths + 1e-7)).masked_fill(long.logical_not(), 1.0)
        weight.mul_(scale.unsqueeze(1))


def _row_mask(ids: Node, row: int) -> Node:
    """Where the row number is ``row``, to meet what was looked up."""
    return mv.reshape(ew.eq(ids, row), (*ids.type.shape, 1))


def _by_frequency(y: Node, ids: Node, rows: int) -> Node:
    """``y``, its gradient divided by how often each row occurs."""
    counts = ix.put_add(mv.zeros(type_of((rows,), y.type.dtype)), _ones(ids, y.type.dtype), [ids])
    share = mv.reshape(ew.reciprocal(ix.take(counts, [ids])), (*ids.type.shape, 1))
    return ew.graft(ew.detach(y), ew.mul(y, share))


def _looked_up(w: Node, ids: Node, padding: int | None, scale_grad_by_freq: bool) -> Node:
    y = ix.take(w, [ids], wrap=False)
    if scale_grad_by_freq:
        y = _by_frequency(y, ids, w.type.shape[0])
    return y if padding is None else ew.where(_row_mask(ids, padding), ew.detach(y), y)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of ``weight`` with the numbers ``input``.

    Args:
        padding_idx: a row that gets no gradient.
        max_norm: rows that are looked up are first scaled, in the weight itself, to this length.
        norm_type: the p of the p-norm that is their length.
        scale_grad_by_freq: divide the gradient of a row by how often it occurs in ``input``.
        sparse: as in PyTorch; gradients here are always dense.

    Shape:
        input ``[*]``, weight ``[rows, features]``; result ``[*, features]``.

    Raises:
        DTypeError: unless ``input`` holds integers.
        OptionError: if there is no row ``padding_idx``.
        IndexError: when run, for a number that is no row.
    """
    w, ids = _table("embedding", weight), _places("embedding", input)
    padding = row_of_padding("embedding", padding_idx, w.type.shape[0])
    if max_norm is not None:
        _limit_norms(weight, ids, max_norm, norm_type)
        w = node_of(weight)
    return wrap(_looked_up(w, ids, padding, scale_grad_by_freq))


# ---- bags

_MODES = ("sum", "mean", "max")


def _check_bags(
    mode: str, ids: Node, offsets: Tensor | None, weights: Tensor | None, by_frequency: bool
) -> None:
    if mode not in _MODES:
        raise OptionError(f"embedding_bag: mode is 'sum', 'mean' or 'max', not {mode!r}")
    shape = list(ids.type.shape)
    if len(shape) not in (1, 2):
        raise ShapeError(
            f"embedding_bag takes row numbers of shape [total] with offsets, or [bags, size], not "
            f"{shape}"
        )
    if (offsets is None) != (len(shape) == 2):
        raise OptionError(
            f"embedding_bag: row numbers of shape {shape} "
            + ("need offsets" if offsets is None else "are bags already: leave out offsets")
        )
    if offsets is not None and offsets.ndim != 1:
        raise ShapeError(f"embedding_bag: offsets must be a vector, not {list(offsets.shape)}")
    if weights is not None and mode != "sum":
        raise UnsupportedOp(
            f"embedding_bag: per_sample_weights go with mode='sum', not mode={mode!r}"
        )
    if weights is not None and list(weights.shape) != shape:
        raise ShapeError(
            f"embedding_bag: per_sample_weights of shape {list(weights.shape)} must have the shape "
            f"of the row numbers, {shape}"
        )
    if by_frequency and mode == "max":
        raise OptionError("embedding_bag: scale_grad_by_freq does not go with mode='max'")


def _padded(ids: Node, starts: Node, bags: int) -> tuple[Node, Node]:
    """Bags of various sizes as a matrix of row numbers, and which of its places are filled.

    The matrix is as wide as the largest bag, so the offsets must be known at once.
    """
    total = ids.type.size
    ends = np.append(np.asarray(value_of(starts)), total)[: bags + 1]
    sizes = np.diff(ends)
    column = np.arange(max(int(sizes.max(initial=0)), 1))
    filled = column < sizes[:, None]
    places = np.where(filled, ends[:-1, None] + column, 0)
    matrix = as_leaf(places)
    if total == 0:
        return mv.zeros(matrix.type), as_leaf(filled)
    return ix.take(ids, [matrix], wrap=False), as_leaf(filled)


def _largest(rows: Node, kept: Node) -> Node:
    """The maximum over each bag ``[bags, size, features]``; 0 for a bag without rows."""
    lowest = ew.where(kept, rows, float("-inf"))
    first = rd.argmax(lowest, 1, True)
    largest = take_along(rows, first, 1)
    some = rd.max_(ew.cast(kept, rows.type.dtype), (1,), True)
    shape = (rows.type.shape[0], rows.type.shape[2])
    return mv.reshape(ew.where(ew.gt(some, 0), largest, 0), shape)


def _bag_numbers(starts: Node, total: int) -> Node:
    """For each of ``total`` places, the bag in which it lies."""
    marks = mv.zeros(type_of((total + 1,), int64))
    begun = rd.cumsum(ix.put_add(marks, _ones(starts, int64), [starts], False), 0)
    return ew.sub(mv.slice_(begun, ((0, total, 1),)), 1)


def _added(rows: Node, kept: Node | None, starts: Node | None, bags: int, mean: bool) -> Node:
    """Sums or means of the rows of each bag: ``[bags, size, features]``, or by ``starts``."""
    parts = [rows]
    if mean:
        one = _ones(rows, rows.type.dtype)
        parts.append(one if kept is None else ew.mul(one, ew.cast(kept, rows.type.dtype)))
    if starts is None:
        sums = [rd.sum_(part, (1,)) for part in parts]
    else:
        empty = mv.zeros(type_of((bags, rows.type.shape[-1]), rows.type.dtype))
        number = _bag_numbers(starts, rows.type.shape[0])
        sums = [ix.put_add(empty, part, [number], False) for part in parts]
    return ew.div(sums[0], ew.maximum(sums[1], 1)) if mean else sums[0]


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows of ``weight`` in each bag of row numbers.

    Args:
        offsets: where each bag begins in a vector ``input``; the first is 0.
        mode: "sum", "mean" or "max".
        per_sample_weights: factors of the rows, for mode "sum".
        include_last_offset: ``offsets`` ends with the length of ``input``.
        padding_idx: a row that counts as not being there.
        max_norm, norm_type, scale_grad_by_freq, sparse: as for :func:`embedding`.

    Shape:
        input ``[bags, size]``, or ``[total]`` with offsets ``[bags]``; weight ``[rows, features]``;
        result ``[bags, features]``. An empty bag gives zeros.

    Raises:
        DTypeError: unless ``input`` and ``offsets`` hold integers.
        ShapeError, OptionError: for arguments that do not go together.
        IndexError: when run, for a number that is no row.
    """
    w, ids = _table("embedding_bag", weight), _places("embedding_bag", input)
    _check_bags(mode, ids, offsets, per_sample_weights, scale_grad_by_freq)
    padding = row_of_padding("embedding_bag", padding_idx, w.type.shape[0])
    if max_norm is not None:
        _limit_norms(weight, ids, max_norm, norm_type)
        w = node_of(weight)
    starts, kept = None, None
    bags = ids.type.shape[0]
    if offsets is not None:
        starts = _places("embedding_bag (offsets)", offsets)
        bags = starts.type.size - include_last_offset
    if starts is not None and mode == "max":
        ids, filled = _padded(ids, starts, bags)
        kept = mv.reshape(filled, (*filled.type.shape, 1))
        starts = None
    elif starts is not None and include_last_offset:
        starts = mv.slice_(starts, ((0, bags, 1),))
    rows = _looked_up(w, ids, None, scale_grad_by_freq)
    if padding is not None:
        real = ew.logical_not(_row_mask(ids, padding))
        kept = real if kept is None else ew.logical_and(kept, real)
        rows = ew.where(real, rows, 0)
    if per_sample_weights is not None:
        factors = node_of(per_sample_weights)
        if factors.type.dtype is not w.type.dtype:
            raise DTypeError(
                f"embedding_bag: per_sample_weights are {factors.type.dtype}, the weight is "
                f"{w.type.dtype}: convert with .to({w.type.dtype})"
            )
        rows = ew.mul(rows, mv.reshape(factors, (*factors.type.shape, 1)))
    if mode == "max":
        every = mv.full(type_of((*ids.type.shape, 1), bool_), True)
        return wrap(_largest(rows, every if kept is None else kept))
    return wrap(_added(rows, kept, starts, bags, mode == "mean"))
