"""Putting tensors side by side, and taking them apart again; turning them round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations as choices, combinations_with_replacement, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import promote
from ..errors import ShapeError
from ..graph.device import CPU
from ..graph.node import type_of
from ..ops import movement as mv
from ..ops.base import broadcast, normal_dim
from ..ops.elementwise import cast
from .core import TensorCore, node_of, wrap
from .creation import as_leaf, meshgrid
from .indexing import index_select
from .numpy_names import with_numpy_names
from .out import with_out
from .shape import Size, cat, cut, flip, reshape, sizes_of, stack, transpose

if TYPE_CHECKING:
    from .tensor import Tensor

Tensors = Sequence["Tensor"]

# ---- at least so many dimensions


def _each(rule: Callable[[Tensor], Tensor], tensors: Sequence[Any]) -> Any:
    """``rule`` for one tensor, or for each of several (also given as one sequence)."""
    if len(tensors) == 1:
        if isinstance(tensors[0], TensorCore):
            return rule(tensors[0])  # type: ignore[arg-type]
        tensors = tensors[0]
    return tuple([rule(x) for x in tensors])


def _with_1(x: Tensor) -> Tensor:
    return x if node_of(x).type.ndim else reshape(x, 1)


def _with_2(x: Tensor) -> Tensor:
    shape = node_of(x).type.shape
    return x if len(shape) >= 2 else reshape(x, (1, *(shape or (1,))))


def _with_3(x: Tensor) -> Tensor:
    x = _with_2(x)
    shape = node_of(x).type.shape
    return x if len(shape) >= 3 else reshape(x, (*shape, 1))


def atleast_1d(*tensors: Any) -> Any:
    """Numbers as vectors of one element; other tensors as they are. Takes one, or several."""
    return _each(_with_1, tensors)


def atleast_2d(*tensors: Any) -> Any:
    """With dimensions of size 1 in front, up to two. Takes one tensor, or several."""
    return _each(_with_2, tensors)


def atleast_3d(*tensors: Any) -> Any:
    """Like :func:`atleast_2d`, and a third dimension behind. Takes one tensor, or several."""
    return _each(_with_3, tensors)


# ---- stacks


@with_out
def hstack(tensors: Tensors) -> Tensor:
    """Joined along dimension 1; vectors along dimension 0."""
    parts = atleast_1d(tensors) if tensors else tensors
    return cat(parts, 1 if parts and parts[0].ndim > 1 else 0)


@with_out
def vstack(tensors: Tensors) -> Tensor:
    """Joined along dimension 0; vectors count as rows."""
    return cat(atleast_2d(tensors) if tensors else tensors, 0)


@with_out
def dstack(tensors: Tensors) -> Tensor:
    """Joined along dimension 2, after :func:`atleast_3d`."""
    return cat(atleast_3d(tensors) if tensors else tensors, 2)


@with_out
def column_stack(tensors: Tensors) -> Tensor:
    """Joined along dimension 1; vectors and numbers count as columns."""
    columns = [x if node_of(x).type.ndim > 1 else reshape(x, -1, 1) for x in tensors]
    return cat(columns, 1)


def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix of the given matrices along its diagonal, zero elsewhere.

    Vectors count as rows.

    Raises:
        ShapeError: for a tensor of more than two dimensions.
    """
    blocks = [node_of(_with_2(x)) for x in tensors]
    if not blocks:
        return wrap(as_leaf(np.zeros((1, 0), np.float32), CPU))
    kind = blocks[0].type.dtype
    for block in blocks:
        if block.type.ndim > 2:
            raise ShapeError(f"block_diag takes matrices, not shape {list(block.type.shape)}")
        kind = promote(kind, block.type.dtype)
    rows = sum(b.type.shape[0] for b in blocks)
    columns = sum(b.type.shape[1] for b in blocks)
    out = mv.zeros(type_of((rows, columns), kind))
    row = column = 0
    for block in blocks:
        height, width = block.type.shape
        place = ((row, row + height, 1), (column, column + width, 1))
        out = mv.set_slice(out, cast(block, kind), place)
        row, column = row + height, column + width
    return wrap(out)


# ---- pieces


@with_numpy_names
def tensor_split(
    input: Tensor, indices_or_sections: int | Sequence[int] | Tensor, dim: int = 0
) -> tuple[Tensor, ...]:
    """Pieces along ``dim``: so many of nearly equal size, or cut before the given places.

    Raises:
        ShapeError: unless the number of pieces is positive.
    """
    shape = node_of(input).type.shape
    if not shape:
        raise ShapeError("tensor_split: a zero-dimensional tensor cannot be split")
    d = normal_dim("tensor_split", dim, len(shape))
    n = shape[d]
    where = indices_or_sections
    if isinstance(where, TensorCore):
        where = where.tolist()
    if isinstance(where, int):
        if where < 1:
            raise ShapeError(f"tensor_split: the number of pieces must be positive, not {where}")
        size, longer = divmod(n, where)
        places = [k * size + min(k, longer) for k in range(where + 1)]
    else:
        places = [0, *[min(max(p + n if p < 0 else p, 0), n) for p in where], n]
    return tuple([cut(input, d, a, max(a, b)) for a, b in pairwise(places)])


def _split_along(name: str, input: Tensor, where: Any, dim: int) -> tuple[Tensor, ...]:
    shape = node_of(input).type.shape
    if isinstance(where, int) and (where < 1 or shape[dim] % where):
        raise ShapeError(
            f"{name}: dimension {dim} of shape {list(shape)} does not split into {where} equal "
            "pieces; use weft.tensor_split for unequal ones"
        )
    return tensor_split(input, where, dim)


def _of_rank_at_least(name: str, input: Tensor, ndim: int) -> None:
    shape = node_of(input).type.shape
    if len(shape) < ndim:
        raise ShapeError(f"{name} takes at least {ndim} dimensions, not shape {list(shape)}")


def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """:func:`tensor_split` along dimension 1 (of a vector: 0), into pieces of equal size.

    Raises:
        ShapeError: for a zero-dimensional tensor, or unequal pieces.
    """
    _of_rank_at_least("hsplit", input, 1)
    return _split_along("hsplit", input, indices_or_sections, min(node_of(input).type.ndim - 1, 1))


def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """:func:`tensor_split` along dimension 0, into pieces of equal size.

    Raises:
        ShapeError: for fewer than two dimensions, or unequal pieces.
    """
    _of_rank_at_least("vsplit", input, 2)
    return _split_along("vsplit", input, indices_or_sections, 0)


def dsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """:func:`tensor_split` along dimension 2, into pieces of equal size.

    Raises:
        ShapeError: for fewer than three dimensions, or unequal pieces.
    """
    _of_rank_at_least("dsplit", input, 3)
    return _split_along("dsplit", input, indices_or_sections, 2)


# ---- all pairs, all choices


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All tuples with one element of each vector, a row each."""
    for x in tensors:
        if node_of(x).type.ndim != 1:
            raise ShapeError(
                f"cartesian_prod takes vectors, not shape {list(node_of(x).type.shape)}"
            )
    if len(tensors) == 1:
        return tensors[0]
    grids = meshgrid(*tensors, indexing="ij")
    return stack([reshape(g, -1) for g in grids], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of ``r`` elements of a vector, in order, a row each.

    Raises:
        ShapeError: unless ``input`` is a vector.
    """
    shape = node_of(input).type.shape
    if len(shape) != 1:
        raise ShapeError(f"combinations takes a vector, not shape {list(shape)}")
    if r == 0:
        kind = node_of(input).type
        return wrap(mv.full(type_of((0,), kind.dtype, kind.device), 0))
    choose = combinations_with_replacement if with_replacement else choices
    places = np.array(list(choose(range(shape[0]), r)), np.int64).reshape(-1, r)
    return reshape(index_select(input, 0, wrap(as_leaf(places.reshape(-1)))), places.shape)


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape to which all of them broadcast.

    Raises:
        ShapeError: naming the sizes that do not fit.
    """
    sizes = [sizes_of("broadcast_shapes", (s,)) for s in shapes]
    return Size(broadcast("broadcast_shapes", *sizes))


# ---- turned round


def flipud(input: Tensor) -> Tensor:
    """The first dimension reversed."""
    _of_rank_at_least("flipud", input, 1)
    return flip(input, 0)


def fliplr(input: Tensor) -> Tensor:
    """The second dimension reversed."""
    _of_rank_at_least("fliplr", input, 2)
    return flip(input, 1)


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned ``k`` times by 90 degrees, from the first of two dimensions towards the second.

    Raises:
        ShapeError: unless ``dims`` names two dimensions.
    """
    ndim = node_of(input).type.ndim
    plane = [normal_dim("rot90", d, ndim) for d in dims]
    if len(plane) != 2 or plane[0] == plane[1]:
        raise ShapeError(f"rot90: dims={tuple(dims)} does not name two dimensions")
    if k % 4 == 0:
        return input.clone()
    if k % 4 == 1:
        return transpose(flip(input, plane[1]), *plane)
    return flip(input, plane) if k % 4 == 2 else flip(transpose(input, *plane), plane[1])
