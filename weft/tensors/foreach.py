"""Functions of lists of tensors, as PyTorch's optimisers call them: ``weft._foreach_neg(list)``.

What is recorded is joined in kernels anyway: each is the method of Tensor, once for each tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ShapeError
from .core import is_number
from .elementwise import pow as power
from .tensor import Tensor

#: Methods that go by another name, or take another order of arguments, in lists.
_OTHERS: dict[str, Callable[..., Any]] = {
    "norm": lambda x, p=2: x.norm(p),
    "addcmul": lambda x, a, b, value=1: x.addcmul(a, b, value=value),
    "addcdiv": lambda x, a, b, value=1: x.addcdiv(a, b, value=value),
    "addcmul_": lambda x, a, b, value=1: x.addcmul_(a, b, value=value),
    "addcdiv_": lambda x, a, b, value=1: x.addcdiv_(a, b, value=value),
    "minimum": lambda x, other: x.clamp(max=other),
    "maximum": lambda x, other: x.clamp(min=other),
    "minimum_": lambda x, other: x.clamp_(max=other),
    "maximum_": lambda x, other: x.clamp_(min=other),
}


def foreach(name: str) -> Callable[..., Any] | None:
    """A method of Tensor as a function of a list of tensors; None if there is no such method.

    Each further argument is a list with an element for each tensor, or one for all of them. The
    function gives a list; nothing if the name ends in ``_``, for a change in place.
    """
    method = _OTHERS.get(name, getattr(Tensor, name, None))
    if method is None or name.startswith("_"):
        return None

    def function(self: Any, *args: Any, scalars: Any = None, **options: Any) -> Any:
        if is_number(self):  # (the one such function is _foreach_pow)
            return [power(self, x) for x in args[0]]
        if scalars is not None:
            args = (*args, scalars.tolist() if isinstance(scalars, Tensor) else scalars)
        given = [_spread(name, a, len(self)) for a in args]
        out = [method(x, *rest, **options) for x, *rest in zip(self, *given, strict=True)]
        return None if name.endswith("_") else out

    function.__name__ = function.__qualname__ = f"_foreach_{name}"
    return function


def _spread(name: str, value: Any, count: int) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ShapeError(
            f"_foreach_{name}: {count} tensors, but a list of {len(value)} beside them"
        )
    return value
