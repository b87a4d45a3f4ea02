"""What computes, and how exactly: the names of ``torch.backends``."""

from __future__ import annotations

from . import cuda, cudnn

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]


class _Absent:
    """A library or device that PyTorch may have been built with, and weft never is."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"<weft.backends.{self._name}: not available>"

    def is_available(self) -> bool:
        return False

    def is_built(self) -> bool:
        return False


mps, mkl, mkldnn, openmp = [_Absent(name) for name in ("mps", "mkl", "mkldnn", "openmp")]

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
