"""Tests of graphs that XLA computes, on the CPU. They are skipped where JAX is not installed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import weft

pytest.importorskip("jax", reason="computes by JAX: pip install 'weft[xla]'")

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
