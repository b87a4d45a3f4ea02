"""bfloat16 and float16, in memory as ``i16``, computed with as ``float``."""

from __future__ import annotations

from ..ir import Function, Value, lanes, vector


def to_float(fn: Function, v: Value, kind: str) -> Value:
    """The values of ``i16`` lanes that hold ``kind``: ``bfloat16`` or ``float16``."""
    if kind == "float16":
        half = fn.convert("bitcast", v, vector("half", lanes(v.type)))
        return fn.convert("fpext", half, "float")
    bits = fn.convert("zext", v, "i32") << 16
    return fn.convert("bitcast", bits, vector("float", lanes(v.type)))


def from_float(fn: Function, v: Value, kind: str) -> Value:
    """Rounded to the nearest, ties to even; NaN stays NaN."""
    if kind == "float16":
        half = fn.convert("fptrunc", v, "half")
        return fn.convert("bitcast", half, vector("i16", lanes(v.type)))
    bits = fn.convert("bitcast", v, vector("i32", lanes(v.type)))
    top = bits >> 16
    rounded = (bits + ((top & 1) + 0x7FFF)) >> 16
    return fn.convert("trunc", fn.select(fn.compare("uno", v, v), top | 0x40, rounded), "i16")
