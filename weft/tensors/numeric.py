"""Integrals, powers on a grid, windows: what numeric programs use besides."""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import as_dtype, get_default_dtype, int64
from ..errors import DTypeError, OptionError, ShapeError
from ..ops.base import dim_with_size
from .core import node_of
from .creation import steps_of, tensor
from .decompositions import multi_dot
from .joining import column_stack
from .numpy_names import with_numpy_names
from .out import made_in, with_out
from .shape import stack

if TYPE_CHECKING:
    from .tensor import Tensor


# ---- integrals


def _trapezoids(name: str, y: Any, x: Any, dx: float, dim: int) -> Any:
    d = dim_with_size(name, dim, y.shape)
    n = y.shape[d]
    if n < 2:
        return y.narrow(d, 0, 0)
    means = (y.narrow(d, 1, n - 1) + y.narrow(d, 0, n - 1)) / 2
    if x is None:
        return means * dx
    if x.ndim not in (1, y.ndim) or x.shape[-1 if x.ndim == 1 else d] != n:
        raise ShapeError(
            f"{name}: x of shape {list(x.shape)} does not fit dimension {d} of y, of size {n}"
        )
    if x.ndim == 1:
        return means * x.diff().reshape(n - 1, *[1] * (y.ndim - 1 - d))
    return means * x.diff(dim=d)


@with_numpy_names
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The integral of ``y`` along ``dim``, at the places ``x`` or in steps of ``dx``.

    Raises:
        ShapeError: if ``x`` has another size.
    """
    return _trapezoids("trapezoid", y, x, dx, dim).sum(dim)  # type: ignore[no-any-return]


@with_numpy_names
def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1
) -> Tensor:
    """The integrals of ``y`` from its first place to each of the others. See :func:`trapezoid`."""
    return _trapezoids("cumulative_trapezoid", y, x, dx, dim).cumsum(dim)  # type: ignore[no-any-return]


# ---- places, powers


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Where elements that are numbered in order stand in each dimension of ``shape``.

    Raises:
        DTypeError: unless ``indices`` are integers.
    """
    if indices.dtype.is_floating_point:
        raise DTypeError(f"unravel_index takes integers, not {indices.dtype}")
    out: list[Tensor] = []
    rest = indices
    for n in reversed([shape] if isinstance(shape, int) else list(shape)):
        out.append(rest % n)
        rest = rest // n
    return tuple(out[::-1])


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of a vector's elements as columns: from ``x**(N - 1)`` to ``x**0``, or reversed.

    Raises:
        ShapeError: unless ``x`` is a vector.
        OptionError: if ``N`` is negative.
    """
    if node_of(x).type.ndim != 1:
        raise ShapeError(f"vander takes a vector, not shape {list(x.shape)}")
    count = x.shape[0] if N is None else N
    if count < 0:
        raise OptionError(f"vander: N must be non-negative, not {count}")
    if not x.dtype.is_inexact:
        x = x.to(int64)
    powers = range(count) if increasing else range(count - 1, -1, -1)
    return column_stack([x**k for k in powers]) if count else x.new_zeros(x.shape[0], 0)


def powers(x: Tensor, *, N: int | None = None) -> Tensor:
    """The powers ``x**0`` to ``x**(N - 1)`` of the elements, along a new last dimension."""
    x = x if x.ndim else x.reshape(1)
    count = x.shape[-1] if N is None else N
    if count <= 1:
        raise OptionError(f"linalg.vander: N must be greater than 1, not {count}")
    return stack([x**k for k in range(count)], -1)


@with_out
def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of several matrices. See :func:`weft.linalg.multi_dot`."""
    return multi_dot(matrices) if len(matrices) > 1 else matrices[0]


def scalar_tensor(
    s: float, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A Tensor of one number and no dimensions, of the default dtype."""
    return of_values(s, dtype, device, requires_grad)


# ---- vectors of given numbers


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``steps`` powers of ``base``, with exponents from ``start`` to ``end``, both included.

    Raises:
        OptionError: if ``steps`` is negative.
    """
    kind = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
    if out is not None:
        return made_in(out, logspace, start, end, steps, base, **kind)
    steps = steps_of("logspace", start, end, steps)
    return of_values(np.power(base, np.linspace(start, end, steps)), **kind)


def of_values(values: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    return tensor(values, dtype=kind, device=device, requires_grad=requires_grad)


def _window(name: str, of_length: Callable[..., Any], *options: str) -> Callable[..., Tensor]:
    """A window: ``of_length(n, *options)`` is symmetric; one period of it has an element less."""

    def window(
        window_length: int,
        periodic: bool = True,
        *given: float,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        **named: float,
    ) -> Tensor:
        if window_length < 0:
            raise OptionError(f"{name}: window_length={window_length} must not be negative")
        named = {**dict(zip(options, given, strict=False)), **named}
        n = window_length + (periodic and window_length > 1)
        values = of_length(n, **named)[:window_length]
        return of_values(values, dtype, device, requires_grad)

    window.__name__ = window.__qualname__ = name
    window.__doc__ = (
        f"{name}(window_length, periodic=True{''.join(f', {o}' for o in options)}): the window of "
        "that name, symmetric or one period of it."
    )
    return window


def _hamming(n: int, alpha: float = 0.54, beta: float = 0.46) -> Any:
    return alpha - beta * np.cos(2 * pi * np.arange(n) / max(n - 1, 1)) if n > 1 else np.ones(n)


def _kaiser(n: int, beta: float = 12.0) -> Any:
    return np.kaiser(n, beta)


hann_window = _window("hann_window", np.hanning)
hamming_window = _window("hamming_window", _hamming, "alpha", "beta")
blackman_window = _window("blackman_window", np.blackman)
bartlett_window = _window("bartlett_window", np.bartlett)
kaiser_window = _window("kaiser_window", _kaiser, "beta")
