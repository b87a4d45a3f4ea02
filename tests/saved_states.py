"""States to save, and whether two are the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import weft


def same(a: Any, b: Any) -> bool:
    """Equal in structure, types and every bit."""
    if isinstance(a, weft.Tensor):
        return (
            isinstance(b, weft.Tensor)
            and a.dtype is b.dtype
            and a.shape == b.shape
            and a.detach().numpy().tobytes() == b.detach().numpy().tobytes()
        )
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


def values(dtype: Any, shape: tuple[int, ...]) -> weft.Tensor:
    rng = np.random.default_rng(0)
    x = weft.tensor((rng.standard_normal(shape) * 50).astype(np.float32)).to(dtype)
    return x * (1 + 2j) if dtype.is_complex else x


def state() -> dict[str, Any]:
    """What a training run keeps."""
    return {
        "model": {"conv.weight": values(weft.float32, (4, 1, 3, 3)), "conv.bias": weft.zeros(4)},
        "optimizer": {"state": {0: {"momentum_buffer": weft.ones(4)}}, "groups": [{"lr": 0.1}]},
        "half": values(weft.bfloat16, (5,)),
        "flags": weft.tensor([True, False, True]),
        "epoch": 3,
    }
