"""Pooling layers."""

from __future__ import annotations

from typing import Any

from ..errors import OptionError
from ..tensors.tensor import Tensor
from . import functional as F
from .functional.adaptive import check_fractional, ratios
from .functional.conv import each
from .module import Module

# ---- the largest


class _MaxPoolNd(Module):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def _options(self) -> tuple[Any, ...]:
        return (
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    """Largest value of each window over one dimension. See :class:`MaxPool2d`."""

    def forward(self, input: Tensor) -> Any:
        return F.max_pool1d(input, *self._options())


class MaxPool2d(_MaxPoolNd):
    """Largest value of each window over two dimensions.

    Args:
        kernel_size, stride (by default ``kernel_size``), padding, dilation: an int, or one for each
            dimension.
        return_indices: also return where each maximum was.
        ceil_mode: a last window may reach beyond the end.

    Shape:
        Input ``[N, C, H, W]`` or ``[C, H, W]``; output ``[N, C, H', W']`` with
        ``H' = (H + 2 padding - dilation (kernel_size - 1) - 1) / stride + 1``, rounded down (with
        ``ceil_mode``, up).
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool2d(input, *self._options())


class MaxPool3d(_MaxPoolNd):
    """Largest value of each window over three dimensions. See :class:`MaxPool2d`."""

    def forward(self, input: Tensor) -> Any:
        return F.max_pool3d(input, *self._options())


# ---- back to where they were


class _MaxUnpoolNd(Module):
    dims: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = each(kernel_size, self.dims, "kernel_size")
        self.stride = self.kernel_size if stride is None else each(stride, self.dims, "stride")
        self.padding = each(padding, self.dims, "padding")

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"

    def _options(self, output_size: Any) -> tuple[Any, ...]:
        return self.kernel_size, self.stride, self.padding, output_size


class MaxUnpool1d(_MaxUnpoolNd):
    """Undoes :class:`MaxPool1d` as far as that goes. See :class:`MaxUnpool2d`."""

    dims = 1

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool1d(input, indices, *self._options(output_size))


class MaxUnpool2d(_MaxUnpoolNd):
    """Puts maxima back to where ``MaxPool2d(..., return_indices=True)`` found them, among zeros.

    Args:
        kernel_size, stride, padding: those of the :class:`MaxPool2d`.

    Shape:
        Input and indices ``[N, C, H, W]`` or ``[C, H, W]``; ``output_size`` says which size where
        several would have been pooled to that of the input.
    """

    dims = 2

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool2d(input, indices, *self._options(output_size))


class MaxUnpool3d(_MaxUnpoolNd):
    """Undoes :class:`MaxPool3d` as far as that goes. See :class:`MaxUnpool2d`."""

    dims = 3

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool3d(input, indices, *self._options(output_size))


# ---- the mean


class _AvgPoolNd(Module):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"

    def _options(self) -> tuple[Any, Any, Any, bool, bool]:
        return (
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )


class AvgPool1d(_AvgPoolNd):
    """Mean of each window over one dimension. See :class:`AvgPool2d`."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        kernel = each(kernel_size, 1, "kernel_size")
        steps = kernel if stride is None else each(stride, 1, "stride")
        super().__init__(kernel, steps, each(padding, 1, "padding"), ceil_mode, count_include_pad)

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, *self._options())


class AvgPool2d(_AvgPoolNd):
    """Mean of each window over two dimensions.

    Args:
        kernel_size, stride (by default ``kernel_size``), padding: an int, or one for each
            dimension.
        ceil_mode: a last window may reach beyond the end.
        count_include_pad: whether padding counts as elements.
        divisor_override: what the sums are divided by, in place of the number of elements.

    Shape:
        Input ``[N, C, H, W]`` or ``[C, H, W]``; output ``[N, C, H', W']`` with
        ``H' = (H + 2 padding - kernel_size) / stride + 1``, rounded down (with ``ceil_mode``, up).
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(input, *self._options(), self.divisor_override)


class AvgPool3d(_AvgPoolNd):
    """Mean of each window over three dimensions. See :class:`AvgPool2d`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool3d(input, *self._options(), self.divisor_override)


class _LPPoolNd(Module):
    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )

    def _options(self) -> tuple[Any, ...]:
        return float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode


class LPPool1d(_LPPoolNd):
    """``sum(x^p)^(1/p)`` of each window over one dimension. See :class:`LPPool2d`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool1d(input, *self._options())


class LPPool2d(_LPPoolNd):
    """``sum(x^p)^(1/p)`` of each window over two dimensions.

    Args:
        norm_type: ``p``; 1 gives the sum, infinity would be the maximum.
        kernel_size, stride (by default ``kernel_size``): an int, or one for each dimension.
        ceil_mode: a last window may reach beyond the end.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool2d(input, *self._options())


class LPPool3d(_LPPoolNd):
    """``sum(x^p)^(1/p)`` of each window over three dimensions. See :class:`LPPool2d`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool3d(input, *self._options())


# ---- to a given size


class _AdaptiveAvgPoolNd(Module):
    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """Mean of ``output_size`` windows over one dimension. See :class:`AdaptiveAvgPool2d`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """Mean of as many windows, nearly equal in size, as the output is to have elements.

    Args:
        output_size: an int, or one for each dimension; None for the input's size.

    Shape:
        Input ``[N, C, H, W]`` or ``[C, H, W]``; output with ``output_size`` for ``H, W``.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """Mean of windows over three dimensions. See :class:`AdaptiveAvgPool2d`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool3d(input, self.output_size)


class _AdaptiveMaxPoolNd(Module):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """Largest value of ``output_size`` windows. See :class:`AdaptiveMaxPool2d`."""

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """Largest value of the windows of :class:`AdaptiveAvgPool2d`.

    Args:
        output_size: an int, or one for each dimension; None for the input's size.
        return_indices: also return where each maximum was.
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """Largest value of windows over three dimensions. See :class:`AdaptiveMaxPool2d`."""

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)


# ---- at random places


class _FractionalMaxPoolNd(Module):
    dims: int
    _random_samples: Tensor | None

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        check_fractional(type(self).__name__, self.dims, output_size, output_ratio)
        self.kernel_size = each(kernel_size, self.dims, "kernel_size")
        if min(self.kernel_size) < 1:
            raise OptionError(f"kernel_size must be positive, not {kernel_size}")
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = (
            None if output_size is None else each(output_size, self.dims, "output_size")
        )
        self.output_ratio = None if output_ratio is None else ratios(output_ratio, self.dims)

    def _options(self) -> tuple[Any, ...]:
        return (
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            self._random_samples,
        )


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """Largest value of windows whose distances are drawn at random. (Graham, 2014, arXiv:1412.6071)

    Args:
        kernel_size: an int, or one for each dimension.
        output_size: the number of windows; or
        output_ratio: that number by the input's size, in (0, 1).
        return_indices: also return where each maximum was.

    Shape:
        Input ``[N, C, H, W]`` or ``[C, H, W]``.

    Raises:
        OptionError: unless exactly one of size and ratio is given.
    """

    dims = 2

    def forward(self, input: Tensor) -> Any:
        return F.fractional_max_pool2d(input, *self._options())


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """:class:`FractionalMaxPool2d` over three dimensions."""

    dims = 3

    def forward(self, input: Tensor) -> Any:
        return F.fractional_max_pool3d(input, *self._options())


__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]
