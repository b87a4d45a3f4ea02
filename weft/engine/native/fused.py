"""Matrix products and convolutions whose sums go through elementwise ops before they are stored.

A bias, an activation, a residual, a normalisation by known statistics: the loop that would read the
product reads its sums in registers instead, and the product itself is never written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from . import operations
from .conv import Conv
from .ir import Function, Value, lanes as lanes_of, vector
from .loop_spec import Apply, Load, Loop, Store, collapse
from .matmul import DEPTH, Matmul
from .operations import memory_type
from .views import dense_strides

#: The loop's buffers follow those of a product: operands, result, workspace.
FIRST_BUFFER = 4
_KINDS = {"float32": "float", "float64": "double"}
_NOT_ELEMENTWISE = ("dropout", "random_uniform", "random_normal", "random_bits")

#: For a load or store: how far from where its buffer begins, and whether lanes lie side by side.
Place = Callable[[Load | Store], tuple[Value, bool]]


@dataclass(frozen=True)
class Fused:
    """A product, and the loop over its elements that reads it as buffer ``source``.

    Buffer k of the loop is word ``5 + k``; a convolution writes the loop's first store to word 3.
    """

    product: Matmul | Conv
    loop: Loop
    source: int

    def after_matmul(
        self,
        fn: Function,
        args: Value,
        sums: Value,
        batch: Value,
        row: Value,
        column: Value,
        mask: Value | None,
    ) -> None:
        """What is done with a vector of sums (``matmul/epilogue.py``)."""
        place = self._place_in_matmul(batch, row, column)
        values = self._values(fn, args, sums, place, mask)
        for store in self.loop.stores:
            self._store(fn, args, store, values, place(store)[0], mask)

    def before_matmul(
        self, fn: Function, args: Value, batch: Value, row: Value, column: Value
    ) -> None:
        """Asks for what :meth:`after_matmul` will read."""
        place = self._place_in_matmul(batch, row, column)
        for code in self.loop.code:
            if isinstance(code, Load) and code.buffer != self.source:
                at, side_by_side = place(code)
                if side_by_side:
                    pointer = fn.load("ptr", args, 1 + FIRST_BUFFER + code.buffer)
                    fn.prefetch(fn.address(pointer, at, memory_type(code.dtype)))

    def _place_in_matmul(self, batch: Value, row: Value, column: Value) -> Place:
        assert isinstance(self.product, Matmul)
        row, n = batch * self.product.m + row, self.product.n

        def place(access: Load | Store) -> tuple[Value, bool]:
            at = row * access.strides[0] + column * access.strides[-1]
            if len(self.loop.shape) == 1:
                at = (row * n + column) * access.strides[0]
            return at + access.offset, access.strides[-1] == 1

        return place

    def after_conv(
        self,
        fn: Function,
        args: Value,
        value: Value,
        channel: Value,
        offset: Value,
        mask: Value | None,
    ) -> Value:
        """Likewise, of consecutive elements of one channel; what is returned is written."""
        dense = dense_strides(self.loop.shape)

        def place(access: Load | Store) -> tuple[Value, bool]:
            if access.strides == dense:
                return offset + access.offset, True
            return channel * sum(access.strides) + access.offset, False

        values = self._values(fn, args, value, place, mask)
        first, *others = self.loop.stores
        for store in others:
            self._store(fn, args, store, values, place(store)[0], mask)
        return operations.stored(fn, values[first.value], first.dtype)

    def _values(
        self, fn: Function, args: Value, sums: Value, place: Place, mask: Value | None
    ) -> list[Value]:
        lanes = lanes_of(sums.type)
        flags, fn.flags = fn.flags, ""  # each op rounds, as in a loop
        values: list[Value] = []
        for code in self.loop.code:
            if isinstance(code, Apply):
                arguments = [values[a] for a in code.arguments]
                values.append(operations.apply(fn, code.op, code.source, code.dtype, arguments))
                continue
            assert isinstance(code, Load)
            if code.buffer == self.source:
                values.append(sums)
                continue
            (at, side_by_side), kind = place(code), memory_type(code.dtype)
            pointer = fn.load("ptr", args, 1 + FIRST_BUFFER + code.buffer)
            if side_by_side and lanes > 1:
                value = fn.load(vector(kind, lanes), fn.address(pointer, at, kind), 0, mask)
                values.append(operations.loaded(fn, value, code.dtype))
            else:
                one = operations.loaded(fn, fn.load(kind, pointer, at), code.dtype)
                values.append(fn.splat(one, lanes))
        fn.flags = flags
        return values

    def _store(
        self,
        fn: Function,
        args: Value,
        store: Store,
        values: list[Value],
        at: Value,
        mask: Value | None,
    ) -> None:
        pointer = fn.load("ptr", args, 1 + FIRST_BUFFER + store.buffer)
        value = operations.stored(fn, values[store.value], store.dtype)
        fn.store(value, fn.address(pointer, at, memory_type(store.dtype)), 0, mask)


def fused(product: Matmul | Conv, loop: Loop, source: int) -> Fused | None:
    """None where the loop is not one over the elements of the product, as they lie."""
    loop = collapse(loop)
    if any(loop.reduced) or not all(_is_plain(c, product.kind) for c in (*loop.code, *loop.stores)):
        return None
    mine = [c for c in loop.code if isinstance(c, Load) and c.buffer == source]
    if not mine or any(c.strides != dense_strides(loop.shape) or c.offset for c in mine):
        return None
    fits = _fits_conv if isinstance(product, Conv) else _fits_matmul
    return Fused(product, loop, source) if fits(product, loop) else None  # type: ignore[arg-type]


def _is_plain(code: object, kind: str) -> bool:
    """Is it elementwise, of the product's dtype or bool?"""
    if isinstance(code, Apply):
        kinds = {code.source, code.dtype}
        return code.op not in _NOT_ELEMENTWISE and all(
            d == "bool" or _KINDS.get(d) == kind for d in kinds
        )
    if isinstance(code, (Load, Store)):
        return code.dtype == "bool" or _KINDS.get(code.dtype) == kind
    return False


def _fits_matmul(product: Matmul, loop: Loop) -> bool:
    """Is it over rows and columns, and is each operand read along rows?"""
    if product.k > DEPTH or loop.size != prod(product.batch) * product.m * product.n:
        return False
    if len(loop.shape) not in (1, 2) or (len(loop.shape) == 2 and loop.shape[1] != product.n):
        return False
    loads = [c for c in loop.code if isinstance(c, Load)]
    return all(c.strides[-1] in (0, 1) for c in loads) and all(
        s.strides[-1] == 1 for s in loop.stores
    )


def _fits_conv(conv: Conv, loop: Loop) -> bool:
    """Is each operand as the output, or one number for each channel, or for all?"""
    images, channels, *pixels = conv.out
    shapes = [(loop.size,), (images, channels, prod(pixels))]
    if images == 1:
        shapes.append((channels, prod(pixels)))
    if loop.size != prod(conv.out) or loop.shape not in shapes or prod(pixels) == 1:
        return False
    dense = dense_strides(loop.shape)
    by_channel = len(loop.shape) - 2
    loads = [c for c in loop.code if isinstance(c, Load)]
    return all(
        c.strides == dense or not any(s for k, s in enumerate(c.strides) if k != by_channel)
        for c in loads
    ) and all(s.strides == dense for s in loop.stores)
