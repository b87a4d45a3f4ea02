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
