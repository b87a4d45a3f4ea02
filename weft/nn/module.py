"""class Module: a tree of layers with their parameters, and the path of a call through it."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from inspect import signature
from typing import (
    TYPE_CHECKING,
    Any,
    NoReturn,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    overload,
)

from ..errors import UnsupportedOp
from ..graph.modes import module_path
from ..tensors.core import TensorCore
from ..tensors.tensor import Tensor
from . import conversion, hooks, place as places
from .call import call_with_hooks
from .hooks import Hook, every_call, every_module, registered
from .mistakes import (
    PLAIN,
    NoAttribute,
    check_name,
    missing_forward,
    no_such_member,
    not_assignable,
    not_registrable,
    warn_of_unregistered,
    wrong_member,
)
from .parameter import Buffer, Parameter
from .place import NOWHERE, Place, blame, locate, structure_changed
from .state import EXTRA, IncompatibleKeys, load, load_own

_running = module_path.get
_enter = module_path.set
_leave = module_path.reset

# Parts of an instance's dict that copies and pickles begin anew.
_NOT_COPIED = ("_place", "_plain", "_compiled_call_impl")

_P = ParamSpec("_P")
_R_co = TypeVar("_R_co", covariant=True)


class _HasForward(Protocol[_P, _R_co]):
    @property
    def forward(self) -> Callable[_P, _R_co]: ...


class _CallLikeForward:
    """The type of ``Module.__call__``: what the class's ``forward`` takes and returns."""

    @overload
    def __get__(self, instance: None, owner: Any) -> Callable[..., Any]: ...
    @overload
    def __get__(self, instance: _HasForward[_P, _R_co], owner: Any) -> Callable[_P, _R_co]: ...
    def __get__(self, instance: Any, owner: Any) -> Any: ...


def _new_state(state: dict[str, Any]) -> None:
    state["training"] = True
    state["_parameters"] = {}
    state["_buffers"] = {}
    state["_non_persistent_buffers_set"] = set()
    state["_backward_pre_hooks"] = OrderedDict()
    state["_backward_hooks"] = OrderedDict()
    state["_is_full_backward_hook"] = None
    state["_forward_hooks"] = OrderedDict()
    state["_forward_hooks_with_kwargs"] = OrderedDict()
    state["_forward_hooks_always_called"] = OrderedDict()
    state["_forward_pre_hooks"] = OrderedDict()
    state["_forward_pre_hooks_with_kwargs"] = OrderedDict()
    state["_state_dict_hooks"] = OrderedDict()
    state["_state_dict_pre_hooks"] = OrderedDict()
    state["_load_state_dict_pre_hooks"] = OrderedDict()
    state["_load_state_dict_post_hooks"] = OrderedDict()
    state["_modules"] = {}
    state["_place"] = NOWHERE
    state["_plain"] = set()  # attributes that are empty lists and the like


class Module:
    """Base of all layers and models.

    Subclasses assign layers and parameters to attributes, which registers them, and define
    ``forward``. Calling ``super().__init__()`` first is customary but not needed.

    Attributes:
        training: True after :meth:`train`, False after :meth:`eval`.

    Example:
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         self.fc = nn.Linear(2, 1)
        ...
        ...     def forward(self, x):
        ...         return self.fc(x).relu()
        >>> Net()(weft.zeros(3, 2)).shape
        weft.Size([3, 1])
    """

    dump_patches: bool = False
    call_super_init: bool = False
    _version: int = 1
    _compiled_call_impl: Callable[..., Any] | None = None
    T_destination = TypeVar("T_destination", bound=dict[str, Any])

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _non_persistent_buffers_set: set[str]
    _backward_pre_hooks: OrderedDict[int, Hook]
    _backward_hooks: OrderedDict[int, Hook]
    _is_full_backward_hook: bool | None
    _forward_hooks: OrderedDict[int, Hook]
    _forward_hooks_with_kwargs: OrderedDict[int, bool]
    _forward_hooks_always_called: OrderedDict[int, bool]
    _forward_pre_hooks: OrderedDict[int, Hook]
    _forward_pre_hooks_with_kwargs: OrderedDict[int, bool]
    _state_dict_hooks: OrderedDict[int, Hook]
    _state_dict_pre_hooks: OrderedDict[int, Hook]
    _load_state_dict_pre_hooks: OrderedDict[int, Hook]
    _load_state_dict_post_hooks: OrderedDict[int, Hook]
    _modules: dict[str, Module | None]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: ARG004 (for __init__)
        self = object.__new__(cls)
        _new_state(self.__dict__)
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        mro = type(self).__mro__
        after = mro[mro.index(Module) + 1 :]
        following: Any = next(c for c in after if "__init__" in c.__dict__)
        if following is object:
            self._take_no_arguments(args, kwargs)
        elif args or kwargs or self.call_super_init or _accepts_nothing(following):
            super().__init__(*args, **kwargs)

    def _take_no_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        name = f"{type(self).__name__}.__init__()"
        if kwargs:
            raise TypeError(f"{name} got an unexpected keyword argument '{next(iter(kwargs))}'")
        if args:
            raise TypeError(f"{name} takes 1 positional argument but {len(args) + 1} were given")

    # ---- the call

    forward: Callable[..., Any] = missing_forward

    if TYPE_CHECKING:
        __call__: _CallLikeForward
    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            state = self.__dict__
            place = state["_place"]
            outer = _running()
            if place.outer is not outer or place.structure != places.structure:
                place = self._locate(outer)
            token = _enter(place)
            try:
                if (
                    state["_forward_hooks"]
                    or state["_forward_pre_hooks"]
                    or state["_backward_hooks"]
                    or state["_backward_pre_hooks"]
                    or every_call
                ):
                    return call_with_hooks(self, args, kwargs)
                return self.forward(*args, **kwargs)
            except Exception as error:
                blame(error, self, args, kwargs)
                raise
            finally:
                _leave(token)

        _call_impl = _wrapped_call_impl = __call__

        def _slow_forward(self, *args: Any, **kwargs: Any) -> Any:
            return self.forward(*args, **kwargs)

    def _locate(self, outer: str) -> Place:
        self._check_plain_attributes()
        return locate(self, outer)

    def compile(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not needed: what repeats is compiled by itself.

        Raises:
            UnsupportedOp: always, saying so.
        """
        raise UnsupportedOp(
            f"{type(self).__name__}.compile(): remove the call. weft records the work of whole "
            "steps and keeps a program for each that repeats; there is nothing to switch on"
        )

    # ---- attributes

    def __getattr__(self, name: str) -> Tensor | Module:
        state = self.__dict__
        members = state["_parameters"]
        if name in members:
            return members[name]  # type: ignore[no-any-return]
        members = state["_modules"]
        if name in members:
            return members[name]  # type: ignore[no-any-return]
        members = state["_buffers"]
        if name in members:
            return members[name]  # type: ignore[no-any-return]
        return self._missing(name)  # type: ignore[no-any-return]

    def _missing(self, name: str) -> Any:
        """For a name that is not there, or whose property raised an AttributeError of its own."""
        for cls in type(self).__mro__:
            found = cls.__dict__.get(name)
            if found is not None and hasattr(type(found), "__get__"):
                return found.__get__(self, type(self))  # raises again, so that the cause shows
        raise NoAttribute(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        if isinstance(value, Parameter):
            self._make_room(name, "_parameters")
            self.register_parameter(name, value)
        elif name in state["_parameters"]:
            if value is not None:
                raise not_assignable(self, "parameter", name, value)
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._make_room(name, "_modules")
            self._put_module(name, value)
        elif name in state["_modules"]:
            if value is not None:
                raise not_assignable(self, "module", name, value)
            self._put_module(name, value)
        elif isinstance(value, Buffer) or name in state["_buffers"]:
            self._assign_buffer(name, value)
        else:
            object.__setattr__(self, name, value)
            if isinstance(value, PLAIN):
                if value:
                    warn_of_unregistered(self, name, value)
                elif name != "_plain":
                    state["_plain"].add(name)  # it may be filled later
                if name == "_modules":
                    structure_changed()

    def _make_room(self, name: str, kind: str) -> None:
        state = self.__dict__
        state.pop(name, None)
        for members in ("_parameters", "_buffers", "_modules"):
            if members != kind:
                state[members].pop(name, None)
        state["_non_persistent_buffers_set"].discard(name)

    def _put_module(self, name: str, module: Module | None) -> None:
        self._modules[name] = registered(every_module.module_registration, self, name, module)
        structure_changed()

    def _assign_buffer(self, name: str, value: Any) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise not_assignable(self, "buffer", name, value)
        if isinstance(value, Buffer):
            if name not in self._buffers:
                self._make_room(name, "_buffers")
            persistent = value.persistent
        else:
            persistent = name not in self._non_persistent_buffers_set
        if _takes_persistent(type(self).register_buffer):
            self.register_buffer(name, value, persistent)
        elif persistent:
            self.register_buffer(name, value)
        else:
            raise RuntimeError(
                f"{type(self).__name__}.register_buffer() has no argument persistent, so buffer "
                f"'{name}' cannot be non-persistent: add it"
            )

    def __delattr__(self, name: str) -> None:
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
            structure_changed()
        else:
            object.__delattr__(self, name)
            self._plain.discard(name)

    _plain: set[str]

    def _check_plain_attributes(self) -> None:
        """Warns of layers that were put into a plain list after it had become an attribute."""
        state = self.__dict__
        for name in list(state["_plain"]):
            value = state.get(name)
            if value or not isinstance(value, PLAIN):
                state["_plain"].discard(name)
                warn_of_unregistered(self, name, value or ())

    def __dir__(self) -> list[str]:
        names = {
            *dir(type(self)),
            *self.__dict__,
            *self._parameters,
            *self._modules,
            *self._buffers,
        }
        return sorted(n for n in names if not n[:1].isdigit())

    # ---- registration

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a Tensor that belongs to the module but is not learnt, such as a running mean.

        Args:
            persistent: whether it is part of the ``state_dict``.

        Raises:
            KeyError: for a name that is empty, has a dot, or is taken.
            TypeError: unless ``tensor`` is a Tensor or None.
        """
        check_name(self, "buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, TensorCore):
            raise not_registrable(self, "buffer", name, tensor)
        self._buffers[name] = registered(every_module.buffer_registration, self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter.

        Raises:
            KeyError: for a name that is empty, has a dot, or is taken.
            TypeError: unless ``param`` is a Parameter or None.
            ValueError: for one that is computed from other tensors.
        """
        check_name(self, "parameter", name, self._parameters)
        if param is not None:
            if not isinstance(param, Parameter):
                raise not_registrable(self, "parameter", name, param)
            if param.grad_fn:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}' of "
                    f"{type(self).__name__}: it is the result of {param.grad_fn.name()}. To "
                    f"express '{name}' as a function of another Tensor, compute it in forward()"
                )
            param = registered(every_module.parameter_registration, self, name, param)
        self._parameters[name] = param

    def add_module(self, name: str, module: Module | None) -> None:
        """Adds a module, which becomes the attribute ``name``.

        Raises:
            KeyError: for a name that is empty, has a dot, or is taken.
            TypeError: unless ``module`` is a Module or None.
        """
        if module is not None and not isinstance(module, Module):
            raise not_registrable(self, "module", name, module)
        check_name(self, "module", name, self._modules)
        self._put_module(name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as :meth:`add_module`."""
        self.add_module(name, module)

    # ---- the tree

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path; ``""`` is this one.

        Raises:
            AttributeError: if there is none, naming where the path ends and what is there.
        """
        module: Any = self
        path = ""
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise no_such_member(module, path, name, target, "module")
            found = getattr(module, name)
            if not isinstance(found, Module):
                raise wrong_member(module, name, found, "an nn.Module")
            module = found
            path = f"{path}.{name}" if path else name
        return module  # type: ignore[no-any-return]

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Puts a module at a dotted path, in the place of the one there.

        Args:
            strict: do not add what is not there.

        Raises:
            ValueError: for an empty path, or what is no Module.
            AttributeError: if the path leads nowhere.
        """
        if not target:
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")  # noqa: TRY004
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if hasattr(parent, name):
            found = getattr(parent, name)
            if not isinstance(found, Module):
                raise wrong_member(parent, name, found, "an nn.Module")
        elif strict:
            raise no_such_member(parent, path, name, target, "module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path.

        Raises:
            AttributeError: if there is none.
        """
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if not hasattr(owner, name):
            raise no_such_member(owner, path, name, target, "parameter")
        found = getattr(owner, name)
        if not isinstance(found, Parameter):
            raise wrong_member(owner, name, found, "an nn.Parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path.

        Raises:
            AttributeError: if there is none.
        """
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if not hasattr(owner, name):
            raise no_such_member(owner, path, name, target, "buffer")
        found = getattr(owner, name)
        if name not in owner._buffers:
            raise wrong_member(owner, name, found, "a buffer")
        return found  # type: ignore[no-any-return]

    def children(self) -> Iterator[Module]:
        """The modules right below this one, each once."""
        for _, module in self.named_children():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules right below this one with their names, each once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below it."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_modules(
        self,
        memo: set[Module] | None = None,
        prefix: str = "",
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Module]]:
        """This module (named ``prefix``) and all below it with their paths, depth first.

        Args:
            memo: modules to leave out; gets those that were given.
            remove_duplicate: give a module that is there twice only once.
        """
        if memo is None:
            memo = set()
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, path, remove_duplicate)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Calls ``fn`` with every module below this one, children first, and with this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # ---- parameters and buffers

    def _named_members(
        self,
        get_members_fn: Callable[[Module], Any],
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules: Any = [(prefix, self)]
        if recurse:
            modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        for path, module in modules:
            if module._plain:
                module._check_plain_attributes()
            for name, value in get_members_fn(module):
                if value is None or value in seen:
                    continue
                if remove_duplicate:
                    seen.add(value)
                yield (f"{path}.{name}" if path else name), value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once; with those of the modules below unless not ``recurse``."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their paths, which begin with ``prefix``."""
        yield from self._named_members(
            lambda module: module._parameters.items(), prefix, recurse, remove_duplicate
        )

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once; with those of the modules below unless not ``recurse``."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their paths, which begin with ``prefix``."""
        yield from self._named_members(
            lambda module: module._buffers.items(), prefix, recurse, remove_duplicate
        )

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Whether gradients of the parameters are kept; False freezes the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Resets the gradients of all parameters: to None, or to zeros."""
        for parameter in self.parameters():
            grad = parameter.grad
            if grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                grad.detach_().zero_()

    # ---- mode

    def train(self, mode: bool = True) -> Self:
        """Switches this module and all below it to training, or with False to evaluation.

        Raises:
            ValueError: unless ``mode`` is a bool.
        """
        if not isinstance(mode, bool):
            raise ValueError(  # noqa: TRY004 (PyTorch's)
                f"training mode is expected to be boolean, not {type(mode).__name__}"
            )
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """The same as ``train(False)``."""
        return self.train(False)

    # ---- dtype and device (conversion.py)

    _apply = conversion.apply_to_tensors
    to, to_empty = conversion.to, conversion.to_empty
    cpu, cuda, xpu = conversion.cpu, conversion.cuda, conversion.xpu
    ipu, mtia = conversion.ipu, conversion.mtia
    type, float, double = conversion.to_type, conversion.to_float, conversion.to_double
    half, bfloat16 = conversion.to_half, conversion.to_bfloat16
    share_memory = conversion.share_memory

    # ---- state

    @overload
    def state_dict(
        self, *, destination: T_destination, prefix: str = ..., keep_vars: bool = ...
    ) -> T_destination: ...
    @overload
    def state_dict(self, *, prefix: str = ..., keep_vars: bool = ...) -> dict[str, Any]: ...
    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> Any:
        """All parameters and persistent buffers by path, as an OrderedDict.

        Args:
            destination: a dict to fill.
            prefix: what paths begin with.
            keep_vars: give the parameters themselves, not their detached values.
        """
        if args:
            warnings.warn(
                "Positional args are being deprecated, use kwargs instead: "
                "state_dict(destination=..., prefix=..., keep_vars=...)",
                FutureWarning,
                stacklevel=2,
            )
            given = dict(zip(("destination", "prefix", "keep_vars"), args, strict=False))
            destination = given["destination"] if destination is None else destination
            prefix = prefix or given.get("prefix", "")
            keep_vars = keep_vars or given.get("keep_vars", False)
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        return self._after_state_dict(destination, prefix, metadata)

    def _after_state_dict(self, destination: Any, prefix: str, metadata: dict[str, Any]) -> Any:
        for hook in self._state_dict_hooks.values():
            result = hook(self, destination, prefix, metadata)
            if result is None:
                continue
            if getattr(hook, "_from_public_api", False):
                raise RuntimeError("state_dict post-hook must return None")
            destination = result
        return destination

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for name, param in self._parameters.items():
            if param is not None:
                destination[prefix + name] = param if keep_vars else param.detach()
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = buffer if keep_vars else buffer.detach()
        if type(self).get_extra_state is not Module.get_extra_state:
            destination[prefix + EXTRA] = self.get_extra_state()

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Takes over the values of a :meth:`state_dict`.

        Everything is checked before anything changes: if it fails, the module is as it was.

        Args:
            strict: raise if keys are missing or not expected.
            assign: take the tensors themselves, with their dtypes, in place of their values.

        Returns:
            The keys that were missing, and those not expected.

        Raises:
            CheckpointError: for keys (if ``strict``) or shapes that differ, with what may help.
            TypeError: unless ``state_dict`` is a mapping.
        """
        return load(self, state_dict, strict, assign)

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Loads this module's own entries; to be extended by subclasses, not called by users."""
        rest = (prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        for hook in list(self._load_state_dict_pre_hooks.values()):
            hook(state_dict, *rest)
        load_own(self, state_dict, *rest)

    def get_extra_state(self) -> Any:
        """What else belongs into the ``state_dict``; to be defined by a subclass."""
        raise RuntimeError(
            f"{type(self).__name__} defines no get_extra_state(): a class with set_extra_state() "
            "needs both"
        )

    def set_extra_state(self, state: Any) -> None:
        """Takes back what ``get_extra_state`` gave; to be defined by a subclass."""
        raise RuntimeError(
            f"{type(self).__name__} defines no set_extra_state(): a class with get_extra_state() "
            "needs both"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in _NOT_COPIED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        structure_changed()

    def _replicate_for_data_parallel(self) -> Self:
        replica = type(self).__new__(type(self))
        replica.__dict__.update(self.__getstate__())
        replica._parameters = {}
        replica._buffers = self._buffers.copy()
        replica._modules = self._modules.copy()
        return replica

    # ---- hooks (hooks.py; call.py says when they run)

    register_forward_pre_hook = hooks.register_forward_pre_hook
    register_forward_hook = hooks.register_forward_hook
    register_full_backward_pre_hook = hooks.register_full_backward_pre_hook
    register_full_backward_hook = hooks.register_full_backward_hook
    register_backward_hook = hooks.register_backward_hook
    register_state_dict_pre_hook = hooks.register_state_dict_pre_hook
    register_state_dict_post_hook = hooks.register_state_dict_post_hook
    _register_state_dict_hook = hooks._register_state_dict_hook
    register_load_state_dict_pre_hook = hooks.register_load_state_dict_pre_hook
    _register_load_state_dict_pre_hook = hooks._register_load_state_dict_pre_hook
    register_load_state_dict_post_hook = hooks.register_load_state_dict_post_hook

    # ---- in words

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What the printed form says of this module itself; to be defined by a subclass."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        if len(lines) == 1 and not self._modules:
            return f"{self._get_name()}({lines[0]})"
        lines += [f"({k}): {indented(repr(m))}" for k, m in self._modules.items()]
        if not lines:
            return f"{self._get_name()}()"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


def indented(text: str) -> str:
    """All lines but the first moved in by two; blank ones stay empty."""
    first, *rest = text.split("\n")
    return "\n".join([first, *(f"  {line}" if line.strip() else "" for line in rest)])


def _takes_persistent(method: Any) -> bool:
    """A subclass's ``register_buffer`` may have been written without that argument."""
    return method is Module.register_buffer or "persistent" in signature(method).parameters


def _accepts_nothing(cls: Any) -> bool:
    """Can ``cls.__init__`` be called without arguments?"""
    try:
        signature(cls.__init__).bind(None)
    except TypeError:
        return False
    return True
