"""Ctrl-C in the middle of a run, at any line: what was there before is usable, and nothing is half
done.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from itertools import count
from linecache import getline
from types import FrameType
from typing import Any

import numpy as np
import pytest

import weft
from weft import nn
from weft.engine import realize, reference
from weft.graph import liveness

INSIDE = {m.__file__ for m in (realize, reference, liveness)}


def _is_empty(frame: FrameType) -> bool:
    """``try``, and ``with`` when left: lines to a tracer, but Python looks for no signals there."""
    line = getline(frame.f_code.co_filename, frame.f_lineno).split()
    return line[0] in {"try:", "with"}


def interrupted(action: Callable[[], Any], at: int) -> bool:
    """Runs ``action`` with KeyboardInterrupt at the ``at``-th line of the engine. Was it reached?

    Python looks for signals when a function begins, after calls and when a loop goes round; this
    is at least as strict.
    """
    left = at

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in INSIDE:
            return None
        if event == "line" and not _is_empty(frame):
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    return left <= 0


class Training:
    def __init__(self, momentum: float) -> None:
        weft.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
        self.optimizer = weft.optim.SGD(self.model.parameters(), lr=0.1, momentum=momentum)
        self.x = weft.tensor([[1.0, 2.0], [3.0, -1.0]])
        self.loss = weft.tensor(0.0)

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.loss = (self.model(self.x) ** 2).mean()
        self.loss.backward()
        self.optimizer.step()

    def values(self) -> Any:
        state = [s["momentum_buffer"] for s in self.optimizer.state.values() if s]
        tensors = [*self.model.parameters(), *state]
        return np.concatenate([t.detach().numpy().ravel() for t in tensors])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_training_step_happens_or_does_not(momentum: float) -> None:
    def prepared() -> Training:
        training = Training(momentum)
        for _ in range(2):
            training.step()
        training.values()
        return training

    training = prepared()
    before = training.values()
    training.step()
    after = training.values()
    training.step()
    later = training.values()

    outcomes = set()
    for at in count(1, 3):
        training = prepared()
        if not interrupted(training.step, at):
            break
        found = training.values()
        if found.shape == before.shape and np.array_equal(found, before):
            outcomes.add("before")
            training.step()
            np.testing.assert_array_equal(training.values(), after)
        else:
            outcomes.add("after")
            np.testing.assert_array_equal(found, after)
            training.step()
            np.testing.assert_array_equal(training.values(), later)
    assert at > 200
    assert outcomes == {"before", "after"}


def test_reading_a_value() -> None:
    """What was there stays; what was pending is there, or says that it was interrupted."""
    kept = weft.tensor([1.0, 2.0])

    def prepared() -> tuple[weft.Tensor, weft.Tensor]:
        y = kept * 2
        return y, (y + 1).sum()

    weft.realize()
    outcomes = set()
    for at in count(1):
        y, total = prepared()
        if not interrupted(total.item, at):
            break
        if isinstance(total._node.value, reference.Failure):
            with pytest.raises(RuntimeError, match="was interrupted"):
                y.tolist()
            outcomes.add("lost")
        else:
            assert (y.tolist(), total.item()) == ([2.0, 4.0], 8.0)
            outcomes.add("there")
        assert kept.tolist() == [1.0, 2.0]
        assert (kept + 1).tolist() == [2.0, 3.0]
    assert outcomes == {"there", "lost"}


def test_the_lock_is_free_afterwards() -> None:
    x = weft.tensor([1.0]) + 1
    interrupted(x.tolist, 20)
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append((weft.ones(1) + 1).tolist()))
    thread.start()
    thread.join(10)
    assert results == [[2.0]]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that send signals")
def test_a_real_signal() -> None:
    """Sent while a long run goes on."""
    w = weft.full((256, 256), 0.01, requires_grad=True)
    optimizer = weft.optim.SGD([w], lr=0.1)
    w.tolist()
    before = w.detach().numpy()

    def handler(*_: Any) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, handler)
    try:
        y = weft.ones(256, 256)
        for _ in range(200):
            y = (y @ w).tanh()
        y.sum().backward()
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(KeyboardInterrupt):
            optimizer.step()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    np.testing.assert_array_equal(w.detach().numpy(), before)
    optimizer.zero_grad()
    (w * 2).sum().backward()
    optimizer.step()
    np.testing.assert_allclose(w.detach().numpy(), before - 0.2, rtol=1e-6)
