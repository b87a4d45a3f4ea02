"""How many elements lie in which part of a range."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import DTypeError, OptionError, ShapeError
from .core import TensorCore
from .creation import arange
from .out import with_out
from .searching import bucketize, where

if TYPE_CHECKING:
    from .tensor import Tensor


class Histogram(NamedTuple):
    """What :func:`histogram` returns."""

    hist: Tensor
    bin_edges: Tensor


class HistogramDD(NamedTuple):
    """What :func:`histogramdd` returns."""

    hist: Tensor
    bin_edges: tuple[Tensor, ...]


def _edges(name: str, x: Tensor, bins: Any, limits: Sequence[float] | None) -> Tensor:
    """Where the bins of a vector's elements begin and end.

    Raises:
        OptionError: unless there is a bin, and the range, if given, goes upwards.
    """
    if isinstance(bins, TensorCore):
        return bins  # type: ignore[return-value]
    if bins < 1:
        raise OptionError(f"{name}: bins must be positive, not {bins}")
    if limits is not None:
        low, high = [x.new_full((), v) for v in limits]
        if not limits[0] <= limits[1]:
            raise OptionError(f"{name}: range {tuple(limits)} does not go upwards")
    elif x.numel():
        low, high = x.amin(), x.amax()
    else:
        low, high = x.new_zeros(()), x.new_ones(())
    alike = low == high
    low, high = where(alike, low - 0.5, low), where(alike, high + 0.5, high)
    k = arange(bins + 1, dtype=x.dtype, device=x.device)
    return where(k == bins, high, low + k * ((high - low) / bins))


def _counted(
    name: str,
    points: Sequence[Tensor],
    edges: Sequence[Tensor],
    weight: Tensor | None,
    density: bool,
) -> Tensor:
    """The sums of weights in the boxes between edges, of points with the given coordinates."""
    sizes = [e.shape[0] - 1 for e in edges]
    place: Any = 0
    inside: Any = True
    for x, e, n in zip(points, edges, sizes, strict=True):
        k = where(x == e[-1], n - 1, bucketize(x, e, right=True) - 1)  # (the last bin is closed)
        inside = inside & (x >= e[0]) & (x <= e[-1])
        place = place * n + k.clamp(0, n - 1)
    one = points[0].new_ones(points[0].shape) if weight is None else weight.flatten()
    if one.shape != points[0].shape:
        raise ShapeError(
            f"{name}: weight of {list(one.shape)} elements for {list(points[0].shape)} points"
        )
    hist = points[0].new_zeros(prod(sizes)).index_add(0, place, where(inside, one, 0.0))
    hist = hist.reshape(sizes)
    if density:
        hist = hist / hist.sum()
        for d, e in enumerate(edges):
            hist = hist / e.diff().reshape([-1 if d == j else 1 for j in range(len(sizes))])
    return hist


def _floats(name: str, x: Tensor) -> Tensor:
    if not x.dtype.is_floating_point:
        raise DTypeError(f"{name} takes floats, not {x.dtype}: convert with x.float()")
    return x.detach()


@with_out
def histogram(
    input: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Histogram:
    """How many elements lie in each bin, and where these begin and end.

    Args:
        bins: how many of equal size, or their edges.
        range: from the first to the last edge; by default, from the least to the largest element.
        weight: what each element counts, of the same shape.
        density: as a density, whose integral is 1.

    Raises:
        DTypeError: for integers.
        OptionError: for no bins, or a range downwards.
    """
    x = _floats("histogram", input).flatten()
    edges = _edges("histogram", x, bins, range)
    return Histogram(_counted("histogram", [x], [edges], weight, density), edges)


def histogramdd(
    input: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> HistogramDD:
    """How many points lie in each box of a grid, and the edges along each dimension.

    Args:
        input: ``[*, d]``, the points' coordinates.
        bins: how many along each dimension, or along all; or their edges.
        range: the first and last edge of each dimension, one after the other.

    Raises:
        As :func:`histogram`.
    """
    x = _floats("histogramdd", input)
    count = x.shape[-1]
    each = list(bins) if isinstance(bins, (list, tuple)) else [bins] * count
    if len(each) != count or (range is not None and len(range) != 2 * count):
        raise ShapeError(f"histogramdd: {len(each)} bins for points of {count} coordinates")
    points = x.reshape(-1, count).unbind(-1)
    limits: list[Any] = [None] * count
    if range is not None:
        limits = list(zip(range[::2], range[1::2], strict=True))
    edges = [_edges("histogramdd", *given) for given in zip(points, each, limits, strict=True)]
    return HistogramDD(_counted("histogramdd", points, edges, weight, density), tuple(edges))
