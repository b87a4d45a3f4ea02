"""The examples run: in short forms, and in whole where that takes a few seconds only."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import weft
from weft import models

pytest.importorskip("matplotlib", reason="draws pictures: pip install 'weft[examples]'")
pytest.importorskip("sklearn", reason="has the digits: pip install 'weft[examples]'")

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(p.stem for p in EXAMPLES.glob("*.py") if p.stem not in ("common", "lenet"))


def start(name: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "WEFT_REFERENCE": "0"},
    )


def run(name: str, folder: Path, *arguments: str) -> str:
    """What it prints; its weights are in weights.safetensors."""
    with start(name, folder, *arguments, "--save", "weights.safetensors") as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert "training: 100%" in err
    return out


def number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found is not None, text
    return float(found[1])


@pytest.mark.parametrize("name", SCRIPTS)
def test_help(name: str, tmp_path: Path) -> None:
    with start(name, tmp_path, "--help") as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert "--epochs" in out
    assert "--save FILE" in out


SHORT = {
    "gpt2": (["--epochs", "1", "--length", "3", "--lists", "700"], r"sorted: ([\d.]+)%"),
    "lora": (["--epochs", "1", "--limit", "330"], r"with adapters: ([\d.]+)%"),
    "lstm_lm": (
        ["--epochs", "1", "--limit", "9000", "--write", "20"],
        r"characters: ([\d.]+) bits",
    ),
    "resnet": (["--epochs", "1", "--limit", "90", "--batch-size", "24"], r"accuracy: ([\d.]+)%"),
    "unet": (["--epochs", "1", "--images", "32"], r"pixels right: ([\d.]+)%"),
    "vae": (["--epochs", "1", "--limit", "330"], r"images: ([\d.]+) nats"),
    "vit": (["--epochs", "1", "--limit", "330"], r"accuracy: ([\d.]+)%"),
}


def test_none_is_left_out() -> None:
    assert sorted(SHORT) == SCRIPTS


@pytest.mark.parametrize("name", SCRIPTS)
def test_short_runs(name: str, tmp_path: Path) -> None:
    arguments, result = SHORT[name]
    number(result, run(name, tmp_path, *arguments))
    weights = weft.load(tmp_path / "weights.safetensors")
    assert all(weft.isfinite(w).all() for w in weights.values())


def test_adapters_teach_what_is_claimed(tmp_path: Path) -> None:
    out = run("lora", tmp_path)
    assert number(r"Upright: ([\d.]+)%", out) > 97
    assert number(r"Turned: ([\d.]+)%", out) < 20
    assert number(r"Turned, with adapters: ([\d.]+)%", out) >= 88
    assert number(r"Upright, without them again: ([\d.]+)%", out) > 97
    assert next(iter(weft.load(tmp_path / "weights.safetensors"))) == "classifier.1.lora.A"


def test_digits_cost_what_is_claimed(tmp_path: Path) -> None:
    out = run("vae", tmp_path)
    assert number(r"images: ([\d.]+) nats", out) < 25
    assert number(r"average digit: ([\d.]+)\)", out) > 27
    assert (tmp_path / "vae.png").read_bytes().startswith(b"\x89PNG")
    model = models.VAE(64, 256, 16)
    model.load_state_dict(weft.load(tmp_path / "weights.safetensors"))


@pytest.mark.skipif(os.name == "nt", reason="sends the signal of Unix's Ctrl-C")
def test_ctrl_c_ends_after_the_step(tmp_path: Path) -> None:
    with start("vit", tmp_path, "--epochs", "500", "--save", "weights.safetensors") as process:
        assert process.stderr is not None
        seen = ""
        while "loss=" not in seen:  # a step is done
            seen += process.stderr.read(1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert re.search(r"stopped after \d+ of 11000 steps", out)
    assert "Held-out accuracy" in out
    assert len(weft.load(tmp_path / "weights.safetensors")) > 50


def test_a_folder_without_digits(tmp_path: Path) -> None:
    with start("vit", tmp_path, "--data", str(tmp_path)) as process:
        _, err = process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in err
    assert err.startswith("vit: ")
