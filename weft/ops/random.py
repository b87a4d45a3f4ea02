"""Random primitives: Philox4x32-10 (Salmon et al., "Parallel random numbers", SC 2011).

Counter-based: element ``i`` of a call depends on the seed, the number of the call and ``i`` alone,
so every backend, with any number of threads, draws the same numbers, and a dropout mask can be
drawn again in backward instead of being kept. ``key`` is an int64 node ``[seed, call]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import dtype, float64, int64
from ..errors import DTypeError
from ..graph.node import Grads, Node, Op, Shape, TensorType, record, record1, type_of

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


def philox(counter: Any, key: int) -> Any:
    """Four 32-bit words (as uint64 ``[n, 4]``) for each of ``n`` counters of four such words."""
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    c0, c1, c2, c3 = counter
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (
            (p1 >> _32) ^ c1 ^ np.uint64(k0),
            p1 & _LOW,
            (p0 >> _32) ^ c3 ^ np.uint64(k1),
            p0 & _LOW,
        )
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return np.stack((c0, c1, c2, c3), axis=1)


def _blocks(key: Any, n: int) -> Any:
    """The first ``n`` blocks of a call: the counter is the block's number and the call's."""
    seed, call = (int(k) & ((1 << 64) - 1) for k in key)
    index = np.arange(n, dtype=np.uint64)
    c2, c3 = (np.full(n, word, np.uint64) for word in (call & 0xFFFFFFFF, call >> 32))
    return philox((index & _LOW, index >> _32, c2, c3), seed)


def _words(key: Any, n: int) -> Any:
    return _blocks(key, -(-n // 4)).ravel()[:n]


def _wide_words(key: Any, n: int) -> Any:
    """64-bit words, two of Philox's each."""
    words = _blocks(key, -(-n // 2)).reshape(-1, 2)[:n]
    return words[:, 0] << _32 | words[:, 1]


def _uniform(key: Any, n: int, wide: bool) -> Any:
    """In [0, 1): every multiple of 2**-24 (or 2**-53) alike."""
    if wide:
        return (_wide_words(key, n) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return (_words(key, n) >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)


def _size(shape: Shape) -> int:
    return type_of(shape, int64).size


def _reference_uniform(attrs: tuple[Shape, dtype], key: Any) -> Any:
    shape, to = attrs
    u = _uniform(key, _size(shape), to is float64).reshape(shape)
    if to.is_reduced:  # rounding must not reach 1
        u = np.minimum(u, 1 - 2.0**-11 if to.name == "float16" else 1 - 2.0**-8)
    return u.astype(to.numpy, copy=False)


def _reference_normal(attrs: tuple[Shape, dtype], key: Any) -> Any:
    # Box and Muller (1958): two normal numbers from two uniform ones
    shape, to = attrs
    n, wide = _size(shape), to is float64
    u = _uniform(key, 2 * (-(-n // 2)), wide).reshape(-1, 2)
    radius = np.sqrt(-2 * np.log1p(-u[:, 0]))
    angle = u[:, 1] * u.dtype.type(2 * np.pi)
    pairs = np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1)
    return pairs.ravel()[:n].reshape(shape).astype(to.numpy, copy=False)


def _reference_bits(shape: Shape, key: Any) -> Any:
    return (_wide_words(key, _size(shape)) >> np.uint64(1)).astype(np.int64).reshape(shape)


_random_uniform = Op("random_uniform", lambda at, key: type_of(*at), _reference_uniform)
_random_normal = Op("random_normal", lambda at, key: type_of(*at), _reference_normal)
_random_bits = Op("random_bits", lambda shape, key: type_of(shape, int64), _reference_bits)


def random_uniform(key: Node, shape: Shape, to: dtype) -> Node:
    return record1(_random_uniform, key, (shape, to))


def random_normal(key: Node, shape: Shape, to: dtype) -> Node:
    return record1(_random_normal, key, (shape, to))


def random_bits(key: Node, shape: Shape) -> Node:
    """63 random bits in each int64."""
    return record1(_random_bits, key, shape)


def _infer_dropout(attrs: None, x: TensorType, p: TensorType, key: TensorType) -> TensorType:
    if not x.dtype.is_floating_point:
        raise DTypeError(f"dropout takes a floating dtype, not {x.dtype}")
    return x


def _reference_dropout(x: Any, p: Any, key: Any) -> Any:
    keep = _uniform(key, x.size, False).reshape(x.shape) >= p
    scale = 0 if p >= 1 else 1 / (1 - p)
    return np.where(keep, x * np.asarray(scale, x.dtype), np.zeros((), x.dtype))


def _grad_dropout(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    _, p, key = node.inputs
    return dropout(g, p, key), None, None


_dropout = Op(
    "dropout", _infer_dropout, _reference_dropout, _grad_dropout, needs=(1, 2), widen=True
)


def dropout(x: Node, p: Node, key: Node) -> Node:
    """Each element zero with probability ``p`` (float32), the others divided by ``1 - p``."""
    return record(_dropout, (x, p, key))
