"""Functions of functions: gradients, Jacobians, batches; modules called with given parameters."""

from typing import Any

from ..errors import did_you_mean
from .call import functional_call
from .module_state import replace_all_batch_norm_modules_, stack_module_state
from .transforms import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp
from .vmap import vmap

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "vjp",
    "vmap",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.func' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
