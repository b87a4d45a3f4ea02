"""weft.save and weft.load: what goes in comes out; no accident goes unnoticed or costs a file."""

from __future__ import annotations

import json
import math
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays
from saved_states import same, state, values

import weft
from weft.dtypes import ALL
from weft.errors import CheckpointError, UnsupportedOp

# ---- round trips

#: Dtypes that the format has not.
UNKNOWN = ("complex128", "float8_e4m3fnuz", "float8_e5m2fnuz")


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3, 5)])
@pytest.mark.parametrize("dtype", ALL, ids=lambda d: d.name)
def test_every_dtype_and_shape_comes_back(
    dtype: Any, shape: tuple[int, ...], tmp_path: Path
) -> None:
    x = values(dtype, shape)
    if dtype.name in UNKNOWN:
        with pytest.raises(UnsupportedOp, match=f"'x' is of dtype {dtype.name}, which safetensors"):
            weft.save({"x": x}, tmp_path / "x.safetensors")
        assert not list(tmp_path.iterdir())
        return
    weft.save({"x": x}, tmp_path / "x.safetensors")
    assert same(weft.load(tmp_path / "x.safetensors"), {"x": x})


def test_structure_types_and_order_come_back(tmp_path: Path) -> None:
    obj: dict[Any, Any] = {
        **state(),
        2: (1, [2.5, (math.nan, -math.inf)], None, True, "é\ud800"),
        "2": -(1 << 70),
        "": {},
        "__metadata__": weft.ones(1),
    }
    weft.save(obj, tmp_path / "c")
    assert same(weft.load(tmp_path / "c"), obj)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | arrays.arrays(np.float32, arrays.array_shapes(min_dims=0, max_side=3)).map(weft.from_numpy),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(obj=plain)
def test_any_structure_comes_back(obj: Any, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("any") / "c"
    weft.save(obj, path)
    assert same(weft.load(path), obj)


def test_views_and_pending_values_are_saved_as_they_are_seen(tmp_path: Path) -> None:
    x = weft.arange(12).reshape(3, 4)
    view = x.t()[1:, ::2]
    x.add_(100)
    weft.save({"view": view, "pending": view * 2}, tmp_path / "v")
    loaded = weft.load(tmp_path / "v")
    assert loaded["view"].tolist() == [[101, 109], [102, 110], [103, 111]]
    assert loaded["pending"].tolist() == [[202, 218], [204, 220], [206, 222]]


def test_a_tensor_that_requires_grad_is_saved_by_value(tmp_path: Path) -> None:
    w = weft.ones(2, requires_grad=True)
    weft.save({"w": w, "y": w * 2}, tmp_path / "w")
    loaded = weft.load(tmp_path / "w")
    assert loaded["y"].tolist() == [2, 2]
    assert not loaded["w"].requires_grad


def test_a_loaded_tensor_can_be_changed_in_place(tmp_path: Path) -> None:
    weft.save({"x": weft.ones(2)}, tmp_path / "x")
    x = weft.load(tmp_path / "x")["x"]
    x.add_(1)
    assert x.tolist() == [2, 2]


@pytest.mark.parametrize("name", ["c.safetensors", "c.pt"])
def test_sizes_dtypes_and_devices_come_back(name: str, tmp_path: Path) -> None:
    obj = {"size": weft.Size([2, 3]), "type": weft.bfloat16, "on": weft.device("cuda", 1)}
    weft.save({**obj, "cpu": weft.device("cpu")}, tmp_path / name)
    loaded = weft.load(tmp_path / name)
    assert loaded == {**obj, "cpu": weft.device("cpu")}
    assert isinstance(loaded["size"], weft.Size)


def test_kinds_of_dicts_come_back(tmp_path: Path) -> None:
    obj = {"o": OrderedDict(b=1, a=weft.ones(1)), "c": Counter({3: 2, 5: 1})}
    weft.save(obj, tmp_path / "c")
    loaded = weft.load(tmp_path / "c")
    assert same(loaded, obj)
    assert sorted(loaded["c"].elements()) == [3, 3, 5]


def views(x: weft.Tensor) -> dict[str, Any]:
    """Views of one tensor, of many kinds."""
    return {
        "whole": x,
        "rows": x[1:],
        "columns": x[:, 1:3],
        "column": x[:, 3],
        "steps": x[::2, ::3],
        "turned": x.t(),
        "flat": x.view(-1)[5:9],
        "one": x[1, 2],
        "wide": x[:1].expand(5, 4),
        "deeper": x.view(3, 2, 2).permute(2, 0, 1)[:, 1:].unsqueeze(1),
        "diagonal": x.diagonal(),
        "alias": x.detach(),
    }


def assert_tied(loaded: dict[str, Any]) -> None:
    """After a change of one, all are still views of it."""
    loaded["whole"].add_(100)
    assert same(loaded, views(weft.arange(100.0, 112.0).view(3, 4)))


@pytest.mark.parametrize("name", ["c.safetensors", "c.pt"])
@pytest.mark.parametrize("mmap", [False, True])
def test_views_of_one_storage_are_tied_again(name: str, mmap: bool, tmp_path: Path) -> None:
    x = weft.arange(12.0).view(3, 4)
    weft.save({"views": views(x), "n": 1}, tmp_path / name)
    loaded = weft.load(tmp_path / name, mmap=mmap)["views"]
    assert same(loaded, views(x))
    assert_tied(loaded)
    assert same(weft.load(tmp_path / name)["views"], views(x)), "the file is as it was"


def test_views_of_a_flat_dict_are_tied_and_there_for_others(tmp_path: Path) -> None:
    safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="the format's own package")
    x = weft.arange(12.0).view(3, 4)
    weft.save(views(x), tmp_path / "c")
    read = safetensors_numpy.load_file(tmp_path / "c")
    assert all(read[k].tolist() == v.tolist() for k, v in views(x).items())
    assert_tied(weft.load(tmp_path / "c"))


def test_a_view_alone_is_written_without_the_rest(tmp_path: Path) -> None:
    x = weft.zeros(1000, 1000)
    for name in ("c.safetensors", "c.pt"):
        weft.save({"row": x[3], "n": 1}, tmp_path / name)
        assert (tmp_path / name).stat().st_size < 10_000


def test_a_shared_tensor_is_written_once_and_shared_again(tmp_path: Path) -> None:
    w = weft.ones(1000)
    weft.save({"tied": [w, w], "n": 1}, tmp_path / "tied")
    a, b = weft.load(tmp_path / "tied")["tied"]
    assert a is b
    assert (tmp_path / "tied").stat().st_size < 2 * w.nbytes


def test_shared_tensors_of_a_flat_dict_each_have_their_values(tmp_path: Path) -> None:
    w = weft.ones(3)
    weft.save({"a": w, "b": w}, tmp_path / "flat")
    assert same(weft.load(tmp_path / "flat"), {"a": w, "b": w})


def test_names_that_would_be_alike_are_kept_apart(tmp_path: Path) -> None:
    obj = {"a": {"b": weft.zeros(1), 1: weft.ones(1)}, "a.b": weft.ones(2), "a.1": weft.ones(3)}
    weft.save(obj, tmp_path / "c")
    assert same(weft.load(tmp_path / "c"), obj)


# ---- other programs


def test_the_safetensors_package_reads_a_flat_dict(tmp_path: Path) -> None:
    safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="the format's own package")
    known = [d for d in ALL if hasattr(np, d.name) and d.name not in UNKNOWN]
    obj = {d.name: values(d, (3,)) for d in known}
    weft.save(obj, tmp_path / "x.safetensors")
    read = safetensors_numpy.load_file(tmp_path / "x.safetensors")
    assert read.keys() == obj.keys()
    assert all(same(weft.from_numpy(read[k]), obj[k]) for k in obj)


def test_the_safetensors_package_finds_the_tensors_of_a_structure(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors", reason="the format's own package")
    weft.save(state(), tmp_path / "c")
    tensors = dict(safetensors.deserialize((tmp_path / "c").read_bytes()))
    assert tensors["model.conv.weight"]["shape"] == [4, 1, 3, 3]
    assert tensors["half"]["dtype"] == "BF16"
    assert bytes(tensors["optimizer.state.0.momentum_buffer"]["data"]) == b"\0\0\x80\x3f" * 4


@pytest.mark.parity
def test_pytorch_and_weft_read_each_others_safetensors(torch: Any, tmp_path: Path) -> None:
    from safetensors import torch as safetensors_torch

    theirs = {"w": torch.randn(2, 3), "b": torch.randn(4).bfloat16(), "n": torch.tensor(3)}
    safetensors_torch.save_file(theirs, tmp_path / "theirs")
    ours = weft.load(tmp_path / "theirs")
    assert ours["w"].tolist() == theirs["w"].tolist()
    assert ours["b"].dtype is weft.bfloat16
    assert ours["n"].item() == 3
    weft.save(ours, tmp_path / "ours")
    back = safetensors_torch.load_file(tmp_path / "ours")
    assert all(torch.equal(back[k], theirs[k]) and back[k].dtype == theirs[k].dtype for k in theirs)


# ---- what cannot be saved


@pytest.mark.parametrize(
    ("obj", "error", "message"),
    [
        ({"a": [1, {2: object()}]}, TypeError, r"the object at obj\['a'\]\[1\]\[2\]"),
        ({"a": np.ones(2)}, TypeError, r"numpy.ndarray at obj\['a'\].*weft.from_numpy"),
        ({"a": weft.nn.Linear(1, 1)}, TypeError, r"Linear at obj\['a'\].*state_dict"),
        ({(1, 2): 3}, TypeError, r"obj has the key \(1, 2\) \(tuple\)"),
        ({"s": {1, 2}}, TypeError, r"the set at obj\['s'\]"),
    ],
)
def test_what_cannot_be_saved_is_named(obj: Any, error: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        weft.save(obj, tmp_path / "c")
    assert list(tmp_path.iterdir()) == []


def test_a_structure_that_contains_itself(tmp_path: Path) -> None:
    obj: dict[str, Any] = {"a": []}
    obj["a"].append(obj)
    with pytest.raises(ValueError, match=r"contains itself: obj\['a'\]\[0\]"):
        weft.save(obj, tmp_path / "c")


# ---- damaged and foreign files


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint.safetensors"
    weft.save({"good": weft.ones(3), "n": 1}, path)
    return path


def test_a_file_cut_anywhere_is_noticed(tmp_path: Path) -> None:
    weft.save(state(), tmp_path / "c")
    whole = (tmp_path / "c").read_bytes()
    for k in range(16):
        part = whole[: len(whole) * k // 16]
        (tmp_path / "cut").write_bytes(part)
        with pytest.raises(CheckpointError, match="cut short") as caught:
            weft.load(tmp_path / "cut")
        assert f"'{tmp_path / 'cut'}'" in str(caught.value)
        if len(part) >= 9:
            assert f"it has {len(part):,}" in str(caught.value)
    (tmp_path / "cut").write_bytes(whole[:-1])
    with pytest.raises(CheckpointError, match=f"expected {len(whole):,} bytes, it has"):
        weft.load(tmp_path / "cut")


def test_a_key_that_stands_there_twice(tmp_path: Path) -> None:
    x = json.dumps(entry("F32", [1], 0, 4))
    y = json.dumps(entry("F32", [1], 4, 8))
    write(tmp_path / "x", f'{{"x":{x},"x":{y}}}'.encode(), bytes(8))
    with pytest.raises(CheckpointError, match="stands there twice"):
        weft.load(tmp_path / "x")


def test_bytes_at_the_end_are_noticed(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() + b"\0")
    with pytest.raises(CheckpointError, match=r"damaged: expected [\d,]+ bytes, it has"):
        weft.load(saved)


@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_every_flipped_bit_is_noticed(mask: int, tmp_path: Path) -> None:
    path = tmp_path / "c"
    weft.save({"w": values(weft.float32, (2, 3)), "b": values(weft.bfloat16, (3,)), "n": 1}, path)
    whole = path.read_bytes()
    for k in range(len(whole)):
        path.write_bytes(whole[:k] + bytes([whole[k] ^ mask]) + whole[k + 1 :])
        with pytest.raises(CheckpointError):
            weft.load(path)


def test_a_damaged_tensor_is_named(tmp_path: Path) -> None:
    weft.save({"a": weft.ones(4), "b": weft.ones(4)}, tmp_path / "c")
    data = bytearray((tmp_path / "c").read_bytes())
    data[-1] ^= 4
    (tmp_path / "c").write_bytes(data)
    with pytest.raises(CheckpointError, match="tensor 'b' does not match its checksum"):
        weft.load(tmp_path / "c")


def write(path: Path, header: Any, data: bytes = b"") -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def entry(dtype: str, shape: Any, *offsets: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"x": entry("F32", [1 << 40], 0, 1 << 42)}, "cut short: expected 4,398,046,511"),
        ({"x": entry("F32", [3], 0, 8)}, "has 8 bytes, which do not make float32 of shape"),
        ({"x": entry("F32", [2], 4, 12)}, "values of tensor 'x' are said to be elsewhere"),
        ({"x": entry("F32", [2], 0, 8), "y": entry("F32", [1], 4, 8)}, "tensor 'y' are said"),
        ({"x": entry("F32", [-2], 0, 8)}, "its header says .* of tensor 'x'"),
        ({"x": entry("F32", [2.0], 0, 8)}, "its header says .* of tensor 'x'"),
        ({"x": entry("F32", [2], 0)}, "its header says .* of tensor 'x'"),
        ({"x": 3}, "its header says 3 of tensor 'x'"),
        ({"__metadata__": 3}, "its metadata are not"),
        (b'{"x": ', "its header is not JSON"),
        (b'{"x":' + b"[" * 100_000, "its header is not JSON"),
    ],
)
def test_a_wrong_header_takes_no_memory(header: Any, message: str, tmp_path: Path) -> None:
    write(tmp_path / "x", header, bytes(8))
    with pytest.raises(CheckpointError, match=message):
        weft.load(tmp_path / "x")


def test_a_foreign_dtype_is_named(tmp_path: Path) -> None:
    write(tmp_path / "x", {"x": entry("U32", [2], 0, 8)}, bytes(8))
    with pytest.raises(UnsupportedOp, match=r"tensor 'x' in .* is of dtype U32"):
        weft.load(tmp_path / "x")


@pytest.mark.parametrize("content", [b"", b"{}", b"hello, this is a text\n" * 9, bytes(100)])
def test_other_files_are_no_safetensors(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        weft.load(tmp_path / "x")


def test_a_missing_file_suggests_its_neighbours(saved: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"Did you mean 'checkpoint.safetensors'\?"):
        weft.load(saved.parent / "chekpoint.safetensors")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        weft.load(saved.parent / "nowhere" / "c")
