"""``x[...]`` and ``x[...] = y`` with PyTorch's rules.

An index has a basic part (ints, slices, ``...``, ``None``), which gives a view, and an advanced
part (integer and boolean arrays), which gives a copy. A boolean array stands for the integer arrays
of its true places, which is the one index that must be computed at once: the result's shape depends
on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import bool_, int64, uint8
from ..engine.realize import value_of
from ..errors import DTypeError, IndexingError, IndexOutOfRange, OptionError, ShapeError
from ..graph.device import CPU, device
from ..graph.modes import grad_enabled
from ..graph.node import Node, number
from ..ops import elementwise as ew, index as ix, movement as mv
from ..ops.base import broadcast, normal_dim
from .core import RESHAPE, SLICE, TensorCore, is_number, node_of, not_a_tensor, wrap
from .creation import as_leaf, check_fits
from .elementwise import operand
from .out import with_out
from .reductions import along, take_along

if TYPE_CHECKING:
    from .tensor import Tensor

# ---- taking an index apart


def _is_array(item: Any) -> bool:
    return isinstance(item, (TensorCore, np.ndarray, list, range)) and not isinstance(item, tuple)


def _array_node(item: Any) -> Node:
    """An integer or boolean array of an index, as a node.

    Raises:
        IndexingError: for floats.
    """
    if isinstance(item, TensorCore):
        node = node_of(item)
    else:
        array = np.asarray(list(item) if isinstance(item, range) else item)
        node = as_leaf(array if array.size else array.astype(np.int64))
    kind = node.type.dtype
    if kind.is_inexact:
        raise IndexingError(f"an index must be int or bool, not {kind}: convert it with .long()")
    if kind in (bool_, uint8):
        return node if kind is bool_ else ew.ne(node, 0)
    return ew.cast(node, int64)


def _places(mask: Node, shape: Sequence[int], dim: int) -> list[Node]:
    """The places where a mask holds, one node per dimension of the mask."""
    if mask.type.shape != tuple(shape):
        raise IndexingError(
            f"a mask of shape {list(mask.type.shape)} does not fit the dimensions of shape "
            f"{list(shape)} (from dimension {dim} on) that it indexes"
        )
    return [as_leaf(p) for p in np.nonzero(np.asarray(value_of(mask)))]


def _expanded(index: Any, ndim: int) -> list[Any]:
    """The items of an index, with ``...`` spelled out; masks count for their dimensions."""
    items = list(index) if isinstance(index, tuple) else [index]
    used = 0
    for k, item in enumerate(items):
        if item is None or item is Ellipsis or isinstance(item, (bool, np.bool_)):
            continue
        if _is_array(item):
            items[k] = node = _array_node(item)
            used += node.type.ndim if node.type.dtype is bool_ else 1
            if node.type.ndim == 0 and node.type.dtype is not bool_ and not node.tracks:
                items[k] = int(value_of(node)) if node.value is not None else node
        else:
            used += 1
    dots = [k for k, item in enumerate(items) if item is Ellipsis]
    if len(dots) > 1:
        raise IndexOutOfRange("an index can have only one '...'")
    if used > ndim:
        raise IndexOutOfRange(f"too many indices: {used} for {ndim} dimensions")
    fill = [slice(None)] * (ndim - used)
    at = dots[0] if dots else len(items)
    return items[:at] + fill + items[at + len(dots) :]


def _slice_cut(item: slice, size: int) -> tuple[int, int, int]:
    start, stop, step = item.indices(size)
    if step <= 0:
        raise OptionError(
            f"a slice's step must be positive, not {step}: use weft.flip(x, dim) to go backwards"
        )
    return start, max(stop, start), step


class _Index:
    """An index taken apart: the view that its basic part cuts, and the arrays for some dimensions.

    Attributes:
        cuts: for each dimension of the source.
        shape: of the view, after dropping the dimensions of ints and adding those of ``None``.
        arrays: ``{dimension of that shape: index node}``.
    """

    def __init__(self, index: Any, source: tuple[int, ...]) -> None:
        self.cuts: list[tuple[int, int, int]] = []
        self.shape: list[int] = []
        self.arrays: dict[int, Node] = {}
        dim = 0
        for item in _expanded(index, len(source)):
            if item is None:
                self.shape.append(1)
            elif isinstance(item, (bool, np.bool_)):
                self._add_flag(bool(item))
            elif isinstance(item, slice):
                cut = _slice_cut(item, source[dim])
                self.cuts.append(cut)
                self.shape.append(len(range(*cut)))
                dim += 1
            elif isinstance(item, Node):
                dim = self._add_array(item, source, dim)
            else:
                self._add_int(item, source, dim)
                dim += 1

    def _add_flag(self, flag: bool) -> None:
        self.arrays[len(self.shape)] = as_leaf(np.zeros(int(flag), np.int64))
        self.shape.append(1)

    def _add_int(self, item: Any, source: tuple[int, ...], dim: int) -> None:
        try:
            i = item.__index__()
        except (AttributeError, TypeError):
            raise IndexingError(
                "an index must be an int, a slice, ..., None, or an array of ints or bools, not "
                f"{type(item).__name__}"
            ) from None
        size = source[dim]
        if not -size <= i < size:
            raise IndexOutOfRange(
                f"index {i} is out of range for dimension {dim} with size {size} "
                f"(shape {list(source)})"
            )
        self.cuts.append((i % size, i % size + 1, 1))

    def _add_array(self, node: Node, source: tuple[int, ...], dim: int) -> int:
        if node.type.dtype is not bool_:
            nodes = [node]
        elif node.type.ndim == 0:
            self._add_flag(bool(value_of(node)))
            return dim
        else:
            nodes = _places(node, source[dim : dim + node.type.ndim], dim)
        for n in nodes:
            self.arrays[len(self.shape)] = n
            self.cuts.append((0, source[dim], 1))
            self.shape.append(source[dim])
            dim += 1
        return dim

    def view(self, x: Tensor) -> Tensor:
        shape = x._node.type.shape
        whole = all(c == (0, n, 1) for c, n in zip(self.cuts, shape, strict=True))
        y = x if whole and tuple(self.shape) != shape else x._view(SLICE, tuple(self.cuts))
        target = tuple(self.shape)
        return y if y._node.type.shape == target else y._view(RESHAPE, target)

    def front(self, device: device | None) -> tuple[tuple[int, ...], list[Node]]:
        """The order that brings the indexed dimensions to the front, and their indices.

        Indices may be on the CPU, wherever what they index is: as in PyTorch.
        """
        dims = list(self.arrays)
        order = (*dims, *[d for d in range(len(self.shape)) if d not in self.arrays])
        indices = list(self.arrays.values())
        return order, [_beside(i, device) for i in indices]

    def place(self) -> int:
        """Where the indices' dimensions go: where they were if adjacent, else to the front."""
        dims = list(self.arrays)
        adjacent = dims == list(range(dims[0], dims[0] + len(dims)))
        return dims[0] if adjacent else 0


def _moved(ndim: int, count: int, to: int) -> tuple[int, ...]:
    """The permutation that moves the first ``count`` dimensions behind the next ``to``."""
    rest = list(range(count, ndim))
    return (*rest[:to], *range(count), *rest[to:])


def getitem(x: Tensor, index: Any) -> Tensor:
    """``x[index]``."""
    kind = (x._node if x._base is None else x._sync()).type
    source = kind.shape
    if source and index.__class__ is slice:
        return x._view(SLICE, (_slice_cut(index, source[0]), *kind.whole[1:]))
    if source and index.__class__ is int and -source[0] <= index < source[0]:
        i = index % source[0]
        return x._view(SLICE, ((i, i + 1, 1), *kind.whole[1:]))._view(RESHAPE, source[1:])
    parts = _Index(index, source)
    y = parts.view(x)
    if not parts.arrays:
        return y
    order, indices = parts.front(kind.device)
    taken = ix.take(mv.permute(node_of(y), order), indices)
    ndim = broadcast("indexing", *[i.type.shape for i in indices])
    return wrap(mv.permute(taken, _moved(taken.type.ndim, len(ndim), parts.place())))


def setitem(x: Tensor, index: Any, value: Any) -> None:
    """``x[index] = value``."""
    node = node_of(x)
    if isinstance(index, TensorCore) and _is_mask_of(index, node) and is_number(value):
        mask = _beside(node_of(index), node.type.device)
        x._rebind(ew.where(mask, operand(value, node.type.dtype), node))
        return
    parts = _Index(index, node.type.shape)
    y = parts.view(x)
    new = _value_node(value, node)
    if not parts.arrays:
        copy_into(y, new)
        return
    y._rebind(_put(node_of(y), parts, new, ix.put))


def _beside(index: Node, place: device | None) -> Node:
    """Indices of the CPU go along with any device."""
    return mv.to_device(index, place) if index.type.device is CPU else index


def _is_mask_of(index: TensorCore, node: Node) -> bool:
    mask = node_of(index).type
    return mask.dtype is bool_ and mask.shape == node.type.shape


def _value_node(value: Any, node: Node) -> Node:
    if isinstance(value, (TensorCore, np.ndarray)):
        return operand(value, node.type.dtype)
    if isinstance(value, (list, tuple)):
        value = np.asarray(value)
    elif not is_number(value):
        raise not_a_tensor(value, "x[...] = value takes a Tensor or a number")
    check_fits(value, node.type.dtype)
    return operand(value, node.type.dtype)


def fill_(self: Tensor, value: Any) -> Tensor:
    """All ``value``.

    Raises:
        DTypeError: if it is beyond the range of an integer dtype.
    """
    return copy_into(self, _value_node(value, node_of(self)))


def _put(target: Node, parts: _Index, value: Node, how: Any) -> Node:
    order, indices = parts.front(target.type.device)
    front = mv.permute(target, order)
    block = broadcast("indexing", *[i.type.shape for i in indices])
    region = block + front.type.shape[len(indices) :]
    moved = _moved(len(region), len(block), parts.place())
    wanted = tuple([region[k] for k in moved])
    value = mv.permute(fit(value, wanted), mv.inverse(moved))
    return mv.permute(how(front, value, indices), mv.inverse(order))


def fit(value: Node, shape: tuple[int, ...]) -> Node:
    """A value broadcast to the place it is assigned to; superfluous leading 1s are dropped.

    Raises:
        ShapeError: if it does not fit.
    """
    have = value.type.shape
    while len(have) > len(shape) and have[0] == 1:
        have = have[1:]
    if len(have) > len(shape) or any(
        a not in (1, b) for a, b in zip(reversed(have), reversed(shape), strict=False)
    ):
        raise ShapeError(
            f"a value of shape {list(value.type.shape)} does not fit a place of shape {list(shape)}"
        )
    return mv.expand(mv.reshape(value, have), shape)


def copy_into(target: Tensor, value: Node) -> Tensor:
    """Gives ``target`` the values of ``value``, broadcast; its old ones get a gradient of zero.

    The values may come from another device.
    """
    node = node_of(target)
    value = fit(ew.cast(value, node.type.dtype), node.type.shape)
    new = mv.to_device(value, node.type.device)
    if grad_enabled() and node.tracks:
        return target._rebind(ew.over(new, node))
    return target._rebind(ew.same(value) if new is value else new)


# ---- functions


def _vector(x: Node) -> Node:
    """Where dimensions are addressed, a zero-dimensional tensor is a vector of one element."""
    return x if x.type.ndim else mv.reshape(x, (1,))


@with_out
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The places ``index`` of dimension ``dim``.

    Raises:
        IndexingError: unless ``index`` is a vector.
    """
    x, i = _vector(node_of(input)), node_of(index)
    if i.type.ndim > 1:
        raise IndexingError(
            f"index_select takes a vector of places, not shape {list(i.type.shape)}"
        )
    d = normal_dim("index_select", dim, x.type.ndim)
    order = (d, *[k for k in range(x.type.ndim) if k != d])
    i = ew.cast(mv.reshape(i, (i.type.size,)), int64)
    taken = mv.permute(ix.take(mv.permute(x, order), [i], wrap=False), mv.inverse(order))
    return wrap(taken if node_of(input).type.ndim else mv.reshape(taken, ()))


def check_index(name: str, shape: tuple[int, ...], index: Node, dim: int) -> Node:
    if index.type.dtype.category != 1:
        raise DTypeError(f"{name} takes an int64 index, not {index.type.dtype}")
    if index.type.ndim != len(shape) or any(
        k != dim and n > shape[k] for k, n in enumerate(index.type.shape)
    ):
        raise ShapeError(
            f"{name} along dimension {dim}: an index of shape {list(index.type.shape)} does not "
            f"fit a tensor of shape {list(shape)}"
        )
    return ew.cast(index, int64)


def source_at(name: str, part: Node, index: Node) -> Node:
    """The elements of a source that an index of the same rank has places for.

    Raises:
        ShapeError: if the source has fewer.
    """
    shape, wanted = part.type.shape, index.type.shape
    if len(shape) != len(wanted) or any(n > m for n, m in zip(wanted, shape, strict=True)):
        raise ShapeError(
            f"{name}: an index of shape {list(wanted)} reaches beyond a source of shape "
            f"{list(shape)}"
        )
    return mv.slice_(part, tuple([(0, n, 1) for n in wanted]))


@with_out
def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """``out[i][j] = input[index[i][j]][j]`` (for ``dim=0``)."""
    x, i = _vector(node_of(input)), node_of(index)
    d = normal_dim("gather", dim, x.type.ndim)
    if i.type.size == 0:
        none = mv.slice_(mv.reshape(x, (x.type.size,)), ((0, 0, 1),))
        return wrap(mv.reshape(none, i.type.shape))
    taken = take_along(x, check_index("gather", x.type.shape, _vector(i), d), d)
    return wrap(mv.reshape(taken, i.type.shape))


def _scattered(name: str, input: Tensor, dim: int, index: Tensor, src: Any, how: Any) -> Node:
    x, i = _vector(node_of(input)), _vector(node_of(index))
    d = normal_dim(name, dim, x.type.ndim)
    if i.type.size == 0:
        return ew.same(node_of(input))
    i = check_index(name, x.type.shape, i, d)
    if isinstance(src, TensorCore):
        part = _vector(node_of(src))
        if part.type.dtype is not x.type.dtype:
            raise DTypeError(
                f"{name} of {part.type.dtype} into {x.type.dtype}: convert the source with "
                f".to({x.type.dtype})"
            )
        part = source_at(name, part, i)
    else:
        part = mv.expand(number(src, x.type.dtype), i.type.shape)
    out: Node = how(x, part, along(i, d), False)
    return mv.reshape(out, node_of(input).type.shape)


@with_out
def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: Any = None,
) -> Tensor:
    """A copy of ``input`` with ``out[index[i][j]][j] = src[i][j]`` (for ``dim=0``).

    Args:
        src: a tensor, or one number (also as ``value``) for all places.
        reduce: "add" adds to what is there, "multiply" multiplies it.

    Raises:
        ShapeError: if index, source and input do not fit one another.
        DTypeError: if the source has another dtype.
        OptionError: for another ``reduce``.
    """
    src = value if src is None else src
    if reduce == "add":
        return wrap(_scattered("scatter", input, dim, index, src, ix.put_add))
    if reduce == "multiply":
        if not isinstance(src, TensorCore):
            src = input.new_full(index.shape, src)
        product: Tensor = input.scatter_reduce(dim, index, src, "prod")
        return product
    if reduce is not None:
        raise OptionError(f"scatter: reduce={reduce!r} must be 'add' or 'multiply'")
    return wrap(_scattered("scatter", input, dim, index, src, ix.put))


@with_out
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """Like :func:`scatter`, adding to what is there."""
    return wrap(_scattered("scatter_add", input, dim, index, src, ix.put_add))


@with_out
def index_add(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1
) -> Tensor:
    """A copy of ``input`` with ``alpha * source`` added at the places ``index`` of ``dim``.

    Raises:
        ShapeError: unless ``source`` has the shape of these places.
    """
    x, part = _vector(node_of(input)), _vector(node_of(source))
    d = normal_dim("index_add", dim, x.type.ndim)
    region = (*x.type.shape[:d], node_of(index).type.size, *x.type.shape[d + 1 :])
    if part.type.shape != region or node_of(index).type.ndim > 1:
        raise ShapeError(
            f"index_add: places of shape {list(node_of(index).type.shape)} in dimension {d} of "
            f"{list(x.type.shape)} take a source of shape {list(region)}, not "
            f"{list(part.type.shape)}"
        )
    order = (d, *[k for k in range(x.type.ndim) if k != d])
    part = mv.permute(ew.cast(part, x.type.dtype), order)
    if alpha != 1:
        part = ew.mul(part, alpha)
    places = ew.cast(_vector(node_of(index)), int64)
    out = mv.permute(ix.put_add(mv.permute(x, order), part, [places], False), mv.inverse(order))
    return wrap(mv.reshape(out, node_of(input).type.shape))


def index_put(
    input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False
) -> Tensor:
    """A copy of ``input`` with ``out[indices] = values`` (or ``+=``)."""
    x = node_of(input)
    index = tuple([slice(None) if i is None else i for i in indices])
    parts = _Index(index, x.type.shape)
    return wrap(_put(x, parts, _value_node(values, x), ix.put_add if accumulate else ix.put))


@with_out
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where ``mask`` holds, in one dimension. Runs the mask's graph.

    Raises:
        DTypeError: if ``mask`` is not bool.
    """
    x, m = node_of(input), node_of(mask)
    if m.type.dtype is not bool_:
        raise DTypeError(f"masked_select takes a bool mask, not {m.type.dtype}; write (mask != 0)")
    shape = broadcast("masked_select", x.type.shape, m.type.shape) or (1,)
    return wrap(ix.take(mv.expand(x, shape), _places(mv.expand(m, shape), shape, 0)))


@with_out
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The places of the nonzero elements: one row each, or one tensor per dimension."""
    ndim = node_of(input).type.ndim
    place = node_of(input).type.device
    found = np.nonzero(np.atleast_1d(value_of(node_of(input))))
    if as_tuple:
        return tuple([wrap(as_leaf(p, place)) for p in found])
    return wrap(as_leaf(np.stack(found, axis=1)[:, :ndim], place))
