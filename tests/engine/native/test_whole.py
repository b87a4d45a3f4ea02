"""Kernels of one op each, by programs that hold them against the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.nn.functional as F
from weft import Tensor
from weft.engine.native import jit, target
from weft.engine.native.along import EvenSums, Extreme, Order, RunningSum
from weft.engine.native.ctc import Ctc
from weft.engine.native.in_range import InRange
from weft.engine.native.ir import Module
from weft.engine.native.window_places import WindowPlaces
from weft.ops.contract import max_places
from weft.tensors.core import node_of, wrap

pytestmark = pytest.mark.usefixtures("native", "four_threads")

FLOATS = ("float32", "float64", "bfloat16", "float16")
DTYPES = (*FLOATS, "int8", "int16", "int32", "int64", "uint8", "bool")
SHAPES = [(5,), (3, 40), (1, 17), (4, 7, 33), (2, 3, 1), (100, 64), (1000,), (0, 4), (3, 5, 2, 4)]


def values(shape: tuple[int, ...], dtype: str) -> Tensor:
    """With ties, and with what floats have besides numbers."""
    draw = np.random.default_rng(0)
    x = draw.integers(0 if dtype in ("uint8", "bool") else -5, 5, shape).astype(float)
    if dtype in FLOATS:
        for special in (-0.0, np.inf, -np.inf, np.nan, -np.nan):
            x[draw.random(shape) < 0.05] = special
    return weft.tensor(x, dtype=getattr(weft, dtype))


def run(function: Callable[..., Any], *inputs: Any) -> str:
    """What the kernels are; a difference from the reference raises InternalError."""
    plan = weft.explain(function, *inputs)
    assert ", 0 of them by the reference" in plan
    return plan


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_along_each_dimension(shape: tuple[int, ...], dtype: str) -> None:
    x = values(shape, dtype)
    turned = x.permute(*reversed(range(len(shape))))
    for y in (x, turned):
        for dim in range(y.ndim):
            run(lambda y=y, dim=dim: y.argsort(dim, stable=True))
            run(lambda y=y, dim=dim: y.argsort(dim, descending=True, stable=True))
            for k in {0, y.shape[dim] // 2, y.shape[dim] // 3}:
                run(lambda y=y, dim=dim, k=k: y.topk(k, dim))
                run(lambda y=y, dim=dim, k=k: y.topk(k, dim, largest=False))
            if dtype != "bool":
                run(lambda y=y, dim=dim: y.cumsum(dim))
            if y.shape[dim] and dtype != "bool":
                assert "argmax" in run(lambda y=y, dim=dim: y.argmax(dim))
                assert "argmin" in run(lambda y=y, dim=dim: y.argmin(dim, keepdim=True))


def test_the_order_of_many_elements() -> None:
    x = np.random.default_rng(0).normal(size=(3, 10_001)).round(2)
    given = weft.tensor(x)
    np.testing.assert_array_equal(given.argsort(1, stable=True), np.argsort(x, 1, kind="stable"))
    run(lambda: given.topk(5))


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != "bool"])
@pytest.mark.parametrize("sizes", [(23,), (6, 21), (3, 4, 19)])
def test_places_of_maxima(sizes: tuple[int, ...], dtype: str) -> None:
    draw = np.random.default_rng(1)
    tables = []
    for size, rows in zip(sizes, (3, 1, 3), strict=False):
        start = draw.integers(0, size, (rows, 17))
        tables += [start, start + draw.integers(1, size + 1 - start)]
    nodes = [node_of(weft.tensor(t)) for t in tables]
    x = node_of(values((3, *sizes), dtype))
    assert "max_places" in run(lambda: wrap(max_places(x, nodes)))


def test_windows_that_leave_the_input() -> None:
    x = weft.zeros(2, 8)
    tables = [node_of(weft.tensor(b)) for b in ([[0, 6]], [[2, 9]])]
    with pytest.raises(IndexError, match="not within the input"):
        wrap(max_places(node_of(x), tables)).numpy()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_with_what_is_inside(mode: str, dtype: str) -> None:
    shapes = [(2, 3, 7), (3, 5, 37), (2, 3, 4, 21), (1, 2, 9, 5), (2, 1, 3, 2, 18)]
    for shape in shapes:
        x = values(shape, dtype)
        pads = [1, 0, 1, 1, 2, 1][: 2 * (len(shape) - 2)]
        if mode == "replicate":
            pads[:2] = [9, 20]
        assert "pad " in run(lambda x=x, p=pads: F.pad(x, p, mode))
        if dtype in {"float32", "float64"}:
            x = x.nan_to_num(0, 0, 0).requires_grad_()
            y = F.pad(x, pads, mode)
            g = weft.randn(*y.shape, dtype=y.dtype)
            assert "sums of" in run(lambda x=x, y=y, g=g: weft.autograd.grad(y, x, g, True))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_windows_nearly_equal_in_size(dtype: str) -> None:
    x = values((2, 3, 35, 22), dtype).nan_to_num(0, 0, 0).requires_grad_()
    for counts in [(7, 5), (12, 40), (34, 22), (50, 1), (3, 0)]:
        y = F.adaptive_avg_pool2d(x, counts)
        assert "even_sums" in run(lambda n=counts: F.adaptive_avg_pool2d(x, n))
        g = weft.randn(*y.shape, dtype=y.dtype)
        assert "even_sums" in run(lambda y=y, g=g: weft.autograd.grad(y, x, g, True))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_adaptive_and_fractional_pooling(dims: int) -> None:
    x = values((2, 3, *(11, 7, 9)[:dims]), "float32").nan_to_num(0, 0, 0).requires_grad_()
    layers = [weft.nn.__dict__[f"AdaptiveMaxPool{dims}d"](4)]
    if dims > 1:
        layers.append(weft.nn.__dict__[f"FractionalMaxPool{dims}d"](2, 3))
    for layer in layers:
        run(lambda layer=layer: weft.autograd.grad(layer(x).exp().sum(), x))


def test_metrics_leave_nothing_to_the_reference() -> None:
    logits, classes = weft.randn(64, 10), weft.arange(64) % 10
    run(lambda: (logits.argmax(1) == classes).float().mean())
    run(lambda: (logits.topk(3).indices == classes[:, None]).any(1).sum())
    run(lambda: F.softmax(logits, 1).max(1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.filterwarnings("ignore:ctc_loss")
def test_ctc_loss_of_all_lengths(dtype: str) -> None:
    """Shorter samples after longer ones, repeated labels, blanks, more labels than time."""
    draw = np.random.default_rng(0)
    for k in range(12):
        steps, count, classes, most = draw.integers((1, 1, 2, 1), (30, 9, 40, 30))
        x = draw.normal(size=(steps, count, classes))
        if k % 4 == 3:
            x[:, :, 0] = -np.inf
        z = weft.tensor(x, dtype=getattr(weft, dtype), requires_grad=True)
        given = (
            draw.integers(0, classes, (count, most)),
            draw.integers(0, steps + 1, count),
            draw.integers(0, most + 1, count),
        )
        tensors = [weft.tensor(g) for g in given]

        def loss(z: Any = z, tensors: Any = tensors, k: int = k) -> Any:
            value = F.ctc_loss(F.log_softmax(z, -1), *tensors, blank=k % 2, zero_infinity=True)
            return weft.autograd.grad(value, z)

        assert "ctc_occupancy" in run(loss)


def test_ctc_loss_reads_no_values() -> None:
    z = weft.randn(9, 2, 5, requires_grad=True)
    labels, times, sizes = weft.tensor([[1, 2], [3, 3]]), weft.tensor([9, 7]), weft.tensor([2, 1])

    @weft.compile
    def step(labels: Any, times: Any, sizes: Any) -> Any:
        z.grad = None
        loss = F.ctc_loss(F.log_softmax(z, -1), labels, times, sizes)
        loss.backward()
        return loss

    for _ in range(3):
        found = step(labels, times, sizes)
    assert not step.obstacles()
    wanted = F.ctc_loss(F.log_softmax(z.detach(), -1), labels, [9, 7], [2, 1])
    assert found.item() == pytest.approx(wanted.item())
    with pytest.raises(ValueError, match="target 5 is none of the 5 classes"):
        step(labels + 4, times, sizes).item()
    with pytest.raises(ValueError, match="target_lengths must be between 0 and 2, not 3"):
        F.ctc_loss(F.log_softmax(z, -1), labels, times, sizes + 1).item()


@pytest.mark.parametrize("dtype", FLOATS)
def test_values_within_bounds(dtype: str) -> None:
    draw = np.random.default_rng(0)
    for size in (1, 7, 64, 1003):
        p = weft.tensor(draw.uniform(0, 1, size), dtype=getattr(weft, dtype))
        t = weft.ones(size, dtype=p.dtype)
        assert "in_range" in run(lambda p=p, t=t: F.binary_cross_entropy(p, t))
        for wrong in (-0.1, 1.5, np.nan):
            bad = p.clone()
            bad[size // 2] = wrong
            with pytest.raises(ValueError, match="is among them"):
                F.binary_cross_entropy(bad, t).item()


@pytest.mark.parametrize("triple", ["aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"])
def test_code_for_other_processors(triple: str) -> None:
    other = target.named(triple)
    kernels = [
        WindowPlaces((3, 9, 9), (4, 4), (True, False), "bfloat16"),
        *[Extreme((3, 40, inner), "argmax", "float32") for inner in (1, 7)],
        *[RunningSum((3, 40, inner), "float16") for inner in (1, 7)],
        *[EvenSums((3, 40, inner), 7, "float32") for inner in (1, 7)],
        *[Order((3, 40, 2), True, count, "float64") for count in (5, 40)],
        InRange(1003, 0.0, 1.0, "float32"),
        *[Ctc(op, (9, 3, 5), 4, 0, "float") for op in ("ctc_likelihood", "ctc_occupancy")],
    ]
    for kernel in kernels:
        module = Module(other.vector_bytes)
        kernel.emit(module, "kernel", other.vector_bytes)
        assert "kernel:" in jit.assembly(module.text(), other)
