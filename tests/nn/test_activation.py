"""Activations where comparing with PyTorch on plain inputs is not enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from side_by_side import draw

import weft
import weft.nn.functional as F
from weft import nn
from weft.errors import GradientError, ShapeError

Function = Callable[..., Any]

IN_PLACE = [
    *("celu", "elu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "mish", "relu"),
    *("relu6", "rrelu", "selu", "silu"),
]


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name: str) -> None:
    function = getattr(F, name)
    leaf = weft.linspace(-4, 4, 9, requires_grad=True)
    wanted = function(leaf)
    x = leaf.clone()
    row = x[2:]
    assert function(x, inplace=True) is x
    assert weft.equal(x, wanted)
    assert weft.equal(row, wanted[2:])  # a view follows
    (g,) = weft.autograd.grad(x.sum(), leaf)
    assert weft.equal(g, weft.autograd.grad(wanted.sum(), leaf)[0])
    with pytest.raises(GradientError, match="in place"):
        function(leaf, inplace=True)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (F.relu_, ()),
        (F.elu_, (0.5,)),
        (F.selu_, ()),
        (F.celu_, (0.5,)),
        (F.leaky_relu_, (0.2,)),
        (F.rrelu_, (0.1, 0.2)),
        (F.hardtanh_, (-0.5, 0.5)),
        (F.threshold_, (0.1, 3.0)),
    ],
)
def test_names_with_an_underscore(function: Function, args: Any) -> None:
    x = weft.linspace(-2, 2, 5)
    wanted = getattr(F, function.__name__.rstrip("_"))(x, *args)
    assert function(x, *args) is x
    assert weft.equal(x, wanted)


@pytest.mark.parametrize(
    "layer",
    [
        *(
            nn.ReLU(True),
            nn.LeakyReLU(0.1, True),
            nn.RReLU(inplace=True),
            nn.Hardtanh(inplace=True),
        ),
        *(nn.ReLU6(True), nn.Threshold(0.0, 1.0, True), nn.ELU(1.0, True), nn.CELU(1.0, True)),
        *(nn.SELU(True), nn.SiLU(True), nn.Mish(True)),
    ],
    ids=repr,
)
def test_layers_in_place(layer: Any) -> None:
    assert "inplace=True" in repr(layer)
    x = weft.linspace(-2, 2, 5)
    assert layer(x) is x


@pytest.mark.parity
@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.ReLU(True),
        lambda m: m.ReLU6(True),
        lambda m: m.RReLU(),
        lambda m: m.RReLU(0.1, 0.3, True),
        lambda m: m.Hardtanh(inplace=True),
        lambda m: m.Hardsigmoid(True),
        lambda m: m.Hardswish(True),
        lambda m: m.ELU(0.5, True),
        lambda m: m.LeakyReLU(inplace=True),
        lambda m: m.Threshold(1, 2, True),
        lambda m: m.Softmax(),
    ],
)
def test_repr(make: Function, torch: Any) -> None:
    assert repr(make(nn)) == repr(make(torch.nn))


# ---- what must not overflow, and what must be exact

EXTREME = [-1e30, -1e4, -100.0, 0.0, 100.0, 1e4, 1e30]


@pytest.mark.parametrize(
    "function",
    [F.elu, F.celu, F.selu, F.softplus, F.logsigmoid, F.mish, F.silu, F.gelu],
    ids=lambda f: f.__name__,
)
def test_gradients_stay_finite_far_out(function: Function) -> None:
    x = weft.tensor(EXTREME, requires_grad=True)
    (g,) = weft.autograd.grad(function(x).sum(), x, create_graph=True)
    (h,) = weft.autograd.grad(g.sum(), x)
    assert np.isfinite(g.detach().numpy()).all()
    assert np.isfinite(h.numpy()).all()


@pytest.mark.parametrize(("function", "sign"), [(F.softplus, 1), (F.logsigmoid, -1)])
def test_derivatives_at_zero(function: Function, sign: int) -> None:
    """Where the two branches meet: 1/2, 1/4, 0 and -1/8."""
    x = weft.tensor(0.0, dtype=weft.float64, requires_grad=True)
    y = function(x)
    found = []
    for _ in range(4):
        (y,) = weft.autograd.grad(y, x, create_graph=True)
        found.append(y.item())
    assert found == pytest.approx([0.5, sign * 0.25, 0.0, sign * -0.125])


def test_hardsigmoid_gradient() -> None:
    x = weft.tensor([-4.0, -3.0, -2.9, 0.0, 2.9, 3.0], requires_grad=True)
    F.hardsigmoid(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [0, 0, 1 / 6, 1 / 6, 1 / 6, 0], rtol=1e-6)


# ---- drawn ones


def test_rrelu_draws_a_slope_for_each_element() -> None:
    weft.manual_seed(0)
    x = weft.full((10_000,), -2.0, requires_grad=True)
    y = nn.RReLU(0.1, 0.4)(x)
    slopes = y.detach().numpy() / -2
    assert slopes.min() >= 0.1
    assert slopes.max() <= 0.4
    assert slopes.mean() == pytest.approx(0.25, abs=0.005)
    assert slopes.std() == pytest.approx(0.3 / np.sqrt(12), abs=0.005)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), slopes, rtol=1e-6)
    assert weft.equal(F.rrelu(weft.ones(5), training=True), weft.ones(5))


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax_has_the_distribution(hard: bool) -> None:
    weft.manual_seed(0)
    p = np.array([0.1, 0.2, 0.7])
    logits = weft.tensor(np.log(p)).expand(20_000, 3)
    y = F.gumbel_softmax(logits, 0.1, hard).numpy()
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-9)
    if hard:
        assert set(np.unique(y)) == {0.0, 1.0}
    np.testing.assert_allclose(np.bincount(y.argmax(1)) / 20_000, p, atol=0.0162)  # five deviations


def test_gumbel_softmax_hard_has_the_gradient_of_soft() -> None:
    gradients = []
    for hard in (False, True):
        weft.manual_seed(3)
        x = weft.zeros(4, 3, requires_grad=True)
        (F.gumbel_softmax(x, hard=hard, dim=0) * weft.arange(12.0).reshape(4, 3)).sum().backward()
        gradients.append(x.grad.numpy())
    np.testing.assert_allclose(*gradients, rtol=1e-6)
    assert np.abs(gradients[0]).max() > 0.1


# ---- mistakes


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda x: nn.ReLU(x), TypeError, r"ReLU takes options, not data \(inplace is a Tensor\)"),
        (lambda x: nn.Softmax(x), TypeError, r"Softmax takes options.*nn.Softmax\(...\)\(x\)"),
        (lambda x: nn.ELU(x), TypeError, r"ELU takes options, not data \(alpha is a Tensor\)"),
        (lambda x: nn.Sigmoid(x), TypeError, r"takes no options: .*nn.Sigmoid\(\)\(x\)"),
        (lambda x: nn.ReLU(128), TypeError, "inplace is a int"),
        (lambda x: nn.GELU()(x.long()), TypeError, "gelu takes a floating dtype, not weft.int64"),
        (lambda x: nn.Softmax2d()(x), ShapeError, r"not shape \[2, 3\]: Softmax\(dim=...\)"),
        (lambda x: nn.PReLU(4)(x), ShapeError, r"PReLU\(3\) does"),
        (lambda x: nn.PReLU(-1), ValueError, "num_parameters must not be negative"),
        (lambda x: nn.Hardtanh(1, -1), ValueError, "min_val=1 must be below max_val=-1"),
        (lambda x: F.gelu([1.0]), TypeError, r"weft.tensor\(x\)"),
    ],
)
def test_mistakes(call: Function, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call(weft.ones(2, 3))


def test_older_names_of_hardtanh() -> None:
    with pytest.warns(FutureWarning, match="use max_val"):
        layer = nn.Hardtanh(max_value=0.5)
    assert layer(weft.ones(1)).item() == 0.5
    with pytest.warns(UserWarning, match="eps has no effect"):
        F.gumbel_softmax(weft.ones(2), eps=0.1)


@pytest.mark.parity
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (2, 3, 4, 2)])
def test_a_dim_left_out(shape: tuple[int, ...], torch: Any) -> None:
    for name in ("softmax", "softmin", "log_softmax"):
        with pytest.warns(UserWarning, match=r"name the dimension that sums to 1"):
            ours = getattr(F, name)(weft.tensor(draw(*shape)))
        with pytest.warns(UserWarning, match="Implicit dimension"):
            theirs = getattr(torch.nn.functional, name)(torch.tensor(draw(*shape)))
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), 1e-12)


def test_functions_of_layers_that_stand_in_weft_too() -> None:
    assert weft.selu is F.selu
    assert weft.cosine_similarity is F.cosine_similarity
