"""Products of groups of matrices."""

from __future__ import annotations

from ...dtypes import dtype, int32, int64
from ...errors import DTypeError, ShapeError, UnsupportedOp
from ...graph.node import Node
from ...ops import elementwise as ew
from ...ops.contract import grouped_matmul
from ...ops.movement import swap_last
from ...tensors.core import node_of, wrap
from ...tensors.linalg import matmul_nodes
from ...tensors.tensor import Tensor


def grouped_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    *,
    offs: Tensor | None = None,
    bias: Tensor | None = None,
    out_dtype: dtype | None = None,
) -> Tensor:
    """Matrix products of groups whose sizes are known when they are run: a mixture's experts.

    Shape:
        ``offs [G]``, int32 or int64, says where each group ends; it is not read.
        ``[M, K]`` and ``[G, K, N]``: rows ``offs[g - 1]`` to ``offs[g]`` by matrix ``g``,
        ``[M, N]``, 0 behind the last group. ``[G, M, K]`` and ``[K, N]``: the same of columns.
        ``[M, K]`` and ``[K, N]``: the inner dimension in groups, ``[G, M, N]``.
        ``[G, M, K]`` and ``[G, K, N]``: without ``offs``, ``[G, M, N]``.

    Args:
        bias: as in PyTorch, there is none yet: add it to the result.
        out_dtype: in which the products are computed and returned; by default, the matrices'.

    Raises:
        ShapeError, DTypeError: for other shapes and dtypes.
        DataError: when it is run, for ends that do not ascend or are beyond the matrix.
    """
    a, b = node_of(mat_a), node_of(mat_b)
    if bias is not None:
        raise UnsupportedOp("grouped_mm: there is no bias; add it to the result")
    _check(a, b, offs is not None)
    if out_dtype is not None:
        a, b = ew.cast(a, out_dtype), ew.cast(b, out_dtype)
    if offs is None:
        return wrap(matmul_nodes(a, b))
    ends = _ends(node_of(offs), [x.type.shape[0] for x in (a, b) if x.type.ndim == 3])
    if a.type.ndim == 3:
        return wrap(swap_last(grouped_matmul(swap_last(b), swap_last(a), ends)))
    return wrap(grouped_matmul(a, b, ends))


def _check(a: Node, b: Node, in_groups: bool) -> None:
    shapes = f"{list(a.type.shape)} and {list(b.type.shape)}"
    ranks = a.type.ndim, b.type.ndim
    if not {2, 3}.issuperset(ranks):
        raise ShapeError(f"grouped_mm takes matrices or stacks of them, not {shapes}")
    if a.type.dtype is not b.type.dtype or not a.type.dtype.is_floating_point:
        raise DTypeError(
            f"grouped_mm takes one floating dtype, not {a.type.dtype} and {b.type.dtype}"
        )
    if a.type.shape[-1] != b.type.shape[-2]:
        raise ShapeError(
            f"grouped_mm of shapes {shapes}: the last dimension of the first must equal the "
            "second to last of the second"
        )
    if in_groups == (ranks == (3, 3)):
        raise ShapeError(
            f"grouped_mm of shapes {shapes}: two stacks take no offs; all others need them, to "
            "say where groups end"
        )
    if ranks == (3, 3) and a.type.shape[0] != b.type.shape[0]:
        raise ShapeError(f"grouped_mm of shapes {shapes}: the stacks are not of one length")


def _ends(offs: Node, groups: list[int]) -> Node:
    if offs.type.dtype not in (int32, int64):
        raise DTypeError(f"grouped_mm: offs must be int32 or int64, not {offs.type.dtype}")
    if offs.type.ndim != 1 or groups not in ([], [offs.type.shape[0]]):
        raise ShapeError(
            f"grouped_mm: offs of shape {list(offs.type.shape)} should have one end for each group"
            + (f", [{groups[0]}]" if groups else "")
        )
    return ew.cast(offs, int64)
