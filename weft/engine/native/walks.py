"""What a loop kernel computes in which of its walks, and what it keeps from one to the next.

A value that several walks need is computed again in each, unless that costs more than to keep it:
then its first walk puts it aside for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from .loop_spec import Apply, Gather, Instruction, Load, Loop, Reduce

#: In instructions, about; of what is not listed, 1.
_COSTS = {
    "div": 8, "reciprocal": 8, "sqrt": 8, "rsqrt": 12, "exp": 16, "exp2": 16, "expm1": 16,
    "log": 16, "log1p": 24, "log2": 16, "log10": 16, "sigmoid": 24, "tanh": 24, "erf": 32,
    "erfc": 60, "sin": 24, "cos": 24, "pow": 60, "dropout": 60, "random_uniform": 60,
    "random_normal": 100, "random_bits": 60,
}  # fmt: skip

#: Values that cost less are computed again.
_WORTH_KEEPING = 10
_GATHERING = 8

#: Of code that is written out for each vector: so many instructions, about.
MOST_CODE = 640
#: Vectors side by side that are reduced together along columns: neighbours come at once.
_STRIPS = 8
#: A walk over so many points takes all columns, if they are not more vectors: rows are then read
#: whole, page by page.
_LONG_WALK, _WHOLE_ROW = 1 << 18, 64


def cost(code: Instruction, axis: int | None) -> int:
    """In instructions, about, of vectors along ``axis``."""
    if isinstance(code, Apply):
        return _COSTS.get(code.op, 1)
    lies_apart = isinstance(code, Load) and axis is not None and code.strides[axis] not in (0, 1)
    return _GATHERING if lies_apart or isinstance(code, Gather) else 1


def strips(loop: Loop, axis: int | None, walked: Sequence[int], lanes: int) -> int:
    """Of a walk down columns: how many vectors side by side it takes with it."""
    assert axis is not None
    vectors = -(-loop.shape[axis] // lanes)
    points = prod([loop.shape[k] for k in walked]) * loop.shape[axis]
    code = sum([cost(c, axis) for c in loop.code])
    if _LONG_WALK <= points < loop.size and vectors <= _WHOLE_ROW and vectors * code <= MOST_CODE:
        return vectors
    return max([n for n in range(1, _STRIPS + 1) if vectors % n == 0], default=1)


class Walks:
    """Of one loop.

    Attributes:
        count: how many there are, be it that the last has nothing to do.
        kept: by value, the walk that computes it for the later ones.
    """

    def __init__(
        self,
        loop: Loop,
        passes: Sequence[int],
        is_inner: Sequence[bool],
        is_stored_inside: Sequence[bool],
        axis: int | None,
    ) -> None:
        """``passes``: the first walk in which each value can be had; ``is_inner``: does it change
        along a walk; ``is_stored_inside``: of each store, whether a walk does it.
        """
        self._loop, self._inner, self._axis = loop, is_inner, axis
        stores = list(zip(loop.stores, is_stored_inside, strict=True))
        self.count = 1 + max([passes[s.value] for s in loop.stores], default=0)
        self.kept: dict[int, int] = {}
        self._first: dict[int, int] = {}
        for walk in range(self.count):
            roots = [
                c.argument
                for k, c in enumerate(loop.code)
                if isinstance(c, Reduce) and passes[k] == walk + 1
            ]
            roots += [s.value for s, inside in stores if inside and passes[s.value] == walk]
            self._visit(roots, walk)

    def _visit(self, roots: list[int], walk: int) -> None:
        waiting, seen = roots, set[int]()
        while waiting:
            k = waiting.pop()
            if k in seen or not self._inner[k]:
                continue
            seen.add(k)
            first = self._first.setdefault(k, walk)
            if first < walk and (k in self.kept or self._is_worth_keeping(k)):
                self.kept[k] = first
            else:
                waiting += arguments(self._loop.code[k])

    def _is_worth_keeping(self, k: int) -> bool:
        return self._loop.code[k].dtype != "bool" and self._cost(k) >= _WORTH_KEEPING

    def _cost(self, k: int) -> int:
        """Of computing a value again."""
        total, waiting, seen = 0, [k], set[int]()
        while waiting and total < _WORTH_KEEPING:
            k = waiting.pop()
            if k in self.kept:
                total += 1
            elif k not in seen and self._inner[k]:
                seen.add(k)
                total += cost(self._loop.code[k], self._axis)
                waiting += arguments(self._loop.code[k])
        return total


def arguments(code: Instruction) -> tuple[int, ...]:
    """The values that an instruction takes from others of the same point."""
    if isinstance(code, Apply):
        return code.arguments
    return code.indices if isinstance(code, Gather) else ()
