"""A variational autoencoder learns to draw digits, in half a minute.

python examples/vae.py                  scikit-learn's digits, 8 x 8
python examples/vae.py --data FOLDER    MNIST's IDX files, 28 x 28

It prints the bound on how many nats a held-out image costs (below 25 for scikit-learn's digits,
where the average digit costs 27), and leaves a picture of digits that it drew: vae.png.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import common

import weft
import weft.nn.functional as F
from weft import models, optim
from weft.utils.data import DataLoader

try:
    from matplotlib.figure import Figure
except ImportError:
    sys.exit("vae: this example draws with matplotlib: pip install 'weft[examples]'")


def draw(images: Any, path: Path) -> None:
    """Images ``[rows * columns, size, size]`` in a grid."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    for axes, image in zip(figure.subplots(5, 10).flat, images, strict=True):
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=1)
        axes.axis("off")
    figure.savefig(path, dpi=130)


@weft.no_grad()
def bound(model: models.VAE, dataset: Any) -> float:
    losses = [model.loss(x).item() * len(x) for x, _ in DataLoader(dataset, 256)]
    return sum(losses) / len(dataset)


def cost_of_the_average(train: Any, test: Any) -> float:
    """Nats that an image costs if each pixel is drawn with the average of its place."""
    mean = weft.cat([x for x, _ in DataLoader(train, 256)]).mean(0, keepdim=True)
    x = weft.cat([x for x, _ in DataLoader(test, 256)])
    cost = F.binary_cross_entropy(mean.clamp(1e-3, 1 - 1e-3).expand_as(x), x, reduction="sum")
    return float(cost.item()) / len(x)


def run(args: argparse.Namespace) -> int:
    size = 8 if args.data is None else 28
    name, train, test = common.digits(args, size)
    print(f"VAE on {name}: {len(train)} to learn from, {len(test)} held out")
    model = models.VAE(size * size, hidden=256, latent=16)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    batches = common.Batches(train, 64, args)

    @weft.compile
    def step(x: weft.Tensor) -> weft.Tensor:
        optimizer.zero_grad()
        loss = model.loss(x)
        loss.backward()
        optimizer.step()
        return loss.detach()

    for x, _ in batches:
        batches.note(step(x))

    average = cost_of_the_average(train, test)
    print(f"Held-out images: {bound(model, test):.2f} nats (the average digit: {average:.2f})")
    draw(model.sample(50).detach().reshape(50, size, size).numpy(), args.out)
    print(f"digits that it drew are in '{args.out}'")
    return common.finish(model, batches, args)


options = common.parser("Trains a variational autoencoder on digits.", epochs=60, of_digits=True)
options.add_argument("--out", type=Path, default="vae.png", help="the picture (%(default)s)")
main = common.main(run, options)

if __name__ == "__main__":
    sys.exit(main())
