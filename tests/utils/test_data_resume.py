"""Going on in the middle of a pass: what comes is what would have come."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

import weft
from weft.errors import CheckpointError
from weft.utils.data import (
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    get_worker_info,
)


class Augmented(Dataset[Any]):
    def __len__(self) -> int:
        return 22

    def __getitem__(self, index: int) -> Any:
        return index, random.random(), np.random.rand(), weft.rand(1)  # noqa: NPY002


class Stream(IterableDataset[Any]):
    """Random numbers, as many as the worker's number says."""

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        worker = 0 if info is None else info.id
        for k in range(9 + 5 * worker):
            yield worker, k, random.random(), weft.rand(1)


class Telling(IterableDataset[int]):
    """A stream that says where it is, and starts there."""

    def __init__(self) -> None:
        self.at = 0
        self.read = 0

    def __iter__(self) -> Iterator[int]:
        while self.at < 30:
            self.at += 1
            self.read += 1
            yield self.at
        self.at = 0

    def state_dict(self) -> dict[str, int]:
        return {"at": self.at}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.at = state["at"]


def plain(batch: Any) -> Any:
    return [x.tolist() if isinstance(x, weft.Tensor) else x for x in batch]


WORKERS: list[dict[str, Any]] = [
    {},
    {"num_workers": 2},
    {"num_workers": 3, "persistent_workers": True, "prefetch_factor": 3},
]
FORKSERVER: dict[str, Any] = {"num_workers": 2, "multiprocessing_context": "forkserver"}


def make(**options: Any) -> Any:
    return DataLoader(Augmented(), 4, shuffle=True, **options)


def unbroken(options: dict[str, Any], count: int) -> list[Any]:
    """What two passes and a half give, and the numbers that the loop draws in between."""
    weft.manual_seed(11)
    out = []
    loader = make(**options)
    for _ in range(3):
        for batch in loader:
            out.append((plain(batch), weft.rand(1).item()))
            if len(out) == count:
                return out
    return out


@pytest.mark.parametrize(
    ("options", "stop"),
    [*product(WORKERS, [1, 3, 5, 6, 8, 11, 12]), (FORKSERVER, 8)],
    ids=str,
)
def test_training_goes_on_as_if_nothing_had_happened(options: dict[str, Any], stop: int) -> None:
    expected = unbroken({}, 18)
    weft.manual_seed(11)
    loader, out = make(**options), []
    while len(out) < stop:
        for batch in loader:
            out.append((plain(batch), weft.rand(1).item()))
            if len(out) == stop:
                break
    states = json.dumps([loader.state_dict(), weft.get_rng_state().tolist()])
    del loader
    weft.manual_seed(999)

    state, generator = json.loads(states)
    fresh = make(**options)
    weft.set_rng_state(weft.tensor(generator))
    fresh.load_state_dict(state)
    while len(out) < 18:
        out += [(plain(batch), weft.rand(1).item()) for batch in fresh]
    assert out == expected


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_the_number_of_workers_may_differ(before: int, after: int) -> None:
    weft.manual_seed(5)
    loader = make(num_workers=before)
    passing = iter(loader)
    next(passing), next(passing)
    state = loader.state_dict()
    rest = [plain(batch) for batch in passing]
    fresh = make(num_workers=after)
    fresh.load_state_dict(state)
    assert [plain(batch) for batch in fresh] == rest
    assert len(rest) == 4


@pytest.mark.parametrize("options", WORKERS, ids=str)
def test_a_generator_of_one_s_own(options: dict[str, Any]) -> None:
    def own(seed: int) -> Any:
        return make(generator=weft.Generator().manual_seed(seed), **options)

    loader = own(3)
    passing = iter(loader)
    next(passing), next(passing)
    middle = loader.state_dict()
    rest = [plain(batch) for batch in passing]
    end = loader.state_dict()
    second = [plain(batch) for batch in loader]

    for state, expected in ((middle, [rest, second]), (end, [second])):
        fresh = own(4)
        fresh.load_state_dict(state)
        assert [[plain(batch) for batch in fresh] for _ in expected] == expected


def test_the_state_is_of_the_batches_given_not_of_those_loaded_ahead() -> None:
    loader = DataLoader(range(100), 5, num_workers=2, prefetch_factor=4)
    for k, batch in enumerate(loader):
        state = loader.state_dict()
        assert state["batches"] == k + 1
        assert batch.tolist()[0] == 5 * k
    assert not loader.state_dict()["in_pass"]


def test_a_state_that_is_loaded_is_the_state() -> None:
    loader = make()
    next(iter(loader))
    state = loader.state_dict()
    fresh = make()
    fresh.load_state_dict(state)
    assert fresh.state_dict() == state
    assert pickle.loads(pickle.dumps(fresh)).state_dict() == state
    assert len(list(fresh)) == 5
    assert len(list(fresh)) == 6


def test_the_loader_that_gave_the_state_may_take_it() -> None:
    for options in WORKERS:
        loader = make(**options)
        passing = iter(loader)
        next(passing)
        state = loader.state_dict()
        second = plain(next(passing))
        loader.load_state_dict(state)
        assert plain(next(iter(loader))) == second


def test_batches_that_came_out_of_order_do_not_come_again() -> None:
    loader = DataLoader(range(40), 2, num_workers=2, in_order=False, worker_method="thread")
    passing = iter(loader)
    got = [next(passing).tolist() for _ in range(7)]
    state = json.loads(json.dumps(loader.state_dict()))
    fresh = DataLoader(range(40), 2, num_workers=2, in_order=False, worker_method="thread")
    fresh.load_state_dict({**state, "batches": 3, "ahead": [4, 6, 9, 19]})
    assert sorted(b[0].item() // 2 for b in fresh) == [
        3, 5, 7, 8, *range(10, 19)
    ]  # fmt: skip
    fresh.load_state_dict(state)
    assert sorted([*got, *[b.tolist() for b in fresh]]) == [[k, k + 1] for k in range(0, 40, 2)]


SAMPLERS: dict[str, Any] = {
    "random": lambda: RandomSampler(range(22), replacement=True, num_samples=30),
    "several": lambda: RandomSampler(range(22), num_samples=50),
    "subset": lambda: SubsetRandomSampler(list(range(3, 20))),
    "weighted": lambda: WeightedRandomSampler(list(range(22)), 25),
    "distributed": lambda: DistributedSampler(range(22), 2, 1, seed=4),
}


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("workers", [0, 2])
def test_samplers(name: str, workers: int) -> None:
    weft.manual_seed(8)
    loader = DataLoader(Augmented(), 3, sampler=SAMPLERS[name](), num_workers=workers)
    passing = iter(loader)
    next(passing), next(passing)
    state = loader.state_dict()
    rest = [plain(batch) for batch in passing]
    assert rest
    fresh = DataLoader(Augmented(), 3, sampler=SAMPLERS[name](), num_workers=workers)
    fresh.load_state_dict(state)
    assert [plain(batch) for batch in fresh] == rest


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("both", [False, True])
def test_generators_of_samplers(workers: int, both: bool) -> None:
    def fresh(seed: int) -> Any:
        own = weft.Generator().manual_seed(seed)
        sampler = RandomSampler(range(22), generator=own)
        generator = weft.Generator().manual_seed(-seed) if both else None
        return DataLoader(Augmented(), 4, sampler=sampler, generator=generator, num_workers=workers)

    weft.manual_seed(0)
    loader = fresh(1)
    list(loader)
    passing = iter(loader)
    next(passing), next(passing)
    state, drawn = json.loads(json.dumps(loader.state_dict())), weft.get_rng_state()
    rest = [[plain(b) for b in passing], *([plain(b) for b in loader] for _ in range(2))]
    between = loader.state_dict()
    rest_drawn = weft.get_rng_state()
    last = [plain(b) for b in loader]
    again = fresh(99)
    again.load_state_dict(state)
    weft.set_rng_state(drawn)
    assert [[plain(b) for b in again] for _ in range(3)] == rest
    again = fresh(98)
    again.load_state_dict(between)
    weft.set_rng_state(rest_drawn)
    assert [plain(b) for b in again] == last


class Lazy(Sampler[int]):
    """Draws from its own generator as it goes."""

    def __init__(self, seed: int) -> None:
        self.generator = weft.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[int]:
        for _ in range(22):
            yield int(weft.randint(0, 22, (), generator=self.generator).item())

    def __len__(self) -> int:
        return 22


@pytest.mark.parametrize("workers", [0, 2])
def test_a_sampler_that_draws_as_it_goes(workers: int) -> None:
    loader = DataLoader(Augmented(), 4, sampler=Lazy(3), num_workers=workers)
    passing = iter(loader)
    next(passing), next(passing)
    state = loader.state_dict()
    rest = [plain(b) for b in passing]
    again = DataLoader(Augmented(), 4, sampler=Lazy(4), num_workers=workers)
    again.load_state_dict(state)
    assert [plain(b) for b in again] == rest


class Own(Sampler[int]):
    """An order that only this object knows, and tells."""

    def __init__(self) -> None:
        self.order = random.sample(range(22), 22)
        self.at = 0

    def __iter__(self) -> Iterator[int]:
        while self.at < 22:
            self.at += 1
            yield self.order[self.at - 1]
        self.at = 0

    def __len__(self) -> int:
        return 22

    def state_dict(self) -> dict[str, Any]:
        return {"order": list(self.order), "at": self.at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.order, self.at = state["order"], state["at"]


def test_a_sampler_that_tells_its_state_before_and_between_passes() -> None:
    loader = DataLoader(Augmented(), 4, sampler=Own())
    for taken in (0, 6):
        passing = iter(loader)
        for _ in range(taken):
            next(passing)
        if taken:
            assert next(passing, None) is None
        state = loader.state_dict()
        fresh = DataLoader(Augmented(), 4, sampler=Own())
        fresh.load_state_dict(state)
        expected = [plain(batch)[0] for batch in (loader if taken else passing)]
        assert [plain(batch)[0] for batch in fresh] == expected
        assert len(expected) == 6


@pytest.mark.parametrize("workers", [0, 3])
def test_a_sampler_that_tells_its_state(workers: int) -> None:
    loader = DataLoader(Augmented(), 4, sampler=Own(), num_workers=workers)
    passing = iter(loader)
    next(passing), next(passing)
    state = loader.state_dict()
    assert state["sampler"]["at"] == 8
    rest = [plain(batch) for batch in passing]
    fresh = DataLoader(Augmented(), 4, sampler=Own(), num_workers=workers)
    fresh.load_state_dict(state)
    assert [plain(batch) for batch in fresh] == rest


@pytest.mark.parametrize(
    "options", [*WORKERS, {"num_workers": 3, "worker_method": "thread"}], ids=str
)
@pytest.mark.parametrize("stop", [1, 2, 5, 8, 11])
def test_streams(stop: int, options: dict[str, Any]) -> None:
    def stream() -> Any:
        return DataLoader(Stream(), 2, **options)

    def plain(batch: Any) -> Any:  # python's own numbers are everybody's in threads
        worker, k, own, drawn = batch
        return (
            worker.tolist(),
            k.tolist(),
            drawn.tolist(),
            options.get("worker_method") or (own.tolist()),
        )

    weft.manual_seed(2)
    loader = stream()
    passing, got = iter(loader), []
    for batch in passing:
        got.append(plain(batch))
        if len(got) == stop:
            break
    state = json.loads(json.dumps(loader.state_dict()))
    rest = [plain(batch) for batch in passing]
    fresh = stream()
    fresh.load_state_dict(state)
    if state["in_pass"]:
        assert [plain(batch) for batch in fresh] == rest
    else:
        assert not rest


def test_streams_that_tell_where_they_are_are_not_read_again() -> None:
    dataset = Telling()
    loader = DataLoader(dataset, 4)
    passing = iter(loader)
    next(passing), next(passing)
    state = loader.state_dict()
    assert state["streams"] == [{"batches": 2, "state": {"at": 8}}]
    rest = [batch.tolist() for batch in passing]
    fresh = Telling()
    again = DataLoader(fresh, 4)
    again.load_state_dict(state)
    assert [batch.tolist() for batch in again] == rest
    assert fresh.read == 22
    assert next(iter(again)).tolist() == [1, 2, 3, 4]

    loader = DataLoader(Telling(), 4, num_workers=2)
    passing = iter(loader)
    for _ in range(5):
        next(passing)
    state = loader.state_dict()
    rest = [batch.tolist() for batch in passing]
    again = DataLoader(Telling(), 4, num_workers=2)
    again.load_state_dict(state)
    assert [batch.tolist() for batch in again] == rest


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: DataLoader(Augmented(), 5, shuffle=True), "batch_size=4, but this one has batch"),
        (lambda: DataLoader(Augmented(), 4), "sampler='RandomSampler', but .*'SequentialSampler'"),
        (lambda: DataLoader(range(5), 4, shuffle=True), "samples=22, but this one has samples=5"),
        (lambda: DataLoader(Stream(), 4), "stream=False"),
        (lambda: make(drop_last=True), "drop_last=False"),
        (lambda: make(generator=weft.Generator()), r"generators=\[False\]"),
    ],
)
def test_a_state_of_another_loader_is_refused(other: Any, message: str) -> None:
    loader = make()
    next(iter(loader))
    stranger = other()
    before = stranger.state_dict()
    with pytest.raises(CheckpointError, match=message):
        stranger.load_state_dict(loader.state_dict())
    assert stranger.state_dict() == before


@pytest.mark.parametrize("state", [{}, None, [], {"version": 99}, {"version": 1, "in_pass": True}])
def test_what_is_no_state_is_refused(state: Any) -> None:
    with pytest.raises(CheckpointError, match=r"not a state|lacks|version"):
        make().load_state_dict(state)
