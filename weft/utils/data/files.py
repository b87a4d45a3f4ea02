"""Reading files: where they are, whether they are whole, and what is said when they are not."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ...errors import CheckpointError

StrPath = str | os.PathLike[str]

#: What a user says of checksums: by name of the file, or a file that lists them.
Checksums = Mapping[str, str] | StrPath | None

_BY_LENGTH = {32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}
_PIECE = 1 << 20


def damaged(path: StrPath, why: str) -> CheckpointError:
    """The error for a file that is not what it should be."""
    return CheckpointError(f"'{os.fspath(path)}' {why}. Get the file again")


class Sums:
    """Checksums of files.

    Args:
        given: a mapping from names to hexadecimal sums, or a file as ``sha256sum`` writes it, with
            lines of a sum and a name. MD5, SHA-1 and SHA-2, told apart by their length.
        root: the folder that the names start from.

    Raises:
        ValueError: for what is no sum.
        FileNotFoundError: if the file that lists them is not there.
    """

    def __init__(self, given: Checksums, root: StrPath) -> None:
        self._root = Path(root)
        pairs: dict[str, str] = {}
        if isinstance(given, Mapping):
            pairs = dict(given)
        elif given is not None:
            pairs = _listed(Path(given))
        self._sums = {}
        for name, text in pairs.items():
            text = text.strip().lower()
            if len(text) not in _BY_LENGTH or set(text) - set("0123456789abcdef"):
                raise ValueError(
                    f"checksums: {text!r} of '{name}' is no MD5, SHA-1 or SHA-2 sum in hexadecimal"
                )
            self._sums[os.path.normpath(self._root / name)] = text

    def _wanted(self, path: StrPath) -> str | None:
        return self._sums.get(os.path.normpath(path)) if self._sums else None

    def check(self, path: StrPath) -> None:
        """
        Raises:
            CheckpointError: if the file's sum is known and another one.
        """
        wanted = self._wanted(path)
        if wanted is None:
            return
        state = hashlib.new(_BY_LENGTH[len(wanted)], usedforsecurity=False)
        with Path(path).open("rb") as f:
            while piece := f.read(_PIECE):
                state.update(piece)
        _compare(path, wanted, state.hexdigest())

    def read(self, path: StrPath) -> bytes:
        """The file's content, its sum checked if it is known."""
        content = Path(path).read_bytes()
        wanted = self._wanted(path)
        if wanted is not None:
            name = _BY_LENGTH[len(wanted)]
            found = hashlib.new(name, content, usedforsecurity=False).hexdigest()
            _compare(path, wanted, found)
        return content


def _compare(path: StrPath, wanted: str, found: str) -> None:
    if found != wanted:
        kind = _BY_LENGTH[len(wanted)].upper()
        raise damaged(path, f"is damaged, or another file: its {kind} sum is {found}, not {wanted}")


def _listed(file: Path) -> dict[str, str]:
    sums = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        text, _, name = line.partition(" ")
        if not name.strip():
            raise ValueError(f"'{file}', line {number}: a sum and a name, not {line!r}")
        sums[name.strip().removeprefix("*")] = text
    return sums


def first_of(root: Path, candidates: list[str], what: str) -> Path:
    """The first of these files under ``root`` that is there.

    Raises:
        FileNotFoundError: if none is, saying what the folder holds.
    """
    for name in candidates:
        if (root / name).is_file():
            return root / name
    looked = " or ".join(f"'{name}'" for name in candidates)
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder '{root}' ({what}: looked in it for {looked})")
    raise FileNotFoundError(
        f"{what}: there is no {looked} in '{root}', which holds {listing(root)}"
    )


def listing(folder: Path, limit: int = 10) -> str:
    """The first names in a folder, as text."""
    names = sorted(p.name for p in folder.iterdir())
    if not names:
        return "nothing"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def checked_paths(
    given: StrPath | list[StrPath], suffixes: tuple[str, ...], checksums: Checksums
) -> list[Path]:
    """Files that a user has named: one, several, or all in a folder that end in ``suffixes``.

    Args:
        checksums: by name, from the first file's folder.

    Raises:
        FileNotFoundError: for one that is not there, or a folder without any.
        CheckpointError: for one whose sum is wrong.
    """
    paths = list(_paths_of(given if isinstance(given, list) else [given], suffixes))
    if not paths:
        raise ValueError("there is no file to read: the list of paths is empty")
    sums = Sums(checksums, paths[0].parent)
    for path in paths:
        sums.check(path)
    return paths


def _paths_of(given: list[StrPath], suffixes: tuple[str, ...]) -> Iterator[Path]:
    for each in given:
        path = Path(each)
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.name.lower().endswith(suffixes))
            if not found:
                raise FileNotFoundError(
                    f"there is no file that ends in {' or '.join(suffixes)} in '{path}', which "
                    f"holds {listing(path)}"
                )
            yield from found
        elif path.is_file():
            yield path
        else:
            raise FileNotFoundError(f"there is no file '{path}'")


def optional(package: str, extra: str, what: str) -> Any:
    """A package that weft does without, imported when it is needed.

    Raises:
        ImportError: if it is not installed, saying how to.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ImportError(
            f"{what} needs the package {package.partition('.')[0]}, which cannot be imported "
            f"({error}): pip install 'weft[{extra}]'"
        ) from error
