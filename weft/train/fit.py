"""``fit``: a model is trained."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..amp.grad_scaler import GradScaler
from ..dtypes import dtype
from ..errors import UnsupportedOp
from ..nn.module import Module
from ..optim.lbfgs import LBFGS
from ..optim.lr_scheduler import ReduceLROnPlateau
from ..optim.optimizer import Optimizer
from .batches import LossFunction, Metrics, StepFunction
from .callback import Callback
from .history import History
from .logs import CsvLog, Report, TensorBoard
from .training import Plan, Training


def fit(
    model: Module,
    data: Iterable[Any],
    optimizer: Optimizer,
    loss: LossFunction | None = None,
    *,
    epochs: int = 1,
    step: StepFunction | None = None,
    validation: Iterable[Any] | None = None,
    metrics: Metrics | None = None,
    scheduler: Any = None,
    schedule_every: str = "epoch",
    precision: dtype | None = None,
    scaler: GradScaler | None = None,
    accumulate: int = 1,
    clip_norm: float | None = None,
    monitor: str | None = None,
    mode: str = "min",
    patience: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    save_every: int | None = None,
    tensorboard: bool = False,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
) -> History:
    """Trains a model, and says how it went.

    Each step is that of the plain loop: ``zero_grad()``, the loss of a batch, ``backward()``,
    ``optimizer.step()``; the weights come out the same, bit for bit.

    With a folder, ``last.safetensors`` is the whole state of the run, saved after each epoch and
    when it stops; ``best.safetensors`` is the model's state_dict after the best epoch, ``log.csv``
    a line for each epoch, and ``report.html`` a page with curves. Ctrl-C finishes the step, saves
    and returns; pressed again, it stops at once.

    Args:
        data: batches ``(inputs, target)`` or ``(input, input, ..., target)``: a DataLoader, or
            anything that can be iterated over again and again. They are moved to where the model
            is.
        loss: a function of the model's output and the target; its mean over the batch.
        epochs: how often to go through ``data``, in all (those before a resume included).
        step: in place of ``loss``, for batches of any structure: a function of model and batch that
            returns the loss.
        validation: batches to measure on after each epoch.
        metrics: functions of output and target, by name, that are measured there too.
        scheduler: of the learning rate.
        schedule_every: "epoch" or "step": when it steps.
        precision: ``weft.bfloat16`` or ``weft.float16``: the loss is computed under ``autocast`` to
            it; weights stay as they are.
        scaler: scales the losses, for ``weft.float16``.
        accumulate: so many batches make one step; their losses are averaged.
        clip_norm: the largest norm that the gradients of a step may have.
        monitor: by what epochs are compared: "loss", "val_loss" or "val_" with a metric's name. If
            left out, "val_loss" where there is a validation, else "loss".
        mode: "min" or "max": what is better.
        patience: stop when so many epochs in a row were no better.
        folder: for results; made if it is not there.
        resume: go on from the folder's ``last.safetensors``, if it is there; the weights are then
            those of an unbroken run, bit for bit. Data that have ``state_dict()`` and
            ``load_state_dict()`` go on in the middle of an epoch; others are gone through again up
            to there.
        save_every: save also after so many steps.
        tensorboard: write TensorBoard's event files to the folder too.
        callbacks: see :class:`Callback`.
        progress: show a bar.

    Returns:
        What was measured, and why it ended.

    Raises:
        TypeError, ValueError: for arguments or batches that do not fit.
        DataError: if the loss is infinite or NaN, saying at which step.
        CheckpointError: if a checkpoint cannot be written, or the one to resume from does not fit.

    Example:
        >>> x = weft.linspace(-1, 1, 32).reshape(-1, 1)
        >>> data = [(x, 2 * x)]
        >>> model = nn.Linear(1, 1)
        >>> optimizer = weft.optim.SGD(model.parameters(), lr=0.5)
        >>> history = weft.train.fit(model, data, optimizer, F.mse_loss, epochs=40, progress=False)
        >>> history["loss"][-1] < 0.01
        True
    """
    _check_objects(model, optimizer, scheduler, callbacks)
    _check_data(data, validation, metrics, step)
    _check_numbers(epochs=epochs, accumulate=accumulate, patience=patience, save_every=save_every)
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"clip_norm must be above 0, not {clip_norm!r}; None clips nothing")
    _check_choice("schedule_every", schedule_every, ("epoch", "step"))
    _check_choice("mode", mode, ("min", "max"))
    if isinstance(scheduler, ReduceLROnPlateau) and schedule_every == "step":
        raise ValueError("ReduceLROnPlateau waits for what an epoch gives: schedule_every='epoch'")
    if folder is None and (resume or tensorboard or save_every is not None):
        raise ValueError("resume, tensorboard and save_every need a folder: folder='runs/first'")
    plan = Plan(
        epochs=epochs,
        validation=validation,
        loss=loss,
        batch_loss=step,
        metrics=metrics or {},
        scheduler=scheduler,
        schedule_every=schedule_every,
        precision=precision,
        scaler=scaler,
        accumulate=accumulate,
        clip_norm=clip_norm,
        monitor=monitor or ("loss" if validation is None else "val_loss"),
        mode=mode,
        patience=patience,
        save_every=save_every,
        folder=None if folder is None else Path(folder),
        progress=progress,
    )
    run = Training(model, data, optimizer, plan, [*callbacks, *_logs(plan.folder, tensorboard)])
    if plan.folder is not None:
        plan.folder.mkdir(parents=True, exist_ok=True)
        last = plan.folder / "last.safetensors"
        if resume and last.exists():
            run.resume(last)
    return run.run()


def _logs(folder: Path | None, tensorboard: bool) -> list[Callback]:
    if folder is None:
        return []
    return [CsvLog(), *([TensorBoard()] if tensorboard else []), Report()]


def _check_objects(model: Any, optimizer: Any, scheduler: Any, callbacks: Any) -> None:
    if not isinstance(model, Module):
        raise TypeError(f"fit trains a Module, not {type(model).__name__}")
    if isinstance(optimizer, (list, tuple, dict)):
        raise TypeError(
            "fit takes one optimizer. Parameters with options of their own are groups of it: "
            "AdamW([{'params': ..., 'lr': ...}, ...]); for several optimisers write the loop"
        )
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer must be an Optimizer, not {type(optimizer).__name__}: fit(model, data, "
            "optimizer, loss)"
        )
    if isinstance(optimizer, LBFGS):
        raise UnsupportedOp(
            "LBFGS asks for the loss several times in a step, by a closure; fit does not do that: "
            "write the loop, optimizer.step(closure)"
        )
    theirs = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not any(id(p) in theirs for p in model.parameters()):
        raise ValueError(
            "the optimiser has none of the model's parameters: make it after the model, "
            f"{type(optimizer).__name__}(model.parameters(), ...)"
        )
    if scheduler is not None and not callable(getattr(scheduler, "step", None)):
        raise TypeError(f"scheduler must have step(), which {type(scheduler).__name__} has not")
    if getattr(scheduler, "optimizer", optimizer) is not optimizer:
        raise ValueError("the scheduler is another optimiser's: make it of the one that is given")
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise TypeError(f"a callback must be a weft.train.Callback, not {_named(callback)}")


def _named(value: Any) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def _check_data(data: Any, validation: Any, metrics: Any, step: Any) -> None:
    for name, value in (("data", data), ("validation", validation)):
        # An iterator is used up by the first epoch.
        if value is not None and (not hasattr(value, "__iter__") or hasattr(value, "__next__")):
            raise TypeError(
                f"{name} must be something to iterate over again in each epoch, such as a "
                f"DataLoader or a list of batches, not {type(value).__name__}"
            )
    if metrics and not isinstance(metrics, Mapping):
        raise TypeError(f"metrics must be a dict of functions by name, not {_named(metrics)}")
    if metrics and step is not None:
        raise TypeError("metrics are functions of output and target: they go with loss, not step")
    if metrics and validation is None:
        raise ValueError("metrics are measured on validation data: give validation too")


def _check_numbers(**values: int | None) -> None:
    for name, value in values.items():
        if value is not None and (type(value) is not int or value < 1):
            raise ValueError(f"{name} must be a positive int, not {value!r}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")
