"""GPT-2. (Radford et al., 2019, "Language Models are Unsupervised Multitask Learners")

Names and shapes of the parameters are those of Hugging Face's ``GPT2LMHeadModel``, so that its
files load: ``GPT2.from_file("model.safetensors")``.
"""

from __future__ import annotations

import math
from os import PathLike
from typing import Any, Self

from .. import nn
from ..autograd.modes import no_grad
from ..errors import CheckpointError, DTypeError, OptionError, ShapeError
from ..nn import functional as F
from ..serialization import load
from ..tensors.creation import arange, empty, zeros
from ..tensors.tensor import Tensor
from .generation import check_prompt, continued


class Conv1D(nn.Module):
    """``x W + b``: a linear layer whose weight lies the other way round, ``[inputs, outputs]``."""

    weight_is_transposed = True

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = nn.Parameter(empty(in_features, out_features))
        self.bias = nn.Parameter(zeros(out_features))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.t(), self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}"


class Attention(nn.Module):
    """Causal self-attention in several heads."""

    def __init__(self, n_embd: int, n_head: int, dropout: float) -> None:
        super().__init__()
        self.n_head = n_head
        self.dropout = dropout
        self.c_attn = Conv1D(n_embd, 3 * n_embd)
        self.c_proj = Conv1D(n_embd, n_embd)
        self.resid_dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, cache: nn.KVCache | None = None) -> Tensor:
        parts = self.c_attn(x).unflatten(-1, (3, self.n_head, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = parts.unbind(0)
        mask = None
        if cache is not None:
            k, v, mask = cache.update(k, v)
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, mask, dropout, is_causal=cache is None)
        return self.resid_dropout(self.c_proj(y.transpose(1, 2).flatten(2)))


class MLP(nn.Module):
    """Two layers with a GELU between them, four times as wide."""

    def __init__(self, n_embd: int, dropout: float) -> None:
        super().__init__()
        self.c_fc = Conv1D(n_embd, 4 * n_embd)
        self.c_proj = Conv1D(4 * n_embd, n_embd)
        self.act = nn.GELU("tanh")
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.c_proj(self.act(self.c_fc(x))))


class Block(nn.Module):
    """Attention and MLP, each on normalised input and added to it."""

    def __init__(self, n_embd: int, n_head: int, dropout: float, eps: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(n_embd, eps=eps)
        self.attn = Attention(n_embd, n_head, dropout)
        self.ln_2 = nn.LayerNorm(n_embd, eps=eps)
        self.mlp = MLP(n_embd, dropout)

    def forward(self, x: Tensor, cache: nn.KVCache | None = None) -> Tensor:
        x = x + self.attn(self.ln_1(x), cache)
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """From tokens ``[N, L]`` to features ``[N, L, n_embd]``: GPT-2 without the scores."""

    def __init__(
        self, vocab_size: int, n_positions: int, n_embd: int, blocks: list[Block], dropout: float
    ) -> None:
        super().__init__()
        self.wte = nn.Embedding(vocab_size, n_embd)
        self.wpe = nn.Embedding(n_positions, n_embd)
        self.drop = nn.Dropout(dropout)
        self.h = nn.ModuleList(blocks)
        self.ln_f = nn.LayerNorm(n_embd, eps=blocks[0].ln_1.eps)

    def forward(self, tokens: Tensor, caches: list[nn.KVCache] | None = None) -> Tensor:
        before = 0 if caches is None else caches[0].length
        total = before + tokens.shape[1]
        if total > self.wpe.num_embeddings:
            raise ShapeError(
                f"GPT2: {total} tokens are more than n_positions={self.wpe.num_embeddings}"
            )
        if caches is None:
            positions = arange(tokens.shape[1], device=tokens.device)
        else:
            positions = caches[0].positions(tokens.shape[1])
        x = self.drop(self.wte(tokens) + self.wpe(positions))
        for k, block in enumerate(self.h):
            x = block(x, None if caches is None else caches[k])
        return self.ln_f(x)


class GPT2(nn.Module):
    """Says of each token what comes next; by default the smallest of the published models.

    Args:
        vocab_size: the number of different tokens.
        n_positions: the most tokens of a text.
        n_embd: features of a token.
        n_layer: the number of blocks.
        n_head: heads of each attention.
        dropout: the probability with which features are dropped in training.
        layer_norm_epsilon: of all layer normalisations.

    Shape:
        Tokens ``[N, L]`` (int64), scores ``[N, L, vocab_size]``.

    Raises:
        ShapeError: for more than ``n_positions`` tokens.
    """

    def __init__(
        self,
        vocab_size: int = 50257,
        n_positions: int = 1024,
        n_embd: int = 768,
        n_layer: int = 12,
        n_head: int = 12,
        dropout: float = 0.1,
        layer_norm_epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        if n_layer < 1 or n_embd % n_head:
            raise OptionError(
                f"GPT2: n_layer={n_layer} must be positive, n_head={n_head} divide n_embd={n_embd}"
            )
        self.n_head = n_head
        blocks = [Block(n_embd, n_head, dropout, layer_norm_epsilon) for _ in range(n_layer)]
        self.transformer = Transformer(vocab_size, n_positions, n_embd, blocks, dropout)
        self.lm_head = nn.Linear(n_embd, vocab_size, bias=False)
        self.lm_head.weight = self.transformer.wte.weight
        nn.init.normal_(self.transformer.wte.weight, std=0.02)
        nn.init.normal_(self.transformer.wpe.weight, std=0.02)
        for name, parameter in self.named_parameters():
            if name.endswith("c_proj.weight"):  # 2 n_layer of them are added up
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * n_layer))

    def forward(self, tokens: Tensor, caches: list[nn.KVCache] | None = None) -> Tensor:
        """
        Args:
            caches: of :meth:`make_caches`: what is before these tokens; they are added to it.
        """
        if tokens.ndim != 2:
            raise ShapeError(f"GPT2 takes tokens [batch, length], not shape {list(tokens.shape)}")
        if tokens.dtype.is_floating_point:
            raise DTypeError(f"GPT2 takes indices of tokens (int64), not {tokens.dtype}")
        return self.lm_head(self.transformer(tokens, caches))

    def make_caches(
        self, batch_size: int, max_length: int, padding: Tensor | None = None
    ) -> list[nn.KVCache]:
        """An empty cache for each block; ``padding`` as for :class:`weft.nn.KVCache`."""
        weight = self.lm_head.weight
        sizes = (batch_size, self.n_head, max_length, weight.shape[1] // self.n_head)
        return [
            nn.KVCache(*sizes, device=weight.device, dtype=weight.dtype, padding=padding)
            for _ in self.transformer.h
        ]

    @no_grad()
    def generate(
        self,
        tokens: Tensor,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        padding: Tensor | None = None,
    ) -> Tensor:
        """Continues texts ``[N, L]`` by tokens drawn one by one: ``[N, L + max_new_tokens]``.

        Each step computes one token, the rest is in caches. Call ``eval()`` before.

        Args:
            temperature: below 1 prefers likely tokens; 0 takes the likeliest ("greedy").
            top_k: draws from this many of the likeliest only.
            padding: how many tokens at the beginning of each text are none of it, ``[N]``.

        Raises:
            ShapeError: for more than ``n_positions`` tokens in all.
        """
        check_prompt(tokens, max_new_tokens, temperature, top_k)
        total, most = tokens.shape[1] + max_new_tokens, self.transformer.wpe.num_embeddings
        if total > most:
            raise ShapeError(f"GPT2.generate: {total} tokens are more than n_positions={most}")
        caches = self.make_caches(tokens.shape[0], total, padding)

        def scores_after(newest: Tensor) -> Tensor:
            scores: Tensor = self(newest, caches)
            return scores[:, -1]

        return continued(tokens, max_new_tokens, temperature, top_k, scores_after)

    @classmethod
    def from_file(
        cls, path: str | PathLike[str], n_head: int | None = None, **options: Any
    ) -> Self:
        """A model with the weights of one of Hugging Face's safetensors files.

        Args:
            path: the file.
            n_head: heads of each attention; with 64 features each, as in all published models, if
                left out.
            options: ``dropout`` and ``layer_norm_epsilon``.

        Raises:
            CheckpointError: if it is a file of something else.
        """
        state = _renamed(load(path), path)
        vocab_size, n_embd = state["transformer.wte.weight"].shape
        layers = {k.split(".")[2] for k in state if k.startswith("transformer.h.")}
        model = cls(
            vocab_size,
            state["transformer.wpe.weight"].shape[0],
            n_embd,
            len(layers),
            max(n_embd // 64, 1) if n_head is None else n_head,
            **options,
        )
        model.load_state_dict(state)
        return model


def _renamed(state: Any, path: str | PathLike[str]) -> dict[str, Tensor]:
    """Files of the bare transformer lack the prefix; older ones hold the causal masks too."""
    if not isinstance(state, dict) or not any(k.endswith("wte.weight") for k in state):
        raise CheckpointError(
            f"'{path}' holds no GPT-2: there is no tensor 'wte.weight' or 'transformer.wte.weight'"
        )
    prefix = "" if "transformer.wte.weight" in state else "transformer."
    masks = (".attn.bias", ".attn.masked_bias")
    named = {
        k if k.startswith("lm_head.") else prefix + k: v
        for k, v in state.items()
        if not k.endswith(masks)
    }
    named.setdefault("lm_head.weight", named["transformer.wte.weight"])
    return named


__all__ = ["GPT2"]
