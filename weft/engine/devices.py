"""Which devices there are, and how values come to them and back.

A value is a NumPy array, or on another device than "cpu" a ``jax.Array`` or a part of one. JAX is
imported when such a device is first asked for, and never otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DeviceError
from ..graph.device import ANYWHERE, CPU, META, default_device, device
from .reference import Failure


class Accelerated:
    """Has this process had a device other than the CPU? While not, nobody need ask where.

    Attributes:
        ever: one that computes.
        meta: "meta", on which nothing is computed.
    """

    ever = False
    meta = False


#: The value of every tensor on "meta".
NO_VALUES = Failure(
    DeviceError,
    "a tensor on the device 'meta' has a shape and a dtype, and no values. To give a model values, "
    "write model.to_empty(device='cpu') and initialise it, or load a state into it then; or write "
    "model.load_state_dict(state, assign=True)",
)


class Packed:
    """A value on another device that is part of a larger array (``weft/engine/xla/packs.py``)."""

    __slots__ = ("__weakref__", "_number", "_pack")

    def __init__(self, pack: Any, number: int) -> None:
        self._pack, self._number = pack, number

    def cut(self) -> Any:
        """It as an array of its own, there."""
        return self._pack.cut(self._number)

    def read(self) -> Any:
        """It as NumPy has it. Waits for it."""
        return self._pack.read(self._number)


def resolve(to: Any) -> device | None:
    """The device that is meant: a name, an index of GPUs, None for the default.

    Raises:
        DeviceError: if there is no such device, saying what to install.
    """
    if to is ANYWHERE:
        return None
    if to is None:
        found = default_device()
    else:
        found = to if isinstance(to, device) else device(to)
    if found is CPU:
        return found
    if found is META:
        Accelerated.meta = True
        return found
    from .xla.platform import concrete

    found = concrete(found)
    Accelerated.ever = True
    return found


def put(value: Any, to: device | None) -> Any:
    """A value on a device; without waiting, where the device allows it."""
    if to is None or to is CPU:
        return value if is_host(value) else host(value)
    if to is META:
        return NO_VALUES
    from .xla.platform import put as put_there

    return put_there(value, to)


def is_host(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic, Failure))


def host(value: Any) -> Any:
    """A value as a NumPy array that is not to be written to; waits for it.

    Raises:
        the error that a run on its device met.
    """
    if is_host(value):
        return np.asarray(value)
    from .xla.faults import raise_faults, translated

    try:
        array = np.asarray(value)
    except RuntimeError as error:
        raise translated(error) from None
    raise_faults()
    return array


def waited_for(place: device) -> None:
    """Waits until nothing is being computed on a device.

    Raises:
        the error that a run on its device met.
    """
    if place is not CPU:
        from .xla.faults import raise_faults
        from .xla.platform import wait

        wait(place)
        raise_faults()
