"""``weft.save`` and ``weft.load``: checkpoints as safetensors files.

A safetensors file is an 8-byte length, a JSON header that says each tensor's dtype, shape and
place, and the values (https://huggingface.co/docs/safetensors). Nothing in it is ever run. A flat
dict of tensors is such a file and nothing more; any other structure is kept as JSON in the header's
``__metadata__``, under the key ``weft``, with a checksum for each tensor.

The format is written and read here, not through the safetensors package, because its functions
either hold the whole file in memory or turn the system's errors (a full disk) into text.
"""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from .dtypes import BY_NAME
from .errors import CheckpointError, UnsupportedOp, did_you_mean
from .tensors.core import TensorCore, wrap
from .tensors.creation import as_leaf
from .tensors.interop import host_value
from .tensors.tensor import Tensor

PathLike: TypeAlias = str | os.PathLike[str]
Array: TypeAlias = Any  # numpy.ndarray, also of ml_dtypes.bfloat16
Json: TypeAlias = Any

_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
}
_NAMES = {name: code for code, name in _DTYPES.items()}

_METADATA = "__metadata__"
_OURS = "weft"  # metadata: {"crc32": {tensor: checksum}, "tree": structure}
_HEADER_SUM = "weft.header"  # metadata: the checksum of all the rest of the header
_MAX_HEADER = 100_000_000  # the format's own limit


def save(obj: Any, path: PathLike) -> None:
    """Writes tensors, alone or in a structure, to a safetensors file.

    The file appears whole or not at all: it is written beside ``path``, flushed to the disk, and
    only then takes its place, so that a crash or a full disk leaves the previous file as it was.

    Args:
        obj: Tensors, numbers, strings, booleans and None, in dicts (with str or int keys), lists
            and tuples, nested at will. Of a Tensor only the values are kept.
        path: the file; one that exists is replaced.

    Raises:
        TypeError: for anything else in ``obj``, naming its place.
        CheckpointError: if the file cannot be written; the previous one is untouched.

    Example:
        >>> model = nn.Linear(2, 2)
        >>> weft.save({"model": model.state_dict(), "epoch": 3}, "checkpoint.safetensors")
    """
    tree = _Tree()
    structure = tree.encode(obj, ())
    if _is_flat(obj):
        tensors, ours = {name: host_value(x) for name, x in obj.items()}, {}
    else:
        tensors, ours = tree.tensors, {"tree": structure}
    ours["crc32"] = {name: zlib.crc32(_bytes(x)) for name, x in tensors.items()}
    header, places = _header(tensors, ours)
    size = len(header) + sum(x.nbytes for x in tensors.values())
    with _replacing(Path(path), size) as f:
        f.write(header)
        for name in places:
            f.write(_bytes(tensors[name]))


def load(path: PathLike) -> Any:
    """Reads what :func:`save` wrote, or any other safetensors file (as a flat dict of tensors).

    Sizes are checked against the file's before memory is taken, and each tensor against its
    checksum.

    Raises:
        FileNotFoundError: if there is no such file, naming similar ones.
        CheckpointError: if it is cut short, damaged, or no safetensors file, saying which.
        UnsupportedOp: for PyTorch's own files, and for dtypes that weft does not have.
    """
    path = Path(path)
    if not path.exists():
        raise _missing(path)
    with path.open("rb") as f:
        return _Reader(path, f).read()


# ---- structures as JSON


class _Tree:
    """A structure taken apart: JSON, and the arrays that it refers to by name.

    null, true, numbers and strings stand for themselves, lists for lists. All else is an object
    with one key that says what it is: ``{"dict": [[key, value], ...]}``, ``{"tuple": [...]}``,
    ``{"tensor": name}``, ``{"float": "nan"}``.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Array] = {}
        self._names: dict[int, str] = {}  # id of a Tensor -> its name; each is written once
        self._open: set[int] = set()

    def encode(self, value: Any, at: tuple[Any, ...]) -> Json:
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, TensorCore):
            return {"tensor": self._add(value, at)}
        if isinstance(value, (np.bool_, np.integer, np.floating)):
            value = value.item()
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"float": repr(float(value))}
        if isinstance(value, (Mapping, list, tuple)):
            return self._encode_container(value, at)
        raise TypeError(f"weft.save cannot write the {_kind(value)} at {_place(at)}{_hint(value)}")

    def _encode_container(self, value: Any, at: tuple[Any, ...]) -> Json:
        if id(value) in self._open:
            raise ValueError(
                f"weft.save cannot write a structure that contains itself: {_place(at)}"
            )
        self._open.add(id(value))
        try:
            if isinstance(value, Mapping):
                return {"dict": [[_key(k, at), self.encode(v, (*at, k))] for k, v in value.items()]}
            items = [self.encode(v, (*at, k)) for k, v in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
        finally:
            self._open.remove(id(value))

    def _add(self, x: Any, at: tuple[Any, ...]) -> str:
        found = self._names.get(id(x))
        if found is not None:
            return found
        stem = name = ".".join(map(str, at)) or "tensor"
        copies = 1
        while name in self.tensors or name == _METADATA:  # ("a.b",) and ("a", "b")
            copies += 1
            name = f"{stem}~{copies}"
        self.tensors[name] = host_value(x)
        self._names[id(x)] = name
        return name


def _is_flat(obj: Any) -> bool:
    """Is it a dict[str, Tensor], which is what safetensors files hold?"""
    return isinstance(obj, Mapping) and all(
        isinstance(k, str) and k != _METADATA and isinstance(x, TensorCore) for k, x in obj.items()
    )


def _key(key: Any, at: tuple[Any, ...]) -> str | int:
    if isinstance(key, bool) or not isinstance(key, (str, int)):
        raise TypeError(
            f"weft.save writes dicts with str and int keys, but {_place(at)} has the key {key!r} "
            f"({type(key).__name__})"
        )
    return key


def _place(at: tuple[Any, ...]) -> str:
    return "obj" + "".join(f"[{k!r}]" for k in at)


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")


def _hint(value: Any) -> str:
    if callable(getattr(value, "state_dict", None)):
        return ": save its .state_dict(), and give that to .load_state_dict() after weft.load"
    if isinstance(value, np.ndarray):
        return ": make a Tensor of it with weft.from_numpy(x)"
    return ": it writes Tensors, numbers, strings, booleans and None, in dicts, lists and tuples"


# ---- writing


def _bytes(x: Array) -> Array:
    """The values in order, as bytes; a copy only where they are not contiguous."""
    return np.ascontiguousarray(x).reshape(-1).view(np.uint8)


def _header(tensors: dict[str, Array], ours: Json) -> tuple[bytes, list[str]]:
    """The header with its length before it, and the names in the order of their values."""
    places = sorted(tensors, key=lambda name: -tensors[name].itemsize)  # keeps each one aligned
    ends, end = {}, 0
    for name in places:
        end += tensors[name].nbytes
        ends[name] = end
    header: dict[str, Any] = {_METADATA: {"format": "pt", _OURS: _dumps(ours)}}
    for name, x in tensors.items():
        header[name] = {
            "dtype": _NAMES[x.dtype.name],
            "shape": list(x.shape),
            "data_offsets": [ends[name] - x.nbytes, ends[name]],
        }
    header[_METADATA][_HEADER_SUM] = _header_sum(header)
    text = _dumps(header).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > _MAX_HEADER:
        raise CheckpointError(
            f"the header of a safetensors file may have {_MAX_HEADER:,} bytes, but this structure "
            f"needs {len(text):,}: put long lists of numbers into Tensors"
        )
    return len(text).to_bytes(8, "little") + text, places


def _dumps(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"))


def _header_sum(header: Json) -> str:
    rest = {**header, _METADATA: {**header[_METADATA]}}
    rest[_METADATA].pop(_HEADER_SUM, None)
    return str(zlib.crc32(json.dumps(rest, sort_keys=True).encode()))


@contextmanager
def _replacing(path: Path, size: int) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` once it is complete and on the disk.

    Raises:
        CheckpointError: if the system refuses; ``path`` is then as it was before.
    """
    target = path.resolve()  # a link goes on pointing at what it points at
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        if target.is_dir():
            raise OSError(errno.EISDIR, "it is a folder")
        if target.exists() and not target.is_file():
            raise OSError(errno.EINVAL, "it is not a regular file")
        try:
            with temporary.open("xb") as f:
                yield f
                f.flush()
                os.fsync(f.fileno())
            if target.exists():
                shutil.copymode(target, temporary)
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise CheckpointError(_cannot_write(path, size, error)) from error
    with suppress(OSError):  # the new name, too, is to survive a power cut, where that can be had
        _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(path: Path, size: int, error: OSError) -> str:
    folder = path.parent
    reason = error.strerror or str(error)
    if error.errno == errno.ENOSPC:
        free = shutil.disk_usage(folder).free
        reason += f" (the file needs {size:,} bytes, {free:,} are free)"
    elif error.errno == errno.ENOENT and not folder.is_dir():
        reason = f"there is no folder '{folder}': make it first, os.makedirs({str(folder)!r})"
    kept = "The previous file is untouched" if path.exists() else "Nothing was written"
    return f"could not save '{path}': {reason}. {kept}."


# ---- reading


@dataclass
class _Place:
    """Where a tensor's values are, counted from the end of the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass
class _Reader:
    """An open safetensors file."""

    path: Path
    f: BufferedReader
    ours: Json | None = field(default=None, init=False)  # what save() put into the metadata

    def read(self) -> Any:
        """What was saved."""
        try:
            tensors = self._tensors()
            if self.ours is None or "tree" not in self.ours:
                return tensors
            return self._decode(self.ours["tree"], tensors)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise self._damaged("its metadata do not describe a structure of tensors") from error

    def _tensors(self) -> dict[str, Tensor]:
        """All tensors by name, in the order of the header."""
        places, start = self._places()
        arrays = {p.name: self._array(p, start) for p in sorted(places, key=lambda p: p.begin)}
        return {p.name: wrap(as_leaf(arrays[p.name])) for p in places}

    def _decode(self, value: Json, tensors: dict[str, Tensor]) -> Any:
        """Undoes :meth:`_Tree.encode`."""
        if isinstance(value, list):
            return [self._decode(v, tensors) for v in value]
        if not isinstance(value, dict):
            return value
        ((kind, content),) = value.items()
        if kind == "dict":
            return {k: self._decode(v, tensors) for k, v in content}
        if kind == "tuple":
            return tuple([self._decode(v, tensors) for v in content])
        if kind == "float":
            return float(content)
        if kind == "tensor":
            return tensors[content]
        raise UnsupportedOp(f"'{self.path}' was written by a later version of weft: update weft")

    def _damaged(self, what: str) -> CheckpointError:
        return CheckpointError(f"'{self.path}' is damaged: {what}. Use an earlier copy of it.")

    def _places(self) -> tuple[list[_Place], int]:
        """The tensors' places, checked against each other and the file's size; where they begin."""
        size = os.fstat(self.f.fileno()).st_size
        start = self._header_end(size)
        header = self._parsed(self.f.read(start - 8))
        metadata = header.pop(_METADATA, {})
        self._take_ours(metadata, header)
        places = [self._place(name, entry) for name, entry in header.items()]
        end = 0
        for p in sorted(places, key=lambda p: (p.begin, p.end)):
            if p.begin != end:
                raise self._damaged(f"the values of tensor '{p.name}' are said to be elsewhere")
            end = p.end
        if size != start + end:
            raise self._wrong_size(start + end, size)
        return places, start

    def _wrong_size(self, expected: int, size: int) -> CheckpointError:
        if size > expected:
            return self._damaged(f"expected {expected:,} bytes, it has {size:,}")
        return CheckpointError(
            f"'{self.path}' is cut short: expected {expected:,} bytes, it has {size:,}. The "
            "copy or download was not finished; get it again."
        )

    def _header_end(self, size: int) -> int:
        begin = self.f.read(9)
        length = int.from_bytes(begin[:8], "little")
        if len(begin) < 9 or begin[8:] != b"{" or length > _MAX_HEADER:
            raise self._foreign(begin, size)
        if 8 + length > size:
            raise self._wrong_size(8 + length, size)
        self.f.seek(8)
        return 8 + length

    def _foreign(self, begin: bytes, size: int) -> Exception:
        pickled = begin[:1] == b"\x80" and any(begin[2:8])
        if begin[8:] != b"{" and (pickled or begin[:4] == b"PK\3\4"):
            return UnsupportedOp(
                f"'{self.path}' is a PyTorch or pickle file, which weft does not read yet. Convert "
                "it where PyTorch is installed: safetensors.torch.save_file(torch.load(path, "
                "weights_only=True), 'model.safetensors'), and load that"
            )
        what = "it is empty" if size == 0 else f"it has {size:,} bytes and begins with {begin!r}"
        return CheckpointError(
            f"'{self.path}' is not a safetensors file, or was cut short: {what}."
        )

    def _parsed(self, text: bytes) -> dict[str, Any]:
        try:
            header = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._damaged(f"its header is not JSON ({error})") from None
        if not isinstance(header, dict):
            raise self._damaged("its header is not a JSON object")
        return header

    def _take_ours(self, metadata: Any, entries: Json) -> None:
        """Checks the header's checksum, in a file that :func:`save` wrote."""
        if not isinstance(metadata, dict):
            raise self._damaged("its metadata are not a JSON object")
        if _OURS not in metadata and _HEADER_SUM not in metadata:
            return
        if metadata.get(_HEADER_SUM) != _header_sum({_METADATA: metadata, **entries}):
            raise self._damaged("its header does not match its checksum")
        self.ours = json.loads(metadata[_OURS])

    def _place(self, name: str, entry: Any) -> _Place:
        try:
            code, shape = entry["dtype"], tuple(entry["shape"])
            begin, end = entry["data_offsets"]
            numbers = [*shape, begin, end]
        except (TypeError, KeyError, ValueError):
            raise self._damaged(f"its header says {entry!r:.80} of tensor '{name}'") from None
        if any(type(n) is not int or n < 0 for n in numbers):
            raise self._damaged(f"its header says {entry!r:.80} of tensor '{name}'")
        if code not in _DTYPES:
            raise UnsupportedOp(
                f"tensor '{name}' in '{self.path}' is of dtype {code}, which weft does not have: "
                f"convert it to one of {', '.join(_DTYPES.values())} where the file was made"
            )
        dtype = _DTYPES[code]
        if end - begin != math.prod(shape) * BY_NAME[dtype].itemsize:
            raise self._damaged(
                f"tensor '{name}' has {end - begin:,} bytes, which do not make {dtype} of shape "
                f"{list(shape)}"
            )
        return _Place(name, dtype, shape, begin, end)

    def _array(self, place: _Place, start: int) -> Array:
        array = np.empty(place.shape, BY_NAME[place.dtype].numpy)
        values = _bytes(array)
        self.f.seek(start + place.begin)
        if self.f.readinto(values) != values.size:
            raise self._damaged(f"the values of tensor '{place.name}' could not be read whole")
        if self.ours is not None and self.ours["crc32"][place.name] != zlib.crc32(values):
            raise self._damaged(
                f"tensor '{place.name}' does not match its checksum (bytes {start + place.begin:,} "
                f"to {start + place.end:,})"
            )
        return array


def _missing(path: Path) -> FileNotFoundError:
    folder = path.parent
    if not folder.is_dir():
        return FileNotFoundError(f"there is no file '{path}': there is no folder '{folder}'")
    hint = did_you_mean(path.name, [p.name for p in folder.iterdir()])
    return FileNotFoundError(f"there is no file '{path}'.{hint}")
