"""Loops at the ends of what they write, and reductions in several steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from weft.dtypes import BY_NAME
from weft.engine.native.kernels import code_of
from weft.engine.native.loop_spec import Apply, Load, Loop, Reduce, Store
from weft.engine.native.threads import launch, runtime_address

pytestmark = pytest.mark.usefixtures("native")


def run(function: Callable[[], Any]) -> str:
    """What the kernels are; a difference from the reference raises InternalError."""
    plan = weft.explain(function)
    assert ", 0 of them by the reference" in plan, plan
    return plan


@pytest.mark.parametrize("shape", [(2050, 700), (16, 128, 513), (1031, 1024), (70_000, 17)])
def test_long_columns_are_reduced_in_parts(shape: tuple[int, ...]) -> None:
    draw = np.random.default_rng(0)
    x = weft.tensor(draw.normal(size=shape).astype(np.float32))
    whole = weft.tensor(draw.integers(-9, 9, shape), dtype=weft.int32)
    dims = tuple(range(len(shape) - 1))
    for y in (x, x.double(), whole):
        for reduce in (weft.sum, weft.amax):
            run(lambda y=y, f=reduce: [f(y, dims, keepdim=keep) for keep in (False, True)])
    run(lambda: (x.sum(0), x.mean(dims), (x > 0).any(0), x.mT.contiguous().sum(0)))
    plan = run(lambda: x.sum(dims))
    assert plan.count("sum  [") == (1 if shape[0] == 1031 else 2), plan


@pytest.mark.parametrize(
    "dtype", ["bfloat16", "float16", "int8", "uint8", "bool", "int16", "float32"]
)
@pytest.mark.parametrize("columns", [1, 9, 17, 33, 65])
def test_nothing_is_written_beyond_a_result(columns: int, dtype: str) -> None:
    """(LLVM would store 32 bits where only one lane of 8 or 16 bits was to be stored.)"""
    source = "int32" if dtype.startswith(("i", "u")) else "float32"
    cast = Apply("cast", source, dtype, (0,))
    kept = Loop(
        (4, columns),
        (False, False),
        (Load(0, source, (0, 1), 0), cast),
        (Store(1, 1, dtype, (columns, 1), 0),),
    )
    summed = Loop(
        (4, 3, columns),
        (False, True, False),
        (
            Load(0, source, (0, 0, 1), 0),
            Reduce("sum", source, 0),
            Apply("cast", source, dtype, (1,)),
        ),
        (Store(2, 1, dtype, (columns, 0, 1), 0),),
    )
    x = np.ones(columns, source)
    for loop in (kept, summed):
        out = np.full(32 * columns + 64, 77, np.uint8)
        before = out.copy()
        arguments = np.array([runtime_address(), x.ctypes.data, out.ctypes.data], np.int64)
        launch(code_of(loop).address, arguments.ctypes.data, 1)
        end = 4 * columns * BY_NAME[dtype].itemsize
        assert (out[:end] != before[:end]).any()
        np.testing.assert_array_equal(out[end:], before[end:])


def test_reductions_over_no_dimension() -> None:
    x = weft.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 5.0]])
    assert "loop       [6]: ne  [" in weft.explain(lambda: x.any(()))
    assert weft.compile(lambda x: x.all(()))(x).tolist() == [
        [False, True, True],
        [True, False, True],
    ]
