"""What transforms are, and those that are made of others. The rest: ``transforms.py``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from typing import Any, Self

from ..errors import OptionError, ShapeError
from ..tensors.creation import zeros_like
from ..tensors.shape import cat, stack
from ..tensors.tensor import Tensor
from . import constraints
from .constraints import Constraint, dependent_property
from .distribution import summed

Shape = Sequence[int]


class Transform:
    """A function of tensors, with its inverse where it has one.

    Subclasses define ``_call``, and ``_inverse`` and ``log_abs_det_jacobian`` where these exist.

    Args:
        cache_size: 1 to remember the latest pair, so that its inverse is exact; 0 not to.

    Attributes:
        domain, codomain: what goes in and what comes out.
        bijective: does the inverse give back what went in?
        sign: 1 if it rises, -1 if it falls.
    """

    bijective: bool = False
    domain: Any = constraints.real
    codomain: Any = constraints.real
    sign: Any = 1

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise OptionError(f"{type(self).__name__}: cache_size must be 0 or 1, not {cache_size}")
        self._cache_size = cache_size
        self._cached: tuple[Any, Any] = (None, None)
        self._inv: Transform | None = None

    @property
    def event_dim(self) -> int:
        """How many of the last dimensions it takes together, before and after alike.

        Raises:
            ValueError: where these differ.
        """
        if self.domain.event_dim != self.codomain.event_dim:
            raise ValueError("ask for domain.event_dim or codomain.event_dim: they differ")
        return self.domain.event_dim  # type: ignore[no-any-return]

    @property
    def inv(self) -> Transform:
        """The inverse, whose ``inv`` is this transform."""
        if self._inv is None:
            self._inv = self._inverted()
            self._inv._inv = self
        return self._inv

    def _inverted(self) -> Transform:
        return _Inverse(self)

    def with_cache(self, cache_size: int = 1) -> Self:
        """The same, with or without a memory for the latest pair."""
        if cache_size == self._cache_size:
            return self
        new = copy(self)
        new._cache_size, new._cached, new._inv = cache_size, (None, None), None
        return new

    def _key(self) -> tuple[Any, ...]:
        """What makes two transforms of one class equal."""
        return ()

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        assert isinstance(other, Transform)
        pairs = list(zip(self._key(), other._key(), strict=False))
        return len(self._key()) == len(other._key()) and all([_equal(a, b) for a, b in pairs])

    __hash__ = object.__hash__

    def __call__(self, x: Tensor) -> Tensor:
        old, found = self._cached
        if x is old:
            return found  # type: ignore[no-any-return]
        y = self._call(x)
        if self._cache_size:
            self._cached = x, y
        return y

    def _inv_call(self, y: Tensor) -> Tensor:
        found, old = self._cached
        if y is old:
            return found  # type: ignore[no-any-return]
        x = self._inverse(y)
        if self._cache_size:
            self._cached = x, y
        return x

    def _call(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not define _call")

    def _inverse(self, y: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not define _inverse")

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``log |det dy/dx|``, of an input and its output."""
        raise NotImplementedError(f"{type(self).__name__} has no log_abs_det_jacobian")

    def forward_shape(self, shape: Shape) -> Shape:
        """The shape of the output for one of the input."""
        return shape

    def inverse_shape(self, shape: Shape) -> Shape:
        """The shape of the input for one of the output."""
        return shape

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join([repr(k) for k in self._key()])})"


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return bool((a == b).all())
    return bool(a == b)


class _Inverse(Transform):
    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self._inv = transform

    def _key(self) -> tuple[Any, ...]:
        return (self._inv,)

    @property
    def _of(self) -> Transform:
        assert self._inv is not None
        return self._inv

    @dependent_property
    def domain(self) -> Any:
        return self._of.codomain

    @dependent_property
    def codomain(self) -> Any:
        return self._of.domain

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return self._of.bijective

    @property
    def sign(self) -> Any:
        return self._of.sign

    def with_cache(self, cache_size: int = 1) -> Any:
        return self._of.with_cache(cache_size).inv

    def __call__(self, x: Tensor) -> Tensor:
        return self._of._inv_call(x)

    def _inv_call(self, y: Tensor) -> Tensor:
        return self._of(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -self._of.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Shape) -> Shape:
        return self._of.inverse_shape(shape)

    def inverse_shape(self, shape: Shape) -> Shape:
        return self._of.forward_shape(shape)


# ---- made of others


class ComposeTransform(Transform):
    """Transforms one after the other."""

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        self.parts = [p.with_cache(cache_size) for p in parts] if cache_size else list(parts)
        super().__init__(cache_size)

    def _key(self) -> tuple[Any, ...]:
        return (self.parts,)

    def with_cache(self, cache_size: int = 1) -> Any:
        return self if cache_size == self._cache_size else ComposeTransform(self.parts, cache_size)

    def _inverted(self) -> Transform:
        return ComposeTransform([p.inv for p in reversed(self.parts)])

    @dependent_property
    def domain(self) -> Any:
        if not self.parts:
            return constraints.real
        dim = self.parts[-1].codomain.event_dim
        for part in reversed(self.parts):
            dim += part.domain.event_dim - part.codomain.event_dim
            dim = max(dim, part.domain.event_dim)
        return widened(self.parts[0].domain, dim)

    @dependent_property
    def codomain(self) -> Any:
        if not self.parts:
            return constraints.real
        dim = self.parts[0].domain.event_dim
        for part in self.parts:
            dim += part.codomain.event_dim - part.domain.event_dim
            dim = max(dim, part.codomain.event_dim)
        return widened(self.parts[-1].codomain, dim)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return all([p.bijective for p in self.parts])

    @property
    def sign(self) -> Any:
        sign: Any = 1
        for part in self.parts:
            sign = sign * part.sign
        return sign

    def __call__(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def _inv_call(self, y: Tensor) -> Tensor:
        for part in reversed(self.parts):
            y = part._inv_call(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        if not self.parts:
            return zeros_like(x)
        between = [x]
        for part in self.parts[:-1]:
            between.append(part(between[-1]))
        dim: int = self.domain.event_dim
        total: Any = 0
        for part, a, b in zip(self.parts, between, [*between[1:], y], strict=True):
            total = total + summed(part.log_abs_det_jacobian(a, b), dim - part.domain.event_dim)
            dim += part.codomain.event_dim - part.domain.event_dim
        return total  # type: ignore[no-any-return]

    def forward_shape(self, shape: Shape) -> Shape:
        for part in self.parts:
            shape = part.forward_shape(shape)
        return shape

    def inverse_shape(self, shape: Shape) -> Shape:
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return shape


def widened(constraint: Constraint, event_dim: int) -> Constraint:
    extra = event_dim - constraint.event_dim
    return constraints.independent(constraint, extra) if extra > 0 else constraint


identity_transform = ComposeTransform([])


class IndependentTransform(Transform):
    """A transform of whose batch the last dimensions are taken together."""

    def __init__(
        self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0
    ) -> None:
        super().__init__(cache_size)
        self.base_transform = base_transform.with_cache(cache_size)
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    def _key(self) -> tuple[Any, ...]:
        return self.base_transform, self.reinterpreted_batch_ndims

    @dependent_property
    def domain(self) -> Any:
        return constraints.independent(self.base_transform.domain, self.reinterpreted_batch_ndims)

    @dependent_property
    def codomain(self) -> Any:
        return constraints.independent(self.base_transform.codomain, self.reinterpreted_batch_ndims)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return self.base_transform.bijective

    @property
    def sign(self) -> Any:
        return self.base_transform.sign

    def _call(self, x: Tensor) -> Tensor:
        return self.base_transform(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        each = self.base_transform.log_abs_det_jacobian(x, y)
        return summed(each, self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: Shape) -> Shape:
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Shape) -> Shape:
        return self.base_transform.inverse_shape(shape)


class _Pieces(Transform):
    """A transform for each piece along a dimension."""

    transforms: list[Transform]
    dim: int

    def _take(self, transforms: Sequence[Transform], dim: int, cache_size: int) -> None:
        Transform.__init__(self, cache_size)
        self.transforms = [t.with_cache(cache_size) if cache_size else t for t in transforms]
        self.dim = dim

    def _key(self) -> tuple[Any, ...]:
        return self.transforms, self.dim

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return all([t.bijective for t in self.transforms])

    def _cut(self, x: Tensor) -> Sequence[Tensor]:
        raise NotImplementedError

    def _joined(self, pieces: Sequence[Tensor]) -> Tensor:
        raise NotImplementedError

    def _call(self, x: Tensor) -> Tensor:
        return self._joined([t(v) for t, v in zip(self.transforms, self._cut(x), strict=True)])

    def _inverse(self, y: Tensor) -> Tensor:
        return self._joined([t.inv(v) for t, v in zip(self.transforms, self._cut(y), strict=True)])

    def _log_dets(self, x: Tensor, y: Tensor) -> list[Tensor]:
        pieces = zip(self.transforms, self._cut(x), self._cut(y), strict=True)
        return [t.log_abs_det_jacobian(a, b) for t, a, b in pieces]


class CatTransform(_Pieces):
    """A transform for each piece along ``dim``; ``lengths`` are their sizes (1 each by default)."""

    def __init__(
        self,
        tseq: Sequence[Transform],
        dim: int = 0,
        lengths: Sequence[int] | None = None,
        cache_size: int = 0,
    ) -> None:
        self._take(tseq, dim, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)

    @property
    def event_dim(self) -> int:
        return max([t.event_dim for t in self.transforms])

    @dependent_property
    def domain(self) -> Any:
        return constraints.cat([t.domain for t in self.transforms], self.dim, self.lengths)

    @dependent_property
    def codomain(self) -> Any:
        return constraints.cat([t.codomain for t in self.transforms], self.dim, self.lengths)

    def _cut(self, x: Tensor) -> Sequence[Tensor]:
        return x.split(self.lengths, self.dim)

    def _joined(self, pieces: Sequence[Tensor]) -> Tensor:
        return cat(pieces, self.dim)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        n = self.event_dim
        found = zip(self.transforms, self._log_dets(x, y), strict=True)
        each = [summed(v, n - t.event_dim) for t, v in found]
        dim = (self.dim - x.ndim if self.dim >= 0 else self.dim) + n
        return cat(each, dim) if dim < 0 else sum(each[1:], each[0])


class StackTransform(_Pieces):
    """A transform for each place of ``dim``."""

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        self._take(tseq, dim, cache_size)

    @dependent_property
    def domain(self) -> Any:
        return constraints.stack([t.domain for t in self.transforms], self.dim)

    @dependent_property
    def codomain(self) -> Any:
        return constraints.stack([t.codomain for t in self.transforms], self.dim)

    def _cut(self, x: Tensor) -> Sequence[Tensor]:
        return x.unbind(self.dim)

    def _joined(self, pieces: Sequence[Tensor]) -> Tensor:
        return stack(pieces, self.dim)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return stack(self._log_dets(x, y), self.dim)


class ReshapeTransform(Transform):
    """Events of shape ``in_shape`` as events of shape ``out_shape``."""

    bijective = True

    def __init__(self, in_shape: Shape, out_shape: Shape, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.in_shape, self.out_shape = tuple(in_shape), tuple(out_shape)
        if math.prod(in_shape) != math.prod(out_shape):
            raise ShapeError(
                f"ReshapeTransform: {list(in_shape)} and {list(out_shape)} differ in their number "
                "of elements"
            )

    def _key(self) -> tuple[Any, ...]:
        return self.in_shape, self.out_shape

    @dependent_property
    def domain(self) -> Any:
        return constraints.independent(constraints.real, len(self.in_shape))

    @dependent_property
    def codomain(self) -> Any:
        return constraints.independent(constraints.real, len(self.out_shape))

    def _call(self, x: Tensor) -> Tensor:
        return x.reshape(self.forward_shape(x.shape))

    def _inverse(self, y: Tensor) -> Tensor:
        return y.reshape(self.inverse_shape(y.shape))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x.new_zeros(x.shape[: x.ndim - len(self.in_shape)])

    def forward_shape(self, shape: Shape) -> Shape:
        return _replaced(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Shape) -> Shape:
        return _replaced(shape, self.out_shape, self.in_shape)


def _replaced(shape: Shape, old: tuple[int, ...], new: tuple[int, ...]) -> Shape:
    cut = len(shape) - len(old)
    if cut < 0 or tuple(shape[cut:]) != old:
        raise ShapeError(f"ReshapeTransform: {list(shape)} does not end in {list(old)}")
    return (*shape[:cut], *new)
