"""Small parts of modern networks that PyTorch leaves to its users."""

from __future__ import annotations

from typing import Any

from ..errors import ShapeError
from ..graph.device import ANYWHERE
from ..tensors.creation import ones
from ..tensors.tensor import Tensor
from . import functional as F
from .functional.dropout import check_probability
from .module import Module


class Lambda(Module):
    """A function as a module, for use in containers.

    Args:
        function: called with what the module is called with. Parameters that it uses are not found
            in it.

    Example:
        >>> nn.Lambda(lambda x: 2 * x)(weft.ones(2))
        tensor([2., 2.])
    """

    def __init__(self, function: Any) -> None:
        super().__init__()
        if not callable(function):
            raise TypeError(f"Lambda takes a function, not a {type(function).__name__}")
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


class Residual(Module):
    """``x + module(x)``. (He et al., 2015, arXiv:1512.03385)

    Args:
        module: gives a result of its first argument's shape; further arguments are passed on.

    Raises:
        ShapeError: if it gives another shape.
    """

    def __init__(self, module: Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        y: Tensor = self.module(x, *args, **kwargs)
        if y.shape != x.shape:
            raise ShapeError(
                f"Residual: {type(self.module).__name__} makes shape {list(y.shape)} of "
                f"{list(x.shape)}, to which it cannot be added"
            )
        return x + y


class DropPath(Module):
    """In training, zeroes whole samples with probability ``p`` and divides the others by ``1 - p``.

    Around the branch of a residual block this is stochastic depth. (Huang et al., 2016,
    arXiv:1603.09382)

    Args:
        p: the probability.

    Shape:
        Input and output ``[N, *]``.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        check_probability("DropPath", p)
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return input
        if input.ndim == 0:
            raise ShapeError("DropPath takes [batch, ...], not a number")
        kept = ones(input.shape[0], *(1,) * (input.ndim - 1), dtype=input.dtype, device=ANYWHERE)
        return input * F.dropout(kept, self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class _Gated(Module):
    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def _halves(self, input: Tensor) -> tuple[Tensor, Tensor]:
        if input.ndim == 0 or input.shape[self.dim] % 2:
            raise ShapeError(
                f"{type(self).__name__} halves dimension {self.dim}, but the input has shape "
                f"{list(input.shape)}"
            )
        first, second = input.chunk(2, self.dim)
        return first, second

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class SwiGLU(_Gated):
    """``a * silu(b)`` for the halves ``a`` and ``b`` of the input along ``dim``.

    (Shazeer, 2020, arXiv:2002.05202)
    """

    def forward(self, input: Tensor) -> Tensor:
        first, second = self._halves(input)
        return first * F.silu(second)


class GEGLU(_Gated):
    """``a * gelu(b)`` for the halves ``a`` and ``b`` of the input along ``dim``.

    (Shazeer, 2020, arXiv:2002.05202)
    """

    def forward(self, input: Tensor) -> Tensor:
        first, second = self._halves(input)
        return first * F.gelu(second)


__all__ = ["GEGLU", "DropPath", "Lambda", "Residual", "SwiGLU"]
