"""Every kind of layer and loss beside PyTorch eager: forward and backward at typical sizes.

    python -m benchmarks.layers [--only TEXT] [--rounds 3] [--threads N] [--json FILE]

Two processes, one for each library, measure the cases in turn. Printed are ratios of the shortest
times (PyTorch's over weft's: above 1, weft is faster), the layers that are slower than 0.8, and the
geometric mean. weft's step is compiled (``weft.compile``).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SLOW = 0.8

Input = Callable[[np.random.Generator], Any]


def x(*shape: int) -> Input:
    """Normal values; the gradient is taken to them."""
    return lambda draw: draw.normal(size=shape).astype(np.float32)


def chance(*shape: int) -> Input:
    return lambda draw: draw.uniform(0.01, 0.99, shape).astype(np.float32)


def index(high: int, *shape: int) -> Input:
    return lambda draw: draw.integers(0, high, shape)


def fixed(make: Input) -> Input:
    """Values without a gradient."""
    return lambda draw: (make(draw),)


def signs(*shape: int) -> Input:
    return fixed(lambda draw: draw.choice([-1.0, 1.0], shape).astype(np.float32))


def lengths(*values: int) -> Input:
    return lambda draw: np.array(values)


# ---- the cases: how the layer is made from ``nn``, and what it is called with

FLAT, IMAGE, TEXT = x(64, 8192), x(16, 64, 32, 32), x(16, 128, 256)
ROWS, CLASSES = x(512, 1000), index(1000, 512)
NUMBERS, CHANCES = x(64, 8192), chance(64, 8192)

Layer = Callable[[Any], Any]
CASES: dict[str, tuple[Layer, tuple[Input, ...]]] = {
    "Linear": (lambda nn: nn.Linear(512, 512), (x(128, 512),)),
    "Bilinear": (lambda nn: nn.Bilinear(64, 64, 64), (x(128, 64), x(128, 64))),
    "Conv1d": (lambda nn: nn.Conv1d(64, 64, 5, padding=2), (x(16, 64, 512),)),
    "Conv2d": (lambda nn: nn.Conv2d(64, 64, 3, padding=1), (IMAGE,)),
    "Conv2d 1x1": (lambda nn: nn.Conv2d(64, 128, 1), (IMAGE,)),
    "Conv2d 7x7, stride 2": (lambda nn: nn.Conv2d(3, 64, 7, 2, 3), (x(8, 3, 96, 96),)),
    "Conv2d depthwise": (lambda nn: nn.Conv2d(64, 64, 3, padding=1, groups=64), (IMAGE,)),
    "Conv2d dilated": (lambda nn: nn.Conv2d(32, 32, 3, padding=2, dilation=2), (x(8, 32, 32, 32),)),
    "Conv3d": (lambda nn: nn.Conv3d(16, 16, 3, padding=1), (x(4, 16, 16, 16, 16),)),
    "ConvTranspose1d": (lambda nn: nn.ConvTranspose1d(64, 32, 4, 2, 1), (x(16, 64, 256),)),
    "ConvTranspose2d": (lambda nn: nn.ConvTranspose2d(64, 32, 2, 2), (x(16, 64, 16, 16),)),
    "ConvTranspose3d": (lambda nn: nn.ConvTranspose3d(16, 8, 2, 2), (x(4, 16, 8, 8, 8),)),
    "MaxPool1d": (lambda nn: nn.MaxPool1d(2), (x(16, 64, 1024),)),
    "MaxPool2d": (lambda nn: nn.MaxPool2d(2), (IMAGE,)),
    "MaxPool2d 3, stride 2": (lambda nn: nn.MaxPool2d(3, 2, 1), (IMAGE,)),
    "MaxPool3d": (lambda nn: nn.MaxPool3d(2), (x(4, 16, 16, 16, 16),)),
    "AvgPool2d": (lambda nn: nn.AvgPool2d(2), (IMAGE,)),
    "AvgPool2d 3, stride 1": (lambda nn: nn.AvgPool2d(3, 1, 1), (IMAGE,)),
    "LPPool2d": (lambda nn: nn.LPPool2d(2, 2), (IMAGE,)),
    "AdaptiveAvgPool2d": (lambda nn: nn.AdaptiveAvgPool2d(1), (IMAGE,)),
    "AdaptiveAvgPool2d 7": (lambda nn: nn.AdaptiveAvgPool2d(7), (IMAGE,)),
    "AdaptiveMaxPool2d": (lambda nn: nn.AdaptiveMaxPool2d(7), (IMAGE,)),
    "FractionalMaxPool2d": (lambda nn: nn.FractionalMaxPool2d(2, 15), (IMAGE,)),
    "BatchNorm1d": (lambda nn: nn.BatchNorm1d(8192), (FLAT,)),
    "BatchNorm2d": (lambda nn: nn.BatchNorm2d(64), (IMAGE,)),
    "LayerNorm": (lambda nn: nn.LayerNorm(256), (TEXT,)),
    "RMSNorm": (lambda nn: nn.RMSNorm(256), (TEXT,)),
    "GroupNorm": (lambda nn: nn.GroupNorm(8, 64), (IMAGE,)),
    "InstanceNorm2d": (lambda nn: nn.InstanceNorm2d(64, affine=True), (IMAGE,)),
    "LocalResponseNorm": (lambda nn: nn.LocalResponseNorm(5), (IMAGE,)),
    "ReLU": (lambda nn: nn.ReLU(), (FLAT,)),
    "LeakyReLU": (lambda nn: nn.LeakyReLU(), (FLAT,)),
    "PReLU": (lambda nn: nn.PReLU(64), (IMAGE,)),
    "ELU": (lambda nn: nn.ELU(), (FLAT,)),
    "SELU": (lambda nn: nn.SELU(), (FLAT,)),
    "GELU": (lambda nn: nn.GELU(), (FLAT,)),
    "GELU tanh": (lambda nn: nn.GELU("tanh"), (FLAT,)),
    "SiLU": (lambda nn: nn.SiLU(), (FLAT,)),
    "Mish": (lambda nn: nn.Mish(), (FLAT,)),
    "Sigmoid": (lambda nn: nn.Sigmoid(), (FLAT,)),
    "Tanh": (lambda nn: nn.Tanh(), (FLAT,)),
    "Softplus": (lambda nn: nn.Softplus(), (FLAT,)),
    "LogSigmoid": (lambda nn: nn.LogSigmoid(), (FLAT,)),
    "Hardswish": (lambda nn: nn.Hardswish(), (FLAT,)),
    "GLU": (lambda nn: nn.GLU(), (FLAT,)),
    "Softmax": (lambda nn: nn.Softmax(-1), (ROWS,)),
    "LogSoftmax": (lambda nn: nn.LogSoftmax(-1), (ROWS,)),
    "Softmax2d": (lambda nn: nn.Softmax2d(), (IMAGE,)),
    "Dropout": (lambda nn: nn.Dropout(0.1), (FLAT,)),
    "Dropout2d": (lambda nn: nn.Dropout2d(0.1), (IMAGE,)),
    "AlphaDropout": (lambda nn: nn.AlphaDropout(0.1), (FLAT,)),
    "Embedding": (lambda nn: nn.Embedding(10_000, 256), (index(10_000, 32, 128),)),
    "EmbeddingBag": (lambda nn: nn.EmbeddingBag(10_000, 256), (index(10_000, 64, 32),)),
    "RNN": (lambda nn: nn.RNN(128, 256), (x(64, 32, 128),)),
    "LSTM": (lambda nn: nn.LSTM(128, 256), (x(64, 32, 128),)),
    "LSTM, 2 layers, both ways": (
        lambda nn: nn.LSTM(64, 128, 2, bidirectional=True),
        (x(32, 32, 64),),
    ),
    "GRU": (lambda nn: nn.GRU(128, 256), (x(64, 32, 128),)),
    "LSTMCell": (lambda nn: nn.LSTMCell(256, 256), (x(64, 256),)),
    "GRUCell": (lambda nn: nn.GRUCell(256, 256), (x(64, 256),)),
    "MultiheadAttention": (lambda nn: nn.MultiheadAttention(256, 8), (x(128, 16, 256),) * 3),
    "TransformerEncoderLayer": (
        lambda nn: nn.TransformerEncoderLayer(256, 8, 1024, batch_first=True),
        (TEXT,),
    ),
    "TransformerDecoderLayer": (
        lambda nn: nn.TransformerDecoderLayer(256, 8, 1024, batch_first=True),
        (x(8, 128, 256), x(8, 128, 256)),
    ),
    "scaled_dot_product_attention": (
        lambda nn: nn.functional.scaled_dot_product_attention,
        (x(8, 8, 256, 64),) * 3,
    ),
    "ZeroPad2d": (lambda nn: nn.ZeroPad2d(2), (IMAGE,)),
    "ReflectionPad2d": (lambda nn: nn.ReflectionPad2d(2), (IMAGE,)),
    "ReplicationPad2d": (lambda nn: nn.ReplicationPad2d(2), (IMAGE,)),
    "CircularPad2d": (lambda nn: nn.CircularPad2d(2), (IMAGE,)),
    "Upsample nearest": (lambda nn: nn.Upsample(scale_factor=2), (IMAGE,)),
    "Upsample bilinear": (lambda nn: nn.Upsample(scale_factor=2, mode="bilinear"), (IMAGE,)),
    "Upsample bicubic": (lambda nn: nn.Upsample(scale_factor=2, mode="bicubic"), (IMAGE,)),
    "PixelShuffle": (lambda nn: nn.PixelShuffle(2), (IMAGE,)),
    "Unfold": (lambda nn: nn.Unfold(3, padding=1), (x(8, 16, 32, 32),)),
    "Fold": (lambda nn: nn.Fold((32, 32), 2, stride=2), (x(16, 256, 256),)),
    "grid_sample": (
        lambda nn: lambda a, b: nn.functional.grid_sample(a, b, align_corners=False),
        (x(8, 16, 32, 32), x(8, 32, 32, 2)),
    ),
    "CosineSimilarity": (lambda nn: nn.CosineSimilarity(), (x(1024, 256), x(1024, 256))),
    "PairwiseDistance": (lambda nn: nn.PairwiseDistance(), (x(1024, 256), x(1024, 256))),
    "CrossEntropyLoss": (lambda nn: nn.CrossEntropyLoss(), (ROWS, CLASSES)),
    "CrossEntropyLoss, smoothed": (
        lambda nn: nn.CrossEntropyLoss(label_smoothing=0.1),
        (ROWS, CLASSES),
    ),
    "CrossEntropyLoss of pixels": (
        lambda nn: nn.CrossEntropyLoss(),
        (x(8, 21, 64, 64), index(21, 8, 64, 64)),
    ),
    "NLLLoss": (lambda nn: nn.NLLLoss(), (ROWS, CLASSES)),
    "MSELoss": (lambda nn: nn.MSELoss(), (NUMBERS, fixed(NUMBERS))),
    "L1Loss": (lambda nn: nn.L1Loss(), (NUMBERS, fixed(NUMBERS))),
    "SmoothL1Loss": (lambda nn: nn.SmoothL1Loss(), (NUMBERS, fixed(NUMBERS))),
    "HuberLoss": (lambda nn: nn.HuberLoss(), (NUMBERS, fixed(NUMBERS))),
    "BCELoss": (lambda nn: nn.BCELoss(), (CHANCES, fixed(CHANCES))),
    "BCEWithLogitsLoss": (lambda nn: nn.BCEWithLogitsLoss(), (NUMBERS, fixed(CHANCES))),
    "KLDivLoss": (lambda nn: nn.KLDivLoss(reduction="batchmean"), (NUMBERS, fixed(CHANCES))),
    "PoissonNLLLoss": (lambda nn: nn.PoissonNLLLoss(), (NUMBERS, fixed(CHANCES))),
    "GaussianNLLLoss": (lambda nn: nn.GaussianNLLLoss(), (NUMBERS, fixed(NUMBERS), CHANCES)),
    "SoftMarginLoss": (lambda nn: nn.SoftMarginLoss(), (NUMBERS, signs(64, 8192))),
    "HingeEmbeddingLoss": (lambda nn: nn.HingeEmbeddingLoss(), (NUMBERS, signs(64, 8192))),
    "MarginRankingLoss": (lambda nn: nn.MarginRankingLoss(), (x(9999), x(9999), signs(9999))),
    "CosineEmbeddingLoss": (
        lambda nn: nn.CosineEmbeddingLoss(),
        (x(1024, 256), x(1024, 256), signs(1024)),
    ),
    "TripletMarginLoss": (lambda nn: nn.TripletMarginLoss(), (x(1024, 256),) * 3),
    "MultiMarginLoss": (lambda nn: nn.MultiMarginLoss(), (ROWS, CLASSES)),
    "MultiLabelMarginLoss": (lambda nn: nn.MultiLabelMarginLoss(), (x(64, 32), index(32, 64, 32))),
    "MultiLabelSoftMarginLoss": (
        lambda nn: nn.MultiLabelSoftMarginLoss(),
        (ROWS, fixed(chance(512, 1000))),
    ),
    "CTCLoss": (
        lambda nn: lambda logits, *rest: nn.CTCLoss()(logits.log_softmax(-1), *rest),
        (x(64, 16, 40), index(39, 16, 12), lengths(*[64] * 16), lengths(*[12] * 16)),
    ),
}


# ---- one library, in a process of its own


def tensor(lib: Any, value: Any) -> Any:
    if isinstance(value, tuple):
        return lib.tensor(value[0])
    return lib.tensor(value, requires_grad=True) if value.dtype.kind == "f" else lib.tensor(value)


def step_of(lib: Any, name: str) -> Callable[[], object]:
    """Forward and backward, of which gradients of inputs and parameters are kept."""
    make, makers = CASES[name]
    draw = np.random.default_rng(0)
    layer = make(importlib.import_module(f"{lib.__name__}.nn"))
    inputs = [tensor(lib, m(draw)) for m in makers]
    own = list(layer.parameters()) if hasattr(layer, "parameters") else []
    leaves = [t for t in [*inputs, *own] if t.requires_grad]

    def result() -> Any:
        y = layer(*inputs)
        return y[0] if isinstance(y, tuple) else y

    g = lib.tensor(draw.normal(size=tuple(result().shape)).astype(np.float32))

    def step() -> object:
        for leaf in leaves:
            leaf.grad = None
        result().backward(g)
        return None

    return lib.compile(step) if lib.__name__ == "weft" else step


def measured(step: Callable[[], object], seconds: float = 0.15) -> float:
    """The shortest of some calls."""
    times = []
    while len(times) < 5 or sum(times) < seconds:
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return min(times)


def worker(name: str, threads: int) -> None:
    """Reads names of cases, answers with the shortest time of a call, in seconds."""
    lib = importlib.import_module(name)
    lib.set_num_threads(threads)
    made: dict[str, Callable[[], object]] = {}
    for line in sys.stdin:
        case = json.loads(line)
        if case not in made:
            made.clear()
            made[case] = step_of(lib, case)
            for _ in range(4):
                made[case]()
        print(json.dumps(measured(made[case])), flush=True)


# ---- both


class Worker:
    def __init__(self, library: str, threads: int) -> None:
        command = [sys.executable, "-m", "benchmarks.layers", "--worker", library]
        env = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            [*command, "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            cwd=Path(__file__).parents[1],
        )

    def measure(self, case: str) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(case) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"the worker stopped at {case}")
        return float(json.loads(line))


def compare(only: str, rounds: int, threads: int) -> dict[str, tuple[float, float]]:
    """The shortest times of both, weft's first."""
    both = [Worker(library, threads) for library in ("weft", "torch")]
    results = {}
    for case in CASES:
        if only.lower() in case.lower():
            times = [[w.measure(case) for w in both] for _ in range(rounds)]
            ours, theirs = (min(t) for t in zip(*times, strict=True))
            results[case] = ours, theirs
            mark = "" if theirs / ours >= SLOW else "   slow"
            times_ms = "".join(f"{t * 1e3:10.3f} ms" for t in (ours, theirs))
            print(f"{case:32s}{theirs / ours:8.2f}x{times_ms}{mark}", flush=True)
    for w in both:
        w.process.kill()
        w.process.communicate()
    return results


def main() -> None:
    """Runs the cases and prints a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--json", type=Path, help="write the times here, in seconds")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.threads)
        return
    if importlib.util.find_spec("torch") is None:
        sys.exit("the benchmarks compare with PyTorch: pip install 'weft[parity]'")
    print(f"{'layer':32s}{'ratio':>9s}{'weft':>13s}{'PyTorch':>13s}")
    results = compare(options.only, options.rounds, options.threads)
    ratios = {case: theirs / ours for case, (ours, theirs) in results.items()}
    mean = math.exp(sum(map(math.log, ratios.values())) / max(len(ratios), 1))
    slow = sum(r < SLOW for r in ratios.values())
    print(f"{len(ratios)} layers, geometric mean {mean:.2f}x, {slow} below {SLOW}x")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
