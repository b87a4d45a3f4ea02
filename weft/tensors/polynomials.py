"""Orthogonal polynomials, by their recurrences (Abramowitz and Stegun, 22.7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..graph.node import Node
from ..ops import elementwise as ew, movement as mv
from .core import TensorCore, wrap
from .elementwise import promoted, where
from .out import with_out

if TYPE_CHECKING:
    from .tensor import Tensor

    Polynomial = Callable[[Any, Any], Tensor]

#: The polynomial of degree k + 1, of k, x, and those of degrees k and k - 1.
Step = Callable[[int, Node, Node, Node], Node]


def _linear(x: Node, slope: float, height: float) -> Node:
    return ew.add(ew.mul(x, slope), height)


def _polynomial(name: str, first: tuple[float, float], step: Step, doc: str) -> Polynomial:
    """
    Args:
        first: slope and height of the polynomial of degree 1; that of degree 0 is 1.
    """

    def function(input: Any, n: Any) -> Tensor:
        x, degrees = promoted(input, n, to_float=True)
        if isinstance(n, TensorCore):
            most = int(n.max()) if n.numel() else 0  # type: ignore[attr-defined]
        else:
            most = int(n)
        before, last = mv.full(x.type, 1.0), _linear(x, *first)
        # (Of the shape of both; 0 for degrees below 0.)
        result = wrap(ew.add(ew.mul(x, 0.0), ew.mul(degrees, 0.0)))
        for k in range(most + 1):
            result = where(wrap(ew.eq(degrees, float(k))), wrap(before), result)
            before, last = last, step(k + 1, x, last, before)
        return result

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{doc} of degree ``n``, a number or a tensor of whole numbers, which is read: 0 below 0."
    )
    return with_out(function)


def _chebyshev(k: int, x: Node, last: Node, before: Node) -> Node:
    return ew.sub(ew.mul(ew.mul(x, last), 2.0), before)


def _shifted(k: int, x: Node, last: Node, before: Node) -> Node:
    return ew.sub(ew.mul(ew.mul(_linear(x, 2.0, -1.0), last), 2.0), before)


def _hermite_h(k: int, x: Node, last: Node, before: Node) -> Node:
    return ew.mul(ew.sub(ew.mul(x, last), ew.mul(before, float(k))), 2.0)


def _hermite_he(k: int, x: Node, last: Node, before: Node) -> Node:
    return ew.sub(ew.mul(x, last), ew.mul(before, float(k)))


def _laguerre(k: int, x: Node, last: Node, before: Node) -> Node:
    rise = ew.mul(_linear(x, -1.0, 2.0 * k + 1), last)
    return ew.mul(ew.sub(rise, ew.mul(before, float(k))), 1 / (k + 1))


def _legendre(k: int, x: Node, last: Node, before: Node) -> Node:
    rise = ew.mul(ew.mul(x, last), 2.0 * k + 1)
    return ew.mul(ew.sub(rise, ew.mul(before, float(k))), 1 / (k + 1))


_CHEBYSHEV = {
    "t": ((1.0, 0.0), (2.0, -1.0), "first"),
    "u": ((2.0, 0.0), (4.0, -2.0), "second"),
    "v": ((2.0, -1.0), (4.0, -3.0), "third"),
    "w": ((2.0, 1.0), (4.0, -1.0), "fourth"),
}


def _of_chebyshev(letter: str) -> tuple[Polynomial, Polynomial]:
    """One kind, and the same shifted from [-1, 1] to [0, 1]."""
    first, shifted, kind = _CHEBYSHEV[letter]
    doc = f"Chebyshev's polynomial of the {kind} kind"
    name = f"chebyshev_polynomial_{letter}"
    return (
        _polynomial(name, first, _chebyshev, doc),
        _polynomial(f"shifted_{name}", shifted, _shifted, f"{doc} of ``2 * input - 1``,"),
    )


chebyshev_polynomial_t, shifted_chebyshev_polynomial_t = _of_chebyshev("t")
chebyshev_polynomial_u, shifted_chebyshev_polynomial_u = _of_chebyshev("u")
chebyshev_polynomial_v, shifted_chebyshev_polynomial_v = _of_chebyshev("v")
chebyshev_polynomial_w, shifted_chebyshev_polynomial_w = _of_chebyshev("w")
hermite_polynomial_h = _polynomial(
    "hermite_polynomial_h", (2.0, 0.0), _hermite_h, "Hermite's polynomial of the physicists"
)
hermite_polynomial_he = _polynomial(
    "hermite_polynomial_he", (1.0, 0.0), _hermite_he, "Hermite's polynomial of the statisticians"
)
laguerre_polynomial_l = _polynomial(
    "laguerre_polynomial_l", (-1.0, 1.0), _laguerre, "Laguerre's polynomial"
)
legendre_polynomial_p = _polynomial(
    "legendre_polynomial_p", (1.0, 0.0), _legendre, "Legendre's polynomial"
)
