"""Gradients cut down to size before a step (Pascanu, Mikolov and Bengio, 2013)."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from types import GeneratorType

from ...autograd.modes import no_grad
from ...errors import GradientError
from ...tensors.core import TensorCore, not_a_tensor
from ...tensors.creation import tensor
from ...tensors.shape import stack
from ...tensors.tensor import Tensor

Tensors = Tensor | Iterable[Tensor]


def _listed(name: str, tensors: Tensors) -> list[Tensor]:
    if isinstance(tensors, Tensor):
        return [tensors]
    found = list(tensors)
    for x in found:
        if not isinstance(x, TensorCore):
            raise not_a_tensor(x, f"{name} takes Tensors")
    return found


def _grads(parameters: list[Tensor]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]


@no_grad()
def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of several tensors, as if they were one vector.

    Args:
        norm_type: the order p; infinity for the largest size of an element.
        error_if_nonfinite: wait for the value, and raise if it is infinite or NaN.

    Raises:
        GradientError: see ``error_if_nonfinite``.
    """
    found = _listed("get_total_norm", tensors)
    order = float(norm_type)
    if not found:
        return tensor(0.0)
    norms = [x.norm(order) for x in found]
    kind, place = norms[0].dtype, norms[0].device  # (gradients may be on several devices)
    total = stack([n.to(place, kind) for n in norms]).norm(order)
    if error_if_nonfinite and not total.isfinite().item():
        raise GradientError(
            f"the total norm of order {order} of the gradients is {total.item()}, so that they "
            "cannot be clipped. (error_if_nonfinite=False goes on.)"
        )
    return total


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Multiplies all gradients by ``max_norm / (total_norm + 1e-6)``, if that is less than 1."""
    share = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    for g in _grads(_listed("clip_grads_with_norm_", parameters)):
        g.mul_(share.to(g.device, g.dtype))


@no_grad()
def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scales the gradients of all parameters so that their common norm is at most ``max_norm``.

    Nothing waits for the norm: clipping is recorded as part of the step.

    Args:
        norm_type, error_if_nonfinite: see :func:`get_total_norm`.

    Returns:
        The norm before.

    Raises:
        GradientError: with ``error_if_nonfinite``, for a norm that is infinite or NaN.
    """
    found = _listed("clip_grad_norm_", parameters)
    if not found and isinstance(parameters, GeneratorType):
        warnings.warn(
            "clip_grad_norm_ got an empty generator: was it used up before? Nothing is clipped",
            stacklevel=3,
        )
    total = get_total_norm(_grads(found), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(found, max_norm, total)
    return total


def clip_grad_norm(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Deprecated: :func:`clip_grad_norm_`."""
    warnings.warn(
        "clip_grad_norm is deprecated: it is called clip_grad_norm_", FutureWarning, stacklevel=2
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite)


@no_grad()
def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Clips each element of each gradient to between ``-clip_value`` and ``clip_value``."""
    limit = float(clip_value)
    for g in _grads(_listed("clip_grad_value_", parameters)):
        g.clamp_(-limit, limit)
