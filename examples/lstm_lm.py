"""An LSTM learns to write, character by character, from the text of Python's manual.

python examples/lstm_lm.py

The text is what ``help()`` shows in Python, or --text FILE. After about a minute a held-out
character costs less than 2.6 bits, where its frequency alone gives 4.7; then it writes a few lines
of its own.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from pydoc_data.topics import topics

import common
import numpy as np

import weft
import weft.nn.functional as F
from weft import models, optim
from weft.nn.utils import clip_grad_norm_
from weft.utils.data import DataLoader, TensorDataset


def text_of(path: Path | None) -> str:
    if path is not None:
        return path.read_text(encoding="utf-8")
    return "\n".join(text for _, text in sorted(topics.items()))


def pieces(codes: np.ndarray, length: int) -> TensorDataset:
    """Pieces of the text with one character more than is read: ``[N, length + 1]``."""
    count = (len(codes) - 1) // length
    if count == 0:
        sys.exit(f"the text is too short: {len(codes)} characters")
    starts = np.arange(count)[:, None] * length
    return TensorDataset(weft.tensor(codes[starts + np.arange(length + 1)]))


def entropy(codes: np.ndarray) -> float:
    """Bits that a character costs by its frequency alone."""
    share = np.unique(codes, return_counts=True)[1] / len(codes)
    return float(-(share * np.log2(share)).sum())


def loss_of(model: models.LSTMLanguageModel, text: weft.Tensor) -> weft.Tensor:
    scores, _ = model(text[:, :-1])
    return F.cross_entropy(scores.flatten(0, 1), text[:, 1:].flatten())


@weft.no_grad()
def bits(model: models.LSTMLanguageModel, dataset: TensorDataset) -> float:
    """Bits that a character costs the model, on average."""
    model.eval()
    losses = [loss_of(model, text).item() * len(text) for (text,) in DataLoader(dataset, 64)]
    return sum(losses) / len(dataset) / math.log(2)


def run(args: argparse.Namespace) -> int:
    text = text_of(args.text)[: args.limit]
    letters = sorted(set(text))
    codes = np.array([letters.index(c) for c in text])
    cut = len(codes) * 9 // 10
    train, test = pieces(codes[:cut], args.length), pieces(codes[cut:], args.length)
    print(f"LSTM on {len(codes):,} characters, {len(letters)} different ones; a tenth is held out")
    model = models.LSTMLanguageModel(len(letters), 64, 192, num_layers=1, dropout=0.1)
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    batches = common.Batches(train, 32, args)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, batches.total)

    @weft.compile
    def step(text: weft.Tensor) -> weft.Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, text)
        loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    for (text_batch,) in batches:
        batches.note(step(text_batch))
        schedule.step()

    cost = bits(model, test)
    print(f"Held-out characters: {cost:.2f} bits each ({entropy(codes):.2f} by their frequencies)")
    begin = weft.tensor([[letters.index(c) for c in ".. _" if c in letters] or [0]])
    written = model.generate(begin, args.write, temperature=0.7)[0].tolist()
    print("It writes:\n" + "".join(letters[c] for c in written))
    return common.finish(model, batches, args)


options = common.parser("Trains an LSTM to write, character by character.", epochs=3)
options.add_argument("--text", type=Path, metavar="FILE", help="to learn from")
options.add_argument("--limit", type=common.positive, help="this many characters only")
options.add_argument(
    "--length", type=common.positive, default=64, help="read at once (%(default)s)"
)
options.add_argument("--write", type=common.positive, default=200, help="characters (%(default)s)")
main = common.main(run, options)

if __name__ == "__main__":
    sys.exit(main())
