"""What tells attention where a token stands."""

from __future__ import annotations

from ..dtypes import float32
from ..errors import OptionError, ShapeError
from ..graph.device import ANYWHERE
from ..tensors.creation import arange, tensor
from ..tensors.shape import cat, stack
from ..tensors.tensor import Tensor
from .linear import size_option
from .module import Module


class RotaryEmbedding(Module):
    """Turns each pair of features by an angle proportional to the token's position.

    The product of a query and a key turned so depends on their distance only. (Su et al., 2021,
    arXiv:2104.09864)

    Args:
        dim: the number of features, even.
        base: pair ``k`` turns by ``base^(-2k / dim)`` for each position.
        interleaved: pairs are neighbours, as in the paper; else feature ``k`` goes with feature
            ``k + dim / 2``, as in GPT-NeoX and LLaMA.

    Shape:
        Input and output ``[*, length, dim]``; ``offset`` is the position of the first token.

    Raises:
        ShapeError: for another number of features.
    """

    def __init__(self, dim: int, base: float = 10000.0, interleaved: bool = True) -> None:
        super().__init__()
        self.dim = size_option("RotaryEmbedding", "dim", dim)
        if self.dim == 0 or self.dim % 2:
            raise OptionError(f"RotaryEmbedding: dim must be even and positive, not {dim}")
        self.base = base
        self.interleaved = interleaved

    def forward(self, input: Tensor, offset: int = 0) -> Tensor:
        if input.ndim < 2 or input.shape[-1] != self.dim:
            raise ShapeError(
                f"RotaryEmbedding takes [*, length, {self.dim}], not shape {list(input.shape)}"
            )
        pairs = arange(self.dim // 2, dtype=float32, device=ANYWHERE)
        speed = self.base ** (pairs * (-2 / self.dim))
        angle = (arange(input.shape[-2], dtype=float32, device=ANYWHERE) + offset).unsqueeze(
            1
        ) * speed
        cos, sin = angle.cos().to(input.dtype), angle.sin().to(input.dtype)
        if self.interleaved:
            a, b = input[..., 0::2], input[..., 1::2]
            return stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)
        a, b = input.chunk(2, -1)
        return cat([a * cos - b * sin, a * sin + b * cos], -1)

    def extra_repr(self) -> str:
        return f"{self.dim}, base={self.base}, interleaved={self.interleaved}"


def _slopes(heads: int) -> list[float]:
    """``2^(-8 k / heads)`` for a power of two; else those of the next lower, and every other one
    of the next higher.
    """
    lower = 1 << (heads.bit_length() - 1)
    if lower == heads:
        return [2.0 ** (-8.0 * (k + 1) / heads) for k in range(heads)]
    return _slopes(lower) + _slopes(2 * lower)[0::2][: heads - lower]


class ALiBi(Module):
    """A bias on attention scores that falls with the distance, for each head at a slope of its own.

    Pass it as ``attn_mask`` to ``scaled_dot_product_attention``; it takes the place of position
    embeddings. (Press, Smith and Lewis, 2021, arXiv:2108.12409)

    Args:
        num_heads: the number of heads.

    Shape:
        Called with the numbers of queries and of keys (by default as many): ``[num_heads, queries,
        keys]``. Where there are more keys, the queries are the last of the tokens.

    Attributes:
        slopes: ``[num_heads]``; not part of the state dict.
    """

    slopes: Tensor

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        self.num_heads = size_option("ALiBi", "num_heads", num_heads)
        if self.num_heads == 0:
            raise OptionError("ALiBi: num_heads must be positive")
        self.register_buffer("slopes", tensor(_slopes(self.num_heads)), persistent=False)

    def forward(self, queries: int, keys: int | None = None) -> Tensor:
        keys = queries if keys is None else keys
        if keys < queries:
            raise ShapeError(f"ALiBi: {queries} queries are more tokens than {keys} keys")
        at = arange(keys - queries, keys, device=ANYWHERE).unsqueeze(1)
        distance = (at - arange(keys, device=ANYWHERE)).abs().to(self.slopes.dtype)
        return -self.slopes.reshape(-1, 1, 1) * distance

    def extra_repr(self) -> str:
        return str(self.num_heads)


__all__ = ["ALiBi", "RotaryEmbedding"]
