"""Primitives that take complex numbers apart and put them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..dtypes import dtype, float32, float64
from ..errors import DTypeError
from ..graph.node import HOOKED, Grads, Node, Op, TensorType, record1, record2, type_of
from .base import MixedDtypes, binary_shape
from .movement import concat, reshape, slice_, zeros


def _infer_complex(attrs: None, a: TensorType, b: TensorType) -> TensorType:
    if a.dtype is not b.dtype:
        raise MixedDtypes(f"complex takes parts of one dtype, not {a.dtype} and {b.dtype}")
    if a.dtype not in (float32, float64):
        raise DTypeError(f"complex takes float32 or float64 parts, not {a.dtype}")
    return type_of(binary_shape("complex", a.shape, b.shape), a.dtype.to_complex())


def _reference_complex(a: Any, b: Any) -> Any:
    # Written part by part: 1j * infinity would have a real part, NaN.
    out = np.empty(np.broadcast_shapes(a.shape, b.shape), np.result_type(a, np.complex64))
    out.real, out.imag = a, b
    return out


def _grad_complex(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    return real(g) if want[0] else None, imag(g) if want[1] else None


_complex = Op("complex", _infer_complex, _reference_complex, _grad_complex, analytic=False)


def complex_(a: Node, b: Node) -> Node:
    """``a + 1j * b``."""
    return record2(_complex, a, b)


def of_real(x: Node) -> Node:
    """A real node as a complex one, of which the imaginary part is 0."""
    return x if x.type.dtype.is_complex else complex_(x, zeros(x.type))


def only_complex(name: str, kind: dtype) -> None:
    """
    Raises:
        DTypeError: for a real dtype.
    """
    if not kind.is_complex:
        raise DTypeError(f"{name} takes a complex dtype, not {kind}")


def _part(name: str, reference: Any, grad: Callable[[Node], Node]) -> Op:
    def infer(attrs: None, x: TensorType) -> TensorType:
        only_complex(name, x.dtype)
        return type_of(x.shape, x.dtype.to_real())

    return Op(name, infer, reference, lambda n, g, want: (grad(g),), analytic=False)


_real = _part("real", np.real, of_real)
_imag = _part("imag", np.imag, lambda g: complex_(zeros(g.type), g))


def real(x: Node) -> Node:
    """The real part; of real numbers, themselves."""
    return record1(_real, x) if x.type.dtype.is_complex else x


def imag(x: Node) -> Node:
    """The imaginary part of complex numbers."""
    return record1(_imag, x)


def _infer_conj(attrs: None, x: TensorType) -> TensorType:
    only_complex("conj", x.dtype)
    return x


_conj = Op("conj", _infer_conj, np.conj, lambda n, g, want: (conj(g),), analytic=False)


def as_pairs(x: Node) -> Node:
    """Complex numbers ``[*]`` as real ones ``[*, 2]``: both parts side by side."""
    shape = (*x.type.shape, 1)
    return concat((reshape(real(x), shape), reshape(imag(x), shape)), x.type.ndim)


def of_pairs(x: Node) -> Node:
    """Undoes :func:`as_pairs`."""
    *rest, _ = x.type.whole
    parts = [slice_(x, (*rest, (k, k + 1, 1))) for k in range(2)]
    return complex_(*[reshape(part, x.type.shape[:-1]) for part in parts])


def conj(x: Node) -> Node:
    """The conjugate; of real numbers, themselves."""
    return record1(_conj, x) if x.type.dtype.is_complex else x


def conjugated(g: Node) -> Node:
    """:func:`conj` of a gradient on its way: two in a row are none."""
    if g.sig.op is _conj and g.inputs and not g.tracks & HOOKED:
        source: Node | None = g.inputs[0]
        if source is not None and (g.tracks or not source.tracks):
            return source
    return conj(g)
