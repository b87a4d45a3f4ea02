"""The maths of the layers as functions of Tensors: ``import weft.nn.functional as F``."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from ..autograd.modes import no_grad
from ..dtypes import dtype, float32, int64
from ..errors import DTypeError, ShapeError, did_you_mean
from ..graph.node import Node, number
from ..ops import contract, elementwise as ew, movement as mv, random as rnd, reduce as rd
from ..ops.base import normal_dim
from ..ops.contract import Pool, Window
from ..ops.index import take
from ..tensors.core import node_of, wrap
from ..tensors.elementwise import relu as _relu, sigmoid, tanh
from ..tensors.linalg import matmul_nodes
from ..tensors.random import key_for
from ..tensors.tensor import Tensor

# ---- linear


def _check_dtype(layer: str, x: Node, weight: Node) -> None:
    if x.type.dtype is not weight.type.dtype:
        cast = f"x.to({weight.type.dtype})"
        raise DTypeError(
            f"{layer}: the input is {x.type.dtype} but the weight is {weight.type.dtype}: convert "
            f"the input with {cast}"
            + (", or the model with .double()" if x.type.dtype.name == "float64" else "")
        )


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input @ weight.T + bias``.

    Shape:
        input ``[*, in]``, weight ``[out, in]`` (or ``[in]``), bias ``[out]``; result ``[*, out]``.

    Raises:
        ShapeError: if the last dimension of ``input`` is not ``in``.
        DTypeError: if the dtypes differ.
    """
    x, w = node_of(input), node_of(weight)
    _check_dtype("linear", x, w)
    if x.type.ndim == 0 or x.type.shape[-1] != w.type.shape[-1]:
        raise _linear_mismatch(x, w)
    y = matmul_nodes(x, mv.permute(w, (1, 0)) if w.type.ndim == 2 else w)
    return wrap(y if bias is None else ew.add(y, node_of(bias)))


def _linear_mismatch(x: Node, w: Node) -> ShapeError:
    shape, features = list(x.type.shape), w.type.shape[-1]
    hint = ""
    for k in range(len(shape) - 1):
        if prod(shape[k:]) == features:
            hint = f": flatten the input first, x.flatten({k})"
    if not hint and shape:
        out = w.type.shape[0] if w.type.ndim == 2 else 1
        hint = f": the layer for this input is Linear({shape[-1]}, {out})"
    return ShapeError(
        f"linear takes {features} features in the last dimension of its input, but the input has "
        f"shape {shape}{hint}"
    )


# ---- convolution


def each(value: Any, n: int, name: str) -> tuple[int, ...]:
    """An option given once or for each of ``n`` dimensions.

    Raises:
        ValueError: if it is given for another number of dimensions.
        TypeError: for anything but ints.
    """
    if isinstance(value, (tuple, list)):
        if len(value) == 1:
            value = value * n
        if len(value) != n:
            raise ValueError(f"{name}={tuple(value)} should be one int or {n} of them")
        return tuple([_integer(v, name) for v in value])
    return (_integer(value, name),) * n


def _integer(value: Any, name: str) -> int:
    try:
        return value.__index__()  # type: ignore[no-any-return]
    except (AttributeError, TypeError):
        raise TypeError(f"{name} takes ints, not {value!r}") from None


def same_padding(kernel: tuple[int, ...], dilation: tuple[int, ...]) -> contract.Pairs:
    """The padding that keeps the size at stride 1; an odd one goes behind, as in PyTorch."""
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple([(t // 2, t - t // 2) for t in total])


def _padding(
    padding: Any, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> contract.Pairs:
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * len(kernel)
        if padding != "same":
            raise ValueError(f"padding={padding!r} should be ints, 'valid' or 'same'")
        if any(s != 1 for s in stride):
            raise ValueError("padding='same' needs stride 1")
        return same_padding(kernel, dilation)
    widths = each(padding, len(kernel), "padding")
    if any(w < 0 for w in widths):
        raise ValueError(f"padding={padding} must not be negative")
    return tuple([(w, w) for w in widths])


def _batched(name: str, x: Node, dims: int) -> tuple[Node, bool]:
    """The input with a batch dimension, and whether it had to be added.

    Raises:
        ShapeError: for another number of dimensions.
    """
    if x.type.ndim == dims + 2:
        return x, False
    if x.type.ndim == dims + 1:
        return mv.reshape(x, (1, *x.type.shape)), True
    spatial = ["length"] if dims == 1 else ["depth", "height", "width"][-dims:]
    form = f"[batch, channels, {', '.join(spatial)}]"
    raise ShapeError(
        f"{name} takes input of shape {form} (or without the batch), but the input has shape "
        f"{list(x.type.shape)}"
    )


def _check_positive(name: str, option: str, values: tuple[int, ...]) -> None:
    if any(v <= 0 for v in values):
        raise ValueError(f"{name}: {option} must be positive, not {values}")


def _conv(
    dims: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    name = f"conv{dims}d"
    w = node_of(weight)
    x, added = _batched(name, node_of(input), dims)
    _check_dtype(name, x, w)
    steps, gaps = each(stride, dims, "stride"), each(dilation, dims, "dilation")
    _check_positive(name, "stride", steps)
    _check_positive(name, "dilation", gaps)
    channels = w.type.shape[1] * groups
    if x.type.shape[1] != channels:
        raise _channel_mismatch(name, x, channels, dims)
    window = Window(steps, _padding(padding, w.type.shape[2:], steps, gaps), gaps, groups)
    y = contract.conv(x, w, window)
    if bias is not None:
        y = ew.add(y, mv.reshape(node_of(bias), (1, w.type.shape[0], *(1,) * dims)))
    return wrap(mv.reshape(y, y.type.shape[1:]) if added else y)


def _channel_mismatch(name: str, x: Node, channels: int, dims: int) -> ShapeError:
    shape = list(x.type.shape)
    hint = ""
    if shape[-1] == channels:
        order = (0, dims + 1, *range(1, dims + 1))
        hint = (
            ". The channels seem to come last: weft takes them right after the batch, "
            f"x.permute{order}"
        )
    return ShapeError(
        f"{name} takes {channels} channels in dimension 1, but the input of shape {shape} has "
        f"{shape[1]}{hint}"
    )


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution (cross-correlation) over one dimension. See :func:`conv2d`."""
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution (cross-correlation) over two dimensions.

    Shape:
        input ``[N, C, H, W]`` or ``[C, H, W]``, weight ``[O, C / groups, kH, kW]``, bias ``[O]``.

    Args:
        padding: zeros on each side; or "valid" (none), or "same" (the size stays).

    Raises:
        ShapeError: for another rank, other channels, or a kernel larger than the padded input.
        DTypeError: if the dtypes differ.
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution (cross-correlation) over three dimensions. See :func:`conv2d`."""
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


# ---- pooling


def _max_pool(
    dims: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    name = f"max_pool{dims}d"
    x, added = _batched(name, node_of(input), dims)
    kernel = each(kernel_size, dims, "kernel_size")
    steps = kernel if stride is None or stride == [] else each(stride, dims, "stride")
    widths = each(padding, dims, "padding")
    gaps = each(dilation, dims, "dilation")
    _check_positive(name, "kernel_size", kernel)
    _check_positive(name, "stride", steps)
    if any(p < 0 or 2 * p > k for p, k in zip(widths, kernel, strict=True)):
        raise ValueError(
            f"{name}: padding {widths} must be between 0 and half of kernel_size {kernel}"
        )
    pads = tuple([(p, p) for p in widths])
    if ceil_mode:
        pads = tuple(map(_ceil_pad, x.type.shape[2:], kernel, steps, pads, gaps))
    pool = Pool(kernel, Window(steps, pads, gaps))
    y = contract.max_pool(x, pool)
    outputs = [y]
    if return_indices:
        plane = mv.arange(prod(x.type.shape[2:]), int64)
        places = mv.expand(mv.reshape(plane, x.type.shape[2:]), x.type.shape)
        outputs.append(contract.max_pool_take(x, places, pool))
    if added:
        outputs = [mv.reshape(o, o.type.shape[1:]) for o in outputs]
    tensors = tuple([wrap(o) for o in outputs])
    return tensors if return_indices else tensors[0]


def _ceil_pad(size: int, kernel: int, step: int, pad: tuple[int, int], gap: int) -> tuple[int, int]:
    """Padding with room behind for a last window that begins within the (left-padded) input."""
    reach = gap * (kernel - 1) + 1
    count = -(-(size + sum(pad) - reach) // step) + 1
    if (count - 1) * step >= size + pad[0]:
        count -= 1
    return pad[0], max(pad[1], (count - 1) * step + reach - size - pad[0])


def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest value of each window over one dimension. See :func:`max_pool2d`."""
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest value of each window over two dimensions.

    Shape:
        input ``[N, C, H, W]`` or ``[C, H, W]``.

    Args:
        stride: by default ``kernel_size``.
        padding: at most half of ``kernel_size``; padded places never win.
        ceil_mode: a last window may reach beyond the end.
        return_indices: also where each maximum was, in the flattened plane.
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest value of each window over three dimensions. See :func:`max_pool2d`."""
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


# ---- activations


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(input, 0)``."""
    return input.relu_() if inplace else _relu(input)


def _softmax_dim(name: str, dim: int | None, ndim: int) -> int:
    if dim is None:
        raise TypeError(
            f"{name} needs dim=: the dimension that sums to 1, usually {name}(x, dim=-1)"
        )
    return normal_dim(name, dim, ndim)


def _shifted(x: Node, dim: int) -> Node:
    """``x`` less its maximum: the result is the same, and exp cannot overflow."""
    return ew.sub(x, ew.detach(rd.max_(x, (dim,), True)))


def _prepared(input: Tensor, to: dtype | None) -> Node:
    x = node_of(input)
    return x if to is None else ew.cast(x, to)


def softmax_node(x: Node, dim: int) -> Node:
    e = ew.exp(_shifted(x, dim))
    return ew.div(e, rd.sum_(e, (dim,), True))


def log_softmax_node(x: Node, dim: int) -> Node:
    z = _shifted(x, dim)
    return ew.sub(z, ew.log(rd.sum_(ew.exp(z), (dim,), True)))


def _over_dim(
    name: str, rule: Callable[[Node, int], Node], input: Tensor, dim: int | None, to: dtype | None
) -> Tensor:
    x = _prepared(input, to)
    d = _softmax_dim(name, dim, x.type.ndim)
    if x.type.size == 0:
        return wrap(ew.same(x))
    if x.type.ndim == 0:
        return wrap(mv.reshape(rule(mv.reshape(x, (1,)), 0), ()))
    return wrap(rule(x, d))


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: dtype | None = None
) -> Tensor:
    """``exp(input) / sum(exp(input))`` along ``dim``."""
    return _over_dim("softmax", softmax_node, input, dim, dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: dtype | None = None
) -> Tensor:
    """The logarithm of :func:`softmax`, exact where that underflows."""
    return _over_dim("log_softmax", log_softmax_node, input, dim, dtype)


# ---- dropout


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes each element with probability ``p`` and divides the others by ``1 - p``.

    The mask is drawn again in backward from the same counter, not kept. (Srivastava et al., 2014)

    Raises:
        ValueError: unless ``p`` is in [0, 1].
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout: p is a probability, between 0 and 1, not {p}")
    if not training or p == 0.0:
        return input
    node = rnd.dropout(node_of(input), number(p, float32), key_for(None))
    return input._rebind(node) if inplace else wrap(node)


# ---- normalisation


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


# ---- losses


def _reduced(loss: Node, reduction: str) -> Node:
    dims = tuple(range(loss.type.ndim))
    if reduction == "none":
        return loss
    total = rd.sum_(loss, dims)
    return total if reduction == "sum" else ew.div(total, loss.type.size)


def check_reduction(reduction: str) -> None:
    """Raises ValueError unless it is "mean", "sum" or "none"."""
    names = ("mean", "sum", "none")
    if reduction not in names:
        raise ValueError(
            f"reduction={reduction!r} must be 'mean', 'sum' or 'none'."
            f"{did_you_mean(str(reduction), names)}"
        )


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Squared difference.

    Raises:
        ShapeError: if both would broadcast, which gives a wrong loss.
    """
    check_reduction(reduction)
    x, t = node_of(input), node_of(target)
    if x.type.shape != t.type.shape:
        raise ShapeError(
            f"mse_loss: the input has shape {list(x.type.shape)} and the target "
            f"{list(t.type.shape)}; they would broadcast to a wrong loss. Give both one shape, "
            "for example with input.squeeze(-1) or target.unsqueeze(-1)"
        )
    difference = node_of(input - target)
    return wrap(_reduced(ew.mul(difference, difference), reduction))


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy of unnormalised scores (logits) and classes.

    Shape:
        input ``[N, C]``, ``[C]`` or ``[N, C, d1, ...]``; target: class indices (int64) ``[N]``,
        ``[]`` or ``[N, d1, ...]``, or probabilities in the shape of ``input``.

    Args:
        weight: a factor for each class.
        ignore_index: this target counts for nothing.
        label_smoothing: this share of the target is spread over all classes. (Szegedy et al., 2016)

    Raises:
        ShapeError, DTypeError: for targets of another shape or dtype.
        IndexOutOfRange: when run, for a target that is no class.
    """
    check_reduction(reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing is between 0 and 1, not {label_smoothing}")
    x, t = node_of(input), node_of(target)
    if not x.type.dtype.is_floating_point:
        raise DTypeError(f"cross_entropy takes floating logits, not {x.type.dtype}")
    dim = 0 if x.type.ndim == 1 else 1
    if x.type.ndim == 0:
        raise ShapeError("cross_entropy takes logits of shape [N, C], not a single number")
    _check_weight("cross_entropy", weight, x.type.shape[dim])
    logp = log_softmax_node(x, dim) if x.type.size else x
    if t.type.shape == x.type.shape and t.type.dtype.is_floating_point:
        return wrap(_soft_cross_entropy(logp, t, dim, weight, reduction, label_smoothing))
    _check_classes("cross_entropy", x, t)
    return wrap(_nll(logp, t, weight, ignore_index, reduction, label_smoothing))


def _check_weight(name: str, weight: Tensor | None, classes: int) -> None:
    if weight is not None and node_of(weight).type.shape != (classes,):
        raise ShapeError(
            f"{name}: weight has shape {list(node_of(weight).type.shape)}, but there are {classes} "
            "classes"
        )


def _check_classes(name: str, x: Node, t: Node) -> None:
    shape = x.type.shape
    wanted = () if len(shape) == 1 else (shape[0], *shape[2:])
    hint = ""
    if t.type.shape == shape:
        hint = (
            ". For one-hot targets pass target.argmax(1), or probabilities as "
            f"target.to({x.type.dtype})"
        )
    elif t.type.shape == (*wanted, 1):
        hint = ". Drop the last dimension with target.squeeze(-1)"
    if t.type.shape != wanted:
        classes = shape[1] if len(shape) > 1 else shape[0]
        raise ShapeError(
            f"{name}: for an input of shape {list(shape)} ({classes} classes) the target holds "
            f"class indices of shape {list(wanted)}, but it has shape {list(t.type.shape)}{hint}"
        )
    if t.type.dtype.name not in ("int64", "uint8"):
        raise DTypeError(
            f"{name}: class indices must be int64, not {t.type.dtype}: write target.long()"
        )


def _class_last(x: Node) -> Node:
    """``[N, C, ...]`` as ``[N * ..., C]``."""
    if x.type.ndim == 1:
        return mv.reshape(x, (1, *x.type.shape))
    if x.type.ndim > 2:
        x = mv.permute(x, (0, *range(2, x.type.ndim), 1))
        x = mv.reshape(x, (prod(x.type.shape[:-1]), x.type.shape[-1]))
    return x


def _nll(
    logp: Node,
    target: Node,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    smoothing: float = 0.0,
) -> Node:
    shape = target.type.shape
    rows = _class_last(logp)
    count, classes = rows.type.shape
    t = mv.reshape(ew.cast(target, int64), (count,))
    counts = ew.ne(t, ignore_index)
    t = ew.where(counts, t, 0)
    picked = take(rows, [mv.arange(count, int64), t], wrap=False)
    factor = ew.cast(counts, rows.type.dtype)
    per_class = None
    if weight is not None:
        per_class = ew.cast(node_of(weight), rows.type.dtype)
        factor = ew.mul(factor, take(per_class, [t], wrap=False))
    loss = ew.neg(ew.mul(picked, factor))
    if smoothing > 0.0:
        every = rows if per_class is None else ew.mul(rows, per_class)
        spread = ew.neg(rd.sum_(every, (1,)))
        spread = ew.where(counts, spread, 0)
        loss = ew.add(ew.mul(loss, 1 - smoothing), ew.mul(spread, smoothing / classes))
    if reduction == "none":
        return mv.reshape(loss, shape)
    total = rd.sum_(loss, (0,))
    return total if reduction == "sum" else ew.div(total, rd.sum_(factor, (0,)))


def _soft_cross_entropy(
    logp: Node,
    target: Node,
    dim: int,
    weight: Tensor | None,
    reduction: str,
    smoothing: float,
) -> Node:
    classes = logp.type.shape[dim]
    target = ew.cast(target, logp.type.dtype)
    if smoothing > 0.0:
        target = ew.add(ew.mul(target, 1 - smoothing), smoothing / classes)
    if weight is not None:
        row = tuple([classes if d == dim else 1 for d in range(logp.type.ndim)])
        logp = ew.mul(logp, mv.reshape(node_of(weight), row))
    loss = ew.neg(rd.sum_(ew.mul(logp, target), (dim,)))
    return _reduced(loss, reduction)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log likelihood: like :func:`cross_entropy`, of log probabilities."""
    check_reduction(reduction)
    x, t = node_of(input), node_of(target)
    if x.type.ndim == 0:
        raise ShapeError("nll_loss takes log probabilities of shape [N, C], not a single number")
    _check_weight("nll_loss", weight, x.type.shape[0 if x.type.ndim == 1 else 1])
    _check_classes("nll_loss", x, t)
    return wrap(_nll(x, t, weight, ignore_index, reduction))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Class indices as rows of one 1 and zeros (int64).

    Raises:
        DTypeError: unless the indices are int64.
    """
    t = node_of(tensor)
    if t.type.dtype is not int64:
        raise DTypeError(f"one_hot takes int64 class indices, not {t.type.dtype}")
    if num_classes == -1:
        num_classes = int(tensor.max().item()) + 1 if t.type.size else 0
    column = mv.reshape(t, (*t.type.shape, 1))
    return wrap(ew.cast(ew.eq(column, mv.arange(num_classes, int64)), int64))


__all__ = [
    "batch_norm",
    "conv1d",
    "conv2d",
    "conv3d",
    "cross_entropy",
    "dropout",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.nn.functional' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
