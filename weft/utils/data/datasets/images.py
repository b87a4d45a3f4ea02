"""MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100: all of their images in memory."""

from __future__ import annotations

import gzip
import hashlib
import operator
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ....errors import IndexOutOfRange, UnsupportedOp
from ....graph.device import CPU
from ....tensors.core import wrap
from ....tensors.creation import as_leaf
from ....tensors.tensor import Tensor
from ..dataset import Dataset, Rows
from ..files import Checksums, StrPath, Sums, damaged, first_of
from ..idx import read_idx

if TYPE_CHECKING:
    from tarfile import TarFile

_PIECE = 1 << 20

Transform = Callable[[Any], Any] | None


class ImageArrays(Dataset[tuple[Any, Any]]):
    """Images and their labels, in memory. Sample ``i`` is ``(image, label)``.

    Without transforms a :class:`DataLoader` takes a whole batch at once. Transforms of batches
    (``weft.utils.data.transforms``) are quicker than one call for each sample.

    Attributes:
        data: the images, uint8 ``[N, C, H, W]``.
        targets: the labels, int64 ``[N]``.
        classes: their names.
        class_to_idx: the label of each name.
    """

    classes: Sequence[str]

    def __init__(
        self, images: Any, labels: Any, transform: Transform, target_transform: Transform
    ) -> None:
        self._images = images
        self._labels = labels.astype(np.int64)
        self.transform = transform
        self.target_transform = target_transform

    @property
    def data(self) -> Tensor:
        return _tensor(self._images.copy())

    @property
    def targets(self) -> Tensor:
        return _tensor(self._labels.copy())

    @property
    def class_to_idx(self) -> dict[str, int]:
        return {name: k for k, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        k = self._checked(index)
        image: Any = _tensor(self._images[k].copy())
        label: Any = int(self._labels[k])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label

    def __getitems__(self, indices: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        own = type(self).__getitem__ is not ImageArrays.__getitem__
        if own or self.transform is not None or self.target_transform is not None:
            return [self[k] for k in indices]
        at = [self._checked(k) for k in indices]
        return Rows([_tensor(self._images[at]), _tensor(self._labels[at])], len(at))

    def _checked(self, index: Any) -> int:
        k = operator.index(index)
        if not -len(self) <= k < len(self):
            raise IndexOutOfRange(f"sample {k} is asked for, of {len(self)} of {self!r}")
        return k

    def __repr__(self) -> str:
        return type(self).__name__


def _tensor(array: Any) -> Tensor:
    return wrap(as_leaf(array, CPU))


@contextmanager
def no_download(download: bool, name: str, files: str, source: str) -> Iterator[None]:
    """
    Raises:
        UnsupportedOp: if a file is not there and a download is asked for.
    """
    try:
        yield
    except FileNotFoundError as error:
        if not download:
            raise
        raise UnsupportedOp(
            f"{name}(download=True): weft does not download. Put {files} from {source} into the "
            f"folder: {error}"
        ) from error


class MNIST(ImageArrays):
    """The MNIST database of handwritten digits (Y. LeCun, C. Cortes, C. Burges).

    Args:
        root: the folder with its four files, as published or unzipped; also where torchvision has
            put them, in ``MNIST/raw`` beneath it.
        train: the 60,000 images for training; else the 10,000 for testing.
        transform: of the image, a uint8 Tensor ``[1, 28, 28]``.
        target_transform: of the label, an int.
        download: accepted where the files are there; nothing is downloaded.
        verify: compare files that have the published size with the published MD5 sums.
        checksums: of the files as they are, by name: a mapping, or a file as of ``sha256sum``.

    Raises:
        FileNotFoundError: if the files are not there.
        CheckpointError: naming a file that is damaged, or not of this data set.
    """

    classes: Sequence[str] = tuple("0123456789")
    source: ClassVar[str] = "https://ossci-datasets.s3.amazonaws.com/mnist/"

    #: MD5 of the unzipped files.
    sums: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }

    def __init__(
        self,
        root: StrPath,
        train: bool = True,
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
        *,
        verify: bool = True,
        checksums: Checksums = None,
    ) -> None:
        name = type(self).__name__
        part = "train" if train else "t10k"
        sums = Sums(checksums, root)
        with no_download(download, name, f"{part}-images-idx3-ubyte.gz etc.", self.source):
            images_file, images = self._read(root, f"{part}-images-idx3-ubyte", sums, verify)
            labels_file, labels = self._read(root, f"{part}-labels-idx1-ubyte", sums, verify)
        if images.dtype != np.uint8 or images.ndim != 3:
            raise damaged(
                images_file,
                f"does not hold the images of {name}: its values are {images.dtype} "
                f"{list(images.shape)}, not uint8 [N, 28, 28]",
            )
        if labels.shape != images.shape[:1] or labels.dtype != np.uint8:
            raise damaged(
                labels_file,
                f"does not fit '{images_file}': its labels are {labels.dtype} "
                f"{list(labels.shape)}, for {len(images)} images",
            )
        check_labels(labels_file, labels, len(self.classes))
        super().__init__(images[:, None], labels, transform, target_transform)
        self.train = train

    def _read(self, root: StrPath, name: str, sums: Sums, verify: bool) -> tuple[Path, Any]:
        folders = ("", "raw/", f"{type(self).__name__}/raw/")
        candidates = [f"{folder}{name}{end}" for folder in folders for end in (".gz", "")]
        path = first_of(Path(root), candidates, type(self).__name__)
        sums.check(path)
        values = read_idx(path).numpy()
        whole = 60_000 if name.startswith("train") else 10_000
        if verify and len(values) == whole and values.shape[1:] in {(), (28, 28)}:
            found = _sum_of_idx(values)
            if found != self.sums[name]:
                raise damaged(
                    path,
                    f"is damaged, or another data set: the MD5 sum of its content is {found}, that "
                    f"of {type(self).__name__} {self.sums[name]} (verify=False if that is meant)",
                )
        return path, values


def _sum_of_idx(values: Any) -> str:
    """The MD5 sum of the file with these bytes."""
    sizes = np.array(values.shape, ">u4").tobytes()
    header = bytes([0, 0, 8, values.ndim]) + sizes
    return hashlib.md5(header + values.tobytes(), usedforsecurity=False).hexdigest()


def check_labels(path: StrPath, labels: Any, count: int) -> None:
    """
    Raises:
        CheckpointError: for a label that there is not.
    """
    wrong = np.flatnonzero(labels >= count)
    if wrong.size:
        k = int(wrong[0])
        raise damaged(path, f"is damaged: label {k} is {labels[k]}, of {count} classes")


class FashionMNIST(MNIST):
    """Zalando's pictures of clothes, in MNIST's form (Xiao, Rasul, Vollgraf, 2017).

    Arguments and errors as for :class:`MNIST`.
    """

    classes = (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    )
    source = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    sums: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    }


class CIFAR10(ImageArrays):
    """CIFAR-10, the "binary version" (A. Krizhevsky, "Learning multiple layers of features from
    tiny images", 2009).

    Args:
        root: the folder with ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``,
            or with the folder ``cifar-10-batches-bin`` of these, or with the archive
            ``cifar-10-binary.tar.gz``, which is read as it is.
        train: the five files for training; else that for testing.
        transform: of the image, a uint8 Tensor ``[3, 32, 32]``.
        target_transform: of the label, an int.
        download: accepted where the files are there; nothing is downloaded.
        verify: compare the archive with its published MD5 sum. (There is none of single files.)
        checksums: of the files as they are, by name: a mapping, or a file as of ``sha256sum``.

    Raises:
        FileNotFoundError: if the files are not there.
        CheckpointError: naming a file that is cut, damaged, or not of this data set.
    """

    classes: Sequence[str] = (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )
    folder: ClassVar[str] = "cifar-10-batches-bin"
    archive: ClassVar[str] = "cifar-10-binary.tar.gz"
    archive_sum: ClassVar[str] = "c32a1d4ab5d03f1284b67883e8d87530"
    files: ClassVar[dict[bool, list[str]]] = {
        True: [f"data_batch_{k}.bin" for k in range(1, 6)],
        False: ["test_batch.bin"],
    }
    #: Bytes before the pixels, the last of which is the label.
    label_bytes: ClassVar[int] = 1

    def __init__(
        self,
        root: StrPath,
        train: bool = True,
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
        *,
        verify: bool = True,
        checksums: Checksums = None,
    ) -> None:
        name = type(self).__name__
        source = "https://www.cs.toronto.edu/~kriz/cifar.html"
        with no_download(download, name, self.archive, source):
            parts = self._contents(Path(root), train, verify, Sums(checksums, root))
        records = [self._records(path, content) for path, content in parts]
        counts = {str(path): len(r) for (path, _), r in zip(parts, records, strict=True)}
        if len(set(counts.values())) > 1:
            raise damaged(
                min(counts, key=lambda path: counts[path]),
                "is cut short: its files should hold as many images each, but they hold "
                + ", ".join(f"{n:,}" for n in counts.values()),
            )
        whole = np.concatenate(records)
        images = whole[:, self.label_bytes :].reshape(-1, 3, 32, 32)
        super().__init__(images, whole[:, self.label_bytes - 1], transform, target_transform)
        self.train = train

    def _contents(
        self, root: Path, train: bool, verify: bool, sums: Sums
    ) -> list[tuple[Path, bytes]]:
        names = self.files[train]
        archive = root / self.archive
        in_folders = any((root / f / names[0]).is_file() for f in ("", self.folder))
        if archive.is_file() and not in_folders:
            if verify:
                Sums({self.archive: self.archive_sum}, root).check(archive)
            sums.check(archive)
            return _members(archive, [f"{self.folder}/{name}" for name in names])
        paths = [
            first_of(root, [name, f"{self.folder}/{name}"], type(self).__name__) for name in names
        ]
        return [(path, sums.read(path)) for path in paths]

    def _records(self, path: Path, content: bytes) -> Any:
        size = self.label_bytes + 3 * 32 * 32
        if not content or len(content) % size:
            raise damaged(
                path,
                f"is cut short or damaged: {type(self).__name__} has {size:,} bytes an image, "
                f"and {len(content):,} bytes make {len(content) / size:.2f} images",
            )
        records = np.frombuffer(content, np.uint8).reshape(-1, size)
        check_labels(path, records[:, self.label_bytes - 1], len(self.classes))
        return records


def _members(archive: Path, names: list[str]) -> list[tuple[Path, bytes]]:
    import tarfile

    try:
        with gzip.open(archive) as content, tarfile.open(fileobj=content) as tar:
            members = [(archive / name, _member(tar, name)) for name in names]
            while content.read(_PIECE):  # to its end, where gzip compares its checksum
                pass
            return members
    except KeyError as error:
        raise damaged(archive, f"lacks one of its files: {error}") from None
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, OSError) as error:
        raise damaged(archive, f"is cut short or damaged: {error}") from error


def _member(tar: TarFile, name: str) -> bytes:
    f = tar.extractfile(name)
    if f is None:
        raise KeyError(name)
    return f.read()


class CIFAR100(CIFAR10):
    """CIFAR-100, the "binary version": ``train.bin``, ``test.bin`` and the names of the classes,
    ``fine_label_names.txt``, in the folder ``cifar-100-binary``, or ``cifar-100-binary.tar.gz``.

    Arguments and errors as for :class:`CIFAR10`. The labels are the hundred fine ones; where the
    file of names is not there, ``classes`` are numbers.
    """

    classes: Sequence[str] = tuple(str(k) for k in range(100))
    folder = "cifar-100-binary"
    archive = "cifar-100-binary.tar.gz"
    archive_sum = "03b5dce01913d631647c71ecec9e9cb8"
    files: ClassVar[dict[bool, list[str]]] = {True: ["train.bin"], False: ["test.bin"]}
    label_bytes = 2

    def __init__(self, root: StrPath, *args: Any, **kwargs: Any) -> None:
        super().__init__(root, *args, **kwargs)
        for folder in (Path(root), Path(root) / self.folder):
            names = folder / "fine_label_names.txt"
            if names.is_file():
                self.classes = names.read_text(encoding="utf-8").split()
