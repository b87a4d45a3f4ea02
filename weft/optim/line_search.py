"""A line search for the strong Wolfe conditions (Nocedal and Wright, 2006, algorithms 3.5, 3.6)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..tensors.tensor import Tensor


class Point(NamedTuple):
    """A place on the line, ``t`` steps from its start."""

    t: float
    loss: float
    grad: Tensor
    slope: Any  # of the loss along the line: a NumPy scalar, so that what is worked out from it is
    # no finer than the gradient. Where the loss is flat up to its rounding, a step is then taken.


Evaluate = Callable[[float], Point]

_DECREASE = 1e-4  # c1: how much of the slope's promise the loss must keep
_CURVATURE = 0.9  # c2: to what share of the first slope the last one must fall


@np.errstate(all="ignore")  # an infinite loss is too high, and no mistake
def strong_wolfe(
    evaluate: Evaluate, start: Point, t: float, most: int, longest: float, tolerance: float
) -> tuple[Point, int]:
    """A point with less loss and a flatter slope than ``start``, and how many were evaluated.

    Args:
        t: where to look first.
        most: how many steps to try.
        longest: the largest element of the line's direction.
        tolerance: intervals whose elements are all shorter are not divided further.
    """
    points, tried, done = _bracket(evaluate, start, t, most)
    evaluations = tried + 1
    low, high = (0, 1) if points[0].loss <= points[-1].loss else (1, 0)
    too_near = False
    while not done and tried < most:
        if abs(points[1].t - points[0].t) * longest < tolerance:
            break
        t, too_near = _within(points, interpolated(points[0], points[1]), too_near)
        new = evaluate(t)
        evaluations += 1
        tried += 1
        if _is_too_high(new, start) or new.loss >= points[low].loss:
            points[high] = new
            low, high = (0, 1) if points[0].loss <= points[1].loss else (1, 0)
            continue
        if abs(new.slope) <= -_CURVATURE * start.slope:
            done = True
        elif new.slope * (points[high].t - points[low].t) >= 0:
            points[high] = points[low]
        points[low] = new
    return points[low], evaluations


def _is_too_high(point: Point, start: Point) -> bool:
    return bool(point.loss > start.loss + _DECREASE * point.t * start.slope)


def _bracket(
    evaluate: Evaluate, start: Point, t: float, most: int
) -> tuple[list[Point], int, bool]:
    """Two points around one that will do, or that one alone; the steps tried; is it the latter?"""
    before, new = start, evaluate(t)
    for tried in range(most):
        if _is_too_high(new, start) or (tried > 1 and new.loss >= before.loss):
            return [before, new], tried, False
        if abs(new.slope) <= -_CURVATURE * start.slope:
            return [new], tried, True
        if new.slope >= 0:
            return [before, new], tried, False
        bounds = (new.t + 0.01 * (new.t - before.t), new.t * 10)
        before, new = new, evaluate(interpolated(before, new, bounds))
    return [start, new], most, False


def _within(points: list[Point], t: float, too_near: bool) -> tuple[float, bool]:
    """``t``, moved inwards if it is at an end, or near one for the second time."""
    left, right = sorted((points[0].t, points[1].t))
    margin = 0.1 * (right - left)
    if min(right - t, t - left) >= margin:
        return t, False
    if not too_near and left < t < right:
        return t, True
    return (right - margin if abs(t - right) < abs(t - left) else left + margin), False


def interpolated(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic through two points and their slopes is least, within ``bounds``."""
    first, last = (a, b) if a.t <= b.t else (b, a)
    low, high = bounds or (first.t, last.t)
    middle = (low + high) / 2
    if a.t == b.t:
        return middle
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return middle
    d2 = math.sqrt(square)
    bend = last.slope - first.slope + 2 * d2
    if bend == 0:
        return middle
    least = last.t - (last.t - first.t) * ((last.slope + d2 - d1) / bend)
    return float(min(max(least, low), high))
