"""Between PyTorch's order of elements and that of the convolutions: transposing as it is copied."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from .ir import Function, Module, Value, size_of, vector


class Vectors(NamedTuple):
    """The machine's vectors of one element type."""

    kind: str
    lanes: int
    registers: int

    @property
    def type(self) -> str:
        return vector(self.kind, self.lanes)

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return size_of(self.kind)


def vectors(kind: str, vector_bytes: int, registers: int) -> Vectors:
    return Vectors(kind, vector_bytes // size_of(kind), registers)


class Kernel:
    """A function that all threads enter together: ``name(args, tid, nt)``."""

    def __init__(self, module: Module, name: str) -> None:
        self.module, self.name = module, name
        self.fn = module.function(name, [("args", "ptr"), ("tid", "i64"), ("nt", "i64")])
        self.args, self.tid, self.nt = self.fn.arguments

    def pointers(self, count: int) -> list[Value]:
        return [self.fn.load("ptr", self.args, k) for k in range(1, count + 1)]

    def barrier(self) -> None:
        runtime = self.fn.load("ptr", self.args)
        call, context = self.fn.load("ptr", runtime), self.fn.load("ptr", runtime, 1)
        self.fn.emit(f"call void {call.text}(ptr {context.text}, i64 {self.nt.text})")

    @contextmanager
    def share(self, total: int) -> Iterator[Value]:
        """A loop over this thread's part of ``total`` tasks."""
        start = self.tid * total // self.nt
        stop = (self.tid + 1) * total // self.nt
        with self.fn.loop(start, stop) as task:
            yield task


def digits(task: Value, *sizes: int) -> list[Value]:
    """The indices that ``task`` counts through, the last of them fastest."""
    found = []
    for size in reversed(sizes):
        found.append(task % size)
        task = task // size
    return [task, *reversed(found)]


def transpose(fn: Function, rows: Sequence[Value]) -> list[Value]:
    """A square of vectors: a butterfly that swaps ever larger blocks."""
    lanes = len(rows)
    rows = list(rows)
    width = 1
    while width < lanes:
        low = [i if not i & width else lanes + (i ^ width) for i in range(lanes)]
        high = [i | width if not i & width else lanes + i for i in range(lanes)]
        after = list(rows)
        for i in range(lanes):
            if not i & width:
                a, b = rows[i], rows[i | width]
                after[i], after[i | width] = fn.shuffle(a, b, low), fn.shuffle(a, b, high)
        rows = after
        width *= 2
    return rows


def block(
    module: Module,
    v: Vectors,
    rows: int,
    pitch: int,
    targets: Sequence[int | None],
    fill: bool = False,
) -> str:
    """The name of ``void f(from, to)``: copies ``rows`` rows, turned around.

    Args:
        rows: how many there are, at most as many as lanes.
        pitch: distance of rows in ``from``.
        targets: where in ``to`` each column goes; None if it is not wanted.
        fill: whether columns are written as whole vectors, zeros after the rows.
    """
    name = f"transpose_{v.kind}{v.lanes}_{rows}x{len(targets)}_{pitch}_{hash_of((*targets, fill))}"

    def build(fn: Function) -> None:
        source, target = fn.arguments
        columns = len(targets)
        mask = fn.first_lanes(v.lanes, columns) if columns < v.lanes else None
        zero = fn.const(0, v.type)
        taken = [
            fn.load(v.type, source, i * pitch, mask) if i < rows else zero for i in range(v.lanes)
        ]
        narrow = None if fill or rows == v.lanes else fn.first_lanes(v.lanes, rows)
        for to, column in zip(targets, transpose(fn, taken), strict=False):
            if to is not None:
                fn.store(column, target, to, narrow)

    return module.shared(name, [("from", "ptr"), ("to", "ptr")], build)


def hash_of(what: object) -> str:
    """A short name that is the same in every process."""
    return hashlib.blake2s(repr(what).encode(), digest_size=6).hexdigest()


def pitched(count: int, pitch: int) -> tuple[int, ...]:
    return tuple(k * pitch for k in range(count))


def by_blocks(
    fn: Function, lanes: int, index: Value, count: int, do: Callable[[int], None]
) -> None:
    """``do(rows)`` for the ``index``-th block of ``lanes`` out of ``count``."""
    full, rest = divmod(count, lanes)
    if full:
        with fn.when(fn.compare("slt", index, full)):
            do(lanes)
    if rest:
        with fn.when(fn.compare("eq", index, full)):
            do(rest)


_STRETCH = 1024  # pixels that one task transposes


def pack_pixels(
    k: Kernel,
    v: Vectors,
    source: Value,
    target: Value,
    images: int,
    channels: int,
    pixels: int,
    place: Callable[[Value, Value], Value],
    pitch: int,
    fill: bool = False,
) -> None:
    """``[images, channels, pixels]`` with channels last, each image a matrix of its own.

    Args:
        place: where the first pixel of the block of channels goes, of the image and the block.
        pitch: the distance of pixels in the target.
        fill: whether the last block of channels has room for whole vectors.
    """
    fn, lanes = k.fn, v.lanes
    blocks, stretches = -(-channels // lanes), -(-pixels // _STRETCH)
    with k.share(images * blocks * stretches) as task:
        image, b, stretch = digits(task, blocks, stretches)
        first = stretch * _STRETCH
        start = fn.address(source, (image * channels + b * lanes) * pixels, v.kind)
        to = fn.address(target, place(image, b), v.kind)

        def copy(rows: int, columns: int, x: Value) -> None:
            name = block(k.module, v, rows, pixels, pitched(columns, pitch), fill)
            fn.call_void(name, fn.address(start, x, v.kind), fn.address(to, x * pitch, v.kind))

        def copy_all(rows: int) -> None:
            whole = pixels // lanes * lanes
            with fn.loop(first, fn.least(first + _STRETCH, whole), lanes) as x:
                copy(rows, lanes, x)
            if pixels % lanes:
                with fn.when(fn.compare("eq", stretch, stretches - 1)):
                    copy(rows, pixels % lanes, fn.const(whole, "i64"))

        by_blocks(fn, lanes, b, channels, copy_all)


@dataclass(frozen=True)
class Panels:
    """Weights ``[groups, panels, taps, inner, width]``: ``width`` channels side by side.

    Attributes:
        outer, inner: how many channels run along the lanes, and how many are summed over.
        outer_pitch, inner_pitch: their distances in the weight tensor, where taps are neighbours.
        order: the kernel's place of each tap.
    """

    groups: int
    outer: int
    inner: int
    outer_pitch: int
    inner_pitch: int
    taps: int
    order: tuple[int, ...]
    width: int

    @property
    def count(self) -> int:
        return -(-self.outer // self.width)

    @property
    def size(self) -> int:
        """Elements of one panel."""
        return self.taps * self.inner * self.width


def pack_panels(k: Kernel, v: Vectors, p: Panels, source: Value, target: Value) -> None:
    fn, lanes = k.fn, v.lanes
    per = p.width // lanes
    along = p.inner_pitch == 1 and p.taps == 1  # inner channels are neighbours: take many
    step = lanes if along else 1
    tasks = -(-p.inner // step)
    with k.share(p.groups * p.count * per * tasks) as task:
        g, b, one = digits(task, p.count * per, tasks)
        inner = one * step
        start = fn.address(
            source,
            g * (p.outer * p.inner * p.taps) + b * (lanes * p.outer_pitch) + inner * p.inner_pitch,
            v.kind,
        )
        to = fn.address(
            target,
            (g * p.count + b // per) * p.size + inner * p.width + b % per * lanes,
            v.kind,
        )

        def copy(rows: int) -> None:
            if along:
                by_blocks(fn, lanes, one, p.inner, lambda n: turn(rows, 0, pitched(n, p.width)))
                return
            if p.outer_pitch == 1:
                mask = None if rows == lanes else fn.first_lanes(lanes, rows)
                fn.store(fn.load(v.type, start, 0, mask), to)
                return
            places = {tap: at for at, tap in enumerate(p.order)}
            for first in range(0, p.taps, lanes):
                here = range(first, min(first + lanes, p.taps))
                goes = [places[t] * p.inner * p.width if t in places else None for t in here]
                turn(rows, first, goes)

        def turn(rows: int, first: int, targets: Sequence[int | None]) -> None:
            name = block(k.module, v, rows, p.outer_pitch, targets, fill=True)
            fn.call_void(name, fn.address(start, first, v.kind), to)

        by_blocks(fn, lanes, b, p.outer, copy)
        whole = -(-p.outer // lanes)
        if whole < p.count * per:
            with fn.when(fn.compare("sge", b, whole)):
                _clear_panel(fn, v, p, to, fn.least(fn.const(p.inner, "i64") - inner, step))


def _clear_panel(fn: Function, v: Vectors, p: Panels, to: Value, count: Value) -> None:
    zero = fn.const(0, v.type)
    with fn.loop(0, p.taps) as tap, fn.loop(0, count) as i:
        fn.store(zero, to, tap * (p.inner * p.width) + i * p.width)
