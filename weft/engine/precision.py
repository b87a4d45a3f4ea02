"""How exactly float32 products are computed on devices that trade digits for speed."""

from __future__ import annotations

from typing import NamedTuple

_NAMES = ("highest", "high", "medium")


class Precision(NamedTuple):
    """
    Attributes:
        matmul: "highest": all of float32; "high": TF32, or three bfloat16 products on TPUs;
            "medium": one product of the fastest kind.
        conv: the same for convolutions. PyTorch lets these use TF32 by default.
        fused_attention: may attention of 16-bit floats be a kernel that rounds its weights to them?
    """

    matmul: str = "highest"
    conv: str = "high"
    fused_attention: bool = True


_precision = Precision()


def get_precision() -> Precision:
    return _precision


def set_precision(
    *, matmul: str | None = None, conv: str | None = None, fused_attention: bool | None = None
) -> None:
    """
    Raises:
        ValueError: for anything but "highest", "high" and "medium".
    """
    global _precision
    for value in (matmul, conv):
        if value is not None and value not in _NAMES:
            raise ValueError(
                f"the precision of float32 products must be one of {_NAMES}, not {value!r}"
            )
    fused = _precision.fused_attention if fused_attention is None else fused_attention
    _precision = Precision(matmul or _precision.matmul, conv or _precision.conv, fused)


def set_float32_matmul_precision(precision: str) -> None:
    """How float32 matrix products are computed on GPUs and TPUs; the CPU computes all digits.

    Args:
        precision: "highest" (the default): as float32; "high": TF32 (10 bits of mantissa), or the
            sum of three bfloat16 products on TPUs; "medium": the fastest kind that there is.

    Raises:
        ValueError: for anything else.
    """
    set_precision(matmul=precision)


def get_float32_matmul_precision() -> str:
    """What :func:`set_float32_matmul_precision` has set."""
    return _precision.matmul
