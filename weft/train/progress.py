"""The progress bar: loss, samples in a second, and the time left."""

from __future__ import annotations

from time import perf_counter
from typing import Any, Self

_SECONDS = 0.1  # between two changes of what it shows


class Bar:
    """A bar for one epoch.

    Args:
        label: what stands before it.
        total: batches in the epoch; None if that is not known.
        done: those done before.
        epochs_left: epochs after this one, for the time that is left.
        shown: whether there is a bar at all.
    """

    def __init__(
        self, label: str, total: int | None, done: int, epochs_left: int, shown: bool
    ) -> None:
        self._bar: Any = None
        if shown:
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=done, desc=label, unit="batch", leave=True)
        self._total, self._done, self._epochs_left = total, done, epochs_left
        self._begun = self._looked = perf_counter()
        self._batches = self._samples = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, batches: int, samples: int, loss: float) -> None:
        """So many batches are done."""
        if self._bar is None:
            return
        self._batches += batches
        self._samples += samples
        now = perf_counter()
        if now - self._looked > _SECONDS:
            self._looked = now
            self._bar.set_postfix(self._state(now, loss), refresh=False)
        self._bar.update(batches)

    def finish(self, row: dict[str, float]) -> None:
        """What the epoch came to stays on the line."""
        if self._bar is not None:
            shown = {k: v for k, v in row.items() if k == "loss" or k.startswith("val_")}
            rate = f"{row['samples_per_second']:,.0f}"
            values = {k: f"{v:.4g}" for k, v in shown.items()}
            self._bar.set_postfix({**values, "samples/s": rate}, refresh=True)

    def _state(self, now: float, loss: float) -> dict[str, Any]:
        seconds = now - self._begun
        state = {"loss": f"{loss:.4g}", "samples/s": f"{self._samples / seconds:,.0f}"}
        if self._total is not None and self._epochs_left:
            batches = self._total * (self._epochs_left + 1) - self._done - self._batches
            state["all"] = f"{clock(seconds / self._batches * batches)} left"
        return state


def clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"
