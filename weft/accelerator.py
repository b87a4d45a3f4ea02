"""The names of ``torch.accelerator``: whatever device computes faster than the processor."""

from __future__ import annotations

from typing import Any

from . import cuda
from .engine.realize import realize_pending
from .graph.device import device


def is_available() -> bool:
    """Is there a GPU or TPU that weft can compute on?"""
    return device_count() > 0


def device_count() -> int:
    """How many there are, of the kind of :func:`current_accelerator`."""
    found = current_accelerator()
    return 0 if found is None else len(_platform().devices(found.type))


def current_accelerator(check_available: bool = False) -> device | None:
    """The device of the GPUs if there are any, otherwise of the TPUs; None without either."""
    for kind in ("cuda", "tpu"):
        if _platform().devices(kind):
            return device(kind)
    return None


def current_device_index() -> int:
    """The index of the one that is used where none is named.

    Raises:
        DeviceError: if there is none.
    """
    return cuda.current_device()


def set_device_index(device: Any) -> None:
    """Makes another one the one that is used where none is named.

    Raises:
        DeviceError: if there is no such device.
    """
    cuda.set_device(device)


def synchronize(device: Any = None) -> None:
    """Runs what is pending, and waits for the accelerator if there is one."""
    if cuda.is_available():
        cuda.synchronize(device)
    else:
        realize_pending()


class device_index(cuda.device):  # noqa: N801 (PyTorch's name)
    """Inside, another one is used where none is named: ``with weft.accelerator.device_index(1):``.

    Raises:
        DeviceError: if there is no such device.
    """


current_device_idx, set_device_idx = current_device_index, set_device_index

# What is in use, in bytes, and the order of work: as on GPUs.
empty_cache, memory_stats = cuda.empty_cache, cuda.memory_stats
memory_allocated, max_memory_allocated = cuda.memory_allocated, cuda.max_memory_allocated
memory_reserved, max_memory_reserved = cuda.memory_reserved, cuda.max_memory_reserved
reset_peak_memory_stats = cuda.reset_peak_memory_stats
reset_accumulated_memory_stats = cuda.reset_accumulated_memory_stats
get_memory_info = cuda.mem_get_info


def __getattr__(name: str) -> Any:
    if name in ("current_stream", "set_stream"):
        return getattr(cuda, name)
    raise AttributeError(f"module 'weft.accelerator' has no attribute '{name}'")


def _platform() -> Any:
    from .engine.xla import platform

    return platform
