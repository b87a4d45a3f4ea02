"""Primitives that only move values: their gradients move them back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import dtype, float64, int64
from ..engine.devices import NO_VALUES
from ..errors import DTypeError, ShapeError
from ..graph.device import META, device
from ..graph.node import Grads, Node, Op, Shape, TensorType, number, record, record1, type_of
from .base import Value, broadcast

Cut = tuple[int, int, int]  # start, stop, step of one dimension; stop is -1 past the front


def _infer_reshape(shape: Shape, x: TensorType) -> TensorType:
    out = type_of(shape, x.dtype)
    if out.size != x.size:
        raise ShapeError(
            f"reshape: {x.size} elements of shape {list(x.shape)} do not fill {list(shape)}"
        )
    return out


_reshape = Op(
    "reshape",
    _infer_reshape,
    lambda shape, x: x.reshape(shape),
    lambda n, g, want: (reshape(g, n.sig.types[0].shape),),
)


def reshape(x: Node, shape: Shape) -> Node:
    return x if x.type.shape == shape else record1(_reshape, x, shape)


def inverse(order: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes ``order``."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


_permute = Op(
    "permute",
    lambda order, x: type_of(tuple([x.shape[i] for i in order]), x.dtype),
    lambda order, x: x.transpose(order),
    lambda n, g, want: (permute(g, inverse(n.sig.attrs)),),
)


def permute(x: Node, order: tuple[int, ...]) -> Node:
    return x if order == x.type.dims else record1(_permute, x, order)


def swap_last(x: Node) -> Node:
    """The last two dimensions swapped."""
    n = x.type.ndim
    return permute(x, (*range(n - 2), n - 1, n - 2))


def _infer_expand(shape: Shape, x: TensorType) -> TensorType:
    if broadcast("expand", x.shape, shape) != shape:
        raise ShapeError(f"expand: shape {list(x.shape)} does not expand to {list(shape)}")
    return type_of(shape, x.dtype)


# The gradient is un-summed in the walk, like that of every broadcast.
_expand = Op(
    "expand",
    _infer_expand,
    lambda shape, x: np.broadcast_to(x, shape),
    lambda n, g, want: (g,),
)


def expand(x: Node, shape: Shape) -> Node:
    return x if x.type.shape == shape else record1(_expand, x, shape)


def full(kind: TensorType, value: Any) -> Node:
    """A constant tensor; its value is a run-time argument."""
    return expand(number(value, kind.dtype, kind.device), kind.shape)


def zeros(kind: TensorType) -> Node:
    return full(kind, 0)


def as_slices(cuts: tuple[Cut, ...]) -> tuple[slice, ...]:
    return tuple([slice(a, None if b < 0 else b, s) for a, b, s in cuts])


def _infer_slice(cuts: tuple[Cut, ...], x: TensorType) -> TensorType:
    return type_of(tuple([len(range(*c)) for c in cuts]), x.dtype)


_slice = Op(
    "slice",
    _infer_slice,
    lambda cuts, x: x[as_slices(cuts)],
    lambda n, g, want: (set_slice(zeros(n.sig.types[0]), g, n.sig.attrs),),
)


def slice_(x: Node, cuts: tuple[Cut, ...]) -> Node:
    return record1(_slice, x, cuts)


def _reference_set_slice(cuts: tuple[Cut, ...], base: Any, part: Any) -> Any:
    out = np.array(base)
    out[as_slices(cuts)] = part
    return out


def _grad_set_slice(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    cuts = node.sig.attrs
    return (
        set_slice(g, zeros(node.sig.types[1]), cuts) if want[0] else None,
        slice_(g, cuts) if want[1] else None,
    )


_set_slice = Op("set_slice", lambda cuts, base, part: base, _reference_set_slice, _grad_set_slice)


def set_slice(base: Node, part: Node, cuts: tuple[Cut, ...]) -> Node:
    """``base`` with ``part`` in the place that ``cuts`` cuts out."""
    return record(_set_slice, (base, part), cuts)


def flip(x: Node, dims: Sequence[int]) -> Node:
    return slice_(
        x,
        tuple([(n - 1, -1, -1) if k in dims else (0, n, 1) for k, n in enumerate(x.type.shape)]),
    )


def pad(x: Node, widths: Sequence[tuple[int, int]], value: Value = 0) -> Node:
    """``x`` within a frame of ``value``, ``(before, after)`` elements wide in each dimension."""
    shape = tuple([a + n + b for n, (a, b) in zip(x.type.shape, widths, strict=True)])
    kind = type_of(shape, x.type.dtype, x.type.device)
    frame = expand(value, shape) if isinstance(value, Node) else full(kind, value)
    cuts = [(a, a + n, 1) for n, (a, _) in zip(x.type.shape, widths, strict=True)]
    return set_slice(frame, x, tuple(cuts))


def _infer_concat(dim: int, *xs: TensorType) -> TensorType:
    first = xs[0]
    total = 0
    for k, x in enumerate(xs):
        if x.dtype is not first.dtype:
            raise DTypeError(f"cat takes one dtype, not {first.dtype} and {x.dtype}")
        if x.ndim != first.ndim or x.shape[:dim] + x.shape[dim + 1 :] != (
            first.shape[:dim] + first.shape[dim + 1 :]
        ):
            raise ShapeError(
                f"cat along dimension {dim}: all other dimensions must agree, but tensor 0 has "
                f"shape {list(first.shape)} and tensor {k} has {list(x.shape)}"
            )
        total += x.shape[dim]
    return type_of((*first.shape[:dim], total, *first.shape[dim + 1 :]), first.dtype)


def _grad_concat(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    dim, start = node.sig.attrs, 0
    out: list[Node | None] = []
    for w, x in zip(want, node.sig.types, strict=True):
        stop = start + x.shape[dim]
        cuts = [(0, n, 1) for n in x.shape]
        cuts[dim] = (start, stop, 1)
        out.append(slice_(g, tuple(cuts)) if w else None)
        start = stop
    return out


_concat = Op("cat", _infer_concat, lambda dim, *xs: np.concatenate(xs, axis=dim), _grad_concat)


def concat(xs: Sequence[Node], dim: int) -> Node:
    return xs[0] if len(xs) == 1 else record(_concat, tuple(xs), dim)


def _reference_arange(attrs: tuple[int, dtype], start: Any, step: Any) -> Any:
    n, to = attrs
    # In float64 and rounded once: repeated addition would drift.
    values: Any = np.float64(start) + np.arange(n, dtype=np.float64) * np.float64(step)
    if to.category == 1:
        values = int(start) + np.arange(n, dtype=np.int64) * int(step)
    return values.astype(to.numpy)


_arange = Op("arange", lambda attrs, start, step: type_of((attrs[0],), attrs[1]), _reference_arange)


def arange(n: int, to: dtype, start: Any = 0, step: Any = 1, device: device | None = None) -> Node:
    """``start + step * [0, ..., n-1]``."""
    wide = float64 if to.is_floating_point else int64
    return record(_arange, (number(start, wide, device), number(step, wide)), (n, to))


# ---- from device to device


def _arrival(name: str, to: device, types: Sequence[TensorType]) -> device:
    """
    Raises:
        DeviceError: for a tensor without values.
    """
    if types[0].device is META:
        raise NO_VALUES.error()
    return to


_to_device = Op(
    "to_device",
    lambda to, x: x,
    lambda to, x: x,
    lambda n, g, want: (to_device(g, n.sig.types[0].device),),
    device=_arrival,
)


def to_device(x: Node, to: device | None) -> Node:
    """``x`` on another device. What is to be anywhere stays where it is."""
    return x if to is None or x.type.device is to else record1(_to_device, x, to)
