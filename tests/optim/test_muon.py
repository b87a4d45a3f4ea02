"""Muon: against PyTorch within bfloat16's precision, its geometry, and mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.optim

START = [np.random.default_rng(5).normal(size=s) for s in ((6, 4), (4, 9))]

CONFIGURATIONS: list[dict[str, Any]] = [
    {"lr": 0.02},
    {"lr": 0.02, "nesterov": False, "momentum": 0.5, "weight_decay": 0.5},
    {"lr": 0.02, "adjust_lr_fn": "original", "ns_steps": 3},
    {"lr": 0.02, "adjust_lr_fn": "match_rms_adamw", "ns_coefficients": (2.0, -1.5, 0.5)},
]


def _run(lib: Any, options: dict[str, Any], count: int) -> tuple[list[Any], Any]:
    params = [lib.tensor(v, requires_grad=True) for v in START]
    optimiser = lib.optim.Muon(params, **options)
    a, b = params
    for _ in range(count):
        optimiser.zero_grad()
        ((a @ b - 1) ** 2).sum().backward()
        optimiser.step()
    return params, optimiser


@pytest.mark.parity
@pytest.mark.parametrize("options", CONFIGURATIONS, ids=str)
def test_trajectory(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    (ours, mine), (theirs, other) = (_run(lib, options, 10) for lib in (weft, torch))
    for p, q, start in zip(ours, theirs, START, strict=True):
        moved = np.abs(q.detach().numpy() - start).max()
        difference = np.abs(p.detach().numpy() - q.detach().numpy()).max()
        assert difference < 0.05 * moved  # each step is computed with 8 bits
    assert mine.state_dict()["state"][0].keys() == other.state_dict()["state"][0].keys()


def test_a_step_is_nearly_orthogonal() -> None:
    params, _ = _run(weft, {"lr": 1.0, "weight_decay": 0.0}, 1)
    for p, start in zip(params, START, strict=True):
        rows, columns = start.shape
        step = (start - p.detach().numpy()) / max(1, rows / columns) ** 0.5
        sizes = np.linalg.svd(step, compute_uv=False)
        assert sizes.min() > 0.5
        assert sizes.max() < 1.4


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((3,), {}, r"only supports 2D parameters, but parameter 0 has shape \[3\].*AdamW"),
        ((3, 2), {"adjust_lr_fn": "keller"}, "'keller'"),
        ((3, 2), {"ns_steps": 100}, "ns_steps=100"),
        ((3, 2), {"ns_coefficients": (1.0, 2.0)}, "three"),
        ((3, 2), {"momentum": -1}, "momentum=-1"),
    ],
)
def test_mistakes(shape: tuple[int, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weft.optim.Muon([weft.ones(shape, requires_grad=True)], **options)
