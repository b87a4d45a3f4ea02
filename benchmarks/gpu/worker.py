"""Measures one case in one library, in this process of its own; prints seconds per step."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from benchmarks.gpu.models import CASES, batch_of

Step = Callable[[], Any]


def _step_of(lib: Any, case: str, small: bool, device: str) -> Step:
    """A training step of weft or PyTorch; gives the loss, on the device."""
    c = CASES[case]
    s = c.small if small else c.full
    optim, F = (
        import_module(f"{lib.__name__}.optim"),
        import_module(f"{lib.__name__}.nn.functional"),
    )
    dtype = getattr(lib, c.dtype)
    lib.manual_seed(0)
    model = c.make(lib, s).to(device=device, dtype=dtype)
    options = {"lr": 0.01, "momentum": 0.9} if c.optimizer == "SGD" else {"lr": 1e-3}
    optimizer = getattr(optim, c.optimizer)(model.parameters(), **options)
    inputs, classes = batch_of(case, s)
    x, t = lib.tensor(inputs).to(device), lib.tensor(classes).to(device)
    x = x.to(dtype) if inputs.dtype.kind == "f" else x

    def step() -> Any:
        optimizer.zero_grad()
        y = model(x)
        loss = F.cross_entropy(y.reshape(-1, y.shape[-1]).float(), t.reshape(-1))
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def weft_step(case: str, small: bool, device: str, compiled: bool) -> Step:
    import weft

    step = _step_of(weft, case, small, device)
    return weft.compile(step) if compiled else step


def torch_step(case: str, small: bool, device: str, compiled: bool) -> Step:
    import torch

    step = _step_of(torch, case, small, device)
    return torch.compile(step) if compiled else step  # type: ignore[return-value, no-any-return]


def jax_step(case: str, small: bool, device: str) -> Step:
    from benchmarks.gpu.jax_models import step_of

    c = CASES[case]
    s = c.small if small else c.full
    return step_of(case, s, c.dtype, c.optimizer, *batch_of(case, s))


LIBRARIES: dict[str, Callable[[str, bool, str], Step]] = {
    "weft": lambda case, small, device: weft_step(case, small, device, False),
    "weft.compile": lambda case, small, device: weft_step(case, small, device, True),
    "torch": lambda case, small, device: torch_step(case, small, device, False),
    "torch.compile": lambda case, small, device: torch_step(case, small, device, True),
    "jax.jit": jax_step,
}


def measured(step: Step, repeats: int, seconds: float) -> dict[str, Any]:
    """Seconds per step of runs that each wait only for their last loss; and that loss."""
    begin = time.perf_counter()
    float(step())
    first = time.perf_counter() - begin
    for _ in range(3):
        loss = float(step())
    begin = time.perf_counter()
    float(step())
    count = max(1, int(seconds / max(time.perf_counter() - begin, 1e-5)))
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        for _ in range(count):
            value = step()
        loss = float(value)
        times.append((time.perf_counter() - begin) / count)
    return {"first": first, "times": times, "loss": loss}


def matrix_peak(small: bool) -> float:
    """Operations per second of a bfloat16 product, by JAX."""
    import jax
    import jax.numpy as jnp

    n = 256 if small else 8192
    a = jnp.ones((n, n), jnp.bfloat16)
    product = jax.jit(jnp.matmul)
    product(a, a).block_until_ready()
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(10):
            out = product(a, a)
        out.block_until_ready()
        best = min(best, (time.perf_counter() - begin) / 10)
    return float(2 * n**3 / best)


def main() -> None:
    """Usage: worker LIBRARY CASE DEVICE SMALL REPEATS SECONDS; or: worker peak."""
    if sys.argv[1] == "peak":
        print(json.dumps(matrix_peak(sys.argv[2] == "1")))
        return
    name, case, device, small, repeats, seconds = sys.argv[1:]
    step = LIBRARIES[name](case, small == "1", device)
    print(json.dumps(measured(step, int(repeats), float(seconds))))


if __name__ == "__main__":
    main()
