"""Functions of functions: gradients, Jacobians, and modules called with given parameters."""

from typing import Any

from ..errors import did_you_mean
from .call import functional_call
from .transforms import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "vjp",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.func' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
