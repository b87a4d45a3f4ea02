"""Sequences of various lengths in one batch: packed without padding, and padded."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np

from ...errors import OptionError, ShapeError
from ...graph.device import ANYWHERE
from ...tensors.creation import full, tensor
from ...tensors.shape import cat, stack
from ...tensors.tensor import Tensor


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Fields):
    """Sequences of various lengths without padding, for recurrent layers.

    Made by :func:`pack_padded_sequence` and :func:`pack_sequence`. Samples are sorted by length,
    longest first; their rows stand together by step.

    Attributes:
        data: ``[rows, *]``: those of the first step, then of the second, and so on.
        batch_sizes: how many samples each step has.
        sorted_indices: the order of the samples here; None if they were sorted already.
        unsorted_indices: the inverse of that.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        if batch_sizes is None:
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With its data converted as :meth:`weft.Tensor.to` does."""
        return self._of(self.data.to(*args, **kwargs))

    def _of(self, data: Tensor) -> PackedSequence:
        return self if data is self.data else PackedSequence(data, *self[1:])

    def float(self) -> PackedSequence:
        """With data in float32."""
        return self._of(self.data.float())

    def double(self) -> PackedSequence:
        """With data in float64."""
        return self._of(self.data.double())

    def half(self) -> PackedSequence:
        """With data in float16."""
        return self._of(self.data.half())

    def long(self) -> PackedSequence:
        """With data in int64."""
        return self._of(self.data.long())

    def cpu(self) -> PackedSequence:
        """With data on the CPU."""
        return self._of(self.data.cpu())

    @property
    def is_cuda(self) -> bool:
        """Is the data on a CUDA device?"""
        return bool(self.data.is_cuda)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes this one; None for None."""
    return None if permutation is None else permutation.argsort()


def _lengths(lengths: Any) -> list[int]:
    return [int(n) for n in (lengths.tolist() if isinstance(lengths, Tensor) else lengths)]


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Packs a batch of padded sequences.

    Args:
        input: ``[T, B, *]``, or ``[B, T, *]`` with ``batch_first``.
        lengths: of the sequences: a Tensor or a list of ints.
        enforce_sorted: the sequences must be sorted by length, longest first; False sorts them.

    Raises:
        OptionError: for lengths that are not positive, too long, or not sorted.
        ShapeError: unless there are as many lengths as sequences.
    """
    x = input.transpose(0, 1) if batch_first else input
    sizes = _lengths(lengths)
    steps, samples = x.shape[0], x.shape[1]
    if len(sizes) != samples:
        raise ShapeError(
            f"pack_padded_sequence: {len(sizes)} lengths for a batch of {samples} sequences "
            f"(input of shape {list(input.shape)}, batch_first={batch_first})"
        )
    if not sizes or min(sizes) < 1 or max(sizes) > steps:
        raise OptionError(
            f"pack_padded_sequence: lengths must be from 1 to the {steps} steps of the input, not "
            f"{sizes}"
        )
    order = sorted(range(samples), key=lambda k: -sizes[k])
    if enforce_sorted and any(a < b for a, b in pairwise(sizes)):
        raise OptionError(
            f"pack_padded_sequence: the lengths {sizes} are not sorted, longest first: pass "
            "enforce_sorted=False"
        )
    ranked = np.array(sizes)[order]
    counts = (ranked[:, None] > np.arange(ranked[0])).sum(0)
    flat = x.flatten(0, 1)
    rows = np.concatenate([t * samples + np.array(order[:n]) for t, n in enumerate(counts)])
    indices = None if enforce_sorted else tensor(order, device=x.device)
    return PackedSequence(flat[tensor(rows, device=ANYWHERE)], tensor(counts), indices)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Undoes :func:`pack_padded_sequence`.

    Args:
        padding_value: for the places after the end of a sequence.
        total_length: pad to this length, not just that of the longest.

    Returns:
        The padded batch ``[T, B, *]`` (``[B, T, *]`` with ``batch_first``), and the lengths.

    Raises:
        OptionError: if ``total_length`` is less than that of the longest.
    """
    counts = np.array(sequence.batch_sizes.tolist())
    steps = len(counts) if total_length is None else total_length
    if steps < len(counts):
        raise OptionError(
            f"pad_packed_sequence: total_length={total_length} is less than the length of the "
            f"longest sequence, {len(counts)}"
        )
    data = sequence.data
    order = np.arange(counts[0])
    if sequence.unsorted_indices is not None:
        order = np.array(sequence.unsorted_indices.tolist())
    starts = np.concatenate(([0], np.cumsum(counts)))
    # The row of each place; the row behind the last one is padding.
    places = np.full((steps, counts[0]), starts[-1])
    for t, n in enumerate(counts):
        places[t, :n] = starts[t] + np.arange(n)
    padding = full((1, *data.shape[1:]), padding_value, dtype=data.dtype, device=ANYWHERE)
    out: Tensor = cat([data, padding], 0)[tensor(places[:, order], device=ANYWHERE)]
    lengths = (counts[None] > np.arange(counts[0])[:, None]).sum(1)[order]
    return (out.transpose(0, 1) if batch_first else out), tensor(lengths)


def pad_sequence(
    sequences: Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences ``[L, *]`` of various lengths as one batch ``[T, B, *]``.

    Args:
        batch_first: ``[B, T, *]`` instead.
        padding_side: "right" or "left".

    Raises:
        OptionError: for another side, or no sequences.
    """
    items = list(sequences)
    if padding_side not in ("right", "left"):
        raise OptionError(f"pad_sequence: padding_side is 'right' or 'left', not {padding_side!r}")
    if not items:
        raise OptionError("pad_sequence takes at least one sequence")
    steps = max(x.shape[0] for x in items)
    padded = []
    for x in items:
        gap = full(
            (steps - x.shape[0], *x.shape[1:]), padding_value, dtype=x.dtype, device=ANYWHERE
        )
        padded.append(cat([x, gap] if padding_side == "right" else [gap, x], 0))
    return stack(padded, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Any, batch_first: bool = False
) -> list[Tensor]:
    """Undoes :func:`pad_sequence`: the first ``length`` places of each sequence."""
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [x[k, :n] for k, n in enumerate(_lengths(lengths))]


def pack_sequence(sequences: Iterable[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs sequences ``[L, *]`` of various lengths. See :func:`pack_padded_sequence`."""
    items = list(sequences)
    lengths = [x.shape[0] for x in items]
    return pack_padded_sequence(pad_sequence(items), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Undoes :func:`pack_sequence`."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]
