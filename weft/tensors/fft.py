"""``weft.fft``: discrete Fourier transforms, with the names and norms of ``torch.fft``.

A transform of several dimensions is one along each. ``n`` (or ``s``, a size for each dimension)
cuts the input, or fills it with zeros, before. Norms: "backward" (the default) divides what is
inverse by the number of elements, "forward" what is not, "ortho" either by its square root.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import float32, float64, get_default_dtype
from ..errors import DTypeError, OptionError, ShapeError
from ..graph.node import Node
from ..ops import complex as cx, elementwise as ew, fft as ft, movement as mv
from ..ops.base import dim_with_size
from .core import node_of, wrap
from .numeric import of_values
from .out import made_in, with_out
from .shape import roll

if TYPE_CHECKING:
    from .tensor import Tensor

# ---- parts


def _taken(name: str, input: Tensor, to_complex: bool) -> Node:
    """The input in a dtype that has transforms.

    Raises:
        DTypeError: for shorter floats; for complex numbers where real ones are needed.
    """
    x = node_of(input)
    kind = x.type.dtype
    is_wide = not kind.is_inexact or kind.to_real() in (float32, float64)
    if not is_wide or (kind.is_complex and not to_complex):
        takes = "float32, float64 or their complex dtypes" if to_complex else "real numbers"
        raise DTypeError(f"{name} takes {takes}, not {kind}: convert with .to()")
    if not kind.is_inexact:
        kind = get_default_dtype()
    return ew.cast(x, kind.to_complex() if to_complex else kind)


def _resized(name: str, x: Node, dim: int, n: int) -> Node:
    """``n`` elements along a dimension, zeros behind.

    Raises:
        ShapeError: for none.
    """
    size = x.type.shape[dim]
    if n < 1:
        raise ShapeError(
            f"{name} of {n} elements: dimension {dim} of shape {list(x.type.shape)} (or n) must be "
            "at least 1"
        )
    if n < size:
        return mv.slice_(x, (*x.type.whole[:dim], (0, n, 1), *x.type.whole[dim + 1 :]))
    return mv.pad(x, [(0, n - size if d == dim else 0) for d in x.type.dims]) if n > size else x


def _scaled(name: str, x: Node, n: int, norm: str | None, inverse: bool) -> Node:
    """
    Raises:
        OptionError: for another norm.
    """
    if norm not in (None, "backward", "forward", "ortho"):
        raise OptionError(f"{name}: norm must be 'backward', 'forward' or 'ortho', not {norm!r}")
    if norm == "ortho":
        return ew.mul(x, 1 / sqrt(n))
    return ew.mul(x, 1 / n) if inverse == (norm != "forward") else x


def _dims(name: str, x: Node, s: Any, dim: Any) -> tuple[list[int], list[int | None]]:
    """The dimensions, and for each the size that is asked for (None: its own).

    Raises:
        ShapeError: if both differ in number, or a dimension is named twice.
    """
    ndim = x.type.ndim
    sizes = None if s is None else [s] if isinstance(s, int) else list(s)
    if dim is None:
        count = ndim if sizes is None else len(sizes)
        if count > ndim:
            raise ShapeError(f"{name}: {count} sizes for shape {list(x.type.shape)}")
        dims = list(range(ndim - count, ndim))
    else:
        each = [dim] if isinstance(dim, int) else dim
        dims = [dim_with_size(name, d, x.type.shape) for d in each]
    if isinstance(s, int) and s < 1:
        raise ShapeError(f"{name}: n must be positive, not {s}")
    if len(set(dims)) != len(dims):
        raise ShapeError(f"{name}: dim {tuple(dim)} names a dimension twice")
    if sizes is not None and len(sizes) != len(dims):
        raise ShapeError(f"{name}: {len(sizes)} sizes (s) for {len(dims)} dimensions (dim)")
    return dims, [None] * len(dims) if sizes is None else [None if n == -1 else n for n in sizes]


def _along(name: str, x: Node, dims: list[int], sizes: Any, inverse: bool) -> tuple[Node, int]:
    """The transform along dimensions, not scaled, and the number of elements."""
    for d, n in zip(dims, sizes, strict=True):
        x = _resized(name, x, d, x.type.shape[d] if n is None else n)
    for d in dims:
        x = ft.fft(x, d, inverse)
    return x, prod([x.type.shape[d] for d in dims])


# ---- of complex numbers


def _complex(name: str, inverse: bool, input: Tensor, s: Any, dim: Any, norm: Any) -> Tensor:
    x = _taken(name, input, True)
    dims, sizes = _dims(name, x, s, dim)
    y, n = _along(name, x, dims, sizes, inverse)
    return wrap(_scaled(name, y, n, norm, inverse))


def _half(name: str, inverse: bool, input: Tensor, s: Any, dim: Any, norm: Any) -> Tensor:
    """Of real numbers: the last dimension's first half, of which the rest follows."""
    x = _taken(name, input, False)
    dims, sizes = _dims(name, x, s, dim)
    if not dims:
        raise ShapeError(f"{name} needs at least one dimension")
    last = dims[-1]
    x = _resized(name, x, last, x.type.shape[last] if sizes[-1] is None else sizes[-1])
    count = x.type.shape[last]
    for d, n in zip(dims[:-1], sizes[:-1], strict=True):
        x = _resized(name, x, d, x.type.shape[d] if n is None else n)
    x = ft.rfft(x, last)
    if inverse:
        x = cx.conj(x)
    y, n = _along(name, x, dims[:-1], sizes[:-1], inverse)
    return wrap(_scaled(name, y, n * count, norm, inverse))


def _whole(name: str, inverse: bool, input: Tensor, s: Any, dim: Any, norm: Any) -> Tensor:
    """To real numbers: of the last dimension's first half."""
    x = _taken(name, input, True)
    dims, sizes = _dims(name, x, s, dim)
    if not dims:
        raise ShapeError(f"{name} needs at least one dimension")
    last = dims[-1]
    count = 2 * (x.type.shape[last] - 1) if sizes[-1] is None else sizes[-1]
    if count < 1:
        raise ShapeError(
            f"{name} to {count} elements: dimension {last} of shape {list(x.type.shape)} is too "
            "short, or n must be at least 1"
        )
    x = _resized(name, x, last, count // 2 + 1)
    x, n = _along(name, x, dims[:-1], sizes[:-1], inverse)
    if not inverse:
        x = cx.conj(x)
    return wrap(_scaled(name, ft.irfft(x, last, count), n * count, norm, inverse))


Rule = Callable[[str, bool, "Tensor", Any, Any, Any], "Tensor"]


def _family(rule: Rule, name: str, inverse: bool, doc: str) -> list[Callable[..., Tensor]]:
    """A transform along one dimension, along two, and along any number."""

    def one(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
        return rule(name, inverse, input, None if n is None else [n], [dim], norm)

    def two(
        input: Tensor,
        s: Sequence[int] | None = None,
        dim: Sequence[int] = (-2, -1),
        norm: str | None = None,
    ) -> Tensor:
        return rule(f"{name}2", inverse, input, s, dim, norm)

    def many(
        input: Tensor,
        s: Sequence[int] | None = None,
        dim: Sequence[int] | None = None,
        norm: str | None = None,
    ) -> Tensor:
        return rule(f"{name}n", inverse, input, s, dim, norm)

    made: list[Callable[..., Tensor]] = [one, two, many]
    along = ("dimension ``dim``", "the dimensions ``dim``", "``dim`` (all dimensions by default)")
    for function, suffix, where in zip(made, ("", "2", "n"), along, strict=True):
        function.__name__ = function.__qualname__ = name + suffix
        function.__doc__ = f"{doc} along {where}."
    return [with_out(function) for function in made]


fft, fft2, fftn = _family(_complex, "fft", False, "Fourier transform")
ifft, ifft2, ifftn = _family(_complex, "ifft", True, "Inverse Fourier transform")
rfft, rfft2, rfftn = _family(
    _half, "rfft", False, "Fourier transform of real numbers, its first ``n // 2 + 1`` places"
)
irfft, irfft2, irfftn = _family(
    _whole, "irfft", True, "Inverse of ``rfft``, real; ``n`` is even by default,"
)
hfft, hfft2, hfftn = _family(
    _whole, "hfft", False, "Fourier transform, real, of the first half of what is Hermitian"
)
ihfft, ihfft2, ihfftn = _family(
    _half, "ihfft", True, "Inverse of ``hfft``: the first ``n // 2 + 1`` places"
)

# ---- frequencies


def _frequencies(name: str, count: Callable[..., Any]) -> Callable[..., Tensor]:
    def function(
        n: int,
        d: float = 1.0,
        *,
        out: Tensor | None = None,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:
        kind = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
        if out is not None:
            return made_in(out, function, n, d, **kind)
        return of_values(count(n, d), **kind)

    function.__name__ = function.__qualname__ = f"{name}freq"
    function.__doc__ = f"The frequency at each place of ``{name}``, for samples ``d`` apart."
    return function


fftfreq, rfftfreq = _frequencies("fft", np.fft.fftfreq), _frequencies("rfft", np.fft.rfftfreq)


def _rolled(input: Tensor, dim: Any, place: Callable[[int], int]) -> Tensor:
    shape = node_of(input).type.shape
    dims = range(len(shape)) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    each = [dim_with_size("fftshift", d, shape) for d in dims]
    return roll(input, [place(shape[d]) for d in each], each) if each else input


def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """Frequency 0, which comes first, moved to the middle of ``dim`` (of all by default)."""
    return _rolled(input, dim, lambda n: n // 2)


def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """Undoes :func:`fftshift`."""
    return _rolled(input, dim, lambda n: -(n // 2))
