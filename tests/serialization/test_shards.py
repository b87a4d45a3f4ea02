"""State_dicts over several files, in Hugging Face's layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from saved_states import same

import weft
from weft.errors import CheckpointError

KB = 1000


def tensors() -> dict[str, Any]:
    return {f"layers.{k}.weight": weft.full((100,), float(k)) for k in range(5)}


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    weft.save(tensors(), path, max_shard_size="1KB")
    return path


def test_the_layout_is_hugging_faces(saved: Path) -> None:
    shards = [f"model-{k:05}-of-00003.safetensors" for k in (1, 2, 3)]
    assert names(saved.parent) == [*shards, "model.safetensors.index.json"]
    index = json.loads((saved.parent / "model.safetensors.index.json").read_text("utf-8"))
    assert index["metadata"]["total_size"] == 2000
    assert list(index["weight_map"]) == list(tensors())
    assert list(index["weight_map"].values()) == [shards[k] for k in (0, 0, 1, 1, 2)]
    safetensors = pytest.importorskip("safetensors.numpy", reason="the format's own package")
    part = safetensors.load_file(saved.parent / shards[1])
    assert {k: v[0] for k, v in part.items()} == {"layers.2.weight": 2, "layers.3.weight": 3}


@pytest.mark.parametrize("mmap", [False, True])
def test_they_are_read_by_the_index_or_the_name_that_was_given(saved: Path, mmap: bool) -> None:
    index = saved.with_name(saved.name + ".index.json")
    for path in (saved, index, str(index)):
        assert same(weft.load(path, mmap=mmap), tensors())


def test_an_index_without_metadata(saved: Path) -> None:
    index = saved.with_name(saved.name + ".index.json")
    content = json.loads(index.read_bytes())
    for metadata in (None, {}, {"total_size": "unknown"}):
        index.write_text(json.dumps({**content, "metadata": metadata}), "utf-8")
        assert same(weft.load(saved), tensors())


def test_what_fits_is_one_file(tmp_path: Path) -> None:
    for size in ("5GB", "2 kb", 2000, "1MiB"):
        weft.save(tensors(), tmp_path / "m.safetensors", max_shard_size=size)
        assert names(tmp_path) == ["m.safetensors"]
    assert same(weft.load(tmp_path / "m.safetensors"), tensors())


def test_a_large_tensor_has_a_shard_of_its_own(tmp_path: Path) -> None:
    obj = {"a": weft.ones(2), "b": weft.ones(1000), "c": weft.ones(2)}
    weft.save(obj, tmp_path / "m.safetensors", max_shard_size=100)
    assert len(names(tmp_path)) == 4
    assert same(weft.load(tmp_path / "m.safetensors"), obj)


def test_a_new_set_takes_the_place_of_the_old_one(saved: Path) -> None:
    more = {**tensors(), "more": weft.ones(100)}
    for _ in range(3):
        weft.save(more, saved, max_shard_size="1KB")
        assert same(weft.load(saved), more)
        assert len(names(saved.parent)) == 4
    weft.save(tensors(), saved, max_shard_size="1GB")
    assert names(saved.parent) == ["model.safetensors"]
    weft.save(more, saved, max_shard_size="1KB")
    assert same(weft.load(saved), more)
    assert len(names(saved.parent)) == 4


def test_pytorchs_format(tmp_path: Path) -> None:
    weft.save(tensors(), tmp_path / "pytorch_model.bin", format="torch", max_shard_size="1KB")
    assert "pytorch_model-00001-of-00003.bin" in names(tmp_path)
    assert same(weft.load(tmp_path / "pytorch_model.bin.index.json"), tensors())


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ({"a": {"b": weft.ones(1)}}, r"obj\['a'\] is dict"),
        ({"a": weft.ones(1), "epoch": 3}, r"obj\['epoch'\] is int"),
        ([weft.ones(1)], "only a dict of tensors"),
    ],
)
def test_only_dicts_of_tensors(obj: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=message):
        weft.save(obj, tmp_path / "m", max_shard_size=100)
    assert names(tmp_path) == []


@pytest.mark.parametrize("size", [0, -5, "5 apples", "GB", "1.5GB"])
def test_sizes_that_make_no_sense(size: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="max_shard_size"):
        weft.save(tensors(), tmp_path / "m", max_shard_size=size)


# ---- accidents


def test_a_failing_save_leaves_the_set_that_was_there(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    before = names(saved.parent)
    calls = []
    real = os.fsync

    def fails_in_the_end(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fails_in_the_end)
    with pytest.raises(CheckpointError, match="No space left"):
        weft.save({**tensors(), "more": weft.ones(100)}, saved, max_shard_size="1KB")
    monkeypatch.undo()
    assert names(saved.parent) == before
    assert same(weft.load(saved), tensors())


def test_every_flipped_bit_of_the_index_is_noticed_or_does_no_harm(saved: Path) -> None:
    index = saved.with_name(saved.name + ".index.json")
    whole = index.read_bytes()
    noticed = 0
    for k in range(len(whole)):
        index.write_bytes(whole[:k] + bytes([whole[k] ^ 1]) + whole[k + 1 :])
        try:
            assert same(weft.load(saved), tensors()), f"byte {k}"
        except CheckpointError:
            noticed += 1
    assert noticed > len(whole) / 2


def test_what_a_killed_save_left_is_removed(saved: Path) -> None:
    wanted = len(names(saved.parent))
    for name in ("model-0a1b2c3d-00001-of-00002.safetensors", "model-00001-of-00007.safetensors"):
        (saved.parent / name).touch()
    (saved.parent / ".model-00001-of-00007.safetensors.01234567.tmp").touch()
    (saved.parent / "model-00001-of-00007.txt").touch()  # not ours
    weft.save(tensors(), saved, max_shard_size="1KB")
    assert len(names(saved.parent)) == wanted + 1
    assert same(weft.load(saved), tensors())


def test_a_missing_shard_is_named(saved: Path) -> None:
    (saved.parent / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"'model-00002-of-00003.safetensors', which is not"):
        weft.load(saved)


def test_a_damaged_shard_is_named(saved: Path) -> None:
    shard = saved.parent / "model-00003-of-00003.safetensors"
    shard.write_bytes(shard.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match=r"model-00003-of-00003.safetensors' is cut short"):
        weft.load(saved)


def test_a_shard_of_another_set(saved: Path) -> None:
    weft.save({"other": weft.ones(2)}, saved.parent / "model-00002-of-00003.safetensors")
    with pytest.raises(CheckpointError, match=r"'model-00002.*holds 'layers.2.w.*and 1 more"):
        weft.load(saved)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"weight_map": 3}',
        '{"weight_map": {"a": 3}}',
        '{"weight_map": {"a": "../../etc/passwd"}}',
        '{"weight_map": {"a": "/etc/passwd"}}',
        '{"weight_map": {"a": ".."}}',
        '{"weight_map": {"a": ["x"]}}',
        "[" * 100_000,
    ],
)
def test_an_index_that_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "m.index.json").write_text(content, "utf-8")
    with pytest.raises(CheckpointError, match=r"m.index.json'"):
        weft.load(tmp_path / "m.index.json")


def test_an_index_that_is_not_there(saved: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Did you mean"):
        weft.load(saved.parent / "model.safetensor.index.json")
