"""vmap: the same as the function called for each sample, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from samples import OPS
from sampling import Op, as_function

import weft
from weft import nn
from weft.errors import ShapeError, UnsupportedOp
from weft.func import batching, functional_call, grad, jacrev, stack_module_state, vmap
from weft.func.tree import flatten
from weft.graph.node import OPS as PRIMITIVES

#: Their masks, or windows, are looked at while they run: see test_values_are_not_seen.
LOOKS_AT_VALUES = {"masked_select", "istft", "Tensor.istft"}


def scaled(x: Any) -> Any:
    """A batch of three that stays where the function is defined."""
    return weft.stack([x, x * 0.9, x * 0.95]).detach()


def tensors(value: Any) -> list[Any]:
    return [y for y in flatten(value)[0] if isinstance(y, weft.Tensor)]


def assert_is_a_loop(function: Callable[..., Any], args: list[Any], dims: tuple[Any, ...]) -> None:
    results = tensors(vmap(function, in_dims=dims)(*args))
    for k in range(3):
        sample = [x if d is None else x.select(d, k) for x, d in zip(args, dims, strict=True)]
        for ours, wanted in zip(results, tensors(function(*sample)), strict=True):
            assert ours.dtype is wanted.dtype
            np.testing.assert_allclose(
                ours[k].detach().numpy(), wanted.detach().numpy(), 1e-9, 1e-11
            )


SMOOTH = [op for op in OPS if op.name not in LOOKS_AT_VALUES and any(op.smooth_samples())]


@pytest.mark.filterwarnings("ignore")  # of samples: shapes that broadcast in a loss, old flags
@pytest.mark.parametrize("op", SMOOTH, ids=lambda op: op.name)
def test_every_function_and_its_gradient(op: Op) -> None:
    """All inputs with the batch, or the first alone, or the last."""
    for sample in op.smooth_samples():
        function, inputs = as_function(op, sample)
        results = tensors(function(*inputs))
        if op.mutates or not any(y.requires_grad for y in results):
            continue
        inputs = [x.detach() for x in inputs]
        wholes = [scaled(x) for x in inputs]
        others = (None,) * (len(inputs) - 1)

        def total(*xs: Any, function: Any = function) -> Any:
            results = [y for y in tensors(function(*xs)) if y.dtype.is_inexact]
            return sum((y * y.conj()).real.sum() for y in results)

        for dims in {(0,) * len(inputs), (0, *others), (*others, 0)}:
            args = [x if d is None else w for x, w, d in zip(inputs, wholes, dims, strict=True)]
            assert_is_a_loop(function, args, dims)
            assert_is_a_loop(grad(total, argnums=tuple(range(len(inputs)))), args, dims)


def test_an_op_without_a_rule_is_recorded_once_for_each_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batching, "_RULES", {})
    x = weft.linspace(-1, 1, 12).reshape(3, 4).double()
    assert_is_a_loop(lambda x: (x.sin() @ x, x.sort().values), [x], (0,))


LAYERS: list[tuple[Callable[[], nn.Module], tuple[int, ...]]] = [
    (lambda: nn.Conv1d(2, 4, 2, stride=2, padding=1), (2, 2, 7)),
    (lambda: nn.Conv2d(4, 6, 3, groups=2, dilation=2), (2, 4, 7, 7)),
    (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Flatten()), (2, 1, 8, 8)),
    (lambda: nn.LayerNorm(5), (2, 5)),
    (lambda: nn.BatchNorm1d(5, track_running_stats=False), (4, 5)),
    (lambda: nn.LSTM(3, 4), (5, 2, 3)),
    (lambda: nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True), (2, 3, 4)),
]


@pytest.mark.parametrize(("make", "shape"), LAYERS)
def test_layers(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    """Over inputs, over weights, over both: values and gradients."""
    weft.manual_seed(0)
    models = [make().double() for _ in range(3)]
    params, buffers = stack_module_state(models)
    names = list(params)
    x = weft.randn(3, *shape, dtype=weft.float64)

    def run(x: Any, *weights: Any) -> Any:
        y = functional_call(models[0], dict(zip(names, weights, strict=True)), (x,))
        return y[0] if isinstance(y, tuple) else y

    def slopes(x: Any, *weights: Any) -> Any:
        loss = lambda x, *w: run(x, *w).sin().sum()
        return grad(loss, argnums=tuple(range(len(names) + 1)))(x, *weights)

    assert buffers == {}
    stacked = [params[n].detach() for n in names]
    one = [w[0] for w in stacked]
    shared = (None,) * len(names)
    for f in (run, slopes):
        assert_is_a_loop(f, [x, *one], (0, *shared))
        assert_is_a_loop(f, [x[0], *stacked], (None, *(0,) * len(names)))
        assert_is_a_loop(f, [x, *stacked], (0,) * (len(names) + 1))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_dimensions(data: Any) -> None:
    shape = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    dims = []
    args = []
    for _ in range(2):
        d = data.draw(st.integers(-len(shape) - 1, len(shape)))
        whole = list(shape)
        whole.insert(d % (len(shape) + 1), 4)
        dims.append(d)
        args.append(weft.rand(*whole))
    out = data.draw(st.integers(-len(shape) - 1, len(shape)))
    chunk = data.draw(st.sampled_from([None, 1, 2, 3, 4, 9]))
    y = vmap(lambda a, b: a * b, tuple(dims), out, chunk_size=chunk)(*args)
    front = [x.movedim(d, 0) for x, d in zip(args, dims, strict=True)]
    np.testing.assert_allclose(y.numpy(), (front[0] * front[1]).movedim(0, out).numpy())


def test_an_empty_batch() -> None:
    x = weft.zeros(0, 3)
    assert vmap(lambda x: (x.sin(), x.sort().values))(x)[1].shape == (0, 3)
    assert vmap(lambda x: x @ x)(x).shape == (0,)


def test_every_rule_is_of_a_primitive() -> None:
    assert set(batching._RULES) <= set(PRIMITIVES)


def test_nested_arguments_and_results() -> None:
    def f(p: Any, scale: float, *, z: Any) -> Any:
        return {"a": p["x"] * scale, "b": (p["y"].sum(), z + p["x"])}

    x, y, z = weft.arange(3.0), weft.ones(2, 3), weft.tensor([5.0, 6, 7])
    out = vmap(f, in_dims=({"x": 0, "y": 1}, None), out_dims={"a": 0, "b": (0, 0)})(
        {"x": x, "y": y}, 2.0, z=z
    )
    assert out["a"].tolist() == [0, 2, 4]
    assert out["b"][0].tolist() == [2, 2, 2]
    assert out["b"][1].tolist() == [5, 7, 9]
    shared, own = vmap(lambda x: (z, x + z), out_dims=(None, 1))(x)
    assert shared.tolist() == z.tolist()
    assert own.tolist() == [[5, 6, 7], [6, 7, 8], [7, 8, 9]]
    assert vmap(lambda x: weft.ones(2))(x).shape == (3, 2)


def test_vmap_in_vmap_and_with_gradients() -> None:
    x, y = weft.arange(3.0), weft.arange(2.0)
    table = vmap(vmap(lambda a, b: a * 10 + b, (None, 0)), (0, None))(x, y)
    assert table.tolist() == [[0, 1], [10, 11], [20, 21]]
    outer = x.clone().requires_grad_()
    vmap(lambda a: (a * y).sum() ** 2)(outer).sum().backward()
    assert outer.grad is not None
    assert outer.grad.tolist() == [0, 2, 4]
    w = weft.ones(3, requires_grad=True)
    (vmap(lambda a: (a * w).sum())(weft.ones(4, 3)) * weft.arange(4.0)).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [6, 6, 6]
    f = lambda v: v.sin().sum() * v
    points = weft.randn(4, 3, dtype=weft.float64)
    assert_is_a_loop(jacrev(f), [points[:3]], (0,))
    hessians = vmap(jacrev(grad(lambda v: (v**3).sum())))(points)
    np.testing.assert_allclose(hessians.numpy(), [np.diag(row) for row in 6 * points.numpy()], 1e-9)


def test_random_numbers() -> None:
    x = weft.ones(500, 4)
    f = lambda x: nn.functional.dropout(x * weft.rand(4), 0.5)
    with pytest.raises(RuntimeError, match="randomness"):
        vmap(f)(x)
    same = vmap(f, randomness="same")(x).numpy()
    assert (same == same[0]).all()
    different = vmap(f, randomness="different")(x).numpy()
    assert len(np.unique(different[different > 0])) > 900
    assert abs((different == 0).mean() - 0.5) < 0.1
    with pytest.raises(RuntimeError, match="Got no"):
        vmap(f, randomness="no")


def test_values_are_not_seen() -> None:
    x = weft.ones(3)
    for f in (
        lambda x: weft.tensor(x.item()),
        lambda x: x if x > 0 else -x,
        lambda x: x[x > 0],
        lambda x: x * weft.nonzero(x).sum(),
    ):
        with pytest.raises(UnsupportedOp, match=r"inside vmap|has asked for the value"):
            vmap(f)(x)
    w = weft.tensor(3.0)
    assert vmap(lambda x: x + 1)(x).tolist() == [2, 2, 2]
    assert vmap(lambda x: x * (w + 1).item())(x).tolist() == [4, 4, 4]
    with pytest.raises(UnsupportedOp, match="has asked for the value"):
        vmap(lambda x: x * 2 * (x * (w + 1).item()))(x)


def test_changes_in_place() -> None:
    def inside(x: Any) -> Any:
        y = x * 1
        y[0] = 5.0
        y.add_(1)
        return y

    assert vmap(inside)(weft.zeros(2, 2)).tolist() == [[6, 1], [6, 1]]
    own = weft.zeros(2, 2)
    vmap(lambda x: x.add_(1))(own)
    outside = weft.zeros(2)
    for f in (lambda x: outside.add_(x), lambda x: outside[:1].add_(x)):
        with pytest.raises(UnsupportedOp, match=r"shape \[2\] from outside"):
            vmap(f)(weft.ones(3))
        assert outside.tolist() == [0, 0]
    norm = nn.BatchNorm1d(2)
    with pytest.raises(UnsupportedOp, match="running statistics"):
        vmap(norm)(weft.rand(3, 4, 2))
    assert norm.running_mean.tolist() == [0, 0]
    weft.func.replace_all_batch_norm_modules_(norm)
    assert vmap(norm)(weft.rand(3, 4, 2)).shape == (3, 4, 2)
    assert not norm.track_running_stats


class Cube(weft.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 3 * x * x * g


def test_a_function_with_a_gradient_of_its_own() -> None:
    x = weft.arange(3.0)
    assert vmap(Cube.apply)(x).tolist() == [0, 1, 8]
    assert vmap(grad(Cube.apply))(x).tolist() == [0, 3, 12]


class Scaled(weft.autograd.Function):
    """Two results, of which ``backward`` reads one; an argument that is no Tensor."""

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any, n: int) -> Any:
        y = (x * w).exp()
        ctx.save_for_backward(x, w, y)
        ctx.n = n
        return y, x.sum() * n

    @staticmethod
    def backward(ctx: Any, g: Any, h: Any) -> Any:
        x, w, y = ctx.saved_tensors
        need_x, need_w, _ = ctx.needs_input_grad
        # Not the true gradient: 3 in place of 1 shows that this one is used.
        dx = g * y * w * 3 + h * ctx.n if need_x else None
        return dx, g * y * x * 3 if need_w else None, None


class Silent(weft.autograd.Function):
    """Gets None for a result without a gradient; gives none for its second argument."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Any:
        ctx.set_materialize_grads(False)
        return x * 2, y * 2

    @staticmethod
    def backward(ctx: Any, g: Any, h: Any) -> Any:
        assert h is None
        return g * 5, None


def _one_by_one(f: Any, in_dims: Any, *args: Any) -> Any:
    size = next(a.shape[d] for a, d in zip(args, in_dims, strict=True) if d is not None)
    results = [
        f(*[a if d is None else a.select(d, k) for a, d in zip(args, in_dims, strict=True)])
        for k in range(size)
    ]
    return weft.stack(results)


@pytest.mark.parametrize("chunk_size", [None, 2])
@pytest.mark.parametrize(
    ("f", "in_dims"),
    [
        (lambda x, w: Scaled.apply(x, w, 2)[0].sum(), (0, 0)),
        (lambda x, w: Scaled.apply(x, w, 2)[0].sum(), (1, None)),
        (lambda x, w: Scaled.apply(x, w, 2)[1] * x.mean(), (0, None)),
        (lambda x, w: sum(r.sum() for r in Scaled.apply(x.sin(), w, 2)).cos(), (None, 0)),
        (lambda x, w: Silent.apply(x, w)[0].square().sum(), (0, 0)),
        (lambda x, w: Scaled.apply(Scaled.apply(x, w, 1)[0], w, 2)[0].sum(), (0, 0)),
        (lambda x, w: vmap(lambda a: Scaled.apply(a, w, 2)[0].sum())(x.outer(x)).sum(), (0, None)),
    ],
)
def test_gradients_from_outside_go_through_a_function(
    f: Any, in_dims: Any, chunk_size: int | None
) -> None:
    def leaves() -> list[Any]:
        draw = np.random.default_rng(0)
        shapes = [(3,) if d is None else (3, 3) for d in in_dims]
        return [weft.tensor(draw.normal(size=s) * 0.5, requires_grad=True) for s in shapes]

    outcomes = []
    for run in (vmap(f, in_dims, chunk_size=chunk_size), partial(_one_by_one, f, in_dims)):
        given = leaves()
        y = run(*given)
        first = weft.autograd.grad((y * y).sum(), given, create_graph=True, materialize_grads=True)
        second = weft.autograd.grad(
            sum(g.square().sum() for g in first), given, materialize_grads=True
        )
        outcomes.append([t.detach().numpy() for t in (y, *first, *second)])
    for mine, theirs in zip(*outcomes, strict=True):
        np.testing.assert_allclose(mine, theirs, 1e-9, 1e-12)


def test_a_function_may_keep_what_its_result_does_not_depend_on() -> None:
    class Masked(weft.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x > 1)
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (mask,) = ctx.saved_tensors
            return g * mask

    x = weft.arange(4.0).requires_grad_()
    vmap(Masked.apply)(x).sum().backward()
    assert x.grad.tolist() == [0, 0, 1, 1]


def test_mistakes() -> None:
    x = weft.ones(3, 2)
    add = lambda a, b: a + b
    for f, args, text in (
        (vmap(add), (x, x[:2]), r"same size in the mapped dimension, got sizes \[3, 2\]"),
        (vmap(add, (0, None, 0)), (x, x), "not compatible with the structure of the inputs"),
        (vmap(add, None), (x, x), "expected `in_dims` to be int or a"),
        (vmap(add, (None, None)), (x, x), "at least one input"),
        (vmap(add, (2, 0)), (x, x), r"shape \[3, 2\] has no dimension 2"),
        (vmap(add, 0), (x, 1.0), "input of type float"),
        (vmap(abs, 0, 3), (x,), "no place 3 for the batch"),
        (vmap(abs, 0, None), (x,), "says None for a result that differs"),
        (vmap(lambda x: 1.0), (x,), "must only return Tensors, got type float"),
        (vmap(lambda: 1), (), "no inputs"),
    ):
        with pytest.raises(ValueError, match=text):
            f(*args)
    with pytest.raises(ValueError, match="chunk_size"):
        vmap(abs, chunk_size=0)
    with pytest.raises(ShapeError, match=r"\[2\] and \[3\]"):
        vmap(lambda x: x + weft.ones(3))(x)


def test_stacking_state() -> None:
    models = [nn.BatchNorm1d(2) for _ in range(3)]
    params, buffers = stack_module_state(models)
    assert {k: tuple(v.shape) for k, v in params.items()} == {"weight": (3, 2), "bias": (3, 2)}
    assert buffers["running_mean"].shape == (3, 2)
    assert all(p.is_leaf and p.requires_grad for p in params.values())
    models[1].eval()
    with pytest.raises(RuntimeError, match="training/eval mode"):
        stack_module_state(models)
    with pytest.raises(RuntimeError, match="at least one model"):
        stack_module_state([])
    with pytest.raises(RuntimeError, match="same class, not Linear, ReLU"):
        stack_module_state([nn.Linear(1, 1), nn.ReLU()])
    frozen = nn.Linear(1, 1).requires_grad_(False)
    with pytest.raises(RuntimeError, match="'weight' to have the same"):
        stack_module_state([nn.Linear(1, 1), frozen])
