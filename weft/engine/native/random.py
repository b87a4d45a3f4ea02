"""Philox4x32-10 as native code: the numbers of ``weft/ops/random.py``.

``seed`` and ``call`` are the two ``i64`` of a draw's key. The functions ending in ``_run`` give
consecutive elements, of which four (float) or two (double) cost as much as one.
"""

from __future__ import annotations

import math

from .ir import Function, Value, lanes
from .math.base import exact
from .math.logarithm import log1p
from .math.trigonometric import sincos

_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = 0xFFFFFFFF


def philox(fn: Function, seed: Value, call: Value, block: Value) -> list[Value]:
    """The four words of each block (an ``i64`` vector), every one in the low half of an ``i64``."""
    count = lanes(block.type)
    k0, k1 = seed & _LOW, seed >> 32
    c0, c1 = block & _LOW, block >> 32
    c2, c3 = fn.splat(call & _LOW, count), fn.splat(call >> 32, count)
    for turn in range(10):
        first = fn.splat((k0 + turn * _W0) & _LOW, count)
        second = fn.splat((k1 + turn * _W1) & _LOW, count)
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c2 = (p1 >> 32) ^ c1 ^ first, (p0 >> 32) ^ c3 ^ second
        c1, c3 = p1 & _LOW, p0 & _LOW
    return [c0, c1, c2, c3]


def _pick(fn: Function, words: list[Value], which: Value) -> Value:
    """Word number ``which`` (below ``len(words)``, a power of two) of each lane."""
    if len(words) == 1:
        return words[0]
    half = len(words) // 2
    upper = fn.compare("ne", which & half, 0)
    return _pick(
        fn, [fn.select(upper, b, a) for a, b in zip(words[:half], words[half:], strict=True)], which
    )


def _interleave(fn: Function, parts: list[Value]) -> Value:
    """Lane 0 of each part, then lane 1 of each, ..."""
    if len(parts) == 1:
        return parts[0]
    a, b = (_interleave(fn, parts[k::2]) for k in (0, 1))
    if lanes(a.type) == 1:
        both = fn.splat(a, 2)
        return fn.insert(both, b, 1)
    n = lanes(a.type)
    return fn.shuffle(a, b, [k // 2 + n * (k % 2) for k in range(2 * n)])


def _wide(words: list[Value]) -> list[Value]:
    """Two words of 64 bits out of four of 32."""
    return [(words[k] << 32) | words[k + 1] for k in (0, 2)]


def _unit(fn: Function, word: Value, kind: str) -> Value:
    """From a word to [0, 1): every multiple of 2**-24 or 2**-53 alike."""
    if kind == "double":
        return fn.convert("uitofp", word >> 11, "double") * 2.0**-53
    return fn.convert("sitofp", fn.convert("trunc", word >> 8, "i32"), "float") * 2.0**-24


def _elements(fn: Function, seed: Value, call: Value, block: Value, kind: str) -> list[Value]:
    """The words of blocks that make elements: four, or two of double size."""
    words = philox(fn, seed, call, block)
    return _wide(words) if kind != "float" else words


def _per_block(kind: str) -> int:
    return 4 if kind == "float" else 2


def _blocks_of_run(fn: Function, start: Value, count: int, kind: str) -> Value:
    """The blocks of ``count`` elements from ``start`` on, both multiples of a block."""
    blocks = count // _per_block(kind)
    return fn.splat(start // _per_block(kind), blocks) + fn.iota(blocks)


def _word(fn: Function, seed: Value, call: Value, index: Value, kind: str) -> Value:
    per = _per_block(kind)
    return _pick(fn, _elements(fn, seed, call, index // per, kind), index & (per - 1))


def uniform(fn: Function, seed: Value, call: Value, index: Value, kind: str = "float") -> Value:
    """The elements ``index`` (an ``i64`` vector) of a draw in [0, 1)."""
    return _unit(fn, _word(fn, seed, call, index, kind), kind)


def uniform_run(
    fn: Function, seed: Value, call: Value, start: Value, count: int, kind: str = "float"
) -> Value:
    """``count`` elements from ``start`` on: both multiples of 4 (float) or 2 (double)."""
    words = _elements(fn, seed, call, _blocks_of_run(fn, start, count, kind), kind)
    return _interleave(fn, [_unit(fn, w, kind) for w in words])


def bits(fn: Function, seed: Value, call: Value, index: Value) -> Value:
    """63 random bits in each ``i64``."""
    return _word(fn, seed, call, index, "i64") >> 1


@exact
def _box_muller(fn: Function, u: Value, v: Value) -> tuple[Value, Value]:
    """Two normal numbers out of two uniform ones. (Box and Muller, 1958)"""
    radius = fn.intrinsic("sqrt", log1p(fn, -u) * -2.0)
    sine, cosine = sincos(fn, v * (2 * math.pi))
    return radius * cosine, radius * sine


def normal(fn: Function, seed: Value, call: Value, index: Value, kind: str = "float") -> Value:
    """The elements ``index`` (an ``i64`` vector) of a standard normal draw."""
    per = _per_block(kind)
    words = _elements(fn, seed, call, index // per, kind)
    pair = [_pick(fn, words[k::2], (index & (per - 1)) // 2) for k in (0, 1)]
    even, odd = _box_muller(fn, *(_unit(fn, w, kind) for w in pair))
    return fn.select(fn.compare("ne", index & 1, 0), odd, even)


def normal_run(
    fn: Function, seed: Value, call: Value, start: Value, count: int, kind: str = "float"
) -> Value:
    """``count`` elements from ``start`` on: both multiples of 4 (float) or 2 (double)."""
    words = _elements(fn, seed, call, _blocks_of_run(fn, start, count, kind), kind)
    units = [_unit(fn, w, kind) for w in words]
    u, v = (_interleave(fn, units[k::2]) for k in (0, 1))
    return _interleave(fn, list(_box_muller(fn, u, v)))


def dropout(fn: Function, x: Value, p: Value, u: Value) -> Value:
    """X / (1 - p) where the uniform float ``u`` is at least ``p`` (a scalar ``float``), else 0."""
    with fn.exact():
        scale = fn.select(fn.compare("oge", p, 1.0), 0.0, 1.0 / (1.0 - p))
        if "double" in x.type:
            scale = fn.convert("fpext", scale, "double")
        kept = x * fn.splat(scale, lanes(x.type))
    keep = fn.compare("oge", u, fn.splat(p, lanes(u.type)))
    return fn.select(keep, kept, 0.0)
