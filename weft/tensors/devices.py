"""Where tensors are: methods, and where new ones are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..engine.devices import resolve
from ..graph.device import CPU, META, default_device, device, set_default
from .core import TensorCore, node_of
from .interop import to
from .memory import memory_format, preserve_format

if TYPE_CHECKING:
    from .tensor import Tensor


def device_of(self: TensorCore) -> device:
    """Where the values are."""
    return node_of(self).type.device or CPU


def is_cuda(self: TensorCore) -> bool:
    """Is it on a GPU?"""
    return device_of(self).type == "cuda"


def is_cpu(self: TensorCore) -> bool:
    """Is it on the CPU, and weft's own engine's?"""
    return device_of(self) is CPU


def is_meta(self: TensorCore) -> bool:
    """Has it a shape and a dtype, and no values?"""
    return device_of(self) is META


def get_device(self: TensorCore) -> int:
    """The index of its device, -1 for the CPU."""
    place = device_of(self)
    return -1 if place is CPU else place.index or 0


def cpu(self: Tensor, memory_format: memory_format = preserve_format) -> Tensor:
    """On the CPU; this tensor itself, if it is there."""
    return to(self, CPU)


def cuda(
    self: Tensor,
    device: Any = None,
    non_blocking: bool = False,
    memory_format: memory_format = preserve_format,
) -> Tensor:
    """On a GPU: the one in use, or that of an index or a name.

    Raises:
        DeviceError: if there is none, saying what to install.
    """
    return to(self, "cuda" if device is None else device)


def is_pinned(self: Tensor, device: Any = None) -> bool:
    """False: no memory is pinned, and copies to a device do not wait all the same."""
    return False


def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """This tensor: JAX pins what it copies by itself, where that is faster."""
    return self


def get_default_device() -> device:
    """Where new tensors are made: the CPU, unless :func:`set_default_device` says otherwise."""
    return default_device()


def set_default_device(device: Any) -> None:
    """Sets where new tensors are made; None for the CPU.

    Raises:
        DeviceError: for a device that is not there, saying what to install.
    """
    set_default(CPU if device is None else resolve(device) or CPU)
