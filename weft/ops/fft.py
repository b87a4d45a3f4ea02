"""Fourier transforms along one dimension, not scaled; norms and further dimensions are composed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import int64
from ..graph.node import Grads, Node, Op, TensorType, record1, type_of
from .base import no_complex
from .complex import only_complex
from .elementwise import gt, logical_and, lt, mul, where
from .movement import arange, reshape


def _as(kind: Any, f: Any, *args: Any, **kwargs: Any) -> Any:
    """Held to a dtype: before NumPy 2 all was computed, and given, in double precision."""
    return f(*args, **kwargs).astype(kind, copy=False)


def _infer_fft(attrs: tuple[int, bool], x: TensorType) -> TensorType:
    only_complex("fft", x.dtype)
    return x


def _reference_fft(attrs: tuple[int, bool], x: Any) -> Any:
    dim, inverse = attrs
    if inverse:
        return _as(x.dtype, np.fft.ifft, x, axis=dim, norm="forward")
    return _as(x.dtype, np.fft.fft, x, axis=dim)


def _grad_fft(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    dim, inverse = node.sig.attrs
    return (fft(g, dim, not inverse),)


_fft = Op("fft", _infer_fft, _reference_fft, _grad_fft, analytic=False)


def fft(x: Node, dim: int, inverse: bool) -> Node:
    """``y[k] = sum(x[t] * exp(-2j pi k t / n))``; with ``+2j`` if ``inverse``."""
    return record1(_fft, x, (dim, inverse))


def _infer_rfft(dim: int, x: TensorType) -> TensorType:
    no_complex("rfft", x)
    shape = (*x.shape[:dim], x.shape[dim] // 2 + 1, *x.shape[dim + 1 :])
    return type_of(shape, x.dtype.to_complex())


def _reference_rfft(dim: int, x: Any) -> Any:
    return _as(np.result_type(x, np.complex64), np.fft.rfft, x, axis=dim)


def _grad_rfft(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    dim = node.sig.attrs
    n = node.sig.types[0].shape[dim]
    return (irfft(_paired(g, dim, n, 0.5), dim, n),)


_rfft = Op("rfft", _infer_rfft, _reference_rfft, _grad_rfft, analytic=False)


def rfft(x: Node, dim: int) -> Node:
    """:func:`fft` of real numbers: the first ``n // 2 + 1``, of which the others are conjugates."""
    return record1(_rfft, x, dim)


def _infer_irfft(attrs: tuple[int, int], x: TensorType) -> TensorType:
    dim, n = attrs
    only_complex("irfft", x.dtype)
    return type_of((*x.shape[:dim], n, *x.shape[dim + 1 :]), x.dtype.to_real())


def _reference_irfft(attrs: tuple[int, int], x: Any) -> Any:
    dim, n = attrs
    return _as(x.real.dtype, np.fft.irfft, x, n, axis=dim, norm="forward")


def _grad_irfft(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    dim, n = node.sig.attrs
    return (_paired(rfft(g, dim), dim, n, 2),)


_irfft = Op("irfft", _infer_irfft, _reference_irfft, _grad_irfft, analytic=False)


def irfft(x: Node, dim: int, n: int) -> Node:
    """The inverse :func:`fft`, of ``n`` real numbers, of what :func:`rfft` gives."""
    return record1(_irfft, x, (dim, n))


def _paired(x: Node, dim: int, n: int, factor: float) -> Node:
    """Those of ``n // 2 + 1`` that stand for their conjugates, too, times a factor."""
    size = x.type.shape[dim]
    k = arange(size, int64)
    pairs = logical_and(gt(k, 0), lt(mul(k, 2), n))
    row = reshape(pairs, (size, *(1,) * (x.type.ndim - 1 - dim)))
    return where(row, mul(x, factor), x)
