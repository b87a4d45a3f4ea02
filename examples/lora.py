"""Low-rank adapters teach a trained network something new, by few parameters beside its own.

python examples/lora.py

A LeNet learns scikit-learn's digits, upright; digits turned by a quarter it reads badly. Adapters
with a tenth of its parameters learn those: from less than 20 % right to 90 %, in a few seconds.
Taken off, the network is what it was.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import common

import weft
import weft.nn.functional as F
from weft import models, nn, optim
from weft.utils.data import DataLoader, TensorDataset


def turned(dataset: Any) -> TensorDataset:
    x, y = next(iter(DataLoader(dataset, len(dataset))))
    return TensorDataset(x.rot90(1, (2, 3)), y)


def train(model: nn.Module, dataset: TensorDataset, args: argparse.Namespace) -> common.Batches:
    """Trains what requires gradients."""
    learning = [p for p in model.parameters() if p.requires_grad]
    count = sum(p.numel() for p in learning)
    print(f"{count:,} of {sum(p.numel() for p in model.parameters()):,} parameters learn")
    optimizer = optim.Adam(learning, lr=2e-3)
    batches = common.Batches(dataset, 64, args)

    @weft.compile
    def step(x: weft.Tensor, y: weft.Tensor) -> weft.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    for x, y in batches:
        batches.note(step(x, y))
    return batches


def run(args: argparse.Namespace) -> int:
    name, upright, test = common.digits(args, 28)
    print(f"LeNet on {name}")
    model = models.LeNet()
    batches = train(model, upright, args)
    side, side_test = turned(upright), turned(test)
    print(f"Upright: {common.accuracy(model, test):.1%}")
    print(f"Turned: {common.accuracy(model, side_test):.1%}")
    if batches.stopped:
        return common.finish(model, batches, args)

    names = nn.lora.add(model, "classifier.*", args.rank)
    print(f"adapters for {', '.join(names)}")
    batches = train(model, side, args)
    print(f"Turned, with adapters: {common.accuracy(model, side_test):.1%}")
    if args.save is not None:
        weft.save(nn.lora.state_dict(model), args.save)
        print(f"the adapters are in '{args.save}'")
    nn.lora.remove(model)
    print(f"Upright, without them again: {common.accuracy(model, test):.1%}")
    return 130 if batches.stopped else 0


options = common.parser("Teaches a LeNet digits on their side.", epochs=24, of_digits=True)
options.add_argument(
    "--rank", type=common.positive, default=8, help="of the adapters (%(default)s)"
)
main = common.main(run, options)

if __name__ == "__main__":
    sys.exit(main())
