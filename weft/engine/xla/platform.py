"""JAX, how it is set up, and its devices under weft's names."""

from __future__ import annotations

import os
from contextlib import nullcontext
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ... import config
from ...errors import DeviceError
from ...graph.device import device

#: For each kind of device: the extra that brings it, and JAX's name of the platform.
_EXTRAS = {"cuda": "cuda", "tpu": "tpu", "xla:cpu": "xla"}
_PLATFORMS = {"cuda": "cuda", "tpu": "tpu", "xla:cpu": "cpu"}


def has_jax() -> bool:
    return find_spec("jax") is not None and find_spec("jaxlib") is not None


@cache
def jax() -> Any:
    """The package, set up: memory is taken as it is needed, compiled programs are kept on disk."""
    config.take_gpu_memory_as_needed()
    import jax as package

    os.register_at_fork(after_in_child=_note_fork)
    settings = package.config
    if config.CACHE and settings.jax_compilation_cache_dir is None:
        folder = Path(config.CACHE_DIR).expanduser() / "xla"
        settings.update("jax_compilation_cache_dir", str(folder))
        settings.update("jax_persistent_cache_min_compile_time_secs", 0.2)
        settings.update("jax_compilation_cache_max_size", config.CACHE_BYTES)
    return package


class _Forked:
    """Is this a child of a process that had used JAX, whose threads it lacks?"""

    yes = False


def _note_fork() -> None:
    _Forked.yes = True


def wide() -> Any:
    """Within it, JAX has 64-bit types. (A user's own JAX code keeps the setting that it has.)

    Raises:
        DeviceError: in a forked process, where JAX would wait forever.
    """
    if _Forked.yes:
        raise _forked()
    return jax().enable_x64(True)


_nothing = nullcontext()


def as_it_is() -> Any:
    """For calls of programs that are compiled already, and whose arguments are on the device.

    Raises:
        DeviceError: in a forked process, where JAX would wait forever.
    """
    if _Forked.yes:
        raise _forked()
    return _nothing


def _forked() -> DeviceError:
    return DeviceError(
        "this process was forked from one that computes on another device, and can compute on "
        "the CPU only: make tensors there with device='cpu' and move them in the parent, or "
        "start it anew (multiprocessing_context='spawn' of DataLoader)"
    )


def devices(kind: str) -> list[Any]:
    """The devices of a kind that this process can use; none where something is missing."""
    return [] if _missing(kind) else _found(kind)


@cache
def _found(kind: str) -> list[Any]:
    try:
        return list(jax().local_devices(backend=_PLATFORMS[kind]))
    except RuntimeError:  # no such platform
        return []


def has_looked_for_devices() -> bool:
    """Has JAX been asked, by weft, which devices there are?"""
    return _found.cache_info().currsize > 0


def _missing(kind: str) -> str:
    """What is to be installed for a kind of device; "" if nothing is missing."""
    parts = _PARTS[kind]
    if has_jax() and (not parts or any(find_spec(part) for part in parts)):
        return ""
    what = {"cuda": "JAX with its CUDA part", "tpu": "JAX with its TPU part"}.get(kind, "JAX")
    return f"it takes {what}, pip install 'weft[{_EXTRAS[kind]}]'"


#: Packages of which one has to be there besides JAX.
_PARTS = {"cuda": ("jax_cuda12_plugin", "jax_cuda13_plugin"), "tpu": ("libtpu",), "xla:cpu": ()}


def is_installed(kind: str) -> bool:
    return not _missing(kind)


_NO_DEVICE = {
    "cuda": "JAX finds no NVIDIA GPU here: see what `nvidia-smi` and CUDA_VISIBLE_DEVICES say",
    "tpu": "JAX finds no TPU here",
    "xla:cpu": "JAX has no CPU platform here: see JAX_PLATFORMS",
}


def concrete(wanted: device) -> device:
    """The device with its index.

    Raises:
        DeviceError: if it is not there, saying what is missing.
    """
    if wanted in _concrete:
        return _concrete[wanted]
    kind = wanted.type
    found = devices(kind)
    why = _missing(kind) or ("" if found else _NO_DEVICE[kind])
    index = wanted.index
    if index is None and kind in current:
        index = current[kind]
    if not why and (index or 0) >= len(found):
        names = ", ".join(f"'{device(kind, k)}'" for k in range(len(found)))
        why = f"there are only {names}" if len(found) > 1 else f"there is only {names}"
    if why:
        raise DeviceError(
            f"device '{wanted}' is not available: {why}. "
            "Leave device= away, or write device='cpu', to compute on the CPU"
        )
    out = device(kind, index)
    if wanted.index is not None or kind not in current:
        _concrete[wanted] = out
    return out


_concrete: dict[device, device] = {}

#: Of kinds with an index: the one that is meant where none is given.
current = {"cuda": 0, "tpu": 0}


@cache
def device_of_jax(to: device) -> Any:
    return _found(to.type)[to.index or 0]


@cache
def has_attention(to: device) -> bool:
    """Has it cuDNN's fused attention? (From compute capability 8.0 on.)"""
    place = device_of_jax(to)
    return to.type == "cuda" and float(place.compute_capability) >= 8


def put(value: Any, to: device) -> Any:
    with wide():
        return jax().device_put(value, device_of_jax(to))


def wait(to: device) -> None:
    """Waits for every value on a device."""
    place = device_of_jax(to)
    for array in jax().live_arrays(place.platform):
        if place in array.devices():
            array.block_until_ready()


@cache
def token(to: device) -> Any:
    """An empty array there: with it among the arguments, a program runs there whatever the rest."""
    return put(np.zeros(0, np.int32), to)
