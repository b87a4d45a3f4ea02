"""Nested tuples, lists and dicts, taken apart and put together: names of ``torch.utils._pytree``.

The order of leaves is PyTorch's: containers are walked as they iterate, dicts in the order in which
their keys came. None is a leaf.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

PyTree = Any
#: The parts of a container, and what else is needed to build it.
FlattenFunc = Callable[[Any], tuple[Iterable[Any], Any]]
UnflattenFunc = Callable[[Iterable[Any], Any], Any]


def _as(kind: Any) -> UnflattenFunc:
    return lambda parts, _: kind(parts)


def _items(kind: Any) -> tuple[FlattenFunc, UnflattenFunc]:
    return (
        lambda d: (d.values(), tuple(d)),
        lambda parts, keys: kind(zip(keys, parts, strict=True)),
    )


_NODES: dict[type, tuple[FlattenFunc, UnflattenFunc]] = {
    tuple: (lambda t: (t, None), _as(tuple)),
    list: (lambda t: (t, None), _as(list)),
    dict: _items(dict),
    OrderedDict: _items(OrderedDict),
    deque: (lambda d: (d, d.maxlen), lambda parts, size: deque(parts, maxlen=size)),
}
#: The class of the tuple is what it is built by.
_NAMED: tuple[FlattenFunc, UnflattenFunc] = (
    lambda t: (t, type(t)),
    lambda parts, kind: kind(*parts),
)


def register_pytree_node(
    cls: type, flatten_fn: FlattenFunc, unflatten_fn: UnflattenFunc, **names: Any
) -> None:
    """Makes a class a container.

    Args:
        cls: the class; its subclasses are leaves.
        flatten_fn: an instance's parts, and what else is needed to build it.
        unflatten_fn: an instance, of these two.
        names: by which PyTorch writes the class to files; without effect.

    Raises:
        ValueError: for a class that is one already.
    """
    if cls in _NODES:
        raise ValueError(f"{cls.__name__} is registered as a container already")
    _NODES[cls] = flatten_fn, unflatten_fn


def _functions(tree: PyTree) -> tuple[FlattenFunc, UnflattenFunc] | None:
    found = _NODES.get(type(tree))
    if found is None and isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return _NAMED
    return found


@dataclass(frozen=True)
class TreeSpec:
    """How a value is nested; equal for values that are nested in the same way.

    Attributes:
        type: the container's; None for a leaf.
        context: what it is built from beside its parts.
        children_specs: of its parts.
    """

    type: type | None
    context: Any
    children_specs: tuple[TreeSpec, ...]

    @property
    def num_leaves(self) -> int:
        """How many leaves there are."""
        return 1 if self.type is None else sum(c.num_leaves for c in self.children_specs)

    @property
    def num_children(self) -> int:
        """How many parts the outermost container has."""
        return len(self.children_specs)

    def is_leaf(self) -> bool:
        """Is it no container?"""
        return self.type is None

    def unflatten(self, leaves: Iterable[Any]) -> PyTree:
        """:func:`tree_unflatten`."""
        return tree_unflatten(leaves, self)


IsLeaf = Callable[[PyTree], bool] | None


def _flatten(tree: PyTree, leaves: list[Any], is_leaf: IsLeaf) -> TreeSpec:
    found = None if is_leaf is not None and is_leaf(tree) else _functions(tree)
    if found is None:
        leaves.append(tree)
        return TreeSpec(None, None, ())
    parts, context = found[0](tree)
    return TreeSpec(type(tree), context, tuple(_flatten(p, leaves, is_leaf) for p in parts))


def tree_flatten(tree: PyTree, is_leaf: IsLeaf = None) -> tuple[list[Any], TreeSpec]:
    """The leaves of a value, and how they are nested in it.

    Args:
        tree: any value; what is no container is a leaf.
        is_leaf: true for values that are leaves, containers or not.
    """
    leaves: list[Any] = []
    spec = _flatten(tree, leaves, is_leaf)
    return leaves, spec


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> PyTree:
    """A value that is nested like ``treespec``, of other leaves.

    Raises:
        ValueError: if their number is another.
    """
    leaves = list(leaves)
    if len(leaves) != treespec.num_leaves:
        raise ValueError(
            f"tree_unflatten: {len(leaves)} leaves for a structure of {treespec.num_leaves}"
        )
    return _build(iter(leaves), treespec)


def _build(leaves: Any, spec: TreeSpec) -> PyTree:
    if spec.type is None:
        return next(leaves)
    _, build = _NODES.get(spec.type, _NAMED)
    return build([_build(leaves, c) for c in spec.children_specs], spec.context)


def tree_leaves(tree: PyTree, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves of a value."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree: PyTree, is_leaf: IsLeaf = None) -> TreeSpec:
    """How a value is nested."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(
    func: Callable[..., Any], tree: PyTree, *rests: PyTree, is_leaf: IsLeaf = None
) -> PyTree:
    """A value nested like ``tree``, of ``func`` of its leaves and those in their places elsewhere.

    Raises:
        ValueError: if the others are nested in another way.
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    columns = [leaves]
    for other in rests:
        found, theirs = tree_flatten(other, is_leaf)
        if theirs != spec:
            raise ValueError(f"tree_map: the values are nested in two ways, {spec} and {theirs}")
        columns.append(found)
    return tree_unflatten([func(*row) for row in zip(*columns, strict=True)], spec)


def tree_map_(
    func: Callable[..., Any], tree: PyTree, *rests: PyTree, is_leaf: IsLeaf = None
) -> PyTree:
    """Calls ``func`` as :func:`tree_map` does, and gives ``tree`` back."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def tree_map_only(
    kind: Any, func: Callable[[Any], Any], tree: PyTree, is_leaf: IsLeaf = None
) -> PyTree:
    """:func:`tree_map` of the leaves that are of a class, or of one in a tuple of them."""
    return tree_map(lambda x: func(x) if isinstance(x, kind) else x, tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: PyTree, is_leaf: IsLeaf = None) -> bool:
    """Is ``pred`` true of all leaves?"""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: PyTree, is_leaf: IsLeaf = None) -> bool:
    """Is ``pred`` true of any leaf?"""
    return any(map(pred, tree_leaves(tree, is_leaf)))
