"""Tools beside the layers: ``checkpoint``, ``data``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import did_you_mean

__all__ = ["checkpoint", "data"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # imported when first used
        return import_module(f"{__name__}.{name}")
    raise AttributeError(
        f"module 'weft.utils' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
