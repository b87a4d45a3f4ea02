"""``vmap``: a function of one sample made a function of a batch.

The function is called once, with stand-ins that have the shapes of one sample and no values. What
it records from them to its results is then recorded again for the whole batch (``batching.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import wraps
from typing import Any, NoReturn

from ..autograd.function import Function as AutogradFunction, FunctionCtx, checked_gradient
from ..calls import op_by_op
from ..engine.realize import CHANGES, Hold
from ..engine.reference import Failure
from ..errors import OptionError, UnsupportedOp
from ..gradient import unsum
from ..graph.modes import grad_mode
from ..graph.node import HISTORY, RELEASED, Node, Op, TensorType, number, record, record1, type_of
from ..ops import movement as mv
from ..tensors.core import TensorCore, node_of, wrap
from ..tensors.shape import cat
from .batching import RANDOM, Input, batched, same_dropout
from .tree import flatten

Function = Callable[..., Any]


class _NoValue(UnsupportedOp, ValueError):
    """Counts as an error of data: only what depends on the stand-in has no value."""


def _no_value(dim: int, x: Any) -> NoReturn:
    raise _NoValue(
        "inside vmap a Tensor has no value that Python could see, since it stands for a whole "
        "batch: no .item(), bool(), print() or boolean mask of it. Choose with weft.where(...)"
    )


def _no_backward(node: Node, g: Node, want: Sequence[bool]) -> NoReturn:
    raise UnsupportedOp("backward() inside vmap: use weft.func.grad there, or backward() outside")


def _infer(dim: int, x: TensorType) -> TensorType:
    return type_of((*x.shape[:dim], *x.shape[dim + 1 :]), x.dtype, x.device)


_stand_in = Op("vmap", _infer, _no_value, _no_backward, can_fail=True)


def vmap(
    func: Function,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Function:
    """A function that applies ``func`` to each sample of a batch, all at once.

    Args:
        func: takes and gives Tensors, or tuples, lists and dicts of them.
        in_dims: the batch dimension of each argument, None for one that all samples share: a number
            for all, or a tuple with one for each argument, nested as the argument is where its
            parts differ.
        out_dims: where the batch dimension goes in the results; likewise.
        randomness: what random functions do: "error", draw "different" numbers for each sample, or
            the "same".
        chunk_size: how many samples are computed at a time; None: all.

    Raises:
        OptionError: from the new function: if batch sizes differ, dims do not fit the arguments, or
            ``func`` gives anything but Tensors.
        UnsupportedOp: if ``func`` asks for a Tensor's value, or changes one from outside in place.

    Example:
        >>> dot = weft.func.vmap(weft.dot)
        >>> dot(weft.ones(3, 2), weft.tensor([[1.0, 2], [3, 4], [5, 6]]))
        tensor([ 3.,  7., 11.])
        >>> slopes = weft.func.vmap(weft.func.grad(lambda w, x: (w * x).sin()), in_dims=(None, 0))
        >>> slopes(weft.tensor(0.0), weft.arange(3.0))
        tensor([0., 1., 2.])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )
    if chunk_size is not None and chunk_size <= 0:
        raise OptionError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, build = flatten((args, kwargs))
        dims = _dims_of_arguments(in_dims, args, kwargs, leaves)
        size = _size(leaves, dims)
        step = max(size, 1) if chunk_size is None else chunk_size
        parts = []
        for start in range(0, size, step) or [0]:
            chunk = [
                x
                if d is None
                else x.narrow(d, start, min(step, size - start))
                if step < size
                else x
                for x, d in zip(leaves, dims, strict=True)
            ]
            parts.append(
                _for_batch(func, chunk, dims, build, min(step, size - start), out_dims, randomness)
            )
        return _joined(parts)

    return wrapped


# ---- dimensions


def _dims_of_arguments(
    in_dims: Any, args: tuple[Any, ...], kwargs: dict[str, Any], leaves: list[Any]
) -> list[int | None]:
    """For each leaf of the arguments its batch dimension; keyword arguments have it in front."""
    if not isinstance(in_dims, (int, tuple, list)):
        raise OptionError(
            f"vmap: expected `in_dims` to be int or a (potentially nested) tuple matching the "
            f"structure of inputs, got {type(in_dims)}"
        )
    if not leaves:
        raise OptionError("vmap: the function got no inputs. Maybe you forgot to add some?")
    found: list[Any] = []
    _match(in_dims, args, "in_dims", found)
    extra, _ = flatten(kwargs)
    found += [0 if isinstance(x, TensorCore) else None for x in extra]
    return [_checked_dim(d, x, in_dims) for d, x in zip(found, leaves, strict=True)]


def _match(dims: Any, value: Any, name: str, found: list[Any]) -> None:
    """Appends a dimension for each leaf of ``value``: ``dims`` is nested likewise, or less far."""
    if dims is None or isinstance(dims, int):
        found += [dims] * len(flatten(value)[0])
        return
    is_dict = isinstance(value, dict)
    if isinstance(dims, dict) and is_dict and set(dims) == set(value):
        for key, part in value.items():
            _match(dims[key], part, name, found)
    elif (
        isinstance(dims, (tuple, list))
        and isinstance(value, (tuple, list))
        and len(dims) == len(value)
    ):
        for d, part in zip(dims, value, strict=True):
            _match(d, part, name, found)
    else:
        what = f"{type(value).__name__}" + (
            f" of {len(value)}" if hasattr(value, "__len__") else ""
        )
        raise OptionError(
            f"vmap: {name}={dims!r} is not compatible with the structure of the "
            f"{'inputs' if name == 'in_dims' else 'outputs'}: it meets a {what}"
        )


def _checked_dim(dim: int | None, x: Any, in_dims: Any) -> int | None:
    if dim is None:
        return None
    if not isinstance(x, TensorCore):
        raise OptionError(
            f"vmap: in_dims={in_dims!r} gives a dimension for an input of type "
            f"{type(x).__name__}: only Tensors have one, use None for it"
        )
    ndim = node_of(x).type.ndim
    if not -ndim <= dim < ndim:
        raise OptionError(
            f"vmap: in_dims={in_dims!r}: an input of shape {list(node_of(x).type.shape)} has no "
            f"dimension {dim} to map over"
        )
    return dim % ndim


def _size(leaves: list[Any], dims: list[int | None]) -> int:
    sizes = [node_of(x).type.shape[d] for x, d in zip(leaves, dims, strict=True) if d is not None]
    if not sizes:
        raise OptionError(
            "vmap: at least one input must have a batch dimension; all in_dims are None"
        )
    if len(set(sizes)) > 1:
        raise OptionError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    return sizes[0]


# ---- one batch


def _for_batch(
    func: Function,
    leaves: list[Any],
    dims: list[int | None],
    build: Any,
    size: int,
    out_dims: Any,
    randomness: str,
) -> Any:
    """The results, and for each leaf of them its batch dimension, for :func:`_joined`."""
    start = number(0.0).order
    batches: dict[Node, Input] = {}
    given = []
    with Hold():  # stand-ins have no values
        for x, dim in zip(leaves, dims, strict=True):
            if dim is None:
                given.append(x)
                continue
            node = node_of(x)
            sample = record1(_stand_in, node, dim)
            order = (dim, *[k for k in range(node.type.ndim) if k != dim])
            batches[sample] = Input(mv.permute(node, order), True)
            given.append(wrap(sample))
        args, kwargs = build(given)
        token = op_by_op.set(True)
        try:
            result = func(*args, **kwargs)
        finally:
            op_by_op.reset(token)
            changed = _undo_changes_outside(start, batches)
        if changed:
            raise UnsupportedOp(
                f"vmap: a Tensor of shape {changed} from outside of the function is changed in "
                "place by something that differs from sample to sample (running statistics of a "
                "batch normalisation?). Give it to the function as an argument, or return the new "
                "value"
            )
        outputs, rebuild = flatten(result)
        for y in outputs:
            if not isinstance(y, TensorCore):
                raise OptionError(
                    f"vmap: the function must only return Tensors, got type {type(y).__name__}"
                )
        found: list[Any] = []
        _match(out_dims, result, "out_dims", found)
        nodes = [node_of(y) for y in outputs]
        _replay(nodes, batches, start, size, randomness)
    out = [
        _placed(batches[node], size, dim, out_dims) for node, dim in zip(nodes, found, strict=True)
    ]
    return out, found, rebuild


def _undo_changes_outside(start: int, stand_ins: dict[Node, Input]) -> list[int]:
    """Undoes changes in place of Tensors that were there before, where they hold a stand-in.

    Returns:
        The shape of one of them, or nothing.
    """
    shape: list[int] = []
    for change in reversed(CHANGES):
        handle = change.handle()
        if change.order < start or change.before.order >= start or handle is None:
            continue
        reached = _recorded_since(start, [handle._node], {})
        if any(node in stand_ins for node in reached):
            handle._node = change.before
            handle._version += 1
            shape = list(change.before.type.shape)
    return shape


def _replay(
    outputs: Sequence[Node], batches: dict[Node, Input], start: int, size: int, randomness: str
) -> None:
    """Records what leads to ``outputs`` for the whole batch, in the order of the recording."""
    for node in _needed(start, outputs, batches):
        if node.value.__class__ is Failure:
            raise UnsupportedOp(
                "vmap: the function has asked for the value of a Tensor (.item(), bool(), print(), "
                "a boolean mask) while it was running. Take such values before it"
            )
        inputs = [batches.get(i) or Input(i, False) for i in node.inputs]
        name = node.sig.op.name
        is_random = name in RANDOM
        if is_random and randomness == "error":
            raise RuntimeError(
                f"vmap: called random operation ({name}) while in randomness error mode. Please "
                "either use the 'same' or 'different' randomness flags on vmap or perform the "
                "randomness operation out of vmap"
            )
        if name == "function" and any(x.node.tracks for x in inputs):
            batches[node] = Input(_call_for_batch(node, inputs, batches, size, randomness), False)
            continue
        draws = is_random and randomness == "different"
        is_same = all(
            not x.batched and x.node is i for x, i in zip(inputs, node.inputs, strict=True)
        )
        if is_same and not draws:
            batches[node] = Input(node, False)
            continue
        token = grad_mode.set(bool(node.tracks & (HISTORY | RELEASED)))
        try:
            same = name == "dropout" and not draws
            rule = same_dropout if same else batched
            batches[node] = Input(rule(node, inputs, size), True)
        finally:
            grad_mode.reset(token)


def _needed(start: int, outputs: Sequence[Node], known: dict[Node, Input]) -> list[Node]:
    """As :func:`_recorded_since`, with what calls of autograd.Functions keep for backward."""
    roots = list(outputs)
    while True:
        nodes = _recorded_since(start, roots, known)
        there = {*nodes, *known}
        kept = [s for n in nodes if n.sig.op.name == "function" for s in _saved_nodes(n)]
        more = [s for s in kept if s.order >= start and s not in there]
        if not more:
            return nodes
        roots += more


def _recorded_since(start: int, outputs: Sequence[Node], known: dict[Node, Input]) -> list[Node]:
    """The nodes from ``known`` to ``outputs``, earliest first."""
    stack = [n for n in outputs if n not in known]
    seen = set(stack)
    while stack:
        for source in stack.pop().inputs:
            if (
                source is not None
                and source.order >= start
                and source not in seen
                and source not in known
            ):
                seen.add(source)
                stack.append(source)
    return sorted(seen, key=lambda n: n.order)


# ---- gradients from outside, through an autograd.Function


def _saved_nodes(call: Node) -> list[Node]:
    saved = () if call.extra is None else call.extra._saved
    return [x._node for x in saved if isinstance(x, TensorCore)]


def _call_for_batch(
    node: Node, inputs: Sequence[Input], batches: dict[Node, Input], size: int, randomness: str
) -> Node:
    """The call of a Function for a batch: its ``backward`` maps that of one sample."""
    one: FunctionCtx = node.extra
    function = one._function
    assert function is not None
    call = record(node.sig.op, tuple([x.node for x in inputs]))
    ctx = call.extra = FunctionCtx()
    ctx._function = type(function.__name__, (_Mapped,), {})
    ctx._needs, ctx._argument_of = one._needs, one._argument_of
    ctx._materialize = one._materialize
    ctx._types = [k and type_of((size, *k.shape), k.dtype, k.device) for k in one._types]
    ctx.one, ctx.size, ctx.randomness = one, size, randomness
    ctx.kinds = dict(zip(one._argument_of, node.sig.types, strict=True))
    ctx.is_batched, saved = [], []
    for x in one._saved:
        known = batches.get(x._node) if isinstance(x, TensorCore) else None
        ctx.is_batched.append(known is not None and known.batched)
        saved.append(x if known is None else wrap(known.node))
        if isinstance(x, TensorCore) and x._node in one._results:
            ctx._results[saved[-1]._node] = one._results[x._node]
    ctx._saved = tuple(saved)
    return call


class _Mapped(AutogradFunction):
    """A Function for a batch, whose ``backward`` is that of one sample for each."""

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        saved = list(ctx.saved_tensors)
        given = [*saved, *grads]
        is_batched = [*ctx.is_batched, *[g is not None for g in grads]]
        found: list[int] = []

        def of_one(*leaves: Any) -> list[Any]:
            one = copy(ctx.one)
            one._saved = leaves[: len(saved)]
            result = one._function.backward(one, *leaves[len(saved) :])
            results = result if isinstance(result, tuple) else (result,)
            out = []
            for k, kind in ctx.kinds.items():
                g = checked_gradient(one._function, k, results[k], kind)
                if g is not None and ctx._needs[k]:
                    found.append(k)
                    out.append(wrap(unsum(g, kind)))
            return out

        dims = [0 if b else None for b in is_batched]
        parts = _for_batch(
            lambda *xs: of_one(*xs), given, dims, lambda xs: (xs, {}), ctx.size, 0, ctx.randomness
        )
        by_argument = dict(zip(found, _joined([parts]), strict=True))
        return tuple([by_argument.get(k) for k in range(len(ctx._needs))])


# ---- results


def _placed(y: Input, size: int, dim: int | None, out_dims: Any) -> Any:
    """A result with its batch dimension where it is wanted."""
    if dim is None:
        if y.batched:
            raise OptionError(
                f"vmap: out_dims={out_dims!r} says None for a result that differs from sample to "
                "sample: give the place for its batch dimension"
            )
        return wrap(y.node)
    ndim = y.ndim + 1
    if not -ndim <= dim < ndim:
        raise OptionError(
            f"vmap: out_dims={out_dims!r}: a result of {y.ndim} dimensions has no place {dim} for "
            "the batch"
        )
    order = list(range(1, ndim))
    order.insert(dim % ndim, 0)
    return wrap(mv.permute(y.spread(size), tuple(order)))


def _joined(parts: list[Any]) -> Any:
    """The results of the chunks, one after the other."""
    first, dims, rebuild = parts[0]
    if len(parts) == 1:
        return rebuild(first)
    out = [
        values[0] if dim is None else cat(list(values), dim)
        for values, dim in zip(zip(*[p[0] for p in parts], strict=True), dims, strict=True)
    ]
    return rebuild(out)
