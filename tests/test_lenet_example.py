"""examples/lenet.py: it learns, draws, stops on Ctrl-C and goes on to the same weights."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import weft

pytest.importorskip("matplotlib", reason="draws pictures: pip install 'weft[examples]'")
pytest.importorskip("sklearn", reason="has the digits: pip install 'weft[examples]'")

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "examples" / "lenet.py"
PNG = b"\x89PNG\r\n\x1a\n"
CHECKPOINT = "checkpoint.safetensors"


@pytest.fixture(scope="module")
def lenet() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lenet", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["lenet"] = module  # where dataclasses look up the names in their annotations
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def unbroken(lenet: ModuleType, tmp_path_factory: Any) -> Path:
    """The folder of a run of three epochs."""
    out: Path = tmp_path_factory.mktemp("unbroken")
    assert lenet.main(["--epochs", "3", "--out", str(out)]) == 0
    return out


def same_run(a: Path, b: Path) -> bool:
    """The same weights, momentum and losses, to the last bit."""
    return flat(weft.load(a / CHECKPOINT)) == flat(weft.load(b / CHECKPOINT))


def flat(value: Any, at: str = "") -> dict[str, Any]:
    if isinstance(value, weft.Tensor):
        return {at: (value.dtype, tuple(value.shape), value.numpy().tobytes())}
    if isinstance(value, (dict, list, tuple)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {name: leaf for k, v in items for name, leaf in flat(v, f"{at}.{k}").items()}
    return {at: value}


def interrupt_after(step: int, lenet: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Presses Ctrl-C once that many steps have been counted by the progress bars."""
    done = 0

    class Bar(lenet.tqdm):  # type: ignore[name-defined,misc]
        def update(self, n: int = 1) -> None:
            nonlocal done
            super().update(n)
            done += n
            if done == step:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(lenet, "tqdm", Bar)


# ---- it learns


def test_it_reads_held_out_digits(lenet: ModuleType, tmp_path: Path, capsys: Any) -> None:
    assert lenet.main(["--epochs", "10", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    accuracy = float(out.split("Held-out accuracy: ")[1].split("%")[0])
    assert accuracy > 94
    assert "360 held out" in out
    assert "epoch 10/10: 100%" in err
    losses = weft.load(tmp_path / CHECKPOINT)["progress"]["losses"]
    assert len(losses) == 10 * 23
    assert np.mean(losses[-23:]) < 0.3 < losses[0]
    for name in ("loss_curve.png", "predictions.png"):
        picture = (tmp_path / name).read_bytes()
        assert picture.startswith(PNG)
        assert len(picture) > 10_000


def test_the_model_is_the_one_described(lenet: ModuleType) -> None:
    model = lenet.LeNet()
    assert [name for name, _ in model.named_modules() if name.count(".") == 1] == [
        "layer1.conv1",
        "layer1.pool1",
        "layer2.conv2",
        "layer2.pool2",
        "layer3.fc1",
        "layer3.fc2",
        "layer3.fc3",
    ]
    assert sum(p.numel() for p in model.parameters()) == 61_610
    assert model(weft.zeros(3, 1, 28, 28)).shape == (3, 10)


@pytest.mark.parity
def test_it_trains_as_in_pytorch(lenet: ModuleType, torch: Any) -> None:
    weft.manual_seed(0)
    model, criterion = lenet.LeNet(), weft.nn.CrossEntropyLoss()
    optimizer = weft.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    nn = torch.nn
    twin = nn.Sequential(
        *(nn.Conv2d(1, 6, 3, padding=1), nn.MaxPool2d(2, 2)),
        *(nn.Conv2d(6, 16, 5), nn.MaxPool2d(2, 2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)),
    )
    with torch.no_grad():
        for p, q in zip(twin.parameters(), model.parameters(), strict=True):
            p.copy_(torch.tensor(q.detach().numpy()))
    other = torch.optim.SGD(twin.parameters(), lr=0.05, momentum=0.9)

    data = lenet.load_data(None).train
    for x, y in weft.utils.data.DataLoader(data, 64):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()

        other.zero_grad()
        expected = nn.functional.cross_entropy(
            twin(torch.tensor(x.numpy())), torch.tensor(y.numpy())
        )
        expected.backward()
        other.step()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    for p, q in zip(twin.parameters(), model.parameters(), strict=True):
        np.testing.assert_allclose(q.detach().numpy(), p.detach().numpy(), rtol=1e-3, atol=1e-5)


# ---- Ctrl-C and --resume


@pytest.mark.parametrize("steps", [1, 23, 30, 69], ids=["first", "end of epoch", "middle", "last"])
def test_resume_reaches_the_same_weights(
    steps: int,
    unbroken: Path,
    lenet: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    command = ["--epochs", "3", "--out", str(tmp_path)]
    interrupt_after(steps, lenet, monkeypatch)
    stopped = lenet.main(command)
    monkeypatch.undo()
    assert len(weft.load(tmp_path / CHECKPOINT)["progress"]["losses"]) == steps
    if steps < 69:
        assert stopped == 130
        assert f"after {steps} steps" in (out := capsys.readouterr().out)
        assert "--resume" in out
        assert not (tmp_path / "predictions.png").exists()
    assert lenet.main([*command, "--resume"]) == 0
    assert same_run(tmp_path, unbroken)
    assert (tmp_path / "predictions.png").exists()


def test_resume_may_train_for_longer(unbroken: Path, lenet: ModuleType, tmp_path: Path) -> None:
    assert lenet.main(["--epochs", "1", "--out", str(tmp_path)]) == 0
    assert not same_run(tmp_path, unbroken)
    assert lenet.main(["--epochs", "3", "--out", str(tmp_path), "--resume"]) == 0
    assert same_run(tmp_path, unbroken)


def test_ctrl_c_twice_stops_at_once(lenet: ModuleType) -> None:
    before = signal.getsignal(signal.SIGINT)
    with lenet.CtrlC() as ctrl_c:
        signal.raise_signal(signal.SIGINT)
        assert ctrl_c.pressed
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.skipif(os.name == "nt", reason="sends the signal of Unix's Ctrl-C")
def test_ctrl_c_in_a_terminal(unbroken: Path, lenet: ModuleType, tmp_path: Path) -> None:
    command = ["--epochs", "3", "--out", str(tmp_path)]
    with start(*command) as process:
        assert process.stderr is not None
        seen = ""
        while "epoch 1/3" not in seen or "loss=" not in seen:  # a step is done
            seen += process.stderr.read(1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert "Stopped in epoch" in out
    assert "Traceback" not in err
    assert 0 < len(weft.load(tmp_path / CHECKPOINT)["progress"]["losses"]) < 69
    assert lenet.main([*command, "--resume"]) == 0
    assert same_run(tmp_path, unbroken)


# ---- MNIST's files


def write_idx(path: Path, array: Any) -> None:
    sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


def write_mnist(folder: Path, which: str, count: int) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 28, 28), np.uint8)
    write_idx(folder / f"{which}-images-idx3-ubyte", images)
    write_idx(folder / f"{which}-labels-idx1-ubyte", (np.arange(count) % 10).astype(np.uint8))


def test_a_folder_with_test_images_only_is_split(lenet: ModuleType, tmp_path: Path) -> None:
    write_mnist(tmp_path, "t10k", 4100)
    data = lenet.load_data(tmp_path)
    assert (len(data.train), len(data.test)) == (3100, 1000)
    assert not set(data.train.indices) & set(data.test.indices)
    assert data.test.indices == lenet.load_data(tmp_path).test.indices


def test_a_folder_with_all_of_mnist(lenet: ModuleType, tmp_path: Path, capsys: Any) -> None:
    write_mnist(tmp_path, "train", 90)
    write_mnist(tmp_path, "t10k", 40)
    out = tmp_path / "out"
    assert lenet.main(["--data", str(tmp_path), "--epochs", "1", "--out", str(out)]) == 0
    assert "MNIST: 90 to learn from, 40 held out" in capsys.readouterr().out
    assert len(weft.load(out / CHECKPOINT)["progress"]["losses"]) == 2


def test_digits_are_scaled_smoothly(lenet: ModuleType) -> None:
    ramp = np.broadcast_to(np.arange(8.0), (1, 8, 8))
    large = lenet.resize(ramp, 28)
    assert large.shape == (1, 28, 28)
    expected = np.clip((np.arange(28) + 0.5) * 8 / 28 - 0.5, 0, 7)
    np.testing.assert_allclose(large[0], np.broadcast_to(expected, (28, 28)))
    np.testing.assert_allclose(lenet.resize(ramp.swapaxes(1, 2), 28)[0], large[0].T)


# ---- errors: a message, no traceback, exit code 1


def fails(lenet: ModuleType, *arguments: str) -> str:
    """The message of a run that fails as it should."""
    with pytest.raises(SystemExit) as caught:
        lenet.main(list(arguments))
    assert isinstance(caught.value.code, str)  # Python prints it and exits with 1
    return caught.value.code


def test_a_missing_folder(lenet: ModuleType, tmp_path: Path) -> None:
    message = fails(lenet, "--data", str(tmp_path / "nowhere"), "--out", str(tmp_path))
    assert "there is no folder" in message
    message = fails(lenet, "--data", str(tmp_path), "--out", str(tmp_path))
    assert "'t10k-images-idx3-ubyte.gz' or 't10k-images-idx3-ubyte'" in message


def test_damaged_images(lenet: ModuleType, tmp_path: Path) -> None:
    write_mnist(tmp_path, "t10k", 40)
    images = tmp_path / "t10k-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1])
    message = fails(lenet, "--data", str(tmp_path), "--out", str(tmp_path))
    assert "expected 31,360 bytes for 40 x 28 x 28 values of 1 bytes, found 31,359" in message


def test_labels_of_another_set(lenet: ModuleType, tmp_path: Path) -> None:
    write_mnist(tmp_path, "t10k", 40)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", np.zeros(39, np.uint8))
    message = fails(lenet, "--data", str(tmp_path), "--out", str(tmp_path))
    assert "its images are [40, 28, 28] and its labels [39]" in message


def test_nothing_to_resume(lenet: ModuleType, tmp_path: Path) -> None:
    message = fails(lenet, "--resume", "--out", str(tmp_path))
    assert "there is no file" in message


def test_resume_with_other_options(unbroken: Path, lenet: ModuleType, tmp_path: Path) -> None:
    shutil.copy(unbroken / CHECKPOINT, tmp_path)
    message = fails(lenet, "--resume", "--out", str(tmp_path), "--lr", "0.1")
    assert "a run with lr = 0.05, not 0.1" in message


def test_another_file_in_place_of_the_checkpoint(lenet: ModuleType, tmp_path: Path) -> None:
    weft.save({"w": weft.ones(1)}, tmp_path / CHECKPOINT)
    message = fails(lenet, "--resume", "--out", str(tmp_path))
    assert "no checkpoint of this example" in message


def test_a_damaged_checkpoint(unbroken: Path, tmp_path: Path) -> None:
    content = bytearray((unbroken / CHECKPOINT).read_bytes())
    content[-1] ^= 1
    (tmp_path / CHECKPOINT).write_bytes(content)
    with start("--resume", "--out", str(tmp_path)) as process:
        _, err = process.communicate()
    assert process.returncode == 1
    assert "does not match its checksum" in err
    assert "Traceback" not in err
    assert (tmp_path / CHECKPOINT).read_bytes() == content
