"""From samples to batches: a dataset holds samples, a sampler orders them, ``DataLoader`` joins
them.

``dataset.py``, ``sampler.py``, ``collate.py`` (samples into a batch), ``loader.py``; ``idx.py``
reads MNIST's file format.
"""

from typing import Any

from ...errors import did_you_mean
from .collate import default_collate as default_collate, default_convert as default_convert
from .dataset import (
    ConcatDataset as ConcatDataset,
    Dataset as Dataset,
    IterableDataset as IterableDataset,
    Subset as Subset,
    TensorDataset as TensorDataset,
    random_split as random_split,
)
from .idx import read_idx as read_idx
from .loader import DataLoader as DataLoader
from .sampler import (
    BatchSampler as BatchSampler,
    RandomSampler as RandomSampler,
    Sampler as Sampler,
    SequentialSampler as SequentialSampler,
)

__all__ = [
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "TensorDataset",
    "default_collate",
    "default_convert",
    "random_split",
    "read_idx",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.utils.data' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
