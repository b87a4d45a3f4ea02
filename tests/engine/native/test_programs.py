"""Whole graphs by native code, against the reference interpreter."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import weft
import weft.nn.functional as F
from weft import config, nn, optim
from weft.engine import realize
from weft.engine.native.jit import Stats

pytestmark = pytest.mark.usefixtures("native")


def check(*outputs: weft.Tensor) -> None:
    """Runs what is recorded; a difference from the reference raises InternalError."""
    for y in outputs:
        y.detach().numpy()
    assert all(p.native is not None for p, _ in realize._programs.values())


#: More of them by hand: WEFT_EXAMPLES=10000.
EXAMPLES = int(os.environ.get("WEFT_EXAMPLES", "12"))
SHAPES = [(), (1,), (7,), (5, 1), (3, 17), (2, 3, 4), (1, 33), (64, 10), (2, 1, 9, 5)]
Step = Callable[[Any, weft.Tensor, weft.Tensor], weft.Tensor]


def _dim(draw: Any, x: weft.Tensor) -> int:
    return draw(st.integers(0, x.ndim - 1)) if x.ndim else 0


def _slice(draw: Any, x: weft.Tensor) -> weft.Tensor:
    cuts = []
    for n in x.shape:
        start = draw(st.integers(0, n - 1))
        cuts.append(slice(start, None, draw(st.integers(1, 2))))
    return x[tuple(cuts)]


def _set(draw: Any, x: weft.Tensor) -> weft.Tensor:
    y = x.clone()
    y[..., :1] = 2.5
    return y


#: By name, so that a failing example can be read. Where something jumps, it does so beside values
#: (0, a mean) that graphs come upon exactly but for rounding.
STEPS: dict[str, Step] = {
    "add": lambda d, x, y: x + y.sum(),
    "mul": lambda d, x, y: x * 1.5 - x,
    "exp": lambda d, x, y: (-(x * x)).exp(),
    "tanh": lambda d, x, y: x.tanh(),
    "where": lambda d, x, y: weft.where(x > 0.2345, x, x * 0.1),
    "relu": lambda d, x, y: (x - 0.0123).relu(),
    "maximum": lambda d, x, y: weft.maximum(x, y.mean() + 0.0456),
    "sum": lambda d, x, y: x.sum(_dim(d, x), keepdim=d(st.booleans())) if x.ndim else x,
    "max": lambda d, x, y: x.amax(_dim(d, x), keepdim=True) if x.ndim else x,
    "centre": lambda d, x, y: x - x.mean(_dim(d, x), keepdim=True) if x.ndim else x,
    "softmax": lambda d, x, y: F.softmax(x, _dim(d, x)) if x.ndim else x,
    "transpose": lambda d, x, y: x.transpose(0, -1) if x.ndim > 1 else x,
    "flip": lambda d, x, y: x.flip(_dim(d, x)) if x.ndim else x,
    "slice": lambda d, x, y: _slice(d, x),
    "reshape": lambda d, x, y: x.reshape(-1),
    "unsqueeze": lambda d, x, y: x.unsqueeze(-1) if x.ndim < 4 else x,
    "expand": lambda d, x, y: x.expand(2, *x.shape) if x.ndim < 4 else x,
    "cat": lambda d, x, y: weft.cat([x, x * 2], _dim(d, x)) if x.ndim else x,
    "matmul": lambda d, x, y: x @ x.transpose(-1, -2) if x.ndim > 1 else x,
    "take": lambda d, x, y: x[weft.tensor([0, -1, 0])] if x.ndim else x,
    "set": lambda d, x, y: _set(d, x) if x.ndim else x,
    "cast": lambda d, x, y: (x * 3 + 0.0178).clamp(-9, 9).int().to(x.dtype),
    "double": lambda d, x, y: x.double().sin().to(x.dtype),
}


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(st.data())
def test_random_graphs(data: st.DataObject) -> None:
    # (among thousands there are graphs that make much of float32's rounding)
    dtypes = [weft.float64] if EXAMPLES > 1000 else [weft.float32, weft.float64]
    dtype = data.draw(st.sampled_from(dtypes))
    shape = data.draw(st.sampled_from(SHAPES))
    n = int(np.prod(shape))
    start = weft.tensor(
        np.sin(np.arange(n) * 1.3 + 0.4).reshape(shape), dtype=dtype, requires_grad=True
    )
    values = [start * 1.0]
    for name in data.draw(st.lists(st.sampled_from(sorted(STEPS)), min_size=3, max_size=9)):
        x = data.draw(st.sampled_from(values))
        y = STEPS[name](data.draw, x, values[-1])
        if 0 < y.numel() < 4000:
            values.append(y)
    total = sum(((v * v).sum() for v in values[-3:]), start.sum())
    total.backward()
    assert start.grad is not None
    check(values[-1], start.grad)


HALVES = [weft.bfloat16, weft.float16]
SMOOTH: list[Callable[[weft.Tensor], weft.Tensor]] = [
    lambda x: x + 1.7,
    lambda x: x * x - x,
    lambda x: x / 3,
    lambda x: x.exp(),
    lambda x: x.tanh().abs().sqrt(),
    lambda x: weft.where(x > 0, x, -x),
    lambda x: x.sum(0),
    lambda x: x.mean(1, keepdim=True).expand(6, 40),
    lambda x: x.amax(1),
    lambda x: F.softmax(x, 1),
    lambda x: F.layer_norm(x, (40,)),
    lambda x: F.gelu(x),
    lambda x: x @ x.T,
    lambda x: x[weft.tensor([5, 0, 0])],
    lambda x: weft.cat([x[:, :3], x[:, 5:]], 1),
    lambda x: x.float().to(x.dtype),
    lambda x: x.int().to(x.dtype),
    lambda x: F.conv1d(x[None, :, :], x[None, :, :3]),
    lambda x: F.max_pool1d(x[None], 3),
    lambda x: F.dropout(x, 0.4),
    lambda x: weft.rand(5, 6, dtype=x.dtype) + weft.randn(5, 6, dtype=x.dtype),
    lambda x: F.embedding(weft.tensor([[1, 2, 1]]), x),
]


@pytest.mark.parametrize("number", range(len(SMOOTH)))
@pytest.mark.parametrize("dtype", HALVES)
def test_sixteen_bit_floats(number: int, dtype: Any) -> None:
    x = weft.tensor(np.sin(np.arange(240.0) * 1.3).reshape(6, 40), dtype=dtype, requires_grad=True)
    y = SMOOTH[number](x)
    assert y.dtype is dtype
    if y.requires_grad:
        (y.float() * weft.linspace(0.5, 1.5, y.numel()).reshape(y.shape)).sum().backward()
    check(y) if x.grad is None else check(y, x.grad)
    assert "0 of them by the reference" in weft.explain(lambda: SMOOTH[number](x))


def net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),  # (its gradient would be rounding alone)
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(64, 16),
        nn.LayerNorm(16),
        nn.GELU(),
        nn.Linear(16, 5),
    )


class Training:
    def __init__(self) -> None:
        weft.manual_seed(0)
        self.model = net()
        self.optimizer = optim.AdamW(self.model.parameters(), lr=1e-2)
        self.x, self.y = weft.randn(6, 1, 8, 8), weft.randint(0, 5, (6,))

    def step(self) -> weft.Tensor:
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return loss


def test_training_is_compared_step_by_step() -> None:
    training = Training()
    losses = [training.step().item() for _ in range(4)]
    assert losses[-1] < losses[0]


def test_no_compilation_for_another_rate_count_or_seed() -> None:
    training = Training()
    compiled = weft.compile(training.step)
    for _ in range(2):  # the first step makes the optimiser's state
        compiled().item()
    before = Stats.compiled + Stats.loaded + Stats.memory_hits
    for rate in (0.1, 0.01, 0.003):
        training.optimizer.param_groups[0]["lr"] = rate
        compiled().item()
    assert Stats.compiled + Stats.loaded + Stats.memory_hits == before


def test_a_compiled_step_sees_changes_from_outside() -> None:
    layer = nn.Linear(3, 2, bias=False)
    compiled = weft.compile(layer)
    x = weft.ones(1, 3)
    compiled(x)
    layer.load_state_dict({"weight": weft.full((2, 3), 4.0)})
    assert compiled(x).tolist() == [[12.0, 12.0]]


def test_a_third_run_is_native_and_so_is_the_first_once_there_is_an_optimiser(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(config, "NATIVE_AFTER", 2)
    monkeypatch.setattr(realize, "_repeating", False)
    x = weft.ones(5)
    x.tolist()
    for native in (False, False, True):
        (x * 2).sum().item()
        planned, _ = list(realize._programs.values())[-1]
        assert (planned.native is not None) is native
    optim.SGD([weft.zeros(1, requires_grad=True)], lr=0.1)
    (x * 3 + 1).sum().item()
    assert list(realize._programs.values())[-1][0].native is not None


def test_many_draws_are_native_the_first_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "NATIVE_AFTER", 2)
    monkeypatch.setattr(realize, "_repeating", False)
    for size, native in ((1 << 10, False), ((1 << 20) + 4, True)):
        weft.manual_seed(0)
        weft.rand(size).sum().item()
        planned, _ = list(realize._programs.values())[-1]
        assert (planned.native is not None) is native


def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "COMPARE", False)
    found = []
    threads = weft.get_num_threads()
    try:
        for count in (1, 2, 3):
            weft.set_num_threads(count)
            realize.forget_programs()
            training = Training()
            for _ in range(3):
                loss = training.step()
            found.append([loss.item(), *[p.detach().numpy() for p in training.model.parameters()]])
    finally:
        weft.set_num_threads(threads)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bad", [9, -10])
def test_an_index_out_of_range_names_its_line(bad: int) -> None:
    x = weft.randn(9, 4)
    y = x[weft.tensor([0, bad])] * 2
    with pytest.raises(weft.errors.IndexOutOfRange, match=rf"take: index {bad}.*\n.*test_programs"):
        y.sum().item()
    assert x.sum().item() == pytest.approx(float(x.numpy().sum()), rel=1e-4)


def test_results_do_not_share_memory() -> None:
    x = weft.randn(4, 5)
    y = x + 1
    z = y.t()
    first, second = y.numpy(), z.numpy()
    first[:] = 0
    assert second.any()
    assert (y.numpy() != 0).any()


def test_zero_sized() -> None:
    x = weft.zeros(0, 4)
    check(x.sum(0), x.sum(), weft.cat([x, weft.ones(2, 4)]), x @ weft.ones(4, 3))


def test_mixed_dtypes() -> None:
    i = weft.arange(-5, 6)
    check(i // 2, i % 3, (i > 0) & (i < 3), i.to(weft.uint8), i.to(weft.int8) * 50, i.float() / 2)
    check(weft.tensor([float("nan"), 1.0]).amax(0), i.sum(), i.amax(0), (i > 100).any())
    check(weft.randn(3, 4).half() * 2, weft.randn(5).bfloat16().exp())


def test_explain_tells_what_is_fused_and_what_is_not() -> None:
    x = weft.randn(32, 8)
    text = weft.explain(lambda: weft.linalg.pinv(F.softmax((x @ weft.ones(8, 8)).relu(), 1)))
    assert "matmul     32x8 @ 8x8" in text
    assert "[32] over [8]: relu, max, sub, exp, sum, reciprocal, mul" in text
    assert "reference  pinv of [32, 8]: no kernel for it" in text


def test_profile_tells_what_each_kernel_takes() -> None:
    weight = weft.randn(5, 7).requires_grad_()
    x = weft.randn(3, 5)

    def step() -> None:
        weight.grad = None
        (x @ weight).exp().sum().backward()

    text = weft.profile(step)
    assert "matmul" in text
    assert "exp" in text
    assert "us" in text
    before = weight.grad
    assert weft.profile(lambda: None) == ""
    assert "exp" in weft.profile(lambda: weft.ones(3).exp())  # what is only returned is run, too
    assert weight.grad is before


@pytest.mark.parametrize("columns", [1, 15, 16, 17, 32, 48, 64, 100, 128, 256, 300])
@pytest.mark.parametrize("rows", [1, 3, 130])
def test_sums_of_columns(columns: int, rows: int) -> None:
    x = np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)

    def both() -> tuple[weft.Tensor, weft.Tensor]:
        t = weft.from_numpy(x)
        return F.softmax(t, 0), (t * 2).sum(0)

    soft, total = weft.compile(both)()
    e = np.exp(x.astype(np.float64) - x.max(0))
    np.testing.assert_allclose(soft.numpy(), e / e.sum(0), rtol=1e-5)
    np.testing.assert_allclose(total.numpy(), 2 * x.sum(0, np.float64), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_turned_operands(order: tuple[int, ...], threads: int) -> None:
    """What lies apart along the vectors is walked in tiles, shared out among the threads."""
    before = weft.get_num_threads()
    try:
        weft.set_num_threads(threads)
        for shape in ((70, 45, 33), (3, 130, 5), (1, 64, 100)):
            x = weft.randn(*shape)
            y = weft.randn(*[shape[k] for k in order])
            check(x.permute(order) * 2, x.permute(order) + y, y.flip(0) - x.permute(order))
            check((x.permute(order) * y).sum(0), x.permute(order)[:, 1:].exp())
    finally:
        weft.set_num_threads(before)


def test_loops_over_the_same_points_are_one() -> None:
    x = weft.randn(40, 50, requires_grad=True)
    g = weft.randn(40, 50)

    def gradient() -> list[Any]:
        y = F.silu(x)
        return [y, *weft.autograd.grad(y, x, g)]

    assert weft.explain(gradient).count("loop") == 1
    assert weft.explain(lambda: (x.exp(), x.tanh() * g)).count("loop") == 1
    check(*gradient())


def test_loops_with_something_between_them_are_not() -> None:
    x, w = weft.randn(40, 40), weft.randn(40, 40)

    def apart() -> list[weft.Tensor]:
        a = x.exp()
        b = (a @ w) * x  # reads what the first loop does, and waits for it
        return [a, b, b.amax(0) + a, x.sum(0) * 2 + x.amax(1)]

    text = weft.explain(apart)
    assert "matmul" in text
    assert text.count("loop") >= 3
    check(*apart())


@pytest.mark.parametrize("dim", [-1, 0])
@pytest.mark.parametrize("n", [1, 7, 16, 40, 128, 251, 700, 1003, 9001, 17000])
def test_what_several_walks_need(n: int, dim: int) -> None:
    """Rows that are written out, rows that are kept, rows too long for that."""
    shape = (3, n) if dim else (n, 19)
    for dtype in (weft.float32, weft.float64, weft.float16):
        if dtype is weft.float16 and n > 1003:
            continue  # (sums of so many lose too much)
        x = weft.randn(*shape, dtype=dtype, requires_grad=True)
        probable = F.softmax(x * 2, dim)
        y = F.dropout(probable, 0.3) * x + x.std(dim, keepdim=True)
        (y.tanh() * F.log_softmax(x, dim)).sum().backward()
        check(probable, y, x.grad)


def test_a_weight_used_at_each_step_has_one_product_for_its_gradient() -> None:
    weight = weft.randn(16, 40).requires_grad_()
    steps = [weft.randn(3, 16) for _ in range(6)]

    def run() -> None:
        weight.grad = None
        total = weft.zeros(())
        for x in steps:
            total = total + (x @ weight).tanh().square().sum()
        (total + (weight * 3).sum()).backward()

    text = weft.explain(run)
    assert "16x18 @ 18x40" in text
    assert "16x3 @" not in text
    assert weight.grad is not None
    found = weight.grad.numpy()
    a = weight.detach().numpy().astype(np.float64)
    wanted = np.full_like(a, 3.0)
    for x in steps:
        b = x.numpy().astype(np.float64)
        t = np.tanh(b @ a)
        wanted += b.T @ (2 * t * (1 - t * t))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_turned_weight_of_many_products_is_turned_once() -> None:
    weight = weft.randn(32, 24)
    x = weft.randn(4, 24)
    text = weft.explain(lambda: [(x + k) @ weight.T for k in range(5)])
    assert text.count("same") == 1
    text = weft.explain(lambda: [(x + k) @ weight.T for k in range(2)])
    assert "same" not in text


def test_gradients_of_slices_are_put_side_by_side() -> None:
    x = weft.randn(5, 12).requires_grad_()

    def run() -> None:
        x.grad = None
        a, b, c = x.split(4, 1)
        (a * b.exp() + c.sin()).sum().backward()

    text = weft.explain(run)
    assert "copy" not in text  # neither zeros nor sums: each part is computed in its place
    assert x.grad is not None
    a, b, c = np.split(x.detach().numpy(), 3, 1)
    wanted = np.concatenate([np.exp(b), a * np.exp(b), np.cos(c)], 1)
    np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=1e-5)


def test_parts_that_overlap_or_leave_gaps() -> None:
    def function(x: weft.Tensor) -> weft.Tensor:
        out = weft.zeros(4, 6)
        out[1:3, :4] = x[:2, :4] * 2
        out[2:, 2:] = x[:2, :4]  # over part of it
        full = weft.empty(4, 6)
        full[:, :3] = x[:, 3:]
        full[:, 3:] = x[:, :3] + 1
        return weft.cat([out, full])

    x = weft.randn(4, 6)
    found = weft.compile(function)(x).numpy()
    a = x.numpy()
    out, full = np.zeros((4, 6), np.float32), np.empty((4, 6), np.float32)
    out[1:3, :4] = a[:2, :4] * 2
    out[2:, 2:] = a[:2, :4]
    full[:, :3], full[:, 3:] = a[:, 3:], a[:, :3] + 1
    np.testing.assert_array_equal(found, np.concatenate([out, full]))


def test_parts_are_computed_where_they_belong() -> None:
    x, y = weft.randn(5, 6), weft.randn(5, 3)

    def function() -> list[weft.Tensor]:
        a, b = x.exp(), y.tanh()
        return [weft.cat([a, b * 2], 1) + 1, weft.stack([a.sin(), x, b.sum(1, keepdim=True) + x])]

    text = weft.explain(function)
    assert text.count("copy") == 1  # of x itself
    first, second = weft.compile(function)()
    a, b = np.exp(x.numpy()), np.tanh(y.numpy())
    wanted = np.concatenate([a, b * 2], 1) + 1
    np.testing.assert_allclose(first.numpy(), wanted, rtol=1e-6, atol=1e-6)
    wanted = np.stack([np.sin(a), x.numpy(), b.sum(1, keepdims=True) + x.numpy()])
    np.testing.assert_allclose(second.numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_sums_within_sums_of_other_shapes() -> None:
    x = weft.randn(3, 17, requires_grad=True)
    y = x + x.sum()
    total = (y @ y.T).square().sum() + y.reshape(-1).square().sum() + y.square().sum()
    total.backward()
    assert x.grad is not None
    check(x.grad)


def test_rows_gathered_at_sums_over_as_many_elements_as_a_row_has() -> None:
    places = weft.arange(9).view(3, 3)
    pairs = weft.stack([places, places.t()], -1)
    table = weft.randn(40, 2)
    check(table[(pairs * weft.tensor([2, 1])).sum(-1)])


def test_large_sums_are_shared_out() -> None:
    x = np.random.default_rng(0).normal(size=(40, 33, 50)).astype(np.float32)
    t = weft.from_numpy(x)
    for dims in ((0, 1, 2), (0, 2), (1, 2)):
        for keep in (False, True):
            text = weft.explain(lambda d=dims, k=keep: (t * 2).sum(d, keepdim=k))
            assert ("[40] over [33, 50]: mul, sum" in text) == (dims != (0, 2))
            found = weft.compile(lambda x, d=dims, k=keep: (x * 2).sum(d, keepdim=k))(t).numpy()
            wanted = 2 * x.astype(np.float64).sum(dims, keepdims=keep)
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-2)
    assert weft.compile(lambda x: x.amax())(t).item() == x.max()


def test_reference_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "REFERENCE", True)
    weft.randn(3).exp().sum().item()
    assert all(p.native is None for p, _ in realize._programs.values())


def test_compile_refuses_what_it_does_not_know() -> None:
    with pytest.raises(TypeError, match="no option modes"):
        weft.compile(lambda: None, modes="max-autotune")
    with pytest.raises(TypeError, match="not int"):
        weft.compile(3)


def test_weights_that_are_turned_for_products_and_kept_turned() -> None:
    w = weft.randn(4, 5)
    turned = w.t()
    products = [weft.randn(2, 5) @ turned for _ in range(4)]
    kept = turned.clone()
    check(*products, kept)


def test_nothing_is_padded() -> None:
    x = weft.ones(5, 3)
    y = F.pad(x, (-1, -2, 1, 1), value=1.0)
    assert y.shape == (7, 0)
    check(y, F.pad(x[:0], (1, 1)))


def test_a_long_chain_of_scalars() -> None:
    x = y = weft.tensor(1.0, dtype=weft.float64)
    for k in range(1500):
        y = y * 1.001 + k
    check(y, x.expand(40) * y)


def test_eight_bit_floats_pass_through() -> None:
    x = weft.randn(64, 32)

    @weft.compile
    def stored(x: weft.Tensor) -> weft.Tensor:
        y = (x * 3).to(weft.float8_e4m3fn)
        return weft.cat([y.t(), y.t()], 1)[1:].float() + 1

    wanted = (x * 3).to(weft.float8_e4m3fn).float().t() + 1
    for _ in range(3):
        assert weft.equal(stored(x), weft.cat([wanted, wanted], 1)[1:])


def test_complex_numbers_pass_through() -> None:
    """Their ops are left to the reference, within native programs."""
    x, z = weft.randn(40), weft.randn(40, dtype=weft.complex128)
    factor = weft.tensor(0.5 + 2j, dtype=weft.complex128)

    @weft.compile
    def mixed(x: weft.Tensor, z: weft.Tensor, factor: weft.Tensor) -> weft.Tensor:
        return (z * factor * (x * 2 + 1)).abs().exp() + x

    def products(c: weft.Tensor, a: weft.Tensor, b: weft.Tensor) -> list[weft.Tensor]:
        y = weft.addmm(c, a, b, beta=1 + 2j, alpha=2 + 3j).abs().square().sum()
        first = weft.autograd.grad(y, [c, a, b], create_graph=True)
        total = weft.stack([g.abs().square().sum() for g in first]).sum()
        return [y, *first, *weft.autograd.grad(total, [a, b])]

    check(*products(*[weft.randn(4, 4, dtype=weft.complex128).requires_grad_() for _ in "cab"]))
    wanted = (z * factor).abs() * (x * 2 + 1).abs()
    for _ in range(3):
        np.testing.assert_allclose(mixed(x, z, factor), wanted.exp() + x, rtol=1e-6)
