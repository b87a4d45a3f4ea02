"""Parameters that are computed from others: ``register_parametrization(layer, "weight", module)``.

The parameter moves into ``layer.parametrizations.weight`` as ``original``, and ``layer.weight``
becomes a property that calls the parametrizations on it. For that the layer gets a class of its
own, ``ParametrizedLinear``, derived from the one it had.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn, TypeVar, cast

from ...autograd.modes import no_grad
from ...errors import OptionError, did_you_mean
from ...tensors.core import TensorCore
from ...tensors.tensor import Tensor
from ..containers import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter
from ..place import structure_changed

_M = TypeVar("_M", bound=Module)

#: Within ``cached()``: what each list of parametrizations gave.
_cache: ContextVar[dict[ParametrizationList, Tensor] | None] = ContextVar("_cache", default=None)


@contextmanager
def cached() -> Iterator[None]:
    """Within it, each parametrized tensor is computed once, at its first use.

    For weights that are used several times in one forward pass, as those of recurrent layers are.
    """
    if _cache.get() is not None:
        yield
        return
    token = _cache.set({})
    try:
        yield
    finally:
        _cache.reset(token)


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, in the order in which they are applied.

    Made by :func:`register_parametrization`. Its parameter (or buffer) is ``original``; or
    ``original0``, ``original1``, ... where the first parametrization is a function of several.

    Args:
        modules: the parametrizations.
        original: the tensor as it was.
        unsafe: do not check that shape and dtype stay.

    Raises:
        OptionError: without modules, or if what they give does not fit the original.
    """

    original: Tensor
    unsafe: bool

    def __init__(
        self, modules: Sequence[Module], original: Tensor | Parameter, unsafe: bool = False
    ) -> None:
        if len(modules) == 0:
            raise OptionError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        new = original
        with no_grad():
            for module in reversed(list(self)):
                new = _inverse_or_same(module, new)
        self.is_tensor = isinstance(new, TensorCore)
        values = [new] if self.is_tensor else _sequence(new)
        self.ntensors = len(values)
        if self.is_tensor:
            _check_same("right_inverse", new, original, shape=False)
            kept = original.detach().clone()
            _register(self, "original", original)
            original.data = new
        else:
            for k, value in enumerate(values):
                _register(self, f"original{k}", _like(original, value))
        if not unsafe:
            try:
                _check_same("a parametrization", self(), kept if self.is_tensor else original)
            except Exception:
                if self.is_tensor:
                    original.data = kept
                raise

    def right_inverse(self, value: Tensor) -> None:
        """Changes the originals such that the parametrized tensor becomes ``value``.

        Raises:
            RuntimeError: if a parametrization has no ``right_inverse``.
            OptionError: if what they give does not fit the originals.
        """
        new: Any = value
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement "
                        "right_inverse, so the tensor cannot be assigned to: define "
                        f"{type(module).__name__}.right_inverse(self, value)"
                    )
                new = cast("Any", module).right_inverse(new)
        values = [new] if self.is_tensor else _sequence(new)
        originals = self._originals()
        if len(values) != len(originals):
            raise OptionError(
                "'right_inverse' must return a sequence of tensors of length "
                f"{len(originals)}. Got a sequence of length {len(values)}."
            )
        for original, each in zip(originals, values, strict=True):
            _check_same("right_inverse", each, original, shape=False)
        for original, each in zip(originals, values, strict=True):
            original.data = each
        computed = _cache.get()
        if computed is not None:
            computed.pop(self, None)

    def _originals(self) -> list[Tensor]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{k}") for k in range(self.ntensors)]

    def forward(self) -> Tensor:
        """The tensor that the module has under the parametrized name."""
        first, *rest = self
        x = first(*self._originals())
        for module in rest:
            x = module(x)
        return x  # type: ignore[no-any-return]


def _inverse_or_same(module: Module, value: Any) -> Any:
    if not hasattr(module, "right_inverse"):
        return value
    try:
        return cast("Any", module).right_inverse(value)
    except NotImplementedError:
        return value


def _sequence(values: Any) -> list[Any]:
    if isinstance(values, Sequence) and all(isinstance(v, TensorCore) for v in values):
        return list(values)
    kinds = [type(v).__name__ for v in values] if isinstance(values, Sequence) else ""
    raise OptionError(
        "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
        f"{type(values).__name__}{f' of {kinds}' if kinds else ''}."
    )


def _check_same(who: str, new: Any, old: Tensor, *, shape: bool = True) -> None:
    if not isinstance(new, TensorCore):
        raise OptionError(f"{who} must return a tensor. Got {type(new).__name__}.")
    new = cast("Tensor", new)
    for what, a, b in (("dtype", old.dtype, new.dtype), ("shape", old.shape, new.shape)):
        if a != b and (shape or what == "dtype"):
            raise OptionError(
                f"{who} may not change the {what} of the tensor, which is {a}, but gave {b}. "
                "Pass unsafe=True to register_parametrization() if it is meant to"
            )


def _like(original: Tensor, value: Tensor) -> Tensor:
    """``value`` as the kind of tensor that ``original`` is."""
    if isinstance(original, Parameter):
        return Parameter(value, original.requires_grad)
    return value.requires_grad_(original.requires_grad)


def _register(module: Module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


# ---- the class of a module that has parametrizations


def _no_pickle(self: Module) -> NoReturn:
    raise RuntimeError(
        "Serialization of parametrized modules is only supported through state_dict(): "
        f"{type(self).__name__} is a class made for one module, which a pickle cannot name. Save "
        "model.state_dict()"
    )


def _deepcopy(self: Module, memo: dict[int, Any]) -> Module:
    replica = type(self).__new__(type(self))
    memo[id(self)] = replica
    state = type_before_parametrizations(self).__getstate__(self)
    replica.__dict__.update(copy.deepcopy(state, memo))
    structure_changed()
    return replica


def _class_for(base: type[Module], names: Iterable[str]) -> type[Module]:
    """A subclass of ``base`` in which ``names`` are computed. Never changed: copies share it."""
    members: dict[str, Any] = {name: _computed(name) for name in names}
    members["__getstate__"] = _no_pickle
    if not hasattr(base, "__deepcopy__"):
        members["__deepcopy__"] = _deepcopy
    return type(f"Parametrized{base.__name__}", (base,), members)


def _become(module: Module, cls: type[Module]) -> None:
    module.__class__ = cls


def _computed(name: str) -> property:
    def get(self: Any) -> Tensor:
        parametrizations = self.parametrizations[name]
        computed = _cache.get()
        if computed is None:
            return parametrizations()  # type: ignore[no-any-return]
        if parametrizations not in computed:
            computed[parametrizations] = parametrizations()
        return computed[parametrizations]

    def set_(self: Any, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(get, set_)


# ---- the functions


def register_parametrization(
    module: _M, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> _M:
    """Makes a parameter or buffer the result of a module, after what is registered for it already.

    The value stays what it was if the parametrization has a ``right_inverse(value)`` that undoes
    its ``forward``. It may return several tensors: ``forward`` is then given as many.

    Args:
        tensor_name: of the parameter or buffer.
        parametrization: ``forward`` takes the original and gives the tensor.
        unsafe: the parametrization may change shape and dtype.

    Returns:
        The module, whose class is now derived from the one it had.

    Raises:
        OptionError: if there is no such tensor, or the parametrization gives something else than a
            tensor of its shape and dtype. The module is then as it was.

    Example:
        >>> class Symmetric(nn.Module):
        ...     def forward(self, x):
        ...         return x.triu() + x.triu(1).T
        ...
        ...     def right_inverse(self, x):
        ...         return x.triu()
        >>> layer = nn.utils.parametrize.register_parametrization(
        ...     nn.Linear(3, 3), "weight", Symmetric()
        ... )
        >>> bool((layer.weight == layer.weight.T).all())
        True
    """
    parametrization.train(module.training)
    every: Any
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _check_on_top(getattr(module, tensor_name), parametrization)
        every = module.parametrizations
        every[tensor_name].append(parametrization)
        every[tensor_name].unsafe |= unsafe
        return module
    if tensor_name not in module._parameters and tensor_name not in module._buffers:
        names = [*module._parameters, *module._buffers]
        raise OptionError(
            f"{type(module).__name__} does not have a parameter, a buffer, or a parametrized "
            f"element with name '{tensor_name}'.{did_you_mean(tensor_name, names)}"
        )
    original: Any = getattr(module, tensor_name)
    found = ParametrizationList([parametrization], original, unsafe)
    base = type_before_parametrizations(module)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        module.parametrizations = ModuleDict()
    every = module.parametrizations
    every[tensor_name] = found
    _become(module, _class_for(base, every))
    return module


def tensor_of(module: Module, name: str) -> Tensor:
    """The parameter or buffer (or what is computed in its place) of that name."""
    weight = getattr(module, name, None)
    if isinstance(weight, TensorCore):
        return weight  # type: ignore[return-value]
    names = [*module._parameters, *module._buffers]
    raise OptionError(
        f"{type(module).__name__} has no parameter or buffer with name '{name}'."
        f"{did_you_mean(name, names)}"
    )


def _check_on_top(before: Tensor, parametrization: Any) -> None:
    after = parametrization(before)
    _check_same("a parametrization", after, before)
    if hasattr(parametrization, "right_inverse"):
        _check_same("right_inverse", _inverse_or_same(parametrization, after), before)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Has the module parametrizations; or one of the tensor ``tensor_name``?"""
    every = module._modules.get("parametrizations")
    if not isinstance(every, ModuleDict):
        return False
    return len(every) > 0 if tensor_name is None else tensor_name in every


def remove_parametrizations(module: _M, tensor_name: str, leave_parametrized: bool = True) -> _M:
    """Makes a parametrized tensor an ordinary one again.

    Args:
        leave_parametrized: with the value that it has now; False: with the original one.

    Raises:
        OptionError: if it is not parametrized; or, with ``leave_parametrized=False``, is computed
            from several originals.
    """
    if not is_parametrized(module, tensor_name):
        raise OptionError(
            f"{type(module).__name__} does not have a parametrization on '{tensor_name}'"
        )
    every: Any = module.parametrizations
    found = every[tensor_name]
    if found.is_tensor:
        tensor = found.original
        if leave_parametrized:
            with no_grad():
                value = getattr(module, tensor_name)
            tensor.data = value
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        tensor = Parameter(value) if value.requires_grad else value
    else:
        raise OptionError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            f"parametrized in terms of a sequence of tensors: '{tensor_name}' of "
            f"{type(module).__name__} has {found.ntensors}"
        )
    base = type_before_parametrizations(module)
    del every[tensor_name]
    if len(every):
        _become(module, _class_for(base, every))
    else:
        del module.parametrizations
        _become(module, base)
    _register(module, tensor_name, tensor)
    return module


def type_before_parametrizations(module: Module) -> type[Module]:
    """The class that a module had before it was parametrized."""
    kind = type(module)
    return kind.__bases__[0] if is_parametrized(module) else kind


def transfer_parametrizations_and_params(
    from_module: Module, to_module: _M, tensor_name: str | None = None
) -> _M:
    """Registers the parametrizations of one module, and their originals, with another as well.

    Args:
        tensor_name: of this tensor only. Tensors that ``to_module`` does not have are made.
    """
    if not is_parametrized(from_module):
        return to_module
    every: Any = from_module.parametrizations
    for name in list(every) if tensor_name is None else [tensor_name]:
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name)))
        for parametrization in every[name]:
            register_parametrization(to_module, name, parametrization)
        target: Any = to_module.parametrizations
        for key, original in every[name]._parameters.items():
            setattr(target[name], key, original)
        for key, original in every[name]._buffers.items():
            setattr(target[name], key, original)
    return to_module


__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'weft.nn.utils.parametrize' has no attribute '{name}'."
        f"{did_you_mean(name, __all__)}"
    )
