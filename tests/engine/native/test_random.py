"""Native random numbers are those of the primitives' references."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from native_elementwise import Kernels

from weft import dtypes
from weft.engine.native import random
from weft.engine.native.ir import Function, Value
from weft.graph.node import OPS

N = 240
KEYS = [(0, 0), (1234, 7), (-1, 2**40 + 3), (0x123456789ABCDEF0, -5)]
KINDS = {"float": dtypes.float32, "double": dtypes.float64}


def drawn(name: str, attrs: Any, key: tuple[int, int]) -> Any:
    return OPS[name].reference(attrs, np.array(key, np.int64))


def at_indices(emit: Callable[..., Value], **options: Any) -> Callable[..., Value]:
    """``emit`` for elements whose numbers are the kernel's last operand."""

    def kernel(fn: Function, seed: Value, call: Value, index: Value) -> Value:
        first = [v if v.type == "i64" else fn.extract(v, 0) for v in (seed, call)]
        return emit(fn, *first, index, **options)

    return kernel


def consecutive(emit: Callable[..., Value], count: int, kind: str) -> Callable[..., Value]:
    def kernel(fn: Function, seed: Value, call: Value, index: Value) -> Value:
        seed, call, start = (fn.extract(v, 0) for v in (seed, call, index))
        return emit(fn, seed, call, start, count, kind)

    return kernel


def operands(key: tuple[int, int], index: Any) -> tuple[Any, ...]:
    return (*(np.full(index.size, k, np.int64) for k in key), index)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lanes", [1, 4, 8])
def test_uniform(kind: str, lanes: int) -> None:
    kernels = Kernels()
    kernels.add("f", at_indices(random.uniform, kind=kind), ["i64"] * 3, lanes)
    order = np.random.default_rng(0).permutation(N)
    for key in KEYS:
        want = drawn("random_uniform", ((N,), KINDS[kind]), key)
        got = kernels.run("f", np.empty_like(want), *operands(key, order))
        np.testing.assert_array_equal(got, want[order])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [4, 8, 16])
def test_consecutive_elements(kind: str, count: int) -> None:
    kernels = Kernels()
    kernels.add("uniform", consecutive(random.uniform_run, count, kind), ["i64"] * 3, count)
    kernels.add("normal", consecutive(random.normal_run, count, kind), ["i64"] * 3, count)
    key = KEYS[-1]
    for name in ("uniform", "normal"):
        want = drawn(f"random_{name}", ((N,), KINDS[kind]), key)
        got = kernels.run(name, np.empty_like(want), *operands(key, np.arange(N)))
        same_normals(got, want) if name == "normal" else np.testing.assert_array_equal(got, want)


def same_normals(got: Any, want: Any) -> None:
    """The same but for roundings; beside a zero of cos these are those of the angle."""
    eps = np.finfo(want.dtype).eps
    np.testing.assert_allclose(got, want, rtol=8 * eps, atol=20 * eps)


@pytest.mark.parametrize("kind", KINDS)
def test_normal(kind: str) -> None:
    kernels = Kernels()
    kernels.add("f", at_indices(random.normal, kind=kind), ["i64"] * 3, 8)
    order = np.random.default_rng(0).permutation(N)
    for key in KEYS:
        want = drawn("random_normal", ((N,), KINDS[kind]), key)
        got = kernels.run("f", np.empty_like(want), *operands(key, order))
        same_normals(got, want[order])


def test_bits() -> None:
    kernels = Kernels()
    kernels.add("f", at_indices(random.bits), ["i64"] * 3, 8)
    for key in KEYS:
        want = drawn("random_bits", (N,), key)
        got = kernels.run("f", np.empty_like(want), *operands(key, np.arange(N)))
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_dropout(kind: str, p: float) -> None:
    def emit(fn: Function, seed: Value, call: Value, index: Value, x: Value, share: Value) -> Value:
        seed, call, share = (fn.extract(v, 0) for v in (seed, call, share))
        return random.dropout(fn, x, share, random.uniform(fn, seed, call, index))

    kernels = Kernels()
    kernels.add("f", emit, ["i64", "i64", "i64", kind, "float"], 8)
    x = np.random.default_rng(0).standard_normal(N).astype(KINDS[kind].numpy)
    share = np.float32(p)
    want = OPS["dropout"].reference(x, share, np.array(KEYS[1], np.int64))
    got = kernels.run(
        "f", np.empty_like(x), *operands(KEYS[1], np.arange(N)), x, np.full(N, share, np.float32)
    )
    np.testing.assert_array_equal(got, want)
