"""What all optimisers have in common: groups, state, hooks, mistakes."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import weft
from weft import nn, optim
from weft.optim import SGD, Adam


def _param(*values: float) -> Any:
    return weft.tensor(list(values), requires_grad=True)


def test_groups_have_options_of_their_own() -> None:
    a, b = _param(1.0), _param(1.0)
    optimiser = SGD([{"params": [a]}, {"params": b, "lr": 1.0}], lr=0.1)
    (a + b).sum().backward()
    optimiser.step()
    assert a.item() == pytest.approx(0.9)
    assert b.item() == pytest.approx(0.0)
    c = _param(2.0)
    optimiser.add_param_group({"params": [c], "lr": 0.5})
    c.sum().backward()
    optimiser.step()
    assert c.item() == pytest.approx(1.5)


def test_named_parameters_are_taken() -> None:
    model = nn.Linear(2, 1)
    optimiser = SGD(model.named_parameters(), lr=0.1)
    assert optimiser.param_groups[0]["param_names"] == ["weight", "bias"]


def test_a_module_is_taken() -> None:
    model = nn.Linear(2, 1)
    optimiser = SGD(model, lr=0.1)
    assert optimiser.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimiser.param_groups[0]["params"] == list(model.parameters())
    with pytest.raises(ValueError, match="no parameters"):
        SGD(nn.Flatten(), lr=0.1)


def test_zero_grad() -> None:
    a = _param(1.0, 2.0)
    optimiser = SGD([a], lr=0.1)
    (a * a).sum().backward()
    optimiser.zero_grad(set_to_none=False)
    assert a.grad.tolist() == [0.0, 0.0]
    optimiser.zero_grad()
    assert a.grad is None


def test_parameters_without_gradient_stay() -> None:
    a, b = _param(1.0), _param(1.0)
    optimiser = Adam([a, b], lr=0.1)
    a.sum().backward()
    optimiser.step()
    assert b.item() == 1.0
    assert list(optimiser.state) == [a]


def test_closure() -> None:
    a = _param(3.0)
    optimiser = SGD([a], lr=0.1)

    def closure() -> Any:
        optimiser.zero_grad()
        loss = (a * a).sum()
        loss.backward()
        return loss

    assert optimiser.step(closure).item() == pytest.approx(9.0)
    assert a.item() == pytest.approx(2.4)


STEADY = [
    optim.ASGD,
    optim.Adadelta,
    optim.Adafactor,
    optim.Adagrad,
    optim.Adam,
    optim.Adamax,
    optim.NAdam,
    optim.RAdam,
    optim.RMSprop,
    optim.Rprop,
    SGD,
]


@pytest.mark.parametrize("method", STEADY)
def test_a_changed_learning_rate_builds_no_program(method: Any) -> None:
    from weft.engine.realize import Stats

    a = _param(1.0, 2.0)
    optimiser = method([a], lr=0.1)

    def step() -> None:
        optimiser.zero_grad()
        (a * a).sum().backward()
        optimiser.step()

    for _ in range(3):
        step()
    built = Stats.built
    for k in range(5):
        optimiser.param_groups[0]["lr"] = 0.1 / (k + 2)
        step()
    assert Stats.built == built


def test_hooks_around_a_step() -> None:
    a = _param(1.0)
    optimiser = SGD([a], lr=0.1)
    a.sum().backward()
    calls: list[str] = []
    before = optimiser.register_step_pre_hook(lambda o, args, kwargs: calls.append("before"))
    optimiser.register_step_post_hook(lambda o, args, kwargs: calls.append("after"))
    optimiser.step()
    before.remove()
    optimiser.step()
    assert calls == ["before", "after", "after"]


def test_hooks_around_saving_and_loading() -> None:
    a = _param(1.0)
    optimiser = SGD([a], lr=0.1)
    calls: list[str] = []
    optimiser.register_state_dict_pre_hook(lambda o: calls.append("save"))
    optimiser.register_state_dict_pre_hook(lambda o: calls.append("save first"), prepend=True)
    optimiser.register_state_dict_post_hook(lambda o, saved: {**saved, "note": 1})
    handle = optimiser.register_load_state_dict_pre_hook(
        lambda o, saved: saved.pop("note") and None
    )
    optimiser.register_load_state_dict_post_hook(lambda o: calls.append("loaded"))
    saved = optimiser.state_dict()
    assert saved["note"] == 1
    optimiser.load_state_dict(saved)
    assert saved["note"] == 1, "a hook gets a copy"
    assert calls == ["save first", "save", "loaded"]
    handle.remove()
    optimiser.register_load_state_dict_pre_hook(lambda o, saved: optimiser_state(0.7))
    optimiser.load_state_dict({})
    assert optimiser.param_groups[0]["lr"] == 0.7


def optimiser_state(lr: float) -> dict[str, Any]:
    return SGD([_param(1.0)], lr=lr).state_dict()


def test_pickle_and_deepcopy() -> None:
    a = _param(1.0)
    optimiser = SGD([a], lr=0.1, momentum=0.9)
    a.sum().backward()
    optimiser.step()
    for copied in (copy.deepcopy(optimiser), pickle.loads(pickle.dumps(optimiser))):
        (p,) = copied.param_groups[0]["params"]
        assert p is not a
        assert copied.state[p]["momentum_buffer"].tolist() == [1.0]
        copied.step()
        assert a.item() == pytest.approx(0.9)


def test_repr_lists_the_options() -> None:
    text = repr(SGD([_param(1.0)], lr=0.25))
    assert text.startswith("SGD (\nParameter Group 0\n")
    assert "    lr: 0.25\n" in text


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD([], lr=0.1), ValueError, "no parameters.*ModuleList"),
        (lambda: SGD(_param(1.0), lr=0.1), TypeError, r"list of parameters.*SGD\(\[x\]"),
        (lambda: SGD([1.0], lr=0.1), TypeError, "parameter 0"),
        (lambda: SGD([_param(1.0) * 2], lr=0.1), ValueError, "leaf"),
        (lambda: SGD([_param(1.0)], lr=-1), ValueError, "lr=-1"),
        (lambda: SGD([_param(1.0)], learning_rate=1), TypeError, "no option 'learning_rate'"),
        (lambda: SGD([_param(1.0)], momentun=0.9), TypeError, "Did you mean 'momentum'"),
        (
            lambda: SGD([_param(1.0)], lr=1, nesterov=True),
            ValueError,
            "SGD got nesterov=True, momentum=0",
        ),
        (lambda: Adam([_param(1.0)], betas=(0.9, 1.0)), ValueError, r"betas\[1\]=1.0"),
        (lambda: optim.NAdam([_param(1.0)], betas=(1.0, 0.9)), ValueError, r"betas\[0\]=1.0"),
        (lambda: optim.RAdam([_param(1.0)], eps=-1), ValueError, "RAdam: eps=-1"),
        (lambda: optim.Adamax([_param(1.0)], betas=(0.9, -1)), ValueError, r"betas\[1\]=-1"),
        (lambda: optim.NAdam([_param(1.0)], momentum_decay=-1), ValueError, "momentum_decay=-1"),
        (lambda: optim.Adadelta([_param(1.0)], rho=1.5), ValueError, "rho=1.5"),
        (lambda: optim.Adagrad([_param(1.0)], lr_decay=-1), ValueError, "lr_decay=-1"),
        (lambda: optim.RMSprop([_param(1.0)], alpha=-1), ValueError, "alpha=-1"),
        (lambda: optim.Rprop([_param(1.0)], etas=(0.5, 0.9)), ValueError, "etas="),
        (lambda: optim.ASGD([_param(1.0)], lr=-1), ValueError, "ASGD: lr=-1"),
        (lambda: optim.Adafactor([_param(1.0)], d=0.5), ValueError, "d=0.5"),
        (lambda: optim.Adafactor([_param(1.0)], eps=(None, -1)), ValueError, r"eps\[1\]=-1"),
        (lambda: optim.Adafactor([_param(1.0)], beta2_decay=1), ValueError, "beta2_decay=1"),
        (lambda: optim.SparseAdam([_param(1.0)], betas=(0.9, 1)), ValueError, r"betas\[1\]=1"),
    ],
)
def test_mistakes(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_parameter_twice() -> None:
    a = _param(1.0)
    with pytest.raises(ValueError, match="twice"):
        SGD([a, a], lr=0.1)
    optimiser = SGD([a], lr=0.1)
    with pytest.raises(ValueError, match="twice"):
        optimiser.add_param_group({"params": [a]})
    assert len(optimiser.param_groups) == 1


def test_loading_a_state_that_does_not_fit_changes_nothing() -> None:
    a, b = _param(1.0), _param(1.0, 2.0)
    one, two = Adam([a], lr=0.1), Adam([a, b], lr=0.2)
    with pytest.raises(ValueError, match=r"\[2\].*\[1\]"):
        one.load_state_dict(two.state_dict())
    b.sum().backward()
    only_b = Adam([b], lr=0.3)
    only_b.step()
    with pytest.raises(ValueError, match="exp_avg"):
        one.load_state_dict(only_b.state_dict())
    assert one.param_groups[0]["lr"] == 0.1
    assert not one.state


@pytest.mark.parametrize("method", STEADY)
def test_an_update_waits_for_no_value(method: Any) -> None:
    from weft.engine.realize import Stats

    class Recorded(method):  # type: ignore[misc]
        def update(self, group: Any, params: Any) -> None:
            before = Stats.runs
            super().update(group, params)
            assert Stats.runs == before

    a = _param(1.0, 2.0)
    optimiser = Recorded([a], lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        (a * a).sum().backward()
        optimiser.step()
    assert optimiser.state[a] or method is SGD


def test_adafactor_checks_the_shape_of_rows_and_columns() -> None:
    wide, tall = weft.ones(2, 3, requires_grad=True), weft.ones(3, 2, requires_grad=True)
    one, two = optim.Adafactor([wide]), optim.Adafactor([tall])
    wide.sum().backward()
    one.step()
    with pytest.raises(ValueError, match=r"'row_var' has shape \[2, 1\]"):
        two.load_state_dict(one.state_dict())
    other = optim.Adafactor([weft.ones(2, 3, requires_grad=True)])
    other.load_state_dict(one.state_dict())
    (state,) = other.state.values()
    assert state["col_var"].tolist() == one.state[wide]["col_var"].tolist()


def test_a_step_that_fails_leaves_everything_as_it_was() -> None:
    table, w = weft.ones(5, 3, requires_grad=True), weft.ones(3, requires_grad=True)
    optimiser = SGD([table, w], lr=0.1, momentum=0.9)

    def step(places: list[int]) -> Any:
        optimiser.zero_grad()
        loss = (table[weft.tensor(places)] * w).sum()
        loss.backward()
        optimiser.step()
        return loss

    step([0, 4])
    before = [x.detach().numpy() for x in (table, w)]
    momenta = [s["momentum_buffer"].numpy() for s in optimiser.state.values()]
    with pytest.raises(IndexError, match="index 5 is out of range"):
        step([0, 5])
    for x, value in zip((table, w), before, strict=True):
        assert np.array_equal(x.detach().numpy(), value)
    for s, value in zip(optimiser.state.values(), momenta, strict=True):
        assert np.array_equal(s["momentum_buffer"].numpy(), value)
    step([1, 2])
    assert not np.array_equal(w.detach().numpy(), before[1])


@pytest.mark.parametrize("dtype", [weft.float64, weft.float32, weft.bfloat16])
@pytest.mark.parametrize("method", [*STEADY, optim.AdamW, optim.Muon])
def test_the_rate_may_be_a_tensor(method: Any, dtype: Any) -> None:
    results = []
    for rate in (0.05, weft.tensor(0.05, dtype=weft.float64)):
        p = weft.tensor([[1.0, 2.0], [3.0, -4.0]], dtype=dtype, requires_grad=True)
        optimiser = method([p], lr=rate)
        for _ in range(3):
            optimiser.zero_grad()
            (p * p).sum().backward()
            optimiser.step()
        assert p.dtype is dtype
        results.append(p.detach().float().numpy())
    np.testing.assert_allclose(*results, 1e-6)
