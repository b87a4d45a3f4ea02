"""The functions of layers in the list of ``samples.py``. (The layers are tested in ``nn/``.)"""

from __future__ import annotations

from typing import Any

from sampling import D, Op, Sample, bad, idx, pos, s, these, unary, wide, x

from weft.errors import DTypeError


def layer(name: str, samples: tuple[Sample, ...], **options: Any) -> Op:
    return Op(f"nn.functional.{name}", samples, "f", **options)


NO_INTEGERS = bad(
    DTypeError, r"takes a floating dtype, not weft.int64: .*x.float\(\)", x(2), on="int64"
)

# A table, to be read in rows:
# fmt: off

IMAGE, CUBE = x(2, 2, 5, 4), x(1, 2, 3, 4, 3)
LOGITS, CLASSES = x(3, 4), idx([0, 3, 1])
LAYERS = [
    layer("linear", (s(x(2, 3), x(4, 3), x(4)), s(x(3), x(4, 3)), s(x(2, 3), x(3)))),
    layer("conv1d", (s(x(2, 2, 6), x(3, 2, 3), x(3)), s(x(2, 6), x(4, 1, 2), groups=2),
                                s(x(1, 1, 7), x(1, 1, 3), None, 2, 1, 2))),
    layer("conv2d", (s(IMAGE, x(3, 2, 3, 2), x(3), 1, 1),
                                s(IMAGE, x(2, 1, 2, 2), None, (2, 1), (0, 1), groups=2),
                                s(IMAGE, x(1, 2, 2, 3), padding="same"))),
    layer("conv3d", (s(CUBE, x(2, 2, 2, 2, 2), x(2), 1, 1, 2),)),
    layer("max_pool1d", (s(wide(2, 2, 6), 2), s(wide(2, 7), 3, 2, 1, ceil_mode=True))),
    layer("max_pool2d", (s(wide(2, 2, 5, 4), 2), s(wide(2, 5, 4), (3, 2), 1, 1),
                                    s(wide(2, 2, 5, 4), 2, 2, 0, 2),
                                    s(wide(1, 2, 4, 4), 2, return_indices=True))),
    layer("max_pool3d", (s(wide(1, 2, 3, 4, 3), 2, 1),)),
    layer("relu", (s(x(2, 3)), s(x(2, 3), False))),
    layer("sigmoid", (s(x(2, 3)),)),
    layer("gelu", (*unary(special=False), s(x(2, 3), approximate="tanh")), errors=(
        bad(ValueError, r"approximate='tan' must be .*mean 'tanh'", x(2), approximate="tan"),
        NO_INTEGERS)),
    layer("tanh", (s(x(2, 3)),)),
    layer("softmax", (s(x(2, 3), 1), s(x(2, 3), 0), s(x(), 0), s(x(2), -1,
                                 dtype=D("float64")), s(these([1e4, -1e4, 0.0]), 0))),
    layer("log_softmax", (s(x(2, 3), 1), s(x(2, 3), -2), s(x(0, 2), 1),
                                     s(these([1e4, -1e4, 0.0]), 0))),
    layer("dropout", (s(x(2, 3)), s(x(2, 3), 0.9), s(x(2), 0.5, False)), random=True,
       grad=False),
    layer("batch_norm", (
        s(IMAGE, None, None, x(2), x(2), True), s(x(3, 2), x(2, grad=False), pos(2, grad=False)),
        s(x(3, 2), None, None, training=True, eps=0.1)), loose=4),
    layer("mse_loss", (s(x(2, 3), x(2, 3)), s(x(2), x(2), reduction="sum"),
                                  s(x(2), x(2), reduction="none"))),
    layer("cross_entropy", (
        s(LOGITS, CLASSES), s(x(4), idx(2)), s(x(2, 3, 2), idx([[0, 1], [2, 1]])),
        s(LOGITS, CLASSES, pos(4, grad=False), ignore_index=3), s(LOGITS, x(3, 4, low=0)),
        s(LOGITS, CLASSES, label_smoothing=0.2, reduction="sum"), s(LOGITS, CLASSES,
          reduction="none"))),
    layer("nll_loss", (s(LOGITS, CLASSES), s(LOGITS, CLASSES, pos(4, grad=False)))),
    layer("one_hot", (s(idx([0, 2, 1])), s(idx([[0], [1]]), 3)), grad=False),
]
