"""``parametrizations.orthogonal``: weights with orthonormal rows or columns."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from ...autograd.modes import no_grad
from ...errors import OptionError
from ...graph.device import ANYWHERE
from ...tensors.creation import eye, from_numpy, zeros, zeros_like
from ...tensors.decompositions import matrix_exp, qr, solve, solve_triangular
from ...tensors.random import randn
from ...tensors.shape import cat
from ...tensors.tensor import Tensor
from ..module import Module
from .parametrize import register_parametrization, tensor_of

M = TypeVar("M", bound=Module)

_MAPS = ("matrix_exp", "cayley", "householder")


def _tall(x: Tensor) -> tuple[Tensor, bool]:
    """A matrix with at least as many rows as columns; and whether it has been turned."""
    turned = x.shape[-2] < x.shape[-1]
    return (x.mT if turned else x), turned


def _product_of_reflections(v: Tensor) -> Tensor:
    """The first columns of ``H1 H2 ...``, the reflections by the columns below the diagonal of v.

    All at once: ``I - V T V'`` with ``inv(T) = striu(V' V) + diag(V' V) / 2`` (Joffrain et al.,
    "Accumulating Householder transformations, revisited", 2006).
    """
    n, k = v.shape[-2:]
    one = eye(n, k, dtype=v.dtype, device=ANYWHERE)
    v = v.tril(-1) + one
    products = v.mT @ v
    middle = products.triu(1) + products * eye(k, dtype=v.dtype, device=ANYWHERE) / 2
    return one - v @ solve_triangular(middle, v[..., :k, :].mT, upper=True)


class _Orthogonal(Module):
    def __init__(self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool) -> None:
        super().__init__()
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        self.has_base = use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        x, turned = _tall(X)
        q = self._reflected(x) if self.orthogonal_map == "householder" else self._turned(x)
        if self.has_base:
            base: Any = self.base
            q = base @ q
        return q.mT if turned else q

    def _turned(self, x: Tensor) -> Tensor:
        """A rotation made of the entries on and below the diagonal."""
        n, k = x.shape[-2:]
        x = x.tril()
        if n != k:
            x = cat([x, zeros(*x.shape[:-1], n - k, dtype=x.dtype, device=x.device)], dim=-1)
        a = x - x.mT
        if self.orthogonal_map == "matrix_exp":
            q = matrix_exp(a)
        else:
            one = eye(n, dtype=a.dtype, device=ANYWHERE)
            q = solve(one - a / 2, one + a / 2)
        return q[..., :k]

    def _reflected(self, x: Tensor) -> Tensor:
        """Reflections made of the entries below the diagonal, which holds 1 and -1 as signs."""
        signs = x.diagonal(dim1=-2, dim2=-1).detach().trunc()
        return _product_of_reflections(x) * signs.unsqueeze(-2)

    def right_inverse(self, Q: Tensor) -> Tensor:
        if Q.shape != self.shape:
            raise OptionError(
                f"Expected a matrix or batch of matrices of shape {list(self.shape)}. Got a tensor "
                f"of shape {list(Q.shape)}."
            )
        q, turned = _tall(Q.detach())
        with no_grad():
            if self.has_base:
                self.base = _completed(q)
                return zeros_like(Q) - eye(*Q.shape[-2:], dtype=Q.dtype, device=Q.device)
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    "It is not possible to assign to the matrix exponential or the Cayley "
                    "parametrizations when use_trivialization=False."
                )
            v = _reflections_of(q)
            return v.mT if turned else v


def _completed(q: Tensor) -> Tensor:
    """A square orthogonal matrix that begins with the columns of ``q``, made orthonormal."""
    n, k = q.shape[-2:]
    if n == k and _is_orthogonal(q):
        return q.clone()
    if n != k:
        more = randn(*q.shape[:-1], n - k, dtype=q.dtype, device=q.device)
        q = cat([q, more], dim=-1)
    whole, r = qr(q)
    return whole * r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def _is_orthogonal(q: Tensor) -> bool:
    tolerance = 10 * q.shape[-2] * float(np.finfo(q.dtype.numpy).eps)
    return (q.mT @ q).allclose(eye(q.shape[-1], dtype=q.dtype, device=ANYWHERE), atol=tolerance)


def _reflections_of(q: Tensor) -> Tensor:
    """The inverse of :meth:`_Orthogonal._reflected`, by LAPACK's QR decomposition."""
    turned, scale = np.linalg.qr(q.numpy(), mode="raw")
    v = turned.swapaxes(-1, -2).copy()
    places = np.arange(v.shape[-1])
    signs = np.sign(v[..., places, places])
    v[..., places, places] = np.where(scale == 0, -signs, signs)  # 0: no reflection was needed
    return from_numpy(v).to(q.device)


def orthogonal(
    module: M,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> M:
    """Makes a weight orthogonal: its columns are orthonormal, or its rows if there are fewer.

    Weights of more than two dimensions are batches of matrices.

    Args:
        orthogonal_map: how it is made of the original: ``"matrix_exp"`` (the default for square
            matrices) or ``"cayley"`` of a skew-symmetric matrix, or ``"householder"``, a product of
            reflections (the default for others).
        use_trivialization: multiply by a fixed matrix, so that the weight begins as what it was,
            made orthogonal, and the original near zero. (Lezcano-Casado, "Trivializations for
            gradient-based optimization on manifolds", 2019)

    Raises:
        OptionError: for a weight of less than two dimensions, or an unknown map.

    Example:
        >>> layer = nn.utils.parametrizations.orthogonal(nn.Linear(3, 5))
        >>> weft.allclose(layer.weight.T @ layer.weight, weft.eye(3), atol=1e-5)
        True
    """
    weight = tensor_of(module, name)
    if weight.ndim < 2:
        raise OptionError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions."
        )
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square else "householder"
    if orthogonal_map not in _MAPS:
        raise OptionError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: '
            f"{orthogonal_map}"
        )
    parametrization = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    return register_parametrization(module, name, parametrization, unsafe=True)
