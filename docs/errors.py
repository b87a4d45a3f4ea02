"""Writes ``docs/errors.md``: what weft says about common mistakes. ``python docs/errors.py``.

Each case is run, and what it raises or warns of is shown as it is. A test checks that the page is
what this file makes.
"""

from __future__ import annotations

import re
import textwrap
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import weft
from weft import nn

PAGE = Path(__file__).with_suffix(".md")

INTRODUCTION = """\
# What weft says about mistakes

This page is made by `docs/errors.py`, which runs every example; `weft`, `nn`, `F`
(`weft.nn.functional`) and `np` are imported in each. An error says what was given, where in the
model, and what to write instead. Where raising would break programs that work, weft warns, once.
"""

NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8 * 30 * 30, 10)

    def forward(self, x):
        return self.head(self.encoder(x).flatten(1))
"""

CASES: dict[str, list[tuple[str, str]]] = {
    "Building a model": [
        (
            "Layers in a plain list",
            """
            class Deep(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.layers = [nn.Linear(2, 2) for _ in range(3)]

            Deep()
        """,
        ),
        (
            "A parameter in a plain dict",
            """
            layer = nn.Linear(1, 1)
            layer.extra = {"w": nn.Parameter(weft.zeros(1))}
        """,
        ),
        (
            "A layer that is no layer",
            """
            nn.Module().add_module("w", weft.zeros(2))
        """,
        ),
        (
            "A name that is taken",
            """
            nn.Linear(2, 2).add_module("forward", nn.ReLU())
        """,
        ),
        (
            "A buffer named like a parameter",
            """
            nn.Linear(2, 2).register_buffer("weight", weft.zeros(2))
        """,
        ),
        (
            "A name with a dot",
            """
            nn.Module().add_module("a.b", nn.ReLU())
        """,
        ),
        (
            "A key with a dot",
            """
            nn.ModuleDict({"conv.1": nn.ReLU()})
        """,
        ),
        (
            "A key that is a method",
            """
            nn.ModuleDict({"pop": nn.ReLU()})
        """,
        ),
        (
            "A parameter that is computed",
            """
            nn.Module().register_parameter("w", weft.ones(2, requires_grad=True) * 2)
        """,
        ),
        (
            "A tensor in the place of a parameter",
            """
            nn.Linear(2, 2).weight = weft.zeros(2, 2)
        """,
        ),
        (
            "A list for Sequential",
            """
            nn.Sequential([nn.Linear(2, 2), nn.ReLU()])
        """,
        ),
        (
            "The class in the place of a layer",
            """
            nn.Sequential(nn.Linear(2, 2), nn.ReLU)
        """,
        ),
        (
            "A size below zero",
            """
            nn.Linear(-1, 2)
        """,
        ),
        (
            "A size that is no integer",
            """
            nn.Linear(2.0, 2)
        """,
        ),
        (
            "Heads that do not divide",
            """
            nn.MultiheadAttention(10, 3)
        """,
        ),
        (
            "A parameter of integers",
            """
            nn.Parameter(weft.tensor([1, 2]))
        """,
        ),
        (
            "A name that is nearly right",
            """
            nn.Linear(2, 2).wieght
        """,
        ),
        (
            "A class that is not there",
            """
            nn.Conv(3, 8, 3)
        """,
        ),
        (
            "A path that leads nowhere",
            """
            nn.Sequential(nn.Linear(2, 2)).get_submodule("5")
        """,
        ),
        (
            "A misspelt mode",
            """
            model = nn.Dropout()
            model.traning = False
        """,
        ),
        (
            "Freezing a module",
            """
            model = nn.Linear(2, 2)
            model.requires_grad = False
        """,
        ),
        (
            "An error inside a property",
            """
            class Model(nn.Module):
                @property
                def size(self):
                    return self.missing

            Model().size
        """,
        ),
    ],
    "Calling a model": [
        (
            "No forward",
            """
            class Model(nn.Module):
                def foward(self, x):
                    return x

            Model()(weft.zeros(1))
        """,
        ),
        (
            "A list of layers is called",
            """
            nn.ModuleList([nn.ReLU()])(weft.zeros(1))
        """,
        ),
        (
            "Too many arguments",
            """
            Net()(weft.zeros(1, 3, 32, 32), True)
        """,
        ),
        (
            "The wrong number of features",
            """
            Net()(weft.zeros(4, 3, 28, 28))
        """,
        ),
        (
            "Channels last",
            """
            Net()(weft.zeros(4, 32, 32, 3))
        """,
        ),
        (
            "Too few dimensions",
            """
            nn.Conv2d(3, 8, 3)(weft.zeros(4, 28))
        """,
        ),
        (
            "Another number of channels",
            """
            nn.BatchNorm2d(3)(weft.zeros(2, 8, 4, 4))
        """,
        ),
        (
            "A dimension missing",
            """
            nn.BatchNorm2d(3)(weft.zeros(2, 3))
        """,
        ),
        (
            "A list in the place of a Tensor",
            """
            nn.Linear(2, 1)([1.0, 2.0])
        """,
        ),
        (
            "A NumPy array in the place of a Tensor",
            """
            nn.Linear(2, 1)(np.zeros((3, 2)))
        """,
        ),
        (
            "float64 from NumPy",
            """
            nn.Linear(2, 1)(weft.from_numpy(np.zeros((3, 2))))
        """,
        ),
        (
            "Integers",
            """
            nn.Linear(2, 1)(weft.zeros(3, 2, dtype=weft.int64))
        """,
        ),
        (
            "An image of bytes",
            """
            nn.Conv2d(3, 8, 3)(weft.zeros(1, 3, 8, 8, dtype=weft.uint8))
        """,
        ),
        (
            "Data where options belong",
            """
            nn.ReLU(weft.zeros(2))
        """,
        ),
        (
            "Indices that are no integers",
            """
            nn.Embedding(3, 2)(weft.tensor([0.0, 1.0]))
        """,
        ),
        (
            "An index beyond the table",
            """
            nn.Embedding(3, 2)(weft.tensor([0, 7])).tolist()
        """,
        ),
        (
            "A hook with the wrong arguments",
            """
            layer = nn.Linear(1, 1)
            layer.register_forward_hook(lambda module, output: None)
            layer(weft.zeros(1))
        """,
        ),
        (
            "A device that is not there",
            """
            nn.Linear(1, 1).cuda()
        """,
        ),
    ],
    "Losses": [
        (
            "Classes as floats",
            """
            F.cross_entropy(weft.zeros(2, 3), weft.tensor([0.0, 1.0]))
        """,
        ),
        (
            "A class beyond the last",
            """
            F.cross_entropy(weft.zeros(2, 3), weft.tensor([0, 3])).item()
        """,
        ),
        (
            "A softmax before cross_entropy, which has its own",
            """
            x = weft.randn(2, 3, requires_grad=True)
            F.cross_entropy(F.softmax(x, dim=1), weft.tensor([0, 1]))
        """,
        ),
        (
            "A sigmoid before the loss that has its own",
            """
            x = weft.randn(2, requires_grad=True)
            nn.BCEWithLogitsLoss()(x.sigmoid(), weft.ones(2))
        """,
        ),
        (
            "Another number of samples",
            """
            F.cross_entropy(weft.zeros(4, 3), weft.tensor([0, 1]))
        """,
        ),
        (
            "A column against a row",
            """
            F.mse_loss(weft.zeros(4, 1), weft.zeros(4))
        """,
        ),
        (
            "A target that is smaller than the input",
            """
            F.l1_loss(weft.zeros(4, 3), weft.zeros(3))
        """,
        ),
        (
            "One-hot rows in place of classes",
            """
            F.cross_entropy(weft.zeros(2, 3), weft.tensor([[1, 0, 0], [0, 0, 1]]))
        """,
        ),
        (
            "Logits in place of probabilities",
            """
            nn.BCELoss()(weft.tensor([2.5, -1.0]), weft.tensor([1.0, 0.0])).item()
        """,
        ),
        (
            "Data in place of options",
            """
            nn.MSELoss(weft.zeros(3), weft.zeros(3))
        """,
        ),
    ],
    "Tensors": [
        (
            "A shape that does not fit",
            """
            weft.zeros(2, 3).reshape(4, -1)
        """,
        ),
        (
            "Shapes that do not broadcast",
            """
            weft.zeros(3) + weft.zeros(4)
        """,
        ),
        (
            "Joining what differs",
            """
            weft.cat([weft.zeros(2, 3), weft.zeros(2, 4)])
        """,
        ),
        (
            "One number of many",
            """
            weft.zeros(2).item()
        """,
        ),
        (
            "The truth of many",
            """
            if weft.zeros(2) > 0:
                pass
        """,
        ),
        (
            "An index beyond the end",
            """
            weft.zeros(3)[weft.tensor([5])].tolist()
        """,
        ),
    ],
    "Gradients": [
        (
            "From several numbers",
            """
            weft.ones(2, requires_grad=True).exp().backward()
        """,
        ),
        (
            "Without a history",
            """
            weft.ones(1).sum().backward()
        """,
        ),
        (
            "Twice",
            """
            x = weft.ones(1, requires_grad=True)
            y = (x * x).sum()
            y.backward()
            y.backward()
        """,
        ),
        (
            "Of integers",
            """
            weft.tensor([1, 2]).requires_grad_()
        """,
        ),
        (
            "A leaf changed in place",
            """
            w = weft.ones(2, requires_grad=True)
            w.add_(1)
        """,
        ),
        (
            "A Function with too few gradients",
            """
            class Add(weft.autograd.Function):
                @staticmethod
                def forward(ctx, a, b):
                    return a + b

                @staticmethod
                def backward(ctx, g):
                    return g

            Add.apply(weft.ones(1, requires_grad=True), weft.ones(1)).backward()
        """,
        ),
        (
            "A Function with a gradient of another shape",
            """
            class Double(weft.autograd.Function):
                @staticmethod
                def forward(ctx, x):
                    return 2 * x

                @staticmethod
                def backward(ctx, g):
                    return weft.zeros(3)

            Double.apply(weft.ones(2, requires_grad=True)).sum().backward()
        """,
        ),
    ],
    "Optimisers": [
        (
            "No parameters",
            """
            weft.optim.SGD(nn.ReLU().parameters(), 0.1)
        """,
        ),
        (
            "One parameter",
            """
            weft.optim.SGD(nn.Linear(1, 1).weight, 0.1)
        """,
        ),
        (
            "The same parameter twice",
            """
            w = nn.Linear(1, 1).weight
            weft.optim.SGD([w, w], 0.1)
        """,
        ),
        (
            "A rate below zero",
            """
            weft.optim.Adam(nn.Linear(1, 1).parameters(), lr=-1)
        """,
        ),
        (
            "An option of another name",
            """
            weft.optim.SGD(nn.Linear(1, 1).parameters(), learning_rate=0.1)
        """,
        ),
        (
            "A step without backward()",
            """
            model = nn.Linear(2, 1)
            optimizer = weft.optim.SGD(model, lr=0.1)
            loss = model(weft.ones(3, 2)).sum()
            optimizer.step()
        """,
        ),
        (
            "A forgotten zero_grad()",
            """
            model = nn.Linear(2, 1)
            optimizer = weft.optim.SGD(model, lr=0.1)
            for _ in range(2):
                model(weft.ones(3, 2)).sum().backward()
                optimizer.step()
        """,
        ),
        (
            "A loss that is NaN",
            """
            model = nn.Linear(2, 1)
            optimizer = weft.optim.SGD(model, lr=0.1)
            (model(weft.ones(3, 2)) - weft.inf).softmax(0).sum().backward()
            optimizer.step()
        """,
        ),
    ],
    "Data and files": [
        (
            "A prefix too many",
            """
            model = nn.Sequential(nn.Linear(2, 2))
            model.load_state_dict({f"module.{k}": v for k, v in model.state_dict().items()})
        """,
        ),
        (
            "Another shape",
            """
            nn.Linear(2, 2).load_state_dict(nn.Linear(2, 3).state_dict())
        """,
        ),
        (
            "Samples of different sizes",
            """
            data = [weft.zeros(2), weft.zeros(3)]
            next(iter(weft.utils.data.DataLoader(data, batch_size=2)))
        """,
        ),
        (
            "A dataset without a return",
            """
            class Squares(weft.utils.data.Dataset):
                def __len__(self):
                    return 4

                def __getitem__(self, index):
                    weft.tensor(index**2)

            next(iter(weft.utils.data.DataLoader(Squares(), batch_size=2)))
        """,
        ),
        (
            "A sample that cannot be loaded",
            """
            class Files(weft.utils.data.Dataset):
                def __len__(self):
                    return 4

                def __getitem__(self, index):
                    return open(f"nowhere/{index}.txt").read()

            next(iter(weft.utils.data.DataLoader(Files(), batch_size=2)))
        """,
        ),
        (
            "Shuffling a stream",
            """
            class Lines(weft.utils.data.IterableDataset):
                def __iter__(self):
                    return iter("abc")

            weft.utils.data.DataLoader(Lines(), shuffle=True)
        """,
        ),
        (
            "Going on with another loader's pass",
            """
            loader = weft.utils.data.DataLoader(range(100), batch_size=10)
            next(iter(loader))
            other = weft.utils.data.DataLoader(range(100), batch_size=20)
            other.load_state_dict(loader.state_dict())
        """,
        ),
        (
            "A damaged file",
            """
            import tempfile
            from pathlib import Path

            folder = Path(tempfile.mkdtemp())
            np.save(folder / "x.npy", np.zeros((100, 3)))
            whole = (folder / "x.npy").read_bytes()
            (folder / "x.npy").write_bytes(whole[:1000])
            try:
                weft.utils.data.datasets.NumpyDataset(folder / "x.npy")
            except weft.errors.CheckpointError as error:
                raise weft.errors.CheckpointError(str(error).replace(str(folder), "data"))
        """,
        ),
        (
            "Normalising bytes",
            """
            normalize = weft.utils.data.transforms.Normalize([0.5], [0.25])
            normalize(weft.zeros(8, 1, 28, 28, dtype=weft.uint8))
        """,
        ),
        (
            "A whole module to save",
            """
            weft.save({"model": nn.Linear(1, 1)}, "model.pt")
        """,
        ),
        (
            "The file before what is saved",
            """
            weft.save("model.pt", nn.Linear(1, 1).state_dict())
        """,
        ),
        (
            "A file that would run a program",
            """
            import io

            content = b"\\x80\\x02cos\\nsystem\\nX\\x05\\x00\\x00\\x00hello\\x85R."  # a pickle
            weft.load(io.BytesIO(content))
        """,
        ),
    ],
    "weft.train.fit": [
        (
            "Batches without targets",
            """
            model = nn.Linear(2, 1)
            optimizer = weft.optim.SGD(model, lr=0.1)
            weft.train.fit(model, [weft.ones(4, 2)], optimizer, F.mse_loss, progress=False)
        """,
        ),
        (
            "An optimiser of another model",
            """
            optimizer = weft.optim.SGD(nn.Linear(2, 1), lr=0.1)
            weft.train.fit(nn.Linear(2, 1), [], optimizer, F.mse_loss, progress=False)
        """,
        ),
        (
            "A loss that is not reduced",
            """
            model = nn.Linear(2, 1)
            optimizer = weft.optim.SGD(model, lr=0.1)
            loss = nn.MSELoss(reduction="none")
            data = [(weft.ones(4, 2), weft.ones(4, 1))]
            weft.train.fit(model, data, optimizer, loss, progress=False)
        """,
        ),
        (
            "A loss that is NaN",
            """
            import warnings

            warnings.simplefilter("ignore")  # the optimiser says it too
            model = nn.Linear(2, 1)
            optimizer = weft.optim.SGD(model, lr=1e20)
            data = [(weft.ones(4, 2), weft.zeros(4, 1))] * 9
            weft.train.fit(model, data, optimizer, F.mse_loss, progress=False)
        """,
        ),
    ],
}


def said(code: str) -> str:
    """What a case raises, or warns of."""
    namespace: dict[str, Any] = {"weft": weft, "nn": nn, "F": nn.functional, "np": np}
    exec(NET, namespace)
    weft.manual_seed(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(compile(code, "example.py", "exec"), namespace)
        except Exception as error:
            notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
            text = str(error.args[0]) if isinstance(error, KeyError) else str(error)
            return f"{type(error).__name__}: {text}{notes}"
    if not caught:
        raise AssertionError(f"nothing is said about\n{code}")
    return f"{caught[0].category.__name__}: {caught[0].message}"


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for title, cases in CASES.items():
        parts.append(f"## {title}\n")
        if title == "Calling a model":
            parts.append(f"Some examples call this model:\n\n```py\n{NET.strip()}\n```\n")
        for name, source in cases:
            code = textwrap.dedent(source).strip()
            code = re.sub(r"(\n +[^\n]+)\n\n(?=\S)", r"\1\n\n\n", code)  # after a class
            text = re.sub(r" at 0x[0-9a-f]+", "", said(code))
            parts.append(f"### {name}\n\n```py\n{code}\n```\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
