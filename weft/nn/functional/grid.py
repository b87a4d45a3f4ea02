"""Sampling at given points, and the points of an affine map."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import product
from operator import add, and_, mul
from typing import Any

from ...dtypes import float32, int64
from ...errors import DTypeError, OptionError, ShapeError, UnsupportedOp
from ...graph.device import ANYWHERE
from ...graph.node import Node
from ...ops import elementwise as ew, index as ix, movement as mv
from ...tensors.autocasting import in_full_precision, in_low_precision
from ...tensors.core import node_of, wrap
from ...tensors.creation import arange, ones, zeros
from ...tensors.elementwise import where
from ...tensors.shape import stack
from ...tensors.tensor import Tensor
from .resize import cubic_weights

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


def _clipped(x: Tensor, size: int) -> Tensor:
    """Within the input; what is outside, or on the edge, has no gradient."""
    inside = (x > 0) & (x < size - 1)
    return where(inside, x, x.detach().clamp(0, size - 1))


def _mirrored(x: Tensor, size: int, align_corners: bool) -> Tensor:
    """Reflected at the outermost elements, or at the outer edges, as often as it takes."""
    low, span = (0.0, size - 1) if align_corners else (-0.5, size)
    if span == 0:
        return x * 0
    away = (x - low).abs()
    turns = (away / span).floor()
    left = away - turns * span
    return where(turns % 2 == 0, left, span - left) + low


class _Points:
    """The values of an image ``[N, C, *]`` at points given for each dimension."""

    def __init__(self, image: Node, padding: str, align_corners: bool) -> None:
        self.sizes = image.type.shape[2:]
        self.padding = padding
        self.align_corners = align_corners
        dims = image.type.dims
        self.rows = mv.permute(image, (0, *dims[2:], 1))  # the channels of a place together
        count = image.type.shape[0]
        self.batch = mv.reshape(mv.arange(count, int64), (count, *(1,) * len(self.sizes)))

    def padded(self, x: Tensor, d: int) -> Tensor:
        """Coordinates along dimension ``d``, moved into the input if the padding does that."""
        size = self.sizes[d]
        if self.padding == "reflection":
            x = _mirrored(x, size, self.align_corners)
        return x if self.padding == "zeros" else _clipped(x, size)

    def values(self, whole: Sequence[Tensor], weight: Tensor) -> Tensor:
        """Those at whole numbers, times ``weight``, with the channels last; zero outside."""
        inside: list[Tensor] = []
        places = []
        for x, size in zip(whole, self.sizes, strict=True):
            here = (x >= 0) & (x <= size - 1)
            inside.append(here)
            places.append(node_of(where(here, x, 0.0).to(int64)))
        found = wrap(ix.take(self.rows, [self.batch, *places], wrap=False))
        return where(reduce(and_, inside).unsqueeze(-1), found * weight.unsqueeze(-1), 0.0)


def _nearest(points: _Points, at: Sequence[Tensor]) -> Tensor:
    whole = [points.padded(x, d).round() for d, x in enumerate(at)]
    # The weight is one. Through it the grid gets its gradient, which is zero.
    return points.values(whole, whole[0] * 0 + 1)


def _linear(points: _Points, at: Sequence[Tensor]) -> Tensor:
    at = [points.padded(x, d) for d, x in enumerate(at)]
    first = [x.detach().floor() for x in at]
    behind = [x - f for x, f in zip(at, first, strict=True)]
    parts: list[Tensor] = []
    for corner in product((0, 1), repeat=len(at)):
        factors = [t if c else 1 - t for c, t in zip(corner, behind, strict=True)]
        weight = reduce(mul, factors)
        parts.append(points.values([f + c for f, c in zip(first, corner, strict=True)], weight))
    return reduce(add, parts)


def _cubic(points: _Points, at: Sequence[Tensor]) -> Tensor:
    first = [x.detach().floor() for x in at]
    y, x = [cubic_weights(x - f) for x, f in zip(at, first, strict=True)]
    parts: list[Tensor] = []
    for i, j in product(range(4), repeat=2):
        whole = [
            points.padded(f + k - 1, d) for d, (f, k) in enumerate(zip(first, (i, j), strict=True))
        ]
        parts.append(points.values([w.round() for w in whole], y[..., i] * x[..., j]))
    return reduce(add, parts)


_SAMPLERS = {"nearest": _nearest, "bilinear": _linear, "bicubic": _cubic}


def _check(x: Node, g: Node, mode: str, padding_mode: str) -> None:
    if mode not in _MODES:
        raise OptionError(f"grid_sample: mode={mode!r} should be one of {', '.join(_MODES)}")
    if padding_mode not in _PADDINGS:
        raise OptionError(
            f"grid_sample: padding_mode={padding_mode!r} should be one of {', '.join(_PADDINGS)}"
        )
    dims = x.type.ndim - 2
    if dims not in (2, 3) or g.type.ndim != x.type.ndim or g.type.shape[-1] != dims:
        raise ShapeError(
            f"grid_sample takes an input [N, C, H, W] with a grid [N, H', W', 2], or [N, C, D, H, "
            f"W] with [N, D', H', W', 3], not shapes {list(x.type.shape)} and {list(g.type.shape)}"
        )
    if g.type.shape[0] != x.type.shape[0]:
        raise ShapeError(
            f"grid_sample: a batch of {x.type.shape[0]} inputs with {g.type.shape[0]} grids"
        )
    if 0 in x.type.shape[2:]:
        raise ShapeError(f"grid_sample: an input of shape {list(x.type.shape)} has no elements")
    if x.type.dtype is not g.type.dtype or not x.type.dtype.is_floating_point:
        raise DTypeError(
            f"grid_sample takes input and grid of one floating dtype, not {x.type.dtype} and "
            f"{g.type.dtype}"
        )
    if mode == "bicubic" and dims == 3:
        raise UnsupportedOp("grid_sample: mode='bicubic' takes [N, C, H, W] only")


@in_full_precision
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The values of ``input`` at the points of ``grid``.

    (Jaderberg et al., 2015, arXiv:1506.02025)

    Args:
        grid: points (x, y) or (x, y, z); -1 and 1 are the edges of the input.
        mode: "bilinear" (for volumes, trilinear), "nearest" or "bicubic" (images only).
        padding_mode: what is outside: "zeros", the "border" continued, or a "reflection".
        align_corners: -1 and 1 are the middles of the outermost elements, not their outer edges.

    Shape:
        input ``[N, C, H, W]``, grid ``[N, H', W', 2]``, result ``[N, C, H', W']``; or ``[N, C, D,
        H, W]``, ``[N, D', H', W', 3]`` and ``[N, C, D', H', W']``.

    Raises:
        ShapeError: if the shapes do not fit.
        DTypeError: if the dtypes differ.
        OptionError: for another mode.
        UnsupportedOp: for "bicubic" of volumes.
    """
    x, g = node_of(input), node_of(grid)
    _check(x, g, mode, padding_mode)
    kind = x.type.dtype
    if kind.itemsize == 2:
        x, grid = ew.cast(x, float32), grid.to(float32)
    align = bool(align_corners)
    points = _Points(x, padding_mode, align)
    at = []
    for d, size in enumerate(points.sizes):
        place = grid[..., len(points.sizes) - 1 - d] + 1
        at.append(place * ((size - 1) / 2) if align else (place * size - 1) / 2)
    y = node_of(_SAMPLERS[mode](points, at))
    last = y.type.ndim - 1
    return wrap(ew.cast(mv.permute(y, (0, last, *range(1, last))), kind))


@in_low_precision
def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """The grid for :func:`grid_sample` that draws the input as ``theta`` maps the output to it.

    (Jaderberg et al., 2015, arXiv:1506.02025)

    Args:
        theta: affine maps, ``[N, 2, 3]`` (or ``[N, 3, 4]`` for volumes).
        size: the output's, ``[N, C, H, W]`` (or ``[N, C, D, H, W]``).
        align_corners: as for :func:`grid_sample`.

    Shape:
        result ``[N, H, W, 2]`` (or ``[N, D, H, W, 3]``).

    Raises:
        ShapeError: if theta does not fit the size.
        DTypeError: for integers.
    """
    kind = node_of(theta).type.dtype
    if not kind.is_floating_point:
        raise DTypeError(f"affine_grid: theta must be of a floating dtype, not {kind}")
    sizes = tuple(size)
    dims = len(sizes) - 2
    if dims not in (2, 3):
        raise UnsupportedOp(f"affine_grid takes a size of 4 or 5 numbers, not {list(sizes)}")
    if tuple(theta.shape) != (sizes[0], dims, dims + 1) or min(sizes) < 1:
        raise ShapeError(
            f"affine_grid takes theta of shape {[sizes[0], dims, dims + 1]} for a size of "
            f"{list(sizes)} (all positive), not of shape {list(theta.shape)}"
        )
    axes = [_steps(n, bool(align_corners), kind) for n in sizes[2:]]
    columns = []
    for d in reversed(range(dims)):
        shape = [1] * dims
        shape[d] = sizes[2 + d]
        columns.append(axes[d].reshape(shape).expand(*sizes[2:]).reshape(-1))
    columns.append(ones(columns[0].shape[0], dtype=kind, device=ANYWHERE))
    return (stack(columns, 1) @ theta.mT).reshape(sizes[0], *sizes[2:], dims)


def _steps(count: int, align_corners: bool, kind: Any) -> Tensor:
    """The middles of ``count`` elements between -1 and 1."""
    if count == 1:
        return zeros(1, dtype=kind, device=ANYWHERE)
    places = arange(count, dtype=kind, device=ANYWHERE) * (2 / (count - 1)) - 1
    return places if align_corners else places * ((count - 1) / count)
