"""Gradients: ``backward``, ``grad``, grad modes, user-defined functions, checks."""

from typing import Any

from ..errors import did_you_mean
from ..tensors.differentiate import backward, grad
from ..tensors.tensor import Tensor as Variable
from . import functional
from .anomaly import detect_anomaly, set_detect_anomaly
from .function import Function, FunctionCtx, once_differentiable
from .gradcheck import GradcheckError, gradcheck, gradgradcheck
from .modes import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled

__all__ = [
    "Function",
    "FunctionCtx",
    "GradcheckError",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "once_differentiable",
    "set_detect_anomaly",
    "set_grad_enabled",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.autograd' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
