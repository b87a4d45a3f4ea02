"""PyTorch's modules as weft's: they print alike, hold the same state and compute the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import weft
from weft.errors import UnsupportedOp

torch = pytest.importorskip(
    "torch", reason="converts PyTorch's modules: pip install 'weft[parity]'"
)
tnn = torch.nn

pytestmark = pytest.mark.parity


def assert_same(theirs: Any, *inputs: Any) -> Any:
    ours = weft.from_torch(theirs)
    text = repr(theirs).replace("torch.FloatTensor", "weft.float32").replace("torch.", "weft.")
    assert repr(ours) == text
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    for name, value in ours.state_dict().items():
        assert str(value.dtype).removeprefix("weft.") == str(state[name].dtype).removeprefix(
            "torch."
        )
        np.testing.assert_array_equal(value.numpy(), state[name].numpy())
    assert [(n, p.requires_grad) for n, p in ours.named_parameters()] == [
        (n, p.requires_grad) for n, p in theirs.named_parameters()
    ]
    assert [m.training for m in ours.modules()] == [m.training for m in theirs.modules()]
    if inputs:
        wanted = theirs.eval()(*[torch.from_numpy(x) for x in inputs])
        got = ours.eval()(*[weft.from_numpy(x) for x in inputs])
        pairs = zip(got, wanted, strict=True) if isinstance(wanted, tuple) else [(got, wanted)]
        for a, b in pairs:
            if not isinstance(b, tuple):
                np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 1e-4, 1e-5)
    return ours


def draw(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype("f4")


LAYERS: list[tuple[Callable[[], Any], tuple[Any, ...]]] = [
    (lambda: tnn.Linear(3, 2, bias=False), (draw(4, 3),)),
    (lambda: tnn.Conv2d(4, 6, 3, 2, 1, 2, groups=2), (draw(2, 4, 9, 9),)),
    (lambda: tnn.Conv1d(2, 3, 3, padding="same", bias=False), (draw(2, 2, 7),)),
    (lambda: tnn.BatchNorm2d(3, eps=0.1, momentum=None), (draw(2, 3, 4, 4),)),
    (lambda: tnn.BatchNorm1d(3, affine=False, track_running_stats=False), (draw(2, 3),)),
    (lambda: tnn.LayerNorm((2, 3), bias=False), (draw(4, 2, 3),)),
    (lambda: tnn.GroupNorm(2, 4, affine=False), (draw(2, 4, 3),)),
    (lambda: tnn.Embedding(5, 3, padding_idx=1), (np.array([[0, 1], [4, 2]]),)),
    (lambda: tnn.LSTM(3, 4, 2, bidirectional=True, proj_size=2), (draw(5, 2, 3),)),
    (lambda: tnn.RNN(3, 4, nonlinearity="relu", bias=False), (draw(5, 2, 3),)),
    (lambda: tnn.GRUCell(3, 4), (draw(2, 3), draw(2, 4))),
    (
        lambda: tnn.MultiheadAttention(4, 2, add_bias_kv=True, kdim=3, vdim=5),
        (draw(2, 3, 4), draw(6, 3, 3), draw(6, 3, 5)),
    ),
    (lambda: tnn.Transformer(4, 2, 1, 2, 8, activation="gelu"), (draw(3, 2, 4), draw(2, 2, 4))),
    (
        lambda: tnn.TransformerEncoder(
            tnn.TransformerEncoderLayer(4, 2, 8, activation=tnn.GELU(), norm_first=True), 2,
            enable_nested_tensor=False,
        ),
        (draw(3, 2, 4),),
    ),
    (lambda: tnn.CrossEntropyLoss(torch.ones(3), label_smoothing=0.1), ()),
    (lambda: tnn.ModuleList([tnn.PReLU(3), tnn.Softmax(-1)]), ()),
    (lambda: tnn.ModuleDict({"a": tnn.Dropout(0.2), "b": tnn.ELU(0.5, True)}), ()),
    (lambda: tnn.ParameterList([torch.ones(2), torch.zeros(1)]), ()),
    (lambda: tnn.ParameterDict({"x": tnn.Parameter(torch.ones(2))}), ()),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # PyTorch's, on what it cannot do faster
@pytest.mark.parametrize(("make", "inputs"), LAYERS)
def test_layers(make: Callable[[], Any], inputs: tuple[Any, ...]) -> None:
    assert_same(make(), *inputs)


STEPS: list[Callable[[], Any]] = [
    lambda: tnn.Linear(4, 4),
    lambda: tnn.ReLU(),
    lambda: tnn.LayerNorm(4),
    lambda: tnn.Dropout(0.3),
    lambda: tnn.Linear(4, 4, bias=False).double().float().requires_grad_(False),
]
TREES = st.recursive(
    st.sampled_from(STEPS).map(lambda make: make()),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda ms: tnn.Sequential(*ms)),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(TREES, st.booleans())
def test_any_tree(tree: Any, training: bool) -> None:
    assert_same(tnn.Sequential(tree, tree).train(training), draw(2, 4))


def test_what_is_shared_stays_shared() -> None:
    layer = tnn.Linear(3, 3)
    tied = tnn.Linear(3, 3)
    tied.weight = layer.weight
    ours = assert_same(tnn.Sequential(layer, layer, tied), draw(2, 3))
    assert ours[0] is ours[1]
    assert ours[2].weight is ours[0].weight
    assert ours[2] is not ours[0]


def test_values_are_copies_of_any_dtype() -> None:
    for dtype in ("float64", "float16", "bfloat16"):
        theirs = tnn.Linear(2, 2).to(getattr(torch, dtype))
        ours = weft.from_torch(theirs)
        assert ours.weight.dtype is getattr(weft, dtype)
        before = ours.weight.tolist()
        assert before == theirs.weight.tolist()
        theirs.weight.data.zero_()
        assert ours.weight.tolist() == before
    x = weft.from_torch(torch.arange(3, dtype=torch.int32))
    assert x.dtype is weft.int32
    assert x.tolist() == [0, 1, 2]
    assert weft.from_torch(torch.ones(1, requires_grad=True)).requires_grad


@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: tnn.LazyLinear(4, bias=False), (2, 3)),
        (lambda: tnn.LazyConv2d(4, 3, padding=1, stride=2), (2, 3, 6, 6)),
        (lambda: tnn.LazyConvTranspose1d(4, 3), (2, 3, 6)),
        (lambda: tnn.LazyBatchNorm1d(eps=0.1, momentum=0.3), (2, 3)),
        (lambda: tnn.LazyInstanceNorm2d(affine=True), (2, 3, 4, 4)),
        (lambda: tnn.Sequential(tnn.LazyLinear(4), tnn.ReLU(), tnn.LazyLinear(2)), (2, 3)),
    ],
)
def test_lazy_layers(make: Callable[[], Any], shape: tuple[int, ...]) -> None:
    theirs = make()
    ours = weft.from_torch(theirs)
    assert repr(ours) == repr(theirs)
    theirs(torch.from_numpy(draw(*shape)))
    ours(weft.from_numpy(draw(*shape)))
    assert repr(ours) == repr(theirs)
    assert_same(theirs, draw(*shape))  # as any other layer, now that it has its sizes


def test_a_lazy_layer_with_a_hook_of_the_users() -> None:
    layer = tnn.LazyLinear(2)
    layer.register_forward_pre_hook(lambda *a: None)
    with pytest.raises(UnsupportedOp, match="LazyLinear has hooks"):
        weft.from_torch(layer)


def test_linear_cross_entropy() -> None:
    options = tnn.LinearCrossEntropyOptions(batch_chunk_size=2, chunking_method=None)
    for make in (
        lambda: tnn.LinearCrossEntropyLoss(4, 3, bias=True, label_smoothing=0.1),
        lambda: tnn.LinearCrossEntropyLoss(4, 3, reduction="sum", options=options),
        lambda: tnn.LinearCrossEntropyLoss(4, 3, weight=torch.tensor([1.0, 2.0, 3.0])),
    ):
        theirs = make()
        ours = weft.from_torch(theirs)
        x, t = np.random.default_rng(0).normal(size=(5, 4)).astype("f4"), np.array([0, 1, 2, 0, 1])
        loss = ours(weft.tensor(x), weft.tensor(t)).item()
        assert loss == pytest.approx(theirs(torch.tensor(x), torch.tensor(t)).item(), rel=1e-5)
        assert repr(ours) == repr(theirs)


def test_what_cannot_be_converted() -> None:
    class Own(tnn.Module):  # type: ignore[misc]
        pass

    with pytest.raises(UnsupportedOp, match=r"'0.1' \(Own\) is not one of the layers"):
        weft.from_torch(tnn.Sequential(tnn.Sequential(tnn.ReLU(), Own())))
    layer = tnn.Linear(1, 1)
    layer.register_forward_hook(lambda *a: None)
    with pytest.raises(UnsupportedOp, match="Linear has hooks"):
        weft.from_torch(layer)
    with pytest.raises(TypeError, match=r"torch.nn.Module or a torch.Tensor, not <class 'list'>"):
        weft.from_torch([])
    with pytest.raises(TypeError, match=r"torch.nn.Module"):
        weft.from_torch(weft.nn.Linear(1, 1))
