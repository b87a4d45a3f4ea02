"""Complex numbers on XLA: programs that are repeated, and training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="computes by JAX: pip install 'weft[xla]'")

import weft


def trained(device: str, compiled: bool) -> list[Any]:
    """A filter in the frequency domain, whose complex coefficients are learned."""
    draw = np.random.default_rng(0)
    x = weft.tensor(draw.normal(size=(4, 16)).astype(np.float32), device=device)
    wanted = weft.tensor(draw.normal(size=(4, 16)).astype(np.float32), device=device)
    start = draw.normal(size=9) + 1j * draw.normal(size=9)
    w = weft.tensor(start.astype(np.complex64), device=device, requires_grad=True)
    optimizer = weft.optim.Adam([w], lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        y = weft.fft.irfft(weft.fft.rfft(x) * w * (1 + 0.5j), 16)
        loss = ((y - wanted) ** 2).mean() + (w * w.conj()).real.sum() * 0.01
        loss.backward()
        optimizer.step()
        return loss

    call = weft.compile(step) if compiled else step
    losses = [call(x).item() for _ in range(8)]
    assert losses[-1] < losses[0]
    return [losses, w.detach().cpu().numpy()]


@pytest.mark.parametrize("compiled", [False, True])
def test_training_is_that_of_the_cpu(compiled: bool) -> None:
    found, wanted = (trained(device, compiled) for device in ("xla:cpu", "cpu"))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(trained("cpu", True)[1], trained("cpu", False)[1], rtol=1e-4)
