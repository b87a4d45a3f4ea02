"""Pooling to a size that is given: windows of several lengths, and windows at random places."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ...dtypes import dtype, float32, int64
from ...errors import DTypeError, OptionError, ShapeError
from ...graph.device import ANYWHERE
from ...graph.node import Node, Shape
from ...ops import contract, elementwise as ew, index as ix, movement as mv
from ...ops.reduce import even_bounds, even_sums
from ...tensors.autocasting import in_full_precision
from ...tensors.core import node_of, wrap
from ...tensors.creation import arange, full, tensor
from ...tensors.random import rand
from ...tensors.shape import cat
from ...tensors.tensor import Tensor
from .conv import check_positive, each
from .pooling import max_pool1d, max_pool2d, max_pool3d, pooled, sum_along

_MAX_POOLS = {1: max_pool1d, 2: max_pool2d, 3: max_pool3d}


def _output_size(name: str, output_size: Any, sizes: Shape) -> Shape:
    """The size asked for; None stands for the input's."""
    dims = len(sizes)
    given = output_size if isinstance(output_size, (tuple, list)) else [output_size] * dims
    if len(given) == 1:
        given = [given[0]] * dims
    if len(given) != dims:
        raise ShapeError(f"{name}: output_size={output_size} should be one int or {dims} of them")
    wanted = [n if w is None else w for n, w in zip(sizes, given, strict=True)]
    found = each(wanted, dims, "output_size")
    if min(found) < 0:
        raise ShapeError(f"{name}: output_size={output_size} must not be negative")
    return found


# ---- the mean


def _sum_along(x: Node, dim: int, count: int) -> Node:
    size = x.type.shape[dim]
    if count and size % count == 0:
        return sum_along(x, dim, size // count, size // count, count)
    return even_sums(x, dim, count)


def _lengths(sizes: Shape, counts: Shape, kind: dtype) -> Node | int:
    """How many elements there are in each window."""
    if all(count and size % count == 0 for size, count in zip(sizes, counts, strict=True)):
        return prod(sizes) // prod(counts)
    lengths = np.ones((), kind.numpy)
    for size, count in zip(sizes, counts, strict=True):
        along = [stop - start for start, stop in even_bounds(size, count)]
        lengths = np.multiply.outer(lengths, np.array(along, kind.numpy))
    return node_of(tensor(lengths, device=ANYWHERE))


def _adaptive_avg_pool(dims: int, input: Tensor, output_size: Any) -> Tensor:
    name = f"adaptive_avg_pool{dims}d"
    x, added = pooled(name, input, dims)
    kind = x.type.dtype
    if not kind.is_floating_point:
        raise DTypeError(f"{name} takes a floating dtype, not {kind}: convert with x.float()")
    wanted = _output_size(name, output_size, x.type.shape[2:])
    y = ew.cast(x, float32) if kind.itemsize == 2 else x
    for d, count in enumerate(wanted):
        y = _sum_along(y, d + 2, count)
    lengths = _lengths(x.type.shape[2:], wanted, y.type.dtype)
    y = ew.cast(ew.div(y, lengths), kind)
    return wrap(mv.reshape(y, y.type.shape[1:]) if added else y)


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Mean of ``output_size`` windows over one dimension. See :func:`adaptive_avg_pool2d`."""
    return _adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Mean of as many windows, nearly equal in size, as the output is to have elements.

    Window ``k`` of ``n`` over ``H`` elements goes from ``k H / n``, rounded down, to
    ``(k + 1) H / n``, rounded up.

    Args:
        output_size: an int, or one for each dimension; None for the input's size.

    Shape:
        input ``[N, C, H, W]`` or ``[C, H, W]``; result with ``H`` and ``W`` as asked for.

    Raises:
        ShapeError: for another rank, or an input without elements.
        DTypeError: for integers.
    """
    return _adaptive_avg_pool(2, input, output_size)


@in_full_precision
def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Mean of windows over three dimensions. See :func:`adaptive_avg_pool2d`."""
    return _adaptive_avg_pool(3, input, output_size)


# ---- the largest


def _largest(x: Node, bounds: Sequence[Node]) -> tuple[Node, Node]:
    """The largest element of each window of ``x [N, C, *]``, and its place in the plane.

    Args:
        bounds: as :func:`contract.max_places` takes them; a plane is a channel of a sample.
    """
    sizes = x.type.shape[2:]
    rows = prod(x.type.shape[:2])
    found = contract.max_places(mv.reshape(x, (rows, *sizes)), bounds)
    shape = (*x.type.shape[:2], *found.type.shape[1:])
    at = mv.reshape(found, (rows, prod(shape[2:])))
    row = mv.reshape(mv.arange(rows, int64), (rows, 1))
    flat = mv.reshape(x, (rows, prod(sizes)))
    return mv.reshape(ix.take(flat, [row, at], wrap=False), shape), mv.reshape(at, shape)


def _result(found: tuple[Node, Node], added: bool, return_indices: bool) -> Any:
    outputs = [wrap(mv.reshape(o, o.type.shape[1:]) if added else o) for o in found]
    return tuple(outputs) if return_indices else outputs[0]


def _adaptive_max_pool(dims: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    name = f"adaptive_max_pool{dims}d"
    x, added = pooled(name, input, dims)
    sizes = x.type.shape[2:]
    wanted = _output_size(name, output_size, sizes)
    if all(n and size % n == 0 for size, n in zip(sizes, wanted, strict=True)):
        kernel = [size // n for size, n in zip(sizes, wanted, strict=True)]
        return _MAX_POOLS[dims](input, kernel, return_indices=return_indices)
    tables = []
    for size, count in zip(sizes, wanted, strict=True):
        bounds = tensor(even_bounds(size, count), dtype=int64, device=ANYWHERE).reshape(1, count, 2)
        tables += [node_of(bounds[..., k]) for k in (0, 1)]
    return _result(_largest(x, tables), added, return_indices)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Largest value of ``output_size`` windows. See :func:`adaptive_max_pool2d`."""
    return _adaptive_max_pool(1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Largest value of the windows of :func:`adaptive_avg_pool2d`.

    Args:
        return_indices: also where each maximum was, in the flattened plane.
    """
    return _adaptive_max_pool(2, input, output_size, return_indices)


@in_full_precision
def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Largest value of windows over three dimensions. See :func:`adaptive_max_pool2d`."""
    return _adaptive_max_pool(3, input, output_size, return_indices)


# ---- at random places


def check_fractional(name: str, dims: int, output_size: Any, output_ratio: Any) -> None:
    """Exactly one of the two is given.

    Raises:
        OptionError: if not, or for a ratio outside (0, 1).
    """
    if (output_size is None) == (output_ratio is None):
        raise OptionError(f"{name} takes either an output_size or an output_ratio")
    if output_ratio is not None and not all(0 < r < 1 for r in ratios(output_ratio, dims)):
        raise OptionError(f"{name}: output_ratio={output_ratio} must be between 0 and 1")


def ratios(output_ratio: Any, dims: int) -> tuple[float, ...]:
    """A ratio given once or for each dimension."""
    return (
        tuple(output_ratio) if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * dims
    )


def _starts(sample: Tensor, size: int, count: int, kernel: int) -> Tensor:
    """Where the windows of one dimension start, ``[rows, count]``; the last ends at the end."""
    sample = sample.reshape(-1, 1)
    last = full((sample.shape[0], 1), size - kernel, dtype=int64, device=ANYWHERE)
    if count == 1:
        return last
    step = (size - kernel) / (count - 1)
    moved = ((arange(count - 1, dtype=sample.dtype, device=ANYWHERE) + sample) * step).to(int64)
    return cat([moved - (sample * step).to(int64), last], 1)


def _samples(name: str, x: Node, given: Tensor | None) -> Tensor:
    dims = x.type.ndim - 2
    shape = (*x.type.shape[:2], dims)
    if given is None:
        return rand(shape, dtype=x.type.dtype, device=ANYWHERE)
    if given.ndim != 3 or tuple(given.shape) != shape:
        raise ShapeError(
            f"{name}: _random_samples must be of shape {list(shape)}, not {list(given.shape)}"
        )
    if node_of(given).type.dtype is not x.type.dtype:
        raise DTypeError(f"{name}: _random_samples of {given.dtype} for an input of {x.type.dtype}")
    return given


def _fractional_max_pool(
    dims: int,
    input: Tensor,
    kernel_size: Any,
    output_size: Any,
    output_ratio: Any,
    return_indices: bool,
    samples: Tensor | None,
) -> Any:
    name = f"fractional_max_pool{dims}d"
    x, added = pooled(name, input, dims)
    if not x.type.dtype.is_floating_point:
        raise DTypeError(f"{name} takes a floating dtype, not {x.type.dtype}")
    check_fractional(name, dims, output_size, output_ratio)
    sizes = x.type.shape[2:]
    kernel = each(kernel_size, dims, "kernel_size")
    check_positive(name, "kernel_size", kernel)
    if output_size is None:
        factors = ratios(output_ratio, dims)
        output_size = [int(n * r) for n, r in zip(sizes, factors, strict=True)]
    counts = each(output_size, dims, "output_size")
    if any(n < 1 or n + k - 1 > size for n, k, size in zip(counts, kernel, sizes, strict=True)):
        raise ShapeError(
            f"{name}: {list(counts)} windows of {list(kernel)} do not fit an input of {list(sizes)}"
        )
    if added and samples is not None:  # as in PyTorch, those of a batch will do
        samples = samples[:1]
    chances = _samples(name, x, samples)
    # PyTorch's order: the first number is for the last of two dimensions, but the first of three.
    columns = [1, 0] if dims == 2 else [0, 1, 2]
    bounds = []
    for d, column in enumerate(columns):
        starts = _starts(chances[..., column], sizes[d], counts[d], kernel[d])
        bounds += [node_of(starts), node_of(starts + kernel[d])]
    return _result(_largest(x, bounds), added, return_indices)


@in_full_precision
def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Largest value of windows of ``kernel_size`` whose distances are drawn at random.

    (Graham, 2014, arXiv:1412.6071, pseudorandom overlapping)

    Args:
        output_size: the number of windows; or
        output_ratio: that number by the input's size, in (0, 1).
        return_indices: also where each maximum was, in the flattened plane.
        _random_samples: numbers in [0, 1) to use, ``[N, C, 2]``; by default they are drawn.

    Shape:
        input ``[N, C, H, W]`` or ``[C, H, W]``.

    Raises:
        OptionError: unless exactly one of size and ratio is given.
        ShapeError: if the windows do not fit.
        DTypeError: for integers.
    """
    return _fractional_max_pool(
        2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


@in_full_precision
def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """:func:`fractional_max_pool2d` over three dimensions."""
    return _fractional_max_pool(
        3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )
