"""What the names in PyTorch's files stand for, and the tensors that are built of their storages."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ..dtypes import BY_NAME, dtype, uint8
from ..errors import CheckpointError, DeviceError, UnsupportedOp
from ..graph.device import META, device
from ..nn.parameter import Parameter
from ..tensors.core import TensorCore
from ..tensors.creation import empty
from ..tensors.shape import Size
from ..tensors.tensor import Tensor
from .numpy_values import numpy_name
from .pickles import Buffer, Named, Unpickler, plain_key
from .storages import Place, Storage

#: The dtypes of typed storages; those with None are ones that weft does not have.
STORAGES: dict[str, str] = {
    "BoolStorage": "bool",
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "ShortStorage": "int16",
    "IntStorage": "int32",
    "LongStorage": "int64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}

_OTHER_DTYPES = {
    "QUInt8Storage": "quint8",
    "QInt8Storage": "qint8",
    "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
}

_KINDS = {
    "_rebuild_sparse_tensor": "a sparse tensor",
    "_rebuild_sparse_csr_tensor": "a sparse tensor",
    "_rebuild_qtensor": "a quantized tensor",
    "_rebuild_nested_tensor": "a nested tensor",
    "_rebuild_device_tensor_from_numpy": "a tensor of another device's backend",
}


#: Modules that hostile pickles make use of.
_DANGEROUS = {
    *("builtins", "__builtin__", "os", "posix", "nt", "sys", "subprocess", "pty", "shutil"),
    *("importlib", "runpy", "ctypes", "socket", "webbrowser", "operator", "code", "bdb", "pdb"),
}


class _StorageKind(Named):
    """A class of storages; ``dtype`` is None for bytes of any kind."""

    def __init__(self, name: str, kind: dtype | None) -> None:
        super().__init__(name)
        self.dtype = kind


class AnyStorage(Protocol):
    """What tensors are cut from."""

    def tensor(self, place: Place) -> Tensor: ...


#: ``(key, dtype, bytes) -> storage``: the values of a storage, which the container finds.
FindStorage = Callable[[str, dtype, int], AnyStorage]


class _Bytes:
    """A storage without a dtype of its own (``UntypedStorage``)."""

    def __init__(self, find: Callable[[dtype], AnyStorage]) -> None:
        self.find = find


class _Part:
    """A part of a storage, as files of PyTorch 0.3 and older have it."""

    def __init__(self, whole: AnyStorage, offset: int, size: int) -> None:
        self._whole, self._offset, self._size = whole, offset, size

    def tensor(self, place: Place) -> Tensor:
        last = place.offset + sum(
            (n - 1) * s for n, s in zip(place.shape, place.strides, strict=True)
        )
        if last >= self._size and 0 not in place.shape:
            raise CheckpointError("a tensor reaches beyond its part of a storage")
        return self._whole.tensor(place._replace(offset=place.offset + self._offset))


class _UsersError(Exception):
    """Carries an error of ``map_location`` past those who look for faults of the file."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class Rebuilder:
    """Makes the objects of one file.

    Args:
        find: finds the values of a storage, by key, dtype and size in bytes.
        map_location: as of :func:`weft.load`.
        encoding: of Python 2's strings.
    """

    def __init__(self, find: FindStorage, map_location: Any, encoding: str) -> None:
        self._find = find
        self._map_location = map_location
        self._encoding = encoding
        self._found: dict[str, tuple[dtype, AnyStorage]] = {}
        self._names: dict[str, Callable[..., Any]] = {
            **_PLAIN,
            "torch._utils._rebuild_tensor": self._tensor,
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_tensor_v3": self._tensor_v3,
            "torch._utils._rebuild_parameter": _parameter,
            "torch._utils._rebuild_parameter_with_state": _parameter,
            "torch._utils._rebuild_meta_tensor_no_storage": _without_values,
            "torch._tensor._rebuild_from_type_v2": _from_type,
        }

    def load(self, data: Buffer, begin: int = 0) -> tuple[Any, int]:
        """The object of the pickle at ``begin``, and where that ends."""
        unpickler = Unpickler(data, begin, self._named, self._persistent, self._encoding)
        try:
            value = unpickler.load()
        except _UsersError as error:
            raise error.error from None
        _check_plain(value)
        return value, unpickler.at

    def _named(self, name: str) -> Any:
        make = self._names.get(name)
        if make is not None:
            return Named(name, make)
        module, _, last = name.rpartition(".")
        if module in ("torch", "torch.cuda") and last in STORAGES:
            return _StorageKind(name, BY_NAME[STORAGES[last]])
        if name in ("torch.storage.UntypedStorage", "torch.UntypedStorage"):
            return _StorageKind(name, None)
        if module == "torch" and last in BY_NAME:
            return BY_NAME[last]
        if name in _TYPES:
            return Named(name)
        found = numpy_name(name)
        if found is None:
            raise _unknown(name, module, last)
        return found

    # ---- storages

    def _persistent(self, pid: Any) -> Any:
        if type(pid) is not tuple or len(pid) not in (5, 6) or as_text(pid[0]) != "storage":
            raise CheckpointError("its pickle refers to something outside that is no storage")
        _, kind, key, location, count = pid[:5]
        if not isinstance(kind, _StorageKind) or type(count) is not int or count < 0:
            raise TypeError("a storage without a kind or a size")
        key, location = as_text(key), as_text(location)
        if kind.dtype is None:
            return _Bytes(lambda d: self._storage(key, d, count, location))
        whole = self._storage(key, kind.dtype, count * kind.dtype.itemsize, location)
        if len(pid) == 5 or pid[5] is None:
            return whole
        _, offset, size = pid[5]
        if type(offset) is not int or type(size) is not int or not 0 <= offset <= offset + size:
            raise TypeError("a part of a storage without a place")
        return _Part(whole, offset, size)

    def _storage(self, key: str, kind: dtype, count: int, location: str) -> AnyStorage:
        if key not in self._found:
            storage = self._find(key, kind, count)
            self._found[key] = kind, self._moved(storage, location)
        known, storage = self._found[key]
        if known is not kind:
            raise UnsupportedOp(
                f"one storage holds values of two dtypes, {known} and {kind}: save copies of the "
                "tensors where the file was made, x.clone()"
            )
        return storage

    def _moved(self, storage: AnyStorage, location: str) -> AnyStorage:
        if isinstance(storage, Storage):
            try:
                storage.move(self._map_location, location)
            except Exception as error:  # noqa: BLE001 (whatever it is, it goes on to the user)
                raise _UsersError(error) from None
        return storage

    # ---- tensors

    def _tensor(
        self,
        storage: Any,
        offset: Any,
        shape: Any,
        strides: Any,
        requires_grad: Any = False,
        hooks: Any = None,
        metadata: Any = None,
    ) -> Tensor:
        if isinstance(storage, _Bytes):
            storage = storage.find(uint8)
        if not isinstance(shape, tuple) or not isinstance(strides, tuple):
            raise TypeError("a tensor whose sizes are no tuple")
        if any(type(n) is not int for n in (offset, *shape, *strides)):
            raise TypeError("a tensor whose sizes are no ints")
        if metadata not in (None, {}, {"conj": True}):
            raise UnsupportedOp("a tensor is marked as negative: save x.resolve_neg()")
        x: Tensor = storage.tensor(Place(offset, tuple(shape), tuple(strides)))
        if metadata:
            x = x.conj()
        if requires_grad is not True or not x.dtype.is_inexact:
            return x
        return x.detach().requires_grad_()  # others of this storage want none

    def _tensor_v3(
        self,
        storage: Any,
        offset: Any,
        shape: Any,
        strides: Any,
        requires_grad: Any,
        hooks: Any,
        kind: Any,
        metadata: Any = None,
    ) -> Tensor:
        if not isinstance(kind, dtype) or not isinstance(storage, _Bytes):
            raise TypeError("a tensor without a dtype")
        return self._tensor(
            storage.find(kind), offset, shape, strides, requires_grad, hooks, metadata
        )


def _parameter(data: Any, requires_grad: Any = True, hooks: Any = None, state: Any = None) -> Any:
    wanted = requires_grad is True and isinstance(data, Tensor) and data.dtype.is_inexact
    return Parameter(data, wanted)


def _without_values(kind: Any, shape: Any, strides: Any, requires_grad: Any) -> Tensor:
    """A tensor on "meta"."""
    if not isinstance(kind, dtype):
        raise TypeError("a tensor without a dtype")
    wanted = requires_grad is True and kind.is_inexact
    return empty(_size(shape), dtype=kind, device=META, requires_grad=wanted)


def _from_type(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """A tensor with attributes of its own."""
    if not isinstance(kind, Named) or kind.name not in _TYPES:
        raise TypeError("a tensor is of a class that is none of tensors")
    if not isinstance(function, Named) or not function.name.startswith("torch._utils._rebuild_"):
        raise TypeError("a tensor is made by something else than a function for it")
    assert function.make is not None
    x = function.make(*arguments)
    if not isinstance(x, TensorCore):
        raise TypeError("a tensor is made of something else")
    if kind.name.endswith("Parameter") and not isinstance(x, Parameter):
        x = Parameter(x)
    for name, value in state.items() if isinstance(state, dict) else ():
        if type(name) is str and name.isidentifier() and not hasattr(type(x), name):
            x.__dict__[name] = value
    return x


_LATIN = ("latin1", "latin-1")  # how bytes are written by pickle's protocol 2


def _encode(text: Any, encoding: Any) -> bytes:
    if type(text) is not str or type(encoding) is not str or encoding not in _LATIN:
        raise TypeError("bytes in an encoding that pickle does not use")
    return text.encode("latin1")


def _set(items: Any = ()) -> set[Any]:
    if type(items) not in (list, tuple):
        raise TypeError("a set of something that is no list")
    return set(map(plain_key, items))


def _bytearray(data: Any = b"", encoding: Any = "latin-1") -> bytearray:
    return bytearray(data if type(data) is bytes else _encode(data, encoding))


def _complex(real: Any, imag: Any) -> complex:
    if type(real) is not float or type(imag) is not float:
        raise TypeError("a complex number of parts that are no floats")
    return complex(real, imag)


def _size(sizes: Any) -> Size:
    if type(sizes) is not tuple or any(type(n) is not int for n in sizes):
        raise TypeError("sizes that are no ints")
    return Size(sizes)


def _device(kind: Any, index: Any = None) -> device | str:
    if type(kind) is not str or type(index) not in (int, type(None)):
        raise TypeError("a device without a name")
    try:
        return device(kind, index)
    except DeviceError:  # one that weft does not know
        return kind if index is None else f"{kind}:{index}"


def _pairs(items: Any = ()) -> OrderedDict[Any, Any]:
    if type(items) not in (list, tuple):
        raise TypeError("an OrderedDict of something that is no list")
    return OrderedDict((plain_key(key), value) for key, value in items)


def _counter(counts: Any = None) -> Counter[Any]:
    if counts is not None and type(counts) is not dict:
        raise TypeError("a Counter of something that is no dict")
    return Counter(counts)


_PLAIN: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _pairs,
    "collections.Counter": _counter,
    "_codecs.encode": _encode,
    "torch.Size": _size,
    "torch.device": _device,
    **{f"{module}.set": _set for module in ("builtins", "__builtin__")},
    **{f"{module}.bytearray": _bytearray for module in ("builtins", "__builtin__")},
    **{f"{module}.complex": _complex for module in ("builtins", "__builtin__")},
}

#: Classes of tensors, which are named beside the function that makes one.
_TYPES = ("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")


def as_text(value: Any) -> str:
    """A key of a storage, or the name of a device."""
    if isinstance(value, bytes):
        return value.decode()
    if type(value) is int:  # keys of the oldest files
        return str(value)
    if type(value) is not str:
        raise TypeError("a storage without a key")
    return value


def _unknown(name: str, module: str, last: str) -> Exception:
    if last in _KINDS:
        return UnsupportedOp(f"it holds {_KINDS[last]}, which weft does not have")
    if last in _OTHER_DTYPES or (module == "torch" and last[-1:].isdigit()):
        return UnsupportedOp(
            f"it holds a tensor of dtype {_OTHER_DTYPES.get(last, last)}, which weft does not have"
            f": convert it to one of {', '.join(STORAGES.values())} where the file was made"
        )
    if name.partition(".")[0] in _DANGEROUS:
        return CheckpointError(
            f"it asks for '{name}', with which a file could do anything on this machine. Nothing "
            "of it was run. This is not how weights are saved: do not load it with other programs"
        )
    return CheckpointError(
        f"it asks for '{name}', and weft.load makes tensors and plain values only: nothing that a "
        "file names is imported or called. It may hold a whole model or other objects, where a "
        "state_dict() is wanted. If you trust the file, load it where PyTorch is installed, "
        "torch.load(path, weights_only=False), and save the state_dict() from there"
    )


_LEAVES = (
    device,
    str,
    int,
    float,
    bool,
    type(None),
    bytes,
    bytearray,
    complex,
    dtype,
    TensorCore,
    np.generic,
)


def _check_plain(value: Any) -> None:
    """
    Raises:
        CheckpointError: if there is anything in it that is only for the inside of files.
    """
    seen: set[int] = set()
    todo = [value]
    while todo:
        value = todo.pop()
        if isinstance(value, _LEAVES):
            continue
        if not isinstance(value, (list, tuple, dict, set)):
            raise CheckpointError(f"it holds a bare {getattr(value, 'name', 'storage')}")
        if id(value) not in seen:
            seen.add(id(value))
            todo += value.values() if isinstance(value, dict) else value
