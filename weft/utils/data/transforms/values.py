"""Transforms of values: dtype, range, mean and deviation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....dtypes import as_dtype, float32, uint8
from ....errors import DTypeError, ShapeError
from ....graph.device import CPU
from ....tensors.core import wrap
from ....tensors.creation import as_leaf, tensor
from ....tensors.tensor import Tensor
from .base import Shown, Transform


class ToTensor(Shown):
    """An image as float32 in [0, 1]: a PIL image or uint8 array ``[H, W, C]`` or ``[H, W]``, or a
    uint8 Tensor ``[..., C, H, W]``, as weft's datasets give it. Floats stay as they are.

    Returns:
        ``[C, H, W]``, or the shape of the Tensor.
    """

    def __call__(self, image: Any) -> Tensor:
        if not isinstance(image, Tensor):
            array = np.asarray(image)
            if array.ndim not in {2, 3}:
                raise ShapeError(
                    f"ToTensor takes an image [H, W, C] or [H, W], not shape {list(array.shape)}"
                )
            planes = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
            image = wrap(as_leaf(np.array(planes, order="C"), CPU))
        return scaled(image, float32) if image.dtype is uint8 else image


class ToDtype(Transform):
    """Another dtype.

    Args:
        dtype: to convert to.
        scale: from uint8 to floats, map 0 to 255 to [0, 1], and back.
    """

    def __init__(self, dtype: Any = float32, scale: bool = False) -> None:
        self.dtype = as_dtype(dtype)
        self.scale = scale

    def batch(self, x: Tensor) -> Tensor:
        return scaled(x, self.dtype) if self.scale else x.to(self.dtype)

    def described(self) -> str:
        return f"{self.dtype}, scale={self.scale}"


def scaled(x: Tensor, dtype: Any) -> Tensor:
    """Images in another dtype, with their range."""
    if x.dtype is dtype or x.dtype.is_floating_point == dtype.is_floating_point:
        return x.to(dtype)
    for kind in (x.dtype, dtype):
        if not kind.is_floating_point and kind is not uint8:
            raise DTypeError(
                f"images have floats from 0 to 1 or uint8: from {x.dtype} to {dtype} there is no "
                "scale; convert them by x.to(dtype)"
            )
    if dtype.is_floating_point:
        return (x.to(float32) / 255).to(dtype)
    return (x.to(float32) * 255).round().clamp(0, 255).to(dtype)


class Normalize(Transform):
    """``(x - mean) / std``, with a mean and a deviation for each channel.

    Args:
        mean, std: one number for each channel.
        inplace: accepted; the result is the same.

    Raises:
        ValueError: for a deviation of 0, or as many means as there are no deviations.
        DTypeError: for images that are not floats.
        ShapeError: for images with another number of channels.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean = [float(m) for m in mean]
        self.std = [float(s) for s in std]
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"Normalize takes a mean and a std for each channel, but there are "
                f"{len(self.mean)} means and {len(self.std)} stds"
            )
        if 0.0 in self.std:
            raise ValueError(f"Normalize divides by std, which has a 0 in it: {self.std}")

    def batch(self, x: Tensor) -> Tensor:
        if not x.dtype.is_floating_point:
            raise DTypeError(
                f"Normalize takes floats, not {x.dtype}: put ToDtype(weft.float32, scale=True) "
                "before it"
            )
        if len(self.mean) not in {1, x.shape[1]}:
            raise ShapeError(
                f"Normalize has means of {len(self.mean)} channels, but the images have "
                f"{x.shape[1]} (shape {list(x.shape)})"
            )
        mean, std = (tensor(v, dtype=x.dtype).view(-1, 1, 1) for v in (self.mean, self.std))
        return (x - mean) / std

    def described(self) -> str:
        return f"mean={self.mean}, std={self.std}"
