"""Parameters and buffers: the Tensors that a Module keeps."""

from __future__ import annotations

import copy
from typing import Any, Self, SupportsIndex

from ..errors import GradientError
from ..graph.node import Node
from ..ops import elementwise as ew
from ..tensors.core import TensorCore, leaf_for, node_of, not_a_tensor
from ..tensors.creation import empty
from ..tensors.interop import reduced
from ..tensors.tensor import Tensor

# What a copy or a pickle of a parameter leaves behind: it belongs to one training run.
_NOT_COPIED = ("_grad", "_hooks", "_accumulate_hooks", "_retains_grad")


def _values_of(data: Any, kind: str) -> Node:
    if data is None:
        return node_of(empty(0))
    if not isinstance(data, TensorCore):
        raise not_a_tensor(data, f"nn.{kind} takes a Tensor")
    node = node_of(data)
    return ew.detach(node) if node.tracks else node


def _bind(target: TensorCore, node: Node, requires_grad: bool) -> None:
    target._base = None
    target._version = 0
    target._node = leaf_for(target, node) if requires_grad else node


class Parameter(Tensor):
    """A Tensor that a Module registers when it becomes one of its attributes.

    Starts with the values of ``data`` and is independent of it: changing one in place does not
    change the other.

    Args:
        data: a Tensor; None for an empty one.
        requires_grad: whether backward() fills ``.grad``.

    Raises:
        TypeError: unless ``data`` is a Tensor.
        GradientError: if integers or bools are to require gradients.

    Example:
        >>> nn.Parameter(weft.zeros(2))
        Parameter containing:
        tensor([0., 0.], requires_grad=True)
    """

    __slots__ = ()

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Self:
        node = _values_of(data, cls.__name__)
        if requires_grad and not node.type.dtype.is_inexact:
            raise GradientError(
                f"nn.{cls.__name__}: only floating and complex tensors can require gradients, not "
                f"{node.type.dtype}. Convert it, nn.{cls.__name__}(x.float()); or pass "
                "requires_grad=False; or keep it as a buffer, self.register_buffer(name, x)"
            )
        self = object.__new__(cls)
        _bind(self, node, requires_grad)
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        done = memo.get(id(self))
        if done is not None:
            return done  # type: ignore[no-any-return]
        node = node_of(self)
        out = object.__new__(type(self))
        memo[id(self)] = out
        _bind(out, ew.detach(node) if node.tracks else node, node.tracks != 0)
        attributes = {k: v for k, v in self.__dict__.items() if k not in _NOT_COPIED}
        out.__dict__.update(copy.deepcopy(attributes, memo))
        return out

    def __reduce_ex__(self, protocol: SupportsIndex = 2) -> Any:
        rebuild, (value, requires_grad, cls, attributes, place) = reduced(self, protocol)
        kept = {k: v for k, v in attributes.items() if k not in _NOT_COPIED}
        return rebuild, (value, requires_grad, cls, kept, place)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class Buffer(Tensor):
    """A Tensor that a Module registers as a buffer when it becomes one of its attributes.

    Args:
        data: a Tensor; None for an empty one.
        persistent: whether it is part of the ``state_dict``.

    Raises:
        TypeError: unless ``data`` is a Tensor.
    """

    __slots__ = ()
    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Self:
        node = _values_of(data, cls.__name__)
        self = object.__new__(cls)
        _bind(self, node, isinstance(data, TensorCore) and node_of(data).tracks != 0)
        self.persistent = persistent
        return self
