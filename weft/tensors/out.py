"""``out=``: results that are written to tensors which are there already."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import unwrap
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..dtypes import as_dtype
from ..errors import DTypeError, GradientError, ShapeError
from ..graph.modes import grad_enabled
from ..graph.node import Node, type_of
from .autocasting import is_cast, without_autocast
from .core import TensorCore, fitted, node_of, not_a_tensor
from .numpy_names import renamed

if TYPE_CHECKING:
    from .tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])


def written(name: str, out: Any, result: Any) -> Any:
    """``result``, a Tensor or a tuple of Tensors, in ``out``, which is returned.

    A tensor without elements takes the shape of the result. Nothing is written if anything is
    at fault.

    Args:
        name: of the function, for errors.

    Raises:
        TypeError: unless ``out`` is made of as many Tensors as ``result``.
        GradientError: if a gradient would have to pass.
        ShapeError: for another shape.
        DTypeError: for a dtype into which the result does not fit.
        DeviceError: for another device.
    """
    if isinstance(result, TensorCore):
        _bind(out, _fitting(name, out, result))
        return out
    if not isinstance(out, (tuple, list)) or len(out) != len(result):
        raise TypeError(f"{name}: out= takes a tuple of {len(result)} Tensors")
    pairs = list(zip(out, result, strict=True))
    for place, node in [(place, _fitting(name, place, part)) for place, part in pairs]:
        _bind(place, node)
    return type(result)(*out) if hasattr(result, "_fields") else type(result)(out)


def _fitting(name: str, out: Any, result: Any) -> Node:
    """The node of ``result`` in the dtype of ``out``, and on its device."""
    if not isinstance(out, TensorCore):
        raise not_a_tensor(out, f"{name}: out= takes a Tensor")
    new, old = node_of(result), node_of(out)
    if grad_enabled() and (new.tracks or old.tracks):
        raise GradientError(
            f"{name}: no gradient passes through out=, and an argument requires grad: use the "
            "result without out=, or call it under weft.no_grad()"
        )
    shape = old.type.shape
    if new.type.shape != shape:
        if old.type.size or out._base is not None or old.tracks:
            raise ShapeError(
                f"{name}: the result has shape {list(new.type.shape)}, which does not fit out= of "
                f"shape {list(shape)}: give a tensor of that shape, or an empty one, weft.empty(0)"
            )
        shape = new.type.shape
    elif out._base is not None:
        out._check_writable()
    to = old.type.dtype
    if new.type.dtype.category > to.category:
        raise DTypeError(
            f"{name}: the result is {new.type.dtype}, which does not fit out= of {to}: give a "
            f"tensor of {new.type.dtype}"
        )
    return fitted(new, type_of(shape, to, old.type.device), f"{name}: the result")


def _bind(out: TensorCore, node: Node) -> None:
    if node.type.shape == node_of(out).type.shape:
        out._rebind(node)
    else:
        out._put(node)


def with_out(function: F) -> F:
    """The function, which takes ``out=``, and NumPy's names as :func:`with_numpy_names` does."""
    plain = without_autocast(unwrap(function)) if is_cast(function) else function

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            return function(*args)
        if "out" in kwargs or "axis" in kwargs or "keepdims" in kwargs:
            kwargs = renamed(function, kwargs)
            if (out := kwargs.pop("out", None)) is not None:
                return written(function.__name__, out, plain(*args, **kwargs))
        return function(*args, **kwargs)

    return cast("F", called)


def made_in(
    out: Any,
    make: Callable[..., Tensor],
    *args: Any,
    dtype: Any,
    device: Any,
    requires_grad: bool,
    **kwargs: Any,
) -> Tensor:
    """What a function makes, in ``out``, which says of which dtype it is, and where.

    Raises:
        DTypeError: for a ``dtype`` that is not that of ``out``.
    """
    name = make.__name__
    if not isinstance(out, TensorCore):
        raise not_a_tensor(out, f"{name}: out= takes a Tensor")
    kind = node_of(out).type
    if dtype is not None and as_dtype(dtype) is not kind.dtype:
        raise DTypeError(f"{name}: dtype={dtype}, but out= is of {kind.dtype}")
    kwargs.update(dtype=kind.dtype, device=kind.device if device is None else device)
    tensor: Tensor = written(name, out, make(*args, **kwargs))
    return tensor.requires_grad_() if requires_grad else tensor
