"""Embeddings and bags of them, beside PyTorch's, and their mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from side_by_side import assert_same, draw

import weft
import weft.nn.functional as F
from weft import nn
from weft.autograd import gradcheck, gradgradcheck
from weft.errors import DTypeError, ShapeError

IDS = np.array([[0, 2, 2], [4, 1, 2]])
FLAT, STARTS = np.array([0, 2, 2, 4, 1, 2]), np.array([0, 2, 2])

LAYERS: list[tuple[str, Any]] = [
    ("plain", {}),
    ("padding", {"padding_idx": 2}),
    ("negative padding", {"padding_idx": -1}),
    ("max_norm", {"max_norm": 1.0}),
    ("norm_type", {"max_norm": 1.0, "norm_type": 1.0}),
    ("frequency", {"scale_grad_by_freq": True, "padding_idx": 1}),
]


@pytest.mark.parity
@pytest.mark.parametrize("options", [x[1] for x in LAYERS], ids=[x[0] for x in LAYERS])
def test_embedding(options: Any, torch: Any) -> None:
    assert_same(lambda m: m.Embedding(5, 3, **options), IDS, torch=torch)


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding", [None, 2])
@pytest.mark.parametrize(
    ("arguments", "last"), [((IDS,), False), ((FLAT, STARTS), False), ((FLAT, [0, 2, 6]), True)]
)
def test_bag(arguments: Any, last: bool, padding: int | None, mode: str, torch: Any) -> None:
    def make(m: Any) -> Any:
        return m.EmbeddingBag(5, 3, mode=mode, padding_idx=padding, include_last_offset=last)

    assert_same(make, *map(np.array, arguments), torch=torch)


@pytest.mark.parity
def test_bag_with_weights_of_samples(torch: Any) -> None:
    assert_same(
        lambda m: m.EmbeddingBag(5, 3, mode="sum"),
        FLAT,
        STARTS,
        per_sample_weights=draw(6),
        torch=torch,
    )


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_gradients_of_first_and_second_order(mode: str) -> None:
    w = weft.tensor(draw(5, 3), requires_grad=True)
    ids = weft.tensor(IDS)
    assert gradgradcheck(lambda w: F.embedding(ids, w) ** 2, [w])
    assert gradcheck(lambda w: F.embedding_bag(ids, w, mode=mode), [w])
    assert gradgradcheck(lambda w: F.embedding_bag(ids, w, mode=mode) ** 2, [w])


def test_from_pretrained() -> None:
    table = weft.tensor(draw(4, 2))
    frozen = nn.Embedding.from_pretrained(table, padding_idx=1)
    assert not frozen.weight.requires_grad
    assert np.array_equal(frozen(weft.tensor([3, 1])).numpy(), table.numpy()[[3, 1]])
    assert nn.EmbeddingBag.from_pretrained(table, freeze=False).weight.requires_grad


def test_a_row_that_is_not_there_is_found_when_run_and_names_the_module() -> None:
    model = nn.Sequential(nn.Embedding(5, 2))
    y = model(weft.tensor([1, 5]))
    with pytest.raises(IndexError, match="index 5 is out of range") as caught:
        y.detach().numpy()
    assert "module '0'" in str(caught.value)
    with pytest.raises(IndexError, match="index -1 is out of range"):
        model(weft.tensor([-1])).detach().numpy()


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: nn.Embedding(3, 2)(weft.ones(2)), DTypeError, r"\.long\(\)"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), ValueError, "padding_idx=3"),
        (lambda: F.embedding(weft.tensor([1]), weft.ones(3)), ShapeError, "rows, features"),
        (lambda: nn.Embedding(3, 2, _weight=weft.ones(2, 2)), ShapeError, r"\[3, 2\]"),
        (lambda: F.embedding_bag(weft.tensor([1]), weft.ones(3, 2)), ValueError, "need offsets"),
        (
            lambda: F.embedding_bag(weft.tensor([[1]]), weft.ones(3, 2), mode="min"),
            ValueError,
            "'min'",
        ),
        (
            lambda: F.embedding_bag(
                weft.tensor([[1]]), weft.ones(3, 2), per_sample_weights=weft.ones(1, 1)
            ),
            NotImplementedError,
            "mode='sum'",
        ),
    ],
)
def test_mistakes(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()
