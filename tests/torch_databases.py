"""PyTorch's own databases of modules and functions, and how their arguments become weft's.

``torch.testing._internal`` has for each its inputs, those that must fail, and what it supports.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import weft
from weft import nn

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
pytest.importorskip("expecttest", reason="PyTorch's databases need it: pip install 'weft[parity]'")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.common_modules import ModuleErrorEnum, module_db

__all__ = [
    "ModuleErrorEnum",
    "agree",
    "differentiable",
    "function_named",
    "module_db",
    "op_db",
    "same_gradients",
    "some",
    "taken_over",
]

PLACES = {
    "nn.functional": nn.functional,
    "fft": weft.fft,
    "linalg": weft.linalg,
    "special": weft.special,
}


def function_named(name: str) -> Any:
    """The function of that name, or the method, or the property."""
    place, _, last = name.rpartition(".")
    if place:
        return getattr(PLACES.get(place), last, None)
    method = getattr(weft.Tensor, name, None)
    if isinstance(method, property):
        return method.fget
    found = getattr(weft, name, None)
    if isinstance(found, weft.dtype):
        return method
    return method if found is None or isinstance(found, ModuleType) else found


#: Relative and absolute. (In float32 PyTorch's gradients of ctc_loss are off by 3e-5.)
TOLERANCE = {"float32": (1e-4, 5e-5), "float64": (1e-7, 1e-9)}
TOLERANCE.update(complex64=TOLERANCE["float32"], complex128=TOLERANCE["float64"])
#: Of what is float32 among wider numbers.
MIXED = (1e-4, 2e-4)


#: At most about so many samples of an entry, evenly chosen: some have hundreds.
MOST = 20


def some(samples: list[Any]) -> list[Any]:
    return samples[:: max(len(samples) // MOST, 1)]


def taken_over(value: Any, leaves: list[Any], seen: dict[int, Any] | None = None) -> Any:
    """The same for weft; Tensors that require gradients are noted in ``leaves``."""
    seen = {} if seen is None else seen  # a Tensor given twice is one Tensor
    if isinstance(value, torch.Tensor):
        ours = seen.setdefault(id(value), weft.tensor(value.numpy(force=True)))
        if value.requires_grad:
            ours.requires_grad_()
            leaves.append(ours)
        return ours
    if isinstance(value, torch.nn.LinearCrossEntropyOptions):
        fields = dataclasses.asdict(value)
        return nn.LinearCrossEntropyOptions(**taken_over(fields, leaves, seen))
    if isinstance(value, (list, tuple)):
        return type(value)(taken_over(v, leaves, seen) for v in value)
    if isinstance(value, dict):
        return {k: taken_over(v, leaves, seen) for k, v in value.items()}
    if isinstance(value, (torch.dtype, torch.memory_format)):
        return getattr(weft, str(value).removeprefix("torch."))
    if isinstance(value, torch.nn.Module):
        return weft.from_torch(value)
    if callable(value) and getattr(value, "__name__", "") in dir(nn.functional):
        return getattr(nn.functional, value.__name__)
    return value


def tensors_of(value: Any, kind: type) -> Iterator[Any]:
    """All in lists, tuples and dicts."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from tensors_of(v, kind)
    elif isinstance(value, dict):
        for v in value.values():
            yield from tensors_of(v, kind)


def differentiable(value: Any, lib: Any) -> list[Any]:
    return [x for x in tensors_of(value, lib.Tensor) if x.requires_grad]


def agree(ours: Any, theirs: Any, dtype: str, values: bool = True) -> None:
    """Shapes, dtypes and, unless they are random, values."""
    mine, others = list(tensors_of(ours, weft.Tensor)), list(tensors_of(theirs, torch.Tensor))
    assert len(mine) == len(others)
    for a, b in zip(mine, others, strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        assert str(a.dtype).removeprefix("weft.") == str(b.dtype).removeprefix("torch.")
        if values:
            own = str(b.dtype).removeprefix("torch.")
            rtol, atol = MIXED if "32" in own and "32" not in dtype else TOLERANCE[dtype]
            if own == "bfloat16":  # NumPy has none
                a, b = a.double(), b.double()
            np.testing.assert_allclose(a.detach(), b.numpy(force=True), rtol=rtol, atol=atol)


def gradients(lib: Any, outputs: list[Any], leaves: list[Any], factors: list[Any]) -> list[Any]:
    """Of the outputs, each times an array of factors, to the leaves; to be differentiated again."""
    given = [lib.tensor(f, dtype=o.dtype) for f, o in zip(factors, outputs, strict=True)]
    found = lib.autograd.grad(outputs, leaves, given, create_graph=True, allow_unused=True)
    return [lib.zeros_like(x) if g is None else g for g, x in zip(found, leaves, strict=True)]


def random_factors(outputs: list[Any], seed: int) -> list[Any]:
    draw = np.random.default_rng(seed)
    return [_random(draw, tuple(o.shape), o.is_complex()) for o in outputs]


def _random(draw: Any, shape: Any, is_complex: bool) -> Any:
    real = np.asarray(draw.normal(size=shape))
    return real + 1j * draw.normal(size=shape) if is_complex else real


def same_gradients(mine: Any, others: Any, dtype: str, twice: bool) -> None:
    """First gradients, and those of their sum, where PyTorch's depend on anything.

    Args:
        mine, others: pairs of outputs and leaves.
    """
    factors = random_factors(mine[0], 0)
    ours = gradients(weft, *mine, factors)
    theirs = gradients(torch, *others, factors)
    agree(ours, theirs, dtype)
    again = [k for k, g in enumerate(theirs) if g.requires_grad]
    if not twice or not again:
        return
    ours, theirs = [ours[k] for k in again], [theirs[k] for k in again]
    factors = random_factors(theirs, 1)
    second = gradients(torch, theirs, others[1], factors)
    pairs = [(g, f) for g, f in zip(ours, factors, strict=True) if g.requires_grad]  # not zero
    agree(gradients(weft, [g for g, _ in pairs], mine[1], [f for _, f in pairs]), second, dtype)
