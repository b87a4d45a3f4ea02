"""Datasets in files, from folders that the user names. Nothing is downloaded, and a file that is
damaged is reported by its name.

``images.py`` (MNIST, CIFAR), ``folder.py`` (images in folders), ``tables.py`` (CSV, NumPy, Parquet,
Arrow), ``text.py`` (lines). ``..idx`` reads MNIST's file format, ``..files`` finds and checks.
"""

from typing import Any

from ....errors import did_you_mean
from ..idx import read_idx as read_idx
from .folder import (
    DatasetFolder as DatasetFolder,
    ImageFolder as ImageFolder,
    read_image as read_image,
)
from .images import (
    CIFAR10 as CIFAR10,
    CIFAR100 as CIFAR100,
    MNIST as MNIST,
    FashionMNIST as FashionMNIST,
)
from .tables import (
    ArrowDataset as ArrowDataset,
    CSVDataset as CSVDataset,
    NumpyDataset as NumpyDataset,
    ParquetDataset as ParquetDataset,
)
from .text import TextLines as TextLines

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "ArrowDataset",
    "CSVDataset",
    "DatasetFolder",
    "FashionMNIST",
    "ImageFolder",
    "NumpyDataset",
    "ParquetDataset",
    "TextLines",
    "read_idx",
    "read_image",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.utils.data.datasets' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
