"""weft.train.fit: the same weights as the plain loop's, and what goes on around it."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from saved_states import same
from train_runs import Parts, StopAt, dataset, loader

import weft
import weft.nn.functional as F
from weft import nn, optim
from weft.errors import CheckpointError, DataError, UnsupportedOp

ROOT = Path(__file__).parents[2]


def plain_loop(parts: Parts, epochs: int) -> list[float]:
    losses = []
    parts.model.train()
    for _ in range(epochs):
        for x, y in parts.data:
            parts.optimizer.zero_grad()
            loss = F.binary_cross_entropy_with_logits(parts.model(x), y)
            loss.backward()
            parts.optimizer.step()
            parts.scheduler.step()
            losses.append(loss.item())
    return losses


def test_the_weights_are_those_of_the_plain_loop() -> None:
    plain = Parts()
    losses = plain_loop(plain, 3)
    ours = Parts()
    history = ours.fit()
    assert same(ours.weights(), plain.weights())
    assert history.losses.points == losses
    assert history.stopped == "done"
    assert [row["step"] for row in history.rows] == [9, 18, 27]
    sizes = [8] * 8 + [6]
    mean = sum(v * n for v, n in zip(losses[-9:], sizes, strict=True)) / 70
    assert history["loss"][-1] == pytest.approx(mean)


def test_validation_does_not_disturb_the_training() -> None:
    held_out = list(loader(40, shuffle=False))
    plain = Parts()
    plain.model[3].eval()
    undisturbed = plain.fit().losses.points
    ours = Parts()
    ours.model[3].eval()  # frozen by the user
    history = ours.fit(validation=held_out, metrics={"mae": lambda p, y: (p - y).abs().mean()})
    assert history.losses.points == undisturbed
    assert ours.model.training
    assert not ours.model[3].training
    assert len(history["val_loss"]) == 3
    ours.model.eval()
    with weft.no_grad():
        x, y = dataset(40)[:]
        output = ours.model(x)
    loss = F.binary_cross_entropy_with_logits(output, y).item()
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-5)
    assert history["val_mae"][-1] == pytest.approx((output - y).abs().mean().item(), rel=1e-5)


def test_accumulation_is_one_large_batch() -> None:
    x, y = dataset(32)[:]
    batches = [(x[k : k + 8], y[k : k + 8]) for k in range(0, 32, 8)]
    models = []
    for data, accumulate in ((batches, 4), ([(x, y)], 1), (batches, 100)):
        weft.manual_seed(0)
        model = nn.Linear(4, 1)
        optimizer = optim.SGD(model.parameters(), lr=0.5)
        history = weft.train.fit(
            model, data, optimizer, F.mse_loss, accumulate=accumulate, epochs=2, progress=False
        )
        assert history.rows[-1]["step"] == 2
        models.append(model)
    for other in models[1:]:
        assert weft.allclose(models[0].weight, other.weight, atol=1e-6)


def test_what_is_left_over_is_averaged_over_itself() -> None:
    x, y = dataset(24)[:]
    batches = [(x[k : k + 8], y[k : k + 8]) for k in range(0, 24, 8)]
    a, b = nn.Linear(4, 1), nn.Linear(4, 1)
    b.load_state_dict(a.state_dict())
    options: dict[str, Any] = {"progress": False}
    optimizer = optim.SGD(a.parameters(), lr=0.5)
    weft.train.fit(a, batches, optimizer, F.mse_loss, accumulate=2, **options)
    optimizer = optim.SGD(b.parameters(), lr=0.5)
    weft.train.fit(b, [(x[:16], y[:16]), (x[16:], y[16:])], optimizer, F.mse_loss, **options)
    assert weft.allclose(a.weight, b.weight, atol=1e-6)


def test_gradients_are_clipped() -> None:
    x, y = dataset(8)[:]
    model = nn.Linear(4, 1)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    weft.train.fit(model, [(x, 100 * y)], optimizer, F.mse_loss, clip_norm=0.5, progress=False)
    moved = sum(((v - before[k]) ** 2).sum().item() for k, v in model.state_dict().items())
    assert math.sqrt(moved) == pytest.approx(0.5, rel=1e-4)


def test_batches_of_any_structure() -> None:
    x, y = dataset(16)[:]
    model = nn.Linear(4, 1)

    def step(model: Any, batch: Any) -> Any:
        return F.mse_loss(model(batch["x"]), batch["y"])

    data = [{"x": x, "y": y}] * 3
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    history = weft.train.fit(
        model, data, optimizer, step=step, validation=data[:1], epochs=2, progress=False
    )
    assert history.rows[1]["samples_per_second"] > 0
    assert history["val_loss"][1] < history["val_loss"][0]


def test_several_inputs() -> None:
    model = nn.Bilinear(2, 3, 1)
    data = [(weft.ones(4, 2), weft.ones(4, 3), weft.ones(4, 1))]
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    history = weft.train.fit(model, data, optimizer, F.mse_loss, epochs=5, progress=False)
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize("every", ["epoch", "step"])
def test_the_scheduler_steps_when_it_should(every: str) -> None:
    parts = Parts()
    scheduler = optim.lr_scheduler.StepLR(parts.optimizer, 1, gamma=0.5)
    history = parts.fit(scheduler=scheduler, schedule_every=every)
    steps = {"epoch": 1, "step": 9}[every]
    first = 0.02 * 0.5 ** (0 if every == "epoch" else 9)
    assert history["lr"][0] == pytest.approx(first)
    assert history["lr"][1] == pytest.approx(first * 0.5**steps)


def test_a_scheduler_that_waits_for_a_plateau() -> None:
    parts = Parts()
    scheduler = optim.lr_scheduler.ReduceLROnPlateau(parts.optimizer, patience=0, factor=0.1)
    parts.optimizer.param_groups[0]["lr"] = 0.0  # no progress
    history = parts.fit(scheduler=scheduler, schedule_every="epoch", validation=loader(20))
    assert scheduler.num_bad_epochs == 0
    assert scheduler.best == history.best["val_loss"]


def test_early_stopping(tmp_path: Path) -> None:
    parts = Parts()
    values = iter([5.0, 3.0, 4.0, 3.5, 3.2, 1.0])
    history = parts.fit(
        epochs=10,
        validation=loader(8),
        metrics={"given": lambda p, y: next(values)},
        monitor="val_given",
        patience=3,
        folder=tmp_path,
    )
    assert history.stopped == "early"
    assert history["val_given"] == [5, 3, 4, 3.5, 3.2]
    assert history.best["epoch"] == 2
    again = Parts().fit(
        epochs=10, validation=loader(8), monitor="val_given", patience=3, folder=tmp_path,
        resume=True, metrics={"given": lambda p, y: 0.0},
    )  # fmt: skip
    assert again.stopped == "early"
    assert len(again.rows) == 5


def test_the_best_weights_are_kept(tmp_path: Path) -> None:
    parts = Parts()
    kept: list[Any] = []

    class Keep(weft.train.Callback):
        def on_epoch(self, run: Any, row: Any) -> None:
            kept.append({k: v.clone() for k, v in run.model.state_dict().items()})

    values = iter([0.5, 0.9, 0.7])
    history = parts.fit(
        validation=loader(8),
        metrics={"accuracy": lambda p, y: next(values)},
        monitor="val_accuracy",
        mode="max",
        folder=tmp_path,
        callbacks=[Keep()],
    )
    assert history.best["epoch"] == 2
    assert same(weft.load(tmp_path / "best.safetensors"), kept[1])


def test_callbacks_hear_everything_in_order() -> None:
    heard: list[str] = []

    class Ear(weft.train.Callback):
        def on_begin(self, run: Any) -> None:
            heard.append("begin")

        def on_step(self, run: Any) -> None:
            assert run.loss > 0
            heard.append(f"step {run.step}")

        def on_epoch(self, run: Any, row: Any) -> None:
            row["extra"] = 7.0
            heard.append(f"epoch {row['epoch']}")

        def on_end(self, run: Any) -> None:
            heard.append("end")

    history = Parts(count=16).fit(epochs=2, callbacks=[Ear()])
    steps = ["step 1", "step 2", "epoch 1", "step 3", "step 4", "epoch 2"]
    assert heard == ["begin", *steps, "end"]
    assert history["extra"] == [7, 7]
    heard.clear()
    history = Parts(count=16).fit(callbacks=[Ear(), StopAt(3)])
    assert history.stopped == "here"
    assert heard == ["begin", "step 1", "step 2", "epoch 1", "step 3", "end"]


def test_schedule_free_weights_are_averaged_where_they_are_measured(tmp_path: Path) -> None:
    calls: list[str] = []

    class Averaging(optim.SGD):
        def eval(self) -> None:
            calls.append("eval")

        def train(self) -> None:
            calls.append("train")

    model = nn.Linear(4, 1)
    weft.train.fit(
        model, [dataset(8)[:]], Averaging(model.parameters(), lr=0.1), F.mse_loss, progress=False
    )
    assert calls == ["train", "eval", "train", "eval"]


# ---- Ctrl-C

SCRIPT = """
import os, signal, sys
sys.path.insert(0, "tests")
from train_runs import Parts
import weft

class Press(weft.train.Callback):
    def on_step(self, run):
        if run.step == 5:
            os.kill(os.getpid(), signal.SIGINT)
            print("pressed", flush=True)
        if run.step == 6:
            print("too late", flush=True)

parts = Parts()
history = parts.fit(epochs=50, folder=sys.argv[1], callbacks=[Press()], progress=True)
print(history.stopped, len(history.rows), history.losses.points.__len__())
weft.save(parts.model.state_dict(), sys.argv[1] + "/now.safetensors")
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
def test_ctrl_c_finishes_the_step_and_saves(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["pressed", "interrupted 0 5"]
    assert "Traceback" not in done.stderr
    last = weft.load(tmp_path / "last.safetensors")
    assert last["step"] == 5
    assert same(last["model"], dict(weft.load(tmp_path / "now.safetensors"))) or same(
        dict(last["model"]), weft.load(tmp_path / "now.safetensors")
    )


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
def test_ctrl_c_twice_stops_at_once() -> None:
    class Press(weft.train.Callback):
        def on_step(self, run: Any) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        Parts().fit(callbacks=[Press()])
    assert signal.getsignal(signal.SIGINT) is before


def test_fit_in_another_thread() -> None:
    out: list[Any] = []
    thread = threading.Thread(target=lambda: out.append(Parts(count=8).fit(epochs=1)))
    thread.start()
    thread.join()
    assert out[0].stopped == "done"


# ---- mistakes


@pytest.mark.filterwarnings("ignore:.* is NaN, and so are")  # the optimiser says it too
def test_a_loss_that_is_nan_says_where(tmp_path: Path) -> None:
    x, y = dataset(8)[:]
    data = [(x, y), (x, y), (x * math.nan, y)]
    model = nn.Linear(4, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(
        DataError, match=r"nan at step 3 \(epoch 1, batch 2\).*Tensor 0 of the batch"
    ):
        weft.train.fit(model, data, optimizer, F.mse_loss, progress=False)


@pytest.mark.filterwarnings("ignore:.* is NaN, and so are")
def test_a_training_that_diverges_says_so_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    x, y = dataset(8)[:]
    model = nn.Linear(4, 1)
    optimizer = optim.SGD(model.parameters(), lr=1e12)
    with pytest.raises(DataError, match=r"has diverged: try a rate below lr=1e\+12.*resume=True"):
        weft.train.fit(
            model, [(x, y)], optimizer, F.mse_loss, epochs=9, folder=tmp_path, progress=False
        )
    assert all(
        v.isfinite().all() for v in weft.load(tmp_path / "last.safetensors")["model"].values()
    )


def test_weights_that_are_lost_do_not_take_the_place_of_good_ones(tmp_path: Path) -> None:
    x, y = dataset(8)[:]
    model = nn.Linear(4, 1)

    class Spoil(weft.train.Callback):
        def on_step(self, run: Any) -> None:
            if run.step == 3:
                with weft.no_grad():
                    run.model.weight[0, 1] = math.inf

    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(DataError, match=r"'weight' is not finite after step 3.*resume=True"):
        weft.train.fit(
            model, [(x, y)], optimizer, F.mse_loss, epochs=9, folder=tmp_path, progress=False,
            callbacks=[Spoil()],
        )  # fmt: skip
    last = weft.load(tmp_path / "last.safetensors")
    assert last["step"] == 2
    assert last["model"]["weight"].isfinite().all()


def fit(**changed: Any) -> Any:
    model = nn.Linear(4, 1)
    given: dict[str, Any] = {
        "model": model,
        "data": [dataset(8)[:]],
        "optimizer": optim.SGD(model.parameters(), lr=0.1),
        "loss": F.mse_loss,
        "progress": False,
        **changed,
    }
    return weft.train.fit(**given)


X, Y = weft.ones(8, 4), weft.ones(8, 1)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"model": F.relu}, TypeError, "fit trains a Module, not function"),
        ({"optimizer": F.mse_loss}, TypeError, "must be an Optimizer, not function"),
        ({"optimizer": []}, TypeError, "one optimizer.*groups of it.*for several.*write the loop"),
        ({"optimizer": optim.SGD([nn.Parameter(X)], 0.1)}, ValueError, "none of the model's param"),
        ({"loss": None}, TypeError, "give loss, .* or step"),
        ({"step": F.mse_loss}, TypeError, "Exactly one"),
        ({"loss": 3}, TypeError, "loss must be a function, not int"),
        ({"loss": nn.MSELoss}, TypeError, "loss is the class MSELoss: make one"),
        ({"data": [X]}, TypeError, r"it is a Tensor\[8, 4\] of weft.float32.*give step"),
        ({"data": [{"x": X}]}, TypeError, "it is a dict with the keys 'x'"),
        ({"data": [(X,)]}, TypeError, r"it is a tuple of 1: \(a Tensor\[8, 4\]"),
        ({"data": []}, ValueError, "data gave no batches"),
        ({"data": iter([(X, Y)])}, TypeError, "data must be something to iterate over again"),
        ({"data": 3}, TypeError, "data must be something"),
        ({"validation": []}, ValueError, "nothing to evaluate on"),
        ({"validation": [X]}, TypeError, "a batch must be"),
        ({"loss": lambda a, b: (a - b) ** 2}, ValueError, r"loss has shape \[8, 1\]: reduce it"),
        ({"loss": lambda a, b: 3.0}, TypeError, "loss must be a Tensor, not float"),
        ({"epochs": 0}, ValueError, "epochs must be a positive int, not 0"),
        ({"accumulate": 1.5}, ValueError, "accumulate must be a positive int"),
        ({"mode": "maximum"}, ValueError, "mode must be one of 'min', 'max'"),
        ({"schedule_every": "batch"}, ValueError, "schedule_every must be one of"),
        ({"resume": True}, ValueError, "need a folder"),
        ({"monitor": "val_los"}, ValueError, "not among what an epoch gives: epoch, step, loss"),
        ({"metrics": [F.l1_loss]}, TypeError, "a dict of functions by name, not list"),
        ({"callbacks": [weft.train.Callback]}, TypeError, "Callback, not the class Callback"),
        ({"callbacks": [print]}, TypeError, "not builtin_function_or_method"),
        ({"scheduler": 3}, TypeError, r"must have step\(\), which int has not"),
        ({"scheduler": Parts().scheduler}, ValueError, "another optimiser's"),
        ({"clip_norm": 0.0}, ValueError, "clip_norm must be above 0, not 0.0"),
        ({"metrics": {"a": F.l1_loss}}, ValueError, "give validation too"),
        (
            {"validation": [(X, Y)], "metrics": {"a": lambda p, y: p}},
            TypeError,
            r"metric 'a' must return one number, not a Tensor\[8, 1\]",
        ),
    ],
)
def test_mistakes_are_named(changed: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        fit(**changed)


def test_a_plateau_is_one_of_epochs() -> None:
    parts = Parts()
    scheduler = optim.lr_scheduler.ReduceLROnPlateau(parts.optimizer)
    with pytest.raises(ValueError, match="waits for what an epoch gives"):
        parts.fit(scheduler=scheduler, schedule_every="step")


def test_lbfgs_needs_a_closure() -> None:
    model = nn.Linear(4, 1)
    with pytest.raises(UnsupportedOp, match=r"optimizer.step\(closure\)"):
        fit(model=model, optimizer=optim.LBFGS(model.parameters()))


def test_errors_say_where_in_the_run_they_happened() -> None:
    data = [(X, Y), (X, Y), (weft.ones(8, 5), Y)]
    with pytest.raises(weft.errors.ShapeError) as caught:
        fit(data=data, epochs=2)
    assert caught.value.__notes__ == ["in epoch 1, batch 2 (counted from 0), after 2 steps"]
    with pytest.raises(weft.errors.ShapeError) as caught:
        fit(validation=data)
    assert "in batch 2 of the validation" in caught.value.__notes__


def test_no_place_to_save(tmp_path: Path) -> None:
    (tmp_path / "last.safetensors").mkdir()
    with pytest.raises(CheckpointError, match="it is a folder"):
        fit(folder=tmp_path)
