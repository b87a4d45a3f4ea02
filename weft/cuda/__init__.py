"""The names of ``torch.cuda``: which GPUs there are, and what goes on there.

Without a GPU, or without the extra ``weft[cuda]``, :func:`is_available` is False, and all that asks
for a GPU raises a DeviceError that says what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from ..engine.devices import resolve, waited_for
from ..engine.realize import realize_pending
from ..errors import DeviceError, OutOfMemoryError as OutOfMemoryError, UnsupportedOp
from ..graph import device as devices
from ..graph.modes import user_warning
from ..tensors.legacy import OF_CUDA
from ..tensors.random import default_generator, initial_seed as initial_seed, seed as seed
from ..tensors.tensor import Tensor


def _platform() -> Any:
    from ..engine.xla import platform

    return platform


def is_available() -> bool:
    """Is there a GPU, and JAX with its CUDA part to reach it by?"""
    return device_count() > 0


def device_count() -> int:
    """How many GPUs this process can use."""
    return len(_platform().devices("cuda"))


def is_initialized() -> bool:
    """Has a device other than the CPU been used?"""
    from ..engine.devices import Accelerated

    return Accelerated.ever


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
    return _gpu(None).index or 0


def set_device(device: Any) -> None:
    """Makes another GPU the one that "cuda" stands for.

    Raises:
        DeviceError: if there is no such GPU.
    """
    _platform().current["cuda"] = _gpu(device).index or 0


class device:  # noqa: N801 (PyTorch's name)
    """Inside, "cuda" stands for this GPU: ``with weft.cuda.device(1):``.

    Raises:
        DeviceError: if there is no such GPU.
    """

    def __init__(self, device: Any) -> None:
        """``device``: None or a negative index to change nothing."""
        nothing = device is None or (isinstance(device, int) and device < 0)
        self.idx = -1 if nothing else _gpu(device).index or 0

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


def _gpu(which: Any) -> devices.device:
    """
    Raises:
        DeviceError: for what is not a GPU, or not there.
    """
    found = resolve("cuda" if which is None else which)
    if found is None or found.type != "cuda":
        raise DeviceError(f"'{which}' is not a GPU: name one, 'cuda:0', or give its index")
    return found


def synchronize(device: Any = None) -> None:
    """Runs what is pending and waits for the GPU.

    Raises:
        the error of data (an index out of range) that a run met there.
    """
    place = _gpu(device)
    realize_pending()
    waited_for(place)


# ---- what a GPU is


def _described(device: Any) -> Any:
    return _platform().device_of_jax(_gpu(device))


def get_device_name(device: Any = None) -> str:
    """As its maker calls it."""
    return str(_described(device).device_kind)


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Its compute capability, ``(9, 0)``."""
    major, _, minor = str(_described(device).compute_capability).partition(".")
    return int(major), int(minor or 0)


def get_device_properties(device: Any = None) -> SimpleNamespace:
    """Name, compute capability, bytes of memory that may be used, number of multiprocessors."""
    found = _described(device)
    major, minor = get_device_capability(device)
    return SimpleNamespace(
        name=get_device_name(device),
        major=major,
        minor=minor,
        total_memory=_memory(device, "bytes_limit"),
        multi_processor_count=getattr(found, "core_count", None),
    )


def is_bf16_supported() -> bool:
    """Does the GPU compute bfloat16 by itself? (From compute capability 8.0 on.)"""
    return is_available() and get_device_capability()[0] >= 8


# ---- memory


def _memory(device: Any, name: str) -> int:
    return int((_described(device).memory_stats() or {}).get(name, 0))


def memory_allocated(device: Any = None) -> int:
    """Bytes in use on a GPU."""
    return _memory(device, "bytes_in_use")


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that have been in use on a GPU since the process began."""
    return _memory(device, "peak_bytes_in_use")


def memory_reserved(device: Any = None) -> int:
    """Bytes that JAX has taken from a GPU; more than are in use."""
    return max(_memory(device, "pool_bytes"), memory_allocated(device))


max_memory_reserved = max_memory_allocated


def reset_peak_memory_stats(device: Any = None) -> None:
    """Warns: JAX counts from the process's beginning on, and has no way to begin anew."""
    _gpu(device)
    user_warning(
        "the peaks of GPU memory cannot be reset: max_memory_allocated() stays the most since the "
        "process began"
    )


reset_max_memory_allocated = reset_accumulated_memory_stats = reset_peak_memory_stats


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """What JAX counts of a GPU's memory, a line each."""
    return "\n".join(f"{name}: {n:,}" for name, n in memory_stats(device).items())


def memory_stats(device: Any = None) -> dict[str, int]:
    """What JAX counts of a GPU's memory, by its names."""
    return dict(_described(device).memory_stats() or {})


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Bytes that are free, and that there are, of what JAX may use of a GPU."""
    total = _memory(device, "bytes_limit")
    return total - memory_allocated(device), total


def ipc_collect() -> None:
    """Does nothing: no memory is shared between processes."""


def empty_cache() -> None:
    """Does nothing: JAX gives memory back by itself when a new use needs it."""


# ---- random numbers


def manual_seed(seed: int) -> None:
    """Seeds weft's random numbers: those of all devices are one stream."""
    default_generator.manual_seed(seed)


manual_seed_all = manual_seed
seed_all = seed


def get_rng_state(device: Any = "cuda") -> Tensor:
    """The state of weft's random numbers: those of all devices are one stream."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor, device: Any = "cuda") -> None:
    """Goes back to a state that :func:`get_rng_state` gave."""
    default_generator.set_state(new_state)


def get_rng_state_all() -> list[Tensor]:
    """The state, once: there is one stream for all devices."""
    return [get_rng_state()]


def set_rng_state_all(new_states: Iterable[Tensor]) -> None:
    """Goes back to the state that :func:`get_rng_state_all` gave."""
    for state in new_states:
        set_rng_state(state)


_UNSUPPORTED = {
    "CUDAGraph": "weft.compile runs a step as one program",
}


_OF_STREAMS = ("Event", "Stream", "current_stream", "default_stream", "set_stream", "stream")


def _unsupported(name: str) -> type:
    """A class that stands in annotations and conditions, and raises when it is called."""

    def __new__(cls: type, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        raise UnsupportedOp(f"weft.cuda has no {name}: {_UNSUPPORTED[name]}")

    return type(name, (), {"__new__": __new__})


def __getattr__(name: str) -> Any:
    if name in ("amp", "streams"):
        return import_module(f"{__name__}.{name}")
    if name in _OF_STREAMS:
        return getattr(import_module(f"{__name__}.streams"), name)
    if name in OF_CUDA:  # weft.cuda.FloatTensor
        return OF_CUDA[name]
    if name in _UNSUPPORTED:
        return _unsupported(name)
    raise AttributeError(f"module 'weft.cuda' has no attribute '{name}'")
