"""Files that are whole at every moment, and files read with every size checked."""

from __future__ import annotations

import errno
import io
import math
import mmap
import os
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from ..dtypes import dtype
from ..errors import CheckpointError, did_you_mean

PathLike: TypeAlias = str | os.PathLike[str]
Array: TypeAlias = Any  # numpy.ndarray, also of ml_dtypes.bfloat16


def as_bytes(x: Array) -> Array:
    """The values in order, as bytes; a copy only where they are not contiguous."""
    return np.ascontiguousarray(x).reshape(-1).view(np.uint8)


# ---- writing


@contextmanager
def replacing(path: Path, size: int) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` once it is complete and on the disk.

    Until then it has no name, where the system knows such files (Linux), so that a process that is
    killed leaves nothing behind. Elsewhere it has a name of its own beside ``path``, locked as long
    as it is written; the next save removes those that nobody holds.

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
        remove_abandoned(target.parent, escape(target.name))
        try:
            with _new_file(temporary) as f:
                yield f
                f.flush()
                os.fsync(f.fileno())
                if not temporary.exists():
                    _name(f.fileno(), temporary)
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


def _new_file(path: Path) -> BinaryIO:
    """A new file, locked: without a name if that can be had, else at ``path``."""
    f: BinaryIO | None = None
    if (nameless := getattr(os, "O_TMPFILE", 0)) and Path("/proc/self/fd").exists():
        with suppress(OSError):  # not on every file system
            f = os.fdopen(os.open(path.parent, nameless | os.O_RDWR, 0o666), "wb")
    if f is None:
        f = path.open("xb")
    _lock(f)
    return f


def _lock(f: BinaryIO) -> bool:
    """Takes the lock of a file, if nobody else has it and the system has locks."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _name(descriptor: int, path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:  # with a folder's descriptor, because only then Python lets the system follow the link
        os.link(f"/proc/self/fd/{descriptor}", path.name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        os.close(folder)


def remove_abandoned(folder: Path, pattern: str) -> None:
    """Removes what processes that were killed left of files whose names fit a glob pattern."""
    for path in folder.glob(f".{pattern}.????????.tmp"):
        with suppress(OSError), path.open("rb") as f:
            if _lock(f):
                path.unlink()


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
    kept = "The previous file is untouched" if _is_there(path) else "Nothing was written"
    return f"could not save '{path}': {reason}. {kept}."


def _is_there(path: Path) -> bool:
    with suppress(OSError):  # a folder that may not be looked into
        return path.exists()
    return False


# ---- reading


class Source:
    """An open file to read, of known size.

    Args:
        f: at its beginning.
        name: of the file, in messages.
        mapped: map it into memory in place of reading it: only what is used comes from the disk.
        alone: nothing may follow what is read.

    Attributes:
        end: where that ended, once it is known.
    """

    def __init__(self, f: BinaryIO, name: str, mapped: bool = False, alone: bool = True) -> None:
        self.f = f
        self.name = name
        self.alone = alone
        self.end: int | None = None
        self.size = f.seek(0, os.SEEK_END)
        f.seek(0)
        self.mapped = mapped
        # Private: nothing that is written to the memory gets into the file.
        access = mmap.ACCESS_COPY
        self._map = mmap.mmap(f.fileno(), 0, access=access) if mapped and self.size else None

    def read(self, begin: int, count: int) -> bytes:
        """``count`` bytes from ``begin`` on.

        Raises:
            CheckpointError: if the file has not so many.
        """
        if count < 0 or begin < 0 or begin + count > self.size:
            raise self.cut_short(begin + count)
        self.f.seek(begin)
        data = bytearray(count)
        if _fill(self.f, memoryview(data)) != count:
            raise self.damaged(f"bytes {begin:,} to {begin + count:,} could not be read")
        return bytes(data)

    def array(self, begin: int, kind: dtype, shape: tuple[int, ...]) -> Array:
        """Values from ``begin`` on; memory is taken only if the file has so many.

        Raises:
            CheckpointError: if the file has not so many.
        """
        count = math.prod(shape) * kind.itemsize
        if begin + count > self.size:
            raise self.cut_short(begin + count)
        if self._map is not None and count:
            values = np.frombuffer(self._map, np.uint8, count, begin).view(kind.numpy)
            return (values if values.flags.aligned else values.copy()).reshape(shape)
        array = np.empty(shape, kind.numpy)
        self.f.seek(begin)
        if _fill(self.f, memoryview(as_bytes(array))) != count:
            raise self.damaged(f"bytes {begin:,} to {begin + count:,} could not be read")
        return array

    def view(self) -> memoryview:
        """All of it, read as far as it is looked at, where the system can do that."""
        # Others, a gzip.GzipFile say, may have a descriptor whose file holds something else.
        if type(self.f) is io.BufferedReader and type(self.f.raw) is io.FileIO and self.size:
            return memoryview(mmap.mmap(self.f.fileno(), 0, access=mmap.ACCESS_READ))
        return memoryview(self.read(0, self.size))

    def ends(self, at: int) -> None:
        """What is read ends here.

        Raises:
            CheckpointError: if the file does not, or goes on where it should not.
        """
        if at > self.size:
            raise self.cut_short(at)
        if at < self.size and self.alone:
            raise self.damaged(f"expected {at:,} bytes, it has {self.size:,}")
        self.end = at

    def damaged(self, what: str) -> CheckpointError:
        return CheckpointError(f"'{self.name}' is damaged: {what}. Use an earlier copy of it.")

    def cut_short(self, expected: int) -> CheckpointError:
        return CheckpointError(
            f"'{self.name}' is cut short: expected {expected:,} bytes, it has {self.size:,}. The "
            "copy or download was not finished; get it again."
        )


def _fill(f: BinaryIO, values: memoryview) -> int:
    """Reads as many bytes as there is room for, or as there are; returns how many."""
    done = 0
    while done < len(values):
        if hasattr(f, "readinto"):
            count = f.readinto(values[done:])
        else:
            part = f.read(len(values) - done)
            count = len(part)
            values[done : done + count] = part
        if not count:
            break
        done += count
    return done


def without_doubles(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, for ``json.loads``.

    Raises:
        ValueError: if a key stands there twice.
    """
    pairs = list(pairs)
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands there twice")
    return made


def missing(path: Path) -> FileNotFoundError:
    """What to raise for a file that is not there."""
    folder = path.parent
    if not folder.is_dir():
        return FileNotFoundError(f"there is no file '{path}': there is no folder '{folder}'")
    hint = did_you_mean(path.name, [p.name for p in folder.iterdir()])
    return FileNotFoundError(f"there is no file '{path}'.{hint}")
