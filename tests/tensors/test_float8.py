"""8-bit floats: what they are converted to, and that nothing is computed with them."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
import weft.nn.functional as F
from weft.dtypes import FLOAT8

NAMES = [d.name for d in FLOAT8]


def numbers() -> Any:
    draw = np.random.default_rng(0)
    edges = [0, -0.0, 448, 449, 464, 465, 480, 57344, 61440, 61441, np.inf, -np.inf, np.nan]
    many = draw.normal(size=3000) * np.exp(8 * draw.normal(size=3000))
    return np.float32([*edges, *many])


@pytest.mark.parity
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("source", ["float32", "float64", "bfloat16", "float16", "int32"])
@pytest.mark.filterwarnings("ignore")
def test_conversions_are_pytorchs(name: str, source: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    x = numbers() if source != "int32" else np.arange(-600, 600, dtype=np.int32)
    results = [
        lib.tensor(x).to(getattr(lib, source)).to(getattr(lib, name)).float().numpy()
        for lib in (weft, torch)
    ]
    np.testing.assert_array_equal(*results)
    ours, theirs = (lib.finfo(getattr(lib, name)) for lib in (weft, torch))
    assert (ours.min, ours.max, ours.bits) == (theirs.min, theirs.max, theirs.bits)


@pytest.mark.parametrize("name", NAMES)
def test_values_are_kept_wherever_they_go(name: str, tmp_path: Path) -> None:
    kind = getattr(weft, name)
    x = weft.arange(1, 13).reshape(3, 4).to(kind)
    assert x.is_floating_point()
    assert x.itemsize == 1
    wide = x.float()
    moved = [x.t().t(), x.clone(), weft.cat([x[:1], x[1:]]), copy.deepcopy(x), x[[0, 1, 2]]]
    moved += [pickle.loads(pickle.dumps(x)), weft.zeros_like(x).copy_(x)]
    for ending in (".pt", ".safetensors"):
        if ending == ".pt" or "fnuz" not in name:
            weft.save({"x": x}, tmp_path / f"x{ending}")
            moved.append(weft.load(tmp_path / f"x{ending}")["x"])
    for y in moved:
        assert y.dtype is kind
        assert weft.equal(y.float(), wide)
    assert (x == x).all()
    assert repr(x).endswith(f"dtype=weft.{name})")
    assert weft.full((2,), 2.0, dtype=kind).tolist() == [2.0, 2.0]


def test_nothing_is_computed_with_them() -> None:
    x = weft.ones(2, 2).to(weft.float8_e5m2)
    y = weft.ones(2, 2)
    for compute in (
        lambda: x + x,
        lambda: x * 2,
        lambda: x + y,
        lambda: x.sum(),
        lambda: x @ x,
        lambda: F.relu(x),
        lambda: x.sort(),
        lambda: weft.randn(2, dtype=weft.float8_e5m2),
    ):
        with pytest.raises(weft.errors.DTypeError, match=r"float8_e5m2 are stored.*x\.float\(\)"):
            compute()
