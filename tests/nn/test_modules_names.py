"""``weft.nn.modules``: bases of layers where programs written for PyTorch look for them."""

from __future__ import annotations

import importlib

import pytest

import weft
from weft import nn
from weft.nn.attention import SDPBackend, sdpa_kernel
from weft.nn.modules.utils import (
    _ntuple,
    _pair,
    _reverse_repeat_tuple,
    consume_prefix_in_state_dict_if_present,
)

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")


@pytest.mark.parity
@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("batchnorm", ["_BatchNorm", "_NormBase", "BatchNorm2d", "SyncBatchNorm"]),
        ("instancenorm", ["_InstanceNorm", "InstanceNorm1d"]),
        ("normalization", ["LayerNorm", "GroupNorm", "LocalResponseNorm"]),
        ("conv", ["_ConvNd", "_ConvTransposeNd", "Conv3d"]),
        ("dropout", ["_DropoutNd", "Dropout2d"]),
        ("loss", ["_Loss", "_WeightedLoss", "CrossEntropyLoss"]),
        ("pooling", ["_MaxPoolNd", "_AvgPoolNd", "AdaptiveAvgPool2d"]),
        ("padding", ["_ConstantPadNd", "ZeroPad2d"]),
        ("container", ["Sequential", "ModuleList", "ParameterDict"]),
        ("rnn", ["RNNBase", "LSTM", "GRUCell"]),
        ("linear", ["Linear", "Bilinear", "Identity"]),
        ("activation", ["ReLU", "PReLU"]),
        ("sparse", ["Embedding", "EmbeddingBag"]),
        ("transformer", ["Transformer", "TransformerEncoderLayer"]),
        ("upsampling", ["Upsample"]),
        ("pixelshuffle", ["PixelShuffle"]),
        ("fold", ["Fold", "Unfold"]),
        ("flatten", ["Flatten", "Unflatten"]),
        ("distance", ["CosineSimilarity"]),
        ("module", ["Module"]),
    ],
)
def test_classes_are_where_pytorch_has_them(file: str, names: list[str]) -> None:
    ours = importlib.import_module(f"weft.nn.modules.{file}")
    theirs = importlib.import_module(f"torch.nn.modules.{file}")
    assert getattr(nn.modules, file) is ours
    for name in names:
        assert hasattr(theirs, name)
        assert issubclass(getattr(ours, name), nn.Module)
        if not name.startswith("_"):
            assert getattr(ours, name) is getattr(nn, name) is getattr(nn.modules, name)


def test_hooks_on_all_modules_are_with_their_base() -> None:
    assert set(nn.modules.module.__all__) <= set(vars(torch.nn.modules.module))
    called: list[str] = []
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, given, result: called.append(type(module).__name__)
    )
    nn.Sequential(nn.ReLU())(weft.ones(1))
    handle.remove()
    assert called == ["ReLU", "Sequential"]


def test_bases_say_what_a_layer_is() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.Linear(2, 2))
    assert [isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model] == [
        False,
        True,
        False,
        False,
    ]
    assert [isinstance(m, nn.modules.conv._ConvNd) for m in model] == [True, False, False, False]


def test_tuples() -> None:
    theirs = torch.nn.modules.utils
    for value in (3, (1, 2), [4, 5]):
        assert _pair(value) == theirs._pair(value)
        assert _ntuple(5)(value) == theirs._ntuple(5)(value)
    assert _reverse_repeat_tuple((1, 2, 3), 2) == theirs._reverse_repeat_tuple((1, 2, 3), 2)


def test_a_prefix_is_taken_off() -> None:
    inner = nn.Sequential(nn.Linear(2, 2))
    state = nn.DataParallel(inner).state_dict()
    consume_prefix_in_state_dict_if_present(state, "module.")
    assert list(state) == list(inner.state_dict())
    assert state._metadata == inner.state_dict()._metadata
    inner.load_state_dict(state)


def test_the_choice_of_a_kernel_changes_nothing() -> None:
    q = weft.randn(1, 2, 3, 4)
    expected = nn.functional.scaled_dot_product_attention(q, q, q)
    with sdpa_kernel([SDPBackend.MATH, SDPBackend.FLASH_ATTENTION]):
        found = nn.functional.scaled_dot_product_attention(q, q, q)
    assert weft.equal(found, expected)


def test_fans_by_pytorchs_name() -> None:
    weight = weft.zeros(6, 3, 2, 2)
    theirs = torch.nn.init._calculate_fan_in_and_fan_out(torch.zeros(6, 3, 2, 2))
    assert nn.init._calculate_fan_in_and_fan_out(weight) == theirs


def test_a_base_beside_module_may_begin_the_instance() -> None:
    class Configured:
        def __new__(cls, *args: object, **kwargs: object) -> object:
            self = super().__new__(cls)
            self.config = (args, kwargs)
            return self

    class Net(nn.Module, Configured):
        def __init__(self, n: int, bias: bool = True) -> None:
            super().__init__()
            self.layer = nn.Linear(n, 2, bias=bias)

    net = Net(3, bias=False)
    assert net.config == ((3,), {"bias": False})
    assert [n for n, _ in net.named_parameters()] == ["layer.weight"]
