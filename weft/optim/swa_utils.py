"""Averages of weights over training: stochastic weight averaging, and exponential averages."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from ..autograd.modes import no_grad
from ..dtypes import int64
from ..errors import did_you_mean
from ..nn.module import Module
from ..nn.norm import _BatchNorm
from ..tensors.creation import tensor
from ..tensors.tensor import Tensor
from .lr_scheduler.base import LRScheduler, Rates, checked, for_each_group
from .optimizer import Optimizer

#: ``(average, new, how many are in the average) -> average``.
_Average = Callable[[Tensor, Tensor, Any], Tensor]
#: The same for lists of tensors, which changes those of the first one in place.
_Averages = Callable[[Any, Any, Any], None]


def get_swa_avg_fn() -> _Average:
    """The plain average of all that is seen."""

    @no_grad()
    def swa_update(averaged_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        difference = current_param - averaged_param
        average: Tensor = averaged_param + difference / (num_averaged + 1)
        return average

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> _Average:
    """An average that forgets: each update keeps ``decay`` of it.

    Raises:
        ValueError: for a ``decay`` that is not between 0 and 1.
    """
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_multi_avg_fn() -> _Averages:
    """:func:`get_swa_avg_fn` for lists of tensors."""
    return _for_lists(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> _Averages:
    """:func:`get_ema_avg_fn` for lists of tensors."""
    return _for_lists(get_ema_avg_fn(decay))


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"decay={decay} must be between 0 and 1")


def _for_lists(average: _Average) -> _Averages:
    @no_grad()
    def update(averaged: Any, current: Any, num_averaged: Any) -> None:
        for mine, new in zip(averaged, current, strict=True):
            value = average(mine, new, num_averaged)
            mine.copy_(value.to(mine.dtype))  # counts in buffers stay integers

    return update


class AveragedModel(Module):
    """A copy of a model whose parameters are averages (Izmailov et al., 2018).

    Args:
        model: is copied.
        device: for the copy.
        avg_fn: makes one average; by default :func:`get_swa_avg_fn`.
        multi_avg_fn: makes all, in place of it.
        use_buffers: average the buffers too; without it they are copied from the model.

    Attributes:
        module: the averaged model, which calls go to.
        n_averaged: how many updates there were.

    Raises:
        ValueError: for both functions at once.

    Example:
        >>> model = nn.Linear(2, 1)
        >>> average = weft.optim.swa_utils.AveragedModel(model)
        >>> average.update_parameters(model)  # after each epoch
        >>> average.n_averaged
        tensor(1)
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: _Average | None = None,
        multi_avg_fn: _Averages | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel takes one of avg_fn and multi_avg_fn, not both")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Takes the parameters of ``model`` into the average.

        Raises:
            ValueError: for a model with other parameters.
        """
        mine, theirs = self._averaged(self.module), [x.detach() for x in self._averaged(model)]
        if [x.shape for x in mine] != [x.shape for x in theirs]:
            raise ValueError(
                "AveragedModel.update_parameters: the parameters of this model are not those of "
                "the model that was averaged so far"
            )
        theirs = [x.to(average.device) for x, average in zip(theirs, mine, strict=True)]
        if self.n_averaged.item() == 0:
            for average, new in zip(mine, theirs, strict=True):
                average.copy_(new)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(mine, theirs, self.n_averaged)
        else:
            _for_lists(self.avg_fn or get_swa_avg_fn())(mine, theirs, self.n_averaged)
        if not self.use_buffers:
            for buffer, new in zip(self.module.buffers(), model.buffers(), strict=True):
                buffer.copy_(new)
        self.n_averaged.add_(1)

    def _averaged(self, model: Module) -> list[Tensor]:
        buffers: Iterable[Tensor] = model.buffers() if self.use_buffers else ()
        return list(chain(model.parameters(), buffers))


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Sets the running statistics of batch normalisations anew, by one pass through the data.

    Args:
        loader: gives batches, or tuples and lists whose first part is one.
        model: is called with each.
        device: that batches are moved to.
    """
    momenta = {}
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            momenta[module] = module.momentum
    if not momenta:
        return
    was_training = model.training
    model.train()
    try:
        for module in momenta:
            module.momentum = None
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if device is None else x.to(device))
    finally:
        for module, momentum in momenta.items():
            module.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """From the rate in use to ``swa_lr``, where it stays.

    Args:
        swa_lr: a rate, or one for each group.
        anneal_epochs: how many epochs it takes.
        anneal_strategy: "cos" or "linear".

    Raises:
        ValueError: for options out of range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: Any = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"SWALR: anneal_strategy must be 'cos' or 'linear', not {anneal_strategy!r}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(
                f"SWALR: anneal_epochs must be an int of at least 0, not {anneal_epochs!r}"
            )
        swa_rates = for_each_group("swa_lr", checked(optimizer), swa_lr)
        for rate, group in zip(swa_rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _done(self, step: int) -> float:
        """How much of the way lies behind at a step, from 0 to 1."""
        t = max(0, min(1, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> Rates:
        self._warn_unless_asked_by_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._done(step - 1), self._done(step)
        values = []
        for group in self.optimizer.param_groups:
            end = group["swa_lr"]
            start = end if before == 1 else (group["lr"] - before * end) / (1 - before)
            values.append(end * now + start * (1 - now))
        return values


__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.optim.swa_utils' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
