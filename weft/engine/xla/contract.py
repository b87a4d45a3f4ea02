"""Lowering of matrix products, convolutions and maximum pooling."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ...errors import DataError
from ...graph.node import Shape, Signature
from ..native.window import Window, out_sizes
from .rules import Checked, Rule, Setting, Value, plain, with_attrs

_PRECISIONS = {
    "highest": lax.Precision.HIGHEST,
    "high": lax.Precision.HIGH,
    "medium": lax.Precision.DEFAULT,
}


def _is_short(x: Value) -> bool:
    return x.dtype.itemsize == 2 and bool(jnp.issubdtype(x.dtype, jnp.floating))


def _precision(name: str, x: Value) -> lax.Precision:
    """Of 16-bit floats all digits are taken in any case: the fastest kind of product does so."""
    return lax.Precision.DEFAULT if _is_short(x) else _PRECISIONS[name]


def _accumulator(x: Value) -> Any:
    """16-bit floats are summed up in float32."""
    return jnp.float32 if _is_short(x) else None


def _matmul(sig: Signature, setting: Setting, a: Value, b: Value) -> Value:
    turn_a, turn_b = sig.attrs or (False, False)
    return jnp.matmul(
        a.swapaxes(-1, -2) if turn_a else a,
        b.swapaxes(-1, -2) if turn_b else b,
        precision=_precision(setting.precision.matmul, a),
        preferred_element_type=_accumulator(a),
    )


def _grouped_matmul(sig: Signature, setting: Setting, a: Value, b: Value, ends: Value) -> Checked:
    """By all rows for each group, with the others as 0: XLA's shapes do not depend on values."""
    most = a.shape[0 if b.ndim == 3 else 1]
    starts = jnp.concatenate([jnp.zeros(1, ends.dtype), ends[:-1]])
    failed = (starts > ends).any() | (ends > most).any()
    row = jnp.arange(most)
    inside = (row >= starts[:, None]) & (row < ends[:, None])  # [G, most]
    parts = jnp.where(inside[..., None] if b.ndim == 3 else inside[:, None], a, 0)
    out = _matmul(sig, setting, parts, b)
    return Checked(out.sum(0) if b.ndim == 3 else out, failed)


def _no_groups(sig: Signature, wrong: float) -> tuple[type[Exception], str]:
    a, b, _ = sig.types
    most = a.shape[0 if b.ndim == 3 else 1]
    return DataError, f"the ends of groups are not in ascending order up to {most}"


# ---- convolution: its gradients are its transposes, for which JAX has XLA's best form


def _conv(w: Window, setting: Setting, x: Value, weight: Value) -> Value:
    return lax.conv_general_dilated(
        x,
        weight,
        window_strides=w.stride,
        padding=w.padding,
        rhs_dilation=w.dilation,
        feature_group_count=w.groups,
        precision=_precision(setting.precision.conv, weight),
    )


def _conv_rule(sig: Signature, setting: Setting, x: Value, weight: Value) -> Value:
    return _conv(sig.attrs, setting, x, weight)


def _conv_input(sig: Signature, setting: Setting, g: Value, weight: Value) -> Value:
    w = sig.attrs[0]
    like = jax.ShapeDtypeStruct(sig.type.shape, g.dtype)
    (out,) = jax.linear_transpose(lambda x: _conv(w, setting, x, weight), like)(
        _fitted(w, g, like, weight.shape)
    )
    return out


def _conv_weight(sig: Signature, setting: Setting, x: Value, g: Value) -> Value:
    w = sig.attrs[0]
    like = jax.ShapeDtypeStruct(sig.type.shape, x.dtype)
    (out,) = jax.linear_transpose(lambda weight: _conv(w, setting, x, weight), like)(
        _fitted(w, g, x, like.shape)
    )
    return out


def _fitted(w: Window, g: Value, x: Any, kernel: Shape) -> Value:
    """The gradient of all windows that fit ``x``; those that ``g`` does not have count nothing."""
    full = out_sizes(w, x.shape[2:], kernel[2:])
    if full == g.shape[2:]:
        return g
    more = [(0, n - m, 0) for n, m in zip(full, g.shape[2:], strict=True)]
    return lax.pad(g, jnp.zeros((), g.dtype), [(0, 0, 0), (0, 0, 0), *more])


# ---- maximum over windows


def _lowest(kind: Any) -> Any:
    if jnp.issubdtype(kind, jnp.floating):
        return jnp.asarray(-jnp.inf, kind)
    return jnp.asarray(jnp.iinfo(kind).min, kind)


def _pad(x: Value, p: Any, value: Any) -> Value:
    return lax.pad(x, value, [(0, 0, 0), (0, 0, 0), *[(a, b, 0) for a, b in p.window.padding]])


def _max_pool(p: Any, x: Value) -> Value:
    w = p.window
    return lax.reduce_window(
        x,
        _lowest(x.dtype),
        lax.max,
        window_dimensions=(1, 1, *p.kernel),
        window_strides=(1, 1, *w.stride),
        padding=((0, 0), (0, 0), *w.padding),
        window_dilation=(1, 1, *w.dilation),
    )


def _taps(p: Any, sizes: Shape) -> list[tuple[Shape, Shape, Shape]]:
    """For each place in the kernel: start, limit and stride of what it meets of a padded input."""
    w = p.window
    out = out_sizes(w, sizes, p.kernel)
    taps = []
    for place in product(*map(range, p.kernel)):
        start = tuple([k * d for k, d in zip(place, w.dilation, strict=True)])
        limit = tuple([a + (n - 1) * s + 1 for a, n, s in zip(start, out, w.stride, strict=True)])
        taps.append((start, limit, w.stride))
    return taps


def _tap(x: Value, tap: tuple[Shape, Shape, Shape]) -> Value:
    start, limit, stride = tap
    return lax.slice(x, (0, 0, *start), (*x.shape[:2], *limit), (1, 1, *stride))


def _winners(p: Any, x: Value) -> tuple[Value, list[tuple[Shape, Shape, Shape]]]:
    """Which place of each window holds its first maximum within ``x`` (a NaN counts as one)."""
    taps = _taps(p, x.shape[2:])
    inside = _pad(jnp.ones((1, 1, *x.shape[2:]), bool), p, jnp.zeros((), bool))
    x = _pad(x, p, _lowest(x.dtype))
    best: Any = _lowest(x.dtype)
    winner: Any = jnp.full((), -1, jnp.int32)
    for k, tap in enumerate(taps):
        here = _tap(x, tap)
        better = (here > best) | jnp.isnan(here) | (_tap(inside, tap) & (winner < 0))
        winner, best = jnp.where(better, k, winner), jnp.where(better, here, best)
    return winner, taps


def _max_pool_take(p: Any, x: Value, values: Value) -> Value:
    winner, taps = _winners(p, x)
    values = _pad(values, p, jnp.zeros((), values.dtype))
    out = jnp.zeros(winner.shape, values.dtype)
    for k, tap in enumerate(taps):
        out = jnp.where(winner == k, _tap(values, tap), out)
    return out


def _max_pool_put(p: Any, x: Value, g: Value) -> Value:
    winner, taps = _winners(p, x)
    zero = jnp.zeros((), g.dtype)
    back: Any = 0
    padded = [n + a + b for n, (a, b) in zip(x.shape[2:], p.window.padding, strict=True)]
    for k, (start, limit, stride) in enumerate(taps):
        frame = [(a, n - b, s - 1) for a, b, n, s in zip(start, limit, padded, stride, strict=True)]
        part = jnp.where(winner == k, g, zero)
        back = back + lax.pad(part, zero, [(0, 0, 0), (0, 0, 0), *frame])
    inner = [(a, n - b) for n, (a, b) in zip(padded, p.window.padding, strict=True)]
    return back[(slice(None), slice(None), *[slice(a, b) for a, b in inner])]


# ---- maximum over windows that tables give


def _max_places(x: Value, *bounds: Value) -> Checked:
    """One dimension after the other, from the last: a row's first maximum is its window's."""
    failed = jnp.zeros((), bool)
    shape = (x.shape[0], *[b.shape[1] for b in bounds[::2]])
    places = jnp.arange(prod(x.shape[1:])).reshape(1, *x.shape[1:])
    places = jnp.broadcast_to(places, x.shape)
    for d in range(1, x.ndim):
        start, stop = bounds[2 * d - 2 : 2 * d]
        failed |= ((start < 0) | (stop <= start) | (stop > x.shape[d])).any()
    if 0 in shape:
        return Checked(jnp.zeros(shape, jnp.int64), failed)
    for d in reversed(range(1, x.ndim)):
        start, stop = bounds[2 * d - 2 : 2 * d]
        x, places = _largest_along(x, places, d, start, stop)
    return Checked(places, failed)


def _largest_along(
    x: Value, places: Value, dim: int, start: Value, stop: Value
) -> tuple[Value, Value]:
    """The largest of each window along a dimension (of NaNs the last one), and its place."""
    size = x.shape[dim]
    each = jnp.arange(size)
    inside = (each >= start[..., None]) & (each < stop[..., None])  # [R or 1, windows, size]
    rows, count, _ = inside.shape
    inside = inside.reshape(rows, *(1,) * (x.ndim - 2), count, size)
    x, places = (jnp.moveaxis(v, dim, -1)[..., None, :] for v in (x, places))
    shape = jnp.broadcast_shapes(x.shape, inside.shape)
    x, places = (jnp.broadcast_to(v, shape) for v in (x, places))
    wrong = inside & jnp.isnan(x)
    most = jnp.where(inside & ~wrong, x, _lowest(x.dtype)).max(axis=-1, keepdims=True)
    first = jnp.argmax(inside & (x == most), axis=-1)
    last = size - 1 - jnp.argmax(wrong[..., ::-1], axis=-1)
    at = jnp.where(wrong.any(axis=-1), last, first)[..., None]
    x, places = (jnp.take_along_axis(v, at, axis=-1)[..., 0] for v in (x, places))
    return jnp.moveaxis(x, -1, dim), jnp.moveaxis(places, -1, dim)


def _no_window(sig: Signature, wrong: float) -> tuple[type[Exception], str]:
    return IndexError, "a window is empty, or not within the input"


RULES: dict[str, Rule] = {
    "matmul": _matmul,
    "grouped_matmul": _grouped_matmul,
    "conv": _conv_rule,
    "conv_input": _conv_input,
    "conv_weight": _conv_weight,
    "max_pool": with_attrs(_max_pool),
    "max_pool_take": with_attrs(_max_pool_take),
    "max_pool_put": with_attrs(_max_pool_put),
    "max_places": plain(_max_places),
}

WORDS = {"grouped_matmul": _no_groups, "max_places": _no_window}
