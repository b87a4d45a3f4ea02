"""Activations."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt

from ...calls import by_element
from ...dtypes import dtype
from ...errors import DTypeError, OptionError, ShapeError, did_you_mean
from ...graph.modes import user_warning
from ...graph.node import Node
from ...ops import elementwise as ew, movement as mv, random as rnd
from ...ops.base import normal_dim
from ...tensors.activations import applied, leaky
from ...tensors.core import node_of, with_history_of, wrap
from ...tensors.creation import empty_like, zeros_like
from ...tensors.elementwise import _sub, abs, div, neg, relu as _relu, tanh
from ...tensors.random import exponential_, key_for
from ...tensors.special import log_softmax_node, over_dim, softmax_node
from ...tensors.tensor import Tensor


def _in_place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def changed(input: Tensor, *args: float, **options: float) -> Tensor:
        return function(input, *args, **options, inplace=True)

    changed.__name__ = changed.__qualname__ = f"{function.__name__}_"
    changed.__doc__ = f"In-place version of :func:`{function.__name__}`."
    return changed


# ---- piecewise linear


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(input, 0)``."""
    return input.relu_() if inplace else _relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """``input`` where it is positive, else ``negative_slope * input``. (Maas et al., 2013)"""
    return applied("leaky_relu", lambda x: leaky(x, negative_slope), input, inplace)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """:func:`leaky_relu` with a slope drawn for each element, uniform in [lower, upper].

    Outside of training the slope is their mean. (Xu et al., 2015, arXiv:1505.00853)

    Raises:
        OptionError: unless ``lower <= upper``.
    """
    if lower > upper:
        raise OptionError(f"rrelu: lower={lower} must not be above upper={upper}")
    if not training:
        return applied("rrelu", lambda x: leaky(x, (lower + upper) / 2), input, inplace)

    def rule(x: Node) -> Node:
        drawn = rnd.random_uniform(key_for(None), x.type.shape, x.type.dtype)
        return leaky(x, ew.add(ew.mul(drawn, upper - lower), lower))

    return applied("rrelu", rule, input, inplace)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """``input`` held between ``min_val`` and ``max_val``; the gradient at these is 0.

    Raises:
        OptionError: if ``min_val`` is the larger one.
        DTypeError: for bools, and for uint8 with a negative ``min_val``.
    """
    if min_val > max_val:
        raise OptionError(f"hardtanh: min_val={min_val} must not be above max_val={max_val}")
    kind = node_of(input).type.dtype
    if not kind.is_signed and min_val < 0:
        raise DTypeError(f"hardtanh: {kind} has no negative values, but min_val is {min_val}")
    return applied("hardtanh", lambda x: _held(x, min_val, max_val), input, inplace, "integers")


def _held(x: Node, low: float, high: float) -> Node:
    return ew.where(ew.le(x, low), low, ew.where(ew.ge(x, high), high, x))


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """``min(max(input, 0), 6)``. (Krizhevsky, 2010)"""
    return applied("relu6", lambda x: _held(x, 0, 6), input, inplace, "integers")


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """``relu6(input + 3) / 6``, a piecewise linear sigmoid."""
    return applied("hardsigmoid", _hardsigmoid, input, inplace)


def _hardsigmoid(x: Node) -> Node:
    return ew.div(_held(ew.add(x, 3), 0, 6), 6)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * hardsigmoid(input)``. (Howard et al., 2019, arXiv:1905.02244)"""
    return applied("hardswish", lambda x: ew.mul(x, _hardsigmoid(x)), input, inplace)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """``input`` where it is above ``threshold``, else ``value``."""
    return applied(
        "threshold", lambda x: ew.where(ew.le(x, threshold), value, x), input, inplace, "integers"
    )


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``input`` moved towards 0 by ``lambd``, and no further.

    Raises:
        OptionError: for a negative ``lambd``.
    """
    if lambd < 0:
        raise OptionError(f"softshrink: lambd must not be negative: {lambd}")

    def rule(x: Node) -> Node:
        lower = ew.where(ew.lt(x, -lambd), ew.add(x, lambd), ew.mul(x, 0))
        return ew.where(ew.gt(x, lambd), ew.sub(x, lambd), lower)

    return applied("softshrink", rule, input)


# ---- exponential below, linear above


def _elu(x: Node, below: float, above: float = 1.0, rate: float = 1.0) -> Node:
    positive = ew.gt(x, 0)
    low = ew.where(positive, 0, x)  # expm1 would overflow where it is not wanted
    return ew.where(positive, ew.mul(x, above), ew.mul(ew.expm1(ew.mul(low, rate)), below))


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``input`` where it is positive, else ``alpha * (exp(input) - 1)``.

    (Clevert et al., 2015, arXiv:1511.07289)
    """
    return applied("elu", lambda x: _elu(x, alpha), input, inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``input`` where it is positive, else ``alpha * (exp(input / alpha) - 1)``.

    (Barron, 2017, arXiv:1704.07483)

    Raises:
        OptionError: if ``alpha`` is 0.
    """
    if alpha == 0:
        raise OptionError("celu: alpha must not be 0, since it divides")
    return applied("celu", lambda x: _elu(x, alpha, rate=1 / alpha), input, inplace)


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """:func:`elu` scaled so that mean 0 and variance 1 are a fixed point.

    (Klambauer et al., 2017, arXiv:1706.02515)
    """
    below = _SELU_ALPHA * _SELU_SCALE
    return applied("selu", lambda x: _elu(x, below, _SELU_SCALE), input, inplace)


def softplus_node(x: Node) -> Node:
    """``log(1 + exp(x))`` without overflow, and with derivatives of any order that are exact at 0.

    Both branches are the whole function, so that where they meet all of their derivatives agree.
    """
    positive = ew.gt(x, 0)
    tail = ew.log1p(ew.exp(ew.where(positive, ew.neg(x), x)))
    return ew.add(ew.where(positive, x, 0), tail)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta * input)) / beta``, a smooth :func:`relu`. (Dugas et al., 2001)

    Args:
        threshold: where ``beta * input`` is above it, ``input`` itself.
    """

    def rule(x: Node) -> Node:
        z = ew.mul(x, beta)
        return ew.where(ew.gt(z, threshold), x, ew.div(softplus_node(z), beta))

    return applied("softplus", rule, input)


def log_sigmoid_node(x: Node) -> Node:
    return ew.neg(softplus_node(ew.neg(x)))


def logsigmoid(input: Tensor) -> Tensor:
    """``log(1 / (1 + exp(-input)))``, exact where the sigmoid underflows."""
    return applied("logsigmoid", log_sigmoid_node, input)


# ---- smooth


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """``x * P(X <= x)`` for a normal ``X``. (Hendrycks and Gimpel, 2016, arXiv:1606.08415)

    Args:
        approximate: "none", by the error function; or "tanh", by the paper's approximation.

    Raises:
        OptionError: for another ``approximate``.
        DTypeError: for integers.
    """
    rules = {"none": (_gelu, _gelu_slope), "tanh": (_gelu_tanh, _gelu_tanh_slope)}
    if approximate not in rules:
        raise OptionError(
            f"gelu: approximate={approximate!r} must be 'none' or 'tanh'."
            f"{did_you_mean(str(approximate), rules)}"
        )
    rule, slope = rules[approximate]
    return applied("gelu", lambda x: by_element(rule, slope, x), input)


def _gelu(x: Node) -> Node:
    return ew.mul(x, _normal_cdf(x))


def _gelu_slope(x: Node) -> Node:
    density = ew.mul(ew.exp(ew.mul(ew.mul(x, x), -0.5)), 1 / sqrt(2 * pi))
    return ew.add(_normal_cdf(x), ew.mul(x, density))


def _normal_cdf(x: Node) -> Node:
    return ew.mul(ew.add(ew.erf(ew.mul(x, sqrt(0.5))), 1), 0.5)


def _gelu_tanh(x: Node) -> Node:
    return ew.mul(ew.mul(x, 0.5), ew.add(_gelu_tanh_part(x), 1))


def _gelu_tanh_slope(x: Node) -> Node:
    t = _gelu_tanh_part(x)
    inner = ew.mul(ew.add(ew.mul(ew.mul(x, x), 3 * _CUBE), 1), sqrt(2 / pi))
    outer = ew.mul(ew.neg(ew.sub(ew.mul(t, t), 1)), inner)
    return ew.mul(ew.add(ew.add(t, 1), ew.mul(x, outer)), 0.5)


_CUBE = 0.044715


def _gelu_tanh_part(x: Node) -> Node:
    cube = ew.mul(ew.mul(ew.mul(x, x), x), _CUBE)
    return ew.tanh(ew.mul(ew.add(x, cube), sqrt(2 / pi)))


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * sigmoid(input)``, also called swish. (Elfwing et al., 2017, arXiv:1702.03118)"""
    return applied("silu", lambda x: by_element(_silu, _silu_slope, x), input, inplace, "complex")


def _silu(x: Node) -> Node:
    return ew.mul(x, ew.sigmoid(x))


def _silu_slope(x: Node) -> Node:
    s = ew.sigmoid(x)
    return ew.mul(s, ew.add(ew.mul(x, ew.neg(ew.sub(s, 1))), 1))


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * tanh(softplus(input))``. (Misra, 2019, arXiv:1908.08681)"""
    return applied("mish", lambda x: by_element(_mish, _mish_slope, x), input, inplace)


def _mish(x: Node) -> Node:
    return ew.mul(x, ew.tanh(softplus_node(x)))


def _mish_slope(x: Node) -> Node:
    t = ew.tanh(softplus_node(x))
    return ew.add(t, ew.mul(ew.mul(x, ew.sigmoid(x)), ew.neg(ew.sub(ew.mul(t, t), 1))))


def softsign(input: Tensor) -> Tensor:
    """``input / (1 + |input|)``; integers become floating."""
    return div(input, abs(input) + 1)


def tanhshrink(input: Tensor) -> Tensor:
    """``input - tanh(input)``; integers become floating."""
    return _sub(input, tanh(input))


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """``a * sigmoid(b)`` for the halves ``a`` and ``b`` of the input along ``dim``.

    (Dauphin et al., 2016, arXiv:1612.08083)

    Raises:
        ShapeError: if there are no two equal halves.
    """
    shape = node_of(input).type.shape
    if not shape:
        raise ShapeError("glu halves a dimension, but the input has none")
    d = normal_dim("glu", dim, len(shape))
    if shape[d] % 2:
        raise ShapeError(
            f"glu halves dimension {dim}, but its size is odd: {shape[d]} (shape {list(shape)})"
        )
    half = shape[d] // 2

    def rule(x: Node) -> Node:
        cuts = [[(0, n, 1) for n in shape] for _ in range(2)]
        cuts[0][d], cuts[1][d] = (0, half, 1), (half, 2 * half, 1)
        a, b = (mv.slice_(x, tuple(c)) for c in cuts)
        return ew.mul(a, ew.sigmoid(b))

    return applied("glu", rule, input)


# ---- along a dimension


def _chosen(name: str, input: Tensor, dim: int | None) -> int:
    """``dim``, or what PyTorch once chose where it is left out."""
    if dim is not None:
        return dim
    dim = 0 if input.ndim in (0, 1, 3) else 1
    user_warning(
        f"{name} without dim= takes dimension {dim} of {input.ndim}, by a rule that is deprecated: "
        f"name the dimension that sums to 1, usually {name}(x, dim=-1)"
    )
    return dim


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: dtype | None = None
) -> Tensor:
    """``exp(input) / sum(exp(input))`` along ``dim``.

    A ``dim`` that is left out is warned of.
    """
    return over_dim("softmax", softmax_node, input, _chosen("softmax", input, dim), dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: dtype | None = None
) -> Tensor:
    """:func:`softmax` of ``-input``."""
    return over_dim("softmin", softmax_node, neg(input), _chosen("softmin", input, dim), dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: dtype | None = None
) -> Tensor:
    """The logarithm of :func:`softmax`, exact where that underflows."""
    return over_dim(
        "log_softmax", log_softmax_node, input, _chosen("log_softmax", input, dim), dtype
    )


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """Samples of a categorical distribution that have a gradient.

    (Jang et al., 2016, arXiv:1611.01144; Maddison et al., 2016, arXiv:1611.00712)

    Args:
        logits: unnormalised log probabilities.
        tau: temperature: towards 0, samples come near to one-hot vectors.
        hard: one-hot vectors, with the gradient of the soft sample.
        eps: not used; PyTorch's signature has it.
        dim: the dimension of the classes.

    Raises:
        OptionError: unless ``tau`` is positive.
    """
    if eps != 1e-10:
        user_warning("gumbel_softmax: eps has no effect")
    if tau <= 0:
        raise OptionError(f"gumbel_softmax: tau is a temperature and must be positive, not {tau}")
    waits = exponential_(empty_like(logits)).clamp_min(2.0**-24)  # its logarithm must be finite
    soft = softmax((logits - waits.log()) / tau, dim)
    if not hard:
        return soft
    one_hot = zeros_like(soft).scatter(dim, soft.argmax(dim, True), 1.0)
    return wrap(with_history_of(node_of(one_hot), node_of(soft)))


# ---- in place

relu_, elu_, selu_, celu_ = _in_place(relu), _in_place(elu), _in_place(selu), _in_place(celu)
leaky_relu_, rrelu_ = _in_place(leaky_relu), _in_place(rrelu)
hardtanh_, threshold_ = _in_place(hardtanh), _in_place(threshold)
