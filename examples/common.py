"""What the examples share: digits, batches until Ctrl-C, accuracy."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

import weft
import weft.nn.functional as F
from weft import nn
from weft.errors import CheckpointError, UnsupportedOp
from weft.utils.data import DataLoader, TensorDataset, random_split, read_idx

# ---- the command line


def positive(text: str) -> int:
    """A positive whole number, as an option."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def parser(description: str, epochs: int, of_digits: bool = False) -> argparse.ArgumentParser:
    """The options that all examples have."""
    out = argparse.ArgumentParser(description=description)
    add = out.add_argument
    add("--epochs", type=positive, default=epochs, help="passes over the data (%(default)s)")
    add("--seed", type=int, default=0, help="of first weights and order of samples (%(default)s)")
    add("--save", type=Path, metavar="FILE", help="write the weights there, as safetensors")
    if of_digits:
        add("--data", type=Path, metavar="FOLDER", help="MNIST's IDX files, not scikit-learn's")
        add("--limit", type=positive, help="use this many images only")
    return out


def main(run: Callable[[argparse.Namespace], int], options: argparse.ArgumentParser) -> Any:
    """A ``main(argv)`` that ends with a message where the files are at fault."""

    def start(argv: Sequence[str] | None = None) -> int:
        args = options.parse_args(argv)
        weft.manual_seed(args.seed)
        try:
            return run(args)
        except (OSError, CheckpointError, UnsupportedOp) as error:
            sys.exit(f"{Path(sys.argv[0]).stem}: {error}")
        except KeyboardInterrupt:
            print("\nstopped at once", file=sys.stderr)
            return 130

    return start


# ---- training


class Batches:
    """The batches of several epochs, with a progress bar.

    Ctrl-C ends them after the step that is being made (``stopped``); pressed again, it stops at
    once.
    """

    def __init__(self, dataset: Any, batch_size: int, args: argparse.Namespace) -> None:
        generator = weft.Generator().manual_seed(args.seed)
        self.loader = DataLoader(
            dataset, batch_size, shuffle=True, generator=generator, drop_last=True
        )
        self.total = args.epochs * len(self.loader)
        self.losses: list[float] = []
        self.stopped = False

    def _press(self, *_: object) -> None:
        if self.stopped:
            raise KeyboardInterrupt
        self.stopped = True

    def __iter__(self) -> Iterator[Any]:
        before = signal.signal(signal.SIGINT, self._press)
        try:
            with tqdm(total=self.total, desc="training") as self.bar:
                while self.bar.n < self.total:
                    for batch in self.loader:
                        yield batch
                        self.bar.update()
                        if self.stopped:
                            return
        finally:
            signal.signal(signal.SIGINT, before)

    def note(self, loss: weft.Tensor) -> None:
        """Shows the loss of a step beside the bar."""
        self.losses.append(loss.item())
        self.bar.set_postfix(loss=f"{self.losses[-1]:.3f}", refresh=False)


def finish(model: nn.Module, batches: Batches, args: argparse.Namespace) -> int:
    """Saves the weights where asked to; the exit status, which says if Ctrl-C was pressed."""
    if args.save is not None:
        weft.save(model.state_dict(), args.save)
        print(f"weights are in '{args.save}'")
    if batches.stopped:
        print(f"stopped after {len(batches.losses)} of {batches.total} steps")
    return 130 if batches.stopped else 0


@weft.no_grad()
def accuracy(model: nn.Module, dataset: Any) -> float:
    """The share of samples whose class has the largest score."""
    model.eval()
    right = sum((model(x).argmax(1) == y).sum().item() for x, y in DataLoader(dataset, 256))
    model.train()
    return float(right) / len(dataset)


# ---- digits


def digits(args: argparse.Namespace, size: int = 28) -> tuple[str, Any, Any]:
    """Name, images to learn from, images held out.

    Images ``[1, size, size]``, from 0 (paper) to 1 (ink), with labels: scikit-learn's, or MNIST's
    from the folder ``--data``.
    """
    if args.data is None:
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            sys.exit("these digits come with scikit-learn: pip install 'weft[examples]'")
        found = load_digits()
        name, images, labels = "scikit-learn's digits", found.images / 16, found.target
    else:
        which = "train" if list(args.data.glob("train-*")) else "t10k"
        images = read_idx(args.data / f"{which}-images-idx3-ubyte.gz").numpy() / 255
        labels = read_idx(args.data / f"{which}-labels-idx1-ubyte.gz").numpy()
        name = "MNIST"
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            sys.exit(f"'{args.data}' does not hold MNIST: {images.shape} and {labels.shape}")
    x = weft.tensor(images, dtype=weft.float32).unsqueeze(1)[: args.limit]
    y = weft.tensor(labels, dtype=weft.int64)[: args.limit]
    if x.shape[-1] != size:
        x = F.interpolate(x, size, mode="bilinear").clamp(0, 1)
    held_out = min(1000, len(x) // 5)
    generator = weft.Generator().manual_seed(0)  # the same ones, whatever --seed is
    train, test = random_split(TensorDataset(x, y), [len(x) - held_out, held_out], generator)
    return name, train, test
