"""What is measured, written once for both libraries: each case is a function to call many times.

``weft`` and ``torch`` have the same names, so a case takes the library as its argument.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Case = Callable[[], object]
Maker = Callable[[Any], Case]


def _pair(lib: Any, grad: bool = False) -> tuple[Any, Any]:
    a = lib.tensor(np.ones((4, 4), np.float32))
    b = lib.tensor(np.ones((4, 4), np.float32))
    return (a.requires_grad_() if grad else a), b


def record_add(lib: Any) -> Case:
    a, b = _pair(lib)
    return lambda: a + b


def record_add_with_gradient(lib: Any) -> Case:
    a, b = _pair(lib, grad=True)
    return lambda: a + b


def record_number(lib: Any) -> Case:
    a, _ = _pair(lib)
    return lambda: a * 2.0


def record_matmul(lib: Any) -> Case:
    a, b = _pair(lib)
    return lambda: a @ b


def record_exp(lib: Any) -> Case:
    a, _ = _pair(lib)
    return lambda: a.exp()


def record_sum(lib: Any) -> Case:
    a, _ = _pair(lib)
    return lambda: a.sum()


def record_transpose(lib: Any) -> Case:
    a, _ = _pair(lib)
    return lambda: a.t()


def record_slice(lib: Any) -> Case:
    a, _ = _pair(lib)
    return lambda: a[1:]


def record_in_place(lib: Any) -> Case:
    a, b = _pair(lib)
    return lambda: a.add_(b)


def _nn(lib: Any) -> Any:
    return __import__(f"{lib.__name__}.nn", fromlist=["nn"])


def _empty_module(lib: Any) -> Any:
    class Empty(_nn(lib).Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return x

    return Empty()


def module_call(lib: Any) -> Case:
    module, (a, _) = _empty_module(lib), _pair(lib)
    return lambda: module(a)


def forward_alone(lib: Any) -> Case:
    module, (a, _) = _empty_module(lib), _pair(lib)
    return lambda: module.forward(a)


def tiny_mlp_step(lib: Any) -> Case:
    """2-16-1, batch 4, SGD with momentum: forward, loss, backward, update."""
    nn = _nn(lib)
    optim = __import__(f"{lib.__name__}.optim", fromlist=["optim"])
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
    optimiser = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    draw = np.random.default_rng(0)
    x = lib.tensor(draw.normal(size=(4, 2)).astype(np.float32))
    y = lib.tensor(draw.normal(size=(4, 1)).astype(np.float32))

    def step() -> object:
        optimiser.zero_grad()
        difference = model(x) - y
        loss = (difference * difference).mean()
        loss.backward()
        optimiser.step()
        return loss

    return step


def mlp_step(lib: Any) -> Case:
    """784-512-512-10, batch 64, SGD with momentum."""
    nn = _nn(lib)
    model = nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )
    return _classifier_step(lib, model, (784,))


def lenet_step(lib: Any) -> Case:
    """The LeNet of examples/lenet.py, batch 64, SGD with momentum."""
    nn = _nn(lib)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(6, 16, 5),
        nn.MaxPool2d(2, 2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Linear(120, 84),
        nn.Linear(84, 10),
    )
    return _classifier_step(lib, model, (1, 28, 28))


def _classifier_step(lib: Any, model: Any, shape: tuple[int, ...]) -> Case:
    optim = __import__(f"{lib.__name__}.optim", fromlist=["optim"])
    optimiser = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    draw = np.random.default_rng(0)
    x = lib.tensor(draw.normal(size=(64, *shape)).astype(np.float32))
    y = lib.tensor(draw.integers(0, 10, 64))
    loss_function = _nn(lib).CrossEntropyLoss()

    def step() -> object:
        optimiser.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimiser.step()
        return loss

    return step


def start_up(lib: Any) -> Case:
    """``import`` in a fresh interpreter, less the interpreter's own start."""
    name = lib.__name__
    return lambda: subprocess.run([sys.executable, "-c", f"import {name}"], check=True)


def bare_python(lib: Any) -> Case:
    return lambda: subprocess.run([sys.executable, "-c", "import numpy"], check=True)


#: Cases by name, with the number of calls in one measurement.
CASES: dict[str, tuple[Maker, int]] = {
    "record add": (record_add, 2000),
    "record add, with gradient": (record_add_with_gradient, 2000),
    "record x * 2.0": (record_number, 2000),
    "record matmul": (record_matmul, 2000),
    "record exp": (record_exp, 2000),
    "record sum": (record_sum, 2000),
    "record transpose": (record_transpose, 2000),
    "record slice": (record_slice, 2000),
    "record add_": (record_in_place, 2000),
    "module(x)": (module_call, 5000),
    "module.forward(x)": (forward_alone, 5000),
    "tiny MLP step": (tiny_mlp_step, 300),
    "MLP step, batch 64": (mlp_step, 20),
    "LeNet step, batch 64": (lenet_step, 20),
    "import": (start_up, 2),
    "import numpy alone": (bare_python, 2),
}
