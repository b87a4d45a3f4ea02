"""Losses that hold the last layer of a classifier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError, DTypeError, OptionError, ShapeError
from ..graph.device import ANYWHERE
from ..tensors.creation import tensor
from ..tensors.shape import cat
from ..tensors.tensor import Tensor
from . import functional as F
from .containers import ModuleList, Sequential
from .functional.loss_chunked import LinearCrossEntropyOptions
from .linear import Linear, size_option
from .loss import _WeightedLoss
from .module import Module


class LinearCrossEntropyLoss(_WeightedLoss):
    """A linear layer, and cross entropy of its output.

    Args:
        in_features: size of the input's last dimension.
        num_classes: number of classes.
        out_features: sizes of further dimensions, each place of which is classified.
        bias: whether the linear layer has one.
        reduction, weight, ignore_index, label_smoothing: see :class:`CrossEntropyLoss`.
        options: :class:`LinearCrossEntropyOptions`, to compute in pieces of the batch.

    Shape:
        Input ``[N, in_features]`` or ``[in_features]``; target ``[N, *out_features]`` or ``[]``
        (class indices), or probabilities ``[N, num_classes, *out_features]``.

    Raises:
        OptionError: for a ``label_smoothing`` outside of [0, 1].
        ShapeError: for a ``weight`` that has not ``num_classes`` elements.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: LinearCrossEntropyOptions | None = None,
    ) -> None:
        if weight is not None and weight.shape != (num_classes,):
            raise ShapeError(
                f"LinearCrossEntropyLoss: weight has shape {list(weight.shape)}, but there are "
                f"{num_classes} classes"
            )
        if not 0.0 <= label_smoothing <= 1.0:
            raise OptionError(f"label_smoothing is between 0 and 1, not {label_smoothing}")
        super().__init__(weight, reduction=reduction)
        self.num_classes = size_option("LinearCrossEntropyLoss", "num_classes", num_classes)
        self.out_features = out_features
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        size = math.prod(out_features, start=num_classes)
        self.linear = Linear(in_features, size, bias, device=device, dtype=dtype)
        self.options = options

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        shape = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return F.linear_cross_entropy(
            input,
            self.linear.weight.reshape(*shape, self.linear.in_features),
            target,
            linear_bias=None if bias is None else bias.reshape(shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, "
            f"out_features={self.out_features}, bias={self.linear.bias is not None}, "
            f"reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )


class ASMOutput(NamedTuple):
    """The log probability of each target, and the loss: minus their mean."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """Softmax over many classes, sorted by how often they occur, at less cost for rare ones.

    The head holds the classes below ``cutoffs[0]`` and one entry for each cluster of further
    classes. The classes of a cluster are told apart by two linear maps, through fewer features the
    rarer they are; only for rows whose target is among them. (Grave et al., 2016, arXiv:1609.04309)

    Args:
        in_features: size of the input's last dimension.
        n_classes: number of classes.
        cutoffs: where clusters begin, ascending.
        div_value: each cluster has this many times fewer features than the one before.
        head_bias: whether the head has a bias.

    Shape:
        Input ``[N, in_features]`` or ``[in_features]``; target ``[N]`` or ``[]`` (class indices,
        int64). Targets are needed at once: this runs what they depend on.

    Raises:
        OptionError: for cutoffs that do not ascend between 1 and ``n_classes - 1``.
    """

    in_features: int
    n_classes: int
    cutoffs: list[int]
    div_value: float
    head_bias: bool
    head: Linear
    tail: ModuleList

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        ascending = cutoffs == sorted({int(c) for c in cutoffs})
        if not cutoffs or not ascending or cutoffs[0] <= 0 or cutoffs[-1] > n_classes - 1:
            raise OptionError(
                "AdaptiveLogSoftmaxWithLoss: cutoffs must be integers that ascend between 1 and "
                f"n_classes - 1 = {n_classes - 1}, not {cutoffs}"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        new = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, head_bias, **new)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            narrow = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, narrow, False, **new), Linear(narrow, size, False, **new)
                )
            )

    def reset_parameters(self) -> None:
        """Draws all weights anew."""
        self.head.reset_parameters()
        for layer in self.tail.modules():
            if isinstance(layer, Linear):
                layer.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> ASMOutput:
        self._check(input_, target_)
        batched = target_.ndim == 1
        x = input_ if batched else input_.unsqueeze(0)
        classes = target_.numpy().reshape(-1)
        chosen = self._log_prob_of(x, classes).to(x.dtype)
        return ASMOutput(chosen if batched else chosen.squeeze(0), -chosen.mean())

    def _check(self, input: Tensor, target: Tensor) -> None:
        if target.ndim > 1 or input.ndim != target.ndim + 1 or input.shape[:-1] != target.shape:
            raise ShapeError(
                f"AdaptiveLogSoftmaxWithLoss takes an input [N, {self.in_features}] and a target "
                f"[N], or [{self.in_features}] and [], not {list(input.shape)} and "
                f"{list(target.shape)}"
            )
        if target.dtype.is_floating_point:
            raise DTypeError(
                f"class indices must be int64, not {target.dtype}: write target.long()"
            )

    def _log_prob_of(self, x: Tensor, classes: Any) -> Tensor:
        """The log probability of one class for each row."""
        wrong = classes[(classes < 0) | (classes >= self.n_classes)]
        if wrong.size:
            raise DataError(
                f"AdaptiveLogSoftmaxWithLoss: target {wrong[0]} is none of the {self.n_classes} "
                "classes"
            )
        cluster = np.searchsorted(self.cutoffs, classes, "right")  # 0: in the head
        entry = np.where(cluster == 0, classes, self.shortlist_size + cluster - 1)
        chosen = _picked(F.log_softmax(self.head(x), 1), entry)
        for i, tail in enumerate(self.tail):
            (rows,) = np.nonzero(cluster == i + 1)
            if rows.size:
                places = tensor(rows, device=ANYWHERE)
                within = F.log_softmax(tail(x.index_select(0, places)), 1)
                local = _picked(within, classes[rows] - self.cutoffs[i])
                chosen = chosen.index_add(0, places, local)
        return chosen

    def log_prob(self, input: Tensor) -> Tensor:
        """Log probabilities of all classes, ``[N, n_classes]``, for ``[N, in_features]``."""
        head = F.log_softmax(self.head(input), 1)
        parts = [head[:, : self.shortlist_size]]
        for i, tail in enumerate(self.tail):
            entry = self.shortlist_size + i
            parts.append(head[:, entry : entry + 1] + F.log_softmax(tail(input), 1))
        return cat(parts, 1)

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each row, ``[N]``, for ``[N, in_features]``."""
        return self.log_prob(input).argmax(1)


def _picked(x: Tensor, columns: Any) -> Tensor:
    return x.gather(1, tensor(columns[:, None], device=ANYWHERE)).squeeze(1)


__all__ = ["AdaptiveLogSoftmaxWithLoss", "LinearCrossEntropyLoss"]
