"""Activation layers: the functions of the same names as modules, for use in containers.

Each is elementwise unless it says otherwise. Where there is an ``inplace``, it changes the input
itself.
"""

from __future__ import annotations

from typing import Any

from ..errors import OptionError, ShapeError
from ..graph.modes import user_warning
from ..tensors.creation import empty
from ..tensors.tensor import Tensor
from . import functional as F
from .init import constant_
from .linear import size_option
from .module import Module
from .parameter import Parameter


class _Activation(Module):
    """Keeps its options under the names in ``__constants__``, and shows them."""

    __constants__: tuple[str, ...] = ()

    def __init__(self, *options: Any) -> None:
        super().__init__()
        layer = type(self).__name__
        if len(options) > len(self.__constants__):  # of those without an __init__ of their own
            raise TypeError(f"{layer} takes no options: make the layer first, nn.{layer}()(x)")
        for name, value in zip(self.__constants__, options, strict=True):
            if isinstance(value, Tensor) or (name == "inplace" and not isinstance(value, bool)):
                raise TypeError(
                    f"{layer} takes options, not data ({name} is a {type(value).__name__}): make "
                    f"the layer first, nn.{layer}(...)(x), or call the function of nn.functional"
                )
            setattr(self, name, value)

    def extra_repr(self) -> str:
        options = {name: getattr(self, name) for name in self.__constants__}
        if not options.get("inplace", True):
            del options["inplace"]
        return ", ".join(f"{name}={value!r}" for name, value in options.items())


class _InPlace(_Activation):
    __constants__ = ("inplace",)
    inplace: bool

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace)


# ---- piecewise linear


class ReLU(_InPlace):
    """``max(x, 0)``.

    Args:
        inplace: change the input itself.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, self.inplace)


class LeakyReLU(_Activation):
    """``x`` where it is positive, else ``negative_slope * x``. (Maas et al., 2013)"""

    __constants__ = ("negative_slope", "inplace")
    negative_slope: float
    inplace: bool

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(negative_slope, inplace)

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)


class PReLU(_Activation):
    """:class:`LeakyReLU` with a slope that is learned. (He et al., 2015, arXiv:1502.01852)

    Args:
        num_parameters: the number of channels, each with a slope of its own; or 1 for all.
        init: the slope at first.

    Shape:
        Input ``[N, C, ...]``.

    Attributes:
        weight: the slopes, ``[num_parameters]``.
    """

    __constants__ = ("num_parameters",)
    num_parameters: int
    weight: Parameter

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(num_parameters)
        size = size_option("PReLU", "num_parameters", num_parameters)
        self.init = init
        self.weight = Parameter(empty(size, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets all slopes to ``init``."""
        constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)


class RReLU(_Activation):
    """In training, :class:`LeakyReLU` with slopes drawn uniformly from [lower, upper].

    In evaluation the slope is their mean. (Xu et al., 2015, arXiv:1505.00853)
    """

    __constants__ = ("lower", "upper", "inplace")
    lower: float
    upper: float
    inplace: bool

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        super().__init__(lower, upper, inplace)

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)


class Hardtanh(_Activation):
    """``x`` held between ``min_val`` and ``max_val``.

    Args:
        min_value, max_value: older names of ``min_val`` and ``max_val``.

    Raises:
        OptionError: unless ``min_val`` is below ``max_val``.
    """

    __constants__ = ("min_val", "max_val", "inplace")
    min_val: float
    max_val: float
    inplace: bool

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        for name, value in (("min", min_value), ("max", max_value)):
            if value is not None:
                user_warning(f"{name}_value is deprecated: use {name}_val", FutureWarning)
        min_val = min_val if min_value is None else min_value
        max_val = max_val if max_value is None else max_value
        super().__init__(min_val, max_val, inplace)
        if min_val >= max_val:
            raise OptionError(f"Hardtanh: min_val={min_val} must be below max_val={max_val}")

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)


class ReLU6(Hardtanh):
    """``min(max(x, 0), 6)``. (Krizhevsky, 2010)"""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Hardsigmoid(_InPlace):
    """``relu6(x + 3) / 6``, a piecewise linear sigmoid."""

    def forward(self, input: Tensor) -> Tensor:
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self) -> str:
        return ""


class Hardswish(_InPlace):
    """``x * hardsigmoid(x)``. (Howard et al., 2019, arXiv:1905.02244)"""

    def forward(self, input: Tensor) -> Tensor:
        return F.hardswish(input, self.inplace)

    def extra_repr(self) -> str:
        return ""


class Threshold(_Activation):
    """``x`` where it is above ``threshold``, else ``value``."""

    __constants__ = ("threshold", "value", "inplace")
    threshold: float
    value: float
    inplace: bool

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(threshold, value, inplace)

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value, self.inplace)


class _Shrink(_Activation):
    __constants__ = ("lambd",)
    lambd: float

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(_Shrink):
    """``x``, and 0 where its size is at most ``lambd``."""

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)


class Softshrink(_Shrink):
    """``x`` moved towards 0 by ``lambd``, and no further."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)


# ---- exponential below, linear above


class _Exponential(_Activation):
    __constants__ = ("alpha", "inplace")
    alpha: float
    inplace: bool

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(alpha, inplace)


class ELU(_Exponential):
    """``x`` where it is positive, else ``alpha * (exp(x) - 1)``.

    (Clevert et al., 2015, arXiv:1511.07289)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha, self.inplace)


class CELU(_Exponential):
    """``x`` where it is positive, else ``alpha * (exp(x / alpha) - 1)``.

    (Barron, 2017, arXiv:1704.07483)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha, self.inplace)


class SELU(_InPlace):
    """:class:`ELU` scaled so that mean 0 and variance 1 are a fixed point.

    (Klambauer et al., 2017, arXiv:1706.02515)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.selu(input, self.inplace)


class Softplus(_Activation):
    """``log(1 + exp(beta * x)) / beta``, a smooth :class:`ReLU`. (Dugas et al., 2001)

    Args:
        threshold: where ``beta * x`` is above it, ``x`` itself.
    """

    __constants__ = ("beta", "threshold")
    beta: float
    threshold: float

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__(beta, threshold)

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)


class LogSigmoid(_Activation):
    """``log(1 / (1 + exp(-x)))``, exact where the sigmoid underflows."""

    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


# ---- smooth


class Sigmoid(_Activation):
    """``1 / (1 + exp(-x))``."""

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class Tanh(_Activation):
    """Hyperbolic tangent."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class GELU(_Activation):
    """``x * P(X <= x)`` for a normal ``X``. (Hendrycks and Gimpel, 2016, arXiv:1606.08415)

    Args:
        approximate: "none" or "tanh".
    """

    __constants__ = ("approximate",)
    approximate: str

    def __init__(self, approximate: str = "none") -> None:
        super().__init__(approximate)

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, self.approximate)


class SiLU(_InPlace):
    """``x * sigmoid(x)``, also called swish. (Elfwing et al., 2017, arXiv:1702.03118)"""

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input, self.inplace)


class Mish(_InPlace):
    """``x * tanh(softplus(x))``. (Misra, 2019, arXiv:1908.08681)"""

    def forward(self, input: Tensor) -> Tensor:
        return F.mish(input, self.inplace)


class Softsign(_Activation):
    """``x / (1 + |x|)``."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softsign(input)


class Tanhshrink(_Activation):
    """``x - tanh(x)``."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanhshrink(input)


# ---- along a dimension


class GLU(_Activation):
    """``a * sigmoid(b)`` for the halves ``a`` and ``b`` of the input along ``dim``.

    (Dauphin et al., 2016, arXiv:1612.08083)
    """

    __constants__ = ("dim",)
    dim: int

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim)

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)


class _AlongDim(_Activation):
    __constants__ = ("dim",)
    dim: int | None

    def __init__(self, dim: int | None = None) -> None:
        super().__init__(dim)


class Softmax(_AlongDim):
    """``exp(x) / sum(exp(x))`` along ``dim``."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)


class Softmin(_AlongDim):
    """:class:`Softmax` of ``-x``."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim)


class LogSoftmax(_AlongDim):
    """The logarithm of :class:`Softmax`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)


class Softmax2d(_Activation):
    """:class:`Softmax` over the channels of ``[N, C, H, W]`` or ``[C, H, W]``."""

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ShapeError(
                f"Softmax2d takes [N, C, H, W] or [C, H, W], not shape {list(input.shape)}: "
                "Softmax(dim=...) takes any"
            )
        return F.softmax(input, -3)


__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]
