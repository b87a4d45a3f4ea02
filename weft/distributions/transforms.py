"""Functions of random numbers that can be undone: the names of ``torch.distributions.transforms``.

A transform knows how volumes change (``log_abs_det_jacobian``), which is what a density needs.
"""

from __future__ import annotations

import math
from typing import Any

from ..dtypes import finfo
from ..errors import ShapeError
from ..nn.functional import logsigmoid, pad, softplus
from ..tensors.creation import full_like
from ..tensors.decompositions import cholesky
from ..tensors.elementwise import atanh, log1p
from ..tensors.joining import broadcast_shapes
from ..tensors.linalg import matmul
from ..tensors.placing import tril_indices
from ..tensors.reductions import cumprod
from ..tensors.tensor import Tensor
from . import constraints
from .constraints import dependent_property
from .distribution import Distribution, summed, together
from .transform import (
    CatTransform,
    ComposeTransform,
    IndependentTransform,
    ReshapeTransform,
    Shape,
    StackTransform,
    Transform,
    identity_transform,
    widened,
)

# ---- of numbers


class ExpTransform(Transform):
    """``exp(x)``."""

    bijective, codomain = True, constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return x.exp()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x


class PowerTransform(Transform):
    """``x ** exponent`` of positive numbers."""

    bijective, domain, codomain = True, constraints.positive, constraints.positive

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        (self.exponent,) = together(exponent)

    def _key(self) -> tuple[Any, ...]:
        return (self.exponent,)

    @property
    def sign(self) -> Any:
        return self.exponent.sign()

    def _call(self, x: Tensor) -> Tensor:
        return x**self.exponent

    def _inverse(self, y: Tensor) -> Tensor:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.exponent * y / x).abs().log()

    def forward_shape(self, shape: Shape) -> Shape:
        return broadcast_shapes(shape, self.exponent.shape)

    inverse_shape = forward_shape


def clipped(x: Tensor) -> Tensor:
    """Probabilities without 0 and 1, whose logits are infinite."""
    info = finfo(x.dtype)
    return x.clamp(info.tiny, 1 - info.eps)


class SigmoidTransform(Transform):
    """``1 / (1 + exp(-x))``."""

    bijective, codomain = True, constraints.unit_interval

    def _call(self, x: Tensor) -> Tensor:
        return clipped(x.sigmoid())

    def _inverse(self, y: Tensor) -> Tensor:
        y = clipped(y)
        return y.log() - log1p(-y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -softplus(-x) - softplus(x)


class SoftplusTransform(Transform):
    """``log(1 + exp(x))``."""

    bijective, codomain = True, constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return softplus(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return (-(-y).expm1()).log() + y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -softplus(-x)


class TanhTransform(Transform):
    """``tanh(x)``. With ``cache_size=1``, what has come near to 1 can be undone."""

    bijective, codomain = True, constraints.interval(-1.0, 1.0)

    def _call(self, x: Tensor) -> Tensor:
        return x.tanh()

    def _inverse(self, y: Tensor) -> Tensor:
        return atanh(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return 2 * (math.log(2) - x - softplus(-2 * x))


class AbsTransform(Transform):
    """``|x|``; its inverse gives the positive one."""

    codomain = constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return x.abs()

    def _inverse(self, y: Tensor) -> Tensor:
        return y


class AffineTransform(Transform):
    """``loc + scale * x``, of events of ``event_dim`` dimensions."""

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self._event_dim = loc, scale, event_dim

    def _key(self) -> tuple[Any, ...]:
        return self.loc, self.scale

    @property
    def event_dim(self) -> int:
        return self._event_dim

    @dependent_property
    def domain(self) -> Any:
        return widened(constraints.real, self._event_dim)

    codomain = domain

    @property
    def sign(self) -> Any:
        scale = self.scale
        return scale.sign() if isinstance(scale, Tensor) else (scale > 0) - (scale < 0)

    def _call(self, x: Tensor) -> Tensor:
        return self.loc + self.scale * x  # type: ignore[no-any-return]

    def _inverse(self, y: Tensor) -> Tensor:
        return (y - self.loc) / self.scale  # type: ignore[no-any-return]

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        if isinstance(self.scale, Tensor):
            each = self.scale.abs().log().expand(x.shape)
        else:
            each = full_like(x, math.log(abs(self.scale)))
        return summed(each, self._event_dim)

    def forward_shape(self, shape: Shape) -> Shape:
        given = [v.shape for v in (self.loc, self.scale) if isinstance(v, Tensor)]
        return broadcast_shapes(shape, *given)

    inverse_shape = forward_shape


class CumulativeDistributionTransform(Transform):
    """A distribution's ``cdf``, of its draws uniform numbers."""

    bijective, codomain = True, constraints.unit_interval

    def __init__(self, distribution: Distribution, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.distribution = distribution

    def _key(self) -> tuple[Any, ...]:
        return (self.distribution,)

    @dependent_property
    def domain(self) -> Any:
        return self.distribution.support

    def _call(self, x: Tensor) -> Tensor:
        return self.distribution.cdf(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self.distribution.log_prob(x)


# ---- of vectors and matrices


class SoftmaxTransform(Transform):
    """``softmax(x)``; its inverse gives logarithms."""

    domain, codomain = constraints.real_vector, constraints.simplex

    def _call(self, x: Tensor) -> Tensor:
        return x.softmax(-1)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()


class StickBreakingTransform(Transform):
    """Vectors to vectors of sum 1, one longer: each element takes a part of what is left."""

    bijective, domain, codomain = True, constraints.real_vector, constraints.simplex

    def _offset(self, x: Tensor, n: int) -> Tensor:
        """The logarithm of how many parts are left behind each of ``n``."""
        return (n - x.new_ones(n).cumsum(-1) + 1).log()

    def _call(self, x: Tensor) -> Tensor:
        z = clipped((x - self._offset(x, x.shape[-1])).sigmoid())
        return pad(z, [0, 1], value=1) * pad(cumprod(1 - z, -1), [1, 0], value=1)

    def _inverse(self, y: Tensor) -> Tensor:
        parts = y[..., :-1]
        left = (1 - parts.cumsum(-1)).clamp(min=finfo(y.dtype).tiny)
        return parts.log() - left.log() + self._offset(y, parts.shape[-1])

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        z = x - self._offset(x, x.shape[-1])
        out: Tensor = (logsigmoid(z) - z + y[..., :-1].log()).sum(-1)
        return out

    def forward_shape(self, shape: Shape) -> Shape:
        return (*shape[:-1], shape[-1] + 1)

    def inverse_shape(self, shape: Shape) -> Shape:
        return (*shape[:-1], shape[-1] - 1)


class LowerCholeskyTransform(Transform):
    """Square matrices to lower triangular ones with a positive diagonal."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x: Tensor) -> Tensor:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(Transform):
    """Square matrices to positive definite ones."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x: Tensor) -> Tensor:
        factor = LowerCholeskyTransform()(x)
        return matmul(factor, factor.mT)

    def _inverse(self, y: Tensor) -> Tensor:
        return LowerCholeskyTransform().inv(cholesky(y))


class CorrCholeskyTransform(Transform):
    """Vectors of ``d * (d - 1) / 2`` numbers to Cholesky factors of correlations, ``[d, d]``.

    Each row below the diagonal is broken like a stick, by the squares of its tanh.
    """

    bijective, domain, codomain = True, constraints.real_vector, constraints.corr_cholesky

    def _call(self, x: Tensor) -> Tensor:
        eps = finfo(x.dtype).eps
        x = x.tanh().clamp(-1 + eps, 1 - eps)
        d = self.forward_shape(x.shape)[-1]
        row, column = tril_indices(d, d, -1)
        r = x.new_zeros((*x.shape[:-1], d * d)).index_copy(-1, row * d + column, x)
        r = r.reshape((*x.shape[:-1], d, d))
        left = cumprod((1 - r**2).sqrt(), -1)
        r = r + x.new_ones(d).diag()
        return r * pad(left[..., :-1], [1, 0], value=1)

    def _inverse(self, y: Tensor) -> Tensor:
        left = 1 - (y * y).cumsum(-1)
        left = pad(left[..., :-1], [1, 0], value=1)
        row, column = tril_indices(y.shape[-1], y.shape[-1], -1)
        r = y[..., row, column] / left[..., row, column].sqrt()
        return (log1p(r) - log1p(-r)) / 2

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        left = 1 - (y * y).cumsum(-1)
        row, column = tril_indices(y.shape[-1], y.shape[-1], -2)
        sticks: Tensor = 0.5 * left[..., row, column].log().sum(-1)
        slopes: Tensor = (x + softplus(-2 * x) - math.log(2)).sum(-1)
        return sticks - 2 * slopes

    def forward_shape(self, shape: Shape) -> Shape:
        n = shape[-1]
        d = round((0.25 + 2 * n) ** 0.5 + 0.5)
        if d * (d - 1) // 2 != n:
            raise ShapeError(f"CorrCholeskyTransform: {n} is not d * (d - 1) / 2 for any d")
        return (*shape[:-1], d, d)

    def inverse_shape(self, shape: Shape) -> Shape:
        d = shape[-1]
        if len(shape) < 2 or shape[-2] != d:
            raise ShapeError(f"CorrCholeskyTransform: {list(shape)} is no shape of square matrices")
        return (*shape[:-2], d * (d - 1) // 2)


__all__ = [
    "AbsTransform",
    "AffineTransform",
    "CatTransform",
    "ComposeTransform",
    "CorrCholeskyTransform",
    "CumulativeDistributionTransform",
    "ExpTransform",
    "IndependentTransform",
    "LowerCholeskyTransform",
    "PositiveDefiniteTransform",
    "PowerTransform",
    "ReshapeTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StackTransform",
    "StickBreakingTransform",
    "TanhTransform",
    "Transform",
    "identity_transform",
]
