"""Grouped-query attention and its cache, against PyTorch and against itself without the cache."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
from weft import nn
from weft.autograd import gradcheck
from weft.errors import DTypeError, GradientError, ShapeError


@pytest.fixture(autouse=True)
def seed() -> None:
    weft.manual_seed(0)


def layer(kv_heads: int = 2, rotary: bool = True, **options: Any) -> nn.GroupedQueryAttention:
    turn = nn.RotaryEmbedding(4, interleaved=False) if rotary else None
    return nn.GroupedQueryAttention(24, 6, kv_heads, rotary=turn, **options)


@pytest.mark.parity
@pytest.mark.parametrize("kv_heads", [1, 2, 3, 6])
@pytest.mark.parametrize("causal", [False, True])
def test_it_is_pytorchs_attention_between_projections(
    kv_heads: int, causal: bool, torch: Any
) -> None:
    attention = layer(kv_heads, rotary=False).double()
    x = weft.randn(3, 5, 24, dtype=weft.float64, requires_grad=True)
    y = attention(x, is_causal=causal)
    (y * y).sum().backward()

    t = {k: torch.tensor(v.numpy(), requires_grad=True) for k, v in attention.state_dict().items()}
    z = torch.tensor(x.detach().numpy(), requires_grad=True)

    def heads(name: str, count: int) -> Any:
        out = torch.nn.functional.linear(z, t[f"{name}.weight"], t[f"{name}.bias"])
        return out.unflatten(-1, (count, 4)).transpose(1, 2)

    attended = (
        torch.nn.functional.scaled_dot_product_attention(
            heads("q_proj", 6),
            heads("k_proj", kv_heads),
            heads("v_proj", kv_heads),
            is_causal=causal,
            enable_gqa=True,
        )
        .transpose(1, 2)
        .flatten(2)
    )
    wanted = torch.nn.functional.linear(attended, t["out_proj.weight"], t["out_proj.bias"])
    (wanted * wanted).sum().backward()
    np.testing.assert_allclose(y.detach(), wanted.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(x.grad, z.grad.numpy(), rtol=1e-8, atol=1e-12)
    for name, p in attention.named_parameters():
        np.testing.assert_allclose(p.grad, t[name].grad.numpy(), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
@pytest.mark.parametrize("rotary", [False, True])
def test_a_cache_changes_nothing(kv_heads: int, rotary: bool) -> None:
    attention = layer(kv_heads, rotary).eval()
    x = weft.randn(3, 9, 24)
    whole = attention(x, is_causal=True).detach()
    cache = attention.make_cache(3, 12)
    with weft.no_grad():
        for _ in range(2):  # again after reset
            for first, last in ((0, 4), (4, 5), (5, 6), (6, 9)):
                part = attention(x[:, first:last], cache=cache)
                np.testing.assert_allclose(part, whole[:, first:last], rtol=1e-4, atol=1e-6)
            assert cache.length == 9
            cache.reset()
            assert cache.length == 0


@pytest.mark.parametrize("rotary", [False, True])
def test_sequences_of_several_lengths_are_as_each_alone(rotary: bool) -> None:
    """(Rotary positions count distances, so that padding in front changes nothing.)"""
    attention = layer(rotary=rotary).eval()
    x, padding = weft.randn(3, 6, 24), [0, 4, 2]
    filled = x.clone()
    for n, missing in enumerate(padding):
        filled[n, :missing] = 1e3
    cache = attention.make_cache(3, 8)
    with weft.no_grad():
        attention(x, cache=cache)
        cache.reset(weft.tensor(padding))
        parts = [attention(filled[:, a:b], cache=cache) for a, b in ((0, 4), (4, 5), (5, 6))]
        together = weft.cat(parts, 1)
        assert together.isfinite().all()
        for n, missing in enumerate(padding):
            alone = attention(x[n : n + 1, missing:], is_causal=True)
            np.testing.assert_allclose(together[n, missing:], alone[0], rtol=1e-3, atol=1e-5)
    with pytest.raises(ShapeError, match=r"\[2\] should have a number for each of 3 sequences"):
        attention.make_cache(3, 8, weft.tensor([1, 2]))
    with pytest.raises(DTypeError, match="padding must be integers"):
        cache.reset(weft.zeros(3))


def test_steps_record_one_graph() -> None:
    attention, cache = layer().eval(), None
    x = weft.randn(1, 1, 24)
    texts = set()
    with weft.no_grad():
        cache = attention.make_cache(1, 8)
        for _ in range(3):
            texts.add(weft.explain(lambda: attention(x, cache=cache)))
    assert len(texts) == 1


def test_positions_go_on_in_the_cache() -> None:
    """Without positions the order of earlier tokens does not count; with them it does."""
    x = weft.randn(1, 3, 24)
    for rotary in (False, True):
        attention = layer(rotary=rotary).eval()
        last = []
        for order in ([0, 1, 2], [1, 0, 2]):
            cache = attention.make_cache(1, 3)
            with weft.no_grad():
                for k in order:
                    y = attention(x[:, k : k + 1], cache=cache)
            last.append(y.numpy())
        assert np.allclose(last[0], last[1], atol=1e-6) is not rotary


def test_what_a_cache_refuses() -> None:
    attention = layer().eval()
    cache = attention.make_cache(2, 4)
    with weft.no_grad():
        attention(weft.zeros(2, 3, 24), cache=cache)
        for shape, message in (
            ((2, 2, 24), r"3 tokens and 2 more do not fit into max_length=4: .*reset\(\)"),
            ((3, 1, 24), "made for a batch of 2, but is given one of 3"),
        ):
            with pytest.raises(ShapeError, match=message):
                attention(weft.zeros(*shape), cache=cache)
        assert cache.length == 3
        attention(weft.zeros(2, 1, 24), cache=cache)
        k = weft.zeros(2, 2, 1, 4)
        for key, value, error, message in (
            (k[0], k, ShapeError, r"the key has shape \[2, 1, 4\], .*\[2, 2, tokens, 4\]"),
            (k, k.double(), DTypeError, "holds weft.float32, but the value is weft.float64"),
            (k, weft.zeros(2, 2, 2, 4), ShapeError, "differ in shape"),
        ):
            with pytest.raises(error, match=message):
                nn.KVCache(2, 2, 4, 4).update(key, value)
    with pytest.raises(GradientError, match=r"under\s+weft.no_grad\(\), or without a cache"):
        attention(weft.zeros(2, 1, 24), cache=attention.make_cache(2, 4))
    with pytest.raises(ValueError, match="attn_mask or cache, not both"):
        attention(weft.zeros(2, 1, 24), weft.ones(1, 1, dtype=weft.bool), cache=cache)
    assert repr(cache) == "KVCache(2, 2, 4, 4, length=4)"
    with pytest.raises(ValueError, match="KVCache: max_length must not be negative"):
        nn.KVCache(1, 1, -1, 1)


def test_masks_and_options() -> None:
    attention = layer().eval()
    x = weft.randn(2, 5, 24)
    causal = weft.ones(5, 5, dtype=weft.bool).tril()
    assert weft.equal(attention(x, causal), attention(x, is_causal=True))
    assert attention.head_dim == 4
    assert [tuple(p.shape) for p in attention.parameters()][::2] == [
        (24, 24), (8, 24), (8, 24), (24, 24),
    ]  # fmt: skip
    wide = nn.GroupedQueryAttention(10, 3, 1, head_dim=8, bias=False)
    assert list(wide.state_dict()) == [f"{n}_proj.weight" for n in ("q", "k", "v", "out")]
    assert wide(weft.zeros(1, 2, 10)).shape == (1, 2, 10)
    assert "10, num_heads=3, num_kv_heads=1, head_dim=8" in repr(wide)
    dropping = layer(dropout=0.5)
    assert not weft.equal(dropping(x), dropping(x))
    assert weft.equal(dropping.eval()(x), dropping(x))


def test_wrong_sizes_are_named() -> None:
    for args, message in (
        ((24, 6, 4), "num_kv_heads=4 must divide num_heads=6"),
        ((24, 5), "embed_dim=24 is no multiple of num_heads=5: give head_dim"),
        ((24, 0), "both positive"),
    ):
        with pytest.raises(ValueError, match=message):
            nn.GroupedQueryAttention(*args)
    with pytest.raises(ValueError, match="rotary turns 8 features, but a head has 4"):
        nn.GroupedQueryAttention(24, 6, rotary=nn.RotaryEmbedding(8))
    model = nn.Sequential(layer())
    with pytest.raises(ShapeError, match=r"\[batch, length, 24\], not shape \[5, 24\]") as caught:
        model(weft.zeros(5, 24))
    assert "in module '0' (GroupedQueryAttention)" in str(caught.value)


def test_gradients() -> None:
    attention = nn.GroupedQueryAttention(4, 2, 1, rotary=nn.RotaryEmbedding(2)).double()
    x = weft.randn(1, 3, 4, dtype=weft.float64, requires_grad=True)
    assert gradcheck(lambda x: attention(x, is_causal=True), [x])
