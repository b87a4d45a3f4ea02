"""A matrix product: its shapes, its strides, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class Matmul:
    """``C[batch, m, n] = A[batch, m, k] @ B[batch, k, n]``, strides in elements, 0 to broadcast.

    Attributes:
        batch: the sizes of the leading dimensions.
        a: the strides of A, ``(*batch, m, k)``; ``b`` and ``c`` likewise.
        kind: ``"float"`` or ``"double"``, of all three and of the sums.
    """

    batch: tuple[int, ...]
    m: int
    k: int
    n: int
    a: tuple[int, ...]
    b: tuple[int, ...]
    c: tuple[int, ...]
    kind: str

    def transposed(self) -> Matmul:
        """The product of the transposed operands, which writes the same C."""

        def swapped(strides: tuple[int, ...]) -> tuple[int, ...]:
            return (*strides[:-2], strides[-1], strides[-2])

        return Matmul(
            self.batch,
            self.n,
            self.k,
            self.m,
            swapped(self.b),
            swapped(self.a),
            swapped(self.c),
            self.kind,
        )

    def folded(self) -> Matmul:
        """With leading dimensions over which B stays the same as rows, where strides allow it.

        Row r of the result is row ``r % m`` of what was number ``r // m`` along those dimensions.
        """
        batch, m = list(self.batch), self.m
        a, b, c = list(self.a), list(self.b), list(self.c)
        while batch:
            one = batch[-1] == 1
            rows = b[-3] == 0 and (m == 1 or (a[-3] == m * a[-2] and c[-3] == m * c[-2]))
            if not one and not rows:
                break
            row = -3 if m == 1 and not one else -2
            a[-3:], b[-3:], c[-3:] = [a[row], a[-1]], b[-2:], [c[row], c[-1]]
            m *= batch.pop()
        return Matmul(tuple(batch), m, self.k, self.n, tuple(a), tuple(b), tuple(c), self.kind)


def flops(spec: Matmul) -> int:
    """Multiplications and additions of the product."""
    return 2 * prod(spec.batch) * spec.m * spec.k * spec.n


FLOPS_OF_A_THREAD = 100_000  # about a microsecond: less is not worth waking another thread


def useful_threads(spec: Matmul) -> int:
    """How many threads the product gives enough to do."""
    return max(1, flops(spec) // FLOPS_OF_A_THREAD)
