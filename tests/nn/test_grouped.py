"""Products of groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.nn.functional as F

ENDS = [8, 8, 24]
SHAPES = [((24, 8), (3, 8, 16)), ((3, 16, 8), (8, 24)), ((16, 24), (24, 8))]


def draw(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parity
@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_grouped_mm(shapes: tuple[tuple[int, ...], ...], dtype: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    results = []
    for lib in (weft, torch):
        a, b = (
            lib.tensor(draw(*shape), dtype=getattr(lib, dtype), requires_grad=True)
            for shape in shapes
        )
        y = lib.nn.functional.grouped_mm(a, b, offs=lib.tensor(ENDS, dtype=lib.int32))
        y.float().square().sum().backward()
        results.append([x.detach().float().numpy() for x in (y, a.grad, b.grad)])
    tolerance = 1e-5 if dtype == "float32" else 0.02
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * 20)


def test_experts_of_tokens_without_reading_how_many_each_has() -> None:
    tokens, weights = weft.tensor(draw(10, 4)), weft.tensor(draw(3, 4, 2), requires_grad=True)
    expert = weft.tensor([2, 0, 0, 2, 2, 0, 1, 1, 0, 2])

    @weft.compile
    def step(expert: weft.Tensor) -> weft.Tensor:
        order = expert.argsort(stable=True)
        ends = (expert[:, None] == weft.arange(3)).sum(0).cumsum(0)
        y = F.grouped_mm(tokens[order], weights, offs=ends)
        weights.grad = None
        y.sum().backward()
        return weft.zeros(10, 2).index_copy(0, order, y)

    for _ in range(3):
        y = step(expert)
    assert not step.obstacles()
    each, matrices = tokens.numpy(), weights.detach().numpy()
    wanted = [each[n] @ matrices[e] for n, e in enumerate(expert.tolist())]
    np.testing.assert_allclose(y.detach().numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_rows_behind_the_last_group_are_zero() -> None:
    y = F.grouped_mm(weft.ones(5, 2), weft.ones(2, 2, 3), offs=weft.tensor([1, 3]))
    assert y.sum(1).tolist() == [6, 6, 6, 0, 0]
