"""Distances between vectors."""

from __future__ import annotations

from ...errors import DTypeError, OptionError, ShapeError
from ...graph.node import number
from ...ops import elementwise as ew, movement as mv
from ...ops.base import broadcast, normal_dim
from ...ops.index import take
from ...tensors.core import node_of, with_history_of, wrap
from ...tensors.elementwise import promoted
from ...tensors.out import with_out
from ...tensors.placing import triu_indices
from ...tensors.products import length
from ...tensors.reductions import norm, sum
from ...tensors.tensor import Tensor


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Cosine of the angle between ``x1`` and ``x2`` along ``dim``, after broadcasting.

    Args:
        eps: lengths are held above it; the gradient does not notice.

    Raises:
        DTypeError: for integers.
        ShapeError: if the shapes do not broadcast.
    """
    a, b = promoted(x1, x2)
    if not a.type.dtype.is_floating_point:
        raise DTypeError(
            f"cosine_similarity takes floating vectors, not {a.type.dtype}: convert with .float()"
        )
    shape = broadcast("cosine_similarity", a.type.shape, b.type.shape)
    d = normal_dim("cosine_similarity", dim, len(shape))
    units = [_unit(wrap(mv.expand(x, shape)), d, eps) for x in (a, b)]
    return sum(units[0] * units[1], d)


def _unit(x: Tensor, dim: int, eps: float) -> Tensor:
    size = node_of(norm(x, 2, dim, True))
    held = with_history_of(ew.maximum(size, number(eps, size.type.dtype)), size)
    return x / wrap(held)


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The norm of order ``p`` of ``x1 - x2 + eps`` over the last dimension."""
    return norm(x1 - x2 + eps, p, -1, keepdim)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """Distances of order ``p`` between each two of the rows, in the order of ``triu_indices``.

    Shape:
        input ``[N, M]``, output ``[N * (N - 1) / 2]``.

    Raises:
        ShapeError: unless ``input`` is a matrix.
        OptionError: for a negative ``p``.
    """
    x = node_of(input)
    if x.type.ndim != 2:
        raise ShapeError(f"pdist takes a matrix, not shape {list(x.type.shape)}")
    if not x.type.dtype.is_floating_point:
        raise DTypeError(f"pdist takes floating vectors, not {x.type.dtype}: use .float()")
    if p < 0:
        raise OptionError(f"pdist: p must not be negative: {p}")
    pairs = triu_indices(x.type.shape[0], x.type.shape[0], 1, device=x.type.device)
    left, right = (take(x, [node_of(i)]) for i in pairs)
    return wrap(length(ew.sub(left, right), p))


@with_out
def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """``input`` over its norm of order ``p`` along ``dim``, or over ``eps`` where that is more."""
    return input / norm(input, p, dim, True).clamp_min(eps)
