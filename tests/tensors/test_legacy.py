"""Constructors and types of old programs: ``weft.Tensor(2, 3)``, ``weft.FloatTensor``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import weft
from weft.errors import DTypeError

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")

KINDS = ["Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool"]


@pytest.fixture
def defaults() -> Iterator[None]:
    yield
    weft.set_default_dtype(weft.float32)
    weft.set_default_device(None)


CALLS: list[Callable[[Any], Any]] = [
    lambda t: t.Tensor(),
    lambda t: t.Tensor(2, 3),
    lambda t: t.Tensor(t.zeros(2, 3).shape),
    lambda t: t.Tensor([2, 3]),
    lambda t: t.Tensor((2, 3)),
    lambda t: t.Tensor([[True, False]]),
    lambda t: t.Tensor(np.array([2, 3])),
    lambda t: t.Tensor(np.int64(3)),
    lambda t: t.Tensor(np.array([0.1], dtype=np.float64)),
    lambda t: t.Tensor(t.tensor([1, 2])),
    lambda t: t.LongTensor([1.7, 2]),
    lambda t: t.LongTensor(t.tensor([1, 2])),
    lambda t: t.FloatTensor(2),
    lambda t: t.FloatTensor([t.tensor(1.0), t.tensor(2.0)]),
    lambda t: t.ByteTensor([[1], [2]]),
    lambda t: t.zeros(2, dtype=t.int64).new([1, 2]),
    lambda t: t.zeros(2, dtype=t.float64).new(2, 1),
    lambda t: t.zeros(2).type("torch.LongTensor"),
    lambda t: t.zeros(2).type(t.DoubleTensor),
    lambda t: t.zeros(2).type(t.int8),
    lambda t: t.nn.Linear(2, 1).type(t.DoubleTensor).weight.detach() * 0,
]


@pytest.mark.parity
@pytest.mark.parametrize("call", CALLS)
def test_shapes_values_and_dtypes_are_pytorchs(call: Callable[[Any], Any]) -> None:
    ours, theirs = call(weft), call(torch)
    assert list(ours.shape) == list(theirs.shape)
    assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
    if ours.numel() and ours.abs().sum() > 0:  # others may be uninitialised in PyTorch
        np.testing.assert_array_equal(ours.float().numpy(), theirs.float().numpy())


@pytest.mark.parity
@pytest.mark.parametrize("kind", KINDS)
def test_the_name_and_the_type_of_every_dtype(kind: str) -> None:
    ours, theirs = (getattr(t, f"{kind}Tensor")([1, 0]) for t in (weft, torch))
    assert ours.type() == theirs.type().replace("torch", "weft")
    assert ours.type() == repr(getattr(weft, f"{kind}Tensor"))
    same = [k for k in KINDS if isinstance(ours, getattr(weft, f"{k}Tensor"))]
    assert same == [kind]
    assert not isinstance(ours, getattr(weft.cuda, f"{kind}Tensor"))
    assert not isinstance(np.zeros(2), getattr(weft, f"{kind}Tensor"))


def test_one_number_that_is_no_size() -> None:
    with pytest.raises(TypeError, match=r"weft\.tensor\(2\.5\) makes a tensor of one number"):
        weft.Tensor(2.5)


def test_a_tensor_of_another_dtype() -> None:
    with pytest.raises(DTypeError, match=r"LongTensor\(\) takes a tensor of weft.int64, not"):
        weft.LongTensor(weft.zeros(2))


@pytest.mark.usefixtures("defaults")
def test_the_default_type() -> None:
    weft.set_default_tensor_type("torch.DoubleTensor")
    assert weft.Tensor([1]).dtype is weft.zeros(2).dtype is weft.float64
    weft.set_default_tensor_type(weft.FloatTensor)
    assert weft.zeros(2).dtype is weft.float32
    with pytest.raises(TypeError, match=r"for a dtype there is weft.set_default_dtype"):
        weft.set_default_tensor_type(weft.float32)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_finfo(name: str) -> None:
    ours, theirs = weft.finfo(getattr(weft, name)), torch.finfo(getattr(torch, name))
    for each in ("bits", "min", "max", "eps", "tiny", "smallest_normal", "resolution", "dtype"):
        assert getattr(ours, each) == getattr(theirs, each), each
    assert repr(ours) == repr(theirs)
    assert repr(weft.finfo()) == repr(torch.finfo())


@pytest.mark.parity
@pytest.mark.parametrize("name", ["uint8", "int8", "int16", "int32", "int64"])
def test_iinfo(name: str) -> None:
    ours, theirs = weft.iinfo(getattr(weft, name)), torch.iinfo(getattr(torch, name))
    for each in ("bits", "min", "max", "dtype"):
        assert getattr(ours, each) == getattr(theirs, each), each
    assert repr(ours) == repr(theirs)


def test_ranges_of_other_dtypes() -> None:
    with pytest.raises(TypeError, match=r"for weft.int32 there is weft.iinfo"):
        weft.finfo(weft.int32)
    with pytest.raises(TypeError, match=r"not of weft.bool"):
        weft.iinfo(weft.bool)


def test_layout() -> None:
    x = weft.zeros(2)
    assert x.layout is weft.strided
    assert isinstance(x.layout, weft.layout)
    assert not weft.is_complex(x)
