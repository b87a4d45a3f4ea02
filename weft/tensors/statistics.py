"""Reductions and scans that describe data: quantiles, covariance, running extremes."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from ..dtypes import as_dtype, bool_, dtype, get_default_dtype, int64
from ..errors import DTypeError, IndexOutOfRange, OptionError, ShapeError
from ..graph.node import Node, type_of
from ..ops import elementwise as ew, movement as mv, reduce as rd
from ..ops.base import normal_dim
from ..ops.loss import in_range
from .autocasting import in_full_precision, in_low_precision
from .complex import complex as complex_of
from .core import is_number, node_of, wrap
from .numpy_names import with_numpy_names
from .out import with_out
from .reductions import (
    Dims,
    ValuesIndices,
    _float_only,
    _summable,
    amax,
    amin,
    dims_of,
    mean,
    std,
    take_along,
    var,
)
from .shape import cat, movedim
from .special import logaddexp_nodes

if TYPE_CHECKING:
    from .tensor import Tensor

# ---- along one dimension


def _vector(x: Node) -> Node:
    return x if x.type.ndim else mv.reshape(x, (1,))


def part(x: Node, dim: int, start: int, stop: int) -> Node:
    """Places ``start`` to ``stop`` of dimension ``dim``."""
    cuts = [(0, n, 1) for n in x.type.shape]
    cuts[dim] = (start, stop, 1)
    return mv.slice_(x, tuple(cuts))


def is_nan(x: Node) -> Node:
    if x.type.dtype.is_inexact:
        return ew.isnan(x)
    return mv.full(type_of(x.type.shape, bool_), False)


def without(dim: int, keepdim: bool, ndim: int, *nodes: Node) -> list[Tensor]:
    """Nodes whose ``dim`` has size 1, as Tensors, without it unless it is to be kept."""
    out = []
    for node in nodes:
        shape = node.type.shape
        if ndim == 0:
            node = mv.reshape(node, ())
        elif not keepdim:
            node = mv.reshape(node, shape[:dim] + shape[dim + 1 :])
        out.append(wrap(node))
    return out


def _picked(name: str, input: Tensor, dim: int, keepdim: bool, rule: Any) -> ValuesIndices:
    """The element of each row along ``dim`` at the place that ``rule(x, d)`` tells."""
    x = _vector(node_of(input))
    ndim = node_of(input).type.ndim
    d = normal_dim(name, dim, ndim)
    if x.type.shape[d] == 0:
        raise IndexOutOfRange(
            f"{name} of no elements: shape {list(x.type.shape)} is empty in dimension {d}"
        )
    place = rule(x, d)
    values, indices = without(d, keepdim, ndim, take_along(x, place, d), place)
    return ValuesIndices(values, indices)


# ---- order statistics


def _middle(x: Node, d: int, skip_nan: bool) -> Node:
    """Where the lower median is; of a row with NaNs that are not skipped, where the first is."""
    order = rd.argsort(x, d)
    nan = is_nan(x)
    if not skip_nan:
        n = x.type.shape[d]
        middle = part(order, d, (n - 1) // 2, (n - 1) // 2 + 1)
        if not x.type.dtype.is_floating_point:
            return middle
        return ew.where(rd.max_(nan, (d,), True), rd.argmax(nan, d, True), middle)
    count = rd.sum_(ew.cast(ew.logical_not(nan), int64), (d,), True)
    last = ew.maximum(ew.sub(count, 1), 0)
    return take_along(order, ew.floor_div(last, 2), d)


def _median(name: str, skip_nan: bool) -> Callable[..., Any]:
    def function(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
        def rule(x: Node, d: int) -> Node:
            return _middle(x, d, skip_nan)

        if dim is not None:
            return _picked(name, input, dim, keepdim, rule)
        x = node_of(input)
        if x.type.size == 0:
            return wrap(mv.full(type_of((), x.type.dtype, x.type.device), float("nan")))
        return _picked(name, wrap(mv.reshape(x, (x.type.size,))), 0, False, rule).values

    function.__name__ = function.__qualname__ = name
    nans = "NaNs are left out." if skip_nan else "A row with a NaN has the median NaN."
    function.__doc__ = (
        f"The median, of two middle elements the lower. {nans} ``{name}(input)``: of all elements. "
        f"``{name}(input, dim)``: values and indices along ``dim``."
    )
    return function


median = with_out(_median("median", False))
nanmedian = with_out(_median("nanmedian", True))


@with_out
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The ``k``-th smallest value along ``dim`` (1: the smallest), and where it is.

    Raises:
        ShapeError: if there are fewer than ``k``.
    """

    def rule(x: Node, d: int) -> Node:
        if not 1 <= k <= x.type.shape[d]:
            raise ShapeError(
                f"kthvalue: k={k} is not within 1 and {x.type.shape[d]}, the size of dimension {d}"
            )
        return part(rd.argsort(x, d), d, k - 1, k)

    return _picked("kthvalue", input, dim, keepdim, rule)


@with_out
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The most frequent value along ``dim`` (of several, the smallest), and where it is last."""

    def rule(x: Node, d: int) -> Node:
        order = rd.argsort(x, d)
        values = take_along(x, order, d)
        n = x.type.shape[d]
        place = mv.reshape(mv.arange(n, int64), tuple([n if k == d else 1 for k in x.type.dims]))
        place = mv.expand(place, x.type.shape)
        changes = ew.ne(part(values, d, 1, n), part(values, d, 0, n - 1))
        first = mv.full(type_of(part(x, d, 0, 1).type.shape, bool_), True)
        begins = mv.concat((first, changes), d)
        start = _scan(ew.where(begins, place, 0), d, ew.maximum)
        longest = rd.argmax(ew.sub(place, start), d, True)
        return take_along(order, longest, d)

    return _picked("mode", input, dim, keepdim, rule)


# ---- quantiles

_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


@with_out
@in_full_precision
def quantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """The values below which the fractions ``q`` of the elements along ``dim`` (or of all) lie.

    Args:
        q: a number, or a vector of several, whose results become the first dimension.
        interpolation: between neighbours: "linear", "lower", "higher", "midpoint" or "nearest".

    Raises:
        DTypeError: unless ``input`` is float32 or float64, and ``q`` of the same dtype.
        OptionError: for another ``interpolation``, or ``q`` (as a number) beyond 0 and 1.
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@with_out
@in_full_precision
def nanquantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """Like :func:`quantile`, with NaNs left out."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)


def _quantile(
    name: str,
    input: Tensor,
    q: Any,
    dim: int | None,
    keepdim: bool,
    interpolation: str,
    skip_nan: bool,
) -> Tensor:
    x = node_of(input)
    fractions = _fractions(name, x, q)
    if interpolation not in _INTERPOLATIONS:
        raise OptionError(f"{name}: interpolation must be one of {_INTERPOLATIONS}")
    ndim = x.type.ndim
    if dim is None:
        kept: tuple[int, ...] = (1,) * ndim
        rows = mv.reshape(x, (1, x.type.size))
    else:
        d = normal_dim(name, dim, ndim)
        moved = node_of(movedim(wrap(_vector(x)), d, -1))
        kept = tuple([1 if k == d else n for k, n in enumerate(x.type.shape)])
        rows = mv.reshape(moved, (prod(moved.type.shape[:-1]), moved.type.shape[-1]))
    if rows.type.shape[1] == 0:
        raise ShapeError(f"{name} of no elements: shape {list(x.type.shape)}")
    count = fractions.type.size
    y = _interpolated(rows, mv.reshape(fractions, (count,)), interpolation, skip_nan)
    if not keepdim:
        kept = () if dim is None else kept[:d] + kept[d + 1 :]
    y = mv.permute(y, (1, 0))
    return wrap(mv.reshape(y, (count, *kept) if fractions.type.ndim else kept))


def _fractions(name: str, x: Node, q: Any) -> Node:
    kind = x.type.dtype
    if not kind.is_floating_point or kind.itemsize < 4:
        raise DTypeError(f"{name} takes float32 or float64, not {kind}")
    if is_number(q):
        if not 0 <= q <= 1:
            raise OptionError(f"{name}: q={q} is not within 0 and 1")
        return mv.full(type_of((), kind), q)
    fractions = node_of(q)
    if fractions.type.dtype is not kind or fractions.type.ndim > 1:
        raise DTypeError(f"{name}: q must be a number or a vector of {kind}, not {fractions.type}")
    return fractions


def _interpolated(rows: Node, q: Node, interpolation: str, skip_nan: bool) -> Node:
    """``[rows, len(q)]``: each row's values at the fractions ``q`` of its length."""
    n, count = rows.type.shape[1], q.type.size
    ordered = take_along(rows, rd.argsort(rows, 1), 1)
    nan = is_nan(rows)
    size = mv.full(type_of((rows.type.shape[0], 1), q.type.dtype), n)
    if skip_nan:
        size = rd.sum_(ew.cast(ew.logical_not(nan), q.type.dtype), (1,), True)
    rank = ew.mul(ew.maximum(ew.sub(size, 1), 0), mv.reshape(q, (1, count)))
    if interpolation == "lower":
        rank = ew.floor(rank)
    elif interpolation == "higher":
        rank = ew.ceil(rank)
    elif interpolation == "nearest":
        rank = ew.round_(rank)
    below = ew.floor(rank)
    low = _at(ordered, below)
    high = _at(ordered, ew.ceil(rank))
    if interpolation == "midpoint":
        share = mv.full(rank.type, 0.5)
    else:
        share = ew.sub(rank, below)
    y = ew.where(ew.eq(low, high), low, ew.add(low, ew.mul(share, ew.sub(high, low))))
    gone = rd.min_(nan, (1,), True) if skip_nan else rd.max_(nan, (1,), True)
    return ew.where(mv.expand(gone, y.type.shape), float("nan"), y)


def _at(rows: Node, rank: Node) -> Node:
    return take_along(rows, ew.cast(ew.detach(rank), int64), 1)


# ---- reductions without NaNs, and two at once


@with_out
def nansum(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None
) -> Tensor:
    """Sum over ``dim`` (all by default), with NaN counted as 0."""
    x = node_of(input)
    x = ew.where(is_nan(x), 0, x) if x.type.dtype.is_floating_point else x
    x = _summable(x, dtype)
    return wrap(rd.sum_(x, dims_of("nansum", dim, x.type.ndim), keepdim))


@with_out
def nanmean(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None
) -> Tensor:
    """Mean over ``dim`` (all by default) of what is not NaN.

    Raises:
        DTypeError: for integers and bools.
    """
    x = node_of(input)
    _float_only("nanmean", x)
    there = ew.cast(ew.logical_not(is_nan(x)), as_dtype(dtype) if dtype else x.type.dtype)
    count = rd.sum_(there, dims_of("nanmean", dim, x.type.ndim), keepdim)
    return wrap(ew.div(node_of(nansum(input, dim, keepdim, dtype=dtype)), count))


@with_numpy_names
def var_mean(
    input: Tensor,
    dim: Dims | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Variance and mean over ``dim``: see :func:`weft.var` and :func:`weft.mean`."""
    spread = var(input, dim, unbiased, keepdim, correction=correction)
    return spread, mean(input, None if isinstance(dim, bool) else dim, keepdim)


@with_numpy_names
def std_mean(
    input: Tensor,
    dim: Dims | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean over ``dim``: see :func:`weft.std` and :func:`weft.mean`."""
    spread = std(input, dim, unbiased, keepdim, correction=correction)
    return spread, mean(input, None if isinstance(dim, bool) else dim, keepdim)


class MinMax(NamedTuple):
    """What :func:`aminmax` returns."""

    min: Tensor
    max: Tensor


@with_out
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """Smallest and largest value along ``dim``, or of all."""
    dims: Dims = () if dim is None else dim
    return MinMax(amin(input, dims, keepdim), amax(input, dims, keepdim))


# ---- scans


def _scan(x: Node, dim: int, combine: Callable[[Node, Node], Node]) -> Node:
    """All beginnings along ``dim`` combined (Hillis and Steele, 1986: log2(n) steps)."""
    n, step = x.type.shape[dim], 1
    while step < n:
        tail = combine(part(x, dim, 0, n - step), part(x, dim, step, n))
        x = mv.concat((part(x, dim, 0, step), tail), dim)
        step *= 2
    return x


def _cumulative(name: str, better: Callable[[Node, Node], Node]) -> Callable[..., ValuesIndices]:
    def function(input: Tensor, dim: int) -> ValuesIndices:
        x = _vector(node_of(input))
        ndim = node_of(input).type.ndim
        d = normal_dim(name, dim, ndim)
        n = x.type.shape[d]
        along = mv.arange(n, int64, device=x.type.device)
        place = mv.reshape(along, tuple([n if k == d else 1 for k in x.type.dims]))
        index = mv.expand(place, x.type.shape)
        values = ew.detach(x)
        step = 1
        while step < n:
            before, here = part(values, d, 0, n - step), part(values, d, step, n)
            wins = ew.logical_or(
                is_nan(here), ew.logical_and(ew.logical_not(is_nan(before)), better(here, before))
            )
            chosen = ew.where(wins, part(index, d, step, n), part(index, d, 0, n - step))
            values = mv.concat((part(values, d, 0, step), ew.where(wins, here, before)), d)
            index = mv.concat((part(index, d, 0, step), chosen), d)
            step *= 2
        values = take_along(x, index, d) if x.type.size else ew.same(x)
        shape = node_of(input).type.shape
        return ValuesIndices(wrap(mv.reshape(values, shape)), wrap(mv.reshape(index, shape)))

    function.__name__ = function.__qualname__ = name
    extreme = "largest" if name == "cummax" else "smallest"
    function.__doc__ = f"The {extreme} value so far along ``dim``, and where it is (the last one)."
    return function


cummax = with_out(_cumulative("cummax", ew.ge))
cummin = with_out(_cumulative("cummin", ew.le))


@with_out
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """``log(cumsum(exp(input)))`` along ``dim``, without overflow."""
    x = node_of(input)
    d = normal_dim("logcumsumexp", dim, x.type.ndim)
    if not x.type.dtype.is_inexact:
        x = ew.cast(x, get_default_dtype())
    return wrap(_scan(x, d, logaddexp_nodes) if x.type.ndim else ew.same(x))


@with_out
def diff(
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:
    """Differences of neighbours along ``dim``, taken ``n`` times.

    Args:
        prepend: values to put in front before that; ``append``, behind.

    Raises:
        ShapeError: for a zero-dimensional tensor.
    """
    if node_of(input).type.ndim == 0:
        raise ShapeError("diff takes at least one dimension, not a zero-dimensional tensor")
    d = normal_dim("diff", dim, node_of(input).type.ndim)
    if n < 0:
        raise OptionError(f"diff: n must not be negative: {n}")
    if n == 0:
        return input.clone()
    parts = [p for p in (prepend, input, append) if p is not None]
    x = node_of(cat(parts, d)) if len(parts) > 1 else node_of(input)
    for _ in range(min(n, x.type.shape[d])):
        size = x.type.shape[d]
        later, earlier = part(x, d, 1, max(size, 1)), part(x, d, 0, max(size - 1, 0))
        x = ew.ne(later, earlier) if x.type.dtype is bool_ else ew.sub(later, earlier)
    return wrap(x)


# ---- covariance


def _observations(name: str, input: Tensor) -> Tensor:
    shape = node_of(input).type.shape
    if len(shape) > 2:
        raise ShapeError(f"{name} takes a variable a row, not shape {list(shape)}")
    x = input if node_of(input).type.dtype.is_inexact else input.to(get_default_dtype())
    return x.reshape(1, -1) if len(shape) < 2 else x


def _weights(x: Tensor, name: str, weights: Tensor | None, floating: bool) -> Tensor | None:
    """Those of covariances, checked; that none is negative, when run."""
    if weights is None:
        return None
    kind = node_of(weights).type
    if kind.ndim > 1 or kind.size != x.shape[1]:
        raise ShapeError(
            f"cov: {name} must be a vector of {x.shape[1]}, one for each observation, not of "
            f"shape {list(kind.shape)}"
        )
    if kind.dtype.is_floating_point is not floating:
        wanted = "floats" if floating else "integers"
        raise DTypeError(f"cov: {name} must be {wanted}, not {kind.dtype}")
    return wrap(in_range(node_of(weights), f"cov: {name} must not be negative", 0.0))


@in_low_precision
def cov(
    input: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """Covariances between the rows of ``input``, whose columns are observations.

    Args:
        correction: taken off the number of observations.
        fweights: how often each observation counts (integers).
        aweights: how much it counts.

    Raises:
        ShapeError: for more than two dimensions, or weights that are not one for each observation.
        DTypeError: for frequencies that are no integers, or weights that are.
        DataError: when run, for negative ones.
    """
    x = _observations("cov", input)
    fweights = _weights(x, "fweights", fweights, False)
    aweights = _weights(x, "aweights", aweights, True)
    weights = fweights
    if aweights is not None:
        weights = aweights if fweights is None else fweights * aweights
    if weights is None:
        total: Any = x.shape[1]
        centred = x - x.mean(1, True) if total else x
        scale: Any = max(total - correction, 0)
        y = centred @ centred.mH
    else:
        total = weights.sum()
        centred = x - (x * weights).sum(1, True) / total
        if aweights is not None and correction:
            # Weights that are no counts: as many observations as would spread as much.
            scale = total - correction * (weights * aweights).sum() / total
        else:
            scale = total - correction
        scale = scale.clamp(min=0)
        y = (centred * weights) @ centred.mH
    y = y / scale
    out: Tensor = y if x.shape[0] != 1 else y.reshape(())
    return out


@in_low_precision
def corrcoef(input: Tensor) -> Tensor:
    """Correlations between the rows of ``input``, whose columns are observations."""
    c = cov(input)
    if c.ndim == 0:
        return c / c
    spread = c.diagonal().real.sqrt()
    y: Tensor = c / spread.reshape(-1, 1) / spread
    if y.is_complex():
        return complex_of(y.real.clamp(-1, 1), y.imag.clamp(-1, 1))
    return y.clamp(-1, 1)
