"""Attention as one call of cuDNN, on GPUs that have it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import jax

from ...graph.body import Body, Gradient
from .rules import Value

#: Kinds of devices on which attention is kept whole until it is lowered.
KINDS = frozenset({"cuda"})

_MOST_FEATURES = 128


def is_attention(body: Body) -> bool:
    """Is it attention, or its first gradient, of types that cuDNN's kernels take?

    They take float16 and bfloat16, up to 128 features, a multiple of 8, and no other mask than the
    causal one: with a mask as a bias, a query that may attend to no key would not give zeros.
    """
    forward = body.source.body if isinstance(body.source, Gradient) else body
    if forward.rule[0] != "attention" or len(forward.inputs) != 3:
        return False
    q, k, v = forward.inputs
    return (
        q.device is not None
        and q.device.type in KINDS
        and q.dtype.is_reduced
        and q.shape[:-2] == k.shape[:-2] == v.shape[:-2]
        and q.shape[-1] == v.shape[-1]
        and q.shape[-1] % 8 == 0
        and q.shape[-1] <= _MOST_FEATURES
        and 0 not in (*q.shape, *k.shape)
    )


def by_kernel(body: Body, inputs: Sequence[Value]) -> Sequence[Value]:
    """The results of such a body. Equal calls in one program are one call there."""
    source = body.source
    if not isinstance(source, Gradient):  # (as if to be differentiated: so it is the same call)
        return (jax.vjp(partial(_forward, body), *inputs)[0],)
    q, k, v, g = inputs
    found = jax.vjp(partial(_forward, source.body), q, k, v)[1](g)
    return [found[n] for n in source.wanted]


def _forward(body: Body, q: Value, k: Value, v: Value) -> Value:
    causal, scale = body.rule[1]
    turned = (_batch_first(x) for x in (q, k, v))
    out = jax.nn.dot_product_attention(
        *turned, scale=scale, is_causal=causal, implementation="cudnn"
    )
    return out.swapaxes(1, 2).reshape(q.shape)


def _batch_first(x: Value) -> Any:
    """``[..., heads, length, features]`` as ``[batch, length, heads, features]``."""
    lead = (1, 1, *x.shape[:-2])
    return x.reshape(prod(lead[:-1]), lead[-1], *x.shape[-2:]).swapaxes(1, 2)
