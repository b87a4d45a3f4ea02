"""Memory formats: names that programs written for PyTorch pass. weft arranges memory itself."""

from __future__ import annotations

from typing import Any


class memory_format:  # noqa: N801 (PyTorch's name)
    """An order of dimensions in memory, as an argument of ``clone``, ``contiguous`` and others.

    weft takes it and keeps its own order; only :meth:`weft.Tensor.is_contiguous` answers by it.
    """

    __slots__ = ("_name", "_order")

    def __init__(self, name: str, order: tuple[int, ...] | None = None) -> None:
        self._name, self._order = name, order

    def __repr__(self) -> str:
        return f"weft.{self._name}"

    def describes(self, array: Any) -> bool:
        """Are the elements of an array in this order?"""
        if self._order is None:
            return bool(array.flags.c_contiguous)
        if array.ndim != len(self._order):
            return False
        return bool(array.transpose(self._order).flags.c_contiguous)


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last", (0, 2, 3, 1))
channels_last_3d = memory_format("channels_last_3d", (0, 2, 3, 4, 1))


class layout:  # noqa: N801 (PyTorch's name)
    """How a tensor's elements are kept. There is one way: :data:`weft.strided`, all of them."""

    def __repr__(self) -> str:
        return "weft.strided"


strided = layout()
