"""The one table of lowerings: how each primitive is computed by XLA."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from ...graph.node import Signature
from . import attention, contract, elementwise, fft, linalg, loss, movement, random
from .rules import Checked, Rule, Setting, Value, Words

RULES: dict[str, Rule] = {
    **elementwise.RULES,
    **movement.RULES,
    **contract.RULES,
    **random.RULES,
    **linalg.RULES,
    **fft.RULES,
    **loss.RULES,
}


def _piece(sig: Signature, setting: Setting, *inputs: Value) -> Value:
    """A result of a call: by the device's kernel for it, or else op by op."""
    body, number = sig.attrs
    if setting.has_attention and setting.precision.fused_attention:
        return attention.by_kernel(body, inputs)[number]
    values = [*inputs, *[jnp.asarray(c.value) for c in body.constants]]
    for step, places in body.steps:
        values.append(lower(step, setting, *[values[p] for p in places]))
    return values[body.outputs[number]]


RULES["piece"] = _piece

#: Those that make each element of the elements at the same place.
ELEMENTWISE = frozenset(elementwise.RULES)

#: Of those whose op can fail: what is said then.
WORDS: dict[str, Words] = {
    **elementwise.WORDS,
    **movement.WORDS,
    **contract.WORDS,
    **linalg.WORDS,
    **loss.WORDS,
}

#: Ops that the hardware of GPUs and TPUs computes in 16 bits, with sums in float32.
_NATIVE = ("matmul", "conv", "conv_input", "conv_weight")


def can_fail(sig: Signature) -> bool:
    """Does the rule give :class:`Checked`?"""
    name = sig.op.name
    return name in WORDS and (name not in elementwise.DIVISIONS or sig.type.dtype.category == 1)


def lower(sig: Signature, setting: Setting, *inputs: Value) -> Any:
    """The op's result, or :class:`Checked`, in the type that the graph says."""
    if sig.op.widen and not (sig.op.name in _NATIVE and setting.platform != "cpu"):
        inputs = tuple([_widened(x) for x in inputs])
    found = RULES[sig.op.name](sig, setting, *inputs)
    if isinstance(found, Checked):
        return found._replace(value=_typed(sig, found.value))
    return _typed(sig, found)


def _widened(x: Value) -> Value:
    """16-bit floats are computed in float32 and rounded once."""
    short = x.dtype.itemsize == 2 and jnp.issubdtype(x.dtype, jnp.floating)
    return x.astype(jnp.float32) if short else x


def _typed(sig: Signature, x: Value) -> Value:
    out = jnp.asarray(x, sig.type.dtype.numpy)
    assert out.shape == sig.type.shape, (sig.op.name, out.shape, sig.type)
    return out
