"""Padding layers."""

from __future__ import annotations

from typing import Any

from ..errors import ShapeError
from ..tensors.tensor import Tensor
from . import functional as F
from .functional.conv import each
from .module import Module


class _PadNd(Module):
    """Pads the last ``dims`` dimensions; a subclass says how many, and with what."""

    dims: int
    mode = "constant"

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = each(padding, 2 * self.dims, "padding")

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (self.dims + 1, self.dims + 2):
            raise ShapeError(
                f"{type(self).__name__} takes input of {self.dims + 1} dimensions, or "
                f"{self.dims + 2} with a batch, not shape {list(input.shape)}"
            )
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return str(self.padding)


class _ConstantPadNd(_PadNd):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """A constant before and after the last dimension. See :class:`ConstantPad2d`."""

    dims = 1


class ConstantPad2d(_ConstantPadNd):
    """A constant around the last two dimensions.

    Args:
        padding: an int, or (left, right, top, bottom); negative ones take away.
        value: the constant.
    """

    dims = 2


class ConstantPad3d(_ConstantPadNd):
    """A constant around the last three dimensions. See :class:`ConstantPad2d`."""

    dims = 3


class _ZeroPadNd(_ConstantPadNd):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return str(self.padding)


class ZeroPad1d(_ZeroPadNd):
    """Zeros before and after the last dimension. See :class:`ConstantPad2d`."""

    dims = 1


class ZeroPad2d(_ZeroPadNd):
    """Zeros around the last two dimensions. See :class:`ConstantPad2d`."""

    dims = 2


class ZeroPad3d(_ZeroPadNd):
    """Zeros around the last three dimensions. See :class:`ConstantPad2d`."""

    dims = 3


class ReflectionPad1d(_PadNd):
    """Continues ``[N, C, W]`` or ``[C, W]`` as in a mirror. See :class:`ReflectionPad2d`."""

    dims = 1
    mode = "reflect"


class ReflectionPad2d(_PadNd):
    """Continues ``[N, C, H, W]`` or ``[C, H, W]`` as in a mirror on its outermost elements.

    Args:
        padding: an int, or (left, right, top, bottom), each less than the input's size.
    """

    dims = 2
    mode = "reflect"


class ReflectionPad3d(_PadNd):
    """Continues ``[N, C, D, H, W]`` as in a mirror. See :class:`ReflectionPad2d`."""

    dims = 3
    mode = "reflect"


class ReplicationPad1d(_PadNd):
    """Repeats the outermost elements of ``[N, C, W]`` or ``[C, W]``.

    See :class:`ReplicationPad2d`.
    """

    dims = 1
    mode = "replicate"


class ReplicationPad2d(_PadNd):
    """Repeats the outermost elements of ``[N, C, H, W]`` or ``[C, H, W]``.

    Args:
        padding: an int, or (left, right, top, bottom).
    """

    dims = 2
    mode = "replicate"


class ReplicationPad3d(_PadNd):
    """Repeats the outermost elements of ``[N, C, D, H, W]``. See :class:`ReplicationPad2d`."""

    dims = 3
    mode = "replicate"


class CircularPad1d(_PadNd):
    """Continues ``[N, C, W]`` or ``[C, W]`` from its other end. See :class:`CircularPad2d`."""

    dims = 1
    mode = "circular"


class CircularPad2d(_PadNd):
    """Continues ``[N, C, H, W]`` or ``[C, H, W]`` from its other side.

    Args:
        padding: an int, or (left, right, top, bottom), none more than the input's size.
    """

    dims = 2
    mode = "circular"


class CircularPad3d(_PadNd):
    """Continues ``[N, C, D, H, W]`` from its other side. See :class:`CircularPad2d`."""

    dims = 3
    mode = "circular"


__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]
