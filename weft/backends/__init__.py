"""What computes, and how exactly: the names of ``torch.backends``."""

from __future__ import annotations

from . import cuda, cudnn

__all__ = ["cuda", "cudnn"]

_deterministic = False


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Keeps what was asked for, and changes nothing: on the CPU weft gives the same results anyway.

    Args:
        mode: what :func:`are_deterministic_algorithms_enabled` says from now on.
        warn_only: without effect.
    """
    global _deterministic
    _deterministic = mode


def are_deterministic_algorithms_enabled() -> bool:
    """What :func:`use_deterministic_algorithms` was called with last."""
    return _deterministic
