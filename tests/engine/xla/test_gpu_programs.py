"""What GPUs are given, as text, without one: attention kept whole for cuDNN, and products."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="computes by JAX: pip install 'weft[xla]'")

import jax
from jax._src.cudnn import fused_attention_stablehlo as cudnn

import weft
import weft.nn.functional as F
from weft.engine import realize
from weft.engine.precision import Precision
from weft.engine.xla import attention, platform, program
from weft.engine.xla.rules import Setting

XLA = "xla:cpu"


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU of XLA is asked as GPUs are."""
    monkeypatch.setattr(attention, "KINDS", frozenset({XLA}))
    monkeypatch.setattr(realize, "_programs", type(realize._programs)())


def inputs(dtype: Any, *shape: int) -> list[Any]:
    weft.manual_seed(0)
    return [weft.randn(*shape).to(XLA, dtype).requires_grad_() for _ in range(3)]


def ops_of(function: Any) -> list[str]:
    realize.realize_pending()
    with realize.watched() as programs:
        kept = function()
        realize.realize_pending()
        del kept
    return [sig.op.name for p in programs for sig in p.ops]


def attend(x: list[Any], **options: Any) -> Any:
    y = F.scaled_dot_product_attention(*x, **options)
    return y, weft.autograd.grad(y.float().square().sum(), x)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [weft.bfloat16, weft.float16])
@pytest.mark.usefixtures("whole")
def test_whole_is_what_its_ops_are(dtype: Any, causal: bool) -> None:
    x = inputs(dtype, 2, 3, 6, 8)
    assert ops_of(lambda: attend(x, is_causal=causal)).count("piece") == 4
    y, grads = attend(x, is_causal=causal)
    want, other = attend([t.detach().cpu().requires_grad_() for t in x], is_causal=causal)
    for a, b in zip((y, *grads), (want, *other), strict=True):
        np.testing.assert_allclose(
            a.detach().float().numpy(), b.detach().float().numpy(), rtol=0.02, atol=0.02
        )


@pytest.mark.parametrize(
    ("dtype", "shape", "options"),
    [
        (weft.float32, (2, 3, 6, 8), {}),
        (weft.bfloat16, (2, 3, 6, 9), {}),
        (weft.bfloat16, (2, 3, 6, 136), {}),
        (weft.bfloat16, (2, 3, 6, 8), {"dropout_p": 0.5}),
        (weft.bfloat16, (2, 3, 5, 8), {}),
        (weft.bfloat16, (2, 3, 0, 8), {}),
    ],
)
@pytest.mark.usefixtures("whole")
def test_what_no_kernel_takes_is_ops(dtype: Any, shape: Any, options: Any) -> None:
    options = {k: v.to(XLA) if isinstance(v, weft.Tensor) else v for k, v in options.items()}
    x = inputs(dtype, *shape)
    assert "piece" not in ops_of(lambda: attend(x, **options))


def seen(*shape: int) -> Any:
    """Of one sample the first query may attend to no key."""
    mask = weft.rand(*shape) > 0.4
    mask.reshape(-1, *shape[-2:])[0, 0] = False
    return mask


ADDED = [[0.0, 1.5, float("-inf"), -3e4, 0.5, 0.0]]
MASKS: dict[str, Any] = {
    "of all": lambda: seen(6, 6),
    "of samples": lambda: seen(2, 1, 6, 6),
    "of heads": lambda: seen(4, 6, 6),
    "of keys": lambda: seen(2, 1, 1, 6),
    "added": lambda: weft.tensor(ADDED).bfloat16(),
    "hides all": lambda: weft.full((6, 6), float("-inf"), dtype=weft.bfloat16),
    "none": lambda: None,
    "causal": lambda: None,
}


@pytest.mark.parametrize(
    ("name", "key_heads", "lead"),
    [
        *[(name, 2, (2, 4)) for name in MASKS],
        ("of all", 4, (4,)),
        ("of heads", 4, (2, 2, 4)),
        ("causal", 1, (2, 2, 4)),
    ],
)
@pytest.mark.usefixtures("whole")
def test_the_kernel_computes_the_same(
    monkeypatch: pytest.MonkeyPatch, name: str, key_heads: int, lead: tuple[int, ...]
) -> None:
    """With JAX's own function in place of cuDNN's, which takes the same arguments."""
    monkeypatch.setattr(attention, "_kernel", jax.nn.dot_product_attention)
    monkeypatch.setattr(platform, "has_attention", lambda to: True)
    weft.manual_seed(0)
    mask = MASKS[name]()
    shared = (*lead[:-1], key_heads, 6, 8)
    x = [weft.randn(*shape).bfloat16() for shape in ((*lead, 6, 8), shared, shared)]
    results = []
    for place in (XLA, "cpu"):
        options = {"attn_mask": None if mask is None else mask.to(place), "enable_gqa": True}
        options["is_causal"] = name == "causal"
        given = [t.to(place).requires_grad_() for t in x]
        if place == XLA:
            assert ops_of(lambda: attend(given, **options)).count("piece") == 4  # noqa: B023
        y, grads = attend(given, **options)
        results.append([t.detach().cpu().float().numpy() for t in (y, *grads)])
    for a, b in zip(*results, strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, rtol=0.03, atol=0.03)


@pytest.mark.usefixtures("whole")
def test_the_gradient_of_a_mask_is_made_of_ops() -> None:
    x = inputs(weft.bfloat16, 2, 3, 6, 8)
    mask = weft.zeros(6, 6, device=XLA, dtype=weft.bfloat16, requires_grad=True)

    def both() -> Any:
        y = F.scaled_dot_product_attention(*x, attn_mask=mask)
        return y, weft.autograd.grad(y.float().square().sum(), [*x, mask])

    assert ops_of(both).count("piece") == 1  # forward


def test_other_devices_never_keep_it() -> None:
    x = inputs(weft.bfloat16, 2, 3, 6, 8)
    assert "piece" not in ops_of(lambda: attend(x))


@pytest.mark.usefixtures("whole")
def test_several_heads() -> None:
    layer = weft.nn.MultiheadAttention(16, 2, batch_first=True).to(XLA, weft.bfloat16)
    x = weft.randn(2, 6, 16).to(XLA, weft.bfloat16)
    assert ops_of(lambda: layer(x, x, x, need_weights=False)[0]).count("piece") == 1
    y, weights = layer(x, x, x, need_weights=True)
    assert weights is not None
    np.testing.assert_allclose(
        layer(x, x, x, need_weights=False)[0].detach().float().numpy(),
        y.detach().float().numpy(),
        atol=0.02,
    )


@pytest.mark.usefixtures("whole")
def test_second_order() -> None:
    def second(x: list[Any]) -> Any:
        (g,) = weft.autograd.grad(
            F.scaled_dot_product_attention(*x).float().square().sum(), x[:1], create_graph=True
        )
        return weft.autograd.grad(g.float().square().sum(), x)

    x = inputs(weft.bfloat16, 1, 2, 4, 8)
    for a, b in zip(second(x), second([t.detach().cpu().requires_grad_() for t in x]), strict=True):
        b = b.float().numpy()
        np.testing.assert_allclose(a.float().numpy(), b, rtol=0.1, atol=0.03 * abs(b).max())


def lowered(monkeypatch: pytest.MonkeyPatch, function: Any, precision: Precision) -> str:
    """The text of the program that a GPU with cuDNN would be given."""
    monkeypatch.setattr(cudnn, "check_cudnn_version", lambda: 91000)
    monkeypatch.setattr(platform, "has_attention", lambda to: True)
    realize.realize_pending()
    texts = []

    def called(self: Any, call: Any, arguments: Any) -> Any:
        setting = Setting("gpu", precision, True)
        call, _, _ = self._built(setting, (), frozenset(), (), ())
        with platform.wide():
            made = call.trace(*arguments).lower(lowering_platforms=("cuda",))
        texts.append(made.as_text())
        raise KeyboardInterrupt  # nothing of it can run here

    with monkeypatch.context() as patch:
        patch.setattr(program.Compiled, "called", called)
        patch.setattr(program.Compiled, "jitted", lambda self, *_: (None, [], []))
        with pytest.raises(KeyboardInterrupt):
            weft.realize(*function())
    (text,) = texts
    return text


@pytest.mark.usefixtures("whole")
def test_on_a_gpu_it_is_a_call_of_cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    def both() -> list[Any]:
        x = inputs(weft.bfloat16, 2, 3, 16, 64)
        y, grads = attend(x, is_causal=True)
        return [y, *grads]

    text = lowered(monkeypatch, both, Precision())
    assert "__cudnn$fmhaSoftmax" in text
    assert "__cudnn$fmhaSoftmaxBackward" in text
    assert re.search(r"mask_type.{1,8}CAUSAL", text)


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.usefixtures("whole")
def test_masks_and_grouped_heads_on_a_gpu(monkeypatch: pytest.MonkeyPatch, added: bool) -> None:
    def both() -> list[Any]:
        q, k, v = inputs(weft.bfloat16, 2, 4, 16, 64)
        k, v = (t[:, :2].detach().requires_grad_() for t in (k, v))
        mask = weft.ones(2, 1, 1, 16, dtype=weft.bool)
        if added:
            mask = mask.to(weft.bfloat16)
        y, grads = attend([q, k, v], attn_mask=mask.to(XLA), enable_gqa=True)
        return [y, *grads]

    text = lowered(monkeypatch, both, Precision())
    forward = next(x for x in text.splitlines() if "__cudnn$fmhaScaleBiasSoftmax(" in x)
    assert "tensor<2x16x4x64xbf16>, tensor<2x16x2x64xbf16>" in forward
    assert "tensor<2x1x16x16xbf16>" in forward
    assert "__cudnn$fmhaScaleBiasSoftmaxBackward" in text


@pytest.mark.usefixtures("whole")
def test_not_where_it_is_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward() -> list[Any]:
        return [F.scaled_dot_product_attention(*inputs(weft.bfloat16, 2, 3, 16, 64))]

    text = lowered(monkeypatch, forward, Precision(fused_attention=False))
    assert "fmha" not in text
    assert "dot_general" in text


def test_turning_it_off() -> None:
    assert weft.backends.cuda.cudnn_sdp_enabled()
    kernels = weft.nn.attention.SDPBackend
    with weft.nn.attention.sdpa_kernel(kernels.MATH):
        assert not weft.backends.cuda.cudnn_sdp_enabled()
        with weft.nn.attention.sdpa_kernel([kernels.MATH, kernels.FLASH_ATTENTION]):
            assert weft.backends.cuda.cudnn_sdp_enabled()
    assert weft.backends.cuda.cudnn_sdp_enabled()
    weft.backends.cuda.enable_cudnn_sdp(False)
    try:
        assert not weft.backends.cuda.cudnn_sdp_enabled()
    finally:
        weft.backends.cuda.enable_cudnn_sdp(True)


@pytest.mark.parametrize(
    ("dtype", "precision", "words"),
    [
        (weft.float32, Precision(), ("HIGHEST", "HIGH>")),
        (weft.float32, Precision("high", "highest"), ("HIGH]", "HIGHEST>")),
        (weft.bfloat16, Precision(), ("DEFAULT", "DEFAULT>")),
    ],
)
def test_products_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, dtype: Any, precision: Precision, words: tuple[str, str]
) -> None:
    """TF32 where it is allowed; convolutions and both gradients as convolutions, in their dtype."""
    x, w = weft.randn(2, 4, 8, 8).to(XLA, dtype), weft.randn(4, 2, 3, 3).to(XLA, dtype)
    a = weft.randn(4, 4).to(XLA, dtype)
    weft.realize(x.requires_grad_(), w.requires_grad_(), a)

    def both() -> list[Any]:
        y = F.conv2d(x, w, groups=2, padding=1, stride=2)
        return [y, a @ a, *weft.autograd.grad(y.sum(), [x, w])]

    lines = lowered(monkeypatch, both, precision).splitlines()
    (product,) = [line for line in lines if "stablehlo.dot_general" in line]
    convolutions = [line for line in lines if "stablehlo.convolution" in line]
    assert words[0] in product
    assert len(convolutions) == 3
    kind = "xbf16>" if dtype is weft.bfloat16 else "xf32>"
    for line in convolutions:
        assert words[1] in line or (words[1] == "DEFAULT>" and "precision" not in line)
        assert line.endswith(kind)
