"""Well-known networks, small enough to be read: each file is one of them, with its paper.

Where others have published weights, the names and shapes of the parameters are theirs.
"""

from __future__ import annotations

from typing import Any

from ..errors import did_you_mean
from .gpt2 import GPT2
from .lenet import LeNet
from .lstm_lm import LSTMLanguageModel
from .resnet import ResNet, resnet18, resnet34, resnet50
from .unet import UNet
from .vae import VAE
from .vit import ViT, vit_tiny

__all__ = [
    "GPT2",
    "VAE",
    "LSTMLanguageModel",
    "LeNet",
    "ResNet",
    "UNet",
    "ViT",
    "resnet18",
    "resnet34",
    "resnet50",
    "vit_tiny",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.models' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
