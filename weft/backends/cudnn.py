"""The names of ``torch.backends.cudnn``.

XLA chooses how a convolution is computed, by measuring. ``benchmark``, ``deterministic`` and
``enabled`` keep what they are set to, and have no effect; ``allow_tf32`` has.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from ..engine.precision import get_precision, set_precision

benchmark = False
benchmark_limit = 10
deterministic = False
enabled = True


class _Settings(ModuleType):
    @property
    def allow_tf32(self) -> bool:
        """May float32 convolutions be computed in TF32 (10 bits of mantissa)? By default, yes."""
        return get_precision().conv != "highest"

    @allow_tf32.setter
    def allow_tf32(self, value: bool) -> None:
        set_precision(conv="high" if value else "highest")


sys.modules[__name__].__class__ = _Settings


def is_available() -> bool:
    """Can GPUs be used?"""
    from ..cuda import is_available as has_gpu

    return has_gpu()


def version() -> None:
    """None: which cuDNN is used is JAX's matter."""


@contextmanager
def flags(
    enabled: bool = False,
    benchmark: bool = False,
    benchmark_limit: int = 10,
    deterministic: bool = False,
    allow_tf32: bool = True,
) -> Iterator[None]:
    """Sets these inside; only ``allow_tf32`` has an effect."""
    settings: Any = sys.modules[__name__]
    names = ("enabled", "benchmark", "benchmark_limit", "deterministic", "allow_tf32")
    before = [getattr(settings, name) for name in names]
    new = (enabled, benchmark, benchmark_limit, deterministic, allow_tf32)
    try:
        for name, value in zip(names, new, strict=True):
            setattr(settings, name, value)
        yield
    finally:
        for name, value in zip(names, before, strict=True):
            setattr(settings, name, value)
