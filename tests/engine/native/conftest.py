"""A cache of its own for each test, and the functions that tests launch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weft import config
from weft.engine import realize
from weft.engine.native import jit, memory, processors


@pytest.fixture(autouse=True)
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder on disk, which children inherit; nothing is in memory."""
    monkeypatch.setattr(jit, "_libraries", OrderedDict())
    folder = tmp_path / "cache"
    monkeypatch.setattr(config, "CACHE_DIR", str(folder))
    monkeypatch.setattr(config, "CACHE", True)
    monkeypatch.setenv("WEFT_CACHE_DIR", str(folder))
    monkeypatch.setenv("WEFT_CACHE", "1")
    return folder


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = processors.get_num_threads()
    processors.set_num_threads(4)
    yield
    processors.set_num_threads(before)


class Bordered:
    """Results with a border on both sides, which no kernel may write to."""

    border, most = 192, 500

    def __init__(self) -> None:
        self.made: list[tuple[Any, int]] = []

    def array(self, shape: tuple[int, ...], dtype: Any) -> Any:
        if len(self.made) == self.most:
            self.check()
        size = prod(shape) * dtype.itemsize
        whole = np.full(size + 2 * self.border, 0xA5, np.uint8)
        self.made.append((whole, size))
        return whole[self.border : self.border + size].view(dtype).reshape(shape)

    def check(self) -> None:
        for whole, size in self.made:
            assert (whole[: self.border] == 0xA5).all(), "written before a result"
            assert (whole[self.border + size :] == 0xA5).all(), "written beyond a result"
        self.made.clear()


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Native code at the first run, each run compared with the reference, results with borders."""
    bordered = Bordered()
    monkeypatch.setattr(memory, "new_array", bordered.array)
    realize.realize_pending()
    realize.forget_programs()
    monkeypatch.setattr(config, "REFERENCE", False)
    monkeypatch.setattr(config, "NATIVE_AFTER", 0)
    monkeypatch.setattr(config, "COMPARE", True)
    yield
    realize.forget_programs()
    bordered.check()
