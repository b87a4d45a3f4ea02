"""Values that must lie within bounds."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from ...graph.node import Signature
from . import operations
from .conv_layout import Kernel
from .ir import Module, Value, vector


@dataclass(frozen=True)
class InRange:
    """A copy of ``size`` floats, which raises the flag for one that is out of bounds.

    A NaN is found only where there are two bounds.
    """

    size: int
    low: float
    high: float
    dtype: str

    @property
    def work(self) -> int:
        return self.size

    def __str__(self) -> str:
        return f"in_range   of {self.size}"

    def emit(self, module: Module, name: str, vector_bytes: int) -> int:
        k = Kernel(module, name)
        fn, memory = k.fn, operations.memory_type(self.dtype)
        lanes = operations.lanes_for([self.dtype], vector_bytes)
        x, out, _, flag = k.pointers(4)
        found = fn.variable(vector("i1", lanes), 0)

        def block(at: Value, live: Value | None) -> None:
            value = fn.load(vector(memory, lanes), x, at, live)
            fn.store(value, out, at, live)
            value = operations.loaded(fn, value, self.dtype)
            wrong = fn.compare("olt", value, self.low)
            if self.high != inf:
                within = fn.compare("oge", value, self.low) & fn.compare("ole", value, self.high)
                wrong = ~within
            if live is not None:
                wrong = wrong & live
            fn.store(fn.load(wrong.type, found) | wrong, found)

        with k.share(self.size // lanes) as n:
            block(n * lanes, None)
        if self.size % lanes:
            with fn.when(fn.compare("eq", k.tid, 0)):
                whole = self.size // lanes * lanes
                block(fn.const(whole, "i64"), fn.first_lanes(lanes, self.size - whole))
        bits = fn.convert("bitcast", fn.load(vector("i1", lanes), found), f"i{lanes}")
        with fn.when(fn.compare("ne", bits, 0)):
            fn.store(fn.const(1, "i64"), flag)
        return 0


def in_range(sig: Signature) -> InRange | None:
    _, low, high = sig.attrs
    kind = sig.type.dtype
    return InRange(sig.type.size, low, high, kind.name) if kind.is_floating_point else None
