"""The names of ``torch.special``: functions that ``weft`` has too, by other names, and more."""

from __future__ import annotations

from typing import Any

from .errors import did_you_mean
from .tensors.bessel import (
    bessel_j0,
    bessel_j1,
    bessel_y0,
    bessel_y1,
    i0,
    i0 as modified_bessel_i0,
    i0e,
    i1,
    i1 as modified_bessel_i1,
    i1e,
    modified_bessel_k0,
    modified_bessel_k1,
    scaled_modified_bessel_k0,
    scaled_modified_bessel_k1,
    spherical_bessel_j0,
)
from .tensors.elementwise import (
    digamma,
    digamma as psi,
    erf,
    erfc,
    exp2,
    expm1,
    lgamma as gammaln,
    log1p,
    round,
    sigmoid as expit,
)
from .tensors.gammas import gammainc, gammaincc
from .tensors.polynomials import (
    chebyshev_polynomial_t,
    chebyshev_polynomial_u,
    chebyshev_polynomial_v,
    chebyshev_polynomial_w,
    hermite_polynomial_h,
    hermite_polynomial_he,
    laguerre_polynomial_l,
    legendre_polynomial_p,
    shifted_chebyshev_polynomial_t,
    shifted_chebyshev_polynomial_u,
    shifted_chebyshev_polynomial_v,
    shifted_chebyshev_polynomial_w,
)
from .tensors.probability import erfcx, ndtri, zeta
from .tensors.reductions import logsumexp
from .tensors.special import (
    entr,
    erfinv,
    log_ndtr,
    log_softmax,
    logit,
    mvlgamma as multigammaln,
    ndtr,
    polygamma,
    sinc,
    softmax,
    xlog1py,
    xlogy,
)

__all__ = [
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammainc",
    "gammaincc",
    "gammaln",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "modified_bessel_i0",
    "modified_bessel_i1",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
    "sinc",
    "softmax",
    "spherical_bessel_j0",
    "xlog1py",
    "xlogy",
    "zeta",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.special' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
