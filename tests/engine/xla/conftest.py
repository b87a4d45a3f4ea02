"""Tests of graphs that XLA computes, on the CPU. Each file is skipped where there is no JAX."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import weft

# Thousands of small programs are compiled once and run once: XLA need not make them fast. (JAX
# reads this when its first device is asked for.)
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
    ]
)


@pytest.fixture
def on_xla() -> Iterator[weft.device]:
    """New tensors are made on the CPU of XLA."""
    with weft.device("xla:cpu") as place:
        yield place
