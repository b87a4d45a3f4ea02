"""Weight normalisation by a hook: the older form of ``parametrizations.weight_norm``.

(Salimans and Kingma, 2016)
"""

from __future__ import annotations

from typing import Any, TypeVar

from ...errors import OptionError, ShapeError
from ...tensors.tensor import Tensor
from ..mistakes import deprecated
from ..module import Module
from ..parameter import Parameter
from ..uninitialized import is_lazy

M = TypeVar("M", bound=Module)

_WHOLE = -1  # as a dim: one norm of all elements


def norm_except_dim(v: Tensor, dim: int) -> Tensor:
    """The norms over all dimensions but ``dim``, which are kept with size 1; -1: one number."""
    if dim == _WHOLE:
        return v.norm()
    if not 0 <= dim < v.ndim:
        raise ShapeError(f"weight_norm: a weight of shape {list(v.shape)} has no dimension {dim}")
    return v.norm(dim=[k for k in range(v.ndim) if k != dim], keepdim=True)


def scaled(v: Tensor, g: Tensor, dim: int) -> Tensor:
    """``v`` with the norms ``g``."""
    return v * (g / norm_except_dim(v, dim))


class WeightNorm:
    """The forward pre-hook: ``name`` is computed from ``name_g`` and ``name_v``."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = _WHOLE if dim is None else dim

    def compute_weight(self, module: Module) -> Tensor:
        """The weight: direction ``v`` with the norm ``g``."""
        v, g = (getattr(module, f"{self.name}_{which}") for which in "vg")
        return scaled(v, g, self.dim)

    @staticmethod
    def apply(module: Module, name: str, dim: int | None) -> WeightNorm:
        """Puts ``name_g`` and ``name_v`` in the place of the parameter ``name``."""
        if _find(module, name) is not None:
            raise RuntimeError(
                f"Cannot register two weight_norm hooks on the same parameter {name}"
            )
        hook = WeightNorm(name, dim)
        weight: Any = getattr(module, name)
        if is_lazy(weight):
            raise OptionError(
                "The module passed to `WeightNorm` can't have uninitialized parameters. Make sure "
                "to run the dummy forward before applying weight normalization"
            )
        g = Parameter(norm_except_dim(weight.detach(), hook.dim))
        del module._parameters[name]
        module.register_parameter(f"{name}_g", g)
        module.register_parameter(f"{name}_v", Parameter(weight))
        setattr(module, name, hook.compute_weight(module))
        module.register_forward_pre_hook(hook)
        return hook

    def remove(self, module: Module) -> None:
        """Makes the weight a parameter again."""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[f"{self.name}_g"]
        del module._parameters[f"{self.name}_v"]
        setattr(module, self.name, Parameter(weight))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def _find(module: Module, name: str) -> int | None:
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            return key
    return None


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Makes a weight a norm ``name_g`` and a direction ``name_v``, joined before each forward.

    Deprecated, as in PyTorch: ``nn.utils.parametrizations.weight_norm`` does the same.

    Args:
        dim: one norm for each index of this dimension; None: one for the whole.

    Raises:
        RuntimeError: if that has been done already.
    """
    deprecated("`weft.nn.utils.weight_norm`", "`weft.nn.utils.parametrizations.weight_norm`")
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Undoes :func:`weight_norm`; the weight keeps its value.

    Raises:
        OptionError: if there is nothing to undo.
    """
    key = _find(module, name)
    if key is None:
        raise OptionError(f"weight_norm of '{name}' not found in {type(module).__name__}")
    hook: Any = module._forward_pre_hooks.pop(key)
    hook.remove(module)
    return module


__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]
