"""A cache of its own for each test, and the functions that tests launch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import pytest

from weft import config
from weft.engine import realize
from weft.engine.native import jit, processors


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


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Native code at the first run, each run compared with the reference."""
    realize.realize_pending()
    realize.forget_programs()
    monkeypatch.setattr(config, "REFERENCE", False)
    monkeypatch.setattr(config, "NATIVE_AFTER", 0)
    monkeypatch.setattr(config, "COMPARE", True)
    yield
    realize.forget_programs()
