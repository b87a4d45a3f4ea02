"""How a window moves over a tensor, as the ops of convolution and pooling say it."""

from __future__ import annotations

from typing import Protocol

Pairs = tuple[tuple[int, int], ...]  # (before, after) of each spatial dimension


class Window(Protocol):
    """What the kernels read of an op's attributes; the ops are in a layer above."""

    @property
    def stride(self) -> tuple[int, ...]: ...
    @property
    def padding(self) -> Pairs: ...
    @property
    def dilation(self) -> tuple[int, ...]: ...
    @property
    def groups(self) -> int: ...


def out_sizes(w: Window, sizes: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int, ...]:
    """How many windows fit each dimension."""
    return tuple(
        (size + before + after - dilation * (k - 1) - 1) // stride + 1
        for size, k, stride, (before, after), dilation in zip(
            sizes, kernel, w.stride, w.padding, w.dilation, strict=True
        )
    )
