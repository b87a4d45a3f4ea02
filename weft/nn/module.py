"""class Module: a tree of layers with their parameters, and the path of a call through it."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from types import MethodType
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

from ..errors import OptionError, UnsupportedOp
from ..graph.modes import module_path
from ..hooks import Changes
from ..tensors.core import TensorCore
from ..tensors.tensor import Tensor
from . import conversion, hooks, loading, place as places, state, summary, tree
from .base import ModuleBase
from .call import call_with_hooks
from .hooks import every_call, every_module, registered
from .mistakes import (
    PLAIN,
    NoAttribute,
    check_name,
    missing_forward,
    not_assignable,
    not_registrable,
    notice_assignment,
    notice_methods,
    warn_of_unregistered,
)
from .parameter import Buffer, Parameter
from .place import Place, blame, structure_changed
from .tree import locate

_running = module_path.get
_enter = module_path.set
_leave = module_path.reset

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


class Module(ModuleBase):
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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        notice_methods(cls)

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
        found = _OWN.get(name)
        if found is not None:
            return found(self)
        raise NoAttribute(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        if "_parameters" not in state:  # by the __new__ of a base that comes after Module
            self._begin_state()
        if state.get(name, Changes) is not value:
            Changes.count += 1
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
            self._set_plain(name, value)

    def _set_plain(self, name: str, value: Any) -> None:
        if name not in self.__dict__:
            notice_assignment(self, name, value)
        object.__setattr__(self, name, value)
        if isinstance(value, PLAIN):
            if value:
                warn_of_unregistered(self, name, value)
            elif name != "_plain":
                self._plain.add(name)  # it may be filled later
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
        Changes.count += 1
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
            *_OWN,
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
            OptionError: for one that is computed from other tensors.
        """
        check_name(self, "parameter", name, self._parameters)
        if param is not None:
            if not isinstance(param, Parameter):
                raise not_registrable(self, "parameter", name, param)
            if param.grad_fn:
                raise OptionError(
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

    # ---- the tree (tree.py)

    get_submodule, set_submodule = tree.get_submodule, tree.set_submodule
    get_parameter, get_buffer = tree.get_parameter, tree.get_buffer
    children, named_children = tree.children, tree.named_children
    modules, named_modules, apply = tree.modules, tree.named_modules, tree.apply
    parameters, named_parameters = tree.parameters, tree.named_parameters
    buffers, named_buffers = tree.buffers, tree.named_buffers
    requires_grad_, zero_grad = tree.requires_grad_, tree.zero_grad
    _named_members = tree.named_members

    # ---- mode

    def train(self, mode: bool = True) -> Self:
        """Switches this module and all below it to training, or with False to evaluation.

        Raises:
            OptionError: unless ``mode`` is a bool.
        """
        if not isinstance(mode, bool):
            raise OptionError(f"training mode is expected to be boolean, not {type(mode).__name__}")
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

    # ---- state (state.py, loading.py)

    state_dict, load_state_dict = state.state_dict, loading.load_state_dict
    _save_to_state_dict = state.save_to_state_dict
    _load_from_state_dict = state.load_from_state_dict
    get_extra_state, set_extra_state = state.get_extra_state, state.set_extra_state

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
        lines += [f"({k}): {_indented(repr(m))}" for k, m in self._modules.items()]
        if not lines:
            return f"{self._get_name()}()"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


#: What PyTorch's modules do not have. Found last, so that a layer, buffer or attribute of a model
#: may have such a name.
_OWN: dict[str, Callable[[Module], Any]] = {
    "device": conversion.common_device,
    "dtype": conversion.common_dtype,
    "summary": lambda module: MethodType(summary.summary, module),
}


def _indented(text: str) -> str:
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
