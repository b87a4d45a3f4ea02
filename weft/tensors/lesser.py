"""Functions that are seldom used, most of them as methods of Tensor."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import float32
from ..errors import DTypeError, OptionError, ShapeError
from ..ops.base import normal_dim
from . import creation, elementwise as el, reductions
from .core import node_of
from .indexing import copy_into
from .memory import layout, strided
from .out import with_out
from .placing import scatter_reduce
from .shape import narrow, sizes_of

if TYPE_CHECKING:
    from .random import Generator
    from .tensor import Tensor

# ---- what is so for all of weft's tensors


def no(self: Tensor) -> bool:
    """False: weft's tensors are dense and plain."""
    return False


def _assert(condition: Any, message: str) -> None:
    """``assert`` as a function, which models made for tracing call.

    Raises:
        AssertionError: unless ``condition``.
    """
    if not condition:
        raise AssertionError(message)


def layout_of(self: Tensor) -> layout:
    """``weft.strided``: all elements are kept."""
    return strided


# ---- questions


def is_nonzero(input: Tensor) -> bool:
    """Is its one element other than zero?

    Raises:
        ShapeError: unless there is one element.
    """
    if node_of(input).type.size != 1:
        raise ShapeError(f"is_nonzero takes one element, not shape {list(input.shape)}")
    return bool(input.item())


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Have both the same shape?"""
    return node_of(input).type.shape == node_of(other).type.shape


# ---- sums and norms


def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """The sum over what was broadcast, where ``size`` broadcasts to the shape of ``input``.

    Raises:
        ShapeError: for another size.
    """
    shape, wanted = node_of(input).type.shape, tuple(sizes_of("sum_to_size", size))
    lead = len(shape) - len(wanted)
    if lead < 0 or any(w not in (1, n) for n, w in zip(shape[lead:], wanted, strict=True)):
        raise ShapeError(f"sum_to_size: size {list(wanted)} does not broadcast to {list(shape)}")
    dims = [d for d, n in enumerate(shape) if d < lead or (wanted[d - lead] == 1 and n != 1)]
    return reductions.sum(input, dims).reshape(wanted) if dims else input


@with_out
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Each part along ``dim`` whose p-norm is above ``maxnorm`` scaled down to it.

    Raises:
        ShapeError: for fewer than two dimensions.
        OptionError: unless ``p`` is positive and ``maxnorm`` not negative.
    """
    ndim = node_of(input).type.ndim
    if ndim < 2:
        raise ShapeError(f"renorm takes at least two dimensions, not shape {list(input.shape)}")
    if p <= 0 or maxnorm < 0:
        raise OptionError(f"renorm needs p > 0 and maxnorm >= 0, not p={p} and maxnorm={maxnorm}")
    own = normal_dim("renorm", dim, ndim)
    norms = reductions.norm(input, p, [d for d in range(ndim) if d != own], True)
    factor: Any = maxnorm / (norms + 1e-7)
    scaled: Tensor = input * factor.where(norms > maxnorm, 1.0).to(input.dtype)
    return scaled


@with_out
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of ``bins`` equal parts of [min, max].

    Args:
        min, max: those of the elements if both are equal.

    Raises:
        OptionError: unless ``bins`` is positive and ``max`` not below ``min``.
        DTypeError: for integers.
    """
    if bins < 1 or max < min:
        raise OptionError(f"histc needs bins > 0 and max >= min, not {bins}, min={min}, max={max}")
    if not node_of(input).type.dtype.is_floating_point:
        raise DTypeError(f"histc takes floating values, not {input.dtype}: convert with .float()")
    x = input.detach().flatten()
    if min == max and x.numel():
        min, max = x.min().item(), x.max().item()
    if min == max:
        min, max = min - 1, max + 1
    inside = (x >= min) & (x <= max)
    place = ((x - min) * (bins / (max - min))).nan_to_num(0).clamp(0, bins - 1).long()
    return x.new_zeros(bins).index_add(0, place, inside.to(x.dtype))


# ---- places


def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with ``source`` at places counted through all elements.

    Args:
        accumulate: add to what is there.

    Raises:
        ShapeError: unless index and source have as many elements.
        DTypeError: if the dtypes differ.
    """
    if node_of(index).type.size != node_of(source).type.size:
        raise ShapeError(
            f"put: index of shape {list(index.shape)} and source of shape {list(source.shape)} "
            "must have as many elements"
        )
    if node_of(input).type.dtype is not node_of(source).type.dtype:
        raise DTypeError(f"put of {source.dtype} into {input.dtype}: convert the source first")
    flat, place, part = input.reshape(-1), index.reshape(-1), source.reshape(-1)
    return flat.index_put((place,), part, accumulate).reshape(input.shape)


@with_out
def index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Tensor:
    """A copy with ``source`` combined into the places ``index`` of ``dim``.

    Args:
        reduce: "prod", "mean", "amax" or "amin".
        include_self: what is there counts too.

    Raises:
        ShapeError: unless index is a vector.
        OptionError: for another ``reduce``.
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise OptionError(
            f"index_reduce: reduce={reduce!r} must be 'prod', 'mean', 'amax' or 'amin'"
        )
    if node_of(index).type.ndim > 1:
        raise ShapeError(f"index_reduce takes a vector of places, not shape {list(index.shape)}")
    d = normal_dim("index_reduce", dim, node_of(input).type.ndim)
    row = [-1 if k == d else 1 for k in range(source.ndim)]
    places = index.reshape(row).expand(source.shape)
    return scatter_reduce(input, d, places, source, reduce, include_self=include_self)


@with_out
def narrow_copy(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A copy of ``length`` places of ``dim``, from ``start`` on."""
    return narrow(input, dim, start, length).clone()


def fill_diagonal_(self: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Writes a number to the main diagonal.

    Args:
        wrap: in a matrix with more rows than columns, begin again below.

    Raises:
        ShapeError: for fewer than two dimensions, or more of different sizes.
    """
    shape = node_of(self).type.shape
    if len(shape) < 2 or (len(shape) > 2 and len(set(shape)) > 1):
        raise ShapeError(
            f"fill_diagonal_ takes a matrix, or more dimensions of one size, not {list(shape)}"
        )
    places = [
        creation.arange(n, device=self.device).reshape(
            [-1 if k == d else 1 for k in range(len(shape))]
        )
        for d, n in enumerate(shape)
    ]
    first = places[0]
    if wrap and len(shape) == 2:
        first = first.remainder(shape[1] + 1)
    on = el.eq(first, places[1])
    for other in places[2:]:
        on = el.logical_and(on, el.eq(first, other))
    return copy_into(self, node_of(el.where(on, fill_value, self)))


# ---- by a Python function, element by element


def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replaces each element by what the function makes of it. This is slow."""
    return _mapped(self, callable)


def map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replaces each element by what the function makes of it and the other's. This is slow."""
    return _mapped(self, callable, tensor)


def _mapped(self: Tensor, function: Callable[..., Any], *others: Tensor) -> Tensor:
    if self.requires_grad:
        raise RuntimeError("a Python function has no gradient: detach the tensor first")
    shape = node_of(self).type.shape
    values = [np.broadcast_to(t.numpy(), shape).ravel().tolist() for t in (self, *others)]
    made = [function(*each) for each in zip(*values, strict=True)]
    new = creation.tensor(made, dtype=self.dtype)
    return copy_into(self, node_of(new.reshape(shape)))


# ---- random numbers in place


def _uniform(self: Tensor, generator: Generator | None) -> Tensor:
    """In (0, 1]."""
    kind = node_of(self).type.dtype
    u = self.new_empty(self.shape, dtype=kind if kind.is_floating_point else float32)
    return 1 - u.uniform_(generator=generator)


def cauchy_(
    self: Tensor, median: float = 0, sigma: float = 1, *, generator: Generator | None = None
) -> Tensor:
    """Fills with numbers of Cauchy's distribution."""
    drawn = median + sigma * ((_uniform(self, generator) - 0.5) * math.pi).tan()
    return copy_into(self, node_of(drawn))


def log_normal_(
    self: Tensor, mean: float = 1, std: float = 2, *, generator: Generator | None = None
) -> Tensor:
    """Fills with numbers whose logarithms are normal."""
    normal = self.new_empty(self.shape).normal_(mean, std, generator=generator)
    return copy_into(self, node_of(normal.exp()))


def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Fills with the number of trials up to the first success, which has probability ``p``.

    Raises:
        OptionError: unless 0 < p < 1.
    """
    if not 0 < p < 1:
        raise OptionError(f"geometric_: p must be between 0 and 1, not {p}")
    trials = (_uniform(self, generator).log() / math.log1p(-p)).ceil().clamp(min=1)
    return copy_into(self, node_of(trials))
