"""Tables: CSV, NumPy, Parquet and Arrow files. A sample is a row."""

from __future__ import annotations

import csv
import operator
import os
import re
import tokenize
import zipfile
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from ....dtypes import as_dtype
from ....errors import IndexOutOfRange
from ....tensors.creation import from_numpy
from ..dataset import Dataset
from ..files import Checksums, StrPath, checked_paths, damaged, optional

Row = dict[str, Any]


def _checked_index(index: Any, count: int, what: str) -> int:
    k = operator.index(index)
    if not -count <= k < count:
        raise IndexOutOfRange(f"row {k} is asked for, of {count} of {what}")
    return k % count


# ---- CSV


class CSVDataset(Dataset[Row]):
    """A CSV file, in memory. A sample is a dict of the row's values by column.

    Columns of whole numbers are int64, of numbers float64 (what is left empty is NaN), others str.

    Args:
        path: the file.
        columns: names of those to take; all if left out.
        dtypes: for columns by name, ``str`` or a dtype, in place of what they look like.
        delimiter: between fields.
        header: whether the first line has the columns' names; else they are "0", "1", ...
        encoding: of the text.
        checksums: of the file, by name: a mapping, or a file as of ``sha256sum``.

    Attributes:
        columns: the values of each column: a NumPy array, or a list of strings.

    Raises:
        FileNotFoundError: if the file is not there.
        CheckpointError: if its sum is wrong, or it is not a table, naming the line.
        KeyError: for a column that there is not.
        ValueError: for a value that is none of the dtype asked for, naming the line.
    """

    def __init__(
        self,
        path: StrPath,
        columns: Sequence[str] | None = None,
        dtypes: Mapping[str, Any] | None = None,
        *,
        delimiter: str = ",",
        header: bool = True,
        encoding: str = "utf-8",
        checksums: Checksums = None,
    ) -> None:
        (self.path,) = checked_paths(path, (".csv",), checksums)
        content = self.path.read_bytes()
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise damaged(
                self.path, f"is damaged, or not {encoding}: line {line} cannot be decoded ({error})"
            ) from error
        names, rows = _rows_of(self.path, text.removeprefix("\ufeff"), delimiter, header)
        chosen = list(names if columns is None else columns)
        dtypes = dtypes or {}
        _check_names([*chosen, *dtypes], names, self.path)
        self._count = len(rows)
        self.columns: dict[str, Any] = {}
        for name in chosen:
            k = names.index(name)
            texts = [fields[k] for _, fields in rows]
            self.columns[name] = self._column(name, texts, dtypes.get(name), rows)

    def _column(
        self, name: str, texts: list[str], kind: Any, rows: list[tuple[int, list[str]]]
    ) -> Any:
        if kind is str:
            return texts
        if kind is None:
            return _as_they_look(texts)
        convert = int if as_dtype(kind).category <= 1 else _number
        values = []
        for (line, _), text in zip(rows, texts, strict=True):
            try:
                values.append(convert(text))
            except ValueError:
                raise ValueError(
                    f"'{self.path}', line {line}, column {name!r}: {text!r} is no {as_dtype(kind)}"
                ) from None
        return np.array(values).astype(as_dtype(kind).numpy)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Row:
        k = _checked_index(index, len(self), f"'{self.path}'")
        return {name: column[k] for name, column in self.columns.items()}


def _check_names(wanted: Sequence[str], names: Sequence[str], path: Path) -> None:
    for name in wanted:
        if name not in names:
            raise KeyError(f"'{path}' has no column {name!r}, only {', '.join(map(repr, names))}")


def _rows_of(
    path: Path, text: str, delimiter: str, header: bool
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The columns' names, and each row with the number of its (last) line."""
    before, zero, _ = text.partition("\0")  # as where a file has grown but was not written
    if zero:
        line = before.count("\n") + 1
        raise damaged(path, f"is damaged: line {line} has zeros")
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    try:
        rows = [(reader.line_num, fields) for fields in reader if fields]
    except csv.Error as error:
        raise damaged(path, f"is no table: line {reader.line_num}: {error}") from error
    if not rows:
        raise damaged(path, "is no table: it has no lines")
    names = rows.pop(0)[1] if header else [str(k) for k in range(len(rows[0][1]))]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise damaged(path, f"has several columns of one name: {', '.join(map(repr, repeated))}")
    for line, fields in rows:
        if len(fields) != len(names):
            raise damaged(
                path,
                f"is cut short or damaged: line {line} has {len(fields)} fields, not {len(names)}",
            )
    return names, rows


_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,18}\s*")


def _as_they_look(texts: list[str]) -> Any:
    if texts and all(_WHOLE.fullmatch(text) for text in texts):
        return np.array([int(text) for text in texts], np.int64)
    try:
        values = np.array([_number(text) for text in texts], np.float64)
    except ValueError:
        return texts
    return texts if not any(texts) else values


def _number(text: str) -> float:
    return float(text) if text.strip() else float("nan")


# ---- NumPy


class NumpyDataset(Dataset[Any]):
    """The rows of a ``.npy`` file, which stays on disk, or of the arrays of a ``.npz`` file.

    Args:
        path: the file. A sample of ``.npy`` is a Tensor, of ``.npz`` a dict of Tensors by the
            arrays' names, which must have as many rows each.
        checksums: of the file, by name: a mapping, or a file as of ``sha256sum``.

    Raises:
        FileNotFoundError: if the file is not there.
        CheckpointError: if its sum is wrong, or it is cut short, damaged or another kind of file.
    """

    def __init__(self, path: StrPath, *, checksums: Checksums = None) -> None:
        (self.path,) = checked_paths(path, (".npy", ".npz"), checksums)
        self._opened: Any = None
        arrays = self._arrays()
        parts = arrays if isinstance(arrays, dict) else {"": arrays}
        counts = {name: len(x) if x.ndim else None for name, x in parts.items()}
        if None in counts.values() or len(set(counts.values())) != 1:
            raise damaged(self.path, f"does not hold arrays of as many rows each: {counts}")
        self._count = next(iter(counts.values())) or 0

    def __getstate__(self) -> dict[str, Any]:
        """Another process opens the file itself."""
        return {**self.__dict__, "_opened": None}

    def _arrays(self) -> Any:
        if self._opened is None:
            try:
                self._opened = _loaded(self.path)
            except (
                *(ValueError, EOFError, OSError, SyntaxError, tokenize.TokenError),
                *(zipfile.BadZipFile, NotImplementedError, RuntimeError),
            ) as error:
                raise damaged(
                    self.path, f"is cut short, damaged, or no array of numbers: {error}"
                ) from error
        return self._opened

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        k = _checked_index(index, len(self), f"'{self.path}'")
        arrays = self._arrays()
        if isinstance(arrays, dict):
            return {name: from_numpy(np.asarray(x[k])) for name, x in arrays.items()}
        return from_numpy(np.asarray(arrays[k]))


def _loaded(path: Path) -> Any:
    """The array of a file, left on disk, or a dict of arrays."""
    if not zipfile.is_zipfile(path):
        return np.lib.format.open_memmap(path, mode="r")
    with path.open("rb") as f, np.load(f, allow_pickle=False) as arrays:
        _check_directory(f, arrays.zip)
        return {name: arrays[name] for name in arrays.files}


def _check_directory(f: Any, archive: zipfile.ZipFile) -> None:
    """As many names as its end says: ``zipfile`` takes an entry for a comment of the one before."""
    f.seek(-len(archive.comment) - 12, os.SEEK_END)
    count = int.from_bytes(f.read(2), "little")
    names = set(archive.namelist())
    if count != min(len(names), 0xFFFF):
        raise ValueError(f"its directory names {len(names)} arrays, not {count}")


# ---- Parquet and Arrow (they need pyarrow)


class _Groups(Dataset[Row]):
    """Rows that lie in groups, which are read as a whole; the latest few stay in memory."""

    _kept = 4

    def __init__(
        self,
        path: StrPath | list[StrPath],
        columns: Sequence[str] | None = None,
        *,
        checksums: Checksums = None,
    ) -> None:
        self.paths = checked_paths(path, self._suffixes, checksums)
        self.columns = None if columns is None else list(columns)
        self._cache: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._groups: list[tuple[Path, int]] = []
        sizes: list[int] = []
        for each in self.paths:
            found = self._read(each, partial(self._sizes, each))
            self._groups += [(each, k) for k in range(len(found))]
            sizes += found
        self._ends = list(accumulate(sizes)) or [0]

    _suffixes: tuple[str, ...]

    def _sizes(self, path: Path) -> list[int]:
        """How many rows each group of a file has."""
        raise NotImplementedError

    def _table(self, path: Path, group: int) -> Any:
        """A group as a table of pyarrow's."""
        raise NotImplementedError

    def _read(self, path: Path, read: Any) -> Any:
        arrow = optional("pyarrow", "data", type(self).__name__)
        try:
            return read()
        except (arrow.ArrowException, OSError, ValueError) as error:
            raise damaged(
                path, f"is cut short, damaged, or another kind of file: {error}"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        """Another process reads for itself."""
        return {**self.__dict__, "_cache": OrderedDict()}

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: Any) -> Row:
        k = _checked_index(index, len(self), f"{len(self.paths)} files")
        group = bisect_right(self._ends, k)
        row = k - (self._ends[group - 1] if group else 0)
        return {name: column[row] for name, column in self._columns_of(group).items()}

    def __getitems__(self, indices: Sequence[Any]) -> list[Row]:
        order = sorted(range(len(indices)), key=lambda k: int(indices[k]) % max(len(self), 1))
        rows = {k: self[indices[k]] for k in order}  # group by group
        return [rows[k] for k in range(len(indices))]

    def _columns_of(self, group: int) -> dict[str, Any]:
        found = self._cache.get(group)
        if found is None:
            path, number = self._groups[group]
            table = self._read(path, partial(self._table, path, number))
            _check_names(self.columns or [], table.column_names, path)
            names = self.columns or table.column_names
            found = {name: _values(table.column(name)) for name in names}
            self._cache[group] = found
            while len(self._cache) > self._kept:  # (several threads may do so at once)
                self._cache.popitem(last=False)
        return found


def _values(column: Any) -> Any:
    """A column of pyarrow's as a NumPy array, a list of those, or a list."""
    types = optional("pyarrow.types", "data", "reading tables")
    kind = column.type
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        return column.to_numpy(zero_copy_only=False)
    rows = column.to_pylist()
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        inner = kind.value_type
        if types.is_integer(inner) or types.is_floating(inner) or types.is_boolean(inner):
            dtype = inner.to_pandas_dtype()
            return [None if row is None else np.array(row, dtype) for row in rows]
    return rows


class ParquetDataset(_Groups):
    """The rows of Parquet files, as dicts by column. Needs pyarrow: ``pip install 'weft[data]'``.

    Rows are read by the row group, and the groups read last are kept: rows in order are quick,
    rows in random order only where few groups hold them.

    Args:
        path: a file, several, or a folder, whose files that end in ``.parquet`` are taken.
        columns: names of those to read; all if left out.
        checksums: of the files, by name: a mapping, or a file as of ``sha256sum``. Parquet has no
            sums of its own as a rule, so a flipped bit may otherwise stay unseen.

    Raises:
        FileNotFoundError: if a file is not there.
        CheckpointError: naming a file that is cut short or damaged.
        KeyError: for a column that there is not, when a row is taken.
        ImportError: without pyarrow.
    """

    _suffixes = (".parquet",)

    def _file(self, path: Path) -> Any:
        parquet = optional("pyarrow.parquet", "data", "ParquetDataset")
        return parquet.ParquetFile(path, page_checksum_verification=True)

    def _sizes(self, path: Path) -> list[int]:
        with self._file(path) as f:
            metadata = f.metadata
            return [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)]

    def _table(self, path: Path, group: int) -> Any:
        with self._file(path) as f:
            _check_names(self.columns or [], f.schema_arrow.names, path)
            return f.read_row_group(group, columns=self.columns, use_threads=False)


class ArrowDataset(_Groups):
    """The rows of Arrow files (IPC files, streams, Feather version 2), as dicts by column, read
    through a memory map. Needs pyarrow: ``pip install 'weft[data]'``.

    Arguments and errors as for :class:`ParquetDataset`; in a folder, files that end in ``.arrow``
    or ``.feather`` are taken.
    """

    _suffixes = (".arrow", ".feather")

    def _batches(self, path: Path) -> list[Any]:
        arrow = optional("pyarrow", "data", "ArrowDataset")
        source = arrow.memory_map(os.fspath(path))
        try:
            reader = arrow.ipc.open_file(source)
        except arrow.ArrowInvalid:
            source.seek(0)
            return list(arrow.ipc.open_stream(source))
        return [reader.get_batch(k) for k in range(reader.num_record_batches)]

    def _sizes(self, path: Path) -> list[int]:
        return [batch.num_rows for batch in self._batches(path)]

    def _table(self, path: Path, group: int) -> Any:
        arrow = optional("pyarrow", "data", "ArrowDataset")
        batch = self._batches(path)[group]
        batch.validate(full=True)  # a damaged offset must not lead out of the file
        return arrow.Table.from_batches([batch])
