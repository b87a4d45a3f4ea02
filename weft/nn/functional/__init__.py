"""The maths of the layers as functions of Tensors: ``import weft.nn.functional as F``."""

from __future__ import annotations

from typing import Any

from ...errors import did_you_mean
from ...tensors.elementwise import sigmoid, tanh
from .activation import log_softmax, relu, softmax
from .conv import conv1d, conv2d, conv3d
from .dropout import dropout
from .linear import linear
from .loss import cross_entropy, mse_loss, nll_loss, one_hot
from .norm import batch_norm
from .pooling import max_pool1d, max_pool2d, max_pool3d

__all__ = [
    "batch_norm",
    "conv1d",
    "conv2d",
    "conv3d",
    "cross_entropy",
    "dropout",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.nn.functional' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
