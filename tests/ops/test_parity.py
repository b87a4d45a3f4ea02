"""Values, dtypes, gradients and type promotion against PyTorch, for every op in ``samples.py``."""

from __future__ import annotations

import operator
import re
import warnings
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from samples import OPS
from sampling import DTYPES, Op, Sample, build, dtypes_of

import weft

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
pytestmark = pytest.mark.parity

#: rtol and atol by dtype: some units in the last place, since the two round at other points.
TOLERANCE = {
    "float64": (1e-11, 1e-13),
    "float32": (1e-5, 1e-6),
    "float16": (4e-3, 2e-3),
    "bfloat16": (3e-2, 2e-2),
    "complex128": (1e-11, 1e-13),
    "complex64": (1e-5, 1e-6),
    "complex32": (4e-3, 2e-3),
}


class Values:
    """An array, and the dtype it had. NumPy itself has no bfloat16, so that is widened."""

    def __init__(self, tensor: Any) -> None:
        self.dtype = str(tensor.dtype).rpartition(".")[2]
        if isinstance(tensor, weft.Tensor):
            assert tensor.detach().numpy().dtype == tensor.dtype.numpy, "not of the dtype it states"
        wide = tensor.double() if self.dtype == "bfloat16" else tensor
        if self.dtype == "complex32":
            wide = tensor.to(torch.complex64)
        self.array = wide.detach().resolve_conj().numpy()

    def __repr__(self) -> str:
        return f"{self.dtype}{list(self.array.shape)} {self.array.tolist()}"

    def is_close(self, other: Values, loose: float, values: bool) -> bool:
        # (weft has no complex32, and takes the next that it has.)
        same = self.dtype == {"complex32": "complex64"}.get(other.dtype, other.dtype)
        if not same or self.array.shape != other.array.shape:
            return False
        rtol, atol = TOLERANCE.get(other.dtype, (0.0, 0.0))
        return not values or np.allclose(
            self.array, other.array, rtol * loose, atol * loose, equal_nan=True
        )


def plain(value: Any) -> Any:
    """A result in a form that is the same for both libraries."""
    if isinstance(value, (weft.Tensor, torch.Tensor)):
        return Values(value)
    if isinstance(value, (weft.dtype, torch.dtype)):
        return str(value).rpartition(".")[2].replace("complex32", "complex64")
    if isinstance(value, (weft.device, torch.device)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def difference(found: Any, wanted: Any, loose: float = 1.0, values: bool = True) -> str:
    """What differs between two results, or ``""``."""
    found, wanted = plain(found), plain(wanted)
    if type(found) is not type(wanted) or isinstance(found, Exception):
        same = False
    elif isinstance(found, list) and len(found) == len(wanted):
        each = [difference(*pair, loose, values) for pair in zip(found, wanted, strict=True)]
        return next((d for d in each if d), "")
    elif isinstance(found, Values):
        same = found.is_close(wanted, loose, values)
    elif isinstance(found, np.ndarray):
        same = found.dtype == wanted.dtype and np.array_equal(found, wanted)
    elif isinstance(found, float):
        same = found == pytest.approx(wanted, rel=1e-6)
    else:
        same = found == wanted
    return "" if same else f"{found!r} in place of {wanted!r}"


def attempt(lib: Any, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What ``call`` returns, or the exception that it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = call(*args, **kwargs)
            if lib is weft:
                weft.realize(*[r for r in [result] if isinstance(r, weft.Tensor)])
        except Exception as error:  # noqa: BLE001 (that both raise may be what is expected)
            return error
        return result


#: What PyTorch says where it takes no numbers, no bools, no mixed operands; weft may take them.
NOT_TAKEN = re.compile("must be Tensor, not|not implemented|not supported|invalid combination")


def takes_more(found: Any, wanted: Any) -> bool:
    """Does weft take what PyTorch refuses?"""
    refused = isinstance(wanted, Exception) and NOT_TAKEN.search(str(wanted))
    return bool(refused) and not isinstance(found, Exception)


def run(lib: Any, call: Callable[..., Any], sample: Sample, dtype: str) -> Any:
    args, kwargs = build((sample.args, sample.kwargs), lib, dtype)
    return attempt(lib, call, *args, **kwargs)


def cases(codes: str) -> list[Any]:
    return [
        pytest.param(op, code, id=f"{op.name}-{'/'.join(DTYPES[code])}")
        for op in OPS
        if op.torch is not None
        for code in codes
        if code in op.dtypes
    ]


@pytest.mark.parametrize(("op", "code"), cases("bihf"))
def test_values(op: Op, code: str) -> None:
    wrong = []
    for dtype, sample in product(DTYPES[code], op.samples_for(code)):
        found = run(weft, op.call(weft), sample, dtype)
        wanted = run(torch, op.call(torch), sample, dtype)
        if takes_more(found, wanted):
            continue
        if differs := difference(found, wanted, op.loose, not op.random):
            wrong.append(f"{dtype} {sample}: {differs}")
    assert not wrong, "\n".join(wrong)


# ---- in place


def in_place(op: Op) -> Callable[..., Any]:
    name = f"{op.name}_"

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        before = x.dtype
        result = getattr(x, name)(*args, **kwargs)
        assert result is x
        assert x.dtype is before
        return x

    return call


HAVE_IN_PLACE = [
    op
    for op in OPS
    if hasattr(weft.Tensor, f"{op.name}_") and not op.random and op.name != "detach"
]


@pytest.mark.parametrize("op", HAVE_IN_PLACE, ids=lambda op: op.name)
def test_in_place(op: Op) -> None:
    """The same values, or in both an error, where the result does not fit into the tensor."""
    wrong = []
    for dtype, code in (("float32", "f"), ("int64", "i")):
        for sample in op.samples_for(code):
            if code not in op.dtypes or "dtype" in sample.kwargs:
                continue  # (PyTorch refuses a dtype= that is not the tensor's own; weft converts)
            found, wanted = (run(lib, in_place(op), sample, dtype) for lib in (weft, torch))
            both_raise = isinstance(found, Exception) and isinstance(wanted, Exception)
            if both_raise or takes_more(found, wanted):
                continue
            if differs := difference(found, wanted, op.loose):
                wrong.append(f"{dtype} {sample}: {differs}")
    assert not wrong, "\n".join(wrong)


# ---- out=

#: (Functions of layers take it in PyTorch where their bindings happen to; it is not documented.)
NO_OUT = re.compile(r"Tensor\.|operator\.|nn\.functional\.(?!normalize)")


def parts(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def with_out(lib: Any, op: Op, sample: Sample, dtype: str, result: Any) -> tuple[Any, Any]:
    """The result with ``out=``, empty tensors for those of ``result``; and these."""
    empty = tuple([lib.empty(0, dtype=x.dtype) for x in parts(result)])
    out = empty if isinstance(result, tuple) else empty[0]
    args, kwargs = build((sample.args, sample.kwargs), lib, dtype)
    return attempt(lib, op.call(lib), *args, **kwargs, out=out), out


@pytest.mark.parametrize(
    ("op", "code"), [c for c in cases("bif") if not NO_OUT.match(c.values[0].name)]
)
def test_out(op: Op, code: str) -> None:
    """It is filled, and returned, where PyTorch takes it."""
    wrong = []
    for sample in op.samples_for(code):
        dtype = {"b": "bool", "i": "int64", "f": "float32"}[code]
        plain = [run(lib, op.call(lib), sample, dtype) for lib in (torch, weft)]
        if not all(isinstance(x, (torch.Tensor, weft.Tensor)) for r in plain for x in parts(r)):
            continue
        wanted, _ = with_out(torch, op, sample, dtype, plain[0])
        if isinstance(wanted, Exception):
            continue
        found, out = with_out(weft, op, sample, dtype, plain[1])
        same = type(found) is type(plain[1]) and all(map(operator.is_, parts(found), parts(out)))
        differs = difference(found, wanted, op.loose, not op.random)
        if not same or differs:
            wrong.append(f"{dtype} {sample}: {differs or found}")
    assert not wrong, "\n".join(wrong)


# ---- gradients


def gradients(lib: Any, op: Op, sample: Sample, dtype: str) -> Any:
    """Gradients of all results, each element with a weight of its own."""
    leaves: list[Any] = []
    args, kwargs = build((sample.args, sample.kwargs), lib, dtype, leaves, copied=op.mutates)
    result = attempt(lib, op.call(lib), *args, **kwargs)
    if isinstance(result, Exception):
        return result
    results = list(result) if isinstance(result, (tuple, list)) else [result]
    outputs = [r for r in results if r.requires_grad]
    weights = [np.cos(np.arange(float(r.numel()))).reshape(tuple(r.shape)) for r in outputs]
    seeds = [lib.tensor(w, dtype=r.dtype) for w, r in zip(weights, outputs, strict=True)]
    if not outputs:
        return []
    return attempt(lib, lib.autograd.grad, outputs, leaves, seeds, allow_unused=True)


@pytest.mark.parametrize(("op", "code"), [c for c in cases("f") if c.values[0].grad])
def test_gradients(op: Op, code: str) -> None:
    wrong = []
    for dtype, sample in product(DTYPES[code], op.samples_for(code)):
        if sample.grad:
            found, wanted = (gradients(lib, op, sample, dtype) for lib in (weft, torch))
            if takes_more(found, wanted) or wanted == []:  # (PyTorch has no gradient)
                continue
            if differs := difference(found, wanted, op.loose * 2):
                wrong.append(f"{dtype} {sample}: {differs}")
    assert not wrong, "\n".join(wrong)


# ---- type promotion

NUMBERS = {"2": 2, "1.5": 1.5, "True": True, "1j": 1j}
OPERANDS = [*product(dtypes_of("bihfc"), (0, 1)), *[(number, None) for number in NUMBERS]]
OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "eq", "lt", "and_")
FUNCTIONS = ("maximum", "fmod", "atan2", "logical_or", "bitwise_xor", "rsub", "result_type", "lerp")
IN_PLACE = ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "ior")
PROMOTING: dict[str, Callable[[Any], Callable[..., Any]]] = {
    **{name: lambda lib, name=name: getattr(operator, name) for name in OPERATORS},
    **{name: lambda lib, name=name: getattr(lib, name) for name in FUNCTIONS},
    "where": lambda lib: lambda a, b: lib.where(lib.tensor([True]), a, b),
    "masked_fill": lambda lib: lambda a, b: a.masked_fill(lib.tensor([True]), first(b)),
    "clamp": lambda lib: lambda a, b: lib.clamp(a, b),
    "clamp both": lambda lib: lambda a, b: lib.clamp(a, b, b),
    "addcmul": lambda lib: lambda a, b: lib.addcmul(a, b, b),
    "cat": lambda lib: lambda a, b: lib.cat([a, b]),
    "stack": lambda lib: lambda a, b: lib.stack([a, b]),
    "linear combination": lambda lib: lambda a, b: lib.add(a, b, alpha=2),
}


def operand(lib: Any, kind: str, ndim: int | None) -> Any:
    if ndim is None:
        return NUMBERS[kind]
    return lib.tensor([1] if ndim else 1, dtype=getattr(lib, kind))


def first(value: Any) -> Any:
    return value[0] if getattr(value, "ndim", 0) else value


def promotions(call: Callable[[Any], Callable[..., Any]]) -> list[str]:
    wrong = []
    for left, right in product(OPERANDS, OPERANDS):
        if left[1] is None and right[1] is None:
            continue
        found, wanted = (
            attempt(lib, call(lib), operand(lib, *left), operand(lib, *right))
            for lib in (weft, torch)
        )
        both_raise = isinstance(found, Exception) and isinstance(wanted, Exception)
        if both_raise or takes_more(found, wanted):
            continue
        if differs := difference(found, wanted):
            wrong.append(f"{left} {right}: {differs}")
    return wrong


@pytest.mark.parametrize("name", PROMOTING)
def test_promotion(name: str) -> None:
    wrong = promotions(PROMOTING[name])
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", IN_PLACE)
def test_promotion_in_place(name: str) -> None:
    """The tensor keeps its dtype; a result of a higher category is an error."""
    wrong = promotions(lambda lib: getattr(operator, name))
    assert not wrong, "\n".join(wrong)
