"""Complex numbers: making them, their parts, their conjugates."""

from __future__ import annotations

from math import pi
from typing import TYPE_CHECKING, Any

from ..dtypes import bool_, float32, float64, get_default_dtype
from ..errors import DTypeError, ShapeError
from ..graph.node import Node, type_of
from ..ops import complex as cx, elementwise as ew, movement as mv
from .core import AS_COMPLEX, AS_REAL, CONJ, IMAG, REAL, node_of, wrap
from .out import with_out

if TYPE_CHECKING:
    from .tensor import Tensor

# ---- making them


@with_out
def complex(real: Tensor, imag: Tensor) -> Tensor:
    """``real + 1j * imag``, broadcast.

    Raises:
        DTypeError: unless both parts are float32, or both float64.
    """
    return wrap(cx.complex_(node_of(real), node_of(imag)))


@with_out
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """Complex numbers of these absolute values and angles: ``abs * (cos(angle) + 1j sin(angle))``.

    Raises:
        DTypeError: unless both are float32, or both float64.
    """
    size, turn = node_of(abs), node_of(angle)
    return wrap(cx.complex_(ew.mul(size, ew.cos(turn)), ew.mul(size, ew.sin(turn))))


# ---- as real numbers, which share their memory


def view_as_real(input: Tensor) -> Tensor:
    """A view of complex numbers ``[*]`` as real ones ``[*, 2]``.

    Raises:
        DTypeError: for a real dtype.
        RuntimeError: for the view that :func:`conj` gives, whose imaginary part has no place.
    """
    cx.only_complex("view_as_real", node_of(input).type.dtype)
    if is_conj(input):
        raise RuntimeError(
            "view_as_real of a conjugated view: its imaginary part is nowhere in memory; take "
            "x.resolve_conj() first"
        )
    return input._view(AS_REAL, None)


def view_as_complex(input: Tensor) -> Tensor:
    """A view of real numbers ``[*, 2]`` as complex ones ``[*]``.

    Raises:
        DTypeError: unless they are float32 or float64.
        ShapeError: if the last dimension is not of size 2, or pairs do not lie side by side.
    """
    kind = node_of(input).type
    if kind.dtype not in (float32, float64):
        raise DTypeError(f"view_as_complex takes float32 or float64, not {kind.dtype}")
    if kind.ndim == 0 or kind.shape[-1] != 2:
        raise ShapeError(
            f"view_as_complex takes pairs, a last dimension of size 2, not shape {list(kind.shape)}"
        )
    *others, last = input.stride()
    if last != 1 or any([step % 2 for step in others]):
        raise ShapeError(
            f"view_as_complex: with strides {input.stride()}, pairs do not lie side by side: take "
            "x.contiguous() first"
        )
    return input._view(AS_COMPLEX, None)


def real(input: Tensor) -> Tensor:
    """The real part, a view; of real numbers, the tensor itself."""
    return input._view(REAL, None) if is_complex(input) else input


def imag(input: Tensor) -> Tensor:
    """The imaginary part, a view.

    Raises:
        DTypeError: for a real dtype.
    """
    cx.only_complex("imag", node_of(input).type.dtype)
    return input._view(IMAG, None)


def set_real(self: Tensor, value: Any) -> None:
    real(self).copy_(value)


def set_imag(self: Tensor, value: Any) -> None:
    imag(self).copy_(value)


# ---- conjugates


def conj(input: Tensor) -> Tensor:
    """The conjugate, a view; of real numbers, the tensor itself."""
    return input._view(CONJ, None) if is_complex(input) else input


@with_out
def conj_physical(input: Tensor) -> Tensor:
    """The conjugate, a tensor of its own; of real numbers, the tensor itself."""
    return wrap(cx.conj(node_of(input))) if is_complex(input) else input


def is_conj(input: Tensor) -> bool:
    """Is it a view that conjugates what it is a view of?"""
    node_of(input)
    return input._base is not None and sum([kind is CONJ for kind, _ in input._cuts]) % 2 == 1


def resolve_conj(input: Tensor) -> Tensor:
    """A copy of the view that :func:`conj` gives; another tensor itself."""
    return input.clone() if is_conj(input) else input


def adjoint(input: Tensor) -> Tensor:
    """The conjugate with the last two dimensions swapped.

    Raises:
        ShapeError: for fewer than two dimensions, other than none.
    """
    if node_of(input).type.ndim == 1:
        raise ShapeError("adjoint takes a matrix or several, not a vector")
    return conj(input.transpose(-2, -1)) if input.ndim else conj(input)


def conj_of_matrix(self: Tensor) -> Tensor:
    """The conjugate of a matrix, transposed.

    Raises:
        ShapeError: for other than two dimensions, or none.
    """
    if self.ndim not in (0, 2):
        raise ShapeError(f"x.H is of a matrix, not of shape {list(self.shape)}: take x.mH")
    return adjoint(self)


# ---- questions, and what is real


def is_complex(input: Tensor) -> bool:
    """Has it a complex dtype? (See :attr:`weft.dtype.is_complex`.)"""
    return node_of(input).type.dtype.is_complex


def isreal(input: Tensor) -> Tensor:
    """Is the imaginary part 0?"""
    x = node_of(input)
    if x.type.dtype.is_complex:
        return wrap(ew.eq(cx.imag(x), 0))
    return wrap(mv.full(type_of(x.type.shape, bool_, x.type.device), True))


@with_out
def angle(input: Tensor) -> Tensor:
    """The angle to the positive numbers: of real ones 0, pi for negative ones, NaN for NaN."""
    x = node_of(input)
    if x.type.dtype.is_complex:
        return wrap(_angle_of(x))
    if not x.type.dtype.is_floating_point:
        x = ew.cast(x, get_default_dtype())
    zero = ew.mul(ew.sign(x), 0)  # with a gradient, of zero
    return wrap(ew.where(ew.isnan(x), ew.detach(x), ew.where(ew.lt(x, 0), pi, zero)))


def _angle_of(x: Node) -> Node:
    a, b = cx.real(x), cx.imag(x)
    # At 0 the angle is 0 or pi, by the signs of the zeros; the gradient is 0, not 0/0.
    none = ew.eq(x, 0)
    turned = ew.atan2(ew.where(none, 0, b), ew.where(none, 1, a))
    return ew.where(none, ew.atan2(ew.detach(b), ew.detach(a)), turned)


@with_out
def sgn(input: Tensor) -> Tensor:
    """The direction ``x / |x|``, or 0; of real numbers, the sign."""
    return wrap(ew.sgn(node_of(input)))
