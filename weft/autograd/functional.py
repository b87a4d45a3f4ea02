"""Jacobians, Hessians and their products with vectors, of functions of Tensors.

All by reverse mode: the product of a Jacobian with a vector on its right is the gradient of the
product with one on its left, which is linear in that vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import GradientError, ShapeError, did_you_mean
from ..tensors.core import TensorCore, not_a_tensor
from ..tensors.creation import eye, zeros, zeros_like
from ..tensors.differentiate import grad
from ..tensors.shape import stack
from ..tensors.tensor import Tensor
from .modes import enable_grad

_Function = Callable[..., Any]


# ---- arguments and results


class _Call:
    """A function called with copies of its inputs, with respect to which it is differentiated."""

    def __init__(self, name: str, func: _Function, inputs: Any, create: bool, strict: bool) -> None:
        self.name = name
        self.create = create
        self.strict = strict
        self.one_input = not isinstance(inputs, (tuple, list))
        given = [inputs] if self.one_input else list(inputs)
        self.inputs = [_fresh(name, x, create) for x in given]
        with enable_grad():
            result = func(*self.inputs)
        self.one_output = not isinstance(result, (tuple, list))
        self.outputs: list[Tensor] = [result] if self.one_output else list(result)
        for y in self.outputs:
            if not isinstance(y, TensorCore):
                raise not_a_tensor(
                    y, f"{name}: the function must give a Tensor, or a tuple of them"
                )

    def grads(self, of: Sequence[Tensor], seeds: Sequence[Tensor]) -> list[Tensor]:
        """The gradients with respect to the inputs, zeros where there are none."""
        return _gradients(self, of, self.inputs, seeds, self.create)

    def given(self, values: Sequence[Tensor]) -> list[Tensor]:
        """As to be returned: with their history only if that was asked for."""
        return list(values) if self.create else [v.detach() for v in values]

    def packed_outputs(self, values: Sequence[Tensor]) -> Any:
        return _packed(self.given(values), self.one_output)

    def packed_inputs(self, values: Sequence[Tensor]) -> Any:
        return _packed(self.given(values), self.one_input)


def _fresh(name: str, x: Any, create: bool) -> Tensor:
    if not isinstance(x, TensorCore):
        raise not_a_tensor(x, f"{name}: inputs must be a Tensor, or a tuple of them; there is")
    tensor: Tensor = x  # type: ignore[assignment]
    if create and tensor.requires_grad:
        return tensor.clone()
    return tensor.detach().clone().requires_grad_()


def _packed(values: list[Any], one: bool) -> Any:
    return values[0] if one else tuple(values)


def _gradients(
    call: _Call,
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    seeds: Sequence[Tensor],
    create: bool,
) -> list[Tensor]:
    pairs = [(y, s) for y, s in zip(outputs, seeds, strict=True) if y.requires_grad]
    found: Sequence[Any] = [None] * len(inputs)
    if pairs:
        found = grad(
            [y for y, _ in pairs],
            list(inputs),
            [s for _, s in pairs],
            retain_graph=True,
            create_graph=create,
            allow_unused=True,
        )
    for k, g in enumerate(found):
        if g is None and call.strict:
            raise GradientError(
                f"{call.name}: the result does not depend on input {k}, and strict=True was given"
            )
    return [zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)]


def _vectors(call: _Call, v: Any, like: Sequence[Tensor], what: str) -> list[Tensor]:
    """``v`` as a list, of the shapes of ``like``."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise GradientError(
                f"{call.name}: v may be left out only for one {what} of one element, not for "
                f"shapes {[list(x.shape) for x in like]}"
            )
        return [like[0].detach() * 0 + 1]
    given = list(v) if isinstance(v, (tuple, list)) else [v]
    shapes = [list(x.shape) for x in given]
    wanted = [list(x.shape) for x in like]
    if shapes != wanted:
        raise ShapeError(f"{call.name}: v has shapes {shapes}, but the {what}s have {wanted}")
    return given


# ---- products with vectors


def vjp(
    func: _Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of ``func``, and the product of a vector with its Jacobian.

    Args:
        func: takes Tensors, gives a Tensor or a tuple of them.
        inputs: a Tensor, or a tuple of them.
        v: of the shapes of the results; may be left out for one number.
        create_graph: make results that can be differentiated themselves.
        strict: raise where the result does not depend on an input, in place of zeros.

    Raises:
        GradientError: see ``strict`` and ``v``.
        ShapeError: for ``v`` of other shapes.
    """
    call = _Call("vjp", func, inputs, create_graph, strict)
    products = call.grads(call.outputs, _vectors(call, v, call.outputs, "output"))
    return call.packed_outputs(call.outputs), call.packed_inputs(products)


def jvp(
    func: _Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of ``func``, and the product of its Jacobian with a vector.

    Args:
        v: of the shapes of the inputs; may be left out for one number.

    See :func:`vjp` for the other arguments.
    """
    call = _Call("jvp", func, inputs, create_graph, strict)
    vectors = _vectors(call, v, call.inputs, "input")
    return call.packed_outputs(call.outputs), call.packed_outputs(_products(call, vectors))


def _products(call: _Call, vectors: Sequence[Tensor]) -> list[Tensor]:
    with enable_grad():
        left = [zeros_like(y).requires_grad_() for y in call.outputs]
    along = _gradients(call, call.outputs, call.inputs, left, create=True)
    return _gradients(call, along, left, vectors, call.create)


def vhp(
    func: _Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of ``func``, one number, and the product of a vector with its Hessian.

    Args:
        v: of the shapes of the inputs; may be left out for one number.

    See :func:`vjp` for the other arguments.
    """
    call, slopes = _with_slopes("vhp", func, inputs, create_graph, strict)
    products = call.grads(slopes, _vectors(call, v, call.inputs, "input"))
    return call.packed_outputs(call.outputs), call.packed_inputs(products)


def hvp(
    func: _Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of ``func``, one number, and the product of its Hessian with a vector.

    Slower than :func:`vhp`, which is the same for functions with continuous second derivatives.

    Args:
        v: of the shapes of the inputs; may be left out for one number.

    See :func:`vjp` for the other arguments.
    """
    call, slopes = _with_slopes("hvp", func, inputs, create_graph, strict)
    vectors = _vectors(call, v, call.inputs, "input")
    outputs, call.outputs = call.outputs, slopes
    products = _products(call, vectors)
    return call.packed_outputs(outputs), call.packed_inputs(products)


def _with_slopes(
    name: str, func: _Function, inputs: Any, create: bool, strict: bool
) -> tuple[_Call, list[Tensor]]:
    call = _Call(name, func, inputs, create, strict)
    if len(call.outputs) != 1 or call.outputs[0].numel() != 1:
        shapes = [list(y.shape) for y in call.outputs]
        raise GradientError(f"{name}: the function must give one number, not shapes {shapes}")
    seeds = [call.outputs[0].detach() * 0 + 1]
    return call, _gradients(call, call.outputs, call.inputs, seeds, create=True)


# ---- whole matrices


def jacobian(
    func: _Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivative of each element of the results by each element of the inputs.

    Args:
        vectorize, strategy: PyTorch's choices among implementations; there is one.

    Returns:
        For a result of shape ``S`` and an input of shape ``T`` a Tensor of shape ``S + T``. For
        tuples, a tuple over the results of tuples over the inputs.

    See :func:`vjp` for the other arguments.
    """
    call = _Call("jacobian", func, inputs, create_graph, strict)
    rows = [call.packed_inputs(_rows(call, y)) for y in call.outputs]
    return _packed(rows, call.one_output)


def _rows(call: _Call, y: Tensor) -> list[Tensor]:
    shapes = [(*y.shape, *x.shape) for x in call.inputs]
    count = y.numel()
    if count == 0:
        return [
            zeros(s, dtype=x.dtype, device=x.device)
            for s, x in zip(shapes, call.inputs, strict=True)
        ]
    basis = eye(count, dtype=y.dtype, device=y.device).reshape(count, *y.shape).unbind(0)
    found = [call.grads([y], [seed]) for seed in basis]
    return [stack(c).reshape(s) for c, s in zip(zip(*found, strict=True), shapes, strict=True)]


def hessian(
    func: _Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function that gives one number.

    Returns:
        For an input of shape ``T`` a Tensor of shape ``T + T``; for tuples, a tuple of tuples.

    See :func:`jacobian` for the arguments.
    """
    call, slopes = _with_slopes("hessian", func, inputs, create_graph, strict)
    rows = [call.packed_inputs(_rows(call, g)) for g in slopes]
    return _packed(rows, call.one_input)


__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.autograd.functional' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
