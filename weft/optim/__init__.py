"""Optimisers: ``optimizer.py`` walks groups and runs steps; each other file is one method."""

from typing import Any

from ..errors import did_you_mean
from .adam import Adam, AdamW
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.optim' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
