"""LeNet-5. (LeCun, Bottou, Bengio and Haffner, 1998)"""

from __future__ import annotations

from .. import nn
from ..tensors.tensor import Tensor


class LeNet(nn.Module):
    """Reads characters: two convolutions, each with a pool, and three linear layers.

    As it is commonly written today: ReLU, maximum pooling and linear scores, where the paper has a
    scaled tanh, averages with weights, and distances.

    Args:
        num_classes: the number of scores.
        in_channels: of the images.

    Shape:
        Input ``[N, in_channels, 32, 32]``, output ``[N, num_classes]``. Images of 28 x 28 are
        padded.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] == (28, 28):
            x = nn.functional.pad(x, (2, 2, 2, 2))
        scores: Tensor = self.classifier(self.features(x))
        return scores


__all__ = ["LeNet"]
