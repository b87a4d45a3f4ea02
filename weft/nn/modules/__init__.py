"""The files of ``torch.nn.modules``: where programs written for PyTorch find bases of layers.

``weft.nn.modules.batchnorm._BatchNorm`` is the class of ``weft/nn/norm.py``.
"""

from __future__ import annotations

import sys
from typing import Any

from .. import (
    activation,
    containers,
    conv,
    distance,
    dropout,
    embedding,
    flatten,
    linear,
    loss,
    norm,
    padding,
    pooling,
    recurrent,
    transformer,
    vision,
)
from . import module as module, utils as utils

#: PyTorch's files and, where they are called otherwise, weft's.
_FILES = {
    "activation": activation,
    "batchnorm": norm,
    "channelshuffle": vision,
    "container": containers,
    "conv": conv,
    "distance": distance,
    "dropout": dropout,
    "flatten": flatten,
    "fold": vision,
    "instancenorm": norm,
    "linear": linear,
    "loss": loss,
    "normalization": norm,
    "padding": padding,
    "pixelshuffle": vision,
    "pooling": pooling,
    "rnn": recurrent,
    "sparse": embedding,
    "transformer": transformer,
    "upsampling": vision,
}
for _name, _file in _FILES.items():
    globals()[_name] = sys.modules[f"{__name__}.{_name}"] = _file


def __getattr__(name: str) -> Any:
    return getattr(sys.modules[__package__.rpartition(".")[0]], name)
