"""Normalisation layers."""

from __future__ import annotations

from typing import Any

from ..dtypes import int64
from ..errors import ShapeError
from ..tensors.creation import empty, tensor
from ..tensors.tensor import Tensor
from . import functional as F
from .init import ones_, zeros_
from .linear import size_option
from .module import Module
from .parameter import Parameter


class _BatchNorm(Module):
    """What the batch normalisations have in common; a subclass says which ranks it takes."""

    ranks: tuple[int, ...]
    layout: str
    _version = 2

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = size_option(type(self).__name__, "num_features", num_features)
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, there in (("weight", affine), ("bias", affine and bias)):
            value = Parameter(empty(num_features, device=device, dtype=dtype)) if there else None
            self.register_parameter(name, value)
        for name in ("running_mean", "running_var"):
            kept = empty(num_features, device=device, dtype=dtype) if track_running_stats else None
            self.register_buffer(name, kept)
        count = tensor(0, dtype=int64) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forgets the batches seen."""
        if self.running_mean is not None:
            self.running_mean.zero_()
        if self.running_var is not None:
            self.running_var.fill_(1)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, no batches seen."""
        self.reset_running_stats()
        if self.weight is not None:
            ones_(self.weight)
        if self.bias is not None:
            zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.ranks:
            raise ShapeError(
                f"{type(self).__name__} takes input of shape {self.layout}, not {list(input.shape)}"
            )
        momentum = self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if momentum is None:  # the plain average of all batches
                momentum = 1.0 / self.num_batches_tracked.item()
        use_batch = self.training or self.running_mean is None
        tracking = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            self.running_mean if tracking else None,
            self.running_var if tracking else None,
            self.weight,
            self.bias,
            use_batch,
            0.0 if momentum is None else momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of ``[N, C]`` or ``[N, C, L]``. See :class:`BatchNorm2d`."""

    ranks = (2, 3)
    layout = "[batch, channels] or [batch, channels, length]"


class BatchNorm2d(_BatchNorm):
    """Gives each channel mean 0 and variance 1, then scales and shifts it.

    In training by the statistics of the batch; in evaluation by running averages of them.
    (Ioffe and Szegedy, 2015)

    Args:
        num_features: number of channels.
        eps: added to the variance.
        momentum: how far a batch moves the running averages; None for the plain average.
        affine: whether there are a weight and a bias per channel.
        track_running_stats: whether running averages are kept.
        bias: without, there is a weight only.

    Shape:
        Input and output ``[N, num_features, H, W]``.
    """

    ranks = (4,)
    layout = "[batch, channels, height, width]"


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of ``[N, C, D, H, W]``. See :class:`BatchNorm2d`."""

    ranks = (5,)
    layout = "[batch, channels, depth, height, width]"


__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]
