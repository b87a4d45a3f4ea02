"""Small things that programs ask, or still call by a name of old."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..dtypes import as_dtype, dtype, get_default_dtype, int64
from ..errors import OptionError
from .core import node_of
from .creation import arange, full
from .decompositions import matrix_norm
from .numeric import unravel_index
from .out import with_out
from .reductions import norm
from .shape import cat, stack

if TYPE_CHECKING:
    from .tensor import Tensor


def can_cast(from_: dtype, to: dtype) -> bool:
    """May a result of one dtype be written to a tensor of the other? (Not floats to integers.)"""
    return as_dtype(from_).category <= as_dtype(to).category


def is_signed(input: Tensor) -> bool:
    """Does its dtype have negative numbers?"""
    return node_of(input).type.dtype.is_signed


def range(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``start, start + step, ...`` up to and with ``end``, of floats; :func:`weft.arange` is usual.

    Raises:
        OptionError: if ``step`` is 0 or leads away from ``end``.
    """
    start, end = (0, start) if end is None else (start, end)
    if step == 0 or (end - start) / step < 0:
        raise OptionError(f"range: a step of {step} does not lead from {start} to {end}")
    last = start + (math.floor((end - start) / step) + 0.5) * step
    kind: Any = get_default_dtype() if dtype is None and out is None else dtype
    return arange(
        start, last, step, out=out, dtype=kind, device=device, requires_grad=requires_grad
    )


@with_out
def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The first ``size`` places of nonzero elements, one row each; what is left is filled.

    Raises:
        OptionError: for a negative ``size``.
    """
    if size < 0:
        raise OptionError(f"nonzero_static: size must not be negative: {size}")
    if not input.numel():
        return full((size, input.ndim), fill_value, dtype=int64, device=input.device)
    mask = (input != 0).flatten()
    kept = min(size, mask.shape[0])
    order = mask.int().argsort(descending=True, stable=True)[:kept]
    places = unravel_index(order, tuple(input.shape))
    rows = stack(places, -1) if places else order.new_zeros(kept, 0)
    there = arange(kept, device=input.device) < mask.sum()
    rows = rows.masked_fill(~there[:, None], fill_value)
    return cat([rows, rows.new_full((size - kept, input.ndim), fill_value)])


@with_out
def frobenius_norm(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The root of the sum of squares, over ``dim`` (all by default)."""
    return norm(input, "fro", dim, keepdim)


@with_out
def nuclear_norm(input: Tensor, dim: Any = (-2, -1), keepdim: bool = False) -> Tensor:
    """The sum of the singular values of matrices, over two dimensions."""
    return matrix_norm(input, "nuc", dim, keepdim)
