"""The networks that are trained: their data, the same for every library, and their losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Draw = Callable[[np.random.Generator, int], Any]


@dataclass(frozen=True)
class Workload:
    """A network's training data.

    Attributes:
        batch: samples in a step.
        inputs, targets: what is drawn for a batch, from a generator.
        lr: the rate of SGD, whose momentum is 0.9.
        classes: the loss is the cross-entropy; the mean squared difference otherwise.
    """

    batch: int
    inputs: Draw
    targets: Draw
    lr: float = 0.01
    classes: bool = True

    def data(self, batch: int | None = None) -> tuple[Any, Any]:
        """Inputs and targets as arrays, images as [N, C, H, W], the same at each call."""
        draw = np.random.default_rng(0)
        batch = batch or self.batch
        return self.inputs(draw, batch), self.targets(draw, batch)


def _numbers(*shape: int) -> Draw:
    return lambda draw, batch: draw.normal(size=(batch, *shape)).astype(np.float32)


def _classes(classes: int, *shape: int) -> Draw:
    return lambda draw, batch: draw.integers(0, classes, (batch, *shape))


#: By the names of ``models.py``.
WORKLOADS = {
    "LeNet": Workload(64, _numbers(1, 28, 28), _classes(10)),
    "MLP": Workload(64, _numbers(784), _classes(10)),
    "ResNet-18": Workload(16, _numbers(3, 32, 32), _classes(10)),
    "GPT": Workload(8, _classes(1000, 128), _classes(1000, 128)),
    "tiny MLP": Workload(4, _numbers(2), _numbers(1), lr=0.1, classes=False),
    "LSTM": Workload(16, _classes(1000, 64), _classes(1000, 64)),
    "U-Net": Workload(8, _numbers(3, 64, 64), _classes(2, 64, 64)),
}
