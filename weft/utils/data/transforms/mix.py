"""Batches whose images are mixed with one another, and their labels with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....dtypes import float32
from ....errors import DTypeError, ShapeError
from ....nn import functional as F
from ....tensors.core import wrap
from ....tensors.creation import arange, as_leaf
from ....tensors.elementwise import where
from ....tensors.random import Generator, rand
from ....tensors.tensor import Tensor
from ..seeding import draw_seed
from .base import Shown, as_before, as_floats


class _Mix(Shown):
    def __init__(
        self,
        *,
        alpha: float = 1.0,
        num_classes: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if not alpha > 0:
            raise ValueError(f"alpha must be above 0, not {alpha!r}")
        self.num_classes = num_classes
        self.alpha = alpha
        self.generator = generator

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            images: ``[B, C, H, W]``.
            labels: classes ``[B]``, or shares ``[B, K]``.

        Returns:
            images as before, and shares ``[B, K]``, which ``cross_entropy`` takes as targets.
        """
        name = type(self).__name__
        if images.ndim != 4 or labels.ndim not in {1, 2} or len(labels) != len(images):
            raise ShapeError(
                f"{name} takes a batch of images [B, C, H, W] and labels [B] or [B, K], not "
                f"{list(images.shape)} and {list(labels.shape)}: use it on batches, in the loop or "
                "in collate_fn"
            )
        shares = self._shares(labels)
        draw = np.random.RandomState(draw_seed(self.generator) & 0xFFFFFFFF)
        own = draw.beta(self.alpha, self.alpha, len(images)).astype(np.float32)
        mixed, kept = self._mixed(images, wrap(as_leaf(own)))
        weight = kept[:, None]
        return mixed, shares * weight + shares.roll(1, 0) * (1 - weight)

    def _shares(self, labels: Tensor) -> Tensor:
        if labels.ndim == 2:
            return labels
        if self.num_classes is None:
            raise ValueError(
                f"{type(self).__name__} mixes the labels too: say how many classes there are, "
                f"{type(self).__name__}(num_classes=...)"
            )
        if labels.dtype.is_floating_point:
            raise DTypeError(f"labels [B] are classes, integers, not {labels.dtype}")
        return F.one_hot(labels.long(), self.num_classes).to(float32)

    def _mixed(self, images: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """The images, and the share of each that is its own."""
        raise NotImplementedError

    def described(self) -> str:
        return f"num_classes={self.num_classes}, alpha={self.alpha}"


class MixUp(_Mix):
    """Weighted means of image ``i`` and image ``i - 1`` of the batch, with a weight for each pair
    (H. Zhang et al., "mixup: beyond empirical risk minimization", 2017).

    Args:
        alpha: the weights are distributed as Beta(alpha, alpha): 1 for all alike, less for weights
            that are nearly 0 or 1.
        num_classes: how many classes the labels are of; None if they are shares already.
        generator: where the random numbers come from; weft's own if left out.
    """

    def _mixed(self, images: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        weight = own.view(-1, 1, 1, 1)
        x = as_floats(images)
        return as_before(x * weight + x.roll(1, 0) * (1 - weight), images), own


class CutMix(_Mix):
    """A rectangle of image ``i - 1`` of the batch put into image ``i``, each of a size and place of
    its own (S. Yun et al., "CutMix: regularization strategy to train strong classifiers with
    localizable features", 2019).

    Arguments as for :class:`MixUp`; the parts left are distributed as its weights.
    """

    def _mixed(self, images: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        count, _, height, width = images.shape
        centres = rand(2, count, 1, generator=self.generator)
        half = (1 - own)[:, None].sqrt() / 2
        rows = _around(centres[0], half, height)
        columns = _around(centres[1], half, width)
        other = rows[:, None, :, None] & columns[:, None, None, :]
        kept = 1 - rows.to(float32).mean(1) * columns.to(float32).mean(1)
        return where(other, images.roll(1, 0), images), kept


def _around(centre: Any, half: Any, count: int) -> Tensor:
    """``[B, count]``: which places lie within ``half`` (of all) around ``centre`` (in [0, 1))."""
    middle, reach = (centre * count).floor(), (half * count).floor()
    places = arange(count)
    inside: Tensor = (places >= middle - reach) & (places < middle + reach)
    return inside
