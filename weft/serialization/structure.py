"""Structures of plain values and tensors: walked through, and as JSON."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from ..dtypes import BY_NAME, dtype
from ..errors import UnsupportedOp
from ..graph.device import device
from ..tensors.core import TensorCore
from ..tensors.shape import Size

Json: TypeAlias = Any
At: TypeAlias = tuple[Any, ...]  # the keys that lead to a value

#: What else comes back, of what is said of it.
_SIMPLE: dict[str, Callable[[Any], Any]] = {
    "Size": Size,
    "dtype": BY_NAME.__getitem__,
    "device": device,
}

_DICTS: dict[str, type[dict[Any, Any]]] = {
    "dict": dict,
    "OrderedDict": OrderedDict,
    "Counter": Counter,
}


def checked(obj: Any) -> list[tuple[At, Any]]:
    """The tensors of a structure, with their places, in order.

    Raises:
        TypeError: for anything in ``obj`` that is not written, naming its place.
        ValueError: for a structure that contains itself.
    """
    return list(_tensors(obj, (), set()))


def _tensors(value: Any, at: At, open_: set[int]) -> Iterator[tuple[At, Any]]:
    if isinstance(value, TensorCore):
        yield at, value
    elif isinstance(value, (Mapping, list, tuple)):
        if id(value) in open_:
            raise ValueError(
                f"weft.save cannot write a structure that contains itself: {place(at)}"
            )
        open_.add(id(value))
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, inner in items:
            if isinstance(value, Mapping):
                _check_key(key, at)
            yield from _tensors(inner, (*at, key), open_)
        open_.remove(id(value))
    elif not is_plain(value):
        raise TypeError(f"weft.save cannot write the {_kind(value)} at {place(at)}{_hint(value)}")


def is_plain(value: Any) -> bool:
    """Is it a number, a string, a boolean or None; or a dtype or device?"""
    numbers = (bool, int, float, np.bool_, np.integer, np.floating)
    return value is None or isinstance(value, (str, dtype, device, *numbers))


def plain(value: Any) -> Any:
    """A number, string, boolean or None of Python's own type."""
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        value = value.item()
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def dict_kind(value: Mapping[Any, Any]) -> str:
    """The name of the kind of dict that comes back."""
    return next((k for k in ("Counter", "OrderedDict") if isinstance(value, _DICTS[k])), "dict")


def place(at: At) -> str:
    return "obj" + "".join(f"[{k!r}]" for k in at)


def _check_key(key: Any, at: At) -> None:
    if isinstance(key, bool) or not isinstance(key, (str, int)):
        raise TypeError(
            f"weft.save writes dicts with str and int keys, but {place(at)} has the key {key!r} "
            f"({type(key).__name__})"
        )


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")


def _hint(value: Any) -> str:
    if callable(getattr(value, "state_dict", None)):
        return ": save its .state_dict(), and give that to .load_state_dict() after weft.load"
    if isinstance(value, np.ndarray):
        return ": make a Tensor of it with weft.from_numpy(x)"
    return ": it writes Tensors, numbers, strings, booleans and None, in dicts, lists and tuples"


# ---- as JSON


def encode(value: Any, tensor: Callable[[Any], Json]) -> Json:
    """A checked structure as JSON; ``tensor`` says what stands for a tensor.

    null, true, numbers and strings stand for themselves, lists for lists. All else is an object
    with one key that says what it is: ``{"dict": [[key, value], ...]}``, ``{"tuple": [...]}``,
    ``{"tensor": name}``, ``{"float": "nan"}``.
    """
    if isinstance(value, TensorCore):
        return tensor(value)
    if isinstance(value, Mapping):
        return {dict_kind(value): [[plain(k), encode(v, tensor)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [encode(v, tensor) for v in value]
        kind = "Size" if isinstance(value, Size) else "tuple"
        return items if isinstance(value, list) else {kind: items}
    if isinstance(value, dtype):
        return {"dtype": value.name}
    if isinstance(value, device):
        return {"device": str(value)}
    value = plain(value)
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    return value


def decode(value: Json, tensor: Callable[[str, Json], Any]) -> Any:
    """Undoes :func:`encode`; ``tensor`` makes one of its kind and what was said of it."""
    if isinstance(value, list):
        return [decode(v, tensor) for v in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind in _DICTS:
        return _DICTS[kind]({k: decode(v, tensor) for k, v in content})
    if kind == "tuple":
        return tuple([decode(v, tensor) for v in content])
    if kind == "float":
        return float(content)
    if kind in _SIMPLE:
        return _SIMPLE[kind](content)
    if kind in ("tensor", "view"):
        return tensor(kind, content)
    raise UnsupportedOp("it was written by a later version of weft: update weft")
