"""Files made to do harm, and files that were harmed: nothing runs, hangs or fills the memory."""

from __future__ import annotations

import io
import os
import pickle
import random
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from saved_states import same, values

import weft
from weft.errors import CheckpointError, UnsupportedOp

REFUSED = (CheckpointError, UnsupportedOp)


def archive(pickled: bytes, **records: bytes) -> bytes:
    """A file of torch.save's with this pickle, its checksums right."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, data in {"data.pkl": pickled, "version": b"3\n", **records}.items():
            z.writestr(f"archive/{name}", data)
    return out.getvalue()


def stream(pickled: bytes) -> bytes:
    """The old form, with this pickle in place of the object."""
    head = b"".join(
        pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    )
    return head + pickled + pickle.dumps([], 2)


class Canary:
    """A file that a hostile pickle would make."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "canary"
        self.command = f"echo > {self.path}"

    def sings(self) -> bool:
        return self.path.exists()


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    canary = Canary(tmp_path)
    yield canary
    assert not canary.sings()


class Reduces:
    def __init__(self, *how: Any) -> None:
        self.how = how

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.how


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def hostile(command: str) -> dict[str, bytes]:
    """Pickles that run a command where they are trusted."""
    c = text(command)
    line = repr(command).encode()
    execute = text(f"__import__('os').system({command!r})")
    out = {
        "GLOBAL REDUCE": b"\x80\x02cposix\nsystem\n" + c + b"\x85R.",
        "os": b"\x80\x02cos\nsystem\n" + c + b"\x85R.",
        "eval": b"\x80\x02c__builtin__\neval\n" + execute + b"\x85R.",
        "builtins": b"\x80\x02cbuiltins\nexec\n" + execute + b"\x85R.",
        "STACK_GLOBAL": b"\x80\x04" + text("os") + text("system") + b"\x93" + c + b"\x85R.",
        "dotted": b"\x80\x04" + text("torch") + text("os.system") + b"\x93" + c + b"\x85R.",
        "through torch": b"\x80\x02ctorch.serialization\nos.system\n" + c + b"\x85R.",
        "INST": b"(S" + line + b"\niposix\nsystem\n.",
        "OBJ": b"(cposix\nsystem\nS" + line + b"\no.",
        "NEWOBJ": b"\x80\x02csubprocess\nPopen\n" + c + b"\x85\x81.",
        "NEWOBJ_EX": b"\x80\x04csubprocess\nPopen\n" + c + b"\x85}\x92.",
        "BUILD": b"\x80\x02ccollections\nOrderedDict\n)R}" + text("__class__") + c + b"sb.",
        "EXT1": b"\x80\x02\x82\x01" + c + b"\x85R.",
        "EXT2": b"\x80\x02\x83\x01\x00.",
        "EXT4": b"\x80\x02\x84\x01\x00\x00\x00.",
        "getattr": b"\x80\x02c__builtin__\ngetattr\ncos\nsystem\n.",
        "apply a string": b"\x80\x02" + text("os.system") + c + b"\x85R.",
        "apply a dict": b"\x80\x02}" + c + b"\x85R.",
        "PERSID": b"Pos.system\n.",
        "BINPERSID": b"\x80\x02" + c + b"Q.",
        "persistent tuple": b"\x80\x02(" + text("module") + c + b"NNNtQ.",
        "a class as a value": b"\x80\x02ctorch\nFloatStorage\n.",
        "a function as a value": b"\x80\x02]ctorch._utils\n_rebuild_tensor_v2\na.",
        "from_type": b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n"
        b"(cos\nsystem\nctorch\nTensor\n" + c + b"\x85}tR.",
        "parameter of a string": b"\x80\x02ctorch._utils\n_rebuild_parameter\n"
        + c
        + b"\x88N\x87R.",
        "encode": b"\x80\x02c_codecs\nencode\n" + c + text("rot13") + b"\x86R.",
        "decode": b"\x80\x02c_codecs\ndecode\n" + c + text("zip") + b"\x86R.",
        "layout": b"\x80\x02ctorch.serialization\n_get_layout\n" + c + b"\x85R.",
        "numpy": b"\x80\x02cnumpy\nload\n" + c + b"\x85R.",
        "numpy object": b"\x80\x02cnumpy\ndtype\n" + text("O8") + b"\x85R.",
    }
    for protocol in range(6):
        for k, how in enumerate([(os.system, (command,)), (eval, (f"open({command!r})",))]):
            out[f"pickled {protocol} {k}"] = pickle.dumps({"w": Reduces(*how)}, protocol)
    return out


@pytest.mark.parametrize("form", [archive, stream, bytes])
@pytest.mark.parametrize("name", hostile(""))
def test_what_a_file_names_is_never_run(
    name: str, form: Callable[[bytes], bytes], canary: Canary, tmp_path: Path
) -> None:
    (tmp_path / "c.pt").write_bytes(form(hostile(canary.command)[name]))
    if name == "BUILD" and form is not bytes:  # a state of an OrderedDict, of which nothing is kept
        assert weft.load(tmp_path / "c.pt") == {}
        return
    with pytest.raises(pickle.UnpicklingError):  # as from torch.load
        weft.load(tmp_path / "c.pt", weights_only=False)


def test_the_corpus_is_hostile(tmp_path: Path) -> None:
    """Python's own unpickler does run it."""
    canary = Canary(tmp_path)
    for name in ("GLOBAL REDUCE", "STACK_GLOBAL", "INST", "OBJ", "eval", "pickled 2 0"):
        pickle.loads(hostile(canary.command)[name])
        assert canary.sings(), name
        canary.path.unlink()


def storage(count: int, key: str = "0", kind: str = "FloatStorage") -> bytes:
    sizes = struct.pack("<q", count)
    return (
        b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu")
        + b"\x8a\x08" + sizes + b"tQ"
    )  # fmt: skip


def integer(n: int) -> bytes:
    data = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def tensor(count: int, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    sizes = [b"(" + b"".join(map(integer, n)) + b"t" for n in (shape, strides)]
    make = b"ctorch._utils\n_rebuild_tensor_v2\n("
    return make + storage(count) + integer(offset) + sizes[0] + sizes[1] + b"\x89}tR"


HUGE = 1 << 40
GREEDY: dict[str, bytes] = {
    "a text": b"\x80\x02X\xff\xff\xff\xff.",
    "a long text": b"\x80\x04\x8d" + struct.pack("<Q", HUGE) + b".",
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", HUGE) + b".",
    "a bytearray": b"\x80\x05\x96" + struct.pack("<Q", HUGE) + b".",
    "a frame": b"\x80\x04\x95" + struct.pack("<Q", HUGE) + b".",
    "an int": b"\x80\x02\x8b" + struct.pack("<i", (1 << 31) - 1) + b".",
    "a negative length": b"\x80\x02\x8b" + struct.pack("<i", -5) + b".",
    "an int as text": b"\x80\x02L" + b"9" * 100_000 + b"L\n.",
    "zeros": b"\x80\x02c__builtin__\nbytearray\n" + integer(HUGE) + b"\x85R.",
    "a place in the memo": b"\x80\x02Nr\xff\xff\xff\xff0.",
    "a storage": b"\x80\x02" + tensor(HUGE, 0, (HUGE,), (1,)) + b".",
    "a negative storage": b"\x80\x02" + tensor(-4, 0, (1,), (1,)) + b".",
    "a shape": b"\x80\x02" + tensor(4, 0, (HUGE,), (1,)) + b".",
    "repeated elements": b"\x80\x02" + tensor(4, 0, (HUGE,), (0,)) + b".",
    "many times repeated": b"\x80\x02]("
    + b"".join(tensor(4, 0, (1 << 22,), (0,)) for _ in range(1000)) + b"e.",
    "many large parts": b"\x80\x02]("
    + b"".join(tensor(4, 0, (3,), (1,)) for _ in range(10))
    + b"".join(tensor(4, 1, (1 << 20,), (0,)) for _ in range(30)) + b"e.",
    "overlapping windows": b"\x80\x02" + tensor(4, 0, (HUGE, 2), (0, 1)) + b".",
    "beyond the end": b"\x80\x02" + tensor(4, 1, (4,), (1,)) + b".",
    "far away": b"\x80\x02" + tensor(4, 1 << 62, (1,), (1,)) + b".",
    "a huge offset": b"\x80\x02" + tensor(4, 1 << 1000, (1,), (1,)) + b".",
    "before the beginning": b"\x80\x02" + tensor(4, -1, (2,), (1,)) + b".",
    "backwards": b"\x80\x02" + tensor(4, 3, (4,), (-1,)) + b".",
    "a negative size": b"\x80\x02" + tensor(4, 0, (-2, -2), (2, 1)) + b".",
    "sizes without strides": b"\x80\x02" + tensor(4, 0, (2, 2), (1,)) + b".",
    "many dimensions": b"\x80\x02" + tensor(4, 0, (1,) * 100, (1,) * 100) + b".",
    "an overflow": b"\x80\x02" + tensor(4, 0, (1 << 32, 1 << 32), (1 << 32, 1)) + b".",
    "no storage": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))\x89}tR.",
    "tuples as a key": b"\x80\x02}" + b")" + b"q\x00h\x00\x86" * 40 + b"Ns.",
    "a tuple with a mark": b"\x80\x02((\x85.",
    "a list as a key": b"\x80\x02}]Ns.",
    "an empty stack": b"\x80\x02" + b"0" * 10 + b".",
    "no mark": b"\x80\x02NNt.",
    "unknown in the memo": b"\x80\x02h\x05.",
    "no end": b"\x80\x02N",
    "nothing": b"",
    "a long name": b"\x80\x02c" + b"x" * 100_000 + b"\n.",
}  # fmt: skip


@pytest.mark.parametrize("form", [archive, stream])
@pytest.mark.parametrize("name", GREEDY)
def test_what_a_file_asks_for_is_checked(
    name: str, form: Callable[..., bytes], tmp_path: Path
) -> None:
    content = (
        form(GREEDY[name]) if form is stream else archive(GREEDY[name], **{"data/0": bytes(16)})
    )
    (tmp_path / "c.pt").write_bytes(content)
    begin = time.perf_counter()
    tracemalloc.start()
    with pytest.raises(REFUSED):
        weft.load(tmp_path / "c.pt")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30_000_000
    assert time.perf_counter() - begin < 5


HARMLESS = {
    "deep lists": (b"\x80\x02" + b"](" * 200_000 + b"N" + b"e" * 200_000 + b"."),
    "deep tuples": (b"\x80\x02N" + b"\x85" * 200_000 + b"."),
    "laughs": b"\x80\x02(]q\x00" + b"](h\x00h\x00h\x00eq\x00" * 500 + b"t.",
    "tuples of tuples": b"\x80\x02)" + b"q\x00h\x00\x86" * 500 + b".",
    "a list in itself": b"\x80\x02]q\x00h\x00a.",
    "a wide storage": b"\x80\x02" + tensor(4, 0, (1000,), (0,)) + b".",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_odd_structures_are_read_quickly(name: str, tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_bytes(archive(HARMLESS[name], **{"data/0": bytes(16)}))
    begin = time.perf_counter()
    loaded = weft.load(tmp_path / "c.pt")
    assert isinstance(loaded, (list, tuple, weft.Tensor))
    if name == "a list in itself":
        assert loaded[0] is loaded
    assert time.perf_counter() - begin < 5


#: A tuple of 60 others that share their parts: its text would have 2**60 letters.
LAUGH = b")" + b"q\x00h\x00\x86" * 60

LAUGHS = {
    "persistent": b"\x80\x02" + LAUGH + b"Q.",
    "kind": b"\x80\x02(" + LAUGH + b"NNNNtQ.",
    "key": b"\x80\x02(" + text("storage") + b"ctorch\nFloatStorage\n" + LAUGH + b"NK\x04tQ.",
    "size": b"\x80\x02(" + text("storage") + b"ctorch\nFloatStorage\nNN" + LAUGH + b"tQ.",
    "shape": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage(4) + b"K\x00"
    + LAUGH + LAUGH + b"\x89}tR.",
    "offset": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage(4) + LAUGH
    + b"))\x89}tR.",
    "metadata": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage(4)
    + b"K\x00))\x89}" + LAUGH + b"tR.",
    "class": b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(NN" + LAUGH + b"NtR.",
    "function": b"\x80\x02" + LAUGH + b")R.",
    "argument": b"\x80\x02ctorch\nSize\n" + LAUGH + b"R.",
    "set": b"\x80\x02c__builtin__\nset\n" + LAUGH + b"R.",
    "encoding": b"\x80\x02c_codecs\nencode\n" + text("x") + LAUGH + b"\x86R.",
    "dtype": b"\x80\x02cnumpy\ndtype\n" + LAUGH + b"\x85R.",
    "order": b"\x80\x02cnumpy\ndtype\n" + text("f8") + b"\x85RN" + LAUGH + b"\x86b.",
    "parameter": b"\x80\x02ctorch._utils\n_rebuild_parameter\n" + LAUGH + b"NN\x87R.",
    "name": b"\x80\x04" + LAUGH + text("system") + b"\x93.",
    "items": b"\x80\x02" + LAUGH + b"Na.",
    "state": b"\x80\x02" + LAUGH + b"}b.",
    "member": b"\x80\x04\x8f(" + LAUGH + b"\x90.",
}  # fmt: skip


@pytest.mark.parametrize("form", [archive, stream, lambda x: x])
@pytest.mark.parametrize("name", LAUGHS)
def test_structures_that_share_parts_are_never_written_out(
    name: str, form: Callable[..., bytes], tmp_path: Path
) -> None:
    records = {"data/0": bytes(16)} if form is archive else {}
    (tmp_path / "c.pt").write_bytes(form(LAUGHS[name], **records))
    begin = time.perf_counter()
    with pytest.raises(REFUSED):
        weft.load(tmp_path / "c.pt")
    assert time.perf_counter() - begin < 5


# ---- archives


def test_records_that_overlap(tmp_path: Path) -> None:
    """Many records with the same bytes, a few in the file and many in memory."""
    content = bytearray(archive(b"\x80\x02N.", **{"data/0": bytes(100_000), "data/1": b"1234"}))
    directory = content.rindex(b"PK\1\2", 0, content.rindex(b"archive/data/1"))
    first = content.index(b"PK\3\4", 10)
    while content[first + 30 : first + 44] != b"archive/data/0":
        first = content.index(b"PK\3\4", first + 4)
    content[directory + 42 : directory + 46] = struct.pack("<I", first)
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        weft.load(tmp_path / "c.pt")


@pytest.mark.parametrize(
    "content",
    [
        b"PK\3\4\0\0\x08\x08\0\0",
        b"PK\3\4" + bytes(100),
        archive(b"\x80\x02N.")[:-1],
        archive(b"\x80\x02N.")[4:],
        pickle.dumps({"a": 1}),
        pickle.dumps([1, 2, 3], 2),
        pickle.dumps([1, 2, 3], 4),
        b"\x80\x02" + bytes(100),
    ],
)
def test_other_archives_and_pickles_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model.pt' (cannot be loaded|is)"):
        weft.load(tmp_path / "model.pt")


def test_a_zip_archive_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "c.pt", "w") as z:
        z.writestr("hello.txt", "hello")
    with pytest.raises(CheckpointError, match=r"not one of torch\.save's"):
        weft.load(tmp_path / "c.pt")


def test_the_oldest_form_is_refused(tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(tmp_path / "c.pt", "w") as tar:
        tar.add(__file__, "storages")
    with pytest.raises(UnsupportedOp, match="tar archive"):
        weft.load(tmp_path / "c.pt")


# ---- damage


def small() -> dict[str, Any]:
    x = values(weft.float32, (2, 3))
    return {"w": x, "t": x.t(), "b": values(weft.bfloat16, (3,)), "n": [1, "two", 3.0]}


def test_every_flipped_bit_of_an_archive_is_noticed_or_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    weft.save(small(), path)
    whole = path.read_bytes()
    noticed = 0
    for k in range(len(whole)):
        path.write_bytes(whole[:k] + bytes([whole[k] ^ 1 << k % 8]) + whole[k + 1 :])
        try:
            assert same(weft.load(path), small()), f"byte {k}"
        except REFUSED:
            noticed += 1
    assert noticed > len(whole) / 3  # the rest is padding, dates and the like


@pytest.mark.parity
@pytest.mark.parametrize("old", [False, True])
def test_a_file_of_pytorchs_cut_anywhere_is_noticed(old: bool, torch: Any, tmp_path: Path) -> None:
    obj = {"w": torch.randn(50), "v": torch.ones(3), "n": 1}
    torch.save(obj, tmp_path / "c.pt", _use_new_zipfile_serialization=not old)
    whole = (tmp_path / "c.pt").read_bytes()
    for k in [*(len(whole) * k // 16 for k in range(16)), len(whole) - 1]:
        (tmp_path / "cut.pt").write_bytes(whole[:k])
        with pytest.raises(CheckpointError) as caught:
            weft.load(tmp_path / "cut.pt")
        assert f"'{tmp_path / 'cut.pt'}'" in str(caught.value)


def test_mutated_pickles_are_read_or_refused(canary: Canary, tmp_path: Path) -> None:
    """Pickles with random bytes changed, put in and left out, their checksums right."""
    f = io.BytesIO()
    weft.save(small(), f, format="torch")
    with zipfile.ZipFile(f) as z:
        records = {n.removeprefix("archive/"): z.read(n) for n in z.namelist()}
    seeds = [records.pop("data.pkl"), *hostile(canary.command).values(), *GREEDY.values()]
    records.pop("version")
    rng = random.Random(0)
    path = tmp_path / "c.pt"
    read = 0
    tracemalloc.start()
    for k in range(1500):
        content = bytearray(seeds[0] if k % 2 else rng.choice(seeds))
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(content) + 1)
            other = rng.choice(seeds)
            cut = rng.randrange(len(other) + 1)
            content[at : at + rng.choice((0, 1, 1, 4))] = rng.choice(
                [bytes([rng.randrange(256)]), other[cut : cut + rng.randint(1, 12)], b""]
            )
        path.write_bytes(archive(bytes(content), **records))
        try:
            weft.load(path)
            read += 1
        except REFUSED:
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 10 < read < 1000
    assert peak < 100_000_000
