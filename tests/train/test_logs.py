"""What a run leaves in its folder, and what it shows."""

from __future__ import annotations

import csv
import math
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from train_runs import Parts, StopAt, loader

import weft
from weft.errors import UnsupportedOp
from weft.train.history import Curve, History
from weft.train.progress import clock
from weft.train.report import page


def test_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "first"
    Parts().fit(folder=folder)
    names = ["best.safetensors", "last.safetensors", "log.csv", "report.html"]
    assert sorted(p.name for p in folder.iterdir()) == names


def test_the_table_has_a_line_for_each_epoch(tmp_path: Path) -> None:
    history = Parts().fit(folder=tmp_path, validation=loader(8))
    with (tmp_path / "log.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert [float(row["val_loss"]) for row in rows] == history["val_loss"]
    assert list(rows[0]) == history.columns
    Parts().fit(folder=tmp_path, validation=loader(8), epochs=5, resume=True)
    assert len((tmp_path / "log.csv").read_text("utf-8").splitlines()) == 6


def test_the_report_is_one_page_with_curves(tmp_path: Path) -> None:
    metrics = {"mae <b>": lambda p, y: (p - y).abs().mean()}
    Parts().fit(folder=tmp_path, validation=loader(8), metrics=metrics)
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "mae <b>" not in text
    assert not re.search(r"(src|href)=|<script|url\(", text), "it needs nothing else"
    body = ET.fromstring(text[text.index("<body>") : text.index("</html>")])
    figures = {f.findtext("figcaption"): f for f in body.findall("figure")}
    assert list(figures) == ["loss", "lr", "samples per second", "mae <b>"]
    lines = figures["loss"].findall(".//polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [27, 3, 3]
    for point in lines[0].attrib["points"].split():
        x, y = map(float, point.split(","))
        assert 0 <= x <= 640
        assert 0 <= y <= 260
    for figure in figures.values():
        assert "step" in [text.text for text in figure.findall("svg/text")]
        assert figure.find("svg/circle") is not None
    assert len(body.findall(".//tr")) == 4
    assert "AdamW" in text


def test_a_report_of_a_run_that_was_stopped(tmp_path: Path) -> None:
    Parts().fit(folder=tmp_path, callbacks=[StopAt(2)])
    assert "<dd>here</dd>" in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    "values", [[], [1.0], [0.0, 0.0], [math.nan, 1.0], [math.inf], [-1e30, 1e30]]
)
def test_curves_of_any_values(values: list[float]) -> None:
    history = History()
    for k, value in enumerate(values):
        history.losses.add(value)
        history.rows.append({"epoch": k + 1, "step": k + 1, "loss": value})
    ET.fromstring(page("t", {}, history).partition("<body>")[2].join(["<body>", ""])[:-8])


def test_a_long_curve_takes_little_room() -> None:
    curve = Curve()
    for k in range(100_000):
        curve.add(float(k))
    assert len(curve.points) < 2000
    assert curve.width == 64
    assert curve.points[0] == pytest.approx(31.5)
    assert curve.points[-1] == pytest.approx(curve.width * (len(curve.points) - 0.5) - 0.5)
    other = Curve()
    other.load_state_dict(curve.state_dict())
    other.add(1.0)
    curve.add(1.0)
    assert vars(other) == vars(curve)


def test_the_bar_shows_loss_speed_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    class Slow(weft.train.Callback):
        def on_step(self, run: Any) -> None:
            import time

            time.sleep(0.11)

    Parts(count=40).fit(epochs=2, progress=True, callbacks=[Slow()], validation=loader(8))
    text = capsys.readouterr().err
    assert re.search(r"epoch 1/2: .*loss=0\.\d+, samples/s=\d+, all=0:0\d left", text)
    assert re.search(r"epoch 2/2: 100%.*5/5.*val_loss=", text)
    Parts(count=16).fit(epochs=1)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (65.4, "1:05"), (3725, "1:02:05")])
def test_the_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="pip install 'weft[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    Parts().fit(folder=tmp_path, tensorboard=True, callbacks=[StopAt(13)])
    history = Parts().fit(folder=tmp_path, tensorboard=True, resume=True)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"epoch/loss", "epoch/lr", "step/loss"} <= set(events.Tags()["scalars"])
    logged = events.Scalars("epoch/loss")
    assert [e.step for e in logged] == [9, 18, 27]
    assert [e.value for e in logged] == pytest.approx(history["loss"])


def test_tensorboard_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorboard", "tensorboard.compat.proto"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UnsupportedOp, match=r"pip install 'weft\[tensorboard\]'"):
        Parts().fit(folder=tmp_path, tensorboard=True)


def test_a_column_that_is_not_there() -> None:
    history = Parts(count=8).fit(epochs=1)
    with pytest.raises(KeyError, match=r"no epoch has 'los'\. Did you mean 'loss'"):
        history["los"]
