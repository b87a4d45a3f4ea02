"""What modules ask ``torch.fx`` for when they are defined; there is no symbolic tracing."""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["wrap"]

F = TypeVar("F")


def wrap(fn_or_name: F) -> F:
    """The function (or its name): a mark for ``torch.fx``'s tracer."""
    return fn_or_name


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.fx' has no attribute '{name}': there is no symbolic tracing. weft.explain "
        "shows what was recorded of a function"
    )
