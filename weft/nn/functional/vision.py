"""Moves between channels and places: pixel shuffle, channel shuffle, unfold and fold."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

from ...errors import ShapeError
from ...graph.node import Node, Shape, type_of
from ...ops import elementwise as ew, movement as mv
from ...ops.contract import windows
from ...tensors.core import node_of, wrap
from ...tensors.tensor import Tensor
from .conv import check_positive, each

# ---- shuffles


def _factor(name: str, option: str, value: Any, x: Node) -> int:
    (factor,) = each(value, 1, option)
    if factor < 1:
        raise ShapeError(f"{name}: {option} must be positive, not {factor}")
    if x.type.ndim < 3:
        raise ShapeError(f"{name} takes [*, channels, height, width], not {list(x.type.shape)}")
    return factor


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Each group of ``r^2`` channels as one channel ``r`` times as high and wide.

    (Shi et al., 2016, arXiv:1609.05158)

    Shape:
        input ``[*, C r^2, H, W]``; result ``[*, C, H r, W r]``.

    Raises:
        ShapeError: if the channels do not divide into such groups.
    """
    x = node_of(input)
    r = _factor("pixel_shuffle", "upscale_factor", upscale_factor, x)
    *lead, channels, height, width = x.type.shape
    if channels % (r * r):
        raise ShapeError(
            f"pixel_shuffle: {channels} channels (shape {list(x.type.shape)}) do not divide into "
            f"groups of upscale_factor^2 = {r * r}"
        )
    n = prod(lead)
    split = mv.reshape(x, (n, channels // (r * r), r, r, height, width))
    moved = mv.permute(split, (0, 1, 4, 2, 5, 3))
    return wrap(mv.reshape(moved, (*lead, channels // (r * r), height * r, width * r)))


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Undoes :func:`pixel_shuffle`.

    Shape:
        input ``[*, C, H r, W r]``; result ``[*, C r^2, H, W]``.

    Raises:
        ShapeError: if height or width is no multiple of ``r``.
    """
    x = node_of(input)
    r = _factor("pixel_unshuffle", "downscale_factor", downscale_factor, x)
    *lead, channels, height, width = x.type.shape
    if height % r or width % r:
        raise ShapeError(
            f"pixel_unshuffle: height and width of shape {list(x.type.shape)} must be multiples "
            f"of downscale_factor={r}"
        )
    split = mv.reshape(x, (prod(lead), channels, height // r, r, width // r, r))
    moved = mv.permute(split, (0, 1, 3, 5, 2, 4))
    return wrap(mv.reshape(moved, (*lead, channels * r * r, height // r, width // r)))


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels in another order: the first of each group, then the second of each, ...

    (Zhang et al., 2018, arXiv:1707.01083)

    Shape:
        input and result ``[N, C, *]``.

    Raises:
        ShapeError: if ``C`` does not divide into ``groups``.
    """
    x = node_of(input)
    groups = _factor("channel_shuffle", "groups", groups, x)
    batch, channels, *rest = x.type.shape
    if channels % groups:
        raise ShapeError(
            f"channel_shuffle: {channels} channels (shape {list(x.type.shape)}) do not divide into "
            f"{groups} groups"
        )
    split = mv.reshape(x, (batch, groups, channels // groups, prod(rest)))
    return wrap(mv.reshape(mv.permute(split, (0, 2, 1, 3)), x.type.shape))


native_channel_shuffle = channel_shuffle  # PyTorch has a faster one for phones


# ---- windows as columns


class _Sliding:
    """How a window moves over a plane."""

    def __init__(
        self, name: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any
    ) -> None:
        self.name = name
        self.kernel = each(kernel_size, 2, "kernel_size")
        self.dilation = each(dilation, 2, "dilation")
        self.padding = each(padding, 2, "padding")
        self.stride = each(stride, 2, "stride")
        check_positive(name, "kernel_size", self.kernel)
        check_positive(name, "dilation", self.dilation)
        check_positive(name, "stride", self.stride)
        if min(self.padding) < 0:
            raise ShapeError(f"{name}: padding={padding} must not be negative")

    def counts(self, sizes: Shape) -> Shape:
        pads = [(p, p) for p in self.padding]
        found = tuple(map(windows, sizes, self.kernel, self.stride, pads, self.dilation))
        if min(found) < 1:
            raise ShapeError(
                f"{self.name}: a window of {list(self.kernel)} (dilation {list(self.dilation)}) "
                f"does not fit a plane of {list(sizes)} with padding {list(self.padding)}"
            )
        return found

    def cuts(self, shape: Shape, counts: Shape) -> list[tuple[tuple[int, int, int], ...]]:
        """For each place in the window, what it meets of a padded input of ``shape``."""
        lead = [(0, n, 1) for n in shape[:2]]
        steps = list(zip(self.dilation, counts, self.stride, strict=True))
        return [
            (
                *lead,
                *[
                    (p * d, p * d + (n - 1) * s + 1, s)
                    for p, (d, n, s) in zip(place, steps, strict=True)
                ],
            )
            for place in product(*map(range, self.kernel))
        ]


def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Each window of the input as a column ("im2col").

    Shape:
        input ``[N, C, H, W]`` or ``[C, H, W]``; result ``[N, C kH kW, L]`` or ``[C kH kW, L]``,
        ``L`` the number of windows.

    Raises:
        ShapeError: for another rank, or a window that does not fit.
    """
    x = node_of(input)
    slide = _Sliding("unfold", kernel_size, dilation, padding, stride)
    if x.type.ndim not in (3, 4) or 0 in x.type.shape[-3:]:
        raise ShapeError(
            f"unfold takes [batch, channels, height, width] or [channels, height, width] with "
            f"elements, not shape {list(x.type.shape)}"
        )
    shape = x.type.shape if x.type.ndim == 4 else (1, *x.type.shape)
    counts = slide.counts(shape[2:])
    padded = mv.pad(mv.reshape(x, shape), ((0, 0), (0, 0), *[(p, p) for p in slide.padding]))
    taps = [
        mv.reshape(mv.slice_(padded, cuts), (*shape[:2], 1, prod(counts)))
        for cuts in slide.cuts(shape, counts)
    ]
    lead = x.type.shape[:-3]
    rows = shape[1] * len(taps)
    return wrap(mv.reshape(mv.concat(taps, 2), (*lead, rows, prod(counts))))


def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """Adds up columns in the places of their windows ("col2im"): the gradient of :func:`unfold`.

    Shape:
        input ``[N, C kH kW, L]`` or ``[C kH kW, L]``; result ``[N, C, *output_size]`` or
        ``[C, *output_size]``.

    Raises:
        ShapeError: for another rank, or if ``L`` is not the number of windows.
    """
    x = node_of(input)
    sizes = each(output_size, 2, "output_size")
    slide = _Sliding("fold", kernel_size, dilation, padding, stride)
    taps = prod(slide.kernel)
    if x.type.ndim not in (2, 3) or x.type.shape[-2] % taps or x.type.shape[-2] == 0:
        raise ShapeError(
            f"fold takes [batch, channels * {taps}, windows] or [channels * {taps}, windows] for "
            f"windows of {list(slide.kernel)}, not shape {list(x.type.shape)}"
        )
    counts = slide.counts(sizes)
    if x.type.shape[-1] != prod(counts):
        raise ShapeError(
            f"fold: the input of shape {list(x.type.shape)} has {x.type.shape[-1]} columns, but "
            f"output_size={list(sizes)} has {prod(counts)} windows"
        )
    batch = x.type.shape[0] if x.type.ndim == 3 else 1
    channels = x.type.shape[-2] // taps
    columns = mv.reshape(x, (batch, channels, taps, *counts))
    padded = [n + 2 * p for n, p in zip(sizes, slide.padding, strict=True)]
    whole = type_of((batch, channels, *padded), x.type.dtype)
    total = mv.zeros(whole)
    for k, cuts in enumerate(slide.cuts(whole.shape, counts)):
        one = list(columns.type.whole)
        one[2] = (k, k + 1, 1)
        tap = mv.reshape(mv.slice_(columns, tuple(one)), (batch, channels, *counts))
        total = ew.add(total, mv.set_slice(mv.zeros(whole), tap, cuts))
    inner = [(p, p + n, 1) for n, p in zip(sizes, slide.padding, strict=True)]
    y = mv.slice_(total, (*whole.whole[:2], *inner))
    return wrap(mv.reshape(y, (*x.type.shape[:-2], channels, *sizes)))
