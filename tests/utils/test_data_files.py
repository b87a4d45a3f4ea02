"""Datasets in files, whole and damaged."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from weft.errors import CheckpointError, IndexOutOfRange, UnsupportedOp
from weft.utils.data import DataLoader
from weft.utils.data.datasets import (
    CIFAR10,
    CIFAR100,
    MNIST,
    ArrowDataset,
    CSVDataset,
    DatasetFolder,
    FashionMNIST,
    ImageFolder,
    NumpyDataset,
    ParquetDataset,
    TextLines,
    read_image,
)

DRAW = np.random.default_rng(0)


def idx(array: Any) -> bytes:
    sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


IMAGES = DRAW.integers(0, 256, (32, 28, 28), np.uint8)
LABELS = DRAW.integers(0, 10, 32, np.uint8)


def write_mnist(root: Path, zipped: bool = True, part: str = "t10k") -> list[Path]:
    root.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, array in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
        path = root / f"{part}-{name}-ubyte{'.gz' if zipped else ''}"
        path.write_bytes(gzip.compress(idx(array), mtime=0) if zipped else idx(array))
        paths.append(path)
    return paths


def write_cifar(root: Path, count: int = 16, label_bytes: int = 1) -> dict[str, Any]:
    names = [*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]
    if label_bytes == 2:
        names = ["train.bin", "test.bin"]
    root.mkdir(parents=True, exist_ok=True)
    records = {}
    for name in names:
        r = DRAW.integers(0, 256, (count, label_bytes + 3072), np.uint8)
        r[:, :label_bytes] = DRAW.integers(0, 10, (count, label_bytes))
        (root / name).write_bytes(r.tobytes())
        records[name] = r
    return records


def png(color: tuple[int, ...], size: tuple[int, int] = (5, 4), kind: str = "PNG") -> bytes:
    image = pytest.importorskip("PIL.Image", reason="images need Pillow: pip install 'weft[data]'")
    stream = io.BytesIO()
    image.new("RGB", size, color).save(stream, kind)
    return stream.getvalue()


def whole_or_none(read: Callable[[], Any], path: Path) -> Any:
    """What is read; None if it is refused, by its name."""
    try:
        return read()
    except CheckpointError as error:
        if str(path) not in str(error):
            raise
        return None


def cut_and_flipped(whole: bytes) -> dict[str, bytes]:
    """A file cut at every 1/16 of its length, and with a bit flipped here and there."""
    out = {f"cut at {k}/16": whole[: len(whole) * k // 16] for k in range(16)}
    for k in range(16):
        at = len(whole) * k // 16
        out[f"bit {k % 8} of byte {at}"] = (
            whole[:at] + bytes([whole[at] ^ (1 << k % 8)]) + whole[at + 1 :]
        )
    return out


# ---- MNIST


@pytest.mark.parametrize("folder", ["", "raw", "MNIST/raw"])
@pytest.mark.parametrize("zipped", [True, False])
def test_mnist(folder: str, zipped: bool, tmp_path: Path) -> None:
    write_mnist(tmp_path / folder, zipped)
    d = MNIST(tmp_path, train=False)
    assert (d.data.shape, d.data.dtype) == ((32, 1, 28, 28), weft.uint8)
    assert np.array_equal(d.data.numpy()[:, 0], IMAGES)
    assert d.targets.tolist() == LABELS.tolist()
    image, label = d[-3]
    assert np.array_equal(image.numpy()[0], IMAGES[-3])
    assert label == LABELS[-3]
    assert isinstance(label, int)
    assert len(d) == 32
    for workers in (0, 2):
        batches = list(DataLoader(d, 10, num_workers=workers))
        assert np.array_equal(np.concatenate([x.numpy() for x, _ in batches])[:, 0], IMAGES)
        assert [n for _, y in batches for n in y.tolist()] == LABELS.tolist()
    with pytest.raises(IndexOutOfRange, match="sample 32 is asked for, of 32 of MNIST"):
        d[32]
    with pytest.raises(IndexOutOfRange, match="sample 99"):
        list(DataLoader(d, sampler=[99]))


def test_transforms_of_samples(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    d = MNIST(
        tmp_path, False, transform=lambda x: x.float() / 255, target_transform=lambda y: y + 100
    )
    x, y = next(iter(DataLoader(d, 4)))
    assert x.dtype is weft.float32
    assert np.allclose(x.numpy()[:, 0], IMAGES[:4] / 255)
    assert y.tolist() == (LABELS[:4].astype(int) + 100).tolist()


def test_fashion_mnist_has_names(tmp_path: Path) -> None:
    write_mnist(tmp_path, part="train")
    d = FashionMNIST(tmp_path)
    assert d.classes[9] == "Ankle boot"
    assert d.class_to_idx["Bag"] == 8


def test_the_published_files_are_known_by_their_sums(tmp_path: Path) -> None:
    """A file of the published size that is not the published one is refused, unless it is meant."""
    labels = np.zeros(10_000, np.uint8)
    images = np.zeros((10_000, 28, 28), np.uint8)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(
        CheckpointError, match=r"images-idx3-ubyte' is damaged, or another data set"
    ):
        MNIST(tmp_path, train=False)
    assert len(MNIST(tmp_path, train=False, verify=False)) == 10_000


@pytest.mark.skipif("WEFT_MNIST" not in os.environ, reason="WEFT_MNIST names no folder of MNIST")
@pytest.mark.parametrize("zipped", [True, False])
def test_the_real_files(zipped: bool, tmp_path: Path) -> None:
    for path in Path(os.environ["WEFT_MNIST"]).glob("t10k*.gz"):
        name = path.name if zipped else path.stem
        content = path.read_bytes()
        (tmp_path / name).write_bytes(content if zipped else gzip.decompress(content))
    assert MNIST(tmp_path, train=False).targets.tolist()[:5] == [7, 2, 1, 0, 4]
    (path,) = tmp_path.glob("t10k-images*")
    whole = path.read_bytes()
    for what, content in cut_and_flipped(whole).items():
        path.write_bytes(content)
        with pytest.raises((CheckpointError, FileNotFoundError)):
            MNIST(tmp_path, train=False)
            pytest.fail(what)


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_mnist(zipped: bool, tmp_path: Path) -> None:
    for path in write_mnist(tmp_path, zipped):
        whole = path.read_bytes()
        sums = {path.name: hashlib.sha256(whole).hexdigest()}
        for what, content in cut_and_flipped(whole).items():
            path.write_bytes(content)
            with pytest.raises(CheckpointError, match=path.name):
                MNIST(tmp_path, train=False, checksums=sums)
                pytest.fail(what)
            d = whole_or_none(lambda: MNIST(tmp_path, train=False), path)
            if d is not None:  # only what the file itself cannot tell: a pixel, gzip's own notes
                assert "bit" in what
                assert len(d) == 32
                assert zipped <= np.array_equal(d.data.numpy()[:, 0], IMAGES)
        path.write_bytes(whole)
    assert len(MNIST(tmp_path, train=False)) == 32


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    images, labels = write_mnist(tmp_path, zipped=False)
    labels.write_bytes(idx(LABELS[:-1]))
    with pytest.raises(CheckpointError, match=r"labels-idx1-ubyte' does not fit .*\[31\], for 32"):
        MNIST(tmp_path, train=False)
    labels.write_bytes(idx(np.full(32, 10, np.uint8)))
    with pytest.raises(CheckpointError, match="label 0 is 10, of 10 classes"):
        MNIST(tmp_path, train=False)
    labels.write_bytes(idx(LABELS))
    images.write_bytes(idx(LABELS))
    with pytest.raises(CheckpointError, match=r"images-idx3-ubyte' does not hold the images"):
        MNIST(tmp_path, train=False)


def test_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        MNIST(tmp_path / "nowhere")
    write_mnist(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"(?s)'train-images-idx3-ubyte.gz'.*which holds t10"
    ):
        MNIST(tmp_path)
    with pytest.raises(UnsupportedOp, match=r"does not download. Put train-images.* from https"):
        MNIST(tmp_path, download=True)
    assert len(MNIST(tmp_path, train=False, download=True)) == 32


# ---- CIFAR


@pytest.mark.parametrize("folder", ["", "cifar-10-batches-bin"])
def test_cifar10(folder: str, tmp_path: Path) -> None:
    records = write_cifar(tmp_path / folder)
    train, test = CIFAR10(tmp_path), CIFAR10(tmp_path, train=False)
    whole = np.concatenate([records[f"data_batch_{k}.bin"] for k in range(1, 6)])
    assert train.data.shape == (80, 3, 32, 32)
    assert np.array_equal(train.data.numpy(), whole[:, 1:].reshape(-1, 3, 32, 32))
    assert train.targets.tolist() == whole[:, 0].tolist()
    assert len(test) == 16
    x, y = next(iter(DataLoader(test, 5)))
    assert (x.shape, x.dtype, y.dtype) == ((5, 3, 32, 32), weft.uint8, weft.int64)
    assert train.classes[train[0][1]] in train.class_to_idx


def test_cifar100(tmp_path: Path) -> None:
    records = write_cifar(tmp_path, label_bytes=2)
    d = CIFAR100(tmp_path)
    assert d.targets.tolist() == records["train.bin"][:, 1].tolist()
    assert d.classes[3] == "3"
    (tmp_path / "fine_label_names.txt").write_text("\n".join(f"name{k}" for k in range(100)))
    assert CIFAR100(tmp_path, train=False).classes[3] == "name3"


def test_cifar_in_its_archive(tmp_path: Path) -> None:
    records = write_cifar(tmp_path / "x" / "cifar-10-batches-bin")
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "x" / "cifar-10-batches-bin", "cifar-10-batches-bin")
    with pytest.raises(CheckpointError, match=r"tar.gz' is damaged, or another file: its MD5 sum"):
        CIFAR10(tmp_path)
    d = CIFAR10(tmp_path, train=False, verify=False)
    assert d.targets.tolist() == records["test_batch.bin"][:, 0].tolist()
    whole = (tmp_path / "cifar-10-binary.tar.gz").read_bytes()
    for content in cut_and_flipped(whole).values():
        (tmp_path / "cifar-10-binary.tar.gz").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"cifar-10-binary\.tar\.gz"):
            CIFAR10(tmp_path)
        archive = tmp_path / "cifar-10-binary.tar.gz"
        d = whole_or_none(lambda: CIFAR10(tmp_path, train=False, verify=False), archive)
        if d is not None:
            assert np.array_equal(
                d.data.numpy(), records["test_batch.bin"][:, 1:].reshape(-1, 3, 32, 32)
            )


def test_damaged_cifar(tmp_path: Path) -> None:
    write_cifar(tmp_path)
    path = tmp_path / "data_batch_3.bin"
    whole = path.read_bytes()
    for k in range(16):
        path.write_bytes(whole[: len(whole) * k // 16])
        with pytest.raises(CheckpointError, match=r"data_batch_3\.bin' is cut short"):
            CIFAR10(tmp_path)
    path.write_bytes(b"\x0b" + whole[1:])
    with pytest.raises(CheckpointError, match=r"data_batch_3.bin' is damaged: label 0 is 11"):
        CIFAR10(tmp_path)
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"# sums\n{hashlib.sha256(whole).hexdigest()}  data_batch_3.bin\n")
    path.write_bytes(whole[:100] + b"\x00\x01" + whole[102:])
    assert len(CIFAR10(tmp_path)) == 80
    with pytest.raises(CheckpointError, match=r"data_batch_3.bin' is damaged.*its SHA256 sum is"):
        CIFAR10(tmp_path, checksums=sums)


# ---- folders


def test_images_in_folders(tmp_path: Path) -> None:
    for name, color in {"cat": (255, 0, 0), "dog": (0, 255, 9)}.items():
        (tmp_path / name / "more").mkdir(parents=True)
        (tmp_path / name / "b.png").write_bytes(png(color))
        (tmp_path / name / "A.PNG").write_bytes(png(color))
        (tmp_path / name / "more" / "c.jpeg").write_bytes(png(color, kind="JPEG"))
        (tmp_path / name / "notes.txt").write_text("no image")
    d = ImageFolder(tmp_path)
    assert d.classes == ["cat", "dog"]
    assert d.class_to_idx == {"cat": 0, "dog": 1}
    assert d.targets == [0, 0, 0, 1, 1, 1]
    assert [Path(path).name for path, _ in d.imgs] == ["A.PNG", "b.png", "c.jpeg"] * 2
    image, label = d[4]
    assert (image.shape, image.dtype, label) == ((3, 4, 5), weft.uint8, 1)
    assert image[:, 2, 3].tolist() == [0, 255, 9]
    for options in ({}, {"num_workers": 2}, {"num_workers": 2, "worker_method": "thread"}):
        (x, y), *_ = DataLoader(d, 6, **options)  # type: ignore[arg-type]
        assert x.shape == (6, 3, 4, 5)
        assert y.tolist() == d.targets
    assert read_image(d.samples[0][0], "L").shape == (1, 4, 5)
    assert read_image(d.samples[0][0], "RGBA").shape == (4, 4, 5)
    with pytest.raises(ValueError, match="mode is one of 'RGB', 'L', 'RGBA', not 'CMYK'"):
        read_image(d.samples[0][0], "CMYK")
    own = ImageFolder(tmp_path, lambda x: x.float(), lambda y: -y, is_valid_file=_is_png)
    assert len(own) == 2
    assert own[1][1] == -1
    assert len(pickle.loads(pickle.dumps(d))) == 6


def _is_png(path: str) -> bool:
    return path.endswith(".png")


def test_folders_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "x.dat").write_text("one")

    def load(path: str) -> str:
        return Path(path).read_text()

    d = DatasetFolder(tmp_path, load, ".dat", allow_empty=True)
    assert [d[k] for k in range(len(d))] == [("one", 0)]
    with pytest.raises(FileNotFoundError, match=r"valid file for the classes b .*end in \.dat"):
        DatasetFolder(tmp_path, load, ".dat")
    with pytest.raises(ValueError, match="one of them is needed"):
        DatasetFolder(tmp_path, load)
    with pytest.raises(FileNotFoundError, match=r"any class folder in .*which holds x\.dat"):
        DatasetFolder(tmp_path / "a", load, ".dat")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        ImageFolder(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_damaged_images(kind: str, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="images need Pillow: pip install 'weft[data]'")
    stream = io.BytesIO()
    pixels = DRAW.integers(0, 256, (40, 50, 3), np.uint8)
    image.fromarray(pixels).save(stream, kind)
    whole = stream.getvalue()
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / f"x.{kind.lower()}"
    path.write_bytes(whole)
    d = ImageFolder(tmp_path)
    right = d[0][0].tolist()
    checked = ImageFolder(tmp_path, checksums={f"a/{path.name}": hashlib.md5(whole).hexdigest()})
    assert checked[0][0].tolist() == right
    for what, content in cut_and_flipped(whole).items():
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=path.name):
            checked[0]
        if "cut" in what or kind == "PNG":
            found = whole_or_none(lambda: d[0][0].tolist(), path)
            assert found in (None, right), what
    loader = DataLoader(d, 1, num_workers=1)
    path.write_bytes(whole[:50])
    with pytest.raises(CheckpointError, match=path.name):
        next(iter(loader))


# ---- tables


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('id,weight,name,empty\n1,0.5,"a, b",\n2,,"say ""x""",\n-3,1e3,c,\n')
    d = CSVDataset(path)
    assert len(d) == 3
    assert d[0] == {"id": 1, "weight": 0.5, "name": "a, b", "empty": ""}
    assert d.columns["id"].dtype == np.int64
    assert np.isnan(d[1]["weight"])
    assert d[-1]["name"] == "c"
    batch = next(iter(DataLoader(d, 3)))
    assert batch["id"].tolist() == [1, 2, -3]
    assert batch["name"] == ["a, b", 'say "x"', "c"]
    chosen = CSVDataset(path, ["name", "id"], {"id": weft.float32})
    assert chosen[0] == {"name": "a, b", "id": 1.0}
    assert chosen.columns["id"].dtype == np.float32
    assert CSVDataset(path, dtypes={"id": str})[0]["id"] == "1"
    with pytest.raises(KeyError, match=r"has no column 'nam', only 'id', 'weight', 'name'"):
        CSVDataset(path, ["nam"])
    with pytest.raises(ValueError, match=r"line 2, column 'weight': '0.5' is no weft.int64"):
        CSVDataset(path, dtypes={"weight": weft.int64})
    path.write_text("1;2\n3;4\n")
    assert CSVDataset(path, delimiter=";", header=False)[1] == {"0": 3, "1": 4}


def test_csv_agrees_with_python_s_reader(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with path.open("w", newline="") as f:
        csv.writer(f).writerows([["a", "b"], ["two\nlines", 'quo"te'], ["ünï", ""]])
    d = CSVDataset(path)
    assert [d[0], d[1]] == [{"a": "two\nlines", "b": 'quo"te'}, {"a": "ünï", "b": ""}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it has no lines"),
        (b"a,b\n1,2\n3\n", "line 3 has 1 fields, not 2"),
        (b"a,b\n1,2,3\n", "line 2 has 3 fields, not 2"),
        (b"a,a\n1,2\n", "several columns of one name: 'a'"),
        (b'a,b\n1,"2\n', "line 2"),
        (b"a,b\n1,2\n\xff,4\n", "not utf-8: line 3 cannot be decoded"),
        (b"a,b\n1,2\n3,4\0\0\0", "line 3 has zeros"),
    ],
)
def test_what_is_no_table(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        CSVDataset(tmp_path / "x.csv")
    assert "x.csv'" in str(caught.value)


def test_numpy_files(tmp_path: Path) -> None:
    x = DRAW.normal(size=(20, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    d = NumpyDataset(tmp_path / "x.npy")
    assert d[4].tolist() == x[4].tolist()
    for options in ({}, {"num_workers": 2}, {"num_workers": 1, "multiprocessing_context": "spawn"}):
        assert np.array_equal(next(iter(DataLoader(d, 20, **options))).numpy(), x)  # type: ignore[arg-type]
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(20))
    d = NumpyDataset(tmp_path / "x.npz")
    assert d[7]["y"].item() == 7
    np.savez(tmp_path / "y.npz", x=x, y=np.arange(19))
    with pytest.raises(CheckpointError, match=r"y.npz' does not hold .*'x': 20, 'y': 19"):
        NumpyDataset(tmp_path / "y.npz")
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(CheckpointError, match=r"o.npy' is cut short, damaged, or no array of num"):
        NumpyDataset(tmp_path / "o.npy")
    with pytest.raises(IndexOutOfRange, match="row 20 is asked for, of 20"):
        d[20]


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_damaged_numpy_files(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind}"
    x = DRAW.normal(size=(64, 8))
    np.save(path, x) if kind == "npy" else np.savez(path, x=x)

    def read(**options: Any) -> Any:
        d = NumpyDataset(path, **options)
        return np.stack(
            [(s["x"] if kind == "npz" else s).numpy() for s in map(d.__getitem__, range(len(d)))]
        )

    check_damage(path, read, x, sees_flips=kind == "npz")


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_every_flipped_bit_of_a_numpy_file(kind: str, tmp_path: Path) -> None:
    """Of an archive: it is seen, or does no harm. Of an array: errors are of one kind."""
    path = tmp_path / f"x.{kind}"
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    np.save(path, x) if kind == "npy" else np.savez(path, x=x, y=np.arange(4))
    right = list(map(str, NumpyDataset(path)))
    whole = path.read_bytes()
    seen = 0
    for bit in range(0, 8 * len(whole), 3):
        damage = bytearray(whole)
        damage[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damage)
        try:
            found = list(map(str, NumpyDataset(path)))
        except CheckpointError:
            seen += 1
        else:
            assert kind == "npy" or found == right, f"bit {bit % 8} of byte {bit // 8}"
    assert seen > 100


def check_damage(path: Path, read: Callable[..., Any], right: Any, sees_flips: bool) -> None:
    """Damage raises, naming the file, or does no harm; with its sum given, it always raises."""
    whole = path.read_bytes()
    assert np.array_equal(read(), right)
    sums = {path.name: hashlib.sha256(whole).hexdigest()}
    assert np.array_equal(read(checksums=sums), right)
    for what, content in cut_and_flipped(whole).items():
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=path.name):
            read(checksums=sums)
            pytest.fail(what)
        found = whole_or_none(read, path)
        if found is not None and not np.array_equal(found, right):
            assert "bit" in what, what
            assert not sees_flips, what
    path.write_bytes(whole)


def arrow_table(count: int) -> Any:
    pa = pytest.importorskip("pyarrow", reason="tables need pyarrow: pip install 'weft[data]'")
    return pa.table(
        {
            "id": pa.array(range(count), pa.int64()),
            "x": pa.array([k / 2 for k in range(count)], pa.float32()),
            "name": [f"row {k}" for k in range(count)],
            "vector": [[k, k + 1] for k in range(count)],
            "flag": [k % 2 == 0 for k in range(count)],
        }
    )


def write_arrow(kind: str, path: Path, count: int = 60, group: int = 16) -> None:
    table = arrow_table(count)
    if kind == "parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, path, row_group_size=group, write_page_checksum=True)
        return
    import pyarrow as pa

    make = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
    with make(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=group)


KINDS: dict[str, tuple[Any, str]] = {
    "parquet": (ParquetDataset, "parquet"),
    "file": (ArrowDataset, "arrow"),
    "stream": (ArrowDataset, "arrow"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_parquet_and_arrow(kind: str, tmp_path: Path) -> None:
    make, suffix = KINDS[kind]
    write_arrow(kind, tmp_path / f"a.{suffix}")
    write_arrow(kind, tmp_path / f"b.{suffix}", count=5)
    d = make(tmp_path)
    assert len(d) == 65
    assert d[17]["name"] == "row 17"
    assert d[17]["vector"].tolist() == [17, 18]
    assert d[-1]["id"] == 4
    assert d.__getitems__([3, 64, -60, 40])[2]["id"] == 5
    for options in ({}, {"num_workers": 2}, {"num_workers": 2, "worker_method": "thread"}):
        weft.manual_seed(0)
        seen = [r for b in DataLoader(d, 8, shuffle=True, **options) for r in b["x"].tolist()]  # type: ignore[arg-type]
        assert sorted(seen) == sorted([k / 2 for k in range(60)] + [k / 2 for k in range(5)])
    batch = next(iter(DataLoader(make(tmp_path / f"a.{suffix}", ["vector", "flag"]), 2)))
    assert batch["vector"].tolist() == [[0, 1], [1, 2]]
    assert batch["flag"].dtype is weft.bool
    assert list(batch) == ["vector", "flag"]
    with pytest.raises(KeyError, match="has no column 'y'"):
        make(tmp_path, ["y"])[0]
    with pytest.raises(IndexOutOfRange, match="row 65 is asked for, of 65"):
        d[65]
    with pytest.raises(FileNotFoundError, match="ends in"):
        (tmp_path / "empty").mkdir()
        make(tmp_path / "empty")


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_parquet_and_arrow(kind: str, tmp_path: Path) -> None:
    make, suffix = KINDS[kind]
    path = tmp_path / f"x.{suffix}"
    write_arrow(kind, path, 300, 100)

    def read(**options: Any) -> Any:
        d = make(path, ["id", "x"], **options)
        return np.array([[row["id"], row["x"]] for row in map(d.__getitem__, range(len(d)))])

    right = np.array([[k, k / 2] for k in range(300)])
    check_damage(path, read, right, sees_flips=kind == "parquet")


def test_what_an_extra_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "x.parquet").touch()
    with pytest.raises(
        ImportError, match=r"ParquetDataset needs the package pyarrow.*weft\[data\]"
    ):
        ParquetDataset(tmp_path / "x.parquet")
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    (tmp_path / "x.png").touch()
    with pytest.raises(ImportError, match=r"reading images needs the package PIL"):
        read_image(tmp_path / "x.png")


# ---- text


def test_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("first\nzweite Zeile: ü\r\n\nlast, without an end".encode())
    (tmp_path / "b.txt").write_bytes(b"")
    (tmp_path / "c.txt").write_bytes(b"other\n")
    d = TextLines(tmp_path)
    lines = ["first", "zweite Zeile: ü", "", "last, without an end", "other"]
    assert [d[k] for k in range(len(d))] == lines
    assert d[-1] == "other"
    assert [x.tolist() for x in d.offsets] == [[0, 6, 24, 25, 45], [0], [0, 6]]
    for options in ({}, {"num_workers": 2}, {"num_workers": 2, "worker_method": "thread"}):
        assert list(DataLoader(d, None, **options)) == lines  # type: ignore[arg-type]
    assert [d[k] for k in range(2)] == [TextLines(str(tmp_path / "a.txt"))[k] for k in range(2)]
    with pytest.raises(IndexOutOfRange, match="line 5 is asked for, of 5"):
        d[5]
    with pytest.raises(FileNotFoundError, match="there is no file"):
        TextLines(tmp_path / "nowhere.txt")


def test_lines_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"good\nb\xff\xffd\nmore\n")
    d = TextLines(path)
    assert (d[0], d[2]) == ("good", "more")
    with pytest.raises(CheckpointError, match=r"a.txt' .*line 2 has byte 0xff at offset 6"):
        d[1]
    assert TextLines(path, encoding="latin-1")[1] == "bÿÿd"
    path.write_bytes(b"goo\nb\nlonger than before, and other lines\n")
    with pytest.raises(CheckpointError, match=r"a.txt' has changed since its lines were counted"):
        d[0]
    with pytest.raises(CheckpointError, match=r"a.txt' is damaged, or another file: its MD5 sum"):
        TextLines(path, checksums={"a.txt": "0" * 32})
    with pytest.raises(ValueError, match=r"'123' of 'a\.txt' is no MD5"):
        TextLines(path, checksums={"a.txt": "123"})
