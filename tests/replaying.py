"""``weft.compile``: calls that are repeated without Python do what Python would do.

Tests for any device, taken in by a file of each engine's tests. New tensors are made on its device.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.nn.functional as F
from weft import nn, optim
from weft.replay.compiled import Compiled


def is_replayed(step: Any) -> bool:
    """Has the last recording of some kind of call been made ready?"""
    assert isinstance(step, Compiled)
    return any(v.steady for kind in step._kinds.values() for v in kind.variants)


def place() -> str:
    """The kind of device that is tested."""
    return weft.get_default_device().type


def batches(count: int, *shape: int) -> list[weft.Tensor]:
    draw = np.random.default_rng(0)
    return [weft.tensor(draw.normal(size=shape).astype(np.float32)) for _ in range(count)]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(16, 3)

    def forward(self, x: weft.Tensor) -> weft.Tensor:
        return self.head(self.body(x))


OPTIMISERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "SGD": lambda p: optim.SGD(p, 0.1, momentum=0.9, weight_decay=1e-3, nesterov=True),
    "Adam": lambda p: optim.Adam(p, 0.01),
    "AdamW": lambda p: optim.AdamW(p, 0.01, amsgrad=True),
    "RMSprop": lambda p: optim.RMSprop(p, 0.01, momentum=0.5, centered=True),
    "Adagrad": lambda p: optim.Adagrad(p, 0.1, lr_decay=0.1),
    "Adadelta": lambda p: optim.Adadelta(p),
    "NAdam": lambda p: optim.NAdam(p, 0.01),
    "RAdam": lambda p: optim.RAdam(p, 0.01),
    "Rprop": lambda p: optim.Rprop(p, 0.01),
    "ASGD": lambda p: optim.ASGD(p, 0.01),
}


class Training:
    """A model that is trained by its ``step``, all of it made from one seed."""

    def __init__(self, optimiser: str = "SGD", *, compiled: bool) -> None:
        weft.manual_seed(3)
        self.model = model = Net()
        self.optimiser = optimiser_ = OPTIMISERS[optimiser](model.parameters())

        def step(x: weft.Tensor, y: weft.Tensor) -> weft.Tensor:
            optimiser_.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimiser_.step()
            return loss

        self.step: Any = weft.compile(step) if compiled else step
        self.x = batches(12, 8, 6)
        self.y = [weft.tensor(np.arange(k, k + 8) % 3) for k in range(12)]
        weft.manual_seed(4)
        self.random = weft.get_rng_state()

    def run(self, first: int = 0, last: int = 12) -> list[float]:
        weft.set_rng_state(self.random)
        losses = [
            float(self.step(x, y).detach())
            for x, y in zip(self.x[first:last], self.y[first:last], strict=True)
        ]
        self.random = weft.get_rng_state()
        return losses

    def arrays(self) -> list[Any]:
        tensors = [*self.model.state_dict().values()]
        tensors += [p.grad for p in self.model.parameters() if p.grad is not None]
        tensors += [
            v
            for p in self.model.parameters()
            for v in self.optimiser.state[p].values()
            if isinstance(v, weft.Tensor)
        ]
        return [t.detach().cpu().numpy() for t in tensors]


def both(optimiser: str = "SGD") -> tuple[Training, Training]:
    return Training(optimiser, compiled=True), Training(optimiser, compiled=False)


def assert_same(a: Training, b: Training) -> None:
    for mine, theirs in zip(a.arrays(), b.arrays(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_training(optimiser: str) -> None:
    compiled, plain = both(optimiser)
    mine, theirs = (t.run() for t in (compiled, plain))
    assert is_replayed(compiled.step), compiled.step.obstacles()
    assert mine == theirs
    assert_same(compiled, plain)


def each(change: Callable[[Training], None]) -> None:
    """Changes both trainings in the middle."""
    compiled, plain = both()
    for training in (compiled, plain):
        training.run(0, 5)
    assert is_replayed(compiled.step)
    for training in (compiled, plain):
        change(training)
    mine, theirs = (t.run(5, 12) for t in (compiled, plain))
    assert mine == theirs
    assert_same(compiled, plain)
    assert is_replayed(compiled.step), compiled.step.obstacles()


def test_learning_rate() -> None:
    each(lambda t: t.optimiser.param_groups[0].update(lr=0.003))


def test_options_that_choose_another_path() -> None:
    each(lambda t: t.optimiser.param_groups[0].update(weight_decay=0.0))
    each(lambda t: t.optimiser.param_groups[0].update(nesterov=False))


def test_a_parameter_that_moves_to_another_group() -> None:
    """The same lists, options and parameters, in the same order: but for one another rate."""

    def move(training: Training) -> None:
        first, second = training.optimiser.param_groups
        second["params"].insert(0, first["params"].pop())

    def divided(training: Training) -> None:
        first = training.optimiser.param_groups[0]
        rest = first["params"][2:]
        del first["params"][2:]
        training.optimiser.add_param_group({"params": rest, "lr": 0.001})

    compiled, plain = both()
    for training in (compiled, plain):
        divided(training)
        training.run(0, 5)
    assert is_replayed(compiled.step)
    for training in (compiled, plain):
        move(training)
    assert compiled.run(5, 12) == plain.run(5, 12)
    assert_same(compiled, plain)


def test_eval_and_train() -> None:
    each(lambda t: t.model.eval())

    def there_and_back(training: Training) -> None:
        training.model.eval()
        training.run(0, 1)
        training.model.train()

    each(there_and_back)


def test_loading_states() -> None:
    saved = Training(compiled=False)
    saved.run()

    def load(training: Training) -> None:
        training.model.load_state_dict(saved.model.state_dict())
        training.optimiser.load_state_dict(saved.optimiser.state_dict())

    each(load)


def test_parameters_changed_outside() -> None:
    def change(training: Training) -> None:
        with weft.no_grad():
            training.model.head.weight.mul_(0.5)
            training.model.body[0].bias[2:5] = 1.0
        training.optimiser.state[training.model.head.weight]["momentum_buffer"].zero_()

    each(change)

    def replace(training: Training) -> None:
        weft.manual_seed(1)
        training.model.head = nn.Linear(16, 3)

    each(replace)
    each(lambda t: t.optimiser.state.clear())
    each(lambda t: setattr(t.model.head.weight, "data", weft.ones(3, 16)))


def test_frozen_parameters() -> None:
    each(lambda t: t.model.head.requires_grad_(False) and None)  # type: ignore[func-returns-value]


def test_hooks() -> None:
    each(lambda t: t.model.head.register_forward_hook(lambda m, i, o: o * 2) and None)


def test_random_numbers_go_on() -> None:
    state = weft.default_generator.manual_seed(9).get_state()
    each(lambda t: setattr(t, "random", state))


def test_what_is_kept_stays() -> None:
    compiled, plain = both()
    kept: list[list[Any]] = []
    for training in (compiled, plain):
        training.run(0, 4)
        weight = training.model.head.weight
        mine = [weight.detach().clone(), weight.grad, weight.detach(), weight * 2]
        mine += [training.step(training.x[4], training.y[4])]
        before = mine[1].clone()
        training.run(5, 9)
        assert (mine[1] == before).all()
        kept.append([t.detach().cpu().numpy() for t in mine])
    for a, b in zip(*kept, strict=True):
        np.testing.assert_array_equal(a, b)
    assert_same(compiled, plain)


def test_views_follow() -> None:
    training = Training(compiled=True)
    row = training.model.head.weight.detach()[0]
    for _ in range(2):
        training.run(0, 4)
        np.testing.assert_array_equal(
            row.cpu().numpy(), training.model.head.weight.detach().cpu().numpy()[0]
        )


def test_a_smaller_last_batch() -> None:
    compiled, plain = both()
    for training in (compiled, plain):
        for part in (slice(None), slice(0, 5), slice(None), slice(0, 5), slice(None), slice(0, 5)):
            training.x, training.y = (
                [t[part].clone() for t in ts] for ts in (training.x, training.y)
            )
            training.x = batches(12, 8, 6) if part == slice(None) else training.x
            training.y = [weft.tensor(np.arange(k, k + len(training.x[0])) % 3) for k in range(12)]
            training.run(0, 3)
    kinds = compiled.step._kinds.values()
    assert len([v for kind in kinds for v in kind.variants if v.steady]) == 2
    assert_same(compiled, plain)


def test_gradients_that_accumulate() -> None:
    results = []
    for compiled in (True, False):
        weft.manual_seed(0)
        layer = nn.Linear(4, 2)

        def accumulate(x: weft.Tensor, layer: nn.Linear = layer) -> weft.Tensor:
            loss = layer(x).square().mean()
            loss.backward()
            return loss

        step = weft.compile(accumulate) if compiled else accumulate
        for k, x in enumerate(batches(12, 3, 4)):
            if k % 4 == 0:
                layer.zero_grad()
            step(x)
            results.append(layer.weight.grad.cpu().numpy())
    np.testing.assert_array_equal(results[:12], results[12:])


def test_globals_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "TABLE", weft.tensor([1.0, 2.0, 3.0]))
    step = weft.compile(lambda x: x * SCALE + TABLE)
    x = weft.ones(3)
    for _ in range(4):
        assert step(x).tolist() == [3.0, 4.0, 5.0]
    assert is_replayed(step)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert step(x).tolist() == [4.0, 5.0, 6.0]
    monkeypatch.setitem(globals(), "TABLE", weft.zeros(3))
    assert step(x).tolist() == [3.0, 3.0, 3.0]
    monkeypatch.delitem(globals(), "TABLE")
    with pytest.raises(NameError, match="TABLE"):
        step(weft.ones(3))


SCALE = 2.0
TABLE: Any = None


def test_variables_of_an_enclosing_function_are_seen() -> None:
    scale = 2.0
    step = weft.compile(lambda x: x * scale)
    for _ in range(4):
        assert step(weft.ones(2)).tolist() == [2.0, 2.0]
    assert is_replayed(step)
    scale = 5.0
    assert step(weft.ones(2)).tolist() == [5.0, 5.0]


def test_one_tensor_for_two_arguments() -> None:
    step = weft.compile(lambda x, y: x - y)
    x, y = weft.ones(2), weft.zeros(2)
    for _ in range(4):
        assert step(x, x).tolist() == [0.0, 0.0]
    for _ in range(4):
        assert step(x, y).tolist() == [1.0, 1.0]
        assert step(y, y).tolist() == [0.0, 0.0]
    assert is_replayed(step)


def test_an_argument_that_is_changed() -> None:
    w, v = weft.ones(2), weft.ones(2)

    def halve(x: weft.Tensor) -> weft.Tensor:
        x.mul_(0.5)
        return w + x

    step: Any = weft.compile(halve)
    for k in range(1, 6):
        assert step(w).tolist() == [2 * 0.5**k] * 2
    assert step(v).tolist() == [0.5**5 + 0.5] * 2
    assert v.tolist() == [0.5, 0.5]
    assert w.tolist() == [0.5**5] * 2


def test_numbers_among_the_arguments() -> None:
    step = weft.compile(lambda x, k: x * k)
    for k in (1.0, 2.0, 1.0, 2.0, 1.0, 2.0):
        assert step(weft.ones(2), k).tolist() == [k, k]
    assert step(weft.ones(2), 3).tolist() == [3.0, 3.0]


def test_side_effects_keep_python() -> None:
    kept: list[weft.Tensor] = []
    stateful = nn.Identity()
    calls = 0

    def keeps(x: weft.Tensor) -> weft.Tensor:
        kept.append(x * 2)
        return x + 1

    def sets(x: weft.Tensor) -> weft.Tensor:
        stateful.count = getattr(stateful, "count", 0) + 1  # type: ignore[assignment]
        return x + 1

    def counts(x: weft.Tensor) -> weft.Tensor:
        nonlocal calls
        calls += 1
        return x + calls

    for function in (keeps, sets, counts):
        step: Any = weft.compile(function)
        for _ in range(5):
            step(weft.ones(2))
        assert not is_replayed(step)
        assert step.obstacles()
    assert len(kept) == 5
    assert stateful.count == 5
    assert calls == 5


Step = Callable[..., weft.Tensor]
Built = tuple[Step, Callable[[int], tuple[Any, ...]], Callable[[], list[weft.Tensor]]]


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.2), nn.ReLU(), nn.Linear(16, 3))


def batch(k: int) -> tuple[weft.Tensor, weft.Tensor]:
    draw = np.random.default_rng(k)
    x = weft.tensor(draw.normal(size=(8, 6)).astype(np.float32))
    return x, weft.tensor(np.arange(k, k + 8) % 3)


def training_step(
    model: nn.Module,
    optimiser: optim.Optimizer,
    inside: Callable[[nn.Module, optim.Optimizer], Any] = lambda m, o: None,
) -> Step:
    def step(x: weft.Tensor, y: weft.Tensor) -> weft.Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        inside(model, optimiser)
        optimiser.step()
        return loss

    return step


def a_step(inside: Callable[[nn.Module, optim.Optimizer], Any] = lambda m, o: None) -> Built:
    model = small()
    optimiser = optim.SGD(model.parameters(), 0.1, momentum=0.9)
    return training_step(model, optimiser, inside), batch, lambda: list(model.parameters())


def clipped() -> Built:
    return a_step(lambda m, o: nn.utils.clip_grad_norm_(m.parameters(), 0.1))


def two_backwards() -> Built:
    model = small()
    optimiser = optim.SGD(model.parameters(), 0.1)

    def step(x: weft.Tensor, y: weft.Tensor) -> weft.Tensor:
        optimiser.zero_grad()
        loss = weft.zeros(())
        for k in (0, 4):
            loss = F.cross_entropy(model(x[k : k + 4]), y[k : k + 4]) / 2
            loss.backward()
        optimiser.step()
        return loss

    return step, batch, lambda: list(model.parameters())


def gradients_let_go() -> Built:
    model = small()
    optimiser = optim.Adam(model.parameters(), 0.01)

    def step(x: weft.Tensor, y: weft.Tensor) -> weft.Tensor:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        return loss

    return step, batch, lambda: list(model.parameters())


def autocast() -> Built:
    step, args, state = a_step()

    def low(x: weft.Tensor, y: weft.Tensor) -> weft.Tensor:
        with weft.autocast(place(), weft.bfloat16):
            return step(x, y)

    return low, args, state


def two_models() -> Built:
    g, d = nn.Linear(6, 6), nn.Linear(6, 1)
    og, od = optim.Adam(g.parameters(), 1e-2), optim.Adam(d.parameters(), 1e-2)

    def step(x: weft.Tensor, y: weft.Tensor) -> weft.Tensor:
        od.zero_grad()
        (d(g(x).detach()).mean() - d(x).mean()).backward()
        od.step()
        og.zero_grad()
        loss = -d(g(x)).mean()
        loss.backward()
        og.step()
        return loss

    def state() -> list[weft.Tensor]:
        assert d.weight.grad is not None
        return [*g.parameters(), *d.parameters(), d.weight.grad]

    return step, batch, state


def second_order() -> Built:
    w = nn.Parameter(weft.randn(6, 1))
    optimiser = optim.SGD([w], 0.01)

    def step(x: weft.Tensor, y: weft.Tensor) -> weft.Tensor:
        optimiser.zero_grad()
        (g,) = weft.autograd.grad((x @ w).tanh().sum(), [w], create_graph=True)
        loss = (g * g).sum()
        loss.backward()
        optimiser.step()
        return loss

    return step, batch, lambda: [w]


def cumulative_statistics() -> Built:
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, momentum=None))

    def step(x: weft.Tensor, y: weft.Tensor) -> weft.Tensor:
        with weft.no_grad():
            return model(x)

    return step, batch, lambda: list(model.buffers())


def rate_in_a_tensor() -> Built:
    model = small()
    optimiser = optim.SGD(model.parameters(), lr=weft.tensor(0.1))

    def args(k: int) -> tuple[Any, ...]:
        optimiser.param_groups[0]["lr"].mul_(0.9)
        return batch(k)

    return training_step(model, optimiser), args, lambda: list(model.parameters())


class Settings:
    scale = 1.0


def attribute_of_an_object() -> Built:
    settings = Settings()

    def step(x: weft.Tensor, y: weft.Tensor) -> weft.Tensor:
        return x * settings.scale

    def args(k: int) -> tuple[Any, ...]:
        settings.scale = 1.0 + k // 4
        return batch(k)

    return step, args, list


def schedule_outside() -> Built:
    model = small()
    optimiser = optim.AdamW(
        [{"params": [model[0].weight], "weight_decay": 0.1}, {"params": [model[3].weight]}], 1e-2
    )
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimiser, 10)

    def args(k: int) -> tuple[Any, ...]:
        if k:
            schedule.step()
        return batch(k)

    return training_step(model, optimiser), args, lambda: list(model.parameters())


def shared_gradients() -> Built:
    a, b = nn.Parameter(weft.randn(3)), nn.Parameter(weft.randn(3))
    lstm = nn.LSTM(6, 3, batch_first=True)
    optimiser = optim.SGD([a, b, *lstm.parameters()], 0.1)

    def step(x: weft.Tensor, y: weft.Tensor) -> weft.Tensor:
        optimiser.zero_grad()
        loss = (lstm(x[None])[0] + a + b).square().mean()
        loss.backward()
        optimiser.step()
        return loss

    def state() -> list[weft.Tensor]:
        params = [a, b, *lstm.parameters()]
        return [*params, *[p.grad for p in params if p.grad is not None]]

    return step, batch, state


REPEATED = [
    *(
        shared_gradients,
        clipped,
        two_backwards,
        gradients_let_go,
        autocast,
        two_models,
        second_order,
    ),
    *(cumulative_statistics, rate_in_a_tensor, attribute_of_an_object, schedule_outside),
]


def schedule_inside() -> Built:
    schedules: list[Any] = []

    def inside(model: nn.Module, optimiser: optim.Optimizer) -> None:
        if not schedules:
            schedules.append(optim.lr_scheduler.StepLR(optimiser, 5, 0.5))
        schedules[0].step()

    return a_step(inside)


def rate_set_inside() -> Built:
    count = [0]

    def inside(model: nn.Module, optimiser: optim.Optimizer) -> None:
        count[0] += 1
        optimiser.param_groups[0]["lr"] = 0.1 / count[0]

    return a_step(inside)


def batch_made_inside() -> Built:
    draw = np.random.default_rng(0)
    step, _, state = a_step()
    y = batch(0)[1]

    def whole() -> weft.Tensor:
        return step(weft.tensor(draw.normal(size=(8, 6)).astype(np.float32)), y)

    return whole, lambda k: (), state


def activations_kept() -> Built:
    kept: list[weft.Tensor] = []
    step, args, state = a_step()
    model = small()
    model[0].register_forward_hook(lambda m, i, out: kept.append(out.detach()))

    def both(x: weft.Tensor, y: weft.Tensor) -> weft.Tensor:
        model(x)
        return step(x, y)

    return both, args, lambda: [*state(), *kept]


def state_returned() -> Built:
    w = nn.Parameter(weft.randn(6, 2))

    def step(x: weft.Tensor, y: weft.Tensor) -> weft.Tensor:
        with weft.no_grad():
            w.mul_(0.9)
        return w.detach() if x.shape[0] == 0 else w

    return step, batch, lambda: [w]


BY_PYTHON = [state_returned, schedule_inside, rate_set_inside, batch_made_inside, activations_kept]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("build", [*REPEATED, *BY_PYTHON], ids=lambda b: b.__name__)
def test_steps_of_many_kinds(build: Callable[[], Built]) -> None:
    found: list[list[Any]] = []
    for compiled in (True, False):
        weft.manual_seed(0)
        step, args, state = build()
        run: Any = weft.compile(step) if compiled else step
        weft.manual_seed(1)
        found.append([run(*args(k)).detach().cpu().numpy() for k in range(10)])
        found[-1] += [t.detach().cpu().numpy() for t in state()]
        if compiled:
            assert is_replayed(run) == (build in REPEATED), run.obstacles()
            assert bool(run.obstacles()) == (build in BY_PYTHON)
    # Elsewhere than on the CPU, parts that are fused otherwise round otherwise.
    rounding = 0.0 if place() == "cpu" else 1e-5
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=rounding, atol=rounding)


def test_a_value_read_inside() -> None:
    step = weft.compile(lambda x: x * 2 if (x + 1).sum() > 0 else x)
    with pytest.raises(weft.errors.CompileError, match=r"read it after the call.*weft\.where"):
        step(weft.ones(2))
    assert weft.compile(lambda x: x * 2)(weft.ones(2)).tolist() == [2.0, 2.0]


def test_an_error_leaves_all_as_it_was() -> None:
    compiled, plain = both()
    for training in (compiled, plain):
        training.run(0, 5)
        before = [p.detach().cpu().numpy() for p in training.model.parameters()]
        with pytest.raises(weft.errors.IndexOutOfRange, match="index 5 is out of range"):
            training.step(training.x[0], training.y[0] + 5).item()
        for a, p in zip(before, training.model.parameters(), strict=True):
            np.testing.assert_array_equal(a, p.detach().cpu().numpy())
        training.run(5, 12)
    assert_same(compiled, plain)
    assert is_replayed(compiled.step)


def test_forward_only() -> None:
    model = Net().eval()
    forward = weft.compile(model)
    x = batches(6, 8, 6)
    with weft.no_grad():
        for each_x in x:
            np.testing.assert_array_equal(
                forward(each_x).cpu().numpy(), model(each_x).cpu().numpy()
            )
    assert is_replayed(forward)
    loss = forward(x[0]).sum()  # with gradients: recorded, as it must be
    loss.backward()
    assert model.head.weight.grad is not None


def test_a_compiled_module_has_what_the_module_has() -> None:
    model = Net()
    compiled: Any = weft.compile(model)
    assert [id(p) for p in compiled.parameters()] == [id(p) for p in model.parameters()]
    assert compiled.eval() is model
    assert compiled.training is False
    assert "Linear(in_features=6" in repr(compiled)
    with pytest.raises(AttributeError, match="nothing"):
        _ = compiled.nothing


def test_results_of_many_kinds() -> None:
    def function(x: weft.Tensor) -> dict[str, Any]:
        return {"sum": x.sum(), "pair": (x * 2, [x - 1, 3]), "none": None}

    step = weft.compile(function)
    for _ in range(5):
        out = step(weft.ones(2, 2))
        assert out["sum"].item() == 4.0
        assert out["pair"][0].tolist() == [[2.0, 2.0]] * 2
        assert out["pair"][1][0].tolist() == [[0.0, 0.0]] * 2
        assert out["pair"][1][1] == 3
        assert out["none"] is None
    assert is_replayed(step)


def test_detached_results() -> None:
    layer = nn.Linear(4, 2)
    optimizer = optim.SGD(layer.parameters(), 0.1)
    held: list[weft.Tensor] = []

    def train(x: weft.Tensor, keep: bool) -> tuple[weft.Tensor, weft.Tensor]:
        optimizer.zero_grad()
        y = layer(x)
        loss = y.square().mean()
        loss.backward()
        optimizer.step()
        if keep:
            held.append(loss)
        return loss.detach(), y.data

    step = weft.compile(train)
    losses = []
    for x in batches(6, 3, 4):
        wanted = layer(x).detach()
        loss, y = step(x, False)
        assert not loss.requires_grad
        np.testing.assert_allclose(y.cpu().numpy(), wanted.cpu().numpy(), rtol=1e-5)
        losses.append(loss)
    assert is_replayed(step)
    assert len({x.item() for x in losses}) == 6
    for x in batches(4, 3, 4):  # what is kept keeps Python
        assert step(x, True)[0].item() == held[-1].item()
    assert len(held) == 4


def test_methods() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.model = nn.Linear(3, 1)
            self.optimiser = optim.SGD(self.model.parameters(), 0.1)

        @weft.compile
        def step(self, x: weft.Tensor) -> weft.Tensor:
            self.optimiser.zero_grad()
            loss = self.model(x).square().mean()
            loss.backward()
            self.optimiser.step()
            return loss

    trainer = Trainer()
    losses = [trainer.step(x).item() for x in [weft.ones(2, 3)] * 6]
    assert losses == sorted(losses, reverse=True)
    assert is_replayed(Trainer.__dict__["step"])


def test_two_functions_on_one_model() -> None:
    compiled, plain = both()
    for training in (compiled, plain):

        def evaluate(x: weft.Tensor, model: nn.Module = training.model) -> weft.Tensor:
            with weft.no_grad():
                return model(x)

        score: Any = weft.compile(evaluate) if training is compiled else evaluate
        out = []
        for k in range(12):
            training.run(k, k + 1)
            training.model.eval()
            out.append(score(training.x[0]).cpu().numpy())
            training.model.train()
        training.out = out  # type: ignore[attr-defined]
    np.testing.assert_array_equal(compiled.out, plain.out)  # type: ignore[attr-defined]
    assert_same(compiled, plain)


def test_values_of_recorded_calls_are_let_go() -> None:
    training = Training("Adam", compiled=True)
    old = []
    for k in range(5):
        training.run(k, k + 1)
        old += [weakref.ref(p._node.value) for p in training.model.parameters()]
    gc.collect()
    alive = [v for ref in old if (v := ref()) is not None]
    assert len({*map(id, alive)}) <= 6  # those that the last calls write to


def test_nothing_is_kept_alive() -> None:
    training = Training(compiled=True)
    training.run()
    model = weakref.ref(training.model)
    x = training.x[-1]
    del training
    gc.collect()
    assert model() is None
    assert x.shape == (8, 6)


def test_autocast_makes_a_kind_of_call_of_its_own() -> None:
    layer = nn.Linear(6, 3)

    @weft.compile
    def step(x: weft.Tensor) -> weft.Tensor:
        with weft.no_grad():
            return layer(x)

    for x in batches(6, 2, 6):
        assert step(x).dtype is weft.float32
        with weft.autocast(place(), dtype=weft.bfloat16):
            assert step(x).dtype is weft.bfloat16
        with weft.autocast(place(), dtype=weft.float16):
            assert step(x).dtype is weft.float16
    assert is_replayed(step)
