"""Memory for results comes back when nobody refers to it any more, and not before."""

from __future__ import annotations

import gc
import os
import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from weft.engine import realize
from weft.engine.native import results
from weft.engine.native.results import RESULTS, new_array

FLOAT = np.dtype(np.float32)
SHAPE = (256, 300)


@pytest.fixture(autouse=True)
def nothing_idle() -> None:
    gc.collect()
    RESULTS.release()


def address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def page_of(array: Any) -> int:
    return address(array) // 4096


def test_memory_is_used_again() -> None:
    first = new_array(SHAPE, FLOAT)
    assert first.shape == SHAPE
    assert first.dtype == FLOAT
    assert first.flags.writeable
    assert first.flags.c_contiguous
    assert address(first) % 64 == 0
    page = page_of(first)
    del first
    assert page_of(new_array(SHAPE, FLOAT)) == page


KEEP: dict[str, Callable[[Any], Any]] = {
    "view": lambda a: a.T[3:],
    "view of views": lambda a: a.reshape(-1)[5:].view(np.int32)[::2],
    "one element": lambda a: a[0, :1],
    "memoryview": memoryview,
    "ctypes": lambda a: np.ctypeslib.as_ctypes(a),
    "DLPack": lambda a: a.__dlpack__(),
    "from DLPack": np.from_dlpack,
    "asarray of a memoryview": lambda a: np.asarray(memoryview(a)),
    "frombuffer": np.frombuffer,
    "as_strided": lambda a: np.lib.stride_tricks.as_strided(a, (3,), (4,)),
}


@pytest.mark.parametrize("how", KEEP)
def test_memory_is_not_used_while_something_refers_to_it(how: str) -> None:
    first = new_array(SHAPE, FLOAT)
    page = page_of(first)
    kept = KEEP[how](first)
    del first
    gc.collect()
    assert not any(RESULTS.idle.values())
    assert page_of(new_array(SHAPE, FLOAT)) != page
    del kept
    gc.collect()
    assert any(RESULTS.idle.values())


def test_tensors_keep_their_values() -> None:
    torch = pytest.importorskip("torch")
    x = weft.ones(*SHAPE)

    def result() -> weft.Tensor:
        with realize.native_at_once():
            y = x * 3
            realize.realize_pending()
        return y

    row = result()[7]
    shared = torch.from_dlpack(result())
    array = result().t().numpy()
    for _ in range(4):
        other = result()
        with realize.native_at_once():
            other.add_(1)
            realize.realize_pending()
    assert (row.numpy() == 3).all()
    assert (shared == 3).all()
    assert (array == 3).all()


def test_what_lies_idle_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "_MOST_IDLE", 1 << 20)
    for count in (20, 40, 60):
        arrays = [new_array((count, 1000), FLOAT) for _ in range(30)]
        del arrays
        assert sum(size * len(row) for size, row in RESULTS.idle.items()) <= 1 << 20
    realize.forget_programs()
    assert not RESULTS.idle


def test_threads_do_not_get_the_same_memory() -> None:
    wrong: list[int] = []

    def work(seed: int) -> None:
        draw = random.Random(seed)
        held: list[tuple[Any, int]] = []
        for _ in range(300):
            if held and draw.random() < 0.5:
                array, value = held.pop(draw.randrange(len(held)))
                if not (array == value).all():
                    wrong.append(value)
            else:
                array = new_array((draw.choice([150, 200]), 200), np.dtype(np.int64))
                value = draw.randrange(1 << 40)
                array[...] = value
                held.append((array[draw.randrange(100) :].T, value))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not RESULTS._loans


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_has_memory_of_its_own() -> None:
    array = new_array(SHAPE, FLOAT)
    array[...] = 1
    child = os.fork()
    if not child:
        array[...] = 2
        os._exit(0)
    os.waitpid(child, 0)
    assert (array == 1).all()


def test_a_compiled_call_takes_over_what_was_lent() -> None:
    with realize.native_at_once():
        state = weft.zeros(*SHAPE) + 1
        realize.realize_pending()
    other = state.detach().clone()

    def step() -> None:
        state.add_(1)

    compiled = weft.compile(step)
    for _ in range(5):
        compiled()
    assert (state.numpy() == 6).all()
    assert (other.numpy() == 1).all()
