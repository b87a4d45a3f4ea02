"""Normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ...autograd.modes import no_grad
from ...calls import call, composed
from ...dtypes import float32
from ...errors import DTypeError, OptionError, ShapeError
from ...graph.node import Node
from ...ops import elementwise as ew, movement as mv, reduce as rd
from ...tensors.core import node_of, wrap
from ...tensors.tensor import Tensor


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel (dimension 1) with mean 0 and variance 1, then scaled and shifted.

    In training by the statistics of this batch, which also move the running ones; else by the
    running ones. (Ioffe and Szegedy, 2015)

    Raises:
        ShapeError: if channels differ, or a channel has just one value in training.
        DTypeError: if the others are not of the input's dtype, or float32 for one of 16 bits.
        OptionError: unless ``eps`` is positive, or outside training 0.
    """
    x = node_of(input)
    if x.type.ndim < 2:
        raise ShapeError(f"batch_norm takes [batch, channels, ...], not shape {list(x.type.shape)}")
    channels = x.type.shape[1]
    for name, t in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        if t is not None and node_of(t).type.size != channels:
            raise ShapeError(
                f"batch_norm: the input of shape {list(x.type.shape)} has {channels} channels, but "
                f"{name} has {node_of(t).type.size} elements: the layer for this input has "
                f"num_features={channels}"
            )
    _check_dtypes(
        "batch_norm",
        x,
        running_mean=running_mean,
        running_var=running_var,
        weight=weight,
        bias=bias,
    )
    if eps < 0 or (training and eps == 0):
        raise OptionError(
            f"batch_norm: eps must be {'positive' if training else '0 or more'}, not {eps}"
        )
    row = (1, channels, *(1,) * (x.type.ndim - 2))
    kind = x.type.dtype
    if kind.is_reduced:  # sums in float32, where 16-bit input has float32 parameters, too
        x = ew.cast(x, float32)

    def in_row(t: Tensor) -> Node:
        node = node_of(t)
        return mv.reshape(ew.cast(node, float32) if kind.is_reduced else node, row)

    if training:
        mean, var = _batch_statistics(x)
        _move_running(
            running_mean, running_var, mean, var, x.type.size // max(channels, 1), momentum
        )
    elif running_mean is None or running_var is None:
        raise OptionError("batch_norm outside training needs running_mean and running_var")
    else:
        mean, var = (in_row(t) for t in (running_mean, running_var))
    factor = () if weight is None else (in_row(weight),)
    y = composed(_scaled, x, mean, var, *factor, eps)
    return wrap(ew.cast(y if bias is None else ew.add(y, in_row(bias)), kind))


def _check_dtypes(name: str, x: Node, **given: Tensor | None) -> None:
    """Raises DTypeError unless all have the input's dtype; 16-bit input goes with float32, too."""
    kind = x.type.dtype
    for what, t in given.items():
        own = kind if t is None else node_of(t).type.dtype
        if own is not kind and not (kind.is_reduced and own is float32):
            raise DTypeError(
                f"{name}: the input is {kind}, but {what} is {own}: convert the input with "
                f"x.to({own}), or the layer with .to({kind})"
            )


def _scaled(x: Node, mean: Node, var: Node, *rest: Any) -> Node:
    """Normalised and, where there is one, times a factor; ``rest`` ends with eps."""
    *factor, eps = rest
    scale = ew.rsqrt(ew.add(var, eps))
    for f in factor:
        scale = ew.mul(scale, f)
    return ew.mul(ew.sub(x, mean), scale)


def _batch_statistics(x: Node) -> tuple[Node, Node]:
    dims = tuple([d for d in range(x.type.ndim) if d != 1])
    n = x.type.size // max(x.type.shape[1], 1)
    if n == 1:
        raise ShapeError(
            f"batch_norm in training needs more than one value per channel, but the input has "
            f"shape {list(x.type.shape)}: use a larger batch, or model.eval()"
        )
    mean, var = call(_moments, dims, (x,))
    return mean, var


def _moments(dims: tuple[int, ...], x: Node) -> tuple[Node, Node]:
    mean = _mean(x, dims)
    centred = ew.sub(x, mean)
    return mean, _mean(ew.mul(centred, centred), dims)


def _move_running(
    running_mean: Tensor | None,
    running_var: Tensor | None,
    mean: Node,
    var: Node,
    n: int,
    momentum: float | Tensor,
) -> None:
    if n == 0:  # an empty batch says nothing
        return
    with no_grad():
        for running, new in ((running_mean, mean), (running_var, var)):
            if running is not None:
                old = node_of(running)
                step = ew.cast(ew.detach(mv.reshape(new, old.type.shape)), old.type.dtype)
                if running is running_var:
                    step = ew.mul(step, n / (n - 1))
                keep, take = (_factor(f, old) for f in (1 - momentum, momentum))
                running._rebind(ew.add(ew.mul(old, keep), ew.mul(step, take)))


def _factor(value: float | Tensor, like: Node) -> float | Node:
    return ew.cast(node_of(value), like.type.dtype) if isinstance(value, Tensor) else value


# ---- normalisation of each sample by itself


def sizes_option(name: str, value: Any) -> tuple[int, ...]:
    """``normalized_shape``: one size or several.

    Raises:
        OptionError: for none.
        TypeError: for anything but ints.
    """
    sizes = (value,) if hasattr(value, "__index__") else tuple(value)
    if not sizes:
        raise ShapeError(f"{name}: normalized_shape needs at least one size, such as x.shape[-1]")
    return tuple([n.__index__() for n in sizes])


def _compute_dtype(name: str, x: Node) -> Node:
    """``x`` in the dtype for sums of squares: float32 for those of 16 bits."""
    if not x.type.dtype.is_floating_point:
        raise DTypeError(
            f"{name} takes a floating dtype, not {x.type.dtype}: convert with .float()"
        )
    return ew.cast(x, float32) if x.type.dtype.is_reduced else x


def _mean(x: Node, dims: tuple[int, ...]) -> Node:
    n = prod([x.type.shape[d] for d in dims])
    return ew.div(rd.sum_(x, dims, True), max(n, 1))


def _standardised(x: Node, dims: tuple[int, ...], eps: float) -> Node:
    return composed(_standardise, x, dims, eps)


def _standardise(x: Node, dims: tuple[int, ...], eps: float) -> Node:
    centred = ew.sub(x, _mean(x, dims))
    return ew.mul(centred, ew.rsqrt(ew.add(_mean(ew.mul(centred, centred), dims), eps)))


def _affine(y: Node, weight: Tensor | None, bias: Tensor | None, row: tuple[int, ...]) -> Node:
    for t, how in ((weight, ew.mul), (bias, ew.add)):
        if t is not None:
            y = how(y, mv.reshape(ew.cast(node_of(t), y.type.dtype), row))
    return y


def _trailing(
    name: str, x: Node, sizes: tuple[int, ...], **given: Tensor | None
) -> tuple[int, ...]:
    """The dimensions that ``normalized_shape`` stands for."""
    k, shape = len(sizes), x.type.shape
    if k > len(shape) or shape[len(shape) - k :] != sizes:
        raise ShapeError(
            f"{name}: the input's last dimensions must be {list(sizes)}, but it has shape "
            f"{list(shape)}: the layer for it has normalized_shape={list(shape[-k:])}"
        )
    for what, t in given.items():
        if t is not None and node_of(t).type.shape != sizes:
            raise ShapeError(
                f"{name}: {what} must have normalized_shape {list(sizes)}, but has shape "
                f"{list(t.shape)}"
            )
    return tuple(range(len(shape) - k, len(shape)))


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """The last dimensions with mean 0 and variance 1, then scaled and shifted.

    (Ba, Kiros and Hinton, 2016, arXiv:1607.06450)

    Shape:
        input ``[*, *normalized_shape]``, weight and bias ``normalized_shape``; result as the input.

    Raises:
        ShapeError: if the input does not end in ``normalized_shape``.
        DTypeError: for integers, or parameters of another dtype (float32 ones go with 16 bits).
    """
    source = node_of(input)
    sizes = sizes_option("layer_norm", normalized_shape)
    dims = _trailing("layer_norm", source, sizes, weight=weight, bias=bias)
    _check_dtypes("layer_norm", source, weight=weight, bias=bias)
    y = _standardised(_compute_dtype("layer_norm", source), dims, eps)
    return wrap(ew.cast(_affine(y, weight, bias, sizes), source.type.dtype))


def rms_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """The last dimensions divided by their root mean square, then scaled.

    (Zhang and Sennrich, 2019, arXiv:1910.07467)

    Args:
        eps: added to the mean square; None for the smallest step at 1 of the dtype in which the
            mean is taken.

    Raises:
        ShapeError: if the input does not end in ``normalized_shape``.
        DTypeError: for integers.
    """
    source = node_of(input)
    sizes = sizes_option("rms_norm", normalized_shape)
    dims = _trailing("rms_norm", source, sizes, weight=weight)
    x = source if source.type.dtype.is_complex else _compute_dtype("rms_norm", source)
    small = float(np.finfo(x.type.dtype.numpy).eps) if eps is None else eps
    y = ew.mul(x, ew.rsqrt(ew.add(_mean(ew.mul(x, x), dims), small)))
    return wrap(ew.cast(_affine(y, weight, None, sizes), source.type.dtype))


def _channel_row(name: str, x: Node, **given: Tensor | None) -> tuple[int, ...]:
    """The shape in which one value for each channel meets the input."""
    channels = x.type.shape[1]
    for what, t in given.items():
        if t is not None and node_of(t).type.shape != (channels,):
            raise ShapeError(
                f"{name}: the input of shape {list(x.type.shape)} has {channels} channels, but "
                f"{what} has shape {list(t.shape)}: it must have [{channels}]"
            )
    return (1, channels, *(1,) * (x.type.ndim - 2))


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Each group of channels of a sample with mean 0 and variance 1, then scaled and shifted.

    (Wu and He, 2018, arXiv:1803.08494)

    Shape:
        input ``[N, C, *]``, weight and bias ``[C]``; result as the input.

    Raises:
        ShapeError: unless the channels divide into the groups, with more than one value in each.
        DTypeError: for integers, or parameters of another dtype (float32 ones go with 16 bits).
    """
    source = node_of(input)
    shape = source.type.shape
    if len(shape) < 2:
        raise ShapeError(f"group_norm takes [batch, channels, ...], not shape {list(shape)}")
    if num_groups < 1 or shape[1] % num_groups:
        raise ShapeError(
            f"group_norm: {shape[1]} channels (input of shape {list(shape)}) do not divide into "
            f"{num_groups} groups"
        )
    size = prod(shape[1:]) // num_groups
    if shape[0] * size == 1:
        raise ShapeError(
            f"group_norm needs more than one value in a group, but the input has shape "
            f"{list(shape)} and num_groups={num_groups}"
        )
    _channel_row("group_norm", source, weight=weight, bias=bias)
    _check_dtypes("group_norm", source, weight=weight, bias=bias)
    # (in one shape throughout, so that all of it is one loop)
    batch, channels, *rest = shape
    row = (1, num_groups, channels // num_groups, 1)
    grouped = (batch, *row[1:3], prod(rest))
    x = mv.reshape(_compute_dtype("group_norm", source), grouped)
    y = mv.reshape(_affine(_standardised(x, (2, 3), eps), weight, bias, row), shape)
    return wrap(ew.cast(y, source.type.dtype))


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel of each sample with mean 0 and variance 1, then scaled and shifted.

    (Ulyanov, Vedaldi and Lempitsky, 2016, arXiv:1607.08022)

    Args:
        use_input_stats: by the statistics of this input, which also move the running ones; else by
            the running ones.

    Shape:
        input ``[N, C, *]``, the others ``[C]``; result as the input.

    Raises:
        ShapeError: if channels differ, or a channel of a sample has just one value.
        DTypeError: as :func:`batch_norm`.
        OptionError: without any statistics, or with one of the running ones alone.
    """
    source = node_of(input)
    shape = source.type.shape
    if len(shape) < 3:
        raise ShapeError(f"instance_norm takes [batch, channels, ...], not shape {list(shape)}")
    if (running_mean is None) != (running_var is None):
        raise OptionError("instance_norm takes running_mean and running_var together, or neither")
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise OptionError(
                "instance_norm with use_input_stats=False needs running_mean and running_var"
            )
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    n = prod(shape[2:])
    if n == 1:
        raise ShapeError(
            f"instance_norm needs more than one value in a channel of a sample, but the input has "
            f"shape {list(shape)}"
        )
    row = _channel_row(
        "instance_norm",
        source,
        running_mean=running_mean,
        running_var=running_var,
        weight=weight,
        bias=bias,
    )
    _check_dtypes(
        "instance_norm",
        source,
        running_mean=running_mean,
        running_var=running_var,
        weight=weight,
        bias=bias,
    )
    x = _compute_dtype("instance_norm", source)
    dims = tuple(range(2, len(shape)))
    if running_mean is not None:
        with no_grad():
            mean = _mean(x, dims)
            centred = ew.sub(x, mean)
            var = _mean(ew.mul(centred, centred), dims)
            of_batch = _mean(mean, (0,)), _mean(var, (0,))
        _move_running(running_mean, running_var, *of_batch, n, momentum)
    y = _affine(_standardised(x, dims, eps), weight, bias, row)
    return wrap(ew.cast(y, source.type.dtype))


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """``input / (k + alpha * m)^beta``, ``m`` the mean square over ``size`` neighbouring channels.

    (Krizhevsky, Sutskever and Hinton, 2012, section 3.3)

    Shape:
        input ``[N, C, *]`` with at least one more dimension; result as the input.

    Raises:
        ShapeError: for fewer than three dimensions.
        OptionError: unless ``size`` is positive.
    """
    x = node_of(input)
    if x.type.ndim < 3:
        raise ShapeError(
            f"local_response_norm takes [batch, channels, length, ...], not shape "
            f"{list(x.type.shape)}"
        )
    if size < 1:
        raise OptionError(f"local_response_norm: size must be positive, not {size}")
    if x.type.size == 0:
        return input
    if not x.type.dtype.is_floating_point:
        raise DTypeError(
            f"local_response_norm takes a floating dtype, not {x.type.dtype}: convert with .float()"
        )
    channels = x.type.shape[1]
    widths = [(0, 0)] * x.type.ndim
    widths[1] = (size // 2, (size - 1) // 2)
    padded = mv.pad(ew.mul(x, x), widths)
    cuts = [(0, n, 1) for n in x.type.shape]
    total: Node | None = None
    for start in range(size):
        cuts[1] = (start, start + channels, 1)
        part = mv.slice_(padded, tuple(cuts))
        total = part if total is None else ew.add(total, part)
    assert total is not None
    scale = ew.pow_(ew.add(ew.mul(total, alpha / size), k), beta)
    return wrap(ew.div(x, scale))
