"""Primitives of losses, where no composition has the gradient, or the error, that is wanted."""

from __future__ import annotations

from math import exp, inf
from typing import Any

import numpy as np

from ..errors import DataError
from ..graph.node import Node, Op, record, type_of
from .base import Binary, _only_float, as_node, binary
from .elementwise import div, log, lt, maximum, mul, sub, where

# ---- values that must lie within bounds


def _reference_in_range(bounds: tuple[str, float, float], x: Any) -> Any:
    text, low, high = bounds
    # NaN is found out only where there are two bounds, as in PyTorch.
    wrong = np.less(x, low) if high == inf else ~((x >= low) & (x <= high))
    if wrong.any():
        raise DataError(f"{text}, but {np.asarray(x)[wrong].flat[0]} is among them")
    return x


_in_range = Op(
    "in_range",
    lambda bounds, x: x,
    _reference_in_range,
    lambda n, g, want: (g,),
    can_fail=True,
)


def in_range(x: Node, text: str, low: float, high: float = inf) -> Node:
    """``x``; running raises DataError with ``text`` for an element out of bounds."""
    return record(_in_range, (x,), (text, low, high))


# ---- binary cross entropy

_LEAST_LOG = -100.0  # in place of the logarithm of 0


def _bce(p: Any, t: Any) -> Any:
    least = np.asarray(_LEAST_LOG, np.result_type(p))
    return (t - 1) * np.maximum(np.log1p(-p), least) - t * np.maximum(np.log(p), least)


def _held_log(x: Node) -> Node:
    small = lt(x, exp(_LEAST_LOG))
    return where(small, _LEAST_LOG, log(where(small, 1, x)))


def _bce_grad_p(g: Node, p: Node, t: Node, y: Node) -> Node:
    variance = mul(sub(as_node(1, p), p), p)
    return mul(g, div(sub(p, t), maximum(variance, 1e-12)))


#: Of a probability and a target. The slope where a logarithm is held is PyTorch's and not 0, which
#: would leave a saturated wrong answer as it is.
binary_cross_entropy: Binary = binary(
    "binary_cross_entropy",
    _bce,
    (
        _bce_grad_p,
        lambda g, p, t, y: mul(g, sub(_held_log(sub(as_node(1, p), p)), _held_log(p))),
    ),
    check=_only_float,
)


# ---- connectionist temporal classification

_NEVER = -1e30  # the logarithm of 0

# These two are what a loop over time would take hundreds of nodes for. Of ``x [T, N, C]``, log
# probabilities, ``labels [N, S]`` (those beyond ``sizes [N]`` do not count) and ``times [N]``, how
# many steps count. An alignment moves over places: ``blank, label, blank, ...``.


def _check_ctc(x: Any, labels: Any, times: Any, sizes: Any) -> None:
    steps, _, classes = x.shape
    most = labels.shape[1]
    for name, lengths, high in (("input", times, steps), ("target", sizes, most)):
        wrong = (lengths < 0) | (lengths > high)
        if wrong.any():
            raise DataError(
                f"{name}_lengths must be between 0 and {high}, not {lengths[wrong].flat[0]}"
            )
    wrong = ((labels < 0) | (labels >= classes)) & (np.arange(most) < sizes[:, None])
    if wrong.any():
        raise DataError(f"target {labels[wrong].flat[0]} is none of the {classes} classes")


def _ctc_tables(blank: int, x: Any, labels: Any, sizes: Any) -> Any:
    """For each place: its class, log probabilities there, and where alignments begin, jump and end.

    ``_NEVER`` where an alignment cannot begin, come to from two places before, or end.
    """
    count, most = labels.shape
    places = np.full((count, 2 * most + 1), blank)
    places[:, 1::2] = np.where(np.arange(most) < sizes[:, None], labels, blank)
    emitted = np.maximum(x[:, np.arange(count)[:, None], places], np.asarray(_NEVER, x.dtype))
    start, skip, end = np.full((3, *places.shape), _NEVER, x.dtype)
    start[:, 0] = 0
    skip[:, 2:][(places[:, 2:] != blank) & (places[:, 2:] != places[:, :-2])] = 0
    last = 2 * sizes[:, None] - np.arange(places.shape[1])
    end[(last == 0) | (last == 1)] = 0
    return places, emitted, start, skip, end


def _next(before: Any, skip: Any, room: Any) -> Any:
    """To each place: from itself, the one before, and, where that is allowed, two before."""
    room[:, 2:] = before
    near = np.logaddexp(before, room[:, 1:-1])
    return np.logaddexp(near, room[:, :-2] + skip)


def _beginnings(emitted: Any, start: Any, skip: Any, times: Any) -> Any:
    """The log probability of all beginnings up to each step and place, ``[T + 1, N, S]``."""
    alphas = np.empty((len(emitted) + 1, *start.shape), emitted.dtype)
    alphas[0] = start
    room = np.full((len(start), start.shape[1] + 2), _NEVER, emitted.dtype)
    alive = np.arange(len(emitted))[:, None] < times
    for t, now in enumerate(emitted):
        after = _next(alphas[t], skip, room) + now
        alphas[t + 1] = np.where(alive[t][:, None], after, alphas[t])
    return alphas


def _endings(emitted: Any, skip: Any, end: Any, times: Any) -> Any:
    """Of all ends from after each step and place on, ``[T, N, S]``."""
    betas = np.empty_like(emitted)
    beta, last = end, len(emitted) - 1
    back = np.full((len(end), end.shape[1] + 2), _NEVER, emitted.dtype)[:, ::-1]
    to = np.full_like(skip, _NEVER)  # from each place two further
    to[:, :-2] = skip[:, 2:]
    for t in range(last, -1, -1):
        betas[t] = beta
        seen = beta + emitted[t]
        back[:, :-2] = seen
        before = np.logaddexp(np.logaddexp(seen, back[:, 1:-1]), back[:, 2:] + to)
        beta = np.where((t < times)[:, None], before, beta)
    return betas


def _summed(alpha: Any, end: Any) -> Any:
    return np.logaddexp.reduce(alpha + end, axis=1)


def _ctc_likelihood(blank: int, x: Any, labels: Any, times: Any, sizes: Any) -> Any:
    _check_ctc(x, labels, times, sizes)
    _, emitted, start, skip, end = _ctc_tables(blank, x, labels, sizes)
    return _summed(_beginnings(emitted, start, skip, times)[-1], end)


def _ctc_occupancy(blank: int, x: Any, labels: Any, times: Any, sizes: Any) -> Any:
    _check_ctc(x, labels, times, sizes)
    places, emitted, start, skip, end = _ctc_tables(blank, x, labels, sizes)
    alphas = _beginnings(emitted, start, skip, times)
    total = _summed(alphas[-1], end)[:, None]
    through = alphas[1:] + _endings(emitted, skip, end, times)
    counts = (np.arange(len(x))[:, None, None] < times[:, None]) & (total > _NEVER / 2)
    by_place = np.exp(np.where(counts, through - total, -np.inf)).astype(x.dtype)
    occupied = np.zeros_like(x)
    for n, place in enumerate(places):
        np.add.at(occupied[:, n].T, place, by_place[:, n].T)
    return occupied


_likelihood = Op(
    "ctc_likelihood",
    lambda blank, x, labels, *lengths: type_of(labels.shape[:1], x.dtype),
    _ctc_likelihood,
    can_fail=True,
)
_occupancy = Op("ctc_occupancy", lambda blank, x, *rest: x, _ctc_occupancy, can_fail=True)


def ctc_likelihood(blank: int, x: Node, labels: Node, times: Node, sizes: Node) -> Node:
    """The log probability of all alignments, ``[N]``; no more than -1e30 if there is none."""
    return record(_likelihood, (x, labels, times, sizes), blank)


def ctc_occupancy(blank: int, x: Node, labels: Node, times: Node, sizes: Node) -> Node:
    """How probable it is that an alignment is at a class in a step: the gradient of that."""
    return record(_occupancy, (x, labels, times, sizes), blank)
