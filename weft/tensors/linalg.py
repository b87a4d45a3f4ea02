"""Products of matrices and vectors."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from ..errors import DTypeError, ShapeError
from ..graph.node import Node
from ..ops import elementwise as ew
from ..ops.base import broadcast
from ..ops.contract import matmul as matmul_op
from ..ops.movement import reshape
from ..ops.reduce import sum_
from .autocasting import autocast_mode, call_without_autocast, in_low_precision
from .core import node_of, wrap
from .out import written

if TYPE_CHECKING:
    from .tensor import Tensor


_low = autocast_mode.get


def _same_dtype(name: str, a: Node, b: Node) -> None:
    if a.type.dtype is not b.type.dtype:
        raise DTypeError(
            f"{name} of {a.type.dtype} (shape {list(a.type.shape)}) and {b.type.dtype} (shape "
            f"{list(b.type.shape)}): both must have one dtype; convert one, for example "
            f"x.to(weft.{(b if b.type.dtype.is_floating_point else a).type.dtype.name})"
        )


def matmul_nodes(a: Node, b: Node, *, turn_b: bool = False) -> Node:
    """PyTorch's ``matmul`` on nodes: vectors count as a row and a column.

    ``turn_b``: ``b``, a matrix, is to be transposed.
    """
    _same_dtype("matmul", a, b)
    if a.type.ndim == 2 and b.type.ndim == 2:
        return matmul_op(a, b, False, turn_b)
    if a.type.ndim == 0 or b.type.ndim == 0:
        raise ShapeError(
            f"matmul of shapes {list(a.type.shape)} and {list(b.type.shape)}: both need at least "
            "one dimension; use * for numbers"
        )
    row, column = a.type.ndim == 1, b.type.ndim == 1
    if row:
        a = reshape(a, (1, *a.type.shape))
    if column:
        b = reshape(b, (*b.type.shape, 1))
    inner, outer = (-1, 0) if turn_b else (0, -1)
    if a.type.ndim > 2 and b.type.ndim == 2 and a.type.shape[-1] == b.type.shape[inner]:
        # All rows in one product: larger, and no sum over the batch in b's gradient.
        batch = a.type.shape[:-1]
        flat = matmul_op(reshape(a, (prod(batch), a.type.shape[-1])), b, False, turn_b)
        y = reshape(flat, (*batch, b.type.shape[outer]))
    else:
        y = matmul_op(a, b, False, turn_b)
    if row or column:
        shape = y.type.shape
        shape = (*shape[:-2], *(() if row else shape[-2:-1]), *(() if column else shape[-1:]))
        y = reshape(y, shape)
    return y


def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Matrix product of the last two dimensions; leading dimensions broadcast.

    Raises:
        ShapeError: if the inner sizes differ.
        DTypeError: if the dtypes differ.
    """
    kinds = _low()
    if kinds is not None and out is None:  # in_low_precision, inlined: this is called often
        return call_without_autocast(matmul, (input, other), {}, kinds)
    product = wrap(matmul_nodes(node_of(input), node_of(other)))
    return product if out is None else written("matmul", out, product)


def _of_rank(name: str, *pairs: tuple[Any, int]) -> list[Node]:
    nodes = [node_of(x) for x, _ in pairs]
    for node, (_, rank) in zip(nodes, pairs, strict=True):
        if node.type.ndim != rank:
            wanted = " and ".join(f"{r}-D" for _, r in pairs)
            given = " and ".join(str(list(n.type.shape)) for n in nodes)
            raise ShapeError(f"{name} takes {wanted} tensors, not shapes {given}")
    return nodes


@in_low_precision
def mm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Product of two matrices."""
    result = wrap(matmul_nodes(*_of_rank("mm", (input, 2), (mat2, 2))))
    return result if out is None else written("mm", out, result)


def mv(input: Tensor, vec: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Product of a matrix and a vector."""
    result = wrap(matmul_nodes(*_of_rank("mv", (input, 2), (vec, 1))))
    return result if out is None else written("mv", out, result)


@in_low_precision
def bmm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Products of two batches of matrices.

    Raises:
        ShapeError: if the batches differ.
    """
    a, b = _of_rank("bmm", (input, 3), (mat2, 3))
    if a.type.shape[0] != b.type.shape[0]:
        raise ShapeError(
            f"bmm of shapes {list(a.type.shape)} and {list(b.type.shape)}: the batches differ"
        )
    result = wrap(matmul_nodes(a, b))
    return result if out is None else written("bmm", out, result)


def dot(input: Tensor, tensor: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inner product of two vectors.

    Raises:
        ShapeError: if their lengths differ.
    """
    a, b = _of_rank("dot", (input, 1), (tensor, 1))
    _same_dtype("dot", a, b)
    if a.type is not b.type:
        raise ShapeError(f"dot of vectors of {a.type.size} and {b.type.size} elements")
    result = wrap(sum_(ew.mul(a, b), (0,)))
    return result if out is None else written("dot", out, result)


def outer(input: Tensor, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """``out[i][j] = input[i] * vec2[j]``."""
    a, b = _of_rank("outer", (input, 1), (vec2, 1))
    result = wrap(reshape(a, (a.type.size, 1))) * wrap(b)
    return result if out is None else written("outer", out, result)


@in_low_precision
def addmm(
    input: Tensor,
    mat1: Tensor,
    mat2: Tensor,
    *,
    beta: float = 1,
    alpha: float = 1,
    out: Tensor | None = None,
) -> Tensor:
    """``beta * input + alpha * mat1 @ mat2``."""
    result = weighted("addmm", input, mm(mat1, mat2), beta, alpha)
    return result if out is None else written("addmm", out, result)


def weighted(name: str, input: Any, product: Tensor, beta: float, alpha: float) -> Tensor:
    """``beta * input + alpha * product``, in the product's shape.

    Raises:
        ShapeError: if the input does not broadcast to it.
    """
    kind = node_of(product).type
    if not kind.dtype.is_inexact:  # as in PyTorch, the factors are cut to integers
        beta, alpha = int(beta), int(alpha)
    if broadcast(name, kind.shape, node_of(input).type.shape) != kind.shape:
        raise ShapeError(
            f"{name}: an input of shape {list(input.shape)} does not broadcast to the product's "
            f"{list(kind.shape)}"
        )
    if alpha != 1:
        product = (product * alpha).to(kind.dtype)
    if beta == 0:  # the input does not count, not even its NaNs
        return product
    summand: Tensor = input if beta == 1 else (input * beta).to(node_of(input).type.dtype)
    return summand + product
