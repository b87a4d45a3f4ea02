"""Attention as one call of cuDNN, on GPUs that have it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from ...graph.body import Body, Gradient
from ...graph.node import TensorType
from .rules import Value

#: Kinds of devices on which attention is kept whole until it is lowered.
KINDS = frozenset({"cuda"})

_RULES = {"attention": 3, "masked_attention": 4}  # with their numbers of inputs
_MOST_FEATURES = 128

#: What a mask adds to scores that do not count: cuDNN subtracts it from itself.
_LOWEST = {"bfloat16": -float(2 << 40), "float16": -float(2 << 14)}


def is_attention(body: Body) -> bool:
    """Is it attention, or its first gradient, of types that cuDNN's kernels take?

    They take float16 and bfloat16, up to 128 features, a multiple of 8; for gradients, even
    lengths. Of a mask they give the gradient only in some shapes: that is computed otherwise.
    """
    source = body.source
    forward = body.forward
    if len(forward.inputs) != _RULES.get(forward.rule[0]):
        return False
    if isinstance(source, Gradient) and max(source.wanted) > 2:
        return False
    return _is_taken(*forward.inputs[:3])


def _is_taken(q: TensorType, k: TensorType, v: TensorType) -> bool:
    return (
        q.device is not None
        and q.device.type in KINDS
        and q.dtype.is_reduced
        and q.shape[:-3] == k.shape[:-3]
        and k.shape[:-1] == v.shape[:-1]
        and (q.shape[-3:-2] == k.shape[-3:-2] or q.shape[-3] % k.shape[-3] == 0)
        and q.shape[-1] == v.shape[-1]
        and q.shape[-1] % 8 == 0
        and q.shape[-1] <= _MOST_FEATURES
        and q.shape[-2] % 2 == k.shape[-2] % 2 == 0
        and 0 not in (*q.shape, *k.shape)
    )


def by_kernel(body: Body, inputs: Sequence[Value]) -> Sequence[Value]:
    """The results of such a body. Equal calls in one program are one call there."""
    source = body.source
    forward = body.forward
    q, k, v, *rest = inputs
    masks = rest[: len(forward.inputs) - 3]
    # (as if to be differentiated in any case: so it is the same call)
    out, gradient = jax.vjp(partial(_forward, forward, masks), q, k, v)
    if not isinstance(source, Gradient):
        return (out,)
    found = gradient(rest[-1])
    return [found[n] for n in source.wanted]


def _forward(body: Body, masks: Sequence[Value], q: Value, k: Value, v: Value) -> Value:
    turned = [_batch_first(x) for x in (q, k, v)]
    name, (first, *options) = body.rule
    if name == "attention":
        causal, (scale, _) = first, options
        out = _kernel(*turned, scale=scale, is_causal=causal)
        return out.swapaxes(1, 2).reshape(q.shape)
    (mask,) = masks
    mask = _four_dims(mask, q, k)
    if mask.dtype == jnp.bool_:
        seen = mask
        out = _kernel(*turned, mask=mask, scale=first)
    else:
        seen = mask > -jnp.inf
        out = _kernel(*turned, bias=jnp.maximum(mask, _LOWEST[mask.dtype.name]), scale=first)
    out = jnp.where(seen.any(-1, keepdims=True), out.swapaxes(1, 2), 0)
    return out.reshape(q.shape)


def _kernel(q: Value, k: Value, v: Value, **options: Any) -> Value:
    return jax.nn.dot_product_attention(q, k, v, implementation="cudnn", **options)


def _batch_first(x: Value) -> Any:
    """``[..., heads, length, features]`` as ``[batch, length, heads, features]``."""
    lead = (1, 1, *x.shape[:-2])
    return x.reshape(prod(lead[:-1]), lead[-1], *x.shape[-2:]).swapaxes(1, 2)


def _four_dims(mask: Value, q: Value, k: Value) -> Value:
    """``[batch or 1, heads or 1, queries, keys]``."""
    lengths = q.shape[-2], k.shape[-2]
    if q.ndim > 4:
        mask = jnp.broadcast_to(mask, (*q.shape[:-2], *lengths))
        return mask.reshape(-1, q.shape[-3], *lengths)
    mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    return jnp.broadcast_to(mask, (*mask.shape[:2], *lengths))
