"""Making Tensors: from data, and from sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import (
    as_dtype,
    bool_,
    converted,
    dtype,
    get_default_dtype,
    int64,
    of_number,
    promote,
)
from ..engine.devices import put, resolve
from ..engine.realize import computed, realize_if_large
from ..errors import DTypeError, GradientError, OptionError, ShapeError
from ..graph.device import CPU, device
from ..graph.modes import grad_enabled
from ..graph.node import Fresh, Node, leaf, type_of
from ..ops import elementwise as ew, movement as mv
from .core import TensorCore, is_number, leaf_for, node_of, wrap
from .memory import layout, memory_format, preserve_format, strided
from .out import made_in
from .shape import sizes_of

if TYPE_CHECKING:
    from .tensor import Tensor

# ---- from device to device


def moved(node: Node, to: device | None) -> Node:
    """The value on another device; a value that is there already starts on its way now."""
    if to is None or node.type.device is to:
        return node
    if node.value is None or (node.tracks and grad_enabled()):
        return mv.to_device(node, to)
    kind = type_of(node.type.shape, node.type.dtype, to)
    return leaf(put(computed(node), to), kind)


# ---- from data


def as_leaf(array: Any, device: device | None = None) -> Node:
    """A NumPy array as a leaf. The array is taken over: it must be nobody else's.

    Args:
        device: where it is to be; None for a constant, which goes where it is used.

    Raises:
        DTypeError: for a dtype that weft does not have.
    """
    array = np.asarray(array)
    kind = array.dtype
    if not kind.isnative:
        array = array.astype(kind.newbyteorder("="))
    try:
        found = as_dtype(kind)
    except DTypeError:
        wide = {"u2": int64, "u4": int64}.get(kind.str[1:])
        if wide is None:
            raise DTypeError(
                f"weft has no dtype for a NumPy array of '{kind}': convert it first, "
                "for example x.astype(np.float32)"
            ) from None
        found, array = wide, array.astype(np.int64)
    Fresh.bytes += array.nbytes
    node = leaf(put(array, device), type_of(array.shape, found, device))
    realize_if_large()
    return node


def _from_sequence(data: Any) -> Any:
    """Nested sequences of numbers (and of Tensors) as an array.

    Raises:
        ShapeError: if they are ragged.
        TypeError: if they hold anything but numbers.
        OptionError: for an int that has more than 64 bits.
    """
    try:
        array = np.array(data)
    except ValueError as error:
        raise ShapeError(f"tensor(): the nested sequences differ in length ({error})") from None
    if array.dtype.kind in "USOMu":
        for leaf in _leaves(data):
            if not is_number(leaf) and not isinstance(leaf, np.ndarray):
                raise TypeError(f"tensor() takes numbers, not {leaf!r}")
            if isinstance(leaf, int) and not -(1 << 63) <= leaf < 1 << 63:
                raise OptionError(
                    f"tensor(): {leaf} does not fit int64; as a float, {leaf}.0, it does"
                )
    return array


def _plain(data: Any) -> Any:
    """Tensors within nested sequences as arrays."""
    if isinstance(data, TensorCore):
        return data.numpy()  # type: ignore[attr-defined]
    if isinstance(data, (list, tuple)):
        if data and isinstance(data[0], (TensorCore, list, tuple)):
            return [_plain(d) for d in data]
        if any(isinstance(d, TensorCore) for d in data):
            return [_plain(d) for d in data]
    return data


def _leaves(data: Any) -> Iterator[Any]:
    if isinstance(data, (list, tuple)):
        for part in data:
            yield from _leaves(part)
    else:
        yield data


def _dtype_for(data: Any, array: Any) -> dtype:
    """What data become by themselves: Python floats the default dtype, arrays their own."""
    if isinstance(next(_leaves(data), None), (np.ndarray, np.generic)):
        kinds = {getattr(leaf, "dtype", type(leaf)) for leaf in _leaves(data)}
        return reduce(promote, [as_dtype(kind) for kind in kinds])
    if array.size == 0 or array.dtype.kind == "f":
        return get_default_dtype() if array.dtype.name != "bfloat16" else as_dtype(array.dtype)
    if array.dtype.kind == "c":
        return get_default_dtype().to_complex()
    return bool_ if array.dtype.kind == "b" else int64


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A new leaf with a copy of ``data``: numbers, nested sequences, or a NumPy array.

    Args:
        dtype: by default float32 for Python floats, int64 for ints, an array's own dtype.
        requires_grad: whether gradients of it are to be kept.

    Raises:
        ShapeError: for ragged sequences.
        TypeError: for anything but numbers.
        DTypeError: for a number beyond the range of an integer dtype.
        DeviceError: for a device that is not there.
    """
    if isinstance(data, TensorCore):
        node = node_of(data)
        node = moved(ew.detach(node), node.type.device if device is None else resolve(device))
        return finished(node if dtype is None else ew.cast(node, as_dtype(dtype)), requires_grad)
    if hasattr(data, "__array__") and not isinstance(data, (np.ndarray, np.generic)):
        data = np.asarray(data)
    data = _plain(data)
    is_array = isinstance(data, (np.ndarray, np.generic))
    array = np.array(data) if is_array else _from_sequence(data)
    to = None if dtype is None else as_dtype(dtype)
    if to is not None and not is_array:
        check_fits(array, to)
        if array.dtype.kind == "c" and not to.is_complex:
            raise DTypeError(f"tensor(): complex numbers do not fit {to}")
    if to is None and array.dtype.kind in "cfiub" and array.dtype not in ("u2", "u4", "u8"):
        to = _dtype_for(data, array)
    if to is not None:
        array = converted(array, to)
    return finished(as_leaf(array, resolve(device)), requires_grad)


def check_fits(value: Any, to: dtype) -> None:
    """Raises DTypeError if a number (or one of an array) is beyond the range of an integer dtype.

    Negative numbers count from the end of an unsigned one, as in PyTorch.
    """
    if to.category != 1:
        return
    values = np.asarray(value)
    if values.size == 0 or values.dtype.kind not in "iuf":
        return
    limits = np.iinfo(to.numpy)
    low = limits.min if to.is_signed else -limits.max
    for extreme in (values.min().item(), values.max().item()):
        if not low <= extreme <= limits.max:
            raise DTypeError(f"{extreme} does not fit {to} ({limits.min} to {limits.max})")


def finished(node: Node, requires_grad: bool) -> Tensor:
    """A Tensor of a node, as a leaf of gradients where asked for."""
    out = wrap(node)
    if requires_grad:
        require_grad(out)
    return out


def require_grad(x: Tensor) -> None:
    """Makes ``x`` a leaf whose gradient is kept.

    Raises:
        GradientError: for integers and bools.
    """
    node = node_of(x)
    if not node.type.dtype.is_inexact:
        raise GradientError(
            f"only floating and complex tensors can require gradients, not {node.type.dtype}: "
            "convert it first, x.float().requires_grad_()"
        )
    if not node.tracks:
        x._node = leaf_for(x, node)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """``data`` as a Tensor; a Tensor of that dtype already is returned as it is."""
    if isinstance(data, TensorCore):
        before = node = node_of(data)
        if device is not None:
            node = moved(node, resolve(device))
        if dtype is not None:
            node = ew.cast(node, as_dtype(dtype))
        return data if node is before else wrap(node)  # type: ignore[return-value]
    return tensor(data, dtype=dtype, device=device)


def from_numpy(array: Any) -> Tensor:
    """A Tensor with a copy of a NumPy array (a recorded graph must not see it change later).

    Raises:
        TypeError: for anything else.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy takes a NumPy array, not {type(array).__name__}")
    return wrap(as_leaf(array.copy(), CPU))


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A new tensor with a copy of what lies in an object's memory: bytes, ``array.array``, ...

    Args:
        count: how many elements; by default, all.
        offset: bytes to pass over.

    Raises:
        OptionError: if there is too little, or what there is is no multiple of an element.
        TypeError: for an object that does not show its memory.
    """
    to = as_dtype(dtype)
    memory = memoryview(buffer).cast("B")
    if not 0 <= offset <= len(memory):
        raise OptionError(f"frombuffer: offset={offset} of a buffer of {len(memory)} bytes")
    size = len(memory) - offset if count < 0 else count * to.itemsize
    if offset + size > len(memory) or size % to.itemsize:
        raise OptionError(
            f"frombuffer: {len(memory) - offset} bytes are not {'' if count < 0 else f'{count} '}"
            f"elements of {to}, which has {to.itemsize} bytes"
        )
    array = np.frombuffer(memory[offset : offset + size], np.uint8).view(to.numpy)
    return finished(as_leaf(array.copy(), CPU), requires_grad)


# ---- from sizes. (Memory is never pinned, and there is one layout: ``pin_memory`` and ``layout``
# are there for programs that name them.)


def _filled(
    shape: Sequence[int], value: Any, to: dtype, device: Any, requires_grad: bool
) -> Tensor:
    if any(n < 0 for n in shape):
        raise ShapeError(f"a tensor cannot have a negative size: {list(shape)}")
    kind = type_of(tuple(shape), to, resolve(device))
    return finished(mv.full(kind, value), requires_grad)


def _or_default(d: Any) -> dtype:
    return get_default_dtype() if d is None else as_dtype(d)


def zeros(
    *sizes: Any,
    size: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    layout: layout = strided,
) -> Tensor:
    """All zeros."""
    if out is not None:
        kind = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
        return made_in(out, zeros, *sizes, size=size, **kind)
    shape = sizes_of("zeros", sizes, size)
    return _filled(shape, 0, _or_default(dtype), device, requires_grad)


def ones(
    *sizes: Any,
    size: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    layout: layout = strided,
) -> Tensor:
    """All ones."""
    if out is not None:
        kind = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
        return made_in(out, ones, *sizes, size=size, **kind)
    shape = sizes_of("ones", sizes, size)
    return _filled(shape, 1, _or_default(dtype), device, requires_grad)


def empty(
    *sizes: Any,
    size: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    layout: layout = strided,
) -> Tensor:
    """A tensor whose values do not matter. (They are zeros, so that runs repeat.)"""
    if out is not None:
        kind = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
        return made_in(out, empty, *sizes, size=size, **kind)
    shape = sizes_of("empty", sizes, size)
    return _filled(shape, 0, _or_default(dtype), device, requires_grad)


def full(
    size: Sequence[int],
    fill_value: Any,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    layout: layout = strided,
) -> Tensor:
    """All ``fill_value``; its kind of number gives the dtype."""
    if out is not None:
        kind = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
        return made_in(out, full, size, fill_value, **kind)
    if isinstance(fill_value, TensorCore):
        fill_value = fill_value.item()  # type: ignore[attr-defined]
    to = of_number(fill_value) if dtype is None else as_dtype(dtype)
    check_fits(fill_value, to)
    return _filled(sizes_of("full", (size,)), fill_value, to, device, requires_grad)


def zeros_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    layout: layout = strided,
    memory_format: memory_format = preserve_format,
) -> Tensor:
    """Zeros in the shape and dtype of ``input``."""
    return full_like(input, 0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    layout: layout = strided,
    memory_format: memory_format = preserve_format,
) -> Tensor:
    """Ones in the shape and dtype of ``input``."""
    return full_like(input, 1, dtype=dtype, device=device, requires_grad=requires_grad)


empty_like = zeros_like


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    layout: layout = strided,
    memory_format: memory_format = preserve_format,
) -> Tensor:
    """``fill_value`` in the shape and dtype of ``input``."""
    kind = node_of(input).type
    to = kind.dtype if dtype is None else as_dtype(dtype)
    check_fits(fill_value, to)
    return _filled(kind.shape, fill_value, to, device or kind.device, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    layout: layout = strided,
) -> Tensor:
    """Ones on the diagonal of ``[n, m]``, zeros elsewhere."""
    if out is not None:
        kind = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
        return made_in(out, eye, n, m, **kind)
    m = n if m is None else m
    if n < 0 or m < 0:
        raise ShapeError(f"eye: sizes must not be negative: {[n, m]}")
    row = mv.reshape(mv.arange(n, int64, device=resolve(device)), (n, 1))
    return finished(ew.cast(ew.eq(row, mv.arange(m, int64)), _or_default(dtype)), requires_grad)


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    layout: layout = strided,
) -> Tensor:
    """``start, start + step, ...`` up to but without ``end``.

    Raises:
        OptionError: if ``step`` is 0 or leads away from ``end``.
    """
    if out is not None:
        kind = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
        return made_in(out, arange, start, end, step, **kind)
    if end is None:
        start, end = 0, start
    start, end, step = (v.item() if isinstance(v, TensorCore) else v for v in (start, end, step))  # type: ignore[attr-defined]
    if not all(map(math.isfinite, (start, end, step))):
        raise OptionError(f"arange from {start} to {end} in steps of {step}: they must be finite")
    if step == 0 or (end - start) / step < 0:
        raise OptionError(f"arange: a step of {step} does not lead from {start} to {end}")
    whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
    to = as_dtype(dtype) if dtype is not None else int64 if whole else get_default_dtype()
    if to is int64 and not whole:  # as PyTorch: the numbers are cut down first
        start, end, step, whole = int(start), int(end), int(step), True
    count = -((start - end) // step) if whole else math.ceil((end - start) / step)
    return finished(mv.arange(count, to, start, step, resolve(device)), requires_grad)


def steps_of(name: str, start: Any, end: Any, steps: Any) -> int:
    """How many points there are from ``start`` to ``end``.

    Raises:
        OptionError, TypeError: if that is negative, or no int.
        ShapeError: for ends that are tensors, but not of one number.
    """
    if not hasattr(steps, "__index__"):
        raise TypeError(f"{name}: steps must be an int, not {steps!r}")
    if steps < 0:
        raise OptionError(f"{name}: steps must not be negative: {steps}")
    for bound in (start, end):
        if isinstance(bound, TensorCore) and node_of(bound).type.ndim:
            raise ShapeError(
                f"{name} takes numbers or zero-dimensional tensors, not shape "
                f"{list(node_of(bound).type.shape)}"
            )
    return int(steps)


def linspace(
    start: float,
    end: float,
    steps: int,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    layout: layout = strided,
) -> Tensor:
    """``steps`` values from ``start`` to ``end``, both included.

    Raises:
        OptionError: if ``steps`` is negative.
    """
    if out is not None:
        kind = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
        return made_in(out, linspace, start, end, steps, **kind)
    steps = steps_of("linspace", start, end, steps)
    to = _or_default(dtype)
    if dtype is None and (isinstance(start, complex) or isinstance(end, complex)):
        to = to.to_complex()
    convert: Any = complex if to.is_complex else float if to.is_floating_point else int
    first, last = convert(start), convert(end)
    step = (last - first) / max(steps - 1, 1)
    k = np.arange(steps)
    # From both ends, so that both are exact and the values symmetric.
    values = np.where(
        (k < steps // 2) | (steps == 1), first + step * k, last - step * (steps - 1 - k)
    )
    return finished(as_leaf(values.astype(to.numpy), resolve(device)), requires_grad)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Vectors spread over a grid, one tensor for each; ``indexing`` "ij" or "xy".

    Raises:
        OptionError: for another ``indexing``.
    """
    vectors = list(tensors[0]) if isinstance(tensors[0], (list, tuple)) else list(tensors)
    if not vectors or any(node_of(v).type.ndim > 1 for v in vectors):
        raise ShapeError(f"meshgrid takes vectors, not shapes {[list(v.shape) for v in vectors]}")
    if indexing not in ("ij", "xy"):
        raise OptionError(f"meshgrid: indexing must be 'ij' or 'xy', not {indexing!r}")
    swap = indexing == "xy" and len(vectors) > 1
    if swap:
        vectors[:2] = vectors[1::-1]
    shape = tuple([node_of(v).type.size for v in vectors])
    out = []
    for k, v in enumerate(vectors):
        place = [1] * len(shape)
        place[k] = -1
        out.append(v.reshape(place).expand(shape))
    if swap:
        out[:2] = out[1::-1]
    return tuple(out)
