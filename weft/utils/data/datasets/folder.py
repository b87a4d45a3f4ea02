"""Images in folders, one folder for each class."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ....graph.device import CPU
from ....tensors.core import wrap
from ....tensors.creation import as_leaf
from ....tensors.tensor import Tensor
from ..dataset import Dataset
from ..files import Checksums, StrPath, Sums, damaged, listing, optional

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

_MODES = {"RGB": 3, "L": 1, "RGBA": 4}


def read_image(path: StrPath, mode: str = "RGB", checksums: Checksums = None) -> Tensor:
    """Decodes an image file (needs Pillow: ``pip install 'weft[data]'``).

    Args:
        mode: "RGB", "L" (grey) or "RGBA", which the image is converted to.
        checksums: as for :class:`ImageFolder`.

    Returns:
        uint8 ``[C, H, W]``.

    Raises:
        CheckpointError: naming the file, if it cannot be decoded.
        FileNotFoundError: if it is not there.
        ImportError: without Pillow.
    """
    if mode not in _MODES:
        raise ValueError(f"mode is one of {', '.join(map(repr, _MODES))}, not {mode!r}")
    return _decoded(path, Sums(checksums, Path(path).parent).read(path), mode)


def _decoded(path: StrPath, content: bytes, mode: str) -> Tensor:
    image = optional("PIL.Image", "data", "reading images")
    try:
        with image.open(io.BytesIO(content)) as opened:
            pixels = np.asarray(opened.convert(mode))
    except Exception as error:
        raise damaged(path, f"cannot be decoded as an image: {error}") from error
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return wrap(as_leaf(np.ascontiguousarray(planes), CPU))


class DatasetFolder(Dataset[tuple[Any, Any]]):
    """Files in folders: ``root/class_x/anything/file.ext``. Sample ``i`` is ``(content, class)``.

    Args:
        root: the folder of the classes' folders.
        loader: ``loader(path)`` gives the content.
        extensions: which files count, by their ends (upper or lower case).
        transform: of the content.
        target_transform: of the class's number.
        is_valid_file: which files count, by their paths; in place of ``extensions``.
        allow_empty: a class may have no files.

    Attributes:
        classes: the folders' names, in order.
        class_to_idx: the number of each.
        samples: ``(path, number of the class)`` of each sample.
        targets: the numbers.

    Raises:
        FileNotFoundError: if there are no folders, or one has no file that counts.
        ValueError: if it is not said, or said twice, which files count.
    """

    def __init__(
        self,
        root: StrPath,
        loader: Callable[[str], Any],
        extensions: str | tuple[str, ...] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        self.root = os.fspath(root)
        self.loader = loader
        self.extensions = extensions
        self.transform = transform
        self.target_transform = target_transform
        self.classes, self.class_to_idx = self.find_classes(self.root)
        self.samples = self.make_dataset(
            self.root, self.class_to_idx, extensions, is_valid_file, allow_empty
        )
        self.targets = [number for _, number in self.samples]

    def find_classes(self, directory: StrPath) -> tuple[list[str], dict[str, int]]:
        """The classes' names and numbers; subclasses may find them otherwise.

        Raises:
            FileNotFoundError: if there are none.
        """
        folder = Path(directory)
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder '{folder}'")
        classes = sorted(p.name for p in folder.iterdir() if p.is_dir())
        if not classes:
            raise FileNotFoundError(
                f"Couldn't find any class folder in '{folder}', which holds {listing(folder)}: the "
                "files of each class must lie in a folder of their own"
            )
        return classes, {name: k for k, name in enumerate(classes)}

    @staticmethod
    def make_dataset(
        directory: StrPath,
        class_to_idx: dict[str, int],
        extensions: str | tuple[str, ...] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """The files that count, each with its class; subclasses may find them otherwise."""
        if (extensions is None) == (is_valid_file is None):
            raise ValueError(
                "which files count is said by extensions or by is_valid_file: one of them is "
                "needed, and not both"
            )
        ends = (extensions,) if isinstance(extensions, str) else extensions or ()
        counts = is_valid_file or partial(_ends_in, ends=tuple(end.lower() for end in ends))
        samples: list[tuple[str, int]] = []
        empty = []
        for name in sorted(class_to_idx):
            found = [path for path in _files(Path(directory) / name) if counts(path)]
            samples += [(path, class_to_idx[name]) for path in found]
            if not found:
                empty.append(name)
        if empty and not allow_empty:
            hint = f" Files that count end in {', '.join(ends)}." if ends else ""
            raise FileNotFoundError(
                f"Found no valid file for the classes {', '.join(empty)} in '{directory}'.{hint}"
            )
        return samples

    @property
    def imgs(self) -> list[tuple[str, int]]:
        """Another name of ``samples``."""
        return self.samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        path, target = self.samples[index]
        sample: Any = self.loader(path)
        label: Any = target
        if self.transform is not None:
            sample = self.transform(sample)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return sample, label


def _ends_in(path: str, ends: Sequence[str]) -> bool:
    return path.lower().endswith(tuple(ends))


def _files(folder: Path) -> Iterator[str]:
    for at, _, names in sorted(os.walk(folder, followlinks=True)):
        for name in sorted(names):
            yield os.path.join(at, name)  # noqa: PTH118 (a str, as loaders take it)


class ImageFolder(DatasetFolder):
    """Images in folders: ``root/dog/xxx.png``, ``root/cat/123.jpg``. Needs Pillow.

    Args:
        root, target_transform, is_valid_file, allow_empty: as of :class:`DatasetFolder`.
        transform: of the image, by itself a uint8 Tensor ``[3, H, W]``.
        loader: ``loader(path)`` gives the image; by itself :func:`read_image`.
        checksums: of the files, by path from ``root``: a mapping, or a file as of ``sha256sum``.
            A damaged JPEG may well be decoded, to another picture: only its sum tells. Of use with
            weft's own loader only.

    Raises:
        CheckpointError: when a sample is taken, naming an image that cannot be decoded.
    """

    def __init__(
        self,
        root: StrPath,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        loader: Callable[[str], Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
        *,
        checksums: Checksums = None,
    ) -> None:
        sums = Sums(checksums, root)
        super().__init__(
            root,
            loader or partial(_load, sums),
            IMG_EXTENSIONS if is_valid_file is None else None,
            transform,
            target_transform,
            is_valid_file,
            allow_empty,
        )


def _load(sums: Sums, path: str) -> Tensor:
    return _decoded(path, sums.read(path), "RGB")
