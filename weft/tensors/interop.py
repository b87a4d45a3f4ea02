"""Tensors and the world outside: NumPy, DLPack, Python numbers, pickle, copies."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from ..dtypes import BY_NAME, as_dtype, bfloat16, dtype
from ..engine.devices import NO_VALUES, resolve
from ..engine.realize import computed, realize_pending, value_of
from ..engine.reference import Failure
from ..errors import (
    DeviceError,
    DTypeError,
    GradientError,
    IndexingError,
    OptionError,
    ShapeError,
)
from ..graph.device import CPU, META, device
from ..graph.modes import user_warning
from ..graph.node import LEAF, leaf, type_of
from ..ops import elementwise as ew
from .core import TensorCore, node_of, wrap
from .creation import as_leaf, finished, moved, require_grad
from .memory import memory_format, preserve_format

if TYPE_CHECKING:
    from .tensor import Tensor


def host_value(x: Tensor) -> Any:
    """The value as NumPy holds it, not to be written to. Runs the graph."""
    return np.asarray(value_of(node_of(x)))


def numpy(input: Tensor, *, force: bool = False) -> Any:
    """A NumPy array with a copy of the values. Runs the graph.

    Args:
        force: also for a tensor that requires grad (as ``x.detach().numpy()``).

    Raises:
        GradientError: for a tensor that requires grad, whose history the array would lose.
    """
    if node_of(input).tracks and not force:
        raise GradientError(
            "numpy() of a tensor that requires grad would lose its history: write "
            "x.detach().numpy()"
        )
    return np.array(host_value(input))


def array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> Any:
    """NumPy's conversion protocol."""
    if copy is False:
        raise OptionError("a weft Tensor cannot become a NumPy array without a copy")
    out = numpy(self)
    return out if dtype is None else out.astype(dtype, copy=False)


def item(input: Tensor) -> Any:
    """The one element as a Python number. Runs the graph.

    Raises:
        ShapeError: unless there is just one.
    """
    kind = node_of(input).type
    if kind.size != 1:
        raise ShapeError(
            f"item() takes a tensor of one element, not shape {list(kind.shape)} with {kind.size}:"
            " reduce it first, for example with .sum() or .mean(), or use .tolist()"
        )
    return host_value(input).item()


def tolist(input: Tensor) -> Any:
    """The values as nested lists of Python numbers. Runs the graph."""
    return host_value(input).tolist()


def truth(self: Tensor) -> bool:
    """``bool(x)``: of one element only.

    Raises:
        RuntimeError: for several elements, where it is not clear what is meant.
    """
    kind = node_of(self).type
    if kind.size != 1:
        raise RuntimeError(
            f"the truth of a tensor of shape {list(kind.shape)} is not clear: write x.any() or "
            "x.all(), or `x is not None` where that was meant"
        )
    return bool(host_value(self).item())


def index(self: Tensor) -> int:
    """The one integer element, where Python wants an index.

    Raises:
        IndexingError: for anything else.
    """
    kind = node_of(self).type
    if kind.size != 1 or kind.dtype.is_inexact:
        raise IndexingError(
            f"only one integer can be an index, not {kind.dtype} of shape {list(kind.shape)}"
        )
    return int(item(self))


def dlpack(self: Tensor, **options: Any) -> Any:
    """DLPack's capsule, of a copy.

    Raises:
        DTypeError: for bfloat16 and 8-bit floats, which NumPy's DLPack does not have.
    """
    kind = node_of(self).type.dtype
    if kind is bfloat16 or kind.is_only_stored:
        raise DTypeError(f"{kind.name} cannot go through DLPack yet: convert it first, x.float()")
    options.pop("stream", None)
    return numpy(self).__dlpack__(**options)


def dlpack_device(self: Tensor) -> tuple[int, int]:
    """DLPack's name of the CPU, where the capsule's copy is."""
    return (1, 0)


def from_dlpack(source: Any) -> Tensor:
    """A Tensor with a copy of what another library's array holds."""
    return wrap(as_leaf(np.array(np.from_dlpack(source)), CPU))


def to(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Another dtype or device: ``x.to(dtype)``, ``x.to("cpu")``, ``x.to(other)``.

    Returns the tensor itself if nothing changes. The device works on while a copy to it, or the
    computing of what is copied, goes on, ``non_blocking`` or not.

    Raises:
        DeviceError: for a device that is not there, saying what to install.
    """
    want: dtype | None = None
    place: device | None = None
    values = [*args, *(kwargs[k] for k in ("dtype", "device", "other") if k in kwargs)]
    for value in values:
        if isinstance(value, TensorCore):
            kind = node_of(value).type
            want, place = kind.dtype, kind.device or CPU
        elif isinstance(value, bool) or value is None:  # non_blocking, copy
            continue
        elif isinstance(value, dtype) or value in {bool, int, float, complex}:
            want = as_dtype(value)
        elif isinstance(value, str) and value in BY_NAME:
            raise DeviceError(f"'{value}' is not a device; for the dtype write x.to(weft.{value})")
        else:
            place = resolve(value)
    before = node = node_of(input)
    if want is not None and node.type.dtype.is_complex and not want.is_complex:
        user_warning("Casting complex values to real discards the imaginary part")
    if want is not None and want.itemsize < node.type.dtype.itemsize:
        node = ew.cast(node, want)  # before it travels
    node = moved(node, place)
    if want is not None:
        node = ew.cast(node, want)
    if node is not before:
        return wrap(node)
    return wrap(ew.same(node)) if kwargs.get("copy") else input


def rebuilt(
    value: Any, requires_grad: bool, cls: type, attributes: Any, place: device = CPU
) -> Any:
    """Undoes :func:`reduced`."""
    if place is META:
        shape, kind = value
        node = leaf(NO_VALUES, type_of(shape, kind, META))
    else:
        node = as_leaf(value, place)
    x = finished(node, requires_grad)
    if type(x) is not cls:
        like: Any = object.__new__(cls)
        like._node, like._base, like._version = x._node, None, 0
        if requires_grad:
            like._node = ew.detach(like._node)
            require_grad(like)
        x = like
    x.__dict__.update(attributes)
    return x


def reduced(self: Tensor, protocol: SupportsIndex = 2) -> Any:
    """For pickle: the values (on "meta", shape and dtype), whether a gradient is wanted, and
    attributes (also ``.grad``).
    """
    node = node_of(self)
    if node.tracks and not node.tracks & LEAF:
        raise GradientError(
            "a tensor with a history cannot be pickled or copied deeply, only its values can: "
            "use x.detach()"
        )
    attributes = {k: v for k, v in self.__dict__.items() if k != "_hooks"}
    there = node.type.device is not META
    value = np.array(host_value(self)) if there else (node.type.shape, node.type.dtype)
    return rebuilt, (value, bool(node.tracks), type(self), attributes, node.type.device or CPU)


def deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
    """For ``copy.deepcopy``.

    Raises:
        GradientError: for a tensor with a history.
    """
    done = memo.get(id(self))
    if done is not None:
        return done  # type: ignore[no-any-return]
    make, (value, grad, cls, attributes, place) = reduced(self)
    out = make(value, grad, cls, {}, place)
    memo[id(self)] = out
    out.__dict__.update(copy.deepcopy(attributes, memo))
    return out  # type: ignore[no-any-return]


def realize(*tensors: Tensor) -> None:
    """Runs everything recorded so far; values of the tensors given are there afterwards.

    Raises:
        the error that computing one of ``tensors`` met, or a change in place, which is undone.
    """
    nodes = [node_of(x) for x in tensors]  # now: a change in place that fails is undone
    realize_pending()
    for node in nodes:
        computed(node)


def is_lost(x: TensorCore) -> bool:
    """Has computing its value failed?"""
    return isinstance(node_of(x).value, Failure)


def is_tensor(obj: Any) -> bool:
    """Is it a Tensor?"""
    return isinstance(obj, TensorCore)


def is_floating_point(input: Tensor) -> bool:
    """Is the dtype a floating one?"""
    return node_of(input).type.dtype.is_floating_point


def numel(input: Tensor) -> int:
    """The number of elements."""
    return node_of(input).type.size


def clone(input: Tensor, *, memory_format: memory_format = preserve_format) -> Tensor:
    """A copy, with the history of ``input``."""
    return wrap(ew.same(node_of(input)))
