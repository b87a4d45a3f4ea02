"""From a batch to a loss, and what is said about batches that do not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from ..amp.autocast_mode import autocast
from ..autograd.modes import no_grad
from ..dtypes import dtype
from ..graph.device import CPU
from ..nn.module import Module
from ..tensors.core import TensorCore
from ..tensors.interop import realize
from ..tensors.tensor import Tensor

LossFunction = Callable[[Any, Any], Any]
StepFunction = Callable[[Any, Any], Any]
Metrics = Mapping[str, Callable[[Any, Any], Any]]


class Losses:
    """How the loss of a batch is computed: ``loss(model(*inputs), target)``, or a function."""

    def __init__(
        self,
        model: Module,
        loss: LossFunction | None,
        step: StepFunction | None,
        precision: dtype | None = None,
    ) -> None:
        if (loss is None) == (step is None):
            raise TypeError(
                "give loss, a function of output and target, for batches (inputs, target); or "
                "step, a function of model and batch that returns the loss. Exactly one of them"
            )
        for name, function in (("loss", loss), ("step", step)):
            if function is not None and not callable(function):
                raise TypeError(f"{name} must be a function, not {type(function).__name__}")
            if isinstance(function, type):
                raise TypeError(f"{name} is the class {function.__name__}: make one of it first")
        self._model = model
        device = next((p.device for p in model.parameters()), CPU)
        self._device = None if device is CPU else device  # on the CPU, batches are there anyway
        self._precision: AbstractContextManager[Any] = (
            nullcontext() if precision is None else autocast(device.type, dtype=precision)
        )
        self._loss = loss
        self._step = step

    def __call__(self, batch: Any) -> tuple[Tensor, Any, Any]:
        """The loss of a batch, the model's output, and the target.

        One frame on purpose: every op that is recorded looks through all of weft's frames for the
        user's line.

        Raises:
            TypeError: for a batch that is not ``(inputs, target)``, or a loss that is no Tensor.
            ValueError: for a loss of more than one element.
        """
        if self._device is not None:
            batch = _moved(batch, self._device)
        with self._precision:
            if self._step is not None:
                return _checked(self._step(self._model, batch)), None, None
            *inputs, target = _parts(batch)
            output = self._model(*inputs)
            assert self._loss is not None
            return _checked(self._loss(output, target)), output, target


def _moved(value: Any, device: Any) -> Any:
    """A batch with its Tensors on the device."""
    if isinstance(value, TensorCore):
        return value.to(device)  # type: ignore[attr-defined]
    if isinstance(value, Mapping):
        return {key: _moved(inner, device) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        moved = [_moved(inner, device) for inner in value]
        return type(value)(*moved) if hasattr(value, "_fields") else type(value)(moved)
    return value


def _parts(batch: Any) -> Any:
    if isinstance(batch, (tuple, list)) and len(batch) >= 2:
        return batch
    raise TypeError(
        f"a batch must be (inputs, target), or (input, input, ..., target), but it is "
        f"{described(batch)}. For batches of another structure give step in place of loss: a "
        "function of model and batch that returns the loss"
    )


def _checked(loss: Any) -> Tensor:
    if not isinstance(loss, TensorCore):
        raise TypeError(f"the loss must be a Tensor, not {type(loss).__name__}")
    if loss.numel() != 1:  # type: ignore[attr-defined]
        raise ValueError(
            f"the loss has shape {list(loss.shape)}: reduce it to one number, for "  # type: ignore[attr-defined]
            "example with .mean()"
        )
    return loss  # type: ignore[return-value]


def described(value: Any) -> str:
    """A batch in a few words: what it is made of."""
    if isinstance(value, TensorCore):
        return f"a Tensor{list(value.shape)} of {value.dtype}"  # type: ignore[attr-defined]
    if isinstance(value, Mapping):
        keys = ", ".join(repr(k) for k in list(value)[:8])
        return f"a {type(value).__name__} with the keys {keys}"
    if isinstance(value, (tuple, list)):
        inside = ", ".join(described(v) for v in value[:4])
        return f"a {type(value).__name__} of {len(value)}: ({inside})"
    return f"a {type(value).__name__}"


def size_of(batch: Any) -> int:
    """How many samples are in a batch: the first size of the first Tensor in it."""
    x = next(tensors_in(batch), None)
    return int(x.shape[0]) if x is not None and x.ndim else 1


def tensors_in(value: Any) -> Iterator[Tensor]:
    """All Tensors of a batch."""
    if isinstance(value, TensorCore):
        yield value  # type: ignore[misc]
    elif isinstance(value, (tuple, list, Mapping)):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from tensors_in(inner)


@contextmanager
def placed(what: str) -> Iterator[None]:
    """Errors from inside say where in the run they happened."""
    try:
        yield
    except Exception as error:
        error.add_note(what)
        raise


# ---- measuring


def evaluate(
    model: Module,
    data: Iterable[Any],
    loss: LossFunction | None = None,
    *,
    metrics: Metrics | None = None,
    step: StepFunction | None = None,
    precision: dtype | None = None,
) -> dict[str, float]:
    """Means over all samples: of the loss, as "loss", and of each metric.

    The model is in evaluation mode meanwhile; afterwards every module is in the mode that it was.

    Args:
        data: batches, as for :func:`fit`.
        loss, step, precision: as for :func:`fit`.
        metrics: functions of output and target that return the mean over the batch.

    Raises:
        TypeError: for batches or results that do not fit.
        ValueError: if there are no batches.

    Example:
        >>> model, data = nn.Linear(2, 1), [(weft.ones(4, 2), weft.ones(4, 1))]
        >>> sorted(weft.train.evaluate(model, data, F.mse_loss, metrics={"mae": F.l1_loss}))
        ['loss', 'mae']
    """
    metrics = metrics or {}
    if metrics and loss is None:
        raise TypeError("metrics are functions of output and target: they go with loss, not step")
    losses = Losses(model, loss, step, precision)
    sums = dict.fromkeys(("loss", *metrics), 0.0)
    samples = 0
    with evaluation_mode(model), no_grad():
        for number, batch in enumerate(data):
            with placed(f"in batch {number} of the validation"):
                value, output, target = losses(batch)
                values = {"loss": value, **{k: f(output, target) for k, f in metrics.items()}}
                realize(*tensors_in(values))
                count = size_of(batch)
                for name, each in values.items():
                    sums[name] += _number(name, each) * count
                samples += count
    if samples == 0:
        raise ValueError("there is nothing to evaluate on: data gave no batches")
    return {name: total / samples for name, total in sums.items()}


def _number(name: str, value: Any) -> float:
    if isinstance(value, TensorCore) and value.numel() == 1:  # type: ignore[attr-defined]
        return float(value.item())  # type: ignore[attr-defined]
    if isinstance(value, (int, float)):
        return float(value)
    raise TypeError(f"the metric '{name}' must return one number, not {described(value)}")


@contextmanager
def evaluation_mode(model: Module) -> Iterator[None]:
    """``model.eval()`` meanwhile; afterwards every module is in the mode that it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
