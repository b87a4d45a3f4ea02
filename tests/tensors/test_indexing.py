"""``x[...]`` and ``x[...] = y``: basic, boolean and integer indices and their mixtures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sampling import In, build, idx, these

import weft
from weft.errors import DTypeError, IndexOutOfRange, ShapeError

SHAPE = (4, 3, 5)
ALL = slice(None)

BASIC = [
    *(0, -1, 3, (1, 2), (-1, -1, -1), (0, ALL, 2), (ALL, -2)),
    *(ALL, slice(1, 3), slice(-2, None), slice(None, -1), slice(None, None, 2), slice(1, 9, 3)),
    *(slice(3, 1), slice(9, 12), slice(-9, 2), (slice(1, 2), slice(0, 3, 2), slice(-3, -1))),
    *(..., (..., 0), (0, ...), (1, ..., slice(2, 4)), (..., ALL), ()),
    *(None, (None, 0), (0, None), (ALL, None, 1), (..., None), (None, None, ..., None)),
    *((slice(0, 0), None), (2, slice(1, 1)), (None, slice(1, 3), ..., 0, None)),
]
MASK_3D = np.arange(60).reshape(SHAPE) % 7 < 3
BOOLEAN = [
    *(these(MASK_3D, "bool"), these([True, False, True, True], "bool")),
    *(these(MASK_3D[..., 0], "bool"), (ALL, these([False, True, True], "bool"))),
    *((..., these(MASK_3D[0, 0], "bool")), these(np.zeros(SHAPE, bool), "bool")),
    *((ALL, these(MASK_3D[0], "bool")), (slice(1, 3), these([True, False, True], "bool"), None)),
    *(True, False, (True, 1), these(True, "bool"), these(False, "bool")),
]
INTEGER = [
    *(idx([0, 2]), idx([3, 0, 3]), idx([-1, 0, -4]), idx([[0, 1], [2, 3]]), idx([[1], [2]])),
    *((idx([0, 1]), idx([2, 0])), (idx([0, 1]), idx([2, 0]), idx([4, -5])), (ALL, idx([2, 0]))),
    *((..., idx([4, 0])), (ALL, ALL, idx([[0], [1]])), (idx([[0], [3]]), idx([0, 2]))),
    *((idx([1, 2]), ALL, idx([0, 4])), (idx([1, 2]), ..., idx([0])), (None, idx([1, 2]))),
    *((idx([1, 2]), None), (idx([1, 0]), None, idx([2, 1])), (slice(1, 3), idx([1, 1]))),
    *((slice(None, None, 2), ALL, idx([0, 1])), these(np.zeros((0,), np.int64), "int64")),
    *((idx([0, 1]), slice(0, 2)), (idx([0]), slice(0, 2), slice(1, 4, 2)), [0, 2]),
    *((ALL, [2, 0, 0]), range(3), idx([0, 1, 2, 3, 0, 1])),
]
# NumPy counts an int among the integer arrays; PyTorch (and weft) takes it first, as a view.
MIXED = [
    *((0, idx([1, 2])), (0, ALL, idx([1, 2])), (idx([1, 2]), ALL, 0), (idx(1), slice(0, 2))),
    *((1, these([True, False, True], "bool")), (these(MASK_3D[:, 0, 0], "bool"), 0)),
    *((these(MASK_3D[:, 0, 0], "bool"), idx([1])), (idx([0, 1]), 2, idx([3, 4])), (idx(-1),)),
    *((..., -1, idx([1, 0])), (None, 3, idx([[0, 2]])), (idx([1]), 0, None, idx([0, 1]))),
]
AS_IN_NUMPY = [*BASIC, *BOOLEAN, *INTEGER]
EVERY = [*AS_IN_NUMPY, *MIXED]


def name_of(index: Any) -> str:
    if isinstance(index, In):
        return f"{index.dtype}{list(index.shape)}"
    if isinstance(index, slice):
        return ":".join("" if p is None else str(p) for p in (index.start, index.stop, index.step))
    return ",".join(map(name_of, index)) if isinstance(index, tuple) else str(index)


def numpy_index(index: Any) -> Any:
    if isinstance(index, In):
        return np.array(index.values).astype(index.dtype)
    return tuple(map(numpy_index, index)) if isinstance(index, tuple) else index


def source(lib: Any = weft, dtype: Any = None, **options: Any) -> Any:
    values = np.arange(60.0).reshape(SHAPE)
    return lib.tensor(values, dtype=dtype or lib.float64, **options)


@pytest.mark.parametrize("index", AS_IN_NUMPY, ids=name_of)
class TestLikeNumPy:
    def test_get(self, index: Any) -> None:
        found = source()[build(index, weft, "int64")]
        wanted = source().numpy()[numpy_index(index)]
        assert found.shape == wanted.shape
        np.testing.assert_array_equal(found.numpy(), wanted)

    def test_set_number(self, index: Any) -> None:
        x, a = source(), source().numpy()
        x[build(index, weft, "int64")] = -1
        a[numpy_index(index)] = -1
        np.testing.assert_array_equal(x.numpy(), a)

    def test_set_values(self, index: Any) -> None:
        x, a = source(), source().numpy()
        shape = a[numpy_index(index)].shape
        new = -1.0 - np.arange(float(np.prod(shape))).reshape(shape)
        x[build(index, weft, "int64")] = weft.tensor(new)
        a[numpy_index(index)] = new
        np.testing.assert_array_equal(x.numpy(), a)


@pytest.mark.parity
@pytest.mark.parametrize("index", EVERY, ids=name_of)
class TestLikePyTorch:
    def test_get(self, index: Any, torch: Any) -> None:
        results = []
        for lib in (weft, torch):
            x = source(lib, requires_grad=True)
            y = x[build(index, lib, "int64")]
            (y * y).sum().backward()
            results.append((y.detach().numpy(), x.grad.numpy(), y.is_contiguous()))
        (found, grad, _), (wanted, wanted_grad, _) = results
        assert found.shape == wanted.shape
        np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(grad, wanted_grad)

    def test_set(self, index: Any, torch: Any) -> None:
        """Gradients of what is overwritten and of what is written, which broadcasts."""
        results = []
        for lib in (weft, torch):
            x = source(lib, requires_grad=True)
            key = build(index, lib, "int64")
            shape = [1, *x.detach()[key].shape[1:]]
            value = lib.ones(shape, dtype=lib.float64).requires_grad_()
            y = x * 2
            y[key] = value * 3
            loss = (y * y).sum() + 0 * value.sum()
            loss.backward()
            results.append((y.detach().numpy(), x.grad.numpy(), value.grad.numpy()))
        for found, wanted in zip(*results, strict=True):
            np.testing.assert_array_equal(found, wanted)


class TestIndexKinds:
    @pytest.mark.parametrize(
        "index",
        [
            *(np.int64(2), np.array([2, 0]), np.array([True, False, True, False])),
            *([2, 0], [[2], [0]], range(2, 4)),
        ],
        ids=repr,
    )
    def test_numpy_and_python_sequences(self, index: Any) -> None:
        np.testing.assert_array_equal(source()[index].numpy(), source().numpy()[index])

    @pytest.mark.parametrize("dtype", [weft.int8, weft.int16, weft.int32, weft.int64])
    def test_every_integer_dtype(self, dtype: weft.dtype) -> None:
        assert source()[weft.tensor([3, -1], dtype=dtype)].shape == (2, 3, 5)

    def test_uint8_is_a_mask(self) -> None:
        mask = weft.tensor([1, 0, 0, 1], dtype=weft.uint8)
        assert source()[mask].shape == (2, 3, 5)

    def test_a_computed_number(self) -> None:
        """A zero-dimensional integer tensor, known or not yet computed."""
        one = weft.tensor(1)
        assert source()[one].tolist() == source()[1].tolist()
        assert source()[one + 1, one].tolist() == source()[2, 1].tolist()

    def test_elements_one_by_one(self) -> None:
        x = weft.arange(6).reshape(2, 3)
        assert [[e.item() for e in row] for row in x] == [[0, 1, 2], [3, 4, 5]]
        assert len(x) == 2

    def test_contains(self) -> None:
        assert 3 in weft.arange(4)
        assert 4 not in weft.arange(4)


class TestViewsAndCopies:
    def test_basic_indices_give_views(self) -> None:
        x = source()
        y = x[1:3, ..., 0]
        y += 100
        assert x[1, 0, 0].item() == 115
        x[1, 0, 0] = -1
        assert y[0, 0].item() == -1

    @pytest.mark.parametrize("index", [[1, 2], weft.tensor([False, True, True, False])], ids=repr)
    def test_arrays_give_copies(self, index: Any) -> None:
        x = source()
        y = x[index]
        y += 100
        assert x.tolist() == source().tolist()

    def test_augmented_assignment_through_an_index(self) -> None:
        x = weft.zeros(4)
        x[[0, 2]] += 1
        x[1:] *= 10
        x[weft.tensor([True, False, False, True])] -= 5
        assert x.tolist() == [-4, 0, 10, -5]

    def test_repeated_places(self) -> None:
        """Setting: the last one wins. Accumulating: all count."""
        x = weft.zeros(3)
        x[[1, 1, 1]] = weft.tensor([5.0, 6.0, 7.0])
        assert x.tolist() == [0, 7, 0]
        x.index_put_((weft.tensor([1, 1]),), weft.tensor([1.0, 2.0]), accumulate=True)
        assert x.tolist() == [0, 10, 0]

    def test_overlapping_assignment(self) -> None:
        """What is read is what was there before."""
        x = weft.arange(5)
        x[1:] = x[:-1]
        assert x.tolist() == [0, 0, 1, 2, 3]


class TestAssignedValues:
    def test_are_converted(self) -> None:
        x = weft.zeros(3, dtype=weft.int32)
        x[0] = 2.9
        x[1] = weft.tensor(-1.5)
        x[2] = np.float64(7)
        assert x.dtype is weft.int32
        assert x.tolist() == [2, -1, 7]

    def test_sequences(self) -> None:
        x = weft.zeros(2, 2)
        x[0] = [1, 2]
        x[:, 1] = np.array([5, 6])
        assert x.tolist() == [[1, 5], [0, 6]]

    def test_a_mask_of_the_whole_tensor(self) -> None:
        x = weft.arange(4.0)
        x[x > 1] = 0
        assert x.tolist() == [0, 1, 0, 0]

    def test_leading_ones_are_dropped(self) -> None:
        x = weft.zeros(2, 3)
        x[0] = weft.ones(1, 1, 3)
        assert x[0].tolist() == [1, 1, 1]


class TestMistakes:
    """Beyond those in ``samples.py``: found only when the graph runs."""

    def test_out_of_range_changes_nothing(self) -> None:
        x = weft.tensor([0, 0, 0])
        x[weft.tensor([0, 3])] = 1
        with pytest.raises(IndexOutOfRange, match=r"index 3 .* size 3\n  recorded at .*test_index"):
            x.tolist()
        assert x.tolist() == [0, 0, 0]

    def test_out_of_range_spares_the_others(self) -> None:
        x = weft.arange(3.0)
        bad, good = x[weft.tensor([7])], x + 1
        assert good.tolist() == [1, 2, 3]
        with pytest.raises(IndexOutOfRange, match="index 7 is out of range"):
            bad.tolist()

    @pytest.mark.parametrize(
        ("index", "error", "message"),
        [
            (weft.tensor([0.0]), DTypeError, r"not weft.float32: convert it with .long\(\)"),
            (weft.zeros(3, dtype=weft.bool), ShapeError, r"\[3\] does not fit .* \[4\]"),
            ((0, 0, 0, 0), IndexOutOfRange, "too many indices: 4 for 3 dimensions"),
            ((..., ...), IndexOutOfRange, "only one"),
            ("a", TypeError, "an index must be an int, a slice"),
            (([0, 1], [0, 1, 2]), ShapeError, r"shapes \[2\] and \[3\] do not broadcast"),
        ],
        ids=repr,
    )
    def test_both_in_get_and_set(self, index: Any, error: type[Exception], message: str) -> None:
        x = source()
        with pytest.raises(error, match=message):
            x[index]
        with pytest.raises(error, match=message):
            x[index] = 0
        assert x.tolist() == source().tolist()


@pytest.mark.parametrize(
    "index",
    [
        weft.ones(3, dtype=weft.bool),
        weft.ones(1),
        1.0,
        (weft.tensor([0, 1, 2]), weft.tensor([0, 1])),
        "a",
    ],
    ids=["mask", "floats", "float", "lengths", "str"],
)
def test_what_cannot_be_an_index_is_an_index_error(index: Any) -> None:
    with pytest.raises(IndexError) as caught:
        weft.ones(4, 5)[index]
    assert isinstance(caught.value, weft.errors.IndexingError)


def test_one_integer_is_an_index_for_python() -> None:
    assert [1, 2][weft.tensor([1])] == 2
    for wrong in (weft.tensor(1.0), weft.tensor([0, 1])):
        with pytest.raises(TypeError, match="only one integer can be an index"):
            [1, 2][wrong]
