"""Launches on native threads: how many, barriers, other Python threads."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from native_launches import launch, visited

import weft
from weft.engine.native import processors, threads, threads_ir
from weft.engine.native.target import host

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux's own")
POSIX = pytest.mark.skipif(os.name != "posix", reason="of POSIX")

pytestmark = pytest.mark.usefixtures("four_threads")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_every_thread_runs_once(count: int) -> None:
    assert visited(count) == count


def test_counts_may_change_from_launch_to_launch() -> None:
    for count in [1, 4, 2, 8, 1, 3, 8, 2, 5] * 5:
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
    assert launch("turns", 1000, count)[0] == 1000


def test_one_thread_and_several_compute_the_same() -> None:
    start = list(range(1, 129))
    expected = np.array(start)
    for _ in range(200):
        expected = expected + 2 * np.roll(expected, -1)  # both wrap around
    for count in (1, 2, 3, 4):
        assert launch("mix", 200, count, start)[:128] == expected.tolist()


@pytest.mark.parametrize(
    ("waiting", "spin_us", "most"),
    [
        pytest.param("futex", 0, 4, marks=LINUX),
        pytest.param("futex", 1_000, 4, marks=LINUX),
        pytest.param("condition", 0, 4, marks=POSIX),
        pytest.param("condition", 1_000, 4, marks=POSIX),
        ("none", 0, 1),
    ],
)
def test_ways_to_wait(
    monkeypatch: pytest.MonkeyPatch, waiting: str, spin_us: int, most: int
) -> None:
    native = threads._load(threads_ir.runtime(host().arch, waiting, spin_us))
    monkeypatch.setattr(threads, "_runtime", lambda: native)
    for _ in range(3):
        for count in (4, 1, 3, 2):
            assert visited(count) == min(count, most)
            assert launch("turns", 20, count)[0] == 20
        native.stop()


def test_several_python_threads_launch() -> None:
    found: dict[int, set[tuple[int, int]]] = {}

    def work(count: int) -> None:
        found[count] = {(visited(count), launch("turns", 10, count)[0]) for _ in range(20)}

    workers = [threading.Thread(target=work, args=(count,)) for count in (1, 2, 3, 4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == {count: {(count, 10)} for count in (1, 2, 3, 4)}


def test_control_groups_bound_the_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = tmp_path / "cgroup"
    monkeypatch.setattr(processors, "_CGROUP", groups)
    monkeypatch.setattr(processors, "_GROUPS", tmp_path / "self")

    def quotas(own: str, **files: str) -> list[int]:
        (tmp_path / "self").write_text(own, encoding="utf-8")
        for name, content in files.items():
            path = groups / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="ascii")
        return sorted(processors._quotas())

    assert quotas("0::/a/b\n") == []
    assert quotas("0::/a/b\n", **{"a/b/cpu.max": "max 100000\n"}) == []
    assert quotas("0::/a/b\n", **{"a/cpu.max": "250000 100000\n"}) == [3]
    assert quotas("0::/a/b\n", **{"a/b/cpu.max": "50000 100000\n"}) == [1, 3]
    own = "3:cpuset:/\n2:cpu,cpuacct:/c\n0::/\n"
    unlimited = {"cpu/c/cpu.cfs_quota_us": "-1\n", "cpu/c/cpu.cfs_period_us": "100000\n"}
    assert quotas(own, **unlimited) == []
    assert quotas(own, **{"cpu/c/cpu.cfs_quota_us": "400000\n"}) == [4]
