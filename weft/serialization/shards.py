"""State_dicts spread over several files, in the layout of Hugging Face's libraries.

Beside the shards stands an index, ``model.safetensors.index.json``, that says which tensor is where
(https://huggingface.co/docs/safetensors/metadata_parsing). The index names the shards, so what is
to appear at once is the index: shards never take the place of others that an index names.
"""

from __future__ import annotations

import json
import re
import secrets
import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from glob import escape
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import CheckpointError
from ..tensors.core import TensorCore
from .files import missing, remove_abandoned, replacing, without_doubles
from .structure import checked, place

_SUFFIX = ".index.json"
_SUM = "weft.crc32"  # in the index that save() writes: the checksum of its weight_map
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {f"{name[0]}IB": 1 << 10 * k for k, name in enumerate(_UNITS, start=1)}

Write = Callable[[Any, Any], Any]  # makes the contents of a file
Read = Callable[[BinaryIO, str], Any]


# ---- saving


def save_shards(obj: Any, path: Path, contents: Write, max_shard_size: int | str) -> None:
    """Writes a dict of tensors to one file, or to several with an index.

    Raises:
        TypeError: if it is no dict of tensors.
        CheckpointError: if a file cannot be written; what was there before is then there still.
    """
    _check_flat(obj)
    shards = _split(obj, _bytes(max_shard_size))
    index = path.with_name(path.name + _SUFFIX)
    if len(shards) == 1:
        _write(obj, path, contents)
        index.unlink(missing_ok=True)
        _remove_other_sets(path, [])
        return
    names = _names(path, len(shards))
    written: list[Path] = []
    try:
        for name, shard in zip(names, shards, strict=True):
            _write(shard, path.with_name(name), contents)
            written.append(path.with_name(name))
        text = json.dumps(_index(names, shards), indent=2).encode()
        with replacing(index, len(text)) as f:
            f.write(text)
    except BaseException:
        _remove(written)
        raise
    path.unlink(missing_ok=True)  # what load() would take before the index
    _remove_other_sets(path, names)


def _check_flat(obj: Any) -> None:
    checked(obj)
    if not isinstance(obj, Mapping):
        raise TypeError(f"max_shard_size: only a dict of tensors is spread, not {type(obj)}")
    for key, x in obj.items():
        if not isinstance(key, str) or not isinstance(x, TensorCore):
            raise TypeError(
                f"max_shard_size: only a dict of tensors is spread, but {place((key,))} is "
                f"{type(x).__name__}: save the rest in a file of its own"
            )


def _bytes(size: int | str) -> int:
    match = re.fullmatch(r"\s*(\d+)\s*([KMGT]I?B)?\s*", str(size).upper())
    if match is None or int(match[1]) == 0:
        raise ValueError(f"max_shard_size is a number of bytes or a text like '5GB', not {size!r}")
    return int(match[1]) * _UNITS.get(match[2], 1)


def _split(obj: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    """In order, as many as fit; a tensor that is too large has a shard of its own."""
    shards: list[dict[str, Any]] = [{}]
    size = 0
    for name, x in obj.items():
        count = x.numel() * x.element_size()
        if shards[-1] and size + count > most:
            shards.append({})
            size = 0
        shards[-1][name] = x
        size += count
    return shards


def _names(path: Path, count: int) -> list[str]:
    """Hugging Face's names; with something of their own if these are taken."""
    stem, suffix = path.stem, path.suffix
    for tag in ("", f"-{secrets.token_hex(4)}"):
        names = [f"{stem}{tag}-{k:05}-of-{count:05}{suffix}" for k in range(1, count + 1)]
        if not any(path.with_name(name).exists() for name in names):
            break
    return names


def _index(names: list[str], shards: list[dict[str, Any]]) -> dict[str, Any]:
    total = sum(x.numel() * x.element_size() for shard in shards for x in shard.values())
    where = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
    return {"metadata": {"total_size": total, _SUM: _sum(where)}, "weight_map": where}


def _sum(where: Any) -> int:
    return zlib.crc32(json.dumps(where, sort_keys=True).encode())


def _write(obj: Any, path: Path, contents: Write) -> None:
    made = contents(obj, checked(obj))
    with replacing(path, made.size) as f:
        made.write(f)


def _remove_other_sets(path: Path, keep: list[str]) -> None:
    """Removes shards that the index does not name: an older set, or what a killed save left."""
    stem, suffix = re.escape(path.stem), re.escape(path.suffix)
    shard = re.compile(rf"{stem}(-[0-9a-f]{{8}})?-\d{{5}}-of-\d{{5}}{suffix}")
    found = [p for p in path.parent.iterdir() if shard.fullmatch(p.name)]
    _remove([p for p in found if p.name not in keep])
    remove_abandoned(path.parent, f"{escape(path.stem)}-*{escape(path.suffix)}")


def _remove(paths: list[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()


# ---- loading


def is_index(path: Path) -> bool:
    return path.name.endswith(_SUFFIX)


def shards_of(path: Path) -> Path:
    """The index of ``path``, if that is not there itself."""
    index = path.with_name(path.name + _SUFFIX)
    return index if not path.exists() and index.exists() else path


def load_shards(index: Path, read: Read) -> dict[str, Any]:
    """All tensors of an index, in its order.

    All shards are opened before one is read, so that it does not matter if another process puts a
    new set in their place.

    Raises:
        FileNotFoundError: if the index is not there.
        CheckpointError: if a shard is missing, or is not what the index says.
    """
    if not index.exists():
        raise missing(index)
    with ExitStack() as stack:
        where, files = _open_all(index, stack)
        found = {name: read(f, str(index.with_name(name))) for name, f in files.items()}
    for name, tensors in found.items():
        wanted = {key for key, file in where.items() if file == name}
        if not isinstance(tensors, dict) or not wanted <= tensors.keys():
            lost = sorted(wanted - set(tensors if isinstance(tensors, dict) else ()))
            raise CheckpointError(
                f"'{index}' says that '{name}' holds {lost[0]!r} (and {len(lost) - 1} more that "
                "are not there): the files are not of one set; get them again"
            )
    return {key: found[name][key] for key, name in where.items()}


def _open_all(index: Path, stack: ExitStack) -> tuple[dict[str, str], dict[str, BinaryIO]]:
    """Opens the shards; a set that is replaced meanwhile is looked up again."""
    where = _weight_map(index)
    while True:
        files: dict[str, BinaryIO] = {}
        try:
            for name in sorted(set(where.values())):
                files[name] = stack.enter_context(index.with_name(name).open("rb"))
            return where, files
        except FileNotFoundError:
            now = _weight_map(index)
            if now == where:
                lost = [n for n in sorted(set(where.values())) if not index.with_name(n).exists()]
                raise CheckpointError(
                    f"'{index}' names the file '{lost[0] if lost else '?'}', which is not beside "
                    f"it ({len(lost)} of {len(set(where.values()))} are missing): get all of them"
                ) from None
            where = now


def _weight_map(index: Path) -> dict[str, str]:
    try:
        content = json.loads(index.read_bytes(), object_pairs_hook=without_doubles)
        where = content["weight_map"]
        names = set(where.values())
        if (content.get("metadata") or {}).get(_SUM, _sum(where)) != _sum(where):
            raise ValueError("it does not match its checksum")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"'{index}' is not an index of shards, or is damaged: {error!r:.200}"
        ) from None
    for name in names:
        if not isinstance(name, str) or name in ("", ".", "..") or re.search(r"[/\\\0]", name):
            raise CheckpointError(f"'{index}' names the file {name!r:.80}, which is not beside it")
    return where  # type: ignore[no-any-return]
