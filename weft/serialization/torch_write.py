"""Files as ``torch.save`` writes them, which ``torch.load(..., weights_only=True)`` reads.

Only the names that its restricted unpickler permits occur: dicts, lists, tuples and plain values
are written as opcodes, tensors as ``torch._utils._rebuild_tensor_v2`` of a storage.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

from ..dtypes import dtype
from ..graph.device import device
from ..nn.parameter import Parameter
from ..tensors.core import TensorCore
from ..tensors.shape import Size
from .files import Array, as_bytes
from .rebuild import STORAGES
from .storages import Shared
from .structure import At, dict_kind, plain

_KINDS = {name: storage for storage, name in STORAGES.items()}
_ALIGNMENT = 64  # of records, as PyTorch's, so that they can be mapped into memory
_DATE = (1980, 1, 1, 0, 0, 0)  # the same contents make the same file


class Contents:
    """What goes into a file: records by name."""

    def __init__(self, obj: Any, tensors: list[tuple[At, Any]]) -> None:
        pickler = _Pickler(Shared(x for _, x in tensors))
        self._records: dict[str, Any] = {
            "data.pkl": pickler.dump(obj),
            "byteorder": b"little",
            **{f"data/{k}": as_bytes(x) for k, x in enumerate(pickler.storages)},
            "version": b"3\n",
        }
        self.size = sum(len(data) for data in self._records.values())

    def write(self, f: BinaryIO) -> None:
        with zipfile.ZipFile(f, "w") as archive:
            at = f.tell() if f.seekable() else 0
            for name, data in self._records.items():
                entry = zipfile.ZipInfo(f"archive/{name}", _DATE)
                entry.file_size = entry.compress_size = len(data)
                entry.CRC = zlib.crc32(data)
                entry.extra = _padding(entry, at)
                with archive.open(entry, "w") as record:
                    record.write(data)
                at = archive.start_dir


def _padding(entry: zipfile.ZipInfo, at: int) -> bytes:
    """An extra field after which the record's values are aligned."""
    plain_length = len(entry.FileHeader()) + 4
    length = -(at + plain_length) % _ALIGNMENT
    return struct.pack("<2sH", b"FB", length) + b"Z" * length


class _Pickler:
    """Writes one pickle, of protocol 2, of a structure that has been checked."""

    def __init__(self, shared: Shared) -> None:
        self.storages: list[Array] = []
        self._shared = shared
        self._out = bytearray(b"\x80\x02")
        self._memo: dict[int, int] = {}  # id of a tensor -> its number
        self._keys: dict[int, int] = {}  # key of a storage -> its number in the file

    def dump(self, obj: Any) -> bytes:
        self._write(obj)
        self._out += b"."
        return bytes(self._out)

    def _write(self, value: Any) -> None:
        if isinstance(value, TensorCore):
            self._write_once(value)
        elif isinstance(value, Mapping):
            self._dict(value)
        elif isinstance(value, Size):
            self._call("torch Size", tuple(value))
        elif isinstance(value, list):
            self._out += b"]("
            for item in value:
                self._write(item)
            self._out += b"e"
        elif isinstance(value, tuple):
            self._out += b"("
            for item in value:
                self._write(item)
            self._out += b"t"
        elif isinstance(value, dtype):
            self._name(f"torch {value.name}")
        elif isinstance(value, device):
            index = () if value.index is None else (value.index,)
            self._call("torch device", value.type, *index)
        else:
            self._plain(plain(value))

    def _plain(self, value: Any) -> None:
        if value is None:
            self._out += b"N"
        elif isinstance(value, bool):
            self._out += b"\x88" if value else b"\x89"
        elif isinstance(value, float):
            self._out += b"G" + struct.pack(">d", value)
        elif isinstance(value, str):
            text = value.encode("utf-8", "surrogatepass")
            self._out += b"X" + struct.pack("<I", len(text)) + text
        else:
            self._int(value)

    def _int(self, value: int) -> None:
        if -(1 << 31) <= value < 1 << 31:
            self._out += b"J" + struct.pack("<i", value)
            return
        data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        if len(data) > 255:
            raise ValueError(f"PyTorch's files hold ints of up to 255 bytes, not {len(data)}")
        self._out += b"\x8a" + bytes([len(data)]) + data

    def _dict(self, value: Mapping[Any, Any]) -> None:
        kind = dict_kind(value)
        if kind == "Counter":
            self._call("collections Counter", dict(value))
            return
        if kind == "OrderedDict":
            self._call("collections OrderedDict")
        else:
            self._out += b"}"
        self._out += b"("
        for key, item in value.items():
            self._plain(plain(key))
            self._write(item)
        self._out += b"u"
        metadata = getattr(value, "_metadata", None)  # of a state_dict: versions of modules
        if kind == "OrderedDict" and isinstance(metadata, Mapping):
            self._dict({"_metadata": metadata})
            self._out += b"b"

    def _call(self, name: str, *arguments: Any) -> None:
        self._name(name)
        self._write(arguments)
        self._out += b"R"

    def _name(self, name: str) -> None:
        self._out += b"c" + name.replace(" ", "\n").encode() + b"\n"

    # ---- tensors

    def _write_once(self, x: Any) -> None:
        number = self._memo.get(id(x))
        if number is not None:
            self._out += b"j" + struct.pack("<I", number)
            return
        if isinstance(x, Parameter):
            self._name("torch._utils _rebuild_parameter")
            self._out += b"("
            self._tensor(x, requires_grad=False)
            self._plain(bool(x.requires_grad))
            self._call("collections OrderedDict")
            self._out += b"tR"
        else:
            self._tensor(x, bool(x.requires_grad))
        number = self._memo[id(x)] = len(self._memo)
        self._out += b"r" + struct.pack("<I", number)

    def _tensor(self, x: Any, requires_grad: bool) -> None:
        key, place = self._shared.find(x)
        typed = x.dtype.name in _KINDS  # the newer dtypes have no storages of their own
        self._name(f"torch._utils _rebuild_tensor_v{2 if typed else 3}")
        self._out += b"("
        self._storage(x, key)
        self._int(place.offset)
        self._write(tuple(place.shape))
        self._write(tuple(place.strides))
        self._plain(requires_grad)
        self._call("collections OrderedDict")
        if not typed:
            self._write(x.dtype)
        self._out += b"tR"

    def _storage(self, x: Any, key: int) -> None:
        if key not in self._keys:
            self._keys[key] = len(self.storages)
            self.storages.append(self._shared.values(x))
        number = self._keys[key]
        kind: dtype = x.dtype
        self._out += b"("
        self._plain("storage")
        typed = kind.name in _KINDS
        self._name(f"torch {_KINDS[kind.name]}" if typed else "torch.storage UntypedStorage")
        self._plain(str(number))
        self._plain("cpu")
        self._int(int(self.storages[number].size))
        self._out += b"tQ"
