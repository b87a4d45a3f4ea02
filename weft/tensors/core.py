"""What a Tensor is: a handle on a node; and how views and in-place changes work on such handles.

Nodes never change. ``x.add_(1)`` records a new node and binds ``x`` to it (``TensorCore._rebind``).
A view remembers its base and how it was cut from it; it looks at the base's version whenever it is
used and cuts again if that has moved on (:meth:`TensorCore._sync`). Writing to a view records the
base's new value and binds the base to it. So an in-place change reaches everyone who shares the
value, and cannot spoil what backward needs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..config import MAX_PENDING_NODES
from ..engine.realize import CHANGES, Change, realize_if_large
from ..errors import DeviceError, DTypeError, GradientError, ShapeError
from ..graph.modes import grad_enabled, grad_mode
from ..graph.node import LEAF, PENDING, Node, Shape, TensorType, leaf
from ..ops import complex as cx, elementwise as ew
from ..ops.movement import (
    as_slices,
    expand,
    inverse,
    permute,
    reshape,
    set_slice,
    slice_,
    to_device,
)

if TYPE_CHECKING:
    from .tensor import Tensor


class ViewKind(NamedTuple):
    """One way to cut a view.

    ``cut(base, attrs)`` is the view's node; ``write(base, new, attrs)`` the base's node after
    ``new`` was written to the view; ``strides(array, attrs)`` the same cut on a NumPy array.
    """

    name: str
    cut: Callable[[Node, Any], Node]
    write: Callable[[Node, Node, Any], Node] | None
    strides: Callable[[Any, Any], Any]


def with_history_of(value: Node, history: Node) -> Node:
    """The value of the first with the history of the second."""
    return ew.graft(value, history) if history.tracks or value.tracks else value


SLICE = ViewKind(
    "slice", slice_, lambda base, x, at: set_slice(base, x, at), lambda a, at: a[as_slices(at)]
)
RESHAPE = ViewKind(
    "reshape",
    reshape,
    lambda base, x, at: reshape(x, base.type.shape),
    lambda a, at: a.reshape(at),
)
PERMUTE = ViewKind(
    "permute",
    permute,
    lambda base, x, at: permute(x, inverse(at)),
    lambda a, at: a.transpose(at),
)
EXPAND = ViewKind("expand", expand, None, np.broadcast_to)
# (Each cut of complex numbers is one of NumPy's, too, with memory as PyTorch has it.)
CONJ = ViewKind(
    "conj", lambda base, at: cx.conj(base), lambda base, x, at: cx.conj(x), lambda a, at: a
)
REAL = ViewKind(
    "real",
    lambda base, at: cx.real(base),
    lambda base, x, at: cx.complex_(x, cx.imag(base)),
    lambda a, at: a.real,
)
IMAG = ViewKind(
    "imag",
    lambda base, at: cx.imag(base),
    lambda base, x, at: cx.complex_(cx.real(base), x),
    lambda a, at: a.imag,
)
AS_REAL = ViewKind(
    "view_as_real",
    lambda base, at: cx.as_pairs(base),
    lambda base, x, at: cx.of_pairs(x),
    lambda a, at: as_strided(a.real, (*a.shape, 2), (*a.strides, a.real.itemsize)),
)
AS_COMPLEX = ViewKind(
    "view_as_complex",
    lambda base, at: cx.of_pairs(base),
    lambda base, x, at: cx.as_pairs(x),
    lambda a, at: a.view(np.complex64)[..., 0],
)
# A detached tensor shares its values with its origin, both ways, but has a history of its own.
DETACH = ViewKind(
    "detach",
    lambda base, at: ew.detach(base),
    lambda base, x, at: with_history_of(x, base),
    lambda a, at: a,
)

Cuts = tuple[tuple[ViewKind, Any], ...]


@lru_cache(maxsize=4096)
def layout(shape: Shape, cuts: Cuts, is_complex: bool = False) -> Any:
    """An array with the strides (in elements) that a view has in PyTorch."""
    pairs = any([kind is AS_COMPLEX for kind, _ in cuts])
    a: Any = np.empty(shape, np.complex64 if is_complex else np.float32 if pairs else np.bool_)
    for kind, attrs in cuts:
        a = kind.strides(a, attrs)
    return a


class TensorCore:
    """The state of a Tensor. Users see :class:`weft.Tensor`, which adds the methods."""

    __slots__ = (
        "__dict__",  # for _grad, _hooks and what users attach
        "__weakref__",
        "_base",  # None, or what this is a view of: a root, or the nearest detached alias
        "_base_version",  # view: the base's version that _node was cut from
        "_cuts",  # view: how it was cut
        "_node",
        "_version",  # number of in-place changes
        "_view_mode",  # view: grad mode at its making, in which it is cut again
    )
    _base: Tensor | None
    _base_version: int
    _cuts: Cuts
    _node: Node
    _version: int
    _view_mode: bool
    _grad: Tensor | None = None
    _hooks: Any = None
    _retains_grad: Any = None
    _reshaped: bool = False  # a view of what it was before its shape was changed in place
    _used_at: int = -1  # a gradient: its version when an optimiser's step used it
    _added_at: int = -1  # and its version when more was added to it after that

    # ---- views

    def _sync(self) -> Node:
        """The node of a view, cut again if its base has changed."""
        base = self._base
        assert base is not None
        while base._base is not None:
            if base._is_alias():
                base._sync()
                break
            base = self._base = base._base  # its shape was changed in place: see _reshape
        if self._base_version != base._version:
            token = grad_mode.set(self._view_mode)
            node = base._node
            for kind, attrs in self._cuts:
                node = kind.cut(node, attrs)
            if node is base._node:
                node = ew.same(node)
            grad_mode.reset(token)
            if self._is_alias():
                if self._node.tracks:
                    node = self._as_leaf_like(node)
                self._version += 1
            self._node = node
            self._base_version = base._version
        return self._node

    def _as_leaf_like(self, node: Node) -> Node:
        """``node`` with the part in differentiation that this alias has."""
        old = self._node
        if old.tracks & LEAF:
            return leaf_for(self, node)
        return with_history_of(node, old)

    def _is_alias(self) -> bool:
        return self._base is not None and self._cuts[-1][0] is DETACH

    def _view(self, kind: ViewKind, attrs: Any) -> Tensor:
        node = self._node if self._base is None else self._sync()
        base = self._base
        view: Tensor = _new(_Tensor)
        cut = kind.cut(node, attrs)
        view._node = ew.same(node) if cut is node else cut  # a handle of its own in any case
        view._view_mode = grad_enabled()
        view._version = 0
        if base is None or (self._cuts[-1][0] is DETACH and kind is not DETACH):
            view._base = self  # type: ignore[assignment]
            view._base_version = self._version
            view._cuts = ((kind, attrs),)
        else:
            view._base = base
            view._base_version = base._version
            # (An alias of an alias is one more of the same, so that they do not become a chain.)
            alias = kind is DETACH and self._cuts[-1][0] is DETACH
            view._cuts = self._cuts if alias else (*self._cuts, (kind, attrs))
        if len(PENDING) > MAX_PENDING_NODES:
            realize_if_large()
        return view

    def _layout(self) -> Any:
        if self._base is None:
            return layout(self._node.type.shape, ())
        self._sync()
        base = self._base._node.type
        return layout(base.shape, self._cuts, base.dtype.is_complex)

    def _can_view_as(self, shape: Shape) -> bool:
        """Does PyTorch's stride rule allow ``shape`` without a copy?"""
        a = self._layout()
        return a.size == 0 or np.shares_memory(a, a.reshape(shape))

    # ---- in place

    def _rebind(self, new: Node) -> Tensor:
        """Gives this tensor, and all who share its value, the value of ``new``."""
        old = self._node if self._base is None else self._sync()
        if new.type is not old.type:
            new = fitted(new, old.type)
        owner: TensorCore = self
        if self._base is not None and not self._is_alias():
            owner = self._base
        recording = grad_enabled()
        if owner._node.tracks & LEAF and recording:
            raise GradientError(
                "a leaf tensor that requires grad (or a view of one) is changed in place. Do it "
                "under weft.no_grad(), or work on a copy: x = x.clone()"
            )
        if (
            owner is not self
            and recording
            and not self._view_mode
            and (new.tracks or owner._node.tracks)
        ):
            raise GradientError(
                "this view was made under no_grad and its base takes part in gradients: take the "
                "view inside grad mode, or change it under weft.no_grad()"
            )
        if self._base is not None:
            self._check_writable()
        if owner is self:
            self._put(new)
        else:
            owner._put(self._written(new))
            if not owner._node.tracks:
                self._node = new
                self._base_version = owner._version
            # else: cut again on use, so that gradients of the base reach what is made from it
        return self  # type: ignore[return-value]

    def _reshape(self, cut: Callable[[Any], Tensor]) -> Tensor:
        """Makes this tensor a view that ``cut`` takes: of itself, as it was.

        What it was goes on as a tensor of its own, on which its earlier views look from then on.
        """
        if self._base is None or self._is_alias():
            if node_of(self).tracks & LEAF:
                raise GradientError(
                    "the shape of a leaf tensor that requires grad is changed in place: take a "
                    "view of it, such as y = x.unsqueeze(0), or make a new one"
                )
            root = wrap(self._node)
            root._version, root._base = self._version, self._base
            if self._base is not None:
                for name in ("_base_version", "_cuts", "_view_mode"):
                    setattr(root, name, getattr(self, name))
            view = cut(root)
            self._reshaped = True
        else:
            view = cut(self)
        if self._retains_grad is not None:
            self._retains_grad.move(self._node, view._node)
        for name in ("_base", "_base_version", "_cuts", "_node", "_view_mode"):
            setattr(self, name, getattr(view, name))
        return self  # type: ignore[return-value]

    def _check_writable(self) -> None:
        """The whole path first: nothing may change if a later link cannot be written."""
        view: TensorCore | None = self
        while view is not None and view._base is not None:
            if any(kind.write is None for kind, _ in view._cuts):
                raise ShapeError(
                    "an expanded tensor is changed in place, where several elements are one and "
                    "the same: write to a copy, x = x.clone()"
                )
            view = view._base

    def _written(self, new: Node) -> Node:
        """The base's new node after ``new`` was written to this view."""
        base = self._base
        assert base is not None
        path = [base._node if base._base is None else base._sync()]
        for kind, attrs in self._cuts[:-1]:
            path.append(kind.cut(path[-1], attrs))
        for (kind, attrs), before in zip(reversed(self._cuts), reversed(path), strict=True):
            assert kind.write is not None
            new = kind.write(before, new, attrs)
        return new

    def _put(self, new: Node) -> None:
        """A new value for a root or an alias."""
        old = self._node
        may_be_needed = old.value is not None or _fallible_since(old.order)
        if old.tracks & LEAF:
            new = leaf_for(self, new)
        elif not grad_enabled() and (old.tracks or new.tracks):
            new = with_history_of(new, old)
        elif self._retains_grad is not None:
            self._retains_grad.move(old, new)
        if may_be_needed:
            CHANGES.append(Change(ref(self), old, new.order, get_ident()))
        self._node = new
        self._version += 1
        if self._base is not None:  # an alias: the value goes on to its base, the history does not
            token = grad_mode.set(False)
            self._base._put(self._written(new))
            grad_mode.reset(token)
            self._base_version = self._base._version


class _Fallible:
    """Which op was recorded last of those that may fail on their data."""

    latest = -1
    seen = -1  # as far as PENDING has been looked through


def _fallible_since(order: int) -> bool:
    """Is an op pending that was recorded after ``order`` and may fail? Looks at each op once."""
    for node in reversed(PENDING):
        if node.order <= _Fallible.seen:
            break
        if node.sig.op.can_fail:
            _Fallible.latest = node.order
            break
    if PENDING:
        _Fallible.seen = PENDING[-1].order
    return _Fallible.latest > order


def leaf_for(tensor: TensorCore, value: Node) -> Node:
    """A node of ``value`` whose gradient goes to ``tensor``."""
    node = ew.same(value) if value.value is None else leaf(value.value, value.type)
    node.tracks = LEAF
    node.extra = ref(tensor)
    return node


def fitted(new: Node, kind: TensorType, what: str = "the result of an in-place op") -> Node:
    """``new`` in the type of what it is written to; ``what`` says in errors what it is.

    Raises:
        ShapeError, DTypeError, DeviceError: if it does not fit.
    """
    if new.type.shape != kind.shape:
        raise ShapeError(
            f"{what} has shape {list(new.type.shape)}, which does not fit the tensor's "
            f"{list(kind.shape)}: only the other operand broadcasts"
        )
    if new.type.dtype.category > kind.dtype.category:
        raise DTypeError(
            f"{what} is {new.type.dtype}, which does not fit into a tensor of {kind.dtype}: write "
            "x = x + y in place of x += y, or convert x first"
        )
    if kind.device is None:
        return ew.cast(new, kind.dtype)
    if new.type.device is not None and new.type.device is not kind.device:
        raise DeviceError(
            f"{what} is on {new.type.device}, which does not fit a tensor on {kind.device}: move "
            f"the other operand, for example x.to('{kind.device}')"
        )
    return to_device(ew.cast(new, kind.dtype), kind.device)


# ---- from nodes to Tensors and back

_new = object.__new__
_Tensor: type[Tensor] = TensorCore  # type: ignore[assignment]


def bind_class(cls: type[Tensor]) -> None:
    """Tells this file the class of which :func:`wrap` makes instances (it stands above)."""
    global _Tensor
    _Tensor = cls


def new_tensor() -> Tensor:
    return _new(_Tensor)


def wrap(node: Node) -> Tensor:
    """A Tensor of a node."""
    tensor = _new(_Tensor)
    tensor._node = node
    tensor._base = None
    tensor._version = 0
    if len(PENDING) > MAX_PENDING_NODES:
        realize_if_large()
    return tensor


def node_of(tensor: Any) -> Node:
    """The node of a Tensor, in step with its base.

    Raises:
        TypeError: for anything else, saying how to make a Tensor of it.
    """
    if isinstance(tensor, TensorCore):
        return tensor._node if tensor._base is None else tensor._sync()
    raise not_a_tensor(tensor)


def not_a_tensor(value: Any, what: str = "a Tensor is expected here") -> TypeError:
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    hint = {
        "numpy.ndarray": ": weft.from_numpy(x) makes one of it",
        "list": ": weft.tensor(x) makes one of it",
        "tuple": ": weft.tensor(x) makes one of it",
        "int": ": weft.tensor(x) makes one of it",
        "float": ": weft.tensor(x) makes one of it",
        "torch.Tensor": ": weft.from_numpy(x.numpy()) makes one of it",
    }.get(name, "")
    return TypeError(f"{what}, not {name}{hint}")


def is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, complex, np.number, np.bool_))
