"""Single operations on large arrays: weft and PyTorch, and NumPy where it has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.runs import Run


@dataclass(frozen=True)
class Operation:
    """An operation on arrays of normally distributed float32.

    Attributes:
        shapes: of its arguments.
        call: of the library and tensors, for weft and PyTorch.
        numpy: of arrays; None where NumPy has nothing like it.
        flops: what it computes, where that is a matter of arithmetic.
    """

    shapes: tuple[tuple[int, ...], ...]
    call: Callable[..., Any]
    numpy: Callable[..., Any] | None = None
    flops: int = 0

    def arrays(self) -> list[Any]:
        draw = np.random.default_rng(0)
        return [draw.normal(size=shape).astype(np.float32) for shape in self.shapes]


def _functional(lib: Any) -> Any:
    return import_module(f"{lib.__name__}.nn.functional")


def _matmul(m: int, k: int, n: int) -> Operation:
    return Operation(
        ((m, k), (k, n)), lambda lib, a, b: a @ b, lambda a, b: a @ b, flops=2 * m * k * n
    )


def _softmax(*shape: int) -> Operation:
    def by_numpy(x: Any) -> Any:
        e = np.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    return Operation((shape,), lambda lib, x: _functional(lib).softmax(x, -1), by_numpy)


def _layer_norm(rows: int, width: int) -> Operation:
    def call(lib: Any, x: Any, weight: Any, bias: Any) -> Any:
        return _functional(lib).layer_norm(x, (width,), weight, bias)

    def by_numpy(x: Any, weight: Any, bias: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        variance = np.square(centred).mean(-1, keepdims=True)
        return centred / np.sqrt(variance + np.float32(1e-5)) * weight + bias

    return Operation(((rows, width), (width,), (width,)), call, by_numpy)


def _conv(inputs: int, outputs: int, size: int, stride: int = 1, kernel: int = 3) -> Operation:
    shapes = ((16, inputs, size, size), (outputs, inputs, kernel, kernel))

    def call(lib: Any, x: Any, weight: Any) -> Any:
        return _functional(lib).conv2d(x, weight, None, stride, kernel // 2)

    work = 2 * 16 * outputs * (size // stride) ** 2 * inputs * kernel * kernel
    return Operation(shapes, call, flops=work)


def _with_gradients(one: Operation) -> Operation:
    """The operation and the gradients of all its arguments, from a gradient of ones."""

    def call(lib: Any, *arguments: Any) -> Any:
        out = one.call(lib, *arguments)
        return lib.autograd.grad(out, arguments, lib.ones_like(out))

    return Operation(one.shapes, call, flops=3 * one.flops)


_CONVOLUTIONS = {
    "conv 64 to 64, 32x32": _conv(64, 64, 32),
    "conv 64 to 128, 32x32, stride 2": _conv(64, 128, 32, 2),
    "conv 64 to 128, 1x1, stride 2": _conv(64, 128, 32, 2, kernel=1),
    "conv 128 to 128, 16x16": _conv(128, 128, 16),
    "conv 256 to 256, 8x8": _conv(256, 256, 8),
    "conv 512 to 512, 4x4": _conv(512, 512, 4),
}

#: The convolutions are those of ResNet-18 with 16 images, 3x3 unless their names say otherwise.
OPERATIONS = {
    "matmul 64x784 @ 784x512": _matmul(64, 784, 512),
    "matmul 64x512 @ 512x10": _matmul(64, 512, 10),
    "matmul 1024x256 @ 256x1024": _matmul(1024, 256, 1024),
    "matmul 1024x1024 @ 1024x1024": _matmul(1024, 1024, 1024),
    "matmul 2048x2048 @ 2048x2048": _matmul(2048, 2048, 2048),
    "softmax 8192x128": _softmax(8192, 128),
    "softmax 1024x1000": _softmax(1024, 1000),
    "layer norm 1024x256": _layer_norm(1024, 256),
    "layer norm 8192x1024": _layer_norm(8192, 1024),
    **_CONVOLUTIONS,
    **{f"{name}, with gradients": _with_gradients(one) for name, one in _CONVOLUTIONS.items()},
}


def run_of(library: str, name: str, *, compiled: bool) -> Run | None:
    """The operation in a library; None where it has none."""
    one = OPERATIONS[name]
    if library == "numpy":
        arrays, by_numpy = one.arrays(), one.numpy
        if by_numpy is None:
            return None
        return Run(lambda: by_numpy(*arrays), lambda: None, lambda out: float(out.sum()))
    lib = import_module(library)
    gradients = name.endswith("with gradients")
    tensors = [lib.tensor(a, requires_grad=gradients) for a in one.arrays()]
    settle = lib.realize if library == "weft" and not compiled else lambda *_: None

    def by_library(*tensors: Any) -> Any:
        return one.call(lib, *tensors)

    called = lib.compile(by_library) if compiled else by_library

    def call() -> Any:
        with lib.set_grad_enabled(gradients):
            out = called(*tensors)
            settle(*(out if gradients else (out,)))
        return out

    def value(out: Any) -> float:
        return sum(float(one.sum()) for one in (out if gradients else (out,)))

    return Run(call, lambda: None, value)
