"""IDX, the file format of MNIST.

Big-endian: two zero bytes, a byte for the dtype, a byte for the number of dimensions, their sizes
as 32-bit integers, then the values. (Y. LeCun, C. Cortes, C. Burges: "The MNIST database of
handwritten digits".)
"""

from __future__ import annotations

import gzip
import os
import zlib
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from ...errors import CheckpointError
from ...tensors.creation import from_numpy
from ...tensors.tensor import Tensor
from .files import listing

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_PIECE = 1 << 20  # a damaged header may ask for any size: memory is taken as bytes arrive


def read_idx(path: str | os.PathLike[str]) -> Tensor:
    """Reads an IDX file, gzipped or not.

    Args:
        path: the file; where it is not there, the same name with (or without) ``.gz`` is tried.

    Returns:
        a Tensor of the file's shape: uint8 ``[N, 28, 28]`` for MNIST's images, uint8 ``[N]`` for
        its labels.

    Raises:
        FileNotFoundError: if there is no such file, saying what the folder holds.
        CheckpointError: if the file is cut short, damaged, or of another format.
    """
    file = _find(Path(path))
    try:
        with gzip.open(file) if _is_zipped(file) else file.open("rb") as f:
            return from_numpy(_read(cast("BinaryIO", f), file))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CheckpointError(
            f"'{file}' is cut short or damaged: {_sentence(error)}. Get the file again"
        ) from error


def _is_zipped(file: Path) -> bool:
    with file.open("rb") as f:
        return f.read(2) == b"\x1f\x8b"


def _sentence(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "its compressed data end too early"
    return f"its compressed data cannot be read ({error})"


def _find(path: Path) -> Path:
    other = path.with_suffix("") if path.suffix == ".gz" else path.with_name(path.name + ".gz")
    for candidate in (path, other):
        if candidate.is_file():
            return candidate
    folder = path.parent
    looked = f"'{path.name}' or '{other.name}'"
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder '{folder}' (looked in it for {looked})")
    raise FileNotFoundError(f"there is no {looked} in '{folder}', which holds {listing(folder)}")


def _read(f: BinaryIO, file: Path) -> Any:
    magic = f.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES:
        raise CheckpointError(
            f"'{file}' is not an IDX file: it begins with {magic.hex(' ') or 'nothing'}, where an "
            "IDX file has 00 00, a dtype (08 for bytes) and the number of dimensions"
        )
    dtype, ndim = np.dtype(_DTYPES[magic[2]]), magic[3]
    sizes = _exactly(f, 4 * ndim, file, f"the sizes of its {ndim} dimensions")
    shape = [int(n) for n in np.frombuffer(sizes, ">u4")]
    what = f"{' x '.join(map(str, shape)) or 'one'} values of {dtype.itemsize} bytes"
    data = _exactly(f, prod(shape) * dtype.itemsize, file, what)
    if f.read(1):  # this also lets gzip compare its checksum
        raise CheckpointError(
            f"'{file}' is damaged: its header promises {what}, but more bytes follow them"
        )
    values = np.frombuffer(data, dtype).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _exactly(f: BinaryIO, count: int, file: Path, what: str) -> bytearray:
    data = bytearray()
    while len(data) < count:
        piece = f.read(min(_PIECE, count - len(data)))
        if not piece:
            raise CheckpointError(
                f"'{file}' is cut short or damaged: expected {count:,} bytes for {what}, found "
                f"{len(data):,}. Get the file again"
            )
        data += piece
    return data
