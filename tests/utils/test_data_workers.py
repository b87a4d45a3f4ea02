"""DataLoader with workers: processes and threads give what one process gives."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from weft.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Sampler,
    TensorDataset,
    get_worker_info,
    transport,
)

KINDS: list[dict[str, Any]] = [
    {"num_workers": 1},
    {"num_workers": 2},
    {"num_workers": 3, "prefetch_factor": 1},
    {"num_workers": 2, "persistent_workers": True},
    {"num_workers": 2, "worker_method": "thread"},
    {"num_workers": 3, "worker_method": "thread", "persistent_workers": True},
]
STARTED: list[dict[str, Any]] = [
    {"num_workers": 2, "multiprocessing_context": "spawn"},
    {"num_workers": 2, "multiprocessing_context": "forkserver"},
]


def name_of(options: dict[str, Any]) -> str:
    return ",".join(f"{k}={v}" for k, v in options.items())


class Mixed(Dataset[Any]):
    """Samples of several kinds, small and large, some of them random."""

    def __init__(self, count: int, side: int = 4) -> None:
        self.count = count
        self.side = side

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return {
            "array": np.full((self.side, self.side), index, np.float32),
            "tensor": weft.full((2,), index, dtype=weft.bfloat16),
            "label": index,
            "name": f"sample {index}",
            "drawn": (weft.rand(2), index * 0.5),
        }


class Draws(Dataset[Any]):
    """Random numbers from everywhere."""

    def __len__(self) -> int:
        return 11

    def __getitem__(self, index: int) -> Any:
        return random.random(), np.random.rand(), weft.rand(2), weft.initial_seed()  # noqa: NPY002


class Count(IterableDataset[int]):
    """0, 1, ..., shared out among workers."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[int]:
        info = get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter(range(first, self.count, step))

    def __len__(self) -> int:
        return self.count


def plain(batch: Any) -> Any:
    """A batch as numbers and strings, to be compared."""
    if isinstance(batch, weft.Tensor):
        return str(batch.dtype), batch.tolist()
    if isinstance(batch, np.ndarray):
        return batch.tolist()
    if isinstance(batch, dict):
        return {key: plain(value) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        return [plain(value) for value in batch]
    return batch


def epochs(loader: Any, count: int = 2) -> list[Any]:
    weft.manual_seed(3)
    return [plain(batch) for _ in range(count) for batch in loader]


# ---- the same batches


@pytest.mark.parametrize("options", [*KINDS, *STARTED], ids=name_of)
def test_workers_give_what_one_process_gives(options: dict[str, Any]) -> None:
    expected = epochs(DataLoader(Mixed(13), 4, shuffle=True))
    assert epochs(DataLoader(Mixed(13), 4, shuffle=True, **options)) == expected
    assert len(expected) == 8


@pytest.mark.parametrize("options", KINDS, ids=name_of)
def test_large_arrays(options: dict[str, Any]) -> None:
    """Which go through shared memory: batches of 64 KB to 1 MB."""
    loader = DataLoader(Mixed(24, side=200), 6, **options)
    for _ in range(3):
        for k, batch in enumerate(loader):
            expected = np.arange(k * 6, k * 6 + 6, dtype=np.float32)
            assert np.array_equal(batch["array"].numpy()[:, 7, 9], expected)
            assert np.array_equal(batch["array"].sum((1, 2)).numpy(), expected * 200 * 200)


@pytest.mark.parametrize("options", KINDS, ids=name_of)
def test_batches_that_are_kept_do_not_change(options: dict[str, Any]) -> None:
    batches = list(DataLoader(Mixed(60, side=150), 2, **options))
    parts = [batch["array"][1, 3] for batch in DataLoader(Mixed(60, side=150), 2, **options)]
    for k, (batch, part) in enumerate(zip(batches, parts, strict=True)):
        assert batch["array"].mean((1, 2)).tolist() == [2 * k, 2 * k + 1]
        assert part.tolist() == [2 * k + 1] * 150


@pytest.mark.parametrize("options", KINDS, ids=name_of)
def test_changes_in_place_stay_with_their_batch(options: dict[str, Any]) -> None:
    for k, batch in enumerate(DataLoader(Mixed(30, side=150), 2, **options)):
        x = batch["array"]
        x.mul_(0).add_(100)
        assert x.mean().item() == 100
        assert batch["label"].tolist() == [2 * k, 2 * k + 1]


class Remembering:
    """A collate_fn that keeps what it has made."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def __call__(self, samples: list[Any]) -> Any:
        batch = weft.utils.data.default_collate(samples)
        self.kept.append(batch)
        return batch, [float(old.mean().item()) for old in self.kept]


def test_batches_that_the_worker_keeps_do_not_change_either() -> None:
    samples = [np.full((200, 200), k, np.float32) for k in range(20)]
    loader = DataLoader(samples, 1, num_workers=1, collate_fn=Remembering())
    for k, (batch, means) in enumerate(loader):
        assert means == list(range(k + 1))
        assert batch.mean().item() == k
        del batch


def test_numpy_arrays_of_a_collate_fn_are_writable() -> None:
    samples = [np.full((300, 300), k, np.float64) for k in range(4)]
    for options in ({"num_workers": 0}, {"num_workers": 1}):
        for batch in DataLoader(samples, 2, collate_fn=np.stack, **options):  # type: ignore[arg-type]
            batch += 1
            assert isinstance(batch, np.ndarray)


def test_views_of_one_array_arrive_as_they_were() -> None:
    def views(samples: list[Any]) -> Any:
        whole = np.stack(samples)
        return whole, whole[1], whole.T, whole[::2]

    samples = [np.arange(40_000.0) + k for k in range(4)]
    whole, row, turned, every = next(iter(DataLoader(samples, 4, num_workers=1, collate_fn=views)))
    expected = np.stack(samples)
    assert np.array_equal(whole, expected)
    assert np.array_equal(row, expected[1])
    assert np.array_equal(turned, expected.T)
    assert np.array_equal(every, expected[::2])


def test_blocks_go_round() -> None:
    """A training loop, which lets each batch go, maps a few blocks however long it is."""
    loader = DataLoader(Mixed(80, side=200), 2, num_workers=1)
    passing: Any = iter(loader)
    receiver = passing._pool._workers[0].receiver
    for batch in passing:
        del batch
    assert 1 <= len(receiver._blocks) <= 5


@pytest.mark.parametrize("sizes", [range(1, 40), range(40, 1, -1), [5, 400, 5, 400, 3, 3, 800]])
def test_batches_of_changing_size(sizes: Any) -> None:
    samples = [np.full((200, n), n, np.float32) for n in sizes]
    for n, batch in zip(sizes, DataLoader(samples, None, num_workers=1), strict=True):
        assert (batch.shape, batch.sum().item()) == ((200, n), 200 * n * n)


def test_tensors_with_gradients_and_attributes() -> None:
    x = weft.ones(3, requires_grad=True)
    x.note = "kept"  # type: ignore[attr-defined]
    (got,) = DataLoader([x], batch_size=None, num_workers=1)
    assert got.requires_grad
    assert got.note == "kept"


def test_a_tensor_dataset_and_batch_samplers() -> None:
    d = TensorDataset(weft.arange(20).view(10, 2), weft.arange(10))
    expected = [plain(b) for b in DataLoader(d, batch_sampler=[[0, 9], [4], [1, 2, 3]])]
    got = DataLoader(d, batch_sampler=[[0, 9], [4], [1, 2, 3]], num_workers=2)
    assert [plain(b) for b in got] == expected
    lists = DataLoader(d, batch_size=None, sampler=[[0, 1], [5]], num_workers=2)
    assert [y.tolist() for _, y in lists] == [[0, 1], [5]]


def test_only_a_few_batches_are_loaded_ahead() -> None:
    seen: list[int] = []

    class Noted(Sampler[int]):
        def __iter__(self) -> Iterator[int]:
            for k in range(100):
                seen.append(k)
                yield k

    loader = DataLoader(
        range(100), 5, sampler=Noted(), num_workers=2, prefetch_factor=3, worker_method="thread"
    )
    passing = iter(loader)
    assert len(seen) == 5 * 2 * 3
    next(passing)
    assert len(seen) == 5 * (2 * 3 + 1)


def test_batches_as_they_come_ready() -> None:
    class Waiting(Dataset[int]):
        def __len__(self) -> int:
            return 8

        def __getitem__(self, index: int) -> int:
            if index == 0:
                time.sleep(0.5)
            return index

    for method in ("thread", "multiprocessing"):
        loader = DataLoader(
            Waiting(), 1, num_workers=2, in_order=False, worker_method=method, prefetch_factor=1
        )
        order = [batch.item() for batch in loader]
        assert sorted(order) == list(range(8))
        assert order.index(0) > 2
        assert [b.item() for b in DataLoader(Waiting(), 1, num_workers=2)] == list(range(8))


def test_loops_within_loops_and_broken_loops() -> None:
    for options in KINDS:
        loader = DataLoader(range(6), 2, **options)
        if options.get("persistent_workers"):
            loader = DataLoader(range(60), 2, **options)
            first = iter(loader)
            next(first)
            assert [b.tolist() for b in loader] == [[k, k + 1] for k in range(0, 60, 2)]
            with pytest.raises(weft.errors.WorkerError, match="a later loop has taken its workers"):
                list(first)
            continue
        pairs = [(a[0].item(), b[0].item()) for a in loader for b in loader]
        assert pairs == [(a, b) for a in (0, 2, 4) for b in (0, 2, 4)]
        for _ in loader:
            break
        assert len(list(loader)) == 3


# ---- what workers are


def test_worker_info() -> None:
    class Asking(Dataset[Any]):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            info = get_worker_info()
            assert info is not None
            assert info.dataset is self
            return info.id, info.num_workers, info.seed, info.worker_method, os.getpid()

    assert get_worker_info() is None
    loader = DataLoader(Asking(), None, num_workers=2)
    got = list(loader)
    assert [g[:2] for g in got] == [[0, 2], [1, 2], [0, 2], [1, 2]]
    assert got[1][2] == got[0][2] + 1
    assert got[0][3] == "multiprocessing"
    assert os.getpid() not in {g[4] for g in got}
    threads = list(DataLoader(Asking(), None, num_workers=2, worker_method="thread"))
    assert {(g[3], g[4]) for g in threads} == {("thread", os.getpid())}
    assert get_worker_info() is None


class Pid(Dataset[int]):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        return os.getpid()


def test_persistent_workers_stay() -> None:
    loader = DataLoader(Pid(), 1, num_workers=2, persistent_workers=True)
    pids = [{b.item() for b in loader} for _ in range(3)]
    assert pids[0] == pids[1] == pids[2]
    assert len(pids[0]) == 2
    loader = DataLoader(Pid(), 1, num_workers=2)
    assert not {b.item() for b in loader} & {b.item() for b in loader}


def test_workers_compute_by_one_thread() -> None:
    class Threads(Dataset[int]):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> int:
            return weft.get_num_threads()

    assert [b.item() for b in DataLoader(Threads(), 1, num_workers=1)] == [1, 1]


def test_pending_operations_are_run_before_workers_start() -> None:
    x = weft.ones(3) + 1
    list(DataLoader(range(2), 1, num_workers=1))
    assert not weft.graph.node.PENDING
    assert x.tolist() == [2, 2, 2]


@pytest.mark.parametrize("method", ["multiprocessing", "thread"])
def test_worker_init_fn(method: str) -> None:
    def begin(worker: int) -> None:
        info = get_worker_info()
        assert info is not None
        info.dataset.offset = 100 * worker

    class Offset(Dataset[int]):
        offset = -1

        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> int:
            return self.offset + index

    loader = DataLoader(Offset(), 1, num_workers=1, worker_init_fn=begin, worker_method=method)
    assert [b.item() for b in loader] == [0, 1, 2, 3]


@pytest.mark.parametrize("method", ["multiprocessing", "thread"])
def test_a_worker_init_fn_that_fails(method: str) -> None:
    def begin(worker: int) -> None:
        raise OSError("no licence")

    loader = DataLoader(range(4), num_workers=2, worker_init_fn=begin, worker_method=method)
    with pytest.raises(OSError, match=r"(?s)no licence.*in worker_init_fn\(0\)"):
        next(iter(loader))


def test_threads_end_with_the_loop() -> None:
    before = set(threading.enumerate())
    passing = iter(DataLoader(range(100), num_workers=3, worker_method="thread"))
    next(passing)
    workers = set(threading.enumerate()) - before
    assert len(workers) == 3
    del passing
    assert not any(worker.is_alive() for worker in workers)


def test_descriptors_do_not_add_up() -> None:
    def one_pass() -> int:
        for batch in DataLoader(Mixed(12, side=200), 2, num_workers=2):
            del batch
        return len(list(Path("/proc/self/fd").iterdir()))

    one_pass()
    assert one_pass() == one_pass()


# ---- random numbers


def test_random_numbers_do_not_depend_on_the_workers() -> None:
    expected = epochs(DataLoader(Draws(), 4))
    for options in ({"num_workers": 1}, {"num_workers": 3}, KINDS[3], STARTED[0]):
        assert epochs(DataLoader(Draws(), 4, **options)) == expected
    assert epochs(DataLoader(Draws(), 3), 1) != epochs(DataLoader(Draws(), 4), 1)
    flat = [n for batch in epochs(DataLoader(Draws(), 3)) for n in batch[0][1]]
    assert flat == [n for batch in expected for n in batch[0][1]]
    assert len(set(flat)) == 22


def test_the_loop_s_own_random_numbers_are_left_alone() -> None:
    def drawn(**options: Any) -> Any:
        random.seed(1), np.random.seed(1), weft.manual_seed(1)  # noqa: NPY002
        return [
            (random.random(), np.random.randn(), weft.rand(1).item())  # noqa: NPY002
            for _ in DataLoader(Draws(), 4, **options)
        ]

    expected = drawn()
    for options in KINDS[:4]:  # not threads, which share random and numpy.random
        assert drawn(**options) == expected


def test_threads_have_generators_of_their_own() -> None:
    class Threaded(Dataset[Any]):
        def __len__(self) -> int:
            return 12

        def __getitem__(self, index: int) -> Any:
            info = get_worker_info()
            assert info is not None
            assert info.rng is not None
            return (
                info.rng.random_generator.random(),
                info.rng.numpy_generator.random(),
                weft.rand(1),
                weft.randn(1, generator=info.rng.weft_generator),
            )

    passes = [
        epochs(DataLoader(Threaded(), 3, num_workers=n, worker_method="thread")) for n in (1, 2, 4)
    ]
    assert passes[0] == passes[1] == passes[2]
    assert len({n for batch in passes[0] for n in batch[0][1]}) == 24


def test_a_worker_init_fn_that_seeds_takes_charge() -> None:
    def begin(worker: int) -> None:
        np.random.seed(5)  # noqa: NPY002

    (batch,) = DataLoader(Draws(), 11, num_workers=1, worker_init_fn=begin)
    assert batch[1].tolist() == np.random.RandomState(5).rand(11).tolist()
    assert len(set(batch[3].tolist())) == 11

    def begin_weft(worker: int) -> None:
        weft.manual_seed(12345)

    (batch,) = DataLoader(Draws(), 11, num_workers=1, worker_init_fn=begin_weft)
    assert batch[3].tolist() == [12345] * 11


def test_the_generator_decides() -> None:
    def numbers(seed: int, workers: int) -> Any:
        generator = weft.Generator().manual_seed(seed)
        loader = DataLoader(Draws(), 4, shuffle=True, generator=generator, num_workers=workers)
        return [plain(b) for b in loader]

    assert numbers(1, 0) == numbers(1, 2)
    assert numbers(1, 2) != numbers(2, 2)


def test_collate_fn_has_a_seed_for_each_batch() -> None:
    def mixed(samples: list[Any]) -> Any:
        return weft.rand(1), random.random()

    expected = epochs(DataLoader(range(8), 2, collate_fn=mixed))
    assert epochs(DataLoader(range(8), 2, collate_fn=mixed, num_workers=3)) == expected
    assert len({batch[1] for batch in expected}) == 8


# ---- streams


@pytest.mark.parametrize("options", KINDS, ids=name_of)
def test_a_stream_that_is_shared_out(options: dict[str, Any]) -> None:
    loader = DataLoader(Count(23), 2, **options)
    for _ in range(2):
        batches = [b.tolist() for b in loader]
        assert sorted(n for batch in batches for n in batch) == list(range(23))
    assert list(DataLoader(Count(7), None, num_workers=3)) == [*range(7)]


def test_streams_of_different_length() -> None:
    class Uneven(IterableDataset[int]):
        def __iter__(self) -> Iterator[int]:
            info = get_worker_info()
            assert info is not None
            return iter([10 * info.id + k for k in range([1, 7, 3][info.id])])

    for method in ("thread", "multiprocessing"):
        got = [b.tolist() for b in DataLoader(Uneven(), 2, num_workers=3, worker_method=method)]
        assert got == [[0], [10, 11], [20, 21], [12, 13], [22], [14, 15], [16]]
        got = [
            b.tolist()
            for b in DataLoader(Uneven(), 2, num_workers=3, worker_method=method, drop_last=True)
        ]
        assert got == [[10, 11], [20, 21], [12, 13], [14, 15]]


def test_a_stream_s_numbers_with_none_and_one_worker() -> None:
    class Random(IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            for _ in range(7):
                yield random.random(), np.random.rand(), weft.rand(1)  # noqa: NPY002

    assert epochs(DataLoader(Random(), 2)) == epochs(DataLoader(Random(), 2, num_workers=1))


def test_a_stream_longer_than_it_says_is_warned_of() -> None:
    class Same(IterableDataset[int]):
        def __iter__(self) -> Iterator[int]:
            return iter(range(6))

        def __len__(self) -> int:
            return 6

    loader = DataLoader(Same(), 2, num_workers=2)
    assert len(loader) == 3
    with pytest.warns(UserWarning, match=r"to be 3 .*, but [456] samples have.*worker_info"):
        assert len(list(loader)) == 6


# ---- where shared memory cannot be had


@pytest.mark.parametrize("missing", ["memfd_create", "posix_fallocate"])
def test_without_shared_memory_arrays_go_through_the_socket(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, missing, full)
    batches = list(DataLoader(Mixed(12, side=300), 3, num_workers=2))
    assert [b["array"].mean((1, 2)).tolist() for b in batches] == [
        [3 * k, 3 * k + 1, 3 * k + 2] for k in range(4)
    ]
    monkeypatch.delattr(os, "memfd_create")
    assert len(list(DataLoader(Mixed(12, side=300), 3, num_workers=2))) == 4


def test_nothing_lies_in_dev_shm() -> None:
    before = sorted(Path("/dev/shm").iterdir())
    passing = iter(DataLoader(Mixed(40, side=300), 4, num_workers=2))
    kept = [next(passing), next(passing)]
    assert sorted(Path("/dev/shm").iterdir()) == before
    assert len(kept) == 2


def test_many_indices_and_large_messages_do_not_block_one_another() -> None:
    """Tasks and batches of megabytes each, both through the socket."""

    def as_text(samples: list[Any]) -> Any:
        return "".join(map(str, samples))

    loader = DataLoader(range(1_200_000), 300_000, collate_fn=as_text, num_workers=1)
    assert sum(len(text) for text in loader) == sum(len(str(n)) for n in range(1_200_000))


def test_the_smallest_shared_array_is_as_large_as_said() -> None:
    assert transport.SMALLEST == 1 << 16


def test_very_many_workers_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="create 1000 worker processes.*excessive worker creation"):
        DataLoader(range(4), num_workers=1000)
    DataLoader(range(4), num_workers=1000, worker_method="thread")


def test_workers_end_by_themselves() -> None:
    for data in (Mixed(9), Count(30)):
        for kept in (False, True):
            loader = DataLoader(data, 2, num_workers=2, persistent_workers=kept)
            passing: Any = iter(loader)
            next(passing)
            workers = passing._workers
            del passing, loader
            assert [worker.exitcode for worker in workers] == [0, 0]
        passing = iter(DataLoader(data, 2, num_workers=2))
        assert len(list(passing)) >= 5
        assert [worker.exitcode for worker in passing._workers] == [0, 0]


class SlowFirst(Dataset[Any]):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> Any:
        info = get_worker_info()
        assert info is not None
        if index == 0:
            time.sleep(0.6)
        return info.id, index


def test_who_is_slow_gets_no_more_tasks() -> None:
    in_order = [tuple(x.item() for x in b) for b in DataLoader(SlowFirst(), num_workers=2)]
    assert in_order == [(k % 2, k) for k in range(10)]
    loader = DataLoader(SlowFirst(), num_workers=2, prefetch_factor=2, in_order=False)
    ready = [tuple(x.item() for x in b) for b in loader]
    assert ready == [(1, k) for k in (1, 3, 4, 5, 6, 7, 8, 9)] + [(0, 0), (0, 2)]


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int64", "float16", "bfloat16", "float32", "float64"]
)
def test_every_dtype_through_shared_memory(dtype: str) -> None:
    kind = getattr(weft, dtype)
    samples = [weft.full((300, 300), k % 2, dtype=kind) for k in range(4)]
    for batch in DataLoader(samples, 2, num_workers=1):
        assert batch.dtype is kind
        assert batch[:, 7, 9].float().tolist() == [0, 1]
        assert (batch + batch).dtype is kind
