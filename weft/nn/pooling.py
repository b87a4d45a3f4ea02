"""Pooling layers."""

from __future__ import annotations

from typing import Any

from ..tensors.tensor import Tensor
from . import functional as F
from .module import Module


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


__all__ = ["MaxPool1d", "MaxPool2d", "MaxPool3d"]
