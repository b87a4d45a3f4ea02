"""What is told of a training run as it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .history import Row

if TYPE_CHECKING:
    from .training import Training


class Callback:
    """Base of callbacks of :func:`weft.train.fit`: define the methods that you need.

    Each is given the run, with ``model``, ``optimizer``, ``scheduler``, ``epoch`` (from 0),
    ``step`` (how many are done), ``loss`` (of the last step), ``history`` and ``folder``;
    ``run.stop("reason")`` ends it after the step.

    A callback that has ``state_dict()`` and ``load_state_dict()`` is saved in checkpoints.
    """

    def on_begin(self, run: Training) -> None:
        """Before the first step, after a checkpoint was loaded."""

    def on_step(self, run: Training) -> None:
        """After each step of the optimiser."""

    def on_epoch(self, run: Training, row: Row) -> None:
        """After each epoch and its validation; what is put into ``row`` is kept and logged."""

    def on_end(self, run: Training) -> None:
        """In the end, also after Ctrl-C or an error."""
