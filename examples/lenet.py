"""LeNet learns to read handwritten digits.

    python examples/lenet.py                  scikit-learn's digits, scaled to 28 x 28
    python examples/lenet.py --data FOLDER    MNIST's IDX files
    python examples/lenet.py --resume         goes on where Ctrl-C stopped

It leaves loss_curve.png, predictions.png and checkpoint.safetensors in ./lenet-out.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from tqdm import tqdm

import weft
from weft import nn, optim
from weft.errors import CheckpointError, UnsupportedOp
from weft.utils.data import DataLoader, Dataset, Subset, TensorDataset, random_split, read_idx

try:
    from matplotlib.figure import Figure
except ImportError:
    sys.exit("lenet: this example draws with matplotlib: pip install 'weft[examples]'")

# ---- the model


class LeNet(nn.Module):
    """LeNet without activations: apart from its pools it is linear.

    Shape:
        input ``[N, 1, 28, 28]``, output ``[N, 10]``, the digits' scores.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Sequential()
        self.layer1.add_module("conv1", nn.Conv2d(1, 6, 3, padding=1))
        self.layer1.add_module("pool1", nn.MaxPool2d(2, 2))

        self.layer2 = nn.Sequential()
        self.layer2.add_module("conv2", nn.Conv2d(6, 16, 5))
        self.layer2.add_module("pool2", nn.MaxPool2d(2, 2))

        self.layer3 = nn.Sequential()
        self.layer3.add_module("fc1", nn.Linear(400, 120))
        self.layer3.add_module("fc2", nn.Linear(120, 84))
        self.layer3.add_module("fc3", nn.Linear(84, 10))

    def forward(self, x: weft.Tensor) -> weft.Tensor:
        x = self.layer1(x)
        x = self.layer2(x)
        x = x.view(x.size(0), -1)
        x = self.layer3(x)
        return x


# ---- the data


@dataclass
class Data:
    """Images ``[N, 1, 28, 28]`` and labels ``[N]``, to learn from and held out."""

    name: str
    train: TensorDataset | Subset[Any]
    test: TensorDataset | Subset[Any]
    epochs: int  # enough to learn it


def load_data(folder: Path | None) -> Data:
    if folder is None:
        return sklearn_digits()
    images = mnist(folder, "t10k")
    if list(folder.glob("train-*")):
        return Data("MNIST", mnist(folder, "train"), images, epochs=4)
    train, test = split(images, held_out=1000)
    return Data("MNIST's test images", train, test, epochs=4)


def sklearn_digits() -> Data:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        sys.exit("lenet: its digits come with scikit-learn: pip install 'weft[examples]'")
    digits = load_digits()
    images = resize(digits.images / 16, 28)
    dataset = as_dataset(images, digits.target)
    train, test = split(dataset, held_out=360)
    return Data("scikit-learn's digits", train, test, epochs=24)


def mnist(folder: Path, which: str) -> TensorDataset:
    images = read_idx(folder / f"{which}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{which}-labels-idx1-ubyte.gz")
    if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        sys.exit(
            f"lenet: '{folder}' does not hold MNIST: its images are {list(images.shape)} and its "
            f"labels {list(labels.shape)}, where [N, 28, 28] and [N] are expected"
        )
    return as_dataset(images.numpy() / 255, labels.numpy())


def as_dataset(images: Any, labels: Any) -> TensorDataset:
    """From pixels between 0 (paper) and 1 (ink). Nothing but the learning rate limits the outputs
    of a linear network, so the inputs are centred and kept small.
    """
    x = weft.tensor((images - 0.13) / 3, dtype=weft.float32).unsqueeze(1)
    return TensorDataset(x, weft.tensor(labels, dtype=weft.int64))


def split(dataset: TensorDataset, held_out: int) -> list[Subset[Any]]:
    """The same images are held out each time, whatever --seed is."""
    held_out = min(held_out, len(dataset) // 4)
    generator = weft.Generator().manual_seed(0)
    return random_split(dataset, [len(dataset) - held_out, held_out], generator)


def resize(images: Any, size: int) -> Any:
    """Bilinear, ``[N, n, n]`` to ``[N, size, size]``; pixel centres stay in proportion."""
    n = images.shape[1]
    at = np.clip((np.arange(size) + 0.5) * n / size - 0.5, 0, n - 1)
    low = np.minimum(at.astype(int), n - 2)
    part = at - low
    rows = images[:, low] * (1 - part)[:, None] + images[:, low + 1] * part[:, None]
    return rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part


# ---- training


@dataclass
class Progress:
    """How far the training has come."""

    epoch: int = 0
    step: int = 0  # within the epoch
    losses: list[float] = field(default_factory=list)


class CtrlC:
    """Within its block, Ctrl-C only asks to stop (``pressed``). Pressed again, it stops at once."""

    pressed = False

    def __enter__(self) -> Self:
        self.before = signal.signal(signal.SIGINT, self.press)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self.before)

    def press(self, *_: object) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True


def train(
    model: LeNet,
    optimizer: optim.Optimizer,
    progress: Progress,
    dataset: Dataset[Any],
    args: argparse.Namespace,
) -> bool:
    """Trains from ``progress`` on; says whether it came to the end (Ctrl-C stops it earlier)."""
    criterion = nn.CrossEntropyLoss()
    model.train()
    with CtrlC() as ctrl_c:
        for epoch in range(progress.epoch, args.epochs):
            # The order depends on the seed and the epoch alone, so that --resume finds it again.
            generator = weft.Generator().manual_seed(args.seed * 1_000_000 + epoch)
            loader = DataLoader(dataset, args.batch_size, shuffle=True, generator=generator)
            with tqdm(
                total=len(loader), initial=progress.step, desc=f"epoch {epoch + 1}/{args.epochs}"
            ) as bar:
                for x, y in islice(loader, progress.step, None):
                    optimizer.zero_grad()
                    loss = criterion(model(x), y)
                    loss.backward()
                    optimizer.step()

                    progress.losses.append(loss.item())
                    progress.step += 1
                    bar.set_postfix(loss=f"{progress.losses[-1]:.3f}", refresh=False)
                    bar.update()
                    if ctrl_c.pressed:
                        break
            if progress.step == len(loader):
                progress.epoch, progress.step = epoch + 1, 0
            save(model, optimizer, progress, args)
            if ctrl_c.pressed:
                break
    return bool(progress.epoch >= args.epochs)


@weft.no_grad()
def predict(model: LeNet, dataset: Dataset[Any]) -> tuple[Any, Any, Any]:
    """Images ``[N, 28, 28]``, their labels and what the model says, as arrays."""
    model.eval()
    batches = [
        (x.squeeze(1), y, model(x).argmax(dim=1)) for x, y in DataLoader(dataset, batch_size=250)
    ]
    images, labels, answers = (weft.cat(parts).numpy() for parts in zip(*batches, strict=True))
    return images, labels, answers


# ---- the checkpoint


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """What must be the same for --resume to reach the weights of an unbroken run."""
    same = {name: getattr(args, name) for name in ("lr", "momentum", "batch_size", "seed")}
    return {**same, "data": args.data and str(args.data.resolve())}


def save(
    model: LeNet, optimizer: optim.Optimizer, progress: Progress, args: argparse.Namespace
) -> None:
    checkpoint = {
        "settings": settings(args),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": vars(progress),
    }
    weft.save(checkpoint, args.out / "checkpoint.safetensors")


def resume(model: LeNet, optimizer: optim.Optimizer, args: argparse.Namespace) -> Progress:
    path = args.out / "checkpoint.safetensors"
    checkpoint = weft.load(path)
    if not isinstance(checkpoint, dict) or "settings" not in checkpoint:
        sys.exit(f"lenet: '{path}' is a safetensors file, but no checkpoint of this example")
    for name, value in settings(args).items():
        before = checkpoint["settings"][name]
        if value != before:
            sys.exit(
                f"lenet: '{path}' is of a run with {name} = {before}, not {value}: give the same "
                "options to go on with it, or leave --resume out to start anew"
            )
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    return Progress(**checkpoint["progress"])


# ---- the pictures

INK, BLUE, RED, GRID = "#2b2f36", "#2f6fb3", "#c8402f", "#e4e7eb"


def draw_loss(losses: Sequence[float], title: str, path: Path) -> None:
    """The loss of each step, faint, and its running mean."""
    window = max(1, min(25, len(losses) // 10))
    mean = np.convolve(losses, np.ones(window) / window, mode="valid")
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(np.arange(1, len(losses) + 1), losses, color=BLUE, alpha=0.25, linewidth=1)
    axes.plot(np.arange(len(mean)) + (window + 1) / 2, mean, color=BLUE, linewidth=2)
    axes.set_yscale("log")
    axes.set_xlim(1, max(2, len(losses)))
    axes.set_xlabel("step", color=INK)
    axes.set_ylabel("cross-entropy", color=INK)
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    axes.grid(color=GRID, which="both", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def draw_predictions(images: Any, labels: Any, answers: Any, title: str, path: Path) -> None:
    """Held-out digits with what the model reads; mistakes first."""
    wrong = np.flatnonzero(answers != labels)[:10]
    right = np.flatnonzero(answers == labels)[: 40 - len(wrong)]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    for axes, k in zip(figure.subplots(4, 10).flat, [*wrong, *right], strict=False):
        axes.imshow(images[k], cmap="gray_r")
        good = answers[k] == labels[k]
        text = f"{answers[k]}" if good else f"{answers[k]}, not {labels[k]}"
        axes.set_title(text, fontsize=9, color=INK if good else RED, pad=3)
    for axes in figure.axes:
        axes.axis("off")
    figure.savefig(path, dpi=130)


# ---- all of it


def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)
    try:
        return run(args)
    except (OSError, CheckpointError, UnsupportedOp) as error:
        sys.exit(f"lenet: {error}")
    except KeyboardInterrupt:
        print("\nlenet: stopped at once; the last checkpoint, if any, is whole", file=sys.stderr)
        return 130


def run(args: argparse.Namespace) -> int:
    data = load_data(args.data)
    if args.epochs is None:
        args.epochs = data.epochs
    args.out.mkdir(parents=True, exist_ok=True)

    weft.manual_seed(args.seed)
    model = LeNet()
    optimizer = optim.SGD(model.parameters(), lr=args.lr, momentum=args.momentum)
    progress = resume(model, optimizer, args) if args.resume else Progress()
    print(f"LeNet on {data.name}: {len(data.train)} to learn from, {len(data.test)} held out")

    if not train(model, optimizer, progress, data.train, args):
        print(
            f"Stopped in epoch {progress.epoch + 1} after {len(progress.losses)} steps; saved in "
            f"'{args.out}'. The same command with --resume goes on from here."
        )
        return 130

    images, labels, answers = predict(model, data.test)
    accuracy = (answers == labels).mean()
    title = f"LeNet on {data.name}: {accuracy:.1%} of {len(labels)} held-out digits read correctly"
    draw_loss(progress.losses, title, args.out / "loss_curve.png")
    draw_predictions(images, labels, answers, title, args.out / "predictions.png")
    print(f"Held-out accuracy: {accuracy:.2%}")
    print(f"loss_curve.png, predictions.png and checkpoint.safetensors are in '{args.out}'")
    return 0


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Trains LeNet on handwritten digits.")
    add = parser.add_argument
    add("--data", type=Path, metavar="FOLDER", help="a folder of MNIST's IDX files (.gz or not)")
    add("--epochs", type=positive, help="passes over the data (24; with --data 4)")
    add("--lr", type=float, default=0.05, help="learning rate (%(default)s)")
    add("--momentum", type=float, default=0.9, help="momentum of SGD (%(default)s)")
    add("--batch-size", type=positive, default=64, help="images in a step (%(default)s)")
    add("--seed", type=int, default=0, help="of first weights and order of images (%(default)s)")
    add("--out", type=Path, default="lenet-out", metavar="FOLDER", help="for results (%(default)s)")
    add("--resume", action="store_true", help="go on from the checkpoint in --out")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
