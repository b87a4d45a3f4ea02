"""Values, dtypes, gradients and type promotion against PyTorch, for every op in ``samples.py``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from samples import OPS
from sampling import In, Op, Sample, build, code_of, dtypes_of

import weft

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
pytestmark = pytest.mark.parity

#: rtol and atol by dtype: a few units in the last place, since the two round in other places.
TOLERANCE = {
    "float64": (1e-11, 1e-13),
    "float32": (1e-5, 1e-6),
    "float16": (4e-3, 2e-3),
    "bfloat16": (3e-2, 2e-2),
}


def plain(value: Any) -> Any:
    """A result as something that can be compared: the two libraries' types become one."""
    if isinstance(value, weft.Tensor):
        value = value.detach()
        return Values(value.dtype.name, value.to(weft.float64) if value.dtype is weft.bfloat16 else value)
    if isinstance(value, torch.Tensor):
        value = value.detach()
        wide = value.double() if value.dtype is torch.bfloat16 else value
        return Values(str(value.dtype).removeprefix("torch."), wide)
    if isinstance(value, weft.dtype):
        return value.name
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    if isinstance(value, torch.device):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


class Values:
    """An array, and the dtype it had."""

    def __init__(self, dtype: str, array: Any) -> None:
        self.dtype = dtype
        self.array = array.numpy()

    def __repr__(self) -> str:
        return f"{self.dtype}{list(self.array.shape)} {self.array.tolist()}"


def differ(found: Any, wanted: Any, loose: float = 1.0, values: bool = True) -> str:
    """What differs between two results of :func:`plain`, or ``""``."""
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = zip(found, wanted, strict=True)
        return next((d for a, b in pairs if (d := differ(a, b, loose, values))), "")
    if isinstance(wanted, np.ndarray) and isinstance(found, np.ndarray):
        same = found.dtype == wanted.dtype and np.array_equal(found, wanted)
    elif isinstance(wanted, Values) and isinstance(found, Values):
        same = found.dtype == wanted.dtype and found.array.shape == wanted.array.shape
        if same and values:
            rtol, atol = TOLERANCE.get(wanted.dtype, (0.0, 0.0))
            same = np.allclose(found.array, wanted.array, rtol * loose, atol * loose, True)
    elif isinstance(wanted, float) and isinstance(found, float):
        same = found == pytest.approx(wanted, rel=1e-6, nan_ok=True)
    else:
        same = type(found) is type(wanted) and found == wanted
    return "" if same else f"{found!r} in place of {wanted!r}"


def run(lib: Any, call: Callable[..., Any], sample: Sample, dtype: str) -> Any:
    """The result, or the exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            args = build(sample.args, lib, dtype)
            kwargs = build(sample.kwargs, lib, dtype)
            return plain(call(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 (whether both raise is what is compared)
            return error


def in_place(op: Op, lib: Any) -> Callable[..., Any] | None:
    """The in-place version of a function, giving the tensor that was changed."""
    name = op.name.rpartition(".")[2] + "_"
    if op.mutates or not hasattr(weft.Tensor, name) or op.name.startswith("nn."):
        return None

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        result = getattr(x, name)(*args, **kwargs)
        assert result is x
        return x

    return call


CASES = [
    pytest.param(op, dtype, id=f"{op.name}-{dtype}")
    for op in OPS
    if op.torch is not None
    for dtype in dtypes_of(op.dtypes)
]


@pytest.mark.parametrize(("op", "dtype"), CASES)
def test_values(op: Op, dtype: str) -> None:
    wrong = []
    for sample in op.samples_for(dtype):
        found = run(weft, op.call(weft), sample, dtype)
        wanted = run(torch, op.call(torch), sample, dtype)
        if isinstance(found, Exception) or isinstance(wanted, Exception):
            wrong.append(f"{sample}: {found!r} in place of {wanted!r}")
        elif difference := differ(found, wanted, op.loose, not op.random):
            wrong.append(f"{sample}: {difference}")
    assert not wrong, "\n".join(wrong)
