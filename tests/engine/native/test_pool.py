"""Native pooling against the ops' references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from native_kernels import Compiled

from weft.engine.native.ir import Module
from weft.engine.native.pool import (
    MaxPool,
    emit_max_pool,
    emit_max_pool_put,
    emit_max_pool_take,
)
from weft.graph.node import OPS
from weft.ops.contract import Pool, Window, windows

DTYPES = {
    "float": np.float32, "double": np.float64, "half": np.float16,
    "i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64,
}  # fmt: skip


def square(stride: int, pad: int = 0, dilation: int = 1) -> Window:
    return Window((stride,) * 2, ((pad, pad),) * 2, (dilation,) * 2)


CASES = {
    "2x2": MaxPool((3, 5, 28, 28), (2, 2), square(2)),
    "3x3, strided": MaxPool((2, 3, 17, 37), (3, 3), square(2, 1)),
    "overlapping": MaxPool((2, 3, 9, 40), (3, 3), square(1, 1)),
    "dilated": MaxPool((2, 3, 19, 40), (3, 2), square(3, 1, 2)),
    "line": MaxPool((2, 3, 100), (5,), Window((3,), ((2, 0),), (1,))),
    "volume": MaxPool(
        (2, 2, 6, 7, 20), (2, 3, 2), Window((1, 2, 2), ((1, 0), (1, 1), (0, 1)), (1, 1, 2))
    ),
    "no batch": MaxPool((0, 3, 8, 8), (2, 2), square(2)),
    "all of it": MaxPool((2, 3, 20, 20), (20, 20), square(1)),
}


def values(spec: MaxPool, shape: tuple[int, ...], seed: int) -> Any:
    """Many ties, NaN and the lowest value among them."""
    random = np.random.default_rng(seed)
    dtype = np.dtype(np.uint8 if spec.unsigned else DTYPES[spec.kind])
    drawn = random.integers(0 if spec.unsigned else -3, 4, shape).astype(dtype)
    odd = random.random(shape)
    if dtype.kind == "f":
        drawn[odd < 0.05] = np.nan
        drawn[odd > 0.6] = -np.inf
    else:
        drawn[odd > 0.6] = np.iinfo(dtype).min
    return drawn


def check(spec: MaxPool, vector_bytes: int = 64) -> None:
    pool = Pool(spec.kernel, spec.window)
    x = values(spec, spec.x, 0)
    taken = np.nan_to_num(values(spec, spec.x, 1), neginf=7)
    g = np.nan_to_num(values(spec, spec.out, 2), neginf=5)
    kernels: list[tuple[Any, tuple[Any, ...], str]] = [
        (emit_max_pool, (x,), "max_pool"),
        (emit_max_pool_take, (x, taken), "max_pool_take"),
        (emit_max_pool_put, (x, g), "max_pool_put"),
    ]
    module = Module(vector_bytes)
    for emit, _, op in kernels:
        emit(module, op, spec, vector_bytes=vector_bytes)
    code = Compiled(module, *(op for _, _, op in kernels))
    for _, inputs, op in kernels:
        expected = OPS[op].reference(pool, *inputs)
        for threads in (1, 2, 3):
            result = np.full(expected.shape, 77, expected.dtype)
            code.run(op, (*inputs, result), 0, threads)
            np.testing.assert_array_equal(result, expected, err_msg=op)


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    check(CASES[name])


@pytest.mark.parametrize("name", ["2x2", "dilated"])
@pytest.mark.parametrize("kind", [*DTYPES, "u8"])
def test_kinds(name: str, kind: str) -> None:
    spec = CASES[name]
    unsigned = kind == "u8"
    check(MaxPool(spec.x, spec.kernel, spec.window, "i8" if unsigned else kind, unsigned))


@pytest.mark.parametrize("name", ["3x3, strided", "volume"])
def test_narrow_vectors(name: str) -> None:
    check(CASES[name], vector_bytes=32)


@st.composite
def specs(draw: st.DrawFn) -> MaxPool:
    dims = draw(st.integers(1, 3))

    def each(*values: int) -> tuple[int, ...]:
        return tuple(draw(st.sampled_from(values)) for _ in range(dims))

    kernel, stride, dilation = each(1, 2, 3), each(1, 2, 3), each(1, 1, 2)
    padding = tuple(zip(each(0, 1), each(0, 1, 2), strict=True))
    sizes = tuple(n + 4 for n in each(1, 2, 5, 16))
    assert min(map(windows, sizes, kernel, stride, padding, dilation)) >= 0
    shape = (draw(st.integers(0, 2)), draw(st.integers(1, 3)), *sizes)
    return MaxPool(shape, kernel, Window(stride, padding, dilation))


@settings(max_examples=10, deadline=None)
@given(specs())
def test_any(spec: MaxPool) -> None:
    check(spec)
