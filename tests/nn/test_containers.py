"""Containers beyond what PyTorch shows (``test_module_parity.py`` has the rest)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

import weft
from weft import nn
from weft.errors import ShapeError

X = weft.ones(2, 3)


def kinds(layers: Any) -> list[str]:
    return [type(m).__name__ for m in layers]


def test_sequential_calls_in_order() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    assert net(X).tolist() == net[2](net[1](net[0](X))).tolist()
    assert nn.Sequential()(X) is X


def test_sequential_filled_with_add_module() -> None:
    net = nn.Sequential()
    net.add_module("fc1", nn.Linear(3, 2))
    net.add_module("fc2", nn.Linear(2, 1))
    assert list(net.state_dict()) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    assert net(X).shape == (2, 1)
    with pytest.raises(ShapeError, match=r"'fc2' \(Linear\) of Sequential"):
        net.insert(1, nn.Linear(2, 5))
        net._modules = OrderedDict(zip(["fc1", "new", "fc2"], list(net), strict=True))  # type: ignore[assignment]
        net(X)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s[5], IndexError, "index 5 is out of range: this Sequential has 2 members"),
        (lambda s: s.insert(7, nn.ReLU()), IndexError, "out of range: 7, in a Sequential of 2"),
        (lambda s: s.insert(0, nn.ReLU), TypeError, r"the class ReLU .* Make one: ReLU\("),
        (lambda s: s.append(weft.relu), TypeError, r"module '2' of Sequential: .*forward\(\)"),
        (lambda s: s.extend(3), TypeError, "Sequential.extend should be called with an iterable"),
        (lambda s: s.__add__([nn.ReLU()]), ValueError, r"Use append\(\) or extend\(\)"),
        (lambda s: s * 0, ValueError, "Non-positive multiplication factor 0"),
        (lambda s: s.__setitem__(0, 3), TypeError, "an int as module '0' of Sequential"),
    ],
)
def test_mistakes_with_sequential(change: Any, error: type[Exception], message: str) -> None:
    seq = nn.Sequential(nn.ReLU(), nn.Tanh())
    with pytest.raises(error, match=message):
        change(seq)
    assert kinds(seq) == ["ReLU", "Tanh"]
    assert list(seq._modules) == ["0", "1"]


def test_mistakes_with_module_list() -> None:
    layers = nn.ModuleList([nn.ReLU()])
    with pytest.raises(IndexError, match="index -2 is out of range: this ModuleList has 1 members"):
        layers[-2]
    with pytest.raises(TypeError, match="a list cannot be module '0' of ModuleList"):
        layers.insert(0, [nn.ReLU()])  # type: ignore[arg-type]
    assert kinds(layers) == ["ReLU"]


def test_module_list_is_of_use_at_once() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(3))

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = layer(x)
            return x

    net = Net()
    assert net(X).shape == (2, 3)
    assert len(list(net.parameters())) == 6
    net.layers.insert(1, nn.Identity())
    assert kinds(net.layers) == ["Linear", "Identity", "Linear", "Linear"]
    assert net(X).shape == (2, 3)


def test_module_dict_calls_under_its_names() -> None:
    heads = nn.ModuleDict({"a": nn.Linear(3, 1), "b": nn.Linear(4, 1)})

    class Net(nn.Module):
        def __init__(self) -> None:
            self.heads = heads

        def forward(self, x: Any) -> Any:
            return self.heads["a"](x) + self.heads["b"](x)

    with pytest.raises(ShapeError, match=r"'heads.b' \(Linear\) of Net"):
        Net()(X)


def test_parameter_lists_hold_other_things_too() -> None:
    ps = nn.ParameterList([weft.ones(2), 3, "word", nn.Parameter(weft.ones(1))])
    assert list(ps)[1:3] == [3, "word"]
    assert len(list(ps.parameters())) == 2
    assert repr(ps) == (
        "ParameterList(\n"
        "    (0): Parameter containing: [weft.float32 of size 2]\n"
        "    (1): Object of type: int\n"
        "    (2): Object of type: str\n"
        "    (3): Parameter containing: [weft.float32 of size 1]\n"
        ")"
    )
    with pytest.raises(RuntimeError, match=r"should not be called: use its members, params\[0\]"):
        ps(X)


def test_parameter_dict_mistakes() -> None:
    d = nn.ParameterDict({"w": weft.ones(1)})
    with pytest.raises(TypeError, match="are strings, not int 3: write '3'"):
        d[3] = weft.ones(1)  # type: ignore[index]
    with pytest.raises(KeyError, match=r"parameter name can't contain '.'"):
        d["a.b"] = weft.ones(1)
    with pytest.raises(KeyError, match="'keys' already exists: in ParameterDict it is a method"):
        d["keys"] = weft.ones(1)
    assert list(d) == ["w"]
    assert repr(d) == "ParameterDict(  (w): Parameter containing: [weft.float32 of size 1])"
    with pytest.raises(RuntimeError, match=r"use its members, params\['name'\]"):
        d(X)


def test_copies_of_containers_share_their_members() -> None:
    a = nn.Linear(3, 3)
    seq = nn.Sequential(a) * 2
    assert seq[0] is seq[1] is a
    assert len(list(seq.parameters())) == 2
    assert nn.ModuleList([a])[:][0] is a
