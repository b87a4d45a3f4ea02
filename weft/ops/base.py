"""Constructors for families of ops: a new op states only what is special about it.

In gradient rules ``g`` is the gradient of the output, ``x`` (``a``, ``b``) an input and ``y`` the
output. The letters in ``needs`` say which of these values a rule reads; only they are kept.
Broadcasting need not be undone in a rule: the walk in ``weft/gradient.py`` does it for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..dtypes import bool_, dtype
from ..errors import DTypeError, IndexOutOfRange, ShapeError
from ..graph.node import Grads, Node, Op, Shape, TensorType, number, record1, record2, type_of

Value = Node | bool | int | float | complex
Unary = Callable[[Node], Node]
Binary = Callable[[Node, Value], Node]


class MixedDtypes(DTypeError):
    """Two dtypes met in an op that takes one: the caller promotes and tries again."""


def broadcast(name: str, *shapes: Shape) -> Shape:
    """The shape to which all broadcast.

    Raises:
        ShapeError: naming both shapes and the dimension that does not fit.
    """
    out: list[int] = []
    for k in range(1, max(map(len, shapes), default=0) + 1):
        size = 1
        for shape in shapes:
            if k <= len(shape) and shape[-k] != 1:
                if size not in (1, shape[-k]):
                    raise ShapeError(
                        f"{name}: shapes {' and '.join(str(list(s)) for s in shapes)} do not "
                        f"broadcast: sizes {size} and {shape[-k]} differ in dimension {-k}"
                        " and neither is 1"
                    )
                size = shape[-k]
        out.append(size)
    return tuple(reversed(out))


def binary_shape(name: str, a: Shape, b: Shape) -> Shape:
    return a if a == b else broadcast(name, a, b)


def as_node(value: Value, like: Node) -> Node:
    return value if value.__class__ is Node else number(value, like.type.dtype)


def _only_float(name: str, x: TensorType) -> None:
    if not x.dtype.is_floating_point:
        raise DTypeError(f"{name} takes a floating dtype, not {x.dtype}")


def _no_bool(name: str, x: TensorType) -> None:
    if x.dtype is bool_:
        raise DTypeError(f"{name} is not defined for {bool_}; use ~x or .logical_not() for masks")


def _only_inexact(name: str, x: TensorType) -> None:
    if not x.dtype.is_inexact:
        raise DTypeError(f"{name} takes a floating or complex dtype, not {x.dtype}")


def no_complex(name: str, x: TensorType) -> None:
    """
    Raises:
        DTypeError: for complex numbers, which have no order.
    """
    if x.dtype.is_complex:
        raise DTypeError(
            f"{name} is not defined for {x.dtype}: take x.abs(), x.real or x.imag, which are real"
        )


def _only_ordered(name: str, x: TensorType) -> None:
    _no_bool(name, x)
    no_complex(name, x)


def _only_integral(name: str, x: TensorType) -> None:
    if x.dtype.is_inexact:
        raise DTypeError(f"{name} takes integers or bool, not {x.dtype}")


def _only_integer(name: str, x: TensorType) -> None:
    if x.dtype.category != 1:
        raise DTypeError(f"{name} takes integers, not {x.dtype}; convert with .long()")


Check = Callable[[str, TensorType], None]


def unary(
    name: str,
    reference: Callable[..., Any],
    grad: Callable[..., Node] | None = None,
    needs: str = "x",
    check: Check | None = None,
    out: dtype | Callable[[dtype], dtype] | None = None,
) -> Callable[[Node], Node]:
    """An elementwise op of one input, with ``grad(g, x)``, ``grad(g, y)`` or ``grad(g)``.

    ``out``: the result's dtype, or how it follows from the input's; the same by default.
    """

    def infer(attrs: None, x: TensorType) -> TensorType:
        if check is not None:
            check(name, x)
        if out is None:
            return x
        return type_of(x.shape, out if isinstance(out, dtype) else out(x.dtype))

    def rule(node: Node, g: Node, want: Sequence[bool]) -> Grads:
        assert grad is not None
        if needs == "x":
            return (grad(g, node.inputs[0]),)
        return (grad(g, node),) if needs == "y" else (grad(g),)

    op = Op(
        name,
        infer,
        reference,
        None if grad is None else rule,
        needs=(0,) if needs == "x" else (),
        needs_output=needs == "y",
        widen=True,
    )

    def call(x: Node) -> Node:
        return record1(op, x)

    call.op = op  # type: ignore[attr-defined]
    call.__name__ = name
    return call


def float_unary(
    name: str, reference: Callable[..., Any], grad: Callable[..., Node] | None, needs: str = "x"
) -> Callable[[Node], Node]:
    """Of real numbers."""
    return unary(name, reference, grad, needs, _only_float)


def analytic_unary(
    name: str, reference: Callable[..., Any], grad: Callable[..., Node] | None, needs: str = "x"
) -> Callable[[Node], Node]:
    """Of real and complex numbers."""
    return unary(name, reference, grad, needs, _only_inexact)


def binary(
    name: str,
    reference: Callable[..., Any],
    grads: tuple[Callable[..., Node] | None, Callable[..., Node] | None] | None = None,
    needs: str = "ab",
    check: Check | None = None,
    out: dtype | None = None,
) -> Callable[[Node, Value], Node]:
    """An elementwise op of two inputs of one dtype. Rules: ``grad(g, a, b, y)``."""

    def infer(attrs: None, a: TensorType, b: TensorType) -> TensorType:
        if a.dtype is not b.dtype:
            raise MixedDtypes(f"{name} takes one dtype, not {a.dtype} and {b.dtype}")
        if check is not None:
            check(name, a)
        if a is b and out is None:
            return a
        return type_of(binary_shape(name, a.shape, b.shape), out or a.dtype)

    def rule(node: Node, g: Node, want: Sequence[bool]) -> Grads:
        assert grads is not None
        a, b = node.inputs
        return [
            f(g, a, b, node) if w and f is not None else None
            for f, w in zip(grads, want, strict=True)
        ]

    op = Op(
        name,
        infer,
        reference,
        None if grads is None else rule,
        needs=tuple("ab".index(c) for c in needs if c != "y"),
        needs_output="y" in needs,
        widen=True,
    )

    def call(a: Node, b: Value) -> Node:
        return record2(op, a, b if b.__class__ is Node else number(b, a.type.dtype))

    call.op = op  # type: ignore[attr-defined]
    call.__name__ = name
    return call


def op_of(call: Callable[..., Node]) -> Op:
    """The op behind a function made here."""
    return call.op  # type: ignore[attr-defined, no-any-return]


def normal_dim(name: str, dim: int, ndim: int) -> int:
    """``dim`` counted from the front.

    Raises:
        IndexOutOfRange: naming the range that is allowed.
    """
    n = max(ndim, 1)
    try:
        k = dim.__index__()
    except AttributeError:
        raise TypeError(f"{name}: dim must be an int, not {type(dim).__name__}") from None
    if not -n <= k < n:
        raise IndexOutOfRange(
            f"{name}: dim {dim} is out of range for {ndim} dimensions (expected {-n} to {n - 1})"
        )
    return k % n


def dim_with_size(name: str, dim: int, shape: Shape) -> int:
    """As :func:`normal_dim`, of a dimension that has to be there.

    Raises:
        IndexOutOfRange: also for a zero-dimensional tensor.
    """
    d = normal_dim(name, dim, len(shape))
    if not shape:
        raise IndexOutOfRange(f"{name}: a zero-dimensional tensor has no dimension {dim}")
    return d
