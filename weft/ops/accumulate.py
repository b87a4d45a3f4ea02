"""How gradients of one value are added up."""

from __future__ import annotations

from typing import Any, NoReturn

from ..graph.node import GONE, OPS, Node, Op, TensorType, leaf, sign
from . import elementwise as ew
from .movement import Cut, set_slice

_SET_SLICE, _EXPAND = OPS["set_slice"], OPS["expand"]
_MOST_PARTS = 256


def _not_run(attrs: Any, *arrays: Any) -> NoReturn:
    raise AssertionError("a bundle is taken apart by the rule of the call whose gradient it is")


# Attributes: the call's type, and the number of the result that each input is the gradient of.
_BUNDLE = Op("bundle", lambda attrs, *types: attrs[0], _not_run)


def bundle(gradients: tuple[Node, ...], kind: TensorType, numbers: tuple[int, ...]) -> Node:
    """Gradients of some of a call's results as one of the call. It is never pending, and not run.

    Args:
        kind: the type of the call.
        numbers: which results they are of.
    """
    attrs, types = (kind, numbers), tuple([g.type for g in gradients])
    key = attrs, types
    node = leaf(GONE, kind)
    node.sig = _BUNDLE.signatures.get(key) or sign(_BUNDLE, attrs, types, key)
    node.inputs = gradients
    return node


def total(a: Node, b: Node) -> Node:
    """``a + b``; where both are parts within zeros that do not touch, one gets the other's part.

    Gradients of slices are of this kind: those of all columns of a matrix are the matrix.
    """
    if a.sig.op is _BUNDLE:
        numbers = a.sig.attrs[1] + b.sig.attrs[1]
        return bundle((*a.inputs, *b.inputs), a.type, numbers)
    parts = _parts_in_zeros(b)
    if parts is not None and len(parts) == 1:
        others = _parts_in_zeros(a)
        if others is not None and all([_are_apart(parts[0], other) for other in others]):
            return set_slice(a, b.inputs[1], parts[0])
    return ew.add(a, b)


def _parts_in_zeros(node: Node) -> list[tuple[Cut, ...]] | None:
    """The places of the parts, if the node is nothing but these, set into zeros."""
    found: list[tuple[Cut, ...]] = []
    while node.sig.op is _SET_SLICE and node.value is None and len(found) < _MOST_PARTS:
        found.append(node.sig.attrs)
        node = node.inputs[0]
    is_full = node.sig.op is _EXPAND and node.value is None
    return found if found and is_full and is_zero(node.inputs[0]) else None


def is_zero(node: Node) -> bool:
    """Is it the number 0?"""
    return not node.type.shape and node.sig.op.name == "leaf" and bool(node.value == 0)


def _are_apart(a: tuple[Cut, ...], b: tuple[Cut, ...]) -> bool:
    return any(
        [x[2] == y[2] == 1 and (x[1] <= y[0] or y[1] <= x[0]) for x, y in zip(a, b, strict=True)]
    )
