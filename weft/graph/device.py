"""Names of devices, and on which one new tensors are made.

On "meta" tensors have a shape and a dtype, and no values: a model made there takes no memory.

Whether there is such a device is another matter: ``weft/engine/devices.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, Self, TypeVar

from ..errors import DeviceError, did_you_mean

#: Kinds of devices: the CPU by weft's own engine, GPUs and TPUs, the CPU by XLA; and none at all.
KINDS = ("cpu", "cuda", "tpu", "xla:cpu", "meta")
#: Of these there is one, or the first goes by the plain name. (Of XLA's CPU devices there may be
#: several, for tests of many devices.)
_UNNUMBERED = ("cpu", "xla:cpu", "meta")
_NAME = re.compile(r"(?P<kind>[a-z]+(?::[a-z]+)?)(?::(?P<index>\d+))?")
P = ParamSpec("P")
R = TypeVar("R")


class device:  # noqa: N801 (PyTorch's name)
    """A device: ``weft.device("cuda:1")``, ``weft.device("cuda", 1)``, ``weft.device(1)``.

    One object for each. As a context manager, and as a decorator of a function, it is where new
    tensors are made::

        with weft.device("cuda"):
            x = weft.zeros(3)

    Attributes:
        type: "cpu", "cuda", "tpu", "xla:cpu", the CPU by way of XLA, or "meta", where there are
            shapes and no values.
        index: which of several; None for the one in use.

    Raises:
        DeviceError: for a name that is none of a device.
    """

    __slots__ = ("index", "type")
    type: str
    index: int | None

    def __new__(cls, type: Any, index: int | None = None) -> Self:
        key = _parsed(type, index)
        found = _known.get(key)
        if found is None:
            found = object.__new__(cls)
            found.type, found.index = key
            found = _known.setdefault(key, found)
        return found  # type: ignore[return-value]

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, str) and other == str(self))

    __hash__ = object.__hash__  # one object for each device

    def __reduce__(self) -> Any:
        return device, (self.type, self.index)

    def __enter__(self) -> Self:
        _inner.set((*_inner.get(), self))
        return self

    def __exit__(self, *error: object) -> None:
        _inner.set(_inner.get()[:-1])

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function, within whose calls new tensors are made here."""

        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return function(*args, **kwargs)

        return run


_known: dict[tuple[str, int | None], device] = {}
_inner: ContextVar[tuple[device, ...]] = ContextVar("devices", default=())


def _parsed(name: Any, index: int | None) -> tuple[str, int | None]:
    if isinstance(name, device):
        return name.type, name.index if index is None else index
    if isinstance(name, int) and not isinstance(name, bool):
        name = f"cuda:{name}"
    parts = _NAME.fullmatch(str(name))
    if parts is None or parts["kind"] not in KINDS:
        raise DeviceError(
            f"device '{name}' is not available: weft computes on {', '.join(map(repr, KINDS))}."
            f"{did_you_mean(str(name), KINDS)} Leave device= away, or write device='cpu'"
        )
    if parts["index"] is not None:
        if index is not None:
            raise DeviceError(f"device '{name}' names its index already; index={index} is one more")
        index = int(parts["index"])
    if index is not None and index < 0:
        raise DeviceError(f"the index of a device must not be negative: {index}")
    kind = parts["kind"]
    if kind in ("cpu", "meta") and index:
        raise DeviceError(f"device '{kind}:{index}' is not available: there is one '{kind}'")
    return kind, None if index == 0 and kind in _UNNUMBERED else index


CPU = device("cpu")
META = device("meta")

#: In place of a device: constants, which are on the device of what they are used with.
ANYWHERE: Any = "anywhere"
_default = CPU


def default_device() -> device:
    """Where new tensors are made: the innermost ``with weft.device(...)``, else the default."""
    inner = _inner.get()
    return inner[-1] if inner else _default


def set_default(to: device) -> None:
    global _default
    _default = to
