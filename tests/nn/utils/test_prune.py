"""Pruning, beside PyTorch."""

from __future__ import annotations

import copy
import importlib
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import weft
from weft import nn
from weft.nn.utils import prune

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
importlib.import_module("torch.nn.utils.prune")  # PyTorch does so only when asked to

pytestmark = pytest.mark.parity

METHODS: dict[str, Any] = {
    "l1": lambda p, m, k: p.l1_unstructured(m, "weight", k),
    "ln 1": lambda p, m, k: p.ln_structured(m, "weight", k, n=1, dim=0),
    "ln 2": lambda p, m, k: p.ln_structured(m, "weight", k, n=2, dim=-1),
    "ln inf": lambda p, m, k: p.ln_structured(m, "weight", k, n=float("inf"), dim=1),
    "identity": lambda p, m, k: p.identity(m, "weight"),
}


def pair(seed: int = 0) -> tuple[Any, Any]:
    """A convolution of each library with the same weights."""
    theirs, ours = torch.nn.Conv1d(6, 5, 3), nn.Conv1d(6, 5, 3)
    draw = np.random.default_rng(seed)
    for name, p in ours.named_parameters():
        value = draw.normal(size=tuple(p.shape)).astype("f4")
        p.data = weft.from_numpy(value)
        getattr(theirs, name).data = torch.from_numpy(value)
    return theirs, ours


def assert_same_state(theirs: Any, ours: Any) -> None:
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    for name, value in ours.state_dict().items():
        np.testing.assert_allclose(value.numpy(), state[name].numpy(), 1e-5, 1e-6, err_msg=name)
    np.testing.assert_allclose(
        ours.weight.detach().numpy(), theirs.weight.detach().numpy(), 1e-5, 1e-6
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(METHODS)), st.sampled_from([0.0, 0.2, 0.5, 1, 2])),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 100),
)
def test_one_after_the_other(steps: list[tuple[str, float]], seed: int) -> None:
    theirs, ours = pair(seed)
    x = np.random.default_rng(seed).normal(size=(2, 6, 4)).astype("f4")
    for name, amount in steps:
        results = []
        for utils, module in ((torch.nn.utils, theirs), (nn.utils, ours)):
            try:
                METHODS[name](utils.prune, module, amount)
                results.append("done")
            except ValueError as error:  # more than what is left
                results.append(str(error))
        assert results[0] == results[1]
        if results[0] != "done":
            return  # PyTorch has lost its hook by now; ours is as it was
        assert_same_state(theirs, ours)
        for lib, module in ((torch, theirs), (weft, ours)):
            module.zero_grad()
            module(lib.from_numpy(x)).sum().backward()
        for (key, p), (_, q) in zip(
            theirs.named_parameters(), ours.named_parameters(), strict=True
        ):
            np.testing.assert_allclose(q.grad.numpy(), p.grad.numpy(), 1e-4, 1e-5, err_msg=key)
    assert prune.is_pruned(ours)
    torch.nn.utils.prune.remove(theirs, "weight")
    prune.remove(ours, "weight")
    assert_same_state(theirs, ours)
    assert not prune.is_pruned(nn.Sequential(ours))
    assert not ours._forward_pre_hooks


def test_a_failure_changes_nothing() -> None:
    _, layer = pair()
    prune.l1_unstructured(layer, "weight", 80)
    hooks, mask = list(layer._forward_pre_hooks), layer.weight_mask.tolist()
    with pytest.raises(ValueError, match="amount=20 should be smaller"):
        prune.l1_unstructured(layer, "weight", 20)
    assert list(layer._forward_pre_hooks) == hooks
    assert layer.weight_mask.tolist() == mask
    with pytest.raises(ValueError, match="multidimensional"):
        prune.ln_structured(layer, "bias", 1, n=2, dim=0)
    with pytest.raises(weft.errors.ShapeError, match=r"\[5, 6, 3\], not \[2\]"):
        prune.l1_unstructured(layer, "weight", 1, importance_scores=weft.ones(2))
    assert "bias" in layer._parameters


def test_global_and_custom() -> None:
    (a, b), (c, d) = pair(1), pair(2)
    for lib, one, two in ((torch, a, c), (weft, b, d)):
        p = lib.nn.utils.prune
        mask = lib.ones(5, 6, 3)
        mask[0] = 0
        p.custom_from_mask(one, "weight", mask)
        p.global_unstructured(
            [(one, "weight"), (two, "weight"), (two, "bias")],
            p.L1Unstructured,
            {(two, "bias"): lib.zeros(5)},
            amount=0.4,
        )
        assert two.bias.tolist() == [0.0] * 5
        with pytest.raises(TypeError, match="unstructured"):
            p.global_unstructured([(one, "weight")], p.LnStructured, amount=1, n=2)
    assert_same_state(a, b)
    assert_same_state(c, d)


def test_random() -> None:
    weft.manual_seed(0)
    _, layer = pair()
    prune.random_unstructured(layer, "weight", 0.5)
    assert (layer.weight_mask == 0).sum().item() == 45
    prune.random_structured(layer, "weight", 2, dim=0)
    assert (layer.weight_mask.sum((1, 2)) == 0).sum().item() == 2
    assert len(next(iter(layer._forward_pre_hooks.values()))) == 2


def test_importance_scores_and_prune() -> None:
    for lib in (torch, weft):
        p = lib.nn.utils.prune
        x = lib.tensor([1.0, 2.0, 3.0, 4.0])
        method = p.L1Unstructured(2)
        assert method.prune(x).tolist() == [0, 0, 3, 4]
        assert method.prune(x, importance_scores=-lib.tensor([4.0, 3, 0, 0])).tolist() == [
            1,
            2,
            0,
            0,
        ]
        layer = lib.nn.Linear(4, 1)
        p.l1_unstructured(layer, "weight", 2, importance_scores=lib.tensor([[4.0, 0, 3, 0]]))
        assert layer.weight_mask.tolist() == [[1, 0, 1, 0]]


@pytest.mark.parametrize("amount", [-1, 1.5, -0.1, "half"])
def test_amounts(amount: Any) -> None:
    for lib in (torch, weft):
        with pytest.raises((ValueError, TypeError), match="amount"):
            lib.nn.utils.prune.L1Unstructured(amount)
    for lib in (torch, weft):
        with pytest.raises(ValueError, match="has to be pruned"):
            lib.nn.utils.prune.remove(lib.nn.Linear(1, 1), "weight")


def test_copies() -> None:
    """The weight is computed, and a copy has it without its history."""
    _, layer = pair()
    prune.l1_unstructured(layer, "weight", 0.5)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert twin.weight.tolist() == layer.weight.tolist()
        assert not twin.weight.requires_grad
        twin(weft.ones(1, 6, 4)).sum().backward()
        assert twin.weight_orig.grad is not None
        assert layer.weight_orig.grad is None
        assert layer.weight.requires_grad
        prune.remove(twin, "weight")
        assert prune.is_pruned(layer)
