"""Parametrizations that are known to be useful: weight and spectral norm, orthogonal weights."""

from __future__ import annotations

from typing import Any, TypeVar

from ...autograd.modes import no_grad
from ...errors import did_you_mean
from ...tensors.tensor import Tensor
from ..module import Module
from .orthogonal import orthogonal
from .parametrize import register_parametrization, tensor_of
from .spectral_norm import as_matrix, check_iterations, random_unit, rows_dim, unit
from .weight_norm import norm_except_dim, scaled

_M = TypeVar("_M", bound=Module)


# ---- weight norm


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return scaled(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: _M, name: str = "weight", dim: int | None = 0) -> _M:
    """Makes a weight a norm times a direction, which are learnt apart.

    ``w = g v / |v|``; g is ``parametrizations.weight.original0`` and v ``original1``.
    (Salimans and Kingma, 2016)

    Args:
        dim: one norm for each index of this dimension; None: one for the whole.
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def take_old_form(state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        old = [f"{prefix}{name}_{which}" for which in "gv"]
        if all(key in state_dict for key in old):
            for k, key in enumerate(old):
                new = f"{prefix}parametrizations.{name}.original{k}"
                state_dict[new] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(take_old_form)
    return module


# ---- spectral norm


class _SpectralNorm(Module):
    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        ndim = weight.ndim
        if not -ndim <= dim < ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but got "
                f"{dim}): the weight has shape {list(weight.shape)}"
            )
        check_iterations(n_power_iterations)
        self.dim = dim % ndim
        self.eps = eps
        if ndim > 1:  # the norm of a vector is known without iterations
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight, self.dim)
            for name, size in zip(("_u", "_v"), matrix.shape, strict=True):
                self.register_buffer(name, random_unit(weight, size, eps))
            self._power_method(matrix, 15)

    def _power_method(self, matrix: Tensor, n_power_iterations: int) -> None:
        u, v = self._buffers["_u"], self._buffers["_v"]
        assert u is not None
        assert v is not None
        with no_grad():
            for _ in range(n_power_iterations):
                u.copy_(unit(matrix.mv(v), self.eps))
                v.copy_(unit(matrix.mT.mv(u), self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return unit(weight, self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        u, v = self._buffers["_u"], self._buffers["_v"]
        return weight / matrix.mv(v).dot(u)  # type: ignore[arg-type]

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: _M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> _M:
    """Divides a weight by its largest singular value, so that the layer's Lipschitz constant is 1.

    The value is estimated from two vectors, which each use of the weight in training improves.
    (Miyato et al., 2018)

    Args:
        n_power_iterations: improvements a use.
        dim: the dimension that counts outputs; None: 0, or 1 for transposed convolutions.

    Raises:
        OptionError: if there is no such weight, or ``n_power_iterations`` is not positive.
        IndexError: if it has no dimension ``dim``.
    """
    weight = tensor_of(module, name)
    dim = rows_dim(module) if dim is None else dim
    return register_parametrization(
        module, name, _SpectralNorm(weight, n_power_iterations, dim, eps)
    )


__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.nn.utils.parametrizations' has no attribute '{name}'."
        f"{did_you_mean(name, __all__)}"
    )
