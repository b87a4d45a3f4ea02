"""Linear maps."""

from __future__ import annotations

from math import prod

from ...errors import DTypeError, ShapeError
from ...graph.node import Node
from ...ops import elementwise as ew, movement as mv
from ...ops.contract import matmul
from ...tensors.autocasting import autocast_mode, call_without_autocast
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


_low = autocast_mode.get


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input @ weight.T + bias``.

    Shape:
        input ``[*, in]``, weight ``[out, in]`` (or ``[in]``), bias ``[out]``; result ``[*, out]``.

    Raises:
        ShapeError: if the last dimension of ``input`` is not ``in``.
        DTypeError: if the dtypes differ.
    """
    kinds = _low()
    if kinds is not None:  # in_low_precision, inlined: this is called often
        return call_without_autocast(linear, (input, weight, bias), {}, kinds)
    x, w = node_of(input), node_of(weight)
    check_dtype("linear", x, w)
    if x.type.ndim == 0 or not 0 < w.type.ndim < 3 or x.type.shape[-1] != w.type.shape[-1]:
        raise _linear_mismatch(x, w)
    y = matmul_nodes(x, w, turn_b=w.type.ndim == 2)
    return wrap(y if bias is None else ew.add(y, node_of(bias)))


def _linear_mismatch(x: Node, w: Node) -> ShapeError:
    if not 0 < w.type.ndim < 3:
        return ShapeError(f"linear takes a weight [out, in] or [in], not {list(w.type.shape)}")
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


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input1^T W[k] input2 + bias[k]`` for each output ``k``.

    Shape:
        input1 ``[*, in1]``, input2 ``[*, in2]``, weight ``[out, in1, in2]``, bias ``[out]``; result
        ``[*, out]``.

    Raises:
        ShapeError: if the inputs' sizes do not fit the weight or each other.
        DTypeError: if the dtypes differ.
    """
    a, b, w = node_of(input1), node_of(input2), node_of(weight)
    check_dtype("bilinear", a, w)
    check_dtype("bilinear", b, w)
    lead = a.type.shape[:-1]
    if w.type.ndim != 3:
        raise ShapeError(f"bilinear takes a weight [out, in1, in2], not {list(w.type.shape)}")
    out, first, second = w.type.shape
    if (*a.type.shape[-1:], *b.type.shape[-1:]) != (first, second) or b.type.shape[:-1] != lead:
        raise ShapeError(
            f"bilinear with a weight of shape {list(w.type.shape)} takes inputs of shapes "
            f"[*, {first}] and [*, {second}] with the same leading dimensions, not "
            f"{list(a.type.shape)} and {list(b.type.shape)}"
        )
    n = prod(lead)
    table = mv.reshape(mv.permute(w, (1, 0, 2)), (first, out * second))
    rows = mv.reshape(matmul(mv.reshape(a, (n, first)), table), (n, out, second))
    y = mv.reshape(matmul(rows, mv.reshape(b, (n, second, 1))), (*lead, out))
    return wrap(y if bias is None else ew.add(y, node_of(bias)))
