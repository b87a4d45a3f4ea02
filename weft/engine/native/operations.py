"""The ops of loop kernels on values in registers, and how values come from memory and go back.

A bool is a byte in memory and an ``i1`` in a register; 16-bit floats are computed with as ``float``
and rounded after each op; all other types are the same in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from . import math, random
from .ir import Function, Value, element, is_float, lanes, size_of, suffix, vector
from .math import storage

_MEMORY = {
    "bool": "i8", "uint8": "i8", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "float32": "float", "float64": "double", "float16": "i16", "bfloat16": "i16",
}  # fmt: skip

HALVES = ("float16", "bfloat16")

#: The dtypes that native code computes with.
DTYPES = frozenset(_MEMORY)


def memory_type(dtype: str) -> str:
    return _MEMORY[dtype]


def register_type(dtype: str) -> str:
    if dtype in HALVES:
        return "float"
    return "i1" if dtype == "bool" else _MEMORY[dtype]


def lanes_for(dtypes: Iterable[str], vector_bytes: int) -> int:
    """As many lanes as the widest dtype fills a vector with, but no more than floats do."""
    return vector_bytes // max(4, *[size_of(_MEMORY[d]) for d in dtypes])


def loaded(fn: Function, value: Value, dtype: str) -> Value:
    if dtype in HALVES:
        return storage.to_float(fn, value, dtype)
    return fn.compare("ne", value, 0) if dtype == "bool" else value


def stored(fn: Function, value: Value, dtype: str) -> Value:
    if dtype in HALVES:
        return storage.from_float(fn, value, dtype)
    return fn.convert("zext", value, "i8") if dtype == "bool" else value


def rounded(fn: Function, value: Value, dtype: str) -> Value:
    """The nearest value that the dtype has."""
    return loaded(fn, stored(fn, value, dtype), dtype) if dtype in HALVES else value


def _addresses(fn: Function, start: Value, steps: Value, kind: str) -> Value:
    pointers = vector("ptr", lanes(steps.type))
    return fn.op(
        pointers, f"getelementptr {element(kind)}, ptr {start.text}, {steps.type} {steps.text}"
    )


def gather(fn: Function, kind: str, start: Value, steps: Value, mask: Value | None) -> Value:
    """Elements at ``start + steps``, lane by lane; 0 where ``mask`` does not hold."""
    count = lanes(steps.type)
    at = _addresses(fn, start, steps, kind)
    whole = vector(kind, count)
    mask = mask or fn.first_lanes(count, count)
    name = f"llvm.masked.gather.{suffix(whole)}.v{count}p0"
    fn.module.declare(name, whole, [at.type, "i32", mask.type, whole])
    return fn.op(
        whole,
        f"call {whole} @{name}({at.type} {at.text}, i32 {size_of(kind)}, {mask.type} {mask.text}, "
        f"{whole} zeroinitializer)",
    )


def scatter(fn: Function, value: Value, start: Value, steps: Value, mask: Value | None) -> None:
    count = lanes(value.type)
    kind = element(value.type)
    at = _addresses(fn, start, steps, kind)
    mask = mask or fn.first_lanes(count, count)
    name = f"llvm.masked.scatter.{suffix(value.type)}.v{count}p0"
    fn.module.declare(name, "void", [value.type, at.type, "i32", mask.type])
    fn.emit(
        f"call void @{name}({value.type} {value.text}, {at.type} {at.text}, i32 {size_of(kind)}, "
        f"{mask.type} {mask.text})"
    )


# ---- reductions

_LIMITS = {"int8": 7, "int16": 15, "int32": 31, "int64": 63}


def identity(op: str, dtype: str) -> float | int:
    """What a reduction starts from."""
    if op == "sum":
        return 0
    highest = op == "min"
    if dtype in ("float32", "float64", *HALVES):
        return float("inf") if highest else float("-inf")
    if dtype in ("bool", "uint8"):
        return (1 if dtype == "bool" else 255) if highest else 0
    bits = _LIMITS[dtype]
    return (1 << bits) - 1 if highest else -(1 << bits)


def combine(fn: Function, op: str, dtype: str, a: Value, b: Value) -> Value:
    if op == "sum":
        return a | b if dtype == "bool" else a + b
    return apply(fn, "maximum" if op == "max" else "minimum", dtype, dtype, [a, b])


def across(fn: Function, op: str, dtype: str, value: Value) -> Value:
    """All lanes made one: halves are combined until one is left."""
    count = lanes(value.type)
    while count > 2:
        half = count // 2
        low = fn.shuffle(value, value, range(half))
        high = fn.shuffle(value, value, range(half, count))
        value = combine(fn, op, dtype, low, high)
        count = half
    if count == 1:
        return value
    return combine(fn, op, dtype, fn.extract(value, 0), fn.extract(value, 1))


# ---- elementwise


def apply(fn: Function, op: str, source: str, dtype: str, arguments: list[Value]) -> Value:
    """The op named ``op`` on values of dtype ``source``."""
    return rounded(fn, _apply(fn, op, source, dtype, arguments), dtype)


def _apply(fn: Function, op: str, source: str, dtype: str, arguments: list[Value]) -> Value:
    if op == "where":
        return fn.select(*arguments)
    if op == "cast":
        signed = source not in ("uint8", "bool")
        return math.cast(fn, arguments[0], register_type(dtype), signed)
    if op == "same":
        return arguments[0]
    if op in _DRAWS:
        seed, call, place = arguments
        return _DRAWS[op](fn, _first(seed), _first(call), place, register_type(dtype))
    if op == "dropout":
        x, p, uniform = arguments
        return random.dropout(fn, x, _first(p), uniform)
    emit = (math.UNARY if len(arguments) == 1 else math.BINARY)[op]
    if op in math.SIGNED and not is_float(arguments[0].type):
        return emit(fn, *arguments, signed=source not in ("uint8", "bool"))
    return emit(fn, *arguments)


_DRAWS: dict[str, Callable[..., Value]] = {
    "random_uniform": random.uniform,
    "random_normal": random.normal,
    "random_bits": lambda fn, seed, call, place, kind: random.bits(fn, seed, call, place),
}


def _first(value: Value) -> Value:
    """Of a value that is the same in all lanes."""
    return value.fn.extract(value, 0) if value.type[0] == "<" else value


def is_native(op: str, sources: tuple[str, ...], dtype: str) -> bool:
    """Can :func:`apply` do it?"""
    if not DTYPES.issuperset((*sources, dtype)) or len(sources) > 3:
        return False
    if op in ("where", "cast", "same"):
        return True
    table = math.UNARY if len(sources) == 1 else math.BINARY
    return op in table and (sources[0] in ("float32", "float64", *HALVES) or op in math.INTEGER)


def in_range(fn: Function, index: Value, size: int, wrap: bool) -> tuple[Value, Value]:
    """The index counted from the front (``wrap``: negative ones from the end); is it within?"""
    if wrap:
        index = fn.select(fn.compare("slt", index, 0), index + size, index)
    return index, fn.compare("ult", index, size)
