"""Matrix product, convolution and pooling: whole, so that a backend can use its best kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import bool_, int64
from ..errors import DataError, DTypeError, ShapeError
from ..graph.node import Grads, Node, Op, Shape, TensorType, record, record1, record2, type_of
from .base import MixedDtypes, broadcast, no_complex
from .movement import swap_last

# ---- matrix product

#: Which of the two operands have rows and columns change places; None: neither.
Turns = tuple[bool, bool] | None


def _turned(shape: Shape, turn: bool) -> Shape:
    return (*shape[:-2], shape[-1], shape[-2]) if turn else shape


def _infer_matmul(turns: Turns, x: TensorType, y: TensorType) -> TensorType:
    if x.dtype is not y.dtype:
        raise MixedDtypes(
            f"matmul takes one dtype, not {x.dtype} and {y.dtype}; convert one with .to()"
        )
    a, b = map(_turned, (x.shape, y.shape), turns or (False, False))
    if a[-1] != b[-2]:
        raise ShapeError(
            f"matmul of shapes {list(a)} and {list(b)}: the last dimension of the "
            f"first ({a[-1]}) must equal the second to last of the second ({b[-2]})"
        )
    batch = broadcast("matmul", a[:-2], b[:-2])
    return type_of((*batch, a[-2], b[-1]), x.dtype)


def _run_matmul(*args: Any) -> Any:
    turns, a, b = args if len(args) == 3 else ((False, False), *args)
    return np.matmul(a.swapaxes(-1, -2) if turns[0] else a, b.swapaxes(-1, -2) if turns[1] else b)


def _grad_matmul(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    a, b = node.inputs
    turn_a, turn_b = node.sig.attrs or (False, False)
    at_a = at_b = None
    if want[0]:
        at_a = matmul(b, g, turn_b, True) if turn_a else matmul(g, b, False, not turn_b)
    if want[1]:
        at_b = matmul(g, a, True, turn_a) if turn_b else matmul(a, g, not turn_a, False)
    return at_a, at_b


_matmul = Op("matmul", _infer_matmul, _run_matmul, _grad_matmul, needs=(0, 1), widen=True)


def matmul(a: Node, b: Node, turn_a: bool = False, turn_b: bool = False) -> Node:
    """Product of the last two dimensions; the others broadcast. Both have at least two.

    ``turn_a``, ``turn_b``: of the operand with these two dimensions swapped. (A node for the
    swapped operand would cost time, and be kept for the gradient.)
    """
    if turn_a or turn_b:
        return record(_matmul, (a, b), (turn_a, turn_b))
    return record2(_matmul, a, b)


# ---- products of groups, whose sizes are known when they are run

# ``a[start:end] @ b[g]`` for each group of rows, of ``a [M, K]`` and ``b [G, K, N]``: ``[M, N]``, 0
# for rows behind the last group; or ``a[:, start:end] @ b[start:end]`` of two matrices:
# ``[G, M, N]``. ``ends [G]`` says where groups end. Gradients of one are the other.


def _infer_grouped(attrs: None, a: TensorType, b: TensorType, ends: TensorType) -> TensorType:
    one = (a.shape[0], b.shape[-1])
    return type_of(one if b.ndim == 3 else (ends.shape[0], *one), a.dtype)


def _reference_grouped(a: Any, b: Any, ends: Any) -> Any:
    by_rows = b.ndim == 3
    most = a.shape[0 if by_rows else 1]
    starts = np.concatenate([[0], ends[:-1]])
    if (starts > ends).any() or (ends > most).any():
        raise DataError(f"the ends of groups are not in ascending order up to {most}")
    out = np.zeros((len(a), b.shape[2]) if by_rows else (len(ends), len(a), b.shape[1]), a.dtype)
    for g, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if by_rows:
            np.matmul(a[start:end], b[g], out=out[start:end])
        else:
            np.matmul(a[:, start:end], b[start:end], out=out[g])
    return out


def _grad_grouped(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    a, b, ends = node.inputs
    if b.type.ndim == 3:
        return (
            grouped_matmul(g, swap_last(b), ends) if want[0] else None,
            grouped_matmul(swap_last(a), g, ends) if want[1] else None,
            None,
        )
    return (
        swap_last(grouped_matmul(b, swap_last(g), ends)) if want[0] else None,
        grouped_matmul(swap_last(a), g, ends) if want[1] else None,
        None,
    )


_grouped_matmul = Op(
    "grouped_matmul",
    _infer_grouped,
    _reference_grouped,
    _grad_grouped,
    needs=(0, 1, 2),
    widen=True,
    can_fail=True,
)


def grouped_matmul(a: Node, b: Node, ends: Node) -> Node:
    """Products of groups of rows with a matrix each, or of parts of two matrices."""
    return record(_grouped_matmul, (a, b, ends))


# ---- convolution

Pairs = tuple[tuple[int, int], ...]  # (before, after) of each spatial dimension


class Window(NamedTuple):
    """How a window moves over the spatial dimensions."""

    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    groups: int = 1


def windows(size: int, kernel: int, stride: int, pad: tuple[int, int], dilation: int) -> int:
    """How many windows fit one dimension."""
    return (size + pad[0] + pad[1] - dilation * (kernel - 1) - 1) // stride + 1


def _out_sizes(name: str, w: Window, sizes: Shape, kernel: Shape) -> Shape:
    out = tuple(map(windows, sizes, kernel, w.stride, w.padding, w.dilation))
    if min(out, default=1) < 1:
        padded = [n + a + b for n, (a, b) in zip(sizes, w.padding, strict=True)]
        raise ShapeError(
            f"{name}: a window of {list(kernel)} (dilation {list(w.dilation)}) does not fit an "
            f"input of {list(sizes)}, padded to {padded}"
        )
    return out


def _pad(x: Any, padding: Pairs, value: float = 0) -> Any:
    if not any(map(any, padding)):
        return x
    return np.pad(x, ((0, 0), (0, 0), *padding), constant_values=value)


def _unpad(x: Any, padding: Pairs) -> Any:
    inner = [slice(a, n - b) for n, (a, b) in zip(x.shape[2:], padding, strict=True)]
    return x[(slice(None), slice(None), *inner)]


def _taps(kernel: Shape, out: Shape, w: Window) -> Iterator[tuple[Shape, tuple[Any, ...]]]:
    """For each place in the kernel, the slice of the padded input that it meets."""
    for place in product(*map(range, kernel)):
        inner = [
            slice(p * d, p * d + (n - 1) * s + 1, s)
            for p, d, n, s in zip(place, w.dilation, out, w.stride, strict=True)
        ]
        yield place, (slice(None), slice(None), *inner)


def _columns(x: Any, kernel: Shape, out: Shape, w: Window) -> Any:
    """The padded input as ``[N, groups, C / groups * kernel, out]``: a column for each window."""
    steps = x.strides[2:]
    taps = np.lib.stride_tricks.as_strided(
        x,
        (*x.shape[:2], *kernel, *out),
        (
            *x.strides[:2],
            *[a * d for a, d in zip(steps, w.dilation, strict=True)],
            *[a * s for a, s in zip(steps, w.stride, strict=True)],
        ),
        writeable=False,
    )
    rows = x.shape[1] // w.groups * prod(kernel)
    return taps.reshape(x.shape[0], w.groups, rows, prod(out))


def _by_group(weight: Any, groups: int) -> Any:
    """A weight ``[O, C / groups, *kernel]`` as ``[groups, O / groups, C / groups * kernel]``."""
    rows = prod(weight.shape[1:])
    return weight.reshape(groups, weight.shape[0] // groups, rows)


def _outputs_by_group(g: Any, groups: int) -> Any:
    return g.reshape(g.shape[0], groups, g.shape[1] // groups, prod(g.shape[2:]))


def _reference_conv(w: Window, x: Any, weight: Any) -> Any:
    kernel = weight.shape[2:]
    out = tuple(map(windows, x.shape[2:], kernel, w.stride, w.padding, w.dilation))
    cols = _columns(_pad(x, w.padding), kernel, out, w)
    return np.matmul(_by_group(weight, w.groups), cols).reshape(x.shape[0], weight.shape[0], *out)


def _reference_conv_input(attrs: tuple[Window, Shape], g: Any, weight: Any) -> Any:
    w, sizes = attrs
    kernel, out = weight.shape[2:], g.shape[2:]
    channels = weight.shape[1] * w.groups
    rows = _by_group(weight, w.groups).swapaxes(1, 2)
    cols = np.matmul(rows, _outputs_by_group(g, w.groups))
    cols = cols.reshape(g.shape[0], channels, *kernel, *out)
    padded = [n + a + b for n, (a, b) in zip(sizes, w.padding, strict=True)]
    back = np.zeros((g.shape[0], channels, *padded), g.dtype)
    for place, region in _taps(kernel, out, w):
        back[region] += cols[(slice(None), slice(None), *place)]
    return _unpad(back, w.padding)


def _reference_conv_weight(attrs: tuple[Window, Shape], x: Any, g: Any) -> Any:
    w, kernel = attrs
    cols = _columns(_pad(x, w.padding), kernel, g.shape[2:], w)
    weight = np.matmul(_outputs_by_group(g, w.groups), cols.swapaxes(2, 3)).sum(0)
    return weight.reshape(g.shape[1], x.shape[1] // w.groups, *kernel)


def _one_dtype(name: str, a: TensorType, b: TensorType) -> None:
    if a.dtype is not b.dtype:
        raise DTypeError(f"{name} takes one dtype, not {a.dtype} and {b.dtype}")


def _infer_conv(w: Window, x: TensorType, weight: TensorType) -> TensorType:
    _one_dtype("conv", x, weight)
    if x.shape[1] != weight.shape[1] * w.groups:
        raise ShapeError(
            f"conv: the input of shape {list(x.shape)} has {x.shape[1]} channels, but the weight "
            f"of shape {list(weight.shape)} with groups={w.groups} takes "
            f"{weight.shape[1] * w.groups}"
        )
    if weight.shape[0] % w.groups:
        raise ShapeError(f"conv: {weight.shape[0]} output channels in {w.groups} groups")
    out = _out_sizes("conv", w, x.shape[2:], weight.shape[2:])
    return type_of((x.shape[0], weight.shape[0], *out), x.dtype)


def _infer_conv_input(attrs: tuple[Window, Shape], g: TensorType, weight: TensorType) -> TensorType:
    w, sizes = attrs
    _one_dtype("conv_transpose", g, weight)
    if g.shape[1] != weight.shape[0]:
        raise ShapeError(
            f"conv_transpose: the input of shape {list(g.shape)} has {g.shape[1]} channels, but "
            f"the weight of shape {list(weight.shape)} takes {weight.shape[0]}"
        )
    return type_of((g.shape[0], weight.shape[1] * w.groups, *sizes), g.dtype)


def _infer_conv_weight(attrs: tuple[Window, Shape], x: TensorType, g: TensorType) -> TensorType:
    w, kernel = attrs
    return type_of((g.shape[1], x.shape[1] // w.groups, *kernel), x.dtype)


# The three are one trilinear form in (input, weight, output gradient), so that the gradients of
# each are the other two and derivatives of any order stay within them.


def _grad_conv(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    w, (x, weight) = node.sig.attrs, node.inputs
    x_type, weight_type = node.sig.types
    return (
        conv_input(g, weight, w, x_type.shape[2:]) if want[0] else None,
        conv_weight(x, g, w, weight_type.shape[2:]) if want[1] else None,
    )


def _grad_conv_input(node: Node, gg: Node, want: Sequence[bool]) -> Grads:
    (w, _), (g, weight) = node.sig.attrs, node.inputs
    return (
        conv(gg, weight, w) if want[0] else None,
        conv_weight(gg, g, w, node.sig.types[1].shape[2:]) if want[1] else None,
    )


def _grad_conv_weight(node: Node, gg: Node, want: Sequence[bool]) -> Grads:
    (w, _), (x, g) = node.sig.attrs, node.inputs
    return (
        conv_input(g, gg, w, node.sig.types[0].shape[2:]) if want[0] else None,
        conv(x, gg, w) if want[1] else None,
    )


_conv = Op("conv", _infer_conv, _reference_conv, _grad_conv, needs=(0, 1), widen=True)
_conv_input = Op(
    "conv_input",
    _infer_conv_input,
    _reference_conv_input,
    _grad_conv_input,
    needs=(0, 1),
    widen=True,
)
_conv_weight = Op(
    "conv_weight",
    _infer_conv_weight,
    _reference_conv_weight,
    _grad_conv_weight,
    needs=(0, 1),
    widen=True,
)


def conv(x: Node, weight: Node, w: Window) -> Node:
    """``x [N, C, *sizes]`` with ``weight [O, C/groups, *kernel]``: cross-correlation."""
    return record(_conv, (x, weight), w)


def conv_input(g: Node, weight: Node, w: Window, sizes: Shape) -> Node:
    """The input's gradient, of spatial ``sizes``: also the transposed convolution."""
    return record(_conv_input, (g, weight), (w, sizes))


def conv_weight(x: Node, g: Node, w: Window, kernel: Shape) -> Node:
    """The weight's gradient, of spatial size ``kernel``."""
    return record(_conv_weight, (x, g), (w, kernel))


# ---- maximum over windows


class Pool(NamedTuple):
    kernel: tuple[int, ...]
    window: Window


def _lowest(kind: Any) -> Any:
    return -np.inf if kind.kind == "f" else np.iinfo(kind).min


def _pool_out(p: Pool, x: Any) -> Shape:
    w = p.window
    return tuple(map(windows, x.shape[2:], p.kernel, w.stride, w.padding, w.dilation))


def _reference_max_pool(p: Pool, x: Any) -> Any:
    out = _pool_out(p, x)
    x = _pad(x, p.window.padding, _lowest(x.dtype))
    best = None
    for _, region in _taps(p.kernel, out, p.window):
        best = x[region] if best is None else np.maximum(best, x[region])
    return np.array(best)


def _winners(p: Pool, x: Any) -> tuple[Any, Shape]:
    """Which place of each window holds its first maximum within ``x`` (a NaN counts as one)."""
    out = _pool_out(p, x)
    inside = _pad(np.ones((1, 1, *x.shape[2:]), bool), p.window.padding)
    x = _pad(x, p.window.padding, _lowest(x.dtype))
    best: Any = _lowest(x.dtype)
    winner: Any = -1
    for k, (_, region) in enumerate(_taps(p.kernel, out, p.window)):
        here = x[region]
        better = (here > best) | np.isnan(here) | (inside[region] & np.less(winner, 0))
        winner, best = np.where(better, k, winner), np.where(better, here, best)
    return winner, out


def _reference_max_pool_take(p: Pool, x: Any, values: Any) -> Any:
    winner, out = _winners(p, x)
    values = _pad(values, p.window.padding)
    taken = np.zeros(winner.shape, values.dtype)
    for k, (_, region) in enumerate(_taps(p.kernel, out, p.window)):
        taken = np.where(winner == k, values[region], taken)
    return taken


def _reference_max_pool_put(p: Pool, x: Any, g: Any) -> Any:
    winner, out = _winners(p, x)
    padded = [n + a + b for n, (a, b) in zip(x.shape[2:], p.window.padding, strict=True)]
    back = np.zeros((*x.shape[:2], *padded), g.dtype)
    for k, (_, region) in enumerate(_taps(p.kernel, out, p.window)):
        back[region] += np.where(winner == k, g, np.zeros((), g.dtype))
    return _unpad(back, p.window.padding)


def _infer_max_pool(p: Pool, x: TensorType, values: TensorType | None = None) -> TensorType:
    no_complex("max_pool", x)
    if x.dtype is bool_:
        raise DTypeError(f"max_pool takes numbers, not {x.dtype}")
    out = _out_sizes("max_pool", p.window, x.shape[2:], p.kernel)
    return type_of((*x.shape[:2], *out), (values or x).dtype)


_max_pool = Op(
    "max_pool",
    _infer_max_pool,
    _reference_max_pool,
    lambda n, g, want: (max_pool_put(n.inputs[0], g, n.sig.attrs),),
    needs=(0,),
    widen=True,
)
_max_pool_take = Op(
    "max_pool_take",
    _infer_max_pool,
    _reference_max_pool_take,
    lambda n, g, want: (None, max_pool_put(n.inputs[0], g, n.sig.attrs) if want[1] else None),
    needs=(0,),
    widen=True,
)
_max_pool_put = Op(
    "max_pool_put",
    lambda p, x, g: type_of(x.shape, g.dtype),
    _reference_max_pool_put,
    lambda n, gg, want: (None, max_pool_take(n.inputs[0], gg, n.sig.attrs) if want[1] else None),
    needs=(0,),
    widen=True,
)


def max_pool(x: Node, p: Pool) -> Node:
    return record1(_max_pool, x, p)


def max_pool_take(x: Node, values: Node, p: Pool) -> Node:
    """``values`` at the places where ``x`` has its windows' maxima."""
    return record(_max_pool_take, (x, values), p)


def max_pool_put(x: Node, g: Node, p: Pool) -> Node:
    """``g`` added at the places where ``x`` has its windows' maxima: max_pool's gradient."""
    return record(_max_pool_put, (x, g), p)


# ---- maximum over windows that tables give


def _check_bounds(x: Any, bounds: Sequence[Any]) -> None:
    for size, start, stop in zip(x.shape[1:], bounds[::2], bounds[1::2], strict=True):
        if ((start < 0) | (stop <= start) | (stop > size)).any():
            raise IndexError("a window is empty, or not within the input")


def _reference_max_places(x: Any, *bounds: Any) -> Any:
    _check_bounds(x, bounds)
    shape = (len(x), *[b.shape[1] for b in bounds[::2]])
    if 0 in shape:
        return np.zeros(shape, np.int64)
    n, flat = x.ndim - 1, np.zeros((1,) * (2 * x.ndim - 1), np.int64)
    for d, (start, stop) in enumerate(zip(bounds[::2], bounds[1::2], strict=True)):
        longest = (stop - start).max(initial=1)
        # (a shorter window repeats its last place)
        along = np.minimum(start[..., None] + np.arange(longest), stop[..., None] - 1)
        ones = [1] * (2 * n)
        ones[d], ones[n + d] = along.shape[1:]
        flat = flat * x.shape[d + 1] + along.reshape(-1, *ones)
    length = prod(flat.shape[n + 1 :])
    places = np.broadcast_to(
        flat.reshape(-1, prod(shape[1:]), length), (shape[0], prod(shape[1:]), length)
    )
    values = np.take_along_axis(x.reshape(x.shape[0], 1, -1), places, 2)
    wrong = np.isnan(values)
    last = values.shape[2] - 1 - np.argmax(wrong[..., ::-1], 2)
    at = np.where(wrong.any(2), last, np.argmax(values, 2))
    return np.take_along_axis(places, at[..., None], 2).reshape(shape)


def _infer_max_places(x: TensorType, *bounds: TensorType) -> TensorType:
    return type_of((x.shape[0], *[b.shape[1] for b in bounds[::2]]), int64)


_max_places = Op(
    "max_places",
    lambda attrs, x, *bounds: _infer_max_places(x, *bounds),
    _reference_max_places,
    widen=True,
    can_fail=True,
)


def max_places(x: Node, bounds: Sequence[Node]) -> Node:
    """Where in its plane each window of the planes ``x [R, *sizes]`` has its first maximum.

    A NaN counts as one, the last of them.

    Args:
        bounds: of each dimension the first places of windows and the places after their last ones,
            int64 ``[R, count]``, or ``[1, count]`` if all planes have the same.
    """
    return record(_max_places, (x, *bounds))
