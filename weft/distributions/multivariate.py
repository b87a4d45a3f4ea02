"""Distributions of vectors and matrices whose elements depend on one another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..dtypes import finfo
from ..errors import OptionError
from ..tensors.creation import arange, eye, zeros
from ..tensors.decompositions import (
    cholesky,
    cholesky_solve,
    slogdet,
    solve_triangular,
    vector_norm,
)
from ..tensors.joining import broadcast_shapes
from ..tensors.linalg import matmul
from ..tensors.random import randn
from ..tensors.shape import cat, flip
from ..tensors.special import mvlgamma
from ..tensors.tensor import Tensor
from . import constraints
from .constraints import Constraint
from .distribution import Distribution, ExponentialFamily, lazy_property, together
from .gamma import Beta, Chi2


def _normal_like(x: Tensor, shape: Sequence[int]) -> Tensor:
    return randn(tuple(shape), dtype=x.dtype, device=x.device)


def log_diagonal(factor: Tensor) -> Tensor:
    """Half of the logarithm of the determinant of what it is the Cholesky factor of."""
    out: Tensor = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return out


def solved(factor: Tensor, x: Tensor) -> Tensor:
    """``factor @ y = x`` solved for y, for batches that broadcast."""
    batch = broadcast_shapes(factor.shape[:-2], x.shape[:-2])
    factor, x = [m.expand((*batch, *m.shape[-2:])) for m in (factor, x)]
    return solve_triangular(factor, x, upper=False)


def mahalanobis(factor: Tensor, off: Tensor) -> Tensor:
    """The square of a distance, in standard deviations of what ``factor`` is Cholesky's of."""
    out: Tensor = (solved(factor, off[..., None])[..., 0] ** 2).sum(-1)
    return out


def _factor_of_inverse(precision: Tensor) -> Tensor:
    """The Cholesky factor of the inverse: by that of the matrix read from its end."""
    backwards = flip(cholesky(flip(precision, -2, -1)), -2, -1).mT
    n = precision.shape[-1]
    return solved(backwards, eye(n, dtype=precision.dtype, device=precision.device))


class _OfMatrix(Distribution):
    """Of one of three matrices ``[..., d, d]``, of which the others are computed."""

    def _matrix(self, covariance: Any, precision: Any, factor: Any) -> tuple[str, Tensor]:
        """
        Raises:
            OptionError: unless there is one of the three, with two dimensions or more.
        """
        given = {
            "covariance_matrix": covariance,
            "precision_matrix": precision,
            "scale_tril": factor,
        }
        found = [(name, m) for name, m in given.items() if m is not None]
        if len(found) != 1:
            raise OptionError(f"{type(self).__name__} takes one of {', '.join(given)}")
        if found[0][1].ndim < 2:
            raise OptionError(f"{type(self).__name__}: {found[0][0]} needs two dimensions or more")
        return found[0]

    @lazy_property
    def _factor(self) -> Tensor:
        if "scale_tril" in vars(self):
            return self.scale_tril
        if "covariance_matrix" in vars(self):
            return cholesky(self.covariance_matrix)
        return _factor_of_inverse(self.precision_matrix)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The lower Cholesky factor of the covariance."""
        return self._factor

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """``[..., d, d]``."""
        return matmul(self._factor, self._factor.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        n = self._factor.shape[-1]
        unit = eye(n, dtype=self._factor.dtype, device=self._factor.device)
        return cholesky_solve(unit.expand(self._factor.shape), self._factor)


_OF_MATRIX: dict[str, Constraint] = {
    "covariance_matrix": constraints.positive_definite,
    "precision_matrix": constraints.positive_definite,
    "scale_tril": constraints.lower_cholesky,
}


class MultivariateNormal(_OfMatrix):
    """Normal vectors ``[..., d]`` with dependent elements.

    Args:
        loc: the mean, ``[..., d]``.
        covariance_matrix: ``[..., d, d]``; or
        precision_matrix: its inverse; or
        scale_tril: its lower Cholesky factor.

    Raises:
        OptionError: unless there is one of the three.
    """

    has_rsample = True
    arg_constraints = {"loc": constraints.real_vector, **_OF_MATRIX}  # noqa: RUF012
    support = constraints.real_vector

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.ndim < 1:
            raise OptionError("MultivariateNormal: loc needs a dimension of elements")
        name, matrix = self._matrix(covariance_matrix, precision_matrix, scale_tril)
        shape = broadcast_shapes(loc.shape, matrix.shape[:-1])
        self.loc = loc.expand(shape)
        vars(self)[name] = matrix.expand((*shape, shape[-1]))
        super().__init__(shape[:-1], shape[-1:], validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        out: Tensor = (self._factor**2).sum(-1)
        return out

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        z = _normal_like(self.loc, self._extended_shape(sample_shape))
        return self.loc + matmul(self._factor, z[..., None])[..., 0]

    def _log_prob(self, value: Tensor) -> Tensor:
        squares = mahalanobis(self._factor, value - self.loc)
        d: int = self._event_shape[0]
        return -0.5 * (squares + d * math.log(2 * math.pi)) - log_diagonal(self._factor)

    def entropy(self) -> Tensor:
        d: int = self._event_shape[0]
        return log_diagonal(self._factor) + 0.5 * d * (1 + math.log(2 * math.pi))


class LowRankMultivariateNormal(Distribution):
    """Normal vectors with the covariance ``cov_factor @ cov_factor.T + diag(cov_diag)``.

    By Woodbury's formula, all is computed with matrices of the rank of the factor.

    Args:
        loc: the mean, ``[..., d]``.
        cov_factor: ``[..., d, rank]``.
        cov_diag: ``[..., d]``, positive.
    """

    has_rsample = True
    arg_constraints = {  # noqa: RUF012
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector

    def __init__(
        self,
        loc: Tensor,
        cov_factor: Tensor,
        cov_diag: Tensor,
        validate_args: bool | None = None,
    ) -> None:
        d = loc.shape[-1:]
        if cov_factor.ndim < 2 or cov_factor.shape[-2:-1] != d or cov_diag.shape[-1:] != d:
            raise OptionError(
                f"LowRankMultivariateNormal: loc {list(loc.shape)}, cov_factor "
                f"{list(cov_factor.shape)} and cov_diag {list(cov_diag.shape)} must be [..., d], "
                "[..., d, rank] and [..., d]"
            )
        shape = broadcast_shapes(loc.shape, cov_factor.shape[:-1], cov_diag.shape)
        self.loc, self.cov_diag = loc.expand(shape), cov_diag.expand(shape)
        self.cov_factor = cov_factor.expand((*shape, cov_factor.shape[-1]))
        super().__init__(shape[:-1], shape[-1:], validate_args)

    @lazy_property
    def _capacitance_tril(self) -> Tensor:
        """The Cholesky factor of ``1 + W.T @ diag(1 / D) @ W``."""
        scaled = self.cov_factor.mT / self.cov_diag[..., None, :]
        rank = self.cov_factor.shape[-1]
        unit = eye(rank, dtype=self.loc.dtype, device=self.loc.device)
        return cholesky(matmul(scaled, self.cov_factor) + unit)

    @property
    def covariance_matrix(self) -> Tensor:
        """``[..., d, d]``."""
        return matmul(self.cov_factor, self.cov_factor.mT) + self.cov_diag.diag_embed()

    @property
    def precision_matrix(self) -> Tensor:
        """Its inverse."""
        scaled = self.cov_factor.mT / self.cov_diag[..., None, :]
        a = solved(self._capacitance_tril, scaled)
        return self.cov_diag.reciprocal().diag_embed() - matmul(a.mT, a)

    @property
    def scale_tril(self) -> Tensor:
        """Its lower Cholesky factor."""
        return cholesky(self.covariance_matrix)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        out: Tensor = (self.cov_factor**2).sum(-1) + self.cov_diag
        return out

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        z = _normal_like(self.loc, (*shape[:-1], self.cov_factor.shape[-1]))
        own = self.cov_diag.sqrt() * _normal_like(self.loc, shape)
        return self.loc + matmul(self.cov_factor, z[..., None])[..., 0] + own

    def mahalanobis(self, off: Tensor) -> Tensor:
        """The square of the distance, in standard deviations."""
        turned = matmul(self.cov_factor.mT, (off / self.cov_diag)[..., None])
        less: Tensor = (solved(self._capacitance_tril, turned)[..., 0] ** 2).sum(-1)
        return (off**2 / self.cov_diag).sum(-1) - less

    def log_det(self) -> Tensor:
        out: Tensor = 2 * log_diagonal(self._capacitance_tril) + self.cov_diag.log().sum(-1)
        return out

    def _log_prob(self, value: Tensor) -> Tensor:
        d: int = self._event_shape[0]
        size = d * math.log(2 * math.pi) + self.log_det()
        return -0.5 * (size + self.mahalanobis(value - self.loc))

    def entropy(self) -> Tensor:
        d: int = self._event_shape[0]
        return 0.5 * (d * (1 + math.log(2 * math.pi)) + self.log_det())


class Wishart(_OfMatrix, ExponentialFamily):
    """Sums of the outer products of ``df`` normal vectors of mean 0: ``[..., d, d]``.

    Args:
        df: above ``d - 1``, not necessarily whole.
        covariance_matrix: of the vectors, ``[..., d, d]``; or
        precision_matrix: its inverse; or
        scale_tril: its lower Cholesky factor.
    """

    has_rsample = True
    support = constraints.positive_definite

    def __init__(
        self,
        df: Any,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        name, matrix = self._matrix(covariance_matrix, precision_matrix, scale_tril)
        self.df = together(df, matrix[..., 0, 0])[0]
        vars(self)[name] = matrix.expand((*self.df.shape, *matrix.shape[-2:]))
        super().__init__(self.df.shape, matrix.shape[-2:], validate_args)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {**_OF_MATRIX, "df": constraints.greater_than(self._event_shape[-1] - 1)}

    @property
    def mean(self) -> Tensor:
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        factor = self.df - self._event_shape[-1] - 1
        factor = factor.masked_fill(factor <= 0, math.nan)
        return factor[..., None, None] * self.covariance_matrix  # type: ignore[no-any-return]

    @property
    def variance(self) -> Tensor:
        spread = self.covariance_matrix
        diagonal = spread.diagonal(dim1=-2, dim2=-1)
        outer = diagonal[..., :, None] * diagonal[..., None, :]
        return self.df[..., None, None] * (spread**2 + outer)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """By Bartlett's decomposition."""
        d = self._event_shape[-1]
        steps = arange(d, dtype=self.df.dtype, device=self.df.device)
        roots = Chi2(self.df[..., None] - steps, False).rsample(sample_shape).sqrt()
        below = _normal_like(self.df, self._extended_shape(sample_shape)).tril(-1)
        factor = matmul(self._factor, below + roots.diag_embed())
        return matmul(factor, factor.mT)

    def _half_log_det(self) -> Tensor:
        return self._event_shape[-1] * math.log(2) / 2 + log_diagonal(self._factor)  # type: ignore[no-any-return]

    def _log_prob(self, value: Tensor) -> Tensor:
        n, d = self.df, self._event_shape[-1]
        spread = solved(self._factor, solved(self._factor, value).mT)
        trace: Tensor = spread.diagonal(dim1=-2, dim2=-1).sum(-1)
        volume = (n - d - 1) / 2 * slogdet(value)[1]
        return -n * self._half_log_det() - mvlgamma(n / 2, d) + volume - trace / 2  # type: ignore[no-any-return]

    def entropy(self) -> Tensor:
        n, d = self.df, self._event_shape[-1]
        steps = arange(d, dtype=n.dtype, device=n.device) / 2
        digammas: Tensor = ((n / 2)[..., None] - steps).digamma().sum(-1)
        size = (d + 1) * self._half_log_det() + mvlgamma(n / 2, d)
        return size - (n - d - 1) / 2 * digammas + n * d / 2  # type: ignore[no-any-return]


class LKJCholesky(Distribution):
    """Cholesky factors of correlations: the determinant to the power ``concentration - 1``.

    (Lewandowski, Kurowicka and Joe, "Generating random correlation matrices based on vines and
    extended onion method", 2009)

    Args:
        dim: of the correlations, 2 or more.
        concentration: 1 for all alike; the greater, the nearer to the unit matrix.
    """

    arg_constraints = {"concentration": constraints.positive}  # noqa: RUF012
    support = constraints.corr_cholesky

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise OptionError(f"LKJCholesky: dim must be 2 or more, not {dim}")
        self.dim = dim
        (self.concentration,) = together(concentration)
        super().__init__(self.concentration.shape, (dim, dim), validate_args)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        a, like = self.concentration[..., None], self.concentration
        steps = arange(self.dim - 1, dtype=like.dtype, device=like.device)
        steps = cat([zeros(1, dtype=like.dtype, device=like.device), steps])
        part = Beta(steps + 0.5, a + 0.5 * (self.dim - 2) - 0.5 * steps, False)
        y = part.sample(sample_shape)[..., None]
        z = _normal_like(like, self._extended_shape(sample_shape)).tril(-1)
        length = vector_norm(z, dim=-1, keepdim=True)
        rows = y.sqrt() * z / length.masked_fill(length == 0, 1)
        left: Tensor = (1 - (rows**2).sum(-1)).clamp(min=finfo(like.dtype).tiny)
        return rows + left.sqrt().diag_embed()

    def _log_prob(self, value: Tensor) -> Tensor:
        n = self.dim - 1
        diagonal = value.diagonal(dim1=-2, dim2=-1)[..., 1:]
        order = 2 * (self.concentration - 1)[..., None] + n - 1
        like = self.concentration
        order = order - arange(n, dtype=like.dtype, device=like.device)
        total: Tensor = (order * diagonal.log()).sum(-1)
        alpha = self.concentration + 0.5 * n
        size = 0.5 * n * math.log(math.pi) + mvlgamma(alpha - 0.5, n) - alpha.lgamma() * n
        return total - size
