"""Logs of a training run: a table, TensorBoard's event files, a page with curves."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UnsupportedOp
from ..serialization.files import replacing
from .callback import Callback
from .history import Row
from .report import page

if TYPE_CHECKING:
    from .training import Training

_SECONDS = 0.1  # between two points of a step in TensorBoard


def written(path: Path, text: str) -> None:
    """Writes a text file as a whole."""
    data = text.encode()
    with replacing(path, len(data)) as f:
        f.write(data)


class CsvLog(Callback):
    """``log.csv``: a line for each epoch."""

    def on_epoch(self, run: Training, row: Row) -> None:
        assert run.folder is not None
        out = io.StringIO()
        table = csv.DictWriter(out, run.history.columns, lineterminator="\n")
        table.writeheader()
        table.writerows(run.history.rows)
        written(run.folder / "log.csv", out.getvalue())


class Report(Callback):
    """``report.html``: curves and the table, in one file."""

    def on_end(self, run: Training) -> None:
        assert run.folder is not None
        if run.step:
            written(run.folder / "report.html", page(run.title, run.facts(), run.history))


class TensorBoard(Callback):
    """TensorBoard's event files, in ``tensorboard/``.

    Raises:
        UnsupportedOp: where the package is not installed.
    """

    def __init__(self) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            raise UnsupportedOp(
                "tensorboard=True needs the package tensorboard: pip install 'weft[tensorboard]'"
            ) from None
        self._event, self._summary, self._open = event_pb2, summary_pb2, EventFileWriter
        self._writer: Any = None
        self._looked = 0.0

    def on_begin(self, run: Training) -> None:
        assert run.folder is not None
        self._writer = self._open(str(run.folder / "tensorboard"))
        if run.step:  # what an earlier run has logged of the steps that are done anew is void
            start = self._event.SessionLog(status=self._event.SessionLog.START)
            self._add(run.step, session_log=start)

    def on_step(self, run: Training) -> None:
        now = time.perf_counter()
        if now - self._looked > _SECONDS:
            self._looked = now
            self._values(run.step, {"step/loss": run.loss})

    def on_epoch(self, run: Training, row: Row) -> None:
        self._values(run.step, {f"epoch/{k}": v for k, v in row.items() if k != "step"})

    def on_end(self, run: Training) -> None:
        if self._writer is not None:
            self._writer.close()

    def _values(self, step: int, values: dict[str, float]) -> None:
        value = self._summary.Summary.Value
        listed = [value(tag=k, simple_value=v) for k, v in values.items()]
        self._add(step, summary=self._summary.Summary(value=listed))

    def _add(self, step: int, **what: Any) -> None:
        event = self._event.Event(wall_time=time.time(), step=step, **what)
        self._writer.add_event(event)
