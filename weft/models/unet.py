"""U-Net. (Ronneberger, Fischer and Brox, 2015, arXiv:1505.04597)"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from .. import nn
from ..errors import ShapeError
from ..tensors.shape import cat
from ..tensors.tensor import Tensor


class DoubleConv(nn.Sequential):
    """Two convolutions of 3 x 3, each with batch normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            layers += [
                nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class UNet(nn.Module):
    """Says for each pixel what it belongs to: a way down, a way up, and bridges between them.

    Convolutions are padded and normalised, so that the output has the input's size; in the paper
    they are neither.

    Args:
        in_channels: of the images.
        num_classes: scores for each pixel.
        widths: channels on each level, from the top down.

    Shape:
        Input ``[N, in_channels, H, W]``, output ``[N, num_classes, H, W]``; ``H`` and ``W`` are
        multiples of ``2^(levels - 1)``.

    Raises:
        ShapeError: for other sizes.
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_classes: int = 2,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
    ) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.first = DoubleConv(in_channels, widths[0])
        self.down = nn.ModuleList([DoubleConv(a, b) for a, b in pairs])
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList([nn.ConvTranspose2d(b, a, 2, 2) for a, b in reversed(pairs)])
        self.join = nn.ModuleList([DoubleConv(2 * a, a) for a, _ in reversed(pairs)])
        self.head = nn.Conv2d(widths[0], num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        multiple = 2 ** len(self.down)
        if x.ndim != 4 or x.shape[2] % multiple or x.shape[3] % multiple:
            raise ShapeError(
                f"UNet takes [batch, channels, height, width], the last two multiples of "
                f"{multiple}, not shape {list(x.shape)}: pad the images"
            )
        x = self.first(x)
        bridges = []
        for down in self.down:
            bridges.append(x)
            x = down(self.pool(x))
        for up, join in zip(self.up, self.join, strict=True):
            x = join(cat([bridges.pop(), up(x)], 1))
        scores: Tensor = self.head(x)
        return scores


__all__ = ["UNet"]
