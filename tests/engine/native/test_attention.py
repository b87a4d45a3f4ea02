"""Attention by its own kernel, against the ops that it is made of."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

import weft
import weft.nn.functional as F
from weft import nn
from weft.engine.native import jit, target
from weft.engine.native.attention import Attention
from weft.engine.native.ir import Module

pytestmark = pytest.mark.usefixtures("native")

#: Samples and heads, queries, keys, features of keys and of values.
SIZES = [
    ((2, 4), 64, 64, 32, 32),
    ((8,), 65, 70, 20, 7),
    ((2, 2, 2), 101, 64, 1, 33),
    ((9, 1), 64, 130, 80, 128),
]


def operands(
    lead: tuple[int, ...], queries: int, keys: int, features: int, values: int, dtype: Any
) -> list[weft.Tensor]:
    draw = np.random.default_rng(0)
    shapes = [(queries, features), (keys, features), (keys, values), (queries, values)]
    return [weft.tensor(draw.normal(size=(*lead, *s)), dtype=dtype) for s in shapes]


def gradients(q: Any, k: Any, v: Any, g: Any, *, causal: bool = True, wanted: str = "qkv") -> Any:
    given = [x.detach().requires_grad_(n in wanted) for n, x in zip("qkv", (q, k, v), strict=True)]
    y = F.scaled_dot_product_attention(*given, is_causal=causal)
    return (y.detach(), *weft.autograd.grad(y, [x for x in given if x.requires_grad], g))


def kernels(function: Any, *inputs: Any) -> tuple[int, int]:
    """How many of values and of gradients; a difference from the reference is an InternalError."""
    plan = weft.explain(function, *inputs)
    assert ", 0 of them by the reference" in plan, plan
    return plan.count("attention ["), plan.count("attention's gradients [")


@pytest.mark.parametrize("dtype", [weft.float32, weft.float64, weft.bfloat16, weft.float16])
@pytest.mark.parametrize("sizes", SIZES)
def test_values_and_gradients(sizes: Any, dtype: Any) -> None:
    assert kernels(gradients, *operands(*sizes, dtype)) == (1, 1)


def test_without_a_mask_for_many_keys() -> None:
    inputs = operands((8,), 513, 520, 12, 16, weft.float32)
    assert kernels(lambda *x: gradients(*x, causal=False), *inputs) == (1, 1)
    few = operands((8,), 64, 64, 16, 16, weft.float32)
    assert kernels(lambda *x: gradients(*x, causal=False), *few) == (0, 0)
    assert kernels(gradients, *operands((7,), 64, 64, 16, 16, weft.float32)) == (0, 0)


def test_only_some_gradients() -> None:
    inputs = operands((2, 4), 70, 66, 16, 24, weft.float32)
    for wanted in [
        "".join(n for n, w in zip("qkv", some, strict=True) if w)
        for some in product((0, 1), repeat=3)
    ]:
        if wanted:
            assert kernels(lambda *x, w=wanted: gradients(*x, wanted=w), *inputs) == (1, 1)


def test_operands_as_they_lie() -> None:
    """Heads of one projection, turned; and fewer heads of keys that several of queries share."""
    draw = weft.Generator().manual_seed(0)
    together = weft.randn(2, 70, 3, 4, 16, generator=draw)

    def heads(x: weft.Tensor) -> Any:
        return gradients(*x.permute(2, 0, 3, 1, 4).unbind(0), x[:, :, 0].transpose(1, 2))

    assert kernels(heads, together) == (1, 1)
    turned = [x.transpose(-1, -2).contiguous().transpose(-1, -2) for x in together.unbind(2)]
    assert kernels(lambda *x: gradients(*[t.transpose(1, 2) for t in (*x, x[0])]), *turned) == (
        1,
        1,
    )
    q, kv = weft.randn(2, 8, 66, 16, generator=draw), weft.randn(2, 2, 66, 16, generator=draw)

    def shared(q: weft.Tensor, kv: weft.Tensor) -> Any:
        given = kv.detach().requires_grad_()
        y = F.scaled_dot_product_attention(q, given, given, is_causal=True, enable_gqa=True)
        return y.detach(), *weft.autograd.grad(y, given, q)

    assert kernels(shared, q, kv) == (1, 1)


def test_second_order() -> None:
    q, k, v, g = operands((8,), 64, 64, 5, 6, weft.float64)

    def twice(q: Any, k: Any, v: Any, g: Any) -> Any:
        given = [x.detach().requires_grad_() for x in (q, k, v)]
        y = F.scaled_dot_product_attention(*given, is_causal=True)
        first = weft.autograd.grad(y, given, g, create_graph=True)
        return weft.autograd.grad(sum(x.square().sum() for x in first), given)

    assert kernels(twice, q, k, v, g)[0] == 0  # (nobody asks for the values)


@pytest.mark.parametrize("width", [16, 32])
def test_narrower_vectors(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    features = target.host().features.replace("+avx512", "-avx512")
    narrow = replace(target.host(), vector_bytes=width, registers=16, features=features)
    monkeypatch.setattr(target, "host", lambda: narrow)
    assert kernels(gradients, *operands((8,), 67, 70, 20, 7, weft.float32)) == (1, 1)


@pytest.mark.parametrize("triple", ["aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"])
@pytest.mark.parametrize("wanted", [None, (0, 1, 2), (2,)])
def test_code_for_other_processors(triple: str, wanted: Any) -> None:
    other = target.named(triple)
    strides = ((4096, 64),) * (3 if wanted is None else 4)
    spec = Attention((8,), 64, 64, 64, 64, strides, True, 0.125, wanted, "float32")
    module = Module(other.vector_bytes)
    spec.emit(module, "kernel", other.vector_bytes)
    assert "kernel:" in jit.assembly(module.text(), other)


def test_large_scores_and_any_number_of_threads() -> None:
    q, k, v, g = operands((3, 4), 96, 96, 32, 32, weft.float32)
    results = []
    for threads in (1, 2, 3):
        before = weft.get_num_threads()
        weft.set_num_threads(threads)
        try:
            results.append([x.numpy() for x in weft.compile(gradients)(q * 1e3, k, v, g)])
        finally:
            weft.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert all(np.isfinite(x).all() for x in results[0])


def test_a_causal_layer_trains_as_by_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    def losses() -> list[float]:
        weft.manual_seed(0)
        layer = nn.MultiheadAttention(64, 8, batch_first=True)
        x = weft.randn(2, 80, 64)
        optimizer = weft.optim.SGD(layer.parameters(), lr=0.5)
        found = []
        for _ in range(5):
            optimizer.zero_grad()
            y, _ = layer(x, x, x, need_weights=False, is_causal=True)
            loss = (y - x).square().mean()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    native = losses()
    monkeypatch.setattr(weft.config, "REFERENCE", True)
    np.testing.assert_allclose(native, losses(), rtol=1e-5)
