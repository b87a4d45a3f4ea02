"""The loop itself: epochs of steps, and where it stands, so that it can go on later."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

from ..dtypes import dtype
from ..errors import CheckpointError, DataError, did_you_mean
from ..nn.module import Module
from ..nn.utils.clip_grad import clip_grad_norm_
from ..optim.lr_scheduler import ReduceLROnPlateau
from ..optim.optimizer import Optimizer
from ..serialization import load, save
from ..tensors.interop import realize
from ..tensors.tensor import Tensor
from . import random_state
from .batches import Losses, Metrics, evaluate, size_of, tensors_in
from .callback import Callback
from .history import History, Row
from .interrupt import CtrlC
from .progress import Bar, clock

_FORMAT = 1
_END: Any = object()


@dataclass(frozen=True)
class Plan:
    """The options of a run, as given to :func:`weft.train.fit`."""

    epochs: int
    validation: Iterable[Any] | None
    loss: Any
    batch_loss: Any
    metrics: Metrics
    scheduler: Any
    schedule_every: str
    precision: dtype | None
    scaler: Any
    accumulate: int
    clip_norm: float | None
    monitor: str
    mode: str
    patience: int | None
    save_every: int | None
    folder: Path | None
    progress: bool


class Training:
    """A run, as callbacks see it.

    Attributes:
        model, optimizer, data: as given.
        epoch: the one that is going on, from 0.
        batch: how many batches of the epoch are done.
        step: how many steps of the optimiser are done, in all.
        loss: of the last step.
        history: what has been measured.
    """

    def __init__(
        self,
        model: Module,
        data: Any,
        optimizer: Optimizer,
        plan: Plan,
        callbacks: Sequence[Callback],
    ) -> None:
        self.model = model
        self.data = data
        self.optimizer = optimizer
        self.history = History()
        self.epoch = self.batch = self.step = 0
        self.loss = math.nan
        self._plan = plan
        self._callbacks = callbacks
        self._losses = Losses(model, plan.loss, plan.batch_loss, plan.precision)
        self._sum = 0.0  # of the epoch: loss times samples
        self._samples = 0
        self._seconds = 0.0  # of the epoch, before the last save
        self._begun = 0.0
        self._epoch_random: dict[str, Any] = {}  # when it began, if data do not keep their place
        self._resume: dict[str, Any] | None = None
        self._reason: str | None = None
        self._ran_out = False  # did the last step ask for more batches than there were?

    @property
    def folder(self) -> Path | None:
        """Where results go."""
        return self._plan.folder

    @property
    def scheduler(self) -> Any:
        """The scheduler of the learning rate, or None."""
        return self._plan.scheduler

    def stop(self, reason: str = "callback") -> None:
        """Ends the run after the step that is going on; a checkpoint is saved."""
        self._reason = reason

    def run(self) -> History:
        """Trains to the end, or as far as it gets."""
        self.history.stopped = "done"
        if not self.model.training:
            self.model.train()
        with CtrlC(lambda: self.stop("interrupted")):
            try:
                for callback in self._callbacks:
                    callback.on_begin(self)
                for batch, following in self._steps():
                    self._run_step(batch, following)
            except Exception as error:
                error.add_note(
                    f"in epoch {self.epoch + 1}, batch {self.batch} (counted from 0), "
                    f"after {self.step} steps"
                )
                raise
            finally:
                for callback in self._callbacks:
                    callback.on_end(self)
        return self.history

    # ---- epochs

    def _steps(self) -> Iterator[tuple[Any, Iterator[Any]]]:
        """For each step to come, the batch and those that follow it.

        A generator, because ops look through all of weft's frames for the user's line: what it
        does between the steps is not on the stack during a step.
        """
        while self.epoch < self._plan.epochs and not self._stops():
            self._averaged(False)
            total = _length(self.data)
            left = self._plan.epochs - self.epoch - 1
            batches = self._batches()
            self._ran_out = False
            self._begun = perf_counter()
            with Bar(self._label(), total, self.batch, left, self._plan.progress) as bar:
                yield from self._steps_of_epoch(batches, bar)
                # After the last batch data are told so, by asking for one more.
                over = self._ran_out or (self.batch == total and _is_over(batches))
                if over or not self._stops():
                    self._end_epoch(bar)
            self.save()
        if self._resume is not None:  # there was nothing left to do
            random_state.restore(self._resume["random"], self.data)
        self._averaged(True)

    def _label(self) -> str:
        return f"epoch {self.epoch + 1}/{self._plan.epochs}"

    def _steps_of_epoch(
        self, batches: Iterator[Any], bar: Bar
    ) -> Iterator[tuple[Any, Iterator[Any]]]:
        every = self._plan.save_every
        for batch in batches:
            done, samples = self.batch, self._samples
            yield batch, batches
            bar.advance(self.batch - done, self._samples - samples, self._sum / self._samples)
            # Once data have said that they are at their end, they would be saved as at a new start.
            if self._reason is not None or self._ran_out:
                return
            if every is not None and self.step % every == 0:
                self.save()
        if self.batch == 0:
            raise ValueError("there is nothing to train on: data gave no batches")

    def _run_step(self, batch: Any, following: Iterator[Any]) -> None:
        """One step of the optimiser.

        A step on one batch does what the plain loop does and little else: beside a small network's
        step, what is called in between is seen.
        """
        plan = self._plan
        self.optimizer.zero_grad()
        if plan.accumulate == 1:
            group = [batch]
            loss = self._losses(batch)[0]
            (loss if plan.scaler is None else plan.scaler.scale(loss)).backward()
            made = self._update()
            samples = size_of(batch)
            total = loss.item() * samples
        else:
            group = [batch, *islice(following, plan.accumulate - 1)]
            self._ran_out = len(group) < plan.accumulate
            total, samples = self._accumulated(group)
            made = self._update()
        self._note(total, samples, group)
        if plan.scheduler is not None and plan.schedule_every == "step" and made:
            plan.scheduler.step()
        for callback in self._callbacks:
            callback.on_step(self)

    def _accumulated(self, group: list[Any]) -> tuple[float, int]:
        """Gradients of the mean of several batches' losses. Returns loss times samples, samples."""
        scaler, total, samples = self._plan.scaler, 0.0, 0
        for k, batch in enumerate(group):
            loss = self._losses(batch)[0]
            part = loss / len(group)
            (part if scaler is None else scaler.scale(part)).backward()
            realize(loss)  # with the gradients, so that one batch's values are in memory at a time
            total += loss.item() * size_of(batch)
            samples += size_of(batch)
            self.batch += k < len(group) - 1
        return total, samples

    def _update(self) -> bool:
        """Moves the weights, unless the scaled gradients overflowed; says whether it did."""
        scaler, norm = self._plan.scaler, self._plan.clip_norm
        if norm is not None:
            if scaler is not None:
                scaler.unscale_(self.optimizer)
            clip_grad_norm_(self._parameters(), norm)
        if scaler is None:
            self.optimizer.step()
            return True
        scale = scaler.get_scale()
        scaler.step(self.optimizer)
        scaler.update()
        return bool(scaler.get_scale() >= scale)

    def _note(self, total: float, samples: int, group: list[Any]) -> None:
        self.loss = total / samples if samples else math.nan
        if not math.isfinite(self.loss):
            raise self._not_finite(group)
        self.batch += 1
        self.step += 1
        self._sum += total
        self._samples += samples
        self.history.losses.add(self.loss)

    def _parameters(self) -> list[Any]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _end_epoch(self, bar: Bar) -> None:
        seconds = self._seconds + perf_counter() - self._begun
        row: Row = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "loss": self._sum / self._samples,
            "lr": self._rate(),
            "seconds": seconds,
            "samples_per_second": self._samples / seconds,
        }
        self._averaged(True)
        row |= self._validated()
        self.history.rows.append(row)
        self._keep_best(row)
        self._averaged(False)
        if self.scheduler is not None and self._plan.schedule_every == "epoch":
            on_plateau = isinstance(self.scheduler, ReduceLROnPlateau)
            self.scheduler.step(*[row[self._plan.monitor]] if on_plateau else ())
        self.epoch += 1
        self.batch = self._samples = 0
        self._sum = self._seconds = 0.0
        self._begun = perf_counter()
        for callback in self._callbacks:
            callback.on_epoch(self, row)
        bar.finish(row)

    def _validated(self) -> dict[str, float]:
        plan = self._plan
        if plan.validation is None:
            return {}
        found = evaluate(
            self.model,
            plan.validation,
            plan.loss,
            metrics=plan.metrics,
            step=plan.batch_loss,
            precision=plan.precision,
        )
        return {f"val_{name}": value for name, value in found.items()}

    def _averaged(self, averaged: bool) -> None:
        """For optimisers that keep an average of the weights apart: which of the two to use."""
        switch = getattr(self.optimizer, "eval" if averaged else "train", None)
        if callable(switch):
            switch()

    # ---- the end

    def _keep_best(self, row: Row) -> None:
        monitor, best = self._plan.monitor, self.history.best
        if monitor not in row:
            raise ValueError(
                f"monitor='{monitor}' is not among what an epoch gives: {', '.join(row)}."
                f"{did_you_mean(monitor, row)}"
            )
        value, before = row[monitor], math.inf if best is None else best[monitor]
        if self._plan.mode == "max":
            value, before = -value, math.inf if best is None else -before
        if value < before:
            self.history.best = row
            if self.folder is not None:
                save(self.model.state_dict(), self.folder / "best.safetensors")

    def _stops(self) -> bool:
        """Is it to end here?"""
        if self._reason is None and self.batch == 0 and self._lacks_progress():
            self._reason = "early"
        self.history.stopped = self._reason or "done"
        return self._reason is not None

    def _lacks_progress(self) -> bool:
        patience, best = self._plan.patience, self.history.best
        if patience is None or not self.history.rows:
            return False
        since = 0 if best is None else best["epoch"]
        return self.history.rows[-1]["epoch"] - since >= patience

    def _not_finite(self, group: list[Any]) -> DataError:
        place = f"at step {self.step + 1} (epoch {self.epoch + 1}, batch {self.batch})"
        return DataError(
            f"the loss is {self.loss} {place}. {self._suspect(group)} {self._rescue()}."
        )

    def _rescue(self) -> str:
        if self.folder is not None and (self.folder / "last.safetensors").exists():
            return f"resume=True goes on from the checkpoint in '{self.folder}', before this step"
        return "The weights have taken this step; with folder= there would be a checkpoint"

    def _rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def _suspect(self, group: list[Any]) -> str:
        """What may have made the loss infinite or NaN."""
        for batch in group:
            for k, x in enumerate(tensors_in(batch)):
                if x.dtype.is_inexact and not x.isfinite().all().item():
                    return f"Tensor {k} of the batch is not finite: look at the data."
        return (
            "The batch is finite, so training has diverged: try a rate below "
            f"lr={self._rate():g}, or clip_norm=1.0."
        )

    # ---- checkpoints

    @property
    def _stateful_callbacks(self) -> list[Any]:
        return [c for c in self._callbacks if _is_stateful(c)]

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on."""
        now = perf_counter()
        self._seconds += now - self._begun
        self._begun = now
        return {
            "weft.train": _FORMAT,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "scaler": None if self._plan.scaler is None else self._plan.scaler.state_dict(),
            "loader": self.data.state_dict() if _is_stateful(self.data) else None,
            "random": random_state.capture(self.data),
            "epoch_random": self._epoch_random if self.batch else {},
            "callbacks": [c.state_dict() for c in self._stateful_callbacks],
            "history": self.history.state_dict(),
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.step,
            "sum": self._sum,
            "samples": self._samples,
            "seconds": self._seconds,
        }

    def save(self) -> None:
        """Writes ``last.safetensors``.

        Raises:
            DataError: if a weight has become infinite or NaN: the last good file stays.
        """
        if self.folder is None:
            return
        trained = {id(p) for p in self._parameters()}
        for name, p in self.model.named_parameters():
            if id(p) in trained and not p.isfinite().all().item():
                raise DataError(
                    f"parameter '{name}' is not finite after step {self.step}: training has "
                    f"diverged, try a rate below lr={self._rate():g}, or clip_norm=1.0. "
                    f"{self._rescue()}."
                )
        save(self.state_dict(), self.folder / "last.safetensors")

    def resume(self, path: Path) -> None:
        """Goes to where a checkpoint was saved.

        Raises:
            CheckpointError: if it is none of :func:`weft.train.fit`, or does not fit; the model is
                then as it was.
        """
        state = load(path)
        if not isinstance(state, dict) or state.get("weft.train") != _FORMAT:
            raise CheckpointError(f"'{path}' is no checkpoint of weft.train.fit")
        callbacks = self._stateful_callbacks
        parts = {"scheduler": self.scheduler, "scaler": self._plan.scaler}
        for name, part in parts.items():
            if (state[name] is None) != (part is None):
                had = "no" if state[name] is None else "a"
                raise CheckpointError(
                    f"'{path}' is of a run with {had} {name}: give fit() the same"
                )
        if len(state["callbacks"]) != len(callbacks):
            raise CheckpointError(
                f"'{path}' is of a run with {len(state['callbacks'])} callbacks that keep a state, "
                f"not {len(callbacks)}: give fit() the same"
            )
        before = {
            name: x.clone() if isinstance(x, Tensor) else x
            for name, x in self.model.state_dict().items()
        }
        self.model.load_state_dict(state["model"])
        try:
            self.optimizer.load_state_dict(state["optimizer"])
            for name, part in parts.items():
                if part is not None:
                    part.load_state_dict(state[name])
            for callback, each in zip(callbacks, state["callbacks"], strict=True):
                callback.load_state_dict(each)
        except BaseException:
            self.model.load_state_dict(before)
            raise
        self.history.load_state_dict(state["history"])
        self.epoch, self.batch, self.step = state["epoch"], state["batch"], state["step"]
        self._sum, self._samples = state["sum"], state["samples"]
        self._seconds = state["seconds"]
        self._resume = state

    def _batches(self) -> Iterator[Any]:
        """The batches of the epoch that are still to come."""
        state, self._resume = self._resume, None
        if state is None:
            if not _is_stateful(self.data):
                self._epoch_random = random_state.capture(self.data)
            return iter(self.data)
        has_place = state["loader"] is not None
        if self.batch and has_place != _is_stateful(self.data):
            had = "" if has_place else "no "
            raise CheckpointError(
                f"the checkpoint is of data with {had}state_dict(), as a DataLoader has it: resume "
                "with the same data"
            )
        if has_place and _is_stateful(self.data):
            random_state.restore(state["random"], self.data)
            self.data.load_state_dict(state["loader"])
            rest: Iterator[Any] = iter(self.data)
            return rest
        self._epoch_random = state["epoch_random"] if self.batch else state["random"]
        random_state.restore(self._epoch_random, self.data)
        batches: Iterator[Any] = iter(self.data)
        if self.batch:  # the same batches again, unused
            skipped = sum(1 for _ in islice(batches, self.batch))
            if skipped < self.batch:
                raise CheckpointError(
                    f"the checkpoint is at batch {self.batch} of its epoch, but data now gives "
                    f"only {skipped} batches: resume with the same data"
                )
            random_state.restore(state["random"], self.data)
        return batches

    # ---- what the report says

    @property
    def title(self) -> str:
        return f"{type(self.model).__name__}, {self.epoch} of {self._plan.epochs} epochs"

    def facts(self) -> dict[str, str]:
        """What a report says of the run."""
        rows, best, monitor = self.history.rows, self.history.best, self._plan.monitor
        count = sum(p.numel() for p in self.model.parameters())
        seconds = sum(row["seconds"] for row in rows) + self._seconds
        return {
            "model": f"{type(self.model).__name__}, {count:,} parameters",
            "optimiser": type(self.optimizer).__name__,
            "steps": f"{self.step:,} in {clock(seconds)}",
            "ended": self.history.stopped,
            "best": f"epoch {best['epoch']:.0f}, {monitor} {best[monitor]:.6g}" if best else "none",
        }


def _is_stateful(x: Any) -> bool:
    return hasattr(x, "state_dict") and hasattr(x, "load_state_dict")


def _is_over(batches: Iterator[Any]) -> bool:
    return next(batches, _END) is _END


def _length(data: Any) -> int | None:
    try:
        return len(data)
    except TypeError:
        return None
