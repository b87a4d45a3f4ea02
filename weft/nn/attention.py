"""Attention with several heads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

from ..engine.precision import get_precision, set_precision
from ..errors import OptionError
from ..tensors.creation import empty
from ..tensors.tensor import Tensor
from . import functional as F
from .init import xavier_normal_, xavier_uniform_, zeros_
from .linear import NonDynamicallyQuantizableLinear, size_option
from .module import Module
from .parameter import Parameter


class MultiheadAttention(Module):
    """Attention of queries to keys in several heads, each with projections of its own.

    (Vaswani et al., 2017, arXiv:1706.03762)

    Args:
        embed_dim: features of query and output, over all heads.
        num_heads: number of heads; it divides ``embed_dim``.
        dropout: the probability with which a weight is dropped in training.
        bias: whether the projections have biases.
        add_bias_kv: one more, learned, key and value for all samples.
        add_zero_attn: one more key and value of zeros.
        kdim, vdim: features of keys and values; ``embed_dim`` if left out.
        batch_first: the batch is dimension 0, not 1.

    Shape:
        query ``[L, N, E]``, key ``[S, N, kdim]``, value ``[S, N, vdim]``; with ``batch_first``,
        ``[N, L, E]`` and so on; or without ``N``. Output as the query; weights ``[N, L, S]``, or
        ``[N, num_heads, L, S]`` when not averaged.

    Attributes:
        in_proj_weight: ``[3 E, E]``, for query, key and value; ``q_proj_weight``, ``k_proj_weight``
            and ``v_proj_weight`` where ``kdim`` or ``vdim`` differ.
        in_proj_bias: ``[3 E]``.
        out_proj: the layer that joins the heads.

    Raises:
        OptionError: unless ``num_heads`` divides ``embed_dim``, both positive.
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.embed_dim = size_option("MultiheadAttention", "embed_dim", embed_dim)
        self.num_heads = size_option("MultiheadAttention", "num_heads", num_heads)
        if embed_dim == 0 or num_heads == 0 or embed_dim % num_heads:
            raise OptionError(
                f"MultiheadAttention: embed_dim must be a multiple of num_heads, both positive, "
                f"not embed_dim={embed_dim} and num_heads={num_heads}"
            )
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        self._make_projections(bias, device, dtype)
        self.out_proj = NonDynamicallyQuantizableLinear(
            embed_dim, embed_dim, bias=bias, device=device, dtype=dtype
        )
        for name in ("bias_k", "bias_v"):
            sizes = (1, 1, embed_dim)
            extra = Parameter(empty(sizes, device=device, dtype=dtype)) if add_bias_kv else None
            self.register_parameter(name, extra)
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _make_projections(self, bias: bool, device: Any, dtype: Any) -> None:
        e, joint = self.embed_dim, self._qkv_same_embed_dim
        sizes = {
            "q_proj_weight": None if joint else (e, e),
            "k_proj_weight": None if joint else (e, self.kdim),
            "v_proj_weight": None if joint else (e, self.vdim),
            "in_proj_weight": (3 * e, e) if joint else None,
            "in_proj_bias": (3 * e,) if bias else None,
        }
        for name, size in sizes.items():
            value = None if size is None else Parameter(empty(size, device=device, dtype=dtype))
            self.register_parameter(name, value)

    def _reset_parameters(self) -> None:
        for weight in (
            self.in_proj_weight,
            self.q_proj_weight,
            self.k_proj_weight,
            self.v_proj_weight,
        ):
            if weight is not None:
                xavier_uniform_(weight)
        if self.in_proj_bias is not None and self.out_proj.bias is not None:
            zeros_(self.in_proj_bias)
            zeros_(self.out_proj.bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                xavier_normal_(extra)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        turned = self.batch_first and query.ndim == 3
        if turned:  # the same tensor stays the same tensor: it is projected once
            by_input = {id(x): x.transpose(0, 1) for x in (query, key, value)}
            query, key, value = (by_input[id(x)] for x in (query, key, value))
        output, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (output.transpose(0, 1) if turned else output), weights


class SDPBackend(IntEnum):
    """The kernels that PyTorch's attention may use, for :func:`sdpa_kernel`."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextmanager
def sdpa_kernel(
    backends: list[SDPBackend] | SDPBackend, set_priority: bool = False
) -> Iterator[None]:
    """Inside, attention on a GPU is a call of cuDNN only if one of these is not ``MATH``.

    Which kernel it is, is otherwise weft's choice. Programs are made when their values are needed:
    what is recorded inside and run later, follows the setting of then.
    """
    names = [backends] if isinstance(backends, SDPBackend) else backends
    before = get_precision().fused_attention
    set_precision(fused_attention=any(b is not SDPBackend.MATH for b in names))
    try:
        yield
    finally:
        set_precision(fused_attention=before)


__all__ = ["MultiheadAttention"]
