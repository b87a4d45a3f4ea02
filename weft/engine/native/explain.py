"""A native program told to a person: its kernels, what was fused, bytes and FLOPs."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from .fused import Fused
from .kernels import Convolution, Kernel, Pooling
from .loop_spec import ANY_SIZE, Apply, Gather, Load, Loop, Reduce, Store
from .matmul import Matmul
from .program import Call, Native
from .scatter import Scatter
from .views import Shape


def explain_program(program: Native) -> str:
    """One line for each kernel or call, in order."""
    lines = []
    flops = moved = calls = 0
    for one in program.one_by_one():
        lines.append("  " + _described(one))
        if isinstance(one, Kernel):
            flops += _flops(one)
            moved += _bytes(one)
        else:
            calls += 1
    count = len(lines)
    memory = program.memory.arena_bytes
    head = (
        f"{count} steps in {len(program.parts)} parts, {calls} of them by the reference; "
        f"{_short(flops)}FLOP, {_short(moved)}B read and written, arena {_short(memory)}B"
    )
    return "\n".join([head, *lines])


def profile_program(program: Native, times: list[float]) -> str:
    """The same with what each took, the longest first, added up over equal ones."""
    rows: dict[str, list[float]] = {}
    flops: dict[str, int] = {}
    for one, seconds in zip(program.one_by_one(), times, strict=True):
        text = _described(one)
        rows.setdefault(text, []).append(seconds)
        flops[text] = flops.get(text, 0) + (_flops(one) if isinstance(one, Kernel) else 0)
    total = sum(times)
    lines = [f"{len(times)} steps, {1e3 * total:.3f} ms"]
    for text in sorted(rows, key=lambda t: -sum(rows[t])):
        spent = sum(rows[text])
        rate = f"{flops[text] / spent / 1e9:6.1f} GFLOP/s"
        lines.append(
            f"{1e6 * spent:9.1f} us {spent / total:5.1%} {rate} {len(rows[text]):3d} x {text}"
        )
    return "\n".join(lines)


def _described(kernel: Kernel | Call) -> str:
    if isinstance(kernel, Call):
        shapes = ", ".join(str(list(o.view.shape)) for o in kernel.operands)
        return f"reference  {kernel.name} of {shapes}: no kernel for it"
    spec = kernel.spec
    size = f"{_short(_flops(kernel))}FLOP {_short(_bytes(kernel))}B"
    if isinstance(spec, Loop):
        sizes = [kernel.work] if spec.shape == (ANY_SIZE,) else _sizes(spec)
        return f"loop       {sizes}: {_ops(spec)}  [{size}]"
    if isinstance(spec, Matmul):
        batch = f"{list(spec.batch)} x " if spec.batch else ""
        return f"matmul     {batch}{spec.m}x{spec.k} @ {spec.k}x{spec.n}  [{size}]"
    if isinstance(spec, Fused):
        alone = replace(kernel, spec=_alone(spec))
        product = _described(alone).rsplit("  [", 1)[0]
        return f"{product}, then {_ops(spec.loop)}  [{size}]"
    if isinstance(spec, Convolution):
        x, weight = list(spec.conv.x), list(spec.conv.weight)
        return f"{spec.op:<10} {x} with {weight}  [{size}]"
    if isinstance(spec, Pooling):
        return f"{spec.op:<10} {list(spec.pool.kernel)} over {list(spec.pool.x)}  [{size}]"
    if not isinstance(spec, Scatter):
        return f"{spec}  [{size}]"
    return f"scatter    {spec.count} rows of {spec.row} into {list(spec.sizes)}  [{size}]"


def _alone(spec: Fused) -> Matmul | Convolution:
    product = spec.product
    return product if isinstance(product, Matmul) else Convolution("conv", product)


def _sizes(loop: Loop) -> str:
    kept = [n for n, r in zip(loop.shape, loop.reduced, strict=True) if not r]
    over = [n for n, r in zip(loop.shape, loop.reduced, strict=True) if r]
    return f"{kept} over {over}" if over else str(kept)


def _ops(loop: Loop) -> str:
    names = [c.op for c in loop.code if isinstance(c, (Apply, Reduce))]
    names += ["take" for c in loop.code if isinstance(c, Gather)]
    return ", ".join(names) or "copy"


def _flops(kernel: Kernel) -> int:
    spec = kernel.spec
    if isinstance(spec, Loop):
        return kernel.work * sum(isinstance(c, (Apply, Reduce)) for c in spec.code)
    if isinstance(spec, Fused):
        return 2 * kernel.work + spec.loop.size * sum(isinstance(c, Apply) for c in spec.loop.code)
    return 2 * kernel.work if isinstance(spec, (Matmul, Convolution)) else kernel.work


def _bytes(kernel: Kernel) -> int:
    """What crosses the kernel's border; an element that is read often counts once."""
    spec = kernel.spec
    if isinstance(spec, Loop):
        shape = (kernel.work,) if spec.shape == (ANY_SIZE,) else spec.shape
        return sum(_touched(shape, a) for a in spec.accesses if isinstance(a, (Load, Store)))
    if isinstance(spec, Fused):
        source = next(c for c in spec.loop.code if isinstance(c, Load) and c.buffer == spec.source)
        others = [a for a in spec.loop.accesses if isinstance(a, (Load, Store))]
        through = sum(_touched(spec.loop.shape, a) for a in others if a.buffer != spec.source)
        alone = replace(kernel, spec=_alone(spec))
        return through + _bytes(alone) - _touched(spec.loop.shape, source)
    if isinstance(spec, Matmul):
        size = 4 if spec.kind == "float" else 8
        elements = spec.m * spec.k + spec.k * spec.n + spec.m * spec.n
        return prod(spec.batch) * elements * size
    if isinstance(spec, Convolution):
        size = 4 if spec.conv.kind == "float" else 8
        return size * sum(map(prod, (spec.conv.x, spec.conv.weight, spec.conv.out)))
    return 8 * kernel.work


def _touched(shape: Shape, access: Load | Store) -> int:
    from ...dtypes import BY_NAME

    moving = [n for n, s in zip(shape, access.strides, strict=True) if s]
    return prod(moving) * BY_NAME[access.dtype].itemsize


def _short(number: float) -> str:
    for unit in ("", "k", "M", "G"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} T"
