"""Convolution, and the options that windows have in common."""

from __future__ import annotations

from typing import Any

from ...errors import OptionError, ShapeError
from ...graph.node import Node
from ...ops import contract, elementwise as ew, movement as mv
from ...ops.contract import Window
from ...tensors.autocasting import in_low_precision
from ...tensors.core import node_of, wrap
from ...tensors.tensor import Tensor
from .linear import check_dtype


def each(value: Any, n: int, name: str) -> tuple[int, ...]:
    """An option given once or for each of ``n`` dimensions.

    Raises:
        ShapeError: if it is given for another number of dimensions.
        TypeError: for anything but ints.
    """
    if isinstance(value, (tuple, list)):
        if len(value) == 1:
            value = value * n
        if len(value) != n:
            raise ShapeError(f"{name}={tuple(value)} should be one int or {n} of them")
        return tuple([_integer(v, name) for v in value])
    return (_integer(value, name),) * n


def _integer(value: Any, name: str) -> int:
    try:
        return value.__index__()  # type: ignore[no-any-return]
    except (AttributeError, TypeError):
        raise TypeError(f"{name} takes ints, not {value!r}") from None


def same_padding(kernel: tuple[int, ...], dilation: tuple[int, ...]) -> contract.Pairs:
    """The padding that keeps the size at stride 1; an odd one goes behind, as in PyTorch."""
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple([(t // 2, t - t // 2) for t in total])


def _padding(
    padding: Any, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> contract.Pairs:
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * len(kernel)
        if padding != "same":
            raise OptionError(f"padding={padding!r} should be ints, 'valid' or 'same'")
        if any(s != 1 for s in stride):
            raise ShapeError("padding='same' needs stride 1")
        return same_padding(kernel, dilation)
    widths = each(padding, len(kernel), "padding")
    if any(w < 0 for w in widths):
        raise ShapeError(f"padding={padding} must not be negative")
    return tuple([(w, w) for w in widths])


def batched(name: str, x: Node, dims: int) -> tuple[Node, bool]:
    """The input with a batch dimension, and whether it had to be added.

    Raises:
        ShapeError: for another number of dimensions.
    """
    if x.type.ndim == dims + 2:
        return x, False
    if x.type.ndim == dims + 1:
        return mv.reshape(x, (1, *x.type.shape)), True
    spatial = ["length"] if dims == 1 else ["depth", "height", "width"][-dims:]
    form = f"[batch, channels, {', '.join(spatial)}]"
    raise ShapeError(
        f"{name} takes input of shape {form} (or without the batch), but the input has shape "
        f"{list(x.type.shape)}"
    )


def check_positive(name: str, option: str, values: tuple[int, ...]) -> None:
    if any(v <= 0 for v in values):
        raise ShapeError(f"{name}: {option} must be positive, not {values}")


def check_weight(name: str, w: Node, dims: int) -> None:
    """Raises ShapeError unless the weight has ``dims`` sizes of a window after its two channels."""
    if w.type.ndim != dims + 2 or 0 in w.type.shape[2:]:
        raise ShapeError(
            f"{name} takes a weight of {dims + 2} dimensions, none of the window's empty, not of "
            f"shape {list(w.type.shape)}"
        )


def _conv(
    dims: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    name = f"conv{dims}d"
    x, added = batched(name, node_of(input), dims)
    w, steps, gaps = checked(name, x, weight, dims, stride, dilation)
    channels = w.type.shape[1] * groups
    if x.type.shape[1] != channels:
        raise channel_mismatch(name, x, channels, dims)
    window = Window(steps, _padding(padding, w.type.shape[2:], steps, gaps), gaps, groups)
    return finished(name, contract.conv(x, w, window), bias, added)


def checked(
    name: str, x: Node, weight: Tensor, dims: int, stride: Any, dilation: Any
) -> tuple[Node, tuple[int, ...], tuple[int, ...]]:
    """The weight, and stride and dilation of each dimension.

    Raises:
        ShapeError: for a weight of another rank, or steps that are not positive.
        DTypeError: if the weight's dtype is not the input's.
    """
    w = node_of(weight)
    check_weight(name, w, dims)
    check_dtype(name, x, w)
    steps, gaps = each(stride, dims, "stride"), each(dilation, dims, "dilation")
    check_positive(name, "stride", steps)
    check_positive(name, "dilation", gaps)
    return w, steps, gaps


def finished(name: str, y: Node, bias: Tensor | None, added: bool) -> Tensor:
    """With the bias of each channel, and without a batch dimension that was added."""
    if bias is not None:
        b = node_of(bias)
        if b.type.shape != (y.type.shape[1],):
            raise ShapeError(
                f"{name} with {y.type.shape[1]} channels of output takes a bias of shape "
                f"[{y.type.shape[1]}], not {list(b.type.shape)}"
            )
        y = ew.add(y, mv.reshape(b, (1, y.type.shape[1], *(1,) * (y.type.ndim - 2))))
    return wrap(mv.reshape(y, y.type.shape[1:]) if added else y)


def channel_mismatch(name: str, x: Node, channels: int, dims: int) -> ShapeError:
    shape = list(x.type.shape)
    hint = ""
    if shape[-1] == channels:
        order = (0, dims + 1, *range(1, dims + 1))
        hint = (
            ". The channels seem to come last: weft takes them right after the batch, "
            f"x.permute{order}"
        )
    return ShapeError(
        f"{name} takes {channels} channels in dimension 1, but the input of shape {shape} has "
        f"{shape[1]}{hint}"
    )


@in_low_precision
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution (cross-correlation) over one dimension. See :func:`conv2d`."""
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


@in_low_precision
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution (cross-correlation) over two dimensions.

    Shape:
        input ``[N, C, H, W]`` or ``[C, H, W]``, weight ``[O, C / groups, kH, kW]``, bias ``[O]``.

    Args:
        padding: zeros on each side; or "valid" (none), or "same" (the size stays).

    Raises:
        ShapeError: for another rank, other channels, or a kernel larger than the padded input.
        DTypeError: if the dtypes differ.
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


@in_low_precision
def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution (cross-correlation) over three dimensions. See :func:`conv2d`."""
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """:func:`conv1d` of ``[T, N, C]`` with a weight ``[k, C, O]``; the result is ``[T', N, O]``.

    Raises:
        ShapeError: for tensors of other ranks.
    """
    if input.ndim != 3 or weight.ndim != 3 or bias.ndim != 1:
        raise ShapeError(
            "conv_tbc takes input [time, batch, channels], weight [k, channels, out] and bias "
            f"[out], not shapes {list(input.shape)}, {list(weight.shape)} and {list(bias.shape)}"
        )
    out = conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return out.permute(2, 0, 1)
