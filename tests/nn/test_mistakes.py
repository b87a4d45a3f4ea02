"""What users get wrong with layers and losses: the right exception, the module's path, the fix."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.nn.functional as F
from weft import nn
from weft.errors import DeviceError, DTypeError, ShapeError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleList([nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)])
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(8 * 4 * 4, 10))

    def forward(self, x: weft.Tensor) -> weft.Tensor:
        for layer in self.encoder:
            x = layer(x)
        out: weft.Tensor = self.head(x)
        return out


# (what is done, exception, parts of the message)
CALLS: list[tuple[str, Callable[[], object], type[Exception], list[str]]] = [
    (
        "wrong width in a nested layer",
        lambda: Net()(weft.randn(2, 3, 8, 8)),
        ShapeError,
        ["128 features", "[2, 288]", "Linear(288, 10)", "'head.1' (Linear) of Net"],
    ),
    (
        "not flattened",
        lambda: nn.Linear(784, 10)(weft.randn(32, 1, 28, 28)),
        ShapeError,
        ["784", "[32, 1, 28, 28]", "x.flatten(1)", "Linear"],
    ),
    (
        "channels last",
        lambda: Net()(weft.randn(4, 28, 28, 3)),
        ShapeError,
        ["3 channels", "[4, 28, 28, 3]", "x.permute(0, 3, 1, 2)", "encoder.0"],
    ),
    (
        "conv of a matrix",
        lambda: nn.Conv2d(3, 8, 3)(weft.randn(4, 28)),
        ShapeError,
        ["[batch, channels, height, width]", "[4, 28]"],
    ),
    (
        "kernel larger than the input",
        lambda: nn.Conv2d(3, 8, 5)(weft.randn(4, 3, 3, 3)),
        ShapeError,
        ["[5, 5]", "[3, 3]"],
    ),
    (
        "batch norm of other channels",
        lambda: nn.BatchNorm2d(3)(weft.randn(2, 8, 4, 4)),
        ShapeError,
        ["8 channels", "3 elements", "num_features=8"],
    ),
    (
        "batch norm of a matrix",
        lambda: nn.BatchNorm2d(3)(weft.randn(2, 3)),
        ShapeError,
        ["[batch, channels, height, width]", "[2, 3]"],
    ),
    (
        "batch norm of one value",
        lambda: nn.BatchNorm1d(3)(weft.randn(1, 3)),
        ShapeError,
        ["more than one value", "[1, 3]", "model.eval()"],
    ),
    (
        "float64 into float32",
        lambda: Net()(weft.from_numpy(np.zeros((1, 3, 6, 6)))),
        DTypeError,
        ["weft.float64", "weft.float32", "x.to(weft.float32)", ".double()", "encoder.0"],
    ),
    (
        "bytes into float32",
        lambda: nn.Conv2d(3, 8, 3)(weft.zeros(1, 3, 6, 6, dtype=weft.uint8)),
        DTypeError,
        ["weft.uint8", "x.to(weft.float32)"],
    ),
    (
        "a list",
        lambda: nn.Linear(2, 2)([1.0, 2.0]),
        TypeError,
        ["Tensor", "list", "weft.tensor"],
    ),
    (
        "a NumPy array",
        lambda: nn.Linear(2, 2)(np.zeros(2, np.float32)),
        TypeError,
        ["numpy.ndarray", "weft.from_numpy"],
    ),
    (
        "data for options",
        lambda: nn.ReLU(weft.ones(2)),
        TypeError,
        ["nn.ReLU(...)(x)", "nn.functional"],
    ),
    ("negative size", lambda: nn.Linear(-1, 2), ValueError, ["Linear", "in_features", "-1"]),
    ("size of float", lambda: nn.Linear(2.0, 2), TypeError, ["Linear", "in_features", "2.0"]),
    ("groups", lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, ["in_channels=3", "2 groups"]),
    ("kernel sizes", lambda: nn.Conv2d(3, 4, (3, 3, 3)), ValueError, ["kernel_size=(3, 3, 3)"]),
    ("padding", lambda: F.max_pool2d(weft.ones(1, 4, 4), 2, padding=2), ValueError, ["half"]),
    (
        "reduction",
        lambda: nn.MSELoss(reduction="meen"),
        ValueError,
        ["'meen'", "Did you mean 'mean'"],
    ),
    (
        "loss of shapes that broadcast",
        lambda: nn.MSELoss()(weft.ones(4, 1), weft.ones(4)),
        ShapeError,
        ["[4, 1]", "[4]", "squeeze(-1)", "MSELoss"],
    ),
    (
        "one-hot targets",
        lambda: F.cross_entropy(weft.ones(4, 3), weft.ones(4, 3, dtype=weft.int64)),
        ShapeError,
        ["[4, 3]", "[4]", "argmax(1)"],
    ),
    (
        "targets of another batch",
        lambda: F.cross_entropy(weft.ones(4, 3), weft.zeros(2, dtype=weft.int64)),
        ShapeError,
        ["[4, 3]", "[4]", "[2]"],
    ),
    (
        "float targets",
        lambda: F.cross_entropy(weft.ones(4, 3), weft.zeros(4)),
        DTypeError,
        ["int64", "weft.float32", "target.long()"],
    ),
    ("cuda", lambda: Net().cuda(), DeviceError, ["CPU"]),
    ("cuda by name", lambda: Net().to("cuda"), DeviceError, ["CPU"]),
]


@pytest.mark.parametrize(
    ("call", "error", "parts"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS]
)
def test_mistake(call: Callable[[], object], error: type[Exception], parts: list[str]) -> None:
    with pytest.raises(error) as caught:
        call()
    text = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    for part in parts:
        assert part in text


def test_a_mistake_leaves_the_model_as_it_was() -> None:
    model = Net()
    before = {k: v.numpy() for k, v in model.state_dict().items()}
    with pytest.raises(ShapeError):
        model(weft.randn(2, 3, 8, 8))
    after = model.state_dict()
    changed = {k for k, v in before.items() if not np.array_equal(v, after[k].numpy())}
    # The batch norm had run already when the layer behind it failed: as in PyTorch, it has seen a
    # batch. No parameter has changed.
    assert changed <= {
        "encoder.1.running_mean",
        "encoder.1.running_var",
        "encoder.1.num_batches_tracked",
    }


def test_the_error_comes_from_the_line_that_is_wrong() -> None:
    class Wrong(nn.Module):
        def forward(self, x: Any) -> Any:
            y = x @ weft.ones(3, 4)
            return y + weft.ones(5)  # this line

    with pytest.raises(ShapeError) as caught:
        Wrong()(weft.ones(2, 3))
    lines = [f.line for f in traceback.extract_tb(caught.value.__traceback__)]
    assert "return y + weft.ones(5)  # this line" in lines
    assert "Wrong" in str(caught.value)


def test_a_class_that_is_not_there_is_found_when_run() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loss = nn.CrossEntropyLoss()

        def forward(self, x: Any, t: Any) -> Any:
            return self.loss(x, t)

    loss = Model()(weft.ones(2, 3), weft.tensor([0, 3]))
    with pytest.raises(IndexError) as caught:
        loss.item()
    text = str(caught.value)
    assert "3 is out of range" in text
    assert "module 'loss'" in text
    assert "test_mistakes.py" in text


@pytest.mark.parametrize(
    ("read", "hint"),
    [
        (lambda: nn.Conv, "Conv1d, Conv2d, Conv3d"),
        (lambda: nn.Sequental, "'Sequential'"),
        (lambda: nn.Linera, "'Linear'"),
        (lambda: F.cros_entropy, "cross_entropy"),
        (lambda: weft.tensro, "tensor"),
        (lambda: weft.optim.Adm, "Adam"),
        (lambda: nn.Sequential().add_moudle, "'add_module'"),
        (lambda: nn.Linear(1, 1).wieght, "'weight'"),
    ],
)
def test_a_typo_suggests_the_right_name(read: Callable[[], object], hint: str) -> None:
    with pytest.raises(AttributeError) as caught:
        read()
    assert hint in str(caught.value)


# ---- assignments that were meant for something else


@pytest.mark.parametrize(
    ("assign", "text"),
    [
        (
            lambda m: setattr(m, "traning", False),
            r"Net\.traning.*'training'.*train\(\) or eval\(\)",
        ),
        (lambda m: setattr(m, "trainnig", False), "'training'"),
        (lambda m: setattr(m, "requires_grad", False), r"requires_grad_\(False\)"),
        (lambda m: setattr(m, "eval", True), r"hides the method eval\(\)"),
        (lambda m: setattr(m, "train", False), r"hides the method train\(\)"),
        (lambda m: setattr(m, "foward", lambda x: x), "'forward'"),
    ],
)
def test_a_typo_in_an_assignment_is_noticed(assign: Callable[[Any], None], text: str) -> None:
    class Net(nn.Linear):
        pass

    with pytest.warns(UserWarning, match=text) as caught:
        assign(Net(1, 1))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assign(Net(1, 1))  # once for each class


def test_assignments_that_are_meant() -> None:
    class Net(nn.Linear):
        requires_grad = True

        def __init__(self) -> None:
            super().__init__(1, 1)
            self.train_steps = 3
            self.trainer = None
            self.raining = True
            self.training = False
            self.forward1 = lambda x: x
            self.requires_grad = False
            self.forward = lambda x: x
            self.type = "a"

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = Net()
        net.weights = [1]
    assert not net.training


def test_a_typo_in_the_name_of_forward_is_noticed() -> None:
    with pytest.warns(UserWarning, match=r"Net\.forwrad.*'forward'.*nn\.Sequential"):

        class Net(nn.Sequential):
            def forwrad(self, x: Any) -> Any:
                return x

    with warnings.catch_warnings():
        warnings.simplefilter("error")

        class Meant(nn.Sequential):
            def forward2(self, x: Any) -> Any:
                return x

            def backward(self, x: Any) -> Any:
                return x

        class Both(nn.Module):
            def forward(self, x: Any) -> Any:
                return x

            def forwards(self, x: Any) -> Any:
                return x
