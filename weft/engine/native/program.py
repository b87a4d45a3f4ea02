"""A graph as native code: rows of kernels, and between them calls of NumPy references.

Every kernel is ``void kernel(ptr args, i64 tid, i64 nt)`` and is entered by all threads. Word 0 of
``args`` is the runtime's block, the others are addresses of buffers. There is a barrier between a
kernel and the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np

from ...dtypes import BY_NAME
from ...graph.liveness import Work
from ...graph.node import Node
from ..reference import DATA_ERRORS, Failure, Outcome, Program as Reference, bind
from . import kernels
from .groups import Group
from .kernels import NUMBER, WORKSPACE, Kernel, Segment
from .lower import Graph, Operand
from .memory import Frame, Memory
from .plan import FLAG, Plan


@dataclass(frozen=True)
class Call:
    """A call of an op's reference."""

    name: str
    run: Callable[..., Any]
    operands: tuple[Operand, ...]
    value: int


class Native:
    """A program of kernels, with the reference of the same graph for when data are at fault."""

    def __init__(self, work: Work, reference: Reference) -> None:
        self.reference = reference
        graph = Graph(work)
        plan = Plan(graph)
        parts = [_parts(plan, group) for group in plan.groups]
        # (held until all parts have theirs)
        codes = kernels.prepare([k.spec for part in parts for k in part if isinstance(k, Kernel)])
        workspaces = [
            max([kernels.code_of(k.spec).workspace for k in p if isinstance(k, Kernel)], default=0)
            for p in parts
        ]
        self.memory = Memory(graph, plan, workspaces)
        #: Seconds of each kernel and call, at least, while somebody profiles; else None.
        self.times: list[float] | None = None
        self.parts = in_rows(
            self._placed(plan, one, k) if isinstance(one, Kernel) else _moved(plan, one)
            for k, part in enumerate(parts)
            for one in part
        )
        del codes

    def one_by_one(self) -> list[Kernel | Call]:
        """Its kernels and calls, in order."""
        found: list[Kernel | Call] = []
        for part in self.parts:
            found += part.kernels if isinstance(part, Segment) else [part]
        return found

    def _placed(self, plan: Plan, kernel: Kernel, group: int) -> Kernel:
        memory = self.memory
        workspace = memory.workspace_of.get(group, 0)
        special = {FLAG: memory.flag, WORKSPACE: workspace, NUMBER: memory.nothing}
        buffers = [(special.get(v, v), o) for v, o in kernel.buffers]
        for k, (value, offset) in enumerate(buffers):
            if value in plan.within:
                whole, start = plan.place_of(value)
                size = BY_NAME[plan.graph.dtypes[value]].itemsize
                buffers[k] = whole, offset + start * size
        return replace(kernel, spec=kernels.code_of(kernel.spec).spec, buffers=tuple(buffers))

    def run(self, leaves: list[Any], order: list[Node]) -> Outcome:
        """As :meth:`Reference.run`; if data are at fault, that says what is wrong with them."""
        if any([v.__class__ is Failure for v in leaves]):
            return self.reference.run(leaves, order)
        frame = self.memory.enter(leaves)
        try:
            if self.times is not None:
                self.times = _timed(self.parts, frame, self.times)
            else:
                for part in self.parts:
                    _run(part, frame)
        except DATA_ERRORS:
            return self.reference.run(leaves, order)
        if frame.failed():
            return self.reference.run(leaves, order)
        return frame.results(), None


def in_rows(parts: Iterable[Kernel | Call]) -> list[Segment | Call]:
    """The same, with kernels that follow one another as segments."""
    rows: list[Segment | Call] = []
    row: list[Kernel] = []
    for part in parts:
        if isinstance(part, Kernel):
            row.append(part)
            continue
        if row:
            rows.append(Segment(row))
            row = []
        rows.append(part)
    return [*rows, Segment(row)] if row else rows


def _run(part: Segment | Call, frame: Frame) -> None:
    if isinstance(part, Segment):
        part.run(frame.memory.addresses)
    else:
        call(part, frame)


def _timed(parts: Sequence[Segment | Call], frame: Frame, known: list[float]) -> list[float]:
    """Runs kernel by kernel; the lesser of what each takes and what it is known to take."""
    times = []
    for part in parts:
        for one in part.split() if isinstance(part, Segment) else [part]:
            begin = perf_counter()
            _run(one, frame)
            times.append(perf_counter() - begin)
    return [min(pair) for pair in zip(times, known, strict=True)] if known else times


def call(part: Call, frame: Frame) -> None:
    """Runs a reference on the values of a frame."""
    arrays = [frame.array(o.value, o.view) for o in part.operands]
    with np.errstate(all="ignore"):
        frame.put(part.value, part.run(*arrays))


def _moved(plan: Plan, one: Call) -> Call:
    """The call with operands where they lie."""
    operands = []
    for operand in one.operands:
        whole, start = plan.place_of(operand.value)
        view = operand.view._replace(offset=operand.view.offset + start)
        operands.append(Operand(whole, view))
    return replace(one, operands=tuple(operands))


def _parts(plan: Plan, group: Group) -> list[Kernel | Call]:
    """What runs for a group, in order."""
    step = group.steps[0]
    if group.fused is not None:
        return [kernels.fused(plan.graph, step, *group.fused)]
    if group.kind == "loop":
        loop, buffers = plan.loop(group)
        return [kernels.looping(plan.graph, loop, buffers)]
    if group.kind == "assemble":
        return [*kernels.assembly(plan.graph, step, plan.homes, plan.within)]
    if group.kind == "matmul":
        return [kernels.matmul(plan.graph, step)]
    if group.kind == "conv":
        return [kernels.convolution(plan.graph, step)]
    if group.kind == "pool":
        return [kernels.pooling(plan.graph, step)]
    if group.kind == "whole":
        return [kernels.by_itself(plan.graph, step)]
    if group.kind == "scatter":
        return [*kernels.scattering(plan.graph, step)]
    return [Call(step.name, bind(step.sig), step.operands, step.value)]
