"""What each primitive becomes when its inputs get a batch dimension in front: for ``vmap``.

A rule is given the node that was recorded for one sample, and its inputs: nodes, and whether each
has the batch. It records the op for the whole batch. An op without a rule is recorded once for each
sample; rules are there for speed, not for what is possible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..dtypes import int64
from ..graph.node import Node, number, record, type_of
from ..ops import elementwise as ew, movement as mv
from ..ops.contract import Window
from ..tensors.core import node_of
from ..tensors.creation import ones


class Input(NamedTuple):
    """An input of a batched op."""

    node: Node
    batched: bool

    @property
    def ndim(self) -> int:
        """Without the batch."""
        return self.node.type.ndim - self.batched

    def aligned(self, ndim: int) -> Node:
        """With dimensions of size 1 up to ``ndim``, so that broadcasting leaves the batch alone."""
        shape = self.node.type.shape
        if not self.batched or self.ndim == ndim:
            return self.node
        return mv.reshape(self.node, (shape[0], *(1,) * (ndim - self.ndim), *shape[1:]))

    def spread(self, size: int) -> Node:
        """With the batch in any case."""
        if self.batched:
            return self.node
        return mv.expand(self.node, (size, *self.node.type.shape))


Rule = Callable[[Node, Sequence[Input], int], Node]


def batched(node: Node, inputs: Sequence[Input], size: int) -> Node:
    """Records for a batch of ``size`` what ``node`` was for one sample."""
    rule = _RULES.get(node.sig.op.name, _one_by_one)
    return rule(node, inputs, size)


def _one_by_one(node: Node, inputs: Sequence[Input], size: int) -> Node:
    """For any op: once for each sample."""
    if size == 0:
        return mv.zeros(type_of((0, *node.type.shape), node.type.dtype))
    results = []
    for k in range(size):
        given = tuple([_sample(x.node, k) if x.batched else x.node for x in inputs])
        result = record(node.sig.op, given, node.sig.attrs)
        results.append(mv.reshape(result, (1, *result.type.shape)))
    return mv.concat(results, 0)


def _sample(x: Node, k: int) -> Node:
    return mv.reshape(mv.slice_(x, ((k, k + 1, 1), *x.type.whole[1:])), x.type.shape[1:])


# ---- rules


def _broadcast(node: Node, inputs: Sequence[Input], size: int) -> Node:
    """Inputs broadcast (but for the matrices in the last two dimensions); attributes fit as is."""
    ndim = max(x.ndim for x in inputs)
    return record(node.sig.op, tuple([x.aligned(ndim) for x in inputs]), node.sig.attrs)


def _with_attrs(change: Callable[[Any, int], Any]) -> Rule:
    """All inputs get the batch, and the attributes change."""

    def rule(node: Node, inputs: Sequence[Input], size: int) -> Node:
        given = tuple([x.spread(size) for x in inputs])
        return record(node.sig.op, given, change(node.sig.attrs, size))

    return rule


def _expand(node: Node, inputs: Sequence[Input], size: int) -> Node:
    shape = node.sig.attrs
    return mv.expand(inputs[0].aligned(len(shape)), (size, *shape))


def _graft(node: Node, inputs: Sequence[Input], size: int) -> Node:
    value, history = inputs
    return ew.graft(value.spread(size), history.spread(size))


def _count(inputs: Sequence[Input], size: int) -> tuple[Node, int]:
    """The place of each sample in the batch, to go with ``inputs`` as indices."""
    ndim = max(x.ndim for x in inputs)
    return mv.reshape(mv.arange(size, int64), (size, *(1,) * ndim)), ndim


def _take(node: Node, inputs: Sequence[Input], size: int) -> Node:
    x, *indices = inputs
    place, ndim = _count(indices, size)
    given = [i.aligned(ndim) for i in indices]
    if x.batched:
        given.insert(0, place)
    return record(node.sig.op, (x.node, *given), node.sig.attrs)


def _put(node: Node, inputs: Sequence[Input], size: int) -> Node:
    x, part, *indices = inputs
    place, ndim = _count(indices, size)
    given = [i.aligned(ndim) for i in indices]
    return record(node.sig.op, (x.spread(size), part.spread(size), place, *given), node.sig.attrs)


# Convolutions: [samples, channels, ...]. A batch of images goes with the samples; one of weights
# with the channels, in a convolution of as many groups more.


def _fold(x: Node, dim: int) -> Node:
    """The batch joined with dimension ``dim`` (not counting the batch), as its outer part."""
    size, *rest = x.type.shape
    order = [*range(1, dim + 1), 0, *range(dim + 1, x.type.ndim)]
    rest[dim] *= size
    return mv.reshape(mv.permute(x, tuple(order)), tuple(rest))


def _unfold(x: Node, dim: int, size: int) -> Node:
    """Undoes :func:`_fold`."""
    shape = x.type.shape
    x = mv.reshape(x, (*shape[:dim], size, shape[dim] // size, *shape[dim + 1 :]))
    return mv.permute(x, (dim, *range(dim), *range(dim + 1, x.type.ndim)))


def _samples(node: Node, inputs: Sequence[Input], size: int) -> Node:
    """All inputs are ``[samples, ...]``, each for itself."""
    given = tuple([_fold(x.spread(size), 0) for x in inputs])
    return _unfold(record(node.sig.op, given, node.sig.attrs), 0, size)


def _planes(node: Node, inputs: Sequence[Input], size: int) -> Node:
    """``[rows, ...]``, and tables with a row for each of these, or one for all."""
    x, *tables = inputs
    rows = node.sig.types[0].shape[0]
    given = [_fold(x.spread(size), 0)]
    for table in tables:
        spread = table.node
        if table.batched or spread.type.shape[0] != 1:
            whole = (size, rows, spread.type.shape[-1])
            spread = _fold(mv.expand(table.spread(size), whole), 0)
        given.append(spread)
    return _unfold(record(node.sig.op, tuple(given), node.sig.attrs), 0, size)


def _grouped(attrs: Any, size: int) -> Any:
    if isinstance(attrs, Window):
        return attrs._replace(groups=attrs.groups * size)
    window, rest = attrs
    return _grouped(window, size), rest


def _conv(node: Node, inputs: Sequence[Input], size: int) -> Node:
    """``conv`` of images, and ``conv_input`` of gradients, with a weight."""
    x, weight = inputs
    op, attrs = node.sig.op, node.sig.attrs
    if not weight.batched:
        return _unfold(record(op, (_fold(x.node, 0), weight.node), attrs), 0, size)
    given = (_fold(x.spread(size), 1), _fold(weight.node, 0))
    return _unfold(record(op, given, _grouped(attrs, size)), 1, size)


def _conv_weight(node: Node, inputs: Sequence[Input], size: int) -> Node:
    given = tuple([_fold(x.spread(size), 1) for x in inputs])
    return _unfold(record(node.sig.op, given, _grouped(node.sig.attrs, size)), 0, size)


# Random numbers. These ops come here where samples are to have numbers of their own.

RANDOM = {"random_uniform", "random_normal", "random_bits", "dropout"}


def _random(node: Node, inputs: Sequence[Input], size: int) -> Node:
    attrs = node.sig.attrs
    (key,) = inputs
    if key.batched:
        return _one_by_one(node, inputs, size)
    many = (size, *attrs) if node.sig.op.name == "random_bits" else ((size, *attrs[0]), attrs[1])
    return record(node.sig.op, (key.node,), many)


def _dropout(node: Node, inputs: Sequence[Input], size: int) -> Node:
    x, *rest = inputs
    if any(each.batched for each in rest):
        return _one_by_one(node, inputs, size)
    return record(node.sig.op, (x.spread(size), *[each.node for each in rest]), None)


def same_dropout(node: Node, inputs: Sequence[Input], size: int) -> Node:
    """Dropout of the same elements in each sample."""
    x, p, key = inputs
    if p.batched or key.batched:
        return _one_by_one(node, inputs, size)
    whole = node_of(ones(node.type.shape, dtype=node.type.dtype))
    return ew.mul(x.node, record(node.sig.op, (whole, p.node, key.node)))


# A user's Function: what its forward and backward compute has been recorded as ops. Only a gradient
# from outside the vmap needs its backward again: then ``call`` is one for the batch (``vmap.py``).


def _function(node: Node, inputs: Sequence[Input], size: int) -> Node:
    return mv.expand(number(0.0, node.type.dtype), (size,))


def _function_output(node: Node, inputs: Sequence[Input], size: int) -> Node:
    value, call = inputs
    y = value.spread(size)
    if call.batched:
        return y
    return record(node.sig.op, (ew.detach(y), call.node), node.sig.attrs)


def _shifted(dim: Any) -> Any:
    return tuple([d + 1 for d in dim]) if isinstance(dim, tuple) else dim + 1


def _first_shifted(attrs: Any, size: int) -> Any:
    return (_shifted(attrs[0]), *attrs[1:])


def _whole_in_front(cuts: Any, size: int) -> Any:
    return ((0, size, 1), *cuts)


_RULES: dict[str, Rule] = {
    **dict.fromkeys([f.op.name for f in vars(ew).values() if hasattr(f, "op")], _broadcast),
    **dict.fromkeys(("sgn", "complex", "real", "imag", "conj"), _broadcast),
    **dict.fromkeys(("where", "cast", "same", "detach", "polygamma", "to_device"), _broadcast),
    **dict.fromkeys(("matmul", "solve", "det", "logabsdet", "signdet", "cholesky"), _broadcast),
    **dict.fromkeys(("qr", "lu", "eig", "eigh", "svd", "pinv", "matrix_exp"), _broadcast),
    "over": _with_attrs(lambda attrs, size: attrs),
    "graft": _graft,
    "reshape": _with_attrs(lambda shape, size: (size, *shape)),
    "permute": _with_attrs(lambda order, size: (0, *_shifted(order))),
    "expand": _expand,
    "slice": _with_attrs(_whole_in_front),
    "set_slice": _with_attrs(_whole_in_front),
    "cat": _with_attrs(lambda dim, size: dim + 1),
    **dict.fromkeys(("cumsum", "rfft"), _with_attrs(lambda dim, size: dim + 1)),
    **dict.fromkeys(
        ("sum", "max", "min", "argmax", "argmin", "argsort", "even_sums", "fft", "irfft"),
        _with_attrs(_first_shifted),
    ),
    "take": _take,
    "put": _put,
    "put_add": _put,
    "conv": _conv,
    "conv_input": _conv,
    "conv_weight": _conv_weight,
    **dict.fromkeys(("max_pool", "max_pool_take", "max_pool_put"), _samples),
    **dict.fromkeys(("max_places", "pad_edges", "pad_edges_sum"), _planes),
    **dict.fromkeys(("random_uniform", "random_normal", "random_bits"), _random),
    "dropout": _dropout,
    "function": _function,
    "function_output": _function_output,
}
