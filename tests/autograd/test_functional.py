"""Jacobians, Hessians and products: against PyTorch's, histories, mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
from weft.autograd import functional
from weft.errors import GradientError, ShapeError

X = np.random.default_rng(0).normal(size=(3,))
Y = np.random.default_rng(1).normal(size=(2, 3))


def _wave(x: Any, y: Any) -> Any:
    return (x * y).sin() @ x


def _several(x: Any, y: Any) -> Any:
    return x * 2, (y**2).sum(), y.exp() @ x


def _number(x: Any, y: Any) -> Any:
    return (x * y).sin().sum() + (x**3).sum()


CASES: dict[str, Any] = {
    "jacobian": lambda f, x, y, o: f.jacobian(lambda a: _wave(a, y), x, **o),
    "jacobian of several": lambda f, x, y, o: f.jacobian(_several, (x, y), **o),
    "jacobian of a matrix": lambda f, x, y, o: f.jacobian(lambda a: a.T @ a, y, **o),
    "hessian": lambda f, x, y, o: f.hessian(lambda a: (a**3).sum() + a[0] * a[1], x, **o),
    "hessian of several": lambda f, x, y, o: f.hessian(_number, (x, y), **o),
    "vjp": lambda f, x, y, o: f.vjp(_wave, (x, y), x[:2] * 2, **o),
    "vjp of several": lambda f, x, y, o: f.vjp(_several, (x, y), (x, x[0], x[:2]), **o),
    "vjp without v": lambda f, x, y, o: f.vjp(_number, (x, y), **o),
    "jvp": lambda f, x, y, o: f.jvp(_wave, (x, y), (x + 1, y * 2), **o),
    "jvp of several": lambda f, x, y, o: f.jvp(_several, (x, y), (x + 1, y * 2), **o),
    "jvp without v": lambda f, x, y, o: f.jvp(lambda a: a.sin(), x[0], **o),
    "vhp": lambda f, x, y, o: f.vhp(_number, (x, y), (x + 1, y * 2), **o),
    "vhp of one": lambda f, x, y, o: f.vhp(lambda a: (a**4).sum(), x, x + 1, **o),
    "hvp": lambda f, x, y, o: f.hvp(_number, (x, y), (x + 1, y * 2), **o),
    "hvp of one": lambda f, x, y, o: f.hvp(lambda a: (a**4).sum(), x, x + 1, **o),
    "hvp without v": lambda f, x, y, o: f.hvp(lambda a: a**4, x[0], **o),
}
CONSTANT: dict[str, Any] = {
    "jacobian": lambda f, x, y, o: f.jacobian(lambda a, b: (a * 2).detach() + b[0], (x, y), **o),
    "vjp": lambda f, x, y, o: f.vjp(lambda a, b: a.sum(), (x, y), **o),
    "jvp": lambda f, x, y, o: f.jvp(lambda a: a.detach() * 2, x, x, **o),
    "hvp": lambda f, x, y, o: f.hvp(lambda a: a.sum(), x, x, **o),
    "hessian": lambda f, x, y, o: f.hessian(lambda a: a.sum(), x, **o),
}


def _flat(value: Any) -> list[Any]:
    return [n for v in value for n in _flat(v)] if isinstance(value, tuple) else [value]


def _kind(value: Any) -> Any:
    return tuple(_kind(v) for v in value) if isinstance(value, tuple) else tuple(value.shape)


@pytest.mark.parity
@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("name", [*CASES, *(f"constant {k}" for k in CONSTANT)])
def test_values_are_pytorchs(name: str, create: bool) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    call = CONSTANT[name[9:]] if name.startswith("constant") else CASES[name]
    found = []
    for lib in (weft, torch):
        x, y = (lib.tensor(v, requires_grad=create) for v in (X, Y))
        found.append(call(lib.autograd.functional, x, y, {"create_graph": create}))
    assert _kind(found[0]) == _kind(found[1])
    for mine, other in zip(_flat(found[0]), _flat(found[1]), strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), 1e-12, 1e-12)


@pytest.mark.parametrize("name", CASES)
def test_histories_only_where_asked_for(name: str) -> None:
    x, y = weft.tensor(X, requires_grad=True), weft.tensor(Y, requires_grad=True)
    found = CASES[name](functional, x, y, {})
    assert not any(r.requires_grad for r in _flat(found))
    found = CASES[name](functional, x, y, {"create_graph": True})
    assert any(r.requires_grad for r in _flat(found))
    assert x.grad is None


def test_create_graph_reaches_the_inputs() -> None:
    x = weft.tensor([1.0, 2.0], requires_grad=True)
    functional.jacobian(lambda a: a**3, x, create_graph=True).sum().backward()
    assert x.grad.tolist() == [6.0, 12.0]


def test_it_works_under_no_grad() -> None:
    with weft.no_grad():
        assert functional.jacobian(lambda a: a**2, weft.tensor(3.0)).item() == 6.0


def test_an_empty_output() -> None:
    assert functional.jacobian(lambda a: a[:0], weft.ones(3)).shape == (0, 3)


@pytest.mark.parametrize("name", CONSTANT)
def test_strict(name: str) -> None:
    with pytest.raises(GradientError, match="strict=True"):
        CONSTANT[name](functional, weft.tensor(X), weft.tensor(Y), {"strict": True})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: functional.vjp(lambda a: a, x), GradientError, r"v may be left out.*\[\[3\]\]"),
        (lambda x: functional.vjp(lambda a: a, x, x[:2]), ShapeError, r"outputs have \[\[3\]\]"),
        (lambda x: functional.jvp(lambda a: a, x, (x, x)), ShapeError, r"inputs have \[\[3\]\]"),
        (lambda x: functional.hessian(lambda a: a, x), GradientError, r"one number.*\[\[3\]\]"),
        (lambda x: functional.vhp(lambda a: (a, a), x, x), GradientError, "one number"),
        (lambda x: functional.jacobian(lambda a: 1.0, x), TypeError, "must give a Tensor"),
        (lambda x: functional.jacobian(lambda a: a, [1.0]), TypeError, "inputs must be a Tensor"),
        (lambda x: functional.jacobian(lambda a: a, x.long()), GradientError, "float"),
    ],
)
def test_mistakes(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(weft.tensor(X))
