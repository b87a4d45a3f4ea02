"""The benchmark of layers: its cases can be made, and a step leaves gradients."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import weft
from benchmarks import layers
from weft import nn


@pytest.mark.parametrize("name", layers.CASES)
def test_cases_name_layers_and_inputs(name: str) -> None:
    make, inputs = layers.CASES[name]
    layer = make(nn)
    forward = layer.forward if isinstance(layer, nn.Module) else layer
    inspect.signature(forward).bind(*inputs)
    assert all(callable(each) for each in inputs)


@pytest.mark.parametrize("name", ["GLU", "Embedding", "TripletMarginLoss"])
def test_a_step_leaves_gradients(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    original = layers.tensor
    monkeypatch.setattr(layers, "tensor", lambda *a: seen.append(original(*a)) or seen[-1])
    step = layers.step_of(weft, name)
    step()
    grads = [x.grad for x in seen if x.requires_grad]
    assert all(g is not None and np.isfinite(g.numpy()).all() for g in grads)
    assert layers.measured(step, 0.0) > 0
