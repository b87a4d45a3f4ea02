"""Normalisation."""

from __future__ import annotations

from ...autograd.modes import no_grad
from ...errors import ShapeError
from ...graph.node import Node
from ...ops import elementwise as ew, movement as mv, reduce as rd
from ...tensors.core import node_of, wrap
from ...tensors.tensor import Tensor


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel (dimension 1) with mean 0 and variance 1, then scaled and shifted.

    In training by the statistics of this batch, which also move the running ones; else by the
    running ones. (Ioffe and Szegedy, 2015)

    Raises:
        ShapeError: if channels differ, or a channel has just one value in training.
    """
    x = node_of(input)
    if x.type.ndim < 2:
        raise ShapeError(f"batch_norm takes [batch, channels, ...], not shape {list(x.type.shape)}")
    channels = x.type.shape[1]
    for name, t in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        if t is not None and node_of(t).type.size != channels:
            raise ShapeError(
                f"batch_norm: the input of shape {list(x.type.shape)} has {channels} channels, but "
                f"{name} has {node_of(t).type.size} elements: the layer for this input has "
                f"num_features={channels}"
            )
    row = (1, channels, *(1,) * (x.type.ndim - 2))
    if training:
        mean, var = _batch_statistics(x)
        _move_running(
            running_mean, running_var, mean, var, x.type.size // max(channels, 1), momentum
        )
    elif running_mean is None or running_var is None:
        raise ValueError("batch_norm outside training needs running_mean and running_var")
    else:
        mean, var = (mv.reshape(node_of(t), row) for t in (running_mean, running_var))
    scale = ew.rsqrt(ew.add(var, eps))
    centred = ew.sub(x, mean)
    if weight is not None:
        scale = ew.mul(scale, mv.reshape(node_of(weight), row))
    y = ew.mul(centred, scale)
    return wrap(y if bias is None else ew.add(y, mv.reshape(node_of(bias), row)))


def _batch_statistics(x: Node) -> tuple[Node, Node]:
    dims = tuple([d for d in range(x.type.ndim) if d != 1])
    n = x.type.size // max(x.type.shape[1], 1)
    if n == 1:
        raise ShapeError(
            f"batch_norm in training needs more than one value per channel, but the input has "
            f"shape {list(x.type.shape)}: use a larger batch, or model.eval()"
        )
    mean = ew.div(rd.sum_(x, dims, True), n)
    centred = ew.sub(x, mean)
    return mean, ew.div(rd.sum_(ew.mul(centred, centred), dims, True), n)


def _move_running(
    running_mean: Tensor | None,
    running_var: Tensor | None,
    mean: Node,
    var: Node,
    n: int,
    momentum: float,
) -> None:
    with no_grad():
        for running, new in ((running_mean, mean), (running_var, var)):
            if running is not None:
                old = node_of(running)
                step = ew.detach(mv.reshape(new, old.type.shape))
                if running is running_var:
                    step = ew.mul(step, n / (n - 1))
                running._rebind(ew.add(ew.mul(old, 1 - momentum), ew.mul(step, momentum)))
