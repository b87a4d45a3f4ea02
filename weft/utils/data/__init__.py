"""From samples to batches: a dataset holds samples, a sampler orders them, ``DataLoader`` joins
them.

``dataset.py``, ``sampler.py``, ``collate.py`` (samples into a batch), ``dataloader.py``.
A pass over a dataset (``passes.py``) is a row of tasks (``order.py``), which ``fetch.py`` turns
into batches: here, in worker ``processes.py`` (``transport.py`` brings the batches), or in
``threads.py``. ``seeding.py`` gives each sample its random numbers, ``progress.py`` says how far a
pass has come. ``datasets/`` reads files, by the help of ``files.py`` and ``idx.py`` (MNIST's
format); ``transforms/`` are of images.
"""

from importlib import import_module
from typing import Any

from ...errors import did_you_mean
from .collate import default_collate as default_collate, default_convert as default_convert
from .dataloader import DataLoader as DataLoader
from .dataset import (
    ChainDataset as ChainDataset,
    ConcatDataset as ConcatDataset,
    Dataset as Dataset,
    IterableDataset as IterableDataset,
    StackDataset as StackDataset,
    Subset as Subset,
    TensorDataset as TensorDataset,
    random_split as random_split,
)
from .distributed import DistributedSampler as DistributedSampler
from .idx import read_idx as read_idx
from .sampler import (
    BatchSampler as BatchSampler,
    RandomSampler as RandomSampler,
    Sampler as Sampler,
    SequentialSampler as SequentialSampler,
    SubsetRandomSampler as SubsetRandomSampler,
    WeightedRandomSampler as WeightedRandomSampler,
)
from .worker import get_worker_info as get_worker_info

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
    "read_idx",
]

_SUBPACKAGES = ("datasets", "transforms")


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:  # imported when first used
        return import_module(f"{__name__}.{name}")
    raise AttributeError(
        f"module 'weft.utils.data' has no attribute '{name}'."
        f"{did_you_mean(name, [*__all__, *_SUBPACKAGES])}"
    )
