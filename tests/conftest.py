"""Fixtures that tests of several folders share."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def torch() -> Any:
    return pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
