"""What tests of programs need: the names of ``torch.testing``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .dtypes import as_dtype, complex128, dtype, finfo, float32, float64
from .errors import OptionError
from .tensors.complex import complex as complex_of
from .tensors.core import node_of
from .tensors.creation import zeros
from .tensors.interop import host_value
from .tensors.random import randint, uniform_
from .tensors.shape import sizes_of
from .tensors.tensor import Tensor

#: Relative and absolute tolerance, as PyTorch has them; exact for all other dtypes.
_TOLERANCES = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}
Message = str | Callable[[str], str] | None


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: Message = None,
) -> None:
    """Raises unless ``|actual - expected| <= atol + rtol * |expected|`` everywhere.

    Args:
        actual, expected: tensors, NumPy arrays, numbers, or sequences and mappings of these.
        allow_subclasses: without it, both must be of one type.
        rtol, atol: both, or neither: then by dtype, the looser of the two; integers must be equal.
        equal_nan: do NaNs equal one another?
        check_device, check_dtype: must these be the same?
        check_layout, check_stride: of no effect: all tensors are dense, and how they lie is not
            seen.
        msg: in place of the message, or what makes one of it.

    Raises:
        AssertionError: where they differ, saying by how much and where.
        OptionError: for one tolerance without the other.
        TypeError: for values that cannot be compared.
    """
    if (rtol is None) != (atol is None):
        raise OptionError(f"rtol and atol go together, but rtol={rtol} and atol={atol}")
    tolerances = None if rtol is None or atol is None else (rtol, atol)
    options = _Options(tolerances, equal_nan, check_device, check_dtype, allow_subclasses)
    text = _difference(actual, expected, options, "")
    if text is not None:
        raise AssertionError(msg(text) if callable(msg) else msg or text)


class _Options(NamedTuple):
    tolerances: tuple[float, float] | None
    equal_nan: bool
    device: bool
    dtype: bool
    subclasses: bool


def _difference(a: Any, b: Any, options: _Options, where: str) -> str | None:
    """What is said of a difference; ``where`` in nested values. None if there is none."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if a.keys() != b.keys():
            return f"The keys of the mappings{where} differ: {list(a)} and {list(b)}"
        pairs = [(f"[{k!r}]", a[k], b[k]) for k in a]
    elif _is_sequence(a) and _is_sequence(b):
        if len(a) != len(b):
            return f"The lengths of the sequences{where} differ: {len(a)} and {len(b)}"
        pairs = [(f"[{k}]", x, y) for k, (x, y) in enumerate(zip(a, b, strict=True))]
    else:
        return _of_values(a, b, options, where)
    for place, x, y in pairs:
        text = _difference(x, y, options, f"{where or ' at '}{place}")
        if text is not None:
            return text
    return None


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _of_values(a: Any, b: Any, options: _Options, where: str) -> str | None:
    if a is None or b is None:
        return None if a is b else f"One of the values{where} is None: {a!r} and {b!r}"
    if not options.subclasses and type(a) is not type(b):
        raise TypeError(f"the types differ: {type(a).__name__} and {type(b).__name__}")
    x, y = _array(a), _array(b)
    kinds = [as_dtype(v.dtype) for v in (x, y)]
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        nodes = node_of(a).type, node_of(b).type
        if options.device and nodes[0].device is not nodes[1].device:
            return f"The devices{where} differ: {nodes[0].device} and {nodes[1].device}"
        if options.dtype and kinds[0] is not kinds[1]:
            return f"The dtypes{where} differ: {kinds[0]} and {kinds[1]}"
    if x.shape != y.shape:
        return f"The shapes{where} differ: {list(x.shape)} and {list(y.shape)}"
    rtol, atol = options.tolerances or _tolerances(kinds)
    return _of_arrays(x, y, rtol, atol, options.equal_nan, where)


def _array(value: Any) -> Any:
    if isinstance(value, Tensor):
        return host_value(value)
    if isinstance(value, (bool, int, float, complex, np.ndarray, np.generic)):
        return np.asarray(value)
    raise TypeError(f"assert_close compares tensors and numbers, not {type(value).__name__}")


def _tolerances(kinds: list[dtype]) -> tuple[float, float]:
    found = [_TOLERANCES.get(kind.name, (0.0, 0.0)) for kind in kinds]
    return max(r for r, _ in found), max(a for _, a in found)


def _of_arrays(x: Any, y: Any, rtol: float, atol: float, equal_nan: bool, where: str) -> str | None:
    wide = np.result_type(x.dtype, y.dtype, np.float64)
    wide_x, wide_y = x.astype(wide), y.astype(wide)
    with np.errstate(all="ignore"):
        far = ~np.isclose(wide_x, wide_y, rtol=rtol, atol=atol, equal_nan=equal_nan)
    if x.dtype.kind in "iub" and y.dtype.kind in "iub" and not (rtol or atol):
        far = x != y  # (large integers are not exact as float64)
    if not far.any():
        return None
    with np.errstate(all="ignore"):
        apart = np.nan_to_num(np.where(far, abs(wide_x - wide_y), 0.0), nan=np.inf)
        ratio = np.nan_to_num(np.where(far, apart / abs(wide_y), 0.0), nan=np.inf)
    worst = np.unravel_index(int(apart.argmax()), x.shape)
    at = "" if not x.shape else f" at {tuple(int(k) for k in worst)}"
    return (
        f"The values{where} are not close: {int(far.sum())} of {far.size} differ.\n"
        f"Greatest absolute difference: {float(apart.max())}{at} (up to {atol} allowed)\n"
        f"Greatest relative difference: {float(ratio.max())} (up to {rtol} allowed)"
    )


def make_tensor(
    *shape: Any,
    dtype: dtype,
    device: Any = None,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor of random numbers in ``[low, high)``.

    Args:
        shape: sizes, or one sequence of them.
        dtype: the dtype; complex numbers have both parts in that interval.
        device: where; None for the default device.
        low, high: where left out, -9 and 9 (10 for integers), 0 and 10 for uint8, 0 and 2 for bool.
        requires_grad: are gradients wanted?
        noncontiguous: every other element of a larger tensor, by its last dimension.
        exclude_zero: zeros become the smallest positive number (1, for integers).
        memory_format: without effect.

    Raises:
        OptionError: if there is nothing in the interval, or ``requires_grad`` of integers.
    """
    kind = as_dtype(dtype)
    sizes = sizes_of("make_tensor", shape)
    if requires_grad and not kind.is_inexact:
        raise OptionError(f"make_tensor: {kind} has no gradients, but requires_grad=True")
    lowest, highest = _INTERVALS.get(kind.name, (-9, 9 if kind.is_inexact else 10))
    low, high = lowest if low is None else low, highest if high is None else high
    if not low < high:
        raise OptionError(f"make_tensor: there is nothing from low={low} up to high={high}")
    wide = (*sizes[:-1], 2 * sizes[-1]) if noncontiguous and sizes else sizes
    made = _drawn(wide, kind, low, high, device)
    if wide != sizes:
        made = made[..., ::2]
    if exclude_zero:
        made = made.masked_fill(made == 0, finfo(kind).tiny if kind.is_inexact else 1)
    return made.detach().requires_grad_(requires_grad)


_INTERVALS = {"uint8": (0, 10), "bool": (0, 2)}


def _drawn(sizes: Sequence[int], kind: dtype, low: float, high: float, device: Any) -> Tensor:
    if kind.is_complex:
        real = float64 if kind is complex128 else float32
        parts = [_drawn(sizes, real, low, high, device) for _ in range(2)]
        return complex_of(*parts)
    if kind.is_floating_point:
        return uniform_(zeros(sizes, dtype=kind, device=device), low, high)
    return randint(math.ceil(low), math.ceil(high), sizes, dtype=kind, device=device)
