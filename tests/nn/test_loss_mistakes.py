"""What each loss says when it is given something else, with the path of its module."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import weft
from weft import nn
from weft.errors import DTypeError, ShapeError

ROWS = weft.rand(4, 3)
CLASSES = weft.tensor([0, 1, 2, 0])

#: Losses of two tensors of floating values in one shape.
ELEMENTWISE = [
    *("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "PoissonNLLLoss", "SoftMarginLoss"),
    *("HingeEmbeddingLoss", "MultiLabelSoftMarginLoss", "KLDivLoss", "BCELoss"),
    *("BCEWithLogitsLoss", "FocalLoss"),
]
#: These do not broadcast at all.
STRICT = ("BCELoss", "BCEWithLogitsLoss", "FocalLoss")


def message(name: str, *args: Any) -> str:
    class Step(nn.Module):
        def __init__(self) -> None:
            self.loss = getattr(nn, name)()

        def forward(self, *args: Any) -> Any:
            return self.loss(*args)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises((ShapeError, DTypeError, TypeError)) as caught:
            weft.realize(Step()(*args))
    text = str(caught.value) + "".join(getattr(caught.value, "__notes__", []))
    assert "'loss'" in text
    assert name in text
    return text


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_both_operands_broadcast(name: str) -> None:
    text = message(name, weft.rand(4, 1), weft.rand(4))
    assert "[4, 1]" in text
    assert "[4]" in text
    if name != "FocalLoss":
        assert "squeeze(-1)" in text


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_one_operand_broadcasts(name: str) -> None:
    loss = getattr(nn, name)()
    if name in STRICT:
        assert "not [4, 3] and [3]" in message(name, ROWS, ROWS[0])
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")  # once for a line
        for _ in range(3):
            loss(ROWS, ROWS[0])
    found = [w for w in caught if "the smaller is broadcast" in str(w.message)]
    assert len(found) == 1
    assert "[4, 3] and the target [3]" in str(found[0].message)
    assert found[0].filename == __file__


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_class_indices_in_place_of_values(name: str) -> None:
    text = message(name, ROWS, CLASSES)
    assert "use cross_entropy" in text
    assert "one_hot(target, 3).float()" in text


@pytest.mark.parametrize("name", [*ELEMENTWISE, "CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"])
def test_arrays_and_numbers(name: str) -> None:
    assert "not int: weft.tensor(x) makes one of it" in message(name, ROWS, 3)
    assert "weft.from_numpy(x) makes one of it" in message(name, ROWS, ROWS.numpy())


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"])
def test_losses_of_classes(name: str) -> None:
    one_hot = nn.functional.one_hot(CLASSES, 3)
    assert "pass target.argmax(1)" in message(name, ROWS, one_hot)
    assert "target.squeeze(-1)" in message(name, ROWS, CLASSES.unsqueeze(1))
    assert "(3 classes) the target holds class indices of shape [4]" in message(
        name, ROWS, CLASSES[:3]
    )
    assert "write target.long()" in message(name, ROWS, CLASSES.float())
    text = message(name, weft.rand(4, 1), weft.rand(4))
    assert "binary_cross_entropy_with_logits, with input.squeeze(1)" in text


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
def test_classes_that_come_last(name: str) -> None:
    text = message(name, weft.rand(2, 8, 8, 5), weft.zeros(2, 8, 8, dtype=weft.int64))
    assert (
        "The classes seem to come last: they belong after the batch, x.permute(0, 3, 1, 2)" in text
    )


def test_probabilities_in_place_of_their_logarithms() -> None:
    with pytest.warns(UserWarning, match="kl_div: its input is the result of a softmax"):
        nn.KLDivLoss(reduction="batchmean")(ROWS.softmax(1), ROWS.softmax(1))
