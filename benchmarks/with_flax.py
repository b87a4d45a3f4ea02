"""Flax NNX with optax, as their guides write it: modules, ``nnx.jit``, ``nnx.Optimizer``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import optax
from flax import nnx
from jax import numpy as jnp

from benchmarks.runs import Run, Weights
from benchmarks.with_jax import converted, data, loss_of
from benchmarks.workloads import WORKLOADS

_BatchNorm = partial(nnx.BatchNorm, momentum=0.9, epsilon=1e-5)
_LayerNorm = partial(nnx.LayerNorm, epsilon=1e-5)


def _pool(x: Any) -> Any:
    return nnx.max_pool(x, (2, 2), (2, 2))


class LeNet(nnx.Module):  # type: ignore[misc]
    def __init__(self, rngs: Any) -> None:
        self.conv1 = nnx.Conv(1, 6, (3, 3), padding=1, rngs=rngs)
        self.conv2 = nnx.Conv(6, 16, (5, 5), padding="VALID", rngs=rngs)
        self.fc1, self.fc2 = nnx.Linear(400, 120, rngs=rngs), nnx.Linear(120, 84, rngs=rngs)
        self.fc3 = nnx.Linear(84, 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = _pool(self.conv2(_pool(self.conv1(x))))
        return self.fc3(self.fc2(self.fc1(x.reshape(x.shape[0], -1))))


def _mlp(rngs: Any) -> Any:
    first, second = nnx.Linear(784, 512, rngs=rngs), nnx.Linear(512, 512, rngs=rngs)
    return nnx.Sequential(first, nnx.relu, second, nnx.relu, nnx.Linear(512, 10, rngs=rngs))


def _tiny_mlp(rngs: Any) -> Any:
    return nnx.Sequential(nnx.Linear(2, 16, rngs=rngs), nnx.relu, nnx.Linear(16, 1, rngs=rngs))


class _ResidualBlock(nnx.Module):  # type: ignore[misc]
    def __init__(self, inputs: int, outputs: int, stride: int, rngs: Any) -> None:
        conv = partial(nnx.Conv, use_bias=False, rngs=rngs)
        self.conv1 = conv(inputs, outputs, (3, 3), strides=stride, padding=1)
        self.bn1 = _BatchNorm(outputs, rngs=rngs)
        self.conv2 = conv(outputs, outputs, (3, 3), padding=1)
        self.bn2 = _BatchNorm(outputs, rngs=rngs)
        self.shortcut = nnx.Sequential()
        if stride != 1:
            self.shortcut = nnx.Sequential(
                conv(inputs, outputs, (1, 1), strides=stride), _BatchNorm(outputs, rngs=rngs)
            )

    def __call__(self, x: Any) -> Any:
        y = nnx.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return nnx.relu(y + (self.shortcut(x) if self.shortcut.layers else x))


class ResNet18(nnx.Module):  # type: ignore[misc]
    def __init__(self, rngs: Any) -> None:
        self.conv1 = nnx.Conv(3, 64, (3, 3), padding=1, use_bias=False, rngs=rngs)
        self.bn1 = _BatchNorm(64, rngs=rngs)
        blocks, width = [], 64
        for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            blocks.append(_ResidualBlock(width, outputs, stride, rngs))
            blocks.append(_ResidualBlock(outputs, outputs, 1, rngs))
            width = outputs
        self.blocks = nnx.Sequential(*blocks)
        self.fc = nnx.Linear(512, 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = self.blocks(nnx.relu(self.bn1(self.conv1(x))))
        return self.fc(x.mean((1, 2)))


class _Transformer(nnx.Module):  # type: ignore[misc]
    def __init__(self, width: int, heads: int, rngs: Any) -> None:
        self.heads = heads
        self.norm1, self.norm2 = _LayerNorm(width, rngs=rngs), _LayerNorm(width, rngs=rngs)
        self.qkv = nnx.Linear(width, 3 * width, rngs=rngs)
        self.proj = nnx.Linear(width, width, rngs=rngs)
        self.up = nnx.Linear(width, 4 * width, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        n, t, c = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(n, t, 3, self.heads, c // self.heads)
        q, k, v = jnp.moveaxis(qkv, 2, 0)
        a = jax.nn.dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(a.reshape(n, t, c))
        return x + self.down(nnx.gelu(self.up(self.norm2(x)), approximate=False))


class GPT(nnx.Module):  # type: ignore[misc]
    def __init__(self, rngs: Any) -> None:
        self.token = nnx.Embed(1000, 256, rngs=rngs)
        self.position = nnx.Embed(128, 256, rngs=rngs)
        self.blocks = nnx.Sequential(*(_Transformer(256, 8, rngs) for _ in range(4)))
        self.norm = _LayerNorm(256, rngs=rngs)
        self.head = nnx.Linear(256, 1000, use_bias=False, rngs=rngs)

    def __call__(self, tokens: Any) -> Any:
        x = self.token(tokens) + self.position(jnp.arange(tokens.shape[1]))
        return self.head(self.norm(self.blocks(x)))


class LSTM(nnx.Module):  # type: ignore[misc]
    def __init__(self, rngs: Any) -> None:
        self.embed = nnx.Embed(1000, 256, rngs=rngs)
        self.l0 = nnx.RNN(nnx.OptimizedLSTMCell(256, 256, rngs=rngs), rngs=rngs)
        self.l1 = nnx.RNN(nnx.OptimizedLSTMCell(256, 256, rngs=rngs), rngs=rngs)
        self.head = nnx.Linear(256, 1000, rngs=rngs)

    def __call__(self, tokens: Any) -> Any:
        return self.head(self.l1(self.l0(self.embed(tokens))))


def _double(inputs: int, outputs: int, rngs: Any) -> Any:
    return nnx.Sequential(
        nnx.Conv(inputs, outputs, (3, 3), padding=1, rngs=rngs),
        _BatchNorm(outputs, rngs=rngs),
        nnx.relu,
        nnx.Conv(outputs, outputs, (3, 3), padding=1, rngs=rngs),
        _BatchNorm(outputs, rngs=rngs),
        nnx.relu,
    )


class UNet(nnx.Module):  # type: ignore[misc]
    def __init__(self, rngs: Any) -> None:
        self.down1, self.down2 = _double(3, 16, rngs), _double(16, 32, rngs)
        self.middle = _double(32, 64, rngs)
        up = partial(
            nnx.ConvTranspose, kernel_size=(2, 2), strides=(2, 2), padding="VALID", rngs=rngs
        )
        self.up2, self.up1 = up(64, 32), up(32, 16)
        self.join2, self.join1 = _double(64, 32, rngs), _double(32, 16, rngs)
        self.head = nnx.Conv(16, 2, (1, 1), rngs=rngs)

    def __call__(self, x: Any) -> Any:
        a = self.down1(x)
        b = self.down2(_pool(a))
        c = self.middle(_pool(b))
        b = self.join2(jnp.concatenate([b, self.up2(c)], -1))
        return self.head(self.join1(jnp.concatenate([a, self.up1(b)], -1)))


MODULES: dict[str, Callable[[Any], Any]] = {
    "LeNet": LeNet,
    "MLP": _mlp,
    "ResNet-18": ResNet18,
    "GPT": GPT,
    "tiny MLP": _tiny_mlp,
    "LSTM": LSTM,
    "U-Net": UNet,
}

#: The last part of a parameter's name, here and in ``models.py``.
_LEAVES = {"kernel": "weight", "scale": "weight", "embedding": "weight", "bias": "bias"}
_LEAVES |= {"mean": "running_mean", "var": "running_var"}


def _name(path: tuple[Any, ...]) -> str:
    """PyTorch's name: ``('blocks', 'layers', 0, 'bn1', 'scale')`` is ``blocks.0.bn1.weight``."""
    *above, leaf = (str(part) for part in path)
    if "cell" in above:  # of an LSTM; only its recurrent half has a bias
        layer, _, half = above
        kind = "bias" if leaf == "bias" else f"weight_{half[-1]}h"
        return f"lstm.{kind}_{layer}"
    return ".".join([*(part for part in above if part != "layers"), _LEAVES[leaf]])


def _made(name: str, weights: Weights) -> Any:
    model = MODULES[name](nnx.Rngs(0))
    parameters, statistics = converted(name, weights)
    given = {**parameters, **statistics}
    for path, variable in nnx.to_flat_state(nnx.state(model, (nnx.Param, nnx.BatchStat))):
        value = jnp.array(given.pop(_name(path)))
        if value.shape != variable.get_value().shape:
            raise ValueError(f"{_name(path)} has shape {value.shape}, not that of Flax's parameter")
        variable.set_value(value)
    if given:
        raise ValueError(f"Flax's {name} has no parameters {sorted(given)}")
    return model


def training(name: str, weights: Weights, *, batch: int | None = None) -> Run:
    """A step of optax's SGD with momentum, the modules cached between calls."""
    model = _made(name, weights)
    optimizer = nnx.Optimizer(model, optax.sgd(WORKLOADS[name].lr, momentum=0.9), wrt=nnx.Param)
    x, y = data(name, batch)

    @nnx.jit
    def step(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
        loss, gradients = nnx.value_and_grad(lambda model: loss_of(name, model(x), y))(model)
        optimizer.update(model, gradients)
        return loss

    model.train()
    cached = nnx.cached_partial(step, model, optimizer)
    return Run(
        lambda: cached(x, y), lambda: jax.block_until_ready(nnx.state((model, optimizer))), float
    )


def forward(name: str, weights: Weights, *, batch: int | None = 1) -> Run:
    """The output for one sample, waited for at each call."""
    model = _made(name, weights)
    x, _ = data(name, batch)
    model.eval()
    cached = nnx.cached_partial(nnx.jit(lambda model, x: model(x)), model)
    return Run(lambda: cached(x).block_until_ready(), lambda: None, lambda out: float(out.sum()))
