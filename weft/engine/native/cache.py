"""Machine code on disk, so that the next process need not compile it again.

An entry is a file named for its key; before the code stand a mark and a digest over key and code.
What does not agree with its digest counts as absent: LLVM would end the process over damaged code.
Entries come whole, by renaming, so that processes may share the folder. Those unused longest go
first when there are too many bytes. The cache never fails: a folder that cannot be read or written
is one that is empty or that nothing is added to.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import time
from pathlib import Path

from ... import config

_MARK = b"weft machine code 1\n"
_HEADER = len(_MARK) + hashlib.sha256().digest_size
_SUFFIX = ".code"
_PARTIAL = ".part"
_STALE = 3600.0  # seconds after which a partial file is nobody's any more


def load(key: str) -> bytes | None:
    """The code kept for a key, or None."""
    folder = _folder()
    if folder is None:
        return None
    path = folder / (key + _SUFFIX)
    try:
        with path.open("rb") as file:
            if not _is_ours(os.fstat(file.fileno())):
                return None
            data = file.read()
    except OSError:
        return None
    code = data[_HEADER:]
    if data[:_HEADER] != _header(key, code):
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # used just now
    return code


def store(key: str, code: bytes) -> None:
    """Keeps code for a key, and drops what has been unused longest beyond ``CACHE_BYTES``."""
    folder = _folder()
    if folder is None:
        return
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(_PARTIAL, dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_header(key, code) + code)
            Path(partial).replace(folder / (key + _SUFFIX))
        finally:
            Path(partial).unlink(missing_ok=True)
        _trim_at_times(folder, len(code))


_untrimmed = 0


def _trim_at_times(folder: Path, written: int) -> None:
    """Looking through the folder takes time: once for every sixteenth of its bound."""
    global _untrimmed
    _untrimmed += written
    if _untrimmed > config.CACHE_BYTES // 16:
        _untrimmed = 0
        _trim(folder)


def _folder() -> Path | None:
    if not config.CACHE:
        return None
    try:
        return Path(config.CACHE_DIR).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):  # no home, no working directory, no path at all
        return None


def _header(key: str, code: bytes) -> bytes:
    return _MARK + hashlib.sha256(key.encode() + code).digest()


def _is_ours(status: os.stat_result) -> bool:
    """Whether this user (or root) wrote a file: code of others is not run."""
    if not hasattr(os, "getuid"):
        return True
    return stat.S_ISREG(status.st_mode) and status.st_uid in {0, os.getuid()}


def _trim(folder: Path) -> None:
    files = []
    for path in folder.iterdir():
        if path.suffix in {_SUFFIX, _PARTIAL}:
            with contextlib.suppress(FileNotFoundError):  # another process trims, too
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in files)
    now = time.time()
    for used, size, path in sorted(files):
        stale = path.suffix == _PARTIAL and now - used > _STALE
        if stale or (total > config.CACHE_BYTES and path.suffix == _SUFFIX):
            path.unlink(missing_ok=True)
            total -= size
