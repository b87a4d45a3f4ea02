"""Linear maps."""

from __future__ import annotations

from math import prod

from ...errors import DTypeError, ShapeError
from ...graph.node import Node
from ...ops import elementwise as ew, movement as mv
from ...tensors.core import node_of, wrap
from ...tensors.linalg import matmul_nodes
from ...tensors.tensor import Tensor


def check_dtype(layer: str, x: Node, weight: Node) -> None:
    if x.type.dtype is not weight.type.dtype:
        cast = f"x.to({weight.type.dtype})"
        raise DTypeError(
            f"{layer}: the input is {x.type.dtype} but the weight is {weight.type.dtype}: convert "
            f"the input with {cast}"
            + (", or the model with .double()" if x.type.dtype.name == "float64" else "")
        )


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input @ weight.T + bias``.

    Shape:
        input ``[*, in]``, weight ``[out, in]`` (or ``[in]``), bias ``[out]``; result ``[*, out]``.

    Raises:
        ShapeError: if the last dimension of ``input`` is not ``in``.
        DTypeError: if the dtypes differ.
    """
    x, w = node_of(input), node_of(weight)
    check_dtype("linear", x, w)
    if x.type.ndim == 0 or x.type.shape[-1] != w.type.shape[-1]:
        raise _linear_mismatch(x, w)
    y = matmul_nodes(x, mv.permute(w, (1, 0)) if w.type.ndim == 2 else w)
    return wrap(y if bias is None else ew.add(y, node_of(bias)))


def _linear_mismatch(x: Node, w: Node) -> ShapeError:
    shape, features = list(x.type.shape), w.type.shape[-1]
    flat = next((k for k in range(len(shape) - 1) if prod(shape[k:]) == features), None)
    if flat is not None:
        hint = f": flatten the input first, x.flatten({flat})"
    elif shape:
        outputs = w.type.shape[0] if w.type.ndim == 2 else 1
        hint = f": the layer for this input is Linear({shape[-1]}, {outputs})"
    else:
        hint = ""
    return ShapeError(
        f"linear takes {features} features in the last dimension of its input, but the input has "
        f"shape {shape}{hint}"
    )
