"""``weft.train.fit`` beside the bare loop: LeNet, 40 steps of 64 images, in turn.

    python -m benchmarks.fit [--rounds 20] [--bar]

Prints what fit takes over what the loop takes, of the minima and of the medians, in the time that
the main thread is computing (so that other programs on the machine do not count) and by the clock.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import weft
import weft.nn.functional as F
from weft import nn, optim
from weft.utils.data import DataLoader, TensorDataset


def network() -> nn.Module:
    features = [nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    features += [nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    head = [nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
    return nn.Sequential(*features, *head)


def parts() -> tuple[Any, Any, Any]:
    """A model, its data and its optimiser."""
    images, digits = weft.randn(40 * 64, 1, 28, 28), weft.randint(0, 10, (40 * 64,))
    model = network()
    data = DataLoader(TensorDataset(images, digits), 64, shuffle=True)
    return model, data, optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def bare(model: Any, data: Any, optimizer: Any) -> None:
    for x, y in data:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        loss.item()


def measure(run: Callable[[], None]) -> tuple[float, float]:
    """Seconds of the thread and by the clock."""
    thread, clock = time.thread_time(), time.perf_counter()
    run()
    return time.thread_time() - thread, time.perf_counter() - clock


def main() -> None:
    """Alternates the two and prints their ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fit", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--bar", action="store_true", help="with the progress bar")
    options = parser.parse_args()
    weft.manual_seed(0)
    model, data, optimizer = parts()  # the same for both: where values lie in memory matters

    def fit() -> None:
        weft.train.fit(model, data, optimizer, F.cross_entropy, progress=options.bar)

    def loop() -> None:
        bare(model, data, optimizer)

    loop()
    fit()
    pairs = [(measure(loop), measure(fit)) for _ in range(options.rounds)]
    for k, name in enumerate(("thread", "clock")):
        ours, theirs = [b[k] for _, b in pairs], [a[k] for a, _ in pairs]
        median = statistics.median(ours) / statistics.median(theirs)
        print(f"{name:8s} minimum {min(ours) / min(theirs):.3f}  median {median:.3f}")


if __name__ == "__main__":
    main()
