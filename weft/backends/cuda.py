"""The names of ``torch.backends.cuda``."""

from __future__ import annotations

from ..engine.precision import get_precision, set_precision


class _MatrixProducts:
    """Settings of matrix products.

    Attributes:
        allow_fp16_reduced_precision_reduction, allow_bf16_reduced_precision_reduction: kept, and
            without effect: sums of 16-bit floats are in float32.
    """

    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True

    @property
    def allow_tf32(self) -> bool:
        """May float32 products be computed in TF32 (10 bits of mantissa)?"""
        return get_precision().matmul != "highest"

    @allow_tf32.setter
    def allow_tf32(self, value: bool) -> None:
        set_precision(matmul="high" if value else "highest")


matmul = _MatrixProducts()


def is_built() -> bool:
    """Is there JAX with its CUDA part? (A GPU is another matter: ``weft.cuda.is_available()``.)"""
    from ..engine.xla.platform import is_installed

    return is_installed("cuda")


def enable_cudnn_sdp(enabled: bool) -> None:
    """May attention of 16-bit floats on a GPU be a call of cuDNN? By default, yes."""
    set_precision(fused_attention=bool(enabled))


def cudnn_sdp_enabled() -> bool:
    """What :func:`enable_cudnn_sdp` has set."""
    return get_precision().fused_attention


class _Kernels:
    """Which of PyTorch's other kernels for attention may be used: kept, and without effect."""

    flash = mem_efficient = math = True


def enable_flash_sdp(enabled: bool) -> None:
    """Kept for :func:`flash_sdp_enabled`; weft has cuDNN's kernel and its own ops."""
    _Kernels.flash = bool(enabled)


def flash_sdp_enabled() -> bool:
    """What :func:`enable_flash_sdp` has set."""
    return _Kernels.flash


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Kept for :func:`mem_efficient_sdp_enabled`; weft has cuDNN's kernel and its own ops."""
    _Kernels.mem_efficient = bool(enabled)


def mem_efficient_sdp_enabled() -> bool:
    """What :func:`enable_mem_efficient_sdp` has set."""
    return _Kernels.mem_efficient


def enable_math_sdp(enabled: bool) -> None:
    """Kept for :func:`math_sdp_enabled`; what no kernel takes is computed by ops in any case."""
    _Kernels.math = bool(enabled)


def math_sdp_enabled() -> bool:
    """What :func:`enable_math_sdp` has set."""
    return _Kernels.math
