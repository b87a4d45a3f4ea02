"""Every layer and its function against PyTorch: outputs, all gradients, state, repr."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.nn.functional as F
from weft import nn

torch = pytest.importorskip("torch", reason="PyTorch is compared with: pip install 'weft[parity]'")

Make = Callable[[Any], Any]

# (layer made from a library's nn, shape of the input)
LAYERS: list[tuple[str, Make, tuple[int, ...]]] = [
    ("Identity", lambda m: m.Identity(), (3, 4)),
    ("Linear", lambda m: m.Linear(5, 3), (4, 5)),
    ("Linear 1-D", lambda m: m.Linear(5, 3), (5,)),
    ("Linear 3-D", lambda m: m.Linear(5, 3), (2, 4, 5)),
    ("Linear no bias", lambda m: m.Linear(5, 3, bias=False), (4, 5)),
    ("Linear empty batch", lambda m: m.Linear(5, 3), (0, 5)),
    ("Linear without features", lambda m: m.Linear(0, 3), (4, 0)),
    ("Conv1d", lambda m: m.Conv1d(2, 4, 3, padding=1), (2, 2, 7)),
    ("Conv2d", lambda m: m.Conv2d(3, 4, 3), (2, 3, 8, 9)),
    ("Conv2d unbatched", lambda m: m.Conv2d(3, 4, 3), (3, 8, 9)),
    (
        "Conv2d stride",
        lambda m: m.Conv2d(3, 4, (3, 2), stride=(2, 3), padding=(1, 0)),
        (2, 3, 8, 9),
    ),
    ("Conv2d dilation", lambda m: m.Conv2d(3, 4, 3, dilation=2, bias=False), (2, 3, 8, 9)),
    ("Conv2d groups", lambda m: m.Conv2d(4, 6, 3, groups=2), (2, 4, 6, 6)),
    ("Conv2d depthwise", lambda m: m.Conv2d(4, 4, 3, groups=4, padding=1), (2, 4, 6, 6)),
    ("Conv2d same", lambda m: m.Conv2d(3, 4, (4, 3), padding="same"), (2, 3, 8, 9)),
    ("Conv2d valid", lambda m: m.Conv2d(3, 4, 3, padding="valid"), (2, 3, 8, 9)),
    ("Conv3d", lambda m: m.Conv3d(2, 3, 2, stride=2), (2, 2, 5, 6, 4)),
    ("MaxPool1d", lambda m: m.MaxPool1d(2), (2, 3, 9)),
    ("MaxPool2d", lambda m: m.MaxPool2d(2), (2, 3, 9, 8)),
    ("MaxPool2d unbatched", lambda m: m.MaxPool2d(2), (3, 9, 8)),
    ("MaxPool2d overlap", lambda m: m.MaxPool2d(3, stride=2, padding=1), (2, 3, 9, 8)),
    ("MaxPool2d ceil", lambda m: m.MaxPool2d(3, 2, ceil_mode=True), (2, 3, 8, 8)),
    ("MaxPool2d dilation", lambda m: m.MaxPool2d(2, 1, dilation=2), (2, 3, 8, 8)),
    ("MaxPool3d", lambda m: m.MaxPool3d(2, (1, 2, 2)), (1, 2, 4, 5, 6)),
    ("Conv1d circular", lambda m: m.Conv1d(2, 4, 3, 1, 2, padding_mode="circular"), (2, 2, 7)),
    (
        "Conv2d reflect",
        lambda m: m.Conv2d(3, 4, 3, padding=(2, 1), padding_mode="reflect", bias=False),
        (2, 3, 8, 9),
    ),
    (
        "Conv2d same, replicate",
        lambda m: m.Conv2d(3, 4, (4, 3), padding="same", padding_mode="replicate"),
        (3, 8, 9),
    ),
    (
        "Conv3d valid, circular",
        lambda m: m.Conv3d(2, 3, 2, padding="valid", padding_mode="circular"),
        (2, 2, 5, 6, 4),
    ),
    ("ConvTranspose1d", lambda m: m.ConvTranspose1d(2, 4, 3, padding=1), (2, 2, 7)),
    ("ConvTranspose2d", lambda m: m.ConvTranspose2d(3, 4, 4, 2, 1), (2, 3, 4, 5)),
    ("ConvTranspose2d unbatched", lambda m: m.ConvTranspose2d(3, 4, 3, bias=False), (3, 4, 5)),
    (
        "ConvTranspose2d all options",
        lambda m: m.ConvTranspose2d(4, 6, (3, 2), (2, 3), (1, 0), (1, 2), 2, True, (1, 2)),
        (2, 4, 4, 5),
    ),
    (
        "ConvTranspose2d far",
        lambda m: m.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=2, dilation=3),
        (2, 4, 4, 5),
    ),
    ("ConvTranspose3d", lambda m: m.ConvTranspose3d(2, 3, 2, stride=2), (2, 2, 3, 2, 4)),
    *[
        (
            f"{kind}Pad{dims}d",
            lambda m, kind=kind, dims=dims: getattr(m, f"{kind}Pad{dims}d")(2),
            (2, 3, 4, 5, 6)[: dims + 2],
        )
        for kind in ("Zero", "Reflection", "Replication", "Circular")
        for dims in (1, 2, 3)
    ],
    ("ConstantPad1d", lambda m: m.ConstantPad1d((1, 2), 3.5), (2, 3, 4)),
    ("ConstantPad2d", lambda m: m.ConstantPad2d((1, -2, 0, 3), 1), (3, 4, 5)),
    ("ConstantPad3d", lambda m: m.ConstantPad3d(1, -1.0), (3, 4, 5, 2)),
    ("ReflectionPad2d cut", lambda m: m.ReflectionPad2d((3, -1, 0, 2)), (3, 4, 5)),
    ("CircularPad2d cut", lambda m: m.CircularPad2d((2, -1, 0, 2)), (1, 3, 4, 5)),
    ("PixelShuffle", lambda m: m.PixelShuffle(2), (2, 8, 3, 4)),
    ("PixelShuffle unbatched", lambda m: m.PixelShuffle(3), (9, 3, 4)),
    ("PixelUnshuffle", lambda m: m.PixelUnshuffle(2), (2, 3, 4, 6)),
    ("ChannelShuffle", lambda m: m.ChannelShuffle(3), (2, 6, 4, 5)),
    ("Upsample", lambda m: m.Upsample(scale_factor=2), (2, 3, 4, 5)),
    ("Upsample size", lambda m: m.Upsample((7, 3), mode="bilinear"), (2, 3, 4, 5)),
    (
        "Upsample corners",
        lambda m: m.Upsample(scale_factor=(1.5, 2), mode="bicubic", align_corners=True),
        (2, 3, 4, 5),
    ),
    ("UpsamplingNearest2d", lambda m: m.UpsamplingNearest2d((7, 4)), (2, 3, 4, 5)),
    ("UpsamplingBilinear2d", lambda m: m.UpsamplingBilinear2d(scale_factor=3), (2, 3, 4, 5)),
    ("Unfold", lambda m: m.Unfold((2, 3), padding=1, stride=2), (2, 3, 6, 5)),
    ("Fold", lambda m: m.Fold((5, 6), (2, 3), stride=(1, 2), padding=(0, 1)), (2, 12, 12)),
    ("AvgPool1d", lambda m: m.AvgPool1d(3, 2, 1), (2, 3, 9)),
    ("AvgPool2d", lambda m: m.AvgPool2d((2, 3)), (2, 3, 9, 8)),
    ("AvgPool2d ceil", lambda m: m.AvgPool2d(3, 2, 1, True, False), (3, 8, 8)),
    ("AvgPool2d divisor", lambda m: m.AvgPool2d(3, 1, divisor_override=2), (2, 3, 5, 5)),
    ("AvgPool3d", lambda m: m.AvgPool3d(2, 1), (1, 2, 4, 5, 6)),
    ("LPPool1d", lambda m: m.LPPool1d(2, 3), (2, 3, 9)),
    ("LPPool2d", lambda m: m.LPPool2d(4, (3, 2), stride=(2, 1)), (2, 3, 9, 8)),
    ("LPPool3d", lambda m: m.LPPool3d(2, 2), (1, 2, 4, 5, 6)),
    ("AdaptiveAvgPool1d", lambda m: m.AdaptiveAvgPool1d(4), (2, 3, 9)),
    ("AdaptiveAvgPool2d", lambda m: m.AdaptiveAvgPool2d((None, 3)), (2, 3, 9, 8)),
    ("AdaptiveAvgPool2d one", lambda m: m.AdaptiveAvgPool2d(1), (3, 9, 8)),
    ("AdaptiveAvgPool3d", lambda m: m.AdaptiveAvgPool3d(2), (1, 2, 4, 5, 6)),
    ("AdaptiveMaxPool1d", lambda m: m.AdaptiveMaxPool1d(4), (2, 3, 9)),
    ("AdaptiveMaxPool2d", lambda m: m.AdaptiveMaxPool2d((None, 3)), (2, 3, 9, 8)),
    ("AdaptiveMaxPool3d", lambda m: m.AdaptiveMaxPool3d(2), (1, 2, 4, 5, 6)),
    ("ReLU", lambda m: m.ReLU(), (3, 4)),
    ("Sigmoid", lambda m: m.Sigmoid(), (3, 4)),
    ("Tanh", lambda m: m.Tanh(), (3, 4)),
    *[
        (name, lambda m, name=name: getattr(m, name)(), (2, 4, 3))
        for name in (
            *("CELU", "ELU", "GELU", "Hardshrink", "Hardswish", "Hardtanh", "LeakyReLU"),
            *("LogSigmoid", "Mish", "PReLU", "ReLU6", "SELU", "SiLU", "Softmax2d", "Softplus"),
            *("Softshrink", "Softsign", "Tanhshrink"),
        )
    ],
    ("CELU alpha", lambda m: m.CELU(0.5), (3, 4)),
    ("ELU alpha", lambda m: m.ELU(alpha=0.5), (3, 4)),
    ("GELU tanh", lambda m: m.GELU("tanh"), (3, 4)),
    ("GLU", lambda m: m.GLU(0), (4, 3)),
    ("Hardshrink wide", lambda m: m.Hardshrink(0.7), (3, 4)),
    ("Hardtanh wide", lambda m: m.Hardtanh(-0.2, 1.5), (3, 4)),
    ("LeakyReLU steep", lambda m: m.LeakyReLU(0.3), (3, 4)),
    ("PReLU of channels", lambda m: m.PReLU(4, 0.1), (2, 4, 3)),
    ("RReLU of one slope", lambda m: m.RReLU(0.3, 0.3), (3, 4)),
    ("Softmin", lambda m: m.Softmin(1), (3, 4)),
    ("Softplus sharp", lambda m: m.Softplus(2, 3.0), (3, 4)),
    ("Softshrink wide", lambda m: m.Softshrink(0.7), (3, 4)),
    ("Threshold", lambda m: m.Threshold(0.1, 2.0), (3, 4)),
    ("Softmax", lambda m: m.Softmax(dim=1), (3, 4)),
    ("LogSoftmax", lambda m: m.LogSoftmax(-1), (3, 4)),
    ("Flatten", lambda m: m.Flatten(), (2, 3, 4)),
    ("Flatten some", lambda m: m.Flatten(0, 1), (2, 3, 4)),
    ("Unflatten", lambda m: m.Unflatten(1, (2, 3)), (4, 6)),
    ("Dropout p=0", lambda m: m.Dropout(0.0), (3, 4)),
    ("BatchNorm1d", lambda m: m.BatchNorm1d(4), (5, 4)),
    ("BatchNorm1d 3-D", lambda m: m.BatchNorm1d(4), (5, 4, 3)),
    ("BatchNorm2d", lambda m: m.BatchNorm2d(3), (4, 3, 5, 5)),
    ("BatchNorm2d plain", lambda m: m.BatchNorm2d(3, affine=False), (4, 3, 5, 5)),
    ("BatchNorm2d average", lambda m: m.BatchNorm2d(3, momentum=None), (4, 3, 5, 5)),
    (
        "BatchNorm2d untracked",
        lambda m: m.BatchNorm2d(3, eps=1e-3, track_running_stats=False),
        (4, 3, 5, 5),
    ),
    ("BatchNorm2d no bias", lambda m: m.BatchNorm2d(3, bias=False), (4, 3, 5, 5)),
    ("BatchNorm3d", lambda m: m.BatchNorm3d(2), (3, 2, 3, 4, 2)),
]


def _draw(shape: tuple[int, ...], seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def _same_state(ours: Any, theirs: Any) -> None:
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        mine = ours.state_dict()[name]
        assert tuple(mine.shape) == tuple(value.shape), name
        np.testing.assert_allclose(mine.numpy(), value.numpy(), rtol=1e-5, atol=1e-6, err_msg=name)


# PyTorch warns that it pads "same" by a copy.
@pytest.mark.filterwarnings("ignore:Using padding='same'", "ignore:Initializing zero-element")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("make", "shape"), [x[1:] for x in LAYERS], ids=[x[0] for x in LAYERS])
def test_layer(make: Make, shape: tuple[int, ...], training: bool, dtype: str) -> None:
    theirs = make(torch.nn).to(getattr(torch, dtype)).train(training)
    ours = make(nn).to(getattr(weft, dtype)).train(training)
    assert repr(ours) == repr(theirs)
    ours.load_state_dict({k: weft.from_numpy(v.numpy()) for k, v in theirs.state_dict().items()})
    tolerance = {"float64": 1e-9, "float32": 2e-4}[dtype]
    for step in range(2):  # twice: running statistics have moved
        value = _draw(shape, step).astype(dtype)
        x, z = weft.tensor(value, requires_grad=True), torch.tensor(value, requires_grad=True)
        y, w = ours(x), theirs(z)
        assert tuple(y.shape) == tuple(w.shape)
        np.testing.assert_allclose(y.detach().numpy(), w.detach().numpy(), tolerance, tolerance)
        g = _draw(tuple(w.shape), step + 10).astype(dtype)
        y.backward(weft.tensor(g))
        w.backward(torch.tensor(g))
        np.testing.assert_allclose(x.grad.numpy(), z.grad.numpy(), tolerance, tolerance)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), tolerance, tolerance)
    _same_state(ours, theirs)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_max_pool_indices(dims: int) -> None:
    value = _draw((2, 3, *(7,) * dims))
    y, places = getattr(F, f"max_pool{dims}d")(weft.tensor(value), 3, 2, 1, return_indices=True)
    z, wanted = getattr(torch.nn.functional, f"max_pool{dims}d")(
        torch.tensor(value), 3, 2, 1, return_indices=True
    )
    assert np.array_equal(y.numpy(), z.numpy())
    assert np.array_equal(places.numpy(), wanted.numpy())


# (options of cross_entropy, shape of the logits)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignore", [-100, 1])
@pytest.mark.parametrize("shape", [(6, 4), (4,), (3, 4, 5), (2, 4, 3, 2)])
def test_cross_entropy(
    shape: tuple[int, ...], ignore: int, weighted: bool, smoothing: float, reduction: str
) -> None:
    logits = _draw(shape)
    classes = shape[1] if len(shape) > 1 else shape[0]
    rest = () if len(shape) == 1 else (shape[0], *shape[2:])
    target = np.random.default_rng(1).integers(0, classes, rest)
    weight = np.linspace(0.5, 2, classes) if weighted else None
    results = []
    for lib, f in ((weft, F), (torch, torch.nn.functional)):
        x = lib.tensor(logits, requires_grad=True)
        loss = f.cross_entropy(
            x,
            lib.tensor(target),
            weight=None if weight is None else lib.tensor(weight),
            ignore_index=ignore,
            label_smoothing=smoothing,
            reduction=reduction,
        )
        loss.sum().backward()
        results.append((loss.detach().numpy(), x.grad.numpy()))
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(mine, theirs, 1e-9, 1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_probabilities(smoothing: float, reduction: str) -> None:
    logits, target = _draw((5, 4)), np.random.default_rng(1).dirichlet(np.ones(4), 5)
    weight = np.linspace(0.5, 2, 4)
    results = [
        f.cross_entropy(
            lib.tensor(logits),
            lib.tensor(target),
            weight=lib.tensor(weight),
            label_smoothing=smoothing,
            reduction=reduction,
        ).numpy()
        for lib, f in ((weft, F), (torch, torch.nn.functional))
    ]
    np.testing.assert_allclose(*results, rtol=1e-9)


def test_nll_and_mse_losses() -> None:
    x, t = _draw((5, 4)), np.array([0, 3, 2, 1, 1])
    ours = nn.NLLLoss(ignore_index=1)(F.log_softmax(weft.tensor(x), 1), weft.tensor(t))
    theirs = torch.nn.NLLLoss(ignore_index=1)(
        torch.nn.functional.log_softmax(torch.tensor(x), 1), torch.tensor(t)
    )
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    a, b = _draw((3, 4)), _draw((3, 4), 1)
    assert nn.MSELoss()(weft.tensor(a), weft.tensor(b)).item() == pytest.approx(
        torch.nn.MSELoss()(torch.tensor(a), torch.tensor(b)).item(), rel=1e-12
    )


def test_one_hot() -> None:
    t = np.array([[0, 2], [1, 1]])
    wanted = torch.nn.functional.one_hot(torch.tensor(t))
    assert np.array_equal(F.one_hot(weft.tensor(t)).numpy(), wanted.numpy())
    assert F.one_hot(weft.tensor(t), 5).shape == (2, 2, 5)


@pytest.mark.parametrize(
    "make", [lambda m: m.Linear(300, 400), lambda m: m.Conv2d(12, 40, 5), lambda m: m.Linear(8, 2)]
)
def test_first_weights_have_pytorchs_distribution(make: Make) -> None:
    """Uniform, with the same bounds: compared by the extreme values and two moments."""
    ours, theirs = make(nn), make(torch.nn)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        mine, other = p.detach().numpy(), q.detach().numpy()
        bound = 1 / np.sqrt(np.prod(theirs.weight.shape[1:]))
        assert np.abs(mine).max() <= bound
        assert np.abs(other).max() <= bound
        if mine.size >= 400:
            assert np.abs(mine).max() > 0.98 * bound
            assert abs(mine.mean()) < 4 * bound / np.sqrt(3 * mine.size)
            assert mine.std() == pytest.approx(bound / np.sqrt(3), rel=0.1)
