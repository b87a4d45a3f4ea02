"""Samples of special functions, of counts, and of what programs call by names of old.

See ``samples.py``.
"""

from __future__ import annotations

from math import inf, nan

from sampling import NOT_A_TENSOR, D, In, Op, bad, chance, idx, mask, pos, s, these, x

from weft.errors import DTypeError, ShapeError

# A table, to be read in rows:
# fmt: off

FAR = these([-30.0, -8.0, -1e-3, 0.0, 1e-3, 2.0, 8.0, 30.0, inf, nan])
ABOVE = these([0.0, 1e-3, 2.0, 8.0, 30.0])


def above(*shape: int) -> In:
    return In(shape, 1.2, 4.0)


POLYNOMIALS = (
    *[f"special.{shifted}chebyshev_polynomial_{k}" for k in "tuvw" for shifted in ("", "shifted_")],
    *("special.hermite_polynomial_h", "special.hermite_polynomial_he"),
    *("special.laguerre_polynomial_l", "special.legendre_polynomial_p"),
)
BEYOND = [
    *[Op(name, (s(x(2, 3)), s(x()), s(x(0, 3)), s(FAR, only="f", grad=False)), "f", loose=50)
      for name in ("i0", "Tensor.i0", "special.i0e", "special.i1", "special.i1e",
                   "special.modified_bessel_i0", "special.modified_bessel_i1",
                   "special.spherical_bessel_j0", "special.erfcx")],
    *[Op(f"special.{name}", (s(x(2, 3)), s(FAR, only="f", grad=False)), "f", loose=2000)
      for name in ("bessel_j0", "bessel_j1")],  # (PyTorch has nine digits)
    *[Op(f"special.{name}", (s(pos(2, 3)), s(ABOVE, only="f", grad=False)), "f", loose=loose)
      for loose, names in (
          (5000, ("bessel_y0", "bessel_y1")),
          (50, ("modified_bessel_k0", "modified_bessel_k1", "scaled_modified_bessel_k0",
                "scaled_modified_bessel_k1")))
      for name in names],
    Op("special.ndtri", (s(chance(2, 3)), s(these([0.0, 1e-9, 0.5, 1.0, 1.5, nan]), grad=False)),
       "f", loose=10),
    Op("special.zeta", (s(above(2, 3), pos(3)), s(above(3), 2.0), s(2.0, pos(2))), "f", loose=4),
    *[Op(name, (s(pos(2, 3), pos(3)), s(these([0.0, 1.0, inf, 40.0]), these([1.0, 0.0, 1.0, 45.0]),
                                        grad=False)), "f", loose=200)
      for name in ("igamma", "igammac", "Tensor.igamma", "Tensor.igammac", "special.gammainc",
                   "special.gammaincc")],
    *[Op(name, (s(x(2, 3), 3), s(x(4), idx([0, 1, 5, 2])), s(x(2), -1, grad=False),
                s(x(2), 0, grad=False)), "f", loose=50)
      for name in POLYNOMIALS],
    *[Op(name, (s(x(2, 3), x(3)), s(these([0.0, 1.0, inf, nan]), these([1.0, 1.0, 0.0, 0.0]))),
         "f", grad=False, errors=(
        bad(DTypeError, "takes float32 or float64, not weft.float16", x(2), x(2), on="float16"),))
      for name in ("nextafter", "Tensor.nextafter")],
    *[Op(name, (s(x(2, 3)), s(x()), s(x(0, 2)), s(these([0.0, -8.0, 7.9, nan, 1e-5]), grad=False)),
         "f", errors=(bad(DTypeError, "mantissa takes a floating dtype", x(2), on="int64"),))
      for name in ("frexp", "Tensor.frexp")],
    Op("poisson", (s(pos(2, 3)), s(pos(0, 2))), "f", random=True, grad=False, errors=(
        *NOT_A_TENSOR, bad(DTypeError, "poisson takes floats", x(2), on="int64"))),
    Op("binomial", (s(pos(2, 3), chance(2, 3)),), "f", random=True, grad=False, errors=(
        bad(DTypeError, "binomial takes floats", x(2), x(2), on="int64"),)),
]
HISTOGRAMS = [
    *[Op(name, (s(x(20), 5), s(x(3, 4), 4, range=(-1.0, 1.5)), s(x(0), 3), s(these([1.0]), 4),
                s(x(9), these([-1.0, 0.0, 0.3, 2.0])), s(x(9), 3, weight=x(9)),
                s(x(9), 3, density=True)), "f", grad=False, errors=(
        bad(ValueError, "bins must be positive", x(2), 0),
        bad(ValueError, "does not go upwards", x(2), 2, range=(1.0, 0.0)),
        bad(ShapeError, "weight of", x(2), 2, weight=x(3)),
        bad(DTypeError, "histogram takes floats", x(2), 2, on="int64")))
      for name in ("histogram", "Tensor.histogram")],
    Op("histogramdd", (s(x(9, 2), [3, 2]), s(x(9, 1), [3], density=True),
                       s(x(9, 2), [2, 2], range=[-1.0, 1.0, -2.0, 2.0], weight=x(9))), "f",
       grad=False, errors=(bad(ShapeError, "1 bins for points of 2", x(3, 2), [2]),)),
]
ASKED = [
    Op("can_cast", (s(D("float32"), D("int64")), s(D("int64"), D("float16")),
                    s(D("bool"), D("uint8"))), grad=False),
    *[Op(name, (s(x(2)),), grad=False) for name in ("is_signed", "Tensor.is_signed")],
    Op("range", (s(1, 4), s(0, 1, 0.25), s(3, -1, -2), s(1, 2.5, dtype=D("float64"))), "f",
       grad=False, torch=None, errors=(bad(ValueError, "a step of -1 does not lead", 0, 3, -1),)),
    *[Op(name, (s(x(2, 3), size=4), s(mask(2, 3), size=9, fill_value=7), s(mask(3), size=0),
                s(x(0, 2), size=2)), grad=False, errors=(
        bad(ValueError, "size must not be negative", x(2), size=-1),))
      for name in ("nonzero_static", "Tensor.nonzero_static")],
    Op("frobenius_norm", (s(x(2, 3), (0, 1)), s(x(2, 3), 1, True)), "f", loose=4),
    Op("nuclear_norm", (s(x(3, 2)), s(x(2, 3, 2), (0, 2), True)), "f", loose=50),
    *[Op(name, (s(x(3, 4), x(2, 2), (2, 2), (4, 2)), s(x(6), x(2), (2,), (3,), 1)),
         torch=None, errors=(  # (whose gradient to the input is that of what is overwritten)
        bad(ShapeError, "src of shape", x(4), x(3), (2,), (1,)),
        bad(ShapeError, "reaches element", x(4), x(3), (3,), (2,))))
      for name in ("as_strided_scatter", "Tensor.as_strided_scatter")],
]

BEYOND += HISTOGRAMS + ASKED
