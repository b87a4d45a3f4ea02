"""Small trainings that tests of weft.train share."""

from __future__ import annotations

from typing import Any

import weft
import weft.nn.functional as F
from weft import nn, optim
from weft.utils.data import DataLoader, TensorDataset


def dataset(count: int = 70) -> TensorDataset:
    generator = weft.Generator().manual_seed(3)
    x = weft.randn(count, 4, generator=generator)
    return TensorDataset(x, (x.sum(1, keepdim=True) > 0).float())


def loader(count: int = 70, **options: Any) -> DataLoader[Any]:
    return DataLoader(dataset(count), 8, **{"shuffle": True, **options})


class Parts:
    """A model with dropout, a loader that shuffles, an optimiser with state and a scheduler."""

    def __init__(self, seed: int = 0, **options: Any) -> None:
        weft.manual_seed(seed)
        self.model = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1)
        )
        self.data = loader(**options)
        self.optimizer = optim.AdamW(self.model.parameters(), lr=0.02)
        self.scheduler = optim.lr_scheduler.StepLR(self.optimizer, 5, gamma=0.7)

    def fit(self, **options: Any) -> Any:
        given = {
            "epochs": 3,
            "scheduler": self.scheduler,
            "schedule_every": "step",
            "progress": False,
            **options,
        }
        loss = F.binary_cross_entropy_with_logits
        return weft.train.fit(self.model, self.data, self.optimizer, loss, **given)

    def weights(self) -> dict[str, Any]:
        return dict(self.model.state_dict())


class StopAt(weft.train.Callback):
    """Stops after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, run: Any) -> None:
        if run.step == self.step:
            run.stop("here")
