"""``import weft`` is quick because it brings little with it. (Benchmarks take the time.)"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: What must wait until it is needed.
HEAVY = (
    "llvmlite",
    "matplotlib",
    "ml_dtypes",
    "multiprocessing",
    "safetensors",
    "scipy",
    "sklearn",
    "torch",
    "tqdm",
)


def loaded_after(code: str) -> set[str]:
    """The modules that a fresh interpreter holds after ``code``, beyond those it starts with."""
    script = (
        f"import sys, numpy\nbefore = set(sys.modules)\n{code}\n"
        "import json\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_weft_brings_nothing_heavy() -> None:
    loaded = {name.partition(".")[0] for name in loaded_after("import weft")}
    assert "weft" in loaded
    assert not loaded & set(HEAVY)


def test_import_weft_leaves_its_subpackages_for_later() -> None:
    loaded = loaded_after("import weft")
    assert not loaded & {"weft.nn", "weft.optim", "weft.utils", "weft.serialization"}
    assert not loaded & {"weft.fft", "weft.tensors.fft", "weft.tensors.spectral"}


def test_layers_and_optimisers_need_nothing_heavy_either() -> None:
    loaded = loaded_after(
        "import weft.nn as nn, weft.optim\n"
        "model = nn.Linear(2, 2)\n"
        "optimizer = weft.optim.SGD(model.parameters(), lr=0.1)\n"
        "model(weft.ones(1, 2)).sum().backward()\n"
        "optimizer.step()"
    )
    assert "weft.nn" in loaded
    assert not {name.partition(".")[0] for name in loaded} & set(HEAVY)


@pytest.mark.parametrize("name", ["nn", "optim", "autograd", "utils.data", "nn.functional"])
def test_subpackages_come_when_first_used(name: str) -> None:
    assert f"weft.{name}" in loaded_after(f"import weft\nweft.{name}")


def test_bfloat16_brings_its_package_when_first_used() -> None:
    assert "ml_dtypes" in loaded_after("import weft\nweft.ones(1, dtype=weft.bfloat16).tolist()")


@pytest.mark.parametrize("name", ["weft.nn", "weft.optim", "weft.utils.data", "weft.autograd"])
def test_a_subpackage_can_be_imported_first(name: str) -> None:
    assert name in loaded_after(f"import {name}")
