"""Connectionist temporal classification: loops over time, with lanes along the places of labels.

What the sums are is said by the ops' references. Each sample is one thread's.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...graph.node import Signature
from . import operations
from .conv_layout import Kernel
from .ir import Module, Value, size_of, vector
from .math import UNARY

_NEVER = -1e30  # the logarithm of 0


@dataclass(frozen=True)
class Ctc:
    """``ctc_likelihood`` or ``ctc_occupancy`` of ``x [T, N, C]`` and ``labels`` for each sample."""

    op: str
    x: tuple[int, int, int]
    labels: int
    blank: int
    kind: str

    @property
    def work(self) -> int:
        steps, count, _ = self.x
        return 64 * steps * count * self.labels  # (exponentials and logarithms)

    def __str__(self) -> str:
        return f"{self.op} of {list(self.x)}, {self.labels} labels"

    def emit(self, module: Module, name: str, vector_bytes: int) -> int:
        return _Writer(module, name, self, vector_bytes).emit()


def ctc(sig: Signature) -> Ctc:
    x, labels, *_ = sig.types
    steps, count, classes = x.shape
    kind = operations.memory_type(x.dtype.name)
    return Ctc(sig.op.name, (steps, count, classes), labels.shape[1], sig.attrs, kind)


class _Writer:
    """Rows of places have room before and behind, where no alignment is."""

    def __init__(self, module: Module, name: str, spec: Ctc, vector_bytes: int) -> None:
        self.spec, self.k = spec, Kernel(module, name)
        self.fn, self.kind = self.k.fn, spec.kind
        self.lanes = vector_bytes // size_of(spec.kind)
        self.type = vector(self.kind, self.lanes)
        places = -(-(2 * spec.labels + 1) // self.lanes) * self.lanes
        self.pitch = places + 2 * self.lanes
        self.all_rows = spec.op == "ctc_occupancy"
        self.alphas = spec.x[0] + 1 if self.all_rows else 2

    def emit(self) -> int:
        fn, (_, count, _) = self.fn, self.spec.x
        self.x, self.labels, times, sizes, self.out, space, flag = self.k.pointers(7)
        rows = self.alphas + 5
        self.start = fn.address(space, self.k.tid * (rows * self.pitch), self.kind)
        self.skip, self.beta, self.seen, self.occupied, self.places = (
            self._row(self.start, self.alphas + k) for k in range(5)
        )
        with fn.loop(0, (rows - 1) * self.pitch, self.lanes) as i:
            fn.store(fn.const(_NEVER, self.type), self.start, i)
        with self.k.share(count) as n:
            self.n, self.time, self.size = n, fn.load("i64", times, n), fn.load("i64", sizes, n)
            self.width = 2 * self.size + 1
            mine = fn.address(self.labels, n * self.spec.labels, "i64")
            fn.choose(
                self._is_good(mine),
                lambda: self._sample(mine),
                lambda: fn.store(fn.const(1, "i64"), flag),
            )
        return rows * self.pitch * size_of(self.kind)

    def _row(self, start: Value, k: int | Value) -> Value:
        return self.fn.address(start, k * self.pitch + self.lanes, self.kind)

    def _is_good(self, labels: Value) -> Value:
        fn, (steps, _, classes) = self.fn, self.spec.x
        good = fn.variable("i1")
        most = self.spec.labels
        fn.store(fn.compare("ule", self.time, steps) & fn.compare("ule", self.size, most), good)
        with fn.loop(0, fn.least(self.size, most)) as k:
            within = fn.compare("ult", fn.load("i64", labels, k), classes)
            fn.store(fn.load("i1", good) & within, good)
        return fn.load("i1", good)

    def _sample(self, labels: Value) -> None:
        self._set_up(labels)
        total = self._beginnings()
        if self.all_rows:
            self._occupancy(total)
        else:
            self.fn.store(total, self.out, self.n)

    def _set_up(self, labels: Value) -> None:
        """``blank, label, blank, ...``, and from where one may jump over a blank."""
        fn, blank = self.fn, self.spec.blank
        with fn.loop(0, self.width, self.lanes) as s:
            fn.store(fn.const(blank, vector("i32", self.lanes)), self.places, s)
            fn.store(fn.const(_NEVER, self.type), self.skip, s)
            fn.store(fn.const(_NEVER, self.type), self._row(self.start, 0), s)
        fn.store(fn.const(0, self.kind), self._row(self.start, 0))
        before = fn.variable("i64", blank)
        with fn.loop(0, self.size) as k:
            label = fn.load("i64", labels, k)
            fn.store(fn.convert("trunc", label, "i32"), self.places, 2 * k + 1)
            other = fn.compare("ne", label, blank) & fn.compare("ne", label, fn.load("i64", before))
            jump = fn.select(other, fn.const(0, self.kind), _NEVER)
            fn.store(fn.select(fn.compare("eq", k, 0), _NEVER, jump), self.skip, 2 * k + 1)
            fn.store(label, before)

    def _alpha(self, t: Value) -> Value:
        return self._row(self.start, t if self.all_rows else t % 2)

    def _emitted(self, t: Value, s: Value) -> Value:
        fn, (_, count, classes) = self.fn, self.spec.x
        now = fn.address(self.x, (t * count + self.n) * classes, self.kind)
        places = fn.load(vector("i32", self.lanes), self.places, s)
        value = operations.gather(fn, self.kind, now, places, None)
        # (a NaN stays)
        return fn.select(fn.compare("olt", value, _NEVER), _NEVER, value)

    def _log_sum(self, *terms: Value) -> Value:
        fn = self.fn
        most = terms[0]
        for x in terms[1:]:
            most = fn.select(fn.compare("ogt", x, most), x, most)
        total: Value | None = None
        for x in terms:
            part = UNARY["exp"](fn, x - most)
            total = part if total is None else total + part
        assert total is not None
        return most + UNARY["log"](fn, total)

    def _beginnings(self) -> Value:
        """The rows of beginnings; the log probability of all alignments."""
        fn = self.fn
        with fn.loop(0, self.time) as t:
            before, after = self._alpha(t), self._alpha(t + 1)
            with fn.loop(0, self.width, self.lanes) as s:
                same, one, two = (fn.load(self.type, before, s - k) for k in range(3))
                reached = self._log_sum(same, one, two + fn.load(self.type, self.skip, s))
                fn.store(reached + self._emitted(t, s), after, s)
        last = self._alpha(self.time)
        return self._log_sum(*[fn.load(self.kind, last, self.width - k) for k in (1, 2)])

    def _occupancy(self, total: Value) -> None:
        fn, (steps, count, classes) = self.fn, self.spec.x
        with fn.loop(0, steps) as t:
            self._clear((t * count + self.n) * classes)
        with fn.loop(0, self.width, self.lanes) as s:
            fn.store(fn.const(_NEVER, self.type), self.beta, s)
        for back in (2, 1):  # (a label that is not there is before the first place)
            fn.store(fn.const(0, self.kind), self.beta, self.width - back)
        fn.store(fn.const(_NEVER, self.kind), self.beta, -1)
        with fn.when(fn.compare("ogt", total, _NEVER / 2)), fn.loop(0, self.time) as k:
            self._step_back(self.time - 1 - k, total)

    def _clear(self, start: Value) -> None:
        fn, classes, lanes = self.fn, self.spec.x[2], self.lanes
        with fn.loop(0, classes, lanes) as c:
            live = None
            if classes % lanes:
                live = fn.first_lanes(lanes, fn.const(classes, "i64") - c)
            fn.store(fn.const(0, self.type), self.out, start + c, live)

    def _step_back(self, t: Value, total: Value) -> None:
        fn, (_, count, classes) = self.fn, self.spec.x
        alpha = self._alpha(t + 1)
        all_total = fn.splat(total, self.lanes)
        with fn.loop(0, self.width, self.lanes) as s:
            beta = fn.load(self.type, self.beta, s)
            through = fn.load(self.type, alpha, s) + beta - all_total
            fn.store(UNARY["exp"](fn, through), self.occupied, s)
            fn.store(beta + self._emitted(t, s), self.seen, s)
        fn.store(fn.const(_NEVER, self.type), self.seen, self.width)
        out = fn.address(self.out, (t * count + self.n) * classes, self.kind)
        with fn.loop(0, self.width) as s:
            place = fn.convert("sext", fn.load("i32", self.places, s), "i64")
            value = fn.load(self.kind, self.occupied, s)
            fn.store(fn.load(self.kind, out, place) + value, out, place)
        with fn.loop(0, self.width, self.lanes) as s:
            same, one, two = (fn.load(self.type, self.seen, s + k) for k in range(3))
            jump = fn.load(self.type, self.skip, s + 2)
            fn.store(self._log_sum(same, one, two + jump), self.beta, s)
