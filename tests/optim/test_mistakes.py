"""What optimisers say about steps that do nothing or harm, and what they say nothing about."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import weft
from weft import nn, optim
from weft.optim import SGD, Adam


def _model() -> nn.Sequential:
    weft.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))


X = weft.tensor([[1.0, 2.0], [-1.0, 0.5]])


@pytest.mark.parametrize("make", [lambda m: SGD(m, lr=0.1), lambda m: Adam(m.parameters())])
def test_a_step_without_any_gradient(make: Any) -> None:
    model = _model()
    optimiser = make(model)
    before = {k: v.numpy() for k, v in model.state_dict().items()}
    model(X).sum()
    with pytest.warns(UserWarning, match=r"no parameter has a gradient \(of 4\).*backward\(\)"):
        optimiser.step()
    for name, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), before[name])
    optimiser.step()  # said once


def test_a_schedule_may_be_tried_out_without_gradients() -> None:
    model = _model()
    optimiser = SGD(model, lr=0.1)
    scheduler = optim.lr_scheduler.StepLR(optimiser, 2)
    for _ in range(3):
        optimiser.step()
        scheduler.step()
    model(X).sum().backward()
    optimiser.zero_grad()  # too late
    with pytest.warns(UserWarning, match="no parameter has a gradient"):
        optimiser.step()


def test_frozen_parameters_are_counted() -> None:
    model = _model().requires_grad_(False)
    with pytest.warns(UserWarning, match="of 4, 4 of which are frozen"):
        SGD(model, lr=0.1).step()


def test_a_gradient_that_is_nan() -> None:
    model = _model()
    optimiser = SGD(model, lr=0.1)
    (model(X).sum() * float("nan")).backward()
    with pytest.warns(UserWarning, match=r"gradient of '2\.bias' is NaN"):
        optimiser.step()
    unnamed = SGD([weft.ones(2, requires_grad=True)], lr=0.1)
    (unnamed.param_groups[0]["params"][0] - 1).pow(-0.5).mul(0).sum().backward()
    with pytest.warns(UserWarning, match=r"a parameter of shape \[2\] is NaN"):
        unnamed.step()


def test_gradients_that_were_used_already() -> None:
    model = _model()
    optimiser = SGD(model, lr=0.1)
    model(X).sum().backward()
    optimiser.step()
    model(X).sum().backward()
    with pytest.warns(UserWarning, match=r"zero_grad\(\) was not called in between"):
        optimiser.step()
    model(X).sum().backward()
    optimiser.step()  # said once


def _accumulate(model: Any, optimiser: Any) -> None:
    for _ in range(3):
        model(X).sum().backward()
    optimiser.step()
    optimiser.zero_grad()


def _set_to_zero(model: Any, optimiser: Any) -> None:
    optimiser.zero_grad(set_to_none=False)
    model(X).sum().backward()
    optimiser.step()


def _zero_by_hand(model: Any, optimiser: Any) -> None:
    for p in model.parameters():
        if p.grad is not None:
            p.grad.zero_()
    model(X).sum().backward()
    optimiser.step()


def _fading(model: Any, optimiser: Any) -> None:
    for p in model.parameters():
        if p.grad is not None:
            p.grad.mul_(0.9)  # on purpose
    model(X).sum().backward()
    optimiser.step()


def _cleared_later(model: Any, optimiser: Any) -> None:
    model(X).sum().backward()  # as a generator's loss does to a discriminator
    model.zero_grad()
    model(X).sum().backward()
    optimiser.step()


def _closure(model: Any, optimiser: Any) -> None:
    def closure() -> Any:
        optimiser.zero_grad()
        loss = model(X).sum()
        loss.backward()
        return loss

    optimiser.step(closure)


@pytest.mark.parametrize(
    "step", [_accumulate, _set_to_zero, _zero_by_hand, _fading, _cleared_later, _closure]
)
def test_no_false_alarm(step: Any) -> None:
    model = _model()
    optimiser = SGD(model, lr=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(4):
            step(model, optimiser)


def test_layers_that_came_after_the_optimiser() -> None:
    model = _model()
    optimiser = SGD(model, lr=0.1)
    model[2] = nn.Linear(3, 1)
    model(X).sum().backward()
    with pytest.warns(UserWarning, match=r"parameters '2\.weight', '2\.bias' are not among"):
        optimiser.step()
    optimiser.step()  # said once
    given = SGD(_model().parameters(), lr=0.1)  # without the model: nothing to compare with
    nn.Linear(1, 1)
    for p in given.param_groups[0]["params"]:
        p.grad = weft.zeros_like(p)
    given.step()


def test_layers_that_are_frozen_or_given_by_hand() -> None:
    model = _model()
    optimiser = SGD(model, lr=0.1)
    model.append(nn.Linear(1, 1))
    model[3].requires_grad_(False)
    model.append(nn.Linear(1, 1))
    optimiser.add_param_group({"params": list(model[4].named_parameters()), "lr": 0.01})
    model(X).sum().backward()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimiser.step()


def test_options_of_a_group() -> None:
    p = weft.ones(2, requires_grad=True)
    with pytest.raises(TypeError, match=r"no option 'learning_rate'\. Did you mean 'lr'"):
        SGD([{"params": [p], "learning_rate": 1.0}], lr=0.1)
    with pytest.raises(TypeError, match="Did you mean 'weight_decay'"):
        SGD([{"params": [p], "weight_deca": 1.0}], lr=0.1)
    optimiser = SGD([{"params": [p], "lr_scale": 0.5, "layer": 3}], lr=0.1)
    assert optimiser.param_groups[0]["lr_scale"] == 0.5


def test_a_set_has_no_order() -> None:
    with pytest.raises(TypeError, match="order of a set"):
        SGD([{"params": {weft.ones(2, requires_grad=True)}}], lr=0.1)


def test_a_parameter_that_was_computed() -> None:
    with pytest.raises(ValueError, match=r"'b' of shape .*computed from others"):
        SGD([("a", weft.ones(2)), ("b", weft.ones(2, requires_grad=True) * 2)], lr=0.1)


# ---- users' own optimisers


class Plain(optim.Optimizer):
    """As it would be written for PyTorch."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})

    @weft.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with weft.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if len(state) == 0:
                    state["step"] = 0
                state["step"] += 1
                p.data.add_(p.grad, alpha=-group["lr"])
        return loss


def test_a_users_step_has_hooks_and_runs_what_is_pending() -> None:
    model = _model()
    optimiser = Plain(model.parameters())
    calls: list[str] = []
    optimiser.register_step_pre_hook(lambda o, a, k: calls.append("before"))
    optimiser.register_step_post_hook(lambda o, a, k: calls.append("after"))
    with optim.optimizer.register_optimizer_step_pre_hook(lambda o, a, k: calls.append("any")):
        loss = model(X).sum()
        loss.backward()
        optimiser.step()
    optimiser.step()
    assert calls == ["any", "before", "after", "before", "after"]
    from weft.graph.node import PENDING

    assert not PENDING


def test_a_wrapper_that_is_an_optimiser_in_name_only() -> None:
    class Wrapper(optim.Optimizer):
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def step(self, closure: Any = None) -> Any:
            return self.inner.step(closure)

    p = weft.ones(1, requires_grad=True)
    p.sum().backward()
    Wrapper(SGD([p], lr=0.5)).step()
    assert p.item() == 0.5


def test_a_hook_may_replace_the_arguments() -> None:
    p = weft.ones(1, requires_grad=True)
    optimiser = SGD([p], lr=0.1)
    optimiser.register_step_pre_hook(lambda o, args, kwargs: ((o,), {"closure": closure}))

    def closure() -> Any:
        optimiser.zero_grad()
        loss = p.sum()
        loss.backward()
        return loss

    assert optimiser.step().item() == 1.0
    optimiser.register_step_pre_hook(lambda o, args, kwargs: 3)  # type: ignore[arg-type,return-value]
    with pytest.raises(RuntimeError, match="new_args, new_kwargs"):
        optimiser.step()


def test_an_option_that_every_group_has_to_give() -> None:
    class Strict(optim.Optimizer):
        def __init__(self, params: Any, lr: Any = optim.optimizer.required) -> None:
            super().__init__(params, {"lr": lr})

    p = weft.ones(1, requires_grad=True)
    with pytest.raises(ValueError, match="required optimization parameter lr"):
        Strict([p])
    Strict([{"params": p, "lr": 0.1}])


# ---- states


def test_counts_of_old_states_are_numbers() -> None:
    p = weft.ones(2, requires_grad=True)
    optimiser = Adam([p], lr=0.1)
    p.sum().backward()
    optimiser.step()
    saved = optimiser.state_dict()
    saved["state"][0]["step"] = 1
    other = Adam([p], lr=0.1)
    other.load_state_dict(saved)
    other.step()
    assert other.state[p]["step"].item() == 2.0


def test_a_state_is_taken_over_by_name() -> None:
    model = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    optimiser = SGD(model, lr=0.1, momentum=0.9)
    (model["a"](X).sum() + 2 * model["b"](X).sum()).backward()
    optimiser.step()
    turned = nn.ModuleDict({"b": model["b"], "a": model["a"]})
    other = SGD(turned, lr=0.1, momentum=0.9)
    other.load_state_dict(optimiser.state_dict())
    for p in model.parameters():
        mine, its = (o.state[p]["momentum_buffer"].tolist() for o in (other, optimiser))
        assert mine == its
    assert other.param_groups[0]["param_names"][0] == "b.weight"
    renamed = SGD([(f"x{k}", p) for k, p in enumerate(model.parameters())], lr=0.1, momentum=0.9)
    with pytest.warns(UserWarning, match="it has none for 'x0'.*in order, not by name"):
        renamed.load_state_dict(optimiser.state_dict())


# ---- float32 copies of 16-bit parameters


@pytest.mark.parametrize("kind", [weft.bfloat16, weft.float16])
@pytest.mark.parametrize(
    "make",
    [
        lambda p, **o: SGD(p, lr=1e-4, momentum=0.9, **o),
        lambda p, **o: Adam(p, lr=1e-5, **o),
        lambda p, **o: optim.AdamW(p, lr=1e-5, **o),
        lambda p, **o: optim.Adagrad(p, lr=1e-5, **o),
        lambda p, **o: optim.Lion(p, lr=1e-5, **o),
    ],
)
def test_master_weights(make: Any, kind: Any) -> None:
    start = np.array([1.0, -2.0, 3.0], "f4")
    full = weft.tensor(start, requires_grad=True)
    short = weft.tensor(start).to(kind).requires_grad_()
    lost = weft.tensor(start).to(kind).requires_grad_()
    ours, exact = make([short], master_weights=True), make([full])
    plain = make([lost])
    for k in range(200):
        for p, optimiser in ((short, ours), (full, exact), (lost, plain)):
            p.grad = weft.full((3,), 0.5 + 0.25 * (k % 3)).to(p.dtype)
            optimiser.step()
        if k == 100:  # saved and restored, all of it
            again = weft.tensor(short.detach().float().numpy()).to(kind).requires_grad_()
            other = make([again], master_weights=True)
            other.load_state_dict(ours.state_dict())
            short, ours = again, other
    master = ours.state[short]["master"]
    assert master.dtype is weft.float32
    np.testing.assert_allclose(master.numpy(), full.detach().numpy(), 1e-6)
    assert np.array_equal(short.detach().float().numpy(), master.to(kind).float().numpy())
    assert all(v.dtype is not kind for v in ours.state[short].values())
    assert not np.allclose(lost.detach().float().numpy(), full.detach().numpy(), 0, 1e-4)
    assert ours.param_groups[0]["master_weights"] is True


def test_master_weights_leave_float32_alone() -> None:
    a, b = weft.ones(2, requires_grad=True), weft.ones(2, dtype=weft.bfloat16, requires_grad=True)
    optimiser = SGD([a, b], lr=0.1, master_weights=True)
    (a.sum() + b.float().sum()).backward()
    optimiser.step()
    assert list(optimiser.state) == [b]
    assert a.tolist() == pytest.approx([0.9, 0.9])
