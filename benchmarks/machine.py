"""What the machine can do at most, and how much of it weft's kernels reach."""

from __future__ import annotations

import ctypes
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

#: Multiply-adds under way at once: more than latency times units of any processor at hand.
_CHAINS = 14
_MIB = 1 << 20


def best(call: Callable[[], object], seconds: float) -> float:
    """The least time of a call, within about so many seconds and at least five calls."""
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < until:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def _in_threads(threads: int, call: Callable[[int], object], seconds: float) -> float:
    """The least time in which all threads have made their call."""
    with ThreadPoolExecutor(threads) as pool:
        return best(lambda: list(pool.map(call, range(threads))), seconds)


def peak(threads: int, seconds: float = 1.0) -> float:
    """Float32 operations in a second by multiply-adds in registers, from all threads."""
    from weft.engine.native import jit, target

    host = target.host()
    lanes, rounds = host.lanes(4), 1_000_000
    library = jit.compile_module(_multiply_adds(lanes), ["peak"])
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(library.address("peak"))
    out = np.full((threads, 1024), 0.5, np.float32)  # a page apart

    def one(k: int) -> None:
        function(out[k].ctypes.data, rounds)

    return 2.0 * _CHAINS * lanes * rounds * threads / _in_threads(threads, one, seconds)


def _multiply_adds(lanes: int) -> str:
    """LLVM IR of ``peak(values, rounds)``: chains of ``a * x + x`` that wait for nothing else."""
    kind, fma = f"<{lanes} x float>", f"llvm.fma.v{lanes}f32"
    chains = range(_CHAINS)
    starts = [f"%a{k} = phi {kind} [ %x, %entry ], [ %b{k}, %loop ]" for k in chains]
    steps = [f"%b{k} = call {kind} @{fma}({kind} %a{k}, {kind} %x, {kind} %y)" for k in chains]
    ends = [f"store volatile {kind} %b{k}, ptr %values, align 4" for k in chains]
    return "\n".join([
        f"declare {kind} @{fma}({kind}, {kind}, {kind})",
        "define void @peak(ptr %values, i64 %rounds) {",
        "entry:",
        f"%x = load volatile {kind}, ptr %values, align 4",
        f"%y = load volatile {kind}, ptr %values, align 4",
        "br label %loop",
        "loop:",
        "%i = phi i64 [ 0, %entry ], [ %j, %loop ]",
        *starts,
        *steps,
        "%j = add i64 %i, 1",
        "%more = icmp ult i64 %j, %rounds",
        "br i1 %more, label %loop, label %end",
        "end:",
        *ends,
        "ret void",
        "}",
    ])  # fmt: skip


def copy_bandwidth(threads: int, size: int = 64 * _MIB, seconds: float = 1.0) -> float:
    """Bytes in a second, read and written, of ``memcpy`` between two arrays of ``size`` bytes."""
    source = np.ones((threads, size // threads), np.uint8)
    target = np.zeros_like(source)
    took = _in_threads(threads, lambda k: np.copyto(target[k], source[k]), seconds)
    return 2.0 * source.size / took


def kernels() -> dict[str, tuple[str, float, float]]:
    """Large kernels of weft: what each is bound by, the work of a call, and its time in seconds.

    The work is FLOPs (``"arithmetic"``) or bytes that must cross between memory and processor.
    """
    import weft
    from benchmarks.operations import OPERATIONS

    found: dict[str, tuple[str, float, float]] = {}
    for name, operation in OPERATIONS.items():
        if operation.flops >= 5e8 and "gradients" not in name:
            tensors = [weft.tensor(a) for a in operation.arrays()]
            seconds = _kernel_time(operation.call, *tensors)
            found[name] = ("arithmetic", operation.flops, seconds)
    rows = weft.ones(16384, 1024)  # 64 MiB
    size = 4.0 * rows.numel()
    for name, arrays, call in _STREAMS:
        found[name] = ("memory", arrays * size, _kernel_time(call, rows, rows + 1))
    found["SGD with momentum, in place"] = (
        "memory",
        5 * size,
        _time_of_sgd(weft.nn.Parameter(rows)),
    )
    return found


def _time_of_sgd(parameter: Any) -> float:
    """Seconds of ``optimizer.step()`` alone: three arrays are read, two written over."""
    import weft

    parameter.grad = weft.ones_like(parameter)
    optimizer = weft.optim.SGD([parameter], lr=1e-3, momentum=0.9)
    step = weft.compile(optimizer.step)
    for _ in range(5):
        step()
    return best(step, 0.5)


def _softmax(lib: Any, a: Any, b: Any) -> Any:
    return lib.softmax(a, -1)


def _layer_norm(lib: Any, a: Any, b: Any) -> Any:
    return lib.nn.functional.layer_norm(a, a.shape[1:])


#: Kernels that do little but read and write: how many arrays cross, of two that are given. Their
#: results are new memory, which the system hands out page by page while they run.
_STREAMS: tuple[tuple[str, int, Callable[[Any, Any, Any], Any]], ...] = (
    ("x * 2", 2, lambda lib, a, b: a * 2.0),
    ("a + b", 3, lambda lib, a, b: a + b),
    ("relu(a * b + a)", 3, lambda lib, a, b: lib.relu(a * b + a)),
    ("sum of all", 1, lambda lib, a, b: a.sum()),
    ("sum of each row", 1, lambda lib, a, b: a.sum(1)),
    ("sum of each column", 1, lambda lib, a, b: a.sum(0)),
    ("softmax of rows", 2, _softmax),
    ("layer norm of rows", 2, _layer_norm),
)


def _kernel_time(call: Callable[..., Any], *tensors: Any) -> float:
    """Seconds in native code, as ``weft.profile`` says."""
    import weft

    with weft.no_grad():
        weft.realize(*tensors)
        text = weft.profile(lambda: weft.realize(call(weft, *tensors)))
    milliseconds = re.search(r"steps?, ([\d.]+) ms", text)
    assert milliseconds is not None, text
    return float(milliseconds[1]) / 1e3


def measured(threads: int) -> dict[str, Any]:
    """Everything of this file, for the worker."""
    return {"peak": peak(threads), "copy": copy_bandwidth(threads), "kernels": kernels()}
