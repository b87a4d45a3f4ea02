"""Pruning: elements of a weight held at zero by a mask.

The weight ``name`` becomes the product of a parameter ``name_orig`` and a buffer ``name_mask``,
taken before each forward. Pruning again narrows the mask.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from numbers import Integral, Real
from typing import Any, TypeVar, cast

from ...errors import OptionError, ShapeError, did_you_mean
from ...graph.device import ANYWHERE
from ...tensors.creation import ones_like, zeros_like
from ...tensors.random import rand, rand_like
from ...tensors.tensor import Tensor
from ..module import Module
from .convert_parameters import parameters_to_vector

_M = TypeVar("_M", bound=Module)


class BasePruningMethod(ABC):
    """A way to choose what is pruned; and the forward pre-hook that applies the mask.

    A subclass defines ``compute_mask`` and ``PRUNING_TYPE``: what it chooses from where something
    is pruned already. ``"unstructured"``: the elements that are left; ``"structured"``: the
    channels along ``self.dim`` that are not all pruned; ``"global"``: everything.
    """

    _tensor_name: str
    PRUNING_TYPE: str

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask for a tensor of importances ``t``: ``default_mask`` with more zeros."""

    def apply_mask(self, module: Module) -> Tensor:
        """The weight with its mask."""
        mask: Any = getattr(module, f"{self._tensor_name}_mask")
        original: Any = getattr(module, f"{self._tensor_name}_orig")
        return mask.to(original.dtype) * original  # type: ignore[no-any-return]

    @classmethod
    def apply(
        cls,
        module: Module,
        name: str,
        *args: Any,
        importance_scores: Tensor | None = None,
        **kwargs: Any,
    ) -> BasePruningMethod:
        """Prunes ``module``'s parameter ``name``, further if it is pruned.

        Args:
            args, kwargs: of the method.
            importance_scores: what is chosen by, in place of the values.

        Raises:
            ShapeError: if the scores have another shape than the parameter.
        """
        new = cls(*args, **kwargs)
        new._tensor_name = name
        found = _find(module, name)
        weight: Any = getattr(module, name)
        scores = weight if importance_scores is None else importance_scores
        _check_scores(scores, weight, name)
        if found is None:
            method: BasePruningMethod = new
            mask = method.compute_mask(scores.detach(), ones_like(weight))
            original = module._parameters.pop(name)
            module.register_parameter(f"{name}_orig", original)
        else:
            key, old = found
            container = old if isinstance(old, PruningContainer) else PruningContainer(old)
            method = container.followed_by(new)
            mask = method.compute_mask(
                scores.detach(), getattr(module, f"{name}_mask").detach().clone()
            )
            del module._forward_pre_hooks[key]
        module.register_buffer(f"{name}_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(
        self,
        t: Tensor,
        default_mask: Tensor | None = None,
        importance_scores: Tensor | None = None,
    ) -> Tensor:
        """``t`` with a mask, without a module."""
        scores = t if importance_scores is None else importance_scores
        _check_scores(scores, t, "t")
        mask = ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, default_mask=mask)

    def remove(self, module: Module) -> None:
        """Makes the weight a parameter again, with zeros where it is pruned."""
        name = self._tensor_name
        weight = self.apply_mask(module)
        delattr(module, name)
        original: Any = module._parameters.pop(f"{name}_orig")
        original.data = weight.detach()
        del module._buffers[f"{name}_mask"]
        setattr(module, name, original)


def _find(module: Module, name: str) -> tuple[int, BasePruningMethod] | None:
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            return key, hook
    return None


def _check_scores(scores: Tensor, weight: Tensor, name: str) -> None:
    if scores.shape != weight.shape:
        raise ShapeError(
            f"importance_scores should have the shape of '{name}', {list(weight.shape)}, not "
            f"{list(scores.shape)}"
        )


class PruningContainer(BasePruningMethod):
    """Several methods, applied one after the other. The mask is computed by the last one."""

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        if len(args) == 1:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod | None) -> None:
        """Adds a method for the same tensor.

        Raises:
            TypeError: unless it is a pruning method.
            OptionError: if it is for another tensor.
        """
        if method is None:
            return
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if self._tensor_name != method._tensor_name:
            raise OptionError(
                "Can only add pruning methods acting on the parameter named "
                f"'{self._tensor_name}' to this PruningContainer. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def followed_by(self, method: BasePruningMethod) -> PruningContainer:
        """A container with one method more."""
        out = PruningContainer()
        out._tensor_name = self._tensor_name
        for each in (*self, method):
            out.add_pruning_method(each)
        return out

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: int) -> BasePruningMethod:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """``default_mask`` narrowed by the last method, which chooses from what is left."""
        method = self._pruning_methods[-1]
        mask = default_mask.to(t.dtype)
        left = _left(method, mask)
        part = method.compute_mask(t[left], default_mask=mask[left])
        mask = mask.clone()
        mask[left] = part.to(mask.dtype)
        return mask


def _left(method: Any, mask: Tensor) -> Any:
    """The index of what a method may choose from."""
    kind = method.PRUNING_TYPE
    if kind == "unstructured":
        return mask == 1
    whole = [slice(None)] * mask.ndim
    if kind == "global":
        return tuple(whole)
    if kind != "structured":
        raise OptionError(f"Unrecognized PRUNING_TYPE {kind}")
    if not hasattr(method, "dim"):
        raise AttributeError(
            'Pruning methods of PRUNING_TYPE "structured" need to have the attribute `dim` defined.'
        )
    dim = _checked_dim(mask, method.dim)
    index: list[Any] = list(whole)
    index[dim] = mask.sum(dim=[d for d in range(mask.ndim) if d != dim]) != 0
    return tuple(index)


# ---- ways to choose


class Identity(BasePruningMethod):
    """Prunes nothing: for the mask, and for what is pruned later."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """``default_mask`` itself."""
        return default_mask


class _Amount(BasePruningMethod):
    """A method that prunes a number of units, or a fraction of them."""

    def __init__(self, amount: Any) -> None:
        if not isinstance(amount, Real):
            raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
        self.amount = cast("float", amount)
        self.is_count = isinstance(amount, Integral)
        if self.amount < 0 or (not self.is_count and self.amount > 1):
            raise OptionError(
                f"amount={amount} should either be a float in the range [0, 1] or a non-negative "
                "integer"
            )

    def _count(self, size: int) -> int:
        if not self.is_count:
            return round(float(self.amount) * size)
        if self.amount > size:
            raise OptionError(
                f"amount={self.amount} should be smaller than the number of parameters to "
                f"prune={size}"
            )
        return int(self.amount)


class _Unstructured(_Amount):
    """Prunes the elements with the least scores."""

    PRUNING_TYPE = "unstructured"

    def _scores(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """``default_mask`` with zeros for the elements chosen."""
        count = self._count(t.numel())
        if count == 0:
            return default_mask.clone()
        least = self._scores(t).reshape(-1).topk(count, largest=False).indices
        return default_mask.reshape(-1).index_fill(0, least, 0).reshape(default_mask.shape)


class RandomUnstructured(_Unstructured):
    """Prunes elements at random.

    Args:
        amount: how many, or which fraction as a float.
    """

    def _scores(self, t: Tensor) -> Tensor:
        return rand_like(t)


class L1Unstructured(_Unstructured):
    """Prunes the elements nearest to zero.

    Args:
        amount: how many, or which fraction as a float.
    """

    def _scores(self, t: Tensor) -> Tensor:
        return t.abs()


class _Structured(_Amount):
    """Prunes the channels with the least scores."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _scores(self, t: Tensor, dim: int) -> Tensor:
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """``default_mask`` with zeros for the channels chosen.

        Raises:
            OptionError: for a tensor of less than two dimensions.
            IndexError: if it has no dimension ``dim``.
        """
        if t.ndim <= 1:
            raise OptionError(
                "Structured pruning can only be applied to multidimensional tensors. Found tensor "
                f"of shape {list(t.shape)} with {t.ndim} dims"
            )
        dim = _checked_dim(t, self.dim)
        size = t.shape[dim]
        count = self._count(size)
        if count == 0:
            return default_mask
        kept = self._scores(t, dim).topk(size - count, largest=True).indices
        mask = zeros_like(t).index_fill(dim, kept, 1)
        return mask * default_mask.to(mask.dtype)


def _checked_dim(t: Tensor, dim: int) -> int:
    if not -t.ndim <= dim < t.ndim:
        raise IndexError(f"Invalid index {dim} for tensor of size {list(t.shape)}")
    return dim % t.ndim


class RandomStructured(_Structured):
    """Prunes channels at random.

    Args:
        amount: how many, or which fraction as a float.
        dim: the dimension that counts channels.
    """

    def _scores(self, t: Tensor, dim: int) -> Tensor:
        return rand(t.shape[dim], device=ANYWHERE)


class LnStructured(_Structured):
    """Prunes the channels with the least norm.

    Args:
        amount: how many, or which fraction as a float.
        n: which norm, as in :func:`weft.norm`.
        dim: the dimension that counts channels.
    """

    def __init__(self, amount: float, n: float | str, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _scores(self, t: Tensor, dim: int) -> Tensor:
        return t.norm(p=self.n, dim=[d for d in range(t.ndim) if d != dim])


class CustomFromMask(BasePruningMethod):
    """Prunes what a given mask says.

    Args:
        mask: zeros where to prune, else ones.
    """

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """``default_mask`` and the given one.

        Raises:
            ShapeError: unless their shapes agree.
        """
        if default_mask.shape != self.mask.shape:
            raise ShapeError(
                f"a mask of shape {list(self.mask.shape)} does not fit what is pruned, of shape "
                f"{list(default_mask.shape)}"
            )
        return default_mask * self.mask.to(default_mask.dtype)


# ---- functions


def identity(module: _M, name: str) -> _M:
    """Gives a parameter a mask that prunes nothing."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: _M, name: str, amount: float) -> _M:
    """Prunes elements of a parameter at random; see :class:`RandomUnstructured`."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: _M, name: str, amount: float, importance_scores: Tensor | None = None
) -> _M:
    """Prunes the elements of a parameter nearest to zero; see :class:`L1Unstructured`.

    Example:
        >>> layer = nn.utils.prune.l1_unstructured(nn.Linear(4, 2), "weight", amount=0.25)
        >>> int((layer.weight == 0).sum())
        2
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: _M, name: str, amount: float, dim: int) -> _M:
    """Prunes channels of a parameter at random; see :class:`RandomStructured`."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: _M,
    name: str,
    amount: float,
    n: float | str,
    dim: int,
    importance_scores: Tensor | None = None,
) -> _M:
    """Prunes the channels of a parameter with the least norm; see :class:`LnStructured`."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: _M, name: str, mask: Tensor) -> _M:
    """Prunes a parameter by a given mask; see :class:`CustomFromMask`."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: Mapping[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prunes elements of several parameters, chosen among all of them.

    Args:
        parameters: pairs of module and name.
        pruning_method: of the type "unstructured".
        importance_scores: for some of the pairs, what is chosen by in place of the values.
        kwargs: of the method.

    Raises:
        TypeError: for a method of another type.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, Mapping):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method '
            f"{pruning_method} of type {method.PRUNING_TYPE}"
        )
    pairs = list(parameters)
    weights: list[Any] = [getattr(module, name) for module, name in pairs]
    flat = [scores.get(pair, w).detach() for pair, w in zip(pairs, weights, strict=True)]
    masks = [
        getattr(module, f"{name}_mask", ones_like(w.detach()))
        for (module, name), w in zip(pairs, weights, strict=True)
    ]
    method._tensor_name = "all"
    chosen = PruningContainer(method).compute_mask(
        parameters_to_vector(flat), parameters_to_vector(masks)
    )
    parts = chosen.split([w.numel() for w in weights])
    for (module, name), weight, part in zip(pairs, weights, parts, strict=True):
        custom_from_mask(module, name, part.reshape(weight.shape))


def remove(module: _M, name: str) -> _M:
    """Makes pruning final: the weight is a parameter again, with zeros where it was pruned.

    Raises:
        OptionError: if it is not pruned.
    """
    found = _find(module, name)
    if found is None:
        raise OptionError(
            f"Parameter '{name}' of module {type(module).__name__} has to be pruned before pruning "
            "can be removed"
        )
    key, method = found
    method.remove(module)
    del module._forward_pre_hooks[key]
    return module


def is_pruned(module: Module) -> bool:
    """Is anything pruned, in the module or below it?"""
    return any(
        isinstance(hook, BasePruningMethod)
        for each in module.modules()
        for hook in each._forward_pre_hooks.values()
    )


__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.nn.utils.prune' has no attribute '{name}'.{did_you_mean(name, __all__)}"
    )
