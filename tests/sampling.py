"""What the list in ``samples.py`` is made of: ops, samples, inputs, and errors that are expected.

An input is described, not made, so that one description gives a Tensor of weft and one of PyTorch,
of any dtype.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import reduce
from math import inf, nan, prod
from typing import Any

import numpy as np

import weft
from weft.errors import DTypeError, ShapeError

# ---- the parts of a sample

DTYPES = {
    "b": ("bool",),
    "i": ("uint8", "int8", "int16", "int32", "int64"),
    "h": ("float16", "bfloat16"),
    "f": ("float32", "float64"),
    "c": ("complex64", "complex128"),
}


def dtypes_of(codes: str) -> list[str]:
    return [name for code in codes for name in DTYPES[code]]


def code_of(dtype: str) -> str:
    return next(code for code, names in DTYPES.items() if dtype in names)


@dataclass(frozen=True)
class In:
    """A tensor among the arguments. Its values are distinct, and no integers where floating."""

    shape: tuple[int, ...] = ()
    low: float = -2.0
    high: float = 2.0
    values: Any = None  # these, not made ones
    dtype: str | None = None  # None: the dtype that is tested
    layout: str = ""  # "t": dimensions in reverse order in memory; "step": every other column
    grad: bool = True  # is it differentiated?

    def is_differentiated(self, dtype: str) -> bool:
        return self.grad and code_of(dtype) in "hfc"

    def array(self, dtype: str, place: int) -> Any:
        """Values for a tensor that is argument number ``place``."""
        if self.values is not None:
            return np.array(self.values)
        n = prod(self.shape)
        order = np.argsort(np.sin(np.arange(n) * (12.9898 + place)))  # as if drawn
        if code_of(dtype) == "c":
            parts = replace(self, dtype=None)
            return parts.array("float64", place) + 1j * parts.array("float64", place + 7)
        span = self.high - self.low
        a = (self.low + span * (order + 0.37 - 0.05 * place) / max(n, 1)).reshape(self.shape)
        kind = code_of(dtype)
        if kind == "b":
            return a > self.low + span / 2
        if kind == "i":
            return np.rint(a - min(self.low, 0) if dtype == "uint8" else a)
        return a.astype(np.float32).astype(np.float64)  # so that 16 bits are rounded to once


@dataclass(frozen=True)
class D:
    """A dtype among the arguments."""

    name: str


@dataclass(frozen=True)
class Sample:
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    only: str = "bihf"  # the dtypes for which it makes sense
    grad: bool = True
    smooth: bool = True  # differences tell the slope: no kinks, no rounding


@dataclass(frozen=True)
class Bad:
    """What raises ``error`` with a message in which the regular expression ``match`` is found."""

    error: type[Exception]
    match: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float32"


@dataclass(frozen=True)
class Op:
    name: str
    samples: tuple[Sample, ...]
    dtypes: str = "bihf"
    grad: bool = True  # differentiable
    errors: tuple[Bad, ...] = ()
    torch: str | None = ""  # PyTorch's name where it is another; None: it has none
    loose: float = 1.0  # factor on the tolerances
    random: bool = False  # values cannot be compared, shapes and dtypes can

    def call(self, lib: Any) -> Callable[..., Any]:
        """The function, in ``weft`` or in ``torch``."""
        name = self.name if lib is weft else self.torch or self.name
        owner, _, attribute = name.rpartition(".")
        if owner == "operator":
            return getattr(operator, attribute)  # type: ignore[no-any-return]
        if owner == "Tensor":
            return _member(attribute)
        return reduce(getattr, name.split("."), lib)  # type: ignore[no-any-return, arg-type]

    @property
    def mutates(self) -> bool:
        """Is the first argument changed in place?"""
        attribute = self.name.rpartition(".")[2]
        plain = attribute.endswith("_") and not attribute.endswith("__")
        return plain or "setitem" in attribute or self.name.startswith("operator.i")

    def samples_for(self, code: str) -> Iterator[Sample]:
        return (s for s in self.samples if code in s.only)

    def smooth_samples(self) -> Iterator[Sample]:
        """Those that gradients can be checked on by differences, in float64."""
        if self.grad and "f" in self.dtypes and not self.random:
            yield from filter(is_smooth, self.samples_for("f"))


def _member(name: str) -> Callable[..., Any]:
    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        member = getattr(x, name)
        called = callable(member) and not isinstance(member, weft.device)  # (also a decorator)
        result = member(*args, **kwargs) if called else member
        return x if name == "__setitem__" else result

    return call


def build(
    spec: Any,
    lib: Any,
    dtype: str,
    leaves: list[Any] | None = None,
    *,
    given: Iterator[Any] | None = None,
    copied: bool = False,
) -> Any:
    """Arguments of ``lib`` from their specification.

    Args:
        leaves: collects the tensors that require grad; None for none of them.
        given: tensors to take in place of those.
        copied: the arguments are copies, which may be changed in place.
    """
    count = iter(range(1_000))

    def one(part: Any) -> Any:
        if isinstance(part, In):
            kind = part.dtype or dtype
            if given is not None and part.is_differentiated(kind):
                base = next(given)
            else:
                base = _base(part, lib, kind, next(count))
                if leaves is not None and part.is_differentiated(kind):
                    leaves.append(base.requires_grad_())
            return _laid_out(base.clone() if copied else base, part.layout)
        if isinstance(part, D):
            return getattr(lib, part.name)
        if isinstance(part, (list, tuple)):
            return type(part)([one(p) for p in part])
        if isinstance(part, dict):
            return {k: one(p) for k, p in part.items()}
        return part

    return one(spec)


def _base(spec: In, lib: Any, dtype: str, place: int) -> Any:
    a = spec.array(dtype, place)
    if spec.layout == "t":
        a = a.T
    elif spec.layout == "step":
        a = np.repeat(a, 2, axis=-1)
    return lib.tensor(np.ascontiguousarray(a).reshape(a.shape), dtype=getattr(lib, dtype))


def _laid_out(base: Any, layout: str) -> Any:
    if layout == "t":
        return base.permute(*reversed(range(base.ndim)))
    return base[..., ::2] if layout == "step" else base


def inputs_of(part: Any) -> Iterator[In]:
    if isinstance(part, In):
        yield part
    elif isinstance(part, (list, tuple)):
        for p in part:
            yield from inputs_of(p)


def is_smooth(sample: Sample) -> bool:
    """Values that are given are there for what is special in them: kinks, ties, infinities."""
    inputs = list(inputs_of(sample.args))
    special = any(i.values is not None and i.is_differentiated("float64") for i in inputs)
    differentiated = [i for i in inputs if i.is_differentiated(i.dtype or "float64")]
    return sample.grad and sample.smooth and not special and bool(differentiated)


def as_function(op: Op, sample: Sample) -> tuple[Callable[..., Any], list[Any]]:
    """The op as a function of the tensors that are differentiated, and these tensors."""
    leaves: list[Any] = []
    build((sample.args, sample.kwargs), weft, "float64", leaves)

    def function(*values: Any) -> Any:
        args, kwargs = build(
            (sample.args, sample.kwargs), weft, "float64", given=iter(values), copied=op.mutates
        )
        return op.call(weft)(*args, **kwargs)

    return function, leaves


# ---- short names for the list


def s(
    *args: Any, only: str = "bihf", grad: bool = True, smooth: bool = True, **kwargs: Any
) -> Sample:
    return Sample(args, kwargs, only, grad, smooth)


def x(*shape: int, **options: Any) -> In:
    return In(shape, **options)


def pos(*shape: int, **options: Any) -> In:
    return In(shape, 0.6, 3.0, **options)


def chance(*shape: int, **options: Any) -> In:
    return In(shape, 0.05, 0.95, **options)


def wide(*shape: int, **options: Any) -> In:
    """Distinct also where rounded to integers."""
    return In(shape, -25.0, 25.0, **options)


def mask(*shape: int, layout: str = "") -> In:
    return In(shape, dtype="bool", layout=layout, grad=False)


def these(values: Any, dtype: str | None = None) -> In:
    return In(np.shape(values), values=values, dtype=dtype)


def idx(values: Any) -> In:
    return these(values, "int64")


def bad(error: type[Exception], match: str, *args: Any, on: str = "float32", **kwargs: Any) -> Bad:
    return Bad(error, match, args, kwargs, on)


def unary(low: float = -2.0, high: float = 2.0, special: bool = True) -> tuple[Sample, ...]:
    shapes = x(2, 3), x(), x(0, 3), x(3, 2, layout="t"), x(2, 3, layout="step")
    found = [s(replace(i, low=low, high=high)) for i in shapes]
    if special:
        found.append(s(these([nan, inf, -inf, 0.0, -0.0, 1.0, -1.0]), only="hf", grad=False))
    return tuple(found)


def binary(make: Callable[..., In] = x, right: Callable[..., In] = x) -> tuple[Sample, ...]:
    return (
        s(make(2, 3), right(2, 3)),
        s(make(2, 3), right(3)),
        s(make(2, 1), right(1, 3)),
        s(make(), right(2, 2)),
        s(make(2, 2), right()),
        s(make(0, 3), right(1)),
        s(make(2, 3, layout="t"), right(2, 3, layout="step")),
        s(make(2, 2), 2),
        s(make(2, 2), 1.5),
        s(make(2, 2), True),
    )


NOT_A_TENSOR = (bad(TypeError, r"Tensor.*not list: weft.tensor\(x\)", [1.0]),)


def no_operands(on: str = "float32") -> tuple[Bad, ...]:
    return (
        bad(ShapeError, r"shapes \[2, 3\] and \[4\].*sizes 3 and 4", x(2, 3), x(4), on=on),
        bad(TypeError, r"a Tensor or a number is expected here, not str", x(2), "2", on=on),
    )


NOT_OPERANDS = no_operands()
NO_BOOL = (bad(DTypeError, r"not defined for weft.bool; use .*logical_not", x(2), on="bool"),)
NO_BOOL_PAIR = (bad(DTypeError, r"not defined for weft.bool", x(2), x(2), on="bool"),)
FAR_DIM = bad(IndexError, r"dim 2 .* 2 dimensions \(expected -2 to 1\)", x(2, 3), 2)
