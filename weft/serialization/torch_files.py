"""PyTorch's files. Those of ``torch.save``, since version 1.6: a zip archive with a pickle of the
structure (``data.pkl``) and a record for each storage, not compressed; before that, a row of
pickles, then the storages.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import Any

from ..dtypes import dtype
from ..errors import CheckpointError, UnsupportedOp
from ..tensors.creation import empty
from ..tensors.tensor import Tensor
from .files import Source, as_bytes
from .rebuild import AnyStorage, Rebuilder, as_text
from .storages import Budget, Place, Storage

_ZIP = b"PK\3\4"
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the old form
_MAGIC_PICKLES = (b"\x80\x02\x8a\x0a", b"\x80\x03\x8a\x0a", b"\x80\x04\x8a\x0a", b"\x80\x04\x95")


def is_torch_file(source: Source) -> bool:
    """Does it begin like one of PyTorch's files (or any pickle or tar archive)?"""
    begin = source.read(0, min(9, source.size))
    pickled = (
        begin[:1] == b"\x80" and begin[1:2] in (b"\2", b"\3", b"\4", b"\5") and begin[8:] != b"{"
    )
    return begin[:4] == _ZIP or pickled or _is_tar(source)


def _is_tar(source: Source) -> bool:
    return source.size > 262 and source.read(257, 5) == b"ustar"


def read(source: Source, map_location: Any, encoding: str) -> Any:
    """What ``torch.save`` wrote, without running anything of it.

    Raises:
        CheckpointError: if it is damaged, or needs more than tensors and plain values.
        UnsupportedOp: for forms and dtypes that weft does not have.
    """
    try:
        if _is_tar(source):
            raise UnsupportedOp(
                "it is a tar archive, the form of PyTorch 0.1.9 and older: load it with PyTorch "
                "and save it again"
            )
        if source.read(0, 4) == _ZIP:
            return _Archive(source).load(map_location, encoding)
        return _Stream(source).load(map_location, encoding)
    except (CheckpointError, UnsupportedOp) as error:
        if source.name in str(error):
            raise
        raise type(error)(f"'{source.name}' cannot be loaded: {error}") from None


# ---- the zip archive


class _Archive:
    """The zip archive. Where the records are, is taken from its directory and checked here."""

    def __init__(self, source: Source) -> None:
        self.source = source
        try:
            with zipfile.ZipFile(source.f) as archive:
                entries = archive.infolist()
        except (
            *(zipfile.BadZipFile, NotImplementedError, EOFError, OSError, OverflowError),
            *(ValueError, LookupError, struct.error, TypeError, AttributeError),
        ) as error:
            raise CheckpointError(
                f"'{source.name}' is cut short or damaged: it begins as a zip archive, but the "
                f"archive's directory, at its end, is not there or not whole ({error}). Get it "
                "again."
            ) from None
        entries.sort(key=lambda e: e.header_offset)
        self._entries = {e.filename: e for e in entries}
        self._begins = {e.filename: self._begin(e) for e in entries}
        end = 0
        for e in entries:
            if e.header_offset < end:
                raise source.damaged(f"record '{e.filename}' overlaps another")
            end = self._begins[e.filename] + e.compress_size
        if end > source.size or len(self._entries) != len(entries):
            raise source.damaged("its directory does not fit its records")
        self._prefix = self._find_prefix()

    def _begin(self, entry: zipfile.ZipInfo) -> int:
        """Where the values of a record begin."""
        at = entry.header_offset
        fields = _LOCAL_HEADER.unpack(self.source.read(at, _LOCAL_HEADER.size))
        name = self.source.read(at + _LOCAL_HEADER.size, fields[9])
        if fields[0] != _ZIP or name != entry.orig_filename.encode():
            raise self.source.damaged(f"record '{entry.filename}' is not where it should be")
        return at + _LOCAL_HEADER.size + int(fields[9]) + int(fields[10])

    def _find_prefix(self) -> str:
        prefixes = {
            name.removesuffix("data.pkl") for name in self._entries if name.endswith("/data.pkl")
        }
        if not prefixes:
            raise CheckpointError("it is a zip archive, but not one of torch.save's: no data.pkl")
        prefix = min(prefixes, key=len)
        if prefix + "constants.pkl" in self._entries:
            raise UnsupportedOp(
                "it is a TorchScript program. Save its weights where it was made: "
                "torch.save(module.state_dict(), path)"
            )
        return prefix

    def load(self, map_location: Any, encoding: str) -> Any:
        order = self._text("byteorder") if self._prefix + "byteorder" in self._entries else "little"
        if order.strip() != "little":
            raise UnsupportedOp(
                f"its numbers are in byte order '{order:.20}'; weft reads 'little'. Load it with "
                "PyTorch on such a machine, and save it with little-endian order"
            )
        budget = Budget(self.source.size)

        def find(key: str, kind: dtype, count: int) -> Storage:
            return self._storage(f"{self._prefix}data/{key}", kind, count, budget)

        rebuilder = Rebuilder(find, map_location, encoding)
        return rebuilder.load(self._bytes(self._prefix + "data.pkl"))[0]

    def _storage(self, name: str, kind: dtype, count: int, budget: Budget) -> Storage:
        entry = self._entry(name)
        if entry.file_size != count or count % kind.itemsize:
            raise self.source.damaged(
                f"storage '{name}' has {entry.file_size:,} bytes, but {count:,} are wanted"
            )
        values = self.source.array(self._begins[name], kind, (count // kind.itemsize,))
        if not self.source.mapped:  # a sum would read all that is mapped
            self._check_sum(entry, as_bytes(values))
        return Storage(values, kind, budget)

    def _entry(self, name: str) -> zipfile.ZipInfo:
        entry = self._entries.get(name)
        if entry is None:
            raise self.source.damaged(f"there is no record '{name}'")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise UnsupportedOp(
                f"record '{entry.filename}' is compressed, which torch.save never does: pack the "
                "archive again without compression"
            )
        return entry

    def _bytes(self, name: str) -> bytes:
        entry = self._entry(name)
        data = self.source.read(self._begins[name], entry.file_size)
        self._check_sum(entry, data)
        return data

    def _text(self, name: str) -> str:
        return self._bytes(self._prefix + name).decode("ascii", "replace")

    def _check_sum(self, entry: zipfile.ZipInfo, data: Any) -> None:
        # torch.serialization.set_crc32_options(False) writes zeros.
        if entry.CRC not in (0, zlib.crc32(data)):
            raise self.source.damaged(f"record '{entry.filename}' does not match its checksum")


# ---- the row of pickles


class _Probe:
    """A storage of which only the size is known."""

    def tensor(self, place: Place) -> Tensor:
        return empty(0)


class _Stream:
    """The old form: magic number, version, system; the object; the storages' keys; their values.

    The values come last, so the object is interpreted twice: first to learn the storages' sizes.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.data = source.view()

    def load(self, map_location: Any, encoding: str) -> Any:
        nothing = Rebuilder(_no_storages, None, encoding)
        magic, at = self._magic(nothing)
        if magic != _MAGIC:
            raise CheckpointError("it is a pickle, but not one of torch.save's")
        version, at = nothing.load(self.data, at)
        system, at = nothing.load(self.data, at)
        if version != 1001 or not isinstance(system, dict):
            raise CheckpointError("its version is not 1001, the one that is read")
        if system.get("little_endian", system.get(b"little_endian")) is not True:
            raise UnsupportedOp("its numbers are in byte order 'big'; weft reads 'little'")
        wanted: dict[str, tuple[dtype, int]] = {}

        def note(key: str, kind: dtype, count: int) -> AnyStorage:
            wanted[key] = kind, count
            return _Probe()

        begin = at
        _, at = Rebuilder(note, None, encoding).load(self.data, begin)
        keys, at = nothing.load(self.data, at)
        found = self._storages(keys, wanted, at)
        budget = Budget(self.source.size)

        def find(key: str, kind: dtype, count: int) -> Storage:
            return Storage(
                self.source.array(found[key], kind, (count // kind.itemsize,)), kind, budget
            )

        return Rebuilder(find, map_location, encoding).load(self.data, begin)[0]

    def _magic(self, rebuilder: Rebuilder) -> tuple[Any, int]:
        try:
            return rebuilder.load(self.data)
        except CheckpointError as error:
            if bytes(self.data[:4]).startswith(_MAGIC_PICKLES):
                raise
            raise CheckpointError(
                f"it is a pickle, but not one of torch.save's, or a damaged one ({error})"
            ) from None

    def _storages(self, keys: Any, wanted: dict[str, tuple[dtype, int]], at: int) -> dict[str, int]:
        """Where the values of each storage begin."""
        if not isinstance(keys, list) or sorted(map(as_text, keys)) != sorted(wanted):
            raise CheckpointError("its list of storages is not that of its tensors")
        found = {}
        for key in map(as_text, keys):
            kind, count = wanted[key]
            (size,) = struct.unpack("<q", self.source.read(at, 8))
            if size * kind.itemsize != count:
                raise self.source.damaged(
                    f"storage '{key}' has {size:,} elements, but {count // kind.itemsize:,} are "
                    "wanted"
                )
            found[key] = at + 8
            at += 8 + count
        self.source.ends(at)
        return found


def _no_storages(key: str, kind: dtype, count: int) -> AnyStorage:
    raise CheckpointError("there is a tensor where PyTorch writes its version")
