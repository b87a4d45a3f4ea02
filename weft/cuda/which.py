"""Which GPU is meant, and what JAX knows of it."""

from __future__ import annotations

from typing import Any

from ..engine.devices import resolve
from ..errors import DeviceError
from ..graph.device import device


def platform() -> Any:
    from ..engine.xla import platform

    return platform


def gpu(which: Any) -> device:
    """A GPU by its name, its index, or None for the one in use.

    Raises:
        DeviceError: for what is not a GPU, or not there.
    """
    found = resolve("cuda" if which is None else which)
    if found is None or found.type != "cuda":
        raise DeviceError(f"'{which}' is not a GPU: name one, 'cuda:0', or give its index")
    return found


def described(which: Any) -> Any:
    """JAX's object for it."""
    return platform().device_of_jax(gpu(which))
