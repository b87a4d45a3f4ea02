"""Reductions and scans of Tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..dtypes import as_dtype, bool_, dtype, float32, get_default_dtype, int64, uint8
from ..errors import DTypeError, IndexOutOfRange, OptionError, ShapeError
from ..graph.node import Node, type_of
from ..ops import complex as cx, elementwise as ew, reduce as rd
from ..ops.base import normal_dim
from ..ops.index import take
from ..ops.movement import arange, expand, full, reshape
from .autocasting import in_full_precision
from .core import node_of, wrap
from .elementwise import maximum, minimum
from .numpy_names import with_numpy_names
from .out import with_out

if TYPE_CHECKING:
    from .tensor import Tensor

Dims = int | Sequence[int] | None


def dims_of(name: str, dim: Dims, ndim: int) -> tuple[int, ...]:
    """Normal dimensions, ascending; None and () mean all.

    Raises:
        ShapeError: if a dimension is named twice.
    """
    if dim is None:
        return tuple(range(ndim))
    if isinstance(dim, int):
        return (normal_dim(name, dim, ndim),) if ndim else _no_dims(name, (dim,))
    if len(dim) == 0:
        return tuple(range(ndim))
    if not ndim:
        return _no_dims(name, dim)
    dims = sorted(normal_dim(name, d, ndim) for d in dim)
    if len(set(dims)) != len(dims):
        raise ShapeError(f"{name}: dim {tuple(dim)} names a dimension twice")
    return tuple(dims)


def _no_dims(name: str, dim: Sequence[int]) -> tuple[int, ...]:
    for d in dim:
        normal_dim(name, d, 0)
    return ()


def _summable(x: Node, to: dtype | None) -> Node:
    if to is not None:
        return ew.cast(x, as_dtype(to))
    return x if x.type.dtype.is_inexact else ew.cast(x, int64)


@with_out
def sum(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None
) -> Tensor:
    """Sum over ``dim`` (all by default). Integers and bools add up in int64."""
    x = _summable(node_of(input), dtype)
    dims = x.type.dims if dim is None else dims_of("sum", dim, x.type.ndim)
    return wrap(rd.sum_(x, dims, keepdim))


def _float_only(name: str, x: Node) -> None:
    if not x.type.dtype.is_inexact:
        raise DTypeError(
            f"{name} of {x.type.dtype} is not a whole number: convert first, x.float().{name}(...)"
        )


def count(x: Node, dims: tuple[int, ...]) -> int:
    n = 1
    for d in dims:
        n *= x.type.shape[d]
    return n


@with_out
def mean(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None
) -> Tensor:
    """Mean over ``dim`` (all by default).

    Raises:
        DTypeError: for integers and bools, unless ``dtype`` is given.
    """
    x = node_of(input) if dtype is None else ew.cast(node_of(input), as_dtype(dtype))
    _float_only("mean", x)
    dims = dims_of("mean", dim, x.type.ndim)
    n = count(x, dims)
    kind = x.type.dtype
    if kind.is_reduced:  # sum and count may be beyond what 16 bits hold, though the mean is not
        x = ew.cast(x, float32)
    return wrap(ew.cast(ew.div(rd.sum_(x, dims, keepdim), n), kind))


def _correction(unbiased: bool | None, correction: float | None) -> float:
    if correction is not None:
        return correction
    return 1 if unbiased is None or unbiased else 0


def variance(x: Node, dims: tuple[int, ...], keep: bool, correction: float) -> Node:
    """Mean squared distance from the mean, in two passes."""
    n = count(x, dims)
    mu = ew.div(rd.sum_(x, dims, True), n)
    centred = ew.sub(x, mu)
    return ew.div(rd.sum_(squared(centred), dims, keep), n - correction if n > correction else 0)


def squared(x: Node) -> Node:
    """The square of the absolute value."""
    return cx.real(ew.mul(x, cx.conj(x)))


@with_out
def var(
    input: Tensor,
    dim: Dims | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """Variance over ``dim``, divided by ``n - correction`` (1 by default)."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    x = node_of(input)
    _float_only("var", x)
    dims = dims_of("var", dim, x.type.ndim)
    return wrap(variance(x, dims, keepdim, _correction(unbiased, correction)))


@with_out
def std(
    input: Tensor,
    dim: Dims | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """Standard deviation over ``dim``: the square root of :func:`var`.

    Where it is 0 it has no gradient, as in PyTorch.
    """
    spread = node_of(var(input, dim, unbiased, keepdim, correction=correction))
    none = ew.eq(spread, 0)
    return wrap(ew.where(none, 0, ew.sqrt(ew.where(none, 1, spread))))


class ValuesIndices(NamedTuple):
    """What ``max(dim)``, ``min(dim)`` and ``sort`` return."""

    values: Tensor
    indices: Tensor


def take_along(x: Node, index: Node, dim: int) -> Node:
    """Elements of ``x`` at ``index`` along ``dim``; the other dimensions of both agree."""
    return take(x, along(index, dim), wrap=False)


def along(index: Node, dim: int) -> list[Node]:
    """The index of every dimension: ``index`` for ``dim``, its own place for the others."""
    shape = index.type.shape
    out = []
    for d, n in enumerate(shape):
        place = [1] * len(shape)
        place[d] = n
        out.append(index if d == dim else reshape(arange(n, int64), tuple(place)))
    return out


def _extreme(
    name: str,
    reduce: Callable[..., Node],
    arg: Callable[..., Node],
    pairwise: Callable[..., Tensor],
) -> Callable[..., Any]:
    def function(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
        x = node_of(input)
        if dim is None:
            return wrap(reduce(x, tuple(range(x.type.ndim))))
        if not isinstance(dim, int):
            return pairwise(input, dim)
        d = normal_dim(name, dim, x.type.ndim)
        if x.type.ndim == 0:
            place = full(type_of((), int64, x.type.device), 0)
            return ValuesIndices(wrap(ew.same(x)), wrap(place))
        if x.type.shape[d] == 0:
            raise IndexOutOfRange(
                f"{name} of no elements: shape {list(x.type.shape)} is empty in dimension {d}"
            )
        index = arg(x, d, True)
        values = take_along(x, index, d)
        if not keepdim:
            shape = tuple(n for k, n in enumerate(x.type.shape) if k != d)
            values, index = reshape(values, shape), reshape(index, shape)
        return ValuesIndices(wrap(values), wrap(index))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"``{name}(input)``: over all elements (ties share the gradient). "
        f"``{name}(input, dim)``: values and indices along ``dim``. "
        f"``{name}(input, other)``: elementwise."
    )
    return function


max = with_out(_extreme("max", rd.max_, rd.argmax, maximum))
min = with_out(_extreme("min", rd.min_, rd.argmin, minimum))


@with_out
def amax(input: Tensor, dim: Dims = (), keepdim: bool = False) -> Tensor:
    """Largest value over ``dim`` (all by default); ties share the gradient."""
    x = node_of(input)
    return wrap(rd.max_(x, dims_of("amax", dim, x.type.ndim), keepdim))


@with_out
def amin(input: Tensor, dim: Dims = (), keepdim: bool = False) -> Tensor:
    """Smallest value over ``dim`` (all by default); ties share the gradient."""
    x = node_of(input)
    return wrap(rd.min_(x, dims_of("amin", dim, x.type.ndim), keepdim))


def _arg(name: str, call: Callable[..., Node]) -> Callable[..., Tensor]:
    def function(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        x = node_of(input)
        if dim is None or x.type.ndim == 0:
            if dim is not None:
                normal_dim(name, dim, 0)
            flat = call(reshape(x, (x.type.size,)), 0, False)
            return wrap(reshape(flat, (1,) * x.type.ndim) if keepdim else flat)
        return wrap(call(x, normal_dim(name, dim, x.type.ndim), keepdim))

    function.__name__ = function.__qualname__ = name
    which = "largest" if name == "argmax" else "smallest"
    function.__doc__ = f"Index of the first {which} element along ``dim``, or of all, flattened."
    return function


argmax = with_out(_arg("argmax", rd.argmax))
argmin = with_out(_arg("argmin", rd.argmin))


def _truth(name: str, reduce: Callable[..., Node], doc: str) -> Callable[..., Tensor]:
    def function(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
        x = node_of(input)
        # Unlike the other reductions, these take () for no dimension, as in PyTorch.
        dims = () if dim == () else dims_of(name, dim, x.type.ndim)
        mask = x if x.type.dtype is bool_ else ew.ne(x, 0)
        if any_empty(x, dims):
            kind = rd.sum_(ew.cast(mask, int64), dims, keepdim).type
            out = full(type_of(kind.shape, bool_, kind.device), name == "all")
        else:
            out = reduce(mask, dims, keepdim)
        return wrap(ew.cast(out, uint8) if x.type.dtype is uint8 else out)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def any_empty(x: Node, dims: tuple[int, ...]) -> bool:
    return 0 in [x.type.shape[d] for d in dims]


any = with_out(_truth("any", rd.max_, "Is any element nonzero?"))
all = with_out(_truth("all", rd.min_, "Are all elements nonzero?"))


@with_numpy_names
def count_nonzero(input: Tensor, dim: Dims = None) -> Tensor:
    """How many elements are not zero."""
    x = node_of(input)
    mask = ew.cast(ew.ne(x, 0), int64)
    return wrap(rd.sum_(mask, dims_of("count_nonzero", dim, x.type.ndim)))


@with_out
@in_full_precision
def prod(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: dtype | None = None
) -> Tensor:
    """Product over ``dim`` (all by default). Integers multiply in int64."""
    x = _summable(node_of(input), dtype)
    if dim is None:
        return wrap(reshape(rd.prod(reshape(x, (x.type.size,)), 0), ()))
    d = normal_dim("prod", dim, x.type.ndim)
    if x.type.ndim == 0:
        return wrap(ew.same(x))
    y = rd.prod(x, d)
    shape = x.type.shape
    return wrap(y if keepdim else reshape(y, shape[:d] + shape[d + 1 :]))


@with_out
def cumsum(input: Tensor, dim: int, *, dtype: dtype | None = None) -> Tensor:
    """Running sum along ``dim``."""
    x = _summable(node_of(input), dtype)
    d = normal_dim("cumsum", dim, x.type.ndim)
    return wrap(rd.cumsum(x, d) if x.type.ndim else ew.same(x))


@with_out
def cumprod(input: Tensor, dim: int, *, dtype: dtype | None = None) -> Tensor:
    """Running product along ``dim``."""
    x = _summable(node_of(input), dtype)
    d = normal_dim("cumprod", dim, x.type.ndim)
    return wrap(rd.cumprod(x, d) if x.type.ndim else ew.same(x))


@with_out
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The order in which ``input`` is sorted along ``dim``. Always stable."""
    x = node_of(input)
    d = normal_dim("argsort", dim, x.type.ndim)
    if x.type.ndim == 0:
        return wrap(full(type_of((), int64, x.type.device), 0))
    return wrap(rd.argsort(x, d, descending))


@with_out
def sort(
    input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True
) -> ValuesIndices:
    """Values sorted along ``dim``, and where they were. Always stable."""
    index = argsort(input, dim, descending)
    x = node_of(input)
    if x.type.ndim == 0:
        return ValuesIndices(wrap(ew.same(x)), index)
    d = normal_dim("sort", dim, x.type.ndim)
    return ValuesIndices(wrap(take_along(x, node_of(index), d)), index)


@with_out
def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> ValuesIndices:
    """The ``k`` largest (or smallest) values along ``dim``, in order, and where they are.

    Raises:
        ShapeError: if there are fewer than ``k``.
    """
    x = node_of(input)
    d = normal_dim("topk", dim, x.type.ndim)
    if x.type.ndim == 0:
        return sort(input)
    if k < 0 or k > x.type.shape[d]:
        raise ShapeError(f"topk: k={k}, but dimension {d} of {list(x.type.shape)} is shorter")
    index = rd.argsort(x, d, largest, k)
    return ValuesIndices(wrap(take_along(x, index, d)), wrap(index))


@with_out
def logsumexp(input: Tensor, dim: Dims, keepdim: bool = False) -> Tensor:
    """``log(sum(exp(input)))``, without overflow."""
    x = node_of(input)
    if not x.type.dtype.is_inexact:
        x = ew.cast(x, get_default_dtype())
    dims = dims_of("logsumexp", dim, x.type.ndim)
    if any_empty(x, dims):
        return wrap(ew.log(rd.sum_(ew.exp(x), dims, keepdim)))
    top = ew.detach(rd.max_(cx.real(x), dims, True))
    top = ew.cast(ew.where(ew.eq(ew.abs_(top), float("inf")), 0, top), x.type.dtype)
    shifted = ew.sub(x, expand(top, x.type.shape))
    y = ew.add(ew.log(rd.sum_(ew.exp(shifted), dims, True)), top)
    shape = tuple([n for k, n in enumerate(x.type.shape) if k not in dims])
    return wrap(y if keepdim else reshape(y, shape))


@with_out
def norm(input: Tensor, p: float | str = 2, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The vector norm of order ``p`` over ``dim`` (all by default); "fro" is 2.

    Raises:
        OptionError: for another name.
    """
    x = node_of(input)
    _float_only("norm", x)
    if isinstance(p, str):
        if p != "fro":
            raise OptionError(f"norm of order {p!r}: a number or 'fro' is expected")
        p = 2
    dims = dims_of("norm", dim, x.type.ndim)
    size = ew.abs_(x)
    if x.type.dtype.is_complex:
        x = size
    if p == float("inf"):
        return wrap(rd.max_(size, dims, keepdim))
    if p == -float("inf"):
        return wrap(rd.min_(size, dims, keepdim))
    if p == 0:
        return wrap(rd.sum_(ew.over(ew.cast(ew.ne(x, 0), x.type.dtype), x), dims, keepdim))
    if p == 1:
        return wrap(rd.sum_(size, dims, keepdim))
    if p == 2:
        total = rd.sum_(ew.mul(x, x), dims, keepdim)
        # At a zero vector the gradient is 0, not 0/0.
        zero = ew.eq(total, 0)
        return wrap(ew.where(zero, 0, ew.sqrt(ew.where(zero, 1, total))))
    if p < 0:
        return wrap(ew.pow_(rd.sum_(ew.pow_(size, p), dims, keepdim), 1 / p))
    # Zeros are kept from pow, whose slope may be infinite there.
    none = ew.eq(size, 0)
    powers = ew.where(none, 0, ew.pow_(ew.where(none, 1, size), p))
    total = rd.sum_(powers, dims, keepdim)
    zero = ew.eq(total, 0)
    return wrap(ew.where(zero, 0, ew.pow_(ew.where(zero, 1, total), 1 / p)))
