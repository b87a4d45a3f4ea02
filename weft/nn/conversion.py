"""The methods of Module that convert and move its parameters and buffers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from .. import dtypes
from ..dtypes import as_dtype, dtype
from ..engine.devices import resolve
from ..errors import DeviceError, UnsupportedOp
from ..graph.device import device
from ..graph.modes import grad_mode
from ..tensors.core import TensorCore
from ..tensors.creation import empty_like
from ..tensors.legacy import converted
from ..tensors.tensor import Tensor

if TYPE_CHECKING:
    from .module import Module
    from .parameter import Parameter

M = TypeVar("M", bound="Module")


def apply_to_tensors(self: M, fn: Callable[[Any], Any], recurse: bool = True) -> M:
    """Replaces the values of all parameters, gradients and buffers by what ``fn`` makes."""
    if recurse:
        for module in self.children():
            module._apply(fn)
    token = grad_mode.set(False)
    try:
        for parameter in self._parameters.values():
            if parameter is not None:
                _apply_to(parameter, fn)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
    finally:
        grad_mode.reset(token)
    return self


def _apply_to(parameter: Parameter, fn: Callable[[Any], Any]) -> None:
    """A new value for a parameter and for its gradient; both stay the objects that they are."""
    new = fn(parameter)
    if new is not parameter:
        parameter.data = new
    grad = parameter.grad
    if grad is not None:
        new = fn(grad)
        if new is not grad:
            grad.data = new


@overload
def to(self: M, device: Any = ..., dtype: dtype | None = ..., non_blocking: bool = ...) -> M: ...
@overload
def to(self: M, dtype: dtype, non_blocking: bool = ...) -> M: ...
@overload
def to(self: M, tensor: Tensor, non_blocking: bool = ...) -> M: ...
def to(self: M, *args: Any, **kwargs: Any) -> M:
    """Converts and moves parameters and buffers: ``to(dtype)``, ``to("cuda")``, ``to(tensor)``.

    Integer ones keep their dtype. Changes this module and returns it.

    Raises:
        TypeError: for a dtype that is neither floating nor complex, or arguments that mean nothing.
        DeviceError: for a device that is not there, saying what to install.
    """
    wanted, place = _wanted(self, args, kwargs)
    if wanted is None:
        return self if place is None else self._apply(lambda t: t.to(place))
    if not wanted.is_inexact:
        raise TypeError(
            "nn.Module.to only accepts floating point or complex dtypes, but got desired "
            f"dtype={wanted}. For the inputs write x.to({wanted})"
        )
    return self._apply(lambda t: t.to(place, wanted if t.dtype.is_inexact else None))


def _wanted(
    module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[dtype | None, device | None]:
    allowed = ("device", "dtype", "tensor", "non_blocking", "memory_format")
    for name in kwargs:
        if name not in allowed:
            raise TypeError(
                f"{type(module).__name__}.to() got an unexpected keyword argument '{name}': it "
                f"takes {', '.join(allowed)}"
            )
    place: device | None = None
    wanted = None if kwargs.get("dtype") is None else as_dtype(kwargs["dtype"])
    values = [*args, kwargs.get("device"), kwargs.get("tensor")]
    for value in values:
        if isinstance(value, TensorCore):
            wanted, place = value.dtype, value.device  # type: ignore[attr-defined]
        elif isinstance(value, dtype) or value is float:
            wanted = as_dtype(value)
        elif value is not None and not isinstance(value, bool):
            place = _resolved(module, value)
    return wanted, place


def _resolved(module: Module, name: Any) -> device | None:
    """The device that is meant. Nothing has been moved if it is not there."""
    try:
        return resolve(name)
    except DeviceError as error:
        raise DeviceError(f"{type(module).__name__} cannot go to '{name}': {error}") from None


def cpu(self: M) -> M:
    """Moves parameters and buffers to the CPU."""
    return self._apply(lambda t: t.cpu())


def cuda(self: M, device: Any = None) -> M:
    """Moves parameters and buffers to a GPU: the one in use, or that of an index or a name.

    Raises:
        DeviceError: if there is none, saying what to install.
    """
    place = _resolved(self, "cuda" if device is None else device)
    return self._apply(lambda t: t.to(place))


def xpu(self: M, device: Any = None) -> M:
    """Raises DeviceError: weft has no backend for Intel GPUs."""
    _resolved(self, "xpu")
    return self


def ipu(self: M, device: Any = None) -> M:
    """Raises DeviceError: weft has no backend for IPUs."""
    _resolved(self, "ipu")
    return self


def mtia(self: M, device: Any = None) -> M:
    """Raises DeviceError: weft has no backend for MTIA."""
    _resolved(self, "mtia")
    return self


def to_type(self: M, dst_type: Any) -> M:
    """Converts all parameters and buffers, integer ones too, as :meth:`weft.Tensor.type` does."""
    return self._apply(lambda t: converted(t, dst_type))


def to_float(self: M) -> M:
    """Converts floating parameters and buffers to float32."""
    return self.to(dtypes.float32)


def to_double(self: M) -> M:
    """Converts floating parameters and buffers to float64."""
    return self.to(dtypes.float64)


def to_half(self: M) -> M:
    """Converts floating parameters and buffers to float16."""
    return self.to(dtypes.float16)


def to_bfloat16(self: M) -> M:
    """Converts floating parameters and buffers to bfloat16."""
    return self.to(dtypes.bfloat16)


def to_empty(self: M, *, device: Any, recurse: bool = True) -> M:
    """Gives all parameters and buffers values that do not matter."""
    place = None if device is None else _resolved(self, device)
    return self._apply(lambda t: empty_like(t, device=place), recurse=recurse)


def share_memory(self: Module) -> NoReturn:
    """Raises UnsupportedOp: weft's tensors cannot be shared between processes."""
    raise UnsupportedOp(
        f"{type(self).__name__}.share_memory(): tensors are values in a recorded graph and have "
        "no memory to share. Give other processes model.state_dict()"
    )


# ---- what all tensors of a module have in common


def common_device(self: Module) -> Any:
    """The device of all parameters and buffers.

    Raises:
        AttributeError: if there are none, or several.
    """
    return _common(self, "device", [*self.named_parameters(), *self.named_buffers()])


def common_dtype(self: Module) -> dtype:
    """The dtype of all floating parameters and buffers.

    Raises:
        AttributeError: if there are none, or several.
    """
    members = [*self.named_parameters(), *self.named_buffers()]
    return _common(self, "dtype", [(k, t) for k, t in members if t.is_floating_point()])  # type: ignore[no-any-return]


def _common(module: Module, what: str, members: list[tuple[str, Any]]) -> Any:
    names: dict[Any, str] = {}
    for name, tensor in members:
        names.setdefault(getattr(tensor, what), name)
    if len(names) == 1:
        return next(iter(names))
    kind = type(module).__name__
    if not names:
        raise AttributeError(f"{kind} has no {what}: it has no parameters or buffers that have one")
    listed = ", ".join(f"'{name}' has {value}" for value, name in names.items())
    raise AttributeError(f"{kind} has no one {what}: {listed}")
