"""Launches on native threads: how many, barriers, other Python threads."""

from __future__ import annotations

import threading

import pytest
from native_launches import launch, visited

import weft

pytestmark = pytest.mark.usefixtures("four_threads")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_every_thread_runs_once(count: int) -> None:
    assert visited(count) == count


def test_counts_may_change_from_launch_to_launch() -> None:
    for count in [1, 4, 2, 8, 1, 3, 8, 2, 5] * 20:
        assert visited(count) == count


def test_set_num_threads_decides() -> None:
    for count in (3, 1, 2):
        weft.set_num_threads(count)
        assert weft.get_num_threads() == count
        assert visited() == count


def test_more_than_there_can_be() -> None:
    weft.set_num_threads(10_000)
    assert weft.get_num_threads() == 10_000
    assert visited(5) == 5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (0, "a positive integer, but got 0"),
        (-3, "a positive integer, but got -3"),
        (2.0, "an int, but got float"),
        (True, "an int, but got bool"),
        ("2", "an int, but got str"),
        (None, "an int, but got NoneType"),
    ],
)
def test_set_num_threads_checks(wrong: object, message: str) -> None:
    with pytest.raises(RuntimeError, match=f"set_num_threads expects {message}"):
        weft.set_num_threads(wrong)  # type: ignore[arg-type]
    assert weft.get_num_threads() == 4


@pytest.mark.parametrize("count", [1, 2, 4])
def test_barriers_keep_threads_in_step(count: int) -> None:
    assert launch("turns", 20_000, count)[0] == 20_000


def test_several_python_threads_launch() -> None:
    found: dict[int, set[tuple[int, int]]] = {}

    def work(count: int) -> None:
        found[count] = {(visited(count), launch("turns", 50, count)[0]) for _ in range(100)}

    workers = [threading.Thread(target=work, args=(count,)) for count in (1, 2, 3, 4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == {count: {(count, 50)} for count in (1, 2, 3, 4)}
