"""``weft.train``: a training loop for those who want one. The plain loop is as good a way."""

from __future__ import annotations

from typing import Any

from ..errors import did_you_mean
from .batches import evaluate
from .callback import Callback
from .fit import fit
from .history import Curve, History
from .training import Training

__all__ = ["Callback", "Curve", "History", "Training", "evaluate", "fit"]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.train' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
