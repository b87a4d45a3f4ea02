"""Recurrent networks: the step of each kind of cell, and whole sequences through layers of them.

A sequence is a matrix of rows: those of the first step (one for each sample), then those of the
second, and so on. Samples are sorted by length, longest first, so that each step concerns the first
few of them; without padding, all. That is what :class:`weft.nn.utils.rnn.PackedSequence` holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from ...calls import call
from ...dtypes import dtype, float32, float64
from ...graph.node import Node
from ...ops import elementwise as ew, movement as mv
from ...ops.contract import matmul
from ...tensors.autocasting import autocast_mode, kind_for
from .dropout import dropout_node

State = tuple[Node, ...]  # (h,), or (h, c) of an LSTM: each [samples, features]


class Weights(NamedTuple):
    """Of one direction of one layer (or of a cell), as in the state dict."""

    ih: Node
    hh: Node
    bias_ih: Node | None = None
    bias_hh: Node | None = None
    hr: Node | None = None  # the projection of an LSTM's output


class _Ready(NamedTuple):
    """Weights as the steps use them."""

    ih: Node  # [gates, input]
    hh: Node  # [gates, hidden]
    bias: Node | None  # added to the projected input
    bias_hidden: Node | None  # added to the projected hidden state
    hr: Node | None


def _plus(x: Node, bias: Node | None) -> Node:
    return x if bias is None else ew.add(x, bias)


def _rows(x: Node, start: int, stop: int) -> Node:
    whole = x.type.whole[1:]
    return mv.slice_(x, ((start, stop, 1), *whole))


def _columns(x: Node, start: int, stop: int) -> Node:
    return mv.slice_(x, ((0, x.type.shape[0], 1), (start, stop, 1)))


def _gates(count: int, n: int, *sources: Node) -> list[list[Node]]:
    """For each gate its columns of each source: sums of them are computed where they are used."""
    return [[_columns(s, k * n, (k + 1) * n) for s in sources] for k in range(count)]


# ---- one step; x is the projected input [samples, gates]


def _tanh_step(x: Node, state: State, w: _Ready) -> State:
    return (ew.tanh(ew.add(x, matmul(state[0], w.hh, turn_b=True))),)


def _relu_step(x: Node, state: State, w: _Ready) -> State:
    return (ew.relu(ew.add(x, matmul(state[0], w.hh, turn_b=True))),)


def _lstm_step(x: Node, state: State, w: _Ready) -> State:
    """Hochreiter and Schmidhuber (1997); gates in the order input, forget, cell, output."""
    h, c = state
    n = c.type.shape[1]
    enter, forget, new, out = (
        ew.add(*part) for part in _gates(4, n, x, matmul(h, w.hh, turn_b=True))
    )
    kept = ew.mul(ew.sigmoid(forget), c)
    c = ew.add(kept, ew.mul(ew.sigmoid(enter), ew.tanh(new)))
    h = ew.mul(ew.sigmoid(out), ew.tanh(c))
    return h if w.hr is None else matmul(h, w.hr, turn_b=True), c


def _gru_step(x: Node, state: State, w: _Ready) -> State:
    """Cho et al. (2014); gates in the order reset, update, new."""
    h = state[0]
    n = h.type.shape[1]
    hidden = _plus(matmul(h, w.hh, turn_b=True), w.bias_hidden)
    parts = _gates(3, n, x, hidden)
    reset, update = (ew.sigmoid(ew.add(*part)) for part in parts[:2])
    new = ew.tanh(ew.add(parts[2][0], ew.mul(reset, parts[2][1])))
    return (ew.add(new, ew.mul(update, ew.sub(h, new))),)


Step = Callable[[Node, State, _Ready], State]

STEPS: dict[str, Step] = {
    "RNN_TANH": _tanh_step,
    "RNN_RELU": _relu_step,
    "LSTM": _lstm_step,
    "GRU": _gru_step,
}

#: How many gates a kind of cell has.
GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


def _ready(mode: str, w: Weights) -> _Ready:
    bias, hidden = w.bias_ih, w.bias_hh
    if mode != "GRU" and bias is not None and hidden is not None:
        bias, hidden = ew.add(bias, hidden), None  # only a GRU's reset gate comes between them
    return _Ready(w.ih, w.hh, bias, hidden, w.hr)


def under_autocast(
    mode: str, x: Node, state: State, weights: Sequence[Weights], is_cell: bool = False
) -> tuple[Node, State, Sequence[Weights], dtype | None]:
    """The operands as autocast wants them, and the dtype to give results in, if not theirs.

    As in PyTorch, the plain cell and whole sequences of an LSTM run in the low type. The others
    keep the state in the dtype that it came in, so they are computed in float32.
    """
    kind = kind_for(x, autocast_mode.get() or {})
    if kind is None or weights[0].ih.type.dtype is float64:
        return x, state, weights, None
    keeps = mode == "GRU" or (is_cell and mode == "LSTM")
    own = state[0].type.dtype if keeps else None
    kind = float32 if keeps else kind

    def cast(node: Node | None) -> Any:
        return None if node is None else ew.cast(node, kind)

    weights = [Weights(*map(cast, w)) for w in weights]
    return cast(x), tuple(map(cast, state)), weights, own


def cell(mode: str, x: Node, state: State, weights: Weights) -> State:
    """One step of a cell: ``x`` ``[samples, input]``, the state's parts ``[samples, hidden]``."""
    x, state, (weights,), kind = under_autocast(mode, x, state, [weights], is_cell=True)
    given, has = _given(weights)
    return _as(kind, tuple(call(_cell, (mode, has), (x, *state, *given))))


def _cell(options: tuple[str, Sequence[bool]], *nodes: Node) -> State:
    mode, has = options
    x, state, w = _operands(mode, has, nodes)
    return STEPS[mode](_plus(matmul(x, w.ih, turn_b=True), w.bias), state, w)


def _given(weights: Weights) -> tuple[list[Node], tuple[bool, ...]]:
    """The weights that there are, and which of all these are."""
    return [n for n in weights if n is not None], tuple([n is not None for n in weights])


def _operands(mode: str, has: Sequence[bool], nodes: Sequence[Node]) -> tuple[Node, State, _Ready]:
    """Input, state and weights of a call."""
    x, *rest = nodes
    count = len(rest) - sum(has)
    given = iter(rest[count:])
    weights: list[Any] = [next(given) if there else None for there in has]
    return x, tuple(rest[:count]), _ready(mode, Weights(*weights))


def _as(kind: dtype | None, nodes: State) -> State:
    return nodes if kind is None else tuple([ew.cast(n, kind) for n in nodes])


# ---- whole sequences


def _by_step(x: Node, sizes: Sequence[int]) -> list[Node]:
    """The rows of each step."""
    starts = [0, *accumulate(sizes)]
    return [_rows(x, start, start + n) for start, n in zip(starts, sizes)]  # noqa: B905


def _forwards(step: Step, steps: list[Node], state: State, w: _Ready) -> tuple[list[Node], State]:
    outputs: list[Node] = []
    ended: list[State] = []  # states of samples that end before the others, longest last
    for x in steps:
        n, before = x.type.shape[0], state[0].type.shape[0]
        if n < before:
            ended.append(tuple([_rows(s, n, before) for s in state]))
            state = tuple([_rows(s, 0, n) for s in state])
        state = step(x, state, w)
        outputs.append(state[0])
    final = tuple([mv.concat(parts, 0) for parts in zip(state, *reversed(ended))])  # noqa: B905
    return outputs, final if ended else state


def _backwards(step: Step, steps: list[Node], first: State, w: _Ready) -> tuple[list[Node], State]:
    outputs: list[Node] = []
    state = tuple([_rows(s, 0, steps[-1].type.shape[0]) for s in first])
    for x in reversed(steps):
        n, before = x.type.shape[0], state[0].type.shape[0]
        if n > before:  # samples that end here begin here
            state = tuple(
                [mv.concat((s, _rows(f, before, n)), 0) for s, f in zip(state, first, strict=True)]
            )
        state = step(x, state, w)
        outputs.append(state[0])
    return outputs[::-1], state


def _side(options: tuple[str, Sequence[int], bool, Sequence[bool]], *nodes: Node) -> list[Node]:
    """One direction of one layer: its output for all rows, and the parts of the final state."""
    mode, sizes, is_reversed, has = options
    x, state, w = _operands(mode, has, nodes)
    steps = _by_step(_plus(matmul(x, w.ih, turn_b=True), w.bias), sizes)
    run = _backwards if is_reversed else _forwards
    outputs, final = run(STEPS[mode], steps, state, w)
    return [mv.concat(outputs, 0), *final]


def _stacked(states: Sequence[Node]) -> Node:
    return mv.concat([mv.reshape(s, (1, *s.type.shape)) for s in states], 0)


def recurrent(
    mode: str,
    x: Node,
    sizes: Sequence[int],
    first: State,
    weights: Sequence[Weights],
    directions: int,
    dropout_p: float = 0.0,
) -> tuple[Node, State]:
    """A sequence through all layers and directions.

    Args:
        mode: a key of ``STEPS``.
        x: ``[rows, input]``, the rows of all steps.
        sizes: how many rows each step has, never more than the one before.
        first: the parts of the first state, ``[layers * directions, samples, hidden]``.
        weights: for each layer, each direction.
        dropout_p: the probability of dropout between layers.

    Returns:
        The last layer's output ``[rows, directions * hidden]``, and the final state.
    """
    x, first, weights, kind = under_autocast(mode, x, first, weights)
    finals: list[State] = []
    for layer in range(0, len(weights), directions):
        if layer and dropout_p > 0:
            x = dropout_node(x, dropout_p)
        sides = []
        for direction in range(directions):
            k = layer + direction
            state = [mv.reshape(_rows(f, k, k + 1), f.type.shape[1:]) for f in first]
            given, has = _given(weights[k])
            options = mode, tuple(sizes), bool(direction), has
            side, *parts = call(_side, options, (x, *state, *given))
            sides.append(side)
            finals.append(tuple(parts))
        x = mv.concat(sides, 1)
    final = tuple([_stacked(parts) for parts in zip(*finals, strict=True)])
    return _as(kind, (x,))[0], _as(kind, final)
