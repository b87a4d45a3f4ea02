"""Parametrized weights, weight and spectral norm in both forms: beside PyTorch, and mistakes."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import weft
from weft import nn
from weft.nn.utils import parametrize

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")

pytestmark = pytest.mark.parity


def symmetric(lib: Any) -> Any:
    class Symmetric(lib.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x.triu() + x.triu(1).mT

        def right_inverse(self, x: Any) -> Any:
            return x.triu()

    return Symmetric()


def times(lib: Any, factor: float, inverse: bool = True) -> Any:
    class Times(lib.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.factor = lib.nn.Parameter(lib.tensor(factor))

        def forward(self, x: Any) -> Any:
            return x * self.factor

    class Invertible(Times):
        def right_inverse(self, x: Any) -> Any:
            return x / self.factor

    return Invertible() if inverse else Times()


def rank_one(lib: Any) -> Any:
    class RankOne(lib.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any, y: Any) -> Any:
            return x.unsqueeze(-1) @ y.unsqueeze(-2)

        def right_inverse(self, z: Any) -> Any:
            return z[:, 0], z[0] / z[0, 0]

    return RankOne()


def copied(source: Any, target: Any) -> None:
    """Loads PyTorch's state, whose layout must be ours."""
    state = {k: weft.from_numpy(v.numpy()) for k, v in source.state_dict().items()}
    assert list(target.state_dict()) == list(state)
    target.load_state_dict(state)


def same_training(theirs: Any, ours: Any, shape: tuple[int, ...], steps: int = 3) -> None:
    """Output, gradients, state and repr stay equal over steps of an optimiser."""
    copied(theirs, ours)
    assert repr(ours) == repr(theirs)
    optimisers = [
        torch.optim.SGD(theirs.parameters(), 0.1),
        weft.optim.SGD(ours.parameters(), 0.1),
    ]
    for step in range(steps):
        x = np.random.default_rng(step).normal(size=shape).astype("f4")
        for lib, module, optimiser in zip((torch, weft), (theirs, ours), optimisers, strict=True):
            optimiser.zero_grad()
            (module(lib.from_numpy(x)) ** 2).sum().backward()
            optimiser.step()
        for (name, a), (_, b) in zip(
            theirs.state_dict().items(), ours.state_dict().items(), strict=True
        ):
            np.testing.assert_allclose(b.numpy(), a.numpy(), 1e-3, 1e-4, err_msg=name)
        for (name, a), (other, b) in zip(
            theirs.named_parameters(), ours.named_parameters(), strict=True
        ):
            assert name == other
            np.testing.assert_allclose(b.grad.numpy(), a.grad.numpy(), 1e-3, 1e-4, err_msg=name)


@pytest.mark.parametrize("makers", [
    (symmetric,),
    (lambda lib: times(lib, 2.0),),
    (lambda lib: times(lib, 2.0, inverse=False),),
    (symmetric, lambda lib: times(lib, 3.0)),
    (rank_one,),
    (rank_one, symmetric),
])  # fmt: skip
def test_as_pytorch(makers: Any) -> None:
    theirs, ours = torch.nn.Linear(3, 3), nn.Linear(3, 3)
    copied(theirs, ours)
    for lib, module in ((torch, theirs), (weft, ours)):
        for make in makers:
            lib.nn.utils.parametrize.register_parametrization(module, "weight", make(lib))
    np.testing.assert_allclose(
        ours.weight.detach().numpy(), theirs.weight.detach().numpy(), 1e-5, 1e-6
    )
    same_training(theirs, ours, (4, 3))
    for lib, module in ((torch, theirs), (weft, ours)):
        lib.nn.utils.parametrize.remove_parametrizations(module, "weight")
    assert type(ours) is nn.Linear
    assert repr(ours) == repr(theirs)
    same_training(theirs, ours, (4, 3), 1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["weight", "bias", "running"]), min_size=1, max_size=5), st.data())
def test_any_order_of_registering_and_removing(names: list[str], data: Any) -> None:
    theirs, ours = torch.nn.Linear(2, 2), nn.Linear(2, 2)
    theirs.register_buffer("running", torch.ones(2, 2))
    ours.register_buffer("running", weft.ones(2, 2))
    copied(theirs, ours)
    for name in names:
        remove = ours.__class__ is not nn.Linear and data.draw(st.booleans())
        leave = data.draw(st.booleans())
        for lib, module in ((torch, theirs), (weft, ours)):
            p = lib.nn.utils.parametrize
            if remove and p.is_parametrized(module, name):
                p.remove_parametrizations(module, name, leave_parametrized=leave)
            else:
                p.register_parametrization(module, name, times(lib, 2.0))
        assert repr(ours) == repr(theirs)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
        for each in ("weight", "bias", "running"):
            a, b = getattr(ours, each), getattr(theirs, each)
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 1e-5)
            assert a.requires_grad == b.requires_grad


def test_assignment_and_removal() -> None:
    for lib in (torch, weft):
        p = lib.nn.utils.parametrize
        layer = lib.nn.Linear(3, 3)
        original = layer.weight
        p.register_parametrization(layer, "weight", symmetric(lib))
        assert layer.parametrizations.weight.original is original
        wanted = lib.ones(3, 3) * 2
        layer.weight = wanted
        assert layer.weight.tolist() == wanted.tolist()
        assert original.tolist() == [[2, 2, 2], [0, 2, 2], [0, 0, 2]]
        assert p.is_parametrized(layer)
        assert p.is_parametrized(layer, "weight")
        assert not p.is_parametrized(layer, "bias")
        assert p.type_before_parametrizations(layer) is lib.nn.Linear
        p.remove_parametrizations(layer, "weight", leave_parametrized=False)
        assert layer.weight is original
        assert layer.weight.tolist() == [[2, 2, 2], [0, 2, 2], [0, 0, 2]]


def test_cached_computes_once() -> None:
    for lib in (torch, weft):
        calls: list[int] = []

        class Counts(lib.nn.Module):  # type: ignore[misc]
            def forward(self, x: Any, calls: list[int] = calls) -> Any:
                calls.append(1)
                return x * 1

        p = lib.nn.utils.parametrize
        layer = p.register_parametrization(lib.nn.Linear(2, 2), "weight", Counts(), unsafe=True)
        before = len(calls)
        with p.cached(), p.cached():
            assert layer.weight is layer.weight
        assert len(calls) == before + 1
        assert layer.weight is not layer.weight


def test_transfer() -> None:
    for lib in (torch, weft):
        p = lib.nn.utils.parametrize
        one, other = lib.nn.Linear(3, 3), lib.nn.Linear(3, 3)
        p.register_parametrization(one, "weight", symmetric(lib))
        p.transfer_parametrizations_and_params(one, other)
        assert other.weight.tolist() == one.weight.tolist()
        assert other.parametrizations.weight.original is one.parametrizations.weight.original
        plain = lib.nn.ReLU()
        p.transfer_parametrizations_and_params(one, plain, "weight")
        assert plain.weight.tolist() == one.weight.tolist()
        assert p.transfer_parametrizations_and_params(lib.nn.ReLU(), other) is other


def test_a_copy_is_a_layer_of_its_own() -> None:
    layer = parametrize.register_parametrization(nn.Linear(3, 3), "weight", symmetric(weft))
    twin = copy.deepcopy(layer)
    assert twin.weight.tolist() == layer.weight.tolist()
    parametrize.remove_parametrizations(twin, "weight")
    assert type(twin) is nn.Linear
    assert layer.weight.tolist() == twin.weight.tolist()  # still computed
    with weft.no_grad():
        twin.weight.zero_()
    assert layer.weight.abs().sum().item() > 0
    with pytest.raises(RuntimeError, match=r"state_dict\(\)"):
        pickle.dumps(layer)


def test_what_does_not_fit_changes_nothing() -> None:
    class Part(nn.Module):
        def forward(self, x: Any) -> Any:
            return x[:1]

        def right_inverse(self, x: Any) -> Any:
            return x * 0

    class Double(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.double()

    layer = nn.Linear(3, 3)
    before = layer.weight.tolist()
    for wrong, text in ((Part(), "shape"), (Double(), "dtype")):
        with pytest.raises(ValueError, match=text):
            parametrize.register_parametrization(layer, "weight", wrong)
        assert layer.weight.tolist() == before
        assert type(layer) is nn.Linear
        assert list(layer.state_dict()) == ["weight", "bias"]
    with pytest.raises(ValueError, match=r"'wieght'.*Did you mean 'weight'"):
        parametrize.register_parametrization(layer, "wieght", symmetric(weft))
    with pytest.raises(ValueError, match="does not have a parametrization on 'weight'"):
        parametrize.remove_parametrizations(layer, "weight")
    parametrize.register_parametrization(layer, "weight", times(weft, 2.0, inverse=False))
    with pytest.raises(RuntimeError, match="Times does not implement right_inverse"):
        layer.weight = weft.zeros(3, 3)
    parametrize.register_parametrization(layer, "weight", Part(), unsafe=True)
    assert layer.weight.shape == (1, 3)


# ---- weight norm


SHAPES: list[tuple[Any, tuple[int, ...]]] = [
    (lambda lib: lib.nn.Linear(3, 4), (5, 3)),
    (lambda lib: lib.nn.Conv1d(2, 3, 2), (2, 2, 5)),
    (lambda lib: lib.nn.Conv2d(4, 6, 3, groups=2), (2, 4, 5, 5)),
    (lambda lib: lib.nn.ConvTranspose1d(2, 3, 2), (2, 2, 5)),
]


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize(("make", "shape"), SHAPES)
def test_weight_norm(make: Any, shape: tuple[int, ...], dim: int | None) -> None:
    theirs, ours = make(torch), make(weft)
    copied(theirs, ours)
    torch.nn.utils.parametrizations.weight_norm(theirs, dim=dim)
    weft.nn.utils.parametrizations.weight_norm(ours, dim=dim)
    same_training(theirs, ours, shape)


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize(("make", "shape"), SHAPES)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")
def test_weight_norm_by_a_hook(make: Any, shape: tuple[int, ...], dim: int | None) -> None:
    theirs, ours = make(torch), make(weft)
    copied(theirs, ours)
    for lib, module in ((torch, theirs), (weft, ours)):
        assert lib.nn.utils.weight_norm(module, dim=dim) is module
        with pytest.raises(RuntimeError, match="two weight_norm hooks"):
            lib.nn.utils.weight_norm(module, dim=dim)
    same_training(theirs, ours, shape)
    newer = weft.nn.utils.parametrizations.weight_norm(make(weft), dim=dim)
    newer.load_state_dict(ours.state_dict())
    x = weft.ones(*shape)
    np.testing.assert_allclose(newer(x).detach().numpy(), ours(x).detach().numpy(), 1e-4, 1e-5)
    for lib, module in ((torch, theirs), (weft, ours)):
        lib.nn.utils.remove_weight_norm(module)
        with pytest.raises(ValueError, match="weight_norm of 'weight' not found"):
            lib.nn.utils.remove_weight_norm(module)
    same_training(theirs, ours, shape, 1)


def test_the_older_weight_norm_says_that_it_is_deprecated() -> None:
    with pytest.warns(FutureWarning, match=r"parametrizations\.weight_norm"):
        nn.utils.weight_norm(nn.Linear(2, 2))


# ---- spectral norm


@pytest.mark.parametrize("form", ["parametrizations", "hook"])
@pytest.mark.parametrize(("make", "shape"), SHAPES)
@pytest.mark.parametrize("dim", [None, 1])
def test_spectral_norm(form: str, make: Any, shape: tuple[int, ...], dim: int | None) -> None:
    theirs, ours = make(torch), make(weft)
    copied(theirs, ours)
    for lib, module in ((torch, theirs), (weft, ours)):
        utils = lib.nn.utils
        where = utils if form == "hook" else utils.parametrizations
        where.spectral_norm(module, n_power_iterations=2, dim=dim)
    same_training(theirs, ours, shape)
    theirs.eval()
    ours.eval()
    same_training(theirs, ours, shape)
    for lib, module in ((torch, theirs), (weft, ours)):
        utils = lib.nn.utils
        if form == "hook":
            utils.remove_spectral_norm(module)
        else:
            utils.parametrize.remove_parametrizations(module, "weight")
    assert not ours._state_dict_hooks
    same_training(theirs, ours, shape, 1)


def test_spectral_norm_of_the_first_form() -> None:
    """A state dict without `weight_v`, as PyTorch once saved it."""
    theirs, ours = torch.nn.Linear(3, 4), nn.Linear(3, 4)
    for lib, module in ((torch, theirs), (weft, ours)):
        lib.nn.utils.spectral_norm(module)
    module_ = torch.nn.utils.spectral_norm(torch.nn.Linear(3, 4))
    module_(torch.ones(1, 3))
    state = {k: v.detach() for k, v in module_.state_dict().items() if k != "weight_v"}
    state["weight"] = module_.weight.detach()
    theirs.load_state_dict(state)
    ours.load_state_dict({k: weft.from_numpy(v.numpy()) for k, v in state.items()})
    np.testing.assert_allclose(ours.weight_v.numpy(), theirs.weight_v.numpy(), 1e-3, 1e-4)
    same_training(theirs, ours, (2, 3), 1)


def test_spectral_norm_is_one() -> None:
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(5, 7))
    for _ in range(50):
        weight = layer.weight
    assert abs(np.linalg.norm(weight.detach().numpy(), 2) - 1) < 1e-3
    vector = nn.Module()
    vector.w = nn.Parameter(weft.tensor([3.0, 4.0]))
    nn.utils.parametrizations.spectral_norm(vector, "w")
    np.testing.assert_allclose(vector.w.detach().numpy(), [0.6, 0.8], 1e-6)


def test_mistakes_with_norms() -> None:
    layer = nn.Linear(3, 3)
    for wrong, error, text in (
        ({"n_power_iterations": 0}, ValueError, "positive"),
        ({"dim": 2}, IndexError, "out of range"),
        ({"name": "wieght"}, ValueError, "Did you mean 'weight'"),
    ):
        with pytest.raises(error, match=text):
            nn.utils.parametrizations.spectral_norm(layer, **wrong)
    assert list(layer.state_dict()) == ["weight", "bias"]
