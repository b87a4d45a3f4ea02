"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import OptionError, ShapeError
from ...tensors.core import TensorCore, not_a_tensor
from ...tensors.shape import cat
from ...tensors.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """One vector of all elements, in order; gradients go through it.

    Raises:
        OptionError: for no parameters.
    """
    parts = [p.reshape(-1) for p in parameters]
    if not parts:
        raise OptionError("parameters_to_vector got no parameters")
    return cat(parts)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Sets the values of the parameters to the elements of a vector, in order.

    Raises:
        TypeError: unless ``vec`` is a Tensor.
        ShapeError: for a vector of another length than the parameters have elements; nothing is
            set then.
    """
    if not isinstance(vec, TensorCore):
        raise not_a_tensor(vec, "vector_to_parameters takes a Tensor")
    found = list(parameters)
    count = sum(p.numel() for p in found)
    if tuple(vec.shape) != (count,):
        raise ShapeError(
            f"vector_to_parameters: the vector has shape {list(vec.shape)}, but the parameters "
            f"have {count} elements"
        )
    start = 0
    for p in found:
        p.data = vec[start : start + p.numel()].reshape(p.shape)
        start += p.numel()
