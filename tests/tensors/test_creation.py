"""Making tensors: what data become, default dtypes, independence from what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import weft
from weft.errors import DeviceError, DTypeError, GradientError, ShapeError


@pytest.fixture
def in_double() -> Iterator[None]:
    weft.set_default_dtype(weft.float64)
    yield
    weft.set_default_dtype(weft.float32)


class TestDataTypes:
    @pytest.mark.parametrize(
        ("data", "dtype"),
        [
            *[(1, "int64"), (1.0, "float32"), (True, "bool"), ([], "float32"), ([[]], "float32")],
            *[([1, 2], "int64"), ([1, 2.0], "float32"), ([True, 2], "int64")],
            *[([True, 2.0], "float32"), (range(3), "int64"), ((1.0, 2.0), "float32")],
            *[(np.int8(1), "int8"), (np.float64(1), "float64"), (np.bool_(True), "bool")],
            *[(np.zeros(2, np.float16), "float16"), ([np.float64(1)], "float64")],
            *[([np.array([1], np.int16)], "int16"), (np.zeros(2, ">f8"), "float64")],
            *[(np.array([], np.int32), "int32"), ([[np.float32(1)], [2.0]], "float32")],
        ],
        ids=repr,
    )
    def test_by_themselves(self, data: Any, dtype: str) -> None:
        assert weft.tensor(data).dtype is getattr(weft, dtype)
        assert weft.as_tensor(data).dtype is getattr(weft, dtype)

    @pytest.mark.parity
    @pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float16", "bfloat16", "float64"])
    @pytest.mark.parametrize(
        "data", [1, 2.7, True, [0, 1], [0.0, 0.5, 200.7], [[True, False]], -3, [1e-8, 1e30]]
    )
    def test_as_asked(self, data: Any, dtype: str, torch: Any) -> None:
        """Values are converted, or refused, as PyTorch does."""
        outcomes = []
        for lib in (weft, torch):
            try:
                outcomes.append(lib.tensor(data, dtype=getattr(lib, dtype)).double().tolist())
            except RuntimeError:
                outcomes.append("refused")
        assert outcomes[0] == outcomes[1]

    @pytest.mark.parametrize(
        "name",
        [weft.int32, "int32", "weft.int32", "torch.int32", np.int32, np.dtype("i4")],
        ids=str,
    )
    def test_names_of_a_dtype(self, name: Any) -> None:
        assert weft.zeros(1, dtype=name).dtype is weft.int32

    def test_python_types(self) -> None:
        kinds = {bool: weft.bool, int: weft.int64, float: weft.float32, complex: weft.complex64}
        for kind, dtype in kinds.items():
            assert weft.zeros(1, dtype=kind).dtype is dtype

    def test_unknown_dtypes(self) -> None:
        with pytest.raises(DTypeError, match=r"no dtype 'flaot32'. Did you mean 'float32'\?"):
            weft.zeros(1, dtype="flaot32")
        with pytest.raises(DTypeError, match=r"no dtype 'uint64'.*It has bool, uint8"):
            weft.zeros(1, dtype=np.uint64)

    @pytest.mark.usefixtures("in_double")
    def test_default_dtype(self) -> None:
        assert weft.get_default_dtype() is weft.float64
        makers: list[Callable[[], weft.Tensor]] = [
            *(lambda: weft.tensor(1.0), lambda: weft.zeros(1), lambda: weft.rand(1)),
            *(lambda: weft.arange(0, 1, 0.5), lambda: weft.full((1,), 2.0), lambda: weft.eye(2)),
            *(lambda: weft.linspace(0, 1, 3), lambda: weft.tensor([1]) / 2),
            *(lambda: weft.tensor([1]) + 0.5, lambda: weft.tensor([4]).sqrt()),
        ]
        for make in makers:
            assert make().dtype is weft.float64
        assert weft.tensor(1).dtype is weft.int64
        assert weft.tensor(np.float32(1)).dtype is weft.float32

    def test_default_dtype_is_floating(self) -> None:
        with pytest.raises(DTypeError, match=r"must be a floating one, not weft.int32"):
            weft.set_default_dtype(weft.int32)
        assert weft.get_default_dtype() is weft.float32


class TestTensor:
    def test_nested_tensors(self) -> None:
        x = weft.tensor([1.0, 2.0])
        assert weft.tensor([x, x]).tolist() == [[1, 2], [1, 2]]
        assert weft.tensor([[x[0], 5]]).tolist() == [[1, 5]]

    def test_of_a_tensor_is_a_copy(self) -> None:
        x = weft.zeros(2, requires_grad=True)
        y = weft.tensor(x)
        y += 1
        assert x.tolist() == [0, 0]
        assert not y.requires_grad

    def test_as_tensor_of_a_tensor_is_itself(self) -> None:
        x = weft.zeros(2)
        assert weft.as_tensor(x) is x
        assert weft.as_tensor(x, dtype=weft.float32) is x
        assert weft.as_tensor(x, dtype=weft.int8).dtype is weft.int8

    def test_requires_grad(self) -> None:
        x = weft.tensor([1.0], requires_grad=True)
        assert x.is_leaf
        assert weft.ones(2, requires_grad=True).requires_grad
        with pytest.raises(GradientError, match=r"not weft.int64: convert it first, x.float\(\)"):
            weft.tensor([1], requires_grad=True)

    @pytest.mark.parametrize(
        ("data", "error", "message"),
        [
            ([[1, 2], [3]], ShapeError, "nested sequences differ in length"),
            ([[1], 2], ShapeError, "nested sequences differ in length"),
            ("a", TypeError, "takes numbers, not 'a'"),
            ([1, None], TypeError, "takes numbers, not None"),
            ([[1], ["b"]], TypeError, "takes numbers, not 'b'"),
            ({"a": 1}, TypeError, "takes numbers, not {'a': 1}"),
            ([2**63], ValueError, f"{2**63} does not fit int64"),
            ([1, -(2**70)], ValueError, f"{-(2**70)} does not fit int64"),
        ],
        ids=repr,
    )
    def test_no_numbers(self, data: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            weft.tensor(data)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: weft.tensor([300], dtype=weft.uint8),
            lambda: weft.full((2,), 300, dtype=weft.uint8),
            lambda: weft.full_like(weft.zeros(2, dtype=weft.uint8), 300),
            lambda: weft.zeros(2, dtype=weft.uint8).fill_(300),
            lambda: weft.zeros(2, dtype=weft.uint8).__setitem__(0, 300),
        ],
    )
    def test_numbers_beyond_the_range(self, make: Callable[[], Any]) -> None:
        with pytest.raises(DTypeError, match=r"300 does not fit weft.uint8 \(0 to 255\)"):
            make()

    def test_no_number_in_an_integer(self) -> None:
        with pytest.raises(DTypeError, match=r"nan does not fit weft.int64"):
            weft.full((1,), float("nan"), dtype=weft.int64)

    def test_extreme_integers(self) -> None:
        values = [2**63 - 1, -(2**63), 0]
        assert weft.tensor(values).tolist() == values

    def test_class_makes_one_too(self) -> None:
        assert weft.Tensor([1.0, 2.0]).tolist() == [1, 2]
        assert weft.Tensor([1.0], requires_grad=True).requires_grad


class TestSizes:
    @pytest.mark.parametrize("make", [weft.zeros, weft.ones, weft.empty, weft.rand, weft.randn])
    def test_every_form(self, make: Callable[..., weft.Tensor]) -> None:
        size = weft.zeros(2, 3).shape
        for shape in ((2, 3), ((2, 3),), ([2, 3],), (size,), (np.int64(2), weft.tensor(3))):
            assert make(*shape).shape == (2, 3)
        assert make(()).shape == ()
        assert make(0, 4).numel() == 0

    @pytest.mark.parametrize("make", [weft.zeros, weft.ones, weft.empty, weft.rand, weft.randn])
    def test_by_name(self, make: Callable[..., weft.Tensor]) -> None:
        assert make(size=(2, 3)).shape == (2, 3)
        assert make(size=()).shape == ()
        with pytest.raises(TypeError, match=r"the shape is given twice, as \[2\] and size=\(3,\)"):
            make(2, size=(3,))

    def test_by_name_as_methods(self) -> None:
        x = weft.zeros(1, dtype=weft.float64)
        for make in (x.new_zeros, x.new_ones, x.new_empty):
            assert make(size=(2, 3)).shape == (2, 3)
            assert make(size=[2]).dtype is weft.float64

    def test_nobody_shares(self) -> None:
        x, y = weft.zeros(2), weft.zeros(2)
        x += 1
        assert y.tolist() == [0, 0]
        a = weft.ones_like(x)
        a[0] = 5
        assert weft.ones_like(x).tolist() == [1, 1]

    def test_like(self) -> None:
        x = weft.zeros(2, 3, dtype=weft.int16)
        like = weft.zeros_like(x), weft.ones_like(x), weft.empty_like(x), weft.full_like(x, 7)
        new = x.new_zeros(2, 3), x.new_ones(2, 3), x.new_full((2, 3), 7), x.new_empty(2, 3)
        for y in (*like, *new):
            assert (y.shape, y.dtype) == (x.shape, x.dtype)
        assert weft.zeros_like(x, dtype=weft.float64).dtype is weft.float64

    def test_size_is_a_tuple(self) -> None:
        size = weft.zeros(2, 3).shape
        assert size == (2, 3)
        assert size.numel() == 6
        assert isinstance(size[:1], type(size))
        assert isinstance(size + (4,), type(size))  # noqa: RUF005 (addition is what is tested)
        assert size[-1] == 3

    @pytest.mark.parametrize("device", ["cuda", "cuda:0", "tpu"])
    def test_devices(self, device: str) -> None:
        assert weft.zeros(1, device="cpu").device == "cpu"
        with pytest.raises(DeviceError, match=rf"'{device}' is not available"):
            weft.zeros(1, device=device)


class TestRanges:
    @pytest.mark.parity
    @pytest.mark.parametrize(
        "args",
        [
            *[(5,), (2, 7), (7, 2, -1), (0, 10, 3), (0, 1, 0.1), (0.5, 3), (-1, 1, 0.25), (3, 3)],
            *[(0, 0.3, 0.1), (1, 2, 0.3), (10, 0, -2.5), (0,), (2.5,), (0, 1e-3, 1e-4)],
        ],
        ids=str,
    )
    def test_arange(self, args: tuple[Any, ...], torch: Any) -> None:
        found, wanted = weft.arange(*args), torch.arange(*args)
        assert str(found.dtype).removeprefix("weft.") == str(wanted.dtype).removeprefix("torch.")
        assert found.shape == tuple(wanted.shape)
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-6)

    def test_arange_does_not_drift(self) -> None:
        x = weft.arange(0, 1000, 0.1, dtype=weft.float64)
        assert x[-1].item() == pytest.approx(999.9, rel=1e-14)

    @pytest.mark.parametrize("steps", [1, 2, 3, 10, 101])
    def test_linspace(self, steps: int) -> None:
        x = weft.linspace(-3, 7, steps, dtype=weft.float64)
        assert x.numpy() == pytest.approx(np.linspace(-3, 7, steps))
        assert x[0].item() == -3
        assert x[-1].item() == (7 if steps > 1 else -3)

    def test_linspace_of_integers(self) -> None:
        assert weft.linspace(0, 10, 5, dtype=weft.int64).tolist() == [0, 2, 5, 7, 10]

    @pytest.mark.parametrize("indexing", ["ij", "xy"])
    def test_meshgrid(self, indexing: str) -> None:
        vectors = weft.arange(2), weft.arange(3), weft.arange(4)
        wanted = np.meshgrid(*[v.numpy() for v in vectors], indexing=indexing)
        for given in (vectors, [list(vectors)]):
            for a, b in zip(weft.meshgrid(*given, indexing=indexing), wanted, strict=True):
                assert a.tolist() == b.tolist()

    def test_eye(self) -> None:
        assert weft.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
        assert weft.eye(3, dtype=weft.bool).sum().item() == 3
