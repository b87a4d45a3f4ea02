"""Low-rank adapters: they start as nothing, learn alone, merge, and are saved alone."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from weft import models, nn, optim
from weft.errors import CheckpointError, GradientError
from weft.nn import lora


@pytest.fixture(autouse=True)
def seed() -> None:
    weft.manual_seed(0)


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))


def trained(model: nn.Module, steps: int = 5) -> None:
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = optim.SGD(learning, lr=0.1)
    x, y = weft.randn(16, 4), weft.randn(16, 2)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()


X = weft.randn(6, 4)


def test_only_the_adapters_learn() -> None:
    model = net()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    wanted = model(X).detach()
    assert lora.add(model, ["0", "4"], rank=3, alpha=6.0) == ["0", "4"]
    assert weft.equal(model(X), wanted)  # B is zero
    learning = {n: tuple(p.shape) for n, p in model.named_parameters() if p.requires_grad}
    assert learning == {
        "0.lora.A": (3, 4), "0.lora.B": (8, 3), "4.lora.A": (3, 8), "4.lora.B": (2, 3),
    }  # fmt: skip
    trained(model)
    assert all(weft.equal(v, before[k]) for k, v in model.state_dict().items() if k in before)
    assert not weft.equal(model(X), wanted)
    assert "(lora): LoRA(rank=3, alpha=6.0, dropout=0.0)" in repr(model)


def test_it_is_the_papers_formula() -> None:
    layer = nn.Linear(4, 3)
    lora.add(layer, "", rank=2, alpha=5.0)
    nn.init.normal_(layer.lora.B)
    weight = layer.weight + 5.0 / 2 * layer.lora.B @ layer.lora.A
    wanted = nn.functional.linear(X, weight, layer.bias)
    np.testing.assert_allclose(layer(X).detach(), wanted.detach(), rtol=1e-5, atol=1e-6)


def test_merged_weights_give_the_same_and_go_back() -> None:
    model = net()
    lora.add(model, "*", rank=2)  # all linear layers
    trained(model)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    wanted = model(X).detach()
    lora.merge(model)
    lora.merge(model)  # changes nothing more
    np.testing.assert_allclose(model(X).detach(), wanted, rtol=1e-4, atol=1e-6)
    assert not weft.equal(model[0].weight, before["0.weight"])
    with pytest.raises(GradientError):
        model(X).sum().backward()  # nothing learns while merged
    lora.unmerge(model)
    assert all(weft.equal(v, before[k]) for k, v in model.state_dict().items())
    assert weft.equal(model(X), wanted)
    trained(model, 1)


def test_removed_adapters() -> None:
    model = net()
    plain = copy.deepcopy(model)
    lora.add(model, "0")
    nn.init.normal_(model[0].lora.B)
    y = model(X).detach()
    merged = copy.deepcopy(model)
    lora.merge(merged)
    lora.remove(merged)
    lora.remove(model)
    assert weft.equal(model(X), plain(X))
    np.testing.assert_allclose(merged(X).detach(), y, rtol=1e-4, atol=1e-5)
    assert list(merged.state_dict()) == list(plain.state_dict())
    assert repr(model) == repr(plain)
    with pytest.raises(ValueError, match=r"has no adapters: make them with nn.lora.add"):
        lora.merge(model)


def test_adapters_are_saved_alone(tmp_path: Path) -> None:
    model, other = net(), net()
    other.load_state_dict(model.state_dict())
    lora.add(model, ["0", "2"], rank=2)
    trained(model)
    path = tmp_path / "adapters.safetensors"
    weft.save(lora.state_dict(model), path)
    assert list(lora.state_dict(model)) == ["0.lora.A", "0.lora.B", "2.lora.A", "2.lora.B"]
    lora.add(other, ["0", "2"], rank=2)
    lora.load_state_dict(other, weft.load(path))
    assert weft.equal(other(X), model(X))
    before = lora.state_dict(other)["0.lora.A"].clone()
    for change, message in (
        (lambda s: s.pop("2.lora.B"), "missing 2.lora.B: the adapters must be made as those"),
        (lambda s: s.update(odd=X), "unexpected odd"),
        (lambda s: s.update({"2.lora.B": weft.zeros(8, 3)}), r"\[8, 3\]"),
    ):
        state = {k: v + 1 for k, v in lora.state_dict(model).items()}
        change(state)
        with pytest.raises(CheckpointError, match=message):
            lora.load_state_dict(other, state)
        assert weft.equal(lora.state_dict(other)["0.lora.A"], before)
    lora.merge(other)
    with pytest.raises(ValueError, match="the adapters are merged: unmerge them first"):
        lora.load_state_dict(other, lora.state_dict(model))


def test_state_dicts_of_the_model_still_fit() -> None:
    model, state = net(), net().state_dict()
    lora.add(model, "0")
    keys = model.load_state_dict(state, strict=False)
    assert keys.missing_keys == ["0.lora.A", "0.lora.B"]
    assert not keys.unexpected_keys


def test_adding_more_keeps_the_earlier_ones_learning() -> None:
    model = net()
    lora.add(model, "0")
    lora.add(model, "2")
    assert {n[:6] for n, p in model.named_parameters() if p.requires_grad} == {"0.lora", "2.lora"}


def test_gpt2_with_weights_that_lie_the_other_way_round() -> None:
    model = models.GPT2(31, 16, 12, 2, 3, dropout=0.0)
    names = lora.add(model, "*.c_attn", rank=2)
    assert names == ["transformer.h.0.attn.c_attn", "transformer.h.1.attn.c_attn"]
    for p in lora.state_dict(model).values():
        nn.init.normal_(p)
    tokens = weft.tensor([[3, 1, 4, 1, 5]])
    wanted = model(tokens).detach()
    lora.merge(model)
    np.testing.assert_allclose(model(tokens).detach(), wanted, rtol=1e-3, atol=1e-5)
    lora.unmerge(model)
    assert weft.equal(model(tokens), wanted)
    lora.add(model, "lm_head")
    with pytest.raises(ValueError, match=r"'lm_head' shares its weight with 'transformer.wte'"):
        lora.merge(model)


def test_dropout_is_of_the_adapters_input_only() -> None:
    layer = nn.Linear(4, 3)
    plain = layer(X).detach()
    lora.add(layer, "", rank=2, dropout=0.5)
    nn.init.normal_(layer.lora.B)
    assert not weft.equal(layer(X), layer(X))
    nn.init.zeros_(layer.lora.B)
    assert weft.equal(layer(X), plain)


def test_copies_are_independent() -> None:
    model = net()
    lora.add(model, "0")
    twin, weight = copy.deepcopy(model), model[0].weight.detach().clone()
    nn.init.normal_(twin[0].lora.B)
    assert not weft.equal(twin(X), model(X))
    lora.merge(twin)
    assert weft.equal(model[0].weight, weight)
    assert model[0].lora.A.requires_grad


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2)
        self.conv = nn.Conv1d(4, 4, 1)
        self.fc = nn.Linear(4, 4)


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        ("fcc", ValueError, r"no layer has a name like 'fcc'\. Did you mean 'fc'"),
        ("conv", TypeError, "'conv' is a Conv1d, but adapters are for linear layers"),
        ("attention.out_proj", TypeError, "is not called but read by its MultiheadAttention"),
    ],
)
def test_what_cannot_be_adapted(targets: Any, error: type[Exception], message: str) -> None:
    model = Encoder()
    with pytest.raises(error, match=message):
        lora.add(model, ["fc", targets])
    assert all(p.requires_grad for p in model.parameters())
    assert not hasattr(model.fc, "lora")
    with pytest.raises(ValueError, match="LoRA: rank must be positive"):
        lora.add(model, "fc", rank=0)
    assert all(p.requires_grad for p in model.parameters())
    lora.add(model, "fc")
    with pytest.raises(ValueError, match="'fc' has an adapter"):
        lora.add(model, "fc")
