"""``weft.save`` and ``weft.load``: tensors, and structures of them, in files.

``safetensors.py`` is the format that is written by default, ``torch_files.py`` reads PyTorch's and
``torch_write.py`` writes it; ``shards.py`` spreads a state_dict over several files.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from ..errors import CheckpointError, did_you_mean
from . import safetensors, torch_files, torch_write
from .files import PathLike, Source, missing, replacing
from .shards import is_index, load_shards, save_shards, shards_of
from .storages import device_for, is_function
from .structure import checked

__all__ = ["load", "save"]

File: TypeAlias = PathLike | BinaryIO

_FORMATS: dict[str, Any] = {"safetensors": safetensors.Contents, "torch": torch_write.Contents}
_TORCH_SUFFIXES = (".pt", ".pth", ".pth.tar")


def save(
    obj: Any,
    f: File,
    pickle_module: Any = None,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
    *,
    format: str | None = None,
    max_shard_size: int | str | None = None,
) -> None:
    """Writes tensors, alone or in a structure, to a file.

    The file appears whole or not at all: it is written beside its place, flushed to the disk, and
    only then takes its place, so that a crash or a full disk leaves the previous file as it was,
    and who reads at the same time reads one or the other. (A file object is just written to.)

    Tensors that share their values share them again when loaded. Of a Tensor only the values are
    kept; PyTorch's format also keeps ``requires_grad``, and whether it is a Parameter.

    Args:
        obj: Tensors, numbers, strings, booleans, None, dtypes and devices, in dicts (with str or
            int keys), lists and tuples, nested at will: state_dicts of modules, optimisers and
            schedulers, or a dict of all of these.
        f: the file; one that exists is replaced. Or a file object.
        pickle_module, pickle_protocol, _use_new_zipfile_serialization: PyTorch's; nothing is
            pickled here, so they change nothing.
        format: ``"safetensors"``, or ``"torch"``: what ``torch.load(f, weights_only=True)`` reads.
            If left out, "torch" for names that end in .pt, .pth or .pth.tar.
        max_shard_size: a dict of tensors that is larger is spread over several files, beside an
            index ``<f>.index.json``, in Hugging Face's layout; bytes, or a text like "5GB".

    Raises:
        TypeError: for anything else in ``obj``, naming its place.
        CheckpointError: if the file cannot be written; the previous one is untouched.

    Example:
        >>> model = nn.Linear(2, 2)
        >>> weft.save({"model": model.state_dict(), "epoch": 3}, "checkpoint.safetensors")
        >>> weft.save(model.state_dict(), "model.pt")  # PyTorch reads it
    """
    contents = _FORMATS[_format_of(f, format)]
    if max_shard_size is not None:
        save_shards(obj, Path(f), contents, max_shard_size)  # type: ignore[arg-type]
        return
    if not isinstance(f, (str, os.PathLike)) and not hasattr(f, "write"):
        swapped = ": the object comes first, then the file" if isinstance(obj, (str, Path)) else ""
        raise TypeError(
            f"weft.save(obj, f): f is a path or a file, not {type(f).__name__}{swapped}"
        )
    made = contents(obj, checked(obj))
    if hasattr(f, "write"):
        made.write(f)
        return
    with replacing(Path(f), made.size) as file:
        made.write(file)


def load(
    f: File,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    encoding: str = "utf-8",
) -> Any:
    """Reads a file that :func:`save` or ``torch.save`` wrote, or any safetensors file.

    What the file is, is seen from its contents, not its name. Nothing that it names is ever run or
    imported, whatever ``weights_only`` says. Sizes are checked against the file's before memory is
    taken, and values against their checksums, where there are any.

    Args:
        f: the file, or the index of one that is spread over several (``*.index.json``), which is
            also found by the name that was given to :func:`save`. Or a file object.
        map_location: a device; a dict from devices to devices; or a function of the values and the
            device that the file names. By default all is loaded to the CPU.
        pickle_module: PyTorch's; not used.
        weights_only: PyTorch's; it is always so.
        mmap: map the file into memory: values come from the disk when they are used. Their
            checksums are not looked at.
        encoding: of strings in files that Python 2 wrote.

    Raises:
        FileNotFoundError: if there is no such file, naming similar ones.
        CheckpointError: if it is cut short, damaged, of another kind, or needs more than tensors
            and plain values, saying which.
        UnsupportedOp: for dtypes and kinds of tensors that weft does not have.
        DeviceError: for a device that is not there.
    """
    for device in map_location.values() if isinstance(map_location, Mapping) else (map_location,):
        if not is_function(device):
            device_for(device, "cpu")
    if not isinstance(f, (str, os.PathLike)):
        return _load_object(f, map_location, mmap, encoding)

    def read(source: Source) -> Any:
        return _read(source, map_location, encoding)

    path = shards_of(Path(f))
    if is_index(path):
        return load_shards(path, lambda file, name: read(Source(file, name, bool(mmap))))
    if not path.exists():
        raise missing(path)
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.is_file())
        raise CheckpointError(
            f"'{path}' is a folder: load one of its files. It has {', '.join(inside[:8]) or 'none'}"
        )
    with path.open("rb") as file:
        return read(Source(file, os.fspath(path), bool(mmap)))


def _read(source: Source, map_location: Any, encoding: str) -> Any:
    if torch_files.is_torch_file(source):
        return torch_files.read(source, map_location, encoding)
    return safetensors.Reader(source, map_location).read()


def _load_object(f: Any, map_location: Any, mmap: bool | None, encoding: str) -> Any:
    """From a file object, which is afterwards behind what was read."""
    if not hasattr(f, "read"):
        raise TypeError(f"weft.load takes a path or a file object, not {type(f).__name__}")
    if not hasattr(f, "seek") or not hasattr(f, "tell"):
        raise TypeError(
            f"weft.load reads files back and forth, which {type(f).__name__} does not permit: read "
            "it first, weft.load(io.BytesIO(f.read()))"
        )
    if mmap:
        raise ValueError("mmap=True takes the path of a file, not a file object")
    name = str(getattr(f, "name", None) or f"<{type(f).__name__}>")
    at = f.tell()
    if at and at == f.seek(0, os.SEEK_END):
        raise CheckpointError(f"'{name}' is at its end: go to its beginning first, f.seek(0)")
    f.seek(at)
    source = Source(io.BytesIO(f.read()) if at else f, name, alone=False)
    value = _read(source, map_location, encoding)
    f.seek(at + (source.size if source.end is None else source.end))
    return value


def _format_of(f: Any, format: str | None) -> str:
    if format is not None and format not in _FORMATS:
        raise ValueError(
            f"weft.save writes the formats {', '.join(_FORMATS)}, not {format!r}."
            f"{did_you_mean(str(format), _FORMATS)}"
        )
    if format is None and isinstance(f, (str, os.PathLike)):
        format = "torch" if os.fspath(f).endswith(_TORCH_SUFFIXES) else "safetensors"
    return format or "safetensors"
