"""Every op's samples, and their gradients, by XLA and by the CPU's reference."""

from __future__ import annotations

import contextlib
import warnings
from itertools import islice
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="computes by JAX: pip install 'weft[xla]'")

from loss_samples import LET_PASS
from samples import OPS
from sampling import Op, Sample, build, inputs_of

import weft
import weft.fft  # (has primitives)
import weft.func.vmap  # (has a primitive)
from weft.engine.xla.lowering import RULES
from weft.graph.node import OPS as PRIMITIVES

pytestmark = LET_PASS

#: Relative, and absolute for values around 1. Two engines differ by the rounding of each step.
TOLERANCE = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 2e-5, "float64": 1e-10}
TOLERANCE.update(complex64=2e-5, complex128=1e-10)

#: One of each kind: a program of all samples in all dtypes would take minutes to compile.
TRIED = {"f": "float32", "h": "bfloat16", "i": "int64", "b": "bool"}

#: So many samples of each kind: what differs in the others is not the op's business.
MOST = 12

#: Primitives without a lowering, and why.
NOT_LOWERED = {
    "leaf": "a value that is there already",
    "call": "its ops are put in its place before a graph is planned",
    "part": "goes with the call that it is a result of",
    "bundle": "is taken apart by the rule of the call whose gradient it is",
    "vmap": "stands for a value that does not exist; running it is an error",
}


def test_every_primitive_has_a_lowering() -> None:
    assert set(PRIMITIVES) - set(RULES) == set(NOT_LOWERED)
    assert set(RULES) <= set(PRIMITIVES)


# ---- values and gradients

#: Whose results are on the CPU in any case.
TO_CPU = ("Tensor.to", "Tensor.cpu")


def run(op: Op, sample: Sample, dtype: str, device: str) -> list[Any]:
    """Results and gradients, recorded. What an op makes itself must go where its inputs are."""
    weft.manual_seed(0)
    leaves: list[Any] | None = [] if op.grad and sample.grad and dtype == "float32" else None
    with weft.device(device):
        args, kwargs = build((sample.args, sample.kwargs), weft, dtype, leaves, copied=op.mutates)
    result = op.call(weft)(*args, **kwargs)
    results = list(result) if isinstance(result, (list, tuple)) else [result]
    outputs = [r for r in results if isinstance(r, weft.Tensor) and r.requires_grad]
    if leaves and outputs:
        seeds = [r.detach().cos() for r in outputs]
        results += weft.autograd.grad(outputs, leaves, seeds, allow_unused=True)
    return results


def attempt(op: Op, sample: Sample, dtype: str, device: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return run(op, sample, dtype, device)
        except Exception as error:  # noqa: BLE001 (that both raise may be what is expected)
            return error


def differs(found: Any, wanted: Any, loose: float) -> bool:
    if not isinstance(wanted, weft.Tensor):
        if isinstance(wanted, (weft.device, np.ndarray)):
            return False
        if isinstance(wanted, float):
            return not np.allclose(found, wanted, rtol=1e-5, equal_nan=True)
        return type(found) is not type(wanted) and found != wanted
    if found.dtype is not wanted.dtype or found.shape != wanted.shape:
        return True
    tolerance = TOLERANCE.get(found.dtype.name, 0.0) * loose
    a, b = (np.asarray(x.detach().cpu().numpy()) for x in (found, wanted))
    if b.dtype.kind not in "biuc":
        a, b = a.astype(np.float64), b.astype(np.float64)
    return not np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_values_and_gradients(op: Op) -> None:
    wrong, both = [], []
    for code in op.dtypes:
        dtype = TRIED[code]
        for sample in islice(op.samples_for(code), MOST):
            wanted = attempt(op, sample, dtype, "cpu")
            found = attempt(op, sample, dtype, "xla:cpu")
            given = any(True for _ in inputs_of([sample.args, list(sample.kwargs.values())]))
            both.append((f"{dtype} {sample}", given, found, wanted))
    with contextlib.suppress(Exception):
        weft.realize()
    for name, given, found, wanted in both:
        if isinstance(wanted, Exception) or isinstance(found, Exception):
            if type(found) is not type(wanted):
                wrong.append(f"{name}: {found!r} in place of {wanted!r}")
            continue
        for a, b in zip(found, wanted, strict=True):
            try:
                elsewhere = isinstance(a, weft.Tensor) and a.device != "xla:cpu"
                if elsewhere and given and op.name not in TO_CPU:
                    wrong.append(f"{name}: on {a.device}")
                elif differs(a, b, op.loose):
                    wrong.append(f"{name}: {a} in place of {b}")
            except Exception as error:  # noqa: BLE001
                wrong.append(f"{name}: {error!r}")
    assert not wrong, "\n".join(wrong)
