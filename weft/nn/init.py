"""Initial values of parameters, filled in place without recording gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ..autograd.modes import no_grad
from ..dtypes import float64
from ..errors import OptionError, ShapeError, did_you_mean
from ..graph.modes import user_warning
from ..tensors.creation import empty, eye as identity
from ..tensors.decompositions import qr
from ..tensors.random import Generator, rand
from ..tensors.tensor import Tensor
from .mistakes import deprecated

_P = ParamSpec("_P")
_R = TypeVar("_R")

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through a nonlinearity.

    Raises:
        OptionError: for a nonlinearity that is not listed.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if not isinstance(slope, (int, float)):
            raise OptionError(f"calculate_gain: the slope must be a number, not {slope!r}")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        known = ", ".join([*_GAINS, "leaky_relu"])
        raise OptionError(f"no gain is known for {nonlinearity!r}; known are {known}")
    return _GAINS[nonlinearity]


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform in [a, b)."""
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Normal."""
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """All ``val``."""
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """All ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """All zeros."""
    return constant_(tensor, 0.0)


def _normal_cdf(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal, of which only what lies in [a, b] is taken.

    Raises:
        OptionError: unless ``std`` is positive and ``a`` not above ``b``.
    """
    if not (std > 0 and a <= b):
        raise OptionError(f"trunc_normal_ needs std > 0 and a <= b, not std={std}, a={a} and b={b}")
    if mean < a - 2 * std or mean > b + 2 * std:
        user_warning(
            f"trunc_normal_: mean={mean} is more than 2 std from [{a}, {b}], far out where the "
            "distribution may be inexact"
        )
    low, high = (a - mean) / std, (b - mean) / std
    with no_grad():
        if _normal_cdf(low) + _normal_cdf(-high) < 1e-12:  # nothing is cut off
            return tensor.normal_(mean, std, generator=generator).clamp_(a, b)
        # By the inverse of the distribution function, in the half where that is exact.
        sign = -1 if low > 0 else 1
        first, last = (low, high) if sign > 0 else (-high, -low)
        u = empty(tensor.shape, dtype=float64)
        u.uniform_(_normal_cdf(first), _normal_cdf(last), generator=generator)
        z = (2 * u - 1).erfinv() * (sign * math.sqrt(2))
        return tensor.copy_((z * std + mean).clamp(a, b))


def eye_(tensor: Tensor) -> Tensor:
    """The identity, for weights of linear layers.

    Raises:
        ShapeError: unless there are two dimensions.
    """
    if tensor.ndim != 2:
        raise ShapeError(f"eye_ takes a matrix, not shape {list(tensor.shape)}")
    with no_grad():
        return tensor.copy_(identity(*tensor.shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The identity, for weights of convolutions ``[out, in / groups, ...]``, in each group.

    Raises:
        ShapeError: unless there are 3 to 5 dimensions, the first a multiple of ``groups``.
    """
    shape = tensor.shape
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(f"dirac_ takes weights of convolutions, not shape {list(shape)}")
    if groups < 1 or shape[0] % groups:
        raise ShapeError(f"dirac_: groups={groups} does not divide {shape[0]} channels")
    centre = (slice(None), slice(None), *(size // 2 for size in shape[2:]))
    with no_grad():
        tensor.zero_()
        tensor[centre] = identity(shape[0] // groups, shape[1]).repeat(groups, 1).to(tensor.dtype)
    return tensor


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Orthogonal as a matrix ``[n, rest]``: its rows, or its columns, whichever are fewer.

    (Saxe, McClelland and Ganguli, 2013, arXiv:1312.6120)

    Raises:
        ShapeError: for fewer than two dimensions.
    """
    if tensor.ndim < 2:
        raise ShapeError(
            f"orthogonal_ needs at least two dimensions, not shape {list(tensor.shape)}"
        )
    if tensor.numel() == 0:
        return tensor
    rows = tensor.shape[0]
    columns = tensor.numel() // rows
    with no_grad():
        dtype = float64 if tensor.dtype is float64 else None
        drawn = empty(max(rows, columns), min(rows, columns), dtype=dtype)
        q, r = qr(drawn.normal_(generator=generator))
        # Signs make it uniform among the orthogonal ones. (Mezzadri, 2006, arXiv:math-ph/0609050)
        q = q * r.diagonal().sign()
        return tensor.copy_((q if rows >= columns else q.t()).reshape(tensor.shape) * gain)


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """Normal, with a share of zeros in each column. (Martens, 2010)

    Args:
        sparsity: the share, rounded up to whole elements.

    Raises:
        ShapeError: unless there are two dimensions.
    """
    if tensor.ndim != 2:
        raise ShapeError(f"sparse_ takes a matrix, not shape {list(tensor.shape)}")
    zeros = math.ceil(sparsity * tensor.shape[0])
    with no_grad():
        tensor.normal_(0.0, std, generator=generator)
        place = rand(*tensor.shape, generator=generator).argsort(0).argsort(0)
        return tensor.masked_fill_(place < zeros, 0.0)


def fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs a unit has, and how many outputs.

    Raises:
        ShapeError: for fewer than two dimensions.
    """
    if tensor.ndim < 2:
        raise ShapeError(
            f"fan-in and fan-out need at least two dimensions, not shape {list(tensor.shape)}: "
            "initialise biases with zeros_ or uniform_"
        )
    receptive = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive, tensor.shape[0] * receptive


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Glorot and Bengio (2010), uniform."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Glorot and Bengio (2010), normal."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    modes = ("fan_in", "fan_out")
    if mode not in modes:
        raise OptionError(f"mode must be 'fan_in' or 'fan_out', not {mode!r}")
    fan = max(fans(tensor)[modes.index(mode)], 1)  # 0 only where there are no elements
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """He et al. (2015), uniform."""
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """He et al. (2015), normal."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def reset_linear(weight: Tensor, bias: Any) -> None:
    """What Linear and the convolutions start with: both uniform in +-1/sqrt(fan_in)."""
    # kaiming_uniform_ with a=sqrt(5) is that distribution for the weight
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in, _ = fans(weight)
        bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
        uniform_(bias, -bound, bound)


_calculate_fan_in_and_fan_out = fans  # where programs written for PyTorch find it

# ---- names of old


def _deprecated(function: Callable[_P, _R]) -> Callable[_P, _R]:
    new = function.__name__

    @wraps(function)
    def old(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        deprecated(f"nn.init.{new[:-1]}", f"nn.init.{new}")
        return function(*args, **kwargs)

    return old


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.nn.init' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
