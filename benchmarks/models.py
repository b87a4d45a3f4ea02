"""Models of the benchmarks, written once for every library with PyTorch's names.

Each maker takes the library. ``with_jax.py`` and ``with_flax.py`` have the same networks with the
same names of parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from benchmarks.workloads import WORKLOADS

MakeModel = Callable[[Any], Any]


def lenet(lib: Any) -> Any:
    """The LeNet of ``examples/lenet.py`` (LeCun et al. 1998, without activations), 28x28 images."""
    nn = import_module(f"{lib.__name__}.nn")

    class LeNet(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 16, 5)
            self.pool = nn.MaxPool2d(2, 2)
            self.fc1, self.fc2 = nn.Linear(400, 120), nn.Linear(120, 84)
            self.fc3 = nn.Linear(84, 10)

        def forward(self, x: Any) -> Any:
            x = self.pool(self.conv2(self.pool(self.conv1(x))))
            return self.fc3(self.fc2(self.fc1(x.flatten(1))))

    return LeNet()


def mlp(lib: Any) -> Any:
    """784-512-512-10 with ReLU."""
    nn = import_module(f"{lib.__name__}.nn")
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def tiny_mlp(lib: Any) -> Any:
    """2-16-1 with ReLU."""
    nn = import_module(f"{lib.__name__}.nn")
    return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))


def resnet18(lib: Any) -> Any:
    """ResNet-18 for CIFAR (He et al. 2016): 3x3 stem without pooling, 32x32 images."""
    nn = import_module(f"{lib.__name__}.nn")
    F = import_module(f"{lib.__name__}.nn.functional")

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.shortcut = nn.Sequential()
            if stride != 1 or inputs != outputs:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                )

        def forward(self, x: Any) -> Any:
            y = F.relu(self.bn1(self.conv1(x)))
            return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))

    class ResNet(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
            blocks, width = [], 64
            for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
                blocks += [Block(width, outputs, stride), Block(outputs, outputs, 1)]
                width = outputs
            self.blocks = nn.Sequential(*blocks)
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(512, 10)

        def forward(self, x: Any) -> Any:
            x = self.blocks(F.relu(self.bn1(self.conv1(x))))
            return self.fc(self.pool(x).flatten(1))

    return ResNet()


def gpt_block(lib: Any, width: int, heads: int, approximate: str = "none") -> Any:
    """A block with norms before attention and before the layers after it."""
    nn = import_module(f"{lib.__name__}.nn")
    F = import_module(f"{lib.__name__}.nn.functional")

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            n, t, c = x.shape
            qkv = self.qkv(self.norm1(x)).view(n, t, 3, heads, c // heads)
            q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.proj(a.transpose(1, 2).reshape(n, t, c))
            return x + self.down(F.gelu(self.up(self.norm2(x)), approximate=approximate))

    return Block()


def gpt(lib: Any) -> Any:
    """GPT with pre-norm blocks: 4 layers, width 256, 8 heads, 128 tokens, vocabulary 1000."""
    nn = import_module(f"{lib.__name__}.nn")
    width, heads, length, vocabulary = 256, 8, 128, 1000

    class GPT(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Embedding(vocabulary, width)
            self.position = nn.Embedding(length, width)
            self.blocks = nn.Sequential(*(gpt_block(lib, width, heads) for _ in range(4)))
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, vocabulary, bias=False)

        def forward(self, tokens: Any) -> Any:
            x = self.token(tokens) + self.position(lib.arange(tokens.shape[1]))
            return self.head(self.norm(self.blocks(x)))

    return GPT()


def lstm(lib: Any) -> Any:
    """Language model: embedding, two LSTM layers of 256, 64 tokens, vocabulary 1000."""
    nn = import_module(f"{lib.__name__}.nn")

    class Model(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(1000, 256)
            self.lstm = nn.LSTM(256, 256, 2, batch_first=True)
            self.head = nn.Linear(256, 1000)

        def forward(self, tokens: Any) -> Any:
            return self.head(self.lstm(self.embed(tokens))[0])

    return Model()


def unet(lib: Any) -> Any:
    """U-Net (Ronneberger et al. 2015) of three levels on 64x64 images, two classes a pixel."""
    nn = import_module(f"{lib.__name__}.nn")

    def double(inputs: int, outputs: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
        )  # fmt: skip

    class UNet(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.down1, self.down2, self.middle = double(3, 16), double(16, 32), double(32, 64)
            self.pool = nn.MaxPool2d(2)
            self.up2 = nn.ConvTranspose2d(64, 32, 2, 2)
            self.up1 = nn.ConvTranspose2d(32, 16, 2, 2)
            self.join2, self.join1 = double(64, 32), double(32, 16)
            self.head = nn.Conv2d(16, 2, 1)

        def forward(self, x: Any) -> Any:
            a = self.down1(x)
            b = self.down2(self.pool(a))
            c = self.middle(self.pool(b))
            b = self.join2(lib.cat([b, self.up2(c)], 1))
            return self.head(self.join1(lib.cat([a, self.up1(b)], 1)))

    return UNet()


MODELS: dict[str, MakeModel] = {
    "LeNet": lenet,
    "MLP": mlp,
    "ResNet-18": resnet18,
    "GPT": gpt,
    "tiny MLP": tiny_mlp,
    "LSTM": lstm,
    "U-Net": unet,
}


def made(lib: Any, name: str, batch: int | None = None) -> tuple[Any, Any, Any]:
    """A new model, inputs and targets."""
    x, y = WORKLOADS[name].data(batch)
    return MODELS[name](lib), lib.tensor(x), lib.tensor(y)
