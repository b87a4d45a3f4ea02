"""What is made of ops works on another device, and stays there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="computes by JAX: pip install 'weft[xla]'")

import weft
import weft.nn.functional as F
from weft import nn
from weft.utils.checkpoint import checkpoint
from weft.utils.data import DataLoader, TensorDataset

XLA = "xla:cpu"


class Square(weft.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 2 * x * g


def gradient(make: Callable[[Any], Any], *shape: int) -> Any:
    x = weft.ones(*shape, device=XLA, requires_grad=True)
    make(x).sum().backward()
    return x.grad


def scaled_step() -> Any:
    model = nn.Linear(3, 3).to(XLA)
    optimizer, scaler = weft.optim.SGD(model.parameters(), lr=0.1), weft.amp.GradScaler(XLA)
    with weft.autocast(XLA, dtype=weft.bfloat16):
        y = model(weft.ones(2, 3, device=XLA))
    assert y.dtype is weft.bfloat16
    scaler.scale(y.float().sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    return model.weight


def packed() -> Any:
    x = weft.randn(2, 5, 3, device=XLA)
    sequence = nn.utils.rnn.pack_padded_sequence(x, [5, 3], batch_first=True)
    y, _ = nn.LSTM(3, 4, batch_first=True).to(XLA)(sequence)
    return nn.utils.rnn.pad_packed_sequence(y, batch_first=True)[0]


def masked_attention() -> Any:
    x = weft.randn(2, 5, 8, device=XLA)
    mask = nn.Transformer.generate_square_subsequent_mask(5, device=XLA)
    y = nn.TransformerEncoderLayer(8, 2, batch_first=True).to(XLA)(x, src_mask=mask)
    return F.scaled_dot_product_attention(x, x, x, is_causal=True) + y


def generated() -> Any:
    model = weft.models.GPT2(vocab_size=50, n_positions=16, n_embd=8, n_layer=1, n_head=2)
    return model.to(XLA).eval().generate(weft.tensor([[1, 2]], device=XLA), 2)


def chosen_by_masks() -> Any:
    x = weft.arange(6.0, device=XLA)
    assert x[x > 2].tolist() == [3, 4, 5]
    x[x > 4] = 0
    x[[0, 1]] = 7
    assert x.tolist() == [7, 7, 2, 3, 4, 0]
    return x.nonzero()


def written_through_views() -> Any:
    x = weft.zeros(2, 3, device=XLA)
    x[0].add_(1)
    x[:, 1].mul_(5)
    assert x.tolist() == [[1, 5, 1], [0, 0, 0]]
    return x


def batches() -> Any:
    for (x,) in DataLoader(TensorDataset(weft.arange(10.0)), 4, pin_memory=True):
        y = x.to(XLA, non_blocking=True) * 2
    assert y.tolist() == [16, 18]
    return y


def averaged() -> Any:
    model = nn.Linear(2, 2).to(XLA)
    average = weft.optim.swa_utils.AveragedModel(model)
    average.update_parameters(model)
    average.update_parameters(model)
    far = weft.optim.swa_utils.AveragedModel(model, device="cpu")
    for _ in range(3):
        far.update_parameters(model)
    assert far.module.weight.device == "cpu"
    assert far.module.weight.allclose(model.weight.cpu())
    return average(weft.ones(1, 2, device=XLA))


def minimised() -> Any:
    p = weft.tensor([3.0, -2.0], device=XLA, requires_grad=True)
    optimizer = weft.optim.LBFGS([p])

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert p.abs().max() < 1e-4
    return p


FEATURES: dict[str, Callable[[], Any]] = {
    "vmap": lambda: weft.vmap(lambda x: (x * 2).sum())(weft.ones(3, 4, device=XLA)),
    "func.grad": lambda: weft.func.grad(lambda x: (x**2).sum())(weft.ones(3, device=XLA)),
    "func.jacrev": lambda: weft.func.jacrev(lambda x: x**2)(weft.ones(3, device=XLA)),
    "Function": lambda: gradient(Square.apply, 3),
    "checkpoint": lambda: gradient(
        lambda x: checkpoint(nn.Dropout(0.5), x, use_reentrant=False), 2, 3
    ),
    "clip_grad_norm_": lambda: (
        nn.utils.clip_grad_norm_([nn.Parameter(gradient(lambda x: x * 3, 2))], 0.1)
        + gradient(lambda x: x * 3, 2)
    ),
    "spectral norm": lambda: gradient(
        nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3)).to(XLA), 2, 3
    ),
    "orthogonal": lambda: gradient(
        nn.utils.parametrizations.orthogonal(nn.Linear(3, 3)).to(XLA), 2, 3
    ),
    "lazy": lambda: nn.LazyConv2d(3, 3, device=XLA)(weft.ones(1, 2, 4, 4, device=XLA)),
    "multinomial": lambda: weft.multinomial(weft.ones(2, 3, device=XLA), 2),
    "multiplied by an array": lambda: weft.ones(3, device=XLA) * np.ones(3, np.float32),
    **{
        f.__name__: f
        for f in (scaled_step, packed, masked_attention, generated, chosen_by_masks, batches)
    },
    **{f.__name__: f for f in (written_through_views, averaged, minimised)},
}


@pytest.mark.parametrize("name", FEATURES)
def test_feature(name: str) -> None:
    y = FEATURES[name]()
    assert y.device == XLA
    assert np.isfinite(y.detach().float().cpu().numpy()).all()


def test_printing() -> None:
    assert repr(weft.ones(2, device=XLA)) == "tensor([1., 1.], device='xla:cpu')"


def test_several_devices() -> None:
    """Of which JAX shows the CPU as three."""
    script = (
        "import weft\n"
        "a, b = weft.ones(3, device='xla:cpu:1'), weft.ones(3, device='xla:cpu')\n"
        "try: a + b; raise SystemExit('two devices in one op')\n"
        "except weft.errors.DeviceError as error: assert 'xla:cpu:1' in str(error)\n"
        "c = (a * 2).to('xla:cpu') + b\n"
        "d = c.to('xla:cpu:2') * a.to('xla:cpu:2')\n"
        "assert d.tolist() == [3, 3, 3] and str(d.device) == 'xla:cpu:2'\n"
        "r = weft.rand(3, device='xla:cpu:2')\n"
        "weft.realize(r)\n"
        "assert [x.id for x in r._node.value.devices()] == [2]\n"
    )
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, **flags})
