"""The error functions."""

from __future__ import annotations

from ..ir import Function, Value
from .base import at_most, copysign, exact, fabs, is_single, polynomial
from .exponential import exp, times_exp

#: erf(x) / x in x**2, up to x = 1
_ERF_SINGLE = (
    1.12837911, -0.37612626, 0.112835854, -0.0268538129, 0.00518832775, -0.000801019603,
    7.85386874e-05,
)  # fmt: skip
_ERF_DOUBLE = (
    1.1283791670955126, -0.37612638903183748, 0.11283791670954857, -0.026866170645072893,
    0.0052239776247808593, -0.0008548326978741784, 0.00012055331036884135,
    -1.4925593506514973e-05, 1.6460972810982946e-06, -1.6350025158784255e-07,
    1.4657879416718964e-08, -1.1365664342383398e-09, 5.9452590648737832e-11,
)  # fmt: skip
#: log(erfc(x)) from x = 1 to 3.95, where erf rounds to 1
_LOG_ERFC = (
    0.000188467049, -1.12958026, -0.633216381, -0.108422086, 0.0252103321, -0.00420528185,
    0.000441471988, -2.1697555e-05,
)  # fmt: skip
#: (1 + 2x) e**(x**2) erfc(x) in (x - 4) / (x + 4), until erfc is 0
_ERFC_SINGLE = (
    1.23299515, -0.139621139, 0.0153796226, 0.0680978447, -0.101037621, 0.09372136,
    -0.0663561895, 0.0372196287, -0.0160216279, 0.00505246595, -0.00112883188, -0.000639706501,
)  # fmt: skip
_ERFC_DOUBLE = (
    1.2329951186255526, -0.13962111684056253, 0.015379652102620073, 0.068097054254693118,
    -0.10103906603632705, 0.093732834998330974, -0.066330365811605799, 0.037167515537905933,
    -0.016197734066252342, 0.0050319699721597996, -0.00075777322071322135,
    -0.00019925664408862448, 0.00015062133996907745, -2.4399493182568448e-05,
    -1.1220986020854981e-05, 5.7107140044036991e-06, 2.9180286539454712e-07,
    -8.276179297421861e-07, 7.6858472733276201e-08, 1.1307080647921058e-07,
    -1.9015184607013685e-08, -1.643914484271008e-08, 1.6929635378950735e-09,
    2.0451545533138749e-09, 2.718075120066838e-10,
)  # fmt: skip


def _erfc_of_size(fn: Function, a: Value) -> Value:
    """Erfc of a number of 0 and above."""
    a = at_most(fn, a, 10.2 if is_single(a) else 28.0)
    t = (a - 4.0) / (a + 4.0)
    square = a * a
    g = polynomial(fn, t, _ERFC_SINGLE if is_single(a) else _ERFC_DOUBLE)
    return times_exp(fn, g / fn.fma(a, 2.0, 1.0), -square, fn.fma(-a, a, square))


def _erf_inside(fn: Function, x: Value) -> Value:
    """Erf between -1 and 1."""
    return x * polynomial(fn, x * x, _ERF_SINGLE if is_single(x) else _ERF_DOUBLE)


@exact
def erf(fn: Function, x: Value) -> Value:
    a = fabs(fn, x)
    if is_single(x):
        rest = exp(fn, polynomial(fn, at_most(fn, a, 3.95), _LOG_ERFC))
    else:
        rest = _erfc_of_size(fn, a)
    size = fn.select(fn.compare("olt", a, 1.0), _erf_inside(fn, a), 1.0 - rest)
    return copysign(fn, size, x)


@exact
def erfc(fn: Function, x: Value) -> Value:
    a = fabs(fn, x)
    rest = _erfc_of_size(fn, a)
    rest = fn.select(fn.compare("olt", x, 0.0), 2.0 - rest, rest)
    return fn.select(fn.compare("olt", a, 0.5), 1.0 - _erf_inside(fn, x), rest)
