"""The names of ``torch.version``."""

from __future__ import annotations

__version__ = "0.1.0"

cuda: str | None = None
"""The version of CUDA that weft was built with: none, it comes with JAX (``weft[cuda]``)."""
hip: str | None = None
debug = False
