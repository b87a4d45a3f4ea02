"""Types of old: ``weft.FloatTensor`` and its like, and ``weft.Tensor(2, 3)``."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import dtypes
from ..dtypes import as_dtype, dtype, get_default_dtype, set_default_dtype
from ..engine.devices import resolve
from ..errors import DTypeError
from ..graph.node import Node
from . import decompositions, lu as factors
from .core import TensorCore, is_number, node_of, wrap
from .creation import empty, moved, tensor
from .devices import device_of, set_default_device
from .interop import to as convert
from .out import with_out
from .shape import Size

if TYPE_CHECKING:
    from .tensor import Tensor


def made_of(name: str, data: tuple[Any, ...], kind: dtype | None, device: Any = None) -> Node:
    """What the constructors of old make of their arguments: of sizes a tensor, of data a copy.

    Args:
        kind: the dtype; None for the default one, but a Tensor's own.

    Raises:
        DTypeError: for a Tensor of another dtype.
        TypeError: for one number that is no size.
    """
    first = data[0] if data else 0
    if isinstance(first, TensorCore) and len(data) == 1:
        node = node_of(first)
        if kind is not None and node.type.dtype is not kind:
            raise DTypeError(
                f"{name}() takes a tensor of {kind}, not {node.type.dtype}: use x.to({kind})"
            )
        return moved(node, None if device is None else resolve(device))
    kind = kind or get_default_dtype()
    if isinstance(first, Size):
        data = first
    elif is_number(first) or not data:
        try:
            data = tuple(index(n) for n in data)
        except TypeError:
            raise TypeError(
                f"{name}() takes sizes or a sequence, not {first!r}: weft.tensor({first!r}) makes "
                "a tensor of one number"
            ) from None
        data = data or (0,)
    else:
        values = np.asarray(first) if hasattr(first, "__array__") else first
        return node_of(tensor(values, dtype=kind, device=device))
    return node_of(empty(data, dtype=kind, device=device))


def new(self: Tensor, *data: Any, device: Any = None) -> Tensor:
    """A tensor of these sizes, or with these data, in this one's dtype (``new_empty``, of old)."""
    return wrap(made_of("new", data, self.dtype, device_of(self) if device is None else device))


class _Kind(type):
    """The type of these types: they are of one dtype, and make tensors of it."""

    of: dtype
    place: str

    def __call__(cls, *data: Any, device: Any = None) -> Tensor:
        device = cls.place if device is None and cls.place != "cpu" else device
        return wrap(made_of(cls.__name__, data, cls.of, device))

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, TensorCore) and name_of(x) == repr(cls)

    def __repr__(cls) -> str:
        return f"weft.{'cuda.' if cls.place == 'cuda' else ''}{cls.__name__}"


def _kind(name: str, of: dtype, place: str = "cpu") -> _Kind:
    return _Kind(name, (), {"of": of, "place": place})


DoubleTensor = _kind("DoubleTensor", dtypes.float64)
FloatTensor = _kind("FloatTensor", dtypes.float32)
HalfTensor = _kind("HalfTensor", dtypes.float16)
BFloat16Tensor = _kind("BFloat16Tensor", dtypes.bfloat16)
LongTensor = _kind("LongTensor", dtypes.int64)
IntTensor = _kind("IntTensor", dtypes.int32)
ShortTensor = _kind("ShortTensor", dtypes.int16)
CharTensor = _kind("CharTensor", dtypes.int8)
ByteTensor = _kind("ByteTensor", dtypes.uint8)
BoolTensor = _kind("BoolTensor", dtypes.bool_)

_OF_CPU = (
    *(DoubleTensor, FloatTensor, HalfTensor, BFloat16Tensor, LongTensor, IntTensor),
    *(ShortTensor, CharTensor, ByteTensor, BoolTensor),
    # (of which PyTorch has the names only)
    _kind("ComplexFloatTensor", dtypes.complex64),
    _kind("ComplexDoubleTensor", dtypes.complex128),
    *[_kind(f"{kind.name.capitalize()}Tensor", kind) for kind in dtypes.FLOAT8],
)
#: The same on a GPU, by their names in ``weft.cuda``.
OF_CUDA = {kind.__name__: _kind(kind.__name__, kind.of, "cuda") for kind in _OF_CPU}
_BY_NAME = {repr(kind): kind for kind in (*_OF_CPU, *OF_CUDA.values())}


def name_of(x: TensorCore) -> str:
    """``weft.FloatTensor``, ``weft.cuda.LongTensor``: dtype and device in one name."""
    kinds = OF_CUDA.values() if device_of(x).type == "cuda" else _OF_CPU
    return next(repr(kind) for kind in kinds if kind.of is node_of(x).type.dtype)


def _kind_of(spec: Any) -> _Kind | None:
    """The type of old that is meant, or None: for a dtype."""
    if isinstance(spec, str):
        return _BY_NAME.get(spec.replace("torch.", "weft.", 1))
    return spec if isinstance(spec, _Kind) else None


def type_of_elements(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """``weft.FloatTensor``, the name of dtype and device; or this tensor in another dtype.

    Args:
        dtype: a dtype, or a type of old (``weft.LongTensor``, or its name).
    """
    return name_of(self) if dtype is None else converted(self, dtype)


def converted(x: Tensor, dtype: Any) -> Tensor:
    """In another dtype; with a type of old, on its device."""
    kind = _kind_of(dtype)
    if kind is None:
        return convert(x, as_dtype(dtype))
    return convert(x, kind.place, kind.of) if kind.place == "cuda" else convert(x, kind.of)


@with_out
def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """:func:`weft.linalg.cholesky`, of old."""
    return decompositions.cholesky(input, upper=upper)


@with_out
def qr(input: Tensor, some: bool = True) -> tuple[Tensor, Tensor]:
    """:func:`weft.linalg.qr`, of old: reduced, or with ``some=False`` complete."""
    return decompositions.qr(input, "reduced" if some else "complete")


@with_out
def svd(input: Tensor, some: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """``U``, ``S`` and ``V`` of ``input = U @ diag(S) @ V.mH``, of old.

    :func:`weft.linalg.svd` gives ``V.mH``.
    """
    u, s, vh = decompositions.svd(input, full_matrices=not some)
    return u, s, vh.mH


@with_out
def lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """:func:`weft.linalg.lu_factor`, of old; with ``get_infos``, ``lu_factor_ex``."""
    return factors.lu_factor_ex(A, pivot=pivot) if get_infos else factors.lu_factor(A, pivot=pivot)


@with_out
def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """:func:`weft.linalg.lu_solve`, of old."""
    return factors.lu_solve(LU_data, LU_pivots, b)


def set_default_tensor_type(t: Any) -> None:
    """Sets the default dtype, and where new tensors are made, by a type of old.

    Raises:
        TypeError: for anything else.
        DTypeError: if its dtype is not a floating one.
    """
    kind = _kind_of(t)
    if kind is None:
        raise TypeError(
            f"set_default_tensor_type takes weft.FloatTensor or its like, not {t!r}: for a dtype "
            "there is weft.set_default_dtype"
        )
    set_default_dtype(kind.of)
    set_default_device(kind.place)
