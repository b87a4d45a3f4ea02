"""weft and PyTorch, whose programs are the same: training steps and forward passes."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from benchmarks.models import MODELS, made
from benchmarks.runs import Run, Weights
from benchmarks.workloads import WORKLOADS


def _nothing() -> None:
    """All is computed when a call returns."""


def initial(lib: Any, name: str) -> dict[str, Any]:
    """New weights of a model, as arrays."""
    lib.manual_seed(0)
    return {k: v.detach().numpy() for k, v in MODELS[name](lib).state_dict().items()}


def _made(lib: Any, name: str, weights: Weights, batch: int | None) -> tuple[Any, Any, Any]:
    model, x, y = made(lib, name, batch)
    model.load_state_dict({k: lib.tensor(v) for k, v in weights.items()})
    return model, x, y


def _loss_function(lib: Any, name: str) -> Callable[[Any, Any], Any]:
    F = import_module(f"{lib.__name__}.nn.functional")
    if not WORKLOADS[name].classes:
        return F.mse_loss  # type: ignore[no-any-return]

    def cross_entropy(out: Any, y: Any) -> Any:
        if out.ndim == 3:  # a sequence of classes: [N, T, classes]
            return F.cross_entropy(out.flatten(0, 1), y.flatten())
        return F.cross_entropy(out, y)

    return cross_entropy


def training(
    lib: Any, name: str, weights: Weights, *, compiled: bool, batch: int | None = None
) -> Run:
    """A step: forward, loss, backward, SGD with momentum.

    Compiled, that is ``weft.compile`` of the whole step, or ``torch.compile`` of the model with
    its loss: PyTorch's backward pass is compiled with it, its optimiser runs by itself.
    """
    optim = import_module(f"{lib.__name__}.optim")
    model, x, y = _made(lib, name, weights, batch)
    optimizer = optim.SGD(model.parameters(), lr=WORKLOADS[name].lr, momentum=0.9)
    loss_function = _loss_function(lib, name)

    def loss_of(x: Any, y: Any) -> Any:
        return loss_function(model(x), y)

    if compiled and lib.__name__ == "torch":
        loss_of = lib.compile(loss_of)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_of(x, y)
        loss.backward()
        optimizer.step()
        return loss

    if compiled and lib.__name__ == "weft":
        step = lib.compile(step)
    return Run(lambda: step(x, y), _nothing, lambda loss: loss.item())


def forward(lib: Any, name: str, weights: Weights, *, compiled: bool, batch: int | None = 1) -> Run:
    """The model's output for one sample, in ``eval`` mode and without gradients."""
    model, x, _ = _made(lib, name, weights, batch)
    model.eval()
    called = lib.compile(model) if compiled else model
    lazy = lib.__name__ == "weft" and not compiled
    settle = lib.realize if lazy else lambda _: None

    def call() -> Any:
        with lib.inference_mode():
            out = called(x)
            settle(out)
        return out

    return Run(call, _nothing, lambda out: float(out.sum()))
