"""What recording an op costs in weft, and running it in PyTorch: small arrays, many calls.

``weft`` and ``torch`` have the same names, so a case takes the library as its argument. What weft
has recorded is run outside of what is timed.
"""

from __future__ import annotations

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
    class Empty(_nn(lib).Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x

    return Empty()


def module_call(lib: Any) -> Case:
    module, (a, _) = _empty_module(lib), _pair(lib)
    return lambda: module(a)


def forward_alone(lib: Any) -> Case:
    module, (a, _) = _empty_module(lib), _pair(lib)
    return lambda: module.forward(a)


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
}
