"""Lowering of connectionist temporal classification, as ``ops/loss.py`` defines it."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jax.scipy.special import logsumexp

from ...errors import DataError
from ...graph.node import Signature
from .rules import Checked, Rule, Value, with_attrs

_NEVER = -1e30  # the logarithm of 0


def _shifted(x: Value, by: int) -> Value:
    """Along the places: what is ``by`` before each (after it, where negative)."""
    room = jnp.full((x.shape[0], abs(by)), _NEVER, x.dtype)
    if by > 0:
        return jnp.concatenate([room, x], axis=1)[:, : x.shape[1]]
    return jnp.concatenate([x, room], axis=1)[:, -x.shape[1] :]


def _beginnings(emitted: Value, start: Value, skip: Value, times: Value) -> Value:
    """The log probability of all beginnings up to each step and place, ``[T + 1, N, S]``."""

    def step(before: Value, at: tuple[Value, Value]) -> tuple[Value, Value]:
        t, now = at
        near = jnp.logaddexp(before, _shifted(before, 1))
        after = jnp.logaddexp(near, _shifted(before, 2) + skip) + now
        after = jnp.where((t < times)[:, None], after, before)
        return after, after

    _, alphas = lax.scan(step, start, (jnp.arange(emitted.shape[0]), emitted))
    return jnp.concatenate([start[None], alphas])


def _endings(emitted: Value, skip: Value, end: Value, times: Value) -> Value:
    """Of all ends from after each step and place on, ``[T, N, S]``."""
    to = _shifted(skip, -2)  # from each place two further

    def step(beta: Value, at: tuple[Value, Value]) -> tuple[Value, Value]:
        t, now = at
        seen = beta + now
        before = jnp.logaddexp(jnp.logaddexp(seen, _shifted(seen, -1)), _shifted(seen, -2) + to)
        return jnp.where((t < times)[:, None], before, beta), beta

    _, betas = lax.scan(step, end, (jnp.arange(emitted.shape[0]), emitted), reverse=True)
    return betas


_LENGTHS, _LABEL = 0.25, 0.5  # which of them was wrong, in the fraction of its value


def _fault(x: Value, labels: Value, times: Value, sizes: Value) -> tuple[Value, Value]:
    """Is a length or a label out of range; and which is the first such?"""
    failed, first = jnp.zeros((), bool), jnp.zeros((), jnp.float64)
    counted = jnp.arange(labels.shape[1]) < sizes[:, None]
    for values, high, mark, where in (
        (times, x.shape[0], 0, True),
        (sizes, labels.shape[1], _LENGTHS, True),
        (labels, x.shape[2] - 1, _LABEL, counted),
    ):
        bad = ((values < 0) | (values > high)) & where
        if values.size:
            wrong = values.ravel()[jnp.argmax(bad.ravel())].astype(jnp.float64) + mark
            first = jnp.where(bad.any() & ~failed, wrong, first)
        failed |= bad.any()
    return failed, first


def _wrong(sig: Signature, wrong: float) -> tuple[type[Exception], str]:
    value, mark = int(wrong // 1), wrong % 1
    (steps, _, classes), most = sig.types[0].shape, sig.types[1].shape[1]
    if mark == _LABEL:
        return DataError, f"target {value} is none of the {classes} classes"
    name, high = ("target", most) if mark == _LENGTHS else ("input", steps)
    return DataError, f"{name}_lengths must be between 0 and {high}, not {value}"


def _tables(blank: int, x: Value, labels: Value, sizes: Value) -> tuple[Value, ...]:
    """Of each place the class, log probabilities, and where alignments begin, jump and end."""
    count, most = labels.shape
    inside = jnp.arange(most) < sizes[:, None]
    places = jnp.full((count, 2 * most + 1), blank)
    places = places.at[:, 1::2].set(jnp.where(inside, labels, blank))
    emitted = x.at[:, jnp.arange(count)[:, None], places].get(mode="clip")
    emitted = jnp.maximum(emitted, jnp.asarray(_NEVER, x.dtype))
    never, zero = jnp.asarray(_NEVER, x.dtype), jnp.zeros((), x.dtype)
    place = jnp.arange(places.shape[1])
    start = jnp.broadcast_to(jnp.where(place == 0, zero, never), places.shape)
    other = (places[:, 2:] != blank) & (places[:, 2:] != places[:, :-2])
    skip = jnp.full(places.shape, never).at[:, 2:].set(jnp.where(other, zero, never))
    last = 2 * sizes[:, None] - place
    end = jnp.where((last == 0) | (last == 1), zero, never)
    return places, emitted, start, skip, end


def _ctc_likelihood(blank: int, x: Value, labels: Value, times: Value, sizes: Value) -> Checked:
    _, emitted, start, skip, end = _tables(blank, x, labels, sizes)
    total = logsumexp(_beginnings(emitted, start, skip, times)[-1] + end, axis=1)
    return Checked(total, *_fault(x, labels, times, sizes))


def _ctc_occupancy(blank: int, x: Value, labels: Value, times: Value, sizes: Value) -> Checked:
    places, emitted, start, skip, end = _tables(blank, x, labels, sizes)
    alphas = _beginnings(emitted, start, skip, times)
    total = logsumexp(alphas[-1] + end, axis=1)[:, None]
    through = alphas[1:] + _endings(emitted, skip, end, times)
    counts = jnp.arange(emitted.shape[0])[:, None, None] < times[:, None]
    by_place = jnp.exp(jnp.where(counts & (total > _NEVER / 2), through - total, -jnp.inf))
    row = jnp.arange(labels.shape[0])[:, None]
    occupied = jnp.zeros_like(x).at[:, row, places].add(by_place, mode="drop")
    return Checked(occupied, *_fault(x, labels, times, sizes))


RULES: dict[str, Rule] = {
    "ctc_likelihood": with_attrs(_ctc_likelihood),
    "ctc_occupancy": with_attrs(_ctc_occupancy),
}

WORDS = dict.fromkeys(RULES, _wrong)
