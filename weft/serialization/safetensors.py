"""The safetensors format: an 8-byte length, a JSON header that says each tensor's dtype, shape and
place, and the values (https://huggingface.co/docs/safetensors). Nothing in it is ever run.

A flat dict of tensors is such a file and nothing more; any other structure is kept as JSON in the
header's ``__metadata__``, under the key ``weft``, with a checksum for each tensor.

The format is written and read here, not through the safetensors package, because its functions
either hold the whole file in memory or turn the system's errors (a full disk) into text.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple, TypeVar

from ..dtypes import BY_NAME
from ..errors import CheckpointError, UnsupportedOp
from ..tensors.core import TensorCore
from ..tensors.interop import host_value
from ..tensors.tensor import Tensor
from .files import Array, Source, as_bytes, without_doubles
from .storages import Budget, Place, Shared, Storage, contiguous
from .structure import At, Json, decode, encode

T = TypeVar("T")

_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}
_NAMES = {name: code for code, name in _DTYPES.items()}

_METADATA = "__metadata__"
_OURS = "weft"  # metadata: {"crc32": {tensor: checksum}, "tree": structure, "ties": {name: view}}
_HEADER_SUM = "weft.header"  # metadata: the checksum of all the rest of the header
_MAX_HEADER = 100_000_000  # the format's own limit


# ---- writing


class Contents:
    """What goes into a file: a header, and arrays in the order of their values."""

    def __init__(self, obj: Any, tensors: list[tuple[At, Any]]) -> None:
        shared = Shared(x for _, x in tensors)
        if is_flat(obj):
            arrays = {name: host_value(x) for name, x in obj.items()}
            ours: Json = {"ties": _ties(obj, shared)}
        else:
            tree = _Tree(shared, tensors)
            ours = {"tree": encode(obj, tree.entry)}
            arrays = tree.arrays
        ours["crc32"] = {name: zlib.crc32(as_bytes(x)) for name, x in arrays.items()}
        self._header, places = _header(arrays, ours)
        self._arrays = [arrays[name] for name in places]
        self.size = len(self._header) + sum(x.nbytes for x in self._arrays)

    def write(self, f: BinaryIO) -> None:
        f.write(self._header)
        f.writelines(as_bytes(x) for x in self._arrays)


def is_flat(obj: Any) -> bool:
    """Is it a dict[str, Tensor], which is what safetensors files hold?"""
    return isinstance(obj, Mapping) and all(
        isinstance(k, str) and k != _METADATA and isinstance(x, TensorCore) for k, x in obj.items()
    )


def _ties(obj: Mapping[str, Any], shared: Shared) -> Json:
    """Of a flat dict: which tensors are views of others. Their values are there all the same, for
    other programs.
    """
    owners: dict[int, str] = {}
    for name, x in obj.items():
        if shared.is_whole(x):
            owners.setdefault(shared.find(x)[0], name)
    ties = {}
    for name, x in obj.items():
        key, place = shared.find(x)
        if owners.get(key, name) != name:
            ties[name] = [owners[key], *place]
    return ties


class _Tree:
    """The names of the arrays of a structure; each storage is written once."""

    def __init__(self, shared: Shared, tensors: list[tuple[At, Any]]) -> None:
        self.arrays: dict[str, Array] = {}
        self._shared = shared
        self._names: dict[int, str] = {}  # key of a storage -> the name of its array
        self._entries: dict[int, Json] = {}  # id of a tensor -> what stands for it
        whole = [(at, x) for at, x in tensors if shared.is_whole(x)]
        for at, x in [*whole, *tensors]:  # an array has the shape of a tensor that shows it all
            self._add(x, at)

    def entry(self, x: Any) -> Json:
        return self._entries[id(x)]

    def _add(self, x: Any, at: At) -> None:
        key, place = self._shared.find(x)
        if key not in self._names:
            name = self._names[key] = self._free_name(".".join(map(str, at)) or "tensor")
            self.arrays[name] = self._shared.values(x)
            if self._shared.is_whole(x):
                self.arrays[name] = self.arrays[name].reshape(place.shape)
                self._entries[id(x)] = {"tensor": name}
        self._entries.setdefault(id(x), {"view": [self._names[key], *place]})

    def _free_name(self, stem: str) -> str:
        name, copies = stem, 1
        while name in self.arrays or name == _METADATA:  # ("a.b",) and ("a", "b")
            copies += 1
            name = f"{stem}~{copies}"
        return name


def _header(tensors: dict[str, Array], ours: Json) -> tuple[bytes, list[str]]:
    """The header with its length before it, and the names in the order of their values."""
    places = sorted(tensors, key=lambda name: -tensors[name].itemsize)  # keeps each one aligned
    ends, end = {}, 0
    for name in places:
        end += tensors[name].nbytes
        ends[name] = end
    header: dict[str, Any] = {_METADATA: {"format": "pt", _OURS: _dumps(ours)}}
    for name, x in tensors.items():
        code = _NAMES.get(x.dtype.name)
        if code is None:
            raise UnsupportedOp(
                f"tensor '{name}' is of dtype {x.dtype.name}, which safetensors does not have: "
                "convert it, or save to a .pt file"
            )
        header[name] = {
            "dtype": code,
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


# ---- reading


class _Span(NamedTuple):
    """Where a tensor's values are, counted from the end of the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass
class Reader:
    """An open safetensors file."""

    source: Source
    map_location: Any = None
    ours: Json | None = field(default=None, init=False)  # what save() put into the metadata

    def read(self) -> Any:
        """What was saved."""
        storages = self._guarded(self._storages)
        for storage, _ in storages.values():
            storage.move(self.map_location, "cpu")
        return self._guarded(lambda: self._structure(storages))

    def _guarded(self, read: Callable[[], T]) -> T:
        """What comes of contents that make no sense, is said of the file."""
        try:
            return read()
        except UnsupportedOp as error:
            if str(self.source.name) in str(error):
                raise
            raise UnsupportedOp(f"'{self.source.name}': {error}") from None
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise self._damaged("its metadata do not describe a structure of tensors") from error

    def _structure(self, storages: dict[str, Any]) -> Any:
        if self.ours is None or "tree" not in self.ours:
            return self._flat(storages, (self.ours or {}).get("ties", {}))
        made: dict[str, Tensor] = {}

        def tensor(kind: str, content: Json) -> Tensor:
            if kind == "view":
                return self._view(storages, content)
            if content not in made:
                made[content] = _whole(*storages[content])
            return made[content]

        return decode(self.ours["tree"], tensor)

    def _flat(self, storages: dict[str, Any], ties: Json) -> dict[str, Tensor]:
        return {
            name: self._view(storages, ties[name]) if name in ties else _whole(*found)
            for name, found in storages.items()
        }

    def _view(self, storages: dict[str, Any], content: Json) -> Tensor:
        name, offset, shape, strides = content
        storage, own = storages[name]
        _whole(storage, own)  # makes it the tensor of which this is a view
        return storage.tensor(Place(offset, tuple(shape), tuple(strides)))  # type: ignore[no-any-return]

    def _storages(self) -> dict[str, tuple[Storage, tuple[int, ...]]]:
        """All values by name, in the order of the header, with their shapes."""
        spans, start = self._spans()
        budget = Budget(self.source.size)
        found = {}
        for s in sorted(spans, key=lambda s: s.begin):
            found[s.name] = Storage(self._array(s, start), BY_NAME[s.dtype], budget), s.shape
        return {s.name: found[s.name] for s in spans}

    def _damaged(self, what: str) -> CheckpointError:
        return self.source.damaged(what)

    def _spans(self) -> tuple[list[_Span], int]:
        """The tensors' places, checked against each other and the file's size; where they begin."""
        start = self._header_end()
        header = self._parsed(self.source.read(8, start - 8))
        metadata = header.pop(_METADATA, {})
        self._take_ours(metadata, header)
        spans = [self._span(name, entry) for name, entry in header.items()]
        end = 0
        for s in sorted(spans, key=lambda s: (s.begin, s.end)):
            if s.begin != end:
                raise self._damaged(f"the values of tensor '{s.name}' are said to be elsewhere")
            end = s.end
        self.source.ends(start + end)
        return spans, start

    def _header_end(self) -> int:
        begin = self.source.read(0, min(9, self.source.size))
        length = int.from_bytes(begin[:8], "little")
        if len(begin) < 9 or begin[8:] != b"{" or length > _MAX_HEADER:
            size = self.source.size
            what = (
                "it is empty" if size == 0 else f"it has {size:,} bytes and begins with {begin!r}"
            )
            raise CheckpointError(
                f"'{self.source.name}' is not a safetensors file, or was cut short: {what}."
            )
        if 8 + length > self.source.size:
            raise self.source.cut_short(8 + length)
        return 8 + length

    def _parsed(self, text: bytes) -> dict[str, Any]:
        try:
            header = json.loads(text, object_pairs_hook=without_doubles)
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

    def _span(self, name: str, entry: Any) -> _Span:
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
                f"tensor '{name}' in '{self.source.name}' is of dtype {code}, which weft does not "
                f"have: convert it to one of {', '.join(_DTYPES.values())} where the file was made"
            )
        dtype = _DTYPES[code]
        if end - begin != math.prod(shape) * BY_NAME[dtype].itemsize:
            raise self._damaged(
                f"tensor '{name}' has {end - begin:,} bytes, which do not make {dtype} of shape "
                f"{list(shape)}"
            )
        return _Span(name, dtype, shape, begin, end)

    def _array(self, span: _Span, start: int) -> Array:
        array = self.source.array(start + span.begin, BY_NAME[span.dtype], span.shape)
        if self.ours is None or self.source.mapped:  # a sum would read all that is mapped
            return array
        if self.ours["crc32"][span.name] != zlib.crc32(as_bytes(array)):
            raise self._damaged(
                f"tensor '{span.name}' does not match its checksum (bytes "
                f"{start + span.begin:,} to {start + span.end:,})"
            )
        return array


def _whole(storage: Storage, shape: tuple[int, ...]) -> Tensor:
    return storage.tensor(Place(0, shape, contiguous(shape)))
