"""Names of PyTorch that public code asks for, and that stand for what weft has otherwise."""

from __future__ import annotations

import numpy as np
import pytest

import weft
from weft.utils.checkpoint import get_device_states, set_device_states

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")

OF_TWO = {"logsumexp": (0,), "softmax": (0,), "log_softmax": (0,)}


@pytest.mark.parity
@pytest.mark.parametrize("name", weft.special.__all__)
def test_special_functions(name: str) -> None:
    values = np.array([0.2, 0.5, 0.9]) + (2 if name == "multigammaln" else 0)
    results = []
    for t in (weft, torch):
        x = t.tensor(values)
        arguments = {"polygamma": (1, x), "multigammaln": (x, 2), "xlogy": (x, x * 2)}
        given = arguments.get(name, (x, *OF_TWO.get(name, ())))
        results.append(getattr(t.special, name)(*given).numpy())
    np.testing.assert_allclose(*results, rtol=1e-6)


def test_deterministic_algorithms() -> None:
    assert not weft.are_deterministic_algorithms_enabled()
    weft.use_deterministic_algorithms(True, warn_only=True)
    try:
        assert weft.are_deterministic_algorithms_enabled()
    finally:
        weft.use_deterministic_algorithms(False)


def test_assert_as_a_function() -> None:
    weft._assert(weft.tensor(1) == 1, "never said")
    with pytest.raises(AssertionError, match=r"^must be square$"):
        weft._assert(False, "must be square")


def test_the_stream_is_restored_as_reversible_layers_do() -> None:
    weft.manual_seed(1)
    state, (devices, states) = weft.get_rng_state(), get_device_states(weft.ones(2))
    first = weft.rand(3)
    with weft.random.fork_rng(devices=devices, enabled=True):
        weft.set_rng_state(state)
        set_device_states(devices, states)
        again = weft.rand(3)
    assert weft.equal(first, again)


def test_svd_of_old_gives_v_not_its_transpose() -> None:
    a = weft.randn(4, 3, dtype=weft.float64)
    u, s, v = weft.svd(a)
    assert [tuple(m.shape) for m in (u, s, v)] == [(4, 3), (3,), (3, 3)]
    np.testing.assert_allclose((u @ weft.diag(s) @ v.mT).numpy(), a.numpy(), atol=1e-12)
    full = torch.svd(torch.from_numpy(a.numpy()), some=False)
    assert [tuple(m.shape) for m in weft.svd(a, some=False)] == [tuple(m.shape) for m in full]
    np.testing.assert_allclose(s.numpy(), full.S.numpy())
