"""Samples into a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from contextvars import ContextVar
from copy import copy
from math import prod
from typing import Any

import numpy as np

from ...dtypes import float64
from ...errors import ShapeError
from ...graph.device import CPU
from ...tensors.core import node_of, wrap
from ...tensors.creation import as_leaf, as_tensor, from_numpy, tensor
from ...tensors.interop import host_value
from ...tensors.shape import stack
from ...tensors.tensor import Tensor
from .dataset import Rows

# In a worker process: memory that the loop's process will see, for so many bytes; None if there is
# none.
allocate: ContextVar[Callable[[int], Any]] = ContextVar("allocate")

# What an error calls the sample at a position of the batch.
NameOf = Callable[[int], str]


def _name_in_batch(position: int) -> str:
    return f"sample {position} of the batch"


def default_collate(batch: Sequence[Any]) -> Any:
    """Joins the samples of a batch, field by field.

    ====================================  =========================================
    a sample, or a field of it            becomes
    ====================================  =========================================
    Tensor or NumPy array of shape ``*``  Tensor of shape ``[B, *]``
    number                                Tensor ``[B]`` (float64 for Python floats)
    str, bytes                            the strings, not joined
    tuple                                 list of fields, each joined
    list, namedtuple, mapping             the same with each field joined
    ====================================  =========================================

    Raises:
        ShapeError: if samples differ in shape or length, naming the sample and the field.
        TypeError: for anything else in a sample, naming the sample and the field.

    Example:
        >>> default_collate([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
        {'id': tensor([1, 2]), 'name': ['a', 'b']}
    """
    return collate(batch, _name_in_batch)


def collate(batch: Sequence[Any], name_of: NameOf) -> Any:
    """:func:`default_collate` whose errors call samples what ``name_of(position)`` says."""
    if isinstance(batch, Rows):  # together already
        return list(batch.fields)
    if len(batch) == 0:
        raise ValueError("default_collate takes at least one sample, not an empty batch")
    return _join(batch, "", name_of)


def _join(batch: Sequence[Any], field: str, name_of: NameOf) -> Any:
    first = batch[0]
    if isinstance(first, Tensor):
        _check_alike(batch, field, name_of, Tensor)
        _check_shapes(batch, field, name_of)
        if any(node_of(x).tracks or x.dtype is not first.dtype for x in batch):
            return stack(list(batch))
        return _stacked([host_value(x) for x in batch])
    if isinstance(first, np.ndarray):
        _check_alike(batch, field, name_of, np.ndarray)
        _check_shapes(batch, field, name_of)
        if first.dtype.kind in "OSUV" and first.dtype.name != "bfloat16":
            raise TypeError(_cannot_join(first, field, name_of(0)))
        return _stacked(batch)
    if isinstance(first, (bool, int, float, np.number, np.bool_)):
        _check_alike(batch, field, name_of, (bool, int, float, np.number, np.bool_))
        return _numbers(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return _join_mappings(batch, field, name_of)
    if isinstance(first, Sequence):
        return _join_sequences(batch, field, name_of)
    raise TypeError(_cannot_join(first, field, name_of(0)))


def _stacked(arrays: Sequence[Any]) -> Tensor:
    dtype, shape = arrays[0].dtype, (len(arrays), *arrays[0].shape)
    if any(x.dtype != dtype for x in arrays):
        return wrap(as_leaf(np.stack(arrays), CPU))
    make = allocate.get(None)
    memory = None if make is None else make(prod(shape) * dtype.itemsize)
    # Row by row in memory, whatever the samples' strides are.
    out = np.empty(shape, dtype) if memory is None else memory.view(dtype).reshape(shape)
    return wrap(as_leaf(np.stack(arrays, out=out), CPU))


def _numbers(batch: Sequence[Any]) -> Tensor:
    if isinstance(batch[0], np.generic):
        return from_numpy(np.array(batch))
    return tensor(list(batch), dtype=float64 if isinstance(batch[0], float) else None)


def _join_mappings(batch: Sequence[Any], field: str, name_of: NameOf) -> Any:
    first = batch[0]
    _check_alike(batch, field, name_of, Mapping)
    for k, sample in enumerate(batch):
        if sample.keys() != first.keys():
            raise KeyError(
                f"the samples of a batch must have the same keys{_at(field)}, but {name_of(0)} has "
                f"{sorted(map(str, first))} and {name_of(k)} has {sorted(map(str, sample))}"
            )
    joined = {
        key: _join([sample[key] for sample in batch], f"{field}[{key!r}]", name_of) for key in first
    }
    return _as_mapping_like(first, joined)


def _as_mapping_like(like: Mapping[Any, Any], fields: dict[Any, Any]) -> Any:
    """``fields`` as the type of ``like``, if that can be copied or made from a dict."""
    if type(like) is dict:
        return fields
    try:
        if isinstance(like, MutableMapping):
            out = copy(like)  # with whatever else it holds
            out.update(fields)
            return out
        return type(like)(fields)  # type: ignore[call-arg]
    except TypeError:
        return fields


def _as_sequence_like(like: Sequence[Any], values: list[Any]) -> Any:
    """``values`` as the type of ``like`` (tuples as lists), if that can be copied or made."""
    if hasattr(like, "_fields"):
        return type(like)(*values)
    if isinstance(like, tuple) or type(like) is list:
        return values
    try:
        if isinstance(like, MutableSequence):
            out = copy(like)
            for k, value in enumerate(values):
                out[k] = value
            return out
        return type(like)(values)  # type: ignore[call-arg]
    except TypeError:
        return values


def _join_sequences(batch: Sequence[Any], field: str, name_of: NameOf) -> Any:
    first = batch[0]
    _check_alike(batch, field, name_of, Sequence)
    for k, sample in enumerate(batch):
        if len(sample) != len(first):
            raise ShapeError(
                f"the samples of a batch must have as many fields each{_at(field)}, but "
                f"{name_of(0)} has {len(first)} and {name_of(k)} has {len(sample)}. "
                f"{_REMEDY}"
            )
    names = getattr(first, "_fields", None)
    paths = [f"{field}[{k}]" if names is None else f"{field}.{names[k]}" for k in range(len(first))]
    joined = [
        _join(values, path, name_of)
        for values, path in zip(zip(*batch, strict=True), paths, strict=True)
    ]
    return _as_sequence_like(first, joined)


_REMEDY = (
    "Pad or crop them to one size in the dataset, or pass DataLoader(collate_fn=...) a function "
    "that makes the batch"
)


def _at(field: str) -> str:
    return f" in field {field}" if field else ""


def _check_shapes(batch: Sequence[Any], field: str, name_of: NameOf) -> None:
    shape = tuple(batch[0].shape)
    for k, x in enumerate(batch):
        if tuple(x.shape) != shape:
            raise ShapeError(
                f"the samples of a batch must have one shape{_at(field)}, but {name_of(0)} has "
                f"{list(shape)} and {name_of(k)} has {list(x.shape)}. {_REMEDY}"
            )


def _check_alike(batch: Sequence[Any], field: str, name_of: NameOf, kinds: Any) -> None:
    for k, x in enumerate(batch):
        if not isinstance(x, kinds) or (kinds is Sequence and isinstance(x, (str, bytes))):
            if x is None:
                raise TypeError(_cannot_join(x, field, name_of(k)))
            raise TypeError(
                f"the samples of a batch must be alike{_at(field)}, but {name_of(0)} is a "
                f"{type(batch[0]).__name__} and {name_of(k)} a {type(x).__name__}"
            )


def _cannot_join(value: Any, field: str, name: str) -> str:
    if value is None:
        return (
            f"{name} is None{_at(field)}: does the dataset's __getitem__ miss a `return`? To leave "
            "samples out, pass DataLoader(collate_fn=...) a function that does"
        )
    return (
        "a batch is made of Tensors, NumPy arrays, numbers, strings, and tuples, lists or dicts "
        f"of them, but {name} has a {type(value).__name__}{_at(field)}: convert it in the dataset, "
        "or pass DataLoader(collate_fn=...) a function that makes the batch"
    )


def default_convert(sample: Any) -> Any:
    """A sample with its NumPy arrays as Tensors: what ``DataLoader(batch_size=None)`` gives."""
    if isinstance(sample, (np.ndarray, np.number, np.bool_)):
        strange = isinstance(sample, np.ndarray) and sample.dtype.kind in "OSU"
        return sample if strange else as_tensor(sample)
    if isinstance(sample, Mapping):
        return _as_mapping_like(sample, {k: default_convert(v) for k, v in sample.items()})
    if isinstance(sample, Sequence) and not isinstance(sample, (str, bytes)):
        return _as_sequence_like(sample, [default_convert(v) for v in sample])
    return sample
