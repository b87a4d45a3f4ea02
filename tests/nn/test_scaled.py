"""Products of 8-bit floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.nn.functional as F
from weft.nn.functional import ScalingType, SwizzleType

E4M3, E8M0 = weft.float8_e4m3fn, weft.float8_e8m0fnu


def draw(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def matrices(lib: Any, m: int, k: int, n: int, kind: str = "float8_e4m3fn") -> tuple[Any, Any]:
    to = getattr(lib, kind)
    return lib.tensor(draw(m, k)).to(to), lib.tensor(draw(n, k) + 1).to(to).t()


@pytest.mark.parity
@pytest.mark.parametrize("recipe", ["TensorWise", "RowWise"])
@pytest.mark.parametrize("output", ["bfloat16", "float32"])
def test_same_as_pytorch(recipe: str, output: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    results = []
    for lib, functional in ((weft, F), (torch, torch.nn.functional)):
        a, b = matrices(lib, 32, 64, 48)
        scales = [2.0, 0.5] if recipe == "TensorWise" else [draw(32, 1), draw(1, 48)]
        kind = getattr(functional.ScalingType, recipe)
        rows, columns = (lib.tensor(s, dtype=lib.float32) for s in scales)
        bias = lib.tensor(draw(48)).bfloat16() if output == "bfloat16" else None
        y = functional.scaled_mm(
            a, b, rows, kind, [columns], [kind], bias=bias, output_dtype=getattr(lib, output)
        )
        results.append((str(y.dtype).split(".")[1], y.float().numpy()))
    (kind, ours), (same_kind, theirs) = results
    assert kind == same_kind == output
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("recipe", ["BlockWise1x32", "BlockWise1x128", "BlockWise128x128"])
def test_blocks(recipe: str) -> None:
    """Sizes that are no multiples of a block."""
    m, k, n = 150, 160, 140
    kind = ScalingType[recipe]
    high, wide = {"BlockWise1x32": (1, 32), "BlockWise1x128": (1, 128)}.get(recipe, (128, 128))
    a, b = matrices(weft, m, k, n)
    sizes = [(-(-rows // high), -(-k // wide)) for rows in (m, n)]
    scales = [2.0 ** draw(*size).round() for size in sizes]
    to = E8M0 if wide == 32 else weft.float32
    rows, columns = (weft.tensor(s, dtype=to) for s in scales)
    y = F.scaled_mm(a, b, rows, kind, columns.t(), kind, output_dtype=weft.float32)
    whole = [s.repeat(high, 0).repeat(wide, 1) for s in scales]
    left = a.float().numpy() * whole[0][:m, :k]
    right = b.float().numpy() * whole[1][:n, :k].T
    np.testing.assert_allclose(y.numpy(), left @ right, rtol=1e-5, atol=1e-4)


def test_swizzled_scales() -> None:
    """As GPUs read them: tiles of 128 rows by 4, whose rows 0, 32, 64 and 96 lie side by side."""
    a, b = matrices(weft, 130, 160, 32)
    plain = 2.0 ** draw(130, 5).round()
    padded = np.ones((256, 8), np.float32)
    padded[:130, :5] = plain
    tiles = padded.reshape(2, 4, 32, 2, 4).transpose(0, 3, 2, 1, 4)  # [down, across, 32, 4, 4]
    one = weft.ones(5, 32).to(E8M0)
    results = [
        F.scaled_mm(a, b, weft.tensor(s).to(E8M0), kind, one, kind, swizzle, output_dtype=None)
        for s, swizzle in ((plain, None), (tiles.ravel(), SwizzleType.SWIZZLE_32_4_4))
        for kind in (ScalingType.BlockWise1x32,)
    ]
    assert weft.equal(*results)
    assert results[0].dtype is weft.bfloat16


@pytest.mark.parametrize(
    ("a", "b", "rows", "columns", "ends"),
    [
        ((24, 8), (3, 8, 16), (24,), (3, 16), [8, 8, 24]),
        ((3, 16, 8), (8, 24), (3, 16), (24,), [8, 8, 24]),
        ((16, 24), (24, 8), (48,), (24,), [8, 8, 24]),
        ((3, 4, 8), (3, 8, 5), (3, 4), (3, 5), None),
    ],
)
def test_groups(a: Any, b: Any, rows: Any, columns: Any, ends: Any) -> None:
    """Scaled before the product, or where the inner dimension is in groups, after it."""
    x, y = weft.tensor(draw(*a)).to(E4M3), weft.tensor(draw(*b)).to(E4M3)
    r, c = weft.tensor(draw(*rows)), weft.tensor(draw(*columns))
    offs = None if ends is None else weft.tensor(ends, dtype=weft.int32)
    kind = ScalingType.RowWise
    out = F.scaled_grouped_mm(x, y, r, kind, c, kind, offs=offs, output_dtype=weft.float32)
    plain = F.grouped_mm(x.float(), y.float(), offs=offs)
    if len(a) == len(b) == 2:
        wanted = plain * r.reshape(3, 16, 1) * c.reshape(3, 1, 8)
    else:
        group = weft.tensor([0] * 8 + [2] * 16)
        left = r[:, None] if len(a) == 2 else r[..., None] if len(b) == 3 else r[group].t()
        right = c if len(b) == 2 else c[:, None] if len(a) == 3 else c[group]
        wanted = plain * left * right
    np.testing.assert_allclose(out.numpy(), wanted.numpy(), rtol=1e-5, atol=1e-5)


def test_mistakes_are_named() -> None:
    a, b = matrices(weft, 4, 32, 8)
    one, tensorwise, rowwise = weft.tensor(1.0), ScalingType.TensorWise, ScalingType.RowWise

    def product(
        a: Any = a, b: Any = b, scale: Any = one, kind: Any = tensorwise, **more: Any
    ) -> Any:
        return F.scaled_mm(a, b, scale, kind, one, tensorwise, **more)

    assert product().shape == (4, 8)
    with pytest.raises(weft.errors.DTypeError, match=r"8-bit floats, not weft\.float32"):
        product(a.float())
    with pytest.raises(weft.errors.ShapeError, match=r"\[4, 32\] and \[8, 32\]"):
        product(b=b.t())
    with pytest.raises(weft.errors.ShapeError, match=r"scale_a .*RowWise should be .*\[4, 1\]"):
        product(scale=weft.ones(4), kind=rowwise)
    with pytest.raises(weft.errors.DTypeError, match=r"float8_e8m0fnu, not weft\.float32"):
        product(scale=weft.ones(4, 1), kind=ScalingType.BlockWise1x32)
    with pytest.raises(weft.errors.UnsupportedOp, match="4-bit floats"):
        product(scale=weft.ones(4, 2), kind=ScalingType.BlockWise1x16)
    with pytest.raises(weft.errors.UnsupportedOp, match="two levels"):
        product(scale=[one, one], kind=[tensorwise, tensorwise])
    with pytest.raises(weft.errors.UnsupportedOp, match="contraction_dim"):
        product(contraction_dim=(0, 1))
    with pytest.raises(weft.errors.UnsupportedOp, match="RowWise for both"):
        F.scaled_grouped_mm(a, b, one, tensorwise, one, tensorwise)
