"""Attention whose queries share keys and values, and the memory of them for one token at a time."""

from __future__ import annotations

from typing import Any

from ..autograd.modes import is_grad_enabled
from ..errors import DTypeError, GradientError, OptionError, ShapeError
from ..graph.device import ANYWHERE
from ..tensors.creation import arange, zeros
from ..tensors.tensor import Tensor
from . import functional as F
from .functional.dropout import check_probability
from .linear import Linear, size_option
from .module import Module
from .position import RotaryEmbedding


class KVCache:
    """Keys and values of the tokens so far, so that each further token is computed alone.

    Its size is fixed, so that each step records the same graph, which is compiled once. It keeps
    values without history: use it under :class:`weft.no_grad`.

    Args:
        batch_size: the number of sequences, which grow together.
        num_heads: the heads of keys and values.
        max_length: how many tokens there is room for.
        head_dim: the features of a head.
        dtype: float32 if left out.
        padding: ``[batch_size]``, integers: how many places at the beginning of each sequence hold
            no token of it. Prompts of several lengths are filled up so, in front.

    Attributes:
        length: the number of tokens so far, padding included.
    """

    def __init__(
        self,
        batch_size: int,
        num_heads: int,
        max_length: int,
        head_dim: int,
        device: Any = None,
        dtype: Any = None,
        padding: Tensor | None = None,
    ) -> None:
        sizes = zip(
            ("batch_size", "num_heads", "max_length", "head_dim"),
            (batch_size, num_heads, max_length, head_dim),
            strict=True,
        )
        self._shape = tuple([size_option("KVCache", name, size) for name, size in sizes])
        self.keys = zeros(self._shape, device=device, dtype=dtype)
        self.values = zeros(self._shape, device=device, dtype=dtype)
        self.reset(padding)

    @property
    def max_length(self) -> int:
        return self._shape[2]

    def reset(self, padding: Tensor | None = None) -> None:
        """Forgets all tokens.

        Args:
            padding: of the next ones.

        Raises:
            ShapeError: if that is not one number for each sequence.
            DTypeError: if they are not integers.
        """
        if padding is not None:
            if tuple(padding.shape) != self._shape[:1]:
                raise ShapeError(
                    f"KVCache: padding of shape {list(padding.shape)} should have a number for "
                    f"each of {self._shape[0]} sequences"
                )
            if padding.dtype.category != 1:
                raise DTypeError(f"KVCache: padding must be integers, not {padding.dtype}")
        self.padding, self.length = padding, 0

    def positions(self, tokens: int) -> Tensor:
        """Where in their sequences the next tokens are, ``[tokens]``, or ``[batch, tokens]`` with
        padding: 0 for what is none.
        """
        places = arange(tokens, device=ANYWHERE) + self.length
        if self.padding is None:
            return places
        return (places - self.padding.unsqueeze(1)).clamp(min=0)

    def check(self, batch: int, tokens: int) -> None:
        """
        Raises:
            ShapeError: for another batch, and for more tokens than there is room for.
        """
        if batch != self._shape[0]:
            raise ShapeError(
                f"KVCache: made for a batch of {self._shape[0]}, but is given one of {batch}"
            )
        if self.length + tokens > self.max_length:
            raise ShapeError(
                f"KVCache: {self.length} tokens and {tokens} more do not fit into "
                f"max_length={self.max_length}: make a longer cache, or start anew with reset()"
            )

    def update(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Adds tokens to those so far.

        Shape:
            key and value ``[batch, heads, tokens, features]``. Returns all keys and all values,
            ``[batch, heads, max_length, features]``, and a mask ``[tokens, max_length]`` (with
            padding ``[batch, 1, tokens, max_length]``), True where a token may look: at itself and
            what is before it.

        Raises:
            ShapeError: for another shape, and for more tokens than there is room for.
            DTypeError: for another dtype.
            GradientError: where gradients are recorded.
        """
        self._check_parts(key, value)
        tokens = key.shape[2]
        places = arange(tokens, device=ANYWHERE) + self.length
        self.keys = self.keys.index_copy(2, places, key)
        self.values = self.values.index_copy(2, places, value)
        self.length += tokens
        return self.keys, self.values, self._mask(places.unsqueeze(1))

    def _mask(self, places: Tensor) -> Tensor:
        all_places = arange(self.max_length, device=ANYWHERE)
        before = all_places.le(places)
        if self.padding is None:
            return before
        # (what is padding looks at itself, so that it has a value)
        inside = all_places >= self.padding.reshape(-1, 1, 1, 1)
        return before.logical_and(inside).logical_or(all_places.eq(places))

    def _check_parts(self, key: Tensor, value: Tensor) -> None:
        for name, part in (("key", key), ("value", value)):
            shape = tuple(part.shape)
            if len(shape) != 4 or (shape[1], shape[3]) != (self._shape[1], self._shape[3]):
                raise ShapeError(
                    f"KVCache: the {name} has shape {list(shape)}, but the cache holds "
                    f"[{self._shape[0]}, {self._shape[1]}, tokens, {self._shape[3]}]"
                )
            if part.dtype is not self.keys.dtype:
                raise DTypeError(
                    f"KVCache holds {self.keys.dtype}, but the {name} is {part.dtype}: make it "
                    f"with dtype={part.dtype}"
                )
            if is_grad_enabled() and part.requires_grad:
                raise GradientError(
                    "KVCache keeps values without their history: call the model under "
                    "weft.no_grad(), or without a cache to train it"
                )
        if key.shape != value.shape:
            raise ShapeError(
                f"KVCache: key {list(key.shape)} and value {list(value.shape)} differ in shape"
            )
        self.check(key.shape[0], key.shape[2])

    def __repr__(self) -> str:
        batch, heads, size, features = self._shape
        return f"KVCache({batch}, {heads}, {size}, {features}, length={self.length})"


class GroupedQueryAttention(Module):
    """Self-attention in which neighbouring heads of queries share a head of keys and values.

    With as many heads of both it is multi-head attention, with one of keys and values multi-query
    attention. (Ainslie et al., 2023, arXiv:2305.13245)

    Args:
        embed_dim: features of input and output.
        num_heads: heads of queries.
        num_kv_heads: heads of keys and values; it divides ``num_heads``. As many, if left out.
        head_dim: features of a head; ``embed_dim / num_heads`` if left out.
        dropout: the probability with which a weight is dropped in training.
        bias: whether the projections have biases.
        rotary: turns queries and keys by their positions.

    Shape:
        Input and output ``[N, L, embed_dim]``; ``attn_mask`` broadcast to ``[N, num_heads, L, L]``.

    Attributes:
        q_proj, k_proj, v_proj, out_proj: the projections.

    Raises:
        OptionError: unless the numbers of heads and features fit one another.
        ShapeError: for other inputs; for more tokens than a cache has room for.

    Example:
        >>> attention = nn.GroupedQueryAttention(64, 8, 2, rotary=nn.RotaryEmbedding(8))
        >>> cache = attention.make_cache(batch_size=1, max_length=16)
        >>> with weft.no_grad():
        ...     y = attention(weft.zeros(1, 5, 64), cache=cache)  # a prompt
        ...     y = attention(weft.zeros(1, 1, 64), cache=cache)  # the next token
        >>> cache.length
        6
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        num_kv_heads: int | None = None,
        head_dim: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        rotary: RotaryEmbedding | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = "GroupedQueryAttention"
        check_probability(name, dropout)
        self.embed_dim = size_option(name, "embed_dim", embed_dim)
        self.num_heads = size_option(name, "num_heads", num_heads)
        kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        self.num_kv_heads = size_option(name, "num_kv_heads", kv_heads)
        if 0 in (num_heads, kv_heads) or num_heads % kv_heads:
            raise OptionError(
                f"{name}: num_kv_heads={kv_heads} must divide num_heads={num_heads}, both positive"
            )
        if head_dim is None and embed_dim % num_heads:
            raise OptionError(
                f"{name}: embed_dim={embed_dim} is no multiple of num_heads={num_heads}: give "
                "head_dim"
            )
        self.head_dim = embed_dim // num_heads if head_dim is None else head_dim
        if rotary is not None and rotary.dim != self.head_dim:
            raise OptionError(
                f"{name}: rotary turns {rotary.dim} features, but a head has {self.head_dim}: pass "
                f"RotaryEmbedding({self.head_dim})"
            )
        self.dropout = dropout
        options = {"bias": bias, "device": device, "dtype": dtype}
        self.q_proj = Linear(embed_dim, num_heads * self.head_dim, **options)
        self.k_proj = Linear(embed_dim, kv_heads * self.head_dim, **options)
        self.v_proj = Linear(embed_dim, kv_heads * self.head_dim, **options)
        self.out_proj = Linear(num_heads * self.head_dim, embed_dim, **options)
        self.rotary = rotary

    def make_cache(
        self, batch_size: int, max_length: int, padding: Tensor | None = None
    ) -> KVCache:
        """An empty cache that fits this layer; ``padding`` as for :class:`KVCache`."""
        sizes = (batch_size, self.num_kv_heads, max_length, self.head_dim)
        weight = self.k_proj.weight
        return KVCache(*sizes, device=weight.device, dtype=weight.dtype, padding=padding)

    def _heads(self, x: Tensor, count: int) -> Tensor:
        return x.unflatten(-1, (count, self.head_dim)).transpose(1, 2)

    def forward(
        self,
        input: Tensor,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
        cache: KVCache | None = None,
    ) -> Tensor:
        """
        Args:
            attn_mask: bool, True where a key may be attended to; or floating, added to the scores.
            is_causal: each token looks at itself and what is before it.
            cache: what is before these tokens; they are added to it. Implies ``is_causal``.
        """
        if input.ndim != 3 or input.shape[-1] != self.embed_dim:
            raise ShapeError(
                f"GroupedQueryAttention takes [batch, length, {self.embed_dim}], not shape "
                f"{list(input.shape)}"
            )
        if cache is not None:
            if attn_mask is not None:
                raise OptionError(
                    "GroupedQueryAttention takes attn_mask or cache, not both: a cache is causal, "
                    "and its sequences grow together"
                )
            cache.check(input.shape[0], input.shape[1])
        q = self._heads(self.q_proj(input), self.num_heads)
        k = self._heads(self.k_proj(input), self.num_kv_heads)
        v = self._heads(self.v_proj(input), self.num_kv_heads)
        if self.rotary is not None:
            offset = 0 if cache is None else cache.length
            q, k = self.rotary(q, offset), self.rotary(k, offset)
        if cache is not None:
            k, v, attn_mask = cache.update(k, v)
        attended = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask,
            self.dropout if self.training else 0.0,
            is_causal and cache is None,
            enable_gqa=True,
        )
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def extra_repr(self) -> str:
        return (
            f"{self.embed_dim}, num_heads={self.num_heads}, num_kv_heads={self.num_kv_heads}, "
            f"head_dim={self.head_dim}"
        )


__all__ = ["GroupedQueryAttention", "KVCache"]
