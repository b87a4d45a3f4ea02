"""Reverse-mode differentiation of recorded nodes: the walk. The rules are with the ops.

Gradients are nodes like any other, recorded as ops; computing them is a later run's business.

Of a real number ``l`` to a complex ``z = x + iy`` the gradient is ``dl/dx + i dl/dy``, the
direction of steepest ascent, as PyTorch has it. Through an analytic function it passes by the
conjugate of the derivative, so rules that are written for real numbers do, given and giving
conjugates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from operator import attrgetter
from typing import Any

from .engine.realize import Hold
from .errors import GradientError
from .graph.modes import grad_mode, on_behalf_of
from .graph.node import HISTORY, HOOKED, LEAF, RELEASED, Grads, Node
from .ops import elementwise as ew
from .ops.accumulate import total
from .ops.complex import conjugated
from .ops.loss import in_range
from .ops.movement import reshape, to_device
from .ops.reduce import sum_

#: Gradients found so far in one walk, complete for a node when the walk reaches it. A hook may
#: replace its node's (or, for hooks shared by several nodes, theirs).
Found = dict[Node, Node]
Hook = Callable[[Node, Found], None]


class Anomaly:
    """Are NaNs among gradients to be found?"""

    on = False


#: Stands for the walk that is going on, for rules that are applied in several steps.
current_walk: ContextVar[object] = ContextVar("current_walk", default=None)

_recording_order = attrgetter("order")


def unsum(g: Node, node_type: Any) -> Node:
    """Undoes a broadcast: sums ``g`` over the dimensions that it has and the input has not.

    An input that came from another device (a number on the CPU) gets its gradient there.
    """
    shape, target = g.type.shape, node_type.shape
    extra = len(shape) - len(target)
    dims = tuple(
        [k for k, n in enumerate(shape) if k < extra or (n != 1 and target[k - extra] == 1)]
    )
    return to_device(reshape(sum_(g, dims) if dims else g, target), node_type.device)


def history(roots: Sequence[Node], since: int = 0) -> list[Node]:
    """Every node that a gradient of ``roots`` reaches, latest first.

    Args:
        since: go to what was recorded before this place in the order of recording, not beyond.

    Raises:
        GradientError: where a history has been used up by an earlier backward().
    """
    seen = set(roots)
    stack = list(seen)
    while stack:
        node = stack.pop()
        if node.order < since:
            continue
        if node.tracks & HISTORY:
            for source in node.inputs:
                if source is not None and source.tracks and source not in seen:
                    seen.add(source)
                    stack.append(source)
        elif node.tracks & RELEASED:
            raise GradientError(
                "backward() went through this part of the graph before, and its history has been "
                "let go. Pass retain_graph=True to the first backward(), or run the forward pass "
                f"again. (At the result of '{node.sig.op.name}', shape {list(node.type.shape)}.)"
            )
    return sorted(seen, key=_recording_order, reverse=True)


def gradients(
    roots: Sequence[Node],
    seeds: Sequence[Node],
    targets: Sequence[Any] | None = None,
    *,
    retain: bool = False,
    create: bool = False,
    since: int = 0,
) -> dict[Any, Node]:
    """Gradients of ``sum(root * seed)`` with respect to leaves and ``targets``.

    Args:
        targets: nodes, or Tensors that are leaves; None for every leaf that is reached.
        retain: keep the history for another walk.
        create: record the gradients so that they can be differentiated themselves.
        since: stay within what was recorded from this place in the order of recording on; what it
            was made of may be a target, but its hooks are another walk's business.

    Returns:
        The gradient of each target that was reached. A leaf is known by its Tensor, since every
        update of a parameter makes a new node.
    """
    nodes = history(roots, since)
    wanted = None if targets is None else set(targets)
    if wanted is not None:
        _keep_relevant(nodes, wanted)
    out: dict[Any, Node] = {}
    grad_token = grad_mode.set(create)
    where_token = on_behalf_of.set(None)
    walk_token = current_walk.set(object())
    try:
        with Hold():
            _walk(nodes, roots, seeds, wanted, out, since)
    finally:
        current_walk.reset(walk_token)
        on_behalf_of.reset(where_token)
        grad_mode.reset(grad_token)
    if not retain:
        release(nodes)
    return out


def _keep_relevant(nodes: list[Node], wanted: set[Any]) -> None:
    """Drops the nodes from which no target is reached, so that nothing is recorded for them."""
    keep: set[Node] = set()
    for node in reversed(nodes):
        if node.tracks & LEAF:
            if node.extra() in wanted or node in wanted:
                keep.add(node)
        elif node in wanted or any(i in keep for i in node.inputs if i is not None):
            keep.add(node)
    nodes[:] = [n for n in nodes if n in keep]


def _walk(
    nodes: list[Node],
    roots: Sequence[Node],
    seeds: Sequence[Node],
    wanted: set[Any] | None,
    out: dict[Any, Node],
    since: int,
) -> None:
    found: Found = {}
    for root, seed in zip(roots, seeds, strict=True):
        _accumulate(found, root, seed)
    relevant = None if wanted is None else set(nodes)
    for node in nodes:
        if node.tracks & HOOKED and node.order >= since:
            for hook in list(node.extra):
                hook(node, found)
        g = found.pop(node, None)
        if g is None:
            continue
        if node.tracks & LEAF:
            tensor = node.extra()
            if tensor is not None and (wanted is None or tensor in wanted or node in wanted):
                _accumulate(out, tensor if wanted is None or tensor in wanted else node, g)
            continue
        if wanted is not None and node in wanted:
            out[node] = g
        if node.order < since:
            continue
        _apply_rule(node, g, found, relevant)


def _accumulate(found: dict[Any, Node], key: Any, g: Node) -> None:
    before = found.get(key)
    found[key] = g if before is None else total(before, g)


def _apply_rule(node: Node, g: Node, found: Found, relevant: set[Node] | None) -> None:
    if node.inputs and node.where is not None:
        on_behalf_of.set(node.where)  # what the rule records carries the forward op's address
    want = [
        i is not None and i.tracks != 0 and (relevant is None or i in relevant) for i in node.inputs
    ]
    if not any(want):
        return
    sig = node.sig
    grad = sig.op.grad
    assert grad is not None, node
    made: Grads
    if sig.conjugated:
        made = [None if x is None else conjugated(x) for x in grad(node, conjugated(g), want)]
    else:
        made = grad(node, g, want)
    for source, gi, wanted, kind in zip(node.inputs, made, want, sig.types, strict=True):
        if wanted and gi is not None:
            if gi.type is not kind:
                gi = unsum(gi, kind)
            if Anomaly.on:
                gi = _checked(gi, node)
            before = found.get(source)
            found[source] = gi if before is None else total(before, gi)


def _checked(g: Node, node: Node) -> Node:
    """The gradient, found to be at fault if there is a NaN in it."""
    text = (
        f"detect_anomaly: the gradient of '{node.sig.op.name}' (shape {list(node.type.shape)}) "
        "should consist of numbers"
    )
    wrong = ew.where(ew.isnan(g), ew.abs_(g), 0)
    return ew.add(g, ew.cast(in_range(wrong, text, -1, 1), g.type.dtype))


def release(nodes: Sequence[Node]) -> None:
    """Lets the history of ``nodes`` go."""
    for node in nodes:
        if node.tracks & HISTORY:
            node.tracks = RELEASED
            node.extra = None
            if node.value is not None:
                node.inputs = ()


def add_hook(node: Node, hook: Hook) -> None:
    """Calls ``hook(node, found)`` when a walk has ``node``'s gradient complete.

    A hook with a true ``is_last`` runs after those without, also after those that are added later.
    """
    if not node.tracks & HOOKED:
        node.tracks |= HOOKED
        node.extra = []
    hooks: list[Hook] = node.extra
    at = len(hooks)
    if not getattr(hook, "is_last", False):
        while at and getattr(hooks[at - 1], "is_last", False):
            at -= 1
    hooks.insert(at, hook)


def remove_hook(node: Node, hook: Hook) -> None:
    """Undoes :func:`add_hook`, where the hook is still there."""
    if node.tracks & HOOKED and hook in node.extra:
        node.extra.remove(hook)
