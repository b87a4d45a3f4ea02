"""Convolutions of the native engine: the three ops ``conv``, ``conv_input``, ``conv_weight``.

Each writes one kernel, ``void name(ptr args, i64 tid, i64 nt)``, that all threads enter together.
``args`` holds the runtime's block, the inputs in the op's order, the output, the workspace, and
what an epilogue needs. Every output is summed in an order that does not depend on ``nt``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from . import conv_pixels, conv_weight_pixels
from .conv_axes import axes
from .conv_direct import Channels, Epilogue, emit_product
from .conv_layout import Kernel, vectors
from .conv_weight import Sizes, emit_weight_product
from .ir import Module, size_of
from .window import Window, out_sizes


@dataclass(frozen=True)
class Conv:
    """``x [N, C, *sizes]`` with ``weight [O, C / groups, *kernel]``, of one to three dimensions.

    Attributes:
        kind: LLVM's name of the element type, ``float`` or ``double``.
    """

    x: tuple[int, ...]
    weight: tuple[int, ...]
    window: Window
    kind: str = "float"

    @property
    def out(self) -> tuple[int, ...]:
        sizes = out_sizes(self.window, self.x[2:], self.weight[2:])
        return (self.x[0], self.weight[0], *sizes)

    @property
    def kernel(self) -> tuple[int, ...]:
        """Of three dimensions."""
        return (*(1,) * (5 - len(self.weight)), *self.weight[2:])


def emit_forward(
    module: Module,
    name: str,
    spec: Conv,
    epilogue: Epilogue | None = None,
    *,
    vector_bytes: int = 64,
    registers: int = 32,
) -> int:
    """``out = conv(x, weight)``; args ``(runtime, x, weight, out, workspace, ...)``.

    Args:
        epilogue: called with ``(fn, args, value, channel, offset, mask)`` for each vector of
            finished values: consecutive elements of one channel, of which the first lies at the
            output's linear ``offset``; ``mask`` says which lanes are real, None for all. What it
            returns is written.

    Returns:
        The bytes of workspace that all threads share.
    """
    groups, taps = spec.window.groups, prod(spec.kernel)
    outer, inner = spec.weight[0] // groups, spec.weight[1]
    channels = Channels(groups, inner, outer, taps, inner * taps)
    return _emit(module, name, spec, channels, False, epilogue, vector_bytes, registers)


def emit_input(
    module: Module, name: str, spec: Conv, *, vector_bytes: int = 64, registers: int = 32
) -> int:
    """The gradient of ``x``; args ``(runtime, gradient of out, weight, gradient, workspace)``."""
    groups, taps = spec.window.groups, prod(spec.kernel)
    inner, outer = spec.weight[0] // groups, spec.weight[1]
    channels = Channels(groups, inner, outer, outer * taps, taps)
    return _emit(module, name, spec, channels, True, None, vector_bytes, registers)


def _emit(
    module: Module,
    name: str,
    spec: Conv,
    channels: Channels,
    gradient: bool,
    epilogue: Epilogue | None,
    vector_bytes: int,
    registers: int,
) -> int:
    v = vectors(spec.kind, vector_bytes, registers)
    space = axes(spec.window, spec.x[2:], spec.weight[2:], gradient)
    k = Kernel(module, name)
    if not prod(spec.x if gradient else spec.out):
        return 0  # nothing to write
    few = conv_pixels.suits(v, channels.outer, space[2], spec.kernel[2])
    emit = conv_pixels.emit_pixels if few else emit_product
    used = emit(k, v, spec.x[0], channels, space, spec.kernel, epilogue)
    return used * size_of(spec.kind)


def emit_weight(
    module: Module, name: str, spec: Conv, *, vector_bytes: int = 64, registers: int = 32
) -> int:
    """The gradient of ``weight``; args ``(runtime, x, gradient of out, gradient, workspace)``."""
    v = vectors(spec.kind, vector_bytes, registers)
    space = axes(spec.window, spec.x[2:], spec.weight[2:], False)
    k = Kernel(module, name)
    groups = spec.window.groups
    outer, inner = spec.weight[0] // groups, spec.weight[1]
    few = conv_weight_pixels.suits(v, outer, space[2], spec.kernel[2])
    emit = conv_weight_pixels.emit_weight_pixels if few else emit_weight_product
    used = emit(k, v, Sizes(spec.x[0], groups, inner, outer), space)
    return used * size_of(spec.kind)
