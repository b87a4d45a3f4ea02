"""Reductions where 16-bit floats are at their limits."""

from __future__ import annotations

import pytest

import weft


@pytest.mark.parametrize("dtype", [weft.float16, weft.bfloat16])
def test_mean_of_more_elements_than_16_bits_count(dtype: weft.dtype) -> None:
    x = weft.full((70_000,), 2.0, dtype=dtype, requires_grad=True)
    y = x.mean()
    y.backward()
    assert y.dtype is dtype
    assert y.item() == 2.0
    assert x.grad is not None
    assert x.grad[0].item() == pytest.approx(1 / 70_000, rel=0.01)
