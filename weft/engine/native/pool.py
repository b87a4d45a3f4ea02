"""Maximum over windows, where it lies, and its gradient: with lanes along output pixels.

The taps of a window that are within the input are looked at in the kernel's order. A later one wins
if it is greater or NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from .conv_axes import axes
from .conv_direct import reach
from .conv_layout import Kernel, digits
from .ir import Module, Value, is_float, size_of, vector
from .operations import gather
from .window import Window, out_sizes


@dataclass(frozen=True)
class MaxPool:
    """Windows of ``kernel`` over ``x [N, C, *sizes]``, of one to three dimensions.

    Attributes:
        kind: LLVM's name of the element type, a float's or an integer's.
        unsigned: whether integers are.
    """

    x: tuple[int, ...]
    kernel: tuple[int, ...]
    window: Window
    kind: str = "float"
    unsigned: bool = False

    @property
    def out(self) -> tuple[int, ...]:
        return (*self.x[:2], *out_sizes(self.window, self.x[2:], self.kernel))

    @property
    def lowest(self) -> float:
        if is_float(self.kind):
            return float("-inf")
        return 0 if self.unsigned else -(1 << (8 * size_of(self.kind) - 1))


def emit_max_pool(module: Module, name: str, spec: MaxPool, *, vector_bytes: int = 64) -> int:
    """``out = max_pool(x)``; args ``(runtime, x, out)``. Returns 0, the bytes of workspace."""
    p = _Pooling(module, name, spec, vector_bytes, places=False)
    x, out = p.k.pointers(2)

    def write(best: Value, _where: Value, at: Value, live: Value | None) -> None:
        p.fn.store(best, out, at, live)

    with p.k.share(p.planes * p.rows) as task:
        plane, row = digits(task, p.rows)
        p.row(x, plane, row, write)
    return 0


def emit_max_pool_take(module: Module, name: str, spec: MaxPool, *, vector_bytes: int = 64) -> int:
    """``out``: the ``values`` at the maxima of ``x``; args ``(runtime, x, values, out)``.

    Returns 0, the bytes of workspace.
    """
    p = _Pooling(module, name, spec, vector_bytes)
    x, values, out = p.k.pointers(3)

    with p.k.share(p.planes * p.rows) as task:
        plane, row = digits(task, p.rows)
        here = p.fn.address(values, plane * p.size, spec.kind)

        def write(_best: Value, where: Value, at: Value, live: Value | None) -> None:
            known = p.fn.compare("sge", where, 0)
            p.fn.store(gather(p.fn, spec.kind, here, where, known), out, at, live)

        p.row(x, plane, row, write)
    return 0


def emit_max_pool_put(module: Module, name: str, spec: MaxPool, *, vector_bytes: int = 64) -> int:
    """``out``, like ``x``: ``g`` added where the maxima are; args ``(runtime, x, g, out)``.

    Each plane is one thread's, so that windows which overlap add up in one order. They add up in
    the element type itself: 16-bit floats are to be widened before. Returns 0, the bytes of
    workspace.
    """
    p = _Pooling(module, name, spec, vector_bytes)
    fn, kind = p.fn, spec.kind
    x, g, out = p.k.pointers(3)
    places = fn.variable(vector("i32", p.lanes))
    with p.k.share(p.planes) as plane:
        here = fn.address(out, plane * p.size, kind)
        p.clear(here)

        def add(_best: Value, where: Value, at: Value, live: Value | None) -> None:
            fn.store(where, places)
            count = p.lanes if live is None else p.in_row(at)
            with fn.loop(0, count) as i:
                place = fn.load("i32", places, i)
                with fn.when(fn.compare("sge", place, 0)):
                    to = fn.address(here, fn.convert("zext", place, "i64"), kind)
                    fn.store(fn.load(kind, to) + fn.load(kind, g, at + i), to)

        with fn.loop(0, p.rows) as row:
            p.row(x, plane, row, add)
    return 0


class _Pooling:
    def __init__(
        self,
        module: Module,
        name: str,
        spec: MaxPool,
        vector_bytes: int,
        *,
        places: bool = True,
    ) -> None:
        """``places``: whether it is asked where the maxima are."""
        self.spec, self.k, self.places = spec, Kernel(module, name), places
        self.fn = self.k.fn
        self.lanes = vector_bytes // max(4, size_of(spec.kind))
        self.space = axes(spec.window, spec.x[2:], spec.kernel, False)
        self.planes = prod(spec.x[:2])
        self.size = prod(spec.x[2:])
        self.rows = self.space[0].out * self.space[1].out

    def in_row(self, at: Value) -> Value:
        """How many pixels of the vector at ``at`` of the output are in its row."""
        wide = self.space[2].out
        return self.fn.least(self.fn.const(wide, "i64") - at % wide, self.lanes)

    def clear(self, plane: Value) -> None:
        fn, kind = self.fn, self.spec.kind
        whole = self.size // self.lanes * self.lanes
        for start, stop, step in ((0, whole, self.lanes), (whole, self.size, 1)):
            with fn.loop(start, stop, step) as i:
                fn.store(fn.const(0, vector(kind, step)), plane, i)

    def row(
        self,
        x: Value,
        plane: Value,
        row: Value,
        write: Callable[[Value, Value, Value, Value | None], None],
    ) -> None:
        """Calls ``write(maxima, places in the plane, place in the output, mask)`` along a row."""
        fn, lanes, (depth, high, wide) = self.fn, self.lanes, self.space
        z, y = digits(row, high.out)
        here = fn.address(x, plane * self.size, self.spec.kind)
        first = (plane * self.rows + row) * wide.out
        with fn.loop(0, wide.out, lanes) as across:
            best = fn.variable(vector(self.spec.kind, lanes), self.spec.lowest)
            where = fn.variable(vector("i32", lanes), -1)
            start = across * wide.move + wide.phases[0].offset
            top, _, deep = reach(fn, depth, z)
            left, _, tall = reach(fn, high, y)
            with (
                fn.loop(0, deep) as kd,
                fn.loop(0, tall) as kh,
                fn.loop(0, wide.phases[0].taps) as kw,
            ):
                line = ((top + kd * depth.gap) * high.size + left + kh * high.gap) * wide.size
                self._look(here, line, start + kw * wide.gap, best, where)
            live = None
            if wide.out % lanes:
                live = fn.first_lanes(lanes, fn.const(wide.out, "i64") - across)
            found = fn.load(vector(self.spec.kind, lanes), best)
            write(found, fn.load(vector("i32", lanes), where), first + across, live)

    def _columns(self, start: Value, step: int) -> tuple[Value, Value]:
        """Columns ``start``, ``start + step``, ... and which of them are in a row of the input."""
        fn, lanes = self.fn, self.lanes
        columns = fn.splat(fn.convert("trunc", start, "i32"), lanes) + (
            fn.iota(lanes, "i32") * step
        )
        return columns, fn.compare("ult", columns, self.space[2].size)

    def _look(self, plane: Value, line: Value, start: Value, best: Value, where: Value) -> None:
        """One tap: the row at ``line`` of the plane from column ``start``."""
        fn, lanes = self.fn, self.lanes
        columns, inside = self._columns(start, self.space[2].move)
        kind = vector(self.spec.kind, lanes)
        value = self._load(fn.address(plane, line, self.spec.kind), start, columns, inside)
        before, so_far = fn.load(kind, best), fn.load(vector("i32", lanes), where)
        if is_float(kind):
            better = fn.compare("ogt", value, before) | fn.compare("uno", value, value)
        else:
            better = fn.compare("ugt" if self.spec.unsigned else "sgt", value, before)
        if self.places:  # the first one of all may be as low as what is looked for begins with
            better = better | fn.compare("slt", so_far, 0)
        better = better & inside
        fn.store(fn.select(better, value, before), best)
        places = columns + fn.splat(fn.convert("trunc", line, "i32"), lanes)
        fn.store(fn.select(better, places, so_far), where)

    def _load(self, row: Value, start: Value, columns: Value, inside: Value) -> Value:
        fn, lanes, kind = self.fn, self.lanes, vector(self.spec.kind, self.lanes)
        step = self.space[2].move
        if step == 1:
            return fn.load(kind, row, start, inside)
        if step > 2:
            return gather(fn, self.spec.kind, row, columns, inside)
        low, high = (
            fn.load(kind, row, start + k, self._columns(start + k, 1)[1]) for k in (0, lanes)
        )
        return fn.shuffle(low, high, range(0, 2 * lanes, 2))
