"""Native matrix products against NumPy in float64."""

from __future__ import annotations

import ctypes
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from weft.engine.native.ir import Function, Module, Value
from weft.engine.native.jit import compile_module
from weft.engine.native.matmul import Epilogue, Matmul, emit, flops, useful_threads
from weft.engine.native.threads import launch, runtime_address

DTYPES = {"float": np.float32, "double": np.float64}
ROUNDING = {"float": 2.0**-24, "double": 2.0**-53}
ORDERS = list(itertools.product((False, True), repeat=3))


def strides_of(x: Any) -> tuple[int, ...]:
    return tuple(s // x.itemsize for s in x.strides)


def spec_of(a: Any, b: Any, c: Any) -> Matmul:
    a = np.broadcast_to(a, c.shape[:-2] + a.shape[-2:])
    b = np.broadcast_to(b, c.shape[:-2] + b.shape[-2:])
    kind = {4: "float", 8: "double"}[c.itemsize]
    m, n = c.shape[-2:]
    return Matmul(
        c.shape[:-2], m, a.shape[-1], n, strides_of(a), strides_of(b), strides_of(c), kind
    )


class Compiled:
    """A product's function, called for each thread in turn: they do not wait for one another."""

    def __init__(self, spec: Matmul, epilogue: Epilogue | None = None, **options: int) -> None:
        module = Module()
        self.workspace = emit(module, "product", spec, epilogue, **options)
        self.library = compile_module(module.text(), ["product"])
        address = self.library.address("product")
        self.call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)

    def run(self, operands: list[Any], threads: int) -> None:
        guard = 64
        space = np.full(self.workspace * threads + 2 * guard, 0xFF, np.uint8)  # NaNs
        start = -space.ctypes.data % 64
        at = space.ctypes.data + start
        a, b, c, *more = [x.ctypes.data for x in operands]
        args = np.array([0, a, b, c, at, *more], np.int64)
        for thread in range(threads):
            self.call(args.ctypes.data, thread, threads)
        assert (space[start + self.workspace * threads :] == 0xFF).all(), "beyond its workspace"


def check(a: Any, b: Any, c: Any, **options: int) -> None:
    """The result for several numbers of threads; nothing around C is touched."""
    kind = {4: "float", 8: "double"}[c.itemsize]
    base = c if c.base is None else c.base
    compiled = Compiled(spec_of(a, b, c), **options)
    results = []
    for threads in (1, 2, 3, 4):
        base[...] = 77
        compiled.run([a, b, c], threads)
        results.append(base.copy())
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    expected = wide_a @ wide_b
    bound = np.abs(wide_a) @ np.abs(wide_b) * ROUNDING[kind] * (4 + a.shape[-1] ** 0.5)
    assert (np.abs(c - expected) <= bound).all()
    c[...] = 77
    assert (base == 77).all()


def matrix(rng: Any, batch: tuple[int, ...], rows: int, columns: int, kind: str, turn: Any) -> Any:
    shape = (*batch, columns, rows) if turn else (*batch, rows, columns)
    x = rng.standard_normal(shape).astype(DTYPES[kind])
    return x.swapaxes(-1, -2) if turn else x


SHAPES = [
    (1, 1, 1), (4, 2, 16), (12, 7, 32), (13, 33, 37), (64, 100, 120), (65, 300, 50), (3, 90, 70),
    (70, 90, 3), (64, 70, 10), (1, 300, 130), (130, 300, 1), (1, 1, 40), (40, 1, 1), (2, 257, 2),
    (301, 17, 5), (100, 520, 100),
]  # fmt: skip


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_order_of_operands(shape: tuple[int, int, int], kind: str) -> None:
    m, k, n = shape
    rng = np.random.default_rng(m * k + n)
    for turned in ORDERS if kind == "float" else ORDERS[:4:2]:
        a, b, c = (
            matrix(rng, (), rows, columns, kind, turn)
            for rows, columns, turn in zip((m, k, m), (k, n, n), turned, strict=True)
        )
        check(a, b, c)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(0, 4), max_size=2).map(tuple),
    st.integers(0, 70),
    st.integers(0, 70),
    st.integers(0, 70),
    st.sampled_from(ORDERS),
    st.sampled_from(sorted(DTYPES)),
)
def test_any_shape(
    batch: tuple[int, ...], m: int, k: int, n: int, turned: tuple[bool, ...], kind: str
) -> None:
    rng = np.random.default_rng(0)
    sizes = zip((m, k, m), (k, n, n), turned, strict=True)
    check(*(matrix(rng, batch, rows, columns, kind, turn) for rows, columns, turn in sizes))


@pytest.mark.parametrize(("m", "n"), [(30, 40), (1, 40), (30, 1)])
def test_nothing_to_sum_gives_zeros(m: int, n: int) -> None:
    check(np.ones((m, 0), np.float32), np.ones((0, n), np.float32), np.ones((m, n), np.float32))


@pytest.mark.parametrize("size", [(1, 9, 1), (3, 40, 33), (30, 65, 40)])
def test_strides_with_gaps_and_backwards(size: tuple[int, int, int]) -> None:
    m, k, n = size
    rng = np.random.default_rng(1)
    cuts = [
        (slice(None, None, -1), slice(None)),
        (slice(None), slice(None, None, -1)),
        (slice(None, None, 2), slice(None, None, 3)),
    ]

    def cut(rows: int, columns: int, how: tuple[slice, slice]) -> Any:
        steps = [abs(s.step or 1) for s in how]
        whole = rng.standard_normal((rows * steps[0], columns * steps[1])).astype(np.float32)
        return whole[how]

    for of_a, of_b, of_c in [(0, 1, 2), (1, 2, 0), (2, 0, 1), (2, 2, 2)]:
        check(cut(m, k, cuts[of_a]), cut(k, n, cuts[of_b]), cut(m, n, cuts[of_c]))


@pytest.mark.parametrize(
    ("of_a", "of_b"),
    [((3, 1), (1, 5)), ((), (3, 5)), ((3, 5), ()), ((5,), (3, 1)), ((1, 1), (1, 1))],
)
def test_batches_that_are_broadcast(of_a: tuple[int, ...], of_b: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    batch = np.broadcast_shapes(of_a, of_b)
    for m, k, n in [(4, 2, 16), (17, 20, 33), (1, 20, 33)]:
        a = rng.standard_normal((*of_a, m, k)).astype(np.float32)
        b = rng.standard_normal((*of_b, k, n)).astype(np.float32)
        check(a, b, np.empty((*batch, m, n), np.float32))


@pytest.mark.parametrize("size", [(1, 300), (300, 1), (30, 40)])
def test_operands_that_are_one_number_or_one_row(size: tuple[int, int]) -> None:
    m, n = size
    row = np.arange(600, dtype=np.float32)
    ones = np.ones((1, 1), np.float32)
    c = np.empty((m, n), np.float32)
    check(np.broadcast_to(ones, (m, 600)), np.broadcast_to(row[:n], (600, n)), c)
    check(np.broadcast_to(row, (m, 600)), np.broadcast_to(row[:, None], (600, n)), c)
    check(np.broadcast_to(row[:m, None], (m, 600)), np.broadcast_to(ones, (600, n)), c)


@pytest.mark.parametrize("threads", [1, 16])
def test_blocks_of_a_large_product(threads: int) -> None:
    rng = np.random.default_rng(3)
    for turn_a, turn_b in itertools.product((False, True), repeat=2):
        a = matrix(rng, (), 530, 600, "float", turn_a)
        check(a, matrix(rng, (), 600, 700, "float", turn_b), np.empty((530, 700), np.float32),
              threads=threads)  # fmt: skip


@pytest.mark.parametrize(("vector_bytes", "registers"), [(16, 32), (16, 16), (32, 16)])
@pytest.mark.parametrize("kind", DTYPES)
def test_narrower_vectors(vector_bytes: int, registers: int, kind: str) -> None:
    rng = np.random.default_rng(4)
    for n, turned in [(41, (False, False)), (41, (True, True)), (3, (False, True))]:
        a = matrix(rng, (), 37, 300, kind, turned[0])
        b = matrix(rng, (), 300, n, kind, turned[1])
        c = np.empty((37, n), DTYPES[kind])
        check(a, b, c, vector_bytes=vector_bytes, registers=registers)


def bias_relu_residual(spec: Matmul) -> Epilogue:
    """``c = relu(sums + bias) + residual`` and ``copy = sums``, all contiguous."""

    def epilogue(
        fn: Function,
        args: Value,
        sums: Value,
        batch: Value,
        row: Value,
        column: Value,
        mask: Value | None,
    ) -> None:
        c, bias, residual, copy = (fn.load("ptr", args, word) for word in (3, 5, 6, 7))
        at = (batch * spec.m + row) * spec.n + column
        fn.store(sums, copy, at, mask)
        value = sums + fn.load(sums.type, bias, column, mask)
        value = fn.select(fn.compare("ogt", value, 0), value, fn.const(0, sums.type))
        fn.store(value + fn.load(sums.type, residual, at, mask), c, at, mask)

    return epilogue


@pytest.mark.parametrize(
    ("batch", "m", "k", "n"),
    [
        ((), 64, 300, 64),
        ((3,), 13, 600, 40),
        ((5,), 1, 90, 40),
        ((2, 2), 1, 70, 33),
        ((), 50, 90, 1),
        ((), 60, 70, 3),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_epilogue(batch: tuple[int, ...], m: int, k: int, n: int, turned: bool) -> None:
    rng = np.random.default_rng(5)
    shared = () if len(batch) == 1 else batch  # one B for all: the rows of A are taken together
    a, b = matrix(rng, batch, m, k, "float", False), matrix(rng, shared, k, n, "float", turned)
    bias, residual = rng.standard_normal(n), rng.standard_normal((*batch, m, n))
    bias, residual = bias.astype(np.float32), residual.astype(np.float32)
    c, copy = np.empty((*batch, m, n), np.float32), np.empty((*batch, m, n), np.float32)
    spec = spec_of(a, b, c)
    compiled = Compiled(spec, bias_relu_residual(spec))
    expected = a.astype(np.float64) @ b
    for threads in (1, 2, 3):
        c[...] = copy[...] = np.nan
        compiled.run([a, b, c, bias, residual, copy], threads)
        np.testing.assert_allclose(copy, expected, atol=1e-4)
        np.testing.assert_allclose(c, np.maximum(expected + bias, 0) + residual, atol=1e-4)


def test_products_of_one_module() -> None:
    """Kernels are shared between products, each of which still computes its own."""
    rng = np.random.default_rng(6)
    module = Module()
    cases = []
    for index, (m, k, n) in enumerate([(24, 64, 64), (24, 400, 64), (48, 64, 64), (24, 64, 70)]):
        a, b = matrix(rng, (), m, k, "float", False), matrix(rng, (), k, n, "float", False)
        c = np.empty((m, n), np.float32)
        cases.append(
            (f"product{index}", a, b, c, emit(module, f"product{index}", spec_of(a, b, c)))
        )
    library = compile_module(module.text(), [name for name, *_ in cases])
    for name, a, b, c, workspace in cases:
        space = np.empty(workspace, np.uint8)
        args = np.array([0, *(x.ctypes.data for x in (a, b, c, space))], np.int64)
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        call(library.address(name))(args.ctypes.data, 0, 1)
        np.testing.assert_allclose(c, a @ b, atol=1e-4)


@pytest.mark.parametrize("threads", [2, 4])
def test_threads_at_once(threads: int) -> None:
    rng = np.random.default_rng(7)
    for m, k, n in [(100, 300, 200), (1, 300, 200)]:
        a, b = matrix(rng, (), m, k, "float", False), matrix(rng, (), k, n, "float", True)
        alone, together = np.empty((m, n), np.float32), np.empty((m, n), np.float32)
        compiled = Compiled(spec_of(a, b, alone))
        compiled.run([a, b, alone], 1)
        space = np.empty(compiled.workspace * threads, np.uint8)
        words = [x.ctypes.data for x in (a, b, together, space)]
        args = np.array([runtime_address(), *words], np.int64)
        for _ in range(10):
            together[...] = np.nan
            launch(compiled.library.address("product"), args.ctypes.data, threads)
            np.testing.assert_array_equal(alone, together)


def test_cost() -> None:
    spec = Matmul((2, 3), 4, 5, 6, (0, 0, 5, 1), (0, 0, 6, 1), (72, 24, 6, 1), "float")
    assert flops(spec) == 2 * 6 * 4 * 5 * 6
    assert useful_threads(spec) == 1
    assert useful_threads(Matmul((), 512, 512, 512, (512, 1), (512, 1), (512, 1), "float")) > 8
