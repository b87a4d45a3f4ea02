"""The benchmark of GPUs runs from end to end, on toy sizes and the CPU."""

from __future__ import annotations

import math
from argparse import Namespace
from typing import Any

import pytest

pytest.importorskip("jax", reason="computes by JAX: pip install 'weft[xla]'")

import weft
from benchmarks.gpu import __main__ as driver
from benchmarks.gpu.models import CASES, RESNET50, Setting, gpt2, resnet50
from benchmarks.gpu.worker import LIBRARIES, matrix_peak, measured


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("library", ["weft", "jax.jit", "torch"])
def test_a_step(library: str, case: str) -> None:
    if library == "torch":
        pytest.importorskip("torch", reason="a peer: pip install 'weft[parity]'")
    step = LIBRARIES[library](case, True, "cpu" if library == "torch" else "xla:cpu")
    found = measured(step, 1, 0.0)
    assert len(found["times"]) == 1
    assert math.isfinite(found["loss"])


def test_a_line(capsys: Any) -> None:
    driver.report("gpt2", {"weft": [0.2, 0.1], "torch": [0.3]}, 1e15)
    line = capsys.readouterr().out
    assert "100.000 ms" in line
    assert "3.00x" in line
    assert "-" in line
    assert matrix_peak(True) > 0


def test_a_process(capsys: Any) -> None:
    options = Namespace(device="cpu", rounds=1, repeats=1, seconds=0.0, small=True)
    assert driver.run("weft", "mlp", "xla:cpu", "1", "1", "0")["times"]
    assert driver.run("weft", "nothing", "xla:cpu", "1", "1", "0") is None
    assert "failed: KeyError" in capsys.readouterr().err
    assert options.small


def test_the_models_are_those_of_the_papers() -> None:
    """By their numbers of parameters."""
    sizes = {"resnet50": 25_557_032, "gpt2": 124_439_808}
    with weft.device("cpu"):
        for make, name in ((resnet50, "resnet50"), (gpt2, "gpt2")):
            model = make(weft, CASES[name].full)
            assert sum(p.numel() for p in model.parameters()) == sizes[name]
    assert sum(RESNET50) == 16
    assert isinstance(CASES["gpt2"].small, Setting)
