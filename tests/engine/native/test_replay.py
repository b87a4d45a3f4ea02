"""``weft.compile`` on the CPU."""

from __future__ import annotations

import pytest
from replaying import *  # noqa: F403

from weft import config
from weft.engine import realize


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Native code from the first run on, kept on disk from test to test."""
    realize.realize_pending()
    realize.forget_programs()
    monkeypatch.setattr(config, "REFERENCE", False)
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path_factory.getbasetemp() / "replay"))
