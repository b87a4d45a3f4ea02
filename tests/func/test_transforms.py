"""Functions of functions: against PyTorch's, nested, with and without outer histories, mistakes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest

import weft
from weft import func
from weft.errors import GradientError, ShapeError
from weft.func.tree import flatten, mapped

X = np.random.default_rng(0).normal(size=(3,))
Y = np.random.default_rng(1).normal(size=(2, 3))


class Pair(NamedTuple):
    first: int
    second: Any


def _polynomial(x: Any) -> Any:
    return (x**3).sum() + x[0] * x[1]


def _wave(x: Any, y: Any) -> Any:
    return (x * y).sin() @ x


def _of_dict(d: Any) -> Any:
    return {"a": d["x"] * d["y"], "b": (d["x"] ** 2).sum()}


CASES: dict[str, Any] = {
    "grad": lambda lib, x, y: lib.func.grad(_polynomial)(x),
    "grad of grad": lambda lib, x, y: lib.func.grad(
        lambda a: lib.func.grad(_polynomial)(a)[0] * a[1]
    )(x),
    "grad by the second": lambda lib, x, y: lib.func.grad(lambda a, b: _wave(a, b).sum(), 1)(x, y),
    "grad by the last": lambda lib, x, y: lib.func.grad(lambda a, b: _wave(a, b).sum(), -1)(x, y),
    "grad by both": lambda lib, x, y: lib.func.grad(lambda a, b: _wave(a, b).sum(), (1, 0))(x, y),
    "grad of what is not used": lambda lib, x, y: lib.func.grad(lambda a, b: b.sum(), (0, 1))(x, y),
    "grad of a dict": lambda lib, x, y: lib.func.grad(lambda d: _wave(d["x"], d["y"]).sum())(
        {"x": x, "y": y}
    ),
    "grad with aux": lambda lib, x, y: lib.func.grad(
        lambda a: (_polynomial(a), {"twice": a * 2}), has_aux=True
    )(x),
    "grad_and_value": lambda lib, x, y: lib.func.grad_and_value(_polynomial)(x),
    "grad_and_value with aux": lambda lib, x, y: lib.func.grad_and_value(
        lambda a: (_polynomial(a), a * 2), has_aux=True
    )(x),
    "grad of a constant": lambda lib, x, y: lib.func.grad(lambda a: lib.ones(()) * 2)(x),
    "grad with captured": lambda lib, x, y: lib.func.grad(
        lambda a: lib.func.grad(lambda b: (a * a * b).sum())(x).sum()
    )(x),
    "vjp": lambda lib, x, y: lib.func.vjp(_wave, x, y)[1](lib.tensor([1.0, -2.0]).double()),
    "vjp's value": lambda lib, x, y: lib.func.vjp(_wave, x, y)[0],
    "vjp of a dict": lambda lib, x, y: lib.func.vjp(_of_dict, {"x": x, "y": x * 2})[1](
        {"a": x + 1, "b": x.sum()}
    ),
    "vjp with aux": lambda lib, x, y: lib.func.vjp(lambda a: (a * a, a + 1), x, has_aux=True)[::2],
    "vjp of vjp": lambda lib, x, y: lib.func.vjp(
        lambda a: lib.func.vjp(lambda b: b**3, a)[1](a)[0], x
    )[1](x),
    "jvp": lambda lib, x, y: lib.func.jvp(_wave, (x, y), (x * 2, y + 1)),
    "jvp with aux": lambda lib, x, y: lib.func.jvp(
        lambda a: (a**3, a + 1), (x,), (x,), has_aux=True
    ),
    "jvp of a constant": lambda lib, x, y: lib.func.jvp(lambda a: lib.ones(2).double(), (x,), (x,)),
    "jvp of grad": lambda lib, x, y: lib.func.jvp(lib.func.grad(_polynomial), (x,), (x + 1,)),
    "linearize": lambda lib, x, y: lib.func.linearize(lambda a, b: _wave(a, b), x, y)[1](x, y),
    "jacrev": lambda lib, x, y: lib.func.jacrev(_wave)(x, y),
    "jacrev by both": lambda lib, x, y: lib.func.jacrev(_wave, (0, 1))(x, y),
    "jacrev of a dict": lambda lib, x, y: lib.func.jacrev(_of_dict)({"x": x, "y": x + 1}),
    "jacrev with aux": lambda lib, x, y: lib.func.jacrev(lambda a: (a**2, a), has_aux=True)(x),
    "jacfwd": lambda lib, x, y: lib.func.jacfwd(_wave, 1)(x, y),
    "hessian": lambda lib, x, y: lib.func.hessian(_polynomial)(x),
    "hessian by both": lambda lib, x, y: lib.func.hessian(
        lambda a, b: _wave(a, b).sum(), argnums=(0, 1)
    )(x, y),
}


def _numbers(value: Any) -> list[Any]:
    """All tensors within tuples and dicts, in order, as arrays."""
    if isinstance(value, dict):
        return [n for k in sorted(value) for n in _numbers(value[k])]
    if isinstance(value, (tuple, list)):
        return [n for v in value for n in _numbers(v)]
    return [value.detach().numpy()]


def _kind(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _kind(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(_kind(v) for v in value)
    return "tensor"


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning")
@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_values_are_pytorchs(name: str, tracked: bool) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    found = []
    for lib in (weft, torch):
        x, y = (lib.tensor(v, requires_grad=tracked) for v in (X, Y))
        found.append(CASES[name](lib, x, y))
    mine, theirs = found
    assert _kind(mine) == _kind(theirs)
    for a, b in zip(_numbers(mine), _numbers(theirs), strict=True):
        np.testing.assert_allclose(a, b, 1e-12, 1e-12)
        assert a.shape == b.shape


@pytest.mark.parametrize("name", CASES)
def test_results_have_no_history_of_their_own(name: str) -> None:
    x, y = weft.tensor(X), weft.tensor(Y)
    assert not any(r.requires_grad for r in flatten(CASES[name](weft, x, y))[0])
    x, y = weft.tensor(X, requires_grad=True), weft.tensor(Y, requires_grad=True)
    with weft.no_grad():
        results = flatten(CASES[name](weft, x, y))[0]
    assert not any(r.requires_grad for r in results)


def test_backward_goes_through_a_transformation() -> None:
    x = weft.tensor(X, requires_grad=True)
    func.grad(_polynomial)(x).sum().backward()
    wanted = 6 * X
    wanted[:2] += 1
    np.testing.assert_allclose(x.grad.numpy(), wanted)


def test_backward_goes_through_what_is_captured() -> None:
    w = weft.tensor(2.0, requires_grad=True)
    slope = func.grad(lambda x: w * w * x)(weft.tensor(5.0))
    slope.backward()
    assert w.grad.item() == 4.0
    value, pull = func.vjp(lambda x: w * x, weft.tensor(3.0))
    assert value.requires_grad
    (g,) = pull(weft.tensor(1.0))
    w.grad = None
    g.backward()
    assert w.grad.item() == 1.0


def test_a_history_that_is_used_up_does_no_harm() -> None:
    x = weft.ones(2, requires_grad=True)
    h = x * 2
    h.sum().backward()
    assert func.grad(lambda a: (a * a).sum())(h).tolist() == [4.0, 4.0]


def test_the_arguments_are_left_alone() -> None:
    x = weft.tensor(X)
    found = func.grad(lambda a: a.mul_(a).sum() + a[0])(x)  # a is changed in place
    np.testing.assert_allclose(found.numpy(), 2 * X + [2 * X[0], 0, 0])
    assert x.tolist() == X.tolist()
    assert not x.requires_grad
    assert x.grad is None


def test_gradients_work_under_no_grad() -> None:
    with weft.no_grad():
        assert func.grad(lambda a: a * a)(weft.tensor(3.0)).item() == 6.0


def test_no_grad_within_the_function() -> None:
    def half(x: Any) -> Any:
        with weft.no_grad():
            c = x * x
        return c * x

    assert func.grad(half)(weft.tensor(3.0)).item() == 9.0


def test_keyword_arguments_and_names() -> None:
    def scaled(x: Any, *, by: float) -> Any:
        """Doc."""
        return x * by

    slope = func.grad(scaled)
    assert slope(weft.tensor(1.0), by=4.0).item() == 4.0
    assert (slope.__name__, slope.__doc__) == ("scaled", "Doc.")


def test_empty_output() -> None:
    assert func.jacrev(lambda x: x[:0])(weft.ones(3)).shape == (0, 3)


def test_a_linear_function_is_evaluated_once() -> None:
    calls = []

    def f(x: Any) -> Any:
        calls.append(1)
        return x**2

    _, along = func.linearize(f, weft.tensor([1.0, 2.0]))
    assert along(weft.tensor([1.0, 0.0])).tolist() == [2.0, 0.0]
    assert along(weft.tensor([0.0, 1.0])).tolist() == [0.0, 4.0]
    assert calls == [1]


def test_trees() -> None:
    value = {"a": (1, [2, Pair(3, None)]), "b": OrderedDict(c=4)}
    leaves, build = flatten(value)
    assert leaves == [1, 2, 3, None, 4]
    again = build(leaves)
    assert again == value
    assert type(again["a"][1][1]) is Pair
    assert type(again["b"]) is OrderedDict
    found = mapped(lambda t: t + 1, (weft.tensor(1), "text"))
    assert (found[0].item(), found[1]) == (2, "text")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: func.grad(lambda a: a)(x), GradientError, r"one number.*shape \[3\].*jacrev"),
        (lambda x: func.grad(lambda a: 1.0)(x), GradientError, "gave float"),
        (lambda x: func.grad(lambda a: a, argnums=1)(x), GradientError, "argnums=1.*1 positional"),
        (
            lambda x: func.grad(lambda a: a.sum(), has_aux=True)(x),
            GradientError,
            r"\(output, aux\)",
        ),
        (lambda x: func.grad(lambda a: a)(2.0), TypeError, "differentiates by Tensors"),
        (lambda x: func.grad(lambda a: a.sum())(x.long()), GradientError, "float"),
        (lambda x: func.vjp(lambda a: 1, x), TypeError, "must give Tensors"),
        (lambda x: func.vjp(lambda a: a, x)[1](x[:2]), ShapeError, r"\[\[2\]\].*\[\[3\]\]"),
        (lambda x: func.jvp(lambda a: a, x, (x,)), TypeError, r"primals must be a tuple"),
        (lambda x: func.jvp(lambda a: a, (x,), x), TypeError, r"tangents must be a tuple"),
        (lambda x: func.jvp(lambda a: a, (x,), (x[:2],)), ShapeError, "jvp: the vector"),
        (
            lambda x: func.jvp(lambda a: weft.ones(2), (x,), (x,), strict=True),
            GradientError,
            "does not depend",
        ),
    ],
)
def test_mistakes(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(weft.tensor(X))
