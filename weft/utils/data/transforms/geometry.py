"""Transforms of places: size, cut, mirror. Those at random choose anew for each image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....errors import ShapeError
from ....nn import functional as F
from ....tensors.core import wrap
from ....tensors.creation import arange, as_leaf
from ....tensors.elementwise import where
from ....tensors.random import Generator, rand
from ....tensors.tensor import Tensor
from .base import Pair, Transform, as_before, as_floats, check_chance, pair_of

_MODES = ("nearest", "nearest-exact", "bilinear", "bicubic")


class Resize(Transform):
    """Another size.

    Args:
        size: (height, width), or one number: of the smaller side, the other in proportion.
        interpolation: "nearest", "nearest-exact", "bilinear" or "bicubic".
        max_size: with one number: the larger side is made no longer than this.
        antialias: smooth before leaving pixels out ("bilinear", "bicubic").
    """

    def __init__(
        self,
        size: Pair,
        interpolation: str = "bilinear",
        max_size: int | None = None,
        antialias: bool = True,
    ) -> None:
        self.size = [size] if isinstance(size, int) else list(size)
        pair_of("size", size)
        if interpolation not in _MODES:
            raise ValueError(
                f"interpolation is one of {', '.join(map(repr, _MODES))}, not {interpolation!r}"
            )
        if max_size is not None and (len(self.size) != 1 or max_size < self.size[0]):
            raise ValueError(
                f"max_size bounds the larger side, where size gives the smaller one as one number "
                f"that is not above it: size={size!r}, max_size={max_size!r}"
            )
        self.interpolation = interpolation
        self.max_size = max_size
        self.antialias = antialias

    def batch(self, x: Tensor) -> Tensor:
        size = self._target(x.shape[2], x.shape[3])
        if size == tuple(x.shape[2:]):
            return x
        if self.interpolation.startswith("nearest"):
            return as_before(F.interpolate(as_floats(x), size, mode=self.interpolation), x)
        y = F.interpolate(
            as_floats(x),
            size,
            mode=self.interpolation,
            align_corners=False,
            antialias=self.antialias,
        )
        return as_before(y, x)

    def _target(self, height: int, width: int) -> tuple[int, int]:
        if len(self.size) == 2:
            return self.size[0], self.size[1]
        short, long = sorted((height, width))
        new_short, new_long = self.size[0], int(self.size[0] * long / short)
        if self.max_size is not None and new_long > self.max_size:
            new_short, new_long = int(self.max_size * new_short / new_long), self.max_size
        return (new_short, new_long) if height <= width else (new_long, new_short)

    def described(self) -> str:
        return f"size={self.size}, interpolation={self.interpolation}, antialias={self.antialias}"


class Pad(Transform):
    """A border.

    Args:
        padding: its width; (left and right, top and bottom); or (left, top, right, bottom).
        fill: its value, with ``padding_mode="constant"``.
        padding_mode: "constant", "edge", "reflect" or "symmetric".
    """

    def __init__(
        self, padding: int | Sequence[int], fill: float = 0, padding_mode: str = "constant"
    ) -> None:
        self.padding = _sides(padding)
        self.fill = fill
        self.padding_mode = padding_mode
        if padding_mode not in _PADDING:
            raise ValueError(f"padding_mode is one of {', '.join(_PADDING)}, not {padding_mode!r}")

    def batch(self, x: Tensor) -> Tensor:
        return _padded(x, self.padding, self.fill, self.padding_mode)

    def described(self) -> str:
        return f"padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode}"


_PADDING = ("constant", "edge", "reflect", "symmetric")


def _sides(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    given = (padding,) if isinstance(padding, int) else tuple(padding)
    if len(given) not in {1, 2, 4}:
        raise ValueError(
            f"padding is one number, (left and right, top and bottom), or (left, top, right, "
            f"bottom), not {padding!r}"
        )
    left, top, right, bottom = given * (4 // len(given))
    return left, top, right, bottom


def _padded(x: Tensor, sides: tuple[int, int, int, int], fill: float, mode: str) -> Tensor:
    left, top, right, bottom = sides
    if mode == "constant":
        return F.pad(x, [left, right, top, bottom], value=fill)
    rows = _border(x.shape[2], top, bottom, mode)
    columns = _border(x.shape[3], left, right, mode)
    return x[:, :, rows][:, :, :, columns]


def _border(count: int, before: int, after: int, mode: str) -> Tensor:
    """For each place of a padded dimension: where its value comes from."""
    numpy_mode: Any = mode
    return wrap(as_leaf(np.pad(np.arange(count), (before, after), numpy_mode)))


class CenterCrop(Transform):
    """The middle; a border of zeros where the image is smaller.

    Args:
        size: (height, width), or one number for both.
    """

    def __init__(self, size: Pair) -> None:
        self.size = pair_of("size", size)

    def batch(self, x: Tensor) -> Tensor:
        height, width = self.size
        x = _at_least(x, height, width, 0, "constant", centred=True)
        top = round((x.shape[2] - height) / 2)
        left = round((x.shape[3] - width) / 2)
        return x[:, :, top : top + height, left : left + width]

    def described(self) -> str:
        return f"size={self.size}"


def _at_least(
    x: Tensor, height: int, width: int, fill: float, mode: str, *, centred: bool
) -> Tensor:
    """Padded, if it is smaller: around, or by the lacking size on both sides."""
    lacks = max(0, height - x.shape[2]), max(0, width - x.shape[3])
    if lacks == (0, 0):
        return x
    if centred:
        top, left = lacks[0] // 2, lacks[1] // 2
        sides = left, top, lacks[1] - left, lacks[0] - top
    else:
        sides = lacks[1], lacks[0], lacks[1], lacks[0]
    return _padded(x, sides, fill, mode)


class RandomCrop(Transform):
    """A part of the given size at a random place, another one for each image.

    Args:
        size: (height, width), or one number for both.
        padding: a border to put around first, as of :class:`Pad`.
        pad_if_needed: make images that are smaller large enough first.
        fill, padding_mode: of the border.
        generator: where the random numbers come from; weft's own if left out.

    Raises:
        ShapeError: for images that are smaller.
    """

    def __init__(
        self,
        size: Pair,
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: float = 0,
        padding_mode: str = "constant",
        generator: Generator | None = None,
    ) -> None:
        self.size = pair_of("size", size)
        self.border = None if padding is None else Pad(padding, fill, padding_mode)
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode
        self.generator = generator

    def batch(self, x: Tensor) -> Tensor:
        if self.border is not None:
            x = self.border.batch(x)
        height, width = self.size
        if self.pad_if_needed:
            x = _at_least(x, height, width, self.fill, self.padding_mode, centred=False)
        spare = x.shape[2] - height, x.shape[3] - width
        if min(spare) < 0:
            raise ShapeError(
                f"RandomCrop({height}, {width}) cannot cut this out of images [..., {x.shape[2]}, "
                f"{x.shape[3]}]: give padding or pad_if_needed=True, or Resize them first"
            )
        draws = rand(2, len(x), generator=self.generator)
        rows = _runs(draws[0], spare[0], height)
        columns = _runs(draws[1], spare[1], width)
        at = arange(len(x)).view(-1, 1, 1)
        return x.permute(0, 2, 3, 1)[at, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

    def described(self) -> str:
        return f"size={self.size}, pad_if_needed={self.pad_if_needed}"


def _runs(draws: Tensor, spare: int, size: int) -> Tensor:
    """``[B, size]``: from a start between 0 and ``spare``, chosen by numbers in [0, 1)."""
    starts = (draws * (spare + 1)).long().clamp(max=spare)
    return starts[:, None] + arange(size)


class RandomResizedCrop(Transform):
    """A part of random size, shape and place, another one for each image, made the given size.

    (C. Szegedy et al., "Going deeper with convolutions", 2015.) Interpolation is bilinear, and
    smooth where the part is larger than the result.

    Args:
        size: (height, width), or one number for both.
        scale: least and greatest part of the image's area.
        ratio: least and greatest width over height.
        generator: where the random numbers come from; weft's own if left out.
    """

    def __init__(
        self,
        size: Pair,
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        generator: Generator | None = None,
    ) -> None:
        self.size = pair_of("size", size)
        for name, (low, high) in {"scale": scale, "ratio": ratio}.items():
            if not 0 < low <= high:
                raise ValueError(f"{name} is (least, greatest), above 0, not {(low, high)}")
        self.scale = scale
        self.ratio = ratio
        self.generator = generator

    def batch(self, x: Tensor) -> Tensor:
        top, left, height, width = self._boxes(len(x), x.shape[2], x.shape[3])
        rows = _weights(x.shape[2], self.size[0], top, height)
        columns = _weights(x.shape[3], self.size[1], left, width)
        y = rows[:, None] @ as_floats(x) @ columns[:, None].transpose(2, 3)
        return as_before(y, x)

    def _boxes(self, count: int, height: int, width: int) -> Any:
        """Top, left, height and width, ``[B]`` each: the first of ten tries that fits."""
        draws = rand(4, count, 10, generator=self.generator).numpy()
        area = height * width * (self.scale[0] + draws[0] * (self.scale[1] - self.scale[0]))
        logs = np.log(self.ratio)
        shape = np.exp(logs[0] + draws[1] * (logs[1] - logs[0]))
        w = np.rint(np.sqrt(area * shape)).astype(np.int64)
        h = np.rint(np.sqrt(area / shape)).astype(np.int64)
        fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
        first = fits.argmax(1), np.arange(count)
        w, h, fits = (v[first[1], first[0]] for v in (w, h, fits))
        top = (draws[2, :, 0] * (height - h + 1)).astype(np.int64)
        left = (draws[3, :, 0] * (width - w + 1)).astype(np.int64)
        ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        middle_h = min(height, round(width / ratio))
        middle_w = min(width, round(height * ratio))
        middle = ((height - middle_h) // 2, (width - middle_w) // 2, middle_h, middle_w)
        return [np.where(fits, v, m) for v, m in zip((top, left, h, w), middle, strict=True)]

    def described(self) -> str:
        return f"size={self.size}, scale={self.scale}, ratio={self.ratio}"


def _weights(count: int, size: int, start: Any, length: Any) -> Tensor:
    """``[B, size, count]``: how much of each pixel of ``start`` to ``start + length`` goes to each
    of ``size`` places: a triangle, as wide as the larger of the two distances between pixels.
    """
    step = (length / size)[:, None, None]
    centre = start[:, None, None] + (np.arange(size)[:, None] + 0.5) * step
    pixels = np.arange(count)
    weights = np.maximum(0, 1 - np.abs(pixels + 0.5 - centre) / np.maximum(step, 1))
    inside = (pixels >= start[:, None]) & (pixels < (start + length)[:, None])
    weights = weights * inside[:, None]
    weights /= weights.sum(-1, keepdims=True)
    return wrap(as_leaf(weights.astype(np.float32)))


class _Mirror(Transform):
    dim: int

    def __init__(self, p: float = 0.5, generator: Generator | None = None) -> None:
        self.p = check_chance("p", p)
        self.generator = generator

    def batch(self, x: Tensor) -> Tensor:
        chosen = rand(len(x), 1, 1, 1, generator=self.generator) < self.p
        return where(chosen, x.flip(self.dim), x)

    def described(self) -> str:
        return f"p={self.p}"


class RandomHorizontalFlip(_Mirror):
    """Left and right changed with probability ``p``, for each image by itself."""

    dim = 3


class RandomVerticalFlip(_Mirror):
    """Top and bottom changed with probability ``p``, for each image by itself."""

    dim = 2


class RandomErasing(Transform):
    """A rectangle filled with ``value``, for each image by itself with probability ``p``.

    (Z. Zhong et al., "Random erasing data augmentation", 2017.)

    Args:
        scale: least and greatest part of the image's area.
        ratio: least and greatest height over width.
        value: a number, or one for each channel.
        generator: where the random numbers come from; weft's own if left out.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: float | Sequence[float] = 0,
        generator: Generator | None = None,
    ) -> None:
        self.p = check_chance("p", p)
        self.scale = scale
        self.ratio = ratio
        self.value = [value] if isinstance(value, (int, float)) else list(value)
        self.generator = generator

    def batch(self, x: Tensor) -> Tensor:
        count, _, height, width = x.shape
        draws = rand(5, count, 1, generator=self.generator)
        low, high = (math.log(r) for r in self.ratio)
        area = height * width * (self.scale[0] + draws[0] * (self.scale[1] - self.scale[0]))
        shape = (low + draws[1] * (high - low)).exp()
        h = (area * shape).sqrt().round().clamp(max=height)
        w = (area / shape).sqrt().round().clamp(max=width)
        rows = _between(draws[2], h, height)
        columns = _between(draws[3], w, width)
        chosen = (draws[4] < self.p)[:, :, None, None]
        erased = rows[:, None, :, None] & columns[:, None, None, :] & chosen
        value = wrap(as_leaf(np.array(self.value).reshape(-1, 1, 1))).to(x.dtype)
        return where(erased, value, x)

    def described(self) -> str:
        return f"p={self.p}, scale={self.scale}, ratio={self.ratio}, value={self.value}"


def _between(draws: Tensor, length: Tensor, count: int) -> Tensor:
    """``[B, count]``: whether a place lies in a run of ``length`` that starts at random."""
    start = (draws * (count - length + 1)).floor()
    places = arange(count)
    inside: Tensor = (places >= start) & (places < start + length)
    return inside
