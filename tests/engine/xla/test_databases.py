"""PyTorch's own databases of modules and optimisers, by XLA and by the CPU's engine."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="computes by JAX: pip install 'weft[xla]'")

from torch_databases import differentiable, module_db, taken_over, tensors_of, torch

import weft
from weft import nn

database = pytest.importorskip("torch.testing._internal.common_optimizers")

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

XLA = "xla:cpu"

#: At most so many inputs of a module, evenly chosen: they are compiled as one program.
MOST = 3


def close(found: Any, wanted: Any, tolerance: float) -> None:
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    a, b = (x.detach().cpu().numpy() for x in (found, wanted))
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# ---- modules

MODULES = {info.name: info for info in module_db}


def chosen(name: str) -> list[Any]:
    torch.manual_seed(0)
    info = MODULES[name]
    cases = list(info.module_inputs_func(info, "cpu", torch.float32, True, True))
    return cases[:: len(cases) // MOST + 1]


def outputs_of(module: Any, case: Any, device: str) -> list[Any]:
    """What it gives, gradients of its inputs and parameters, and its buffers. Nothing is run."""
    leaves: list[Any] = []
    given = case.forward_input
    with weft.device(device):
        args, kwargs = taken_over((given.args, given.kwargs), leaves)
    weft.manual_seed(1)
    result = module(*args, **kwargs)
    outputs = differentiable(result, weft)
    found = [*tensors_of(result, weft.Tensor)]
    leaves += module.parameters()
    if outputs and leaves:
        with weft.device(device):
            seeds = [weft.arange(y.numel()).cos().reshape(y.shape).to(y.dtype) for y in outputs]
        found += [
            g
            for g in weft.autograd.grad(outputs, leaves, seeds, allow_unused=True)
            if g is not None
        ]
    return [*found, *module.buffers()]


@pytest.mark.parametrize("name", MODULES)
def test_module(name: str) -> None:
    both = []
    for case in chosen(name):
        made = case.constructor_input
        args, kwargs = taken_over((made.args, made.kwargs), [])
        weft.manual_seed(0)
        ours = getattr(nn, MODULES[name].module_cls.__name__)(*args, **kwargs).float()
        if isinstance(ours, nn.modules.lazy.LazyModuleMixin):
            outputs_of(ours, case, "cpu")
        theirs = copy.deepcopy(ours).to(XLA)
        both.append((case, ours, outputs_of(theirs, case, XLA)))
    assert both
    weft.realize()
    for case, ours, found in both:
        wanted = outputs_of(ours, case, "cpu")
        for a, b in zip(found, wanted, strict=True):
            assert a.device == XLA
            close(a, b, 2e-4)


# ---- optimisers


def configurations() -> dict[str, list[dict[str, Any]]]:
    """Of each optimiser, PyTorch's, and those that it does not have."""
    found: dict[str, list[dict[str, Any]]] = {"Lion": [{}], "LAMB": [{"lr": 1e-3}]}
    for info in database.optim_db:
        inputs = info.optim_inputs_func("cpu", torch.float32)
        found[info.name] = [
            {k: weft.tensor(v.item()) if isinstance(v, torch.Tensor) else v for k, v in o.items()}
            for o in (case.kwargs for case in inputs)
        ]
    # (Each iteration is a program of its own, with one more difference to look back on.)
    found["LBFGS"] = [{"max_iter": 3}, {"max_iter": 3, "line_search_fn": "strong_wolfe"}]
    return found


CONFIGURATIONS = configurations()


def trajectory(name: str, options: dict[str, Any], device: str, compiled: bool) -> list[Any]:
    """Parameters after some steps down a slope."""
    shapes: list[tuple[int, ...]] = [(3, 4), (4, 2)] if name == "Muon" else [(3, 4), (4,), ()]
    draw = np.random.default_rng(0)
    params = [weft.tensor(draw.normal(size=s), dtype=weft.float32) for s in shapes]
    params = [p.to(device).requires_grad_() for p in params]
    optimizer = getattr(weft.optim, name)(params, **options)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = sum((p - 0.3).cosh().log().sum() + 0.05 * (p * p).sum() for p in params)
        loss.backward()
        return loss

    def step() -> None:
        if name == "LBFGS":
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()

    run = weft.compile(step) if compiled else step
    for _ in range(2 if name == "LBFGS" else 4):
        run()
    return params


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_optimiser(name: str) -> None:
    """In all configurations; in the last one as a compiled step, too."""
    tolerance = 5e-3 if name == "Muon" else 1e-4  # (Muon iterates in bfloat16)
    last = CONFIGURATIONS[name][-1]
    runs = [(options, False) for options in CONFIGURATIONS[name]]
    runs += [(last, True)] if name != "LBFGS" else []
    for options, compiled in runs:
        found = trajectory(name, options, XLA, compiled)
        for a, b in zip(found, trajectory(name, options, "cpu", False), strict=True):
            assert a.device == XLA
            close(a, b, tolerance)
