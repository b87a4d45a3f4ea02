"""Losses of numbers: how far the input is from the target."""

from __future__ import annotations

from math import log as log_of, pi
from typing import Any

from ...errors import OptionError, ShapeError
from ...graph.node import number
from ...ops import elementwise as ew
from ...ops.loss import in_range
from ...tensors.autocasting import in_full_precision
from ...tensors.core import is_number, node_of, with_history_of, wrap
from ...tensors.creation import full_like
from ...tensors.elementwise import abs, exp, log, result_type, where
from ...tensors.tensor import Tensor
from .loss_parts import check_operands, reduced, reduction_of, shape_of


def _weighted(
    name: str, loss: Tensor, input: Tensor, weight: Tensor | None, reduction: str, mean: bool = True
) -> Tensor:
    """``loss`` times ``weight``, reduced; its mean is that of the weights, unless ``mean``."""
    if weight is None:
        return reduced(loss, reduction)
    if shape_of(weight) != shape_of(input):
        raise ShapeError(
            f"{name}: weight has shape {list(shape_of(weight))}, but the input has "
            f"{list(shape_of(input))}"
        )
    loss = loss * weight
    if reduction == "mean" and mean:
        return reduced(loss, "sum") / reduced(weight, "sum")
    return reduced(loss, reduction)


@in_full_precision
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Squared difference, times ``weight`` where there is one.

    Raises:
        ShapeError: if both would broadcast, which gives a wrong loss.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    check_operands("mse_loss", input, target)
    difference = input - target
    return _weighted("mse_loss", difference * difference, input, weight, reduction)


@in_full_precision
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Absolute difference, times ``weight`` where there is one.

    Raises:
        ShapeError: if both would broadcast, which gives a wrong loss.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    check_operands("l1_loss", input, target, floating=not result_type(input, target).is_complex)
    return _weighted("l1_loss", abs(input - target), input, weight, reduction)


@in_full_precision
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Absolute difference less ``beta / 2``, and a parabola below ``beta``.

    (Girshick, 2015, arXiv:1504.08083)

    Raises:
        ShapeError: if both would broadcast, which gives a wrong loss.
        OptionError: for a negative ``beta``.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    check_operands("smooth_l1_loss", input, target)
    if beta < 0:
        raise OptionError(f"smooth_l1_loss: beta must not be negative: {beta}")
    difference = input - target
    size = abs(difference)
    if beta == 0:
        return reduced(size, reduction)
    near = difference * difference * (0.5 / beta)
    return reduced(where(size < beta, near, size - 0.5 * beta), reduction)


@in_full_precision
def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Half the squared difference up to ``delta``, and a line beyond. (Huber, 1964)

    With a ``weight``, "mean" still divides by the number of elements.

    Raises:
        ShapeError: if both would broadcast, which gives a wrong loss.
        OptionError: unless ``delta`` is positive.
    """
    reduction = reduction_of(reduction)
    check_operands("huber_loss", input, target)
    if delta <= 0:
        raise OptionError(f"huber_loss: delta must be positive, not {delta}")
    difference = input - target
    size = abs(difference)
    far = (size - 0.5 * delta) * delta
    loss = where(size <= delta, difference * difference * 0.5, far)
    return _weighted("huber_loss", loss, input, weight, reduction, mean=False)


@in_full_precision
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log likelihood of counts ``target`` under Poisson distributions.

    Args:
        log_input: ``input`` is the logarithm of the rate, else the rate itself.
        full: add Stirling's approximation of ``log(target!)``, for targets above 1.
        eps: added to a rate before its logarithm is taken.

    Raises:
        ShapeError: if both would broadcast, which gives a wrong loss.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    check_operands("poisson_nll_loss", input, target, floating=False)
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        small = target <= 1
        t = target.masked_fill(small, 1)
        stirling = t * log(t) - t + 0.5 * log(2 * pi * t)
        loss = loss + where(small, 0, stirling)
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Negative log likelihood of ``target`` under normal distributions.

    (Nix and Weigend, 1994)

    Args:
        input: the means.
        var: the variances, in the shape of ``input``, or with one dimension left out or of size 1.
        full: add the constant, ``log(2 pi) / 2``.
        eps: variances are held above it; their gradient does not notice.

    Raises:
        ShapeError: for a ``var`` of another shape, or if input and target would both broadcast.
        DataError: when run, for a negative variance.
    """
    name = "gaussian_nll_loss"
    reduction = reduction_of(reduction)
    check_operands(name, input, target)
    spread = _fitting_variance(input, full_like(input, var) if is_number(var) else var)
    v = in_range(node_of(spread), f"{name}: a variance must not be negative", 0.0)
    v = with_history_of(ew.maximum(v, number(eps, v.type.dtype)), v)
    held = wrap(v)
    loss = 0.5 * (log(held) + (input - target).square() / held)
    return reduced(loss + 0.5 * log_of(2 * pi) if full else loss, reduction)


def _fitting_variance(input: Tensor, var: Any) -> Tensor:
    a, b = shape_of(input), shape_of(var)
    fits = len(a) == len(b) and sum(m for n, m in zip(a, b, strict=True) if n != m) == 1
    if a == b or fits:
        return var  # type: ignore[no-any-return]
    if a[:-1] == b:
        return var.unsqueeze(-1)  # type: ignore[no-any-return]
    raise ShapeError(
        f"gaussian_nll_loss: var has shape {list(b)}, which is not the input's {list(a)}, nor that "
        "with its last dimension left out or one of size 1"
    )
