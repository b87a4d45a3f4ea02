"""Linear layers."""

from __future__ import annotations

import math
from typing import Any

from ..errors import OptionError
from ..tensors.creation import empty
from ..tensors.tensor import Tensor
from . import functional as F
from .init import reset_linear, uniform_
from .module import Module
from .parameter import Parameter


def size_option(layer: str, name: str, value: Any) -> int:
    """A size given to a layer's constructor.

    Raises:
        TypeError: for anything but an int.
        OptionError: for a negative one.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{layer}: {name} must be an int, not {value!r} ({type(value).__name__})")
    size = value.__index__()
    if size < 0:
        raise OptionError(f"{layer}: {name} must not be negative, but is {size}")
    return size  # type: ignore[no-any-return]


class Identity(Module):
    """Returns its input; takes and ignores any arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    """``y = x W^T + b``.

    Args:
        in_features: size of the input's last dimension.
        out_features: size of the output's last dimension.
        bias: whether ``b`` is there.

    Shape:
        Input ``[*, in_features]``, output ``[*, out_features]``.

    Attributes:
        weight: ``[out_features, in_features]``, at first uniform in +-1/sqrt(in_features).
        bias: ``[out_features]``, likewise.
    """

    in_features: int
    out_features: int
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_features = size_option("Linear", "in_features", in_features)
        self.out_features = size_option("Linear", "out_features", out_features)
        self.weight = Parameter(
            empty(self.out_features, self.in_features, device=device, dtype=dtype)
        )
        if bias:
            self.bias = Parameter(empty(self.out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias anew."""
        reset_linear(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class NonDynamicallyQuantizableLinear(Linear):
    """The output projection of :class:`MultiheadAttention`, under the name that PyTorch prints."""


class Bilinear(Module):
    """``y[k] = x1^T W[k] x2 + b[k]``.

    Args:
        in1_features: size of the last dimension of the first input.
        in2_features: size of the last dimension of the second.
        out_features: size of the output's last dimension.
        bias: whether ``b`` is there.

    Shape:
        Inputs ``[*, in1_features]`` and ``[*, in2_features]``, output ``[*, out_features]``.

    Attributes:
        weight: ``[out_features, in1_features, in2_features]``, at first uniform in
            +-1/sqrt(in1_features).
        bias: ``[out_features]``, likewise.

    Raises:
        OptionError: unless ``in1_features`` is positive.
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in1_features = size_option("Bilinear", "in1_features", in1_features)
        self.in2_features = size_option("Bilinear", "in2_features", in2_features)
        self.out_features = size_option("Bilinear", "out_features", out_features)
        if in1_features == 0:
            raise OptionError("Bilinear: in1_features must be positive, but is 0")
        sizes = (self.out_features, self.in1_features, self.in2_features)
        self.weight = Parameter(empty(sizes, device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(self.out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias anew."""
        bound = 1 / math.sqrt(self.in1_features)
        uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


__all__ = ["Bilinear", "Identity", "Linear"]
