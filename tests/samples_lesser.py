"""Functions that are seldom used, in the list of ``samples.py``."""

from __future__ import annotations

from typing import Any

from sampling import Op, bad, idx, s, these, x

from weft.errors import DTypeError, ShapeError

# A table, to be read in rows:
# fmt: off

PUT = x(2, 3), idx([[0, 5], [2, 0]]), x(2, 2)
NEW = x(4, 3), 0, idx([2, 0, 2]), x(3, 3)

LESSER = [
    Op("is_nonzero", (s(x()), s(these([[0]]))), grad=False, errors=(
        bad(ShapeError, r"takes one element, not shape \[2\]", x(2)),)),
    Op("is_same_size", (s(x(2), x(2)), s(x(2), x(1, 2))), grad=False),
    Op("Tensor.sum_to_size", (s(x(2, 3), 3), s(x(2, 3), 2, 1), s(x(2, 3), (1, 1)), s(x(2, 3), 2, 3),
                              s(x(4, 2, 3), 2, 1)), "if", loose=4, errors=(
        bad(ShapeError, r"size \[2\] does not broadcast to \[2, 3\]", x(2, 3), 2),)),
    Op("renorm", (s(x(3, 4), 2, 0, 1.0), s(x(3, 4), 1, -1, 2.5), s(x(2, 3, 2), 3, 1, 0.7),
                  s(x(2, 3), 2, 0, 99.0)), "f", loose=4, errors=(
        bad(ShapeError, r"at least two dimensions, not shape \[3\]", x(3), 2, 0, 1),
        bad(ValueError, "p=0 and maxnorm=1", x(2, 2), 0, 0, 1))),
    Op("histc", (s(x(20), 5), s(x(3, 4), 4, -1, 1.5), s(x(9), bins=3, max=2), s(these([1.0]), 4),
                 s(these([0.0, 1.0, 2.0, 3.0]), 3)), "f", grad=False, errors=(
        bad(ValueError, "bins > 0 and max >= min, not 0", x(2), 0),
        bad(DTypeError, "takes floating values, not weft.int64", x(2), on="int64"))),
    Op("put", (s(*PUT), s(*PUT, True), s(x(), idx([0]), x(1))), "if", errors=(
        bad(ShapeError, "must have as many elements", x(3), idx([0]), x(2)),
        bad(DTypeError, "convert the source first", x(3), idx([0]), x(1, dtype="float64")))),
    Op("index_reduce", tuple(
        s(*NEW, how, include_self=own) for how in ("prod", "mean", "amax", "amin")
        for own in (True, False)), "f", loose=8, errors=(
        bad(ValueError, "reduce='sum' must be .*prod", x(3), 0, idx([0]), x(1), "sum"),
        bad(ShapeError, r"a vector of places, not shape \[1, 1\]", x(3), 0, idx([[0]]), x(1),
            "amax"))),
    Op("narrow_copy", (s(x(4, 3), 0, 1, 2), s(x(4, 3), -1, 0, 1))),
    Op("split_with_sizes", (s(x(5), [2, 3]), s(x(2, 4), [1, 3], 1))),
    Op("unsafe_split", (s(x(5, 2), 2), s(x(2, 5), 3, 1))),
    Op("unsafe_chunk", (s(x(5, 2), 2), s(x(2, 5), 3, 1))),
    Op("Tensor.fill_diagonal_", (s(x(3, 4), 2), s(x(7, 3), 1, True), s(x(2, 2, 2), 1),
                                   s(x(4, 3), 0)),
       "if", grad=False, errors=(bad(ShapeError, r"of one size, not \[2, 3, 2\]", x(2, 3, 2), 1),)),
    Op("Tensor.apply_", (s(x(2, 3), lambda v: v * v), s(x(), abs)), "f", grad=False),
    Op("Tensor.map_", (s(x(2, 3), x(2, 3), max),), "f", grad=False),
    *[Op(f"Tensor.{name}", (s(x(2, 3)), s(x(), 0.5, 2.0)), "f", grad=False, random=True)
      for name in ("cauchy_", "log_normal_")],
    Op("Tensor.geometric_", (s(x(2, 3), 0.3),), "if", grad=False, random=True, errors=(
        bad(ValueError, "p must be between 0 and 1, not 1", x(2), 1),)),
    *[Op(f"Tensor.{name}", samples, grad=False) for name, samples in dict[str, Any](
        squeeze_=(s(x(2, 1, 3)), s(x(1, 2, 1), 0), s(x())), unsqueeze_=(s(x(2, 3), 1), s(x(), -1)),
        t_=(s(x(2, 3)), s(x(3))), transpose_=(s(x(2, 3, 4), 0, -1),)).items()],
    Op("Tensor.hardshrink", (s(x(2, 3)), s(x(2, 3), 1.0)), "hf"),
    Op("Tensor.prelu", (s(x(2, 3), x(3)), s(x(2, 3), x(1))), "f"),
]
