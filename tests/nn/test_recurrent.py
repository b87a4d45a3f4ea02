"""Recurrent layers, cells and packed sequences, beside PyTorch's, and their mistakes."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from side_by_side import assert_same, draw

import weft
from weft import nn
from weft.autograd import gradgradcheck
from weft.errors import DTypeError, ShapeError
from weft.nn.utils import rnn as ours_rnn

KINDS: dict[str, Any] = {
    "RNN": lambda m, **o: m.RNN(3, 4, **o),
    "RNN relu": lambda m, **o: m.RNN(3, 4, nonlinearity="relu", **o),
    "LSTM": lambda m, **o: m.LSTM(3, 4, **o),
    "LSTM projected": lambda m, **o: m.LSTM(3, 4, proj_size=2, **o),
    "GRU": lambda m, **o: m.GRU(3, 4, **o),
}
LENGTHS = [2, 5, 3, 5]


def state_of(kind: str, places: int, *batch: int) -> Any:
    h = draw(places, *batch, 2 if "projected" in kind else 4, seed=3)
    return (h, draw(places, *batch, 4, seed=4)) if "LSTM" in kind else h


@pytest.mark.parity
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("layers", "both", "bias", "batch_first"),
    [(1, False, True, False), (2, True, True, False), (1, True, False, True)],
)
@pytest.mark.parametrize(("batched", "given"), list(product([True, False], repeat=2)))
def test_layer(
    kind: str,
    layers: int,
    both: bool,
    bias: bool,
    batch_first: bool,
    batched: bool,
    given: bool,
    torch: Any,
) -> None:
    def make(m: Any) -> Any:
        return KINDS[kind](
            m, num_layers=layers, bidirectional=both, bias=bias, batch_first=batch_first
        )

    x = draw(5, 2, 3) if batched else draw(5, 3)
    hx = (state_of(kind, layers * (1 + both), *([5 if batch_first else 2] * batched)),)
    assert_same(make, x, *(hx if given else ()), torch=torch)


@pytest.mark.parity
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_packed(kind: str, both: bool, given: bool, torch: Any) -> None:
    theirs = KINDS[kind](torch.nn, num_layers=2, bidirectional=both).double()
    ours = KINDS[kind](nn, num_layers=2, bidirectional=both).double()
    ours.load_state_dict({k: weft.from_numpy(v.numpy()) for k, v in theirs.state_dict().items()})
    results = []
    for lib, utils, layer in (
        (weft, ours_rnn, ours),
        (torch, torch.nn.utils.rnn, theirs),
    ):
        x = lib.tensor(draw(5, 4, 3), requires_grad=True)
        hx = state_of(kind, 2 * (1 + both), 4)
        hx = tuple(map(lib.tensor, hx)) if isinstance(hx, tuple) else lib.tensor(hx)
        packed = utils.pack_padded_sequence(x, lib.tensor(LENGTHS), enforce_sorted=False)
        out, final = layer(packed, hx) if given else layer(packed)
        y, lengths = utils.pad_packed_sequence(out)
        assert lengths.tolist() == LENGTHS
        parts = list(final) if isinstance(final, tuple) else [final]
        sum((p * p).sum() for p in [y, *parts]).backward()
        grads = [x.grad, *[p.grad for p in layer.parameters()]]
        results.append([v.detach().numpy() for v in [y, *parts, *grads]])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, 1e-9, 1e-10)


@pytest.mark.parity
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
def test_helpers_for_lengths(batch_first: bool, side: str, torch: Any) -> None:
    items = [draw(n, 2, seed=n) for n in (4, 2, 1)]
    results = []
    for lib, utils in ((weft, ours_rnn), (torch, torch.nn.utils.rnn)):
        xs = [lib.tensor(x) for x in items]
        padded = utils.pad_sequence(xs, batch_first, -1.0, side)
        packed = utils.pack_sequence([xs[1], xs[0], xs[2]], enforce_sorted=False)
        back, lengths = utils.pad_packed_sequence(packed, batch_first, 7.0, total_length=6)
        unpacked = utils.unpack_sequence(packed)
        results.append([padded, *packed, back, lengths, *unpacked])
    for a, b in zip(*results, strict=True):
        assert np.array_equal(a.numpy(), b.numpy())


CELLS = {
    "RNNCell": lambda m: m.RNNCell(3, 4),
    "RNNCell relu": lambda m: m.RNNCell(3, 4, bias=False, nonlinearity="relu"),
    "LSTMCell": lambda m: m.LSTMCell(3, 4),
    "GRUCell": lambda m: m.GRUCell(3, 4),
    "GRUCell no bias": lambda m: m.GRUCell(3, 4, bias=False),
}


@pytest.mark.parity
@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(("batch", "given"), list(product([(2,), ()], [False, True])))
def test_cell(kind: str, batch: tuple[int, ...], given: bool, torch: Any) -> None:
    h = draw(*batch, 4, seed=1)
    hx = ((h, draw(*batch, 4, seed=2)) if "LSTM" in kind else h,)
    assert_same(CELLS[kind], draw(*batch, 3), *(hx if given else ()), torch=torch)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_second_order(kind: str) -> None:
    layer = KINDS[kind](nn, bidirectional=True).double()
    x = weft.tensor(draw(3, 1, 3), requires_grad=True)
    assert gradgradcheck(lambda x: layer(x)[0], [x])


def test_dropout_between_layers_in_training_only() -> None:
    layer, x = nn.GRU(3, 4, num_layers=2, dropout=0.5), weft.tensor(draw(5, 2, 3)).float()
    assert not np.array_equal(layer(x)[0].detach().numpy(), layer(x)[0].detach().numpy())
    layer.eval()
    assert np.array_equal(layer(x)[0].detach().numpy(), layer(x)[0].detach().numpy())
    with pytest.warns(UserWarning, match="num_layers=1"):
        nn.GRU(3, 4, dropout=0.5)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: nn.LSTM(3, 4)(weft.ones(5, 2, 4)), ShapeError, "input_size=3"),
        (lambda: nn.LSTM(3, 4)(weft.ones(3)), ShapeError, r"\[length, batch, input_size\]"),
        (lambda: nn.LSTM(3, 4)(weft.ones(5, 2, 3).double()), DTypeError, "convert the input"),
        (lambda: nn.LSTM(3, 4)(weft.ones(0, 2, 3)), ShapeError, "at least one step"),
        (
            lambda: nn.GRU(3, 4)(weft.ones(5, 2, 3), weft.ones(1, 3, 4)),
            ShapeError,
            r"must have shape \[1, 2, 4\]",
        ),
        (lambda: nn.LSTM(3, 4, proj_size=4), ValueError, "smaller than hidden_size"),
        (lambda: nn.RNN(3, 4, nonlinearity="tan"), ValueError, "'tan'"),
        (lambda: nn.RNN(3, 4, dropout=2.0), ValueError, "between 0 and 1"),
        (lambda: nn.GRUCell(3, 4)(weft.ones(2, 5)), ShapeError, r"\[batch, 3\]"),
        (
            lambda: ours_rnn.pack_padded_sequence(weft.ones(3, 2, 1), [1, 3]),
            ValueError,
            "enforce_sorted=False",
        ),
        (
            lambda: ours_rnn.pack_padded_sequence(weft.ones(3, 2, 1), [4, 1]),
            ValueError,
            "from 1 to the 3 steps",
        ),
        (
            lambda: ours_rnn.pack_padded_sequence(weft.ones(3, 2, 1), [3]),
            ShapeError,
            "1 lengths for a batch of 2",
        ),
    ],
)
def test_mistakes(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()
