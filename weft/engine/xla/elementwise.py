"""Lowering of elementwise ops: XLA's function where it means the same, composed where not."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import lax

from ...dtypes import dtype, float8_e4m3fn, float8_e8m0fnu
from ...graph.node import Signature
from .rules import Checked, Rule, Setting, Value, plain

# ---- arithmetic


def _is_integer(x: Value) -> bool:
    return bool(jnp.issubdtype(x.dtype, jnp.integer))


def _by_zero(sig: Signature, wrong: float) -> tuple[type[Exception], str]:
    return ZeroDivisionError, "integer division by zero"


def _division(floats: Any, integers: Any) -> Rule:
    """Integers by zero are an error; here they are divided by one."""

    def rule(sig: Signature, setting: Setting, a: Value, b: Value) -> Any:
        if not _is_integer(a):
            return floats(a, b)
        zero = b == 0
        return Checked(integers(a, jnp.where(zero, 1, b)), zero.any())

    return rule


def _floor_div(a: Value, b: Value) -> Value:
    """NumPy's, which is Python's: never off by one where ``a / b`` rounds up to an integer."""
    mod = lax.rem(*jnp.broadcast_arrays(a, b))
    quotient = (a - mod) / b
    quotient = jnp.where((mod != 0) & ((b < 0) != (mod < 0)), quotient - 1, quotient)
    floor = jnp.floor(quotient)
    floor = jnp.where(quotient - floor > 0.5, floor + 1, floor)
    out = jnp.where(quotient == 0, jnp.copysign(jnp.zeros_like(quotient), a / b), floor)
    return jnp.where(b == 0, a / b, out)


def _fmod(a: Value, b: Value) -> Value:
    return lax.rem(*jnp.broadcast_arrays(a, b))


def _pow(a: Value, b: Value) -> Value:
    if a.dtype == jnp.bool_:
        return a | ~b
    if _is_integer(a):
        odd = jnp.where(b % 2 == 0, 1, -1).astype(a.dtype)
        small = jnp.where(a == 1, 1, jnp.where(a == -1, odd, 0)).astype(a.dtype)
        return jnp.where(b < 0, small, jnp.power(a, jnp.maximum(b, 0)))
    return jnp.power(a, b)


# ---- functions of one argument

#: The Bernoulli numbers B(2), B(4), ..., B(16).
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)

_LEAST_LOG = -100.0  # of binary cross entropy, in place of the logarithm of 0


def _exp2(x: Value) -> Value:
    if jnp.iscomplexobj(x):
        return jnp.exp(x * math.log(2))
    return jnp.exp2(x)


def _sigmoid(x: Value) -> Value:
    return 1 / (1 + jnp.exp(-x)) if jnp.iscomplexobj(x) else lax.logistic(x)


def _sgn(x: Value) -> Value:
    size = jnp.abs(x)
    return jnp.where(size == 0, 0, x / jnp.where(size == 0, 1, size))


def _sign(x: Value) -> Value:
    if x.dtype == jnp.bool_:
        return x
    return jnp.where(jnp.isnan(x), jnp.zeros((), x.dtype), jnp.sign(x))


def _rounding(f: Any) -> Rule:
    return plain(lambda x: f(x) if jnp.issubdtype(x.dtype, jnp.inexact) else x)


def _polygamma(order: int, x: Value) -> Value:
    """As in ``ops/elementwise.py``, which says whose formulas these are."""
    kind, x = x.dtype, x.astype(jnp.float64)
    reflect = x < 0.5
    z = jnp.where(reflect, 1 - x, x)
    out = jnp.zeros_like(z)
    for _ in range(10 + order):
        low = z < 10 + order
        out += jnp.where(low, math.factorial(order) / jnp.where(low, z, 1) ** (order + 1), 0)
        z = z + low
    out += -jnp.log(z) if order == 0 else math.factorial(order - 1) / z**order
    out += math.factorial(order) / (2 * z ** (order + 1))
    for k, bernoulli in enumerate(_BERNOULLI, 1):
        ratio = math.factorial(2 * k + order - 1) / math.factorial(2 * k)
        out += bernoulli * ratio / z ** (2 * k + order)
    out = out if order % 2 else -out
    mirrored = (-out if order % 2 else out) - math.pi * _cotangent_derivative(order, x)
    out = jnp.where(reflect, mirrored, out)
    pole = (x <= 0) & (x == jnp.floor(x))
    at_zero = jnp.where(x == 0, -jnp.copysign(jnp.inf, x), jnp.nan)
    return jnp.where(pole, jnp.inf if order % 2 else at_zero, out).astype(kind)


def _cotangent_derivative(order: int, x: Value) -> Value:
    coefficients = [0.0, 1.0]  # of a polynomial in the cotangent, ascending
    for _ in range(order):
        slope = [k * c for k, c in enumerate(coefficients)][1:]
        coefficients = [
            -math.pi * ((slope[k] if k < len(slope) else 0) + (slope[k - 2] if k >= 2 else 0))
            for k in range(len(slope) + 2)
        ]
    cotangent = 1 / jnp.tan(math.pi * x)
    out = jnp.zeros_like(x)
    for c in reversed(coefficients):
        out = out * cotangent + c
    return out


def _binary_cross_entropy(p: Value, t: Value) -> Value:
    return (t - 1) * jnp.maximum(jnp.log1p(-p), _LEAST_LOG) - t * jnp.maximum(
        jnp.log(p), _LEAST_LOG
    )


# ---- types


def _to_float8(x: Value, to: dtype) -> Value:
    """As :func:`weft.dtypes.converted`."""
    if x.dtype == to.numpy:
        return x
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if to is float8_e4m3fn:
        x = jnp.clip(x, -448, 448)
    elif to is float8_e8m0fnu:
        x = jnp.maximum(abs(x), 2.0**-127)
    return x.astype(to.numpy)


def _cast(sig: Signature, setting: Setting, x: Value) -> Value:
    to = sig.type.dtype
    if jnp.iscomplexobj(x) and to.category in (1, 2):
        x = x.real
    if x.dtype == jnp.bool_ and to.is_inexact:
        # By way of an integer: XLA makes a product with a bool a choice, and 0 of 0 * infinity.
        return x.astype(jnp.int32).astype(to.numpy)
    if to.category == 1 and jnp.issubdtype(x.dtype, jnp.floating):
        return x.astype(jnp.int64).astype(to.numpy)  # so that -1.0 becomes 255 in uint8
    if to.is_only_stored:
        return _to_float8(x, to)
    if to.is_reduced and jnp.issubdtype(x.dtype, jnp.floating) and x.dtype.itemsize > 2:
        # XLA leaves out a rounding between two conversions; one that was asked for must stay.
        kind = jnp.finfo(to.numpy)
        return lax.reduce_precision(x, kind.nexp, kind.nmant).astype(to.numpy)
    return x.astype(to.numpy)


def _first(x: Value, *others: Value) -> Value:
    return x


RULES: dict[str, Rule] = {
    "add": plain(jnp.add),
    "sub": plain(jnp.subtract),
    "mul": plain(jnp.multiply),
    "div": plain(jnp.true_divide),
    "neg": plain(jnp.negative),
    "floor_div": _division(_floor_div, jnp.floor_divide),
    "remainder": _division(jnp.remainder, jnp.remainder),
    "fmod": _division(_fmod, _fmod),
    "pow": plain(_pow),
    "maximum": plain(jnp.maximum),
    "minimum": plain(jnp.minimum),
    "atan2": plain(jnp.arctan2),
    "hypot": plain(jnp.hypot),
    "gcd": plain(jnp.gcd),
    "nextafter": plain(jnp.nextafter),
    "mantissa": plain(lambda x: jnp.frexp(x)[0]),
    "exponent": plain(lambda x: jnp.frexp(x)[1]),
    "exp": plain(jnp.exp),
    "exp2": plain(_exp2),
    "expm1": plain(jnp.expm1),
    "log": plain(jnp.log),
    "log2": plain(jnp.log2),
    "log10": plain(jnp.log10),
    "log1p": plain(jnp.log1p),
    "sqrt": plain(jnp.sqrt),
    "rsqrt": plain(lax.rsqrt),
    "reciprocal": plain(jnp.reciprocal),
    "sin": plain(jnp.sin),
    "cos": plain(jnp.cos),
    "tan": plain(jnp.tan),
    "asin": plain(jnp.arcsin),
    "acos": plain(jnp.arccos),
    "atan": plain(jnp.arctan),
    "sinh": plain(jnp.sinh),
    "cosh": plain(jnp.cosh),
    "tanh": plain(jnp.tanh),
    "asinh": plain(jnp.arcsinh),
    "acosh": plain(jnp.arccosh),
    "atanh": plain(jnp.arctanh),
    "sigmoid": plain(_sigmoid),
    "relu": plain(lambda x: jnp.maximum(x, 0)),
    "relu_mask": plain(lambda g, y: jnp.where(y > 0, g, jnp.zeros((), g.dtype))),
    "erf": plain(lax.erf),
    "erfc": plain(lax.erfc),
    "erfinv": plain(lax.erf_inv),
    "lgamma": plain(lax.lgamma),
    "digamma": plain(lambda x: _polygamma(0, x)),
    "polygamma": lambda sig, setting, x: _polygamma(sig.attrs, x),
    "abs": plain(jnp.abs),
    "sign": plain(_sign),
    "sgn": plain(_sgn),
    "complex": plain(lambda a, b: lax.complex(*jnp.broadcast_arrays(a, b))),
    "real": plain(jnp.real),
    "imag": plain(jnp.imag),
    "conj": plain(jnp.conj),
    "floor": _rounding(jnp.floor),
    "ceil": _rounding(jnp.ceil),
    "trunc": _rounding(jnp.trunc),
    "round": _rounding(jnp.rint),
    "eq": plain(jnp.equal),
    "ne": plain(jnp.not_equal),
    "lt": plain(jnp.less),
    "le": plain(jnp.less_equal),
    "gt": plain(jnp.greater),
    "ge": plain(jnp.greater_equal),
    "logical_and": plain(jnp.logical_and),
    "logical_or": plain(jnp.logical_or),
    "logical_xor": plain(jnp.logical_xor),
    "logical_not": plain(jnp.logical_not),
    "isnan": plain(jnp.isnan),
    "isinf": plain(jnp.isinf),
    "bitwise_and": plain(jnp.bitwise_and),
    "bitwise_or": plain(jnp.bitwise_or),
    "bitwise_xor": plain(jnp.bitwise_xor),
    "bitwise_not": plain(jnp.bitwise_not),
    "shift_left": plain(jnp.left_shift),
    "shift_right": plain(jnp.right_shift),
    "where": plain(jnp.where),
    "binary_cross_entropy": plain(_binary_cross_entropy),
    "cast": _cast,
    **dict.fromkeys(("same", "detach", "graft", "over", "to_device"), plain(_first)),
    "function": lambda sig, setting, *inputs: jnp.zeros((), jnp.float32),
    "function_output": plain(_first),
}

#: Ops that can fail, of integers only.
DIVISIONS = ("floor_div", "remainder", "fmod")
WORDS = dict.fromkeys(DIVISIONS, _by_zero)
