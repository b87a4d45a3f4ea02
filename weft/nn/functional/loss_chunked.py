"""Cross entropy of a linear layer in pieces: the logits of all rows are never there at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...autograd.function import Function
from ...autograd.modes import enable_grad, is_grad_enabled
from ...dtypes import bfloat16, dtype, float16, float32, float64
from ...errors import OptionError, did_you_mean
from ...tensors.autocasting import autocast_mode
from ...tensors.differentiate import grad
from ...tensors.shape import cat
from ...tensors.tensor import Tensor
from .linear import linear

_POLICIES = ("auto", "accurate", "balanced", "compact")


@dataclass(slots=True, frozen=True)
class LinearCrossEntropyOptions:
    """How :func:`linear_cross_entropy` computes in pieces of the batch.

    Each piece computes its logits, and computes them again for the gradients, so that only those of
    one piece take up memory. It pays where there are many rows and many more classes than features.

    Args:
        allow_retain_graph: taken for PyTorch's sake; gradients can be computed again in any case.
        batch_chunk_size: rows in a piece.
        chunking_method: "aspect_ratio": pieces whose logits are as large as the whole input;
            "aspect_ratio:N": an N-th of that; "auto": one of them; None: as ``batch_chunk_size``
            says, or all rows at once.
        acc_policy: "auto", "accurate", "balanced" or "compact", for PyTorch's sake: sums over the
            pieces are in ``acc_dtype`` in any case.
        acc_dtype: that of logits and sums; float32 for 16-bit inputs, else theirs, if None.

    Raises:
        OptionError: for anything else.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: dtype | None = None

    def __post_init__(self) -> None:
        if self.acc_policy not in _POLICIES:
            hint = did_you_mean(str(self.acc_policy), _POLICIES)
            raise OptionError(f"acc_policy={self.acc_policy!r} must be one of {_POLICIES}.{hint}")
        if self.chunking_method not in (None, "auto"):
            name, colon, factor = str(self.chunking_method).partition(":")
            if name != "aspect_ratio" or (colon and not (factor.isdigit() and int(factor))):
                raise OptionError(
                    f"chunking_method={self.chunking_method!r} must be 'auto', 'aspect_ratio', "
                    "'aspect_ratio:N' or None"
                )
        size: Any = self.batch_chunk_size
        if size is not None and (not isinstance(size, int) or size < 1):
            raise OptionError(f"batch_chunk_size={size!r} must be a positive int or None")
        if self.acc_dtype not in (None, float16, bfloat16, float32, float64):
            raise OptionError(f"acc_dtype={self.acc_dtype!r} must be a floating dtype or None")

    def rows(self, batch: int, features: int, classes: int, kind: dtype) -> int:
        """How many rows a piece has.

        Raises:
            OptionError: if size and method disagree.
        """
        method, size = self.chunking_method, self.batch_chunk_size
        if method == "auto":
            method = "aspect_ratio" if kind.is_reduced else "aspect_ratio:2"
            if size is not None:
                method = None
        if method is None:
            return max(min(batch if size is None else size, batch), 1)
        wanted = -(-batch // -(-classes // features))
        factor = int(method.partition(":")[2] or 1)
        found = min((1 << (wanted - 1).bit_length()) // factor, batch)
        if size is not None and size != found:
            raise OptionError(
                f"batch_chunk_size={size} and chunking_method={method!r} (which gives {found}) "
                "disagree: pass only one"
            )
        return max(found, 1)


class _Piece(Function):
    """A loss whose gradients are computed from its inputs anew."""

    @staticmethod
    def forward(ctx: Any, loss: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.loss, ctx.autocast = loss, autocast_mode.get()
        ctx.save_for_backward(x, weight, bias)
        result: Tensor = loss(linear(x, weight, bias))
        return result

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        again = is_grad_enabled()
        given = ctx.saved_tensors
        if not again:
            given = [None if t is None else t.detach().requires_grad_() for t in given]
        wanted = [t for t, needed in zip(given, ctx.needs_input_grad[1:], strict=True) if needed]
        token = autocast_mode.set(ctx.autocast)
        try:
            with enable_grad():
                result = ctx.loss(linear(*given))
        finally:
            autocast_mode.reset(token)
        found = iter(grad(result, wanted, g, create_graph=again))
        return None, *(next(found) if needed else None for needed in ctx.needs_input_grad[1:])


def in_pieces(
    loss: Any, x: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, options: Any
) -> Tensor:
    """The losses of all rows.

    Args:
        loss: called with logits and targets of some rows.
        x: ``[N, features]``.
        weight, bias: ``[C, features]`` and ``[C]``.
        target: ``[N]``.
    """
    size = options.rows(*x.shape, weight.shape[0], x.dtype)
    kind = options.acc_dtype or (float32 if x.dtype in (float16, bfloat16) else x.dtype)
    weight, bias = weight.to(kind), None if bias is None else bias.to(kind)
    pieces = []
    for first in range(0, max(x.shape[0], 1), size):
        part, t = x[first : first + size].to(kind), target[first : first + size]
        pieces.append(_Piece.apply(lambda logits, t=t: loss(logits, t), part, weight, bias))
    return cat(pieces).to(x.dtype)


__all__ = ["LinearCrossEntropyOptions", "in_pieces"]
