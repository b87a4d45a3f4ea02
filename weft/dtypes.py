"""Data types, and PyTorch's rules for what comes out when two of them meet."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from .errors import DTypeError, did_you_mean

Number = bool | int | float | complex


def _ml_dtypes() -> Any:
    import ml_dtypes  # here, not above: few programs need it and it costs start-up time

    return ml_dtypes


class dtype:  # noqa: N801 (PyTorch's name)
    """A data type of tensor elements: ``weft.float32`` and its like. One object per type."""

    __slots__ = (
        "_numpy",
        "category",
        "is_complex",
        "is_floating_point",
        "is_inexact",
        "is_only_stored",
        "is_reduced",
        "is_signed",
        "itemsize",
        "name",
    )

    def __init__(self, name: str, category: int, itemsize: int, numpy: str | None = None) -> None:
        self.name = name
        self.category = category  # 0 bool, 1 integer, 2 floating, 3 complex
        self.itemsize = itemsize
        self.is_floating_point = category == 2
        self.is_complex = category == 3
        self.is_inexact = category >= 2  # what divides, has roots and gradients
        self.is_signed = name not in ("bool", "uint8")
        # stored short, computed in float32
        self.is_reduced = self.is_floating_point and itemsize == 2
        # converted before anything is computed with it
        self.is_only_stored = self.is_floating_point and itemsize == 1
        self._numpy: np.dtype[Any] | None = np.dtype(numpy) if numpy else None

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype of the same name (``ml_dtypes`` has those that NumPy has not)."""
        if self._numpy is None:
            self._numpy = np.dtype(getattr(_ml_dtypes(), self.name))
        return self._numpy

    def __repr__(self) -> str:
        return f"weft.{self.name}"

    def __reduce__(self) -> str | tuple[Any, ...]:
        return (_by_name, (self.name,))

    def to_real(self) -> dtype:
        """The dtype of the parts of a complex one; of a real one, itself."""
        return _REAL_OF.get(self, self)

    def to_complex(self) -> dtype:
        """The complex dtype whose parts have this dtype; of 16-bit floats, complex64.

        Raises:
            DTypeError: for integers and bool.
        """
        if not self.is_inexact:
            raise DTypeError(f"no complex dtype has parts of {self}: convert to a floating dtype")
        return self if self.is_complex else _COMPLEX_OF.get(self, complex64)


bool_ = dtype("bool", 0, 1, "?")
uint8 = dtype("uint8", 1, 1, "u1")
int8 = dtype("int8", 1, 1, "i1")
int16 = dtype("int16", 1, 2, "i2")
int32 = dtype("int32", 1, 4, "i4")
int64 = dtype("int64", 1, 8, "i8")
float16 = dtype("float16", 2, 2, "f2")
bfloat16 = dtype("bfloat16", 2, 2)
float32 = dtype("float32", 2, 4, "f4")
float64 = dtype("float64", 2, 8, "f8")
complex64 = dtype("complex64", 3, 8, "c8")
complex128 = dtype("complex128", 3, 16, "c16")

#: Of 8 bits (Micikevicius et al., 2022, arXiv:2209.05433; e8m0: powers of two, for scales, of the
#: Open Compute Project's microscaling formats): to be stored, and multiplied by ``scaled_mm``.
FLOAT8 = tuple(
    [
        dtype(f"float8_{kind}", 2, 1)
        for kind in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz", "e8m0fnu")
    ]
)
float8_e4m3fn, float8_e4m3fnuz, float8_e5m2, float8_e5m2fnuz, float8_e8m0fnu = FLOAT8

ALL = (
    *(bool_, uint8, int8, int16, int32, int64, *FLOAT8, float16, bfloat16, float32, float64),
    *(complex64, complex128),
)
_COMPLEX_OF = {float32: complex64, float64: complex128}
_REAL_OF = {c: r for r, c in _COMPLEX_OF.items()}
BY_NAME = {d.name: d for d in ALL}
BY_NAME.update(double=float64, float=float32, half=float16, long=int64, int=int32, short=int16)
BY_NAME.update(cfloat=complex64, cdouble=complex128)
_PYTHON = {bool: bool_, int: int64, float: float32}
_default = float32


def _by_name(name: str) -> dtype:
    return BY_NAME[name]


def as_dtype(value: Any) -> dtype:
    """A weft dtype from one, a name, a NumPy dtype or a Python type.

    Raises:
        DTypeError: for anything else, naming the nearest dtype.
    """
    if isinstance(value, dtype):
        return value
    if value is float:
        return _default
    if value is bool or value is int:
        return _PYTHON[value]
    if value is complex:
        return _default.to_complex()
    name = value if isinstance(value, str) else None
    if name is None:
        try:
            name = np.dtype(value).name
        except TypeError:
            name = str(value)
    name = name.removeprefix("weft.").removeprefix("torch.")
    found = BY_NAME.get(name)
    if found is None:
        raise DTypeError(
            f"weft has no dtype '{name}'.{did_you_mean(name, BY_NAME)}"
            f" It has {', '.join(d.name for d in ALL)}."
        )
    return found


def get_default_dtype() -> dtype:
    """The dtype that Python floats become: float32 unless :func:`set_default_dtype` changed it."""
    return _default


def set_default_dtype(d: Any) -> None:
    """Sets the dtype that Python floats become.

    Raises:
        DTypeError: if ``d`` is not a floating dtype.
    """
    global _default
    d = as_dtype(d)
    if not d.is_floating_point:
        raise DTypeError(f"the default dtype must be a floating one, not {d}")
    _default = d


def of_number(value: Any) -> dtype:
    """The dtype of a Python number by itself: bool, int64, the default float, or complex of it."""
    kind = value.__class__
    if kind is float:
        return _default
    found = _PYTHON.get(kind)
    if found is not None:
        return found
    if isinstance(value, (bool, np.bool_)):
        return bool_
    if isinstance(value, (int, np.integer)):
        return int64
    if isinstance(value, (float, np.floating)):
        return _default
    if isinstance(value, (complex, np.complexfloating)):
        return _default.to_complex()
    raise DTypeError(f"a number is expected here, not {kind.__name__}")


def only_stored(d: dtype, what: str = "arithmetic") -> DTypeError:
    """The error for computing with an 8-bit float."""
    return DTypeError(
        f"{what}: values of {d} are stored and moved, not computed with. Convert them first: "
        "x.float(), or multiply matrices by nn.functional.scaled_mm"
    )


def converted(array: Any, to: dtype) -> Any:
    """An array's values in another dtype, as PyTorch converts them.

    By way of int64 to integers, so that -1.0 becomes 255 in uint8; to 8-bit floats that have no
    infinity, as the largest number; of complex ones, the real part to real numbers.
    """
    if array.dtype.kind == "c" and to.category in (1, 2):
        array = array.real
    if to.category == 1 and array.dtype.kind not in "iub":
        return array.astype(np.int64).astype(to.numpy)
    if to.is_only_stored and array.dtype != to.numpy:
        array = array.astype(np.promote_types(array.dtype, np.float32))
        if to is float8_e4m3fn:
            array = np.clip(array, -448, 448)
        elif to is float8_e8m0fnu:  # has no sign, and no zero
            array = np.maximum(abs(array), 2.0**-127)
    with np.errstate(over="ignore"):
        return array.astype(to.numpy, copy=False)


@cache
def promote(a: dtype, b: dtype) -> dtype:
    """The smallest dtype to which both convert (``torch.promote_types``)."""
    if a is b:
        return a
    if a.is_only_stored or b.is_only_stored:
        raise only_stored(a if a.is_only_stored else b)
    if a.is_complex and b.is_inexact:
        return promote(a.to_real(), b.to_real()).to_complex()
    if a.category != b.category:
        return promote(b, a) if b.is_complex else a if a.category > b.category else b
    if a.is_floating_point:
        if a.itemsize == b.itemsize:  # float16 with bfloat16
            return float32
        return a if a.itemsize > b.itemsize else b
    if uint8 in (a, b):  # integers: uint8 with a signed one needs one more bit
        signed = b if a is uint8 else a
        return int16 if signed is int8 else signed
    return a if a.itemsize > b.itemsize else b


def promote_ranked(a: dtype, a_ndim: int, b: dtype, b_ndim: int) -> dtype:
    """Promotion of two operands, where a zero-dimensional one gives way within its category."""
    if a_ndim == 0 and b_ndim > 0:
        return _giving_way(b, a)
    if b_ndim == 0 and a_ndim > 0:
        return _giving_way(a, b)
    return promote(a, b)


def _giving_way(a: dtype, b: dtype) -> dtype:
    """The dtype of ``a`` unless ``b`` is of a higher category; complex parts are as ``a`` is."""
    if b.category <= a.category:
        return a
    return a.to_complex() if b.is_complex and a.is_floating_point else b


def with_number(a: dtype, value: Any) -> dtype:
    """The dtype of ``tensor op number``: the tensor's, unless the number's category is higher."""
    return _giving_way(a, of_number(value))


# ---- ranges


class finfo:  # noqa: N801 (PyTorch's name)
    """The numbers that a floating dtype has: ``weft.finfo(weft.float16).max``.

    Of a complex dtype, those of its parts.

    Args:
        type: by default the default dtype.

    Attributes:
        bits: how many a number takes.
        min, max: the finite extremes.
        eps: from 1 to the next larger number.
        tiny, smallest_normal: the smallest positive number of full precision.
        resolution: the decimal precision, as a power of ten.
        dtype: the dtype's name.

    Raises:
        TypeError: for a dtype that is not floating.
    """

    def __init__(self, type: Any = None) -> None:
        of = get_default_dtype() if type is None else as_dtype(type).to_real()
        if not of.is_floating_point:
            raise TypeError(f"finfo is of floating dtypes: for {of} there is weft.iinfo")
        known = _ml_dtypes().finfo(of.numpy)
        self.bits, self.dtype = of.itemsize * 8, of.name
        self.min, self.max, self.eps = float(known.min), float(known.max), float(known.eps)
        self.tiny = self.smallest_normal = float(known.tiny)
        self.resolution = 1.0 if of.is_only_stored else float(f"1e-{known.precision}")

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.tiny:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )


class iinfo:  # noqa: N801 (PyTorch's name)
    """The numbers that an integer dtype has: ``bits``, ``min``, ``max``, and ``dtype``, its name.

    Raises:
        TypeError: for a dtype that is not of integers.
    """

    def __init__(self, type: Any) -> None:
        of = as_dtype(type)
        if of.category != 1:
            raise TypeError(f"iinfo is of integer dtypes, not of {of}")
        known = np.iinfo(of.numpy)
        self.bits, self.dtype = of.itemsize * 8, of.name
        self.min, self.max = int(known.min), int(known.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
