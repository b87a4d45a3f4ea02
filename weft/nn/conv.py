"""Convolution layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import OptionError, ShapeError
from ..tensors.creation import empty
from ..tensors.tensor import Tensor
from . import functional as F
from .functional.conv import each, same_padding
from .init import reset_linear
from .linear import size_option
from .module import Module
from .parameter import Parameter

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What all convolutions have in common; a subclass says how many dimensions it has."""

    dims: int
    transposed = False
    output_padding: tuple[int, ...]
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
            raise OptionError(f"{layer}: groups must be positive")
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise OptionError(
                    f"{layer}: {name}={channels} does not divide into {groups} groups"
                )
        if padding_mode not in _PADDING_MODES:
            raise OptionError(
                f"{layer}: padding_mode={padding_mode!r} should be one of "
                f"{', '.join(_PADDING_MODES)}"
            )
        self.kernel_size = each(kernel_size, self.dims, "kernel_size")
        self.stride = each(stride, self.dims, "stride")
        self.padding = self._checked_padding(padding)
        self.dilation = each(dilation, self.dims, "dilation")
        self.output_padding = (0,) * self.dims
        self.padding_mode = padding_mode
        self.weight = Parameter(empty(self._weight_shape(), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(self.out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _checked_padding(self, padding: Any) -> Any:
        if not isinstance(padding, str):
            return each(padding, self.dims, "padding")
        layer = type(self).__name__
        if padding not in ("same", "valid"):
            raise OptionError(f"{layer}: padding={padding!r} should be ints, 'valid' or 'same'")
        if padding == "same" and any(s != 1 for s in self.stride):
            raise OptionError(f"{layer}: padding='same' needs stride 1, not {self.stride}")
        return padding

    def _weight_shape(self) -> tuple[int, ...]:
        return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)

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
        if self.output_padding != (0,) * self.dims:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text

    def _frame(self) -> list[int]:
        """How much ``F.pad`` is to add on each side, the last dimension first."""
        if self.padding == "same":
            pairs = same_padding(self.kernel_size, self.dilation)
        else:
            widths = (0,) * self.dims if self.padding == "valid" else self.padding
            pairs = tuple([(w, w) for w in widths])
        return [width for pair in reversed(pairs) for width in pair]

    def _convolved(self, convolution: Callable[..., Tensor], input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._frame(), self.padding_mode), 0
        return convolution(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class Conv1d(_ConvNd):
    """Convolution over one dimension. See :class:`Conv2d`."""

    dims = 1

    def forward(self, input: Tensor) -> Tensor:
        return self._convolved(F.conv1d, input)


class Conv2d(_ConvNd):
    """Convolution (cross-correlation) over two dimensions.

    Args:
        in_channels, out_channels: channels of input and output.
        kernel_size, stride, padding, dilation: an int, or one for each dimension; ``padding`` may
            also be "same" or "valid".
        groups: input and output channels are connected within groups only.
        bias: whether there is one.
        padding_mode: what the padding consists of: "zeros", "reflect", "replicate" or "circular"
            (see ``F.pad``).

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
        return self._convolved(F.conv2d, input)


class Conv3d(_ConvNd):
    """Convolution over three dimensions. See :class:`Conv2d`."""

    dims = 3

    def forward(self, input: Tensor) -> Tensor:
        return self._convolved(F.conv3d, input)


class _ConvTransposeNd(_ConvNd):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros" or isinstance(padding, str):
            raise OptionError(
                f"{type(self).__name__} takes padding as ints and padding_mode='zeros' only, not "
                f"padding={padding!r}, padding_mode={padding_mode!r}"
            )
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )
        self.output_padding = each(output_padding, self.dims, "output_padding")

    def _weight_shape(self) -> tuple[int, ...]:
        return (self.in_channels, self.out_channels // self.groups, *self.kernel_size)

    def _extra(self, input: Tensor, output_size: Sequence[int] | None) -> tuple[int, ...]:
        """The ``output_padding`` that leads to ``output_size``."""
        if output_size is None:
            return self.output_padding
        if not isinstance(output_size, (tuple, list)):
            raise TypeError(f"output_size takes one int for each dimension, not {output_size!r}")
        lead = input.ndim - self.dims
        sizes = tuple(output_size)[lead:] if len(output_size) == input.ndim else tuple(output_size)
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                input.shape[lead:],
                self.stride,
                self.padding,
                self.dilation,
                self.kernel_size,
                strict=True,
            )
        ]
        extra = tuple([n - m for n, m in zip(sizes, least, strict=False)])
        if len(sizes) != self.dims or any(
            not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)
        ):
            most = [m + s - 1 for m, s in zip(least, self.stride, strict=True)]
            raise ShapeError(
                f"{type(self).__name__}: output_size={list(output_size)} must be from {least} to "
                f"{most} for an input of shape {list(input.shape)}"
            )
        return extra

    def _transposed(
        self,
        convolution: Callable[..., Tensor],
        input: Tensor,
        output_size: Sequence[int] | None,
    ) -> Tensor:
        return convolution(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self._extra(input, output_size),
            self.groups,
            self.dilation,
        )


class ConvTranspose1d(_ConvTransposeNd):
    """Transposed convolution over one dimension. See :class:`ConvTranspose2d`."""

    dims = 1

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return self._transposed(F.conv_transpose1d, input, output_size)


class ConvTranspose2d(_ConvTransposeNd):
    """The gradient of :class:`Conv2d` by its input, as a layer: it makes images larger.

    (Zeiler et al., 2010, "Deconvolutional networks")

    Args:
        in_channels, out_channels: channels of input and output.
        kernel_size, stride, padding, dilation: those of the :class:`Conv2d`; an int, or one for
            each dimension.
        output_padding: how many elements more the output has, of the sizes that the
            :class:`Conv2d` would map to that of the input.
        groups: input and output channels are connected within groups only.
        bias: whether there is one.

    Shape:
        Input ``[N, in_channels, H, W]`` or ``[in_channels, H, W]``; output
        ``[N, out_channels, H', W']`` with
        ``H' = (H - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1``; or
        of the ``output_size`` given in the call.

    Attributes:
        weight: ``[in_channels, out_channels / groups, kH, kW]``, at first uniform in
            +-1/sqrt(out_channels / groups * kH * kW).
        bias: ``[out_channels]``, likewise.
    """

    dims = 2

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return self._transposed(F.conv_transpose2d, input, output_size)


class ConvTranspose3d(_ConvTransposeNd):
    """Transposed convolution over three dimensions. See :class:`ConvTranspose2d`."""

    dims = 3

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return self._transposed(F.conv_transpose3d, input, output_size)


__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
]
