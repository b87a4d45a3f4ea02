"""Resizing: each element of the result is a weighted sum of a few neighbours in the input.

All kinds but "area" work along one dimension after the other: a table of places and one of weights.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor, isfinite
from numbers import Real
from typing import Any, NamedTuple

from ...dtypes import dtype, float32, float64, int64
from ...errors import DTypeError, OptionError, ShapeError, UnsupportedOp
from ...graph.device import ANYWHERE
from ...graph.node import Node, Shape
from ...ops import elementwise as ew, index as ix, movement as mv
from ...ops.reduce import sum_
from ...tensors.core import node_of, wrap
from ...tensors.creation import arange
from ...tensors.elementwise import where
from ...tensors.indexing import index_select
from ...tensors.shape import stack
from ...tensors.tensor import Tensor
from .adaptive import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from .conv import each


class Axis(NamedTuple):
    """How one dimension is resized."""

    size: int
    wanted: int  # the new size
    factor: float | None  # the scale asked for, if that is to place the samples
    align_corners: bool

    @property
    def step(self) -> float:
        """The distance of two samples, in elements of the input."""
        if self.align_corners:
            return (self.size - 1) / (self.wanted - 1) if self.wanted > 1 else 0.0
        return 1.0 / self.factor if self.factor else self.size / self.wanted

    def sources(self, kind: dtype) -> Tensor:
        """Where the samples lie in the input."""
        places = arange(self.wanted, dtype=kind, device=ANYWHERE)
        return places * self.step if self.align_corners else (places + 0.5) * self.step - 0.5


Tables = tuple[Tensor, Tensor]  # places and weights, [count, neighbours]


def cubic_weights(t: Tensor, a: float = -0.75) -> Tensor:
    """Weights of the four neighbours of a point ``t`` behind the second, stacked behind.

    (Keys, 1981, "Cubic convolution interpolation for digital image processing")
    """
    u = 1 - t
    return stack(
        [_cubic_far(t + 1, a), _cubic_near(t, a), _cubic_near(u, a), _cubic_far(u + 1, a)], -1
    )


def _cubic_near(x: Tensor, a: float) -> Tensor:
    return ((a + 2) * x - (a + 3)) * x * x + 1


def _cubic_far(x: Tensor, a: float) -> Tensor:
    return ((x - 5) * x + 8) * x * a - 4 * a


def _linear(axis: Axis, kind: dtype) -> Tables:
    source = axis.sources(kind).clamp(0, axis.size - 1)
    first = source.floor()
    t = source - first
    places = stack([first, (first + 1).clamp(max=axis.size - 1)], 1).to(int64)
    return places, stack([1 - t, t], 1)


def _cubic(axis: Axis, kind: dtype) -> Tables:
    source = axis.sources(kind)
    first = source.floor()
    places = first.unsqueeze(1).to(int64) + arange(-1, 3, device=ANYWHERE)
    return places.clamp(0, axis.size - 1), cubic_weights(source - first)


def _triangle(x: Tensor) -> Tensor:
    return (1 - x).clamp(min=0)


def _keys(x: Tensor) -> Tensor:
    a = -0.5
    return where(x < 1, _cubic_near(x, a), where(x < 2, _cubic_far(x, a), 0.0))


def _filtered(filter: Callable[[Tensor], Tensor], reach: float) -> Callable[[Axis, dtype], Tables]:
    """Tables of a filter that grows with the step, so that it sees all elements when shrinking."""

    def tables(axis: Axis, kind: dtype) -> Tables:
        scale = max(axis.step, 1.0)
        support = reach * scale
        centre = ((arange(axis.wanted, dtype=kind, device=ANYWHERE) + 0.5) * axis.step).unsqueeze(1)
        first = (centre - support + 0.5).clamp(min=0).to(int64)
        last = (centre + support + 0.5).to(int64).clamp(max=axis.size) - 1
        places = first + arange(ceil(support) * 2 + 1, device=ANYWHERE)
        distance = (places.to(kind) - centre + 0.5).abs() / scale
        weights = where(places <= last, filter(distance), 0.0)
        return places.minimum(last), weights / weights.sum(1, keepdim=True)

    return tables


_TABLES: dict[tuple[str, bool], Callable[[Axis, dtype], Tables]] = {
    ("linear", False): _linear,
    ("bilinear", False): _linear,
    ("trilinear", False): _linear,
    ("bicubic", False): _cubic,
    ("bilinear", True): _filtered(_triangle, 1.0),
    ("bicubic", True): _filtered(_keys, 2.0),
}

_RANKS = {"linear": 3, "bilinear": 4, "bicubic": 4, "trilinear": 5}
_AREA = {3: adaptive_avg_pool1d, 4: adaptive_avg_pool2d, 5: adaptive_avg_pool3d}
_MODES = ("nearest", "nearest-exact", "area", *_RANKS)


def _weighted(x: Node, dim: int, tables: Tables) -> Node:
    places, weights = map(node_of, tables)
    order = (dim, *[k for k in x.type.dims if k != dim])
    rows = ix.take(mv.permute(x, order), [places], wrap=False)
    factors = mv.reshape(weights, (*weights.type.shape, *(1,) * (x.type.ndim - 1)))
    return mv.permute(sum_(ew.mul(rows, factors), (1,)), mv.inverse(order))


def _nearest(input: Tensor, axes: list[Axis], exact: bool) -> Tensor:
    for d, axis in enumerate(axes, 2):
        times, rest = divmod(axis.wanted, axis.size)
        if rest == 0 and axis.factor in (None, times):
            shape = input.shape
            if times > 1:
                input = input.unsqueeze(d + 1).expand(*shape[: d + 1], times, *shape[d + 1 :])
                input = input.reshape(*shape[:d], axis.wanted, *shape[d + 1 :])
            continue
        places = arange(axis.wanted, dtype=float32, device=ANYWHERE) + (0.5 if exact else 0.0)
        index = (places * axis.step).to(int64).clamp(max=axis.size - 1)
        input = index_select(input, d, index)
    return input


def _weighted_pixels(x: Node, dim: int, tables: Tables) -> Node:
    """As PyTorch: weights of 16 bits, and rounded to whole pixels after each dimension."""
    places, weights = tables
    scale = (14 + (-weights.max().log2()).ceil()).exp2()
    fixed = (weights.abs() * scale + 0.5).floor() * weights.sign()
    total = wrap(_weighted(x, dim, (places, fixed.to(float32)))) / scale.to(float32)
    return node_of((total + 0.5).floor().clamp(0, 255))


def _smooth(input: Tensor, axes: list[Axis], mode: str, antialias: bool) -> Tensor:
    x = node_of(input)
    kind = x.type.dtype
    tables = _TABLES[mode, antialias]
    x = ew.cast(x, kind if kind is float64 else float32)
    for d, axis in reversed(list(enumerate(axes, 2))):
        if axis.size == axis.wanted and (axis.factor or 1.0) == 1.0:
            continue
        if kind.is_floating_point:
            x = _weighted(x, d, tables(axis, x.type.dtype))
        else:
            x = _weighted_pixels(x, d, tables(axis, float64))
    return wrap(ew.cast(x, kind))


def _sizes(
    sizes: Shape, size: Any, scale_factor: Any, keep_factor: bool
) -> list[tuple[int, float | None]]:
    """For each dimension, its new size, and the factor that places the samples."""
    dims = len(sizes)
    if (size is None) == (scale_factor is None):
        raise OptionError("interpolate takes either a size or a scale_factor")
    if size is not None:
        if isinstance(size, (tuple, list)) and len(size) != dims:
            raise ShapeError(f"interpolate: size={tuple(size)} should be one int or {dims} of them")
        return [(n, None) for n in each(size, dims, "size")]
    many = isinstance(scale_factor, (tuple, list))
    factors = list(scale_factor) if many else [scale_factor] * dims
    if len(factors) != dims:
        raise ShapeError(f"scale_factor={scale_factor} should be one number or {dims} of them")
    if not all(isinstance(f, Real) for f in factors):
        raise TypeError(f"scale_factor takes numbers, not {scale_factor!r}")
    if not all(map(isfinite, factors)):
        raise OptionError(f"interpolate: scale_factor={scale_factor} must be finite")
    new = [floor(n * float(f)) for n, f in zip(sizes, factors, strict=True)]
    return [(n, float(f) if keep_factor else None) for n, f in zip(new, factors, strict=True)]


def _check(input: Tensor, mode: str, align_corners: bool | None, antialias: bool) -> None:
    ndim, shape = input.ndim, list(input.shape)
    if mode not in _MODES:
        raise UnsupportedOp(f"interpolate: mode={mode!r} should be one of {', '.join(_MODES)}")
    if ndim not in (3, 4, 5):
        raise UnsupportedOp(
            f"interpolate takes [N, C, W], [N, C, H, W] or [N, C, D, H, W], not {shape}"
        )
    wanted = _RANKS.get(mode, ndim)
    if wanted != ndim:
        fitting = [m for m in _MODES if _RANKS.get(m, ndim) == ndim]
        raise UnsupportedOp(
            f"interpolate: mode={mode!r} takes {wanted} dimensions, but the input has shape "
            f"{shape}, for which there are {', '.join(fitting)}"
        )
    if mode not in _RANKS and align_corners is not None:
        raise OptionError(f"interpolate: align_corners means nothing for mode={mode!r}")
    if antialias and (mode, True) not in _TABLES:
        raise OptionError(f"interpolate: antialias is there for bilinear and bicubic, not {mode!r}")
    if 0 in input.shape[1:]:
        raise ShapeError(f"interpolate: an input of shape {shape} has no elements")
    kind = node_of(input).type.dtype
    if mode in _RANKS and not kind.is_floating_point and kind.name != "uint8":
        raise DTypeError(f"interpolate: mode={mode!r} takes floats or uint8, not {kind}")


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """``input`` in another size.

    Args:
        size: the new size, an int or one for each dimension; or
        scale_factor: the new size by the old.
        mode: "nearest", "nearest-exact" or "area" (means of windows) for any rank; "linear" for
            three dimensions, "bilinear" and "bicubic" for four, "trilinear" for five.
        align_corners: the outermost elements (rather than the outer edges) of input and output
            coincide.
        recompute_scale_factor: samples are placed by the two sizes, not by ``scale_factor``.
        antialias: the filter widens when the image shrinks.

    Shape:
        input ``[N, C, W]``, ``[N, C, H, W]`` or ``[N, C, D, H, W]``.

    Raises:
        OptionError: unless exactly one of size and scale factor is given, or for options that mean
            nothing for the mode.
        UnsupportedOp: for another mode or rank.
        ShapeError: for sizes below 1.
    """
    _check(input, mode, align_corners, antialias)
    if recompute_scale_factor and size is not None:
        raise OptionError("interpolate: recompute_scale_factor means nothing with a size")
    old = tuple(input.shape[2:])
    new = _sizes(old, size, scale_factor, not recompute_scale_factor and mode != "area")
    counts = [n for n, _ in new]
    if min(counts) < 1:
        raise ShapeError(f"interpolate: from size {list(old)} to {counts}: sizes must be positive")
    if mode == "area":
        return _AREA[input.ndim](input, counts)
    axes = [Axis(n, *to, bool(align_corners)) for n, to in zip(old, new, strict=True)]
    if mode in _RANKS:
        return _smooth(input, axes, mode, antialias)
    return _nearest(input, axes, mode == "nearest-exact")


def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """An older name of :func:`interpolate`."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """:func:`interpolate` with ``mode="nearest"``."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """:func:`interpolate` with ``mode="bilinear", align_corners=True``."""
    return interpolate(input, size, scale_factor, "bilinear", True)
