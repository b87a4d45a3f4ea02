"""Losses that hold the last layer: adaptive softmax, linear cross entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from side_by_side import assert_same, draw

import weft
import weft.nn.functional as F
from weft import nn
from weft.errors import DataError, DTypeError, ShapeError, UnsupportedOp

TARGETS = np.array([0, 9, 3, 11, 4, 1, 6])


@pytest.mark.parity
@pytest.mark.parametrize("head_bias", [False, True])
@pytest.mark.parametrize(
    ("shape", "target"),
    [((7, 8), TARGETS), ((8,), np.array(9)), ((8,), np.array(2)), ((2, 8), np.array([4, 5]))],
)
def test_adaptive_log_softmax(shape: Any, target: Any, head_bias: bool, torch: Any) -> None:
    assert_same(
        lambda m: m.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], 2.0, head_bias),
        draw(*shape),
        target,
        torch=torch,
    )


@pytest.mark.parity
def test_adaptive_log_prob_and_predict(torch: Any) -> None:
    def log_prob(m: Any) -> Any:
        layer = m.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], 2.0)
        layer.forward = lambda x: (layer.log_prob(x), layer.predict(x))
        return layer

    assert_same(log_prob, draw(50, 8), torch=torch)


def test_adaptive_probabilities_are_consistent() -> None:
    weft.manual_seed(0)
    layer = nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], 2.0)
    x = weft.randn(7, 8)
    every = layer.log_prob(x)
    np.testing.assert_allclose(every.exp().sum(1).detach().numpy(), 1, rtol=1e-6)
    output, loss = layer(x, weft.tensor(TARGETS))
    wanted = every[weft.arange(7), weft.tensor(TARGETS)]
    np.testing.assert_allclose(output.detach().numpy(), wanted.detach().numpy(), rtol=1e-5)
    assert loss.item() == pytest.approx(-output.mean().item())
    before = layer.tail[1][0].weight.clone()
    layer.reset_parameters()
    assert not weft.equal(layer.tail[1][0].weight, before)


@pytest.mark.parity
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("shape", "places", "target"),
    [
        ((3, 5), (), np.array([0, 3, 1])),
        ((5,), (), np.array(2)),
        ((2, 5), (3, 2), np.array([[[0, 1], [2, 3], [1, 1]]] * 2)),
        ((3, 5), (), draw(3, 4)),
    ],
)
def test_linear_cross_entropy(shape: Any, places: Any, target: Any, bias: bool, torch: Any) -> None:
    assert_same(
        lambda m: m.LinearCrossEntropyLoss(
            5, 4, out_features=places, bias=bias, label_smoothing=0.1
        ),
        draw(*shape),
        target,
        torch=torch,
    )


X, T = weft.ones(3, 8), weft.tensor([0, 1, 2])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 12, []), ValueError, "ascend between 1 and"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 12, [7, 3]), ValueError, r"not \[7, 3\]"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 12]), ValueError, "n_classes - 1 = 11"),
        (lambda: adaptive()(X, T[:2]), ShapeError, r"a target \[N\].* not \[3, 8\] and \[2\]"),
        (lambda: adaptive()(X, T.float()), DTypeError, r"target.long\(\)"),
        (lambda: adaptive()(X, T + 10), DataError, "target 12 is none of the 12 classes"),
        (lambda: linear(X, weft.ones(4, 5), T), ShapeError, r"not \[3, 8\] and \[4, 5\]"),
        (lambda: linear(X[0], weft.ones(4, 2, 8), T), ShapeError, r"not \[8\] and \[4, 2, 8\]"),
        (
            lambda: linear(X, weft.ones(4, 8), T, linear_bias=weft.ones(8)),
            ShapeError,
            r"linear_bias must have shape \[4\], not \[8\]",
        ),
        (
            lambda: linear(X, weft.ones(4, 8), weft.ones(3, 4), ignore_index=1),
            ValueError,
            "no meaning for probabilities",
        ),
        (lambda: linear(X, weft.ones(4, 8), T, options=1), UnsupportedOp, "computing in pieces"),
        (
            lambda: F.cross_entropy(X, X.softmax(1), ignore_index=1),
            ValueError,
            "ignore_index=1 has no meaning",
        ),
        (lambda: nn.LinearCrossEntropyLoss(8, 4, weight=T), ShapeError, r"weight has shape \[3\]"),
        (lambda: nn.LinearCrossEntropyLoss(8, 4, label_smoothing=2.0), ValueError, "0 and 1"),
        (lambda: nn.HuberLoss(delta=1j), TypeError, "delta must be a number, not complex"),
    ],
)
def test_mistakes(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def adaptive() -> nn.Module:
    return nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7])


linear = F.linear_cross_entropy
