"""What transforms of images have in common."""

from __future__ import annotations

from typing import Any

from ....dtypes import float32
from ....errors import ShapeError
from ....tensors.tensor import Tensor

Pair = int | tuple[int, int] | list[int]


class Shown:
    """Prints as it would be written."""

    def described(self) -> str:
        """What stands in the parentheses."""
        return ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.described()})"


class Transform(Shown):
    """A transform of images ``[..., C, H, W]``: subclasses write ``batch`` for ``[B, C, H, W]``."""

    def __call__(self, images: Any) -> Tensor:
        """
        Raises:
            TypeError: for anything but a Tensor.
            ShapeError: for fewer than three dimensions.
        """
        name = type(self).__name__
        if not isinstance(images, Tensor):
            raise TypeError(
                f"{name} takes images as a Tensor [..., C, H, W], not {type(images).__name__}: "
                "ToTensor() makes one of a PIL image or an array [H, W, C]"
            )
        if images.ndim < 3:
            raise ShapeError(
                f"{name} takes images [..., C, H, W], not a Tensor of shape {list(images.shape)}"
            )
        lead, image = images.shape[:-3], images.shape[-3:]
        out = self.batch(images.reshape(-1, *image))
        return out.reshape(*lead, *out.shape[-3:])

    def batch(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Compose(Shown):
    """Transforms one after another."""

    def __init__(self, transforms: list[Any]) -> None:
        self.transforms = list(transforms)

    def __call__(self, images: Any) -> Any:
        for transform in self.transforms:
            images = transform(images)
        return images

    def described(self) -> str:
        return ", ".join(map(repr, self.transforms))


def pair_of(name: str, value: Any, least: int = 1) -> tuple[int, int]:
    """Height and width, from one number or two.

    Raises:
        ValueError: for anything else.
    """
    sizes = (value, value) if isinstance(value, int) else tuple(value)
    if len(sizes) == 1:
        sizes *= 2
    if len(sizes) != 2 or not all(isinstance(n, int) and n >= least for n in sizes):
        raise ValueError(f"{name} is an int of at least {least}, or two (height, width): {value!r}")
    return sizes[0], sizes[1]


def check_chance(name: str, p: float) -> float:
    """
    Raises:
        ValueError: unless ``p`` is between 0 and 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"{name} is a probability, from 0 to 1, not {p!r}")
    return p


def as_floats(x: Tensor) -> Tensor:
    """To compute with: float32 for integers, and for 16-bit floats."""
    return x.to(float32)


def as_before(y: Tensor, x: Tensor) -> Tensor:
    """Back to the dtype of ``x``; integers are rounded, and stay in their range."""
    if x.dtype.is_floating_point:
        return y.to(x.dtype)
    return y.round().clamp(0, 255).to(x.dtype)
