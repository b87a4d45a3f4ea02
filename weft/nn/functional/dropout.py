"""Dropout: of elements, of whole channels, and the kind that keeps SELU's mean and variance."""

from __future__ import annotations

import warnings
from math import sqrt

from ...dtypes import float32
from ...errors import OptionError, ShapeError
from ...graph.node import Node, Shape, number, type_of
from ...ops import elementwise as ew, movement as mv, random as rnd
from ...tensors.core import node_of, wrap
from ...tensors.random import key_for
from ...tensors.tensor import Tensor


def check_probability(name: str, p: float) -> None:
    """Raises OptionError unless ``p`` is in [0, 1]."""
    if not 0.0 <= p <= 1.0:
        raise OptionError(f"{name}: p is a probability, between 0 and 1, not {p}")


def _result(input: Tensor, node: Node, inplace: bool) -> Tensor:
    return input._rebind(node) if inplace else wrap(node)


def dropout_node(x: Node, p: float) -> Node:
    return rnd.dropout(x, number(p, float32), key_for(None))


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes each element with probability ``p`` and divides the others by ``1 - p``.

    The mask is drawn again in backward from the same counter, not kept. (Srivastava et al., 2014)

    Raises:
        OptionError: unless ``p`` is in [0, 1].
    """
    check_probability("dropout", p)
    if not training or p == 0.0:
        return input
    return _result(input, dropout_node(node_of(input), p), inplace)


# ---- of whole channels


def _of_channels(name: str, shape: Shape, batched: bool) -> Shape:
    """A shape with one value for each channel of each sample."""
    lead = 2 if batched else 1
    if len(shape) < lead:
        raise ShapeError(f"{name} takes [batch, channels, ...], not shape {list(shape)}")
    return (*shape[:lead], *(1,) * (len(shape) - lead))


def _channels(
    name: str, input: Tensor, p: float, training: bool, inplace: bool, batched: bool = True
) -> Tensor:
    check_probability(name, p)
    x = node_of(input)
    row = _of_channels(name, x.type.shape, batched)
    if not training or p == 0.0:
        return input
    factors = dropout_node(mv.full(type_of(row, x.type.dtype), 1), p)
    return _result(input, ew.mul(x, factors), inplace)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes each channel of ``[N, C, L]`` or ``[C, L]`` with probability ``p``.

    The others are divided by ``1 - p``. (Tompson et al., 2015, arXiv:1411.4280)

    Raises:
        ShapeError: for other numbers of dimensions.
        OptionError: unless ``p`` is in [0, 1].
    """
    if input.ndim not in (2, 3):
        raise ShapeError(
            f"dropout1d takes [batch, channels, length] or [channels, length], not shape "
            f"{list(input.shape)}"
        )
    return _channels("dropout1d", input, p, training, inplace, input.ndim == 3)


def _warn_of_rank(name: str, input: Tensor, layout: str) -> None:
    warnings.warn(
        f"{name} is made for {layout}, not shape {list(input.shape)}; its second dimension is "
        "taken for the channels. Use dropout() to zero elements",
        stacklevel=3,
    )


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes each channel of ``[N, C, H, W]`` with probability ``p``.

    As in PyTorch, three dimensions are ``[N, C, L]``, not one sample: see :func:`dropout1d`.

    Raises:
        OptionError: unless ``p`` is in [0, 1].
    """
    if input.ndim not in (3, 4):
        _warn_of_rank("dropout2d", input, "[batch, channels, height, width]")
    return _channels("dropout2d", input, p, training, inplace)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes each channel of ``[N, C, D, H, W]`` or ``[C, D, H, W]`` with probability ``p``.

    See :func:`dropout1d`.

    Raises:
        OptionError: unless ``p`` is in [0, 1].
    """
    if input.ndim not in (4, 5):
        _warn_of_rank("dropout3d", input, "[batch, channels, depth, height, width]")
    return _channels("dropout3d", input, p, training, inplace, input.ndim == 5)


# ---- for self-normalising networks

_FAR = 1.7580993408473766  # SELU's scale times its alpha: minus this is its limit to the left


def _alpha(name: str, input: Tensor, p: float, training: bool, inplace: bool, row: Shape) -> Tensor:
    check_probability(name, p)
    if not training or p == 0.0:
        return input
    x = node_of(input)
    if p == 1.0:
        return _result(input, ew.mul(x, 0), inplace)
    scale = 1.0 / sqrt((1.0 - p) * (1.0 + p * _FAR * _FAR))
    drawn = rnd.random_uniform(key_for(None), row, float32)
    kept = ew.where(ew.ge(drawn, number(p, float32)), x, -_FAR)
    return _result(input, ew.add(ew.mul(kept, scale), _FAR * p * scale), inplace)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Sets each element to SELU's limit with probability ``p``, then keeps mean and variance.

    (Klambauer et al., 2017, arXiv:1706.02515)

    Raises:
        OptionError: unless ``p`` is in [0, 1].
    """
    return _alpha("alpha_dropout", input, p, training, inplace, node_of(input).type.shape)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """:func:`alpha_dropout` of whole channels of ``[N, C, ...]``.

    Raises:
        ShapeError: for fewer than two dimensions.
        OptionError: unless ``p`` is in [0, 1].
    """
    name, shape = "feature_alpha_dropout", node_of(input).type.shape
    row = _of_channels(name, shape, True) if training else shape
    return _alpha(name, input, p, training, inplace, row)
