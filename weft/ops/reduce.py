"""Primitives that make one value of many: reductions and scans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..dtypes import int64
from ..errors import IndexOutOfRange
from ..graph.node import Grads, Node, Op, Shape, TensorType, record1, type_of
from .base import no_complex
from .elementwise import add, cast, div, eq, mul
from .movement import concat, expand, flip, reshape, slice_

Dims = tuple[int, ...]


def kept_shape(shape: Shape, dims: Dims) -> Shape:
    """``shape`` with the reduced dimensions at size 1."""
    return tuple([1 if k in dims else n for k, n in enumerate(shape)])


def _infer_reduce(attrs: tuple[Dims, bool], x: TensorType) -> TensorType:
    dims, keep = attrs
    shape = kept_shape(x.shape, dims)
    if not keep:
        shape = tuple([n for k, n in enumerate(shape) if k not in dims])
    return type_of(shape, x.dtype)


def _spread(node: Node, x: Node) -> Node:
    """A reduction's result (or its gradient) in the shape of what was reduced."""
    source = node.sig.types[0].shape
    return expand(reshape(x, kept_shape(source, node.sig.attrs[0])), source)


def _reference_sum(attrs: tuple[Dims, bool], x: Any) -> Any:
    return np.sum(x, axis=attrs[0], keepdims=attrs[1], dtype=x.dtype)


_sum = Op(
    "sum",
    _infer_reduce,
    _reference_sum,
    lambda n, g, want: (_spread(n, g),),
    widen=True,
)


def sum_(x: Node, dims: Dims, keep: bool = False) -> Node:
    return record1(_sum, x, (dims, keep))


def _extreme(name: str, reference: Callable[..., Any]) -> Callable[..., Node]:
    def infer(attrs: tuple[Dims, bool], x: TensorType) -> TensorType:
        no_complex(name, x)
        if any(x.shape[d] == 0 for d in attrs[0]):
            raise IndexOutOfRange(
                f"{name} of no elements: shape {list(x.shape)} is empty in a reduced dimension"
            )
        return _infer_reduce(attrs, x)

    def grad(node: Node, g: Node, want: Sequence[bool]) -> Grads:
        # Elements that tie share the gradient equally.
        x = node.inputs[0]
        mask = cast(eq(x, _spread(node, node)), x.type.dtype)
        share = div(mask, _spread(node, sum_(mask, node.sig.attrs[0])))
        return (mul(_spread(node, g), share),)

    op = Op(
        name,
        infer,
        lambda attrs, x: reference(x, axis=attrs[0], keepdims=attrs[1]),
        grad,
        needs=(0,),
        needs_output=True,
        widen=True,
    )

    def call(x: Node, dims: Dims, keep: bool = False) -> Node:
        return record1(op, x, (dims, keep))

    return call


max_ = _extreme("max", np.max)
min_ = _extreme("min", np.min)


def _arg(name: str, reference: Callable[..., Any]) -> Op:
    def infer(attrs: tuple[int, bool], x: TensorType) -> TensorType:
        dim, keep = attrs
        no_complex(name, x)
        if x.shape[dim] == 0:
            raise IndexOutOfRange(
                f"{name} of no elements: shape {list(x.shape)} is empty in dimension {dim}"
            )
        return type_of(_infer_reduce(((dim,), keep), x).shape, int64)

    def run(attrs: tuple[int, bool], x: Any) -> Any:
        return reference(x, axis=attrs[0], keepdims=attrs[1])

    return Op(name, infer, run, widen=True)


_argmax = _arg("argmax", np.argmax)
_argmin = _arg("argmin", np.argmin)


def argmax(x: Node, dim: int, keep: bool = False) -> Node:
    return record1(_argmax, x, (dim, keep))


def argmin(x: Node, dim: int, keep: bool = False) -> Node:
    return record1(_argmin, x, (dim, keep))


def _infer_argsort(attrs: tuple[int, bool, int], x: TensorType) -> TensorType:
    dim, _, count = attrs
    no_complex("sort", x)
    return type_of((*x.shape[:dim], count, *x.shape[dim + 1 :]), int64)


def _reference_argsort(attrs: tuple[int, bool, int], x: Any) -> Any:
    dim, descending, count = attrs
    if not descending:
        order = np.argsort(x, axis=dim, kind="stable")
    else:
        # Stable in descending order, too: equal elements keep theirs. NaN counts as the largest.
        turned = np.argsort(np.flip(x, dim), axis=dim, kind="stable")
        order = x.shape[dim] - 1 - np.flip(turned, dim)
    return order[(slice(None),) * dim + (slice(count),)]


_argsort = Op("argsort", _infer_argsort, _reference_argsort, widen=True)


def argsort(x: Node, dim: int, descending: bool = False, count: int | None = None) -> Node:
    """The (stable) order in which ``x`` is sorted along ``dim``; of it the first ``count``."""
    most = x.type.shape[dim] if count is None else count
    return record1(_argsort, x, (dim, descending, most))


_cumsum = Op(
    "cumsum",
    lambda dim, x: x,
    lambda dim, x: np.cumsum(x, axis=dim, dtype=x.dtype),
    lambda n, g, want: (flip(cumsum(flip(g, (n.sig.attrs,)), n.sig.attrs), (n.sig.attrs,)),),
    widen=True,
)


def cumsum(x: Node, dim: int) -> Node:
    return record1(_cumsum, x, dim)


def even_bounds(size: int, count: int) -> list[tuple[int, int]]:
    """The first element of each of ``count`` windows over ``size``, and the one after its last.

    An element is in those windows whose numbers are a window of ``size`` over ``count``.
    """
    return [(k * size // count, -(-(k + 1) * size // count)) for k in range(count)]


def _infer_even_sums(attrs: tuple[int, int], x: TensorType) -> TensorType:
    dim, count = attrs
    return type_of((*x.shape[:dim], count, *x.shape[dim + 1 :]), x.dtype)


def _reference_even_sums(attrs: tuple[int, int], x: Any) -> Any:
    dim, count = attrs
    parts = np.moveaxis(x, dim, 0)
    total = np.empty((count, *parts.shape[1:]), x.dtype)
    for k, (start, stop) in enumerate(even_bounds(x.shape[dim], count)):
        total[k] = parts[start:stop].sum(0)
    return np.ascontiguousarray(np.moveaxis(total, 0, dim))


def _even_sums_gradient(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    dim = node.sig.attrs[0]
    return (even_sums(g, dim, node.sig.types[0].shape[dim]),)


_even_sums = Op(
    "even_sums",
    _infer_even_sums,
    _reference_even_sums,
    _even_sums_gradient,
    widen=True,
)


def even_sums(x: Node, dim: int, count: int) -> Node:
    """Sums of ``count`` windows along ``dim``, nearly equal in size, that cover it."""
    return record1(_even_sums, x, (dim, count))


def _part(x: Node, dim: int, start: int, stop: int) -> Node:
    cuts = [(0, n, 1) for n in x.type.shape]
    cuts[dim] = (start, stop, 1)
    return slice_(x, tuple(cuts))


def prod(x: Node, dim: int) -> Node:
    """Product along ``dim``, kept at size 1.

    Halves are multiplied until one is left: log2(n) steps, and (unlike ``y / x``) a gradient of any
    order that is exact where elements are zero.
    """
    n = x.type.shape[dim]
    if n == 0:
        return add(sum_(x, (dim,), True), 1)
    while n > 1:
        half = n // 2
        y = mul(_part(x, dim, 0, half), _part(x, dim, half, 2 * half))
        x = y if n % 2 == 0 else concat((y, _part(x, dim, n - 1, n)), dim)
        n = x.type.shape[dim]
    return x


def cumprod(x: Node, dim: int) -> Node:
    """Running product along ``dim`` (Hillis and Steele, 1986: log2(n) steps)."""
    n, step = x.type.shape[dim], 1
    while step < n:
        tail = mul(_part(x, dim, step, n), _part(x, dim, 0, n - step))
        x = concat((_part(x, dim, 0, step), tail), dim)
        step *= 2
    return x
