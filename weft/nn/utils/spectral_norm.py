"""Spectral normalisation by a hook: the older form of ``parametrizations.spectral_norm``.

(Miyato et al., 2018)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ...autograd.modes import no_grad
from ...errors import OptionError
from ...tensors.random import randn
from ...tensors.tensor import Tensor
from ..module import Module
from ..parameter import Parameter
from ..uninitialized import is_lazy

M = TypeVar("M", bound=Module)


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """``weight`` with ``dim`` as rows and all other dimensions as columns."""
    return weight.movedim(dim, 0).flatten(1)


def unit(x: Tensor, eps: float) -> Tensor:
    """A vector divided by its length."""
    return x / x.norm().clamp_min(eps)


def random_unit(like: Tensor, size: int, eps: float) -> Tensor:
    """A random direction in the dtype of ``like``."""
    return unit(randn(size, dtype=like.dtype, device=like.device), eps)


def rows_dim(module: Module) -> int:
    """The dimension of a layer's weight that counts its outputs."""
    return 1 if getattr(module, "transposed", False) else 0


def check_iterations(count: int) -> None:
    if count <= 0:
        raise OptionError(
            f"Expected n_power_iterations to be positive, but got n_power_iterations={count}"
        )


class SpectralNorm:
    """The forward pre-hook: ``name`` is ``name_orig`` divided by its largest singular value."""

    _version = 1  # of the state_dict: 1 keeps `name_v` and no `name`

    def __init__(
        self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        check_iterations(n_power_iterations)
        self.name = name
        self.n_power_iterations = n_power_iterations
        self.dim = dim
        self.eps = eps

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """The weight; improves the vectors ``name_u`` and ``name_v`` if asked to."""
        weight, u, v = (getattr(module, f"{self.name}_{which}") for which in ("orig", "u", "v"))
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(unit(matrix.mT.mv(u), self.eps))
                    u.copy_(unit(matrix.mv(v), self.eps))
        return weight / u.dot(matrix.mv(v))  # type: ignore[no-any-return]

    def remove(self, module: Module) -> None:
        """Makes the weight a parameter again."""
        weight = self.compute_weight(module, do_power_iteration=False)
        for suffix in ("", "_u", "_v", "_orig"):
            delattr(module, self.name + suffix)
        module.register_parameter(self.name, Parameter(weight))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))

    @staticmethod
    def apply(
        module: Module, name: str, n_power_iterations: int, dim: int, eps: float
    ) -> SpectralNorm:
        """Puts ``name_orig``, ``name_u`` and ``name_v`` in the place of the parameter ``name``."""
        if _find(module._forward_pre_hooks, name, lambda hook: hook) is not None:
            raise RuntimeError(
                f"Cannot register two spectral_norm hooks on the same parameter {name}"
            )
        fn = SpectralNorm(name, n_power_iterations, dim, eps)
        weight = module._parameters[name]
        if weight is None:
            raise OptionError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
        if is_lazy(weight):
            raise OptionError(
                "The module passed to `SpectralNorm` can't have uninitialized parameters. Make "
                "sure to run the dummy forward before applying spectral normalization"
            )
        rows, columns = as_matrix(weight.detach(), dim).shape
        delattr(module, name)
        module.register_parameter(f"{name}_orig", weight)
        setattr(module, name, weight.detach())
        module.register_buffer(f"{name}_u", random_unit(weight, rows, eps))
        module.register_buffer(f"{name}_v", random_unit(weight, columns, eps))
        module.register_forward_pre_hook(fn)
        module._register_state_dict_hook(SpectralNormStateDictHook(fn))
        module._register_load_state_dict_pre_hook(SpectralNormLoadStateDictPreHook(fn))
        return fn


class SpectralNormStateDictHook:
    """Notes in a ``state_dict``'s metadata that it is of the current form."""

    def __init__(self, fn: SpectralNorm) -> None:
        self.fn = fn

    def __call__(
        self, module: Module, state_dict: Any, prefix: str, local_metadata: dict[str, Any]
    ) -> None:
        versions = local_metadata.setdefault("spectral_norm", {})
        versions[f"{self.fn.name}.version"] = self.fn._version


class SpectralNormLoadStateDictPreHook:
    """Takes a ``state_dict`` of the first form, which kept the weight in the place of ``name_v``.

    There ``weight = weight_orig / sigma`` and ``sigma = u weight_orig v``, with v unknown.
    """

    def __init__(self, fn: SpectralNorm) -> None:
        self.fn = fn

    def __call__(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        name = self.fn.name
        key = prefix + name
        if local_metadata.get("spectral_norm", {}).get(f"{name}.version", 0) >= 1:
            return
        if f"{key}_v" in state_dict and key not in state_dict:  # the current form, put together
            return  # by hand without metadata
        missing = [k for k in (f"{key}_orig", key, f"{key}_u") if k not in state_dict]
        if missing:
            missing_keys.extend(missing if strict else [])
            return
        with no_grad():
            original, u = state_dict[f"{key}_orig"], state_dict[f"{key}_u"]
            sigma = (original / state_dict.pop(key)).mean()
            matrix = as_matrix(original, self.fn.dim)
            v = (matrix.mT @ matrix).pinverse() @ matrix.mT.mv(u)
            state_dict[f"{key}_v"] = v * (sigma / u.dot(matrix.mv(v)))


def _find(hooks: dict[int, Any], name: str, fn_of: Callable[[Any], Any]) -> int | None:
    for key, hook in hooks.items():
        fn = fn_of(getattr(hook, "hook", hook))
        if isinstance(fn, SpectralNorm) and fn.name == name:
            return key
    return None


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """Divides a weight by its largest singular value before each forward.

    The value is estimated from two vectors, buffers of the module, which each forward in training
    improves. ``nn.utils.parametrizations.spectral_norm`` is the newer form.

    Args:
        n_power_iterations: improvements a forward.
        dim: the dimension that counts outputs; None: 0, or 1 for transposed convolutions.

    Raises:
        RuntimeError: if that has been done already.
    """
    SpectralNorm.apply(
        module, name, n_power_iterations, rows_dim(module) if dim is None else dim, eps
    )
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Undoes :func:`spectral_norm`; the weight keeps its value.

    Raises:
        OptionError: if there is nothing to undo.
    """
    key = _find(module._forward_pre_hooks, name, lambda hook: hook)
    if key is None:
        raise OptionError(f"spectral_norm of '{name}' not found in {type(module).__name__}")
    hook: Any = module._forward_pre_hooks.pop(key)
    hook.remove(module)
    for hooks in (module._state_dict_hooks, module._load_state_dict_pre_hooks):
        other = _find(hooks, name, lambda hook: getattr(hook, "fn", None))
        if other is not None:
            del hooks[other]
    return module


__all__ = [
    "SpectralNorm",
    "SpectralNormLoadStateDictPreHook",
    "SpectralNormStateDictHook",
    "remove_spectral_norm",
    "spectral_norm",
]
