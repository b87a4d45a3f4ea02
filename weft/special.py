"""The names of ``torch.special``: functions that are in ``weft`` too, some by another name."""

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
    erfinv,
    log_softmax,
    logit,
    mvlgamma as multigammaln,
    polygamma,
    sinc,
    softmax,
    xlogy,
)

__all__ = [
    "digamma",
    "erf",
    "erfc",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammaln",
    "log1p",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "polygamma",
    "psi",
    "round",
    "sinc",
    "softmax",
    "xlogy",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.special' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
