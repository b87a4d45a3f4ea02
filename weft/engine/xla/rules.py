"""What the rules of lowering share: a step, and the types of rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ...graph.node import Signature
from ..precision import Precision

Value = Any  # a traced jax.Array

#: Of an op that failed: the type of the error, and its text, from the value that was wrong.
Words = Callable[[Signature, float], tuple[type[Exception], str]]


class Setting(NamedTuple):
    """What a program depends on besides its graph."""

    platform: str  # "cpu", "gpu", "tpu", as JAX says it
    precision: Precision
    has_attention: bool = False  # has the device cuDNN's?


class Checked(NamedTuple):
    """What a rule gives whose op can fail on its data.

    Attributes:
        value: the result; what it is where the op failed does not matter.
        failed: bool.
        wrong: the first value that was wrong, for the error's text.
    """

    value: Value
    failed: Value
    wrong: Value = 0


#: ``rule(sig, setting, *inputs)``: a value, or :class:`Checked`.
Rule = Callable[..., Any]


def plain(f: Callable[..., Value]) -> Rule:
    """The rule of an op that a function of its inputs computes."""
    return lambda sig, setting, *inputs: f(*inputs)


def with_attrs(f: Callable[..., Value]) -> Rule:
    """The same with ``f(attrs, *inputs)``."""
    return lambda sig, setting, *inputs: f(sig.attrs, *inputs)
