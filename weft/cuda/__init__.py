"""The names of ``torch.cuda``: which GPUs there are, and what goes on there.

Without a GPU, or without the extra ``weft[cuda]``, :func:`is_available` is False, and all that asks
for a GPU raises a DeviceError that says what is missing.
"""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

from ..engine.devices import Accelerated, resolve, waited_for
from ..engine.realize import realize_pending
from ..errors import DeviceError as AcceleratorError, OutOfMemoryError as OutOfMemoryError
from ..tensors.legacy import OF_CUDA
from ..tensors.random import default_generator
from .absent import absent
from .memory import (
    empty_cache as empty_cache,
    get_per_process_memory_fraction as get_per_process_memory_fraction,
    ipc_collect as ipc_collect,
    max_memory_allocated as max_memory_allocated,
    max_memory_cached as max_memory_cached,
    max_memory_reserved as max_memory_reserved,
    mem_get_info as mem_get_info,
    memory_allocated as memory_allocated,
    memory_cached as memory_cached,
    memory_reserved as memory_reserved,
    memory_stats as memory_stats,
    memory_summary as memory_summary,
    reset_accumulated_memory_stats as reset_accumulated_memory_stats,
    reset_max_memory_allocated as reset_max_memory_allocated,
    reset_max_memory_cached as reset_max_memory_cached,
    reset_peak_memory_stats as reset_peak_memory_stats,
    set_per_process_memory_fraction as set_per_process_memory_fraction,
)
from .random import (
    get_rng_state as get_rng_state,
    get_rng_state_all as get_rng_state_all,
    initial_seed as initial_seed,
    manual_seed as manual_seed,
    manual_seed_all as manual_seed_all,
    seed as seed,
    seed_all as seed_all,
    set_rng_state as set_rng_state,
    set_rng_state_all as set_rng_state_all,
)
from .which import described, gpu, platform

CudaError = AcceleratorError
has_half, has_magma = True, False


def is_available() -> bool:
    """Is there a GPU, and JAX with its CUDA part to reach it by?"""
    return device_count() > 0


def device_count() -> int:
    """How many GPUs this process can use."""
    return len(platform().devices("cuda"))


def is_initialized() -> bool:
    """Is there a GPU, and has it, or another device that is not the CPU, been used?"""
    return Accelerated.ever and is_available()


def init() -> None:
    """Asks for the GPU in use, which otherwise happens when it is first used.

    Raises:
        DeviceError: if there is none.
    """
    resolve("cuda")


def current_device() -> int:
    """The index of the GPU that "cuda" stands for.

    Raises:
        DeviceError: if there is none.
    """
    return gpu(None).index or 0


def set_device(device: Any) -> None:
    """Makes another GPU the one that "cuda" stands for.

    Raises:
        DeviceError: if there is no such GPU.
    """
    platform().current["cuda"] = gpu(device).index or 0


class device:  # noqa: N801 (PyTorch's name)
    """Inside, "cuda" stands for this GPU: ``with weft.cuda.device(1):``.

    Raises:
        DeviceError: if there is no such GPU.
    """

    def __init__(self, device: Any) -> None:
        """``device``: None or a negative index to change nothing."""
        nothing = device is None or (isinstance(device, int) and device < 0)
        self.idx = -1 if nothing else gpu(device).index or 0

    def __enter__(self) -> None:
        if self.idx >= 0:
            self._before = current_device()
            set_device(self.idx)

    def __exit__(self, *error: object) -> None:
        if self.idx >= 0:
            set_device(self._before)


class device_of(device):  # noqa: N801 (PyTorch's name)
    """Inside, "cuda" stands for the GPU that a Tensor is on; nothing changes for others."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.device if obj.is_cuda else None)


def synchronize(device: Any = None) -> None:
    """Runs what is pending and waits for the GPU.

    Raises:
        the error of data (an index out of range) that a run met there.
    """
    place = gpu(device)
    realize_pending()
    waited_for(place)


# ---- what a GPU is


def get_device_name(device: Any = None) -> str:
    """As its maker calls it."""
    return str(described(device).device_kind)


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Its compute capability, ``(9, 0)``."""
    major, _, minor = str(described(device).compute_capability).partition(".")
    return int(major), int(minor or 0)


def get_device_properties(device: Any = None) -> SimpleNamespace:
    """Name, compute capability, bytes of memory that may be used, number of multiprocessors.

    Raises:
        DeviceError: if there is no such GPU.
    """
    found = described(device)
    major, minor = get_device_capability(device)
    return SimpleNamespace(
        name=get_device_name(device),
        major=major,
        minor=minor,
        total_memory=mem_get_info(device)[1],
        multi_processor_count=getattr(found, "core_count", None),
    )


def is_bf16_supported() -> bool:
    """Does the GPU compute bfloat16 by itself? (From compute capability 8.0 on.)"""
    return is_available() and get_device_capability()[0] >= 8


is_tf32_supported = is_bf16_supported


def get_arch_list() -> list[str]:
    """The kinds of GPUs that there is code for: of those that are there, it is made as needed."""
    kinds = [get_device_capability(k) for k in range(device_count())]
    return list(dict.fromkeys(f"sm_{major}{minor}" for major, minor in kinds))


def is_current_stream_capturing() -> bool:
    """False: nothing is captured."""
    return False


# ---- names that are looked up when they are asked for

_OF_STREAMS = (
    *("Event", "Stream", "StreamContext"),
    *("current_stream", "default_stream", "set_stream", "stream"),
)


def __getattr__(name: str) -> Any:
    if name in ("amp", "streams"):
        return import_module(f"{__name__}.{name}")
    if name in _OF_STREAMS:
        return getattr(import_module(f"{__name__}.streams"), name)
    if name in OF_CUDA:  # weft.cuda.FloatTensor
        return OF_CUDA[name]
    if name == "default_generators":  # one stream of numbers, for each GPU the same
        return (default_generator,) * device_count()
    return absent(name)
