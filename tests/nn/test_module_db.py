"""PyTorch's own database of modules: each of its inputs through its layer and through weft's.

In float32 and float64, in training and evaluation. State dicts must have the same keys and shapes,
modules the same repr; outputs, gradients to inputs and parameters, and where PyTorch tests them
gradients of gradients, must agree.
"""

from __future__ import annotations

from typing import Any

import pytest
from torch_databases import (
    ModuleErrorEnum,
    agree,
    differentiable,
    module_db,
    same_gradients,
    some,
    taken_over,
    tensors_of,
    torch,
)

import weft
from weft import nn

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

INFOS = {info.name: info for info in module_db}

#: PyTorch has no second gradients of these on CPUs; ``tests/ops`` checks weft's by differences.
NO_SECOND = ("nn.CTCLoss", "nn.MultiLabelMarginLoss", "nn.MultiMarginLoss")


def cases(name: str, dtype: str, training: bool) -> list[Any]:
    torch.manual_seed(0)
    info = INFOS[name]
    return list(info.module_inputs_func(info, "cpu", getattr(torch, dtype), True, training))


def both(info: Any, case: Any, dtype: str, training: bool) -> tuple[Any, Any]:
    """PyTorch's module and weft's."""
    made = case.constructor_input
    kwargs = {"device": "cpu", "dtype": getattr(torch, dtype)}
    torch.manual_seed(1)
    try:
        theirs = info.module_cls(*made.args, **made.kwargs, **kwargs)
    except TypeError:  # a layer without parameters
        kwargs = {}
        theirs = info.module_cls(*made.args, **made.kwargs)
    theirs.to(getattr(torch, dtype)).train(training)
    args, named = taken_over((made.args, {**made.kwargs, **kwargs}), [])
    ours = getattr(nn, info.module_cls.__name__)(*args, **named)
    ours.to(getattr(weft, dtype)).train(training)
    return theirs, ours


def same_state(ours: Any, theirs: Any) -> None:
    mine = {k: tuple(v.shape) for k, v in ours.state_dict().items()}
    assert mine == {k: tuple(v.shape) for k, v in theirs.state_dict().items()}
    assert list(mine) == list(theirs.state_dict())
    ours.load_state_dict({k: weft.tensor(v.numpy()) for k, v in theirs.state_dict().items()})


def compare(info: Any, case: Any, dtype: str, training: bool) -> None:
    theirs, ours = both(info, case, dtype, training)
    given = (case.forward_input.args, case.forward_input.kwargs)
    our_leaves: list[Any] = []
    args, kwargs = taken_over(given, our_leaves)
    if isinstance(theirs, torch.nn.modules.lazy.LazyModuleMixin):
        assert list(ours.state_dict()) == list(theirs.state_dict())
        ours(*args, **kwargs)
        theirs(*given[0], **given[1])
    same_state(ours, theirs)
    assert repr(ours) == repr(theirs)
    result, expected = ours(*args, **kwargs), theirs(*given[0], **given[1])
    known = "Fractional" not in info.name  # these pools are random
    agree(result, expected, dtype, known)
    agree(list(ours.buffers()), list(theirs.buffers()), dtype)
    mine, others = differentiable(result, weft), differentiable(expected, torch)
    assert len(mine) == len(others)
    if mine and known:
        their_leaves = [*differentiable(given, torch), *theirs.parameters()]
        twice = dtype == "float64" and info.supports_gradgrad and info.name not in NO_SECOND
        our_pair = mine, [*our_leaves, *ours.parameters()]
        same_gradients(our_pair, (others, their_leaves), dtype, twice)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", INFOS)
def test_module(name: str, dtype: str, training: bool) -> None:
    tried = some(cases(name, dtype, training))
    assert tried
    for k, case in enumerate(tried):
        try:
            # the backend that has second gradients
            with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
                compare(INFOS[name], case, dtype, training)
        except Exception as error:
            made = case.constructor_input
            error.add_note(f"case {k} ({case.desc}): {made.args} {made.kwargs}")
            raise


class Outer(nn.Module):
    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.inner(*args, **kwargs)


@pytest.mark.parametrize("name", [n for n, i in INFOS.items() if i.module_error_inputs_func])
def test_errors(name: str) -> None:
    """What PyTorch's module refuses is refused, by the same kind of exception, with its path."""
    info = INFOS[name]
    for each in info.module_error_inputs_func(info, "cpu", torch.float32, False, True):
        made, given = each.module_error_input.constructor_input, None
        if each.error_on is ModuleErrorEnum.FORWARD_ERROR:
            given = each.module_error_input.forward_input
        args, kwargs = taken_over((made.args, made.kwargs), [])
        with pytest.raises(each.error_type) as caught:
            module = getattr(nn, info.module_cls.__name__)(*args, **kwargs)
            assert given is not None
            args, kwargs = taken_over((given.args, given.kwargs), [])
            weft.realize(*tensors_of(Outer(module)(*args, **kwargs), weft.Tensor))
            pytest.fail(f"not refused: {made.args} {made.kwargs}")
        assert given is None or "module 'inner'" in str(caught.value)


def test_no_module_is_missing() -> None:
    assert len(INFOS) > 110
    assert [n for n in INFOS if not hasattr(nn, n.removeprefix("nn."))] == []
    assert list(tensors_of([weft.ones(1), {"a": (weft.ones(2),)}], weft.Tensor))
