"""Native elementwise functions against NumPy in a higher precision."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from native_elementwise import Kernels

import weft
from weft.engine.native import jit, math as native, target
from weft.engine.native.math import storage
from weft.graph.node import OPS

DTYPES = {
    "float": np.float32, "double": np.float64,
    "i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64,
}  # fmt: skip
COUNT = 1 << 14


@cache
def functions() -> Kernels:
    """Every function of one argument, of both float types, 16 (or 8) lanes at once."""
    kernels = Kernels()
    for name, emit in native.UNARY.items():
        if name != "bitwise_not":
            kernels.add(f"{name}_float", emit, "float", 16)
            kernels.add(f"{name}_double", emit, "double", 8)
    return kernels


def sweep(dtype: Any) -> Any:
    """All exponents, both signs; the usual range more densely; what is special."""
    rng = np.random.default_rng(0)
    bits = np.uint32 if dtype is np.float32 else np.uint64
    info = np.finfo(dtype)
    special = [
        0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, -0.5, 1.5, 2.5, 2, 10, 1000,
        info.max, -info.max, info.tiny, -info.tiny, info.smallest_subnormal,
        -info.smallest_subnormal, info.eps, 1 + info.eps, 1 - info.epsneg,
    ]  # fmt: skip
    quarter = COUNT // 4
    x = np.concatenate(
        [
            np.array(special, dtype),
            rng.integers(0, np.iinfo(bits).max, quarter, bits, endpoint=True).view(dtype),
            rng.standard_normal(quarter).astype(dtype) * 3,
            rng.uniform(-1, 1, quarter).astype(dtype),
            rng.uniform(-110, 110, quarter).astype(dtype),
        ]
    )
    return np.ascontiguousarray(x[:COUNT])


def wide(x: Any) -> Any:
    return x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)


def reference(name: str, *inputs: Any) -> Any:
    """What the op's own reference says."""
    with np.errstate(all="ignore"):
        return np.asarray(OPS[name].reference(*inputs))


def precisely(name: str, *inputs: Any) -> Any:
    """Likewise, in a higher precision than that of the inputs."""
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return reference(name, *map(wide, inputs))


def errors(got: Any, want: Any) -> Any:
    """In units of the last place; infinite where one is finite (or NaN) and the other is not."""
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        usual = np.isfinite(rounded) & np.isfinite(got)
        unit = np.spacing(np.abs(np.where(usual, rounded, 1)))
        off = np.abs(got.astype(want.dtype) - want) / unit
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    return np.where(usual, off, np.where(same, 0, np.inf))


EXACT = ("abs", "sign", "floor", "ceil", "trunc", "round", "neg", "relu")
ODD = (
    "expm1", "log1p", "sqrt", "erf",
    "sin", "tan", "asin", "atan", "sinh", "tanh", "asinh", "atanh",
)  # fmt: skip
PREDICATES = ("isnan", "isinf", "logical_not")
APPROXIMATE_UNARY = sorted(
    native.UNARY.keys() - {"bitwise_not", "digamma", "lgamma", *PREDICATES, *EXACT}
)


@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize(
    "name", sorted(native.UNARY.keys() - {"bitwise_not", "digamma", "lgamma", *PREDICATES, *EXACT})
)
def test_functions_are_accurate_everywhere(name: str, kind: str) -> None:
    x = sweep(DTYPES[kind])
    got = functions().run(f"{name}_{kind}", np.empty_like(x), x)
    want = precisely(name, x)
    off = errors(got, want)
    worst = np.argmax(off)
    assert off[worst] <= 4, f"{name}({x[worst]!r}) = {got[worst]!r}, not {want[worst]!r}"
    if name in ODD:
        assert np.array_equal(np.signbit(got[:2]), [False, True])


def test_lgamma() -> None:
    """Of float64, relative to 1 where it is small: math.lgamma is no better there."""
    for kind in ("float", "double"):
        x = sweep(DTYPES[kind])
        got = functions().run(f"lgamma_{kind}", np.empty_like(x), x)
        with np.errstate(invalid="ignore"):  # signalling NaNs
            x = x.astype(np.float64)
        fits = ~((np.abs(x) > 1e300) & np.isfinite(x))  # beyond, math.lgamma overflows
        got, want = got[fits], reference("lgamma", x[fits])
        if kind == "float":
            assert errors(got, want).max() <= 4
        else:
            np.testing.assert_allclose(got, want, rtol=2e-15, atol=1e-14)


def test_lgamma_beside_its_zeros() -> None:
    """By the first derivatives there (Euler's constant, zeta of 2, 3 and 4)."""
    near = np.array([1e-9, -1e-9, 2**-30, 3e-6, -3e-6, 1e-4, -1e-4, 2**-52])
    zetas = np.array([1.6449340668482264, 1.2020569031595942, 1.0823232337111382])
    for zero, slope, less in ((1, -np.euler_gamma, 0), (2, 1 - np.euler_gamma, 1)):
        x = zero + near
        d = x - zero
        second, third, fourth = (zetas - less) / [2, -3, 4]
        want = d * (slope + d * (second + d * (third + d * fourth)))
        got = functions().run("lgamma_double", np.empty_like(x), x)
        np.testing.assert_allclose(got, want, rtol=1e-14)


def test_digamma() -> None:
    """Of float64, relative to 1 where it is small: the sum that makes it has terms of that size."""
    for kind in ("float", "double"):
        x = sweep(DTYPES[kind])
        got = functions().run(f"digamma_{kind}", np.empty_like(x), x)
        with np.errstate(invalid="ignore"):  # signalling NaNs
            x = x.astype(np.float64)
        want = reference("digamma", x)
        if kind == "float":
            assert errors(got, want).max() <= 4
        else:
            # The reference takes the tangent of a rounded pi x, which is far off beside poles, and
            # makes NaN of the smallest numbers.
            for usual, rtol in ((x > 1e-300, 1e-14), ((x > -10) & (x < -1e-300), 1e-10)):
                np.testing.assert_allclose(got[usual], want[usual], rtol=rtol, atol=1e-14)
            poles = x[x < 0] == np.floor(x[x < 0])
            assert np.all(np.isnan(got[x < 0]) == poles)
            np.testing.assert_array_equal(got[:2], [-np.inf, np.inf])


@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("name", EXACT)
def test_exact_functions_are_exact(name: str, kind: str) -> None:
    x = sweep(DTYPES[kind])
    got = functions().run(f"{name}_{kind}", np.empty_like(x), x)
    np.testing.assert_array_equal(got, reference(name, x))


@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("name", PREDICATES)
def test_predicates(name: str, kind: str) -> None:
    x = sweep(DTYPES[kind])
    got = functions().run(f"{name}_{kind}", np.empty(x.size, np.bool_), x)
    np.testing.assert_array_equal(got, reference(name, x))


def test_any_number_of_lanes_gives_the_same_bits() -> None:
    names = ("exp", "log1p", "tanh", "erf", "sigmoid", "maximum")
    kernels = Kernels()
    tables = native.UNARY | native.BINARY
    for name in names:
        for lanes in (1, 4, 16):
            operands = 2 if name in native.BINARY else 1
            kernels.add(f"{name}_{lanes}", tables[name], ["float"] * operands, lanes)
    x = sweep(np.float32)
    for name in names:
        inputs = (x, x[::-1].copy()) if name in native.BINARY else (x,)
        one, four, sixteen = (
            kernels.run(f"{name}_{lanes}", np.empty_like(x), *inputs) for lanes in (1, 4, 16)
        )
        np.testing.assert_array_equal(one.view(np.int32), sixteen.view(np.int32))
        np.testing.assert_array_equal(four.view(np.int32), sixteen.view(np.int32))


# ---- two arguments


def pairs(dtype: Any) -> tuple[Any, Any]:
    """Operands in which whatever is special meets whatever is special."""
    if np.dtype(dtype).kind == "f":
        values = sweep(dtype)
        special = values[:23]
    else:
        info = np.iinfo(dtype)
        values = np.random.default_rng(0).integers(info.min, info.max, COUNT, dtype, endpoint=True)
        special = np.array([0, 1, 2, 3, 7, 31, info.min, info.max, info.max - 1], dtype)
    a, b = (m.ravel() for m in np.meshgrid(special, special))
    rest = COUNT - a.size
    first, second = values[:rest], values[::-1][:rest]
    return np.concatenate([a, first]), np.concatenate([b, second])


COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor"}
INTEGERS_ONLY = {"bitwise_and", "bitwise_or", "bitwise_xor", "shift_left", "shift_right"}
OF_PROBABILITIES = {"binary_cross_entropy"}  # (in test_whole.py)


@pytest.mark.parametrize("kind", ["float", "double"])
def test_operators_of_floats(kind: str) -> None:
    names = sorted(native.BINARY.keys() - INTEGERS_ONLY - OF_PROBABILITIES)
    kernels = Kernels()
    for name in names:
        kernels.add(name, native.BINARY[name], [kind, kind], 16)
    a, b = pairs(DTYPES[kind])
    for name in names:
        out = np.empty(a.size, np.bool_ if name in COMPARISONS else a.dtype)
        got = kernels.run(name, out, a, b)
        if name in APPROXIMATE_BINARY:
            off = errors(got, precisely(name, a, b))
            worst = np.argmax(off)
            assert off[worst] <= 4, f"{name}({a[worst]!r}, {b[worst]!r}) = {got[worst]!r}"
        else:
            np.testing.assert_array_equal(got, reference(name, a, b), err_msg=name)


APPROXIMATE_BINARY = {"atan2", "hypot", "pow"}


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64])
def test_operators_of_integers(dtype: Any) -> None:
    signed = np.dtype(dtype).kind == "i"
    kind = f"i{8 * np.dtype(dtype).itemsize}"

    def of_sign(name: str, emit: Callable[..., Any]) -> Callable[..., Any]:
        if name not in native.SIGNED:
            return emit
        return lambda fn, *values: emit(fn, *values, signed=signed)

    tables = {2: native.BINARY, 1: native.UNARY}
    cases = [
        (name, operands, of_sign(name, emit))
        for operands, table in tables.items()
        for name, emit in table.items()
        if name in native.INTEGER
    ]
    kernels = Kernels()
    for name, operands, emit in cases:
        kernels.add(name, emit, [kind] * operands, 16)
    a, b = pairs(dtype)
    for name, operands, _ in cases:
        inputs = (a, b)[:operands]
        boolean = name in COMPARISONS or name in PREDICATES
        out = np.empty(a.size, np.bool_ if boolean else dtype)
        want = reference(name, *inputs)
        np.testing.assert_array_equal(kernels.run(name, out, *inputs), want, err_msg=name)


@pytest.mark.parametrize(
    "name",
    ["add", "mul", "maximum", "minimum", *sorted(COMPARISONS), "bitwise_and", "bitwise_xor"],
)
def test_operators_of_bools(name: str) -> None:
    def emit(fn: Any, a: Any, b: Any) -> Any:
        return native.BINARY[name](fn, *(fn.compare("ne", x, 0) for x in (a, b)))

    kernels = Kernels()
    kernels.add("f", emit, ["i8", "i8"], 4)
    a, b = np.array([0, 0, 1, 1], np.bool_), np.array([0, 1, 0, 1], np.bool_)
    got = kernels.run("f", np.empty(4, np.bool_), a, b)
    np.testing.assert_array_equal(got, reference(name, a, b))


def test_powers_where_they_are_neither_0_nor_infinite() -> None:
    rng = np.random.default_rng(0)
    kernels = Kernels()
    for kind in ("float", "double"):
        kernels.add(kind, native.BINARY["pow"], [kind, kind], 8)
    for kind, limit in (("float", 87), ("double", 708)):
        size = rng.uniform(-limit, limit, COUNT) / rng.choice([1, 10, 1000], COUNT)
        x = np.exp(size).astype(DTYPES[kind])
        y = (rng.uniform(-limit, limit, COUNT) / size).astype(x.dtype)
        off = errors(kernels.run(kind, np.empty_like(x), x, y), precisely("pow", x, y))
        assert off.max() <= 2


@pytest.mark.parametrize("name", ["fmod", "remainder", "floor_div"])
def test_signs_of_remainders_that_are_0(name: str) -> None:
    kernels = Kernels()
    kernels.add("f", native.BINARY[name], ["double", "double"], 4)
    a, b = np.array([6.0, -6.0, 6.0, -6.0]), np.array([3.0, 3.0, -3.0, -3.0])
    zero = np.zeros(4)
    for x, y in ((a, b), (a * 0, b), (zero, -b)):
        got = kernels.run("f", np.empty(4), x, y)
        np.testing.assert_array_equal(np.signbit(got), np.signbit(reference(name, x, y)))


# ---- from one type to another


NUMBERS = {
    np.bool_: "i1", np.uint8: "i8", np.int8: "i8", np.int16: "i16", np.int32: "i32",
    np.int64: "i64", np.float32: "float", np.float64: "double",
}  # fmt: skip


@pytest.mark.parametrize("source", NUMBERS, ids=lambda dtype: dtype.__name__)
def test_casts(source: Any) -> None:
    def emitter(to: Any) -> Callable[..., Any]:
        def emit(fn: Any, x: Any) -> Any:
            if source is np.bool_:
                x = fn.convert("trunc", x, "i1")
            return native.cast(fn, x, NUMBERS[to], signed=source is not np.uint8)

        return emit

    kernels = Kernels()
    for to in NUMBERS:
        kernels.add(to.__name__, emitter(to), "i8" if source is np.bool_ else NUMBERS[source], 8)
    if source is np.bool_:
        x = np.arange(64) % 3 == 0
    elif np.dtype(source).kind == "f":
        x = np.concatenate([sweep(source), np.arange(-300, 300).astype(source) / 2])
        x = x[: x.size // 8 * 8]
    else:
        x = pairs(source)[0]
    for to in NUMBERS:
        with np.errstate(all="ignore"):
            want = OPS["cast"].reference(weft_dtype(to), x)
        got = kernels.run(to.__name__, np.empty(x.size, to), x)
        np.testing.assert_array_equal(got, want, err_msg=to.__name__)


def weft_dtype(to: Any) -> Any:
    return getattr(weft, np.dtype(to).name)


# ---- 16-bit floats


def test_float16_both_ways() -> None:
    kernels = Kernels()
    kernels.add("up", lambda fn, v: storage.to_float(fn, v, "float16"), "i16", 16)
    kernels.add("down", lambda fn, v: storage.from_float(fn, v, "float16"), "float", 16)
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    wide = every.astype(np.float32)
    np.testing.assert_array_equal(kernels.run("up", np.empty_like(wide), every), wide)
    with np.errstate(all="ignore"):
        ties = wide + (np.roll(wide, -1) - wide) / 2
        x = np.concatenate([sweep(np.float32), ties])
        want = x.astype(np.float16)
    np.testing.assert_array_equal(kernels.run("down", np.empty_like(want), x), want)


def test_bfloat16_both_ways() -> None:
    kernels = Kernels()
    kernels.add("up", lambda fn, v: storage.to_float(fn, v, "bfloat16"), "i16", 16)
    kernels.add("down", lambda fn, v: storage.from_float(fn, v, "bfloat16"), "float", 16)
    every = np.arange(1 << 16, dtype=np.uint16).view(ml_dtypes.bfloat16)
    wide = every.astype(np.float32)
    np.testing.assert_array_equal(kernels.run("up", np.empty_like(wide), every), wide)
    ties = wide.view(np.uint32) | 0x8000
    x = np.concatenate([sweep(np.float32), ties.view(np.float32), (ties + 1).view(np.float32)])
    with np.errstate(all="ignore"):
        want = x.astype(ml_dtypes.bfloat16)
    got = kernels.run("down", np.empty(x.size, np.uint16), x).view(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(got.astype(np.float32), want.astype(np.float32))


# ---- other processors


@pytest.mark.parametrize(
    "other",
    [
        target.named("x86_64-unknown-linux-gnu", "haswell", "+avx2,+fma,+f16c"),
        target.named("aarch64-unknown-linux-gnu"),
    ],
    ids=lambda other: other.arch,
)
def test_no_processor_calls_a_library(other: target.Target) -> None:
    kernels = Kernels(other)
    for name, emit in native.UNARY.items():
        if name != "bitwise_not":
            kernels.add(f"one_{name}", emit, "float", 8)
    for name, emit in native.BINARY.items():
        if name not in INTEGERS_ONLY:
            kernels.add(f"two_{name}", emit, ["double", "double"], 4)
    kernels.add("three", lambda fn, v: storage.to_float(fn, v, "float16"), "i16", 8)
    kernels.add("four", lambda fn, v: storage.from_float(fn, v, "float16"), "float", 8)
    text = jit.assembly(kernels.module.text(), other)
    called = set(re.findall(r"^\s+(?:callq?|bl|movabsq)\s+\$?([a-z]\w*)", text, re.MULTILINE))
    assert called == {"payne_hanek"}  # the module's own
