"""The names of ``torch.backends.cudnn``.

XLA chooses how a convolution is computed, by measuring. ``benchmark``, ``deterministic`` and
``enabled`` keep what they are set to, and have no effect; ``allow_tf32`` has.
"""

from __future__ import annotations

import sys
from types import ModuleType

from ..engine.precision import get_precision, set_precision

benchmark = False
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
