"""Native convolutions against the ops' references in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from native_kernels import Compiled

from weft.engine.native.conv import Conv, emit_forward, emit_input, emit_weight
from weft.engine.native.ir import Function, Module, Value
from weft.graph.node import OPS
from weft.ops.contract import Window, windows


def square(stride: int = 1, pad: int = 0, dilation: int = 1, groups: int = 1) -> Window:
    return Window((stride,) * 2, ((pad, pad),) * 2, (dilation,) * 2, groups)


def line(stride: int, pad: tuple[int, int], dilation: int) -> Window:
    return Window((stride,), (pad,), (dilation,))


CASES = {
    "3x3": Conv((2, 32, 16, 16), (64, 32, 3, 3), square(1, 1)),
    "3x3 on 8x8": Conv((3, 20, 8, 8), (40, 20, 3, 3), square(1, 1)),
    "3x3 on 4x4": Conv((3, 20, 4, 4), (40, 20, 3, 3), square(1, 1)),
    "3x3 on 7x7": Conv((2, 20, 7, 7), (48, 20, 3, 3), square(1, 1)),
    "strided": Conv((2, 20, 33, 30), (36, 20, 3, 3), square(2, 1)),
    "strided to 4x4": Conv((2, 20, 8, 8), (36, 20, 3, 3), square(2, 1)),
    "1x1": Conv((2, 70, 9, 9), (33, 70, 1, 1), square()),
    "1x1 strided": Conv((2, 33, 16, 16), (70, 33, 1, 1), square(2)),
    "one pixel": Conv((3, 64, 1, 1), (20, 64, 1, 1), square()),
    "pixels a page apart": Conv((2, 1024, 3, 9), (20, 1024, 1, 2), square(1, 1)),
    "stem": Conv((1, 3, 50, 70), (20, 3, 7, 7), square(2, 3)),
    "LeNet 1": Conv((3, 1, 28, 28), (6, 1, 5, 5), square(1, 2)),
    "LeNet 2": Conv((3, 6, 14, 14), (16, 6, 5, 5), square()),
    "depthwise": Conv((2, 20, 17, 40), (20, 1, 3, 3), square(1, 1, groups=20)),
    "depthwise strided": Conv((2, 5, 17, 40), (10, 1, 3, 3), square(2, 1, groups=5)),
    "groups": Conv((2, 12, 15, 15), (54, 4, 3, 3), square(1, 1, groups=3)),
    "large kernel": Conv((1, 3, 20, 20), (4, 3, 17, 17), square(1, 8)),
    "long": Conv((1, 5, 1500), (33, 5, 3), line(1, (2, 0), 1)),
    "long, dilated": Conv((1, 20, 1100), (20, 20, 2), line(1, (128, 0), 128)),
    "long, strided": Conv((2, 1, 1100), (20, 1, 80), line(4, (0, 3), 1)),
    "stride beyond the input": Conv((1, 2, 3), (3, 2, 2), line(5, (0, 0), 1)),
    "steps of more than a strip": Conv((1, 2, 700), (3, 2, 2), line(130, (0, 0), 1)),
    "volume": Conv(
        (2, 3, 5, 6, 20),
        (5, 3, 3, 2, 3),
        Window((1, 2, 1), ((1, 0), (0, 1), (1, 1)), (2, 1, 1)),
    ),
    "no batch": Conv((0, 4, 8, 8), (5, 4, 3, 3), square()),
    "no channels": Conv((2, 0, 5, 5), (3, 0, 3, 3), square(1, 1)),
    "nothing but padding": Conv((2, 3, 0, 5), (4, 3, 2, 2), square(1, 1)),
    "double": Conv((2, 20, 9, 9), (20, 20, 3, 3), square(1, 1), "double"),
}


def reference(op: str, attrs: Any, *values: Any) -> Any:
    return OPS[op].reference(attrs, *(a.astype(np.float64) for a in values))


def check(spec: Conv, vector_bytes: int = 64, registers: int = 32) -> None:
    """All three kernels are right, and to the bit the same for any number of threads."""
    w, kind = spec.window, np.float32 if spec.kind == "float" else np.float64
    random = np.random.default_rng(0)
    x, weight, g = (
        random.standard_normal(shape).astype(kind) for shape in (spec.x, spec.weight, spec.out)
    )
    module = Module(vector_bytes)
    kernels = [
        (emit_forward, (x, weight), reference("conv", w, x, weight)),
        (emit_input, (g, weight), reference("conv_input", (w, spec.x[2:]), g, weight)),
        (emit_weight, (x, g), reference("conv_weight", (w, spec.weight[2:]), x, g)),
    ]
    sizes = [
        emit(module, emit.__name__, spec, vector_bytes=vector_bytes, registers=registers)
        for emit, *_ in kernels
    ]
    code = Compiled(module, *(emit.__name__ for emit, *_ in kernels))
    for (emit, inputs, expected), size in zip(kernels, sizes, strict=True):
        results = []
        for threads in (1, 2, 3):
            result = np.full(expected.shape, np.nan, kind)
            code.run(emit.__name__, (*inputs, result), size, threads)
            results.append(result)
        tolerance = 1e-5 if kind is np.float32 else 1e-13
        largest = np.abs(expected).max(initial=1)
        np.testing.assert_allclose(
            results[0], expected, rtol=0, atol=tolerance * largest, err_msg=emit.__name__
        )
        for other in results[1:]:
            np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    check(CASES[name])


@pytest.mark.parametrize("name", ["3x3 on 7x7", "strided", "LeNet 1", "depthwise"])
def test_narrow_vectors(name: str) -> None:
    check(CASES[name], vector_bytes=32, registers=16)


@st.composite
def specs(draw: st.DrawFn) -> Conv:
    dims = draw(st.integers(1, 3))

    def each(*values: int) -> tuple[int, ...]:
        return tuple(draw(st.sampled_from(values)) for _ in range(dims))

    stride, dilation = each(1, 1, 2, 3), each(1, 1, 2, 3)
    kernel = each(1, 2, 3, 4) if dims < 3 else each(1, 2, 3)
    padding = tuple(zip(each(0, 1, 3), each(0, 1, 2), strict=True))
    least = [
        max(1, d * (k - 1) + 1 - a - b)
        for k, d, (a, b) in zip(kernel, dilation, padding, strict=True)
    ]
    sizes = tuple(n + draw(st.integers(0, (60, 20, 6)[dims - 1])) for n in least)
    assert min(map(windows, sizes, kernel, stride, padding, dilation)) >= 1
    groups, inner = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 5, 17]))
    outer = draw(st.sampled_from([1, 2, 7, 16, 33]))
    return Conv(
        (draw(st.integers(0, 3)), groups * inner, *sizes),
        (groups * outer, inner, *kernel),
        Window(stride, padding, dilation, groups),
        draw(st.sampled_from(["float", "double"])),
    )


@settings(max_examples=15, deadline=None)
@given(specs())
def test_any(spec: Conv) -> None:
    check(spec)


@pytest.mark.parametrize("name", ["3x3 on 8x8", "strided", "depthwise", "LeNet 1"])
def test_an_epilogue_sees_channels_and_offsets(name: str) -> None:
    """A bias of each channel, a residual and the activation are applied as values are written."""
    spec = CASES[name]
    random = np.random.default_rng(1)
    x, weight, bias, residual = (
        random.standard_normal(shape).astype(np.float32)
        for shape in (spec.x, spec.weight, spec.out[1], spec.out)
    )

    def epilogue(
        fn: Function, args: Value, value: Value, channel: Value, offset: Value, mask: Value | None
    ) -> Value:
        bias, residual = fn.load("ptr", args, 5), fn.load("ptr", args, 6)
        value = value + fn.splat(fn.load("float", bias, channel), 16)
        value = value + fn.load(value.type, residual, offset, mask)
        return fn.select(fn.compare("olt", value, 0), 0, value)

    module = Module()
    size = emit_forward(module, "conv", spec, epilogue)
    result = np.full(spec.out, np.nan, np.float32)
    Compiled(module, "conv").run("conv", (x, weight, result), size, 2, (bias, residual))
    linear = reference("conv", spec.window, x, weight) + bias[:, None, None] + residual
    np.testing.assert_allclose(result, np.maximum(linear, 0), rtol=0, atol=1e-4)
