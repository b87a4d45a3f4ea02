"""Pooling: one value for each window that moves over the input."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from ...dtypes import float32, int64
from ...errors import DTypeError, OptionError, ShapeError
from ...graph.device import ANYWHERE
from ...graph.node import Node, Shape, number
from ...ops import contract, elementwise as ew, index as ix, movement as mv
from ...ops.contract import Pool, Window, windows
from ...ops.reduce import sum_
from ...tensors.autocasting import in_full_precision
from ...tensors.core import node_of, wrap
from ...tensors.creation import tensor
from ...tensors.elementwise import where
from ...tensors.tensor import Tensor
from .conv import batched, check_positive, each


class _Geometry(NamedTuple):
    """The windows of a pooling, one number for each dimension."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: contract.Pairs  # padding, and behind it what a window that reaches beyond the end needs

    def counts(self, sizes: Shape) -> list[int]:
        """How many windows there are.

        Raises:
            ShapeError: if none fits.
        """
        found = list(map(windows, sizes, self.kernel, self.stride, self.pads, self.dilation))
        if min(found) < 1:
            raise ShapeError(
                f"a window of {list(self.kernel)} does not fit an input of {list(sizes)} with "
                f"padding {list(self.padding)}"
            )
        return found


def pooled(name: str, input: Tensor, dims: int) -> tuple[Node, bool]:
    """As :func:`batched`.

    Raises:
        ShapeError: also if a sample has no elements.
    """
    x, added = batched(name, node_of(input), dims)
    if 0 in x.type.shape[1:]:
        raise ShapeError(f"{name}: an input of shape {list(input.shape)} has no elements to pool")
    return x, added


def _geometry(
    name: str,
    sizes: Shape,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> _Geometry:
    dims = len(sizes)
    kernel = each(kernel_size, dims, "kernel_size")
    steps = kernel if stride in (None, [], ()) else each(stride, dims, "stride")
    widths = each(padding, dims, "padding")
    gaps = each(dilation, dims, "dilation")
    check_positive(name, "kernel_size", kernel)
    check_positive(name, "stride", steps)
    check_positive(name, "dilation", gaps)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, gaps, strict=True)]
    if any(p < 0 or 2 * p > r for p, r in zip(widths, reach, strict=True)):
        raise ShapeError(
            f"{name}: padding {widths} must be between 0 and half of kernel_size {kernel}"
        )
    pads = tuple([(p, p) for p in widths])
    if ceil_mode:
        pads = tuple(map(_ceil_pad, sizes, kernel, steps, pads, gaps))
    return _Geometry(kernel, steps, widths, gaps, pads)


def _unbatched(outputs: Sequence[Node], added: bool) -> tuple[Tensor, ...]:
    """The outputs without the batch that :func:`batched` had added."""
    return tuple([wrap(mv.reshape(o, o.type.shape[1:]) if added else o) for o in outputs])


# ---- the largest


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
    x, added = pooled(name, input, dims)
    sizes = x.type.shape[2:]
    at = _geometry(name, sizes, kernel_size, stride, padding, dilation, ceil_mode)
    pool = Pool(at.kernel, Window(at.stride, at.pads, at.dilation))
    outputs = [contract.max_pool(x, pool)]
    if return_indices:
        plane = mv.reshape(mv.arange(prod(sizes), int64), sizes)
        outputs.append(contract.max_pool_take(x, mv.expand(plane, x.type.shape), pool))
    tensors = _unbatched(outputs, added)
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


@in_full_precision
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


# ---- back to where they were


def _unpooled_sizes(name: str, sizes: Shape, at: _Geometry, output_size: Any) -> Shape:
    default = [
        (n - 1) * s + k - 2 * p
        for n, s, k, p in zip(sizes, at.stride, at.kernel, at.padding, strict=True)
    ]
    if output_size is None:
        return tuple(default)
    wanted = tuple(output_size)[-len(sizes) :]
    near = [w >= 0 and abs(w - n) < s for w, n, s in zip(wanted, default, at.stride, strict=True)]
    if len(output_size) not in (len(sizes), len(sizes) + 2) or not all(near):
        raise ShapeError(
            f"{name}: output_size={list(output_size)} must be within a stride {list(at.stride)} of "
            f"{default}"
        )
    return wanted


def _max_unpool(
    dims: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
) -> Tensor:
    name = f"max_unpool{dims}d"
    x, added = batched(name, node_of(input), dims)
    places, _ = batched(name, node_of(indices), dims)
    if places.type.dtype is not int64:
        raise DTypeError(f"{name}: indices must be int64, not {places.type.dtype}")
    if places.type.shape != x.type.shape:
        raise ShapeError(
            f"{name}: indices of shape {list(node_of(indices).type.shape)} for an input of shape "
            f"{list(node_of(input).type.shape)}"
        )
    at = _geometry(name, x.type.shape[2:], kernel_size, stride, padding)
    sizes = _unpooled_sizes(name, x.type.shape[2:], at, output_size)
    rows, count = prod(x.type.shape[:2]), prod(x.type.shape[2:])
    flat = mv.reshape(x, (rows, count))
    row = mv.reshape(mv.arange(rows, int64), (rows, 1))
    nothing = mv.expand(number(0, x.type.dtype), (rows, prod(sizes)))
    y = ix.put(nothing, flat, [row, mv.reshape(places, (rows, count))], wrap=False)
    return _unbatched([mv.reshape(y, (*x.type.shape[:2], *sizes))], added)[0]


@in_full_precision
def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Undoes :func:`max_pool1d` as far as that goes. See :func:`max_unpool2d`."""
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


@in_full_precision
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Puts maxima back to where :func:`max_pool2d` found them, among zeros.

    (Zeiler and Fergus, 2013, arXiv:1311.2901)

    Shape:
        input ``[N, C, H, W]`` or ``[C, H, W]``, indices likewise, int64.

    Args:
        output_size: where several sizes would have been pooled to that of the input, which.

    Raises:
        ShapeError: if the shapes differ, or ``output_size`` is none of these.
        IndexError: for an index beyond the output, when it is run.
    """
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


@in_full_precision
def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Undoes :func:`max_pool3d` as far as that goes. See :func:`max_unpool2d`."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


# ---- the mean


def sum_along(x: Node, dim: int, kernel: int, step: int, count: int) -> Node:
    """Sums of ``count`` windows of ``kernel`` elements along ``dim``, ``step`` apart.

    A window's sum reads no element outside it, so that a NaN stays in its windows.
    """
    cuts = [(0, n, 1) for n in x.type.shape]
    if kernel == step:
        cuts[dim] = (0, count * kernel, 1)
        whole = mv.slice_(x, tuple(cuts))
        split = (*x.type.shape[:dim], count, kernel, *x.type.shape[dim + 1 :])
        return sum_(mv.reshape(whole, split), (dim + 1,))
    total: Node | None = None
    for k in range(kernel):
        cuts[dim] = (k, k + (count - 1) * step + 1, step)
        part = mv.slice_(x, tuple(cuts))
        total = part if total is None else ew.add(total, part)
    assert total is not None
    return total


def _divisors(at: _Geometry, sizes: Shape, counts: list[int], include_pad: bool) -> Tensor:
    """How many elements each window has, for each dimension; their product is the window's."""
    found = tensor(1, device=ANYWHERE)
    for d, (size, count) in enumerate(zip(sizes, counts, strict=True)):
        first, last = (-at.padding[d], size + at.padding[d]) if include_pad else (0, size)
        lengths = []
        for k in range(count):
            start = k * at.stride[d] - at.padding[d]
            lengths.append(min(start + at.kernel[d], last) - max(start, first))
        found = found.unsqueeze(-1) * tensor(lengths, device=ANYWHERE)
    return found


def _avg_pool(
    dims: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> Tensor:
    name = f"avg_pool{dims}d"
    x, added = pooled(name, input, dims)
    kind, sizes = x.type.dtype, x.type.shape[2:]
    if kind.category == 0:
        raise DTypeError(f"{name} takes numbers, not {kind}")
    if divisor == 0:
        raise ShapeError(f"{name}: divisor_override must not be 0")
    at = _geometry(name, sizes, kernel_size, stride, padding, 1, ceil_mode)
    counts = at.counts(sizes)
    total = ew.cast(x, float32) if kind.is_floating_point and kind.itemsize == 2 else x
    total = mv.pad(total, ((0, 0), (0, 0), *at.pads)) if any(map(any, at.pads)) else total
    for d in range(dims):
        total = sum_along(total, d + 2, at.kernel[d], at.stride[d], counts[d])
    by: Any = divisor
    if divisor is None:
        is_whole = not ceil_mode and (count_include_pad or not any(at.padding))
        by = prod(at.kernel) if is_whole else _divisors(at, sizes, counts, count_include_pad)
    y = wrap(total).div(by, rounding_mode=None if kind.is_floating_point else "trunc")
    return _unbatched([ew.cast(node_of(y), kind)], added)[0]


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Mean of each window over one dimension. See :func:`avg_pool2d`."""
    return _avg_pool(
        1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor=None
    )


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Mean of each window over two dimensions.

    Shape:
        input ``[N, C, H, W]`` or ``[C, H, W]``.

    Args:
        stride: by default ``kernel_size``.
        padding: zeros on each side, at most half of ``kernel_size``.
        ceil_mode: a last window may reach beyond the end; what is beyond does not count.
        count_include_pad: whether padding counts as elements.
        divisor_override: what the sums are divided by, in place of the number of elements.

    Raises:
        ShapeError: for another rank, or a window that does not fit.
    """
    return _avg_pool(
        2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@in_full_precision
def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Mean of each window over three dimensions. See :func:`avg_pool2d`."""
    return _avg_pool(
        3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


# ---- the power mean, without the mean


def _lp_pool(
    dims: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Tensor:
    node_of(input)  # says what is wrong with anything but a Tensor
    kernel = each(kernel_size, dims, "kernel_size")
    if norm_type == 0:
        raise OptionError(f"lp_pool{dims}d: norm_type must not be 0")
    powers = input.pow(norm_type)
    mean = _avg_pool(dims, powers, kernel, stride, 0, ceil_mode, True, None)
    # As in PyTorch: no root of a negative sum, and no gradient where the sum is zero.
    size = where(mean == 0, 0.0, mean.abs())
    total = mean.sign() * size * prod(kernel)
    return total.pow(1.0 / norm_type)


def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Tensor:
    """``sum(x^p)^(1/p)`` of each window over one dimension, for ``p = norm_type``.

    See :func:`lp_pool2d`.
    """
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Tensor:
    """``sum(x^p)^(1/p)`` of each window over two dimensions, for ``p = norm_type``.

    Where elements are negative, ``p`` should be even. (Sermanet et al., 2012, arXiv:1204.3968)

    Shape:
        input ``[N, C, H, W]`` or ``[C, H, W]``.
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


@in_full_precision
def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Tensor:
    """``sum(x^p)^(1/p)`` of each window over three dimensions. See :func:`lp_pool2d`."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)
