"""Mistakes by XLA: found as on the CPU, those in the values when a value is read."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("jax", reason="computes by JAX: pip install 'weft[xla]'")

from loss_samples import LET_PASS
from samples import OPS
from sampling import Bad, Op, build

import weft
from weft.errors import DeviceError, IndexOutOfRange, OutOfMemoryError
from weft.nn import functional as F

pytestmark = LET_PASS

#: Of errors that are found when an op is recorded, nothing is another device's business.
CASES = [
    pytest.param(op, bad, id=f"{op.name}-{k}")
    for op in OPS
    for k, bad in enumerate(op.errors)
    if bad.error is not DeviceError
]


def values_of(result: Any) -> Any:
    if isinstance(result, weft.Tensor):
        return result.detach().tolist()
    return [values_of(r) for r in result] if isinstance(result, (tuple, list)) else result


@pytest.mark.parametrize(("op", "bad"), CASES)
def test_error(op: Op, bad: Bad, on_xla: weft.device) -> None:
    args, kwargs = build((bad.args, bad.kwargs), weft, bad.dtype)
    with pytest.raises(bad.error, match=bad.match):
        values_of(op.call(weft)(*args, **kwargs))
    assert weft.ones(2, device=on_xla).tolist() == [1, 1]  # it has been said once


def test_the_error_names_op_module_and_line(on_xla: weft.device) -> None:
    class Words(weft.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = weft.nn.Embedding(3, 2)

        def forward(self, x: Any) -> Any:
            return self.table(x)

    y = Words()(weft.tensor([[0, 7]])).sum()
    weft.realize()
    with pytest.raises(IndexOutOfRange, match=r"take: index 7 .* size 3\n.*module 'table'"):
        y.item()


@pytest.mark.parametrize("index", [-4, 3, 2**40])
def test_which_of_several_indices(index: int, on_xla: weft.device) -> None:
    x, rows = weft.zeros(5, 3), weft.tensor([0, 1])
    with pytest.raises(IndexError, match=f"index {index} is out of range .* size 3"):
        x[rows, weft.tensor([0, index])].tolist()


def test_a_failure_of_the_cpu_goes_on_to_another_device(on_xla: weft.device) -> None:
    ids = weft.tensor([5], device="cpu")
    bad = weft.arange(3, device="cpu")[ids].to(on_xla) * 2
    good = weft.ones(2) + 1
    with pytest.raises(IndexOutOfRange, match="index 5 is out of range"):
        bad.tolist()
    assert good.tolist() == [2, 2]


def test_classes_out_of_range(on_xla: weft.device) -> None:
    loss = F.cross_entropy(weft.zeros(2, 3), weft.tensor([0, 3]))
    with pytest.raises((IndexError, ValueError), match="3"):
        loss.item()


def test_a_step_on_wrong_data_changes_no_weight(on_xla: weft.device) -> None:
    model = weft.nn.Sequential(weft.nn.Embedding(4, 3), weft.nn.Flatten(), weft.nn.Linear(6, 2))
    optimizer = weft.optim.Adam(model.parameters(), lr=0.1)
    count = weft.zeros(1)

    def step(ids: list[list[int]]) -> Any:
        optimizer.zero_grad()
        count.add_(1)  # before the op that fails: stays
        loss = model(weft.tensor(ids)).square().sum()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(2):
        step([[0, 1]]).item()
    before = [p.tolist() for p in model.parameters()]
    loss = step([[2, 9]])
    with pytest.raises(IndexOutOfRange, match="index 9"):
        loss.item()
    assert [p.tolist() for p in model.parameters()] == before
    assert optimizer.state[model[2].weight]["step"].item() == 2
    assert count.item() == 3
    assert step([[2, 3]]).isfinite().item()
    assert [p.tolist() for p in model.parameters()] != before


def test_not_enough_memory(on_xla: weft.device) -> None:
    x = weft.ones(2)
    with pytest.raises(OutOfMemoryError, match=r"not enough memory on xla:cpu: .* smaller batch"):
        weft.realize(weft.zeros(10**13) + 1)
    assert weft.cuda.OutOfMemoryError is OutOfMemoryError
    assert (weft.ones(2) + 1).tolist() == [2, 2]
    del x
