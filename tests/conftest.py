"""Fixtures that tests of several folders share."""

from __future__ import annotations

import os
from typing import Any

import pytest

# Tests of ops, layers and optimisers are about what these mean, which the reference says; that
# native code agrees with it is tested in engine/native. WEFT_REFERENCE=0 runs all by native code.
os.environ.setdefault("WEFT_REFERENCE", "1")


@pytest.fixture(scope="session")
def torch() -> Any:
    return pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
