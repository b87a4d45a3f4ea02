"""Which tensors share their values, when saving; and tensors that share again, when loading.

A place in a storage is ``(offset, shape, strides)``, in elements, as in PyTorch's files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import dtype, int64
from ..engine.devices import put, resolve
from ..errors import CheckpointError
from ..graph.device import CPU, device
from ..graph.node import Node, leaf, type_of
from ..ops import elementwise as ew, index as ix, movement as mv
from ..tensors.core import ViewKind, wrap
from ..tensors.creation import empty
from ..tensors.interop import host_value
from ..tensors.tensor import Tensor
from .files import Array

#: Memory that a file may take at least, beyond that of its values.
_SPARE = 1 << 26

_MAX_DIMS = 64  # NumPy's
_INT64 = 1 << 63


class Place(NamedTuple):
    """A tensor's place in a storage."""

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a tensor whose elements stand in order."""
    return tuple([math.prod(shape[k + 1 :]) for k in range(len(shape))])


# ---- saving


class Shared:
    """The storages of some tensors: each set of values once, and every tensor's place in it.

    Of a storage of which there is one view only, just what that view shows is kept.
    """

    def __init__(self, tensors: Iterable[Any]) -> None:
        self._place: dict[int, Place] = {}  # by id of a tensor
        self._root: dict[int, int] = {}
        roots: dict[int, Any] = {}
        places: dict[int, set[Place]] = {}
        for x in tensors:
            root, place = _root_and_place(x)
            roots[id(root)] = root
            places.setdefault(id(root), set()).add(place)
            self._root[id(x)], self._place[id(x)] = id(root), place
        self._whole = {key for key, found in places.items() if len(found) > 1}
        self._roots = roots

    def find(self, x: Any) -> tuple[int, Place]:
        """A key of the storage, and the tensor's place there."""
        key, place = self._root[id(x)], self._place[id(x)]
        if key not in self._whole:
            place = Place(0, place.shape, contiguous(place.shape))
        return key, place

    def values(self, x: Any) -> Array:
        """The values of the storage of ``x``. Runs the graph."""
        key = self._root[id(x)]
        return host_value(self._roots[key] if key in self._whole else x)

    def is_whole(self, x: Any) -> bool:
        """Does the tensor show its storage from beginning to end?"""
        key, place = self.find(x)
        if place.offset or place.strides != contiguous(place.shape):
            return False
        return key not in self._whole or math.prod(place.shape) == self._roots[key].numel()


def _root_and_place(x: Any) -> tuple[Any, Place]:
    cuts: tuple[Any, ...] = ()
    root = x
    while root._base is not None:
        cuts = (*root._cuts, *cuts)
        root = root._base
    whole = cut = np.empty(tuple(root.shape), np.bool_)  # for its strides; it is never written
    for kind, attrs in cuts:
        cut = kind.strides(cut, attrs)
    offset = cut.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return root, Place(offset if cut.size else 0, cut.shape, cut.strides)


# ---- loading


class Budget:
    """How much memory a file may still take beyond that of its values: by views of parts, or that
    repeat elements, once they are computed.
    """

    def __init__(self, size: int) -> None:
        self._left = max(8 * size, _SPARE)

    def take(self, count: int) -> bool:
        self._left -= count
        return self._left >= 0


def device_for(map_location: Any, location: str) -> device:
    """Where values are to be that a file says were on ``location``: the CPU, unless asked for.

    Raises:
        DeviceError: for a device that is not there.
    """
    if isinstance(map_location, Mapping):
        map_location = map_location.get(location)
    nowhere = map_location is None or is_function(map_location)
    return CPU if nowhere else resolve(map_location) or CPU


def is_function(map_location: Any) -> bool:
    """Is it one of values and a place? (Devices can be called, too: they are decorators.)"""
    return callable(map_location) and not isinstance(map_location, device)


class Storage:
    """Values read from a file, and the tensors that share them.

    Attributes:
        device: where they are to be.
    """

    def __init__(self, values: Array, kind: dtype, budget: Budget) -> None:
        self.values = values.reshape(-1)
        self.dtype = kind
        self.device = CPU
        self._budget = budget
        self._root: Any = None

    def tensor(self, place: Place) -> Tensor:
        """The tensor at a place. All tensors of a storage share their values.

        Raises:
            CheckpointError: if the place is not within the storage.
        """
        offset, shape, strides = place
        self._check(place)
        size = self.values.size
        plain = offset == 0 and math.prod(shape) == size and strides == contiguous(shape)
        if self._root is None:
            node_shape = shape if plain else (size,)
            values = put(self.values.reshape(node_shape), self.device)
            node = leaf(values, type_of(node_shape, self.dtype, self.device))
            self._root = wrap(node)
            if plain:
                return self._root  # type: ignore[no-any-return]
        flat = self._root.view(-1)
        if plain:
            return flat.view(shape)  # type: ignore[no-any-return]
        if 0 in shape:
            return empty(shape, dtype=self.dtype, device=self.device)
        if not self._budget.take(math.prod(shape) * self.dtype.itemsize):
            raise CheckpointError(
                f"tensors that are parts of others, such as one of shape {list(shape)} of a "
                f"storage of {size} elements, would take more memory than the file accounts for"
            )
        view = _cut(flat, place)
        return self._strided(flat, place) if view is None else view

    def move(self, map_location: Any, location: str) -> None:
        """Puts the values where ``map_location`` says, before a tensor is made of them.

        Raises:
            TypeError: if that is a function that returns something else than a Tensor like the one
                that it is given, or None for no other.
            DeviceError: for a device that is not there.
        """
        self.device = device_for(map_location, location)
        if not is_function(map_location):
            return
        flat = self.tensor(Place(0, (self.values.size,), (1,)))
        moved = map_location(flat, location)
        if moved is None:
            return
        if not isinstance(moved, Tensor) or (moved.dtype, moved.shape) != (flat.dtype, flat.shape):
            raise TypeError(
                "map_location returned something else than the values that it was given: a Tensor "
                f"of {self.dtype} with {self.values.size} elements, or None"
            )
        self._root = moved

    def _check(self, place: Place) -> None:
        offset, shape, strides = place
        numbers = (offset, *shape, *strides)
        if len(shape) != len(strides) or len(shape) > _MAX_DIMS:
            raise CheckpointError(f"a tensor of shape {shape} has strides {strides}")
        if any(type(n) is not int or not 0 <= n < _INT64 for n in numbers):
            raise CheckpointError(f"a tensor has offset {offset}, shape {shape}, strides {strides}")
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if 0 not in shape and last >= self.values.size:
            raise CheckpointError(
                f"a tensor of shape {list(shape)} with strides {list(strides)} from {offset} on "
                f"reaches to element {last}, but its storage has {self.values.size}"
            )

    def _strided(self, flat: Any, place: Place) -> Tensor:
        """For strides that no chain of views has, such as a diagonal's."""
        if not self._budget.take(math.prod(place.shape) * int64.itemsize):
            raise CheckpointError(
                f"a tensor of shape {list(place.shape)} with strides {list(place.strides)}: many "
                "like it would take more memory than the file accounts for"
            )
        return flat._view(_STRIDED, place)  # type: ignore[no-any-return]


def _places(place: Place) -> Node:
    """The elements at a place, counted in their storage."""
    places = mv.full(type_of((), int64), place.offset)
    for n, step in zip(place.shape, place.strides, strict=True):
        places = ew.add(mv.reshape(places, (*places.type.shape, 1)), mv.arange(n, int64, 0, step))
    return places


def _as_strided(flat: Array, place: Place) -> Array:
    steps = [s * flat.itemsize for s in place.strides]
    return np.lib.stride_tricks.as_strided(flat[place.offset :], place.shape, steps)


_STRIDED = ViewKind(
    "strided",
    lambda flat, place: ix.take(flat, [_places(place)]),
    lambda flat, x, place: ix.put(flat, x, [_places(place)]),
    _as_strided,
)


def _cut(flat: Any, place: Place) -> Any:
    """The view of ``flat`` at a place, by narrow, view, permute and expand; None if none is it.

    The strides in falling order are the sizes of nested blocks, if each is a multiple of the next.
    """
    offset, shape, strides = place
    dims = [k for k, (n, s) in enumerate(zip(shape, strides, strict=True)) if n > 1 and s > 0]
    dims.sort(key=lambda k: -strides[k])
    steps = [strides[k] for k in dims] or [1]
    sizes = [shape[k] for k in dims] or [1]
    if any(a % b for a, b in pairwise(steps)):
        return None
    inner = max(0, offset + sizes[0] * steps[0] - flat.numel())  # where it begins in its block
    if inner > offset or inner >= steps[0]:
        return None
    blocks = [sizes[0], *[a // b for a, b in pairwise(steps)], steps[-1]]
    view = flat.narrow(0, offset - inner, sizes[0] * steps[0]).view(blocks)
    for k, (n, step) in enumerate(zip(sizes[1:], steps[1:], strict=True), start=1):
        begin, inner = divmod(inner, step)
        if begin + n > blocks[k]:
            return None
        view = view.narrow(k, begin, n)
    view = view.select(len(sizes), inner)
    if not dims:
        view = view.select(0, 0)
    return _ordered(view, dims, shape)


def _ordered(view: Any, dims: list[int], shape: tuple[int, ...]) -> Any:
    """Dimensions in their own order; those of size 1, or that repeat elements, put in."""
    view = view.permute(sorted(range(len(dims)), key=lambda k: dims[k]))
    for k in range(len(shape)):
        if k not in dims:
            view = view.unsqueeze(k)
    return view.expand(shape) if tuple(view.shape) != shape else view
