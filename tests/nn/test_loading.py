"""``load_state_dict``: what does not fit is explained, and a load that fails changes nothing."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import weft
from weft import nn
from weft.errors import CheckpointError

X = weft.ones(2, 3)


def values(module: nn.Module) -> dict[str, Any]:
    return {k: v.tolist() for k, v in module.state_dict().items()}


def net_and_state() -> tuple[nn.Module, OrderedDict[str, Any]]:
    net = nn.Sequential(OrderedDict(enc=nn.Linear(2, 2), dec=nn.Linear(2, 1)))
    return net, OrderedDict((k, v + 1) for k, v in net.state_dict().items())


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (
            lambda s: {f"module.{k}": v for k, v in s.items()},
            [
                'Missing key(s) in state_dict: "enc.weight", "enc.bias"',
                'Unexpected key(s) in state_dict: "module.enc.weight"',
                "0 of the model's 4 keys are among the state_dict's 4",
                "keys begin with 'module.', the model's do not. Strip it: {k.removeprefix('module",
                "The model is as it was before",
            ],
        ),
        (
            lambda s: {f"a.b.{k}": v for k, v in s.items()} | {"epoch.n": s["enc.bias"]},
            ["begin with 'a.b.', the model's do not"],
        ),
        (
            lambda s: {"model": s, "epoch": 3},
            ["'model' holds a dict of tensors: pass checkpoint['"],
        ),
        (
            lambda s: {k.replace("dec.weight", "dec.wieght"): v for k, v in s.items()},
            ["'dec.wieght' may be the model's 'dec.weight'", "3 of the model's 4 keys"],
        ),
        (
            lambda s: s | {"dec.weight": weft.zeros(3, 3), "enc.bias": np.zeros(2)},
            [
                "size mismatch for dec.weight: copying a param with shape [3, 3] from checkpoint",
                "the shape in current model is [1, 2]",
                "received numpy.ndarray. Convert it, weft.from_numpy(x)",
            ],
        ),
        (lambda s: s | {f"x{k}": v for k in range(40) for v in [s["enc.bias"]]}, ["and 28 more"]),
    ],
)
def test_a_state_that_does_not_fit_is_explained_and_nothing_changes(
    change: Any, messages: list[str]
) -> None:
    net, state = net_and_state()
    before = values(net)
    with pytest.raises(CheckpointError) as raised:
        net.load_state_dict(change(dict(state)))
    for message in messages:
        assert message in str(raised.value)
    assert str(raised.value).startswith("Error(s) in loading state_dict for Sequential:\n\t")
    assert values(net) == before


def test_a_state_without_the_models_prefix() -> None:
    net, state = net_and_state()
    outer = nn.Sequential(OrderedDict(backbone=net))
    with pytest.raises(CheckpointError) as raised:
        outer.load_state_dict(state)
    assert "The model's keys begin with 'backbone.', the state_dict's do not" in str(raised.value)
    assert "model.get_submodule('backbone').load_state_dict(...)" in str(raised.value)


def test_a_wrong_shape_is_an_error_though_not_strict_and_nothing_changes() -> None:
    net, state = net_and_state()
    before = values(net)
    with pytest.raises(CheckpointError, match=r"size mismatch for dec.bias"):
        net.load_state_dict({**state, "dec.bias": weft.zeros(7)}, strict=False)
    assert values(net) == before


def test_loading_a_path() -> None:
    with pytest.raises(TypeError, match=r"got <class 'str'>: weft.load\(path\) reads one"):
        nn.ReLU().load_state_dict("model.safetensors")


def test_loading_little_is_reported() -> None:
    net, state = net_and_state()
    with pytest.warns(UserWarning, match=r"found 0 of the 4 keys of Sequential.*begin with 'm\.'"):
        keys = net.load_state_dict({f"m.{k}": v for k, v in state.items()}, strict=False)
    assert len(keys.missing_keys) == len(keys.unexpected_keys) == 4
    assert repr(keys).startswith("IncompatibleKeys(missing_keys=['enc.weight'")
    net.load_state_dict({k: v for k, v in state.items() if "weight" in k}, strict=False)
    assert net.dec.weight.tolist() == state["dec.weight"].tolist()


def test_keys_of_a_module_that_is_none_are_unexpected() -> None:
    net = nn.Sequential(nn.ReLU())
    net.add_module("gone", None)
    with pytest.raises(CheckpointError, match=r'Unexpected .*"gone.weight"'):
        net.load_state_dict({"gone.weight": X})


class Extra(nn.Module):
    """Keeps a word in its state and refuses a bad one."""

    def __init__(self) -> None:
        self.w = nn.Parameter(weft.zeros(1))
        self.word = "first"

    def get_extra_state(self) -> str:
        return self.word

    def set_extra_state(self, state: str) -> None:
        if state == "bad":
            raise ValueError("a bad word")
        self.word = state


@pytest.mark.parametrize("assign", [False, True])
def test_a_load_that_fails_half_way_is_undone(assign: bool) -> None:
    net = nn.Sequential(nn.Linear(2, 1), Extra())
    state = {k: v + 1 if isinstance(v, weft.Tensor) else "bad" for k, v in net.state_dict().items()}
    before, weight = values(net[0]), net[0].weight
    with pytest.raises(ValueError, match="a bad word"):
        net.load_state_dict(state, assign=assign)
    assert values(net[0]) == before
    assert net[0].weight is weight
    assert net[0].weight.requires_grad
    assert net[0].weight.is_leaf


def test_missing_keys_that_a_hook_does_not_accept_undo_the_load() -> None:
    net, state = net_and_state()
    seen: list[Any] = []
    net.register_load_state_dict_post_hook(lambda m, keys: seen.append(m.enc.bias.tolist()))
    before = values(net)
    del state["dec.bias"]
    with pytest.raises(CheckpointError, match=r'Missing key.*"dec.bias"'):
        net.load_state_dict(state)
    assert seen == [state["enc.bias"].tolist()]  # the hook saw the new values
    assert values(net) == before


def test_a_subclass_that_loads_by_itself_is_undone_too() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            self.w = nn.Parameter(weft.zeros(1))

        def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
            with weft.no_grad():
                self.w.copy_(state[prefix + "w"])

    net = nn.Sequential(Own(), nn.Linear(1, 1))
    with pytest.raises(CheckpointError, match="Missing"):
        net.load_state_dict({"0.w": weft.ones(1)})
    assert net[0].w.tolist() == [0.0]


def test_a_module_may_load_its_own_part_directly() -> None:
    net = nn.Linear(2, 1)
    lists: tuple[list[str], list[str], list[str]] = ([], [], [])
    net._load_from_state_dict({"p.weight": weft.ones(1, 2)}, "p.", {}, True, *lists)
    assert net.weight.tolist() == [[1.0, 1.0]]
    assert lists == (["p.bias"], [], [])


def test_positional_arguments_of_state_dict_still_work() -> None:
    given: dict[str, Any] = {}
    with pytest.warns(FutureWarning, match="Positional args"):
        assert nn.Linear(2, 1).state_dict(given, "p.", True) is given
    assert given["p.weight"].requires_grad


def test_statistics_from_before_batches_were_counted() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.InstanceNorm1d(2, track_running_stats=True))
    state = {k: v for k, v in model.state_dict().items() if not k.endswith("tracked")}
    state = {k: v.clone() for k, v in state.items()}
    model(weft.randn(3, 2, 4))
    assert model.load_state_dict(state) == ([], [])
    assert model[0].num_batches_tracked == 1
    assert model[0].running_mean.tolist() == [0, 0]
