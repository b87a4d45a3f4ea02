"""Ops that are a kernel each: of dense operands, and written by a description of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ...graph.node import Signature
from .along import even_sums, extreme, order, running_sum
from .attention import attention
from .ctc import ctc
from .in_range import in_range
from .ir import Module
from .pad_edges import pad_edges
from .window_places import window_places


class Whole(Protocol):
    """What such a kernel is; equal ones share their code.

    Its arguments are the runtime's block, the operands, the result, the workspace, and the flag
    that is raised where the data are at fault (the reference then says what is wrong with them).
    """

    def emit(self, module: Module, name: str, vector_bytes: int) -> int:
        """Adds the function ``name``; gives the bytes of workspace that each thread needs."""

    @property
    def work(self) -> int:
        """Points that it looks at."""


#: For each op its description, or None where no kernel can be written for such operands.
_MAKERS: dict[str, Callable[[Signature], Whole | None]] = {
    "argmax": extreme,
    "argmin": extreme,
    "argsort": order,
    "ctc_likelihood": ctc,
    "ctc_occupancy": ctc,
    "cumsum": running_sum,
    "even_sums": even_sums,
    "in_range": in_range,
    "max_places": window_places,
    "pad_edges": pad_edges,
    "pad_edges_sum": pad_edges,
    "piece": attention,
}


def whole(sig: Signature) -> Whole | None:
    make = _MAKERS.get(sig.op.name)
    return None if make is None else make(sig)
