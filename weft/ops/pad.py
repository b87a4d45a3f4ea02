"""Padding with what is inside: mirrored, repeated or continued."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..graph.node import Node, Op, TensorType, record1, type_of

#: By the names of ``nn.functional.pad``, NumPy's.
MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


class Edges(NamedTuple):
    """How ``[R, *sizes]`` is padded.

    Attributes:
        mode: one of ``MODES``.
        widths: how much before and after each dimension but the first; at most what there is to
            mirror or continue.
    """

    mode: str
    widths: tuple[tuple[int, int], ...]

    @property
    def numpy_mode(self) -> Any:
        return MODES[self.mode]

    @property
    def everywhere(self) -> tuple[tuple[int, int], ...]:
        """The widths of all dimensions, as NumPy takes them."""
        return ((0, 0), *self.widths)

    def sources(self, dim: int, size: int) -> Any:
        """Of each element along a dimension that had ``size`` before, where it comes from."""
        return np.pad(np.arange(size), self.everywhere[dim], mode=self.numpy_mode)


def _grown(edges: Edges, x: TensorType, sign: int) -> TensorType:
    sizes = zip(x.shape, edges.everywhere, strict=True)
    return type_of(tuple([n + sign * (a + b) for n, (a, b) in sizes]), x.dtype)


def _run_sum(edges: Edges, g: Any) -> Any:
    for dim in range(1, g.ndim):
        before, after = edges.everywhere[dim]
        size = g.shape[dim] - before - after
        parts = np.moveaxis(g, dim, 0)
        total = parts[before : before + size].copy()
        for k, source in enumerate(edges.sources(dim, size)):
            if not before <= k < before + size:
                total[source] += parts[k]
        g = np.moveaxis(total, 0, dim)
    return np.ascontiguousarray(g)


_pad_edges = Op(
    "pad_edges",
    lambda edges, x: _grown(edges, x, 1),
    lambda edges, x: np.pad(x, edges.everywhere, mode=edges.numpy_mode),
    lambda n, g, want: (pad_edges_sum(g, n.sig.attrs),),
)
_pad_edges_sum = Op(
    "pad_edges_sum",
    lambda edges, g: _grown(edges, g, -1),
    _run_sum,
    lambda n, g, want: (pad_edges(g, n.sig.attrs),),
)


def pad_edges(x: Node, edges: Edges) -> Node:
    """``x`` with elements of its own around it."""
    return record1(_pad_edges, x, edges)


def pad_edges_sum(g: Node, edges: Edges) -> Node:
    """Of each element that was padded, the sum of all that came of it."""
    return record1(_pad_edges_sum, g, edges)
