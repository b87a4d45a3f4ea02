"""Tensors within tuples, lists and dicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..tensors.core import TensorCore

Build = Callable[[Sequence[Any]], Any]


def flatten(value: Any) -> tuple[list[Any], Build]:
    """All that is not a tuple, list or dict within ``value``, and a function that puts it back."""
    kind: Any = type(value)
    if isinstance(value, dict):
        keys = list(value)
        leaves, build = _flatten_all([value[k] for k in keys])
        return leaves, lambda new: kind(zip(keys, build(new), strict=True))
    if isinstance(value, (tuple, list)):
        leaves, build = _flatten_all(value)
        make = kind._make if hasattr(value, "_fields") else kind
        return leaves, lambda new: make(build(new))
    return [value], lambda new: new[0]


def _flatten_all(values: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
    parts = [flatten(v) for v in values]
    ends = [0]
    for leaves, _ in parts:
        ends.append(ends[-1] + len(leaves))

    def build(new: Sequence[Any]) -> list[Any]:
        return [b(new[ends[k] : ends[k + 1]]) for k, (_, b) in enumerate(parts)]

    return [leaf for leaves, _ in parts for leaf in leaves], build


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """``value`` with ``function`` of each Tensor within it."""
    leaves, build = flatten(value)
    return build([function(x) if isinstance(x, TensorCore) else x for x in leaves])
