"""Kernels: what describes one, its code, and rows of them that run in one call."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ...dtypes import BY_NAME
from . import jit, loops, scatter, target, threads
from .attention import Attention
from .conv import Conv, emit_forward, emit_input, emit_weight
from .fused import Fused
from .ir import Module
from .loop_spec import Load, Loop, Store, anywhere, of_any_size
from .lower import Graph, Operand, Step
from .matmul import Matmul, emit as emit_matmul
from .operations import memory_type
from .plan import FLAG
from .pool import MaxPool, emit_max_pool, emit_max_pool_put, emit_max_pool_take
from .processors import get_num_threads
from .products import conv_of, product_of
from .scatter import Scatter
from .views import View, dense_strides
from .whole import Whole, whole


@dataclass(frozen=True)
class Convolution:
    """One of the ops ``conv``, ``conv_input`` and ``conv_weight``."""

    op: str
    conv: Conv


@dataclass(frozen=True)
class Pooling:
    """One of the ops ``max_pool``, ``max_pool_take`` and ``max_pool_put``."""

    op: str
    pool: MaxPool


Spec = Loop | Matmul | Fused | Convolution | Pooling | Scatter | Whole

#: Points (or multiply-adds) that are worth another thread.
_WORK_PER_THREAD = 16384

#: In place of a value: the runtime's block, the workspace of the kernel's group, and nothing (what
#: looks like an offset is a number).
RUNTIME, WORKSPACE, NUMBER = -1, -2, -4


@dataclass(frozen=True)
class Kernel:
    """One kernel of a program.

    Attributes:
        spec: what it computes; equal ones share their code.
        buffers: for each word of its arguments, a value and an offset in bytes.
        work: points, or multiply-adds.
    """

    spec: Spec
    buffers: tuple[tuple[int, int], ...]
    work: int


@dataclass(frozen=True)
class Code:
    """A compiled kernel.

    Attributes:
        workspace: bytes that the threads need together.
        spec: the one that stands for all equal ones.
    """

    spec: Spec
    library: jit.Library
    address: int
    workspace: int


#: What some program holds.
_codes: WeakValueDictionary[tuple[Spec, int], Code] = WeakValueDictionary()


def code_of(spec: Spec) -> Code:
    """The code of a kernel, compiled the first time."""
    key = (spec, get_num_threads())
    found = _codes.get(key)
    if found is None:
        found = _codes[key] = _compile([spec])[0]
    return found


def prepare(specs: Sequence[Spec]) -> list[Code]:
    """The codes of several kernels; what is missing is compiled side by side."""
    threads = get_num_threads()
    missing = [s for s in dict.fromkeys(specs) if (s, threads) not in _codes]
    new = _compile(missing)
    for spec, code in zip(missing, new, strict=True):
        _codes[spec, threads] = code
    return [code_of(spec) for spec in specs]


def _compile(specs: Sequence[Spec]) -> list[Code]:
    host = target.host()
    modules, names, workspaces = [], [], []
    for spec in specs:
        module = Module(host.vector_bytes, host.avx512)
        name = "weft_" + hashlib.sha256(repr(spec).encode()).hexdigest()[:12]
        workspaces.append(_emit(module, name, spec, host))
        modules.append((module.text(), [name]))
        names.append(name)
    libraries = jit.compile_modules(modules)
    return [
        Code(spec, library, library.address(name), workspace)
        for spec, library, name, workspace in zip(specs, libraries, names, workspaces, strict=True)
    ]


_CONVOLUTIONS: dict[str, Callable[..., int]] = {
    "conv": emit_forward,
    "conv_input": emit_input,
    "conv_weight": emit_weight,
}


_POOLINGS: dict[str, Callable[..., int]] = {
    "max_pool": emit_max_pool,
    "max_pool_take": emit_max_pool_take,
    "max_pool_put": emit_max_pool_put,
}


def _emit(module: Module, name: str, spec: Spec, host: target.Target) -> int:
    """Writes the kernel; gives the bytes of workspace that the threads need together."""
    if isinstance(spec, Loop):
        loops.emit(module, name, spec, host.vector_bytes)
        return 0
    if isinstance(spec, Scatter):
        scatter.emit(module, name, spec, host.vector_bytes)
        return 0
    if isinstance(spec, Pooling):
        return _POOLINGS[spec.op](module, name, spec.pool, vector_bytes=host.vector_bytes)
    if not isinstance(spec, (Matmul, Fused, Convolution)):
        return get_num_threads() * spec.emit(module, name, host.vector_bytes)
    options = {"vector_bytes": host.vector_bytes, "registers": host.registers}
    product = spec.product if isinstance(spec, Fused) else spec
    if isinstance(product, Matmul):
        count, after, ahead = get_num_threads(), None, None
        if isinstance(spec, Fused):
            after, ahead = spec.after_matmul, spec.before_matmul
        return count * emit_matmul(module, name, product, after, ahead, threads=count, **options)
    if isinstance(spec, Fused):
        assert isinstance(product, Conv)
        return emit_forward(module, name, product, spec.after_conv, **options)
    assert isinstance(spec, Convolution)
    return _CONVOLUTIONS[spec.op](module, name, spec.conv, **options)


def looping(graph: Graph, loop: Loop, values: Sequence[int]) -> Kernel:
    """``values``: those that are the loop's buffers."""
    general = of_any_size(loop)
    spec, places = anywhere(loop, len(values)) if general is None else general
    words = [_word(graph, values[b], k) for b, k in places]
    if general is not None:
        words.append((NUMBER, loop.size))
    return Kernel(spec, tuple(words), loop.size)


def matmul(graph: Graph, step: Step) -> Kernel:
    a, b = step.operands
    buffers = (_address(graph, a), _address(graph, b), (step.value, 0), (WORKSPACE, 0))
    return Kernel(product_of(step), buffers, prod(step.shape) * a.view.shape[-1])


def fused(graph: Graph, step: Step, spec: Fused, places: list[tuple[int, int]]) -> Kernel:
    """A product or convolution, and the loop that reads it; ``places``: of the loop's buffers."""
    words = [(NUMBER, 0) if v == step.value else _word(graph, v, start) for v, start in places]
    a, b = step.operands
    first = words[spec.loop.stores[0].buffer]
    head = (_address(graph, a), _address(graph, b), first, (WORKSPACE, 0))
    alone = matmul(graph, step) if step.kind == "matmul" else convolution(graph, step)
    return Kernel(spec, (*head, *words), alone.work)


def _word(graph: Graph, value: int, start: int) -> tuple[int, int]:
    """A value, and the offset in bytes of one of its elements. (What is no value begins at 0.)"""
    return value, start * BY_NAME[graph.dtypes[value]].itemsize if start else 0


def _address(graph: Graph, operand: Operand) -> tuple[int, int]:
    """The value of an operand, and the offset in bytes of its first element."""
    return _word(graph, operand.value, operand.view.offset)


def convolution(graph: Graph, step: Step) -> Kernel:
    a, b = step.operands
    conv = conv_of(step)
    buffers = (_address(graph, a), _address(graph, b), (step.value, 0), (WORKSPACE, 0))
    work = prod(conv.out) * prod(conv.weight[1:])
    return Kernel(Convolution(step.name, conv), buffers, work)


def pooling(graph: Graph, step: Step) -> Kernel:
    pool, x = step.sig.attrs, step.operands[0].view.shape
    unsigned = step.dtype == "uint8"
    spec = MaxPool(x, pool.kernel, pool.window, memory_type(step.dtype), unsigned)
    buffers = [_address(graph, operand) for operand in step.operands]
    work = prod(spec.out) * prod(pool.kernel)
    return Kernel(Pooling(step.name, spec), (*buffers, (step.value, 0)), work)


def by_itself(graph: Graph, step: Step) -> Kernel:
    spec = whole(step.sig)
    assert spec is not None
    if isinstance(spec, Attention):
        spec = spec.placed([operand.view for operand in step.operands])
    operands = [_address(graph, operand) for operand in step.operands]
    buffers = (*operands, (step.value, 0), (WORKSPACE, 0), (FLAG, 0))
    return Kernel(spec, buffers, spec.work)


def scattering(graph: Graph, step: Step) -> list[Kernel]:
    """The base copied, then the part put, or added, in its places."""
    base, part, *indices = step.operands
    base_sizes = base.view.shape[: len(indices)]
    count = prod(indices[0].view.shape)
    row = prod(base.view.shape[len(indices) :])
    spec = Scatter(
        step.name == "put_add",
        count,
        row,
        base_sizes,
        tuple([i.view.strides[0] for i in indices]),
        step.sig.attrs,
        memory_type(step.dtype),
    )
    buffers = ((step.value, 0), _address(graph, part), *[_address(graph, i) for i in indices])
    whole = View(step.shape, dense_strides(step.shape))
    return [
        _copy(graph, base, step.value, whole),
        Kernel(spec, (*buffers, (FLAG, 0)), count * row),
    ]


def _copy(graph: Graph, operand: Operand, value: int, to: View) -> Kernel:
    kind = graph.dtypes[operand.value]
    load = Load(0, kind, operand.view.strides, operand.view.offset)
    store = Store(0, 1, kind, to.strides, to.offset)
    loop = Loop(to.shape, (False,) * len(to.shape), (load,), (store,))
    return looping(graph, loop, (operand.value, value))


def assembly(
    graph: Graph, step: Step, homes: Container[int], within: Mapping[int, tuple[int, int]]
) -> list[Kernel]:
    """Copies of the parts of a step to their places, but for those that are written there."""
    targets = zip(step.operands, step.targets, strict=True)
    return [
        _copy(graph, o, step.value, to)
        for o, to in targets
        if o.value not in homes and within.get(o.value) != (step.value, to.offset)
    ]


@cache
def _driver() -> jit.Library:
    """``void driver(ptr {block, count, functions, arguments}, i64 tid, i64 nt)``."""
    module = Module()
    fn = module.function("weft_driver", [("args", "ptr"), ("tid", "i64"), ("nt", "i64")])
    args, tid, nt = fn.arguments
    block, functions, arguments = [fn.load("ptr", args, k) for k in (0, 2, 3)]
    barrier, context = [fn.load("ptr", block, k) for k in (0, 1)]
    last = fn.load("i64", args, 1) - 1
    with fn.loop(0, last) as k:
        fn.call_pointer(fn.load("ptr", functions, k), fn.load("ptr", arguments, k), tid, nt)
        fn.call_pointer(barrier, context, nt)
    fn.call_pointer(fn.load("ptr", functions, last), fn.load("ptr", arguments, last), tid, nt)
    return jit.compile_module(module.text(), ["weft_driver"])


class Segment:
    """Kernels that run one after the other without a return to Python.

    Attributes:
        values, offsets: for each word of the kernels' arguments.
        words: the addresses that come of them.
    """

    def __init__(self, kernels: Sequence[Kernel]) -> None:
        self.kernels = list(kernels)
        self._codes = [code_of(k.spec) for k in kernels]
        words: list[tuple[int, int]] = []
        starts = []
        for kernel in kernels:
            starts.append(len(words))
            words += [(RUNTIME, 0), *kernel.buffers]
        self.values = np.array([v for v, _ in words], np.int64)
        self.offsets = np.array([o for _, o in words], np.int64)
        self.words = np.empty(len(words), np.int64)
        self._functions = np.array([c.address for c in self._codes], np.int64)
        self._starts = self.words.ctypes.data + 8 * np.array(starts, np.int64)
        self._head = np.array(
            [threads.runtime_address(), len(kernels), self._functions.ctypes.data,
             self._starts.ctypes.data],
            np.int64,
        )  # fmt: skip
        self._address = int(self._head.ctypes.data)
        most = max([k.work for k in kernels])
        self._threads = min(1 + most // _WORK_PER_THREAD, get_num_threads())
        self._driver = _driver().address("weft_driver")

    def split(self) -> list[Segment]:
        """A segment for each kernel."""
        return [Segment([kernel]) for kernel in self.kernels]

    def run(self, addresses: Any) -> None:
        """``addresses[v]`` is where value v lies; the last one is that of the runtime's block."""
        np.add(addresses[self.values], self.offsets, out=self.words)
        self.launch()

    def launch(self) -> None:
        """Runs them where ``words`` say that values lie."""
        most = self._threads
        threads.launch(
            self._driver, self._address, most if most == 1 else min(most, get_num_threads())
        )
