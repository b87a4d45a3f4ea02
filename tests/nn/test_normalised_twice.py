"""A softmax or sigmoid before a loss that takes its own is warned of, and nothing else is."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import weft
import weft.nn.functional as F
from weft import nn

T = weft.tensor([0, 2])


def _x() -> Any:
    return weft.randn(2, 3, requires_grad=True)


def _by_hand(x: Any) -> Any:
    e = x.exp()
    return e / e.sum(1, keepdim=True)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda: F.cross_entropy(F.softmax(_x(), 1), T), "cross_entropy: .*softmax.*logits"),
        (lambda: nn.CrossEntropyLoss()(nn.Softmax(dim=-1)(_x()), T), "cross_entropy: .*softmax"),
        (lambda: F.cross_entropy(_by_hand(_x()), T), "cross_entropy: .*softmax"),
        (lambda: F.cross_entropy(_x()[0].softmax(0), T[0]), "cross_entropy: .*softmax"),
        (lambda: F.cross_entropy(weft.randn(2, 3).softmax(1), T), "cross_entropy: .*softmax"),
        (lambda: F.cross_entropy(_x().softmax(1).double(), T), "cross_entropy: .*softmax"),
        (lambda: F.nll_loss(_x().softmax(1), T), "nll_loss: .*use log_softmax"),
        (
            lambda: nn.BCEWithLogitsLoss()(nn.Sigmoid()(_x()), weft.ones(2, 3)),
            "binary_cross_entropy_with_logits: .*sigmoid.*logits",
        ),
    ],
)
def test_warned_of(loss: Any, message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        loss()


@pytest.mark.parametrize(
    "loss",
    [
        lambda: F.cross_entropy(_x(), T),
        lambda: F.cross_entropy(F.log_softmax(_x(), 1), T),
        lambda: F.cross_entropy(F.softmax(_x(), 0), T),  # over samples: attention, perhaps
        lambda: F.cross_entropy(_x() / _x().sum(1, keepdim=True), T),
        lambda: F.cross_entropy(_x().exp() / 2, T),
        lambda: F.cross_entropy(_x().softmax(1) * 10, T),
        lambda: F.nll_loss(_x().log_softmax(1), T),
        lambda: F.nll_loss(_x().softmax(1).log(), T),
        lambda: F.cross_entropy(_x(), _x().detach().softmax(1)),  # as the target
        lambda: F.binary_cross_entropy(_x().sigmoid(), weft.ones(2, 3)),
        lambda: F.binary_cross_entropy_with_logits(_x(), _x().detach().sigmoid()),
    ],
)
def test_no_false_alarm(loss: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss()
