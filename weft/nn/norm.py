"""Normalisation layers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from ..dtypes import int64
from ..errors import OptionError, ShapeError, UnsupportedOp
from ..tensors.creation import empty, tensor
from ..tensors.tensor import Tensor
from . import functional as F
from .functional.norm import sizes_option
from .init import ones_, zeros_
from .linear import size_option
from .module import Module
from .parameter import Parameter


class _NormBase(Module):
    """The state of batch and instance normalisations; a subclass says which ranks it takes."""

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
        count = tensor(0, dtype=int64, device=device) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, local_metadata: Any, *rest: Any
    ) -> None:
        """As every module; what was saved before batches were counted leaves the count as it is."""
        count, key = self.num_batches_tracked, f"{prefix}num_batches_tracked"
        if (local_metadata.get("version") or 1) < 2 and count is not None:
            state_dict = {key: count, **state_dict}
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

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

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def _check_rank(self, input: Tensor) -> None:
        if input.ndim not in self.ranks:
            raise ShapeError(
                f"{type(self).__name__} takes input of shape {self.layout}, not {list(input.shape)}"
            )


class _BatchNorm(_NormBase):
    def forward(self, input: Tensor) -> Tensor:
        self._check_rank(input)
        momentum: float | Tensor | None = self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if momentum is None:  # the plain average of all batches
                momentum = 1.0 / self.num_batches_tracked.double()
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


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation ``[N, C, ...]`` over all processes of a group; here there is one process.

    Args:
        process_group: None.

    Raises:
        UnsupportedOp: for a group of processes.
    """

    layout = "[batch, channels, ...]"

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        if process_group is not None:
            raise UnsupportedOp("SyncBatchNorm: weft computes in one process; there are no groups")
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )
        self.process_group = process_group

    def _check_rank(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ShapeError(f"SyncBatchNorm takes input of shape {self.layout}, not {input.shape}")

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """The module with layers of this kind in place of all other batch normalisations.

        They have the same parameters and buffers.
        """
        if isinstance(module, _BatchNorm) and not isinstance(module, SyncBatchNorm):
            made = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
            )
            made._parameters.update(module._parameters)
            made._buffers.update(module._buffers)
            made.training = module.training
            return made
        for name, child in module.named_children():
            setattr(module, name, cls.convert_sync_batchnorm(child, process_group))
        return module


class _InstanceNorm(_NormBase):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def _check_channels(self, input: Tensor) -> None:
        dim = input.ndim - self.ranks[0]
        channels = input.shape[dim]
        if channels == self.num_features:
            return
        text = (
            f"{type(self).__name__}: the input of shape {list(input.shape)} has {channels} "
            f"channels (dimension {dim}), not num_features={self.num_features}"
        )
        if self.affine or self.track_running_stats:
            raise ShapeError(f"{text}: the layer for this input has num_features={channels}")
        warnings.warn(f"{text}, which has no effect without affine=True", stacklevel=4)

    def forward(self, input: Tensor) -> Tensor:
        self._check_rank(input)
        self._check_channels(input)
        unbatched = input.ndim == self.ranks[0]
        y = F.instance_norm(
            input.unsqueeze(0) if unbatched else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return y.squeeze(0) if unbatched else y


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of ``[N, C, L]`` or ``[C, L]``. See :class:`InstanceNorm2d`."""

    ranks = (2, 3)
    layout = "[batch, channels, length] or [channels, length]"


class InstanceNorm2d(_InstanceNorm):
    """Gives each channel of each sample mean 0 and variance 1.

    (Ulyanov, Vedaldi and Lempitsky, 2016)

    Args:
        num_features: number of channels.
        eps: added to the variance.
        momentum: how far a batch moves the running averages.
        affine: whether there are a weight and a bias per channel.
        track_running_stats: whether running averages are kept, and used in evaluation.
        bias: without, there is a weight only.

    Shape:
        Input and output ``[N, num_features, H, W]`` or ``[num_features, H, W]``.
    """

    ranks = (3, 4)
    layout = "[batch, channels, height, width] or [channels, height, width]"


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of ``[N, C, D, H, W]`` or ``[C, D, H, W]``.

    See :class:`InstanceNorm2d`.
    """

    ranks = (4, 5)
    layout = "[batch, channels, depth, height, width] or [channels, depth, height, width]"


class _Affine(Module):
    """Has a weight and a bias, or not."""

    weight: Parameter | None
    bias: Parameter | None

    def _make(self, sizes: tuple[int, ...], device: Any, dtype: Any, **there: bool) -> None:
        for name, wanted in there.items():
            value = Parameter(empty(sizes, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            ones_(self.weight)
        if self._parameters.get("bias") is not None:
            zeros_(self.bias)  # type: ignore[arg-type]


class LayerNorm(_Affine):
    """Gives the last dimensions mean 0 and variance 1, then scales and shifts them.

    (Ba, Kiros and Hinton, 2016)

    Args:
        normalized_shape: the size of the last dimension, or the sizes of the last few.
        eps: added to the variance.
        elementwise_affine: whether there are a weight and a bias of shape ``normalized_shape``.
        bias: without, there is a weight only.

    Shape:
        Input and output ``[*, *normalized_shape]``.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = sizes_option("LayerNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        affine = elementwise_affine
        self._make(self.normalized_shape, device, dtype, weight=affine, bias=affine and bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(_Affine):
    """Divides the last dimensions by their root mean square, then scales them.

    (Zhang and Sennrich, 2019)

    Args:
        normalized_shape: the size of the last dimension, or the sizes of the last few.
        eps: added to the mean square; None for the smallest step at 1 of the dtype.
        elementwise_affine: whether there is a weight of shape ``normalized_shape``.

    Shape:
        Input and output ``[*, *normalized_shape]``.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = sizes_option("RMSNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._make(self.normalized_shape, device, dtype, weight=elementwise_affine)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(_Affine):
    """Gives each group of channels of a sample mean 0 and variance 1, then scales and shifts.

    (Wu and He, 2018)

    Args:
        num_groups: number of groups; it divides ``num_channels``.
        num_channels: number of channels.
        eps: added to the variance.
        affine: whether there are a weight and a bias per channel.
        bias: without, there is a weight only.

    Shape:
        Input and output ``[N, num_channels, *]``.

    Raises:
        OptionError: unless the groups divide the channels.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_groups = size_option("GroupNorm", "num_groups", num_groups)
        self.num_channels = size_option("GroupNorm", "num_channels", num_channels)
        if num_groups == 0 or num_channels % num_groups:
            raise OptionError(
                f"GroupNorm: num_channels ({num_channels}) must be divisible by num_groups "
                f"({num_groups})"
            )
        self.eps = eps
        self.affine = affine
        self._make((num_channels,), device, dtype, weight=affine, bias=affine and bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """Divides by a power of the mean square over neighbouring channels.

    ``x / (k + alpha * mean(x^2))^beta``. (Krizhevsky, Sutskever and Hinton, 2012)

    Args:
        size: number of neighbouring channels.

    Shape:
        Input and output ``[N, C, *]``.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """:class:`LocalResponseNorm` under its former name, of ``[N, C, H, W]``."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__(size, alpha, beta, k)


__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "CrossMapLRN2d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
]
