"""Complex numbers and Fourier transforms, in the list of ``samples.py``."""

from __future__ import annotations

from dataclasses import replace
from math import nan

from sampling import Op, bad, pos, s, these, wide, x

from weft.errors import DTypeError, ShapeError

# A table, to be read in rows:
# fmt: off

SELF = (s(x(2, 3)), s(x()))
WIDE = x(2, 3, dtype="complex128")
MATRIX = x(3, 3, dtype="complex128")
BOTH = (s(WIDE), s(x(dtype="complex128")), s(x(2, 3, dtype="complex64"), smooth=False))
ONLY_COMPLEX = (bad(DTypeError, "takes a complex dtype, not weft.float32", x(2)),)

PARTS = [
    *[Op(name, (*SELF, *BOTH)) for name in ("conj", "conj_physical", "resolve_conj", "real",
                                            "Tensor.real")],
    Op("resolve_neg", SELF),
    *[Op(name, BOTH, "f", errors=ONLY_COMPLEX) for name in ("imag", "Tensor.imag")],
    Op("complex", (s(x(2, 3), x(2, 3)), s(x(2, 1), x(3)), s(x(), x(2))), "f", errors=(
        bad(DTypeError, "parts of one dtype, not weft.float32 and weft.float64", x(2),
            x(2, dtype="float64")),
        bad(DTypeError, "float32 or float64 parts, not weft.int64", x(2), x(2), on="int64"))),
    Op("polar", (s(pos(2, 3), x(2, 3)), s(pos(2, 1), x(3))), "f", errors=(
        bad(DTypeError, "mul takes one dtype", x(2), x(2, dtype="float64")),)),
    Op("view_as_real", BOTH, "f", errors=ONLY_COMPLEX),
    Op("view_as_complex", (s(x(3, 2)), s(x(2)), s(x(2, 3, 2))), "f", errors=(
        bad(DTypeError, "takes float32 or float64, not weft.int64", x(2), on="int64"),
        bad(ShapeError, r"of size 2, not shape \[2, 3\]", x(2, 3)),
        bad(ShapeError, "pairs do not lie side by side", x(2, 2, layout="t")))),
    Op("angle", (s(wide(2, 3), smooth=False), s(these([nan, 0.0, -0.0]), only="hf", smooth=False),
                 s(WIDE), s(these([0j, -1 + 0j, 1j], dtype="complex64"), smooth=False)), "if"),
    Op("adjoint", (s(x(2, 3)), s(x(2, 2, 3)), s(x()), s(WIDE)), errors=(
        bad(ShapeError, "a matrix or several, not a vector", x(3)),)),
    Op("Tensor.H", (s(x(2, 3)), s(WIDE)), errors=(
        bad(ShapeError, "of a matrix, not of shape", x(1, 2, 3)),)),
    Op("Tensor.mH", (s(x(2, 3)), s(WIDE))),
    *[Op(name, (s(x(2)), s(WIDE)), grad=False) for name in ("is_complex", "is_conj")],
    Op("isreal", (s(x(2)), s(WIDE), s(these([1j, 1 + 0j], dtype="complex64"))), grad=False),
    Op("sgn", (s(x(2, 3), grad=False), s(WIDE), s(these([0j, 2j], dtype="complex64"), grad=False))),
    *[Op(f"Tensor.{name}", (s(x(2, 3)), s(WIDE)), "if", grad=False)
      for name in ("cfloat", "cdouble")],
]

#: Samples above are of real numbers for most functions; these are those whose rules differ.
ALSO_COMPLEX = [
    *[replace(Op(name, BOTH, "f"), loose=4.0)
      for name in ("abs", "exp", "exp2", "sqrt", "log", "tanh", "sigmoid", "acosh", "reciprocal")],
    Op("pow", (s(WIDE, WIDE), s(WIDE, 2), s(WIDE, 1j), s(2.0, WIDE)), "f", loose=8),
    *[Op(name, (s(WIDE), s(WIDE, 1)), "f", loose=4) for name in ("sum", "mean", "var", "std")],
    *[Op(name, (s(WIDE, 1),), "f", loose=8) for name in ("cumsum", "cumprod", "prod")],
    Op("matmul", (s(MATRIX, MATRIX), s(WIDE, MATRIX)), "f", loose=8),
    Op("vdot", (s(x(3, dtype="complex128"), x(3, dtype="complex128")),), "f", loose=8),
    Op("where", (s(these([True, False], "bool"), x(2, dtype="complex128"), x(2, grad=False)),),
       "f"),
]

DECOMPOSITIONS = [
    Op("svd", (s(x(3, 2, dtype="complex128"), grad=False), s(MATRIX, grad=False)), "f", loose=50),
    *[Op(f"linalg.{name}", (s(MATRIX),), "f", loose=50)
      for name in ("det", "inv", "slogdet", "svdvals", "pinv", "matrix_exp")],
    Op("linalg.solve", (s(MATRIX, x(3, 2, dtype="complex128")),), "f", loose=50),
    Op("linalg.eigvals", (s(MATRIX), s(x(2, 2)), s(x(2, 3, 3), smooth=False, grad=False)), "f",
       loose=50, errors=(bad(ShapeError, r"takes square matrices, not shape \[2, 3\]", x(2, 3)),)),
    Op("linalg.eig", (s(MATRIX, grad=False), s(x(2, 2), grad=False)), "f", loose=50),
]

ROWS = x(3, 4, dtype="complex128")
FFT = [
    *[Op(f"fft.{name}", (s(ROWS), s(ROWS, 5), s(ROWS, 3, 0, "ortho"), s(x(2, 5)), s(x(4), norm=n),
                         s(x(3, dtype="complex64"), 6, smooth=False)), "if", loose=8, errors=(
        bad(ShapeError, "(of|to) 0 elements", x(3), 0),
        bad(IndexError, "dim 2 is out of range", x(3), dim=2),
        bad(ValueError, "'ortho', not 'both'", x(3), norm="both"),
        bad(DTypeError, "not weft.float16: convert", x(3), on="float16")))
      for name in ("fft", "ifft", "irfft", "hfft") for n in ("forward",)],
    *[Op(f"fft.{name}", (s(x(2, 5)), s(x(2, 4), 3), s(x(2, 3), 6, 0, "ortho"),
                         s(x(4), norm="forward")), "if", loose=8, errors=(
        bad(DTypeError, "takes real numbers, not weft.complex64", x(3, dtype="complex64")),))
      for name in ("rfft", "ihfft")],
    *[Op(f"fft.{name}{more}", (s(ROWS), s(ROWS, (2, 5), (1, 0)), s(ROWS, norm="ortho")), "f",
         loose=8, errors=(bad(ShapeError, "names a dimension twice", x(2, 2), dim=(0, 0)),))
      for name in ("fft", "ifft", "irfft", "hfft") for more in "2n"],
    *[Op(f"fft.{name}{more}", (s(x(3, 4)), s(x(3, 4), (2, 5), (1, 0)), s(x(3, 4), norm="ortho")),
         "f", loose=8) for name in ("rfft", "ihfft") for more in "2n"],
    *[Op(f"fft.{name}", (s(5), s(6, 0.5)), "f", grad=False) for name in ("fftfreq", "rfftfreq")],
    *[Op(f"fft.{name}", (s(x(5)), s(x(3, 4)), s(x(3, 4), 1), s(ROWS, (0,))))
      for name in ("fftshift", "ifftshift")],
]

SIGNAL = x(2, 20)
WINDOW = pos(6)
SPECTRA = x(2, 5, 4, dtype="complex128")
SPECTRAL = [
    Op("Tensor.stft", (s(SIGNAL, 8, return_complex=True),), "f", loose=8),
    Op("Tensor.istft", (s(SPECTRA, 8),), "f", loose=8),
    Op("stft", (
        s(SIGNAL, 8, return_complex=True), s(x(20), 8, 3, 6, WINDOW, return_complex=True),
        s(SIGNAL, 8, 2, pad_mode="constant", normalized=True, return_complex=True),
        s(SIGNAL, 8, 2, pad_mode="circular", onesided=False, return_complex=False),
        s(SIGNAL, 8, pad_mode="replicate", return_complex=True),
        s(SIGNAL, 7, center=False, return_complex=True), s(x(12, dtype="complex128"), 4)), "f",
       loose=8, errors=(
        bad(RuntimeError, "requires the return_complex", x(9), 4),
        bad(ShapeError, "shorter than n_fft=8", x(5), 8, center=False, return_complex=True),
        bad(ShapeError, "cannot be reflected", x(3), 8, return_complex=True),
        bad(ShapeError, r"a window of shape \[6\] is not of 8", x(9), 8, window=x(6),
            return_complex=True),
        bad(ValueError, "0 < win_length <= n_fft", x(9), 8, 2, 9, return_complex=True),
        bad(DTypeError, "onesided output", x(9, dtype="complex64"), 4, onesided=True))),
    Op("istft", (
        s(SPECTRA, 8), s(SPECTRA, 8, 3, 6, WINDOW, grad=False), s(SPECTRA, 8, 2, normalized=True),
        s(SPECTRA, 8, length=9), s(SPECTRA, 8, center=False),
        s(x(4, 5, dtype="complex128"), 4, onesided=False, return_complex=True)), "f", loose=8,
       errors=(
        bad(DTypeError, "takes a complex dtype", x(5, 4), 8),
        bad(ShapeError, "6 frequencies", x(6, 4, dtype="complex64"), 8),
        bad(RuntimeError, "zero somewhere", x(5, 4, dtype="complex64"), 8, 8, center=False,
            window=these([0.0] * 8)))),
]

COMPLEX = [*SPECTRAL, *PARTS, *ALSO_COMPLEX, *DECOMPOSITIONS, *FFT]
