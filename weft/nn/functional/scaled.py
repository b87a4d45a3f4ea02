"""Products of matrices of 8-bit floats, whose numbers are to be multiplied by scales.

(Micikevicius et al., 2022, arXiv:2209.05433; blocks of 32: Rouhani et al., 2023, arXiv:2310.10537.)
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from ...dtypes import bfloat16, dtype, float8_e8m0fnu, float32
from ...errors import DTypeError, ShapeError, UnsupportedOp
from ...tensors.core import node_of
from ...tensors.tensor import Tensor
from .grouped import grouped_mm


class ScalingType(Enum):
    """Of which numbers of a matrix each scale is: PyTorch's names and numbers."""

    TensorWise = 0
    RowWise = 1
    BlockWise1x16 = 2
    BlockWise1x32 = 3
    BlockWise1x128 = 4
    BlockWise128x128 = 5


class SwizzleType(Enum):
    """The order in which scales lie."""

    NO_SWIZZLE = 0
    SWIZZLE_32_4_4 = 1


#: Rows and columns of a block.
_BLOCKS = {
    ScalingType.BlockWise1x32: (1, 32),
    ScalingType.BlockWise1x128: (1, 128),
    ScalingType.BlockWise128x128: (128, 128),
}


def scaled_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    scale_a: Tensor | Sequence[Tensor],
    scale_recipe_a: ScalingType | Sequence[ScalingType],
    scale_b: Tensor | Sequence[Tensor],
    scale_recipe_b: ScalingType | Sequence[ScalingType],
    swizzle_a: SwizzleType | Sequence[SwizzleType] | None = None,
    swizzle_b: SwizzleType | Sequence[SwizzleType] | None = None,
    bias: Tensor | None = None,
    output_dtype: dtype | None = bfloat16,
    contraction_dim: Sequence[int] = (),
    use_fast_accum: bool = False,
) -> Tensor:
    """The product of two matrices of 8-bit floats, each of whose numbers stands for ``x * scale``.

    Sums are of float32.

    Args:
        scale_recipe_a: of which numbers a scale is, and with it the shape of ``scale_a``:
            ``TensorWise`` one number, ``RowWise`` ``[M, 1]``, ``BlockWise1x32`` (float8_e8m0fnu)
            and ``BlockWise1x128`` ``[M, K / block]``, ``BlockWise128x128`` ``[M / 128, K / 128]``,
            rounded up. ``scale_recipe_b`` likewise, of the columns: ``[1, N]``, ``[K / block, N]``,
            ``[K / 128, N / 128]``.
        swizzle_a, swizzle_b: in which order the scales of blocks of 32 lie.
        bias: ``[N]``, added to the product.
        output_dtype: of the result; None: bfloat16.
        contraction_dim: the dimensions that are summed over, if given: the last of the first matrix
            and the first of the second.
        use_fast_accum: for the sake of PyTorch's programs; sums are as exact as ever.

    Shape:
        ``[M, K]`` and ``[K, N]`` to ``[M, N]``.

    Raises:
        DTypeError: for matrices that are not of 8-bit floats, and scales of other dtypes.
        ShapeError: for scales of other shapes.
        UnsupportedOp: for scales on two levels (blocks of 16), which go with 4-bit floats.
    """
    name = "scaled_mm"
    _check_matrices(name, mat_a, mat_b, (2, 2))
    if tuple([d % 2 for d in contraction_dim]) not in ((), (1, 0)):
        raise UnsupportedOp(
            f"{name}: contraction_dim={tuple(contraction_dim)}: it sums over the last dimension of "
            "the first matrix and the first of the second, (1, 0)"
        )
    a = _decoded(name, "a", mat_a, scale_a, scale_recipe_a, swizzle_a)
    b = _decoded(name, "b", mat_b.t(), scale_b, scale_recipe_b, swizzle_b).t()
    out = a @ b
    if bias is not None:
        out = out + bias.float()
    return out.to(output_dtype or bfloat16)


def scaled_grouped_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    scale_a: Tensor | Sequence[Tensor],
    scale_recipe_a: ScalingType | Sequence[ScalingType],
    scale_b: Tensor | Sequence[Tensor],
    scale_recipe_b: ScalingType | Sequence[ScalingType],
    swizzle_a: SwizzleType | Sequence[SwizzleType] | None = None,
    swizzle_b: SwizzleType | Sequence[SwizzleType] | None = None,
    bias: Tensor | None = None,
    offs: Tensor | None = None,
    output_dtype: dtype | None = bfloat16,
    contraction_dim: Sequence[int] = (),
    use_fast_accum: bool = False,
) -> Tensor:
    """:func:`grouped_mm` of 8-bit floats, each row of the first and column of the second scaled.

    Args:
        scale_a: float32, ``[M]``, or ``[G, M]`` for a stack; where the inner dimension is in
            groups, ``[G * M]``. ``scale_b`` likewise, of the columns.
        scale_recipe_a, scale_recipe_b: ``ScalingType.RowWise``.
        bias: as in PyTorch, there is none yet: add it to the result.

    Shape:
        as for :func:`grouped_mm`.

    Raises:
        DTypeError, ShapeError: for other matrices and scales.
        UnsupportedOp: for other recipes, and a bias.
    """
    name = "scaled_grouped_mm"
    ranks = mat_a.ndim, mat_b.ndim
    _check_matrices(name, mat_a, mat_b, ranks)
    recipes = _only(name, scale_recipe_a), _only(name, scale_recipe_b)
    if recipes != (ScalingType.RowWise, ScalingType.RowWise) or contraction_dim:
        raise UnsupportedOp(f"{name} takes ScalingType.RowWise for both matrices, not {recipes}")
    if bias is not None:
        raise UnsupportedOp(f"{name}: there is no bias; add it to the result")
    rows: Tensor = _only(name, scale_a)
    columns: Tensor = _only(name, scale_b)
    a, b = mat_a.float(), mat_b.float()
    inner = ranks == (2, 2)
    groups = (offs.shape[0],) if inner and offs is not None else ()
    for what, scale, shape in (
        ("scale_a", rows, a.shape[:-1]),
        ("scale_b", columns, (*b.shape[:-2], b.shape[-1])),
    ):
        wanted = (groups[0] * shape[0],) if groups else tuple(shape)
        _check_scale(f"{name}: {what}", scale, wanted, float32)
    if groups:
        out = grouped_mm(a, b, offs=offs)
        out = out * rows.reshape(*groups, -1, 1) * columns.reshape(*groups, 1, -1)
    else:
        out = grouped_mm(a * rows[..., None], b * columns[..., None, :], offs=offs)
    return out.to(output_dtype or bfloat16)


def _check_matrices(name: str, a: Tensor, b: Tensor, ranks: tuple[int, int]) -> None:
    kinds = [node_of(x).type for x in (a, b)]
    shapes = f"{list(a.shape)} and {list(b.shape)}"
    for kind in kinds:
        if not kind.dtype.is_only_stored:
            raise DTypeError(
                f"{name} multiplies 8-bit floats, not {kind.dtype}: convert with "
                "x.to(weft.float8_e4m3fn), or use weft.matmul"
            )
    if (a.ndim, b.ndim) != ranks or not {2, 3}.issuperset(ranks):
        raise ShapeError(f"{name} takes matrices, not {shapes}")
    if a.shape[-1] != b.shape[-2]:
        raise ShapeError(f"{name}: matrices of shapes {shapes} cannot be multiplied")


def _only(name: str, values: Any) -> Any:
    if not isinstance(values, (list, tuple)):
        return values
    if len(values) != 1:
        raise UnsupportedOp(
            f"{name}: {len(values)} scales or recipes for one matrix: scales on two levels go with "
            "4-bit floats, which weft does not have"
        )
    return values[0]


def _check_scale(what: str, scale: Tensor, shape: tuple[int, ...], kind: dtype) -> None:
    found = node_of(scale).type
    if found.dtype is not kind:
        raise DTypeError(f"{what} should be of {kind}, not {found.dtype}")
    if found.shape != shape:
        raise ShapeError(f"{what} should be of shape {list(shape)}, not {list(found.shape)}")


def _decoded(name: str, which: str, x: Tensor, scales: Any, recipes: Any, swizzles: Any) -> Tensor:
    """What the rows of a matrix stand for, in float32; ``b`` is given by its columns."""
    recipe: ScalingType = _only(name, recipes)
    scale: Tensor = _only(name, scales)
    swizzle = _only(name, swizzles) or SwizzleType.NO_SWIZZLE
    what = f"{name}: scale_{which} for {recipe}"
    rows, depth = x.shape
    if recipe is ScalingType.TensorWise:
        if node_of(scale).type.size != 1 or scale.dtype is not float32:
            raise ShapeError(
                f"{what} should be one number of weft.float32, not {list(scale.shape)} of "
                f"{scale.dtype}"
            )
        return x.float() * scale.reshape(())
    if recipe is ScalingType.RowWise:
        _check_scale(what, scale, (rows, 1) if which == "a" else (1, rows), float32)
        return x.float() * scale.reshape(rows, 1)
    if recipe not in _BLOCKS:
        raise UnsupportedOp(f"{what}: blocks of 16 go with 4-bit floats, which weft does not have")
    high, wide = _BLOCKS[recipe]
    kind = float8_e8m0fnu if wide == 32 else float32
    counts = -(-rows // high), -(-depth // wide)
    if swizzle is SwizzleType.SWIZZLE_32_4_4:
        scale = _unswizzled(what, scale, counts, kind)
    else:
        _check_scale(what, scale, counts if which == "a" else counts[::-1], kind)
        scale = scale if which == "a" else scale.t()
    each = scale.float().repeat_interleave(high, 0).repeat_interleave(wide, 1)
    return x.float() * each[:rows, :depth]


def _unswizzled(what: str, scale: Tensor, counts: tuple[int, int], kind: dtype) -> Tensor:
    """Scales as a matrix, of tiles of 128 by 4 that lie as 32 by 4 by 4, as GPUs read them."""
    down, across = -(-counts[0] // 128), -(-counts[1] // 4)
    found = node_of(scale).type
    if found.dtype is not kind or found.size != down * across * 512:
        raise ShapeError(
            f"{what}, swizzled, should be {down * across * 512} numbers of {kind}, not "
            f"{found.size} of {found.dtype}"
        )
    tiles = scale.reshape(down, across, 32, 4, 4).permute(0, 3, 2, 1, 4)
    return tiles.reshape(down * 128, across * 4)[: counts[0], : counts[1]]
