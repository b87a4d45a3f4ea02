"""The models, written once for weft and PyTorch, which have the same names.

Each maker takes the library and whether all is to be small (to try the benchmark itself), and gives
the model and its batch on the CPU: inputs, and classes of outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from benchmarks.models import gpt_block


class Setting(NamedTuple):
    """Sizes of a case; those of ``SMALL`` only show that it runs."""

    batch: int
    width: int = 0
    layers: int = 0
    length: int = 0
    vocabulary: int = 0
    image: int = 0


class Case(NamedTuple):
    """
    Attributes:
        dtype: of parameters and inputs.
        flops: of a training step; None where the arithmetic is not what takes the time.
    """

    make: Callable[[Any, Setting], Any]
    full: Setting
    small: Setting
    dtype: str
    optimizer: str
    flops: Callable[[Setting], float] | None = None


def batch_of(case: str, s: Setting) -> tuple[Any, Any]:
    """NumPy arrays: what goes in, and classes of what comes out."""
    draw = np.random.default_rng(0)
    if case == "gpt2":
        shape = (s.batch, s.length)
        return draw.integers(0, s.vocabulary, shape), draw.integers(0, s.vocabulary, shape)
    shapes = {"mlp": (s.batch, 2), "lenet": (s.batch, 1, 28, 28)}
    shape = shapes.get(case, (s.batch, 3, s.image, s.image))
    classes = {"mlp": 2, "lenet": 10}.get(case, 1000)
    return draw.normal(size=shape).astype(np.float32), draw.integers(0, classes, s.batch)


def _nn(lib: Any) -> Any:
    return import_module(f"{lib.__name__}.nn")


def mlp(lib: Any, s: Setting) -> Any:
    """2-16-2."""
    nn = _nn(lib)
    return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))


def lenet(lib: Any, s: Setting) -> Any:
    """LeNet-5 (LeCun et al. 1998) with ReLU and maximum pooling."""
    nn = _nn(lib)
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def resnet50(lib: Any, s: Setting) -> Any:
    """ResNet-50 (He et al. 2016), the stride in the 3x3 convolution."""
    nn = _nn(lib)

    class Bottleneck(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, inputs: int, width: int, stride: int) -> None:
            super().__init__()
            out = 4 * width
            self.body = nn.Sequential(
                *(nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
                nn.Conv2d(width, width, 3, stride, 1, bias=False),
                *(nn.BatchNorm2d(width), nn.ReLU()),
                *(nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out)),
            )
            self.shortcut = nn.Sequential()
            if stride != 1 or inputs != out:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inputs, out, 1, stride, bias=False), nn.BatchNorm2d(out)
                )
            self.relu = nn.ReLU()

        def forward(self, x: Any) -> Any:
            return self.relu(self.body(x) + self.shortcut(x))

    w = s.width
    layers = [
        *(nn.Conv2d(3, w, 7, 2, 3, bias=False), nn.BatchNorm2d(w), nn.ReLU()),
        nn.MaxPool2d(3, 2, 1),
    ]
    inputs = w
    for stage, count in enumerate(RESNET50[: s.layers]):
        for k in range(count):
            width = w << stage
            layers.append(Bottleneck(inputs, width, 2 if stage and not k else 1))
            inputs = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


#: Blocks in each stage.
RESNET50 = (3, 4, 6, 3)


def gpt2(lib: Any, s: Setting) -> Any:
    """GPT-2 (Radford et al. 2019): blocks with heads of 64, weights of the head tied."""
    nn = _nn(lib)
    F = import_module(f"{lib.__name__}.nn.functional")
    width, heads = s.width, max(s.width // 64, 1)

    class GPT(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(s.vocabulary, width)
            self.places = nn.Embedding(s.length, width)
            blocks = [gpt_block(lib, width, heads, "tanh") for _ in range(s.layers)]
            self.blocks = nn.Sequential(*blocks)
            self.norm = nn.LayerNorm(width)

        def forward(self, ids: Any) -> Any:
            at = lib.arange(ids.shape[1], device=ids.device)
            x = self.norm(self.blocks(self.tokens(ids) + self.places(at)))
            return F.linear(x, self.tokens.weight)

    return GPT()


def _gpt2_flops(s: Setting) -> float:
    """6 for each weight and token, and attention: 12 times layers, width and length a token."""
    weights = 12 * s.layers * s.width**2 + s.vocabulary * s.width
    return float(s.batch * s.length * (6 * weights + 12 * s.layers * s.width * s.length))


CASES = {
    "mlp": Case(mlp, Setting(4), Setting(4), "float32", "SGD"),
    "lenet": Case(lenet, Setting(64), Setting(8), "float32", "SGD"),
    "resnet50": Case(
        resnet50,
        Setting(128, 64, 4, image=224),
        Setting(2, 8, 2, image=32),
        "bfloat16",
        "SGD",
        # (4.09 G multiplications and additions forward, twice that backward, for each image)
        lambda s: 3 * 2 * 4.09e9 * s.batch,
    ),
    "gpt2": Case(
        gpt2,
        Setting(8, 768, 12, 1024, 50257),
        Setting(2, 64, 2, 16, 100),
        "bfloat16",
        "AdamW",
        _gpt2_flops,
    ),
}
