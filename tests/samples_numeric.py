"""Functions of numeric programs, in the list of ``samples.py``."""

from __future__ import annotations

from sampling import Op, bad, idx, s, these, x

from weft.errors import DTypeError, ShapeError

# A table, to be read in rows:
# fmt: off

FACTOR = these([[2.0, 0.0, 0.0], [0.5, 1.5, 0.0], [-0.3, 0.2, 1.0]])
UPPER = these([[2.0, 0.5, -0.3], [0.0, 1.5, 0.2], [0.0, 0.0, 1.0]])
SQUARE = these([[2.0, 0.5, -0.3, 0.1], [0.4, 1.5, 0.2, 0.6], [0.1, 0.0, 1.0, 0.3],
                [0.2, 0.7, 0.1, 3.0]])
UNEQUAL = these([0.0, 1.0, 1.5, 4.0])

NUMERIC = [
    *[Op(name, (s(x(2, 4)), s(x(4), UNEQUAL), s(x(4, 2), dx=0.5, dim=0), s(x(2, 4), x(2, 4)),
                s(x(4, 2), UNEQUAL, dim=0), s(x(2, 1))), "f", loose=4, errors=(
        bad(ShapeError, r"x of shape \[3\] does not fit dimension 1", x(2, 4), x(3)),))
      for name in ("trapezoid", "cumulative_trapezoid")],
    Op("unravel_index", (s(idx([[0, 5], [11, 7]]), (3, 4)), s(idx([3]), 5),
                         s(idx([23]), (2, 3, 4))), "i",
       grad=False, errors=(bad(DTypeError, "takes integers", x(2), (3,), on="float32"),)),
    Op("vander", (s(x(3)), s(x(3), 2), s(x(3), 4, True), s(x(2), 0)), "if", grad=False, loose=4,
       errors=(bad(ShapeError, r"takes a vector, not shape \[2, 2\]", x(2, 2)),
        bad(ValueError, "N must be non-negative", x(2), -1))),
    Op("linalg.vander", (s(x(3)), s(x(2, 3), N=2)), "f", loose=4, errors=(
        bad(ValueError, "N must be greater than 1", x(2), N=1),)),
    Op("chain_matmul", (s(x(2, 3), x(3, 4), x(4, 2)), s(x(2, 3))), "f", loose=8),
    Op("scalar_tensor", (s(3), s(2.5)), "f", grad=False),
    Op("logspace", (s(0, 2, 5), s(-1, 1, 3, 2.0), s(1, 3, 1), s(0, 1, 0)), "f", grad=False, loose=8,
       errors=(bad(ValueError, "steps must not be negative: -1", 0, 1, -1),)),
    *[Op(f"{name}_window", (s(6), s(5, False), s(1), s(0), *more), "f", grad=False, loose=8,
         errors=(bad(ValueError, "window_length=-1 must not be negative", -1),))
      for name, more in {"hann": (), "hamming": (s(6, True, 0.5), s(6, True, 0.6, 0.4)),
                         "blackman": (), "bartlett": (), "kaiser": (s(6, True, 8.0),)}.items()],
    # (PyTorch's gradients have values in the triangle that is not read.)
    Op("cholesky_solve", (s(x(3, 2), FACTOR), s(x(3, 1), UPPER, True)), "f", grad=False, loose=50),
    Op("cholesky_inverse", (s(FACTOR), s(UPPER, True)), "f", grad=False, loose=50),
    Op("linalg.cond", (s(SQUARE), s(SQUARE, 2), s(SQUARE, -2),
                        *[s(SQUARE, p, grad=False) for p in ("fro", "nuc", 1)]), "f",
       loose=100),
    Op("linalg.tensorinv", (s(SQUARE, 1),), "f", loose=50, errors=(
        bad(ShapeError, r"products of \[2\] and \[3\]", x(2, 3), 1),
        bad(ValueError, "ind must be positive", x(2, 2), 0))),
    Op("linalg.tensorsolve", (s(SQUARE, x(4)),), "f", loose=50, errors=(
        bad(ShapeError, "3 equations", x(3, 4), x(3)),)),
    *[Op(f"Tensor.{name}", (s(x(2)),), grad=False)
      for name in ("is_sparse", "is_sparse_csr", "is_quantized", "is_nested", "is_meta",
                   "is_mkldnn", "is_mps", "is_xpu", "is_neg", "is_inference")],
]
