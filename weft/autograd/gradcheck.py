"""Gradients checked against numerical differences.

Complex numbers are checked as pairs of real ones: of the real part and of the imaginary part, the
gradients are PyTorch's, too, and together all that there is to know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..dtypes import float64
from ..errors import GradientError
from ..tensors.complex import view_as_complex, view_as_real
from ..tensors.core import TensorCore
from ..tensors.creation import tensor
from ..tensors.differentiate import grad
from ..tensors.tensor import Tensor


class GradcheckError(GradientError):
    """An analytical gradient that differs from the numerical one."""


def _outputs(function: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    result = function(*inputs)
    results = result if isinstance(result, (tuple, list)) else (result,)
    return [r for r in results if isinstance(r, TensorCore) and r.is_floating_point()]  # type: ignore[attr-defined, misc]


def _between_real(
    function: Callable[..., Any], inputs: Sequence[Any]
) -> tuple[Callable[..., Any], list[Any]]:
    """The function as one from real numbers to real numbers, and its inputs."""
    places = {k for k, x in enumerate(inputs) if _is_checked(x) and x.is_complex()}

    def real(*values: Any) -> list[Any]:
        given = [view_as_complex(v) if k in places else v for k, v in enumerate(values)]
        result = function(*given)
        results = result if isinstance(result, (tuple, list)) else (result,)
        return [_pairs(r) if isinstance(r, Tensor) and r.is_complex() else r for r in results]

    return real, [
        _pairs(x.detach()).clone().requires_grad_() if k in places else x
        for k, x in enumerate(inputs)
    ]


def _is_checked(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def _pairs(x: Tensor) -> Tensor:
    return view_as_real(x.resolve_conj())


def _numerical(function: Callable[..., Any], inputs: list[Any], k: int, eps: float) -> list[Any]:
    """For each output, d(output)/d(inputs[k]): ``[input elements, output elements]``."""
    base = inputs[k].detach().numpy()
    columns: list[list[Any]] = []
    for place in range(base.size):
        ends = []
        for step in (eps, -eps):
            moved = base.copy().reshape(-1)
            moved[place] += step
            changed = list(inputs)
            changed[k] = tensor(moved.reshape(base.shape), requires_grad=True)
            ends.append([o.detach().numpy().reshape(-1) for o in _outputs(function, changed)])
        columns.append([(a - b) / (2 * eps) for a, b in zip(*ends, strict=True)])
    count = len(_outputs(function, inputs))
    return [
        np.stack([c[o] for c in columns]) if columns else np.zeros((0, 0)) for o in range(count)
    ]


def _analytical(output: Tensor, x: Tensor) -> Any:
    rows = []
    for place in range(output.numel()):
        seed = np.zeros(output.numel())
        seed[place] = 1
        (g,) = grad(
            [output],
            [x],
            [tensor(seed.reshape(output.shape), dtype=output.dtype)],
            retain_graph=True,
            materialize_grads=True,
        )
        rows.append(g.detach().numpy().reshape(-1))
    return np.stack(rows, axis=1) if rows else np.zeros((x.numel(), 0))


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Do the gradients of ``func`` agree with central differences of step ``eps``?

    Args:
        inputs: Tensors (those that require grad are checked; use float64 or complex128) and other
            arguments.

    Raises:
        GradcheckError: if not (unless ``raise_exception`` is False), naming output and input.
        ValueError: if no input requires grad.
    """
    arguments = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    places = [k for k, x in enumerate(arguments) if _is_checked(x)]
    if not places:
        raise ValueError("gradcheck needs at least one input that requires grad")
    for k in places:
        if arguments[k].dtype.to_real() is not float64:
            raise ValueError(
                f"gradcheck: input {k} is {arguments[k].dtype}; differences need float64, "
                "x.double(), or complex128"
            )
    func, arguments = _between_real(func, arguments)
    outputs = _outputs(func, arguments)
    for k in places:
        numerical = _numerical(func, arguments, k, eps)
        for o, output in enumerate(outputs):
            found = (
                _analytical(output, arguments[k])
                if output.requires_grad
                else np.zeros((arguments[k].numel(), output.numel()))
            )
            wanted = numerical[o].reshape(found.shape)
            if not np.allclose(found, wanted, rtol, atol, equal_nan=True):
                if not raise_exception:
                    return False
                raise GradcheckError(
                    f"the gradient of output {o} with respect to input {k} is wrong by up to "
                    f"{np.abs(found - wanted).max():.3g}\n"
                    f"numerical:\n{wanted}\nanalytical:\n{found}"
                )
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """:func:`gradcheck` of the gradients of ``func``: are second derivatives right?"""
    arguments = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    places = [k for k, x in enumerate(arguments) if _is_checked(x)]
    func, arguments = _between_real(func, arguments)
    outputs = [o for o in _outputs(func, arguments) if o.requires_grad]
    if grad_outputs is None:
        draw = np.random.default_rng(0)
        seeds = [tensor(draw.uniform(0.5, 1.5, o.shape), requires_grad=True) for o in outputs]
    else:
        given = grad_outputs if isinstance(grad_outputs, (tuple, list)) else [grad_outputs]
        seeds = [_pairs(g).detach().requires_grad_() if g.is_complex() else g for g in given]
    count = len(arguments)

    def first(*values: Any) -> tuple[Any, ...]:
        results = [o for o in _outputs(func, values[:count]) if o.requires_grad]
        return grad(
            results,
            [values[k] for k in places],
            list(values[count:]),
            create_graph=True,
            materialize_grads=True,
        )

    return gradcheck(
        first,
        [*arguments, *seeds],
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
    )
