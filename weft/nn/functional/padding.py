"""Padding: constants, or what is inside, mirrored, repeated or continued."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ...errors import OptionError, ShapeError, UnsupportedOp
from ...ops import movement as mv
from ...ops.pad import MODES as EDGE_MODES, Edges, pad_edges
from ...tensors.autocasting import to_full_precision
from ...tensors.core import node_of, wrap
from ...tensors.tensor import Tensor
from .conv import each

Widths = list[tuple[int, int]]


def _check_sides(mode: str, x: Tensor, widths: Widths) -> None:
    """Raises ShapeError where there is too little to mirror, repeat or continue."""
    for d, (before, after) in enumerate(widths):
        n, most = x.shape[d], max(before, after)
        if mode == "reflect" and most >= max(n, 1):
            raise ShapeError(
                f"pad: reflection needs less than the size, but dimension {d} of shape "
                f"{list(x.shape)} gets {before} and {after}"
            )
        if mode == "replicate" and n == 0 and most:
            raise ShapeError(
                f"pad: dimension {d} of shape {list(x.shape)} has nothing to replicate"
            )
        if mode == "circular" and most > n:
            raise ShapeError(
                f"pad: circular padding takes each element once, but dimension {d} of shape "
                f"{list(x.shape)} gets {before} and {after}"
            )


def _with_edges(x: Tensor, widths: Widths, mode: str, dims: int) -> Tensor:
    shape = x.shape
    planes = x.reshape(prod(shape[:-dims]), *shape[-dims:])
    out = wrap(pad_edges(node_of(planes), Edges(mode, tuple(widths[-dims:]))))
    return out.reshape(*shape[:-dims], *out.shape[1:])


MODES = ("constant", *EDGE_MODES)


def _widths(input: Tensor, pad: Any) -> Widths:
    """``(before, after)`` of every dimension; ``pad`` names them from the last one on."""
    ndim = input.ndim
    if not isinstance(pad, (tuple, list)):
        raise TypeError(
            f"pad takes a pair of ints for each dimension, (before, after), not {pad!r}"
        )
    if len(pad) % 2 or len(pad) > 2 * ndim:
        raise ShapeError(
            f"pad={tuple(pad)} should be a pair for each of the last dimensions, at most "
            f"{2 * ndim} ints for an input of shape {list(input.shape)}"
        )
    flat = each(pad, len(pad), "pad") if len(pad) > 1 else ()
    pairs = list(zip(flat[::2], flat[1::2], strict=True))[::-1]
    widths = [(0, 0)] * (ndim - len(pairs)) + pairs
    out = [n + a + b for n, (a, b) in zip(input.shape, widths, strict=True)]
    if min(out, default=0) < 0:
        raise ShapeError(
            f"pad={tuple(pad)} takes more than there is: an input of shape {list(input.shape)} "
            f"would get the shape {out}"
        )
    return widths


def _cropped(x: Tensor, widths: Widths) -> Tensor:
    """``x`` without what negative widths take away."""
    for d, (a, b) in enumerate(widths):
        before, after = max(-a, 0), max(-b, 0)
        if before + after > x.shape[d]:
            raise ShapeError(
                f"pad: {before} and {after} elements cannot be taken off dimension {d} of shape "
                f"{list(x.shape)}"
            )
        if before or after:
            x = x.narrow(d, before, x.shape[d] - before - after)
    return x


def _constant(x: Tensor, widths: Widths, value: float) -> Tensor:
    x = _cropped(x, widths)
    positive = [(max(a, 0), max(b, 0)) for a, b in widths]
    return wrap(mv.pad(node_of(x), positive, value)) if any(map(any, positive)) else x.clone()


def _check_rank(mode: str, input: Tensor, pad: Sequence[int]) -> None:
    dims = len(pad) // 2
    if len(pad) % 2 == 0 and dims in (1, 2, 3) and input.ndim in (dims + 1, dims + 2):
        return
    raise UnsupportedOp(
        f"pad: mode={mode!r} pads the last dimension of [C, W] or [N, C, W], the last two of four, "
        f"or three of five dimensions, not {dims} of shape {list(input.shape)}"
    )


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """``input`` with elements added before and after it, or (negative widths) taken off.

    Args:
        pad: how much before and after the last dimension, then the last but one, and so on.
        mode: "constant"; "reflect" (mirrored at the edge element), "replicate" (the edge element
            repeated) or "circular" (continued from the other side).
        value: the constant, by default 0.

    Shape:
        any for a constant; else ``[N, C, *]`` or ``[C, *]``, padded in all of its one to three
        dimensions ``*``.

    Raises:
        ShapeError: if there are too many widths, or there is too little to mirror, repeat or take.
        UnsupportedOp: for other ranks.
    """
    node_of(input)  # says what is wrong with anything but a Tensor
    if mode not in MODES:
        raise UnsupportedOp(f"pad: mode={mode!r} should be one of {', '.join(MODES)}")
    if mode == "constant":
        return _constant(input, _widths(input, pad), 0 if value is None else value)
    if value:
        raise OptionError(f"pad: mode={mode!r} takes no value, but value={value}")
    widths = _widths(input, pad)
    _check_rank(mode, input, pad)
    if mode == "replicate" or (mode == "reflect" and len(pad) < 6):  # (an odd list: PyTorch's)
        input = to_full_precision(input)
    x = _cropped(input, widths) if mode == "circular" else input
    positive = [(max(a, 0), max(b, 0)) for a, b in widths]
    if any(map(any, positive)):
        _check_sides(mode, x, positive)
        x = _with_edges(x, positive, mode, len(pad) // 2)
    x = x if mode == "circular" else _cropped(x, widths)
    return x.clone() if x is input or x._base is not None else x  # never a view
