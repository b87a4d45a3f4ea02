"""IDX files, whole and damaged."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from weft.errors import CheckpointError
from weft.utils.data import read_idx

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array: Any) -> bytes:
    """The file's bytes, written as the format's description says."""
    code = CODES[array.dtype.str[1:]]
    sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    values: bytes = array.astype(array.dtype.newbyteorder(">")).tobytes()
    return bytes([0, 0, code, array.ndim]) + sizes + values


IMAGES = np.arange(3 * 5 * 4, dtype=np.uint8).reshape(3, 5, 4)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("kind", CODES)
def test_every_dtype(kind: str, zipped: bool, tmp_path: Path) -> None:
    array = (np.arange(24).reshape(2, 3, 4) - 5).astype(kind)
    content = idx(array)
    (tmp_path / "x").write_bytes(gzip.compress(content) if zipped else content)
    x = read_idx(tmp_path / "x")
    assert x.dtype.numpy == array.dtype
    assert x.tolist() == array.tolist()


@pytest.mark.parametrize("shape", [(), (0,), (0, 28, 28), (7,)])
def test_every_shape(shape: tuple[int, ...], tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(idx(np.ones(shape, np.uint8)))
    assert read_idx(tmp_path / "x").shape == shape


def test_more_than_one_piece(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, 3_000_001, np.uint8)
    (tmp_path / "x.gz").write_bytes(gzip.compress(idx(array), 1))
    assert np.array_equal(read_idx(tmp_path / "x.gz").numpy(), array)


def test_gz_may_be_there_or_not(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx(IMAGES)))
    (tmp_path / "b").write_bytes(idx(IMAGES))
    for name in ("a", "a.gz", "b", "b.gz"):
        assert read_idx(str(tmp_path / name)).tolist() == IMAGES.tolist()


def test_a_missing_file_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="which holds nothing"):
        read_idx(tmp_path / "train-images")
    for k in range(13):
        (tmp_path / f"f{k:02}").touch()
    with pytest.raises(FileNotFoundError) as caught:
        read_idx(tmp_path / "train-images.gz")
    message = str(caught.value)
    assert "'train-images.gz' or 'train-images'" in message
    assert "f00, f01" in message
    assert "f09 and 3 more" in message
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        read_idx(tmp_path / "nowhere" / "train-images")


@pytest.mark.parametrize("zipped", [False, True])
def test_a_file_cut_anywhere(zipped: bool, tmp_path: Path) -> None:
    whole = gzip.compress(idx(IMAGES)) if zipped else idx(IMAGES)
    for k in range(len(whole)):
        (tmp_path / "x").write_bytes(whole[:k])
        with pytest.raises(CheckpointError, match=r"cut short|not an IDX file: it begins with"):
            read_idx(tmp_path / "x")
    (tmp_path / "x").write_bytes(idx(IMAGES)[:-10])
    with pytest.raises(CheckpointError, match=r"expected 60 bytes for 3 x 5 x 4 .* found 50"):
        read_idx(tmp_path / "x")


def test_a_flipped_bit_in_a_gzip_file(tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(idx(IMAGES), mtime=0))
    for k in range(10, len(whole)):  # after gzip's own header, whose bits mean little
        whole[k] ^= 1
        (tmp_path / "x.gz").write_bytes(whole)
        with pytest.raises(CheckpointError):
            read_idx(tmp_path / "x.gz")
        whole[k] ^= 1


def test_a_header_that_asks_for_too_much_takes_no_memory(tmp_path: Path) -> None:
    header = bytes([0, 0, 8, 3]) + b"\xff" * 12
    (tmp_path / "x").write_bytes(gzip.compress(header + bytes(100)))
    with pytest.raises(CheckpointError, match="found 100"):
        read_idx(tmp_path / "x")


def test_bytes_after_the_end(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(idx(IMAGES) + b"\0")
    with pytest.raises(CheckpointError, match="more bytes follow"):
        read_idx(tmp_path / "x")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"\0\0\x07\1\0\0\0\0", b"\0\1\x08\1"])
def test_other_files(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(CheckpointError, match="not an IDX file: it begins with"):
        read_idx(tmp_path / "x")


def test_the_result_is_a_tensor_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(idx(IMAGES))
    x = read_idx(tmp_path / "x")
    x.add_(1)
    assert x.dtype is weft.uint8
    assert x[0, 0].tolist() == [1, 2, 3, 4]
