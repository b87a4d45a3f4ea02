"""Short-time Fourier transforms: of windows that move over a signal, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DTypeError, OptionError, ShapeError
from ..graph.modes import user_warning
from ..graph.node import type_of
from ..ops import index as ix, movement as mv
from . import fft
from .complex import view_as_real
from .core import node_of, wrap
from .creation import as_leaf, ones
from .placing import unfold

if TYPE_CHECKING:
    from .tensor import Tensor

#: For each mode of padding, the places that elements outside of ``n`` are taken from.
_OUTSIDE = {
    "reflect": lambda k, n: (n - 1) - abs((n - 1) - abs(k)),
    "replicate": lambda k, n: np.clip(k, 0, n - 1),
    "circular": lambda k, n: k % n,
}


def _framed(name: str, x: Tensor, n: int, mode: str) -> Tensor:
    """``x [B, T]`` with ``n`` elements more at both ends."""
    if mode == "constant":
        return wrap(mv.pad(node_of(x), [(0, 0), (n, n)]))
    if mode not in _OUTSIDE:
        raise OptionError(f"{name}: pad_mode must be 'constant' or one of {list(_OUTSIDE)}")
    size = x.shape[1]
    if mode == "reflect" and n >= size:
        raise ShapeError(f"{name}: {n} elements of padding cannot be reflected of {size}")
    places = _OUTSIDE[mode](np.arange(-n, size + n), size)
    columns = mv.permute(node_of(x), (1, 0))
    return wrap(mv.permute(ix.take(columns, [as_leaf(places)]), (1, 0)))


def _checked_window(
    name: str, window: Tensor | None, n_fft: int, hop: int, length: int, like: Tensor
) -> Tensor:
    """The window, with zeros on both sides up to ``n_fft``.

    Raises:
        OptionError: for sizes that are not positive, or a window longer than ``n_fft``.
        ShapeError: for a window of another length.
    """
    if hop < 1 or not 0 < length <= n_fft:
        raise OptionError(
            f"{name} needs hop_length > 0 and 0 < win_length <= n_fft, not hop_length={hop}, "
            f"win_length={length} and n_fft={n_fft}"
        )
    if window is None:
        window = ones(length, dtype=like.dtype.to_real(), device=like.device)
    if tuple(window.shape) != (length,):
        raise ShapeError(f"{name}: a window of shape {list(window.shape)} is not of {length}")
    left = (n_fft - length) // 2
    return wrap(mv.pad(node_of(window), [(left, n_fft - length - left)]))


def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
) -> Tensor:
    """Fourier transforms of frames of a signal, ``hop_length`` apart, each times a window.

    Args:
        hop_length: ``n_fft // 4`` by default.
        win_length: the window's; ``n_fft`` by default. ``window``: ones by default.
        center: frames are centred at their places, and the signal is padded for it (``pad_mode``).
        normalized: divided by the root of ``n_fft``.
        onesided: the first ``n_fft // 2 + 1`` frequencies, of which the rest follows: by default
            where signal and window are real.
        return_complex: else real numbers, with both parts in a last dimension.

    Shape:
        input ``[T]`` or ``[B, T]``; output ``[frequencies, frames]`` or ``[B, ...]``.

    Raises:
        RuntimeError: for a real signal, unless ``return_complex`` is given.
        ShapeError: for another number of dimensions, or a signal shorter than a frame.
        DTypeError: for integers; for ``onesided`` of complex numbers.
        OptionError: for lengths that do not fit one another.
    """
    shape = node_of(input).type.shape
    if not input.dtype.is_inexact:
        raise DTypeError(f"stft takes floating or complex values, not {input.dtype}")
    if len(shape) not in (1, 2):
        raise ShapeError(f"stft takes a signal [T] or a batch [B, T], not shape {list(shape)}")
    hop = n_fft // 4 if hop_length is None else hop_length
    frame = _checked_window("stft", window, n_fft, hop, win_length or n_fft, input)
    is_complex = input.is_complex() or frame.is_complex()
    if return_complex is None and not is_complex:
        raise RuntimeError("stft requires the return_complex parameter be given for real inputs")
    if onesided and is_complex:
        raise DTypeError("Cannot have onesided output if window or input is complex")
    x = input.reshape(-1, shape[-1])
    if center:
        x = _framed("stft", x, n_fft // 2, pad_mode)
    if x.shape[1] < n_fft:
        raise ShapeError(f"stft: a signal of {x.shape[1]} elements is shorter than n_fft={n_fft}")
    frames = unfold(x, 1, n_fft, hop) * frame
    half = not is_complex if onesided is None else onesided
    transform = fft.rfft if half else fft.fft
    y = transform(frames, norm="ortho" if normalized else None).transpose(1, 2)
    y = y.reshape(y.shape[1:]) if len(shape) == 1 else y
    return view_as_real(y.clone()) if return_complex is False else y


def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signal of which :func:`stft` is given: of all, the one whose transforms are nearest.

    (Griffin and Lim, "Signal estimation from modified short-time Fourier transform", 1984.) Whether
    the windows cover all of it is known from their values, which are computed at once.

    Args:
        length: of the signal; by default what the frames give.
        return_complex: of a signal that was complex.

    Shape:
        input ``[frequencies, frames]`` or ``[B, ...]``; output ``[T]`` or ``[B, T]``.

    Raises:
        DTypeError: for real numbers, or ``onesided`` with a complex signal.
        ShapeError: for other numbers of dimensions or frequencies.
        OptionError: for lengths that do not fit one another.
        RuntimeError: if windows are zero where they should overlap.
    """
    shape = node_of(input).type.shape
    if not input.is_complex():
        raise DTypeError(f"istft takes a complex dtype, not {input.dtype}: weft.view_as_complex(x)")
    if len(shape) not in (2, 3) or 0 in shape:
        raise ShapeError(
            f"istft takes [frequencies, frames] or a batch of them, not shape {list(shape)}"
        )
    half = shape[-2] != n_fft if onesided is None else onesided
    if shape[-2] != (n_fft // 2 + 1 if half else n_fft):
        raise ShapeError(f"istft: {shape[-2]} frequencies (shape {list(shape)}) for n_fft={n_fft}")
    if half and return_complex:
        raise DTypeError("cannot have onesided input of a complex signal: onesided=False")
    hop = n_fft // 4 if hop_length is None else hop_length
    frame = _checked_window("istft", window, n_fft, hop, win_length or n_fft, input)
    frames = input.reshape(-1, *shape[-2:]).transpose(1, 2)
    norm = "ortho" if normalized else None
    if return_complex:
        parts = fft.ifft(frames, norm=norm)
    else:
        parts = fft.irfft(frames[..., : n_fft // 2 + 1], n_fft, norm=norm)
    total = n_fft + hop * (shape[-1] - 1)
    y = _overlapped(parts * frame, hop, total)
    weight = _overlapped((frame * frame).expand(1, shape[-1], n_fft), hop, total)
    start = n_fft // 2 if center else 0
    end = total - start if length is None else start + length
    y, weight = y[:, start:end], weight[:, start:end]
    if weight.shape[1] == 0 or weight.detach().abs().min().item() <= 1e-11:
        raise RuntimeError(
            "istft: the windows that overlap are zero somewhere: take another window or a smaller "
            "hop_length, or center=True"
        )
    y = y / weight
    if end > total:
        user_warning(f"istft: the frames give {total - start} elements; zeros follow, to {length}")
        y = wrap(mv.pad(node_of(y), [(0, 0), (0, end - total)]))
    return y.reshape(y.shape[1:]) if len(shape) == 2 else y


def _overlapped(parts: Tensor, hop: int, total: int) -> Tensor:
    """Frames ``[B, frames, n]`` added up at their places: ``[B, total]``."""
    batch, count, n = parts.shape
    places = (np.arange(count)[:, None] * hop + np.arange(n)).reshape(-1)
    kind = node_of(parts).type
    out = wrap(mv.zeros(type_of((batch, total), kind.dtype, kind.device)))
    return out.index_add(1, wrap(as_leaf(places)), parts.reshape(batch, -1))
