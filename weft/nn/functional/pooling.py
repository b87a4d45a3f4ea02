"""Pooling."""

from __future__ import annotations

from math import prod
from typing import Any

from ...dtypes import int64
from ...ops import contract, movement as mv
from ...ops.contract import Pool, Window
from ...tensors.core import node_of, wrap
from ...tensors.tensor import Tensor
from .conv import batched, check_positive, each


def _max_pool(
    dims: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    name = f"max_pool{dims}d"
    x, added = batched(name, node_of(input), dims)
    kernel = each(kernel_size, dims, "kernel_size")
    steps = kernel if stride is None or stride == [] else each(stride, dims, "stride")
    widths = each(padding, dims, "padding")
    gaps = each(dilation, dims, "dilation")
    check_positive(name, "kernel_size", kernel)
    check_positive(name, "stride", steps)
    if any(p < 0 or 2 * p > k for p, k in zip(widths, kernel, strict=True)):
        raise ValueError(
            f"{name}: padding {widths} must be between 0 and half of kernel_size {kernel}"
        )
    pads = tuple([(p, p) for p in widths])
    if ceil_mode:
        pads = tuple(map(_ceil_pad, x.type.shape[2:], kernel, steps, pads, gaps))
    pool = Pool(kernel, Window(steps, pads, gaps))
    y = contract.max_pool(x, pool)
    outputs = [y]
    if return_indices:
        plane = mv.arange(prod(x.type.shape[2:]), int64)
        places = mv.expand(mv.reshape(plane, x.type.shape[2:]), x.type.shape)
        outputs.append(contract.max_pool_take(x, places, pool))
    if added:
        outputs = [mv.reshape(o, o.type.shape[1:]) for o in outputs]
    tensors = tuple([wrap(o) for o in outputs])
    return tensors if return_indices else tensors[0]


def _ceil_pad(size: int, kernel: int, step: int, pad: tuple[int, int], gap: int) -> tuple[int, int]:
    """Padding with room behind for a last window that begins within the (left-padded) input."""
    reach = gap * (kernel - 1) + 1
    count = -(-(size + sum(pad) - reach) // step) + 1
    if (count - 1) * step >= size + pad[0]:
        count -= 1
    return pad[0], max(pad[1], (count - 1) * step + reach - size - pad[0])


def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest value of each window over one dimension. See :func:`max_pool2d`."""
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest value of each window over two dimensions.

    Shape:
        input ``[N, C, H, W]`` or ``[C, H, W]``.

    Args:
        stride: by default ``kernel_size``.
        padding: at most half of ``kernel_size``; padded places never win.
        ceil_mode: a last window may reach beyond the end.
        return_indices: also where each maximum was, in the flattened plane.
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest value of each window over three dimensions. See :func:`max_pool2d`."""
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
