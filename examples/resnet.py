"""ResNet-18 reads handwritten digits: 98 % of those held out, in under a minute.

python examples/resnet.py                  scikit-learn's digits, scaled to 32 x 32
python examples/resnet.py --data FOLDER    MNIST's IDX files
"""

from __future__ import annotations

import argparse
import sys

import common

import weft
import weft.nn.functional as F
from weft import models, optim


def run(args: argparse.Namespace) -> int:
    name, train, test = common.digits(args, 32)
    print(f"ResNet-18 on {name}: {len(train)} to learn from, {len(test)} held out")
    model = models.resnet18(num_classes=10)
    optimizer = optim.SGD(model.parameters(), lr=args.lr, momentum=0.9, weight_decay=5e-4)
    batches = common.Batches(train, args.batch_size, args)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, args.lr, batches.total)

    @weft.compile
    def step(x: weft.Tensor, y: weft.Tensor) -> weft.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x.expand(-1, 3, -1, -1)), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    for x, y in batches:
        batches.note(step(x, y))
        schedule.step()

    grey = weft.nn.Sequential(weft.nn.Lambda(lambda x: x.expand(-1, 3, -1, -1)), model)
    print(f"Held-out accuracy: {common.accuracy(grey, test):.2%}")
    return common.finish(model, batches, args)


options = common.parser("Trains ResNet-18 on handwritten digits.", epochs=6, of_digits=True)
options.add_argument("--lr", type=float, default=0.05, help="highest learning rate (%(default)s)")
options.add_argument("--batch-size", type=common.positive, default=64, help="(%(default)s)")
main = common.main(run, options)

if __name__ == "__main__":
    sys.exit(main())
