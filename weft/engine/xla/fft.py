"""Lowering of Fourier transforms."""

from __future__ import annotations

import jax.numpy as jnp

from .rules import Rule, Value, with_attrs


def _fft(attrs: tuple[int, bool], x: Value) -> Value:
    dim, inverse = attrs
    if inverse:
        return jnp.fft.ifft(x, axis=dim, norm="forward")
    return jnp.fft.fft(x, axis=dim)


def _irfft(attrs: tuple[int, int], x: Value) -> Value:
    dim, n = attrs
    return jnp.fft.irfft(x, n, axis=dim, norm="forward")


RULES: dict[str, Rule] = {
    "fft": with_attrs(_fft),
    "rfft": with_attrs(lambda dim, x: jnp.fft.rfft(x, axis=dim)),
    "irfft": with_attrs(_irfft),
}
