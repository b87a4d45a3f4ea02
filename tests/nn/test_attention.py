"""Attention and transformers, beside PyTorch's, and their mistakes."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from side_by_side import TOLERANCE, assert_same, draw

import weft
import weft.nn.functional as F
from weft import nn
from weft.autograd import gradcheck, gradgradcheck
from weft.errors import DTypeError, ShapeError

MASK = np.array([[0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 0]], bool)
PADDING = np.array([[0, 0, 0, 1], [0, 0, 1, 1]], bool)


@pytest.mark.parity
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"is_causal": True},
        {"scale": 0.3},
        {"attn_mask": ~MASK},
        {"attn_mask": draw(2, 1, 3, 4)},
        {"attn_mask": np.zeros((3, 4), bool)},
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_scaled_dot_product(options: Any, dtype: str, torch: Any) -> None:
    results = []
    for lib in (weft, torch):
        q, k, v = (
            lib.tensor(draw(2, 2, n, d, seed=n * d).astype(dtype), requires_grad=True)
            for n, d in ((3, 4), (4, 4), (4, 5))
        )
        given = {
            name: lib.tensor(x.astype(dtype) if x.dtype.kind == "f" else x)
            if isinstance(x, np.ndarray)
            else x
            for name, x in options.items()
        }
        y = lib.nn.functional.scaled_dot_product_attention(q, k, v, **given)
        (y * y).sum().backward()
        results.append([y.detach().numpy(), *[x.grad.numpy() for x in (q, k, v)]])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, TOLERANCE[dtype], TOLERANCE[dtype])


@pytest.mark.parity
def test_heads_are_shared(torch: Any) -> None:
    q, k = draw(2, 6, 3, 4), draw(2, 2, 5, 4, seed=1)
    ours, theirs = (
        lib.nn.functional.scaled_dot_product_attention(
            lib.tensor(q), lib.tensor(k), lib.tensor(k), enable_gqa=True
        ).numpy()
        for lib in (weft, torch)
    )
    np.testing.assert_allclose(ours, theirs, 1e-10)


@pytest.mark.parametrize("causal", [False, True])
def test_gradients_of_first_and_second_order(causal: bool) -> None:
    inputs = [weft.tensor(draw(2, 3, 2, seed=k), requires_grad=True) for k in range(3)]

    def attend(q: Any, k: Any, v: Any) -> Any:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

    assert gradcheck(attend, inputs)
    assert gradgradcheck(attend, inputs)


def test_a_query_that_sees_nothing_gives_zeros_and_no_nan() -> None:
    q, k, v = (weft.tensor(draw(1, 3, 2, seed=s), requires_grad=True) for s in range(3))
    mask = weft.tensor([[True, True, False], [False] * 3, [True] * 3])
    y = F.scaled_dot_product_attention(q, k, v, mask)
    y.sum().backward()
    assert not y.detach().numpy()[0, 1].any()
    assert all(np.isfinite(x.grad.numpy()).all() for x in (q, k, v))


def test_dropped_weights() -> None:
    weft.manual_seed(0)
    q, v = weft.zeros(1, 500, 1), weft.ones(1, 500, 1)
    y = F.scaled_dot_product_attention(q, q, v, dropout_p=0.25).numpy()
    assert y.std() > 0
    assert y.mean() == pytest.approx(1, abs=0.01)
    assert F.scaled_dot_product_attention(q, q, v, dropout_p=1.0).sum().item() == 0


def heads(m: Any, **options: Any) -> Any:
    return m.MultiheadAttention(8, 2, **options)


@pytest.mark.parity
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False},
        {"add_bias_kv": True},
        {"add_zero_attn": True, "add_bias_kv": True},
        {"kdim": 5, "vdim": 3},
        {"batch_first": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("masked", [False, True])
def test_multihead(options: Any, batched: bool, masked: bool, torch: Any) -> None:
    sizes = [(3, 8), (4, options.get("kdim", 8)), (4, options.get("vdim", 8))]
    place = 0 if options.get("batch_first") else 1
    inputs = [draw(n, d, seed=d) for n, d in sizes]
    if batched:
        inputs = [np.stack([x, x * 0.5], place) for x in inputs]
    given: Any = {}
    if masked:
        given["key_padding_mask"] = PADDING if batched else PADDING[0]
        given["attn_mask"] = MASK[:, ::-1].copy() & [False, False, True, True]
    assert_same(lambda m: heads(m, **options), *inputs, torch=torch, **given)


@pytest.mark.parity
@pytest.mark.parametrize(
    "given",
    [
        {"average_attn_weights": False},
        {"need_weights": False},
        {"attn_mask": draw(4, 3, 3)},
        {"attn_mask": np.triu(np.full((3, 3), -np.inf), 1), "is_causal": True},
    ],
    ids=lambda x: ",".join(x),
)
def test_weights_of_heads_and_masks(given: Any, torch: Any) -> None:
    x = draw(3, 2, 8)
    if "is_causal" in given:  # a constant: infinities have no gradient to compare
        mask = given["attn_mask"] < 0
        given = {**given, "attn_mask": mask, "need_weights": False}
    assert_same(heads, x, x, x, torch=torch, **given)


@pytest.mark.parity
def test_one_input_is_projected_as_three(torch: Any) -> None:
    results = []
    weights = draw(24, 8), draw(24), draw(8, 8), draw(8)
    for lib, m in ((weft, nn), (torch, torch.nn)):
        layer = m.MultiheadAttention(8, 2).double()
        names = ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]
        layer.load_state_dict({n: lib.tensor(w) for n, w in zip(names, weights, strict=True)})
        x = lib.tensor(draw(3, 2, 8), requires_grad=True)
        y, _ = layer(x, x, x)
        y.sum().backward()
        results.append([y.detach().numpy(), x.grad.numpy(), layer.in_proj_weight.grad.numpy()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, 1e-9, 1e-12)


@pytest.mark.parity
@pytest.mark.parametrize(("batch_first", "norm_first"), list(product([False, True], repeat=2)))
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
def test_transformer(batch_first: bool, norm_first: bool, training: bool, torch: Any) -> None:
    def make(m: Any) -> Any:
        return m.Transformer(
            8, 2, 2, 1, 6, 0.0, batch_first=batch_first, norm_first=norm_first, bias=norm_first
        )

    src, tgt = draw(3, 3, 8), draw(3, 3, 8, seed=1)
    causal = np.triu(np.ones((3, 3), bool), 1)
    assert_same(make, src, tgt, tgt_mask=causal, torch=torch, training=training)


@pytest.mark.parity
def test_a_transformer_layer_with_gelu(torch: Any) -> None:
    assert_same(
        lambda m: m.TransformerEncoderLayer(8, 2, 6, 0.0, "gelu"), draw(3, 3, 8), torch=torch
    )


def test_copies_of_a_layer_are_independent() -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 4)
    stack = nn.TransformerEncoder(layer, 2)
    assert len({id(p) for p in stack.parameters()}) == 2 * len(list(layer.parameters()))


def test_the_mask_that_hides_what_follows() -> None:
    mask = nn.Transformer.generate_square_subsequent_mask(3).numpy()
    assert np.array_equal(np.isinf(mask), np.triu(np.ones((3, 3)), 1) > 0)
    assert not mask[~np.isinf(mask)].any()


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda q: F.scaled_dot_product_attention(q, q[..., :3], q), ShapeError, "last dimension"),
        (lambda q: F.scaled_dot_product_attention(q, q.double(), q), DTypeError, "one dtype"),
        (
            lambda q: F.scaled_dot_product_attention(q, q, q, weft.ones(2, 5) > 0),
            ShapeError,
            "broadcast to the scores",
        ),
        (
            lambda q: F.scaled_dot_product_attention(q, q, q, weft.ones(5, 5) > 0, is_causal=True),
            ValueError,
            "not both",
        ),
        (
            lambda q: F.scaled_dot_product_attention(q, q[:2], q[:2], enable_gqa=True),
            ShapeError,
            "must divide",
        ),
        (lambda q: nn.MultiheadAttention(4, 3), ValueError, "multiple of num_heads"),
        (lambda q: nn.MultiheadAttention(4, 2)(q, q[:1], q), ShapeError, "must agree"),
        (
            lambda q: nn.MultiheadAttention(4, 2)(q, q, q, attn_mask=weft.ones(2, 2) > 0),
            ShapeError,
            r"attn_mask of shape \[2, 2\]",
        ),
        (lambda q: nn.TransformerEncoderLayer(4, 2, activation="tan"), ValueError, "'tan'"),
    ],
)
def test_mistakes(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call(weft.ones(3, 5, 4))
