"""Lowering of connectionist temporal classification, as ``ops/loss.py`` defines it."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jax.scipy.special import logsumexp

from .rules import Rule, Value, plain

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


def _ctc_likelihood(emitted: Value, start: Value, skip: Value, end: Value, times: Value) -> Value:
    return logsumexp(_beginnings(emitted, start, skip, times)[-1] + end, axis=1)


def _ctc_occupancy(emitted: Value, start: Value, skip: Value, end: Value, times: Value) -> Value:
    alphas = _beginnings(emitted, start, skip, times)
    total = logsumexp(alphas[-1] + end, axis=1)[:, None]
    through = alphas[1:] + _endings(emitted, skip, end, times)
    counts = jnp.arange(emitted.shape[0])[:, None, None] < times[:, None]
    return jnp.exp(jnp.where(counts & (total > _NEVER / 2), through - total, -jnp.inf))


RULES: dict[str, Rule] = {
    "ctc_likelihood": plain(_ctc_likelihood),
    "ctc_occupancy": plain(_ctc_occupancy),
}
