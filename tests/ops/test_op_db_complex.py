"""PyTorch's database of functions, of complex numbers: results and both orders of gradients.

Every entry that PyTorch supports in complex128 is taken, if weft has a function of that name; and
Fourier transforms, of real numbers as well.
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
    torch,
)

import weft

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

#: Their samples are not those of the function of that name.
OTHERWISE_CALLED = {
    "svd_lowrank",
    "pca_lowrank",
    *("einsum", "where", "normal.in_place", "linalg.pinv.singular", "zero_"),
    "cholesky_inverse",
}
#: What weft does otherwise, of real numbers too: ``as_strided`` counts a tensor's own elements;
#: tolerances are numbers.
OTHERWISE_DONE = {
    "as_strided_scatter",  # PyTorch's gradient to the input is that of what is overwritten
    *("as_strided.partial_views", "linalg.matrix_rank", "linalg.matrix_rank.hermitian"),
    *("norm.nuc", "linalg.norm.subgradients_at_zero"),
    "logcumsumexp",  # (an angle is known up to turns)
    *("linalg.lstsq", "linalg.lstsq.grad_oriented"),
}
#: PyTorch gives the window no gradient.
NO_GRADIENTS = {"istft"}
#: Only shapes and dtypes are compared.
RANDOM = ("rand", "empty", "normal")


ENTRIES = {
    name: op
    for op in op_db
    for name in [f"{op.name}.{op.variant_test_name}".rstrip(".")]
    if (torch.complex128 in op.dtypes or op.name.startswith("fft."))
    and function_named(op.name) is not None
    if name not in OTHERWISE_CALLED | OTHERWISE_DONE
}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        (name, dtype)
        for name, op in ENTRIES.items()
        for dtype in ("float32", "float64", "complex64", "complex128")
        if getattr(torch, dtype) in op.dtypes and (dtype[0] == "c" or name.startswith("fft."))
    ],
)
def test_results_and_gradients(name: str, dtype: str) -> None:
    op, kind = ENTRIES[name], getattr(torch, dtype)
    torch.manual_seed(0)
    samples = list(op.sample_inputs("cpu", kind, requires_grad=op.supports_autograd))
    assert samples
    known = not any(part in name for part in RANDOM)
    for k, sample in enumerate(some(samples)):
        given = ([sample.input, *sample.args], sample.kwargs)
        leaves: list[Any] = []
        args, kwargs = taken_over(given, leaves)
        finish = sample.output_process_fn_grad  # of what is not unique, what is
        # (The wrapper makes matrices Hermitian, or triangular.)
        call = op.gradcheck_wrapper
        try:
            expected = finish(call(op.op, *given[0], **given[1]))
            result = finish(call(function_named(op.name), *args, **kwargs))
            agree(result, expected, dtype, known)
            mine, others = differentiable(result, weft), differentiable(expected, torch)
            assert len(mine) == len(others)
            if mine and known and name not in NO_GRADIENTS and dtype in ("float64", "complex128"):
                pair = others, differentiable(given, torch)
                same_gradients((mine, leaves), pair, dtype, op.supports_gradgrad)
        except Exception as error:
            error.add_note(f"sample {k}: {sample.summary()}")
            raise


def test_few_are_missing() -> None:
    assert len(ENTRIES) > 300


@pytest.mark.parametrize("name", [n for n, op in ENTRIES.items() if op.inplace_variant])
def test_in_place(name: str) -> None:
    """The same values; or in both an error, where a result does not fit into the tensor."""
    op = ENTRIES[name]
    if name == "abs":  # which weft takes, since real numbers fit into complex ones
        return
    change = getattr(weft.Tensor, op.inplace_variant.__name__, None)
    if change is None or torch.complex128 not in op.dtypes or any(p in name for p in RANDOM):
        return
    torch.manual_seed(0)
    samples = [s for s in op.sample_inputs("cpu", torch.complex128) if not s.broadcasts_input]
    for k, sample in enumerate(some(samples)):
        args, kwargs = taken_over(([sample.input, *sample.args], sample.kwargs), [])
        try:
            expected = op.inplace_variant(sample.input.clone(), *sample.args, **sample.kwargs)
        except (RuntimeError, TypeError) as error:
            with pytest.raises((RuntimeError, TypeError)):
                change(*args, **kwargs)
                pytest.fail(f"sample {k} is not refused: {error}")
            continue
        try:
            found = change(*args, **kwargs)
            assert found is args[0]
            agree(found, expected, "complex128")
        except Exception as error:
            error.add_note(f"sample {k}: {sample.summary()}")
            raise
