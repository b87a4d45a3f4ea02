"""Losses and distances as layers, and what samples of functions do not show."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from side_by_side import assert_same, draw

import weft
import weft.nn.functional as F
from weft import nn
from weft.autograd import gradcheck, gradgradcheck
from weft.errors import DataError, DTypeError, ShapeError
from weft.nn import distance, loss, loss_heads

Make = Callable[[Any], Any]


def chances(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(0.05, 0.95, shape)


SIGNS = np.sign(draw(3, 4, seed=5))
ROWS, OTHERS, MORE = draw(3, 4), draw(3, 4, seed=1), draw(3, 4, seed=2)
CLASSES = np.array([0, 3, 1])

# (layer made from a library's nn, inputs)
LAYERS: list[tuple[Make, tuple[Any, ...]]] = [
    (lambda m: m.L1Loss(), (ROWS, OTHERS)),
    (lambda m: m.L1Loss(reduction="sum"), (ROWS, OTHERS)),
    (lambda m: m.MSELoss(reduction="none"), (ROWS, OTHERS)),
    (lambda m: m.SmoothL1Loss(beta=0.5), (ROWS, OTHERS)),
    (lambda m: m.HuberLoss("sum", 0.5), (ROWS, OTHERS)),
    (lambda m: m.PoissonNLLLoss(), (ROWS, chances(3, 4))),
    (lambda m: m.PoissonNLLLoss(False, True, eps=0.1), (chances(3, 4), 4 * chances(3, 4))),
    (lambda m: m.GaussianNLLLoss(full=True), (ROWS, OTHERS, chances(3, 4))),
    (lambda m: m.GaussianNLLLoss(eps=0.5), (ROWS, OTHERS, chances(3, 1))),
    (lambda m: m.BCELoss(), (chances(3, 4), chances(3, 4, seed=1))),
    (lambda m: m.BCEWithLogitsLoss(), (ROWS, chances(3, 4))),
    (lambda m: m.KLDivLoss(reduction="batchmean"), (ROWS, chances(3, 4))),
    (lambda m: m.KLDivLoss(reduction="sum", log_target=True), (ROWS, OTHERS)),
    (lambda m: m.HingeEmbeddingLoss(0.5), (ROWS, SIGNS)),
    (lambda m: m.MarginRankingLoss(0.5), (ROWS, OTHERS, SIGNS)),
    (lambda m: m.CosineEmbeddingLoss(0.1), (ROWS, OTHERS, SIGNS[:, 0])),
    (lambda m: m.SoftMarginLoss(), (ROWS, SIGNS > 0)),
    (lambda m: m.MultiMarginLoss(2, 0.7), (ROWS, CLASSES)),
    (lambda m: m.MultiLabelMarginLoss(), (ROWS, np.array([[1, 2, -1, 0], [0, -1, 0, 0], [3] * 4]))),
    (lambda m: m.MultiLabelSoftMarginLoss(), (ROWS, chances(3, 4))),
    (lambda m: m.TripletMarginLoss(0.5, swap=True), (ROWS, OTHERS, MORE)),
    (lambda m: m.TripletMarginWithDistanceLoss(), (ROWS, OTHERS, MORE)),
    (
        lambda m: m.TripletMarginWithDistanceLoss(
            distance_function=m.CosineSimilarity(1), margin=3.0, swap=True
        ),
        (ROWS, OTHERS, MORE),
    ),
    (lambda m: m.CTCLoss(3, "sum"), (draw(5, 2, 4), np.array([[0, 1], [2, 2]]), [5, 4], [1, 2])),
    (lambda m: m.CosineSimilarity(0), (ROWS, OTHERS)),
    (lambda m: m.PairwiseDistance(1, 0.1, True), (ROWS, OTHERS)),
]


@pytest.mark.parity
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("make", "inputs"), LAYERS, ids=[repr(m(nn)) for m, _ in LAYERS])
def test_layer(make: Make, inputs: Any, dtype: str, torch: Any) -> None:
    def frozen(m: Any) -> Any:
        """PyTorch has no gradient for some targets."""
        layer = make(m)
        forward = layer.forward
        layer.forward = lambda x, *rest: forward(x, *(without_gradient(r) for r in rest))
        return layer

    assert_same(frozen, *inputs, torch=torch, dtype=dtype)


def without_gradient(value: Any) -> Any:
    if not hasattr(value, "detach"):
        return value
    value = value.detach()
    return value * 2.0 - 1.0 if str(value.dtype).endswith("bool") else value


@pytest.mark.parity
@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (lambda m, w: m.BCELoss(w), (chances(3, 4), chances(3, 4))),
        (lambda m, w: m.BCEWithLogitsLoss(w, pos_weight=2 * w), (ROWS, chances(3, 4))),
        (lambda m, w: m.MultiMarginLoss(weight=w), (ROWS, CLASSES)),
        (lambda m, w: m.MultiLabelSoftMarginLoss(w), (ROWS, chances(3, 4))),
        (lambda m, w: m.NLLLoss(w), (ROWS, CLASSES)),
        (lambda m, w: m.CrossEntropyLoss(w), (ROWS, CLASSES)),
    ],
)
def test_weights_are_buffers(make: Any, inputs: Any, torch: Any) -> None:
    weight = chances(4, seed=3)

    def weighted(m: Any) -> Any:
        return make(m, (weft if m is nn else torch).tensor(weight))

    assert_same(weighted, *inputs, torch=torch)


@pytest.mark.parity
@pytest.mark.parametrize("name", [n for m in (loss, loss_heads, distance) for n in m.__all__])
def test_signature(name: str, torch: Any) -> None:
    ours, theirs = (
        [
            (p.name, p.kind, p.default)
            for method in ("__init__", "forward")
            for p in inspect.signature(getattr(getattr(m, name), method)).parameters.values()
        ]
        for m in (nn, torch.nn)
    )
    assert ours == theirs


# ---- CTC


def ctc(lib: Any, f: Any, logits: Any, *args: Any, **options: Any) -> tuple[Any, Any]:
    x = lib.tensor(logits, requires_grad=True)
    targets, *lengths = args
    loss = f.ctc_loss(f.log_softmax(x, -1), lib.tensor(targets), *lengths, **options)
    (g,) = lib.autograd.grad(loss[loss < 1e9].sum(), x)
    return loss.detach().numpy(), g.numpy()


ONE_ROW, PADDED = [1, 2, 3, 1, 1, 2, 4, 4], [[1, 2, 3], [1, 1, 2], [4, 4, 0]]


@pytest.mark.parity
@pytest.mark.parametrize(
    ("shape", "args", "options"),
    [
        ((9, 3, 5), (PADDED, [9, 7, 9], [3, 3, 2]), {}),
        ((9, 3, 5), (PADDED, (9, 7, 9), (3, 3, 2)), {"reduction": "none"}),
        ((9, 3, 5), (ONE_ROW, [9, 7, 9], [3, 3, 2]), {"reduction": "sum"}),
        ((9, 3, 5), (PADDED, [9, 9, 3], [0, 1, 2]), {"reduction": "none"}),
        ((6, 5), ([1, 2, 2], [6], [3]), {}),
        ((6, 5), ([1, 2], [5], [2]), {"reduction": "none"}),
        ((4, 2, 5), ([[1, 1, 1], [1, 2, 3]], [4, 4], [3, 3]), {"zero_infinity": True}),
        ((4, 2, 5), ([[0, 1], [3, 3]], [4, 4], [2, 2]), {"blank": 4}),
        ((4, 2, 5), ([[1, 2], [1, 2]], [0, 4], [0, 2]), {"reduction": "none"}),
    ],
)
def test_ctc_loss(shape: tuple[int, ...], args: Any, options: Any, torch: Any) -> None:
    given = 2 * draw(*shape)
    ours, theirs = (
        ctc(lib, f, given, *args, **options) for lib, f in ((weft, F), (torch, torch.nn.functional))
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, 1e-9, 1e-12)


def test_ctc_loss_is_minus_the_log_of_all_alignments() -> None:
    """By trying all paths of four steps over three classes."""
    p = np.exp(weft.log_softmax(weft.tensor(draw(4, 3)), 1).numpy())
    total = 0.0
    for path in np.ndindex(3, 3, 3, 3):
        merged = [c for k, c in enumerate(path) if k == 0 or c != path[k - 1]]
        if [c for c in merged if c != 0] == [1, 1]:
            total += np.prod(p[range(4), path])
    loss = F.ctc_loss(weft.tensor(np.log(p)), weft.tensor([1, 1]), [4], [2], reduction="sum")
    assert loss.item() == pytest.approx(-np.log(total), rel=1e-12)


def test_ctc_loss_gradients() -> None:
    def loss(x: Any) -> Any:
        return F.ctc_loss(F.log_softmax(x, -1), weft.tensor([[1, 2], [2, 2]]), [4, 4], [2, 2])

    x = weft.tensor(draw(4, 2, 3), requires_grad=True)
    assert gradcheck(loss, (x,))
    assert gradgradcheck(loss, (x,))


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:ctc_loss")
def test_ctc_loss_of_all_lengths(torch: Any) -> None:
    """Nothing to align, too much, nothing at all; gradients in one op and step by step."""
    rng = np.random.default_rng(0)
    for _ in range(25):
        steps, count, classes, most = rng.integers((1, 1, 2, 1), (12, 5, 6, 6))
        x, targets = (
            rng.normal(size=(steps, count, classes)),
            rng.integers(1, classes, (count, most)),
        )
        lengths = rng.integers(0, steps + 1, count), rng.integers(0, most + 1, count)
        results = []
        for lib, f in ((weft, F), (torch, torch.nn.functional)):
            z = lib.tensor(x, requires_grad=True)
            given = (f.log_softmax(z, -1), *map(lib.tensor, (targets, *lengths)))
            loss = f.ctc_loss(*given, reduction="sum", zero_infinity=True)
            results += [loss, lib.autograd.grad(loss, z, retain_graph=True)[0]]
            if lib is weft:
                again = weft.autograd.grad(loss, z, create_graph=True)[0]
        ours, gradient, theirs, wanted = (r.detach().numpy() for r in results)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(gradient, np.nan_to_num(wanted), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(again.detach(), gradient, rtol=1e-6, atol=1e-9)


def test_ctc_loss_that_cannot_be_aligned() -> None:
    x = weft.zeros(2, 1, 3, requires_grad=True)
    loss = F.ctc_loss(F.log_softmax(x, 2), weft.tensor([[1, 1]]), [2], [2])
    assert loss.item() == float("inf")
    loss.backward()
    assert np.isfinite(x.grad.numpy()).all()
    impossible = weft.tensor([[[0.0, -np.inf]]])
    assert F.ctc_loss(impossible, weft.tensor([[1]]), [1], [1]).item() == float("inf")


# ---- where probabilities end


@pytest.mark.parity
def test_saturated_probabilities(torch: Any) -> None:
    p, t = [0.0, 1.0, 0.5, 0.0, 1.0, 1e-30], [0.0, 1.0, 1.0, 1.0, 0.0, 1.0]
    results = []
    for lib, f in ((weft, F), (torch, torch.nn.functional)):
        x = lib.tensor(p, requires_grad=True)
        loss = f.binary_cross_entropy(x, lib.tensor(t), reduction="none")
        results.append((loss.detach().numpy(), lib.autograd.grad(loss.sum(), x)[0].numpy()))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, 1e-6)


def test_logits_far_out() -> None:
    x = weft.tensor([-1e4, 1e4, -1e4, 1e4], requires_grad=True)
    t = weft.tensor([0.0, 1.0, 1.0, 0.0])
    loss = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    np.testing.assert_array_equal(loss.detach().numpy(), [0, 0, 1e4, 1e4])
    loss.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0, 0, -1, 1])


def test_soft_margin_loss_does_not_overflow() -> None:
    loss = F.soft_margin_loss(weft.tensor([-1e4, 1e4]), weft.ones(2), reduction="none")
    np.testing.assert_array_equal(loss.numpy(), [1e4, 0])


@pytest.mark.parametrize("kind", [weft.float16, weft.bfloat16])
def test_means_of_16_bits_are_taken_in_32(kind: Any) -> None:
    x = weft.full((300, 300), 2.0, dtype=kind)  # more elements than float16 counts to
    assert F.l1_loss(x, weft.zeros_like(x)).item() == 2.0


# ---- mistakes


def test_operands_that_broadcast() -> None:
    x = weft.ones(4, 1)
    for f in (F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.soft_margin_loss):
        with pytest.raises(ShapeError, match=r"\[4, 1\] and the target \[4\].*wrong loss"):
            f(x, weft.ones(4))
    with pytest.warns(UserWarning, match=r"l1_loss.*\[4, 3\].*\[3\].*expand_as") as caught:
        assert F.l1_loss(weft.ones(4, 3), weft.zeros(3)).item() == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        for _ in range(3):
            F.l1_loss(weft.ones(4, 3), weft.zeros(3))
    assert len(found) == 1


def test_flags_of_old() -> None:
    x, t = weft.tensor([1.0, 3.0]), weft.zeros(2)
    with pytest.warns(UserWarning, match="use reduction='sum'"):
        assert nn.L1Loss(size_average=False)(x, t).item() == 4
    with pytest.warns(UserWarning, match="use reduction='none'"):
        assert F.mse_loss(x, t, reduce=False).tolist() == [1, 9]
    with pytest.warns(FutureWarning, match="use NLLLoss"):
        assert isinstance(nn.NLLLoss2d(), nn.NLLLoss)
    with pytest.warns(UserWarning, match="'batchmean' divides by the size of the batch"):
        nn.KLDivLoss()(x, t.exp())


LOGITS, TARGETS = weft.ones(3, 4), weft.tensor([0, 3, 1])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: nn.MSELoss(LOGITS, LOGITS), TypeError, r"nn.MSELoss\(\)\(input, target\)"),
        (lambda: nn.HuberLoss(LOGITS), TypeError, "HuberLoss takes options, not data"),
        (lambda: nn.CrossEntropyLoss(LOGITS, TARGETS), TypeError, "make the loss first"),
        (lambda: nn.L1Loss(reduction="avg"), ValueError, "must be 'mean', 'sum' or 'none'"),
        (lambda: nn.BCELoss(reduction="batchmean"), ValueError, "must be 'mean', 'sum' or 'none'"),
        (lambda: nn.MultiMarginLoss(3), ValueError, "p must be 1 or 2"),
        (lambda: nn.TripletMarginLoss(0), ValueError, "margin must be positive"),
        (lambda: F.nll_loss(LOGITS, LOGITS.long()), ShapeError, r"pass target.argmax\(1\)$"),
        (lambda: F.nll_loss(LOGITS.long(), TARGETS), DTypeError, "floating log probabilities"),
        (lambda: F.cross_entropy(LOGITS, LOGITS.long()), ShapeError, "or probabilities as target"),
        (lambda: F.cross_entropy(LOGITS[0], LOGITS[0].long()), ShapeError, r"argmax\(0\)"),
        (lambda: nn.BCELoss()(LOGITS * 3, LOGITS).item(), DataError, "binary_cross_entropy_with_l"),
        (lambda: nn.BCELoss()(LOGITS, TARGETS), ShapeError, "use cross_entropy"),
        (lambda: nn.BCEWithLogitsLoss()(LOGITS, LOGITS.long()), DTypeError, r"target.float\(\)"),
        (lambda: F.ctc_loss(LOGITS.half(), TARGETS, [3], [3]), DTypeError, "float32 or float64"),
        (lambda: F.ctc_loss(LOGITS[0], TARGETS, [3], [3]), ShapeError, r"\[T, N, C\] or \[T, C\]"),
        (lambda: F.ctc_loss(LOGITS, TARGETS, [3], [3], 9), ValueError, "none of the 4 classes"),
        (lambda: F.ctc_loss(LOGITS, TARGETS, [4], [1]), ValueError, "between 0 and 3, not 4"),
        (
            lambda: F.ctc_loss(LOGITS, TARGETS, [3, 3], [1]),
            ShapeError,
            "2 lengths for a batch",
        ),
        (
            lambda: F.ctc_loss(LOGITS, TARGETS + 4, [3], [3]).item(),
            DataError,
            "target 4 is none of",
        ),
        (
            lambda: F.ctc_loss(LOGITS, TARGETS[None], weft.tensor([4]), [1]).item(),
            DataError,
            "input_lengths must be between 0 and 3, not 4",
        ),
        (lambda: F.ctc_loss(LOGITS, TARGETS, [3], [2]), ShapeError, "up to 2, but there are 3"),
        (lambda: F.ctc_loss(LOGITS, TARGETS.float(), [3], [2]), DTypeError, "must be integers"),
    ],
)
def test_mistakes(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_a_label_that_is_the_blank() -> None:
    with pytest.warns(UserWarning, match="a target is 0, which is the blank"):
        F.ctc_loss(LOGITS, TARGETS, [3], [3])
