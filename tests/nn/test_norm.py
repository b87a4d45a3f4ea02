"""Normalisation of each sample by itself, beside PyTorch's, and its mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from side_by_side import assert_same, draw

import weft
import weft.nn.functional as F
from weft import nn
from weft.autograd import gradcheck, gradgradcheck
from weft.errors import DTypeError, ShapeError

LAYERS: list[tuple[str, Any, tuple[int, ...]]] = [
    ("LayerNorm", lambda m: m.LayerNorm(5), (3, 4, 5)),
    ("LayerNorm 2-D", lambda m: m.LayerNorm([4, 5], eps=1e-3), (3, 4, 5)),
    ("LayerNorm plain", lambda m: m.LayerNorm(5, elementwise_affine=False), (3, 5)),
    ("LayerNorm no bias", lambda m: m.LayerNorm(5, bias=False), (3, 5)),
    ("RMSNorm", lambda m: m.RMSNorm(5), (3, 4, 5)),
    ("RMSNorm eps", lambda m: m.RMSNorm((4, 5), eps=0.1), (3, 4, 5)),
    ("RMSNorm plain", lambda m: m.RMSNorm(5, elementwise_affine=False), (3, 5)),
    ("GroupNorm", lambda m: m.GroupNorm(2, 6), (3, 6, 4)),
    ("GroupNorm of one", lambda m: m.GroupNorm(1, 6, eps=1e-2), (3, 6)),
    ("GroupNorm plain", lambda m: m.GroupNorm(3, 6, affine=False), (2, 6, 2, 3)),
    ("GroupNorm no bias", lambda m: m.GroupNorm(3, 6, bias=False), (2, 6, 2, 3)),
    ("InstanceNorm1d", lambda m: m.InstanceNorm1d(3, affine=True), (2, 3, 4)),
    ("InstanceNorm1d unbatched", lambda m: m.InstanceNorm1d(3), (3, 4)),
    ("InstanceNorm2d", lambda m: m.InstanceNorm2d(3), (2, 3, 4, 2)),
    (
        "InstanceNorm2d tracked",
        lambda m: m.InstanceNorm2d(3, momentum=0.3, affine=True, track_running_stats=True),
        (2, 3, 4, 2),
    ),
    ("InstanceNorm3d", lambda m: m.InstanceNorm3d(2, eps=0.1), (2, 2, 3, 2, 2)),
    ("LocalResponseNorm", lambda m: m.LocalResponseNorm(3, 0.5, 0.6, 1.5), (2, 5, 3)),
    ("LocalResponseNorm even", lambda m: m.LocalResponseNorm(2, alpha=0.3), (2, 5, 3, 2)),
]


@pytest.mark.parity
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("make", "shape"), [x[1:] for x in LAYERS], ids=[x[0] for x in LAYERS])
def test_layer(make: Any, shape: tuple[int, ...], training: bool, dtype: str, torch: Any) -> None:
    assert_same(make, draw(*shape), torch=torch, dtype=dtype, training=training)


FUNCTIONS = {
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (4,), w, b), (2, 3, 4), 4),
    "rms_norm": (lambda x, w, b: F.rms_norm(x, 4, w) + b, (2, 3, 4), 4),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), (2, 4, 3), 4),
    "instance_norm": (lambda x, w, b: F.instance_norm(x, weight=w, bias=b), (2, 4, 3), 4),
    "local_response_norm": (
        lambda x, w, b: F.local_response_norm(x * w[:, None] + b[:, None], 3, 0.5),
        (2, 4, 2),
        4,
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_of_first_and_second_order(name: str) -> None:
    function, shape, n = FUNCTIONS[name]
    inputs = [
        weft.tensor(draw(*size, seed=k), requires_grad=True)
        for k, size in enumerate([shape, (n,), (n,)])
    ]
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


def test_sixteen_bits_are_summed_in_thirty_two() -> None:
    x = weft.full((1, 4096), 300.0).half()  # the sum of squares is beyond float16
    y = F.rms_norm(x, 4096)
    assert y.dtype is weft.float16
    assert y[0, 0].item() == 1.0


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: nn.LayerNorm(4)(weft.ones(2, 3)), ShapeError, r"normalized_shape=\[3\]"),
        (lambda: F.layer_norm(weft.ones(2, 3), 3, weft.ones(2)), ShapeError, "weight must have"),
        (lambda: F.layer_norm(weft.ones(2, 3).long(), 3), DTypeError, r"\.float\(\)"),
        (lambda: nn.GroupNorm(4, 6), ValueError, "divisible"),
        (lambda: F.group_norm(weft.ones(2, 6), 4), ShapeError, "6 channels"),
        (lambda: F.group_norm(weft.ones(1, 1), 1), ShapeError, "more than one value"),
        (lambda: nn.InstanceNorm2d(3, affine=True)(weft.ones(2, 4, 2, 2)), ShapeError, "=4"),
        (lambda: nn.InstanceNorm1d(3)(weft.ones(2)), ShapeError, r"\[channels, length\]"),
        (lambda: F.instance_norm(weft.ones(2, 3, 1)), ShapeError, "more than one value"),
        (
            lambda: F.instance_norm(weft.ones(2, 3, 2), use_input_stats=False),
            ValueError,
            "running_mean",
        ),
        (lambda: F.local_response_norm(weft.ones(2, 3), 2), ShapeError, "length"),
        (
            lambda: F.local_response_norm(weft.ones(2, 3, 1).int(), 2),
            DTypeError,
            "local_response_norm takes",
        ),
    ],
)
def test_mistakes(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_channels_that_do_not_matter_are_only_warned_of() -> None:
    with pytest.warns(UserWarning, match="num_features=3"):
        nn.InstanceNorm2d(3)(weft.ones(2, 4, 2, 2))
