"""What a user writes, checked by ``mypy --strict`` in ``test_typing.py``."""

from __future__ import annotations

from typing import NamedTuple, assert_type

import weft
from weft import Tensor, nn, optim
from weft.utils.data import DataLoader, TensorDataset


class Out(NamedTuple):
    logits: Tensor
    hidden: Tensor


class Encoder(nn.Module):
    def __init__(self, width: int, scale: float = 1.0) -> None:
        super().__init__()
        self.fc = nn.Linear(4, width)
        self.scale = nn.Parameter(weft.tensor(scale))
        self.register_buffer("steps", weft.zeros(1))
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(2)])

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.fc(x) * self.scale
        for block in self.blocks:
            y = block(y)
        return y if mask is None else y * mask


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder(8)
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x: Tensor, *, n: int = 1) -> Out:
        hidden = self.encoder(x)
        return Out(self.head(hidden), hidden)


def train() -> float:
    model = Net()
    assert_type(model(weft.zeros(1, 4)), Out)
    assert_type(model(weft.zeros(1, 4), n=2).hidden, Tensor)
    assert_type(model.encoder(weft.zeros(1, 4)), Tensor)
    assert_type(model.encoder.fc.weight, nn.Parameter)
    assert_type(model.train(), Net)
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 10)
    loss_of = nn.CrossEntropyLoss()
    data = TensorDataset(weft.randn(8, 4), weft.zeros(8, dtype=weft.int64))
    total = 0.0
    for x, target in DataLoader(data, batch_size=4):
        optimizer.zero_grad()
        with weft.autocast("cpu", dtype=weft.bfloat16):
            loss = loss_of(model(x).logits, target)
        loss.backward()
        optimizer.step()
        scheduler.step()
        total += loss.item()
    return total


class Scaled(weft.autograd.Function):
    @staticmethod
    def forward(ctx: weft.autograd.FunctionCtx, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x * factor

    @staticmethod
    def backward(ctx: weft.autograd.FunctionCtx, g: Tensor) -> tuple[Tensor, None]:
        return g * ctx.factor, None


class Halving(optim.Optimizer):
    def __init__(self, params: optim.optimizer.Params, lr: float = 0.5) -> None:
        super().__init__(params, {"lr": lr})

    @weft.no_grad()
    def step(self, closure: object = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.mul_(group["lr"])
