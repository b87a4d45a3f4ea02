"""Functions of nodes that are recorded once, and called as one node (``weft/graph/body.py``).

The gradient of a call is a call, too: of what its ops' own rules record. It computes what it needs
of the call once more; where both are in one graph, that is the same value and computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

from .dtypes import float32
from .engine.realize import LOCK, Hold
from .engine.reference import bind
from .gradient import gradients
from .graph.body import Body, Gradient, Part
from .graph.modes import grad_mode
from .graph.node import (
    GONE,
    HISTORY,
    Grads,
    Node,
    Op,
    TensorType,
    leaf,
    next_order,
    record,
    record1,
    type_of,
)
from .ops.accumulate import bundle
from .ops.complex import conj
from .ops.elementwise import mul, same

#: A function of options, which are part of its key, and of nodes.
Function = Callable[..., Sequence[Node]]

#: Where ops must be seen one by one (``vmap`` records them once more for a batch).
op_by_op: ContextVar[bool] = ContextVar("op_by_op", default=False)

_MAX_BODIES = 4096  # beyond it, shapes vary without end: start afresh
_bodies: dict[Any, Body] = {}


def call(function: Function, options: Hashable, inputs: Sequence[Node]) -> Sequence[Node]:
    """``function(options, *inputs)``, recorded as one node.

    Args:
        function: records ops and gives nodes; what it does depends on options and the inputs'
            types alone. It draws no random numbers and none of its ops can fail.
        options: must be hashable.

    Returns:
        What the function gives.
    """
    if op_by_op.get():
        return function(options, *inputs)
    key = (function, options, tuple([x.type for x in inputs]))
    body = _bodies.get(key)
    if body is None:
        if len(_bodies) >= _MAX_BODIES:
            _bodies.clear()
        body = _bodies[key] = _apart(_recorded, function, options, inputs)
    return _call(body, tuple(inputs))


def composed(rule: Callable[..., Node], *args: Any) -> Node:
    """``rule(*args)``, a node made of several ops, recorded as one.

    Args:
        rule: as for :func:`call`; a function that lasts, since it is part of the key.
        args: nodes, and after them options, which must be hashable.
    """
    count = sum([isinstance(a, Node) for a in args])
    return call(_of_rule, (rule, args[count:]), args[:count])[0]


def by_element(rule: Callable[[Node], Node], slope: Callable[[Node], Node], x: Node) -> Node:
    """``rule(x)``, of each element by itself, recorded as one node; ``slope(x)`` is its derivative.

    A slope that stands by itself can be computed in the forward pass, and is all that is kept for
    the gradient.
    """
    return call(_of_element, (rule, slope), (x,))[0]


def is_composed(node: Node, rule: Callable[..., Node], *options: Any) -> bool:
    """Was it recorded by :func:`composed`, of this rule with these options?"""
    body = node.sig.attrs
    return isinstance(body, Body) and body.source == (_of_rule, (rule, options))


def _of_rule(options: tuple[Callable[..., Node], tuple[Any, ...]], *nodes: Node) -> tuple[Node]:
    rule, rest = options
    return (rule(*nodes, *rest),)


def _of_element(options: tuple[Callable[[Node], Node], Any], x: Node) -> tuple[Node]:
    return (options[0](x),)


def _call(body: Body, inputs: tuple[Node, ...]) -> list[Node]:
    if len(body.outputs) == 1:
        return [record(_CALL, inputs, body)]
    with LOCK:  # no other thread runs the call before it has its parts: it has no value itself
        return _parts(body, inputs)


def _parts(body: Body, inputs: tuple[Node, ...]) -> list[Node]:
    node = record(_CALL, inputs, body)
    return [record1(_PART, node, Part(body, k)) for k in range(len(body.outputs))]


Made = TypeVar("Made")


def _apart(make: Callable[..., Made], *args: Any) -> Made:
    """``make(*args)``, which records nodes without values, and keeps none when it returns.

    Meanwhile nobody runs what is recorded. Afterwards they are dead, and are dropped.
    """
    with LOCK, Hold():
        return make(*args)


def _placeholder(kind: TensorType, tracks: int = 0) -> Node:
    node = leaf(GONE, kind)
    node.tracks = tracks
    return node


def _recorded(function: Function, options: Hashable, inputs: Sequence[Node]) -> Body:
    token, no_calls = grad_mode.set(False), op_by_op.set(True)
    try:
        given = [_placeholder(x.type) for x in inputs]
        outputs = _own_nodes(given, function(options, *given))
        return Body(given, outputs, (function, options))
    finally:
        grad_mode.reset(token)
        op_by_op.reset(no_calls)


def _own_nodes(inputs: Sequence[Node], outputs: Sequence[Node]) -> list[Node]:
    """The outputs, each a node of its own and none an input."""
    seen = {*inputs}
    found = []
    for y in outputs:
        one = same(y) if y in seen or y.value is not None else y
        seen.add(one)
        found.append(one)
    return found


# ---- the primitives


def _infer_call(body: Body, *types: TensorType) -> TensorType:
    return body.kinds[0] if len(body.kinds) == 1 else type_of((), float32)


def _results(body: Body, numbers: Sequence[int], arrays: Sequence[Any]) -> list[Any]:
    """Some results of a body, and no step that does not lead to them."""
    values = [*arrays, *[c.value for c in body.constants], *[None] * len(body.steps)]
    first = len(values) - len(body.steps)
    for k in body.needed(numbers):
        sig, places = body.steps[k]
        values[first + k] = bind(sig)(*[values[p] for p in places])
    return [values[body.outputs[n]] for n in numbers]


def _run_call(body: Body, *arrays: Any) -> Any:
    found = _results(body, range(len(body.outputs)), arrays)
    return found if len(found) > 1 else found[0]


def _run_piece(part: Part, *arrays: Any) -> Any:
    return _results(part.body, (part.number,), arrays)[0]


def _call_rule(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    body: Body = node.sig.attrs
    if body.source is not None and body.source[0] is _of_element:
        slope = body.source[1][1]
        return (mul(g, conj(composed(slope, node.inputs[0]))),)
    given, seeds = ((0,), (g,)) if len(body.outputs) == 1 else (g.sig.attrs[1], g.inputs)
    key = (tuple(want), given)
    if key not in body.derived:
        body.derived[key] = _apart(_derived, body, want, given)
    gradient, wanted = body.derived[key]
    found: list[Node | None] = [None] * len(want)
    if gradient is not None:
        for k, y in zip(wanted, _call(gradient, (*node.inputs, *seeds)), strict=True):
            found[k] = y
    return found


def _derived(
    body: Body, want: Sequence[bool], given: Sequence[int]
) -> tuple[Body | None, list[int]]:
    """What computes the gradients of the inputs that are wanted and have one, and which these are.

    Its inputs are the body's, and the gradients of the outputs that are ``given``.
    """
    token = grad_mode.set(True)
    try:
        inputs = [_placeholder(t, HISTORY * w) for t, w in zip(body.inputs, want, strict=True)]
        start = next_order()
        outputs = body.recorded(inputs)
        roots = [outputs[k] for k in given]
        seeds = [_placeholder(y.type) for y in roots]
        targets = [x for x, w in zip(inputs, want, strict=True) if w]
        found = gradients(roots, seeds, targets, retain=True, since=start)
    finally:
        grad_mode.reset(token)
    wanted = [k for k, x in enumerate(inputs) if x in found]
    if not wanted:
        return None, wanted
    given_nodes = [*inputs, *seeds]
    results = _own_nodes(given_nodes, [found[inputs[k]] for k in wanted])
    return Body(given_nodes, results, Gradient(body, tuple(wanted))), wanted


def _infer_part(part: Part, call: TensorType) -> TensorType:
    return part.body.kinds[part.number]


def _part_rule(node: Node, g: Node, want: Sequence[bool]) -> Grads:
    return (bundle((g,), node.sig.types[0], (node.sig.attrs.number,)),)


_ALL = tuple(range(1024))  # (of those that there are: gradients compute from the inputs)
# (What is conjugated, the walk through their bodies says.)
_CALL = Op("call", _infer_call, _run_call, _call_rule, needs=_ALL, analytic=False)
_PART = Op(
    "part", _infer_part, lambda part, values: values[part.number], _part_rule, analytic=False
)
#: A result of a call that is not taken apart, of the call's own inputs. Planning makes them.
_PIECE = Op("piece", lambda part, *types: part.body.kinds[part.number], _run_piece)
