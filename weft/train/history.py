"""What a training run has measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..errors import did_you_mean

Row = dict[str, float]

_MOST_POINTS = 2000


class Curve:
    """A value at each step, as means over so many steps that a few thousand numbers hold them all.

    Attributes:
        width: how many steps make a point.
        points: the means.
    """

    def __init__(self) -> None:
        self.width = 1
        self.points: list[float] = []
        self._sum = 0.0
        self._count = 0

    def add(self, value: float) -> None:
        self._sum += value
        self._count += 1
        if self._count == self.width:
            self.points.append(self._sum / self.width)
            self._sum, self._count = 0.0, 0
            if len(self.points) == _MOST_POINTS:
                pairs = zip(self.points[::2], self.points[1::2], strict=True)
                self.points = [(a + b) / 2 for a, b in pairs]
                self.width *= 2

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        vars(self).update(state_dict)


@dataclass
class History:
    """What :func:`weft.train.fit` returns.

    ``history["val_loss"]`` are the values of a column, one for each epoch that has it.

    Attributes:
        rows: a dict for each epoch: "epoch", "step", "loss", "lr", "seconds", "samples_per_second",
            and with validation "val_loss" and "val_" with the name of each metric.
        losses: the loss of each step.
        best: the row of the best epoch so far.
        stopped: why it ended: "done", "early" (no more progress), "interrupted" (Ctrl-C), or the
            reason that a callback gave to ``stop()``.
    """

    rows: list[Row] = field(default_factory=list)
    losses: Curve = field(default_factory=Curve)
    best: Row | None = None
    stopped: str = "done"

    @property
    def columns(self) -> list[str]:
        """Names of all values, in the order in which they came up."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def __getitem__(self, name: str) -> list[float]:
        found = [row[name] for row in self.rows if name in row]
        if not found and self.rows:
            raise KeyError(f"no epoch has '{name}'.{did_you_mean(name, self.columns)}")
        return found

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "losses": self.losses.state_dict(), "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = [dict(row) for row in state_dict["rows"]]
        self.losses.load_state_dict(state_dict["losses"])
        self.best = state_dict["best"]
