"""Lowering of ops that move values, reduce them, or address them by index."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ...errors import DataError
from ...graph.node import Signature
from .rules import Checked, Rule, Setting, Value, with_attrs

# ---- moves


def _slices(cuts: Any) -> tuple[slice, ...]:
    """(A stop of -1 is past the front.)"""
    return tuple([slice(a, None if b < 0 else b, s) for a, b, s in cuts])


def _set_slice(cuts: Any, base: Value, part: Value) -> Value:
    if part.size == 0:
        return base
    if part.shape == base.shape and all(step == 1 for _, _, step in cuts):
        return part
    if all(step == 1 for _, _, step in cuts):
        return lax.dynamic_update_slice(base, part, [start for start, _, _ in cuts])
    return base.at[_slices(cuts)].set(part, unique_indices=True)


def _arange(sig: Signature, setting: Setting, start: Value, step: Value) -> Value:
    n, to = sig.attrs
    return (start + jnp.arange(n, dtype=start.dtype) * step).astype(to.numpy)


# ---- reductions and scans


def _sum(attrs: Any, x: Value) -> Value:
    return jnp.sum(x, axis=attrs[0], keepdims=attrs[1], dtype=x.dtype)


def _reduction(f: Any) -> Rule:
    return with_attrs(lambda attrs, x: f(x, axis=attrs[0], keepdims=attrs[1]))


def _argsort(attrs: tuple[int, bool, int], x: Value) -> Value:
    dim, descending, count = attrs
    if not descending:
        order = jnp.argsort(x, axis=dim, stable=True)
    else:
        turned = jnp.argsort(jnp.flip(x, dim), axis=dim, stable=True)
        order = x.shape[dim] - 1 - jnp.flip(turned, dim)
    return lax.slice_in_dim(order, 0, count, axis=dim)


# ---- indices


def _out_of_range(sig: Signature, wrong: float) -> tuple[type[Exception], str]:
    # Which of several indices it was is in the fraction: see _checked.
    dim = round((wrong % 1) * _DIMS)
    size = sig.types[0].shape[dim]
    return IndexError, f"index {int(wrong // 1)} is out of range for a dimension of size {size}"


_DIMS = 128


def _checked(wrap: bool, shape: tuple[int, ...], indices: tuple[Value, ...]) -> Any:
    """Indices from 0 on, whether one is out of range, and the first such with its dimension."""
    failed, wrong, out = jnp.zeros((), bool), jnp.zeros((), jnp.float64), []
    for dim, index in enumerate(indices):
        size = shape[dim]
        bad = (index < (-size if wrap else 0)) | (index >= size)
        here = bad.any()
        if index.size:
            first = index.ravel()[jnp.argmax(bad.ravel())].astype(jnp.float64) + dim / _DIMS
            wrong = jnp.where(here & ~failed, first, wrong)
        failed |= here
        out.append(jnp.where(index < 0, index + size, index) if wrap else index)
    return tuple(out), failed, wrong


def _take(wrap: bool, x: Value, *indices: Value) -> Checked:
    places, failed, wrong = _checked(wrap, x.shape, indices)
    if 0 in x.shape[: len(places)]:  # nothing can be taken
        shape = jnp.broadcast_shapes(*[p.shape for p in places]) + x.shape[len(places) :]
        return Checked(jnp.zeros(shape, x.dtype), failed, wrong)
    return Checked(x.at[places].get(mode="clip"), failed, wrong)


def _put(wrap: bool, x: Value, part: Value, *indices: Value) -> Checked:
    places, failed, wrong = _checked(wrap, x.shape, indices)
    return Checked(x.at[places].set(part, mode="drop"), failed, wrong)


def _even_sums(attrs: tuple[int, int], x: Value) -> Value:
    (dim, count), size = attrs, x.shape[attrs[0]]
    if 0 in (size, count):
        return jnp.zeros((*x.shape[:dim], count, *x.shape[dim + 1 :]), x.dtype)
    ends = np.arange(count + 1)[:, None] * size
    starts = ends[:-1] // count
    lengths = -(-ends[1:] // count) - starts
    steps = np.arange(lengths.max())
    rows = jnp.moveaxis(x, dim, 0)[np.minimum(starts + steps, size - 1)]
    # What a shorter window does not have is left out, rather than multiplied by 0: it may be NaN.
    inside = (steps < lengths).reshape(*rows.shape[:2], *[1] * (x.ndim - 1))
    return jnp.moveaxis(jnp.where(inside, rows, 0).sum(1, dtype=x.dtype), 0, dim)


def _put_add(wrap: bool, x: Value, part: Value, *indices: Value) -> Checked:
    places, failed, wrong = _checked(wrap, x.shape, indices)
    sums = x.at[places].max if x.dtype == jnp.bool_ else x.at[places].add
    return Checked(sums(part, mode="drop"), failed, wrong)


def _searchsorted(right: bool, sequence: Value, values: Value) -> Value:
    side = "right" if right else "left"
    if sequence.ndim == 1:
        return jnp.searchsorted(sequence, values, side=side)
    rows = sequence.reshape(-1, sequence.shape[-1])
    wanted = values.reshape(rows.shape[0], -1)
    found = jax.vmap(lambda row, v: jnp.searchsorted(row, v, side=side))(rows, wanted)
    return found.reshape(values.shape)


def _in_range(bounds: tuple[str, float, float], x: Value) -> Checked:
    _, low, high = bounds
    bad = x < low if high == float("inf") else ~((x >= low) & (x <= high))
    wrong = x.ravel()[jnp.argmax(bad.ravel())] if x.size else 0
    return Checked(x, bad.any(), wrong)


def _not_in_range(sig: Signature, wrong: float) -> tuple[type[Exception], str]:
    value = wrong if sig.types[0].dtype.is_floating_point else int(wrong)
    return DataError, f"{sig.attrs[0]}, but {value} is among them"


def _pad_edges(edges: Any, x: Value) -> Value:
    return jnp.pad(x, edges.everywhere, mode=edges.numpy_mode)


def _pad_edges_sum(edges: Any, g: Value) -> Value:
    sizes = zip(g.shape, edges.everywhere, strict=True)
    like = jax.ShapeDtypeStruct(tuple([n - a - b for n, (a, b) in sizes]), g.dtype)
    (out,) = jax.linear_transpose(lambda x: _pad_edges(edges, x), like)(g)
    return out


RULES: dict[str, Rule] = {
    "reshape": with_attrs(lambda shape, x: x.reshape(shape)),
    "permute": with_attrs(lambda order, x: x.transpose(order)),
    "expand": with_attrs(lambda shape, x: jnp.broadcast_to(x, shape)),
    "slice": with_attrs(lambda cuts, x: x[_slices(cuts)]),
    "set_slice": with_attrs(_set_slice),
    "cat": with_attrs(lambda dim, *xs: jnp.concatenate(xs, axis=dim)),
    "pad_edges": with_attrs(_pad_edges),
    "pad_edges_sum": with_attrs(_pad_edges_sum),
    "arange": _arange,
    "sum": with_attrs(_sum),
    "max": _reduction(jnp.max),
    "min": _reduction(jnp.min),
    "argmax": _reduction(jnp.argmax),
    "argmin": _reduction(jnp.argmin),
    "argsort": with_attrs(_argsort),
    "even_sums": with_attrs(_even_sums),
    "cumsum": with_attrs(lambda dim, x: jnp.cumsum(x, axis=dim, dtype=x.dtype)),
    "take": with_attrs(_take),
    "put": with_attrs(_put),
    "put_add": with_attrs(_put_add),
    "searchsorted": with_attrs(_searchsorted),
    "in_range": with_attrs(_in_range),
}

WORDS = {
    **dict.fromkeys(("take", "put", "put_add"), _out_of_range),
    "in_range": _not_in_range,
}
