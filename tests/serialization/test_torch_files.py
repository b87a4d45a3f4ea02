"""PyTorch's files: read without running anything, and written so that PyTorch reads them."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from saved_states import same, state, values

import weft
from weft import nn, optim
from weft.dtypes import ALL
from weft.errors import CheckpointError, DeviceError, UnsupportedOp

OLD = {"_use_new_zipfile_serialization": False}
FORMS: list[dict[str, Any]] = [{}, OLD, {"pickle_protocol": 3}, {"pickle_protocol": 4}]


def as_weft(value: Any) -> Any:
    """A structure of PyTorch's tensors as one of weft's."""
    kind = type(value).__name__
    if kind in ("Tensor", "Parameter"):
        x = weft.from_torch(value.detach())
        return nn.Parameter(x, value.requires_grad) if kind == "Parameter" else x
    if isinstance(value, dict):
        return type(value)({k: as_weft(v) for k, v in value.items()})
    if kind == "Size":
        return weft.Size(value)
    if kind == "dtype":
        return getattr(weft, str(value).removeprefix("torch."))
    if isinstance(value, (list, tuple)):
        return type(value)(map(as_weft, value))
    return value


def trained(lib: Any, n: Any, o: Any) -> tuple[Any, Any, Any]:
    """A model, its optimiser after a step, and a scheduler."""
    lib.manual_seed(0)
    model = n.Sequential(n.Conv2d(3, 4, 3), n.BatchNorm2d(4), n.Flatten(), n.Linear(16, 2))
    optimizer = o.AdamW(model.parameters(), lr=0.01)
    scheduler = o.lr_scheduler.MultiStepLR(optimizer, [2, 5])
    model(lib.ones(2, 3, 4, 4)).sum().backward()
    optimizer.step()
    scheduler.step()
    return model, optimizer, scheduler


# ---- reading


@pytest.mark.parity
@pytest.mark.parametrize("how", FORMS)
def test_a_training_state_is_read(how: dict[str, Any], torch: Any, tmp_path: Path) -> None:
    parts = trained(torch, torch.nn, torch.optim)
    saved = {k: part.state_dict() for k, part in zip("mos", parts, strict=True)}
    torch.save(saved, tmp_path / "c.tar", **how)
    loaded = weft.load(tmp_path / "c.tar")
    assert same(loaded, as_weft(saved))
    assert loaded["m"]._metadata == saved["m"]._metadata
    for mine, key in zip(trained(weft, nn, optim), "mos", strict=True):
        mine.load_state_dict(loaded[key])


@pytest.mark.parity
@pytest.mark.parametrize("how", FORMS)
def test_kinds_of_values_are_read(how: dict[str, Any], torch: Any, tmp_path: Path) -> None:
    obj = {
        "plain": [1, -1, 1 << 20, -(1 << 40), 1 << 90, 2.5, None, True, False, "é", b"\0\xff", 3j],
        "containers": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, {1, 2}],
        "dicts": [OrderedDict(b=1, a=2), Counter("abb"), {1: 2, False: 3, 0.5: 4, None: 5}],
        "size": torch.Size([2, 3]),
        "number": np.float64(2.5),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "frozen": torch.nn.Parameter(torch.ones(2), requires_grad=False),
        "tensors": [torch.tensor(3), torch.zeros(0, 3), torch.ones(2, 1, 3)],
    }
    torch.save(obj, tmp_path / "c", **how)
    loaded = weft.load(tmp_path / "c")
    assert same(loaded, as_weft(obj))
    assert loaded["parameter"].requires_grad
    assert not loaded["frozen"].requires_grad
    torch.save({"type": torch.float16, "device": torch.device("cuda", 1)}, tmp_path / "c", **how)
    assert weft.load(tmp_path / "c") == {"type": weft.float16, "device": "cuda:1"}


@pytest.mark.parity
@pytest.mark.parametrize("how", [{}, OLD])
@pytest.mark.parametrize("dtype", ALL, ids=lambda d: d.name)
def test_every_dtype_both_ways(dtype: Any, how: dict[str, Any], torch: Any, tmp_path: Path) -> None:
    for shape in ((), (0,), (2, 3)):
        ours = values(dtype, shape)
        weft.save({"x": ours}, tmp_path / "ours.pt")
        theirs = torch.load(tmp_path / "ours.pt", weights_only=True)
        assert str(theirs["x"].dtype) == f"torch.{dtype.name}"
        assert same(as_weft(theirs), {"x": ours})
        torch.save(theirs, tmp_path / "theirs.pt", **how)
        assert same(weft.load(tmp_path / "theirs.pt"), {"x": ours})


@pytest.mark.parity
@pytest.mark.parametrize("how", [{}, OLD])
def test_views_stay_views(how: dict[str, Any], torch: Any, tmp_path: Path) -> None:
    x = torch.arange(24.0).view(2, 3, 4)
    theirs = {
        "turned": x.permute(2, 0, 1),
        "part": x[1:, :, 1:3],
        "steps": x[:, ::2, ::3],
        "diagonal": x.diagonal(dim1=1, dim2=2),
        "windows": x[0, 0].unfold(0, 2, 1),
        "repeated": x[:, :1].expand(2, 5, 4),
        "strided": x.as_strided((2, 2), (7, 3), 2),
        "x": x,
    }
    torch.save(theirs, tmp_path / "c", **how)
    for mmap in (False, True) if not how else (False,):
        ours = weft.load(tmp_path / "c", mmap=mmap)
        assert same(ours, as_weft(theirs))
        ours["x"].mul_(-1)
        assert same(ours, as_weft({k: -v for k, v in theirs.items()}))
        ours["steps"].zero_()
        assert ours["x"].tolist()[1][2] == [0, -21, -22, 0]


@pytest.mark.parity
@pytest.mark.parametrize("how", [{}, OLD])
def test_a_gradient_that_was_wanted_is_wanted(
    how: dict[str, Any], torch: Any, tmp_path: Path
) -> None:
    x = torch.arange(4.0)
    b = torch.ones(2, requires_grad=True)
    leaves = {"x": x, "a": x[1:].requires_grad_(), "b": b, "c": b.detach(), "d": b.detach()[1:]}
    torch.save(leaves, tmp_path / "c", **how)
    loaded = weft.load(tmp_path / "c")
    assert [loaded[k].requires_grad for k in "xabcd"] == [False, True, True, False, False]
    assert all(t.is_leaf for t in loaded.values())
    (loaded["a"] * 3).sum().backward()
    assert loaded["a"].grad.tolist() == [3, 3, 3]


@pytest.mark.parity
def test_attributes_of_tensors_are_kept_if_they_hide_nothing(torch: Any, tmp_path: Path) -> None:
    x = torch.ones(2)
    x.note = "hello"
    x.item = x.tolist = x._node = x._hooks = "in the way"
    torch.save({"x": x, "b": torch.nn.Buffer(torch.ones(1))}, tmp_path / "c")
    loaded = weft.load(tmp_path / "c")
    assert same(loaded, {"x": weft.ones(2), "b": weft.ones(1)})
    assert loaded["x"].note == "hello"
    assert loaded["x"][0].item() == 1
    assert loaded["x"].grad is None
    assert vars(loaded["x"]) == {"note": "hello"}


@pytest.mark.parity
def test_a_file_without_checksums_is_read(torch: Any, tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(torch.ones(3), tmp_path / "c")
    finally:
        torch.serialization.set_crc32_options(True)
    assert weft.load(tmp_path / "c").tolist() == [1, 1, 1]


@pytest.mark.parity
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda t: t.ones(2, dtype=t.uint16), "a tensor of dtype uint16"),
        (lambda t: t.eye(2).to_sparse(), "a sparse tensor"),
        (lambda t: t.quantize_per_tensor(t.ones(2), 1.0, 0, t.quint8), "quint8|a quantized tensor"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_what_weft_does_not_have_is_named(
    make: Any, message: str, torch: Any, tmp_path: Path
) -> None:
    torch.save({"x": make(torch)}, tmp_path / "c.pt")
    with pytest.raises(UnsupportedOp, match=message) as caught:
        weft.load(tmp_path / "c.pt")
    assert f"'{tmp_path / 'c.pt'}'" in str(caught.value)


@pytest.mark.parity
def test_tensors_without_values_are_loaded_as_such(torch: Any, tmp_path: Path) -> None:
    given = {
        "x": torch.ones(2, 3, device="meta", dtype=torch.float64),
        "p": torch.nn.Linear(2, 3, device="meta").weight,
    }
    torch.save(given, tmp_path / "c.pt")
    found = weft.load(tmp_path / "c.pt")
    assert all(t.is_meta for t in found.values())
    assert found["x"].shape == (2, 3)
    assert found["x"].dtype is weft.float64
    assert isinstance(found["p"], weft.nn.Parameter)
    assert found["p"].requires_grad


@pytest.mark.parity
def test_a_whole_model_is_refused_with_a_way_out(torch: Any, tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(1, 1), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"asks for 'torch.nn.modules.linear.Linear'.*state_"):
        weft.load(tmp_path / "model.pt", weights_only=False)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_program_is_refused(torch: Any, tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), tmp_path / "model.pt")
    with pytest.raises(UnsupportedOp, match="TorchScript"):
        weft.load(tmp_path / "model.pt")


def replaced(path: Path, name: str, content: bytes | None) -> None:
    """Writes an archive again with another record, or without it."""
    with zipfile.ZipFile(path) as archive:
        records = {n: archive.read(n) for n in archive.namelist()}
    records.pop(name, None)
    if content is not None:
        records[name] = content
    with zipfile.ZipFile(path, "w") as archive:
        for n, data in records.items():
            archive.writestr(n, data)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    weft.save({"x": weft.ones(3), "n": 1}, tmp_path / "c.pt")
    return tmp_path / "c.pt"


def test_big_endian_numbers_are_refused(saved: Path) -> None:
    replaced(saved, "archive/byteorder", b"big")
    with pytest.raises(UnsupportedOp, match="byte order 'big'"):
        weft.load(saved)


def test_older_files_without_a_byte_order(saved: Path) -> None:
    replaced(saved, "archive/byteorder", None)
    assert same(weft.load(saved), {"x": weft.ones(3), "n": 1})


def test_a_compressed_archive_is_refused(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        records = {n: archive.read(n) for n in archive.namelist()}
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        for n, data in records.items():
            archive.writestr(n, data)
    with pytest.raises(UnsupportedOp, match="is compressed"):
        weft.load(saved)


# ---- where to


@pytest.mark.parity
def test_map_location(torch: Any, tmp_path: Path) -> None:
    torch.save({"x": torch.ones(3)}, tmp_path / "c")
    asked = []

    def doubled(values: weft.Tensor, location: str) -> weft.Tensor:
        asked.append(location)
        return values * 2

    for where in (None, "cpu", {"cuda:0": "cpu"}, {}, lambda storage, loc: storage):
        assert weft.load(tmp_path / "c", map_location=where)["x"].tolist() == [1, 1, 1]
    assert weft.load(tmp_path / "c", doubled)["x"].tolist() == [2, 2, 2]
    assert asked == ["cpu"]
    for where in ("cuda", "cuda:0", {"cpu": "cuda:1"}, lambda storage, loc: storage.cuda()):
        with pytest.raises(DeviceError, match="cuda"):
            weft.load(tmp_path / "c", map_location=where)
    with pytest.raises(TypeError, match="map_location returned something else"):
        weft.load(tmp_path / "c", map_location=lambda storage, loc: 3)


def test_map_location_of_a_safetensors_file(tmp_path: Path) -> None:
    x = weft.ones(2, 2)
    weft.save({"x": x, "t": x.t(), "n": 1}, tmp_path / "c")
    loaded = weft.load(tmp_path / "c", map_location=lambda values, location: values * 2)
    assert loaded["t"].tolist() == [[2, 2], [2, 2]]
    loaded["x"].zero_()
    assert loaded["t"].count_nonzero().item() == 0
    with pytest.raises(DeviceError, match="cuda"):
        weft.load(tmp_path / "c", map_location=lambda values, location: values.cuda())
    with pytest.raises(KeyError, match="mine"):
        weft.load(tmp_path / "c", map_location=lambda values, location: {}["mine"])
    with pytest.raises(TypeError, match="map_location returned something else"):
        weft.load(tmp_path / "c", map_location=lambda values, location: values[1:])


def test_values_of_other_devices_come_to_the_cpu(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        content = archive.read("archive/data.pkl")
    replaced(saved, "archive/data.pkl", content.replace(b"\3\0\0\0cpu", b"\6\0\0\0cuda:3"))
    assert same(weft.load(saved), {"x": weft.ones(3), "n": 1})
    assert same(weft.load(saved, map_location="cpu"), {"x": weft.ones(3), "n": 1})


# ---- writing


@pytest.mark.parity
def test_pytorch_reads_a_training_state(torch: Any, tmp_path: Path) -> None:
    ours = {k: part.state_dict() for k, part in zip("mos", trained(weft, nn, optim), strict=True)}
    weft.save(ours, tmp_path / "c.pth")
    for mmap in (False, True):
        theirs = torch.load(tmp_path / "c.pth", weights_only=True, mmap=mmap)
        assert same(as_weft(theirs), ours)
        assert theirs["m"]._metadata == ours["m"]._metadata
        for part, key in zip(trained(torch, torch.nn, torch.optim), "mos", strict=True):
            part.load_state_dict(theirs[key])
    assert same(weft.load(tmp_path / "c.pth"), ours)


@pytest.mark.parity
def test_pytorch_reads_kinds_of_values(torch: Any, tmp_path: Path) -> None:
    x = weft.arange(12.0).view(3, 4)
    obj = {
        "plain": [1, -1, 1 << 20, -(1 << 40), 1 << 90, 2.5, None, True, False, "é\ud800", ""],
        "containers": [(), (1,), (1, 2, 3, 4), [], {}, {1: 2}],
        "dicts": [OrderedDict(b=1, a=2), Counter("abb")],
        "size": x.shape,
        "types": [weft.float16, weft.bool],
        "parameter": nn.Parameter(x),
        "frozen": nn.Parameter(x, requires_grad=False),
        "views": [x, x.t(), x[1:, 2:], x[0]],
        "twice": [x, x],
        "number": np.float32(0.5),
    }
    weft.save(obj, tmp_path / "c", format="torch")
    theirs = torch.load(tmp_path / "c", weights_only=True)
    assert same(as_weft(theirs), {**obj, "number": 0.5})
    assert type(theirs["dicts"][0]) is OrderedDict
    assert type(theirs["dicts"][1]) is Counter
    assert isinstance(theirs["parameter"], torch.nn.Parameter)
    assert theirs["parameter"].requires_grad
    assert not theirs["frozen"].requires_grad
    theirs["views"][0].zero_()
    assert all(v.count_nonzero() == 0 for v in theirs["views"])
    assert theirs["twice"][0] is theirs["twice"][1]


@pytest.mark.parity
def test_tied_weights_are_one_storage(torch: Any, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(100, 100, bias=False), nn.Linear(100, 100, bias=False))
    model[1].weight = model[0].weight
    weft.save(model.state_dict(), tmp_path / "c.pt")
    assert (tmp_path / "c.pt").stat().st_size < 50_000
    theirs = torch.load(tmp_path / "c.pt")
    assert theirs["0.weight"].data_ptr() == theirs["1.weight"].data_ptr()
    ours = weft.load(tmp_path / "c.pt")
    ours["0.weight"].zero_()
    assert ours["1.weight"].count_nonzero().item() == 0


def test_the_format_goes_by_the_name_or_the_argument(tmp_path: Path) -> None:
    for name, options, is_zip in [
        ("a.pt", {}, True),
        ("a.pth", {}, True),
        ("a.pth.tar", {}, True),
        ("a.safetensors", {}, False),
        ("a.ckpt", {}, False),
        ("a.bin", {"format": "torch"}, True),
        ("b.pt", {"format": "safetensors"}, False),
    ]:
        weft.save(state(), tmp_path / name, **options)
        assert zipfile.is_zipfile(tmp_path / name) == is_zip, name
        assert same(weft.load(tmp_path / name), state())
    with pytest.raises(ValueError, match=r"not 'torhc'\. Did you mean 'torch'"):
        weft.save(state(), tmp_path / "a", format="torhc")


def test_records_are_aligned(tmp_path: Path) -> None:
    weft.save({f"x{k}": weft.ones(k) for k in range(1, 9)}, tmp_path / "c.pt")
    content = (tmp_path / "c.pt").read_bytes()
    with zipfile.ZipFile(tmp_path / "c.pt") as archive:
        assert archive.testzip() is None
        for k in range(8):
            entry = archive.getinfo(f"archive/data/{k}")
            at = entry.header_offset
            lengths = [int.from_bytes(content[at + n : at + n + 2], "little") for n in (26, 28)]
            begin = at + 30 + sum(lengths)
            assert begin % 64 == 0
            assert content[begin : begin + 4 * (k + 1)] == b"\0\0\x80\x3f" * (k + 1)


def test_the_same_state_makes_the_same_file(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt"):
        weft.save(state(), tmp_path / name)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


# ---- file objects


@pytest.mark.parametrize("format", ["safetensors", "torch"])
def test_file_objects(format: str, tmp_path: Path) -> None:
    f = io.BytesIO()
    weft.save(state(), f, format=format)
    with pytest.raises(CheckpointError, match=r"at its end.*f.seek\(0\)"):
        weft.load(f)
    f.seek(0)
    assert same(weft.load(f), state())
    with (tmp_path / "c").open("wb") as file:
        weft.save(state(), file, format=format)
    with (tmp_path / "c").open("rb") as file:
        assert same(weft.load(file), state())
    with pytest.raises(ValueError, match="mmap=True takes the path"):
        weft.load(f, mmap=True)
    with pytest.raises(TypeError, match="a path or a file object, not int"):
        weft.load(3)  # type: ignore[arg-type]


@pytest.mark.parity
@pytest.mark.parametrize("how", [{}, OLD])
def test_file_objects_of_pytorch(how: dict[str, Any], torch: Any) -> None:
    f = io.BytesIO()
    torch.save({"x": torch.ones(2)}, f, **how)
    f.seek(0)
    assert same(weft.load(f), {"x": weft.ones(2)})


class OnlyReads:
    """The least that a file object may have."""

    def __init__(self, content: bytes) -> None:
        self.f = io.BytesIO(content)

    def read(self, count: int = -1) -> bytes:
        return self.f.read(min(count, 7) if count > 7 else count)  # in small parts

    def seek(self, *where: int) -> int:
        return self.f.seek(*where)

    def tell(self) -> int:
        return self.f.tell()


@pytest.mark.parity
@pytest.mark.parametrize("how", [{}, OLD, None])
def test_files_inside_other_files(how: Any, torch: Any, tmp_path: Path) -> None:
    f = io.BytesIO()
    if how is None:
        weft.save({"x": weft.arange(100.0)}, f)
    else:
        torch.save({"x": torch.arange(100.0)}, f, **how)
    wanted = {"x": weft.arange(100.0)}
    with gzip.open(tmp_path / "c.gz", "wb") as packed:
        packed.write(f.getvalue())
    with gzip.open(tmp_path / "c.gz", "rb") as packed:
        assert same(weft.load(packed), wanted)
    (tmp_path / "c").write_bytes(b"something before" + f.getvalue())
    with (tmp_path / "c").open("rb", buffering=0) as raw:
        raw.seek(16)
        assert same(weft.load(raw), wanted)
    (tmp_path / "c").write_bytes(f.getvalue())
    with (tmp_path / "c").open("rb", buffering=0) as raw:
        assert same(weft.load(raw), wanted)
    with zipfile.ZipFile(tmp_path / "z", "w") as z:
        z.writestr("inner", f.getvalue())
    with zipfile.ZipFile(tmp_path / "z") as z, z.open("inner") as inner:
        assert same(weft.load(inner), wanted)
    if how != {}:
        assert same(weft.load(OnlyReads(f.getvalue())), wanted)  # type: ignore[arg-type]


@pytest.mark.parity
def test_several_things_in_one_file(torch: Any) -> None:
    f = io.BytesIO()
    pickle.dump(41, f)
    torch.save({"a": torch.ones(2)}, f, **OLD)
    weft.save({"b": weft.ones(3)}, f)
    pickle.dump(43, f)
    weft.save(state(), f)
    f.seek(0)
    assert pickle.load(f) == 41
    assert same(weft.load(f), {"a": weft.ones(2)})
    assert same(weft.load(f), {"b": weft.ones(3)})
    assert pickle.load(f) == 43
    assert same(weft.load(f), state())


def test_strings_of_python_2() -> None:
    """Written by hand: byte strings, and storages with such keys."""
    number = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
    system = b"\x80\x02}U\rlittle_endian\x88s."
    text = "żółw".encode()
    storage = b"(U\7storagectorch\nFloatStorage\nU\00577777U\3cpu\x8a\1\1NtQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0K\1\x85K\1\x85\x89NtR"
    obj = b"\x80\x02](U" + bytes([len(text)]) + text + tensor + b"e."
    values = b"\x80\x02]U\00577777a." + b"\1" + bytes(7) + b"\0\0\x80?"
    content = number + b"\x80\x02M\xe9\x03." + system + obj + values
    for encoding, wanted in (("utf-8", "żółw"), ("bytes", text), ("latin1", text.decode("latin1"))):
        loaded = weft.load(io.BytesIO(content), encoding=encoding)
        assert same(loaded, [wanted, weft.ones(1)])
    with pytest.raises(CheckpointError, match="ascii"):
        weft.load(io.BytesIO(content), encoding="ascii")


def test_what_is_no_file(tmp_path: Path) -> None:
    class Pipe:
        def read(self) -> bytes:
            return b""

    with pytest.raises(TypeError, match=r"Pipe does not permit: read it first, weft.load\(io.Byt"):
        weft.load(Pipe())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="the object comes first, then the file"):
        weft.save("model.pt", state())  # type: ignore[arg-type]


def test_a_folder_names_its_files(saved: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is a folder: load one of its files. It has c.pt"):
        weft.load(saved.parent)


# ---- memory


@pytest.mark.parametrize("name", ["c.safetensors", "c.pt"])
def test_a_mapped_file_takes_memory_only_when_used(name: str, tmp_path: Path) -> None:
    import tracemalloc

    weft.save({"big": weft.zeros(1_000_000), "small": weft.arange(5)}, tmp_path / name)
    tracemalloc.start()
    loaded = weft.load(tmp_path / name, mmap=True)
    assert loaded["small"].tolist() == [0, 1, 2, 3, 4]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    (loaded["big"] + 1).sum().item()
    loaded["big"].add_(1)
    assert loaded["big"].sum().item() == 1_000_000
    assert weft.load(tmp_path / name)["big"].sum().item() == 0
