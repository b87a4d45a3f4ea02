"""A batch normalisation that is in evaluation, folded into the layer before it."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from ...errors import OptionError, ShapeError
from ...tensors.creation import ones_like, zeros_like
from ...tensors.tensor import Tensor
from ..module import Module
from ..parameter import Parameter

M = TypeVar("M", bound=Module)


def fuse_conv_bn_eval(conv: M, bn: Module, transpose: bool = False) -> M:
    """A copy of a convolution that does what it and the batch normalisation after it do.

    Args:
        transpose: for transposed convolutions.

    Raises:
        OptionError: unless both are in evaluation, and ``bn`` has running statistics.
    """
    mean, variance = _statistics("fuse_conv_bn_eval", conv, bn)
    fused: Any = copy.deepcopy(conv)
    norm: Any = bn
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, mean, variance, norm.eps, norm.weight, norm.bias, transpose
    )
    return fused  # type: ignore[no-any-return]


def fuse_linear_bn_eval(linear: M, bn: Module) -> M:
    """A copy of a linear layer that does what it and the batch normalisation after it do.

    Raises:
        OptionError: unless both are in evaluation, and ``bn`` has running statistics.
        ShapeError: unless ``bn`` has one feature, or as many as the layer has outputs.
    """
    mean, variance = _statistics("fuse_linear_bn_eval", linear, bn)
    fused: Any = copy.deepcopy(linear)
    norm: Any = bn
    if norm.num_features not in (1, fused.out_features):
        raise ShapeError(
            f"fuse_linear_bn_eval: the batch normalisation has {norm.num_features} features, but "
            f"the linear layer has {fused.out_features} outputs"
        )
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, mean, variance, norm.eps, norm.weight, norm.bias
    )
    return fused  # type: ignore[no-any-return]


def _statistics(name: str, layer: Module, bn: Any) -> tuple[Tensor, Tensor]:
    if layer.training or bn.training:
        raise OptionError(
            f"{name}: in training the statistics differ from batch to batch. Call eval() on both "
            "first"
        )
    if bn.running_mean is None or bn.running_var is None:
        raise OptionError(
            f"{name}: this batch normalisation has no running statistics "
            "(track_running_stats=False), so that it is not the same for every batch"
        )
    return bn.running_mean, bn.running_var


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """The weight and bias of :func:`fuse_conv_bn_eval`.

    Args:
        conv_w, conv_b: the convolution's.
        bn_rm, bn_rv: running mean and variance.
        bn_w, bn_b: the normalisation's; None for 1 and 0.
    """
    shape = [1] * conv_w.ndim
    shape[1 if transpose else 0] = -1
    return _fused(conv_w, conv_b, (bn_rm, bn_rv, bn_eps, bn_w, bn_b), shape)


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """The weight and bias of :func:`fuse_linear_bn_eval`; see :func:`fuse_conv_bn_weights`."""
    return _fused(linear_w, linear_b, (bn_rm, bn_rv, bn_eps, bn_w, bn_b), [-1, 1])


def _fused(
    weight: Tensor, bias: Tensor | None, norm: tuple[Any, ...], shape: list[int]
) -> tuple[Parameter, Parameter]:
    mean, variance, eps, scale, shift = norm
    scale = ones_like(mean) if scale is None else scale
    shift = zeros_like(mean) if shift is None else shift
    before = zeros_like(mean) if bias is None else bias
    scale = scale * (variance + eps).rsqrt()
    new_weight = (weight * scale.reshape(shape)).to(weight.dtype)
    new_bias = ((before - mean) * scale + shift).to(weight.dtype if bias is None else bias.dtype)
    bias_learns = before.requires_grad
    return Parameter(new_weight, weight.requires_grad), Parameter(new_bias, bias_learns)
