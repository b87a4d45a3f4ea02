"""Tensors on "meta": shapes, dtypes and gradients without values."""

from __future__ import annotations

import copy
import pickle
import warnings
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from loss_samples import LET_PASS
from samples import OPS
from sampling import Op, Sample, build, inputs_of

import weft
import weft.nn.functional as F
from weft import nn
from weft.errors import CheckpointError, DeviceError

META = "meta"

#: So many samples of each op: their values make no difference here.
MOST = 6

#: Whose results are on the CPU in any case.
TO_CPU = ("Tensor.to", "Tensor.cpu")


def attempt(op: Op, sample: Sample, device: str) -> list[Any] | Exception:
    """Results and gradients."""
    leaves: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with weft.device(device):
                args, kwargs = build((sample.args, sample.kwargs), weft, "float32", leaves)
                result = op.call(weft)(*args, **kwargs)
            found = list(result) if isinstance(result, (list, tuple)) else [result]
            outputs = [r for r in found if isinstance(r, weft.Tensor) and r.requires_grad]
            if op.grad and sample.grad and leaves and outputs:
                found += weft.autograd.grad(
                    outputs, leaves, [r.detach() for r in outputs], allow_unused=True
                )
        except Exception as error:  # noqa: BLE001 (that both raise may be what is expected)
            return error
    return found


@pytest.mark.parametrize("op", [op for op in OPS if "f" in op.dtypes], ids=lambda op: op.name)
@LET_PASS
def test_shapes_are_those_of_values(op: Op) -> None:
    for sample in islice(op.samples_for("f"), MOST):
        found, wanted = attempt(op, sample, META), attempt(op, sample, "cpu")
        if isinstance(found, DeviceError) and "no values" in str(found):
            continue  # the op reads values, or brings them to the CPU
        if isinstance(found, Exception) or isinstance(wanted, Exception):
            assert type(found) is type(wanted), (sample, found, wanted)
            continue
        for a, b in zip(found, wanted, strict=True):
            if isinstance(b, weft.Tensor):
                assert (a.shape, a.dtype) == (b.shape, b.dtype), sample
                given = any(True for _ in inputs_of([sample.args, list(sample.kwargs.values())]))
                assert a.is_meta or not given or op.name in TO_CPU, sample


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(4 * 36, 5)

    def forward(self, x: weft.Tensor) -> weft.Tensor:
        return self.head(F.dropout(self.body(x), 0.5, self.training))


def made_there() -> Net:
    with weft.device(META):
        return Net()


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.sum()),
        lambda x: x.numpy(),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: (x + 1).to("cpu"),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: weft.zeros(3).copy_(x),
        lambda x: weft.realize(x * 2),
        lambda x: nn.Parameter(x).to("cpu"),
    ],
)
def test_values_that_are_not_there(read: Any) -> None:
    x = weft.ones(3, device=META)
    with pytest.raises(DeviceError, match=r"'meta' has a shape and a dtype, and no values.*empty"):
        read(x)


def test_with_tensors_elsewhere() -> None:
    x = weft.ones(3, device=META)
    assert (x * 2 + weft.tensor(1.0)).is_meta
    with pytest.raises(DeviceError, match="add: tensors on two devices"):
        x + weft.ones(3)
    assert x.copy_(weft.ones(3)).is_meta
    assert weft.ones(3).to(META).is_meta
    assert not weft.ones(3).is_meta


def test_how_it_prints() -> None:
    x = weft.empty(2, 3, device=META, dtype=weft.float64)
    assert repr(x) == "tensor(..., device='meta', size=(2, 3), dtype=weft.float64)"
    assert "requires_grad=True" in repr(nn.Parameter(x))
    assert weft.device("meta:0") is weft.device(META)
    with pytest.raises(DeviceError, match="there is one 'meta'"):
        weft.device("meta:1")


def test_a_run_of_both_computes_the_other_part() -> None:
    """An error of data in it undoes nothing on "meta", and is what it is without."""
    a, there = weft.ones(3) * 2, weft.ones(3, device=META)
    bad = weft.arange(3)[weft.tensor([7])]
    there.add_(1)
    with pytest.raises(IndexError, match="index 7"):
        bad.tolist()
    assert a.tolist() == [2, 2, 2]
    assert there._version == 1


def test_no_random_numbers_are_drawn() -> None:
    weft.manual_seed(3)
    made_there()
    nn.init.normal_(weft.empty(3, device=META))
    weft.randperm(4, device=META)
    first = weft.rand(2)
    weft.manual_seed(3)
    assert weft.equal(first, weft.rand(2))


def test_a_step_of_training() -> None:
    model = made_there()
    optimizer = weft.optim.Adam(model.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        y = model(weft.empty(2, 3, 8, 8, device=META))
        F.cross_entropy(y, weft.zeros(2, dtype=weft.int64, device=META)).backward()
        optimizer.step()
    assert y.shape == (2, 5)
    assert all(p.grad is not None and p.grad.is_meta for p in model.parameters())
    assert optimizer.state[model.head.weight]["exp_avg"].is_meta


def test_a_model_too_large_for_memory_has_a_size() -> None:
    layer = nn.Linear(1 << 20, 1 << 20, device=META)
    assert sum(p.numel() for p in layer.parameters()) == (1 << 40) + (1 << 20)
    assert layer(weft.empty(8, 1 << 20, device=META)).shape == (8, 1 << 20)


def test_filled_from_a_state() -> None:
    reference, x = Net().eval(), weft.randn(2, 3, 8, 8)
    state = reference.state_dict()
    assigned = made_there().eval()
    assigned.load_state_dict(state, assign=True)
    assert isinstance(assigned.head.weight, nn.Parameter)
    filled = made_there().to_empty(device="cpu").eval()
    filled.load_state_dict(state)
    for model in (assigned, filled):
        assert model.head.weight.device == "cpu"
        assert weft.equal(model(x), reference(x))


def test_states_that_lead_nowhere() -> None:
    there, here = made_there(), Net()
    with pytest.warns(UserWarning, match=r"nothing is loaded.*assign=True"):
        there.load_state_dict(here.state_dict())
    before = here.head.weight.tolist()
    with pytest.raises(CheckpointError, match=r"head.weight is on the device 'meta', without"):
        here.load_state_dict(there.state_dict())
    assert here.head.weight.tolist() == before


def test_copies_stay_there(tmp_path: Path) -> None:
    model = made_there()
    assert copy.deepcopy(model).head.weight.is_meta
    assert pickle.loads(pickle.dumps(model)).head.weight.is_meta
    weft.save(Net().state_dict(), tmp_path / "net.pt")
    found = weft.load(tmp_path / "net.pt", map_location=META)
    assert found["head.weight"].is_meta
    assert found["head.weight"].shape == (5, 144)
