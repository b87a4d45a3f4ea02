"""A run that is broken off and resumed reaches the weights of an unbroken one, bit for bit."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from saved_states import same
from train_runs import Parts, StopAt, dataset, loader

import weft
from weft import nn, optim
from weft.errors import CheckpointError
from weft.utils.data import DataLoader, Dataset

LAST = "last.safetensors"
ROOT = Path(__file__).parents[2]


class Noisy(Dataset[Any]):
    """Samples that are changed at random as they are taken, by all three kinds of numbers."""

    def __init__(self) -> None:
        self.x, self.y = dataset(70)[:]

    def __len__(self) -> int:
        return 70

    def __getitem__(self, k: int) -> Any:
        noise = random.random() + np.random.rand() + weft.rand(4) * 0.1  # noqa: NPY002
        return self.x[k] + noise, self.y[k]


class Stateful:
    """Batches in an order of their own, that say how far they are."""

    def __init__(self) -> None:
        self.x, self.y = dataset(72)[:]
        self.passes, self.at, self.skipped = 0, 0, 0
        self.resumed = False

    def __iter__(self) -> Any:
        if not self.resumed:
            self.at = 0
        self.resumed = False
        order = np.random.default_rng(self.passes).permutation(72)
        while self.at < 9:
            k = weft.tensor(order[self.at * 8 : self.at * 8 + 8])
            self.at += 1
            yield self.x[k], self.y[k]
        self.passes += 1
        self.at = 0

    def __len__(self) -> int:
        return 9

    def state_dict(self) -> dict[str, int]:
        return {"passes": self.passes, "at": self.at}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.passes, self.at = state["passes"], state["at"]
        self.resumed = True


def data_of(kind: str) -> Any:
    return {
        "shuffled": lambda: loader(),
        "own generator": lambda: loader(generator=weft.Generator().manual_seed(5)),
        "noisy": lambda: DataLoader(Noisy(), 8, shuffle=True),
        "workers": lambda: DataLoader(Noisy(), 8, shuffle=True, num_workers=2),
        "in order": lambda: loader(shuffle=False),
        "a list": lambda: [b for b in loader(shuffle=False)],  # noqa: C416 (a list, no loader)
        "stateful": Stateful,
    }[kind]()


def made(kind: str) -> Parts:
    parts = Parts()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    parts.data = data_of(kind)
    return parts


KINDS = ["shuffled", "own generator", "noisy", "in order", "a list", "stateful"]


@pytest.mark.parametrize(
    ("kind", "step"), [*product(KINDS, [4, 9, 13, 26]), ("workers", 4), ("workers", 18)]
)
def test_resumed_in_the_middle_of_an_epoch(kind: str, step: int, tmp_path: Path) -> None:
    unbroken = made(kind)
    whole = unbroken.fit(validation=loader(20), folder=tmp_path / "a")
    first = made(kind)
    broken = first.fit(validation=loader(20), folder=tmp_path / "b", callbacks=[StopAt(step)])
    assert broken.stopped == "here"
    assert not same(first.weights(), unbroken.weights())
    weft.manual_seed(99)  # another process, where all is different
    random.seed(99)
    second = made(kind)
    weft.rand(7)
    with weft.no_grad():
        for p in second.model.parameters():
            p.add_(1)
    history = second.fit(validation=loader(20), folder=tmp_path / "b", resume=True)
    assert same(second.weights(), unbroken.weights())
    assert same(second.optimizer.state_dict(), unbroken.optimizer.state_dict())
    assert second.scheduler.state_dict() == unbroken.scheduler.state_dict()
    assert history.losses.points == whole.losses.points
    times = ("seconds", "samples_per_second")
    assert [{k: v for k, v in row.items() if k not in times} for row in history.rows] == [
        {k: v for k, v in row.items() if k not in times} for row in whole.rows
    ]
    best = [weft.load(tmp_path / k / "best.safetensors") for k in "ab"]
    assert same(*best)


def test_resumed_again_and_again(tmp_path: Path) -> None:
    unbroken = Parts()
    unbroken.fit(accumulate=2)
    steps = 0
    while True:
        steps += 4
        parts = Parts()
        history = parts.fit(accumulate=2, folder=tmp_path, resume=True, callbacks=[StopAt(steps)])
        if history.stopped == "done":
            break
    assert steps == 16
    assert same(parts.weights(), unbroken.weights())


@pytest.mark.parametrize("precision", [weft.bfloat16, weft.float16])
def test_in_16_bits(precision: Any, tmp_path: Path) -> None:
    def scaler() -> Any:
        if precision is weft.bfloat16:
            return None
        return weft.amp.GradScaler("cpu", init_scale=2.0**40, growth_interval=3)

    options: dict[str, Any] = {"precision": precision, "clip_norm": 1.0, "validation": loader(16)}
    unbroken = Parts()
    unbroken.fit(scaler=scaler(), **options)
    Parts().fit(scaler=scaler(), folder=tmp_path, callbacks=[StopAt(14)], **options)
    parts = Parts()
    parts.fit(scaler=scaler(), folder=tmp_path, resume=True, **options)
    assert same(parts.weights(), unbroken.weights())
    assert parts.model[0].weight.dtype is weft.float32
    in_full = Parts()
    in_full.fit(clip_norm=1.0, validation=loader(16))
    assert not same(parts.weights(), in_full.weights())


KILLED = """
import os, random, signal, sys, time
sys.path.insert(0, "tests")
import weft
from saved_states import same
from train_runs import Parts

folder = sys.argv[1]
last = os.path.join(folder, "last.safetensors")


class Slow(weft.train.Callback):
    def on_step(self, run):
        time.sleep(0.01)


def saved():
    return os.stat(last).st_mtime_ns if os.path.exists(last) else 0


unbroken = Parts()
unbroken.fit()
rng, kills = random.Random(0), 0
while True:
    before = saved()
    child = os.fork()
    if child == 0:
        parts = Parts(seed=7 if before else 0)  # of which nothing is to be left
        parts.fit(folder=folder, resume=True, save_every=2, callbacks=[Slow()])
        os._exit(0 if same(parts.weights(), unbroken.weights()) else 3)
    while saved() == before and os.waitpid(child, os.WNOHANG) == (0, 0):
        time.sleep(0.001)
    time.sleep(rng.uniform(0, 0.1))
    try:
        os.kill(child, signal.SIGKILL)
        kills += 1
        os.waitpid(child, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
    if weft.load(last)["epoch"] == 3:
        break
parts = Parts(seed=5)
parts.fit(folder=folder, resume=True)
assert same(parts.weights(), unbroken.weights())
print(kills, *sorted(os.listdir(folder)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, so that one start is enough")
def test_killed_again_and_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kills, *names = done.stdout.split()
    assert int(kills) >= 3
    assert names == ["best.safetensors", "last.safetensors", "log.csv", "report.html"]


def test_more_epochs_later(tmp_path: Path) -> None:
    unbroken = Parts()
    unbroken.fit(epochs=4)
    Parts().fit(epochs=2, folder=tmp_path)
    parts = Parts()
    history = parts.fit(epochs=4, folder=tmp_path, resume=True)
    assert same(parts.weights(), unbroken.weights())
    assert len(history.rows) == 4


def test_a_run_that_is_complete_is_left_as_it_is(tmp_path: Path) -> None:
    first = Parts()
    first.fit(folder=tmp_path)
    drawn = weft.rand(3).tolist(), random.random()
    parts = Parts()
    history = parts.fit(folder=tmp_path, resume=True)
    assert (weft.rand(3).tolist(), random.random()) == drawn  # what follows goes on alike, too
    assert len(history.rows) == 3
    assert history.stopped == "done"
    assert same(parts.weights(), first.weights())


def test_without_a_checkpoint_it_begins(tmp_path: Path) -> None:
    assert len(Parts().fit(folder=tmp_path / "new", resume=True).rows) == 3


def test_without_resume_it_begins_anew(tmp_path: Path) -> None:
    Parts().fit(folder=tmp_path)
    history = Parts().fit(folder=tmp_path, epochs=1)
    assert len(history.rows) == 1
    assert len((tmp_path / "log.csv").read_text("utf-8").splitlines()) == 2


def test_saved_every_few_steps(tmp_path: Path) -> None:
    seen = []

    class Look(weft.train.Callback):
        def on_step(self, run: Any) -> None:
            path = tmp_path / LAST
            seen.append(weft.load(path)["step"] if path.exists() else 0)

    Parts().fit(folder=tmp_path, epochs=1, save_every=3, callbacks=[Look()])
    assert seen == [0, 0, 0, 3, 3, 3, 6, 6, 6]
    assert weft.load(tmp_path / LAST)["step"] == 9


def test_callbacks_keep_their_state(tmp_path: Path) -> None:
    class Counts(weft.train.Callback):
        count = 0

        def on_step(self, run: Any) -> None:
            self.count += 1

        def state_dict(self) -> dict[str, int]:
            return {"count": self.count}

        def load_state_dict(self, state: dict[str, int]) -> None:
            self.count = state["count"]

    Parts().fit(folder=tmp_path, callbacks=[Counts(), StopAt(5)])
    counts = Counts()
    Parts().fit(folder=tmp_path, resume=True, callbacks=[counts])
    assert counts.count == 27


# ---- mistakes


def test_a_checkpoint_of_something_else(tmp_path: Path) -> None:
    weft.save({"model": {}}, tmp_path / LAST)
    with pytest.raises(CheckpointError, match=r"no checkpoint of weft.train.fit"):
        Parts().fit(folder=tmp_path, resume=True)


def test_a_damaged_checkpoint(tmp_path: Path) -> None:
    Parts().fit(folder=tmp_path, epochs=1)
    content = (tmp_path / LAST).read_bytes()
    (tmp_path / LAST).write_bytes(content[:-5])
    with pytest.raises(CheckpointError, match="cut short"):
        Parts().fit(folder=tmp_path, resume=True)


def test_another_model(tmp_path: Path) -> None:
    Parts().fit(folder=tmp_path, epochs=1)
    parts = Parts()
    parts.model = nn.Linear(4, 1)
    parts.optimizer = optim.AdamW(parts.model.parameters())
    parts.scheduler = optim.lr_scheduler.StepLR(parts.optimizer, 1)
    with pytest.raises(CheckpointError, match="Missing key"):
        parts.fit(folder=tmp_path, resume=True)


def test_another_optimizer(tmp_path: Path) -> None:
    Parts().fit(folder=tmp_path, epochs=1)
    parts = Parts()
    groups = [{"params": [p]} for p in parts.model.parameters()]
    parts.optimizer = optim.AdamW(groups)
    parts.scheduler = optim.lr_scheduler.StepLR(parts.optimizer, 1)
    before = {k: v.clone() for k, v in parts.weights().items()}
    with pytest.raises(ValueError, match="groups"):
        parts.fit(folder=tmp_path, resume=True)
    assert same(parts.weights(), before)


def test_another_scheduler(tmp_path: Path) -> None:
    Parts().fit(folder=tmp_path, epochs=1)
    with pytest.raises(CheckpointError, match=r"of a run with a scheduler: give fit\(\)"):
        Parts().fit(folder=tmp_path, resume=True, scheduler=None)


def test_other_callbacks(tmp_path: Path) -> None:
    class Keeps(weft.train.Callback):
        def state_dict(self) -> dict[str, int]:
            return {}

        def load_state_dict(self, state: dict[str, int]) -> None:
            pass

    Parts().fit(folder=tmp_path, epochs=1, callbacks=[Keeps()])
    with pytest.raises(CheckpointError, match=r"with 1 callbacks that keep a state, not 0"):
        Parts().fit(folder=tmp_path, resume=True)


def test_fewer_data(tmp_path: Path) -> None:
    batches = list(loader(shuffle=False))
    parts = Parts()
    parts.data = batches
    parts.fit(folder=tmp_path, callbacks=[StopAt(5)])
    parts = Parts()
    parts.data = batches[:3]
    with pytest.raises(CheckpointError, match=r"at batch 5 of its epoch.*gives only 3 batches"):
        parts.fit(folder=tmp_path, resume=True)


def test_another_generator(tmp_path: Path) -> None:
    Parts(generator=weft.Generator().manual_seed(5)).fit(folder=tmp_path, epochs=1)
    with pytest.raises(CheckpointError, match="generator"):
        Parts().fit(folder=tmp_path, resume=True)


def test_data_that_do_not_keep_their_place(tmp_path: Path) -> None:
    Parts().fit(folder=tmp_path, callbacks=[StopAt(5)])
    parts = Parts()
    parts.data = list(loader(shuffle=False))
    with pytest.raises(CheckpointError, match=r"data with state_dict\(\).*the same data"):
        parts.fit(folder=tmp_path, resume=True)


class BreaksOff(weft.train.Callback):
    """As a kill after the last step of an epoch does: nothing more is saved."""

    def on_epoch(self, run: Any, row: Any) -> None:
        raise RuntimeError("broken off")


@pytest.mark.parametrize("kind", ["loader", "workers", "list"])
def test_broken_off_after_a_last_step_on_fewer_batches(kind: str, tmp_path: Path) -> None:
    """Nine batches by twos: the fifth step has one, and with it the data have come to their end."""

    def parts() -> Parts:
        out = Parts(num_workers=2) if kind == "workers" else Parts()
        if kind == "list":
            out.data = list(loader(shuffle=False))
        return out

    unbroken = parts()
    unbroken.fit(accumulate=2)
    with pytest.raises(RuntimeError, match="broken off"):
        parts().fit(folder=tmp_path, accumulate=2, save_every=1, callbacks=[BreaksOff()])
    resumed = parts()
    history = resumed.fit(folder=tmp_path, accumulate=2, save_every=1, resume=True)
    assert [row["step"] for row in history.rows] == [5, 10, 15]
    assert same(resumed.weights(), unbroken.weights())


def test_stopped_at_a_last_step_on_fewer_batches(tmp_path: Path) -> None:
    unbroken = Parts()
    unbroken.fit(accumulate=2)
    history = Parts().fit(folder=tmp_path, accumulate=2, callbacks=[StopAt(5)])
    assert [row["step"] for row in history.rows] == [5]
    resumed = Parts()
    resumed.fit(folder=tmp_path, accumulate=2, resume=True)
    assert same(resumed.weights(), unbroken.weights())
