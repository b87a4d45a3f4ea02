"""Maximum pools that give the indices in any case: PyTorch has them under names of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

from . import adaptive, pooling


def _with_indices(pool: Callable[..., Any]) -> Callable[..., Any]:
    parameters = signature(pool)

    @wraps(pool)
    def pooled(*args: Any, **kwargs: Any) -> Any:
        given = parameters.bind(*args, **kwargs)
        given.arguments["return_indices"] = True
        return pool(*given.args, **given.kwargs)

    pooled.__name__ = pooled.__qualname__ = f"{pool.__name__}_with_indices"
    pooled.__doc__ = f":func:`{pool.__name__}` with ``return_indices=True``."
    return pooled


max_pool1d_with_indices = _with_indices(pooling.max_pool1d)
max_pool2d_with_indices = _with_indices(pooling.max_pool2d)
max_pool3d_with_indices = _with_indices(pooling.max_pool3d)
adaptive_max_pool1d_with_indices = _with_indices(adaptive.adaptive_max_pool1d)
adaptive_max_pool2d_with_indices = _with_indices(adaptive.adaptive_max_pool2d)
adaptive_max_pool3d_with_indices = _with_indices(adaptive.adaptive_max_pool3d)
fractional_max_pool2d_with_indices = _with_indices(adaptive.fractional_max_pool2d)
fractional_max_pool3d_with_indices = _with_indices(adaptive.fractional_max_pool3d)
