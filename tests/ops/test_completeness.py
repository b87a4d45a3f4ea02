"""Nothing is without its test: every primitive and every public name has what it must have."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from inspect import isfunction
from typing import Any

import pytest
from loss_samples import LET_PASS
from samples import OPS
from sampling import Op, as_function, build

import weft
import weft.fft  # (its primitives are among them)
import weft.func.vmap  # (its primitive is one of them)
from weft.graph import node
from weft.tensors.core import node_of

pytestmark = LET_PASS

#: No gradient: results that are not floating, or that depend on no input's value.
NOT_DIFFERENTIABLE = {
    *("eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf"),
    *("logical_and", "logical_or", "logical_xor", "logical_not"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "shift_left", "shift_right"),
    *(
        "argmax",
        "argmin",
        "argsort",
        "searchsorted",
        "gcd",
        "max_places",
        "swapped_rows",
        "nextafter",
        "exponent",
    ),
    *("ctc_likelihood", "ctc_occupancy"),  # nn.functional.ctc_loss has the gradient
    "piece",  # made when a graph is planned, after its gradients
    "bundle",  # of gradients, on their way to the rule of a call
    *("leaf", "arange", "detach", "random_uniform", "random_normal", "random_bits"),
}

#: Not recorded by functions of tensors; tested with autograd and vmap.
OF_AUTOGRAD = {"function", "function_output", "vmap"}

#: Many ops recorded as one: put in its place before a graph is run, ``tests/test_calls.py``.
OF_CALLS = {"call", "part", "piece", "bundle"}

#: Gradients that are zero, or random: differences would tell nothing.
NOTHING_TO_CHECK = {
    *("floor_div", "sign", "signdet", "floor", "ceil", "trunc", "round", "dropout"),
}

#: The samples do not reach them; ``test_gradients.py`` has tests of their own for them, and
#: ``engine/xla/test_devices.py``.
CHECKED_APART = {"cholesky", "eigh", "max_pool_take", "to_device"}


def record_all(op: Op) -> None:
    for dtype, code in (("float32", "f"), ("int64", "i"), ("bool", "b")):
        for sample in op.samples_for(code) if code in op.dtypes else ():
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
    for op in OPS:
        for sample in op.smooth_samples():
            function, leaves = as_function(op, sample)
            result = function(*leaves)
            found.update(passed(floating(result)))
            found.update(passed(floating(gradients_of(result, leaves))))
    return found


def test_every_primitive_has_its_rules() -> None:
    for name, primitive in node.OPS.items():
        assert callable(primitive.infer), name
        assert callable(primitive.reference), name
    assert {n for n, p in node.OPS.items() if p.grad is None} == NOT_DIFFERENTIABLE


def test_every_primitive_has_a_sample(recorded: set[str]) -> None:
    only_first = {"ctc_occupancy"}  # of first gradients only, and recorded are second ones too
    assert set(node.OPS) - recorded - OF_AUTOGRAD - OF_CALLS == only_first


def test_every_gradient_is_checked(checked: set[str]) -> None:
    exempt = NOT_DIFFERENTIABLE | OF_AUTOGRAD | OF_CALLS | NOTHING_TO_CHECK | CHECKED_APART
    assert set(node.OPS) - checked <= exempt
    assert not checked & (NOT_DIFFERENTIABLE | CHECKED_APART)


# ---- public names

NAMES = {op.name for op in OPS}

#: In ``weft``, but no functions of tensors: each has tests of its own.
NOT_OPS = {
    *("enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled"),
    *("get_default_dtype", "set_default_dtype", "set_printoptions", "load", "save"),
    *("frombuffer", "is_anomaly_enabled"),
    *("get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"),
    *("get_num_interop_threads", "set_flush_denormal", "set_num_interop_threads"),
    *("compile", "explain", "profile", "get_num_threads", "set_num_threads"),
    *("get_default_device", "set_default_device", "set_default_tensor_type"),
    *("get_float32_matmul_precision", "set_float32_matmul_precision"),
}
FUNCTIONS = [n for n in weft.__all__ if n not in NOT_OPS and isfunction(vars(weft).get(n))]

#: Methods that take part in gradients rather than compute: tested with autograd.
GRADIENT_METHODS = {
    "backward",
    "register_hook",
    "register_post_accumulate_grad_hook",
    "retain_grad",
}
#: Of PyTorch's old constructors: tested in ``tensors/test_legacy.py``.
LEGACY = {"layout", "new"}
METHODS = [
    n
    for n in dir(weft.Tensor)
    if not n.startswith("_") and n not in GRADIENT_METHODS and n not in LEGACY
]


def is_sampled(name: str, attribute: Any) -> bool:
    """Under its own name, or as the same object under another."""
    same = [n for n in NAMES if attribute is vars(weft).get(n)]
    same += [n for n in METHODS if attribute is getattr(weft.Tensor, n) and f"Tensor.{n}" in NAMES]
    return name in NAMES or bool(same)


def test_every_function_has_a_sample() -> None:
    assert [n for n in FUNCTIONS if not is_sampled(n, getattr(weft, n))] == []


def test_every_method_has_a_sample() -> None:
    missing = []
    for name in METHODS:
        method = getattr(weft.Tensor, name)
        same = [n for n in METHODS if n.endswith("_") and method is getattr(weft.Tensor, n)]
        is_in_place = any(n.removesuffix("_") in NAMES for n in same)
        if not is_in_place and not is_sampled(f"Tensor.{name}", method):
            missing.append(name)
    assert missing == []


def test_every_operator_has_a_sample() -> None:
    names = [n for n in vars(weft.Tensor) if callable(vars(operator).get(n))]
    assert "__add__" in names
    missing = []
    for name in names:
        plain = {f"operator.{n}" for n, f in vars(operator).items() if f is vars(operator)[name]}
        if not plain & NAMES and f"Tensor.{name}" not in NAMES:
            missing.append(name)
    assert missing == ["__index__"]  # see tensors/test_interop.py
