"""weft's DataLoader beside PyTorch's: images decoded from JPEG, cut and mirrored, in batches of 32.

    python -m benchmarks.data [--rounds 5] [--images 256] [--size 256]

Both read the same files by the same code (Pillow and NumPy); each pass starts its workers anew.
Passes alternate; printed is PyTorch's over weft's (above 1, weft needs less): time by the clock,
and time of processors, workers included, which other programs on the machine disturb less. Needs
``pip install 'weft[data,parity]'``.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.utils.data
from PIL import Image

import weft
import weft.utils.data

#: Of each: what weft's loader gets, and what PyTorch's.
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "in the process": ({}, {}),
    "2 worker processes": ({"num_workers": 2}, {"num_workers": 2}),
    "2 threads, PyTorch processes": (
        {"num_workers": 2, "worker_method": "thread"},
        {"num_workers": 2},
    ),
}


class Images:
    """Decodes, cuts 7/8 out at a random place, mirrors half of them, and normalises."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        with Image.open(self.paths[index]) as image:
            pixels = np.asarray(image.convert("RGB"))
        size = pixels.shape[0] * 7 // 8
        top, left = (random.randint(0, pixels.shape[0] - size) for _ in range(2))
        pixels = pixels[top : top + size, left : left + size]
        if random.random() < 0.5:
            pixels = pixels[:, ::-1]
        x = (pixels.transpose(2, 0, 1).astype(np.float32) - 128) / 64
        return x, index % 10


def write_images(folder: Path, count: int, size: int) -> list[Path]:
    """Photographs of a kind: smooth noise."""
    draw = np.random.default_rng(0)
    paths = []
    for k in range(count):
        coarse = draw.integers(0, 256, (size // 8, size // 8, 3), np.uint8)
        image = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
        paths.append(folder / f"{k}.jpg")
        image.save(paths[-1], quality=90)
    return paths


class Pass(NamedTuple):
    """Seconds."""

    clock: float
    processors: float


def one_pass(loader: Iterable[Any]) -> Pass:
    """Every batch is looked at, so that it has really come."""
    clock, processors = time.perf_counter(), used()
    for x, y in loader:
        x[:, 0, 0, 0].tolist()
        y.tolist()
    gc.collect()  # ends workers that PyTorch's loop has left
    return Pass(time.perf_counter() - clock, used() - processors)


def used() -> float:
    """Seconds of processors that this process and those that it has waited for have used."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def compare(paths: list[Path], ours: Any, theirs: Any, rounds: int) -> tuple[list[Pass], ...]:
    loaders = (
        weft.utils.data.DataLoader(Images(paths), 32, shuffle=True, **ours),
        torch.utils.data.DataLoader(Images(paths), 32, shuffle=True, **theirs),  # type: ignore[arg-type]
    )
    times: tuple[list[Pass], ...] = ([], [])
    for _ in range(rounds + 1):
        for loader, found in zip(loaders, times, strict=True):
            found.append(one_pass(loader))
    return tuple(found[1:] for found in times)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder), options.images, options.size)
        print(f"PyTorch's time / weft's, {options.images} images of {options.size} pixels a side")
        print(f"{'':30s}{'clock':>22s}{'processors':>22s}")
        print(f"{'':30s}{'median':>11s}{'minimum':>11s}{'median':>11s}{'minimum':>11s}")
        for name, (ours, theirs) in SETTINGS.items():
            a, b = compare(paths, ours, theirs, options.rounds)
            ratios = [
                summary([t[k] for t in b]) / summary([t[k] for t in a])
                for k in range(2)
                for summary in (statistics.median, min)
            ]
            print(f"{name:30s}" + "".join(f"{ratio:10.2f}x" for ratio in ratios), flush=True)


if __name__ == "__main__":
    main()
