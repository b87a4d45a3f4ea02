"""What weft's modules have that PyTorch's do not: ``summary``, ``device``, ``dtype``."""

from __future__ import annotations

from typing import Any

import pytest

import weft
from weft import nn
from weft.engine.realize import Stats
from weft.nn.parameter import Buffer


class Net(nn.Module):
    def __init__(self) -> None:
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 5, groups=3), nn.BatchNorm2d(6), nn.MaxPool2d(2), nn.Dropout()
        )
        self.head = nn.Linear(6, 10)
        self.spare = nn.Linear(2, 2).requires_grad_(False)

    def forward(self, x: Any, twice: bool = False) -> Any:
        y = self.head(self.features(x).flatten(1))
        return (y, {"again": self.head(self.features(x).flatten(1))}) if twice else y


def test_numbers() -> None:
    rows = {r.path: r for r in Net().summary(weft.zeros(4, 3, 6, 6)).rows}
    assert list(rows) == [
        "", "features", "features.0", "features.1", "features.2", "features.3", "head", "spare"
    ]  # fmt: skip
    assert rows["features.0"].output == "[4, 6, 2, 2]"
    assert rows["features.0"].parameters == 6 * 25 + 6
    assert rows["features.0"].flops == 2 * 96 * 25 + 96  # products and bias
    assert rows["head"].flops == 2 * 40 * 6 + 40
    assert rows["spare"].output is None
    assert rows["spare"].flops == 0
    assert rows[""].parameters == 156 + 12 + 70 + 6
    parts = [rows[p].flops for p in ("features", "head")]
    assert rows[""].flops == sum(parts)  # type: ignore[arg-type]


def test_totals_and_calls() -> None:
    model = Net()
    summary = model.summary(weft.zeros(4, 3, 6, 6), twice=True)
    assert summary.rows[0].output == "([4, 10], {again: [4, 10]})"
    assert {r.path: r.calls for r in summary.rows}["head"] == 2
    assert "head: Linear (2 calls)" in str(summary)
    assert summary.parameters == summary.trainable + 6
    assert "of them not trained: 6" in str(summary)
    assert summary.parameter_bytes == 4 * summary.parameters
    assert summary.buffer_bytes == 2 * 6 * 4 + 8


def test_what_is_kept_for_backward() -> None:
    x = weft.zeros(32, 5)
    model = nn.Sequential(nn.Linear(5, 7), nn.Sigmoid(), nn.Flatten(), nn.Linear(7, 3))
    assert model.summary(x).backward_bytes == 32 * 7 * 4  # the sigmoid's result, which both read
    with weft.no_grad():
        assert model.summary(x).backward_bytes == 0


def test_nothing_is_computed_or_changed() -> None:
    model, x = Net(), weft.zeros(4, 3, 6, 6)
    x.tolist()
    state = {k: v.tolist() for k, v in model.state_dict().items()}
    weft.manual_seed(0)
    wanted = weft.rand(2).tolist()
    weft.manual_seed(0)
    runs = Stats.runs
    model.summary(x)
    assert Stats.runs == runs
    assert weft.rand(2).tolist() == wanted
    assert {k: v.tolist() for k, v in model.state_dict().items()} == state
    assert not any(m._forward_hooks for m in model.modules())
    with pytest.raises(weft.errors.ShapeError, match="features"):
        model.summary(weft.zeros(4, 2, 6, 6))
    assert not any(m._forward_hooks for m in model.modules())
    assert {k: v.tolist() for k, v in model.state_dict().items()} == state


def test_a_forward_that_asks_for_a_value() -> None:
    class Asks(nn.Module):
        def __init__(self) -> None:
            self.fc = nn.Linear(2, 2)

        def forward(self, x: Any) -> Any:
            return self.fc(x) if self.fc(x).sum().item() > 1e9 else x

    summary = Asks().summary(weft.ones(1, 2))
    assert summary.flops is None
    assert summary.backward_bytes is None
    assert summary.parameters == 6
    assert "?" in str(summary)


def test_the_table() -> None:
    lines = str(Net().summary(weft.zeros(4, 3, 6, 6))).splitlines()
    end = lines[0].index("output")
    assert [line[:end].rstrip() for line in lines[1:9]] == [
        "Net",
        "├── features: Sequential",
        "│   ├── 0: Conv2d",
        "│   ├── 1: BatchNorm2d",
        "│   ├── 2: MaxPool2d",
        "│   └── 3: Dropout",
        "├── head: Linear",
        "└── spare: Linear",
    ]
    assert len({len(line) for line in lines[:9]}) == 1


def test_device_and_dtype() -> None:
    model = Net()
    assert str(model.device) == "cpu"
    assert model.dtype is weft.float32
    assert model.double().dtype is weft.float64
    model.head.float()
    with pytest.raises(
        AttributeError, match=r"'features.0.weight' has weft.float64, 'head.weight'"
    ):
        _ = model.dtype
    with pytest.raises(AttributeError, match="ReLU has no dtype: it has no parameters"):
        _ = nn.ReLU().dtype
    assert getattr(nn.ReLU(), "device", None) is None
    assert {"summary", "device", "dtype"} <= set(dir(model))


def test_a_model_may_use_these_names() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            self.device = "tpu"
            self.summary = nn.Linear(2, 3)
            self.register_buffer("dtype", weft.zeros(1))

        def forward(self, x: Any) -> Any:
            return self.summary(x)

    model = Own()
    assert model.device == "tpu"
    assert model(weft.ones(1, 2)).shape == (1, 3)
    assert model.dtype.tolist() == [0]
    assert list(model.state_dict()) == ["dtype", "summary.weight", "summary.bias"]

    class Property(nn.Module):
        @property
        def device(self) -> str:
            return "mine"

    assert Property().device == "mine"
    other = nn.Module()
    other.device = Buffer(weft.ones(2))
    assert other.device.tolist() == [1, 1]
    other.add_module("summary", nn.ReLU())
    assert isinstance(other.summary, nn.ReLU)
    with pytest.raises(KeyError, match="'device' already exists"):
        other.add_module("device", nn.ReLU())
