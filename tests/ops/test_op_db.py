"""PyTorch's own database of functions of ``nn.functional``: results and gradients; and all errors.

Where an operation has very many samples, some, evenly chosen, are taken.
"""

from __future__ import annotations

from typing import Any

import pytest
from torch_databases import (
    agree,
    differentiable,
    function_named,
    op_db,
    same_gradients,
    some,
    taken_over,
    tensors_of,
    torch,
)

import weft
import weft.nn.functional as F

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

PREFIX = "nn.functional."
ENTRIES = {
    f"{op.name.removeprefix(PREFIX)}.{op.variant_test_name}".rstrip("."): op
    for op in op_db
    if op.name.startswith(PREFIX)
}

#: Of what is random only shapes and dtypes are compared.
RANDOM = ("dropout", "rrelu", "gumbel", "fractional")

#: Their samples are given in another order than the function takes.
WEIGHT_FIRST = ("embedding", "embedding_bag")


def function(name: str) -> Any:
    return getattr(F, name.partition(".")[0])


def call(name: str, args: Any, kwargs: Any) -> Any:
    if name in WEIGHT_FIRST:
        args = [args[1], args[0], *args[2:]]
    return function(name)(*args, **kwargs)


def is_random(name: str, sample: Any) -> bool:
    rate = sample.args[9] if name.startswith("multi_head") else sample.kwargs.get("dropout_p", 0)
    return rate > 0 or any(part in name for part in RANDOM)


def takes_one_dimension(name: str, sample: Any) -> bool:
    """PyTorch lets an empty vector pass as ``[batch, channels]``."""
    return name.startswith("batch_norm") and sample.input.ndim == 1


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        (name, dtype)
        for name, op in ENTRIES.items()
        for dtype in ("float32", "float64")
        if getattr(torch, dtype) in op.dtypes
    ],
)
def test_results_and_gradients(name: str, dtype: str) -> None:
    op, kind = ENTRIES[name], getattr(torch, dtype)
    torch.manual_seed(0)
    samples = list(op.sample_inputs("cpu", kind, requires_grad=op.supports_autograd))
    assert samples
    for k, sample in enumerate(some(samples)):
        if takes_one_dimension(name, sample):
            continue
        given = ([sample.input, *sample.args], sample.kwargs)
        leaves: list[Any] = []
        args, kwargs = taken_over(given, leaves)
        try:
            with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
                expected = op.op(*given[0], **given[1])
                result = call(name, args, kwargs)
                known = not is_random(name, sample)
                agree(result, expected, dtype, known)
                mine, others = differentiable(result, weft), differentiable(expected, torch)
                assert len(mine) == len(others)
                if mine and known and dtype == "float64":
                    pair = others, differentiable(given, torch)
                    same_gradients((mine, leaves), pair, dtype, twice=False)
        except Exception as error:
            error.add_note(f"sample {k}: {sample.summary()}")
            raise


def refused_here(each: Any) -> bool:
    """Whether weft has to refuse it, too.

    It takes numbers for any operand (for which alone ``Exception`` is expected), ``out=`` is tested
    elsewhere, and there is no limit of 64 dimensions.
    """
    known = "64 dims" in each.error_regex or "converted to type" in each.error_regex
    return each.error_type is not Exception and "out" not in each.sample_input.kwargs and not known


def error_name(op: Any) -> str:
    return f"{op.name}.{op.variant_test_name}".rstrip(".")


@pytest.mark.parametrize(
    "op",
    [
        pytest.param(op, id=error_name(op))
        for op in op_db
        if op.error_inputs_func and function_named(op.name) and error_name(op) != "normal.in_place"
    ],
)
def test_errors(op: Any) -> None:
    """What PyTorch refuses is refused, by an exception of the same built-in kind."""
    for each in filter(refused_here, op.error_inputs("cpu")):
        sample = each.sample_input
        args, kwargs = taken_over(([sample.input, *sample.args], sample.kwargs), [])
        if op.name.removeprefix(PREFIX) in WEIGHT_FIRST:
            args = [args[1], args[0], *args[2:]]
        with pytest.raises(each.error_type):
            weft.realize(*tensors_of(function_named(op.name)(*args, **kwargs), weft.Tensor))
            pytest.fail(f"not refused: {sample.summary()} ({each.error_regex})")


def test_no_function_is_missing() -> None:
    assert len(ENTRIES) > 110
    assert [n for n in ENTRIES if not hasattr(F, n.partition(".")[0])] == []
