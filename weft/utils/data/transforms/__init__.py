"""Transforms of images, as operations on whole batches.

Each takes images ``[..., C, H, W]``: one, or a batch, whose images get random choices of their own.
Random numbers come from weft's generator (or the one that is given), so runs repeat. Use them in
the loop or in ``collate_fn``, on batches; or as ``transform`` of a dataset, on each image.

``values.py`` (dtype, normalising), ``geometry.py`` (size, cuts, mirrors), ``mix.py`` (of images
with one another), ``base.py`` (what they share).
"""

from typing import Any

from ....errors import did_you_mean
from .base import Compose as Compose
from .geometry import (
    CenterCrop as CenterCrop,
    Pad as Pad,
    RandomCrop as RandomCrop,
    RandomErasing as RandomErasing,
    RandomHorizontalFlip as RandomHorizontalFlip,
    RandomResizedCrop as RandomResizedCrop,
    RandomVerticalFlip as RandomVerticalFlip,
    Resize as Resize,
)
from .mix import CutMix as CutMix, MixUp as MixUp
from .values import Normalize as Normalize, ToDtype as ToDtype, ToTensor as ToTensor

__all__ = [
    "CenterCrop",
    "Compose",
    "CutMix",
    "MixUp",
    "Normalize",
    "Pad",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "Resize",
    "ToDtype",
    "ToTensor",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.utils.data.transforms' has no attribute '{name}'."
        f"{did_you_mean(name, __all__)}"
    )
