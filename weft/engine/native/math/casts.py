"""From one type of number to another."""

from __future__ import annotations

from ..ir import Function, Value, is_float, size_of
from .base import exact, fabs
from .simple import is_bool, truth


@exact
def cast(fn: Function, x: Value, to: str, signed: bool = True) -> Value:
    """As NumPy's ``astype``; floats become integers by way of int64.

    Args:
        to: an element type: ``float``, ``double``, ``i1`` for bool, ``i8`` to ``i64``.
        signed: whether x is, if it is an integer. Results are the same bits either way.
    """
    if to == "i1":
        return truth(fn, x)
    signed = signed and not is_bool(x)
    if is_float(x.type):
        return _float_to_float(fn, x, to) if is_float(to) else _float_to_integer(fn, x, to)
    if is_float(to):
        return fn.convert("sitofp" if signed else "uitofp", x, to)
    if is_bool(x) or size_of(to) > size_of(x.type):
        return fn.convert("sext" if signed else "zext", x, to)
    return x if size_of(to) == size_of(x.type) else fn.convert("trunc", x, to)


def _float_to_float(fn: Function, x: Value, to: str) -> Value:
    if size_of(to) == size_of(x.type):
        return x
    return fn.convert("fpext" if size_of(to) > size_of(x.type) else "fptrunc", x, to)


def _float_to_integer(fn: Function, x: Value, to: str) -> Value:
    # What no int64 holds becomes the least of them.
    inside = fn.compare("olt", fabs(fn, x), 2.0**63)
    whole = fn.convert("fptosi", fn.select(inside, x, 0.0), "i64")
    whole = fn.select(inside, whole, -(2**63))
    return whole if to == "i64" else fn.convert("trunc", whole, to)
