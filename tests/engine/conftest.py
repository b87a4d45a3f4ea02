"""What tests of the engine count: calls of NumPy references, programs, nodes, bytes."""

from __future__ import annotations

import gc
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

import weft
from weft.engine import realize
from weft.graph.node import OPS, Op


@pytest.fixture(autouse=True)
def _nothing_is_pending() -> None:
    weft.realize()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each op's NumPy reference has been called."""
    counter: Counter[str] = Counter()

    def counted(op: Op) -> Any:
        reference = op.reference

        def call(*values: Any) -> Any:
            counter[op.name] += 1
            return reference(*values)

        return call

    for op in OPS.values():
        monkeypatch.setattr(op, "reference", counted(op))
    monkeypatch.setattr(realize, "_programs", type(realize._programs)())  # bound to the others
    return counter


@dataclass
class Counted:
    runs: int = 0
    built: int = 0
    nodes: int = 0


@pytest.fixture
def stats() -> Any:
    """A context that counts what runs in it."""

    @contextmanager
    def count() -> Iterator[Counted]:
        now = realize.Stats
        before = Counted(now.runs, now.built, now.nodes)
        counted = Counted()
        yield counted
        counted.runs = now.runs - before.runs
        counted.built = now.built - before.built
        counted.nodes = now.nodes - before.nodes

    return count


@pytest.fixture
def traced() -> Iterator[Callable[[], float]]:
    """MiB of memory that have come since the test began."""
    gc.collect()
    tracemalloc.start()
    base = tracemalloc.get_traced_memory()[0]
    yield lambda: (tracemalloc.get_traced_memory()[0] - base) / (1 << 20)
    tracemalloc.stop()


@pytest.fixture
def limit_nodes(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how many nodes may be pending."""

    def limit(nodes: int) -> None:
        for module in ("config", "tensors.core", "tensors.elementwise"):
            monkeypatch.setattr(f"weft.{module}.MAX_PENDING_NODES", nodes)

    return limit
