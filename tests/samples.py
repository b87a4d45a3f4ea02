"""One list of what every op takes, gives and refuses. The tests in ``ops/`` go through it.

An :class:`Op` names a public function (``"exp"``), a method (``"Tensor.view"``), an operator
(``"operator.add"``) or a function of layers (``"nn.functional.conv2d"``). Its samples stand for
families of inputs: zero-dimensional, empty, broadcast, not contiguous, negative dimensions. A
function that is a method too, or has an in-place version, is tested in these forms as well and
needs no entry for them.
"""

from __future__ import annotations

from math import inf, nan

import numpy as np
from layer_samples import LAYERS
from samples_families import FAMILIES
from sampling import (
    FAR_DIM,
    NO_BOOL,
    NO_BOOL_PAIR,
    NOT_A_TENSOR,
    NOT_OPERANDS,
    D,
    Op,
    bad,
    binary,
    chance,
    idx,
    mask,
    no_operands,
    pos,
    s,
    these,
    unary,
    wide,
    x,
)

import weft
from weft.errors import (
    DeviceError,
    DTypeError,
    GradientError,
    IndexOutOfRange,
    ShapeError,
    UnsupportedOp,
)

# A table, to be read in rows:
# fmt: off

# ---- elementwise: functions of one argument

FLOAT_UNARY = [
    Op(name, samples, errors=NOT_A_TENSOR, loose=loose)
    for samples, loose, names in [
        (unary(), 1, ("exp", "exp2", "expm1", "sin", "cos", "atan", "sinh", "cosh", "tanh",
                      "asinh", "sigmoid", "erf", "erfc", "deg2rad", "rad2deg")),
        (unary(0.1, 3), 1, ("log", "log2", "log10", "sqrt", "rsqrt")),
        (unary(-0.9, 0.9), 1, ("asin", "acos", "atanh")),
        (unary(-0.9, 3), 1, ("log1p",)),
        (unary(0.6, 3), 1, ("reciprocal",)),
        (unary(-1.2, 1.2), 1, ("tan",)),
        (unary(1.2, 3), 1, ("acosh",)),
        (unary(-2.6, 4), 10, ("lgamma",)),
        (unary(-2.6, 4), 200, ("digamma",)),
    ]
    for name in names
]
KEEPS_DTYPE = [
    *[Op(name, unary(), "ihf", errors=NO_BOOL)
      for name in ("neg", "negative", "abs", "relu", "floor", "ceil", "trunc")],
    *[Op(name, unary(), grad=False) for name in ("detach", "logical_not", "isnan", "isinf",
                                                 "isfinite")],
    Op("sign", unary()),
    Op("positive", unary(), "ihf"),
    Op("square", unary()),
    Op("frac", unary(), "hf", errors=NO_BOOL),
    Op("round", (*unary(), s(these([0.5, 1.5, -0.5, 2.5]), only="hf", grad=False),
                 s(x(2, 3), decimals=1, only="f"), s(x(3), decimals=2, only="f")), "ihf"),
    Op("nan_to_num", (*unary(), s(these([nan, inf, -inf]), 1.0, 2.0, -3.0, only="hf"))),
    Op("clone", unary()),
    Op("bitwise_not", unary(special=False), "bi", grad=False, errors=(
        bad(DTypeError, "bitwise_not takes integers or bool, not weft.float32", x(2)),)),
]

# ---- elementwise: two arguments

SHIFTS = (s(pos(2, 3), pos(3)), s(pos(2, 2), 2), s(pos(), pos(2)), s(pos(2, 2, layout="t"), 1))
NO_SHIFTS = (
    bad(DTypeError, r"takes integers, not weft.float32; convert with .long\(\)", x(2), x(2)),
    bad(DTypeError, "takes integers, not weft.bool", x(2), x(2), on="bool"),
)
NO_FLOATS = (bad(DTypeError, "takes integers or bool, not weft.float32", x(2), x(2)),)
POWERS = [s(x(2, 3), n) for n in (0, 1, 2, 3, 4)]
EXTREMES = (
    s(these([nan, 1.0, inf, -inf, 0.0]), these([1.0, nan, 1.0, inf, -0.0]), only="hf", grad=False),
    s(these([1.0, 2.0]), these([1.0, 2.0]), only="f"),
)

ARITHMETIC = [
    Op("add", (*binary(), s(x(2), x(2), alpha=3), s(x(2), 1, alpha=2)), errors=NOT_OPERANDS),
    Op("sub", (*binary()[:-1], s(x(2), x(2), alpha=3)), "ihf",
       errors=(*NOT_OPERANDS, *NO_BOOL_PAIR)),
    Op("subtract", binary()[:2], "ihf"),
    Op("rsub", binary()[:-1], "ihf", errors=NO_BOOL_PAIR),
    Op("mul", binary(), errors=NOT_OPERANDS),
    Op("multiply", binary()[:2]),
    Op("div", (
        *binary(x, pos),
        s(wide(2, 3), pos(3), rounding_mode="floor", only="ihf", grad=False),
        s(wide(2, 3), pos(3), rounding_mode="trunc", only="ihf", grad=False),
        s(these([1.0, -1.0, 0.0, inf]), these([0.0, 0.0, 0.0, inf]), only="hf", grad=False),
    ), errors=(
        *NOT_OPERANDS,
        bad(ValueError, "rounding_mode must be None, 'floor' or 'trunc', not 'up'",
            x(2), x(2), rounding_mode="up"),
    )),
    Op("divide", binary(x, pos)[:2]),
    Op("true_divide", binary(x, pos)[:2]),
    Op("floor_divide", binary(wide, pos), "ihf", grad=False, errors=(
        *NOT_OPERANDS, *NO_BOOL_PAIR,
        bad(ZeroDivisionError, "integer division by zero", x(2), 0, on="int64"),
    )),
    Op("remainder", binary(wide, pos), "ihf", errors=(
        *NOT_OPERANDS, *NO_BOOL_PAIR,
        bad(ZeroDivisionError, "integer division by zero", x(2), 0, on="int32"),
    )),
    Op("fmod", binary(wide, pos), "ihf", errors=(
        *NOT_OPERANDS, *NO_BOOL_PAIR,
        bad(ZeroDivisionError, "integer division by zero", x(2), 0, on="int8"),
    )),
    Op("pow", (
        *binary(pos, pos), *POWERS, s(pos(2, 3), 0.5), s(pos(2), -1.5), s(pos(2), -2, only="hf"),
        s(2, pos(3)), s(2.0, pos(3)), s(these([0.0, 0.0, -2.0]), these([0.0, 2.0, 3.0]), only="hf"),
    ), errors=(
        *NOT_OPERANDS,
        bad(DTypeError, r"integers to the power -1 are not integers.*x.float\(\)",
            pos(2), -1, on="int64"),
    )),
    Op("maximum", (*binary(), *EXTREMES), errors=NOT_OPERANDS),
    Op("minimum", (*binary(), *EXTREMES), errors=NOT_OPERANDS),
    Op("atan2", (*binary(), *EXTREMES[:1]), errors=NOT_OPERANDS),
]

LOGIC = [
    *[
        Op(name, (*binary(), *EXTREMES), grad=False, errors=NOT_OPERANDS)
        for name in ("eq", "ne", "lt", "le", "gt", "ge")
    ],
    *[
        Op(name, binary(), grad=False, errors=NOT_OPERANDS)
        for name in ("logical_and", "logical_or", "logical_xor")
    ],
    *[
        Op(name, binary()[:-2], "bi", grad=False, errors=(*no_operands("int64"), *NO_FLOATS))
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor")
    ],
    Op("bitwise_left_shift", SHIFTS, "i", grad=False, errors=NO_SHIFTS),
    Op("bitwise_right_shift", SHIFTS, "i", grad=False, errors=NO_SHIFTS),
]

# ---- elementwise: three arguments and more

NEARLY = these([1.0, 1.00001, nan, inf]), these([1.0, 1.0, nan, inf])
OTHER = [
    Op("clamp", (
        s(x(2, 3), -1, 1), s(x(2, 3), -0.5), s(x(2, 3), None, 0.5), s(x(), max=1),
        s(x(2, 3), x(3), pos(2, 1)), s(x(2, 3), min=x(2, 3)), s(x(0, 2), 0, 1),
        s(these([nan, inf, -inf]), -1, 1, only="hf", grad=False), s(x(2), 1, -1),
    ), "ihf", errors=(bad(ValueError, "clamp needs min, max or both", x(2)),)),
    Op("clamp_min", (s(x(2, 3), 0), s(x(2, 3), x(3))), "ihf"),
    Op("clamp_max", (s(x(2, 3), 0), s(x(2, 3), x(3))), "ihf"),
    Op("lerp", (s(x(2, 3), x(2, 3), 0.3), s(x(2, 3), x(3), x(2, 1)), s(x(), x(), x())), "hf"),
    Op("addcmul", (s(x(2, 3), x(3), x(2, 1)), s(x(2), x(2), x(2), value=3), s(x(), x(), x())),
       "ihf"),
    Op("addcdiv", (s(x(2, 3), x(3), pos(2, 1)), s(x(2), x(2), pos(2), value=0.5)), "hf"),
    Op("where", (
        s(mask(2, 3), x(2, 3), x(2, 3)), s(mask(2, 1), x(3), x()), s(mask(3), x(3), 1),
        s(mask(3), 2, x(3)), s(mask(3), 1.5, x(3)), s(mask(), x(2), x(2)), s(mask(0), x(0), x(0)),
        s(mask(2, 3, layout="t"), x(2, 3), x(2, 3, layout="step")),
        s(mask(2, 3), grad=False), s(mask(), grad=False), s(mask(0, 2), grad=False),
    ), errors=(
        bad(TypeError, "both input and other", mask(2), x(2)),
        bad(DTypeError, r"where takes a bool condition, not weft.float32; write \(x != 0\)",
            x(2), x(2), x(2)),
        bad(ShapeError, r"where: shapes .*\[4\].* do not broadcast", mask(2), x(4), x(4)),
    )),
    Op("masked_fill", (
        s(x(2, 3), mask(2, 3), 1), s(x(2, 3), mask(3), 0), s(x(2, 3), mask(), x()),
        s(x(3, 2, layout="t"), mask(2), -1),
    ), errors=(
        bad(DTypeError, r"masked_fill takes a bool mask, not weft.int64; write \(mask != 0\)",
            x(2), idx([0, 1]), 1),
    )),
    Op("isclose", (s(x(2, 3), x(2, 3)), s(*NEARLY, only="f"), s(*NEARLY, equal_nan=True, only="f"),
                   s(x(3), x(3), 0.5, 0.5)), grad=False),
    Op("allclose", (s(x(2, 3), x(2, 3)), s(*NEARLY, equal_nan=True, only="f"),
                    s(x(2), x(2), 0.9, 9)), grad=False),
    Op("equal", (s(x(2, 3), x(2, 3)), s(x(2), x(3)), s(these([1, 2]), these([1, 2]))), grad=False),
    Op("result_type", (s(x(2), x()), s(x(2), 1.5), s(x(), 2), s(x(), idx([1])), s(True, 2)),
       grad=False),
    Op("promote_types", (s(D("uint8"), D("int8")), s(D("float16"), D("bfloat16")),
                         s(D("bool"), D("float32"))), grad=False),
]

# ---- reductions

REDUCED = (
    s(x(2, 3)), s(x(2, 3), 0), s(x(2, 3), -1, True), s(x(2, 3, 2), (0, 2)), s(x()), s(x(), 0),
    s(x(2, 3, layout="t"), 1), s(x(2, 3, layout="step"), (0, 1), True), s(x(2, 3), ()),
    s(x(2, 3), dim=1, keepdim=True),
)
EMPTY = s(x(0, 3)), s(x(0, 3), 0), s(x(2, 0), 0)
TWICE = bad(ShapeError, r"dim \(0, 0\) names a dimension twice", x(2, 3), (0, 0))
ALONG = (
    s(wide(2, 3), 0), s(wide(2, 3), -1), s(wide(), 0), s(wide(2, 3, layout="t"), 1),
    s(wide(2, 0), 1, grad=False),
)
ARGS = (
    s(wide(2, 3)), s(wide(2, 3), 0), s(wide(2, 3), -1, True), s(wide()), s(wide(3), 0),
    s(wide(2, 3, layout="t"), 1), s(these([1.0, nan, 2.0, nan]), only="hf"),
    s(these([2.0, 3.0, 3.0]), 0, only="f"), s(wide(2, 3), None, True),
)
EXTREME = (
    s(wide(2, 3)), s(wide(2, 3), 0), s(wide(2, 3), -1, True), s(wide()), s(wide(), 0),
    s(wide(2, 3, layout="t"), 1), s(wide(2, 3), wide(3)), s(these([1.0, 3.0, 3.0]), only="f"),
    s(these([1.0, nan, 2.0]), 0, only="hf"), s(wide(0, 3), 1),
)
SPREAD = (
    s(x(2, 3)), s(x(2, 3), 0), s(x(2, 3), 1, keepdim=True), s(x(2, 3), unbiased=False),
    s(x(2, 3), 1, correction=0), s(x(2, 3, 2), (0, 2), correction=2), s(x(3, 2, layout="t"), 0),
    s(x(2, 3), False),
)
OF_NONE = bad(IndexOutOfRange, r"of no elements: shape \[0, 3\] is empty", x(0, 3), 0)
NOT_WHOLE = bad(
    DTypeError, r"of weft.int64 is not a whole number: convert first, x.float\(\)", x(2),
    on="int64",
)

REDUCTIONS = [
    Op("sum", (*REDUCED, *EMPTY, s(x(2, 3), dtype=D("float64")),
               s(x(2, 3), 0, dtype=D("int32"), grad=False)), errors=(FAR_DIM, TWICE)),
    Op("mean", (*REDUCED, EMPTY[0], EMPTY[2], s(x(2, 3), 1, dtype=D("float64"))), "hf",
       errors=(FAR_DIM, TWICE, NOT_WHOLE)),
    Op("var", SPREAD, "hf", loose=4, errors=(FAR_DIM, NOT_WHOLE)),
    Op("std", SPREAD, "hf", loose=4, errors=(FAR_DIM, NOT_WHOLE)),
    Op("amax", (*REDUCED, s(these([1.0, 3.0, 3.0]), only="f"), s(x(0, 3), 1)),
       errors=(FAR_DIM, OF_NONE)),
    Op("amin", (*REDUCED, s(these([1.0, 1.0, 3.0]), only="f"), s(x(0, 3), 1)),
       errors=(FAR_DIM, OF_NONE)),
    Op("max", EXTREME, errors=(
        FAR_DIM, OF_NONE, bad(IndexOutOfRange, r"shape \[0\] is empty", x(0)))),
    Op("min", EXTREME, errors=(
        FAR_DIM, OF_NONE, bad(IndexOutOfRange, r"shape \[0\] is empty", x(0)))),
    Op("argmax", ARGS, "ihf", grad=False, errors=(FAR_DIM, OF_NONE)),
    Op("argmin", ARGS, "ihf", grad=False, errors=(FAR_DIM, OF_NONE)),
    Op("any", (*REDUCED, *EMPTY), grad=False, errors=(FAR_DIM, TWICE)),
    Op("all", (*REDUCED, *EMPTY), grad=False, errors=(FAR_DIM, TWICE)),
    Op("count_nonzero", (s(x(2, 3)), s(x(2, 3), 0), s(x(2, 3), (0, 1)), s(x(0, 3)), s(x())),
       grad=False, errors=(FAR_DIM,)),
    Op("prod", (s(x(2, 3)), s(x(2, 5), 1), s(x(2, 3), 0, True), s(x()), s(x(0, 3)), s(x(0, 3), 0),
                s(x(2, 3, layout="t"), -1), s(these([0.0, 2.0, 0.0, 3.0]), only="f"),
                s(x(2, 3), dtype=D("float64"))), errors=(FAR_DIM,)),
    Op("cumsum", (*ALONG, s(x(2, 3), 0, dtype=D("float64"))), errors=(FAR_DIM,)),
    Op("cumprod", (s(x(2, 3), 0), s(x(2, 5), -1), s(x(), 0), s(x(2, 3, layout="t"), 1),
                   s(x(2, 0), 1), s(these([0.0, 2.0, 0.0, 3.0]), 0, only="f")), errors=(FAR_DIM,)),
    Op("logsumexp", (s(x(2, 3), 0), s(x(2, 3), (0, 1)), s(x(2, 3), 1, True), s(x(), 0),
                     s(these([800.0, 801.0]), 0, only="f", grad=False), s(x(2, 0), 1),
                     s(these([-inf, -inf]), 0, only="f"), s(these([inf, 1.0]), 0, only="f")),
       errors=(FAR_DIM,)),
    Op("norm", (s(x(2, 3)), s(x(2, 3), 1), s(x(2, 3), 2, 1), s(x(2, 3), 3.0, 0, True),
                s(x(2, 3), inf), s(x(2, 3), -inf, 1), s(x(2, 3), 0, grad=False), s(x(2, 3), "fro"),
                s(these([0.0, 0.0]), only="f"), s(x())), "hf", loose=4,
       errors=(NOT_WHOLE, bad(ValueError, "norm of order 'nuc': a number or 'fro'", x(2), "nuc"))),
    Op("argsort", (*ALONG, s(wide(2, 3), 0, True), s(wide(5)),
                   s(these([1.0, 0.0, 1.0, 0.0]), stable=True, only="f"),
                   s(these([2.0, nan, 1.0]), only="hf")), "ihf", grad=False, errors=(FAR_DIM,)),
    Op("sort", (*ALONG, s(wide(2, 3), 0, True), s(wide(5)),
                s(these([2.0, nan, 1.0, inf]), descending=True, only="hf")), errors=(FAR_DIM,)),
    Op("topk", (s(wide(6), 3), s(wide(2, 5), 2, 1), s(wide(2, 5), 1, 0, False), s(wide(3), 0),
                s(wide(), 1)), "ihf",
       errors=(bad(ShapeError, r"k=4, but dimension 0 of \[3\] is shorter", x(3), 4),)),
]

# ---- products

TWO_DTYPES = bad(
    DTypeError, r"float32 \(shape \[2, 2\]\) and weft.float64 .*convert one.*x.to\(weft.float64\)",
    x(2, 2), x(2, 2, dtype="float64"),
)
INNER = bad(ShapeError, r"shapes \[2, 3\] and \[2, 3\].*\(3\) must equal.*\(2\)", x(2, 3), x(2, 3))
PRODUCTS = [
    Op("matmul", (
        s(x(2, 3), x(3, 4)), s(x(3), x(3)), s(x(3), x(3, 2)), s(x(2, 3), x(3)),
        s(x(2, 2, 3), x(3, 2)), s(x(2, 1, 2, 3), x(3, 3, 2)), s(x(2, 3, layout="t"), x(3, 2)),
        s(x(2, 0), x(0, 3)), s(x(0, 3), x(3, 2)), s(x(2, 2, 3), x(3)), s(x(3), x(2, 3, 2)),
    ), "ihf", loose=4, errors=(
        INNER, TWO_DTYPES, bad(ShapeError, r"shapes \[\] and \[2\].*use \* for numbers", x(), x(2)),
    )),
    Op("mm", (s(x(2, 3), x(3, 4)), s(x(0, 3), x(3, 2))), "ihf", loose=4, errors=(
        INNER, bad(ShapeError, r"mm takes 2-D and 2-D tensors, not shapes \[2\] and \[2, 2\]",
                   x(2), x(2, 2)))),
    Op("mv", (s(x(2, 3), x(3)), s(x(3, 2, layout="t"), x(2))), "ihf", loose=4, errors=(
        bad(ShapeError, r"mv takes 2-D and 1-D tensors", x(2, 2), x(2, 2)),)),
    Op("bmm", (s(x(2, 2, 3), x(2, 3, 2)), s(x(0, 2, 3), x(0, 3, 2))), "ihf", loose=4, errors=(
        bad(ShapeError, r"shapes \[2, 2, 3\] and \[1, 3, 2\]: the batches differ",
            x(2, 2, 3), x(1, 3, 2)),)),
    Op("dot", (s(x(3), x(3)), s(x(0), x(0))), "ihf", loose=4, errors=(
        bad(ShapeError, "vectors of 2 and 3 elements", x(2), x(3)),)),
    Op("outer", (s(x(2), x(3)), s(x(0), x(2))), errors=(
        bad(ShapeError, "outer takes 1-D and 1-D", x(2, 2), x(2)),)),
    Op("addmm", (s(x(2, 4), x(2, 3), x(3, 4)), s(x(4), x(2, 3), x(3, 4), beta=2, alpha=3)), "ihf",
       loose=4, errors=(bad(ShapeError, r"shapes .*\[2, 3\] and \[2, 3\]",
                            x(2, 2), x(2, 3), x(2, 3)),)),
]

# ---- shape

NO_FIT = bad(ShapeError, r"shape \[4, -1\] does not fit 6 elements \(6 is not a multiple of 4\)",
             x(2, 3), 4, -1)
RESHAPES = (
    s(x(2, 3), 3, 2), s(x(2, 3), (6,)), s(x(2, 3), -1), s(x(), 1, 1), s(x(0, 3), 3, 0),
    s(x(1), ()), s(x(2, 3), [2, -1]),
)
MOVES = [
    Op("reshape", (*[s(r.args[0], r.args[1:]) if isinstance(r.args[1], int) else r
                     for r in RESHAPES], s(x(2, 3, layout="t"), (6,))),
       errors=(bad(ShapeError, r"shape \[4, -1\] does not fit 6 elements", x(2, 3), (4, -1)),)),
    Op("Tensor.reshape", RESHAPES, errors=(
        NO_FIT, bad(TypeError, "sizes must be ints, not 2.5 of type float", x(5), 2.5, 2))),
    Op("Tensor.view", RESHAPES, errors=(
        NO_FIT,
        bad(ShapeError, r"\[2, 3\] cannot be seen as \[6\] without a copy.*use .reshape\(\)",
            x(2, 3, layout="t"), 6),
        bad(UnsupportedOp, r"reading the same bits as another dtype", x(2), D("int32")),
    )),
    Op("Tensor.view_as", (s(x(2, 3), x(3, 2)),), errors=(
        bad(ShapeError, r"view: shape \[4\] does not fit 6 elements", x(2, 3), x(4)),)),
    Op("Tensor.reshape_as", (s(x(2, 3), x(6)), s(x(2, 3, layout="t"), x(6)))),
    Op("flatten", (s(x(2, 3, 2)), s(x(2, 3, 2), 1), s(x(2, 3, 2), 0, -2), s(x()), s(x(3)),
                   s(x(2, 3, layout="t"))),
       errors=(FAR_DIM, bad(ShapeError, "start_dim 1 comes after end_dim 0", x(2, 3), 1, 0))),
    Op("ravel", (s(x(2, 3)), s(x()), s(x(2, 3, layout="t")))),
    Op("unflatten", (s(x(6, 2), 0, (2, 3)), s(x(2, 6), -1, (-1, 2))), errors=(
        bad(ShapeError, r"shape \[4, 2\] does not fit 6 elements", x(6), 0, (4, 2)),)),
    Op("permute", (s(x(2, 3, 4), (2, 0, 1)), s(x(2, 3), (-1, 0)), s(x(), ())), errors=(
        bad(ShapeError, r"\[0, 0\] does not name each of 2 dimensions once", x(2, 3), (0, 0)),)),
    Op("transpose", (s(x(2, 3), 0, 1), s(x(2, 3, 4), -1, 0), s(x(), 0, -1)), errors=(
        bad(IndexError, r"transpose: dim 2 is out of range for 2 dimensions", x(2, 3), 0, 2),)),
    Op("swapaxes", (s(x(2, 3), 0, 1),)),
    Op("t", (s(x(2, 3)), s(x(3)), s(x())), errors=(
        bad(ShapeError, r"at most 2 dimensions, not 3; use .mT or .transpose\(\)", x(1, 2, 3)),)),
    Op("Tensor.T", (s(x(2, 3)),)),
    Op("Tensor.mT", (s(x(2, 3)), s(x(2, 3, 4))), errors=(
        bad(IndexError, "dim -2 is out of range for 1 dimensions", x(3)),)),
    Op("movedim", (s(x(2, 3, 4), 0, -1), s(x(2, 3, 4), (0, 1), (1, 2))), errors=(
        bad(ShapeError, r"\(0, 1\) and 0 do not pair up", x(2, 3), (0, 1), 0),)),
    Op("squeeze", (s(x(1, 2, 1)), s(x(1, 2, 1), 0), s(x(1, 2, 1), 1), s(x(1, 2, 1), (0, -1)),
                   s(x()), s(x(), 0)), errors=(FAR_DIM,)),
    Op("unsqueeze", (s(x(2, 3), 0), s(x(2, 3), -1), s(x(), 0)), errors=(
        bad(IndexError, r"dim 3 is out of range.*expected -3 to 2", x(2, 3), 3),)),
    Op("Tensor.expand", (s(x(2, 1), 2, 3), s(x(3), 2, -1), s(x(), 2), s(x(2, 3), (2, 3)),
                         s(x(1), 0)), errors=(
        bad(ShapeError, r"shape \[2, 3\] does not expand to \[4, 3\]", x(2, 3), 4, 3),
        bad(ShapeError, r"-1 in \[-1, 2\] stands for a dimension that is not there", x(2), -1, 2),
        bad(ShapeError, r"\[3\] has fewer dimensions than the tensor's \[2, 3\]", x(2, 3), 3),
    )),
    Op("Tensor.expand_as", (s(x(2, 1), x(2, 3)),)),
    Op("broadcast_to", (s(x(2, 1), (2, 3)), s(x(), (2, 2)))),
    Op("broadcast_tensors", (s(x(2, 1), x(3)), s(x(), x(2, 2))), errors=(
        bad(ShapeError, r"shapes \[2\] and \[3\] do not broadcast", x(2), x(3)),)),
    Op("narrow", (s(x(3, 4), 1, 1, 2), s(x(3), 0, -2, 2), s(x(3), 0, 3, 0)), errors=(
        bad(IndexOutOfRange, r"3 places from 1 on do not fit dimension 0 of \[3\]", x(3), 0, 1, 3),
    )),
    Op("select", (s(x(3, 4), 1, 2), s(x(3, 4), 0, -1), s(x(3), 0, 0)), errors=(
        bad(IndexOutOfRange, r"index 3 is out of range for dimension 0 of shape \[3\]",
            x(3), 0, 3),)),
    Op("split", (s(x(5, 2), 2), s(x(5), (1, 4)), s(x(2, 6), 3, -1), s(x(0), 2)), errors=(
        bad(ShapeError, r"\[1, 2\] do not add up to 5", x(5), (1, 2)),
        bad(ShapeError, "size of a piece must be positive, not 0", x(5), 0),
    )),
    Op("chunk", (s(x(5, 2), 2), s(x(2, 6), 4, 1), s(x(2), 3)), errors=(
        bad(ShapeError, "number of chunks must be positive, not 0", x(5), 0),)),
    Op("unbind", (s(x(2, 3)), s(x(2, 3), -1), s(x(0, 2))), errors=(
        bad(IndexOutOfRange, "a zero-dimensional tensor has no dimension 0", x()),)),
    Op("diagonal", (s(x(3, 3)), s(x(2, 4), 1), s(x(4, 2), -1), s(x(2, 3, 3), 0, 1, 2),
                    s(x(2, 3), 5), s(x(3, 2, layout="t"))), errors=(
        bad(ShapeError, "dim1 and dim2 are both 0", x(2, 2), 0, 0, 0),)),
    Op("cat", (s([x(2, 3), x(1, 3)]), s([x(2, 1), x(2, 2)], 1), s([x(2), x(3)], -1), s([x(2)]),
               s([x(2, 3), x(0)], grad=False), s([x(2), idx([1, 2])]),
               s((x(2), x(2, dtype="float64")), dim=0)), errors=(
        bad(ShapeError, r"tensor 0 has shape \[2, 3\] and tensor 1 has \[2, 4\]",
            [x(2, 3), x(2, 4)]),
        bad(ShapeError, "the sequence is empty", []),
        bad(ShapeError, "zero-dimensional tensors cannot be joined; use weft.stack", [x(), x()]),
        bad(TypeError, r"takes a sequence of Tensors, not one Tensor: cat\(\[x, y\]\)", x(2)),
    )),
    Op("concat", (s([x(2), x(3)]),)),
    Op("stack", (s([x(2, 3), x(2, 3)]), s([x(2), x(2)], -1), s([x(), x()]), s([x(3)], 1)), errors=(
        bad(ShapeError, r"tensor 0 has \[2\] and tensor 1 has \[3\]", [x(2), x(3)]),)),
    Op("flip", (s(x(2, 3), (0,)), s(x(2, 3), (0, -1)), s(x(0), (0,))), errors=(
        bad(IndexError, "flip: dim 2 is out of range", x(2, 3), (2,)),)),
    Op("roll", (s(x(5), 2), s(x(2, 3), 1, 0), s(x(2, 3), (1, -1), (0, 1)), s(x(2, 3), 4),
                s(x(3), 3, 0)), errors=(bad(ShapeError, "2 shifts for 1 dims", x(2), (1, 2), 0),)),
    Op("Tensor.repeat", (s(x(2), 3), s(x(2, 3), 2, 1, 2), s(x(), 2), s(x(2), 0)), errors=(
        bad(ShapeError, r"\[2\] has fewer sizes than shape \[2, 3\]", x(2, 3), 2),)),
    Op("tile", (s(x(2), (3,)), s(x(2, 3), (2,)), s(x(2), (2, 2)))),
    Op("tril", (s(x(3, 3)), s(x(2, 3, 4), 1), s(x(3, 2), -1)), errors=(
        bad(ShapeError, r"at least 2 dimensions, not shape \[3\]", x(3)),)),
    Op("triu", (s(x(3, 3)), s(x(2, 3, 4), 1), s(x(3, 2), -1)), errors=(
        bad(ShapeError, r"at least 2 dimensions, not shape \[3\]", x(3)),)),
]

# ---- indexing

FLOAT_INDEX = bad(DTypeError, r"index must be int or bool, not weft.float32.*\.long\(\)",
                  x(3), x(2))
PLACES = (
    0, -1, slice(1, None), slice(None, None, 2), (slice(None), 1), (Ellipsis, 0), (None, 1),
    (0, 1), slice(2, 1), idx([0, 2, 2]), idx([[0, -1], [1, 0]]), (idx([0, 1]), idx([2, 0])),
    (slice(None), idx([2, 0])), mask(3, 4), mask(3), (idx([1, 0]), None, idx([0, 3])), [0, 2],
    (slice(0, 2), mask(4)), True, Ellipsis, (idx(1), slice(1, 3)),
)
PER_COLUMN = idx([[0, 1, 2, 0], [2, 0, 1, 1]])
NO_GATHER = bad(ShapeError, r"index of shape \[3\] does not fit a tensor of shape \[3, 4\]",
                x(3, 4), 0, idx([0, 1, 2]))
INDEXING = [
    Op("Tensor.__getitem__", tuple(s(x(3, 4), i) for i in PLACES), errors=(
        FLOAT_INDEX,
        bad(IndexOutOfRange, r"index 3 is out of range for dimension 0 with size 3 \(shape \[3\]\)",
            x(3), 3),
        bad(IndexOutOfRange, "too many indices: 2 for 1 dimensions", x(3), (0, 0)),
        bad(IndexOutOfRange, "index 5 is out of range for a dimension of size 3", x(3), idx([5])),
        bad(ValueError, r"positive, not -1: use weft.flip", x(3), slice(None, None, -1)),
        bad(TypeError, r"an index must be an int, a slice.*not float", x(3), 1.5),
        bad(ShapeError, r"mask of shape \[2\] does not fit .* \[3\]", x(3), mask(2)),
        bad(IndexOutOfRange, "only one '...'", x(3), (Ellipsis, Ellipsis)),
    )),
    Op("Tensor.__setitem__", (
        *[s(x(3, 4), i, 1) for i in PLACES],
        s(x(3, 4), 1, x(4)), s(x(3, 4), (slice(None), 2), x(3)), s(x(3, 4), idx([0, 2]), x(2, 4)),
        s(x(3, 4), mask(3, 4), x(6)), s(x(3, 4), mask(3, 4), x()), s(x(3, 4, layout="t"), 0, x(1)),
        s(x(3), 0, x(1, 1)), s(x(3), 0, 1.5, only="hf"),
    ), errors=(
        bad(ShapeError, r"value of shape \[3\] does not fit a place of shape \[4\]",
            x(3, 4), 0, x(3)),
        bad(IndexOutOfRange, "index 3 is out of range", x(3), 3, 1),
        bad(TypeError, r"x\[...\] = value takes a Tensor or a number, not str", x(3), 0, "a"),
    )),
    Op("index_select", (s(x(3, 4), 0, idx([2, 0, 2])), s(x(3, 4), -1, idx([1])),
                        s(x(3), 0, idx(1))), errors=(
        bad(ShapeError, r"a vector of places, not shape \[1, 2\]", x(3), 0, idx([[0, 1]])),
        bad(IndexOutOfRange, "index -1 is out of range", x(3), 0, idx([-1])),
    )),
    Op("gather", (s(x(3, 4), 0, PER_COLUMN), s(x(3, 4), 1, idx([[3], [0], [0]])),
                  s(x(3, 4), -1, idx([[0, 0]])), s(x(3), 0, idx([2, 0, 1]))), errors=(
        NO_GATHER,
        bad(DTypeError, "gather takes an int64 index, not weft.float32", x(3), 0, x(3)),
        bad(IndexOutOfRange, "index 3 is out of range for .* size 3", x(3), 0, idx([3])),
    )),
    Op("scatter", (s(x(3, 4), 0, idx([[0, 1, 2, 0]]), x(2, 4), grad=False),
                   s(x(3, 4), 1, idx([[3], [0]]), 5), s(x(3), -1, idx([2]), x(1))), errors=(
        bad(ShapeError, r"index of shape \[3\] does not fit .* \[3, 4\]",
            x(3, 4), 0, idx([0, 1, 2]), x(3)),)),
    Op("scatter_add", (s(x(3, 4), 0, PER_COLUMN, x(2, 4)), s(x(3), 0, idx([0, 0]), x(2))), errors=(
        bad(ShapeError, r"index of shape \[3\] does not fit .* \[3, 4\]",
            x(3, 4), 0, idx([0, 1, 2]), x(3)),)),
    Op("index_add", (s(x(3, 4), 0, idx([2, 0, 2]), x(3, 4)), s(x(3, 4), 1, idx([1]), x(3, 1)),
                     s(x(3), 0, idx([0]), x(1), alpha=2))),
    Op("index_put", (s(x(3, 4), (idx([0, 2]),), x(2, 4)),
                     s(x(3, 4), (idx([0, 0]), idx([1, 1])), x(2), True),
                     s(x(3, 4), (mask(3, 4),), x())), errors=(
        bad(ShapeError, r"value of shape \[3\] does not fit a place of shape \[2\]",
            x(3), (idx([0, 1]),), x(3)),)),
    Op("masked_select", (s(x(3, 4), mask(3, 4)), s(x(3, 4), mask(4)), s(x(), mask()),
                         s(x(3), mask(2, 3))), errors=(
        bad(ShapeError, "masked_select: shapes .* do not broadcast", x(3), mask(2)),)),
    Op("nonzero", (s(x(2, 3)), s(mask(2, 3)), s(x()), s(idx([0, 1, 0])), s(x(0, 2)),
                   s(mask(2, 3), as_tuple=True)), grad=False),
]

# ---- dtype, copies, attributes

NO_CUDA = bad(DeviceError, r"device 'cuda' is not available.*Leave device= away", x(2), "cuda")
CONVERSIONS = [
    *[Op(f"Tensor.{name}", (s(pos(2, 3), smooth=False), s(pos(), smooth=False)))
      for name in ("float", "double", "half", "bfloat16", "long", "int", "short", "byte", "char",
                   "bool")],
    Op("Tensor.to", (s(pos(2), D("int32")), s(x(2), D("float64")), s(x(2), "cpu"),
                     s(x(2), dtype=D("float16"), smooth=False), s(x(2), x(1, dtype="float64")),
                     s(x(2), "cpu", D("float32"), smooth=False)), errors=(NO_CUDA,)),
    Op("Tensor.type", (s(x(2), D("float64")),)),
    Op("Tensor.type_as", (s(x(2), x(1, dtype="float64")),)),
    Op("Tensor.cpu", (s(x(2)),)),
    Op("Tensor.pin_memory", (s(x(2)),), torch=None),
    Op("Tensor.is_pinned", (s(x(2)),), grad=False),
    Op("Tensor.get_device", (s(x(2)),), grad=False),
    Op("Tensor.cuda", (), errors=(bad(DeviceError, "device 'cuda' is not available", x(2)),)),
    Op("Tensor.contiguous", (s(x(2, 3)), s(x(2, 3, layout="t")))),
    Op("Tensor.clone", (s(x(2, 3)), s(x(2, 3, layout="t")))),
    Op("Tensor.where", (s(x(2, 3), mask(3), x(3)), s(x(2), mask(2), 0))),
    Op("Tensor.data", (s(x(2, 3)),), grad=False),
    Op("Tensor.detach_", (s(x(2, 3)),), grad=False),
    Op("Tensor.requires_grad_", (s(x(2)), s(x(2), False)), "f", grad=False, errors=(
        bad(GradientError, r"not weft.int64: convert it first, x.float\(\)", x(2), on="int64"),
    )),
    *[Op(f"Tensor.{name}", (s(x(2, 3)), s(x()), s(x(0, 2), only="f")), grad=False)
      for name in ("shape", "dim", "ndimension", "ndim", "dtype", "device", "itemsize", "nbytes",
                   "element_size", "nelement", "is_cuda", "is_cpu", "is_floating_point",
                   "is_complex", "is_signed", "is_leaf", "requires_grad", "grad", "grad_fn",
                   "retains_grad", "is_contiguous", "stride", "tolist")],
    Op("Tensor.numpy", (s(x(2, 3)), s(x()), s(x(2, 3, layout="t"))), "bif", grad=False),
    Op("Tensor.size", (s(x(2, 3)), s(x(2, 3), 1), s(x(2, 3), -1)), grad=False, errors=(FAR_DIM,)),
    Op("Tensor.item", (s(x()), s(x(1, 1))), grad=False, errors=(
        bad(RuntimeError, r"one element, not shape \[2, 3\] with 6: reduce it first", x(2, 3)),)),
    Op("Tensor.__len__", (s(x(2, 3)),), grad=False, errors=(
        bad(TypeError, r"zero-dimensional tensor has no len\(\)", x()),)),
    Op("Tensor.__contains__", (s(idx([1, 2]), 2), s(idx([1, 2]), 3)), grad=False),
    Op("numel", (s(x(2, 3)), s(x()), s(x(0, 2))), grad=False),
    Op("is_tensor", (s(x(2)), s([1.0])), grad=False),
    Op("is_floating_point", (s(x(2)),), grad=False),
    Op("realize", (s(x(2)), s(x(2), x(3)), s()), grad=False, torch=None),
]

# ---- in place, where the method has no other form

IN_PLACE = [
    Op("Tensor.copy_", (s(x(2, 3), x(3)), s(x(2), idx([1, 2])), s(x(2), x()),
                        s(x(2, 3, layout="t"), x(2, 3)), s(x(2), x(2, dtype="float64"), only="hf")),
       errors=(bad(ShapeError, r"value of shape \[4\] does not fit a place of shape \[2, 3\]",
                   x(2, 3), x(4)),)),
    Op("Tensor.fill_", (s(x(2, 3), 3), s(x(2), x()), s(x(0), 1), s(x(3, 2, layout="t"), 1))),
    Op("Tensor.zero_", (s(x(2, 3)), s(x()))),
    *[Op(f"Tensor.{name}", (s(x(2, 3)), s(x())), "hf", grad=False, random=True, errors=(
        bad(DTypeError, f"{name} makes floating numbers, not weft.int64", x(2), on="int64"),))
      for name in ("uniform_", "normal_", "exponential_")],
    Op("Tensor.bernoulli_", (s(x(2, 3)), s(x(2), 0.3), s(x(2), chance(2, dtype="float64"))),
       grad=False, random=True),
    Op("Tensor.random_", (s(x(2, 3)), s(x(2), 5), s(x(2), 1, 9)), "ihf", grad=False, random=True),
]

# ---- creation

SIZES = s(2, 3), s((2, 3)), s(()), s(0, 2), s(2, dtype=D("int16")), s([2], dtype=D("bool"))
NEGATIVE = bad(ShapeError, r"negative size: \[2, -1\]", 2, -1)
NO_SIZE = bad(TypeError, "sizes must be ints, not 2.5 of type float", 2.5)
NO_DTYPE = bad(DTypeError, "no dtype 'float31'.*Did you mean", 2, dtype="float31")
LIKE = s(x(2, 3)), s(x()), s(x(0)), s(x(2), dtype=D("int8"))
DATA = (
    s([1, 2]), s([[1.5, 2], [3, 4]]), s(3), s(2.5), s(True), s([]), s([[], []]), s([True, False]),
    s(np.arange(3.0)), s(np.int16(3)), s((1, 2.0)), s([1, 2], dtype=D("float64")),
    s([-1.7, 2.9], dtype=D("int32")), s(np.arange(6).reshape(2, 3).T), s(2**40), s([nan, inf]),
)
CREATION = [
    Op("zeros", SIZES, "f", errors=(NEGATIVE, NO_SIZE, NO_DTYPE,
                                    bad(DeviceError, "'cuda' is not available", 2, device="cuda"))),
    Op("ones", SIZES, "f", errors=(NEGATIVE, NO_SIZE, NO_DTYPE)),
    Op("empty", SIZES, "f", random=True, errors=(NEGATIVE, NO_SIZE)),
    Op("full", (s((2, 3), 1.5), s((2,), 3), s((), True), s([2], 1, dtype=D("float64"))), "f",
       errors=(bad(ShapeError, r"negative size: \[-1\]", (-1,), 0),)),
    Op("zeros_like", LIKE, grad=False),
    Op("ones_like", LIKE, grad=False),
    Op("empty_like", LIKE, grad=False, random=True),
    Op("full_like", (s(x(2, 3), 2), s(x(), 1.0), s(x(2), 7, dtype=D("uint8"))), grad=False),
    Op("Tensor.new_tensor", (s(x(2), [1, 2]), s(x(2), 3.0, dtype=D("float64"))), grad=False),
    Op("Tensor.new_zeros", (s(x(2), 2, 3), s(x(2), (2,), dtype=D("int32"))), grad=False),
    Op("Tensor.new_ones", (s(x(2), 2, 3), s(x(2), (2,), dtype=D("int32"))), grad=False),
    Op("Tensor.new_empty", (s(x(2), 2, 3),), grad=False, random=True),
    Op("Tensor.new_full", (s(x(2), (2, 3), 1), s(x(2), (), 2.0, dtype=D("float64"))), grad=False),
    Op("eye", (s(3), s(2, 3), s(0), s(2, dtype=D("int64"))), "f", errors=(
        bad(ShapeError, r"sizes must not be negative: \[-1, -1\]", -1),)),
    Op("arange", (s(5), s(1, 4), s(0, 1, 0.25), s(5, 0, -2), s(2.5), s(3, dtype=D("float64")),
                  s(0), s(1, 10, 3, dtype=D("uint8")), s(0, 1, 0.1, dtype=D("float64"))), "f",
       errors=(bad(ValueError, "a step of -1 does not lead from 0 to 3", 0, 3, -1),)),
    Op("linspace", (s(0, 1, 5), s(3, -3, 4, dtype=D("float64")), s(0, 1, 1), s(0, 1, 0)), "f",
       errors=(bad(ValueError, "steps must not be negative: -1", 0, 1, -1),)),
    Op("meshgrid", (s(x(2), x(3), indexing="ij"), s(x(2), x(3), indexing="xy"), s(x(2)),
                    s(x(2), x(3), x(2), indexing="xy")), errors=(
        bad(ValueError, "indexing must be 'ij' or 'xy', not 'ji'", x(2), indexing="ji"),)),
    Op("tensor", DATA, "f", errors=(
        bad(ShapeError, "nested sequences differ in length", [[1, 2], [3]]),
        bad(TypeError, "takes numbers, not 'a'", ["a"]),
        bad(DeviceError, "device 'tpu' is not available", [1], device="tpu"),
    )),
    Op("as_tensor", (*DATA, s(x(2)), s(x(2), dtype=D("float64"))), "f"),
    Op("from_numpy", (s(np.arange(3)), s(np.ones((2, 2), np.float32)), s(np.array(True))), "f",
       errors=(bad(TypeError, "takes a NumPy array, not list", [1.0]),
               bad(DTypeError, r"NumPy array of '<U1': convert it first.*astype",
                   np.array(["a"])))),
    Op("from_dlpack", (s(np.arange(3)), s(np.ones((2, 2), np.float32))), "f"),
]

# ---- random: values cannot be compared, only shapes and dtypes

RANDOM = [
    *[Op(name, (s(2, 3), s((2,)), s(()), s(0), s(2, dtype=D("float64"))), "f", random=True, errors=(
        NEGATIVE, NO_SIZE, bad(DTypeError, "floating numbers, not weft.int64; use weft.randint", 2,
                               dtype=weft.int64)))
      for name in ("rand", "randn")],
    *[Op(name, (s(x(2, 3)), s(x(2), dtype=D("float64"))), "hf", grad=False, random=True, errors=(
        bad(DTypeError, "floating numbers, not weft.int32; use weft.randint", x(2),
            on="int32"),))
      for name in ("rand_like", "randn_like")],
    Op("randint", (s(5, (2, 3)), s(1, 9, (4,)), s(-3, 3, (2,), dtype=D("int16"))), "f", random=True,
       errors=(bad(ValueError, "no integer from 3 up to but without 3", 3, 3, (2,)),)),
    Op("randint_like", (s(x(2, 3), 5), s(x(2), 1, 3)), "ihf", grad=False, random=True, errors=(
        bad(ValueError, "no integer from 3 up to", x(2), 3, 2),)),
    Op("randperm", (s(5), s(0), s(3, dtype=D("int32"))), "f", random=True),
    Op("normal", (s(x(2, 3), 1.0), s(0.0, pos(3)), s(0.0, 1.0, (2, 2)), s(x(2), pos(2))), "f",
       grad=False, random=True),
    Op("bernoulli", (s(chance(2, 3)), s(chance(2), 0.5)), "hf", grad=False, random=True),
    Op("multinomial", (s(pos(4), 2), s(pos(2, 4), 3), s(pos(4), 9, True)), "f", grad=False,
       random=True, errors=(
        bad(ShapeError, "3 draws without replacement from 2 places; pass replacement=True",
            pos(2), 3),)),
]

# ---- operators

BOTH_SIDES = (*binary(), s(2, x(2, 2)), s(1.5, x(2, 2)), s(x(2), np.float64(2.0), only="f"))
POSITIVE = (*binary(wide, pos), s(2, pos(2, 2)), s(1.5, pos(2, 2)))
WHOLE = (*binary()[:-2], s(2, x(2)))
OPERATORS = [
    *[Op(f"operator.{name}", BOTH_SIDES) for name in ("add", "mul")],
    Op("operator.sub", (*BOTH_SIDES[:9], *BOTH_SIDES[10:]), "ihf"),
    Op("operator.truediv", POSITIVE),
    Op("operator.floordiv", POSITIVE, "ihf", grad=False),
    Op("operator.mod", (*POSITIVE[:-2], s(2, pos(2), grad=False)), "ihf"),
    Op("operator.pow", (*binary(pos, pos), s(2, pos(2)), s(2.0, pos(2))), "ihf"),
    *[Op(f"operator.{name}", BOTH_SIDES, grad=False)
      for name in ("eq", "ne", "lt", "le", "gt", "ge")],
    *[Op(f"operator.{name}", WHOLE, "bi", grad=False, errors=NO_FLOATS)
      for name in ("and_", "or_", "xor")],
    Op("operator.lshift", SHIFTS, "i", grad=False),
    Op("operator.rshift", SHIFTS, "i", grad=False),
    Op("operator.matmul", (s(x(2, 3), x(3, 2)), s(x(3), x(3))), "ihf", loose=4, errors=(INNER,)),
    Op("operator.neg", unary()[:2], "ihf"),
    Op("operator.pos", unary()[:2], "ihf"),
    Op("operator.abs", unary()[:2], "ihf"),
    Op("operator.invert", unary(special=False)[:2], "bi", grad=False),
    *[Op(f"operator.{name}", (s(pos(2, 3), pos(3)), s(pos(2, 3, layout="t"), 2)), "hf",
         errors=(bad(ShapeError, r"result of an in-place op has shape \[2, 3\], which does not fit "
                     r"the tensor's \[3\]", pos(3), pos(2, 3)),))
      for name in ("iadd", "isub", "imul", "itruediv", "imod", "ipow")],
    Op("operator.ifloordiv", (s(wide(2, 3), pos(3)),), "ihf", grad=False),
    *[Op(f"operator.{name}", (s(x(2, 3), x(3)),), "bi", grad=False)
      for name in ("iand", "ior", "ixor")],
]

OPS: list[Op] = [
    *FLOAT_UNARY, *KEEPS_DTYPE, *ARITHMETIC, *LOGIC, *OTHER, *REDUCTIONS,
    *PRODUCTS, *MOVES, *INDEXING, *CONVERSIONS, *IN_PLACE, *CREATION, *RANDOM, *OPERATORS,
    *FAMILIES,
    *LAYERS,
]
