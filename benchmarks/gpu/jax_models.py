"""The same models and optimisers as functions of their parameters, for JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.gpu.models import RESNET50, Setting

Params = Any
Forward = Callable[[Params, Any], Any]


class _Weights:
    """Draws weights, as ``nn`` does in size if not in distribution."""

    def __init__(self, dtype: str) -> None:
        self._draw = np.random.default_rng(0)
        self._dtype = jnp.dtype(dtype)

    def __call__(self, *shape: int) -> Any:
        bound = 1 / np.sqrt(max(np.prod(shape[1:]), 1))
        return jnp.asarray(self._draw.uniform(-bound, bound, shape), self._dtype)

    def ones(self, n: int) -> Any:
        return jnp.ones(n, self._dtype)

    def zeros(self, n: int) -> Any:
        return jnp.zeros(n, self._dtype)

    def linear(self, inputs: int, outputs: int) -> Params:
        return {"w": self(outputs, inputs), "b": self(outputs)}


def _linear(p: Params, x: Any) -> Any:
    return x @ p["w"].T + p["b"]


def _conv(w: Any, x: Any, stride: int = 1, pad: int = 0) -> Any:
    return lax.conv_general_dilated(x, w, (stride, stride), [(pad, pad)] * 2)


def _max_pool(x: Any, size: int, stride: int, pad: int = 0) -> Any:
    window, strides = (1, 1, size, size), (1, 1, stride, stride)
    padding = [(0, 0), (0, 0), (pad, pad), (pad, pad)]
    return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, padding)


def mlp(s: Setting, w: _Weights) -> tuple[Params, Forward]:
    params = [w.linear(2, 16), w.linear(16, 2)]
    return params, lambda p, x: _linear(p[1], jnp.tanh(_linear(p[0], x)))


def lenet(s: Setting, w: _Weights) -> tuple[Params, Forward]:
    params = {
        "conv": [(w(6, 1, 5, 5), w(6)), (w(16, 6, 5, 5), w(16))],
        "linear": [w.linear(400, 120), w.linear(120, 84), w.linear(84, 10)],
    }

    def forward(p: Params, x: Any) -> Any:
        for (kernel, bias), pad in zip(p["conv"], (2, 0), strict=True):
            x = _max_pool(jax.nn.relu(_conv(kernel, x, 1, pad) + bias[:, None, None]), 2, 2)
        x = x.reshape(x.shape[0], -1)
        for layer in p["linear"][:2]:
            x = jax.nn.relu(_linear(layer, x))
        return _linear(p["linear"][2], x)

    return params, forward


def resnet50(s: Setting, w: _Weights) -> tuple[Params, Forward]:
    def conv(inputs: int, outputs: int, size: int) -> Params:
        kernel = w(outputs, inputs, size, size)
        return {"w": kernel, "g": w.ones(outputs), "b": w.zeros(outputs)}

    def normal(p: Params, x: Any, stride: int = 1, pad: int = 0) -> Any:
        y = _conv(p["w"], x, stride, pad)
        wide = y.astype(jnp.float32)
        mean, var = wide.mean((0, 2, 3), keepdims=True), wide.var((0, 2, 3), keepdims=True)
        y = ((wide - mean) * lax.rsqrt(var + 1e-5)).astype(y.dtype)
        return y * p["g"][:, None, None] + p["b"][:, None, None]

    blocks, strides, inputs = [], [], s.width
    for stage, count in enumerate(RESNET50[: s.layers]):
        for k in range(count):
            width = s.width << stage
            strides.append(2 if stage and not k else 1)
            block = [conv(inputs, width, 1), conv(width, width, 3), conv(width, 4 * width, 1)]
            if strides[-1] != 1 or inputs != 4 * width:
                block.append(conv(inputs, 4 * width, 1))
            blocks.append(block)
            inputs = 4 * width
    params = {"stem": conv(3, s.width, 7), "blocks": blocks, "head": w.linear(inputs, 1000)}

    def forward(p: Params, x: Any) -> Any:
        x = _max_pool(jax.nn.relu(normal(p["stem"], x, 2, 3)), 3, 2, 1)
        for block, stride in zip(p["blocks"], strides, strict=True):
            y = jax.nn.relu(normal(block[0], x))
            y = normal(block[2], jax.nn.relu(normal(block[1], y, stride, 1)))
            x = jax.nn.relu(y + (normal(block[3], x, stride) if len(block) > 3 else x))
        return _linear(p["head"], x.mean((2, 3)))

    return params, forward


def gpt2(s: Setting, w: _Weights) -> tuple[Params, Forward]:
    heads = max(s.width // 64, 1)
    kernel: Any = "cudnn" if jax.default_backend() == "gpu" else None
    blocks = [
        {
            "n1": (w.ones(s.width), w.zeros(s.width)),
            "n2": (w.ones(s.width), w.zeros(s.width)),
            "qkv": w.linear(s.width, 3 * s.width),
            "proj": w.linear(s.width, s.width),
            "up": w.linear(s.width, 4 * s.width),
            "down": w.linear(4 * s.width, s.width),
        }
        for _ in range(s.layers)
    ]
    params = {
        "tokens": w(s.vocabulary, s.width),
        "places": w(s.length, s.width),
        "blocks": blocks,
        "norm": (w.ones(s.width), w.zeros(s.width)),
    }

    def norm(p: Params, x: Any) -> Any:
        wide = x.astype(jnp.float32)
        wide = (wide - wide.mean(-1, keepdims=True)) * lax.rsqrt(wide.var(-1, keepdims=True) + 1e-5)
        return wide.astype(x.dtype) * p[0] + p[1]

    def forward(p: Params, ids: Any) -> Any:
        x = p["tokens"][ids] + p["places"]
        n, t, c = x.shape
        for b in p["blocks"]:
            parts = _linear(b["qkv"], norm(b["n1"], x)).reshape(n, t, 3, heads, c // heads)
            q, k, v = (parts[:, :, i] for i in range(3))
            y = jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation=kernel)
            y = y.reshape(n, t, c)
            x = x + _linear(b["proj"], y)
            x = x + _linear(b["down"], jax.nn.gelu(_linear(b["up"], norm(b["n2"], x))))
        return norm(p["norm"], x) @ p["tokens"].T

    return params, forward


MAKERS = {"mlp": mlp, "lenet": lenet, "resnet50": resnet50, "gpt2": gpt2}


def _loss(forward: Forward, params: Params, x: Any, t: Any) -> Any:
    logits = jax.nn.log_softmax(forward(params, x).astype(jnp.float32))
    return -jnp.take_along_axis(logits, t[..., None], -1).mean()


def _sgd(p: Any, g: Any, momentum: Any, _: Any, step: Any) -> tuple[Any, Any, Any]:
    momentum = 0.9 * momentum + g
    return p - 0.01 * momentum, momentum, _


def _adamw(p: Any, g: Any, m: Any, v: Any, step: Any) -> tuple[Any, Any, Any]:
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    size = (v / (1 - 0.999**step)) ** 0.5 + 1e-8
    new = p * (1 - 1e-5) - 1e-3 * (m / (1 - 0.9**step)) / size
    return new.astype(p.dtype), m.astype(p.dtype), v.astype(p.dtype)


def step_of(case: str, s: Setting, dtype: str, optimizer: str, x: Any, t: Any) -> Callable[[], Any]:
    """A training step by one ``jit``, its state kept and given to it to write over."""
    params, forward = MAKERS[case](s, _Weights(dtype))
    rule = _adamw if optimizer == "AdamW" else _sgd

    def step(state: Any, x: Any, t: Any) -> Any:
        params, first, second, count = state
        loss, grads = jax.value_and_grad(lambda p: _loss(forward, p, x, t))(params)
        flat, shape = jax.tree.flatten(params)
        parts = [jax.tree.leaves(tree) for tree in (grads, first, second)]
        new = [rule(p, g, m, v, count) for p, g, m, v in zip(flat, *parts, strict=True)]
        trees = [jax.tree.unflatten(shape, list(column)) for column in zip(*new, strict=True)]
        return (*trees, count + 1), loss

    run = jax.jit(step, donate_argnums=0)
    zeros = jax.tree.map(jnp.zeros_like, params)
    state = [(params, zeros, jax.tree.map(jnp.zeros_like, params), jnp.ones((), jnp.float32))]
    if x.dtype.kind == "f":
        x = jnp.asarray(x, dtype)
    x, t = jax.device_put(jnp.asarray(x)), jax.device_put(jnp.asarray(t))

    def call() -> Any:
        state[0], loss = run(state[0], x, t)
        return loss

    return call
