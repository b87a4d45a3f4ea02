"""Losses that hold the last layer: adaptive softmax, linear cross entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from side_by_side import assert_same, draw

import weft
import weft.nn.functional as F
from weft import nn
from weft.errors import DataError, DTypeError, ShapeError

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
        (lambda: linear(X, weft.ones(4, 8), T[:2], options=PIECES), ShapeError, r"shape \[2\]"),
        (lambda: Options(acc_policy="acurate"), ValueError, "Did you mean 'accurate'"),
        (lambda: Options(chunking_method="aspect_ratio:0"), ValueError, "or None"),
        (lambda: Options(batch_chunk_size=0), ValueError, "must be a positive int"),
        (lambda: Options(acc_dtype=weft.int64), ValueError, "must be a floating dtype"),
        (
            lambda: Options(batch_chunk_size=3, chunking_method="aspect_ratio").rows(
                64, 8, 32, weft.float32
            ),
            ValueError,
            r"\(which gives 16\) disagree",
        ),
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
Options = nn.LinearCrossEntropyOptions
PIECES = Options(batch_chunk_size=3)


# ---- in pieces


def of_classes(rows: int, dtype: weft.dtype = weft.float64) -> list[weft.Tensor]:
    weft.manual_seed(0)
    shapes = ((rows, 4), (9, 4), (9,))
    leaves = [weft.randn(*s, dtype=dtype, requires_grad=True) for s in shapes]
    return [*leaves, weft.randint(0, 9, (rows,))]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_pieces_give_what_the_whole_gives(reduction: str) -> None:
    for rows in (1, 3, 10):
        x, w, b, t = of_classes(rows)
        t[0] = -100
        results = []
        for options in (None, PIECES, Options()):
            factors = weft.arange(9.0, dtype=weft.float64)
            loss = linear(
                x, w, t, linear_bias=b, weight=factors, reduction=reduction, options=options
            )
            seed = weft.arange(1.0, loss.numel() + 1, dtype=weft.float64).reshape(loss.shape)
            grads = weft.autograd.grad(loss, [x, w, b], seed, create_graph=True)
            second = weft.autograd.grad(grads[0], [x, w], weft.ones_like(x), retain_graph=True)
            again = weft.autograd.grad(loss, [x, w, b], seed)  # the graph may be kept
            results.append([loss, *grads, *second, *again])
        for other in results[1:]:
            for a, b_ in zip(results[0], other, strict=True):
                np.testing.assert_allclose(b_.detach(), a.detach(), rtol=1e-9, atol=1e-12)


def test_pieces_of_16_bit_floats_add_up_in_float32() -> None:
    x, w, b, t = of_classes(400, weft.bfloat16)
    exact = [v.detach().double().requires_grad_() for v in (x, w, b)]
    wanted = linear(exact[0], exact[1], t, linear_bias=exact[2])
    found = linear(x, w, t, linear_bias=b, options=Options(batch_chunk_size=16))
    assert found.dtype is weft.bfloat16
    assert found.item() == pytest.approx(wanted.item(), rel=2**-8)
    (g,) = weft.autograd.grad(found, w)
    (exact_g,) = weft.autograd.grad(wanted, exact[1])
    np.testing.assert_allclose(g.double(), exact_g, rtol=2**-7, atol=1e-5)


@pytest.mark.parity
@pytest.mark.parametrize("method", ["auto", "aspect_ratio", "aspect_ratio:4", None])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_pieces_have_pytorchs_sizes(method: Any, dtype: str, torch: Any) -> None:
    for sizes in ((64, 8, 32), (100, 8, 5), (7, 3, 1000), (1, 1, 1), (33, 16, 100)):
        theirs = torch.nn.LinearCrossEntropyOptions(chunking_method=method)
        wanted = theirs._adjust(*sizes, getattr(torch, dtype), torch.device("cpu"))
        found = Options(chunking_method=method).rows(*sizes, getattr(weft, dtype))
        assert found == wanted.batch_chunk_size


def test_options_that_mean_nothing_are_warned_of() -> None:
    for shape, target, more in (
        ((4, 8), T, {"label_smoothing": 0.1}),
        ((4, 8), weft.ones(3, 4), {}),
        ((4, 2, 8), T.unsqueeze(1).expand(3, 2), {}),
    ):
        with pytest.warns(UserWarning, match="all rows are computed at once"):
            linear(X, weft.ones(*shape), target, options=PIECES, **more)
