"""Layers and optimisers by XLA and by the CPU's engine; training that moves between them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="computes by JAX: pip install 'weft[xla]'")

import weft
from weft import nn
from weft.engine import realize

XLA = "xla:cpu"


def close(found: Any, wanted: Any, tolerance: float = 1e-4) -> None:
    """Within float32's rounding, some steps of it."""
    a, b = found.detach().cpu().numpy(), wanted.detach().cpu().numpy()
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


LAYERS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
    "Linear": (lambda: nn.Linear(5, 3), lambda: weft.randn(4, 5)),
    "Conv2d": (lambda: nn.Conv2d(4, 6, 3, 2, 1, groups=2), lambda: weft.randn(2, 4, 7, 6)),
    "Conv1d dilated": (lambda: nn.Conv1d(2, 3, 3, dilation=2), lambda: weft.randn(2, 2, 9)),
    "Conv3d": (lambda: nn.Conv3d(2, 2, 2), lambda: weft.randn(1, 2, 4, 4, 4)),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2),
        lambda: weft.randn(2, 4, 4, 5),
    ),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, 2, 1), lambda: weft.randn(2, 3, 8, 8)),
    "AvgPool2d": (lambda: nn.AvgPool2d(2), lambda: weft.randn(2, 3, 8, 8)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d(3), lambda: weft.randn(2, 3, 7, 8)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3), lambda: weft.randn(4, 3, 5, 5)),
    "LayerNorm": (lambda: nn.LayerNorm(6), lambda: weft.randn(4, 6)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), lambda: weft.randn(2, 4, 5)),
    "Dropout": (lambda: nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.4)), lambda: weft.randn(9, 6)),
    "Embedding": (lambda: nn.Embedding(7, 3), lambda: weft.randint(0, 7, (2, 5))),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(7, 3), lambda: weft.randint(0, 7, (2, 5))),
    "LSTM": (lambda: nn.LSTM(4, 3, 2, bidirectional=True), lambda: weft.randn(5, 2, 4)),
    "GRU": (lambda: nn.GRU(4, 3), lambda: weft.randn(5, 2, 4)),
    "PReLU": (lambda: nn.PReLU(), lambda: weft.randn(4, 5)),
    "Transformer layer": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        lambda: weft.randn(2, 5, 8),
    ),
}


def outputs_of(model: nn.Module, x: Any) -> list[Any]:
    """Output, gradients of its sum of squares, and buffers."""
    if x.is_floating_point():
        x = x.clone().requires_grad_()
        x.retain_grad()
    weft.manual_seed(1)  # for dropout
    y = model(x)
    y = y[0] if isinstance(y, tuple) else y
    (y * y).sum().backward()
    grads = [x.grad] if x.is_floating_point() else []
    return [y, *grads, *[p.grad for p in model.parameters()], *model.buffers()]


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str) -> None:
    make, sample = LAYERS[name]
    weft.manual_seed(0)
    ours, x = make(), sample()
    theirs = copy.deepcopy(ours).to(XLA)
    assert {t.device for t in theirs.state_dict().values()} <= {weft.device(XLA)}
    found = outputs_of(theirs, x.to(XLA))
    weft.realize()
    for a, b in zip(found, outputs_of(ours, x), strict=True):
        assert a.device == XLA
        close(a, b)


# ---- training

OPTIMISERS = [
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    *[(name, {}) for name in ("Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD")],
    *[(name, {}) for name in ("Adafactor", "NAdam", "RAdam", "RMSprop", "Rprop")],
    *[(name, {"lr": 1e-3}) for name in ("Lion", "LAMB")],
]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        # (Without a bias, whose gradient before a normalisation would be rounding alone.)
        linear = nn.Linear(4, 8, bias=False)
        self.body = nn.Sequential(linear, nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3))
        self.head = nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x))


def steps(model: Any, optimizer: Any, count: int, device: str) -> None:
    for _ in range(count):
        x = weft.randn(6, 4).to(device)  # drawn on the CPU by either
        t = weft.randint(0, 3, (6,), device=device)
        optimizer.zero_grad()
        weft.nn.functional.cross_entropy(model(x), t).backward()
        optimizer.step()


@pytest.mark.parametrize("moved_by", ["to", "state_dict"])
@pytest.mark.parametrize(("name", "options"), OPTIMISERS)
def test_training_moves_to_another_device(name: str, options: Any, moved_by: str) -> None:
    """As if nothing had happened: weights, state of the optimiser, random numbers."""
    make = getattr(weft.optim, name)
    weft.manual_seed(3)
    stays = Net()
    moves = copy.deepcopy(stays)
    all_steps = make(stays.parameters(), **options)
    weft.manual_seed(4)
    steps(stays, all_steps, 4, "cpu")
    optimizer = make(moves.parameters(), **options)
    weft.manual_seed(4)
    steps(moves, optimizer, 2, "cpu")
    if moved_by == "to":
        moves.to(XLA)
    else:
        weights, state = moves.state_dict(), optimizer.state_dict()
        generator = weft.get_rng_state()
        moves = Net().to(XLA)
        moves.load_state_dict(weights)
        optimizer = make(moves.parameters(), **options)
        optimizer.load_state_dict(state)
        weft.set_rng_state(generator)
    steps(moves, optimizer, 2, XLA)
    for a, b in zip(moves.state_dict().values(), stays.state_dict().values(), strict=True):
        assert a.device == XLA
        close(a, b, 5e-4)
    generator = weft.get_rng_state()
    steps(stays, all_steps, 1, "cpu")
    weft.set_rng_state(generator)
    steps(moves.to("cpu"), optimizer, 1, "cpu")
    for a, b in zip(moves.parameters(), stays.parameters(), strict=True):
        assert a.device == "cpu"
        close(a, b, 5e-4)


def test_compiled_steps() -> None:
    """``weft.compile`` around a step on another device changes nothing."""
    weft.manual_seed(0)
    plain = Net().to(XLA)
    model = copy.deepcopy(plain)
    for m, wrap in ((plain, lambda f: f), (model, weft.compile)):
        optimizer = weft.optim.Adam(m.parameters())

        def step(x: Any, m: Any = m, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = (m(x) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss

        run = wrap(step)
        weft.manual_seed(5)
        for _ in range(3):
            run(weft.randn(6, 4, device=XLA))
    for a, b in zip(plain.parameters(), model.parameters(), strict=True):
        assert (a == b).all()


def test_a_step_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """No value comes to the host before somebody reads one."""
    model = Net().to(XLA)
    optimizer = weft.optim.Adam(model.parameters())
    x = weft.randn(6, 4, device=XLA)

    def step() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), weft.zeros(6, dtype=weft.int64, device=XLA))
        loss.backward()
        optimizer.step()
        return loss

    step()
    with monkeypatch.context() as patch:
        patch.setattr(realize, "host", lambda value: pytest.fail("it waited"))
        for _ in range(3):
            loss = step()
    assert np.isfinite(loss.item())


def test_gradients_of_a_number_on_the_cpu_go_to_the_cpu() -> None:
    scale = weft.tensor(2.0, requires_grad=True)
    x = weft.ones(3, device=XLA, requires_grad=True)
    (x * scale).sum().backward()
    assert scale.grad.device == "cpu"
    assert scale.grad.item() == 3
    assert x.grad.tolist() == [2, 2, 2]


def test_memory_is_given_to_the_results_of_a_step() -> None:
    """The weights before a step are in the memory of those after it, if nobody holds them."""
    model = nn.Linear(64, 64).to(XLA)
    optimizer = weft.optim.SGD(model.parameters(), lr=0.1)

    def step() -> None:
        optimizer.zero_grad()
        model(weft.randn(2, 64, device=XLA)).sum().backward()
        optimizer.step()

    compiled = weft.compile(step)

    def place(x: Any) -> int:
        return x._node.value.unsafe_buffer_pointer()  # type: ignore[no-any-return]

    step()
    before = place(model.weight)
    step()
    assert before == place(model.weight)
    compiled()
    compiled()
    assert before == place(model.weight)
    kept = model.weight.detach().clone()
    weft.realize()
    alias = model.weight.data
    weft.realize(alias)
    node = model.weight._node
    step()
    assert not node.value.is_deleted()  # it is held here
    np.testing.assert_array_equal(node.value, kept.numpy())
