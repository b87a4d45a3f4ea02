"""Nothing is without its test: every primitive and every public name has what it must have."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from inspect import isfunction
from typing import Any

import pytest
from samples import OPS
from sampling import Op, build, dtypes_of
from test_gradients import CASES, as_function

import weft
from weft.graph import node
from weft.tensors.core import node_of

#: No gradient: results that are not floating, or that depend on no input's value.
NOT_DIFFERENTIABLE = {
    *("eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf"),
    *("logical_and", "logical_or", "logical_xor", "logical_not"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "shift_left", "shift_right"),
    *("argmax", "argmin", "argsort", "floor_div"),
    *("leaf", "arange", "detach", "random_uniform", "random_normal", "random_bits"),
}

#: Not recorded by functions of tensors; tested with autograd.
OF_AUTOGRAD = {"function", "function_output", "graft"}

#: Gradients that are the same for any input, or random: differences would tell nothing.
NOTHING_TO_CHECK = {"sign", "floor", "ceil", "trunc", "round", "dropout"}


def record_all(op: Op) -> None:
    for dtype in {"float32", "int64", "bool"} & set(dtypes_of(op.dtypes)):
        for sample in op.samples_for(dtype):
            leaves: list[Any] | None = [] if op.grad and sample.grad else None
            args, kwargs = build(
                (sample.args, sample.kwargs), weft, dtype, leaves, copied=op.mutates
            )
            result = op.call(weft)(*args, **kwargs)
            for _ in range(2):
                result = gradients_of(result, leaves)


def floating(result: Any) -> list[Any]:
    results = result if isinstance(result, (list, tuple)) else [result]
    return [r for r in results if isinstance(r, weft.Tensor) and r.requires_grad]


def gradients_of(result: Any, leaves: list[Any] | None) -> Any:
    """Gradients of what has any, to be differentiated in their turn."""
    outputs = floating(result)
    if not outputs or not leaves:
        return None
    ones = [weft.ones_like(r).requires_grad_() for r in outputs]
    leaves += ones
    return weft.autograd.grad(outputs, leaves, ones, create_graph=True, materialize_grads=True)


@pytest.fixture(scope="module")
def recorded() -> set[str]:
    """The primitives that the samples and their gradients record."""
    for primitive in node.OPS.values():
        primitive.signatures.clear()  # one is made when the primitive is next recorded
    for op in OPS:
        record_all(op)
    return {name for name, primitive in node.OPS.items() if primitive.signatures}


def passed(tensors: list[Any]) -> Iterator[str]:
    """The primitives through which gradients of ``tensors`` pass."""
    seen = set()
    stack = [node_of(x) for x in tensors]
    while stack:
        n = stack.pop()
        if n not in seen and n.tracks & node.HISTORY:
            seen.add(n)
            yield n.sig.op.name
            stack += [i for i in n.inputs if i is not None]


@pytest.fixture(scope="module")
def checked() -> set[str]:
    """The primitives whose rules ``test_gradients.py`` holds against differences."""
    found: set[str] = set()
    for op, sample, _ in CASES:
        function, leaves = as_function(op, sample)
        result = function(*leaves)
        found.update(passed(floating(result)))
        found.update(passed(floating(gradients_of(result, leaves))))
    return found


@pytest.mark.parametrize("name", sorted(node.OPS))
class TestPrimitive:
    def test_has_its_rules(self, name: str) -> None:
        primitive = node.OPS[name]
        assert callable(primitive.infer)
        assert callable(primitive.reference)
        assert (primitive.grad is None) == (name in NOT_DIFFERENTIABLE)

    def test_has_a_sample(self, name: str, recorded: set[str]) -> None:
        assert (name in recorded) != (name in OF_AUTOGRAD)

    def test_gradient_is_checked(self, name: str, checked: set[str]) -> None:
        exempt = NOT_DIFFERENTIABLE | OF_AUTOGRAD | NOTHING_TO_CHECK
        assert name in checked or name in exempt


# ---- public names

NAMES = {op.name for op in OPS}

#: In ``weft``, but no functions of tensors: each has tests of its own.
NOT_OPS = {
    *("enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled"),
    *("get_default_dtype", "set_default_dtype", "set_printoptions", "load", "save"),
    *("get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"),
}
FUNCTIONS = [n for n in weft.__all__ if n not in NOT_OPS and isfunction(getattr(weft, n, None))]

#: Methods that take part in gradients rather than compute: tested with autograd.
GRADIENT_METHODS = {
    "backward",
    "register_hook",
    "register_post_accumulate_grad_hook",
    "retain_grad",
}
METHODS = [n for n in dir(weft.Tensor) if not n.startswith("_") and n not in GRADIENT_METHODS]


def is_sampled(name: str, attribute: Any) -> bool:
    """Under its own name, or as the same object under another."""
    same = [n for n in NAMES if attribute is getattr(weft, n, None)]
    same += [n for n in METHODS if attribute is getattr(weft.Tensor, n) and f"Tensor.{n}" in NAMES]
    return name in NAMES or bool(same)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_has_a_sample(name: str) -> None:
    assert is_sampled(name, getattr(weft, name))


@pytest.mark.parametrize("name", METHODS)
def test_method_has_a_sample(name: str) -> None:
    method = getattr(weft.Tensor, name)
    in_place = [n for n in METHODS if n.endswith("_") and method is getattr(weft.Tensor, n)]
    of_functions = any(n.removesuffix("_") in NAMES for n in in_place)
    assert is_sampled(f"Tensor.{name}", method) or of_functions


OPERATORS = [n for n in vars(weft.Tensor) if callable(getattr(operator, n, None))]


@pytest.mark.parametrize("name", OPERATORS)
def test_operator_has_a_sample(name: str) -> None:
    this = getattr(operator, name)
    plain = {f"operator.{n}" for n, f in vars(operator).items() if f is this}
    assert plain & NAMES or f"Tensor.{name}" in NAMES or name == "__index__"  # test_interop.py
