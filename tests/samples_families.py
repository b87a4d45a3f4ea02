"""The families of functions beyond the common ones, in the list of ``samples.py``."""

from __future__ import annotations

from functools import partial
from math import inf, nan
from typing import Any

from samples_complex import COMPLEX
from samples_lesser import LESSER
from samples_numeric import NUMERIC
from samples_special import BEYOND
from sampling import (
    FAR_DIM,
    NOT_OPERANDS,
    D,
    Op,
    bad,
    binary,
    chance,
    idx,
    mask,
    pos,
    s,
    these,
    unary,
    wide,
    x,
)

from weft.errors import DTypeError, IndexOutOfRange, ShapeError

# A table, to be read in rows:
# fmt: off

# ---- pieces, stacks, turns

PIECES = (s(x(5, 3), 2), s(x(5, 3), 2, 1), s(x(5), [1, 3]), s(x(5), [-2, 9]), s(x(4, 2), [3, 1]),
          s(x(2, 3), 4, -1), s(x(5), idx([1, 3]), only="f"))
MANY = (s([x(2), x(2)]), s([x(2, 3), x(2, 3)]), s([x(), x()]), s([x(1, 2, 2)]),
        s([x(2, dtype="int32", grad=False), x(2)], only="f"))
JOINING = [
    *[Op(name, (s(x()), s(x(2)), s(x(2, 3)), s(x(2, 1, 3)), s(x(), x(2)), s((x(2), x(2, 2)))))
      for name in ("atleast_1d", "atleast_2d", "atleast_3d")],
    *[Op(name, MANY, errors=(bad(ShapeError, "cat of no tensors", []),))
      for name in ("hstack", "vstack", "dstack", "column_stack")],
    Op("block_diag", (s(x(2, 2), x(1, 3)), s(x(2), x(), x(2, 1)), s(), s(x(0, 2), x(1, 1))),
       errors=(bad(ShapeError, r"takes matrices, not shape \[1, 1, 1\]", x(1, 1, 1)),)),
    Op("tensor_split", PIECES, errors=(
        bad(ShapeError, "number of pieces must be positive, not 0", x(2), 0),
        bad(ShapeError, "a zero-dimensional tensor cannot be split", x(), 2))),
    Op("hsplit", (s(x(2, 4), 2), s(x(4), 2), s(x(2, 4), [1, 3])), errors=(
        bad(ShapeError, "does not split into 3 equal pieces; use weft.tensor_split", x(2, 4), 3),
        bad(ShapeError, r"at least 1 dimensions, not shape \[\]", x(), 1))),
    Op("vsplit", (s(x(4, 2), 2), s(x(4, 2, 2), [1])), errors=(
        bad(ShapeError, r"at least 2 dimensions, not shape \[2\]", x(2), 1),)),
    Op("dsplit", (s(x(1, 2, 4), 2), s(x(1, 2, 4), [1, 2])), errors=(
        bad(ShapeError, r"at least 3 dimensions, not shape \[2, 2\]", x(2, 2), 1),)),
    Op("cartesian_prod", (s(x(2), x(3)), s(x(3)), s(x(2), x(1), x(2))), errors=(
        bad(ShapeError, r"takes vectors, not shape \[2, 2\]", x(2, 2)),)),
    Op("combinations", (s(x(4)), s(x(3), 3), s(x(3), 2, True), s(x(2), 3), s(x(2), 0, grad=False)),
       errors=(bad(ShapeError, r"takes a vector, not shape \[2, 2\]", x(2, 2)),)),
    Op("broadcast_shapes", (s((2, 1), (3,)), s(()), s((1, 4), (3, 1), (2, 1, 1))), "f", grad=False,
       errors=(bad(ShapeError, r"shapes \[2\] and \[3\] do not broadcast", (2,), (3,)),)),
    Op("flipud", (s(x(3)), s(x(2, 3))), errors=(
        bad(ShapeError, "flipud takes at least 1 dimensions", x()),)),
    Op("fliplr", (s(x(2, 3)), s(x(2, 3, 2))), errors=(
        bad(ShapeError, "fliplr takes at least 2 dimensions", x(2)),)),
    Op("rot90", (*[s(x(2, 3), k) for k in (0, 1, 2, 3, -1, 5)], s(x(2, 3, 2), 1, (2, 0)),
                 s(x(2, 2))),
       errors=(bad(ShapeError, r"dims=\(0, 0\) does not name two dimensions", x(2, 2), 1,
                   (0, 0)),)),
]

# ---- products

SUMMED: dict[str, Any] = {"beta": 2, "alpha": 3}
SETS = x(2, 3, 4), x(2, 4, 5)
PRODUCTS = [
    Op("baddbmm", (s(x(2, 3, 5), *SETS), s(x(5), *SETS, **SUMMED),
                   s(these([nan]), *SETS, beta=0, only="hf", grad=False),
                   s(x(3, 1), *SETS, beta=0.5, only="f")), "ihf", loose=8, errors=(
        bad(ShapeError, "the batches differ", x(1), x(2, 3, 4), x(3, 4, 5)),)),
    Op("addbmm", (s(x(3, 5), *SETS), s(x(3, 5), *SETS, **SUMMED)), "if", loose=8, errors=(
        bad(ShapeError, "the batches differ", x(1), x(2, 3, 4), x(3, 4, 5)),)),
    Op("addmv", (s(x(2), x(2, 3), x(3)), s(x(1), x(2, 3), x(3), **SUMMED)), "ihf", loose=8, errors=(
        bad(ShapeError, "mv takes 2-D and 1-D tensors", x(2), x(2), x(2)),)),
    Op("addr", (s(x(2, 3), x(2), x(3)), s(x(3), x(2), x(3), **SUMMED)), "if", loose=8, errors=(
        bad(ShapeError, "outer takes 1-D and 1-D tensors", x(2, 2), x(2, 2), x(2)),)),
    Op("tensordot", (s(x(2, 3, 4), x(3, 4, 5)), s(x(2, 3), x(3, 2), 1), s(x(2), x(3), 0),
                     s(x(2, 3, 4), x(4, 5, 2), ([2, 0], [0, 2])), s(x(2, 3), x(2, 3), ([0, 1],
                     [0, 1]))), "if", loose=8, errors=(
        bad(ShapeError, r"dimension 1 of shape \[2, 3\] does not fit dimension 0 of shape \[4, 2\]",
            x(2, 3), x(4, 2), 1),
        bad(ShapeError, "do not pair up", x(2, 2), x(2, 2), ([0, 1], [0])),
        bad(ShapeError, "tensordot over 3 dimensions of shapes", x(2, 2), x(2, 2), 3))),
    Op("inner", (s(x(3), x(3)), s(x(2, 3), x(4, 3)), s(x(), x(2)), s(x(2, 3), x(3))), "if", loose=8,
       errors=(bad(ShapeError, "does not fit dimension 0", x(2), x(3)),)),
    Op("vdot", (s(x(3), x(3)),), "if", loose=4),
    Op("kron", (s(x(2, 3), x(2, 2)), s(x(2), x(3)), s(x(2), x(2, 2)), s(x(), x(2)),
                s(x(2, 1, 2), x(2)))),
    Op("cross", (s(x(3), x(3)), s(x(2, 3), x(2, 3)), s(x(3, 2), x(3, 2), 0),
                 s(x(2, 3), x(1, 3), -1)),
       "ihf", loose=8, errors=(
        bad(ShapeError, r"no dimension of shape \[2, 2\] has size 3", x(2, 2), x(2, 2)),
        bad(ShapeError, "its size must be 3", x(3, 2), x(3, 2), 1))),
    Op("trace", (s(x(3, 3)), s(x(2, 4)), s(x(0, 2))), "if", errors=(
        bad(ShapeError, r"trace takes a matrix, not shape \[3\]", x(3)),)),
    Op("dist", (s(x(2, 3), x(2, 3)), s(x(2, 3), x(3), 1), s(x(3), x(3), 3),
                s(x(3), x(3), inf), s(x(3), x(3), -inf), s(x(3), x(3), 0, grad=False)), "f"),
    Op("cdist", (s(x(3, 4), x(2, 4)), s(x(2, 3, 4), x(2, 4), 1.0), s(x(3, 2), x(4, 2), 3.0),
                 s(x(3, 2), x(4, 2), 0.0, grad=False), s(x(3, 2), x(4, 2), inf),
                 s(these([[1.0, 2.0]]), these([[1.0, 2.0], [1.0, 3.0]])), s(x(2, 0), x(3, 0))),
       "f", loose=8, errors=(
        bad(ShapeError, "cdist takes rows of one length", x(2, 3), x(2, 4)),
        bad(ValueError, "p must not be negative: -1", x(2, 3), x(2, 3), -1))),
    Op("einsum", (
        s("ij,jk->ik", x(2, 3), x(3, 4)), s("bij,bkj", x(2, 3, 4), x(2, 5, 4)), s("ii->i", x(3, 3)),
        s("ii", x(3, 3)), s("ij->ji", x(2, 3)), s("...i,ij->...j", x(2, 3, 4), x(4, 2)),
        s("ij,jk,kl->il", x(2, 3), x(3, 2), x(2, 3)), s("i,j->ij", x(2), x(3)),
        s("...ij,...jk", x(3, 1, 2, 2), x(2, 2, 3)), s("bi,bj->b", x(2, 3), x(2, 4)),
        s("ij,ij->", x(2, 3), x(2, 3)), s("ij,ij->ij", x(2, 1), x(2, 3)),
        s(x(2, 3), [0, 1], x(3, 2), [1, 2], [0, 2]), s(x(2, 2), [0, 0])), "f", loose=8, errors=(
        bad(ShapeError, "'ijk' does not fit an operand of shape", "ijk->i", x(2, 3)),
        bad(ShapeError, r"size 3 in one place and 4 in another", "ij,jk->ik", x(2, 3), x(4, 2)),
        bad(ValueError, "is for 2 operands, not 1", "ij,jk", x(2, 2)),
        bad(ValueError, "names a letter twice, or a new one", "ij->iz", x(2, 2)),
        bad(ValueError, "is not letters and", "i1->i", x(2, 2)))),
]

# ---- diagonals and places

SOURCES = s(x(3, 4), 0, idx([[0, 1, 2, 0], [2, 0, 1, 1]]), x(2, 4)),
s(x(3), 0, idx([0, 0, 2]), x(3))
PLACING = [
    Op("diag", (s(x(3)), s(x(3), 1), s(x(2), -2), s(x(2, 3)), s(x(3, 2), -1), s(x(2, 2), 5)),
       errors=(bad(ShapeError, r"takes a vector or a matrix, not shape \[\]", x()),)),
    Op("diagflat", (s(x(2, 2)), s(x(3), 1), s(x(), -1))),
    Op("diag_embed", (s(x(2, 3)), s(x(2, 3), 1), s(x(2, 3), -1), s(x(2, 3), 0, 0, 2),
                      s(x(2), 1, 1, 0)), errors=(
        bad(ShapeError, "dim1 and dim2 are both 0", x(2), 0, 0, -2),)),
    *[Op(name, (s(3, 3), s(2, 4, 1), s(4, 2, -1), s(2, 2, dtype=D("int32")), s(0, 3)), "f",
         grad=False, errors=(bad(ShapeError, r"must not be negative: \[-1, 2\]", -1, 2),))
      for name in ("tril_indices", "triu_indices")],
    Op("take", (s(x(2, 3), idx([0, 5, 5])), s(x(2, 3), idx([[-1], [2]])), s(x(), idx(0))), errors=(
        bad(DTypeError, "take takes an int64 index, not weft.float32", x(2), x(2)),
        bad(IndexOutOfRange, "index 6 is out of range", x(2, 3), idx([6])))),
    Op("take_along_dim", (s(x(2, 3), idx([[2], [0]]), 1), s(x(2, 3), idx([[1, 0, 0]]), 0),
                          s(x(2, 3), idx([0, 5])), s(x(1, 3), idx([[-1], [0]]), 1)), errors=(
        bad(ShapeError, "both need the same number of dimensions", x(2, 3), idx([0]), 0),)),
    Op("Tensor.unfold", (s(x(7), 0, 3, 2), s(x(2, 5), 1, 2, 1), s(x(5, 2), -2, 5, 1),
                         s(x(), 0, 1, 1)),
       errors=(bad(ShapeError, r"windows of 4, 1 apart, in dimension 0 of shape \[3\]",
                   x(3), 0, 4, 1),)),
    Op("as_strided", (s(x(2, 3), (2, 2), (1, 2)), s(x(6), (2, 3), (2, 1), 1), s(x(3), (), (), 2),
                      s(x(3), (4, 3), (0, 1))), errors=(
        bad(ShapeError, "reaches element 5 of 4", x(4), (3,), (2,), 1),
        bad(ShapeError, "differ in length", x(4), (3,), (2, 1)))),
    Op("index_copy", (s(x(3, 4), 0, idx([2, 0]), x(2, 4)), s(x(3, 4), 1, idx([3]), x(3, 1)),
                      s(x(), 0, idx([0]), x(1))), errors=(
        bad(IndexOutOfRange, "index -1 is out of range", x(2), 0, idx([-1]), x(1)),
        bad(ShapeError, r"source of shape \[3\] does not fit a place of shape \[2\]",
            x(4), 0, idx([0, 1]), x(3)),
        bad(DTypeError, "index_copy of weft.float64 into weft.float32",
            x(2), 0, idx([0]), x(1, dtype="float64")))),
    Op("index_fill", (s(x(3, 4), 0, idx([2, 0, 2]), 2), s(x(3, 4), -1, idx([1]), x()),
                      s(x(3), 0, idx([-1]), 2, grad=False),
                      s(x(), 0, idx([0]), 1)), errors=(
        bad(ShapeError, r"takes one value, not shape \[2\]", x(2), 0, idx([0]), x(2)),
        bad(ShapeError, "a vector of places", x(2), 0, idx([[0]]), 1))),
    Op("masked_scatter", (s(x(2, 3), mask(2, 3), x(6)), s(x(2, 3), mask(3), x(2, 4))), errors=(
        bad(DTypeError, "takes a bool mask, not weft.float32", x(2), x(2), x(2)),)),
    Op("select_scatter", (s(x(2, 3), x(3), 0, 1), s(x(2, 3), x(2), -1, -1)), errors=(
        bad(ShapeError, r"src of shape \[2\] does not fit the place of shape \[3\]",
            x(2, 3), x(2), 0, 0),)),
    Op("slice_scatter", (s(x(4, 2), x(2, 2), 0, 1, 3), s(x(2, 5), x(2, 2), 1, 0, 4, 2),
                         s(x(2, 3), x(2, 3)), s(x(4), x(2), 0, -2)), errors=(
        bad(ShapeError, "does not fit the place", x(4), x(3), 0, 0, 2),)),
    Op("diagonal_scatter", (s(x(3, 3), x(3)), s(x(2, 3), x(2), 1), s(x(2, 3, 2), x(3, 2), 0, 0, 2)),
       errors=(bad(ShapeError, "does not fit the place", x(3, 3), x(2)),)),
    Op("scatter_reduce", tuple(
        s(*sample.args, how, include_self=own)
        for sample in SOURCES for how in ("sum", "prod", "mean", "amax", "amin")
        for own in (True, False)), "if", loose=4, errors=(
        bad(ValueError, "reduce must be .* not 'max'", x(2), 0, idx([0]), x(1), "max"),
        bad(ShapeError, "does not fit a tensor of shape", x(2, 2), 0, idx([0]), x(1), "sum"))),
]

# ---- elementwise

SIGNS = s(these([nan, 1.0, -inf, 0.0, -0.0, 0.0]), these([-0.0, -1.0, -2.0, -0.0, nan, 1.0]),
          only="hf", grad=False)
PAIRS = (*binary()[:7], SIGNS)
SIGN_OF = partial(x, grad=False)  # (PyTorch gives it a gradient of zero, weft none)
WHOLE = (s(idx([12, 0, -4, 7]), idx([18, 5, 6, 0])), s(idx([[12], [9]]), idx([8, 6])))
SPECIAL = [
    *[Op(name, (s(x(2, 3), 1), s(x(2, 3), 0), s(x(), 0), s(x(2), -1, dtype=D("float64")),
                s(these([1e4, -1e4, 0.0]), 0), s(x(0, 2), 1)), "hf", errors=(bad(
                    IndexError, r"dim 2 .* 2 dimensions", x(2, 3), 2),))
      for name in ("softmax", "log_softmax")],
    *[Op(name, (*binary()[:7], s(these([inf, -inf, 1.0, nan]), these([inf, -inf, -inf, 1.0]),
                                 grad=False)), "hf", loose=2)
      for name in ("logaddexp", "logaddexp2")],
    Op("xlogy", (*binary(x, pos), s(these([0.0, 0.0, 2.0, 0.0]), these([0.0, nan, 0.0, inf]),
                                    only="f", grad=False)), errors=NOT_OPERANDS),
    Op("logit", (s(chance(2, 3)), s(chance(3), 0.2, smooth=False),
                 s(these([0.0, 1.0, 2.0]), only="f",
                                                                     grad=False)), "hf", loose=4),
    Op("erfinv", (s(chance(2, 3)), s(chance()), s(these([0.0, 1.0, -1.0, 1.5, nan,
       -0.99999, 1e-30]), only="f", grad=False)), "hf", loose=10),
    Op("sinc", (*unary(), s(these([0.0, 1.0])))),
    Op("polygamma", (s(0, pos(2, 3)), s(1, pos(3)), s(2, pos(2)), s(3, pos(2))), "f", loose=200,
       errors=(bad(ValueError, "must not be negative: -1", -1, x(2)),)),
    Op("Tensor.polygamma", (s(pos(2, 3), 1),), "f", loose=200),
    Op("mvlgamma", (s(pos(2, 3), 1), s(pos(3), 2)), "f", loose=10, errors=(
        bad(ValueError, "p must be positive, not 0", x(2), 0),)),
    *[Op(name, unary(), grad=False) for name in ("signbit", "isposinf", "isneginf")],
    Op("hypot", (s(x(2, 3), x(3)), s(x(2), x()), s(these([3e4, inf]), these([4e4, nan]), only="f",
                                                   grad=False)), "hf", errors=NOT_OPERANDS[:1]),
    *[Op(name, WHOLE, "f", grad=False, errors=(
        bad(DTypeError, r"gcd takes integers, not weft.float32", x(2), x(2)),))
      for name in ("gcd", "lcm")],
    Op("heaviside", (s(x(2, 3), x(3)), s(these([-1.0, 0.0, 2.0, nan]), x(), only="hf")), grad=False,
       errors=(bad(DTypeError, "heaviside takes one dtype", x(2), x(2, dtype="float64")),)),
    Op("copysign", (*binary(x, SIGN_OF)[:7], SIGNS, s(x(2), -1), s(x(2), -0.0)),
       errors=NOT_OPERANDS),
    Op("fmax", PAIRS, errors=NOT_OPERANDS),
    Op("fmin", PAIRS, errors=NOT_OPERANDS),
    Op("float_power", (s(pos(2, 3), pos(3)), s(pos(2), 2), s(2, pos(2)), s(pos(2), 0.5)), loose=4),
    Op("ldexp", (s(x(2, 3), idx([1, 0, 3])), s(x(2), idx([-2, 1]), grad=False), s(x(2), x(2))),
       "hf"),
]

# ---- statistics and scans

ROWS = (s(wide(7)), s(wide(4), ), s(wide(2, 5), 1), s(wide(3, 4), 0, True), s(wide(), 0))
NANS = (s(these([1.0, nan, 3.0, 2.0]), only="hf", grad=False),
        s(these([[1.0, nan, 3.0], [nan, nan, nan]]), 1, only="hf", grad=False))
EMPTY_ROW = (bad(IndexOutOfRange, "of no elements: shape .* is empty in dimension 1", x(2, 0), 1),)
PORTIONS = these([0.0, 0.25, 0.6, 1.0])
STATISTICS = [
    Op("median", (*ROWS, *NANS), "ihf", errors=EMPTY_ROW),
    Op("nanmedian", (*ROWS, *NANS), "ihf", errors=EMPTY_ROW),
    Op("kthvalue", (s(wide(5), 2), s(wide(2, 5), 3, 1), s(wide(3, 2), 1, 0, True), s(x(), 1)),
       "ihf",
       errors=(bad(ShapeError, "k=4 is not within 1 and 3", x(3), 4),)),
    Op("mode", (s(idx([3, 1, 1, 3, 2])), s(idx([[1, 2, 2], [3, 1, 0]]), 1), s(wide(2, 3), 0, True),
                s(x()))),
    *[Op(name, (
        s(wide(6), 0.3), s(wide(2, 5), 0.5, 1), s(wide(2, 5), 0.7, 0, True),
        s(wide(2, 5), 0.1, None,
          True), s(wide(2, 5), chance(3, grad=False), 1), s(wide(), 0.5),
        *[s(wide(2, 6), 0.35, 1, interpolation=how)
          for how in ("lower", "higher", "midpoint", "nearest")],
        s(these([1.0, nan, 3.0, 2.0]), 0.5, grad=False)), "f", loose=4, errors=(
        bad(DTypeError, "takes float32 or float64, not weft.int64", x(2), 0.5, on="int64"),
        bad(ValueError, "q=2 is not within 0 and 1", x(2), 2),
        bad(ValueError, "interpolation must be one of", x(2), 0.5, interpolation="cubic"),
        bad(ShapeError, "of no elements", x(0), 0.5)))
      for name in ("quantile", "nanquantile")],
    Op("nansum", (s(x(2, 3)), s(x(2, 3), 1), s(x(2, 3), (0, 1), True),
                  s(these([1.0, nan]), only="hf"),
                  s(x(2), dtype=D("float64"))), loose=4),
    Op("nanmean", (s(x(2, 3)), s(x(2, 3), 1), s(these([1.0, nan]))), "hf", loose=4, errors=(
        bad(DTypeError, "convert first, x.float", x(2), on="int64"),)),
    *[Op(name, (s(x(2, 3)), s(x(2, 3), 1), s(x(2, 3), 0, True), s(x(2, 3), False),
                s(x(2, 3), (0, 1), correction=0, keepdim=True)), "f", loose=8, errors=(
        bad(DTypeError, "convert first, x.float", x(2), on="int64"),))
      for name in ("var_mean", "std_mean")],
    Op("aminmax", (s(wide(2, 3)), s(wide(2, 3), dim=1), s(wide(2, 3), dim=0, keepdim=True)), "ihf",
       errors=(bad(IndexOutOfRange, "of no elements", x(0)),)),
    *[Op(name, (s(wide(6), 0), s(wide(2, 5), 1), s(these([1.0, 1.0, 0.0, 2.0, 2.0]), 0),
                s(these([1.0, nan, 3.0, nan]), 0, only="hf", grad=False), s(x(), 0), s(x(0, 2), 0)),
         "ihf", errors=(FAR_DIM,))
      for name in ("cummax", "cummin")],
    Op("logcumsumexp", (s(x(5), 0), s(x(2, 4), 1), s(x(), 0), s(x(0, 2), 0),
                        s(these([-inf, 1.0, inf, 2.0]), 0, only="f", grad=False)), "f", loose=4,
       errors=(FAR_DIM,)),
    Op("diff", (s(x(5)), s(x(2, 4), 2), s(x(2, 4), 1, 0), s(x(3), 5), s(x(3), 0),
                s(x(2, 3), 1, 1, x(2, 1), x(2, 2))), loose=2, errors=(
        bad(ShapeError, "at least one dimension", x()),)),
    Op("cov", (s(x(3, 4)), s(x(4)), s(x(2, 4), correction=0), s(x(2, 3), fweights=idx([1, 2, 3])),
               s(x(2, 3), aweights=these([0.2, 0.5, 1.0])),
               s(x(2, 3), fweights=idx([1, 2, 3]), aweights=these([0.2, 0.5, 1.0]))), "f", loose=20,
       errors=(bad(ShapeError, r"a variable a row, not shape \[1, 1, 1\]", x(1, 1, 1)),)),
    Op("corrcoef", (s(x(3, 4)), s(x(4))), "f", loose=20),
]

# ---- searching

SORTED = these([1.0, 2.0, 2.0, 5.0])
DOUBLES = (s(idx([3, 1, 1, 3, 2])), s(these([[1.0, 2.0], [2.0, 2.0]])))
SEARCHING = [
    Op("argwhere", (s(x(2, 3)), s(mask(2, 3)), s(x())), grad=False),
    Op("msort", (s(wide(5)), s(wide(3, 2)))),
    Op("searchsorted", (
        s(SORTED, these([0.0, 2.0, 9.0])), s(SORTED, these([2.0]), right=True), s(SORTED, 2.0),
        s(SORTED, these([[2.0], [5.0]]), side="right"), s(SORTED, these([2.0]), out_int32=True),
        s(these([[1.0, 3.0], [0.0, 9.0]]), these([[2.0, 4.0], [2.0, 0.0]])),
        s(these([5.0, 1.0, 2.0]), these([2.0]), sorter=idx([1, 2, 0]))), "hf", grad=False, errors=(
        bad(ShapeError, "has no row for each row", x(2, 2), x(3, 2)),
        bad(ValueError, "right=True with side='left'", x(2), x(2), right=True, side="left"),
        bad(DTypeError, "convert one with .to", x(2), x(2, dtype="float64")))),
    Op("bucketize", (s(these([0.0, 2.0, 9.0]), SORTED), s(these([[2.0]]), SORTED, right=True),
                     s(2.0, SORTED), s(x(2, 2), SORTED, out_int32=True)), "f", grad=False, errors=(
        bad(ShapeError, r"a vector of boundaries, not shape \[2, 2\]", x(2), x(2, 2)),)),
    Op("isin", (s(idx([1, 2, 3]), idx([2, 3, 9])), s(idx([[1, 2]]), idx([2]), invert=True),
                s(x(3), x(3)), s(idx([1]), idx([])), s(idx([1, 4]), 4)), "f", grad=False),
    Op("bincount", (s(idx([0, 2, 2, 5])), s(idx([0, 1]), minlength=4), s(idx([1, 1]), x(2)),
                    s(idx([]))), "f", grad=False, errors=(
        bad(DTypeError, "bincount takes integers", x(2)),
        bad(ShapeError, "vectors of one length", idx([[1]])),
        bad(ValueError, "but -1 is among them", idx([-1])),
        bad(ValueError, "minlength must not be negative: -1", idx([1]), None, -1))),
    Op("repeat_interleave", (s(x(3), 2), s(x(2, 3), 2, 1), s(x(2, 3), idx([1, 2]), 0),
                             s(x(2, 3), 2),
                             s(idx([1, 0, 2])), s(x(3), idx([2])), s(x(2), idx([1, 2]),
                             output_size=3), s(x(), 2), s(x(2), 0)), errors=(
        bad(ShapeError, r"repeats of shape \[2\] for 3 places", x(3), idx([1, 2])),
        bad(ValueError, "must not be negative: -1", x(2), -1),
        bad(ValueError, "output_size=2, but it is 3", x(2), idx([1, 2]), output_size=2))),
    Op("unique", (*DOUBLES, s(idx([2, 1, 2]), True, True, True), s(wide(2, 2), return_inverse=True),
                  s(idx([[1, 2], [0, 1], [1, 2]]), return_inverse=True, return_counts=True, dim=0),
                  s(idx([[1, 1, 0]]), dim=1), s(mask(4)), s(x())), grad=False, errors=(
        bad(ShapeError, "have no elements", x(2, 0), dim=0),)),
    Op("unique_consecutive", (*DOUBLES, s(idx([1, 1, 2, 1]), True, True),
                              s(idx([[1, 2], [1, 2], [0, 2]]), True, True, 0), s(x(0)), s(x())),
       grad=False),
]

# ---- linear algebra

REGULAR = these([[3.0, 1.0, 0.5], [0.2, 2.0, -1.0], [1.0, 0.3, 4.0]])
SYMMETRIC = these([[3.0, 1.0, 0.5], [1.0, 2.0, -0.2], [0.5, -0.2, 4.0]])
TALL = these([[3.0, 1.0], [0.2, 2.0], [1.0, 0.3], [-1.0, 0.7]])
NOT_SQUARE = bad(ShapeError, r"takes square matrices, not shape \[2, 3\]", x(2, 3))
NOT_FLOAT = bad(DTypeError, r"takes float32, float64 or .*, not weft.int64: convert with .to\(\)",
                x(2, 2), on="int64")


SWAPS = these([2, 3, 3], "int32")


def square(*batch: int) -> Any:
    return x(*batch, 3, 3)


LINALG = [
    *[Op(name, (s(REGULAR), s(square()), s(square(2))), "f", loose=50,
         errors=(NOT_SQUARE, NOT_FLOAT))
      for name in ("linalg.det", "linalg.inv", "linalg.slogdet", "det", "inverse", "slogdet")],
    Op("logdet", (s(REGULAR), s(square())), "f", loose=50),
    Op("linalg.solve", (s(REGULAR, x(3, 2)), s(square(2), x(2, 3, 2)), s(square(), x(3)),
                        s(square(2), x(2, 3)), s(square(), x(2, 3), left=False),
                        s(square(2), x(3, 2))), "f", loose=50, errors=(
        bad(ShapeError, r"does not fit right-hand sides of shape \[2, 1\]", x(3, 3), x(2, 1)),
        bad(ValueError, "solve: the matrix is singular", these([[1.0, 1.0], [1.0, 1.0]]),
            x(2, 1)))),
    Op("linalg.solve_triangular", (s(REGULAR, x(3, 2), upper=True),
                                   s(REGULAR, x(3, 2), upper=False),
                                   s(square(), x(2, 3), upper=True, left=False,
                                     unitriangular=True)),
       "f", loose=50),
    *[Op(name, (s(square(), 3), s(square(2), 1), s(REGULAR, -2), s(square(), 0)), "f", loose=50,
         errors=(bad(ShapeError, "takes square matrices", x(2, 3), 2),))
      for name in ("linalg.matrix_power", "matrix_power")],
    *[Op(name, (s(square()), s(square(2)), s(REGULAR), s(x(2, 2, low=-6, high=6), grad=False)), "f",
         loose=50, errors=(NOT_SQUARE,))
      for name in ("linalg.matrix_exp", "matrix_exp")],
    Op("linalg.multi_dot", (s([x(2, 3), x(3, 4), x(4, 2)]), s([x(3), x(3, 2), x(2)]),
                            s([x(2, 3), x(3, 1)])), "f", loose=8, errors=(
        bad(ShapeError, "at least two matrices, not 1", [x(2, 2)]),)),
    Op("linalg.cholesky", (s(SYMMETRIC), s(SYMMETRIC, upper=True)), "f", loose=20, errors=(
        NOT_SQUARE, bad(ValueError, "the matrix is not positive definite", these([[-1.0]])))),
    Op("linalg.qr", (s(x(4, 3)), s(x(2, 3, 3)), s(x(2, 4)), s(TALL), s(square(), "complete")),
       "f", loose=50, errors=(
        bad(ValueError, "mode must be", x(2, 2), "full"),)),
    *[Op(f"linalg.{name}", (s(SYMMETRIC), s(SYMMETRIC, "U", grad=False)), "f", loose=50,
         torch=torch,
         errors=(NOT_SQUARE, bad(ValueError, "UPLO must be 'L' or 'U'", x(2, 2), "l")))
      for name, torch in (("eigh", None), ("eigvalsh", ""))],  # the vectors' signs are arbitrary
    Op("linalg.svd", (s(square()), s(x(4, 3), False), s(x(2, 2, 3), False), s(TALL, False)), "f",
       torch=None),
    *[Op(name, (s(SYMMETRIC), s(SYMMETRIC, upper=True)), "f", loose=20)
      for name in ("cholesky", "Tensor.cholesky")],
    *[Op(name, (s(x(4, 3)), s(x(2, 3, 3))), "f", loose=50) for name in ("qr", "Tensor.qr")],
    *[Op(name, (s(square()), s(x(4, 3)), s(TALL, False, grad=False)), "f", torch=None)
      for name in ("svd", "Tensor.svd")],  # the vectors' signs are arbitrary
    Op("linalg.svdvals", (s(square()), s(x(2, 2, 3)), s(TALL)), "f", loose=50, errors=(
        bad(ShapeError, r"svd takes matrices, not shape \[3\]", x(3)),)),
    Op("linalg.pinv", (s(x(3, 2)), s(x(2, 2, 3)), s(REGULAR), s(x(2, 3), rtol=0.1),
                       s(these([[1.0, 1.0], [1.0, 1.0]])),
                       s(SYMMETRIC, hermitian=True, grad=False)),
       "f", loose=100, errors=(NOT_FLOAT,)),
    Op("pinverse", (s(x(3, 2)), s(x(2, 3), 0.1)), "f", loose=100),
    Op("linalg.matrix_rank", (s(square()), s(x(2, 3, 4)), s(these([[1.0, 1.0], [1.0, 1.0]])),
                              s(these([[1.0, 0.0], [0.0, 0.1]]), atol=0.5)), "f", grad=False),
    Op("linalg.lstsq", (s(TALL, x(4, 2)), s(x(4, 2), x(4, 3), driver="gelsd", smooth=False),
                        s(x(4, 2), x(4, 1), driver="gels"), s(x(2, 4, 2), x(2, 4, 1))), "f",
       loose=100),
    Op("linalg.lu", (s(REGULAR), s(square(2)), s(x(2, 4)), s(x(4, 2)), s(x(0, 2, 2), grad=False)),
       "f", loose=50, errors=(
        bad(ShapeError, r"lu takes matrices, not shape \[3\]", x(3)),
        bad(ValueError, "pivot=False is not there", x(2, 2), pivot=False))),
    Op("linalg.lu_factor", (s(REGULAR), s(x(2, 3, 2))), "f", loose=50),
    Op("linalg.lu_factor_ex", (s(REGULAR), s(these([[1.0, 1.0], [1.0, 1.0]]), grad=False)), "f",
       loose=50, errors=(bad(ValueError, r"a pivot is 0: info=2",
                             these([[1.0, 1.0], [1.0, 1.0]]), check_errors=True),)),
    Op("lu", (s(REGULAR), s(REGULAR, get_infos=True)), "f", loose=50),
    Op("Tensor.lu", (s(REGULAR),), "f", loose=50),
    Op("linalg.lu_solve", (s(REGULAR, SWAPS, x(3, 2)), s(REGULAR, SWAPS, x(3, 2), adjoint=True),
                           s(REGULAR, SWAPS, x(2, 3), left=False)),
       "f", loose=50, errors=(bad(DTypeError, "exchanges of rows are integers", REGULAR, x(3),
                                  x(3, 1)),)),
    *[Op(name, (s(x(3, 2), REGULAR, SWAPS),), "f", loose=50) for name in ("lu_solve",
                                                                         "Tensor.lu_solve")],
    Op("lu_unpack", (s(REGULAR, SWAPS), s(x(4, 3), SWAPS), s(REGULAR, SWAPS, unpack_data=False,
                                                            grad=False)), "f", loose=50),
    *[Op(name, (s(x(4, 3), x(2)), s(x(2, 3, 2), x(2, 2))), "f", loose=20)
      for name in ("linalg.householder_product", "orgqr", "Tensor.orgqr")],
    *[Op(name, (s(x(4, 2), x(2), x(4, 3)), s(x(3, 2), x(2), x(2, 3), False, True, grad=False)), "f",
         loose=20, errors=(
        bad(ShapeError, "with no more of them than rows", x(3, 2), x(3), x(3, 1)),))
      for name in ("ormqr", "Tensor.ormqr")],
    Op("svd_lowrank", (s(x(4, 3), 2), s(x(2, 4), 1, 1)), "f", random=True,
       grad=False),
    Op("pca_lowrank", (s(x(4, 3), 2), s(x(2, 4), center=False)), "f", random=True,
       grad=False, errors=(
        bad(ValueError, "q=7", x(3, 4), 7),)),
    Op("linalg.vector_norm", (s(x(2, 3)), s(x(2, 3), 1, 0), s(x(2, 3), inf, 1, True), s(x(4), 3),
                              s(x(4), 0, grad=False), s(x(3), -1), s(x(2), dtype=D("float64")),
                              s(these([0.0, 0.0]), 0.5), s(these([0.0, 0.0]))), "f", loose=4),
    Op("linalg.matrix_norm", (*[s(x(3, 4), n) for n in ("fro", "nuc", 1, -1, 2, -2, inf, -inf)],
                              s(x(2, 3, 2), "nuc", (0, 2), True), s(x(2, 3, 2), 1, (1, 0))), "f",
       loose=50, errors=(
        bad(ValueError, "matrix_norm of order 3", x(2, 2), 3),
        bad(ShapeError, "does not name two dimensions", x(2, 2), 1, (0, 0)))),
    Op("linalg.norm", (s(x(2, 3)), s(x(2, 3), 1), s(x(3), 1), s(x(2, 3), 2, 1), s(x(2, 2, 2), "nuc",
                       (0, 1)), s(x(2, 3), "fro"), s(x(2, 2, 2))), "f", loose=50, errors=(
        bad(ShapeError, "takes a matrix: name two dimensions", x(2), "fro"),)),
    Op("linalg.vecdot", (s(x(2, 3), x(2, 3)), s(x(2, 3), x(3)), s(x(2, 3), x(2, 3), dim=0)), "f",
       loose=8),
    Op("linalg.cross", (s(x(2, 3), x(2, 3)), s(x(3, 2), x(3, 2), dim=0)), "f", loose=8),
    Op("linalg.diagonal", (s(x(2, 3, 3)), s(x(2, 3, 3), offset=1), s(x(2, 3, 3), dim1=0))),
    Op("linalg.matmul", (s(x(2, 3), x(3, 2)),), "f", loose=8),
]

FAMILIES: list[Op] = [
    *NUMERIC,
    *JOINING, *PRODUCTS, *PLACING, *SPECIAL, *STATISTICS, *SEARCHING, *LINALG, *LESSER,
    *COMPLEX, *BEYOND,
]
