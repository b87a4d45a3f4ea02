"""Functions of nodes that are recorded once and called as one node."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import weft
from weft import nn
from weft.calls import call, composed, is_composed
from weft.engine import realize
from weft.errors import ShapeError
from weft.graph.node import PENDING, Node
from weft.ops import elementwise as ew, movement as mv
from weft.ops.contract import matmul
from weft.ops.reduce import sum_
from weft.tensors.core import node_of, wrap

Tensor = weft.Tensor


def cell(options: int, x: Node, w: Node, b: Node) -> Sequence[Node]:
    """A small recurrence of two results, one of them used by the other."""
    h = x
    for _ in range(options):
        h = ew.tanh(ew.add(matmul(h, w), b))
    return h, sum_(ew.mul(h, h), (1,))


def product(options: None, x: Node, y: Node) -> Sequence[Node]:
    return (ew.mul(ew.sin(x), ew.exp(ew.mul(y, 0.5))),)


def through(options: None, x: Node) -> Sequence[Node]:
    """Its input, a constant, and one value twice."""
    y = ew.mul(x, 2.0)
    return x, mv.expand(ew.as_node(3.0, x), (2,)), y, y


def called(function: Any, options: Any, *tensors: Tensor) -> list[Tensor]:
    return [wrap(n) for n in call(function, options, [node_of(t) for t in tensors])]


def direct(function: Any, options: Any, *tensors: Tensor) -> list[Tensor]:
    return [wrap(n) for n in function(options, *[node_of(t) for t in tensors])]


@pytest.fixture(params=["reference", "native"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    realize.realize_pending()
    realize.forget_programs()
    monkeypatch.setattr("weft.config.REFERENCE", request.param == "reference")
    monkeypatch.setattr("weft.config.NATIVE_AFTER", 0)
    yield
    realize.forget_programs()


def leaves(seed: int = 0) -> list[Tensor]:
    draw = np.random.default_rng(seed)
    shapes = ((4, 3), (3, 3), (3,))
    return [weft.tensor(draw.normal(size=s), requires_grad=True) for s in shapes]


def second_order(results: Sequence[Tensor], given: Sequence[Tensor]) -> list[Tensor]:
    """Values, gradients, and gradients of these."""
    total = sum((y * (k + 1.0)).sum() for k, y in enumerate(results))
    first = weft.autograd.grad(total, given, create_graph=True)
    penalty = sum((g * g).sum() for g in first)
    return [*results, *first, *weft.autograd.grad(penalty, given)]


@pytest.mark.usefixtures("engine")
def test_values_and_gradients_are_those_of_the_ops() -> None:
    for function, options, count in ((cell, 3, 3), (product, None, 2)):
        given = (
            leaves()[:count]
            if function is cell
            else [t.sum().detach().requires_grad_() for t in leaves()[:2]]
        )
        ours = second_order(called(function, options, *given), given)
        theirs = second_order(direct(function, options, *given), given)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12)


@pytest.mark.usefixtures("engine")
def test_gradient_of_one_result_of_several() -> None:
    for k in (0, 1):
        given = leaves()
        ours = weft.autograd.grad(called(cell, 2, *given)[k].sum(), given)
        theirs = weft.autograd.grad(direct(cell, 2, *given)[k].sum(), given)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


@pytest.mark.usefixtures("engine")
def test_backward_after_the_values_were_read() -> None:
    given = leaves()
    y, s = called(cell, 2, *given)
    assert np.isfinite(y.detach().numpy()).all()
    (y.sum() + s.sum()).backward()
    again = leaves()
    y, s = direct(cell, 2, *again)
    (y.sum() + s.sum()).backward()
    for a, b in zip(given, again, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-12)


@pytest.mark.usefixtures("engine")
def test_results_are_values_of_their_own() -> None:
    x = weft.tensor([1.0, 2.0])
    same, constant, a, b = called(through, None, x)
    again = called(through, None, x)[2]
    weft.realize(same, constant, a, b, again)
    for t in (same, a):
        t.add_(10)
    assert x.tolist() == [1, 2]
    assert constant.tolist() == [3, 3]
    assert b.tolist() == again.tolist() == [2, 4]


def test_gradients_against_differences() -> None:
    given = [t.detach().requires_grad_() for t in leaves(1)]
    assert weft.autograd.gradcheck(lambda *t: tuple(called(cell, 2, *t)), given)
    assert weft.autograd.gradgradcheck(lambda *t: tuple(called(cell, 2, *t)), given)


def test_one_node_however_many_ops() -> None:
    weft.realize()
    given = [t.detach() for t in leaves()]
    held = called(cell, 50, *given)  # records the body
    del held
    weft.realize()
    before = len(PENDING)
    held = called(cell, 50, *given)
    assert len(PENDING) - before == 1 + len(held)


def test_vmap_sees_the_ops() -> None:
    x, w, b = [t.detach() for t in leaves()]
    rows = weft.func.vmap(lambda row: called(cell, 2, row.reshape(1, 3), w, b)[0][0])(x)
    np.testing.assert_allclose(rows.numpy(), direct(cell, 2, x, w, b)[0].numpy(), rtol=1e-12)


def test_other_threads_may_run_graphs_while_a_body_is_recorded() -> None:
    stop, errors = threading.Event(), []

    def run() -> None:
        while not stop.is_set():
            try:
                assert (weft.ones(3) + 1).tolist() == [2, 2, 2]
            except Exception as error:  # noqa: BLE001 (told below)
                errors.append(error)

    others = [threading.Thread(target=run) for _ in range(2)]
    for thread in others:
        thread.start()
    try:
        for n in range(20, 40):
            given = leaves()
            called(cell, n, *given)[1].sum().backward()
            assert given[0].grad is not None
    finally:
        stop.set()
        for thread in others:
            thread.join()
    assert not errors


def test_error_in_a_function_is_the_users() -> None:
    with pytest.raises(ShapeError):
        called(cell, 1, weft.ones(4, 3), weft.ones(2, 2), weft.ones(2))
    assert (weft.ones(2) + 1).tolist() == [2, 2]


def test_recurrent_network_is_a_few_nodes() -> None:
    lstm, x = nn.LSTM(3, 4, num_layers=2), weft.ones(30, 2, 3)
    lstm(x)[0].sum().backward()
    weft.realize()
    before = len(PENDING)
    lstm(x)[0].sum().backward()
    assert len(PENDING) - before < 150  # there are some 3000 ops


def test_one_rule_and_its_name() -> None:
    x = node_of(leaves()[0])
    y = composed(ew_rule, x, 2.0)
    assert is_composed(y, ew_rule, 2.0)
    assert not is_composed(y, ew_rule, 3.0)
    assert not is_composed(x, ew_rule, 2.0)
    np.testing.assert_allclose(wrap(y).detach().numpy(), np.exp(wrap(x).detach().numpy() * 2.0) + 1)


def ew_rule(x: Node, factor: float) -> Node:
    return ew.add(ew.exp(ew.mul(x, factor)), 1.0)
