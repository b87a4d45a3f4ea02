"""Complex steps, which native code leaves to the reference, within programs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft

pytestmark = pytest.mark.usefixtures("native")


def test_programs_go_on_where_native_code_stops() -> None:
    """Real kernels around complex steps, again and again, give what the reference gives."""

    def step(x: Any, w: Any) -> Any:
        z = weft.complex(x.exp(), (x * 2).tanh())
        z = (z @ w).T[::2].reshape(-1)
        return (z * z.conj()).real.sum() + z.imag.relu().sum(), z

    compiled = weft.compile(step)
    for k in range(6):
        a = np.random.default_rng(k).normal(size=(4, 6)).astype(np.float32)
        x, w = weft.tensor(a), weft.tensor((a[:, :3].T @ a + 1j * a[:3]).T.astype(np.complex64))
        z = np.exp(a) + 1j * np.tanh(2 * a)
        z = (z @ w.numpy()).T[::2].reshape(-1)
        for function in (step, compiled):
            loss, out = function(x, w)
            assert np.allclose(out, z, rtol=1e-5)
            assert np.isclose(loss.item(), (np.abs(z) ** 2).sum() + z.imag.clip(0).sum(), rtol=1e-5)
    plan = weft.explain(lambda x: step(x, w), x)
    assert "reference  complex of [4, 6], [4, 6]" in plan
    assert "loop       [24]: exp, mul, tanh" in plan


def test_views_and_gradients() -> None:
    """Parts that lie within complex memory, read by real kernels."""
    for k in range(3):
        weft.manual_seed(k)
        z = weft.randn(3, 8, dtype=weft.complex64, requires_grad=True)
        spectrum = weft.fft.fft(z.exp()[:, ::2].T * 2)
        size = (spectrum.real.square() + spectrum.imag.square()).tanh()
        (g,) = weft.autograd.grad(size.sum() + z.real[1:].sigmoid().sum(), z)
        z2 = z.detach() - 0.1 * g
        z2.imag *= 2
        z2.real[0] = weft.view_as_real(z2)[1, :, 1].exp()
        assert np.isfinite(z2.abs()).all()
