"""Names of PyTorch that public code asks for, and that stand for what weft has otherwise."""

from __future__ import annotations

from collections import deque
from math import inf, nan
from typing import Any, NamedTuple

import numpy as np
import pytest

import weft
import weft.testing
from weft.utils import _pytree
from weft.utils.checkpoint import get_device_states, set_device_states

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")

OF_TWO = {"logsumexp": (0,), "softmax": (0,), "log_softmax": (0,)}


@pytest.mark.parity
@pytest.mark.parametrize("name", weft.special.__all__)
def test_special_functions(name: str) -> None:
    values = np.array([0.2, 0.5, 0.9]) + (2 if name == "multigammaln" else 0)
    results = []
    for t in (weft, torch):
        x = t.tensor(values)
        arguments = {"polygamma": (1, x), "multigammaln": (x, 2), "xlogy": (x, x * 2)}
        for other in ("xlog1py", "gammainc", "gammaincc"):
            arguments[other] = arguments["xlogy"]
        arguments["zeta"] = (x + 2, x)
        if "polynomial" in name:
            arguments[name] = (x, 3)
        given = arguments.get(name, (x, *OF_TWO.get(name, ())))
        results.append(getattr(t.special, name)(*given).numpy())
    np.testing.assert_allclose(*results, rtol=1e-6)


@pytest.mark.parity
@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("name", ["ndtr", "log_ndtr", "entr", "xlog1py"])
def test_special_functions_at_their_ends(name: str, kind: str) -> None:
    values = [
        -1e4,
        -40.0,
        -12.5,
        -12.0,
        -11.9,
        -1.0,
        -0.0,
        0.0,
        1e-3,
        1.0,
        6.0,
        40.0,
        inf,
        -inf,
        nan,
    ]
    results, slopes = [], []
    for t in (weft, torch):
        x = t.tensor(values, dtype=getattr(t, kind), requires_grad=True)
        given = (x.detach()[:, None], x) if name == "xlog1py" else (x,)
        y = getattr(t.special, name)(*given)
        results.append(y.detach().numpy())
        y[..., 1:-3].sum().backward()
        slopes.append(x.grad.numpy())
    rtol = 1e-5 if kind == "float32" else 1e-12
    np.testing.assert_allclose(*results, rtol=rtol, atol=1e-30)
    if name != "xlog1py":  # (where that is 0, PyTorch's slopes are NaN)
        np.testing.assert_allclose(*[g[1:-3] for g in slopes], rtol=10 * rtol, atol=1e-30)


@pytest.mark.parametrize("value", [1, [1, (2, 3)], {"b": 1, "a": [None]}, deque([1, 2], 5), [], ()])
def test_trees_come_apart_and_together(value: Any) -> None:
    leaves, spec = _pytree.tree_flatten(value)
    assert _pytree.tree_unflatten(leaves, spec) == value
    assert type(spec.unflatten(leaves)) is type(value)
    assert spec == _pytree.tree_structure(value)
    assert spec.num_leaves == len(leaves)
    assert leaves == torch.utils._pytree.tree_leaves(value)


def test_functions_of_trees() -> None:
    class Point(NamedTuple):
        x: int
        y: int

    tree = {"a": Point(1, 2), "b": (3, [4.0])}
    assert _pytree.tree_map(lambda v: v + 1, tree) == {"a": Point(2, 3), "b": (4, [5.0])}
    assert _pytree.tree_map(lambda v, w: v * w, tree, tree)["a"] == Point(1, 4)
    assert _pytree.tree_map_only(float, str, tree)["b"] == (3, ["4.0"])
    assert _pytree.tree_leaves(tree, lambda v: isinstance(v, Point)) == [Point(1, 2), 3, 4.0]
    assert _pytree.tree_any(lambda v: v == 3, tree)
    assert not _pytree.tree_all(lambda v: v == 3, tree)
    seen: list[Any] = []
    assert _pytree.tree_map_(seen.append, tree) is tree
    assert seen == [1, 2, 3, 4.0]
    spec = _pytree.tree_structure(tree)
    assert (spec.num_children, spec.is_leaf()) == (2, False)
    with pytest.raises(ValueError, match="nested in two ways"):
        _pytree.tree_map(lambda v, w: v, tree, {"a": Point(1, 2), "b": 3})
    with pytest.raises(ValueError, match="3 leaves for a structure of 4"):
        _pytree.tree_unflatten([1, 2, 3], spec)


def test_containers_of_ones_own() -> None:
    class Pair:
        def __init__(self, a: Any, b: Any) -> None:
            self.parts = [a, b]

    assert len(_pytree.tree_leaves(Pair(1, 2))) == 1
    _pytree.register_pytree_node(Pair, lambda p: (p.parts, None), lambda parts, _: Pair(*parts))
    doubled = _pytree.tree_map(lambda v: v * 2, [Pair(1, (2, 3))])
    assert doubled[0].parts == [2, (4, 6)]
    with pytest.raises(ValueError, match="Pair is registered"):
        _pytree.register_pytree_node(Pair, lambda p: (p.parts, None), lambda parts, _: Pair(*parts))


A, B, C = [1.0, 4.0], [[2.0, 3.0]], 5.0
#: Name and arguments; lists of lists stand for lists of tensors.
OF_LISTS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("sqrt", (), {}),
    ("neg", (), {}),
    ("add", (2,), {}),
    ("add", ("same",), {"alpha": 3}),
    ("mul", ([2.0, 3.0, 4.0],), {}),
    ("div", ("same",), {}),
    ("pow", (2,), {}),
    ("maximum", (2.5,), {}),
    ("minimum", ("same",), {}),
    ("clamp_min", (2.5,), {}),
    ("lerp", ("same", 0.5), {}),
    ("addcmul", ("same", "same", 0.5), {}),
    ("addcmul", ("same", "same"), {"value": 0.5}),
    ("addcdiv", ("same", "same", [1.0, 2.0, 3.0]), {}),
    ("addcdiv", ("same", "same"), {"scalars": [1.0, 2.0, 3.0]}),
]


@pytest.mark.parity
@pytest.mark.parametrize(("name", "given", "options"), OF_LISTS)
def test_functions_of_lists_of_tensors(
    name: str, given: tuple[Any, ...], options: dict[str, Any]
) -> None:
    results = []
    for t in (weft, torch):
        for end in ("", "_"):
            tensors = [t.tensor(v) for v in (A, B, C)]
            args = [[x + 1 for x in tensors] if a == "same" else a for a in given]
            out = getattr(t, f"_foreach_{name}{end}")(tensors, *args, **options)
            results.append([x.numpy() for x in (tensors if end else out)])
    for other in results[1:]:
        for mine, theirs in zip(results[0], other, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-6)


def test_the_less_common_functions_of_lists() -> None:
    tensors = [weft.tensor([3.0, 4.0]), weft.tensor([1.0])]
    assert [x.item() for x in weft._foreach_norm(tensors)] == [5, 1]
    assert [x.item() for x in weft._foreach_norm(tensors, 1)] == [7, 1]
    assert [x.tolist() for x in weft._foreach_pow(2.0, tensors)] == [[8, 16], [2]]
    weft._foreach_copy_(tensors, [weft.tensor([1.0, 2.0]), weft.tensor([7.0])])
    assert [x.tolist() for x in tensors] == [[1, 2], [7]]
    weft._foreach_zero_(tensors)
    assert [x.tolist() for x in tensors] == [[0, 0], [0]]
    with pytest.raises(weft.errors.ShapeError, match=r"_foreach_add: 2 tensors.*list of 1"):
        weft._foreach_add(tensors, [tensors[0]])
    with pytest.raises(AttributeError, match="_foreach_nothing"):
        weft._foreach_nothing(tensors)


@pytest.mark.parametrize(
    "name", ["float32", "float16", "float64", "int64", "uint8", "bool", "complex64"]
)
def test_tensors_of_random_numbers(name: str) -> None:
    kind = getattr(weft, name)
    x = weft.testing.make_tensor(3, 400, dtype=kind)
    assert (tuple(x.shape), x.dtype) == ((3, 400), kind)
    numbers = weft.view_as_real(x) if kind.is_complex else x
    theirs = torch.testing.make_tensor(3, 400, dtype=getattr(torch, name), device="cpu")
    wanted = torch.view_as_real(theirs) if theirs.is_complex() else theirs
    for ours, bound in ((numbers.min(), wanted.min()), (numbers.max(), wanted.max())):
        assert abs(float(ours) - float(bound)) < 0.5
    y = weft.testing.make_tensor((2, 50), dtype=kind, low=0, high=2, exclude_zero=True)
    assert bool((y != 0).all())
    z = weft.testing.make_tensor(3, 4, dtype=kind, noncontiguous=True)
    assert (tuple(z.shape), z.is_contiguous()) == ((3, 4), False)
    with pytest.raises(weft.errors.OptionError, match="low=3"):
        weft.testing.make_tensor(3, dtype=kind, low=3, high=3)


def test_tensors_of_random_numbers_and_gradients() -> None:
    assert weft.testing.make_tensor((), dtype=weft.float32, requires_grad=True).is_leaf
    with pytest.raises(weft.errors.OptionError, match=r"int64 has no gradients"):
        weft.testing.make_tensor(3, dtype=weft.int64, requires_grad=True)


def test_deterministic_algorithms() -> None:
    assert not weft.are_deterministic_algorithms_enabled()
    weft.use_deterministic_algorithms(True, warn_only=True)
    try:
        assert weft.are_deterministic_algorithms_enabled()
    finally:
        weft.use_deterministic_algorithms(False)


def test_assert_as_a_function() -> None:
    weft._assert(weft.tensor(1) == 1, "never said")
    with pytest.raises(AssertionError, match=r"^must be square$"):
        weft._assert(False, "must be square")


def test_the_stream_is_restored_as_reversible_layers_do() -> None:
    weft.manual_seed(1)
    state, (devices, states) = weft.get_rng_state(), get_device_states(weft.ones(2))
    first = weft.rand(3)
    with weft.random.fork_rng(devices=devices, enabled=True):
        weft.set_rng_state(state)
        set_device_states(devices, states)
        again = weft.rand(3)
    assert weft.equal(first, again)


def test_svd_of_old_gives_v_not_its_transpose() -> None:
    a = weft.randn(4, 3, dtype=weft.float64)
    u, s, v = weft.svd(a)
    assert [tuple(m.shape) for m in (u, s, v)] == [(4, 3), (3,), (3, 3)]
    np.testing.assert_allclose((u @ weft.diag(s) @ v.mT).numpy(), a.numpy(), atol=1e-12)
    full = torch.svd(torch.from_numpy(a.numpy()), some=False)
    assert [tuple(m.shape) for m in weft.svd(a, some=False)] == [tuple(m.shape) for m in full]
    np.testing.assert_allclose(s.numpy(), full.S.numpy())


def test_marks_for_compilers_change_nothing() -> None:
    @weft.fx.wrap
    @weft.jit.ignore
    @weft.jit.unused
    def double(x: int) -> int:
        return 2 * x

    @weft.jit.ignore(drop=True)
    def half(x: int) -> float:
        return 1 if weft.jit.is_scripting() or weft.jit.is_tracing() else x / 2

    assert weft.jit.script(double)(3) == 6
    assert weft.jit.trace(half, (3,))(3) == weft.jit.annotate(float, 1.5)
    with pytest.raises(AttributeError, match=r"no symbolic tracing\. weft.explain"):
        weft.fx.symbolic_trace(double)
