"""Attention and its gradients without the matrix of scores: some rows of it at a time.

For each sample and head a thread takes blocks of queries. Their scores, for the keys that they may
see, stay in the cache: softmax, the product with the values, and the gradients are computed from
there. Gradients compute the scores once more. What is masked out is not computed, but for part of
the blocks on the diagonal. (Rabe and Staats, 2021, arXiv:2112.05682; Dao et al., 2022,
arXiv:2205.14135: with rows of the scores as long as they are, no softmax is corrected.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod

from ...graph.body import Body, Gradient, Part
from ...graph.node import Signature
from . import operations
from .conv_layout import Kernel, transpose
from .ir import Function, Module, Value, size_of, vector
from .math import UNARY
from .matmul.epilogue import batch_offset
from .views import Shape, View, dense_strides

#: Queries of a block, and rows of a tile (of processors with 32 vector registers, and with 16).
_BLOCK, _ROWS, _FEW_ROWS = 16, 8, 4
#: Vectors that a tile is wide.
_VECTORS = 2

#: With fewer queries or keys, and fewer samples and heads for the threads, products are better.
_FEWEST, _FEWEST_HEADS = 64, 8
#: Without a mask half of nothing is saved: then it is the memory of the scores.
_LONG = 512
_MOST_FEATURES = 256


def is_attention(body: Body) -> bool:
    """Is it attention, or its first gradient, for which this kernel is better than products?"""
    forward = body.forward
    name, options = forward.rule
    if name != "attention" or len(forward.inputs) != 3:
        return False
    q, k, v = forward.inputs
    queries, keys, lead = q.shape[-2], k.shape[-2], q.shape[:-2]
    return (
        lead == k.shape[:-2] == v.shape[:-2]
        and prod(lead) >= _FEWEST_HEADS
        and min(queries, keys) >= (_FEWEST if options[0] else _LONG)
        and 0 < q.shape[-1] <= _MOST_FEATURES
        and 0 < v.shape[-1] <= _MOST_FEATURES
    )


@dataclass(frozen=True)
class Attention:
    """``softmax(q k^T scale) v`` of ``q [*lead, queries, features]`` and so on; or its gradients.

    Attributes:
        strides: of all dimensions but the last, which is contiguous, for q, k, v, and for the
            gradient of the result if gradients are computed.
        wanted: gradients of which of q, k and v follow one another in the result; None for the
            values themselves.
    """

    lead: Shape
    queries: int
    keys: int
    features: int
    values: int
    strides: tuple[Shape, ...]
    causal: bool
    scale: float
    wanted: tuple[int, ...] | None
    dtype: str

    @property
    def work(self) -> int:
        products = 1 if self.wanted is None else 3
        seen = self.queries * self.keys // (1 + self.causal)
        return products * prod(self.lead) * seen * (self.features + self.values)

    @property
    def size(self) -> int:
        """Elements of all results together."""
        return sum([view.size for view in self.results])

    @property
    def results(self) -> list[View]:
        """Where each result is. What heads give for a query lies side by side: attention is mostly
        followed by a product with all of it.
        """
        q, k = (self.queries, self.features), (self.keys, self.features)
        of_inputs = (q, k, (self.keys, self.values))
        rows = [(self.queries, self.values)]
        if self.wanted is not None:
            rows = [of_inputs[n] for n in self.wanted]
        found, start = [], 0
        for count, row in rows:
            shape = (*self.lead, count, row)
            strides = dense_strides(shape)
            if len(self.lead) > 1:
                *outer, heads = self.lead
                *before, per_row, per_head, one = dense_strides((*outer, count, heads, row))
                strides = (*before, per_head, per_row, one)
            found.append(View(shape, strides, start))
            start += prod(shape)
        return found

    def placed(self, views: list[View]) -> Attention:
        """The same of operands that lie so."""
        return replace(self, strides=tuple([view.strides[:-1] for view in views]))

    def __str__(self) -> str:
        what = "attention" if self.wanted is None else "attention's gradients"
        mask = ", causal" if self.causal else ""
        return f"{what} {list(self.lead)} x {self.queries} x {self.keys}{mask}"

    def emit(self, module: Module, name: str, vector_bytes: int) -> int:
        return _Writer(module, name, self, vector_bytes).emit()


def attention(sig: Signature) -> Attention | None:
    """Of a ``piece`` of such a call: the kernel of the whole call."""
    body = sig.attrs.body if isinstance(sig.attrs, Part) else None
    if body is None or not is_attention(body):
        return None
    causal, scale, _ = body.forward.rule[1]
    q, _, v = body.inputs[:3]
    return Attention(
        lead=q.shape[:-2],
        queries=q.shape[-2],
        keys=v.shape[-2],
        features=q.shape[-1],
        values=v.shape[-1],
        strides=tuple([dense_strides(t.shape)[:-1] for t in body.inputs]),
        causal=causal,
        scale=scale,
        wanted=body.source.wanted if isinstance(body.source, Gradient) else None,
        dtype="float32" if q.dtype.is_reduced else q.dtype.name,
    )


class _Room:
    """Parts of a thread's workspace, in elements."""

    def __init__(self) -> None:
        self.size = 0

    def take(self, count: int) -> int:
        start, self.size = self.size, self.size + -(-count // 16) * 16
        return start


class _Writer:
    """Rows in the workspace are padded to whole vectors, with zeros."""

    def __init__(self, module: Module, name: str, spec: Attention, vector_bytes: int) -> None:
        self.spec, self.k = spec, Kernel(module, name)
        self.fn, self.module = self.k.fn, module
        self.kind = operations.memory_type(spec.dtype)
        self.lanes = lanes = vector_bytes // size_of(self.kind)
        self.type = vector(self.kind, lanes)
        self.height = _ROWS if module.avx512 else _FEW_ROWS
        self.width = _VECTORS * lanes
        self.panels = -(-spec.keys // self.width)
        self.features, self.values = self._padded(spec.features), self._padded(spec.values)
        # (an odd number of vectors: rows one below the other are not in one set of the cache)
        self.pitch = (self.panels * _VECTORS + 1) * lanes
        self.gradient = spec.wanted is not None

    def _padded(self, count: int) -> int:
        return -(-count // self.lanes) * self.lanes

    def emit(self) -> int:
        spec, fn = self.spec, self.fn
        *operands, out, space = self.k.pointers(len(spec.strides) + 2)
        room = _Room()
        keys = self.panels * self.width
        places = {
            "q": room.take(_BLOCK * self.features),
            "k_turned": room.take(keys * self.features),
            "v": room.take(keys * self.values),
            "scores": room.take(_BLOCK * self.pitch),
            "out": room.take(_BLOCK * max(self.features, self.values)),
            "totals": room.take(_BLOCK),
        }
        if self.gradient:
            places |= {
                "g": room.take(_BLOCK * self.values),
                "k": room.take(keys * self.features),
                "weights": room.take(_BLOCK * self.pitch),
                "dk": room.take(keys * self.features),
                "dv": room.take(keys * self.values),
            }
        start = self.k.tid * room.size
        self.at = {name: fn.address(space, start + at, self.kind) for name, at in places.items()}
        self.out = out
        with self.k.share(prod(spec.lead)) as head:
            q, k, v, *g = [
                fn.address(x, batch_offset(fn, head, spec.lead, strides[:-1]), self.kind)
                for x, strides in zip(operands, spec.strides, strict=True)
            ]
            self._take_keys(k, v)
            with fn.loop(0, spec.queries, _BLOCK) as first:
                live = fn.least(spec.queries - first, fn.const(_BLOCK, "i64"))
                self._rows(q, 0, first, live, self.at["q"], spec.scale)
                seen = fn.const(spec.keys, "i64")
                if spec.causal:
                    seen = fn.least(first + _BLOCK, spec.keys)
                if self.gradient:
                    self._rows(g[0], 3, first, live, self.at["g"])
                    self._gradients(head, first, live, seen)
                else:
                    self._values(head, first, live, seen)
            if self.gradient:
                self._give_keys(head)
        return room.size * size_of(self.kind)

    # ---- what is read

    def _take_keys(self, k: Value, v: Value) -> None:
        fn, spec = self.fn, self.spec
        self._turned(k, 1, spec.features, self.at["k_turned"])
        every, zero = fn.const(spec.keys, "i64"), fn.const(0, "i64")
        if not self.gradient:
            self._rows(v, 2, zero, every, self.at["v"])
            return
        self._turned(v, 2, spec.values, self.at["v"])
        self._rows(k, 1, zero, every, self.at["k"])
        for name, row in (("dk", self.features), ("dv", self.values)):
            with fn.loop(0, self.panels * self.width * row, self.lanes) as i:
                fn.store(fn.const(0, self.type), self.at[name], i)

    def _columns(self, count: int) -> Iterator[tuple[int, Value | None]]:
        """Vectors of a row, and which lanes there are."""
        for start in range(0, count, self.lanes):
            left = count - start
            yield start, self.fn.first_lanes(self.lanes, left) if left < self.lanes else None

    def _rows(
        self, x: Value, operand: int, first: Value, live: Value, to: Value, scale: float = 1.0
    ) -> None:
        """``live`` rows of an operand, and zeros up to a whole block."""
        fn, spec = self.fn, self.spec
        count = spec.features if operand < 2 else spec.values
        row, stride = self._padded(count), spec.strides[operand][-1]
        with fn.loop(0, live) as r:
            source, target = (first + r) * stride, r * row
            for start, mask in self._columns(count):
                value = fn.load(self.type, x, source + start, mask)
                fn.store(value * scale if scale != 1 else value, to, target + start)
        if operand in (0, 3):
            with fn.loop(live * row, _BLOCK * row, self.lanes) as i:
                fn.store(fn.const(0, self.type), to, i)

    def _turned(self, x: Value, operand: int, count: int, to: Value) -> None:
        """``to[panel][feature][width]``: keys side by side; after the last one it comes again."""
        fn, lanes, stride = self.fn, self.lanes, self.spec.strides[operand][-1]
        padded = self._padded(count)
        last = fn.const(self.spec.keys - 1, "i64")
        with fn.loop(0, self.panels * self.width, lanes) as first:
            panel = first // self.width * (self.width * padded) + first % self.width
            for start, mask in self._columns(count):
                rows = [
                    fn.load(self.type, x, fn.least(first + r, last) * stride + start, mask)
                    for r in range(lanes)
                ]
                for r, value in enumerate(transpose(fn, rows)):
                    fn.store(value, to, panel + (start + r) * self.width)

    # ---- products

    def _tile(self, vectors: int, rows: tuple[int, int], b_row: int, c_row: int, add: bool) -> str:
        """``c [height, vectors] (+)= a b``; ``rows``: how far rows and columns of a are apart."""
        height, lanes, kind = self.height, self.lanes, self.kind
        a_row, a_step = rows
        name = f"attend_{kind}_{vectors}_{a_row}_{a_step}_{b_row}_{c_row}_{int(add)}"

        def build(fn: Function) -> None:
            depth, a, b, c = fn.arguments
            sums = [[fn.variable(self.type, 0) for _ in range(vectors)] for _ in range(height)]
            with fn.loop(0, depth) as k:
                at = fn.address(a, k * a_step, kind)
                right = [fn.load(self.type, b, k * b_row + j * lanes) for j in range(vectors)]
                for i, row in enumerate(sums):
                    left = fn.splat(fn.load(kind, at, i * a_row), lanes)
                    for place, value in zip(row, right, strict=True):
                        fn.store(left * value + fn.load(self.type, place), place)
            for i, row in enumerate(sums):
                for j, place in enumerate(row):
                    total, at_c = fn.load(self.type, place), i * c_row + j * lanes
                    fn.store(total + fn.load(self.type, c, at_c) if add else total, c, at_c)

        arguments = [("depth", "i64"), ("a", "ptr"), ("b", "ptr"), ("c", "ptr")]
        return self.module.shared(name, arguments, build)

    def _scores(self, a: Value, panels: Value, count: int, seen: Value, to: Value) -> None:
        """Rows of a block times all columns of panels that are seen."""
        fn, padded = self.fn, self._padded(count)
        tile = self._tile(_VECTORS, (padded, 1), self.width, self.pitch, add=False)
        depth = fn.const(count, "i64")
        with fn.loop(0, (seen + self.width - 1) // self.width) as p:
            panel = fn.address(panels, p * (padded * self.width), self.kind)
            with fn.loop(0, _BLOCK, self.height) as r:
                here = fn.address(to, r * self.pitch + p * self.width, self.kind)
                fn.call_void(tile, depth, fn.address(a, r * padded, self.kind), panel, here)

    def _product(
        self,
        a: Value,
        rows: tuple[int, int],
        b: Value,
        row: int,
        c: Value,
        shape: tuple[Value, Value],
    ) -> None:
        """``c += a b`` for c of several tiles if a is turned, else ``c = a b`` for a block's rows.

        Args:
            row: of b and c.
            shape: how many rows c has, and how many b has.
        """
        fn, add = self.fn, rows[0] == 1
        count, depth = shape
        with fn.loop(0, count, self.height) as r:
            left = fn.address(a, r * rows[0], self.kind)
            for start in range(0, row, self.width):
                vectors = min(_VECTORS, (row - start) // self.lanes)
                tile = self._tile(vectors, rows, row, row, add)
                here = fn.address(c, r * row + start, self.kind)
                fn.call_void(tile, depth, left, fn.address(b, start, self.kind), here)

    # ---- softmax

    @contextmanager
    def _each_row(self, first: Value, seen: Value) -> Iterator[tuple[Value, Value, Value]]:
        """A row of the block, where it begins, and how many keys it sees."""
        fn = self.fn
        with fn.loop(0, _BLOCK) as r:
            yield r, r * self.pitch, fn.least(first + r + 1, seen) if self.spec.causal else seen

    def _seen_vectors(self, row: Value, count: Value) -> Iterator[tuple[Value, Value | None]]:
        """Where vectors of a row begin, for a loop over whole ones, and then the rest of it."""
        fn = self.fn
        whole = count // self.lanes * self.lanes
        with fn.loop(0, whole, self.lanes) as i:
            yield row + i, None
        yield row + whole, fn.first_lanes(self.lanes, count - whole)

    def _softmax(self, first: Value, seen: Value) -> None:
        """The scores become exponentials, of which the sums go to ``totals``; zeros follow them."""
        fn, dtype, scores = self.fn, self.spec.dtype, self.at["scores"]
        most, total = fn.variable(self.type), fn.variable(self.type)
        low = operations.identity("max", dtype)
        with self._each_row(first, seen) as (r, row, count):
            fn.store(fn.const(low, self.type), most)
            for at, mask in self._seen_vectors(row, count):
                value = fn.load(self.type, scores, at)
                value = value if mask is None else fn.select(mask, value, low)
                so_far = fn.load(self.type, most)
                fn.store(operations.combine(fn, "max", dtype, so_far, value), most)
            top = fn.splat(
                operations.across(fn, "max", dtype, fn.load(self.type, most)), self.lanes
            )
            fn.store(fn.const(0, self.type), total)
            for at, mask in self._seen_vectors(row, count):
                value = UNARY["exp"](fn, fn.load(self.type, scores, at) - top)
                value = value if mask is None else fn.select(mask, value, 0)
                fn.store(value, scores, at)
                fn.store(fn.load(self.type, total) + value, total)
            with fn.loop(count // self.lanes + 1, self.pitch // self.lanes) as rest:
                fn.store(fn.const(0, self.type), scores, row + rest * self.lanes)
            whole = operations.across(fn, "sum", dtype, fn.load(self.type, total))
            fn.store(fn.const(1, self.kind) / whole, self.at["totals"], r)

    # ---- what is computed

    def _values(self, head: Value, first: Value, live: Value, seen: Value) -> None:
        fn, spec, at = self.fn, self.spec, self.at
        self._scores(at["q"], at["k_turned"], spec.features, seen, at["scores"])
        self._softmax(first, seen)
        block = fn.const(_BLOCK, "i64")
        self._product(at["scores"], (self.pitch, 1), at["v"], self.values, at["out"], (block, seen))
        to, pitch = self._result(0, head, first)
        with fn.loop(0, live) as r:
            factor = fn.splat(fn.load(self.kind, at["totals"], r), self.lanes)
            for start, mask in self._columns(spec.values):
                value = fn.load(self.type, at["out"], r * self.values + start)
                fn.store(value * factor, to, r * pitch + start, mask)

    def _gradients(self, head: Value, first: Value, live: Value, seen: Value) -> None:
        fn, spec, at = self.fn, self.spec, self.at
        assert spec.wanted is not None
        self._scores(at["q"], at["k_turned"], spec.features, seen, at["scores"])
        self._softmax(first, seen)
        self._scores(at["g"], at["v"], spec.values, seen, at["weights"])
        self._through_softmax(first, seen)
        # now the weights are in "scores", and the gradients of the scores in "weights"
        block, turned = fn.const(_BLOCK, "i64"), (1, self.pitch)
        if 2 in spec.wanted:
            self._product(at["scores"], turned, at["g"], self.values, at["dv"], (seen, block))
        if 1 in spec.wanted:
            self._product(at["weights"], turned, at["q"], self.features, at["dk"], (seen, block))
        if 0 in spec.wanted:
            rows = self.pitch, 1
            self._product(at["weights"], rows, at["k"], self.features, at["out"], (block, seen))
            to = self._result(0, head, first)
            self._give(at["out"], spec.features, live, to, spec.scale)

    def _through_softmax(self, first: Value, seen: Value) -> None:
        """From exponentials and gradients of the weights to weights and gradients of the scores."""
        fn, at, dtype = self.fn, self.at, self.spec.dtype
        exponentials, gradients = at["scores"], at["weights"]
        total = fn.variable(self.type)
        with self._each_row(first, seen) as (r, row, count):
            factor = fn.splat(fn.load(self.kind, at["totals"], r), self.lanes)
            end = row + (count + self.lanes - 1) // self.lanes * self.lanes
            fn.store(fn.const(0, self.type), total)
            with fn.loop(row, end, self.lanes) as i:
                weight = fn.load(self.type, exponentials, i) * factor
                fn.store(weight, exponentials, i)
                part = weight * fn.load(self.type, gradients, i)
                fn.store(fn.load(self.type, total) + part, total)
            mean = operations.across(fn, "sum", dtype, fn.load(self.type, total))
            mean = fn.splat(mean, self.lanes)
            with fn.loop(row, end, self.lanes) as i:
                value = fn.load(self.type, gradients, i) - mean
                fn.store(fn.load(self.type, exponentials, i) * value, gradients, i)
            with fn.loop(end, row + self.pitch, self.lanes) as i:
                fn.store(fn.const(0, self.type), gradients, i)

    def _give_keys(self, head: Value) -> None:
        fn, spec = self.fn, self.spec
        assert spec.wanted is not None
        every = fn.const(spec.keys, "i64")
        for name, operand, count in (("dk", 1, spec.features), ("dv", 2, spec.values)):
            if operand in spec.wanted:
                to = self._result(spec.wanted.index(operand), head, fn.const(0, "i64"))
                self._give(self.at[name], count, every, to)

    def _result(self, n: int, head: Value, first: Value) -> tuple[Value, int]:
        """Where the rows of a result begin, from a head's ``first`` on; how far they are apart."""
        view = self.spec.results[n]
        *lead, pitch, _ = view.strides
        start = batch_offset(self.fn, head, self.spec.lead, lead) + first * pitch + view.offset
        return self.fn.address(self.out, start, self.kind), pitch

    def _give(
        self, x: Value, count: int, live: Value, to: tuple[Value, int], scale: float = 1.0
    ) -> None:
        """Rows of the workspace to the result."""
        fn, row = self.fn, self._padded(count)
        with fn.loop(0, live) as r:
            for start, mask in self._columns(count):
                value = fn.load(self.type, x, r * row + start)
                value = value * scale if scale != 1 else value
                fn.store(value, to[0], r * to[1] + start, mask)
