"""Lowering of random numbers: the same bits as ``ops/random.py`` gives."""

from __future__ import annotations

from math import prod
from typing import Any

import jax.numpy as jnp

from ...dtypes import dtype, float64
from .rules import Rule, Value, with_attrs

_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85


def _u32(x: Any) -> Value:
    return jnp.asarray(x, jnp.uint32)


def _product(a: int, b: Value) -> tuple[Value, Value]:
    """High and low word. As one product of 64 bits, which compilers know."""
    wide = b.astype(jnp.uint64) * jnp.uint64(a)
    return (wide >> jnp.uint64(32)).astype(jnp.uint32), wide.astype(jnp.uint32)


def _blocks(key: Value, n: int) -> tuple[Value, Value, Value, Value]:
    """Four words for each of the first ``n`` counters of a call."""
    words = key.astype(jnp.uint64)
    low, high = words.astype(jnp.uint32), (words >> jnp.uint64(32)).astype(jnp.uint32)
    k0, k1 = low[0], high[0]
    index = jnp.arange(n, dtype=jnp.uint64)
    c0, c1 = index.astype(jnp.uint32), (index >> jnp.uint64(32)).astype(jnp.uint32)
    c2, c3 = (jnp.full(n, word, jnp.uint32) for word in (low[1], high[1]))
    for _ in range(10):
        h0, l0 = _product(_M0, c0)
        h1, l1 = _product(_M1, c2)
        c0, c1, c2, c3 = h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0
        k0, k1 = k0 + _u32(_W0), k1 + _u32(_W1)
    return c0, c1, c2, c3


def _words(key: Value, n: int) -> Value:
    return jnp.stack(_blocks(key, -(-n // 4)), axis=1).ravel()[:n]


def _wide_words(key: Value, n: int) -> Value:
    c0, c1, c2, c3 = (c.astype(jnp.uint64) for c in _blocks(key, -(-n // 2)))
    first, second = c0 << jnp.uint64(32) | c1, c2 << jnp.uint64(32) | c3
    return jnp.stack((first, second), axis=1).ravel()[:n]


def _uniform(key: Value, n: int, wide: bool) -> Value:
    if wide:
        return (_wide_words(key, n) >> jnp.uint64(11)).astype(jnp.float64) * 2.0**-53
    return (_words(key, n) >> _u32(8)).astype(jnp.float32) * jnp.float32(2.0**-24)


def _random_uniform(attrs: tuple[Any, dtype], key: Value) -> Value:
    shape, to = attrs
    u = _uniform(key, prod(shape), to is float64).reshape(shape)
    if to.is_reduced:  # rounding must not reach 1
        u = jnp.minimum(u, 1 - 2.0**-11 if to.name == "float16" else 1 - 2.0**-8)
    return u.astype(to.numpy)


def _random_normal(attrs: tuple[Any, dtype], key: Value) -> Value:
    shape, to = attrs
    n, wide = prod(shape), to is float64
    u = _uniform(key, 2 * (-(-n // 2)), wide).reshape(-1, 2)
    radius = jnp.sqrt(-2 * jnp.log1p(-u[:, 0]))
    angle = u[:, 1] * jnp.asarray(2 * jnp.pi, u.dtype)
    pairs = jnp.stack((radius * jnp.cos(angle), radius * jnp.sin(angle)), axis=1)
    return pairs.ravel()[:n].reshape(shape).astype(to.numpy)


def _random_bits(shape: Any, key: Value) -> Value:
    return (_wide_words(key, prod(shape)) >> jnp.uint64(1)).astype(jnp.int64).reshape(shape)


def _dropout(x: Value, p: Value, key: Value) -> Value:
    keep = _uniform(key, x.size, False).reshape(x.shape) >= p
    scale = jnp.where(p >= 1, 0, 1 / (1 - p)).astype(x.dtype)
    return jnp.where(keep, x * scale, jnp.zeros((), x.dtype))


RULES: dict[str, Rule] = {
    "random_uniform": with_attrs(_random_uniform),
    "random_normal": with_attrs(_random_normal),
    "random_bits": with_attrs(_random_bits),
    "dropout": lambda sig, setting, x, p, key: _dropout(x, p, key),
}
