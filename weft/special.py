"""The names of ``torch.special``: functions that ``weft`` has too, by other names, and more."""

from __future__ import annotations

from typing import Any

from .errors import did_you_mean
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
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammaln",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "polygamma",
    "psi",
    "round",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.special' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
