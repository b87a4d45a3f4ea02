"""A module called with other parameters than its own; several dicts of them are allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import OptionError
from ..nn.module import Module
from ..nn.utils import stateless


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Calls a module with the given tensors in place of its parameters and buffers.

    Args:
        parameter_and_buffer_dicts: a dict of them by path, or several dicts without common paths.

    Raises:
        OptionError: for one path in two dicts.

    See :func:`weft.nn.utils.stateless.functional_call` for the rest.

    Example:
        >>> model, x = nn.Linear(2, 1), weft.ones(3, 2)
        >>> loss = lambda p: weft.func.functional_call(model, p, x).sum()
        >>> weft.func.grad(loss)(dict(model.named_parameters()))["bias"]
        tensor([3.])
    """
    dicts = parameter_and_buffer_dicts
    merged: dict[str, Any] = {}
    for each in [dicts] if isinstance(dicts, Mapping) else dicts:
        for path, value in each.items():
            if path in merged:
                raise OptionError(f"functional_call: '{path}' is in two of the dicts")
            merged[path] = value
    return stateless.functional_call(
        module, merged, args, kwargs, tie_weights=tie_weights, strict=strict
    )
