"""NumPy's numbers in PyTorch's files, such as the best score so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .pickles import Named

_CODES = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)} | {"b1", "f2", "f4", "f8"}


class _DType:
    """A NumPy dtype, of numbers only."""

    def __init__(self, code: Any, *_: Any) -> None:
        if type(code) is not str or code not in _CODES:
            raise TypeError("a NumPy dtype of something else than numbers")
        self.dtype = np.dtype(code)

    def take_state(self, state: Any) -> None:
        order = state[1] if type(state) is tuple and len(state) > 1 else None
        if type(order) is not str or order not in ("<", ">", "|", "="):
            raise TypeError("a NumPy dtype with a state of another kind")
        if order in "<>":
            self.dtype = np.dtype(order + self.dtype.str[1:])


def _scalar(kind: Any, data: Any) -> Any:
    if not isinstance(kind, _DType) or type(data) is not bytes or len(data) != kind.dtype.itemsize:
        raise TypeError("a NumPy number of another kind")
    return np.frombuffer(data, kind.dtype)[0]


_NAMES: dict[str, Callable[..., Any]] = {
    "numpy.dtype": _DType,
    **{f"numpy.{part}.multiarray.scalar": _scalar for part in ("core", "_core")},
}


def numpy_name(name: str) -> Named | None:
    """What a name of NumPy's stands for, if it is one of those for numbers."""
    make = _NAMES.get(name)
    return None if make is None else Named(name, make)
