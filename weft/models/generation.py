"""How the next token is chosen."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import DTypeError, OptionError, ShapeError
from ..tensors.interop import realize
from ..tensors.random import multinomial
from ..tensors.shape import cat
from ..tensors.tensor import Tensor


def check_prompt(
    tokens: Tensor, max_new_tokens: int, temperature: float, top_k: int | None
) -> None:
    """
    Raises:
        ShapeError, DTypeError: unless tokens are int64 ``[N, L]``, ``L`` at least 1.
        OptionError: for numbers that are too small.
    """
    if tokens.ndim != 2 or tokens.shape[1] == 0:
        raise ShapeError(
            f"generate takes tokens [batch, length], at least one of each text, not shape "
            f"{list(tokens.shape)}"
        )
    if tokens.dtype.is_floating_point or tokens.dtype.name == "bool":
        raise DTypeError(f"generate takes indices of tokens (int64), not {tokens.dtype}")
    if max_new_tokens < 0 or temperature < 0 or (top_k is not None and top_k < 1):
        raise OptionError(
            f"generate: max_new_tokens={max_new_tokens} and temperature={temperature} must not be "
            f"negative, top_k={top_k} at least 1"
        )


def next_token(scores: Tensor, temperature: float, top_k: int | None) -> Tensor:
    """One token for each row of scores ``[N, vocabulary]``: ``[N, 1]``.

    Args:
        temperature: scores are divided by it; with 0 the best token is taken.
        top_k: only this many of the best are drawn from.
    """
    if temperature == 0:
        return scores.argmax(-1, keepdim=True)
    if top_k is not None:
        worst = scores.topk(min(top_k, scores.shape[-1])).values[:, -1:]
        scores = scores.masked_fill(scores < worst, float("-inf"))
    return multinomial((scores / temperature).softmax(-1), 1)


def continued(
    tokens: Tensor,
    max_new_tokens: int,
    temperature: float,
    top_k: int | None,
    scores_after: Callable[[Tensor], Tensor],
) -> Tensor:
    """Texts ``[N, L]`` with ``max_new_tokens`` more, one after the other.

    Args:
        scores_after: the scores ``[N, vocabulary]`` of the next token, given the prompt the first
            time and then the newest token ``[N, 1]`` alone.
    """
    parts = [tokens]
    for _ in range(max_new_tokens):
        parts.append(next_token(scores_after(parts[-1]), temperature, top_k))
        realize(parts[-1])  # each step is the same graph, whose code is made once
    return cat(parts, 1)


__all__ = ["check_prompt", "continued", "next_token"]
