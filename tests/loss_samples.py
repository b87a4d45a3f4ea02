"""Losses and distances in the list of ``samples.py``."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from sampling import In, Op, Sample, bad, chance, idx, pos, s, these, x

from weft.errors import DataError, DTypeError, IndexOutOfRange, ShapeError

#: Some samples are warned of on purpose; tests that hold warnings for errors let these pass.
LET_PASS = pytest.mark.filterwarnings(
    "ignore:.*which is often a mistake", "ignore:kl_div", "ignore:size_average and reduce"
)

# A table, to be read in rows:
# fmt: off

BOTH = bad(ShapeError, r"\[3, 1\] and the target \[3\]; .* to \[3, 3\], a wrong loss",
           x(3, 1), x(3))
NO_FLOATS = bad(DTypeError, r"floating values, not weft.int64 .*\.float\(\)", x(3), x(3),
                on="int64")
REDUCTION = bad(ValueError, r"reduction='men' must be .*mean 'mean'", x(3), x(3), reduction="men")


def loss(name: str, *samples: Sample, codes: str = "f", errors: Any = (), **options: Any) -> Op:
    return Op(f"nn.functional.{name}", samples, codes, errors=errors, **options)


def pairs(left: Any = x, right: Any = x, **options: Any) -> tuple[Sample, ...]:
    """Of all reductions, ranks, and with a target that broadcasts."""
    return (
        s(left(2, 3), right(2, 3), **options),
        s(left(2, 3), right(2, 3), reduction="sum", **options),
        s(left(2, 3), right(2, 3), reduction="none", **options),
        s(left(), right(), **options),
        s(left(2, 3), right(3), **options),
        s(left(2, 1), right(2, 3), reduction="none", **options),
        s(left(0), right(0), **options),
        s(left(2, 3), right(2, 3), size_average=False, **options),
        s(left(2, 3), right(2, 3), reduce=False, **options),
    )




def fixed(values: Any) -> In:
    """Given values that are not differentiated."""
    return replace(these(values), grad=False)


SIGNS = fixed([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]])
SIGN = fixed([1.0, -1.0])
FACTORS = pos(3, grad=False)
KINKS = these([1.0, 0.0, -1.0]), these([0.0, 0.0, 0.0])
OF_NUMBERS = (BOTH, NO_FLOATS, REDUCTION)
ROWS, CLASSES = x(3, 4), idx([0, 3, 1])

REGRESSION = [
    loss("mse_loss", *pairs(), s(x(2, 3), x(2, 3), weight=pos(2, 3, grad=False)), errors=(
        *OF_NUMBERS, bad(ShapeError, r"weight has shape \[2\], but the input has \[3\]",
                         x(3), x(3), weight=x(2)))),
    loss("l1_loss", *pairs(), s(*KINKS), s(x(2, 3), x(2, 3), weight=pos(2, 3, grad=False)),
         errors=OF_NUMBERS),
    loss("smooth_l1_loss", *pairs(), s(*KINKS), s(x(2, 3), x(2, 3), beta=0.5),
         s(x(2, 3), x(2, 3), beta=0.0), errors=(
        *OF_NUMBERS, bad(ValueError, "beta must not be negative", x(2), x(2), beta=-1.0))),
    loss("huber_loss", *pairs()[:-2], s(*KINKS), s(x(2, 3), x(2, 3), delta=0.5),
         s(x(2, 3), x(2, 3), weight=pos(2, 3)), errors=(
        *OF_NUMBERS, bad(ValueError, "delta must be positive, not 0", x(2), x(2), delta=0))),
    loss("poisson_nll_loss", *pairs(), s(x(2, 3), pos(2, 3), full=True),
         s(pos(2, 3), pos(2, 3), log_input=False, eps=0.1), codes="if",
         errors=(BOTH, REDUCTION)),
    loss("gaussian_nll_loss", s(x(2, 3), x(2, 3), pos(2, 3)),
         s(x(2, 3), x(2, 3), pos(2)), s(x(2, 3), x(2, 3), pos(2, 1), full=True),
         s(x(2, 3), x(2, 3), 0.5, reduction="sum"), s(x(2), x(2), pos(2), eps=2.0, smooth=False),
         s(x(), x(), pos(), reduction="none"), errors=(
        bad(ShapeError, r"var has shape \[2\], which is not the input's \[3\]",
            x(3), x(3), pos(2)),
        bad(DataError, "a variance must not be negative, but -1.0 is among them",
            x(2), x(2), these([1.0, -1.0])))),
]

BINARY_SHAPE = bad(ShapeError, r"\[3, 1\] and \[3\]\. Drop .* input\.squeeze\(-1\)", x(3, 1), x(3))
BINARY = [
    loss("binary_cross_entropy", *pairs(chance, chance)[:4],
         s(chance(2, 3), chance(2, 3), FACTORS), loose=2, errors=(
        BINARY_SHAPE, REDUCTION,
        bad(DataError, "between 0 and 1 .put logits through sigmoid.* but 3.0 is", these([3.0]),
            these([1.0])),
        bad(DataError, "takes targets between 0 and 1, but 2.0 is", these([0.5]), these([2.0])),
        bad(ShapeError, r"weight of shape \[2, 3\] does not broadcast to the input's \[3\]",
            chance(3), chance(3), x(2, 3)))),
    loss("binary_cross_entropy_with_logits", *pairs(x, chance)[:4],
         s(x(2, 3), chance(2, 3), FACTORS), s(x(2, 3), chance(2, 3), pos_weight=FACTORS),
         s(these([0.0, 80.0, -80.0]), these([0.0, 1.0, 1.0])), errors=(
        BINARY_SHAPE, REDUCTION,
        bad(ShapeError, r"For one class out of several use cross_entropy; .*one_hot\(target, 4\)",
            ROWS, CLASSES),
        bad(DTypeError, r"the target is weft.int64: write target.float\(\)", x(3), CLASSES),
        bad(ShapeError, r"pos_weight, .*\[2\] and \[3\]|pos_weight: shapes", x(3), x(3),
            pos_weight=x(2)))),
    loss("kl_div", *pairs(x, chance), s(x(2, 3), x(2, 3), log_target=True),
         s(x(2, 3), chance(2, 3), reduction="batchmean"), s(x(2), these([0.0, 0.5]), grad=False),
         errors=(BOTH, NO_FLOATS, bad(ValueError, "or 'batchmean'. Did you", x(2), x(2),
                                      reduction="batch_mean"))),
]

# (Like PyTorch's, the gradient takes its input for the result of log_softmax: not what differences
# of other inputs say.)
CTC = [
    loss("ctc_loss",
         s(x(4, 2, 3), idx([[1, 2], [2, 2]]), [4, 3], [2, 1], smooth=False),
         s(x(5, 2, 3), idx([1, 1, 2]), [5, 5], [2, 1], reduction="none", smooth=False),
         s(x(4, 3), idx([2]), [4], [1], 0, "sum", smooth=False),
         s(x(3, 1, 3), idx([[1]]), [2], [1], blank=2, smooth=False)),
]

MARGIN = [
    loss("hinge_embedding_loss", s(x(2, 3), SIGNS), s(x(2, 3), SIGNS, 0.5, reduction="none"),
         s(these([1.0, 0.0, -1.0]), fixed([-1.0, -1.0, -1.0])), s(x(2), fixed([0.0, 1.0])),
         errors=(BOTH, REDUCTION)),
    loss("margin_ranking_loss", s(x(2, 3), x(2, 3), SIGNS), s(x(2), x(2), SIGN, 0.5),
         s(x(2, 3), x(2, 1), SIGNS, reduction="sum"), errors=(
        bad(ShapeError, r"input1 \[2\], input2 \[2, 1\], target \[2\]", x(2), x(2, 1), x(2)),)),
    loss("cosine_embedding_loss", s(x(2, 3), x(2, 3), SIGN), s(x(3), x(3), fixed(-1.0), 0.2),
         s(x(2, 3), x(2, 3), SIGN, 0.5, reduction="none"), loose=4, errors=(
        bad(ShapeError, r"a target \[N\] of 1 and -1.*not \[2, 3\], \[2, 3\], \[2, 1\]",
            x(2, 3), x(2, 3), x(2, 1)),)),
    loss("soft_margin_loss", s(x(2, 3), SIGNS), s(x(2), SIGN, reduction="none"),
         s(these([0.0, 50.0, -50.0]), fixed([1.0, 1.0, 1.0])), errors=OF_NUMBERS),
    loss("multi_margin_loss", s(ROWS, CLASSES), s(ROWS, CLASSES, 2, 0.5, pos(4, grad=False)),
         s(x(4), idx(2)), s(ROWS, CLASSES, reduction="none"), errors=(
        bad(ValueError, "p must be 1 or 2, not 3", ROWS, CLASSES, 3),
        bad(ShapeError, r"For one-hot targets pass target.argmax\(1\)$", ROWS, x(3, 4)),
        bad(DTypeError, r"class indices must be int64.*target.long\(\)", ROWS, x(3)),
        bad(IndexOutOfRange, "index 4 is out of range", ROWS, idx([0, 4, 1])))),
    loss("multilabel_margin_loss", s(ROWS, idx([[3, 0, -1, 1], [-1, 0, 0, 0], [2, 2, 1, 0]])),
         s(x(3), idx([1, -1, 2])), s(x(2, 2), idx([[0, -1], [1, 0]]), reduction="none"), errors=(
        bad(ShapeError, "lists the labels of its row, then -1", ROWS, CLASSES),
        bad(DTypeError, r"labels must be int64.*target.long\(\)", ROWS, x(3, 4)),
        bad(IndexOutOfRange, "index 7 is out of range", x(2), idx([7, -1])))),
    loss("multilabel_soft_margin_loss", s(x(2, 3), chance(2, 3)), s(x(3), chance(3)),
         s(x(2, 3), chance(2, 3), pos(3), reduction="none"), errors=(BOTH, REDUCTION)),
    loss("triplet_margin_loss", s(x(2, 3), x(2, 3), x(2, 3)), s(x(2, 3), x(2, 3), x(2, 3), 0.5, 1),
         s(x(3), x(3), x(3), swap=True), s(x(2, 3), x(2, 3), x(2, 3), 5.0, 3, 0.1, True,
                                           reduction="none"), loose=8, errors=(
        bad(ValueError, "margin must be positive, not 0", x(2), x(2), x(2), 0),
        bad(ShapeError, r"anchor \[2\], positive \[2\], negative \[1, 2\]",
            x(2), x(2), x(1, 2)))),
    loss("triplet_margin_with_distance_loss", s(x(2, 3), x(2, 3), x(2, 3)),
         s(x(2, 3), x(2, 3), x(2, 3), distance_function=lambda a, b: (a - b).abs().sum(-1),
           margin=9.0, swap=True), loose=8),
]

DISTANCES = [
    loss("cosine_similarity", s(x(2, 3), x(2, 3)), s(x(2, 3), x(3), dim=-1), s(x(3), x(2, 3), 0),
         s(x(2, 3), x(2, 3), eps=9.0, smooth=False), s(these([0.0, 0.0]), these([1.0, 2.0]), 0),
         loose=8, errors=(
        bad(DTypeError, "takes floating vectors", x(2, 2), x(2, 2), on="int64"),)),
    loss("pairwise_distance", s(x(2, 3), x(2, 3)), s(x(2, 3), x(3), 1, 0.1, True), s(x(3), x(3), 3),
         loose=8, codes="if"),
    loss("pdist", s(x(4, 3)), s(x(3, 2), 1), s(x(3, 2), 3), s(x(3, 2), inf, grad=False),
         s(x(1, 3)),
         s(x(3, 2), 0, grad=False), loose=8, errors=(
        bad(ShapeError, r"takes a matrix, not shape \[3\]", x(3)),
        bad(ValueError, "p must not be negative", x(2, 2), -1.0))),
    loss("normalize", s(x(2, 3)), s(x(2, 3), 1, 0), s(x(3), dim=0, eps=9.0),
         s(these([[0.0, 0.0], [3.0, 4.0]])), s(x(2, 3), 3, -1), loose=8),
]

LOSSES: list[Op] = [*REGRESSION, *BINARY, *CTC, *MARGIN, *DISTANCES]
