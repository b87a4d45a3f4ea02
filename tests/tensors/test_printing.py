"""Tensors print as PyTorch's do, so that eyes, habits and doctests carry over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import inf, nan
from typing import Any

import numpy as np
import pytest

import weft
from weft.tensors.printing import PrintOptions


@pytest.fixture(autouse=True)
def default_options() -> Iterator[None]:
    yield
    weft.set_printoptions(profile="default")


# ---- what is printed, without PyTorch


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (weft.tensor(1.0), "tensor(1.)"),
        (weft.tensor([1, -20]), "tensor([  1, -20])"),
        (weft.tensor([1.5, nan, inf]), "tensor([1.5000,    nan,    inf])"),
        (weft.tensor([[True, False]]), "tensor([[ True, False]])"),
        (weft.tensor([1e-6, 1.0]), "tensor([1.0000e-06, 1.0000e+00])"),
        (weft.zeros(2, 0), "tensor([], size=(2, 0))"),
        (weft.tensor([1.0], dtype=weft.float64), "tensor([1.], dtype=weft.float64)"),
        (weft.tensor([1.0], requires_grad=True), "tensor([1.], requires_grad=True)"),
        (weft.tensor(2.0, requires_grad=True) * 3, "tensor(6., grad_fn=<MulBackward>)"),
        (weft.arange(1001), "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
        (
            weft.nn.Parameter(weft.zeros(1)),
            "Parameter containing:\ntensor([0.], requires_grad=True)",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_text(tensor: weft.Tensor, text: str) -> None:
    assert repr(tensor) == text
    assert str(tensor) == text


def test_format() -> None:
    """A single number takes a number's format; anything else prints as a whole."""
    assert f"{weft.tensor(0.123456):.2f}" == "0.12"
    assert f"{weft.tensor(7):>4d}" == "   7"
    assert f"{weft.tensor([1, 2])}" == "tensor([1, 2])"


def test_options_are_restored_by_profile() -> None:
    weft.set_printoptions(precision=2, threshold=5, edgeitems=1, linewidth=40, sci_mode=True)
    assert repr(weft.tensor([0.5])) == "tensor([5.00e-01])"
    weft.set_printoptions(profile="default")
    assert (PrintOptions.precision, PrintOptions.sci_mode) == (4, None)
    assert repr(weft.tensor([0.5])) == "tensor([0.5000])"


def test_printing_leaves_the_tensor_alone() -> None:
    x = weft.tensor([2.0], requires_grad=True)
    y = x * x
    repr(y)
    y.backward()
    assert x.grad.tolist() == [4]


# ---- the same as PyTorch's, character for character


def draw(*shape: int, scale: float = 1.0) -> Any:
    return np.random.default_rng(len(shape)).normal(scale=scale, size=shape)


ARRAYS: list[Any] = [
    # single numbers
    *(0.0, -0.0, 1.0, -1.5, 3.14159265, 1e-8, 1e8, 123456789.0, 1e30, nan, inf, -inf, 0.1),
    *(0, 7, -3, 2**40, True, False),
    # vectors: whole, fractional, mixed magnitudes
    *([], [0.0], [1.0, 2.0, 3.0], [-1.0, 100.0], [0.5, 0.25], [1.0, 0.5], [1000.0, 0.1]),
    *([1e-5, 1.0], [1e-4, 1.0], [9.9e-5, 0.5], [1e5, 1.5], [1e8, 1.0], [1e9, 2e9], [1e-10, 1e-9]),
    *([1234.5678, 0.001], [99999.0, 1.0], [1001.0, 1.0], [1000.0, 1.0], [1e7, 2e7], [0.0, 1e-9]),
    *([nan], [nan, 1.0], [inf, -inf], [inf, 1.5], [nan, 1e10], [inf, 2.0, nan], [-0.0, 0.0]),
    *([1, 2, 3], [-1, 10, -100], [2**62, -1], [True, False, True], [0.1 + 0.2, 1 / 3]),
    # more dimensions
    *([[1.0, 2.0], [3.0, 4.5]], [[[1, 2]], [[3, 4]]], np.zeros((2, 3, 4)), np.ones((1, 1, 1, 1))),
    *(np.zeros((0,)), np.zeros((0, 3)), np.zeros((3, 0)), np.zeros((2, 0, 4)), np.zeros((1, 0))),
    *(draw(3, 4), draw(2, 2, 2), draw(2, 3, scale=1e-6), draw(2, 3, scale=1e6), draw(2, 1, 3, 2)),
    # longer than a line, and than the threshold
    *(np.arange(30), np.arange(50.0), draw(40), draw(3, 25), np.arange(60).reshape(2, 30) > 20),
    *(np.arange(1000), np.arange(1001), np.arange(2000.0), draw(2000), draw(100, 100)),
    *(draw(2, 600), draw(20, 20, 20), draw(1, 2000), np.arange(1200).reshape(6, 200)),
    *(draw(7, 7, 7, 7), np.full((1500,), nan), np.concatenate([np.zeros(1500), [1e9]])),
    np.where(np.arange(1100) == 500, 1e9, 0.5),  # what is not shown does not count
]
DTYPES = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"]


def pair(torch: Any, value: Any, dtype: str | None = None, **options: Any) -> tuple[str, str]:
    texts = []
    for lib in (weft, torch):
        kind = None if dtype is None else getattr(lib, dtype)
        texts.append(repr(lib.tensor(value, dtype=kind, **options)))
    # "weft." is shorter than "torch.", so a dtype may find room in the line where theirs does not.
    found, wanted = (re.sub(r",\s+dtype=\w+\.", ", dtype=", text) for text in texts)
    return found, wanted


@pytest.mark.parity
class TestLikePyTorch:
    @pytest.mark.parametrize("value", ARRAYS, ids=lambda v: str(np.shape(v)))
    def test_values(self, value: Any, torch: Any) -> None:
        found, wanted = pair(torch, value)
        assert found == wanted

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_dtypes(self, dtype: str, torch: Any) -> None:
        whole = [1.0, 2.0, 100.0], [], [[0.0]], [0.0, 1.0], np.arange(40) % 3, np.zeros((2, 0))
        for value in whole if dtype in {"uint8", "int64", "int32", "bool"} else ARRAYS:
            if dtype == "float16" and np.size(value) and np.abs(np.nan_to_num(value)).max() > 6e4:
                continue
            found, wanted = pair(torch, value, dtype)
            assert found == wanted

    @pytest.mark.parametrize(
        "options",
        [
            {"precision": 2},
            {"precision": 0},
            {"precision": 8, "linewidth": 60},
            {"threshold": 3},
            {"threshold": 10, "edgeitems": 1},
            {"linewidth": 30},
            {"sci_mode": True},
            {"sci_mode": False},
            {"profile": "short"},
            {"profile": "full"},
            {"edgeitems": 5, "threshold": 100},
            {"edgeitems": 0, "threshold": 10},
        ],
        ids=str,
    )
    def test_options(self, options: Any, torch: Any) -> None:
        torch.set_printoptions(profile="default")
        try:
            weft.set_printoptions(**options)
            torch.set_printoptions(**options)
            for value in ARRAYS:
                if np.size(value) <= 2000:
                    found, wanted = pair(torch, value)
                    assert found == wanted
        finally:
            torch.set_printoptions(profile="default")
            torch._tensor_str.PRINT_OPTS.sci_mode = None

    @pytest.mark.parametrize("value", [1.0, [1.0, 2.5], draw(3, 25), draw(60), np.zeros((2, 0))])
    def test_requires_grad(self, value: Any, torch: Any) -> None:
        """The suffix moves to a line of its own where the last one is full."""
        found, wanted = pair(torch, value, "float32", requires_grad=True)
        assert found == wanted

    @pytest.mark.parametrize("length", range(1, 60, 2))
    def test_suffix_after_a_line_of_any_length(self, length: int, torch: Any) -> None:
        found, wanted = pair(torch, np.ones(length), "float32", requires_grad=True)
        assert found == wanted

    def test_views_and_results(self, torch: Any) -> None:
        for lib in (weft, torch):
            lib.manual_seed(0)
        found, wanted = (
            repr(lib.arange(24.0).reshape(2, 3, 4).transpose(0, 2)[1:] / 7) for lib in (weft, torch)
        )
        assert found == wanted

    def test_default_dtype(self, torch: Any) -> None:
        """What is the default is not said."""
        for lib in (weft, torch):
            lib.set_default_dtype(lib.float64)
        try:
            for dtype in ("float64", "float32", "int64"):
                found, wanted = pair(torch, [1.0, 2.0], dtype)
                assert found == wanted
        finally:
            for lib in (weft, torch):
                lib.set_default_dtype(lib.float32)

    def test_size_and_dtype(self, torch: Any) -> None:
        for shape in ((), (2,), (2, 3)):
            assert repr(weft.zeros(shape).shape) == repr(torch.zeros(shape).shape).replace(
                "torch", "weft"
            )
        for name in DTYPES:
            assert repr(getattr(weft, name)) == f"weft.{name}"
