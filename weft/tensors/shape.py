"""Shape moves: views where PyTorch gives views, copies where it copies."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from ..dtypes import int64, promote
from ..errors import DTypeError, IndexOutOfRange, ShapeError, UnsupportedOp
from ..graph.node import Node, Shape
from ..ops import elementwise as ew, movement as mv
from ..ops.base import broadcast, dim_with_size, normal_dim
from ..ops.elementwise import cast
from .core import EXPAND, PERMUTE, RESHAPE, SLICE, TensorCore, ViewKind, node_of, not_a_tensor, wrap
from .numpy_names import with_numpy_names
from .out import with_out

if TYPE_CHECKING:
    from .tensor import Tensor


class Size(tuple[int, ...]):
    """A shape: a tuple of ints with :meth:`numel`, printed as PyTorch's ``torch.Size``."""

    __slots__ = ()

    def numel(self) -> int:
        """Number of elements."""
        return prod(self)

    def __repr__(self) -> str:
        return f"weft.Size({list(self)})"

    def __getitem__(self, key: Any) -> Any:
        found = tuple.__getitem__(self, key)
        return Size(found) if isinstance(key, slice) else found

    def __add__(self, other: Any) -> Size:
        return Size(tuple.__add__(self, tuple(other)))


def sizes_of(name: str, sizes: Sequence[Any], size: Any = None) -> Shape:
    """A shape given as ints or as one sequence, or by the name ``size``.

    Raises:
        TypeError: for anything but ints; for a shape that is given twice.
    """
    if size is not None:
        if sizes:
            raise TypeError(f"{name}: the shape is given twice, as {list(sizes)} and size={size!r}")
        sizes = (size,)
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    try:
        return tuple([s.__index__() for s in sizes])
    except (AttributeError, TypeError):
        wrong = next(s for s in sizes if not hasattr(s, "__index__"))
        raise TypeError(
            f"{name}: sizes must be ints, not {wrong!r} of type {type(wrong).__name__}"
        ) from None


def resolved(name: str, shape: Shape, size: int) -> Shape:
    """``shape`` with its -1 worked out.

    Raises:
        ShapeError: if it does not hold ``size`` elements.
    """
    known = prod(s for s in shape if s != -1)
    if shape.count(-1) == 1 and all(s >= -1 for s in shape):
        if known and size % known == 0:
            return tuple([size // known if s == -1 else s for s in shape])
    elif known == size and all(s >= 0 for s in shape):
        return shape
    raise ShapeError(
        f"{name}: shape {list(shape)} does not fit {size} elements"
        + (f" ({size} is not a multiple of {known})" if -1 in shape and known > 0 else "")
    )


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """``input`` in another shape, one size of which may be -1; a view where possible."""
    node = node_of(input)
    new = resolved("reshape", sizes_of("reshape", shape), node.type.size)
    if input._base is None or input._can_view_as(new):
        return input._view(RESHAPE, new)
    return wrap(mv.reshape(node, new))


def view(input: Tensor, *shape: Any) -> Tensor:
    """Like :func:`reshape`, but always a view.

    Raises:
        ShapeError: if the elements' order in memory allows no view of that shape.
    """
    node = node_of(input)
    if len(shape) == 1 and shape[0] is node.type.dtype:
        shape = (node.type.shape,)
    if len(shape) == 1 and not isinstance(shape[0], (int, tuple, list)):
        raise UnsupportedOp(f"view({shape[0]!r}): reading the same bits as another dtype")
    new = resolved("view", sizes_of("view", shape), node.type.size)
    if input._base is not None and not input._can_view_as(new):
        raise ShapeError(
            f"view: shape {list(node.type.shape)} cannot be seen as {list(new)} without a copy, "
            "because its elements are not in order in memory; use .reshape() instead"
        )
    return input._view(RESHAPE, new)


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """``input.view(other.shape)``."""
    return view(input, tuple(other.shape))


def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """``input.reshape(other.shape)``."""
    return reshape(input, tuple(other.shape))


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions ``start_dim`` to ``end_dim`` as one.

    Raises:
        ShapeError: if ``start_dim`` comes after ``end_dim``.
    """
    shape = node_of(input).type.shape
    first = normal_dim("flatten", start_dim, len(shape))
    last = normal_dim("flatten", end_dim, len(shape))
    if first > last:
        raise ShapeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    if len(shape) == 0:
        return reshape(input, 1)
    if first == last:
        return input
    return reshape(input, (*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :]))


def ravel(input: Tensor) -> Tensor:
    """All dimensions as one."""
    return reshape(input, -1)


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Dimension ``dim`` as several of ``sizes``."""
    shape = node_of(input).type.shape
    d = dim_with_size("unflatten", dim, shape)
    inner = resolved("unflatten", tuple(sizes), shape[d])
    return view(input, shape[:d] + inner + shape[d + 1 :])


def permute(input: Tensor, *args: Any, dims: Any = None) -> Tensor:
    """The dimensions in another order.

    Raises:
        ShapeError: unless each dimension is named once.
    """
    ndim = node_of(input).type.ndim
    given = sizes_of("permute", args if dims is None else (dims,))
    order = tuple([normal_dim("permute", d, ndim) for d in given])
    if sorted(order) != list(range(ndim)):
        raise ShapeError(f"permute: {list(order)} does not name each of {ndim} dimensions once")
    return input._view(PERMUTE, order)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions swapped."""
    ndim = node_of(input).type.ndim
    a, b = normal_dim("transpose", dim0, ndim), normal_dim("transpose", dim1, ndim)
    order = list(range(ndim))
    if ndim:
        order[a], order[b] = b, a
    return input._view(PERMUTE, tuple(order))


def t(input: Tensor) -> Tensor:
    """A matrix transposed; vectors stay.

    Raises:
        ShapeError: for more than two dimensions.
    """
    ndim = node_of(input).type.ndim
    if ndim > 2:
        raise ShapeError(f"t() takes at most 2 dimensions, not {ndim}; use .mT or .transpose()")
    return input._view(PERMUTE, (1, 0) if ndim == 2 else tuple(range(ndim)))


def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Dimensions moved to other places, the rest in order.

    Raises:
        ShapeError: if the two do not name as many dimensions, or one twice.
    """
    ndim = node_of(input).type.ndim
    froms = [source] if isinstance(source, int) else list(source)
    tos = [destination] if isinstance(destination, int) else list(destination)
    froms = [normal_dim("movedim", d, ndim) for d in froms]
    tos = [normal_dim("movedim", d, ndim) for d in tos]
    if len(froms) != len(tos) or len(set(froms)) != len(froms) or len(set(tos)) != len(tos):
        raise ShapeError(f"movedim: {source} and {destination} do not pair up")
    rest = iter([d for d in range(ndim) if d not in froms])
    at = dict(zip(tos, froms, strict=True))
    return input._view(PERMUTE, tuple([at[k] if k in at else next(rest) for k in range(ndim)]))


@with_numpy_names
def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without the dimensions of size 1 (or those of ``dim`` that are of size 1)."""
    shape = node_of(input).type.shape
    if dim is None:
        dims = set(range(len(shape)))
    else:
        each = [dim] if isinstance(dim, int) else dim
        dims = {normal_dim("squeeze", d, len(shape)) for d in each}
        if len(dims) != len(each):
            raise ShapeError(f"squeeze: {list(each)} names a dimension twice")
    return input._view(RESHAPE, tuple([n for k, n in enumerate(shape) if n != 1 or k not in dims]))


@with_numpy_names
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new dimension of size 1 at ``dim``."""
    shape = node_of(input).type.shape
    d = normal_dim("unsqueeze", dim, len(shape) + 1)
    return input._view(RESHAPE, (*shape[:d], 1, *shape[d:]))


def expand(input: Tensor, *sizes: Any) -> Tensor:
    """Dimensions of size 1 repeated without copying; -1 keeps a size.

    Raises:
        ShapeError: if a size other than 1 would change.
    """
    shape = node_of(input).type.shape
    new = list(sizes_of("expand", sizes))
    extra = len(new) - len(shape)
    if extra < 0:
        raise ShapeError(f"expand: {new} has fewer dimensions than the tensor's {list(shape)}")
    for k, n in enumerate(new):
        if n == -1:
            if k < extra:
                raise ShapeError(f"expand: -1 in {new} stands for a dimension that is not there")
            new[k] = shape[k - extra]
    target = tuple(new)
    if target == shape:
        return input._view(RESHAPE, shape)
    if any(a not in (1, b) for a, b in zip(shape, target[extra:], strict=True)):
        raise ShapeError(
            f"expand: shape {list(shape)} does not expand to {new}: only dimensions of size 1 do; "
            "use .repeat() for copies of larger ones"
        )
    return input._view(EXPAND, target)


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """``input.expand(other.shape)``."""
    return expand(input, tuple(other.shape))


def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """``input`` broadcast to ``size``."""
    return expand(input, tuple(size))


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors, broadcast to their common shape."""
    shape = broadcast("broadcast_tensors", *[node_of(x).type.shape for x in tensors])
    return tuple([expand(x, shape) for x in tensors])


def cut(input: Tensor, dim: int, start: int, stop: int, step: int = 1) -> Tensor:
    """A slice of one dimension, as a view."""
    cuts = [(0, n, 1) for n in node_of(input).type.shape]
    cuts[dim] = (start, stop, step)
    return input._view(SLICE, tuple(cuts))


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """``length`` places of dimension ``dim`` from ``start`` on.

    Raises:
        IndexOutOfRange: if they are not all there.
        DTypeError: for a ``start`` that is a tensor, but not one integer.
    """
    shape = node_of(input).type.shape
    d = dim_with_size("narrow", dim, shape)
    if isinstance(start, TensorCore):
        kind = node_of(start).type
        if kind.ndim or kind.dtype.category != 1:
            raise DTypeError(f"narrow: start must be one integer, not {kind.dtype}{[*kind.shape]}")
        start = int(start)
    begin = start + shape[d] if start < 0 else start
    if length < 0 or begin < 0 or begin + length > shape[d]:
        raise IndexOutOfRange(
            f"narrow: {length} places from {start} on do not fit dimension {d} of {list(shape)}"
        )
    return cut(input, d, begin, begin + length)


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """One place of dimension ``dim``, without that dimension.

    Raises:
        IndexOutOfRange: if it is not there.
    """
    shape = node_of(input).type.shape
    d = normal_dim("select", dim, len(shape))
    if not shape or not -shape[d] <= index < shape[d]:
        raise IndexOutOfRange(
            f"index {index} is out of range for dimension {d} of shape {list(shape)}"
        )
    i = index % shape[d]
    part = cut(input, d, i, i + 1)
    return part._view(RESHAPE, shape[:d] + shape[d + 1 :])


@with_numpy_names
def split(input: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces along ``dim``: of one size (the last may be smaller), or of the given sizes.

    Raises:
        ShapeError: if given sizes do not add up to the dimension's.
    """
    shape = node_of(input).type.shape
    d = dim_with_size("split", dim, shape)
    n = shape[d]
    if isinstance(split_size, int):
        if split_size <= 0 and n:
            raise ShapeError(f"split: the size of a piece must be positive, not {split_size}")
        count = max(-(-n // split_size), 1) if n else 1
        sizes = [min(split_size, n - k * split_size) for k in range(count)]
    else:
        sizes = list(split_size)
        if sum(sizes) != n:
            raise ShapeError(f"split: {sizes} do not add up to {n}, the size of dimension {d}")
    out, start = [], 0
    for size in sizes:
        out.append(cut(input, d, start, start + size))
        start += size
    return tuple(out)


@with_numpy_names
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` pieces of equal size along ``dim`` (the last may be smaller).

    Raises:
        ShapeError: unless ``chunks`` is positive.
    """
    if chunks <= 0:
        raise ShapeError(f"chunk: the number of chunks must be positive, not {chunks}")
    shape = node_of(input).type.shape
    n = shape[dim_with_size("chunk", dim, shape)]
    return split(input, max(-(-n // chunks), 1), dim)


@with_numpy_names
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """All places of dimension ``dim``, each without that dimension."""
    shape = node_of(input).type.shape
    d = dim_with_size("unbind", dim, shape)
    return tuple([select(input, d, k) for k in range(shape[d])])


class _Diagonal(NamedTuple):
    """How a diagonal is cut: two dimensions moved to the end, seen as one, stepped through."""

    order: tuple[int, ...]
    flat: Shape
    cuts: tuple[mv.Cut, ...]
    offset: int


def _cut_diagonal(base: Node, at: _Diagonal) -> Node:
    return mv.slice_(mv.reshape(mv.permute(base, at.order), at.flat), at.cuts)


def _write_diagonal(base: Node, new: Node, at: _Diagonal) -> Node:
    moved = mv.permute(base, at.order)
    changed = mv.set_slice(mv.reshape(moved, at.flat), new, at.cuts)
    return mv.permute(mv.reshape(changed, moved.type.shape), mv.inverse(at.order))


_DIAGONAL = ViewKind(
    "diagonal",
    _cut_diagonal,
    _write_diagonal,
    lambda a, at: a.transpose(at.order).diagonal(at.offset, -2, -1),
)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two dimensions, as the last dimension; a view.

    Raises:
        ShapeError: if both are the same dimension.
    """
    shape = node_of(input).type.shape
    a, b = normal_dim("diagonal", dim1, len(shape)), normal_dim("diagonal", dim2, len(shape))
    if a == b:
        raise ShapeError(f"diagonal: dim1 and dim2 are both {dim1}")
    rest = [k for k in range(len(shape)) if k not in (a, b)]
    rows, columns = shape[a], shape[b]
    length = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    first = offset if offset >= 0 else -offset * columns
    step = columns + 1
    cut = (first, first + (length - 1) * step + 1, step) if length else (0, 0, 1)
    sizes = tuple([shape[k] for k in rest])
    cuts = (*[(0, n, 1) for n in sizes], cut)
    at = _Diagonal((*rest, a, b), (*sizes, rows * columns), cuts, offset)
    return input._view(_DIAGONAL, at)


# ---- copies


def _dtype_of_all(name: str, tensors: Sequence[Any]) -> list[Node]:
    if not isinstance(tensors, (tuple, list)):
        if isinstance(tensors, TensorCore):
            raise TypeError(f"{name} takes a sequence of Tensors, not one Tensor: {name}([x, y])")
        tensors = list(tensors)
    if not tensors:
        raise ShapeError(f"{name} of no tensors: the sequence is empty")
    for x in tensors:
        if not isinstance(x, TensorCore):
            raise not_a_tensor(x, f"{name} takes a sequence of Tensors")
    nodes = [node_of(x) for x in tensors]
    kind = nodes[0].type.dtype
    for n in nodes[1:]:
        kind = promote(kind, n.type.dtype)
    return [cast(n, kind) for n in nodes]


@with_out
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors joined along ``dim``.

    Raises:
        ShapeError: if another dimension differs, naming the tensor.
    """
    nodes = _dtype_of_all("cat", tensors)
    # PyTorch lets empty vectors stand among tensors of any shape.
    real = [n for n in nodes if n.type.shape != (0,)] or nodes[:1]
    if any(n.type.ndim == 0 for n in real):
        raise ShapeError("cat: zero-dimensional tensors cannot be joined; use weft.stack")
    y = mv.concat(real, normal_dim("cat", dim, real[0].type.ndim))
    return wrap(ew.same(y) if y in real else y)


@with_out
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape joined along a new dimension.

    Raises:
        ShapeError: if the shapes differ, naming the tensor.
    """
    nodes = _dtype_of_all("stack", tensors)
    first = nodes[0].type.shape
    for k, n in enumerate(nodes):
        if n.type.shape != first:
            raise ShapeError(
                f"stack: all tensors must have one shape, but tensor 0 has {list(first)} and "
                f"tensor {k} has {list(n.type.shape)}"
            )
    d = normal_dim("stack", dim, len(first) + 1)
    shape = (*first[:d], 1, *first[d:])
    y = mv.concat([mv.reshape(n, shape) for n in nodes], d)
    return wrap(ew.same(y) if y in nodes else y)


def flip(input: Tensor, *args: Any, dims: Any = None) -> Tensor:
    """Reversed along ``dims``; a copy."""
    node = node_of(input)
    each = sizes_of("flip", args if dims is None else (dims,))
    turn = [normal_dim("flip", d, node.type.ndim) for d in each]
    if len(set(turn)) != len(turn):
        raise ShapeError(f"flip: {list(each)} names a dimension twice")
    return wrap(mv.flip(node, turn))


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Elements shifted along ``dims``, round the end."""
    x = node_of(input)
    if dims is None:
        flat = roll(reshape(input, -1), shifts, 0)
        return reshape(flat, x.type.shape)
    shifts = [shifts] if isinstance(shifts, int) else list(shifts)
    dims = [dims] if isinstance(dims, int) else list(dims)
    if len(shifts) != len(dims):
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(dims)} dims")
    for shift, dim in zip(shifts, dims, strict=True):
        d = dim_with_size("roll", dim, x.type.shape)
        n = x.type.shape[d]
        if n == 0 or shift % n == 0:
            continue
        at = n - shift % n
        whole = [(0, m, 1) for m in x.type.shape]
        head, tail = list(whole), list(whole)
        head[d], tail[d] = (0, at, 1), (at, n, 1)
        x = mv.concat((mv.slice_(x, tuple(tail)), mv.slice_(x, tuple(head))), d)
    return wrap(ew.same(x) if x is node_of(input) else x)


def repeat(input: Tensor, *sizes: Any) -> Tensor:
    """Copies laid side by side: ``sizes[k]`` of them along dimension ``k``.

    Raises:
        ShapeError: if there are fewer sizes than dimensions.
    """
    x = node_of(input)
    times = sizes_of("repeat", sizes)
    extra = len(times) - x.type.ndim
    if extra < 0:
        raise ShapeError(f"repeat: {list(times)} has fewer sizes than shape {list(x.type.shape)}")
    if min(times, default=0) < 0:
        raise ShapeError(f"repeat: {list(times)} must not be negative")
    shape = (1,) * extra + x.type.shape
    parts = [n for pair in zip((1,) * len(shape), shape, strict=True) for n in pair]
    wide = [n for pair in zip(times, shape, strict=True) for n in pair]
    y = mv.expand(mv.reshape(x, tuple(parts)), tuple(wide))
    return wrap(ew.same(mv.reshape(y, tuple([a * b for a, b in zip(times, shape, strict=True)]))))


def tile(input: Tensor, *dims: Any) -> Tensor:
    """Like :func:`repeat`; missing leading sizes are 1."""
    times = sizes_of("tile", dims)
    ndim = node_of(input).type.ndim
    return repeat(input, (1,) * (ndim - len(times)) + times)


def _triangle(input: Tensor, diagonal: int, lower: bool) -> Tensor:
    x = node_of(input)
    if x.type.ndim < 2:
        raise ShapeError(f"tril/triu take at least 2 dimensions, not shape {list(x.type.shape)}")
    rows, columns = x.type.shape[-2:]
    row = mv.reshape(mv.arange(rows, int64, diagonal), (rows, 1))
    column = mv.arange(columns, int64)
    return wrap(ew.where(ew.le(column, row) if lower else ew.ge(column, row), x, 0))


@with_out
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle, zero above ``diagonal``."""
    return _triangle(input, diagonal, True)


@with_out
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle, zero below ``diagonal``."""
    return _triangle(input, diagonal, False)
