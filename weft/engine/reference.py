"""The reference interpreter: runs a graph op by op through each op's NumPy reference.

It is the oracle for every other backend, and what runs a graph that is seen for the first time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..dtypes import float32
from ..graph.liveness import Work
from ..graph.modes import describe
from ..graph.node import Node, Signature

# What a NumPy reference may raise because of the data, not because of a fault of ours.
DATA_ERRORS = (IndexError, ValueError, ZeroDivisionError, FloatingPointError, MemoryError)
_linalg_error = getattr(np.linalg, "LinAlgError", ValueError)  # a ValueError


class Failure:
    """The value of a node that could not be computed, or that depends on such a one.

    Holds no exception: its traceback would hold frames, and these nodes.
    """

    __slots__ = ("kind", "text")

    def __init__(self, kind: type[Exception], text: str) -> None:
        self.kind = kind
        self.text = text

    def error(self) -> Exception:
        return self.kind(self.text)


def bind(sig: Signature) -> Callable[..., Any]:
    """The op's reference as a function of arrays only."""
    op = sig.op
    call = op.reference if sig.attrs is None else partial(op.reference, sig.attrs)
    if op.widen and (sig.type.dtype.is_reduced or any(t.dtype.is_reduced for t in sig.types)):
        return _widened(call, sig)
    return call


def _widened(call: Callable[..., Any], sig: Signature) -> Callable[..., Any]:
    """16-bit floats: computed in float32 and rounded once."""
    out, wide = sig.type.dtype.numpy, float32.numpy
    reduced = [t.dtype.is_reduced for t in sig.types]

    def run(*arrays: Any) -> Any:
        arrays = tuple([a.astype(wide) if r else a for a, r in zip(arrays, reduced, strict=True)])
        return np.asarray(call(*arrays)).astype(out)

    return run


#: The stored values, and the first failure with its place (None if there was none).
Outcome = tuple[list[Any], tuple[int, Failure] | None]


class Program:
    """A plan for all graphs of one structure.

    A step is ``(function, places of the inputs, place of the result, places that die)``.
    """

    __slots__ = ("leaf_count", "size", "steps", "stored")

    def __init__(self, work: Work) -> None:
        self.leaf_count = len(work.leaves)
        self.size = self.leaf_count + len(work.order)
        self.stored = [node.mark for node in work.stored]
        last_use: dict[int, int] = {}
        for k, node in enumerate(work.order):
            for source in node.inputs:
                last_use[source.mark] = k
            last_use.setdefault(node.mark, k)
        for place in self.stored:
            last_use.pop(place, None)
        dying: list[list[int]] = [[] for _ in work.order]
        for place, k in last_use.items():
            dying[k].append(place)
        self.steps = [
            (bind(node.sig), tuple([i.mark for i in node.inputs]), node.mark, tuple(dead))
            for node, dead in zip(work.order, dying, strict=True)
        ]

    def run(self, leaves: list[Any], order: list[Node]) -> Outcome:
        """The stored values, and the first failure: place in ``order``, and what it is.

        A step that fails on its data, and all that depend on it, give a :class:`Failure`; the
        others are computed. ``order`` lends its addresses to the errors.
        """
        values = leaves
        failed = any([v.__class__ is Failure for v in leaves])
        first: tuple[int, Failure] | None = None
        with np.errstate(all="ignore"):
            if not failed:
                try:
                    self._run(self.steps, values)
                except DATA_ERRORS as error:
                    k = len(values) - self.leaf_count
                    first = k, _failure(order[k], error)
                    values.append(first[1])
                    del error
                    failed = True
            if failed:
                after = self._run_carefully(values, order)
                first = after if first is None else first
        return [_own(values[place]) for place in self.stored], first

    @staticmethod
    def _run(steps: list[Any], values: list[Any]) -> None:
        append = values.append
        for call, places, _, dead in steps:
            if len(places) == 2:
                append(call(values[places[0]], values[places[1]]))
            elif len(places) == 1:
                append(call(values[places[0]]))
            else:
                append(call(*[values[p] for p in places]))
            for p in dead:
                values[p] = None

    def _run_carefully(self, values: list[Any], order: list[Node]) -> tuple[int, Failure] | None:
        """From where ``values`` ends, carrying failures along. Returns the first that comes up."""
        first: tuple[int, Failure] | None = None
        for k in range(len(values) - self.leaf_count, len(order)):
            call, places, _, dead = self.steps[k]
            arrays = [values[p] for p in places]
            bad = next((a for a in arrays if a.__class__ is Failure), None)
            if bad is None:
                try:
                    bad = call(*arrays)
                except DATA_ERRORS as error:
                    bad = _failure(order[k], error)
            if first is None and bad.__class__ is Failure:
                first = k, bad
            values.append(bad)
            del arrays, bad
            for p in dead:
                values[p] = None
        return first


def _failure(node: Node, error: Exception) -> Failure:
    from ..errors import IndexOutOfRange

    kind = IndexOutOfRange if isinstance(error, IndexError) else type(error)
    place = "" if node.where is None else f"\n  recorded at {describe(node.where)}"
    return Failure(kind, f"{node.sig.op.name}: {error}{place}")


def _own(value: Any) -> Any:
    """An array of its own, so that a small stored view does not keep a large buffer alive."""
    if value.__class__ is Failure:
        return value
    value = np.asarray(value)
    base = value.base
    if base is not None and getattr(base, "nbytes", 0) > 2 * value.nbytes:
        return value.copy()
    return value
