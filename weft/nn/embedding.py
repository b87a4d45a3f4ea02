"""Tables of vectors, looked up by row number."""

from __future__ import annotations

from typing import Any, Self

from ..autograd.modes import no_grad
from ..errors import ShapeError
from ..tensors.creation import empty
from ..tensors.tensor import Tensor
from . import functional as F
from .functional.embedding import row_of_padding
from .init import normal_
from .linear import size_option
from .module import Module
from .parameter import Parameter


class _Table(Module):
    """The weight of an embedding and how its rows are kept."""

    weight: Parameter

    def _make(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        weight: Tensor | None,
        device: Any,
        dtype: Any,
    ) -> None:
        name = type(self).__name__
        self.num_embeddings = size_option(name, "num_embeddings", num_embeddings)
        self.embedding_dim = size_option(name, "embedding_dim", embedding_dim)
        self.padding_idx = row_of_padding(name, padding_idx, num_embeddings)
        if weight is None:
            self.weight = Parameter(
                empty(num_embeddings, embedding_dim, device=device, dtype=dtype)
            )
            self.reset_parameters()
            return
        if tuple(weight.shape) != (num_embeddings, embedding_dim):
            raise ShapeError(
                f"{name}: the weight has shape {list(weight.shape)}, not [num_embeddings, "
                f"embedding_dim] = {[num_embeddings, embedding_dim]}"
            )
        self.weight = Parameter(weight)

    def reset_parameters(self) -> None:
        """Draws the rows from the standard normal distribution; the padding row is zero."""
        normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0.0


def _rows(name: str, embeddings: Tensor) -> tuple[int, int]:
    if embeddings.ndim != 2:
        raise ShapeError(
            f"{name}.from_pretrained takes [rows, features], not shape {list(embeddings.shape)}"
        )
    return embeddings.shape[0], embeddings.shape[1]


class Embedding(_Table):
    """A table of vectors, looked up by row number.

    Args:
        num_embeddings: number of rows.
        embedding_dim: size of each.
        padding_idx: a row that is zero at first and gets no gradient.
        max_norm: rows that are looked up are scaled, in the weight itself, to this length.
        norm_type: the p of the p-norm that is their length.
        scale_grad_by_freq: divide the gradient of a row by how often it occurs.
        sparse: as in PyTorch; gradients here are always dense.

    Shape:
        Input ``[*]`` of integers, output ``[*, embedding_dim]``.

    Attributes:
        weight: ``[num_embeddings, embedding_dim]``, at first standard normal.

    Raises:
        OptionError: if there is no row ``padding_idx``.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        self._make(num_embeddings, embedding_dim, padding_idx, _weight, device, dtype)
        if _freeze:
            self.weight.requires_grad_(False)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """A layer with the given table ``[rows, features]``.

        Args:
            freeze: the table takes no part in training.

        Raises:
            ShapeError: unless it has two dimensions.
        """
        return cls(
            *_rows(cls.__name__, embeddings),
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight=embeddings,
            _freeze=freeze,
        )

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        return text + (", sparse=True" if self.sparse else "")


class EmbeddingBag(_Table):
    """The sum, mean or maximum of the vectors of each bag of row numbers.

    Args:
        mode: "sum", "mean" or "max".
        include_last_offset: offsets end with the length of the input.
        padding_idx: a row that counts as not being there.
        num_embeddings, embedding_dim, max_norm, norm_type, scale_grad_by_freq, sparse: as for
            :class:`Embedding`.

    Shape:
        Input ``[bags, size]``, or ``[total]`` with offsets ``[bags]``; output
        ``[bags, embedding_dim]``.

    Attributes:
        weight: ``[num_embeddings, embedding_dim]``, at first standard normal.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset
        self._make(num_embeddings, embedding_dim, padding_idx, _weight, device, dtype)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> Self:
        """A layer with the given table ``[rows, features]``. See :class:`Embedding`."""
        out = cls(
            *_rows(cls.__name__, embeddings),
            max_norm,
            norm_type,
            scale_grad_by_freq,
            mode,
            sparse,
            embeddings,
            include_last_offset,
            padding_idx,
        )
        out.weight.requires_grad_(not freeze)
        return out

    def forward(
        self,
        input: Tensor,
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Tensor:
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        text += f", mode={self.mode!r}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"


__all__ = ["Embedding", "EmbeddingBag"]
