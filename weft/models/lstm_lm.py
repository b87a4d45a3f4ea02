"""A recurrent language model. (Zaremba, Sutskever and Vinyals, 2014, arXiv:1409.2329)"""

from __future__ import annotations

from .. import nn
from ..autograd.modes import no_grad
from ..errors import DTypeError, OptionError, ShapeError
from ..tensors.tensor import Tensor
from .generation import check_prompt, continued

State = tuple[Tensor, Tensor]


class LSTMLanguageModel(nn.Module):
    """Says of each token what comes next: an embedding, an LSTM, scores.

    Args:
        vocab_size: the number of different tokens.
        embed_dim: features of a token.
        hidden_size, num_layers: of the LSTM.
        dropout: the probability with which features are dropped, between layers too.
        tie_weights: the scores use the embedding's weights, which takes ``embed_dim ==
            hidden_size``. (Press and Wolf, 2016, arXiv:1608.05859)

    Shape:
        Tokens ``[N, L]`` (int64); scores ``[N, L, vocab_size]`` and the state, which continues a
        text when it is passed with what follows.

    Raises:
        OptionError: for tied weights of different sizes.
    """

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int = 128,
        hidden_size: int = 128,
        num_layers: int = 2,
        dropout: float = 0.0,
        tie_weights: bool = False,
    ) -> None:
        super().__init__()
        if tie_weights and embed_dim != hidden_size:
            raise OptionError(
                f"LSTMLanguageModel: tied weights take embed_dim == hidden_size, not {embed_dim} "
                f"and {hidden_size}"
            )
        self.embedding = nn.Embedding(vocab_size, embed_dim)
        self.drop = nn.Dropout(dropout)
        between = dropout if num_layers > 1 else 0.0
        self.lstm = nn.LSTM(embed_dim, hidden_size, num_layers, batch_first=True, dropout=between)
        self.head = nn.Linear(hidden_size, vocab_size)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        if tie_weights:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        if tokens.ndim != 2:
            raise ShapeError(f"LSTMLanguageModel takes tokens [N, L], not {list(tokens.shape)}")
        if tokens.dtype.is_floating_point:
            raise DTypeError(f"LSTMLanguageModel takes indices of tokens, not {tokens.dtype}")
        out, state = self.lstm(self.drop(self.embedding(tokens)), state)
        return self.head(self.drop(out)), state

    @no_grad()
    def generate(
        self,
        tokens: Tensor,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
    ) -> Tensor:
        """Continues texts ``[N, L]``; as :meth:`weft.models.GPT2.generate`."""
        check_prompt(tokens, max_new_tokens, temperature, top_k)
        state: State | None = None

        def scores_after(newest: Tensor) -> Tensor:
            nonlocal state
            scores, state = self(newest, state)
            return scores[:, -1]

        return continued(tokens, max_new_tokens, temperature, top_k, scores_after)


__all__ = ["LSTMLanguageModel"]
