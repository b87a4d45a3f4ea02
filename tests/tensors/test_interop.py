"""Tensors and the world outside: NumPy, DLPack, Python's numbers and protocols, pickle, copies."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from weft.errors import DeviceError, DTypeError, GradientError

NUMPY_DTYPES = {
    "bool": np.bool_,
    "uint8": np.uint8,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "float16": np.float16,
    "float32": np.float32,
    "float64": np.float64,
}


def sample(name: str) -> weft.Tensor:
    return weft.tensor([[0, 1, 2], [3, 1, 0]], dtype=getattr(weft, name))


class TestNumPy:
    @pytest.mark.parametrize("name", NUMPY_DTYPES)
    def test_there_and_back(self, name: str) -> None:
        a = sample(name).numpy()
        assert a.dtype == NUMPY_DTYPES[name]
        back = weft.from_numpy(a)
        assert back.dtype is getattr(weft, name)
        assert weft.equal(back, sample(name))

    def test_bfloat16(self) -> None:
        a = weft.tensor([1.5, -2.0], dtype=weft.bfloat16).numpy()
        assert a.dtype.name == "bfloat16"
        assert weft.from_numpy(a).dtype is weft.bfloat16
        assert weft.tensor(a).tolist() == [1.5, -2.0]

    def test_what_numpy_gives_is_a_copy(self) -> None:
        x = weft.zeros(3)
        a = x.numpy()
        a += 1
        assert x.tolist() == [0, 0, 0]
        x += 5
        assert a.tolist() == [1, 1, 1]

    @pytest.mark.parametrize("make", [weft.from_numpy, weft.tensor, weft.as_tensor])
    def test_what_is_taken_from_numpy_is_a_copy(self, make: Callable[..., weft.Tensor]) -> None:
        """Also before anything was computed: a recorded graph must not see the array change."""
        a = np.zeros(3)
        x = make(a)
        y = x + 1
        a += 7
        assert x.tolist() == [0, 0, 0]
        assert y.tolist() == [1, 1, 1]

    @pytest.mark.parametrize(
        "layout",
        [
            lambda a: a.T,
            lambda a: a[::-1],
            lambda a: a[:, ::2],
            np.asfortranarray,
            lambda a: np.broadcast_to(a[0], (4, 3)),
            lambda a: a.astype(">f8"),
        ],
    )
    def test_layouts(self, layout: Callable[[Any], Any]) -> None:
        a = layout(np.arange(6.0).reshape(2, 3))
        assert weft.from_numpy(a).tolist() == a.tolist()

    def test_views_come_out_whole(self) -> None:
        x = weft.arange(12).reshape(3, 4)
        assert x.t()[1:, ::2].numpy().tolist() == [[1, 9], [2, 10], [3, 11]]
        assert x[0, 0].numpy().shape == ()

    def test_small_unsigned_integers_become_int64(self) -> None:
        for kind in (np.uint16, np.uint32):
            x = weft.from_numpy(np.array([65535], kind))
            assert x.dtype is weft.int64
            assert x.tolist() == [65535]

    @pytest.mark.parametrize(
        "array",
        [
            np.array([1j], np.clongdouble),
            np.array([1], np.uint64),
            np.array(["a"]),
            np.array([None]),
        ],
    )
    def test_dtypes_that_weft_has_not(self, array: Any) -> None:
        with pytest.raises(DTypeError, match=r"NumPy array of '.*': convert it first"):
            weft.from_numpy(array)

    def test_gradients_are_not_lost_silently(self) -> None:
        x = weft.ones(2, requires_grad=True)
        for convert in (weft.Tensor.numpy, np.asarray):
            with pytest.raises(GradientError, match=r"write x.detach\(\).numpy\(\)"):
                convert(x * 2)
        assert (x * 2).detach().numpy().tolist() == [2, 2]
        assert (x * 2).numpy(force=True).tolist() == [2, 2]

    def test_array_protocol(self) -> None:
        x = weft.tensor([1.0, 2.0])
        assert np.asarray(x).dtype == np.float32
        assert np.asarray(x, dtype=np.int64).tolist() == [1, 2]
        assert np.sin(x).tolist() == np.sin(x.numpy()).tolist()
        assert np.stack([x, x]).shape == (2, 2)
        with pytest.raises(ValueError, match="without a copy"):
            np.array(x, copy=False)

    def test_numpy_operands(self) -> None:
        """On either side; the result is a Tensor, by the rules of dtypes."""
        x = weft.tensor([1.0, 2.0])
        for y in (np.ones(2) + x, x + np.ones(2)):
            assert isinstance(y, weft.Tensor)
            assert y.dtype is weft.float64
            assert y.tolist() == [2, 3]
        assert (np.float64(2) * x).dtype is weft.float32  # a scalar is a number
        assert (x == np.array([1.0, 0.0])).tolist() == [True, False]


class TestDLPack:
    @pytest.mark.parametrize("name", NUMPY_DTYPES)
    def test_to_numpy_and_back(self, name: str) -> None:
        a = np.from_dlpack(sample(name))
        assert a.dtype == NUMPY_DTYPES[name]
        assert weft.equal(weft.from_dlpack(a), sample(name))

    @pytest.mark.parity
    @pytest.mark.parametrize("name", NUMPY_DTYPES)
    def test_to_pytorch_and_back(self, name: str, torch: Any) -> None:
        t = torch.from_dlpack(sample(name))
        assert t.dtype is getattr(torch, name)
        assert t.tolist() == sample(name).tolist()
        assert weft.equal(weft.from_dlpack(t), sample(name))

    @pytest.mark.parity
    def test_memory_is_not_shared(self, torch: Any) -> None:
        x = weft.zeros(2)
        t = torch.from_dlpack(x)
        t += 1
        assert x.tolist() == [0, 0]
        y = weft.from_dlpack(t)
        t += 1
        assert y.tolist() == [1, 1]

    def test_device(self) -> None:
        cpu = 1  # kDLCPU
        assert weft.zeros(1).__dlpack_device__() == (cpu, 0)

    def test_layouts(self) -> None:
        x = weft.arange(6).reshape(2, 3).t()
        assert np.from_dlpack(x).tolist() == x.tolist()
        a = np.arange(6).reshape(2, 3).T
        assert weft.from_dlpack(a).tolist() == a.tolist()

    def test_refusals(self) -> None:
        with pytest.raises(GradientError, match="would lose its history"):
            np.from_dlpack(weft.ones(1, requires_grad=True))
        with pytest.raises(DTypeError, match=r"bfloat16 cannot .* x.float\(\)"):
            np.from_dlpack(weft.ones(1, dtype=weft.bfloat16))


class TestPythonNumbers:
    @pytest.mark.parametrize(
        ("tensor", "value"),
        [
            (weft.tensor(2), 2),
            (weft.tensor(2.5), 2.5),
            (weft.tensor(True), True),
            (weft.tensor([[7]], dtype=weft.uint8), 7),
            (weft.tensor([0.1], dtype=weft.float64), 0.1),
            (weft.tensor(1.5, dtype=weft.float16), 1.5),
            (weft.tensor(1.5, dtype=weft.bfloat16), 1.5),
        ],
    )
    def test_item(self, tensor: weft.Tensor, value: Any) -> None:
        assert tensor.item() == value
        assert type(tensor.item()) is type(value)
        assert float(tensor) == float(value)
        assert int(tensor) == int(value)
        assert bool(tensor) is bool(value)

    def test_nested_lists(self) -> None:
        assert weft.arange(4).reshape(2, 2).tolist() == [[0, 1], [2, 3]]
        assert weft.tensor(3).tolist() == 3
        assert weft.zeros(2, 0).tolist() == [[], []]
        assert type(weft.tensor([1.0]).tolist()[0]) is float

    def test_where_python_wants_an_index(self) -> None:
        two = weft.tensor(2)
        assert list(range(two)) == [0, 1]
        assert ["a", "b", "c"][two] == "c"
        assert weft.zeros(two, 3).shape == (2, 3)
        for wrong in (weft.tensor(2.0), weft.tensor([1, 2])):
            with pytest.raises((TypeError, RuntimeError), match=r"weft.float32|shape \[2\]"):
                range(wrong)

    def test_rounding_towards_whole_numbers(self) -> None:
        assert int(weft.tensor(-2.7)) == -2
        assert math.floor(weft.tensor(-2.7)) == -3
        assert math.sqrt(weft.tensor(4.0)) == 2

    @pytest.mark.parametrize("convert", [float, int, bool, weft.Tensor.item])
    @pytest.mark.parametrize("shape", [(2,), (0,), (2, 3)])
    def test_of_one_element_only(self, convert: Callable[..., Any], shape: Any) -> None:
        with pytest.raises(RuntimeError, match=rf"shape \[{', '.join(map(str, shape))}\]"):
            convert(weft.zeros(shape))

    def test_truth_says_what_to_write(self) -> None:
        with pytest.raises(RuntimeError, match=r"x.any\(\) or x.all\(\)"):
            if weft.zeros(2):
                pytest.fail("not reached")

    def test_python_functions(self) -> None:
        x = weft.tensor([3, 1, 2])
        assert sum(x).item() == 6
        assert max(x).item() == 3
        assert [e.item() for e in sorted(x)] == [1, 2, 3]
        assert [e.item() for e in reversed(x)] == [2, 1, 3]
        first, *rest = x
        assert first.item() == 3
        assert len(rest) == 2

    def test_strangers(self) -> None:
        x = weft.tensor([1, 2])
        assert x != "a"
        assert (x == None) is False  # noqa: E711 (what is compared is __eq__)
        with pytest.raises(TypeError, match="'<' not supported between"):
            assert x < "a"
        with pytest.raises(TypeError, match="a Tensor or a number is expected here, not str"):
            x + "a"

    def test_identity_is_what_hashes(self) -> None:
        x, y = weft.tensor(1), weft.tensor(1)
        assert len({x, y, x}) == 2
        assert {x: "x"}[x] == "x"


class TestPickle:
    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    def test_values_dtype_and_requires_grad(self, protocol: int) -> None:
        for name in (*NUMPY_DTYPES, "bfloat16"):
            x = sample(name)
            y = pickle.loads(pickle.dumps(x, protocol))
            assert y.dtype is x.dtype
            assert weft.equal(x, y)
        x = weft.ones(2, requires_grad=True)
        y = pickle.loads(pickle.dumps(x, protocol))
        assert y.requires_grad
        assert y.is_leaf

    @pytest.mark.parametrize("save", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
    def test_gradient_and_attributes(self, save: Callable[[Any], Any]) -> None:
        x = weft.ones(2, requires_grad=True)
        x.tag = "mine"
        (x * 3).sum().backward()
        y = save(x)
        assert y.tag == "mine"
        (y * 2).sum().backward()
        assert y.grad.tolist() == [5, 5]
        assert x.grad.tolist() == [3, 3]

    @pytest.mark.parametrize("save", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
    def test_a_parameter_leaves_its_gradient_behind(self, save: Callable[[Any], Any]) -> None:
        p = weft.nn.Parameter(weft.ones(2))
        (p * 3).sum().backward()
        q = save(p)
        assert type(q) is weft.nn.Parameter
        assert q.grad is None
        (q * 2).sum().backward()
        assert q.grad.tolist() == [2, 2]

    def test_dtype_and_size(self) -> None:
        assert pickle.loads(pickle.dumps(weft.float16)) is weft.float16
        assert pickle.loads(pickle.dumps(weft.zeros(2, 3).shape)) == (2, 3)

    def test_a_view_takes_only_its_own_values(self) -> None:
        x = weft.zeros(100_000)
        assert len(pickle.dumps(x[:2])) < 1_000

    def test_a_history_cannot(self) -> None:
        y = weft.ones(2, requires_grad=True) * 2
        for save in (pickle.dumps, copy.deepcopy):
            with pytest.raises(GradientError, match=r"use x.detach\(\)"):
                save(y)


class TestCopies:
    def test_deepcopy_is_apart(self) -> None:
        x = weft.zeros(2, requires_grad=True)
        y = copy.deepcopy(x)
        with weft.no_grad():
            y += 1
        assert x.tolist() == [0, 0]
        assert y.requires_grad
        (y * 2).sum().backward()
        assert x.grad is None

    def test_deepcopy_keeps_what_is_shared_shared(self) -> None:
        x = weft.zeros(2)
        a, b = copy.deepcopy([x, x])
        assert a is b
        assert a is not x

    def test_deepcopy_of_gradients(self) -> None:
        x = weft.ones(2, requires_grad=True)
        x.sum().backward()
        y = copy.deepcopy(x)
        y.grad.zero_()
        assert x.grad.tolist() == [1, 1]

    def test_deepcopy_of_a_view(self) -> None:
        x = weft.arange(4)
        y = copy.deepcopy(x[1:3])
        x += 10
        assert y.tolist() == [1, 2]


class TestTo:
    def test_dtype_in_every_form(self) -> None:
        x = weft.tensor([1.7, -1.7])
        like = weft.zeros(1, dtype=weft.int32)
        for y in (x.to(weft.int32), x.to(dtype=weft.int32), x.to("cpu", weft.int32), x.to(like),
                  x.to(other=like), x.int(), x.type(weft.int32), x.type_as(like)):  # fmt: skip
            assert y.dtype is weft.int32
            assert y.tolist() == [1, -1]

    def test_nothing_to_do(self) -> None:
        x = weft.zeros(2)
        assert x.to("cpu") is x
        assert x.to(weft.float32, non_blocking=True) is x
        y = x.to(weft.float32, copy=True)
        y += 1
        assert x.tolist() == [0, 0]

    def test_gradients_pass(self) -> None:
        x = weft.ones(2, requires_grad=True)
        (x.double() * 2).sum().backward()
        assert x.grad.dtype is weft.float32
        assert x.grad.tolist() == [2, 2]

    @pytest.mark.parametrize("device", ["cuda", "cuda:1", "tpu", "gpu"])
    def test_other_devices(self, device: str) -> None:
        with pytest.raises(DeviceError, match=rf"device '{device}' is not available"):
            weft.zeros(1).to(device)

    def test_a_dtype_in_quotes(self) -> None:
        with pytest.raises(DeviceError, match=r"write x.to\(weft.float64\)"):
            weft.zeros(1).to("float64")


def test_realize() -> None:
    x = weft.zeros(2) + 1
    y = x * 2
    weft.realize(x, y)
    assert y.tolist() == [2, 2]
    weft.realize()
    with pytest.raises(ZeroDivisionError, match="integer division by zero"):
        weft.realize(weft.tensor([1]) // 0)
