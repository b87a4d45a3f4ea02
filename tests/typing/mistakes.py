"""Calls that do not fit ``forward``; each line ends with the code of mypy's error for it."""

from __future__ import annotations

import weft
from weft import Tensor, nn


class Net(nn.Module):
    def forward(self, x: Tensor, n: int) -> Tensor:
        return x * n


net = Net()
net(weft.zeros(1), "2")  # E: arg-type
net(weft.zeros(1))  # E: call-arg
net(weft.zeros(1), 2, 3)  # E: call-arg
net(weft.zeros(1), m=2)  # E: call-arg
text: str = net(weft.zeros(1), 2)  # E: assignment
nn.Linear("3", 4)  # E: arg-type
nn.Linear(3, 4, biass=True)  # E: call-arg
