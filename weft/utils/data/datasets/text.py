"""Lines of text files, found by their offsets."""

from __future__ import annotations

import operator
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import IndexOutOfRange
from ..dataset import Dataset
from ..files import Checksums, StrPath, checked_paths, damaged

_PIECE = 1 << 24


class TextLines(Dataset[str]):
    r"""The lines of text files, without their ends (``\n`` or ``\r\n``).

    The files are read once, to find where lines begin; later each line is read from its place. So
    the text itself takes no memory, and workers share the table of places.

    Args:
        path: a file, several, or a folder, whose files that end in ``.txt`` are taken.
        encoding: of the text; one that has ASCII's line ends, as UTF-8 has.
        checksums: of the files, by name: a mapping, or a file as of ``sha256sum``.

    Attributes:
        paths: the files.
        offsets: for each file an int64 array: where each line begins, and where the last one ends.

    Raises:
        FileNotFoundError: if a file is not there.
        CheckpointError: if a file's sum is wrong; when a line is taken, if its file has changed
            since, or cannot be decoded, naming file and line.
    """

    def __init__(
        self,
        path: StrPath | list[StrPath],
        encoding: str = "utf-8",
        *,
        checksums: Checksums = None,
    ) -> None:
        self.paths = checked_paths(path, (".txt",), checksums)
        self.encoding = encoding
        self._stamps = [_stamp(each) for each in self.paths]
        self.offsets = [_line_starts(each) for each in self.paths]
        self._ends = list(accumulate(len(starts) - 1 for starts in self.offsets))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: Any) -> str:
        k = operator.index(index)
        count = len(self)
        if not -count <= k < count:
            raise IndexOutOfRange(f"line {k} is asked for, of {count} lines of text")
        k %= count
        at = bisect_right(self._ends, k)
        line = k - (self._ends[at - 1] if at else 0)
        return self._line(at, line)

    def _line(self, at: int, line: int) -> str:
        path = self.paths[at]
        start, end = self.offsets[at][line : line + 2].tolist()
        with path.open("rb") as f:
            if _stamp(path) != self._stamps[at]:
                raise damaged(path, "has changed since its lines were counted")
            f.seek(start)
            content = f.read(end - start)
        content = content.removesuffix(b"\n").removesuffix(b"\r")
        try:
            return content.decode(self.encoding)
        except UnicodeDecodeError as error:
            raise damaged(
                path,
                f"is damaged, or not {self.encoding}: line {line + 1} has byte "
                f"0x{content[error.start]:02x} at offset {start + error.start:,} ({error.reason})",
            ) from error


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _line_starts(path: Path) -> Any:
    """Where lines begin, and the end of the file."""
    starts = [np.zeros(1, np.int64)]
    at = 0
    with path.open("rb") as f:
        while piece := f.read(_PIECE):
            ends = np.flatnonzero(np.frombuffer(piece, np.uint8) == ord("\n"))
            starts.append(ends + (at + 1))
            at += len(piece)
    found = np.concatenate(starts)
    return found if found[-1] == at else np.append(found, at)
