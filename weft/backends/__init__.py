"""What computes, and how exactly: the names of ``torch.backends``."""

from __future__ import annotations

from . import cuda, cudnn

__all__ = ["cuda", "cudnn"]
