"""Schedulers: rates against PyTorch's, saving, resuming, mistakes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import weft
import weft.optim
from weft.optim import SGD, Adam, lr_scheduler


class Halving:
    """A function with state of its own, which is saved."""

    def __init__(self, base: float) -> None:
        self.base = base

    def __call__(self, epoch: int) -> float:
        return self.base ** (epoch // 7)


Make = Callable[[Any, Any], Any]  # (lr_scheduler module, optimiser) -> scheduler

CHAINABLE: dict[str, Make] = {
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda e: 0.95**e),
    "LambdaLR, one each": lambda s, o: s.LambdaLR(o, [lambda e: 1 / (e + 1), Halving(0.5)]),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda e: 0.9 + 0.05 * (e % 3)),
    "StepLR": lambda s, o: s.StepLR(o, 30, 0.5),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [80, 30, 30], 0.3),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.25, 40),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.1, 0.7, 60),
    "LinearLR, falling": lambda s, o: s.LinearLR(o, 1.0, 0.0, 60),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.97),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 50, 1.7),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 50, 1e-3),
    "CosineAnnealingLR, short": lambda s, o: s.CosineAnnealingLR(o, 7),
    "WarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 10, 2, 1e-3),
    "WarmRestarts, even": lambda s, o: s.CosineAnnealingWarmRestarts(o, 30),
}

OTHERS: dict[str, Make] = {
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.01, [0.1, 0.2], 20),
    "CyclicLR, triangular2": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 20, 10, mode="triangular2"),
    "CyclicLR, exp_range": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 20, mode="exp_range", gamma=0.99),
    "CyclicLR, own scale": lambda s, o: s.CyclicLR(
        o, 0.01, 0.1, 20, scale_fn=lambda x: 1 / (5**x * 0.0001 + 1), scale_mode="iterations"
    ),
    "CyclicLR, scale with state": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 9, scale_fn=Halving(0.9)),
    "CyclicLR, momentum stays": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 20, cycle_momentum=False),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, [0.1, 0.2], 210),
    "OneCycleLR, linear": lambda s, o: s.OneCycleLR(
        o, 0.1, epochs=21, steps_per_epoch=10, anneal_strategy="linear", pct_start=0.4
    ),
    "OneCycleLR, three phases": lambda s, o: s.OneCycleLR(
        o, 0.1, 210, three_phase=True, max_momentum=0.9, div_factor=5, final_div_factor=10
    ),
    "SequentialLR": lambda s, o: s.SequentialLR(
        o,
        [s.ConstantLR(o, 0.1, 10), s.ExponentialLR(o, 0.97), s.CosineAnnealingLR(o, 50)],
        [20, 90],
    ),
    "SequentialLR within ChainedScheduler": lambda s, o: s.ChainedScheduler(
        [s.SequentialLR(o, [s.ConstantLR(o, 0.1, 9), s.PolynomialLR(o, 90)], [20]), s.StepLR(o, 50)]
    ),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler(
        [s.LinearLR(o, 0.1, 1.0, 15), s.ExponentialLR(o, 0.98), s.StepLR(o, 60)]
    ),
    "ReduceLROnPlateau": lambda s, o: s.ReduceLROnPlateau(o, patience=3, cooldown=2, min_lr=1e-4),
    "ReduceLROnPlateau, max": lambda s, o: s.ReduceLROnPlateau(
        o, "max", 0.5, 2, 0.05, "abs", min_lr=[1e-3, 1e-2]
    ),
    "ReduceLROnPlateau, max, rel": lambda s, o: s.ReduceLROnPlateau(o, "max", 0.5, 2, 0.05),
    "ReduceLROnPlateau, min, abs": lambda s, o: s.ReduceLROnPlateau(o, "min", 0.5, 2, 0.2, "abs"),
    "SWALR": lambda s, o: s.SWALR(o, [0.01, 0.5], 30),
    "SWALR, linear": lambda s, o: s.SWALR(o, 0.01, 30, "linear"),
    "SWALR, at once": lambda s, o: s.SWALR(o, 0.01, 0),
}
ALL = {**CHAINABLE, **OTHERS}


def _schedulers(lib: Any) -> Any:
    """The module, with SWALR beside the others."""
    names = dict(vars(lib.optim.lr_scheduler))
    names["SWALR"] = lib.optim.swa_utils.SWALR
    return type("Schedulers", (), {k: v for k, v in names.items() if isinstance(v, type)})


def _optimiser(lib: Any, method: str = "SGD") -> Any:
    a, b = (lib.ones(1, requires_grad=True) for _ in range(2))
    a.grad, b.grad = lib.zeros(1), lib.zeros(1)  # (a step without gradients is warned of)
    options = {"momentum": 0.9} if method == "SGD" else {}
    groups = [{"params": [a]}, {"params": [b], "lr": 0.3}]
    return getattr(lib.optim, method)(groups, lr=0.1, **options)


def _metric(k: int) -> float:
    return 1 / (1 + k // 9) + 0.1 * math.sin(k)


def _advance(scheduler: Any, k: int) -> None:
    scheduler.optimizer.step()
    if hasattr(scheduler, "patience"):
        scheduler.step(_metric(k))
    else:
        scheduler.step()


def _seen(optimiser: Any) -> list[Any]:
    names = ("lr", "momentum", "betas")
    return [[group[n] for n in names if n in group] for group in optimiser.param_groups]


def _history(scheduler: Any, begin: int, end: int) -> list[Any]:
    seen = [_seen(scheduler.optimizer)]
    for k in range(begin, end):
        _advance(scheduler, k)
        seen.append(_seen(scheduler.optimizer))
        assert scheduler.get_last_lr() == [
            group["lr"] for group in scheduler.optimizer.param_groups
        ]
    return seen


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")
@pytest.mark.parametrize("method", ["SGD", "Adam"])
@pytest.mark.parametrize("name", ALL)
def test_rates_are_pytorchs(name: str, method: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    ours, theirs = (
        _history(ALL[name](_schedulers(lib), _optimiser(lib, method)), 0, 200)
        for lib in (weft, torch)
    )
    assert ours == theirs


@pytest.mark.parity
@pytest.mark.parametrize("name", CHAINABLE)
def test_an_epoch_may_be_given(name: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    seen = []
    for lib in (weft, torch):
        scheduler = CHAINABLE[name](_schedulers(lib), _optimiser(lib))
        scheduler.optimizer.step()
        rates = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for epoch in (5, 6, 40, 40, 3):
                scheduler.step(epoch)
                rates.append(scheduler.get_last_lr())
        seen.append(rates)
    for mine, other in zip(*seen, strict=True):
        assert mine == pytest.approx(other, rel=1e-14)


@pytest.mark.parametrize("name", ALL)
def test_saving_and_going_on(name: str) -> None:
    make = ALL[name]
    scheduler = make(_schedulers(weft), _optimiser(weft))
    whole = _history(scheduler, 0, 120)
    first = make(_schedulers(weft), _optimiser(weft))
    _history(first, 0, 50)
    optimiser = _optimiser(weft)
    second = make(_schedulers(weft), optimiser)
    optimiser.load_state_dict(first.optimizer.state_dict())
    saved = first.state_dict()
    second.load_state_dict(saved)
    assert saved.keys() == first.state_dict().keys(), "loading takes nothing out of the dict"
    assert _history(second, 50, 120) == whole[50:]


@pytest.mark.parity
@pytest.mark.parametrize("name", ALL)
def test_state_dict_goes_both_ways(name: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    whole = _history(ALL[name](_schedulers(weft), _optimiser(weft)), 0, 80)
    for here, there in ((weft, torch), (torch, weft)):
        first = ALL[name](_schedulers(here), _optimiser(here))
        _history(first, 0, 50)
        second = ALL[name](_schedulers(there), _optimiser(there))
        for mine, other in zip(
            second.optimizer.param_groups, first.optimizer.param_groups, strict=True
        ):
            mine.update({k: v for k, v in other.items() if k != "params"})
        second.load_state_dict(first.state_dict())
        assert _history(second, 50, 80) == whole[50:]


def test_a_function_with_attributes_is_saved() -> None:
    one = lr_scheduler.LambdaLR(_optimiser(weft), [Halving(0.5), lambda e: 1.0])
    saved = one.state_dict()
    assert saved["lr_lambdas"] == [{"base": 0.5}, None]
    two = lr_scheduler.LambdaLR(_optimiser(weft), [Halving(0.9), lambda e: 1.0])
    two.load_state_dict(saved)
    assert two.lr_lambdas[0].base == 0.5  # type: ignore[attr-defined]


def test_resuming_by_last_epoch() -> None:
    optimiser = _optimiser(weft)
    with pytest.raises(KeyError, match=r"'initial_lr' is not specified in param_groups\[0\]"):
        lr_scheduler.StepLR(optimiser, 3, last_epoch=4)
    _history(lr_scheduler.StepLR(optimiser, 3), 0, 5)
    scheduler = lr_scheduler.StepLR(optimiser, 3, last_epoch=4)
    assert scheduler.last_epoch == 5
    assert scheduler.get_last_lr() == pytest.approx([0.01, 0.03])


def test_fractions_of_epochs() -> None:
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(_optimiser(weft), 4, 2)
    scheduler.optimizer.step()
    scheduler.step(4 + 4.0)  # the middle of the second period
    assert scheduler.get_last_lr() == pytest.approx([0.05, 0.15])
    scheduler.step(2.5)
    assert scheduler.last_epoch == 2
    assert scheduler.T_i == 4


def test_a_rate_that_is_a_tensor_stays_one() -> None:
    a = weft.ones(1, requires_grad=True)
    rate = weft.tensor(0.5)
    optimiser = SGD([a], lr=rate)  # type: ignore[arg-type]
    scheduler = lr_scheduler.ExponentialLR(optimiser, 0.5)
    a.sum().backward()
    optimiser.step()
    scheduler.step()
    assert optimiser.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25
    optimiser.step()
    assert a.item() == 0.25


def test_constant_factor_of_zero() -> None:
    scheduler = lr_scheduler.ConstantLR(_optimiser(weft), 0.0, 2)
    assert scheduler.get_last_lr() == [0.0, 0.0]
    _history(scheduler, 0, 2)
    assert scheduler.get_last_lr() == [0.1, 0.3]


def test_warnings() -> None:
    scheduler = lr_scheduler.StepLR(_optimiser(weft), 3)
    with pytest.warns(UserWarning, match=r"get_last_lr\(\)"):
        scheduler.get_lr()
    with pytest.warns(UserWarning, match=r"before optimizer\.step\(\)"):
        scheduler.step()
    with pytest.warns(UserWarning, match="deprecated"):
        scheduler.step(7)
    plateau = lr_scheduler.ReduceLROnPlateau(_optimiser(weft))
    with pytest.warns(UserWarning, match="deprecated"):
        plateau.step(1.0, 3)


def test_an_optimiser_with_a_step_of_its_own_is_not_warned_of() -> None:
    class Plain(weft.optim.Optimizer):
        def step(self, closure: Any = None) -> None:
            pass

    scheduler = lr_scheduler.StepLR(Plain([weft.ones(1)], {"lr": 0.1}), 1)
    scheduler.optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([0.01])


def test_plateau_follows_added_groups() -> None:
    optimiser = _optimiser(weft)
    one = lr_scheduler.ReduceLROnPlateau(optimiser, patience=0, min_lr=[0.0, 0.0])
    two = lr_scheduler.ReduceLROnPlateau(optimiser, patience=0)
    optimiser.add_param_group({"params": [weft.ones(1)], "lr": 1.0})
    one.step(1.0)
    with pytest.raises(RuntimeError, match="min_lrs"):
        one.step(1.0)
    two.step(1.0)
    two.step(1.0)
    assert two.get_last_lr() == pytest.approx([0.01, 0.03, 0.1])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda s, o: s.StepLR(3, 1), TypeError, "int is not an Optimizer"),
        (lambda s, o: s.LambdaLR(o, [abs]), ValueError, "1 functions.*2 groups"),
        (lambda s, o: s.MultiplicativeLR(o, 0.5), TypeError, "a function, not float"),
        (lambda s, o: s.ConstantLR(o, 1.5), ValueError, "factor=1.5"),
        (lambda s, o: s.LinearLR(o, 0.0), ValueError, "start_factor=0.0"),
        (lambda s, o: s.LinearLR(o, 0.5, 1.5), ValueError, "end_factor=1.5"),
        (lambda s, o: s.SequentialLR(o, [], []), ValueError, "no schedulers"),
        (lambda s, o: s.SequentialLR(o, [s.StepLR(o, 1)], [3]), ValueError, "0 milestones"),
        (lambda s, o: s.ChainedScheduler([]), ValueError, "no schedulers"),
        (lambda s, o: s.ChainedScheduler([3]), TypeError, "scheduler 0 is a int"),
        (lambda s, o: s.ChainedScheduler([s.ReduceLROnPlateau(o)]), ValueError, "needs a metric"),
        (
            lambda s, o: s.ChainedScheduler([s.StepLR(o, 1), s.StepLR(_optimiser(weft), 1)]),
            ValueError,
            "scheduler 1, StepLR, has another optimiser",
        ),
        (lambda s, o: s.ReduceLROnPlateau(o, factor=1), ValueError, "factor=1"),
        (lambda s, o: s.ReduceLROnPlateau(o, "least"), ValueError, "'least'"),
        (lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="x"), ValueError, "threshold_mode='x'"),
        (lambda s, o: s.ReduceLROnPlateau(o, min_lr=[0.0]), ValueError, "1 min_lr.*2 groups"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 0), ValueError, "T_0.*not 0"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 1, 0.5), ValueError, "T_mult.*not 0.5"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 1, 1, "a"), ValueError, "eta_min.*'a'"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 3).step(-1), ValueError, "epoch=-1"),
        (
            lambda s, o: s.CyclicLR(o, 0.1, [0.2]),
            ValueError,
            "max_lr must have .*1 values.*2 groups",
        ),
        (lambda s, o: s.CyclicLR(o, 0.1, 0.2, mode="x"), ValueError, "mode='x'"),
        (
            lambda s, o: s.CyclicLR(weft.optim.Rprop([weft.ones(1)]), 0.1, 0.2),
            ValueError,
            "Rprop has neither momentum nor betas.*cycle_momentum=False",
        ),
        (lambda s, o: s.OneCycleLR(o, 0.1), ValueError, "needs total_steps"),
        (lambda s, o: s.OneCycleLR(o, 0.1, epochs=0, steps_per_epoch=1), ValueError, "epochs.*0"),
        (lambda s, o: s.OneCycleLR(o, 0.1, 1.5), ValueError, "total_steps.*1.5"),
        (lambda s, o: s.OneCycleLR(o, 0.1, 10, pct_start=2.0), ValueError, "pct_start=2.0"),
        (lambda s, o: s.OneCycleLR(o, 0.1, 10, anneal_strategy="x"), ValueError, "'x'"),
        (lambda s, o: _history(s.OneCycleLR(o, 0.1, 4), 0, 5), ValueError, "step 5 of 4"),
        (lambda s, o: s.SWALR(o, 0.1, anneal_strategy="x"), ValueError, "'x'"),
        (lambda s, o: s.SWALR(o, 0.1, -1), ValueError, "anneal_epochs must be an int.*not -1"),
        (lambda s, o: s.SWALR(o, [0.1]), ValueError, "swa_lr must have the same length.*1 values"),
        (lambda s, o: s.LRScheduler(o), NotImplementedError, "get_lr"),
    ],
)
def test_mistakes(make: Make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(_schedulers(weft), _optimiser(weft))


def test_a_user_defined_scheduler() -> None:
    class Harmonic(lr_scheduler.LRScheduler):
        def get_lr(self) -> list[Any]:
            return [base / (1 + self.last_epoch) for base in self.base_lrs]

    a = weft.ones(1, requires_grad=True)
    a.sum().backward()
    optimiser = Adam([a], lr=1.0)
    scheduler = Harmonic(optimiser)
    for _ in range(3):
        optimiser.step()
        scheduler.step()
    assert scheduler.get_last_lr() == [0.25]
