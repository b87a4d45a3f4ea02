"""A module (or function) of weft beside PyTorch's: values, gradients, state and repr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import weft
import weft.nn

TOLERANCE = {"float64": 1e-9, "float32": 3e-4}


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def _given(value: Any, lib: Any, dtype: str, leaves: list[Any]) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value)(_given(v, lib, dtype, leaves) for v in value)
    if not isinstance(value, np.ndarray):
        return value
    floating = value.dtype.kind == "f"
    out = lib.tensor(value.astype(dtype) if floating else value, requires_grad=floating)
    if floating:
        leaves.append(out)
    return out


def tensors(result: Any) -> Iterator[Any]:
    """The tensors of a nested result."""
    if isinstance(result, (tuple, list)):
        for part in result:
            yield from tensors(part)
    elif hasattr(result, "detach"):
        yield result


def gradients(lib: Any, outputs: list[Any], leaves: list[Any]) -> list[Any]:
    outputs = [y for y in outputs if y.requires_grad]
    seeds = [lib.tensor(draw(*y.shape, seed=9)).to(y.dtype) for y in outputs]
    found = lib.autograd.grad(outputs, leaves, seeds, allow_unused=True)
    pairs = zip(found, leaves, strict=True)
    return [np.zeros(tuple(x.shape)) if g is None else g.numpy() for g, x in pairs]


def assert_same(
    make: Callable[[Any], Any],
    *args: Any,
    torch: Any,
    dtype: str = "float64",
    training: bool = True,
    **kwargs: Any,
) -> None:
    """``make(nn)`` gives the module of a library; ``args`` hold NumPy arrays for its tensors."""
    theirs = make(torch.nn).to(getattr(torch, dtype)).train(training)
    ours = make(weft.nn).to(getattr(weft, dtype)).train(training)
    assert repr(ours) == repr(theirs)
    state = theirs.state_dict()
    assert [(k, tuple(v.shape)) for k, v in ours.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in state.items()
    ]
    ours.load_state_dict({k: weft.from_numpy(v.numpy()) for k, v in state.items()})
    results = []
    for lib, module in ((weft, ours), (torch, theirs)):
        leaves: list[Any] = []
        given = _given((args, list(kwargs.values())), lib, dtype, leaves)
        out = list(tensors(module(*given[0], **dict(zip(kwargs, given[1], strict=True)))))
        leaves += [p for p in module.parameters() if p.requires_grad]
        moved = [v.numpy() for v in module.state_dict().values()]
        values = [y.detach().numpy() for y in out]
        results.append((values, gradients(lib, out, leaves), moved))
    for mine, other in zip(*results, strict=True):
        for a, b in zip(mine, other, strict=True):
            assert a.shape == b.shape
            assert a.dtype == b.dtype or a.size == 0 or not b.any()
            np.testing.assert_allclose(a, b, TOLERANCE[dtype], TOLERANCE[dtype])
