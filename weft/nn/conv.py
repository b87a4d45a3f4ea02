"""Convolution layers."""

from __future__ import annotations

from typing import Any

from ..errors import UnsupportedOp
from ..tensors.creation import empty
from ..tensors.tensor import Tensor
from . import functional as F
from .functional.conv import each
from .init import reset_linear
from .linear import size_option
from .module import Module
from .parameter import Parameter


class _ConvNd(Module):
    """What all convolutions have in common; a subclass says how many dimensions it has."""

    dims: int
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        layer = type(self).__name__
        self.in_channels = size_option(layer, "in_channels", in_channels)
        self.out_channels = size_option(layer, "out_channels", out_channels)
        self.groups = size_option(layer, "groups", groups)
        if self.groups == 0:
            raise ValueError(f"{layer}: groups must be positive")
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{layer}: {name}={channels} does not divide into {groups} groups")
        if padding_mode != "zeros":
            raise UnsupportedOp(f"{layer}: padding_mode={padding_mode!r}; only 'zeros' is there")
        self.kernel_size = each(kernel_size, self.dims, "kernel_size")
        self.stride = each(stride, self.dims, "stride")
        self.padding = padding if isinstance(padding, str) else each(padding, self.dims, "padding")
        self.dilation = each(dilation, self.dims, "dilation")
        self.padding_mode = padding_mode
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(self.out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias anew."""
        reset_linear(self.weight, self.bias)

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        if self.padding != (0,) * self.dims:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.dims:
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"

    def _options(self) -> tuple[Any, ...]:
        return self.stride, self.padding, self.dilation, self.groups


class Conv1d(_ConvNd):
    """Convolution over one dimension. See :class:`Conv2d`."""

    dims = 1

    def forward(self, input: Tensor) -> Tensor:
        return F.conv1d(input, self.weight, self.bias, *self._options())


class Conv2d(_ConvNd):
    """Convolution (cross-correlation) over two dimensions.

    Args:
        in_channels, out_channels: channels of input and output.
        kernel_size, stride, padding, dilation: an int, or one for each dimension; ``padding`` may
            also be "same" or "valid".
        groups: input and output channels are connected within groups only.
        bias: whether there is one.

    Shape:
        Input ``[N, in_channels, H, W]`` or ``[in_channels, H, W]``; output
        ``[N, out_channels, H', W']`` with
        ``H' = (H + 2 padding - dilation (kernel_size - 1) - 1) / stride + 1``, rounded down.

    Attributes:
        weight: ``[out_channels, in_channels / groups, kH, kW]``, at first uniform in
            +-1/sqrt(in_channels / groups * kH * kW).
        bias: ``[out_channels]``, likewise.
    """

    dims = 2

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input, self.weight, self.bias, *self._options())


class Conv3d(_ConvNd):
    """Convolution over three dimensions. See :class:`Conv2d`."""

    dims = 3

    def forward(self, input: Tensor) -> Tensor:
        return F.conv3d(input, self.weight, self.bias, *self._options())


__all__ = ["Conv1d", "Conv2d", "Conv3d"]
