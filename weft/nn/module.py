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

from .. import dtypes
from ..dtypes import as_dtype, dtype
from ..errors import DeviceError, UnsupportedOp
from ..graph.modes import grad_mode, module_path
from ..tensors.core import TensorCore
from ..tensors.creation import check_device, empty_like
from ..tensors.tensor import Tensor
from . import place as places
from .hooks import (
    BoundHook,
    EveryModule,
    Hook,
    RemovableHandle,
    call_with_hooks,
    every_call,
    one_kind,
    register,
    registered,
)
from .mistakes import (
    PLAIN,
    NoAttribute,
    check_name,
    deprecated,
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
_R = TypeVar("_R", covariant=True)


class _HasForward(Protocol[_P, _R]):
    @property
    def forward(self) -> Callable[_P, _R]: ...


class _CallLikeForward:
    """The type of ``Module.__call__``: what the class's ``forward`` takes and returns."""

    @overload
    def __get__(self, instance: None, owner: Any) -> Callable[..., Any]: ...
    @overload
    def __get__(self, instance: _HasForward[_P, _R], owner: Any) -> Callable[_P, _R]: ...
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

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
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
        return self._missing(name)

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
        self._modules[name] = registered(EveryModule.module_registration, self, name, module)
        structure_changed()

    def _assign_buffer(self, name: str, value: Any) -> None:
        if value is not None and not isinstance(value, TensorCore):
            raise not_assignable(self, "buffer", name, value)
        if isinstance(value, Buffer):
            if name not in self._buffers:
                self._make_room(name, "_buffers")
            persistent = value.persistent
        else:
            persistent = name not in self._non_persistent_buffers_set
        method = self.register_buffer
        if persistent and "persistent" not in signature(method).parameters:
            method(name, value)  # a subclass's own, written without that argument
        else:
            method(name, value, persistent)

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
        self._buffers[name] = registered(EveryModule.buffer_registration, self, name, tensor)
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
                    f"{type(self).__name__}: it is the result of {param.grad_fn.name()}. To express "
                    f"'{name}' as a function of another Tensor, compute the value in forward()"
                )
            param = registered(EveryModule.parameter_registration, self, name, param)
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

    # ---- dtype and device

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> Self:
        """Replaces the values of all parameters, gradients and buffers by what ``fn`` makes."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        token = grad_mode.set(False)
        try:
            for parameter in self._parameters.values():
                if parameter is not None:
                    _apply_to(parameter, fn)
            for name, buffer in self._buffers.items():
                if buffer is not None:
                    self._buffers[name] = fn(buffer)
        finally:
            grad_mode.reset(token)
        return self

    @overload
    def to(
        self, device: Any = ..., dtype: dtype | None = ..., non_blocking: bool = ...
    ) -> Self: ...
    @overload
    def to(self, dtype: dtype, non_blocking: bool = ...) -> Self: ...
    @overload
    def to(self, tensor: Tensor, non_blocking: bool = ...) -> Self: ...
    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Converts floating parameters and buffers: ``to(dtype)``, ``to("cpu")``, ``to(tensor)``.

        Integer ones keep their dtype. Changes this module and returns it.

        Raises:
            TypeError: for a dtype that is not floating, or arguments that mean nothing.
            DeviceError: for a device other than the CPU.
        """
        wanted = self._dtype_wanted(args, kwargs)
        if wanted is None:
            return self
        if not wanted.is_floating_point:
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={wanted}. For the inputs write x.to({wanted})"
            )
        return self._apply(lambda t: t.to(wanted) if t.is_floating_point() else t)

    def _dtype_wanted(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dtype | None:
        allowed = ("device", "dtype", "tensor", "non_blocking", "memory_format")
        for name in kwargs:
            if name not in allowed:
                raise TypeError(
                    f"{type(self).__name__}.to() got an unexpected keyword argument '{name}': it "
                    f"takes {', '.join(allowed)}"
                )
        if kwargs.get("memory_format") is not None:
            raise UnsupportedOp("weft arranges memory itself: leave memory_format= away")
        wanted = None if kwargs.get("dtype") is None else as_dtype(kwargs["dtype"])
        values = [*args, kwargs.get("device"), kwargs.get("tensor")]
        for value in values:
            if isinstance(value, TensorCore):
                wanted = value.dtype  # type: ignore[attr-defined]
            elif isinstance(value, dtype) or value is float:
                wanted = as_dtype(value)
            elif value is not None and not isinstance(value, bool):
                self._check_device(value)
        return wanted

    def _check_device(self, device: Any) -> None:
        name = f"cuda:{device}" if isinstance(device, int) else str(device)
        try:
            check_device(name)
        except DeviceError:
            raise DeviceError(
                f"{type(self).__name__} cannot go to '{name}': this version of weft computes on the "
                "CPU only, there is no GPU backend yet. Leave the call away, or write "
                "model.to('cpu'), to stay on the CPU"
            ) from None

    def cpu(self) -> Self:
        """Moves the module to the CPU, where it is."""
        return self._apply(lambda t: t.cpu())

    def cuda(self, device: Any = None) -> Self:
        """Raises DeviceError: this version has no GPU backend."""
        self._check_device("cuda" if device is None else device)
        return self

    def xpu(self, device: Any = None) -> Self:
        """Raises DeviceError: weft has no backend for Intel GPUs."""
        self._check_device("xpu")
        return self

    def ipu(self, device: Any = None) -> Self:
        """Raises DeviceError: weft has no backend for IPUs."""
        self._check_device("ipu")
        return self

    def mtia(self, device: Any = None) -> Self:
        """Raises DeviceError: weft has no backend for MTIA."""
        self._check_device("mtia")
        return self

    def type(self, dst_type: Any) -> Self:
        """Converts all parameters and buffers, integer ones too, to ``dst_type``."""
        wanted = as_dtype(dst_type)
        return self._apply(lambda t: t.to(wanted))

    def float(self) -> Self:
        """Converts floating parameters and buffers to float32."""
        return self.to(dtypes.float32)

    def double(self) -> Self:
        """Converts floating parameters and buffers to float64."""
        return self.to(dtypes.float64)

    def half(self) -> Self:
        """Converts floating parameters and buffers to float16."""
        return self.to(dtypes.float16)

    def bfloat16(self) -> Self:
        """Converts floating parameters and buffers to bfloat16."""
        return self.to(dtypes.bfloat16)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Gives all parameters and buffers values that do not matter."""
        if device is not None:
            self._check_device(device)
        return self._apply(empty_like, recurse=recurse)

    def share_memory(self) -> NoReturn:
        """Raises UnsupportedOp: weft's tensors cannot be shared between processes."""
        raise UnsupportedOp(
            f"{type(self).__name__}.share_memory(): tensors are values in a recorded graph and have "
            "no memory to share. Give other processes model.state_dict()"
        )

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

    # ---- hooks (hooks.py says what each gets)

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(module, args)`` before ``forward``.

        Args:
            hook: may return new args: a tuple, or one value.
            prepend: before the hooks that are there already.
            with_kwargs: call ``hook(module, args, kwargs)``, which may return both.
        """
        flag = (self._forward_pre_hooks_with_kwargs, with_kwargs)
        handle: RemovableHandle = register(self._forward_pre_hooks, hook, flag, prepend=prepend)
        return handle

    def register_forward_hook(
        self,
        hook: Hook,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Calls ``hook(module, args, output)`` after ``forward``.

        Args:
            hook: may return a new output.
            prepend: before the hooks that are there already.
            with_kwargs: call ``hook(module, args, kwargs, output)``.
            always_call: also if ``forward`` raises; the output is None then.
        """
        handle: RemovableHandle = register(
            self._forward_hooks,
            hook,
            (self._forward_hooks_with_kwargs, with_kwargs),
            (self._forward_hooks_always_called, always_call),
            prepend=prepend,
        )
        return handle

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(module, grad_output)`` when backward() comes to the module.

        ``grad_output`` has an entry for each output, None where no gradient is.

        Args:
            hook: may return new gradients, as a tuple.
            prepend: before the hooks that are there already.
        """
        handle: RemovableHandle = register(self._backward_pre_hooks, hook, prepend=prepend)
        return handle

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(module, grad_input, grad_output)`` when backward() has gone through it.

        Both are tuples, with entries for each positional argument and each output. If no argument
        requires grad, the hook runs as soon as ``grad_output`` is known.

        Args:
            hook: may return new gradients for the inputs, as a tuple.
            prepend: before the hooks that are there already.

        Raises:
            RuntimeError: where ``register_backward_hook`` is in use.
        """
        self._is_full_backward_hook = one_kind(
            self._is_full_backward_hook, True, "on a single Module"
        )
        handle: RemovableHandle = register(self._backward_hooks, hook, prepend=prepend)
        return handle

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """Deprecated: :meth:`register_full_backward_hook`, which does the same here."""
        self._is_full_backward_hook = one_kind(
            self._is_full_backward_hook, False, "on a single Module"
        )
        deprecated("register_backward_hook", "register_full_backward_hook")
        handle: RemovableHandle = register(self._backward_hooks, hook)
        return handle

    def register_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Calls ``hook(module, prefix, keep_vars)`` before ``state_dict`` is filled."""
        handle: RemovableHandle = register(self._state_dict_pre_hooks, hook)
        return handle

    def register_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Calls ``hook(module, state_dict, prefix, local_metadata)``, which may change the dict."""
        try:
            hook._from_public_api = True  # type: ignore[attr-defined]
        except AttributeError:  # a bound method
            hook = BoundHook(hook)
            hook._from_public_api = True
        handle: RemovableHandle = register(self._state_dict_hooks, hook)
        return handle

    def _register_state_dict_hook(self, hook: Hook) -> RemovableHandle:
        """As :meth:`register_state_dict_post_hook`; what it returns replaces the state_dict."""
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was previously "
                "registered via register_state_dict_post_hook"
            )
        handle: RemovableHandle = register(self._state_dict_hooks, hook)
        return handle

    def register_load_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Calls ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)`` before a state_dict is loaded, which it may change.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Hook, with_module: bool = False
    ) -> RemovableHandle:
        bound = BoundHook(hook, self if with_module else None)
        handle: RemovableHandle = register(self._load_state_dict_pre_hooks, bound)
        return handle

    def register_load_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Calls ``hook(module, incompatible_keys)`` after loading; it may change the lists of keys."""
        handle: RemovableHandle = register(self._load_state_dict_post_hooks, hook)
        return handle

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


def _accepts_nothing(cls: Any) -> bool:
    """Can ``cls.__init__`` be called without arguments?"""
    try:
        signature(cls.__init__).bind(None)
    except TypeError:
        return False
    return True


def _apply_to(parameter: Parameter, fn: Callable[[Any], Any]) -> None:
    """A new value for a parameter and for its gradient; both stay the objects that they are."""
    new = fn(parameter)
    if new is not parameter:
        parameter.data = new
    grad = parameter.grad
    if grad is not None:
        new = fn(grad)
        if new is not grad:
            grad.data = new
