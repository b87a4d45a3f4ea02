"""The recorded graph: types, ops, signatures, nodes, and how a node is recorded.

An op does not compute. :func:`record` checks shapes and dtypes through the op's ``infer`` rule
(once per combination of types: the result is interned as a :class:`Signature`), makes a
:class:`Node` and puts it at the end of :data:`PENDING`. ``engine.realize`` runs what is pending.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import count
from math import prod
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from .. import config
from ..dtypes import converted, dtype, of_number, only_stored
from ..errors import DeviceError, DTypeError
from .device import CPU, device
from .modes import Where, called, grad_enabled, here, module_path, on_behalf_of, own_file
from .tracing import Live

Shape = tuple[int, ...]
Array = Any  # numpy.ndarray, or the value class of another backend


class TensorType:
    """Shape, dtype and device. Interned by :func:`type_of`, so two equal ones are one object.

    A device of None: anywhere. So are Python numbers, constants, and what is made of these alone;
    together with a tensor of some device they are on that device.
    """

    __slots__ = ("__weakref__", "device", "dims", "dtype", "ndim", "shape", "size", "whole")
    device: device | None
    whole: tuple[tuple[int, int, int], ...]  # the slice of each dimension that takes all of it
    dims: tuple[int, ...]  # 0, 1, ..., ndim - 1
    shape: Shape
    dtype: dtype
    ndim: int
    size: int

    def __repr__(self) -> str:
        return f"{self.dtype.name}{list(self.shape)}"


_types: WeakValueDictionary[tuple[Shape, dtype, Any], TensorType] = WeakValueDictionary()


def type_of(shape: Shape, dtype: dtype, device: device | None = None) -> TensorType:
    key = (shape, dtype, device)
    found = _types.get(key)
    if found is None:
        found = TensorType()
        found.shape, found.dtype, found.device = key
        found.ndim = len(shape)
        found.size = prod(shape)
        found.dims = tuple(range(found.ndim))
        found.whole = tuple([(0, n, 1) for n in shape])
        _types[key] = found
    return found


# What a gradient rule gives back: one gradient per input, None where there is none.
Grads = Sequence["Node | None"]


def _target(a: TensorType, b: TensorType) -> device | None:
    return b.device if a.device is CPU else a.device


def common_device(name: str, attrs: Any, types: Sequence[TensorType]) -> device | None:
    """Where an op's inputs are. Zero-dimensional ones on the CPU go along with any others.

    Raises:
        DeviceError: if they are on two devices.
    """
    found: TensorType | None = None
    for x in types:
        if x.device is None or (found is not None and x.device is found.device):
            continue
        if found is None or (found.device is CPU and found.ndim == 0):
            found = x
        elif not (x.device is CPU and x.ndim == 0):
            raise _on_two_devices(name, found, x)
    return None if found is None else found.device


def _on_two_devices(op: str, a: TensorType, b: TensorType) -> DeviceError:
    """Names the function that was called, and which of its arguments is to be moved."""
    function, arguments = called()
    target = _target(a, b)
    away = (
        name
        for name, x in arguments.items()
        if (node := getattr(x, "_node", None)) is not None
        and node.type.device in (a.device, b.device)
        and node.type.device is not target
    )
    return DeviceError(
        f"{function or op}: tensors on two devices, {a} on {a.device} and {b} on {b.device}. "
        f"Move one to the other, for example {next(away, 'x')}.to('{target}')"
    )


class Op:
    """The one definition of a primitive.

    Attributes:
        name: as printed in graphs and errors.
        infer: ``infer(attrs, *types) -> TensorType``; raises ShapeError or DTypeError.
        reference: NumPy semantics: ``reference(*arrays)``, or ``reference(attrs, *arrays)`` when
            the op has attributes.
        grad: ``grad(node, g, want) -> gradients``, written with other ops so that any order of
            derivative works; ``want[k]`` says whether input k's is needed. None: not
            differentiable.
        needs: the inputs whose *values* ``grad`` reads; the others are not kept.
        needs_output: ``grad`` reads the node's own value.
        widen: 16-bit floats are computed in float32 and rounded once (not for mere moves).
        analytic: the rule is that of an analytic function, written as for real numbers: for complex
            ones the walk conjugates what it is given and what it gives.
        can_fail: the values can be wrong (an index out of range), so that running may raise.
        device: ``device(name, attrs, types)``: where the result is. ``infer`` need not say it.
    """

    __slots__ = (
        "analytic",
        "can_fail",
        "device",
        "grad",
        "infer",
        "name",
        "needs",
        "needs_output",
        "reference",
        "signatures",
        "widen",
    )

    def __init__(
        self,
        name: str,
        infer: Callable[..., TensorType],
        reference: Callable[..., Array],
        grad: Callable[[Node, Node, Sequence[bool]], Grads] | None = None,
        *,
        needs: tuple[int, ...] = (),
        needs_output: bool = False,
        widen: bool = False,
        can_fail: bool = False,
        analytic: bool = True,
        device: Callable[[str, Any, Sequence[TensorType]], device | None] = common_device,
    ) -> None:
        self.name = name
        self.infer = infer
        self.reference = reference
        self.grad = grad
        self.needs = needs
        self.needs_output = needs_output
        self.widen = widen
        self.can_fail = can_fail
        self.analytic = analytic
        self.device = device
        self.signatures: dict[Any, Any] = {}
        OPS[name] = self

    def __repr__(self) -> str:
        return f"<op {self.name}>"


#: Every primitive, by name.
OPS: dict[str, Op] = {}


class Signature:
    """An op applied to attributes and input types. Interned: stands for itself in graph keys."""

    __slots__ = ("attrs", "conjugated", "differentiable", "needs", "op", "type", "types")
    op: Op
    attrs: Any
    types: tuple[TensorType, ...]
    type: TensorType
    differentiable: bool
    conjugated: bool  # the rule gets and gives conjugates: it is analytic, and this complex
    needs: tuple[int, ...]  # op.needs, as far as there are inputs


# How a node takes part in differentiation (bits of Node.tracks).
HISTORY = 1  # has a gradient rule to apply
LEAF = 2  # its gradient goes to a Tensor's .grad
RELEASED = 4  # was history; backward() has used it up
HOOKED = 8  # `extra` is a list of hooks


class Node:
    """One recorded value. What it stands for never changes; whether it is computed does.

    No ``__init__``: recording is the hot path and sets the slots inline.
    """

    __slots__ = (
        "extra",  # only where said by `tracks`: LEAF a weakref to the Tensor, HOOKED the hooks;
        # or, for the ops of autograd.Function, its context
        "inputs",  # () once the value exists and no gradient needs them
        "mark",  # scratch of a run, 0 between runs
        "order",  # place in the order of recording
        "sig",
        "tracks",
        "type",  # = sig.type, one load less
        "value",  # None: pending; GONE: computed, not stored; else the value
        "where",
    )
    sig: Signature
    type: TensorType
    inputs: tuple[Any, ...]  # Nodes; None where a value has been let go
    value: Any
    tracks: int
    mark: int
    order: int
    where: Where | None
    extra: Any

    def __repr__(self) -> str:
        return f"<{self.sig.op.name} {self.type}>"


class _Gone:
    def __repr__(self) -> str:
        return "GONE"


GONE: Any = _Gone()

#: Recorded and not yet run, in order of recording.
PENDING: list[Node] = []
_append = PENDING.append
next_order = count().__next__

_signature_count = 0
_MAX_SIGNATURES = 200_000  # beyond it, shapes vary without end: start afresh


#: What can be done with values that are stored only.
_MOVING = {
    *("leaf", "detach", "same", "graft", "cast", "to_device", "eq", "ne", "isnan", "where"),
    *("reshape", "permute", "expand", "slice", "set_slice", "cat", "take", "put", "pad_edges"),
}


def sign(op: Op, attrs: Any, types: tuple[TensorType, ...], key: Any) -> Signature:
    """Infers a signature. The slow path, once per combination of types and attributes."""
    global _signature_count
    out = op.infer(attrs, *types)
    for kind in (out, *types):
        if kind.dtype.is_only_stored and op.name not in _MOVING:
            raise only_stored(kind.dtype, op.name)
    device = op.device(op.name, attrs, types)
    if out.device is not device:
        out = type_of(out.shape, out.dtype, device)
    sig = Signature()
    sig.op, sig.attrs, sig.types, sig.type = op, attrs, types, out
    sig.differentiable = op.grad is not None and out.dtype.is_inexact
    sig.conjugated = op.analytic and out.dtype.is_complex
    sig.needs = tuple([k for k in op.needs if k < len(types)])
    _signature_count += 1
    if _signature_count > _MAX_SIGNATURES:
        for other in OPS.values():
            other.signatures.clear()
        _signature_count = 0
    op.signatures[key] = sig
    return sig


# The three functions below are the hot path of the whole library and say the same thing, for one,
# two and any number of inputs. The user's line is the innermost frame outside weft; whoever calls
# these functions is weft's own, so the search begins with its caller.

_getframe = sys._getframe
_path = module_path.get
_on_behalf = on_behalf_of.get


def record1(op: Op, a: Node, attrs: Any = None) -> Node:
    """Records an op of one input. ``attrs`` must be hashable: it is part of the structural key."""
    kind = a.type
    key: Any = kind if attrs is None else (attrs, kind)
    sig = op.signatures.get(key)
    if sig is None:
        sig = sign(op, attrs, (kind,), key)
    where = _on_behalf()
    if where is None:
        frame = _getframe(2)
        code = frame.f_code
        while own_file[code.co_filename] and (outer := frame.f_back) is not None:
            frame = outer
            code = frame.f_code
        where = (_path(), code, frame.f_lasti)
    node = Node()
    node.sig = sig
    node.type = sig.type
    node.inputs = (a,)
    node.value = None
    node.tracks = HISTORY if a.tracks and sig.differentiable and grad_enabled() else 0
    node.mark = 0
    node.order = next_order()
    node.where = where
    _append(node)
    return node


def record2(op: Op, a: Node, b: Node) -> Node:
    """Records an op of two inputs and no attributes."""
    key = (a.type, b.type)
    sig = op.signatures.get(key)
    if sig is None:
        sig = sign(op, None, key, key)
    where = _on_behalf()
    if where is None:
        frame = _getframe(2)
        code = frame.f_code
        while own_file[code.co_filename] and (outer := frame.f_back) is not None:
            frame = outer
            code = frame.f_code
        where = (_path(), code, frame.f_lasti)
    node = Node()
    node.sig = sig
    node.type = sig.type
    node.inputs = (a, b)
    node.value = None
    node.tracks = HISTORY if (a.tracks or b.tracks) and sig.differentiable and grad_enabled() else 0
    node.mark = 0
    node.order = next_order()
    node.where = where
    _append(node)
    return node


def record(op: Op, inputs: tuple[Node, ...], attrs: Any = None) -> Node:
    """Records an op of any number of inputs; ``attrs`` as in :func:`record1`."""
    return record_as(signature(op, attrs, tuple([i.type for i in inputs])), inputs)


def signature(op: Op, attrs: Any, types: tuple[TensorType, ...]) -> Signature:
    """Of an op of any number of inputs that is recorded by :func:`record`."""
    key = (attrs, types)
    sig = op.signatures.get(key)
    return sign(op, attrs, types, key) if sig is None else sig


def record_as(sig: Signature, inputs: tuple[Node, ...]) -> Node:
    """Records an op whose signature is known to be that of these inputs."""
    node = Node()
    node.sig = sig
    node.type = sig.type
    node.inputs = inputs
    node.value = None
    node.tracks = 0
    if sig.differentiable and grad_enabled():
        for i in inputs:
            if i.tracks:
                node.tracks = HISTORY
                break
    node.mark = 0
    node.order = next_order()
    node.where = here(3)
    _append(node)
    return node


# ---- leaves: values that come from outside


class Fresh:
    """Bytes of host data that the pending graph has taken in since the last run."""

    bytes = 0


_leaf_op = Op(
    "leaf",
    lambda attrs, *types: attrs,
    lambda attrs: None,
    device=lambda name, attrs, types: attrs.device,
)


def leaf(value: Array, kind: TensorType) -> Node:
    """A node that has its value already."""
    sig = _leaf_op.signatures.get(kind)
    if sig is None:
        sig = sign(_leaf_op, kind, (), kind)
    node = Node()
    node.sig = sig
    node.type = kind
    node.inputs = ()
    node.value = value
    node.tracks = 0
    node.mark = 0
    node.order = next_order()
    node.where = None
    return node


# For each dtype, or dtype and device: the signature of its numbers, and the conversion.
_number_kinds: dict[Any, tuple[Signature, Any]] = {}


def number(value: Any, kind: dtype | None = None, device: device | None = None) -> Node:
    """A Python number as a zero-dimensional leaf, by itself on no device in particular.

    Its value is an argument of the run and no part of the structural key, so that a learning rate
    or a step count may change without a new compilation. For the same reason equal numbers are
    never shared: each call makes a node of its own.
    """
    if value.__class__ is Live:
        return _live_number(value, kind)
    if kind is None:
        kind = of_number(value)
    key: Any = kind if device is None else (kind, device)
    found = _number_kinds.get(key)
    if found is None:
        scalar = type_of((), kind, device)
        convert = _to_float8(kind) if kind.is_only_stored else kind.numpy.type
        found = _number_kinds[key] = (sign(_leaf_op, scalar, (), scalar), convert)
    sig, convert = found
    try:
        value = convert(value)
    except TypeError:
        raise DTypeError(f"the number {value} is complex: it does not fit {kind}") from None
    except OverflowError:  # as C does, and PyTorch: keep the low bits
        value = np.array(int(value) & ((1 << 64) - 1), np.uint64).astype(kind.numpy)[()]
    node = Node()
    node.sig = sig
    node.type = sig.type
    node.inputs = ()
    node.value = value
    node.tracks = 0
    node.mark = 0
    node.order = next_order()
    node.where = None
    return node


def _to_float8(kind: dtype) -> Callable[[Any], Any]:
    return lambda value: converted(np.float32(value), kind)[()]


def _live_number(value: Live, kind: dtype | None) -> Node:
    node = number(value.plain(), kind)
    value.trace.live.append((node, value))
    return node


def is_over_limit() -> bool:
    return len(PENDING) > config.MAX_PENDING_NODES or Fresh.bytes > config.MAX_PENDING_BYTES
