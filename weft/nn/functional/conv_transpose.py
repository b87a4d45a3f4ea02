"""Transposed convolution."""

from __future__ import annotations

from typing import Any

from ...errors import ShapeError
from ...ops import contract
from ...ops.contract import Window
from ...tensors.autocasting import in_low_precision
from ...tensors.core import node_of, wrap
from ...tensors.tensor import Tensor
from .conv import batched, channel_mismatch, checked, each, finished
from .padding import pad


def _conv_transpose(
    dims: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Tensor:
    name = f"conv_transpose{dims}d"
    x, added = batched(name, node_of(input), dims)
    w, steps, gaps = checked(name, x, weight, dims, stride, dilation)
    widths, extra = each(padding, dims, "padding"), each(output_padding, dims, "output_padding")
    if min(widths) < 0:
        raise ShapeError(f"{name}: padding={padding} must not be negative")
    if any(e < 0 or e >= max(s, d) for e, s, d in zip(extra, steps, gaps, strict=True)):
        raise ShapeError(
            f"{name}: output_padding {extra} must be smaller than stride {steps} or dilation {gaps}"
        )
    if x.type.shape[1] != w.type.shape[0]:
        raise channel_mismatch(name, x, w.type.shape[0], dims)
    if groups < 1 or x.type.shape[1] % groups:
        raise ShapeError(f"{name}: {x.type.shape[1]} channels do not divide into {groups} groups")
    kernel = w.type.shape[2:]
    sizes = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(
            x.type.shape[2:], steps, widths, gaps, kernel, extra, strict=True
        )
    )
    if min(sizes) < 1:
        raise ShapeError(
            f"{name}: an input of shape {list(x.type.shape)} and a window of {list(kernel)} with "
            f"padding {widths} give the size {list(sizes)}"
        )
    if all(e < s for e, s in zip(extra, steps, strict=True)):
        pads = tuple([(p, p) for p in widths])
        y = contract.conv_input(x, w, Window(steps, pads, gaps, groups), sizes)
    else:  # the convolution that this transposes would find room for another window
        whole = tuple([n + 2 * p - e for n, p, e in zip(sizes, widths, extra, strict=True)])
        y = contract.conv_input(x, w, Window(steps, ((0, 0),) * dims, gaps, groups), whole)
        frame = [(-p, e - p) for p, e in zip(widths, extra, strict=True)]
        y = node_of(pad(wrap(y), [n for pair in reversed(frame) for n in pair]))
    return finished(name, y, bias, added)


@in_low_precision
def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Transposed convolution over one dimension. See :func:`conv_transpose2d`."""
    return _conv_transpose(
        1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@in_low_precision
def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The gradient of :func:`conv2d` by its input, as a function: it makes images larger.

    (Zeiler et al., 2010, "Deconvolutional networks")

    Shape:
        input ``[N, C, H, W]`` or ``[C, H, W]``, weight ``[C, O / groups, kH, kW]``, bias ``[O]``;
        the result's height is
        ``(H - 1) stride - 2 padding + dilation (kH - 1) + output_padding + 1``.

    Args:
        output_padding: which of the sizes that a strided convolution would map to that of the input
            the result has.

    Raises:
        ShapeError: for another rank, other channels, or a result without elements.
        DTypeError: if the dtypes differ.
    """
    return _conv_transpose(
        2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@in_low_precision
def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Transposed convolution over three dimensions. See :func:`conv_transpose2d`."""
    return _conv_transpose(
        3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )
