"""The benchmarks compute what they should: every case in every library that is installed.

No time decides anything here.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from benchmarks import operations, recording, session, tables, with_torch_names
from benchmarks.peers import PEERS, run_of
from benchmarks.runs import Run
from benchmarks.workloads import WORKLOADS
from weft import config

ROOT = Path(__file__).parents[2]
BATCH = 2


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Native code, as the benchmarks run it, but two libraries do not fight over processors."""
    monkeypatch.setattr(config, "REFERENCE", False)
    ours, torch = weft.get_num_threads(), sys.modules.get("torch")
    theirs = torch.get_num_threads() if torch else 0
    weft.set_num_threads(1)
    if torch:
        torch.set_num_threads(1)
    yield
    weft.set_num_threads(ours)
    if torch:
        torch.set_num_threads(theirs)


def need(peer: str) -> None:
    for package in PEERS[peer].needs:
        pytest.importorskip(package, reason=f"a peer of the benchmarks: {PEERS[peer].title}")


@cache
def weights(case: str) -> dict[str, Any]:
    return with_torch_names.initial(weft, case)


def run(peer: str, how: str, case: str) -> Run:
    one = PEERS[peer]
    if one.library in {"weft", "torch"}:
        lib = importlib.import_module(one.library)
        made = partial(getattr(with_torch_names, how), lib, compiled=one.compiled)
    else:
        made = getattr(importlib.import_module(f"benchmarks.with_{one.library}"), how)
    return made(case, weights(case), batch=BATCH)  # type: ignore[no-any-return]


def values(peer: str, how: str, case: str) -> list[float]:
    """Of two calls: the second step sees what the first one's update has done."""
    one = run(peer, how, case)
    found = [one.value(one.call()) for _ in range(2)]
    one.finish()
    return found


@cache
def torchs_values(how: str, case: str) -> list[float]:
    return values("torch", how, case)


# ---- every library computes the same


@pytest.mark.parametrize("case", WORKLOADS)
@pytest.mark.parametrize("peer", ["weft", "weft loop", "jax", "flax"])
def test_steps_have_the_losses_of_pytorch(torch: Any, peer: str, case: str) -> None:
    need(peer)
    first, second = values(peer, "training", case)
    expected = torchs_values("training", case)
    assert first == pytest.approx(expected[0], abs=1e-4)
    assert second == pytest.approx(expected[1], abs=3e-4)
    assert second < first, "the update does something"


@pytest.mark.parametrize("case", WORKLOADS)
@pytest.mark.parametrize("peer", ["weft", "weft loop", "jax", "flax"])
def test_forward_passes_agree_with_pytorch(torch: Any, peer: str, case: str) -> None:
    need(peer)
    expected = torchs_values("forward", case)
    assert values(peer, "forward", case) == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # PyTorch's, of an LSTM
@pytest.mark.parametrize("case", WORKLOADS)
def test_compiled_steps_of_pytorch_are_its_steps(
    torch: Any, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    quick = partial(torch.compile, backend="eager")  # all but the generating of code
    monkeypatch.setattr(torch, "compile", quick)
    torch.compiler.reset()
    expected = torchs_values("training", case)
    assert values("torch.compile", "training", case) == pytest.approx(expected, abs=3e-4)


@pytest.mark.parametrize("case", operations.OPERATIONS)
def test_operations_agree(torch: Any, case: str) -> None:
    found = []
    for peer in ("torch", "weft", "weft loop", "numpy"):
        one = run_of(peer, "operations", case, {})
        if one is None:
            assert (peer, case[:4]) == ("numpy", "conv")
            continue
        found.append(one.value(one.call()))
    assert found == pytest.approx([found[0]] * len(found), rel=1e-3, abs=2.0)  # sums of millions


@pytest.mark.parametrize("case", recording.CASES)
def test_recorded_operations_agree(torch: Any, case: str) -> None:
    make, _ = recording.CASES[case]
    ours, theirs = make(weft)(), make(torch)()
    np.testing.assert_allclose(ours.tolist(), theirs.tolist(), rtol=1e-6)  # type: ignore[attr-defined]


# ---- the whole of it


def test_processes_in_turn_and_what_they_say(torch: Any, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks", "steps", "forward", "--only", "tiny"]
    command += ["--peers", "torch", "--rounds", "2", "--seconds", "0.01", "--json", str(file)]
    env = {**os.environ, "WEFT_REFERENCE": "0"}
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True, cwd=ROOT)
    report = json.loads(file.read_text())
    assert report["remarks"] == []
    for group in ("steps", "forward"):
        rounds = report["cases"][group]["tiny MLP"]
        assert set(rounds) == {"weft", "weft loop", "torch"}
        for results in rounds.values():
            assert len(results) == 2
            assert all(t > 0 for result in results for t in result["times"])
            assert [r["value"] for r in results] == pytest.approx(
                [rounds["torch"][0]["value"]] * 2, rel=1e-4
            )
    titles = [table.title for table in tables.tables(report)]
    assert titles[:3] == [
        "Training steps",
        "Forward passes of one sample",
        "First step, empty caches",
    ]
    assert all(title in done.stdout for title in titles)
    order = [line.rpartition(", ")[2] for line in done.stderr.splitlines()]
    assert order == ["weft.compile", "plain loop", "PyTorch"] * 2


def test_a_peer_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    report = session.Session(groups=["steps"], peers=["flax"]).run()
    assert report["remarks"] == ["Flax NNX is left out: jax is not installed"]
    assert "Flax NNX is left out: jax is not installed." in tables.text(report)


def test_a_worker_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    one = session.Session(groups=["steps"], peers=["weft"], only="no such case")
    one.run()
    monkeypatch.setattr(one, "_folder", Path("no such folder"))
    assert not one._work("weft", [("steps", "LeNet")], weights=Path("no-such-file.npz"))
    (why,) = one.report["remarks"]
    assert why.startswith("weft.compile is left out of LeNet: failed (FileNotFoundError: ")


def report_of(ours: list[float], theirs: list[float]) -> dict[str, Any]:
    def rounds(times: list[float]) -> list[dict[str, Any]]:
        return [{"times": times, "start": 1.0, "warm_up": 0.5, "value": 0.0, "memory": 3 << 20}]

    about: dict[str, Any] = dict.fromkeys(
        ("date", "machine", "system", "python", "threads", "rounds"), "x"
    )
    about |= {"seconds": 1, "load": 0.0, "minutes": 0, "versions": {"weft": "0"}}
    cases = {"steps": {"LeNet": {"weft": rounds(ours), "jax": rounds(theirs)}}}
    kernels = {"x * 2": ["memory", 8e9, 2.0], "matmul": ["arithmetic", 1e9, 0.5]}
    machine = {"peak": 4e9, "copy": 8e9, "kernels": kernels}
    return {"about": about, "cases": cases, "machine": machine, "remarks": []}


def test_ratios_are_the_peers_time_over_ours() -> None:
    made = {t.title: t for t in tables.tables(report_of([2.0, 1.0, 3.0], [4.0, 3.0, 5.0]))}
    assert made["Training steps"].rows == [["LeNet", "compile", "1 s", "2.00 (3.00)"]]
    assert made["Peak memory"].rows == [["LeNet", "3", "3"]]
    assert [row[2:] for row in made["The machine"].rows] == [
        ["4.0 GB/s", "50%"],
        ["2.0 GFLOP/s", "50%"],
    ]


def test_tables_as_markdown() -> None:
    text = tables.markdown(report_of([1.0], [2.0]))
    assert "| case | weft | time | JAX jit |\n| --- | --- | --- | --- |\n" in text
    assert "| LeNet | compile | 1 s | 2.00 (2.00) |" in text
