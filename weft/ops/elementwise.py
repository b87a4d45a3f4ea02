"""Elementwise primitives: one value out for one value (or two, or three) in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import bool_, converted, dtype, int32
from ..errors import DTypeError
from ..graph.node import Grads, Node, Op, TensorType, record, record1, type_of
from .base import (
    Binary,
    Unary,
    Value,
    _no_bool,
    _only_float,
    _only_inexact,
    _only_integer,
    _only_integral,
    _only_ordered,
    analytic_unary,
    as_node,
    binary,
    broadcast,
    float_unary,
    no_complex,
    unary,
)
from .complex import conj, only_complex, real
from .movement import zeros

# ---- arithmetic


add: Binary = binary("add", np.add, (lambda g, a, b, y: g, lambda g, a, b, y: g), needs="")
sub: Binary = binary(
    "sub", np.subtract, (lambda g, a, b, y: g, lambda g, a, b, y: neg(g)), needs="", check=_no_bool
)
mul: Binary = binary(
    "mul", np.multiply, (lambda g, a, b, y: mul(g, b), lambda g, a, b, y: mul(g, a))
)
div: Binary = binary(
    "div",
    np.true_divide,
    (lambda g, a, b, y: div(g, b), lambda g, a, b, y: neg(div(mul(g, y), b))),
    needs="by",
    check=_only_inexact,
)
neg: Unary = unary("neg", np.negative, lambda g: neg(g), "", _no_bool)


def _integer_safe(f: Any) -> Any:
    """Integer division by zero is an error in PyTorch; NumPy would give 0 with a warning."""

    def reference(a: Any, b: Any) -> Any:
        if np.result_type(a).kind in "iu" and np.any(np.equal(b, 0)):
            raise ZeroDivisionError("integer division by zero")
        return f(a, b)

    return reference


floor_div: Binary = binary(
    "floor_div",
    _integer_safe(np.floor_divide),
    (lambda g, a, b, y: zeros(g.type), lambda g, a, b, y: zeros(g.type)),
    needs="",
    check=_only_ordered,
)
remainder: Binary = binary(
    "remainder",
    _integer_safe(np.remainder),
    (lambda g, a, b, y: g, lambda g, a, b, y: neg(mul(g, floor(div(a, b))))),
    check=_only_ordered,
)
fmod: Binary = binary(
    "fmod",
    _integer_safe(np.fmod),
    (lambda g, a, b, y: g, lambda g, a, b, y: neg(mul(g, trunc(div(a, b))))),
    check=_only_ordered,
)
for _f in (floor_div, remainder, fmod):
    _f.op.can_fail = True  # type: ignore[attr-defined]


def _pow(a: Any, b: Any) -> Any:
    kind = np.result_type(a).kind
    if kind == "b":  # 0**1 is 0, the other three are 1
        return np.logical_or(a, np.logical_not(b))
    if kind in "iu":
        # Integers to negative powers: what 1/x**n truncates to, as PyTorch has it.
        out = np.power(a, np.maximum(b, 0))
        odd = np.where(np.equal(np.remainder(b, 2), 0), 1, -1)
        small = np.where(np.equal(a, 1), 1, np.where(np.equal(a, -1), odd, 0))
        return np.where(np.less(b, 0), small, out).astype(np.result_type(a))
    return np.power(a, b)


def _pow_grad_base(g: Node, a: Node, b: Node, y: Node) -> Node:
    # b * a**(b-1), and 0 where b is 0 whatever a is
    slope = mul(b, pow_(a, sub(b, 1)))
    return mul(g, where(eq(b, 0), 0, slope))


def _pow_grad_exponent(g: Node, a: Node, b: Node, y: Node) -> Node:
    # y * log(a), and 0 where a is 0 and b is not negative
    slope = mul(y, log(a))
    return mul(g, where(logical_and(eq(a, 0), ge(real(b), 0)), 0, slope))


pow_: Binary = binary("pow", _pow, (_pow_grad_base, _pow_grad_exponent), needs="aby")


def _masked(g: Node, mask: Node) -> Node:
    return where(mask, g, 0)


def _tie(g: Node, a: Node, b: Node) -> Node:
    """Half the gradient where both operands are equal, all of it elsewhere."""
    return where(eq(a, b), mul(g, 0.5), g)


maximum: Binary = binary(
    "maximum",
    np.maximum,
    (
        lambda g, a, b, y: _masked(_tie(g, a, b), ge(a, b)),
        lambda g, a, b, y: _masked(_tie(g, a, b), ge(b, a)),
    ),
    check=no_complex,
)
minimum: Binary = binary(
    "minimum",
    np.minimum,
    (
        lambda g, a, b, y: _masked(_tie(g, a, b), le(a, b)),
        lambda g, a, b, y: _masked(_tie(g, a, b), le(b, a)),
    ),
    check=no_complex,
)


def _squares(a: Node, b: Node) -> Node:
    """Their sum; 1 in place of 0, so that no angle has no gradient."""
    total = add(mul(a, a), mul(b, b))
    return where(eq(total, 0), 1, total)


atan2: Binary = binary(
    "atan2",
    np.arctan2,
    (
        lambda g, a, b, y: mul(g, div(b, _squares(a, b))),
        lambda g, a, b, y: neg(mul(g, div(a, _squares(a, b)))),
    ),
    check=_only_float,
)

# One op rather than a square root of squares, which would overflow.
hypot: Binary = binary(
    "hypot",
    np.hypot,
    (lambda g, a, b, y: mul(g, div(a, y)), lambda g, a, b, y: mul(g, div(b, y))),
    needs="aby",
    check=_only_float,
)
# Euclid's algorithm is a loop whose length depends on the values.
gcd: Binary = binary("gcd", np.gcd, check=_only_integer)


def _only_wide(name: str, x: TensorType) -> None:
    _only_float(name, x)
    if x.dtype.is_reduced:  # (which references see as float32)
        raise DTypeError(f"{name} takes float32 or float64, not {x.dtype}")


# A number is mantissa * 2**exponent, with a mantissa from 1/2 to 1.
exponent: Unary = unary("exponent", lambda x: np.frexp(x)[1], check=_only_float, out=int32)
mantissa: Unary = unary(
    "mantissa",
    lambda x: np.frexp(x)[0],
    lambda g, x: div(g, exp2(cast(exponent(x), g.type.dtype))),
    check=_only_float,
)
nextafter: Binary = binary("nextafter", np.nextafter, check=_only_wide)

# ---- functions of one argument


def _exp2(x: Any) -> Any:
    # (NumPy's own is of real numbers only)
    return np.exp(x * math.log(2)) if np.result_type(x).kind == "c" else np.exp2(x)


exp: Unary = analytic_unary("exp", np.exp, lambda g, y: mul(g, y), "y")
exp2: Unary = analytic_unary("exp2", _exp2, lambda g, y: mul(g, mul(y, math.log(2))), "y")
expm1: Unary = analytic_unary("expm1", np.expm1, lambda g, y: mul(g, add(y, 1)), "y")
log: Unary = analytic_unary("log", np.log, lambda g, x: div(g, x))
log2: Unary = analytic_unary("log2", np.log2, lambda g, x: div(g, mul(x, math.log(2))))
log10: Unary = analytic_unary("log10", np.log10, lambda g, x: div(g, mul(x, math.log(10))))
log1p: Unary = analytic_unary("log1p", np.log1p, lambda g, x: div(g, add(x, 1)))
sqrt: Unary = analytic_unary("sqrt", np.sqrt, lambda g, y: div(g, mul(y, 2)), "y")
rsqrt: Unary = analytic_unary(
    "rsqrt",
    lambda x: np.reciprocal(np.sqrt(x)),
    lambda g, y: mul(mul(g, -0.5), mul(y, mul(y, y))),
    "y",
)
reciprocal: Unary = analytic_unary(
    "reciprocal", np.reciprocal, lambda g, y: neg(mul(g, mul(y, y))), "y"
)
sin: Unary = analytic_unary("sin", np.sin, lambda g, x: mul(g, cos(x)))
cos: Unary = analytic_unary("cos", np.cos, lambda g, x: neg(mul(g, sin(x))))
tan: Unary = analytic_unary("tan", np.tan, lambda g, y: mul(g, add(mul(y, y), 1)), "y")
asin: Unary = analytic_unary(
    "asin", np.arcsin, lambda g, x: mul(g, rsqrt(sub(as_node(1, x), mul(x, x))))
)
acos: Unary = analytic_unary(
    "acos", np.arccos, lambda g, x: neg(mul(g, rsqrt(sub(as_node(1, x), mul(x, x)))))
)
atan: Unary = analytic_unary("atan", np.arctan, lambda g, x: div(g, add(mul(x, x), 1)))
sinh: Unary = analytic_unary("sinh", np.sinh, lambda g, x: mul(g, cosh(x)))
cosh: Unary = analytic_unary("cosh", np.cosh, lambda g, x: mul(g, sinh(x)))
tanh: Unary = analytic_unary(
    "tanh", np.tanh, lambda g, y: mul(g, sub(as_node(1, y), mul(y, y))), "y"
)
asinh: Unary = analytic_unary("asinh", np.arcsinh, lambda g, x: mul(g, rsqrt(add(mul(x, x), 1))))


def _acosh_grad(g: Node, x: Node) -> Node:
    if x.type.dtype.is_complex:  # the root of a product is not always the product of the roots
        return mul(g, mul(rsqrt(sub(x, 1)), rsqrt(add(x, 1))))
    return mul(g, rsqrt(sub(mul(x, x), 1)))


acosh: Unary = analytic_unary("acosh", np.arccosh, _acosh_grad)
atanh: Unary = analytic_unary(
    "atanh", np.arctanh, lambda g, x: div(g, sub(as_node(1, x), mul(x, x)))
)


def _sigmoid(x: Any) -> Any:
    # 1/(1+e^-x) without overflow on either side
    if np.result_type(x).kind == "c":
        return 1 / (1 + np.exp(-x))
    z = np.exp(-np.abs(x))
    return np.where(np.less(x, 0), z, 1) / (1 + z)


def _typed(f: Any) -> Any:
    """A function that may widen its argument's dtype, held to it."""

    def reference(x: Any) -> Any:
        return np.asarray(f(x)).astype(np.result_type(x), copy=False)

    return reference


sigmoid: Unary = analytic_unary(
    "sigmoid", _typed(_sigmoid), lambda g, y: mul(g, mul(y, sub(as_node(1, y), y))), "y"
)
relu: Unary = unary(
    "relu", lambda x: np.maximum(x, 0), lambda g, y: relu_mask(g, y), "y", _only_ordered
)
# g where y > 0: relu's gradient as one op, so that a long chain of them stays one op each
relu_mask: Binary = binary(
    "relu_mask",
    lambda g, y: np.where(np.greater(y, 0), g, np.zeros((), np.result_type(g))),
    (lambda gg, g, y, out: relu_mask(gg, y), None),
    needs="b",
)

_erf = np.frompyfunc(math.erf, 1, 1)
_erfc = np.frompyfunc(math.erfc, 1, 1)


def _lgamma_of_one(x: float) -> float:
    pole = math.isinf(x) or (x <= 0 and x == int(x))
    return math.inf if pole else math.lgamma(x)


_lgamma = np.frompyfunc(_lgamma_of_one, 1, 1)
erf: Unary = float_unary(
    "erf",
    _typed(_erf),
    lambda g, x: mul(mul(g, 2 / math.sqrt(math.pi)), exp(neg(mul(x, x)))),
)
erfc: Unary = float_unary(
    "erfc",
    _typed(_erfc),
    lambda g, x: mul(mul(g, -2 / math.sqrt(math.pi)), exp(neg(mul(x, x)))),
)
lgamma: Unary = float_unary("lgamma", _typed(_lgamma), lambda g, x: mul(g, digamma(x)))


#: The Bernoulli numbers B(2), B(4), ..., B(16).
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


def _polygamma_series(order: int, x: Any) -> Any:
    """The polygamma function of ``order``: the derivative of that order of digamma (order 0).

    The recurrence up to x >= 10 + order, the asymptotic series beyond, and reflection below 1/2.
    (Abramowitz and Stegun, 6.3.6, 6.3.18, 6.4.6, 6.4.7 and 6.4.11)
    """
    x = np.asarray(x, np.float64)
    reflect = x < 0.5
    z = np.where(reflect, 1 - x, x)
    out = np.zeros_like(z)
    for _ in range(10 + order):
        low = z < 10 + order
        out += np.where(low, math.factorial(order) / np.where(low, z, 1) ** (order + 1), 0)
        z = z + low
    out += -np.log(z) if order == 0 else math.factorial(order - 1) / z**order
    out += math.factorial(order) / (2 * z ** (order + 1))
    for k, bernoulli in enumerate(_BERNOULLI, 1):
        ratio = math.factorial(2 * k + order - 1) / math.factorial(2 * k)
        out += bernoulli * ratio / z ** (2 * k + order)
    out = out if order % 2 else -out
    mirrored = (-out if order % 2 else out) - math.pi * _cotangent_derivative(order, x)
    out = np.where(reflect, mirrored, out)
    pole = (x <= 0) & (x == np.floor(x))
    at_pole = np.inf if order % 2 else np.where(x == 0, -np.copysign(np.inf, x), np.nan)
    return np.where(pole, at_pole, out)


def _cotangent_derivative(order: int, x: Any) -> Any:
    """The derivative of ``order`` of cot(pi x), a polynomial in the cotangent itself."""
    p = np.polynomial.Polynomial([0.0, 1.0])
    for _ in range(order):
        p = -math.pi * np.polynomial.Polynomial([1.0, 0.0, 1.0]) * p.deriv()
    return p(1 / np.tan(math.pi * x))


def _infer_polygamma(order: int, x: TensorType) -> TensorType:
    _only_float("polygamma", x)
    return x


_polygamma = Op(
    "polygamma",
    _infer_polygamma,
    lambda order, x: _polygamma_series(order, x).astype(np.result_type(x)),
    lambda n, g, want: (mul(g, polygamma(n.inputs[0], n.sig.attrs + 1)),),
    needs=(0,),
    widen=True,
)


def polygamma(x: Node, order: int) -> Node:
    """The derivative of ``order`` (1 or more) of :func:`digamma`."""
    return record(_polygamma, (x,), order)


digamma: Unary = float_unary(
    "digamma", _typed(lambda x: _polygamma_series(0, x)), lambda g, x: mul(g, polygamma(x, 1))
)


def _erfinv_of(y: Any) -> Any:
    """Giles' approximation (2012), refined by Newton's method on erf or, near 1, on erfc."""
    y = np.asarray(y, np.float64)
    size = np.abs(y)
    inside = np.where(size < 1, size, 0)
    w = -np.log1p(-inside) - np.log1p(inside)
    near = np.polynomial.polynomial.polyval(np.minimum(w, 5) - 2.5, _GILES_CENTRE)
    far = np.polynomial.polynomial.polyval(np.sqrt(np.maximum(w, 5)) - 3, _GILES_TAIL)
    x = np.where(w < 5, near, far) * inside
    for _ in range(3):
        over = np.where(
            inside < 0.5,
            np.asarray(_erf(x), np.float64) - inside,
            (1 - inside) - np.asarray(_erfc(x), np.float64),
        )
        step = over * (math.sqrt(math.pi) / 2) * np.exp(x * x)
        x = x - step / (1 + x * step)  # Halley's correction
    x = np.where(size < 1, x, np.where(size == 1, np.inf, np.nan))
    return np.copysign(x, y)


#: Giles, "Approximating the erfinv function", GPU Computing Gems, 2012: ascending powers.
_GILES_CENTRE = (
    1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.00021858087,
    -4.39150654e-06, -3.5233877e-06, 3.43273939e-07, 2.81022636e-08,
)  # fmt: skip
_GILES_TAIL = (
    2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773,
    -0.00367342844, 0.00134934322, 0.000100950558, -0.000200214257,
)  # fmt: skip
erfinv: Unary = float_unary(
    "erfinv",
    _typed(_erfinv_of),
    lambda g, y: mul(mul(g, math.sqrt(math.pi) / 2), exp(mul(y, y))),
    "y",
)


# (The gradient is real, as the value is, and the direction may be complex.)
abs_: Unary = unary(
    "abs",
    np.abs,
    lambda g, x: mul(cast(g, x.type.dtype), sgn(x)),
    "x",
    _no_bool,
    dtype.to_real,
)


def _sign(x: Any) -> Any:
    if np.result_type(x).kind == "b":
        return x
    # NaN has the sign 0, as in PyTorch.
    return np.where(np.equal(x, x), np.sign(x), np.zeros((), np.result_type(x)))


sign: Unary = unary("sign", _sign, lambda g: zeros(g.type), "", no_complex)


def _infer_sgn(attrs: None, x: TensorType) -> TensorType:
    only_complex("sgn", x.dtype)
    return x


def _reference_sgn(x: Any) -> Any:
    size = np.abs(x)
    return np.where(size == 0, 0, x / np.where(size == 0, 1, size)).astype(x.dtype)


def _grad_sgn(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    """What is across the direction, by the size."""
    size = abs_(node.inputs[0])
    along = mul(cast(real(mul(g, conj(node))), g.type.dtype), node)
    none = eq(size, 0)
    size = cast(where(none, 1, size), g.type.dtype)
    return (where(none, 0, div(sub(g, along), size)),)


_sgn = Op(
    "sgn", _infer_sgn, _reference_sgn, _grad_sgn, needs=(0,), needs_output=True, analytic=False
)


def sgn(x: Node) -> Node:
    """The direction ``x / |x|``, or 0; of real numbers, the sign."""
    return record1(_sgn, x) if x.type.dtype.is_complex else sign(x)


def _rounding(f: Any) -> Any:
    """Integers round to themselves; NumPy would widen them."""
    return lambda x: x if np.result_type(x).kind in "iub" else f(x)


floor: Unary = unary("floor", _rounding(np.floor), lambda g: zeros(g.type), "", _only_ordered)
ceil: Unary = unary("ceil", _rounding(np.ceil), lambda g: zeros(g.type), "", _only_ordered)
trunc: Unary = unary("trunc", _rounding(np.trunc), lambda g: zeros(g.type), "", _only_ordered)
round_: Unary = unary("round", _rounding(np.rint), lambda g: zeros(g.type), "", _only_ordered)

# ---- comparison and logic

eq: Binary = binary("eq", np.equal, out=bool_)
ne: Binary = binary("ne", np.not_equal, out=bool_)
lt: Binary = binary("lt", np.less, check=no_complex, out=bool_)
le: Binary = binary("le", np.less_equal, check=no_complex, out=bool_)
gt: Binary = binary("gt", np.greater, check=no_complex, out=bool_)
ge: Binary = binary("ge", np.greater_equal, check=no_complex, out=bool_)
logical_and: Binary = binary("logical_and", np.logical_and, out=bool_)
logical_or: Binary = binary("logical_or", np.logical_or, out=bool_)
logical_xor: Binary = binary("logical_xor", np.logical_xor, out=bool_)
logical_not: Unary = unary("logical_not", np.logical_not, out=bool_)
isnan: Unary = unary("isnan", np.isnan, out=bool_)
isinf: Unary = unary("isinf", np.isinf, out=bool_)
bitwise_and: Binary = binary("bitwise_and", np.bitwise_and, check=_only_integral)
bitwise_or: Binary = binary("bitwise_or", np.bitwise_or, check=_only_integral)
bitwise_xor: Binary = binary("bitwise_xor", np.bitwise_xor, check=_only_integral)
bitwise_not: Unary = unary("bitwise_not", np.invert, check=_only_integral)
shift_left: Binary = binary("shift_left", np.left_shift, check=_only_integer)
shift_right: Binary = binary("shift_right", np.right_shift, check=_only_integer)

# ---- choice


def _infer_where(attrs: None, c: TensorType, a: TensorType, b: TensorType) -> TensorType:
    if c.dtype is not bool_:
        raise DTypeError(f"where takes a bool condition, not {c.dtype}; write (x != 0)")
    if a.dtype is not b.dtype:
        raise DTypeError(f"where takes one dtype, not {a.dtype} and {b.dtype}")
    return type_of(broadcast("where", c.shape, a.shape, b.shape), a.dtype)


def _grad_where(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    mask = node.inputs[0]
    return None, where(mask, g, 0) if want[1] else None, where(mask, 0, g) if want[2] else None


_where = Op("where", _infer_where, np.where, _grad_where, needs=(0,))


def where(mask: Node, a: Value, b: Value) -> Node:
    """``a`` where ``mask`` holds, else ``b``; at least one of them is a node."""
    if a.__class__ is not Node:
        a = as_node(a, b)  # type: ignore[arg-type]
    return record(_where, (mask, a, as_node(b, a)))


# ---- dtype


def _infer_cast(to: dtype, x: TensorType) -> TensorType:
    return type_of(x.shape, to)


def _reference_cast(to: dtype, x: Any) -> Any:
    return converted(np.asarray(x), to)


def _grad_cast(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    return (cast(g, node.sig.types[0].dtype),)


_cast = Op("cast", _infer_cast, _reference_cast, _grad_cast)


def cast(x: Node, to: dtype) -> Node:
    return x if x.type.dtype is to else record1(_cast, x, to)


# ---- identity, with another history

# A value under a new identity: clones, and leaves that start from another node's value.
_same_op = Op("same", lambda attrs, x: x, lambda x: x, lambda n, g, want: (g,))


def same(x: Node) -> Node:
    return record1(_same_op, x)


# A value without its history.
_detach_op = Op("detach", lambda attrs, x: x, lambda x: x)


def detach(x: Node) -> Node:
    return record1(_detach_op, x)


# The value of the first with the history of the second: an in-place change under no_grad.
_graft_op = Op(
    "graft",
    lambda attrs, a, b: a,
    lambda a, b: a,
    lambda n, g, want: (None, g),
    device=lambda name, attrs, types: types[0].device,
)


def graft(value: Node, history: Node) -> Node:
    node = record(_graft_op, (value, history))
    node.tracks = 1 if history.tracks else 0
    return node


# The second overwritten by the first: the second gets a gradient of zero, not none.
def _grad_over(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    return g, zeros(g.type) if want[1] else None


_over_op = Op("over", lambda attrs, a, b: a, lambda a, b: a, _grad_over)


def over(value: Node, overwritten: Node) -> Node:
    return record(_over_op, (value, overwritten))
