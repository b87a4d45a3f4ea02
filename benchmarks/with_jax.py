"""JAX, as its users write it: pure functions of a dict of parameters, ``jit``, donated buffers.

Images are [N, H, W, C], kernels [H, W, in, out], as XLA prefers on CPUs. Parameters have the names
of ``models.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import lax, nn, numpy as jnp

from benchmarks.runs import Run, Weights
from benchmarks.workloads import WORKLOADS

Dict = dict[str, Any]

# ---- weights and data


def converted(name: str, weights: Weights) -> tuple[Dict, Dict]:
    """Parameters and running statistics, from PyTorch's layouts to JAX's."""
    parameters: Dict = {}
    statistics: Dict = {}
    for key, value in weights.items():
        if "running_" in key:
            statistics[key] = value
        elif "bias_hh" in key:  # one bias does what PyTorch's two do
            parameters[key.replace("bias_hh", "bias")] = value + weights[key.replace("hh", "ih")]
        elif "bias_ih" not in key and "num_batches" not in key:
            parameters[key] = _layout(name, key, value)
    return parameters, statistics


def _layout(name: str, key: str, value: Any) -> Any:
    if value.ndim == 4 and re.match(r"up\d", key):  # a transposed convolution
        return np.flip(value, (2, 3)).transpose(2, 3, 0, 1)
    if value.ndim == 4:
        return value.transpose(2, 3, 1, 0)
    if name == "LeNet" and key == "fc1.weight":  # it sees channels last
        return value.reshape(-1, 16, 5, 5).transpose(2, 3, 1, 0).reshape(400, -1)
    if value.ndim == 2 and not key.startswith(("token", "position", "embed")):
        return value.T
    return value


def data(name: str, batch: int | None) -> tuple[Any, Any]:
    """Inputs and targets, images with their channels last."""
    x, y = WORKLOADS[name].data(batch)
    if x.ndim == 4:
        x = x.transpose(0, 2, 3, 1)
    return jnp.asarray(x), jnp.asarray(y)


# ---- layers


def _linear(p: Dict, name: str, x: Any) -> Any:
    y = x @ p[f"{name}.weight"]
    bias = p.get(f"{name}.bias")
    return y if bias is None else y + bias


def _conv(p: Dict, name: str, x: Any, padding: int = 0, stride: int = 1) -> Any:
    around = [(padding, padding)] * 2
    y = lax.conv_general_dilated(
        x, p[f"{name}.weight"], (stride, stride), around, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    bias = p.get(f"{name}.bias")
    return y if bias is None else y + bias


def _up(p: Dict, name: str, x: Any) -> Any:
    y = lax.conv_transpose(x, p[f"{name}.weight"], (2, 2), "VALID")
    return y + p[f"{name}.bias"]


def _max_pool(x: Any) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


class _Statistics:
    """Running means and variances of batch normalisation, and what they become."""

    def __init__(self, before: Dict, train: bool) -> None:
        self.before, self.train, self.after = before, train, dict(before)

    def batch_norm(self, p: Dict, name: str, x: Any) -> Any:
        keys = f"{name}.running_mean", f"{name}.running_var"
        if self.train:
            mean = x.mean((0, 1, 2))
            variance = jnp.square(x).mean((0, 1, 2)) - jnp.square(mean)
            count = x.size // x.shape[-1]
            for key, now in zip(keys, (mean, variance * (count / (count - 1))), strict=True):
                self.after[key] = 0.9 * self.before[key] + 0.1 * now
        else:
            mean, variance = self.before[keys[0]], self.before[keys[1]]
        scale = p[f"{name}.weight"] * lax.rsqrt(variance + 1e-5)
        return (x - mean) * scale + p[f"{name}.bias"]


def _layer_norm(p: Dict, name: str, x: Any) -> Any:
    mean = x.mean(-1, keepdims=True)
    variance = jnp.square(x).mean(-1, keepdims=True) - jnp.square(mean)
    return (x - mean) * lax.rsqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


def _lstm_layer(p: Dict, layer: int, x: Any) -> Any:
    """[N, T, C] to [N, T, H]; the inputs' part of the gates is one product for all times."""
    hidden = p[f"lstm.weight_hh_l{layer}"]
    inputs = x @ p[f"lstm.weight_ih_l{layer}"] + p[f"lstm.bias_l{layer}"]

    def one(carry: Any, now: Any) -> Any:
        c, h = carry
        i, f, g, o = jnp.split(now + h @ hidden, 4, -1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        h = nn.sigmoid(o) * jnp.tanh(c)
        return (c, h), h

    start = jnp.zeros((x.shape[0], hidden.shape[0]), x.dtype)
    return lax.scan(one, (start, start), inputs.swapaxes(0, 1))[1].swapaxes(0, 1)


# ---- networks: parameters, statistics, inputs to outputs


def _lenet(p: Dict, s: _Statistics, x: Any) -> Any:
    x = _max_pool(_conv(p, "conv1", x, padding=1))
    x = _max_pool(_conv(p, "conv2", x)).reshape(x.shape[0], -1)
    return _linear(p, "fc3", _linear(p, "fc2", _linear(p, "fc1", x)))


def _mlp(p: Dict, s: _Statistics, x: Any) -> Any:
    x = nn.relu(_linear(p, "0", x))
    return _linear(p, "4", nn.relu(_linear(p, "2", x)))


def _tiny_mlp(p: Dict, s: _Statistics, x: Any) -> Any:
    return _linear(p, "2", nn.relu(_linear(p, "0", x)))


def _resnet18(p: Dict, s: _Statistics, x: Any) -> Any:
    x = nn.relu(s.batch_norm(p, "bn1", _conv(p, "conv1", x, padding=1)))
    for k in range(8):
        at, stride = f"blocks.{k}", 2 if k in {2, 4, 6} else 1
        y = _conv(p, f"{at}.conv1", x, padding=1, stride=stride)
        y = nn.relu(s.batch_norm(p, f"{at}.bn1", y))
        y = s.batch_norm(p, f"{at}.bn2", _conv(p, f"{at}.conv2", y, padding=1))
        if stride == 2:
            x = _conv(p, f"{at}.shortcut.0", x, stride=2)
            x = s.batch_norm(p, f"{at}.shortcut.1", x)
        x = nn.relu(y + x)
    return _linear(p, "fc", x.mean((1, 2)))


def _gpt(p: Dict, s: _Statistics, tokens: Any) -> Any:
    x = p["token.weight"][tokens] + p["position.weight"][: tokens.shape[1]]
    for k in range(4):
        at = f"blocks.{k}"
        qkv = _linear(p, f"{at}.qkv", _layer_norm(p, f"{at}.norm1", x))
        q, k_, v = jnp.moveaxis(qkv.reshape(*x.shape[:2], 3, 8, 32), 2, 0)
        a = nn.dot_product_attention(q, k_, v, is_causal=True)
        x = x + _linear(p, f"{at}.proj", a.reshape(x.shape))
        up = _linear(p, f"{at}.up", _layer_norm(p, f"{at}.norm2", x))
        x = x + _linear(p, f"{at}.down", nn.gelu(up, approximate=False))
    return _linear(p, "head", _layer_norm(p, "norm", x))


def _lstm(p: Dict, s: _Statistics, tokens: Any) -> Any:
    x = p["embed.weight"][tokens]
    return _linear(p, "head", _lstm_layer(p, 1, _lstm_layer(p, 0, x)))


def _unet(p: Dict, s: _Statistics, x: Any) -> Any:
    def double(at: str, x: Any) -> Any:
        x = nn.relu(s.batch_norm(p, f"{at}.1", _conv(p, f"{at}.0", x, padding=1)))
        return nn.relu(s.batch_norm(p, f"{at}.4", _conv(p, f"{at}.3", x, padding=1)))

    a = double("down1", x)
    b = double("down2", _max_pool(a))
    c = double("middle", _max_pool(b))
    b = double("join2", jnp.concatenate([b, _up(p, "up2", c)], -1))
    return _conv(p, "head", double("join1", jnp.concatenate([a, _up(p, "up1", b)], -1)))


NETWORKS: dict[str, Callable[[Dict, _Statistics, Any], Any]] = {
    "LeNet": _lenet,
    "MLP": _mlp,
    "ResNet-18": _resnet18,
    "GPT": _gpt,
    "tiny MLP": _tiny_mlp,
    "LSTM": _lstm,
    "U-Net": _unet,
}

# ---- what is timed


def loss_of(name: str, out: Any, y: Any) -> Any:
    """Cross-entropy of classes along the last axis, or the mean squared difference."""
    if not WORKLOADS[name].classes:
        return jnp.square(out - y).mean()
    chosen = jnp.take_along_axis(nn.log_softmax(out), y[..., None], -1)
    return -chosen.mean()


def training(name: str, weights: Weights, *, batch: int | None = None) -> Run:
    """A step of SGD with momentum: one ``jit``, which may overwrite parameters and momenta."""
    network, lr = NETWORKS[name], WORKLOADS[name].lr
    x, y = data(name, batch)

    @partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(parameters: Dict, statistics: Dict, momenta: Dict, x: Any, y: Any) -> Any:
        def loss(parameters: Dict) -> Any:
            s = _Statistics(statistics, train=True)
            return loss_of(name, network(parameters, s, x), y), s.after

        (value, after), gradients = jax.value_and_grad(loss, has_aux=True)(parameters)
        momenta = jax.tree.map(lambda m, g: 0.9 * m + g, momenta, gradients)
        parameters = jax.tree.map(lambda p, m: p - lr * m, parameters, momenta)
        return parameters, after, momenta, value

    state = jax.tree.map(jnp.array, converted(name, weights))
    state = (*state, jax.tree.map(jnp.zeros_like, state[0]))

    def call() -> Any:
        nonlocal state
        *state, loss = step(*state, x, y)
        return loss

    return Run(call, lambda: jax.block_until_ready(state), float)


def forward(name: str, weights: Weights, *, batch: int | None = 1) -> Run:
    """The output for one sample, waited for at each call."""
    network = NETWORKS[name]
    parameters, statistics = jax.tree.map(jnp.array, converted(name, weights))
    x, _ = data(name, batch)

    @jax.jit
    def out_of(parameters: Dict, statistics: Dict, x: Any) -> Any:
        return network(parameters, _Statistics(statistics, train=False), x)

    def call() -> Any:
        return out_of(parameters, statistics, x).block_until_ready()

    return Run(call, lambda: None, lambda out: float(out.sum()))
