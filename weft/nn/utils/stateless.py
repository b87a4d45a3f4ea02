"""A module called with other parameters than its own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...errors import OptionError, did_you_mean
from ...tensors.core import TensorCore, not_a_tensor
from ..module import Module

_Place = tuple[dict[str, Any], str]  # a module's parameters or buffers, and a name among them


def functional_call(
    module: Module,
    parameters_and_buffers: Mapping[str, Any],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Calls a module with the given tensors in place of its parameters and buffers.

    Gradients reach the given tensors; buffers that the call changes in place are those given.

    Args:
        parameters_and_buffers: by path, as in ``state_dict``; what is missing is the module's own.
        args: arguments: a tuple, or the only one.
        tie_weights: a tensor given for a parameter stands in for it everywhere in the module, also
            under its other paths.
        strict: take neither fewer nor more paths than the module has.

    Raises:
        KeyError: with ``strict``, for missing or unknown paths. (Without it, unknown ones are
            warned of.)
        OptionError: for two different tensors given for one parameter with two paths.
        TypeError: for values that are no Tensors.

    Example:
        >>> model = nn.Linear(2, 1)
        >>> zeros = {"weight": weft.zeros(1, 2), "bias": weft.zeros(1)}
        >>> weft.func.functional_call(model, zeros, weft.ones(3, 2)).tolist()
        [[0.0], [0.0], [0.0]]
    """
    places = _places(module)
    _check(parameters_and_buffers, places, strict)
    with _exchanged(_exchanges(parameters_and_buffers, places, tie_weights)):
        arguments = () if args is None else args if isinstance(args, tuple) else (args,)
        return module(*arguments, **(kwargs or {}))


def _places(module: Module) -> dict[str, _Place]:
    """Where each parameter and buffer is kept, by path."""
    found: dict[str, _Place] = {}
    for prefix, each in module.named_modules(remove_duplicate=False):
        for members in (each._parameters, each._buffers):
            for name in members:
                found[f"{prefix}.{name}" if prefix else name] = (members, name)
    return found


def _check(given: Mapping[str, Any], places: dict[str, _Place], strict: bool) -> None:
    for name, value in given.items():
        if not isinstance(value, TensorCore) and value is not None:
            raise not_a_tensor(value, f"functional_call: '{name}' must be a Tensor, but")
    unknown = [name for name in given if name not in places]
    if unknown:
        hint = did_you_mean(unknown[0], places)
        text = f"functional_call: the module has no parameter or buffer '{unknown[0]}'.{hint}"
        if strict:
            raise KeyError(text)
        warnings.warn(text, UserWarning, stacklevel=3)
    if strict:
        missing = [k for k, (members, name) in places.items() if members[name] is not None]
        missing = [k for k in missing if k not in given]
        if missing:
            raise KeyError(f"functional_call: missing {', '.join(missing)}")


def _exchanges(
    given: Mapping[str, Any], places: dict[str, _Place], tie: bool
) -> list[tuple[dict[str, Any], str, Any]]:
    paths_of: dict[int, list[str]] = {}
    if tie:
        for path, (members, name) in places.items():
            if members[name] is not None:
                paths_of.setdefault(id(members[name]), []).append(path)
    out = []
    for path, value in given.items():
        if path not in places:
            continue
        members, name = places[path]
        for other in paths_of.get(id(members[name]), [path]):
            if given.get(other, value) is not value:
                raise OptionError(
                    f"functional_call: '{path}' and '{other}' are one parameter, but two different "
                    "tensors are given for it. Give one, or pass tie_weights=False"
                )
            out.append((*places[other], value))
    return out


@contextmanager
def _exchanged(exchanges: list[tuple[dict[str, Any], str, Any]]) -> Iterator[None]:
    before = [(members, name, members[name]) for members, name, _ in exchanges]
    try:
        for members, name, value in exchanges:
            members[name] = value
        yield
    finally:
        for members, name, value in before:
            members[name] = value


__all__ = ["functional_call"]
