"""Random numbers: Philox as published, distributions, seeds and states."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import weft
from weft.ops.random import philox


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    before = weft.get_rng_state()
    weft.manual_seed(1234)
    yield
    weft.set_rng_state(before)


class TestPhilox:
    """Known answers that come with Random123 (``kat_vectors``, philox4x32 with 10 rounds)."""

    @pytest.mark.parametrize(
        ("counter", "key", "words"),
        [
            ("00000000 00000000 00000000 00000000", "00000000 00000000",
             "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
            ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
             "408f276d 41c83b0e a20bc7c6 6d5451fd"),
            ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
             "d16cfe09 94fdcceb 5001e420 24126ea1"),
        ],
    )  # fmt: skip
    def test_known_answers(self, counter: str, key: str, words: str) -> None:
        c = [np.array([int(w, 16)], np.uint64) for w in counter.split()]
        low, high = (int(w, 16) for w in key.split())
        (found,) = philox(c, low | high << 32)
        assert [f"{int(w):08x}" for w in found] == words.split()

    def test_first_numbers_of_seed_zero(self) -> None:
        """The words of the first block, 24 bits of each."""
        weft.manual_seed(0)
        words = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
        assert weft.rand(4).tolist() == [(w >> 8) * 2.0**-24 for w in words]

    def test_doubles_take_two_words(self) -> None:
        weft.manual_seed(0)
        words = 0x6627E8D5E169C58D, 0xBC57AC4C9B00DBD8
        found = weft.rand(2, dtype=weft.float64).tolist()
        assert found == [(w >> 11) * 2.0**-53 for w in words]


DRAWS: dict[str, Callable[[], weft.Tensor]] = {
    "rand": lambda: weft.rand(5),
    "randn": lambda: weft.randn(5),
    "randint": lambda: weft.randint(1000, (5,)),
    "randperm": lambda: weft.randperm(50),
    "normal": lambda: weft.normal(0.0, 1.0, (5,)),
    "bernoulli": lambda: weft.bernoulli(weft.full((64,), 0.5)),
    "multinomial": lambda: weft.multinomial(weft.ones(50), 20),
    "rand_like": lambda: weft.rand_like(weft.zeros(5)),
    "randn_like": lambda: weft.randn_like(weft.zeros(5)),
    "uniform_": lambda: weft.zeros(5).uniform_(),
    "normal_": lambda: weft.zeros(5).normal_(),
    "random_": lambda: weft.zeros(5).random_(),
    "exponential_": lambda: weft.zeros(5).exponential_(),
    "bernoulli_": lambda: weft.zeros(64).bernoulli_(),
    "dropout": lambda: weft.nn.functional.dropout(weft.ones(64)),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
class TestStreams:
    def test_same_seed_same_numbers(self, draw: Callable[[], weft.Tensor]) -> None:
        first = draw().tolist()
        weft.manual_seed(1234)
        assert draw().tolist() == first

    def test_each_call_draws_others(self, draw: Callable[[], weft.Tensor]) -> None:
        assert draw().tolist() != draw().tolist()

    def test_each_seed_draws_others(self, draw: Callable[[], weft.Tensor]) -> None:
        first = draw().tolist()
        weft.manual_seed(1235)
        assert draw().tolist() != first

    def test_state_goes_back(self, draw: Callable[[], weft.Tensor]) -> None:
        draw()
        state = weft.get_rng_state()
        first = [draw().tolist(), draw().tolist()]
        weft.set_rng_state(state)
        assert [draw().tolist(), draw().tolist()] == first

    def test_computed_late(self, draw: Callable[[], weft.Tensor]) -> None:
        """What counts is the order in which draws are written, not in which they are computed."""
        a, b = draw(), draw()
        late = b.tolist(), a.tolist()
        weft.manual_seed(1234)
        assert (draw().tolist(), draw().tolist()) == late[::-1]


class TestGenerators:
    def test_are_apart(self) -> None:
        g = weft.Generator().manual_seed(7)
        first = weft.rand(3, generator=g).tolist()
        weft.rand(3)
        second = weft.rand(3, generator=g).tolist()
        g.manual_seed(7)
        assert weft.rand(3, generator=g).tolist() == first
        assert weft.rand(3, generator=g).tolist() == second

    def test_do_not_move_the_default(self) -> None:
        expected = weft.rand(3).tolist()
        weft.manual_seed(1234)
        weft.rand(3, generator=weft.Generator())
        assert weft.rand(3).tolist() == expected

    def test_same_seed_as_the_default(self) -> None:
        g = weft.Generator().manual_seed(1234)
        assert weft.randn(3, generator=g).tolist() == weft.randn(3).tolist()

    def test_seeds(self) -> None:
        assert weft.initial_seed() == 1234
        assert weft.default_generator.initial_seed() == 1234
        assert weft.manual_seed(5) is weft.default_generator
        assert weft.Generator().initial_seed() != weft.Generator().initial_seed()
        fresh = weft.seed()
        assert weft.initial_seed() == fresh

    @pytest.mark.parametrize("seed", [0, -1, 2**63 - 1, 2**64 - 1])
    def test_any_seed(self, seed: int) -> None:
        weft.manual_seed(seed)
        first = weft.rand(3).tolist()
        weft.manual_seed(seed)
        assert weft.rand(3).tolist() == first

    def test_a_state_that_is_none(self) -> None:
        with pytest.raises(ValueError, match="two int64 numbers, not "):
            weft.set_rng_state(weft.zeros(3))

    def test_a_generator_of_another_device(self) -> None:
        with pytest.raises(weft.errors.DeviceError, match="device 'cuda' is not available"):
            weft.Generator("cuda")


class TestCounters:
    def test_shape_does_not_matter(self) -> None:
        flat = weft.rand(6).tolist()
        weft.manual_seed(1234)
        assert weft.rand(2, 3).flatten().tolist() == flat

    def test_more_numbers_begin_with_the_same(self) -> None:
        few = weft.rand(3).tolist()
        weft.manual_seed(1234)
        assert weft.rand(1000)[:3].tolist() == few

    def test_requires_grad_and_dtype(self) -> None:
        x = weft.rand(2, dtype=weft.float64, requires_grad=True)
        assert x.dtype is weft.float64
        assert x.requires_grad
        assert x.is_leaf


# ---- distributions: all with fixed seeds, within five standard errors

N = 40_000


def moments(x: weft.Tensor) -> tuple[float, float]:
    a = x.double().numpy()
    return float(a.mean()), float(a.var())


def assert_moments(x: weft.Tensor, mean: float, variance: float, fourth: float) -> None:
    """``fourth``: the central moment by which the variance's own error is known."""
    found_mean, found_variance = moments(x)
    n = x.numel()
    assert abs(found_mean - mean) < 5 * (variance / n) ** 0.5
    assert abs(found_variance - variance) < 5 * ((fourth - variance**2) / n) ** 0.5


FLOATING = [weft.float32, weft.float64, weft.float16, weft.bfloat16]


class TestDistributions:
    @pytest.mark.parametrize("dtype", FLOATING, ids=str)
    def test_uniform(self, dtype: weft.dtype) -> None:
        x = weft.rand(N, dtype=dtype)
        assert x.min().item() >= 0
        assert x.max().item() < 1  # also where 16 bits round
        if dtype in FLOATING[:2]:
            assert_moments(x, 1 / 2, 1 / 12, 1 / 80)
            counts = np.histogram(x.numpy(), 20, (0, 1))[0]
            assert ((counts - N / 20) ** 2 / (N / 20)).sum() < 50  # chi-squared of 19 degrees

    @pytest.mark.parametrize("dtype", FLOATING[:2], ids=str)
    def test_normal(self, dtype: weft.dtype) -> None:
        x = weft.randn(N, dtype=dtype)
        assert_moments(x, 0, 1, 3)
        assert abs((x.abs() < 1).double().mean().item() - 0.6827) < 0.012
        assert x.abs().max().item() > 3.5
        pairs = x.reshape(-1, 2).double().numpy()  # Box and Muller makes them in pairs
        assert abs((pairs[:, 0] * pairs[:, 1]).mean()) < 5 / (N / 2) ** 0.5

    @pytest.mark.parametrize("dtype", FLOATING, ids=str)
    def test_normal_is_finite(self, dtype: weft.dtype) -> None:
        assert weft.randn(N, dtype=dtype).isfinite().all()

    def test_normal_of_mean_and_deviation(self) -> None:
        assert_moments(weft.normal(3.0, 2.0, (N,)), 3, 4, 48)
        assert_moments(weft.zeros(N).normal_(-1, 0.5), -1, 0.25, 3 / 16)
        x = weft.normal(weft.tensor([0.0, 100.0]), weft.tensor([1.0, 0.0]))
        assert x[1].item() == 100

    def test_uniform_between(self) -> None:
        x = weft.zeros(N).uniform_(-2, 4)
        assert_moments(x, 1, 3, 81 / 5)
        assert -2 <= x.min().item() < x.max().item() < 4

    def test_exponential(self) -> None:
        x = weft.zeros(N).exponential_(2)
        assert x.min().item() >= 0
        assert_moments(x, 1 / 2, 1 / 4, 9 / 16)

    @pytest.mark.parametrize("p", [0.0, 0.2, 1.0])
    def test_bernoulli(self, p: float) -> None:
        for x in (weft.bernoulli(weft.full((N,), p)), weft.zeros(N).bernoulli_(p)):
            assert set(x.tolist()) <= {0, 1}
            assert abs(x.mean().item() - p) <= 5 * (p * (1 - p) / N) ** 0.5

    @pytest.mark.parametrize(("low", "high"), [(0, 10), (-5, 5), (100, 101), (0, 256)])
    def test_integers(self, low: int, high: int) -> None:
        x = weft.randint(low, high, (N,))
        assert x.dtype is weft.int64
        counts = np.bincount(x.numpy() - low, minlength=high - low)
        assert len(counts) == high - low
        expected = N / (high - low)
        assert ((counts - expected) ** 2 / expected).sum() < (high - low) + 5 * (2 * high) ** 0.5

    def test_random_fills_the_range_of_the_dtype(self) -> None:
        x = weft.zeros(N, dtype=weft.uint8).random_()
        assert x.min().item() < 3
        assert x.max().item() > 252
        assert set(weft.zeros(N, dtype=weft.bool).random_().tolist()) == {True, False}
        assert weft.zeros(N).random_(3, 6).unique().tolist() == [3, 4, 5]

    def test_permutations(self) -> None:
        assert sorted(weft.randperm(100).tolist()) == list(range(100))
        found = [tuple(weft.randperm(3).tolist()) for _ in range(300)]
        assert len(set(found)) == 6
        assert min(found.count(p) for p in set(found)) > 25

    @pytest.mark.parametrize("replacement", [True, False])
    def test_multinomial(self, replacement: bool) -> None:
        weights = weft.tensor([1.0, 0.0, 3.0, 4.0])
        rows = weights.expand(N, 4)
        x = weft.multinomial(rows, 2, replacement)
        assert x.shape == (N, 2)
        first = np.bincount(x[:, 0].numpy(), minlength=4) / N
        np.testing.assert_allclose(first, [1 / 8, 0, 3 / 8, 4 / 8], atol=0.0125)
        twice = (x[:, 0] == x[:, 1]).any().item()
        assert twice is replacement

    def test_dropout(self) -> None:
        x = weft.nn.functional.dropout(weft.ones(N), 0.25)
        assert set(x.unique().tolist()) == {0, weft.tensor(4 / 3).item()}
        assert abs((x == 0).float().mean().item() - 0.25) < 5 * (0.25 * 0.75 / N) ** 0.5


@pytest.mark.parametrize("name", ["uniform_", "normal_", "exponential_", "random_", "bernoulli_"])
def test_filling_in_place(name: str) -> None:
    """Through a view too; what was there before has no part in it."""
    x = weft.full((2, 64), -9.0)
    fill: Any = getattr(x[1], name)
    fill()
    assert x[0].tolist() == [-9] * 64
    assert -9 not in x[1]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: weft.zeros(2).uniform_(2, 1),
        lambda: weft.zeros(2).normal_(0, -1),
        lambda: weft.zeros(2).bernoulli_(1.5),
        lambda: weft.zeros(2).exponential_(0),
        lambda: weft.normal(0.0, -1.0, (2,)),
        lambda: weft.normal(0.0, weft.tensor([-1.0])),
        lambda: weft.bernoulli(weft.tensor([2.0])),
        lambda: weft.randperm(-1),
        lambda: weft.multinomial(weft.tensor([0.0, 0.0]), 1),
        lambda: weft.multinomial(weft.tensor([1.0, float("inf")]), 1),
    ],
)
def test_parameters_that_give_no_distribution(draw: Any) -> None:
    with pytest.raises(RuntimeError, match=r"must|between|takes|no number|negative"):
        weft.realize(draw())
